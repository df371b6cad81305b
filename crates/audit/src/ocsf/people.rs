//! What people decided, looked at and stopped, and what made them look.

use super::class::{Activity, Authentication, Body, Control, EventLog, Finding, Severity, Status};
use super::objects::{Actor, FindingInfo, Session, User};
use super::run::service;
use super::{Mapped, Source};

/// Base Event: no class is about a single call being allowed by somebody. Allowed or denied it is all the same.
pub(super) fn decided(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let approval = record.approval.as_ref()?;
    let by = approval.by.as_deref();
    let (control, activity, what) = match approval.effect.as_deref()? {
        "approve" => (Some(Control::allowed(Vec::new())), "Approve", "approved"),
        "deny" => (Some(Control::denied(Vec::new())), "Deny", "denied"),
        // One yes of several: the call still waits.
        "agree" => (None, "Agree", "agreed to"),
        "lapse" => (
            Some(Control::denied(Vec::new())),
            "Lapse",
            "was not asked in time about",
        ),
        _ => return None,
    };
    let held = format!("{}/{}", record.run, record.of?);
    let message = match (activity, by) {
        ("Lapse", _) => format!("nobody decided in time about the call {held}"),
        (_, Some(by)) => format!("{by} {what} the call {held}"),
        (_, None) => format!("somebody {what} the call {held}"),
    };
    Some(Mapped {
        control,
        correlation: Some(held),
        message,
        placed: &["of"],
        severity: match activity {
            "Approve" | "Agree" => Severity::INFORMATIONAL,
            _ => Severity::LOW,
        },
        ..Mapped::new(Activity::other(activity), Body::Base {})
    })
}

