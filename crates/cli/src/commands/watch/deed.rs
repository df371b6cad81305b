//! What a person can do to a run or about a call that waits, in words before and after.

use bailiwick_control::api::{Approval, ApproveRequest, DenyRequest, Estimate, RunState, Summary};
use bailiwick_control::client::{Client, ClientError};
use bailiwick_run::{ApprovalId, RunId};

/// Something that was confirmed and is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Suspend(RunId),
    Resume(RunId),
    Revoke(RunId),
    Approve(ApprovalId),
    Deny(ApprovalId, String),
}

impl Deed {
    /// Does it, and says what came of it.
    pub(super) async fn perform(self, client: &Client) -> Result<String, ClientError> {
        Ok(match self {
            Self::Suspend(run) => {
                client.suspend(&run).await?;
                format!("{run} is suspended; r lets it act again")
            }
            Self::Resume(run) => {
                client.resume(&run).await?;
                format!("{run} may act again")
            }
            Self::Revoke(run) => {
                client.revoke(&run).await?;
                format!("{run} is revoked")
            }
            Self::Approve(id) => {
                let approval = client.approve(&id, &ApproveRequest::default()).await?;
                format!("{} is {}", approval.id, approval.state.as_str())
            }
            Self::Deny(id, reason) => {
                let approval = client.deny(&id, &DenyRequest { reason }).await?;
                format!(
                    "{} is {}; the agent is told why",
                    approval.id,
                    approval.state.as_str()
                )
            }
        })
    }
}

/// What is asked before something is done: bound to what was selected when the key was pressed, whatever moves
/// in the meantime.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) title: String,
    /// What it is about: names and values. Not clean.
    pub(super) facts: Vec<(&'static str, String)>,
    /// What will happen.
    pub(super) words: &'static str,
    pub(super) asked: Asked,
}

/// How it is answered.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// By `y`.
    Yes(Deed),
    /// By a reason and Enter.
    Reason(ApprovalId, String),
}

/// What a key does to a run, if it can be done.
pub(super) fn about_run(key: char, run: &Summary) -> Result<Question, &'static str> {
    let (title, words, deed) = match (key, run.state) {
        (_, RunState::Ended | RunState::Ending) => return Err("that run has ended"),
        ('s', RunState::Suspended) => return Err("that run is suspended already; r resumes it"),
        ('s', RunState::Open) => (
            "Suspend this run?",
            "Its connections are cut within a second, also in the middle of a statement, and its credential \
             opens nothing until somebody resumes it. Its process is left alone, and its time goes on.",
            Deed::Suspend(run.run),
        ),
        ('r', RunState::Open) => return Err("that run is not suspended"),
        ('r', RunState::Suspended) => (
            "Let this run act again?",
            "Its credential works again, for what its task allows and until its time is over. What was cut \
             stays cut: the agent has to connect again.",
            Deed::Resume(run.run),
        ),
        _ => (
            "Revoke this run?",
            "It ends for good: its connections are cut within a second, also in the middle of a statement, and \
             its credential opens nothing any more. The record says that it was revoked.",
            Deed::Revoke(run.run),
        ),
    };
    let counts = run.counts;
    Ok(Question {
        title: title.to_owned(),
        facts: vec![
            ("run", run.run.to_string()),
            ("task", run.task.clone()),
            ("launcher", run.launcher.to_string()),
            (
                "so far",
                format!(
                    "{} allowed, {} denied, {} masked",
                    counts.allowed, counts.denied, counts.masked
                ),
            ),
        ],
        words,
        asked: Asked::Yes(deed),
    })
}

/// A yes or a no to a call that waits.
pub(super) fn about_call(key: char, call: &Approval) -> Question {
    let (title, words, asked) = match key {
        'a' => (
            "Approve this call?",
            "Exactly this call of this run may be made, once, within the time that is given for it. Nothing else \
             is allowed by it. The record says that you said so.",
            Asked::Yes(Deed::Approve(call.id)),
        ),
        _ => (
            "Deny this call?",
            "The agent is told that it may not, and why: say it in a few words. The record says that you said so.",
            Asked::Reason(call.id, String::new()),
        ),
    };
    Question {
        title: title.to_owned(),
        facts: facts(call),
        words,
        asked,
    }
}

/// What the gateway itself understood of a call; nothing of it are the agent's own words.
pub(super) fn facts(call: &Approval) -> Vec<(&'static str, String)> {
    let mut facts = vec![(
        "call",
        format!("{} at {} ({})", call.verb, call.target, call.protocol),
    )];
    facts.extend(call.actions.iter().map(|action| ("does", action.clone())));
    if call.more_actions > 0 {
        facts.push(("", format!("and {} more", call.more_actions)));
    }
    facts.push(("class", call.class.as_str().to_owned()));
    facts.push(match &call.estimate {
        Estimate::Rows(1) => ("touches", "about 1 row, as the target expects".to_owned()),
        Estimate::Rows(rows) => (
            "touches",
            format!("about {rows} rows, as the target expects"),
        ),
        Estimate::Unknown(why) => ("touches", format!("not known: {why}")),
    });
    facts.push(("run", call.run.to_string()));
    facts.push(("task", call.task.clone()));
    facts.push(("launcher", call.launcher.to_string()));
    facts.extend(call.reason.iter().map(|reason| ("for", reason.clone())));
    facts.push(("asked", call.approvers.join(" and ")));
    facts.extend(
        call.given
            .iter()
            .map(|given| ("yes of", format!("{} for {}", given.by, given.approver))),
    );
    facts
}
