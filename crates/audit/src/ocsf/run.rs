//! The beginning and end of a run, and who was kept out.

use bailiwick_run::Time;

use super::class::{Activity, Authentication, AuthorizeSession, Body, Control, Severity, Status};
use super::objects::{Actor, Endpoint, Role, Service, Session, User};
use super::{Mapped, NAME, Source};

/// Authorize Session: Assign Roles. Nobody logs on when a run is opened; a launcher's run is given
/// what its task may do, until its end.
pub(super) fn opened(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let agent = source.agent()?;
    let task = agent.name;
    let expires: Option<Time> = record.expires.as_deref().and_then(|time| time.parse().ok());
    let body = AuthorizeSession {
        actor: source.actor()?,
        iam_roles: [Role {
            name: task,
            uid: record.scope_digest.as_deref(),
        }],
        ai_agent: agent,
        session: Session {
            created_time: Some(source.time.millis()),
            expiration_time: expires.map(Time::millis),
            ..source.session()
        },
        user: source.user()?,
    };
    Some(Mapped {
        message: format!(
            "{} opened {} for the task {task}",
            record.launcher.as_deref()?,
            record.run
        ),
        placed: &["expires", "launcher", "scope_digest", "task"],
        ..Mapped::new(Activity::ASSIGN_ROLES, Body::AuthorizeSession(body))
    })
}

/// Authentication: Logoff, of which OCSF says that the session "no longer exists"; Authorize Session
/// has no end. The actor is who wanted it; where nobody did, the launcher, whose session it was.
pub(super) fn closed(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let agent = source.agent()?;
    let task = agent.name;
    let ending = record.ending.as_deref()?;
    let by = record.by.as_deref();
    let body = Authentication {
        actor: match by {
            Some(by) => Some(Actor {
                session: None,
                user: User::launcher(by),
            }),
            None => source.actor(),
        },
        ai_agent: Some(agent),
        dst_endpoint: None,
        service: service(source),
        session: Some(Session {
            expiration_reason: Some(ending),
            ..source.session()
        }),
        user: source.user()?,
    };
    Some(Mapped {
        message: match by {
            Some(by) => format!(
                "{} for the task {task} ended: {ending}, by {by}",
                record.run
            ),
            None => format!("{} for the task {task} ended: {ending}", record.run),
        },
        placed: &["by", "ending", "last", "launcher", "task"],
        ..Mapped::new(Activity::LOGOFF, Body::Authentication(body))
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
    let body = Authentication {
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
    };
    Some(Mapped {
        control: Some(Control::denied(Vec::new())),
        message: format!("a login was denied: {}", login.reason),
        placed: &["login.reason", "login.run", "target"],
        severity: Severity::MEDIUM,
        status: Status::FAILURE.detail(login.reason.as_str()),
        ..Mapped::new(Activity::LOGON, Body::Authentication(body))
    })
}

pub(super) fn service(source: Source<'_>) -> Service<'_> {
    Service {
        name: NAME,
        uid: source.origin,
    }
}