/// Event Log Activity: Other, for what people look at is the log.
pub(super) fn viewed(source: Source<'_>) -> Option<Mapped<'_>> {
    let viewed = source.record.viewed.as_ref()?;
    let (by, chain) = (&viewed.by, &viewed.chain);
    Some(Mapped {
        message: format!(
            "{by} was shown payloads of {chain}, {} to {}",
            viewed.from, viewed.to
        ),
        placed: &["viewed.by"],
        ..of_log(source, "View", by)
    })
}

/// Event Log Activity: Other, for what people look through is the log.
pub(super) fn searched(source: Source<'_>) -> Option<Mapped<'_>> {
    let by = source.record.by.as_deref()?;
    Some(Mapped {
        message: format!("{by} searched the words of payloads"),
        placed: &["by"],
        ..of_log(source, "Search", by)
    })
}

/// Event Log Activity: Other, for a receipt is a part of the log.
pub(super) fn taken(source: Source<'_>) -> Option<Mapped<'_>> {
    let taken = source.record.viewed.as_ref()?;
    let by = &taken.by;
    Some(Mapped {
        message: format!("{by} took the receipt of {}/{}", taken.chain, taken.from),
        placed: &["viewed.by"],
        ..of_log(source, "Receipt", by)
    })
}

/// Event Log Activity: Other, for what is made anew is how the log is found.
pub(super) fn remade(source: Source<'_>) -> Option<Mapped<'_>> {
    let by = source.record.by.as_deref()?;
    Some(Mapped {
        message: format!("{by} had the index made anew"),
        placed: &["by"],
        ..of_log(source, "Reindex", by)
    })
}

/// Event Log Activity: Other, where a trail is whole; where it is not, Detection Finding: Create.
pub(super) fn verified(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let verified = record.verified.as_ref()?;
    let (by, run) = (&verified.by, &verified.run);
    let Some(problem) = &verified.problem else {
        return Some(Mapped {
            message: format!("{by} had the trail of {run} verified: it is whole"),
            placed: &["verified.by"],
            ..of_log(source, "Verify", by)
        });
    };
    let message = format!("the trail of {run} is not whole: {problem}");
    let body = Finding {
        finding_info: FindingInfo {
            desc: message.clone(),
            title: "The record of a run does not verify",
            uid: format!("{}#{}/{}", source.origin, record.run, record.seq),
        },
        is_alert: true,
    };
    Some(Mapped {
        message,
        severity: Severity::CRITICAL,
        status: Status::NEW,
        ..Mapped::new(Activity::CREATE_FINDING, Body::Finding(body))
    })
}

/// What somebody did with the log.
fn of_log<'e>(source: Source<'e>, activity: &'static str, by: &'e str) -> Mapped<'e> {
    let body = EventLog {
        actor: Some(Actor {
            session: None,
            user: User::launcher(by),
        }),
        log_name: source.origin,
    };
    Mapped::new(Activity::other(activity), Body::EventLog(body))
}

/// Authentication: Logon, of a person at the console.
pub(super) fn signed_in(source: Source<'_>) -> Option<Mapped<'_>> {
    let via = source.record.via.as_deref()?;
    at_the_console(
        source,
        Activity::LOGON,
        &format!("signed in at the console ({via})"),
    )
}

/// Authentication: Logoff, of a person at the console.
pub(super) fn signed_out(source: Source<'_>) -> Option<Mapped<'_>> {
    at_the_console(source, Activity::LOGOFF, "signed out at the console")
}

/// Authentication: Other. Whoever has the link can sign in as its maker, for a minute.
pub(super) fn link_made(source: Source<'_>) -> Option<Mapped<'_>> {
    let what = "was given a link to sign in at the console, once";
    at_the_console(source, Activity::other("Link"), what)
}

fn at_the_console<'e>(
    source: Source<'e>,
    activity: Activity<'e>,
    what: &str,
) -> Option<Mapped<'e>> {
    let by = source.record.by.as_deref()?;
    let body = Authentication {
        actor: None,
        ai_agent: None,
        dst_endpoint: None,
        service: service(source),
        session: None,
        user: User::launcher(by),
    };
    Some(Mapped {
        message: format!("{by} {what}"),
        placed: &["by"],
        ..Mapped::new(activity, Body::Authentication(body))
    })
}

/// Authentication: Other, of the run's session. Nobody can act in it until it is resumed.
pub(super) fn suspended(source: Source<'_>) -> Option<Mapped<'_>> {
    Some(Mapped {
        severity: Severity::MEDIUM,
        ..of_session(source, "Suspend", "suspended")?
    })
}

/// Authentication: Other, of the run's session.
pub(super) fn resumed(source: Source<'_>) -> Option<Mapped<'_>> {
    of_session(source, "Resume", "resumed")
}

fn of_session<'e>(source: Source<'e>, activity: &'static str, what: &str) -> Option<Mapped<'e>> {
    let record = source.record;
    let by = record.by.as_deref()?;
    let body = Authentication {
        actor: Some(Actor {
            session: None,
            user: User::launcher(by),
        }),
        ai_agent: Some(source.agent()?),
        dst_endpoint: None,
        service: service(source),
        session: Some(Session { ..source.session() }),
        user: source.user()?,
    };
    Some(Mapped {
        message: format!("{by} {what} {}", record.run),
        placed: &["by", "launcher", "task"],
        ..Mapped::new(Activity::other(activity), Body::Authentication(body))
    })
}

/// Detection Finding: Create. A rule of the configuration matched.
pub(super) fn raised(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let signal = record.signal.as_ref()?;
    let (name, of) = (&signal.name, &signal.of);
    let stops = signal
        .actions
        .iter()
        .any(|action| matches!(action.as_str(), "suspend" | "revoke"));
    let message = format!("the rule {name} ({}) matched at {of}", signal.rule);
    let body = Finding {
        finding_info: FindingInfo {
            desc: message.clone(),
            title: "A signal of the configuration",
            uid: format!("{}#{}/{}", source.origin, record.run, record.seq),
        },
        is_alert: true,
    };
    Some(Mapped {
        correlation: Some(of.clone()),
        message,
        severity: match stops {
            true => Severity::HIGH,
            false => Severity::MEDIUM,
        },
        status: Status::NEW,
        ..Mapped::new(Activity::CREATE_FINDING, Body::Finding(body))
    })
}
