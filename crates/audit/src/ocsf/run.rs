//! The beginning and end of a run, and who was kept out.

use bailiwick_run::Time;

use super::class::{Activity, Authentication, AuthorizeSession, Body, Control, Severity, Status};
use super::objects::{Endpoint, Role, Service, Session, User};
use super::{Mapped, NAME, Source};

/// Authorize Session: Assign Roles. Nobody logs on when a run is opened; a launcher's run is given
/// what its task may do, until its end.
pub(super) fn opened(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let agent = source.agent()?;
    let expires: Option<Time> = record.expires.as_deref().and_then(|time| time.parse().ok());
    Some(Mapped {
        activity: Activity::ASSIGN_ROLES,
        control: None,
        correlation: None,
        is_truncated: false,
        message: format!(
            "{} opened {} for the task {}",
            record.launcher.as_deref()?,
            record.run,
            agent.name
        ),
        placed: &["expires", "launcher", "scope_digest", "task"],
        severity: Severity::INFORMATIONAL,
        status: Status::SUCCESS,
        body: Body::AuthorizeSession(AuthorizeSession {
            actor: source.actor()?,
            iam_roles: [Role {
                name: agent.name,
                uid: record.scope_digest.as_deref(),
            }],
            ai_agent: agent,
            session: Session {
                created_time: Some(source.time.millis()),
                expiration_time: expires.map(Time::millis),
                ..source.session()
            },
            user: source.user()?,
        }),
    })
}

/// Authentication: Logoff, of which OCSF says that the session "no longer exists"; Authorize Session
/// has no end.
pub(super) fn closed(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let agent = source.agent()?;
    let ending = record.ending.as_deref()?;
    Some(Mapped {
        activity: Activity::LOGOFF,
        control: None,
        correlation: None,
        is_truncated: false,
        message: format!("{} for the task {} ended: {ending}", record.run, agent.name),
        placed: &["ending", "last", "launcher", "task"],
        severity: Severity::INFORMATIONAL,
        status: Status::SUCCESS,
        body: Body::Authentication(Authentication {
            actor: source.actor(),
            ai_agent: Some(agent),
            dst_endpoint: None,
            service: service(source),
            session: Some(Session {
                expiration_reason: Some(ending),
                ..source.session()
            }),
            user: source.user()?,
        }),
    })
}

/// Authentication: Logon, refused. Who it was is not known, only as whom they came; so there is no
/// actor and no agent.
pub(super) fn login_denied(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let login = record.login.as_ref()?;
    let run = match record.run.as_str() {
        "gateway" => login.run.as_deref(),
        run => Some(run),
    };
    Some(Mapped {
        activity: Activity::LOGON,
        control: Some(Control::denied(Vec::new())),
        correlation: None,
        is_truncated: false,
        message: format!("a login was denied: {}", login.reason),
        placed: &["login.reason", "login.run", "target"],
        severity: Severity::MEDIUM,
        status: Status::FAILURE.detail(login.reason.as_str()),
        body: Body::Authentication(Authentication {
            actor: None,
            ai_agent: None,
            dst_endpoint: record.target.as_deref().map(Endpoint::Name),
            service: service(source),
            session: run.map(|run| Session {
                issuer: source.origin,
                uid: run,
                ..Session::default()
            }),
            user: run.map_or_else(User::unknown, User::run),
        }),
    })
}

fn service(source: Source<'_>) -> Service<'_> {
    Service {
        name: NAME,
        uid: source.origin,
    }
}
