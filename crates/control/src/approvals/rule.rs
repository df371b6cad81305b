use std::collections::BTreeSet;
use std::fmt;

use bailiwick_audit::{AppendError, Ruling};
use bailiwick_run::{ApprovalId, RunId};

use super::Approvals;
use super::entry::{Entry, State, Yes};
use super::lapse::decided;
use super::moment::{Deadline, Moment};
use super::who::{NotTheirs, may_say_yes, speaks_for};
use crate::limits::ANSWER_TEXT_BYTES_MAX;
use crate::people::Person;

/// Why a question was not answered.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// There is no such question.
    #[error(
        "no call waits under {0}; `bailiwick approvals --all` lists those that the gateway remembers"
    )]
    NoSuch(ApprovalId),
    /// Nothing is to be decided any more.
    #[error("{id} {became}; there is nothing to decide any more")]
    Over {
        /// The question.
        id: ApprovalId,
        /// What became of it.
        became: String,
    },
    /// The run may not act.
    #[error("{0} may not act any more, or is suspended, so its call cannot be approved")]
    NotLive(RunId),
    /// It is not theirs to answer.
    #[error("nothing was decided: {0}")]
    NotTheirs(#[from] NotTheirs),
    /// They have said yes, and others have not.
    #[error("{who} has said yes already; {} has to, too", missing.join(" and "))]
    Said {
        /// Who they are.
        who: String,
        /// Who has not.
        missing: Vec<String>,
    },
    /// A no wants a reason.
    #[error("say why: the agent is told the reason, and goes by it")]
    NoReason,
    /// What they say is too long.
    #[error("what you say is {0} bytes long; at most {ANSWER_TEXT_BYTES_MAX} are kept")]
    TooLong(usize),
    /// What they say is no text.
    #[error(
        "what you say holds control characters, which are not for the agent or the record; write it as plain text"
    )]
    NotText,
    /// It cannot be recorded, and so has not been decided.
    #[error("nothing was decided, because it could not be recorded: {0}")]
    Record(#[from] AppendError),
    /// It failed in a way that should not be possible.
    #[error("nothing was decided: it failed unexpectedly, and the gateway's log says how")]
    Unexpected,
}

impl Approvals {
    /// Says yes, for all that this person may speak for. The call can be made once everybody who is asked has said
    /// so.
    pub(crate) async fn approve(
        &self,
        id: &ApprovalId,
        who: Person,
        note: Option<String>,
        live: impl FnOnce(&RunId) -> bool + Send + 'static,
    ) -> Result<RunId, RuleError> {
        let entry = self.find(id).ok_or(RuleError::NoSuch(*id))?;
        let note = note.as_deref().map(plain).transpose()?;
        let note = note.filter(|note| !note.is_empty());
        let approvals = self.clone();
        // On a task of its own: whoever asks may go away, and what is on record has to take effect.
        let ruled = tokio::spawn(async move {
            let _pen = entry.pen.lock().await;
            approvals.say_yes(&entry, &who, note, live).await?;
            Ok(entry.run())
        });
        ruled.await.unwrap_or(Err(RuleError::Unexpected))
    }

    async fn say_yes(
        &self,
        entry: &Entry,
        who: &Person,
        note: Option<String>,
        live: impl FnOnce(&RunId) -> bool,
    ) -> Result<(), RuleError> {
        let now = Moment::now();
        let saying = may_say_yes(who, &entry.question)?;
        still_open(entry, now)?;
        if !live(&entry.run()) {
            return Err(RuleError::NotLive(entry.run()));
        }
        let missing = entry.missing(&saying);
        if missing == entry.missing(&BTreeSet::new()) {
            return Err(RuleError::Said {
                who: who.name.to_string(),
                missing: missing.into_iter().collect(),
            });
        }
        let settings = &self.0.settings;
        let until = missing.is_empty().then(|| {
            let ends = entry.question.run.time_box.expires;
            Deadline::within(now, settings.use_within, ends)
        });
        let ruling = match until {
            Some(_) => Ruling::Approve,
            None => Ruling::Agree,
        };
        let said = match &note {
            Some(note) => serde_json::json!({ "for": saying, "note": note }),
            None => serde_json::json!({ "for": saying }),
        };
        let payload = Some(said.to_string().into_bytes());
        let by = Some(who.name.clone());
        let expires = until.map(|until| until.wall);
        let draft = decided(entry, ruling, by, expires, payload);
        self.0.log.append(draft).await?;
        match until {
            Some(until) => {
                let yes = Yes {
                    by: who.name.clone(),
                    at: now.wall,
                    note,
                    until,
                };
                entry.approve(&saying, yes);
            }
            None => entry.agree(&who.name, &saying),
        }
        Ok(())
    }

    /// Says no, which one of those who are asked is enough for. The agent is told the reason.
    pub(crate) async fn deny(
        &self,
        id: &ApprovalId,
        who: Person,
        reason: &str,
    ) -> Result<RunId, RuleError> {
        let entry = self.find(id).ok_or(RuleError::NoSuch(*id))?;
        let reason = plain(reason)?;
        if reason.is_empty() {
            return Err(RuleError::NoReason);
        }
        let approvals = self.clone();
        let ruled = tokio::spawn(async move {
            let _pen = entry.pen.lock().await;
            approvals.say_no(&entry, &who, reason).await?;
            Ok(entry.run())
        });
        ruled.await.unwrap_or(Err(RuleError::Unexpected))
    }

    async fn say_no(&self, entry: &Entry, who: &Person, reason: String) -> Result<(), RuleError> {
        let now = Moment::now();
        let saying = speaks_for(who, &entry.question)?;
        still_open(entry, now)?;
        let said = serde_json::json!({ "for": saying, "reason": reason });
        let payload = Some(said.to_string().into_bytes());
        let by = Some(who.name.clone());
        let draft = decided(entry, Ruling::Deny, by, None, payload);
        self.0.log.append(draft).await?;
        let ends = entry.question.run.time_box.expires;
        let until = Deadline::within(now, self.0.settings.decide_within, ends);
        entry.deny(&who.name, reason, now.wall, until);
        Ok(())
    }
}

fn still_open(entry: &Entry, now: Moment) -> Result<(), RuleError> {
    if entry.is_open(now) {
        return Ok(());
    }
    Err(RuleError::Over {
        id: entry.id,
        became: Became(&entry.life().state).to_string(),
    })
}

/// What became of a question, in words that go on after its id.
struct Became<'a>(&'a State);

impl fmt::Display for Became<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            State::Approved(yes) => write!(f, "was approved by {}", yes.by),
            State::Used(yes) => {
                write!(f, "was approved by {}, and the call has been made", yes.by)
            }
            State::Denied { by, .. } => write!(f, "was denied by {by}"),
            State::Open | State::Lapsed { .. } => f.write_str(
                "has lapsed: its time is over, the run may not act, or it took the call back",
            ),
        }
    }
}

/// What somebody says, on one line.
fn plain(text: &str) -> Result<String, RuleError> {
    if text.len() > ANSWER_TEXT_BYTES_MAX {
        return Err(RuleError::TooLong(text.len()));
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.contains(char::is_control) {
        return Err(RuleError::NotText);
    }
    Ok(text)
}
