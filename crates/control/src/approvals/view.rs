//! Questions as people are shown them.

use std::cmp::Reverse;

use bailiwick_run::{ApprovalId, RunId};

use super::entry::{Entry, Kept, State, Yes};
use super::moment::Moment;
use super::who::{heaviest, speaks_for};
use super::{Approvals, RuleError};
use crate::api::{Approval, ApprovalState, Counts, Estimate, Given, WhichApprovals};
use crate::limits::{APPROVAL_ACTION_BYTES_SHOWN, APPROVAL_ACTIONS_SHOWN};
use crate::live::lock;
use crate::people::Person;

impl Approvals {
    /// Those that can be decided, the one with the least time left first; then, if wanted, the others, the newest
    /// first. `counts` says what a run did so far.
    pub(crate) fn list(
        &self,
        which: WhichApprovals,
        now: Moment,
        counts: impl Fn(&RunId) -> Counts,
    ) -> Vec<Approval> {
        let all = lock(&self.0.book).all();
        let shown = all
            .iter()
            .map(|entry| entry.show(now, counts(&entry.run())));
        let (mut open, mut over): (Vec<_>, Vec<_>) =
            shown.partition(|approval| approval.state == ApprovalState::Open);
        open.sort_by_key(|approval| approval.expires);
        if which == WhichApprovals::All {
            over.sort_by_key(|approval| Reverse(approval.id));
            open.append(&mut over);
        }
        open
    }

    /// One of them.
    pub(crate) fn show(
        &self,
        id: &ApprovalId,
        now: Moment,
        counts: impl Fn(&RunId) -> Counts,
    ) -> Option<Approval> {
        let entry = self.find(id)?;
        Some(entry.show(now, counts(&entry.run())))
    }

    /// Where one of them is in the record.
    pub(crate) fn held(&self, id: &ApprovalId) -> Result<Held, RuleError> {
        let entry = self.find(id).ok_or(RuleError::NoSuch(*id))?;
        Ok(Held {
            run: entry.run(),
            seq: entry.held,
            entry,
        })
    }
}

/// Where a question is in the record, for whoever wants to read what the agent wrote.
pub(crate) struct Held {
    pub(crate) run: RunId,
    /// The `seq` of its `call.held`.
    pub(crate) seq: u64,
    entry: Kept,
}

impl Held {
    /// Refuses whoever is not asked.
    pub(crate) fn is_for(&self, who: &Person) -> Result<(), RuleError> {
        speaks_for(who, &self.entry.question)?;
        Ok(())
    }

    pub(crate) fn record(&self) -> String {
        self.entry.record()
    }
}

impl Entry {
    /// What people are shown of it.
    pub(super) fn show(&self, now: Moment, counts: Counts) -> Approval {
        let question = &self.question;
        let run = &question.run;
        let life = self.life();
        // Its time is over when it is, and not only once somebody has noticed.
        let state = match &life.state {
            State::Open if self.is_open(now) => ApprovalState::Open,
            State::Approved(yes) if !yes.until.is_over(now) => ApprovalState::Approved,
            State::Used(_) => ApprovalState::Used,
            State::Denied { .. } => ApprovalState::Denied,
            State::Open | State::Approved(_) | State::Lapsed { .. } => ApprovalState::Lapsed,
        };
        let (by, decided, answer, usable_until) = match life.state {
            State::Open => (None, None, None, None),
            State::Approved(yes) | State::Used(yes) => {
                let Yes {
                    by,
                    at,
                    note,
                    until,
                } = yes;
                (Some(by), Some(at), note, Some(until.wall))
            }
            State::Denied { by, at, reason, .. } => (Some(by), Some(at), Some(reason), None),
            State::Lapsed { at, .. } => (None, Some(at), None, None),
        };
        Approval {
            id: self.id,
            run: run.id,
            task: run.task.clone(),
            launcher: run.launcher.clone(),
            reason: run.reason.clone(),
            counts,
            target: question.target.clone(),
            protocol: question.protocol.to_owned(),
            verb: question.verb.clone(),
            actions: self.actions(),
            more_actions: question
                .actions
                .len()
                .saturating_sub(APPROVAL_ACTIONS_SHOWN),
            class: heaviest(question),
            approvers: question.approvers.iter().cloned().collect(),
            given: life
                .given
                .into_iter()
                .map(|(approver, by)| Given { approver, by })
                .collect(),
            estimate: match &question.estimate {
                Ok(estimate) => Estimate::Rows(estimate.rows),
                Err(why) => Estimate::Unknown(short(why)),
            },
            asked: self.asked,
            expires: self.expires.wall,
            use_within: self.use_within,
            state,
            by,
            decided,
            usable_until,
            answer,
            record: self.record(),
        }
    }

    /// Its `call.held`.
    pub(super) fn record(&self) -> String {
        format!("{}/{}", self.run(), self.held)
    }

    /// What the call would do, in words, the heaviest first: nothing that destroys hides behind a long list.
    pub(super) fn actions(&self) -> Vec<String> {
        let mut actions: Vec<_> = self.question.actions.iter().collect();
        actions.sort_by_key(|action| Reverse(action.class));
        let shown = actions.into_iter().take(APPROVAL_ACTIONS_SHOWN);
        shown.map(|action| short(&action.to_string())).collect()
    }
}

fn short(text: &str) -> String {
    if text.len() <= APPROVAL_ACTION_BYTES_SHOWN {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(APPROVAL_ACTION_BYTES_SHOWN);
    format!("{}…", text.get(..end).unwrap_or_default())
}
