//! One question, from asking to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_policy::{Question, Standing};
use bailiwick_run::{ApprovalId, Launcher, RunId, Time};
use tokio::sync::watch;

use super::moment::{Deadline, Moment};
use super::{Asked, Pen};
use crate::live::lock;

/// A question that is on record.
pub(super) struct Entry {
    pub(super) id: ApprovalId,
    /// Without the agent's own words: those are read from the record.
    pub(super) question: Question,
    /// The `seq` of its `call.held`.
    pub(super) held: u64,
    pub(super) asked: Time,
    pub(super) expires: Deadline,
    /// How long the call may be made after the yes.
    pub(super) use_within: Duration,
    /// Whoever records what becomes of it has this.
    pub(super) pen: Pen,
    life: Mutex<Life>,
    standing: watch::Sender<Standing>,
}

/// What has become of a question so far.
#[derive(Clone, Debug)]
pub(super) struct Life {
    /// Who said yes, by whom they speak for.
    pub(super) given: BTreeMap<String, Launcher>,
    pub(super) state: State,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Open,
    Approved(Yes),
    Used(Yes),
    Denied {
        by: Launcher,
        at: Time,
        reason: String,
        /// How long the same call gets this answer.
        until: Deadline,
    },
    Lapsed {
        at: Time,
        /// Whether that is on record, or never will be.
        told: bool,
    },
}

/// Everybody who is asked has said yes.
#[derive(Clone, Debug)]
pub(super) struct Yes {
    /// Who did last.
    pub(super) by: Launcher,
    pub(super) at: Time,
    /// What they said with it.
    pub(super) note: Option<String>,
    /// Until when the call can be made.
    pub(super) until: Deadline,
}

impl Entry {
    pub(super) fn new(
        id: ApprovalId,
        question: Question,
        held: u64,
        now: Moment,
        expires: Deadline,
        use_within: Duration,
        pen: Pen,
    ) -> Self {
        Self {
            id,
            question,
            held,
            asked: now.wall,
            expires,
            use_within,
            pen,
            life: Mutex::new(Life {
                given: BTreeMap::new(),
                state: State::Open,
            }),
            standing: watch::channel(Standing::Open).0,
        }
    }

    pub(super) fn run(&self) -> RunId {
        self.question.run.id
    }

    pub(super) fn life(&self) -> Life {
        lock(&self.life).clone()
    }

    pub(super) fn asked(&self) -> Asked {
        Asked {
            id: self.id,
            expires: self.expires.wall,
            standing: self.standing.subscribe(),
        }
    }

    /// Whether it is this call that it is about. The text alone does not say: what it means depends on the target,
    /// and on what the session has set before it.
    pub(super) fn is_about(&self, call: &Question) -> bool {
        let own = &self.question;
        own.run.id == call.run.id
            && own.fingerprint == call.fingerprint
            && own.target == call.target
            && own.protocol == call.protocol
            && own.policy_digest == call.policy_digest
            && own.verb == call.verb
            && own.actions == call.actions
            && own.approvers == call.approvers
    }

    /// Whether the same call, made now, has this for its answer.
    pub(super) fn answers(&self, now: Moment) -> bool {
        match &lock(&self.life).state {
            State::Open => !self.expires.is_over(now),
            State::Approved(Yes { until, .. }) | State::Denied { until, .. } => !until.is_over(now),
            State::Used(_) | State::Lapsed { .. } => false,
        }
    }

    /// Whether somebody can decide it now.
    pub(super) fn is_open(&self, now: Moment) -> bool {
        matches!(lock(&self.life).state, State::Open) && !self.expires.is_over(now)
    }

    /// Whether its time is over, and no record says so yet.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        match &lock(&self.life).state {
            State::Open => self.expires.is_over(now),
            State::Approved(yes) => yes.until.is_over(now),
            State::Lapsed { told, .. } => !told,
            State::Used(_) | State::Denied { .. } => false,
        }
    }

    /// Whether something may still become of it.
    pub(super) fn is_pending(&self) -> bool {
        matches!(lock(&self.life).state, State::Open | State::Approved(_))
    }

    /// Who still has to say yes once these have.
    pub(super) fn missing(&self, saying: &BTreeSet<&str>) -> BTreeSet<String> {
        let given = &lock(&self.life).given;
        let needed = self.question.approvers.iter();
        needed
            .filter(|needed| !given.contains_key(*needed) && !saying.contains(needed.as_str()))
            .cloned()
            .collect()
    }

    /// Somebody said yes, for these; that is on record. Others have to as well.
    pub(super) fn agree(&self, by: &Launcher, saying: &BTreeSet<&str>) {
        lock(&self.life).give(by, saying);
    }

    /// The last one said yes; that is on record.
    pub(super) fn approve(&self, saying: &BTreeSet<&str>, yes: Yes) {
        let mut life = lock(&self.life);
        life.give(&yes.by, saying);
        life.state = State::Approved(yes);
        drop(life);
        self.standing.send_replace(Standing::Approved);
    }

    /// Somebody said no; that is on record.
    pub(super) fn deny(&self, by: &Launcher, reason: String, at: Time, until: Deadline) {
        lock(&self.life).state = State::Denied {
            by: by.clone(),
            at,
            reason: reason.clone(),
            until,
        };
        let by = by.clone();
        self.standing.send_replace(Standing::Denied { by, reason });
    }

    /// The call can be made no more, from now on. Whether that is yet to be recorded.
    pub(super) fn lapse(&self, at: Time) -> bool {
        let mut life = lock(&self.life);
        match life.state {
            State::Open | State::Approved(_) => {
                life.state = State::Lapsed { at, told: false };
                true
            }
            State::Lapsed { told, .. } => !told,
            State::Used(_) | State::Denied { .. } => false,
        }
    }

    /// That it lapsed is on record, or never will be.
    pub(super) fn told(&self) {
        if let State::Lapsed { told, .. } = &mut lock(&self.life).state {
            *told = true;
        }
    }

    /// Whether a call waits for the answer.
    pub(super) fn is_waited_for(&self) -> bool {
        self.standing.receiver_count() > 0
    }

    /// Whoever waits for an answer need not any more.
    pub(super) fn dismiss(&self) {
        self.standing.send_replace(Standing::Lapsed);
    }

    /// The call is made: at most once, and in time.
    pub(super) fn take(&self, now: Moment) -> bool {
        let mut life = lock(&self.life);
        match &life.state {
            State::Approved(yes) if !yes.until.is_over(now) => {
                life.state = State::Used(yes.clone());
                true
            }
            _ => false,
        }
    }
}

impl Life {
    fn give(&mut self, by: &Launcher, saying: &BTreeSet<&str>) {
        for approver in saying {
            self.given
                .entry((*approver).to_owned())
                .or_insert_with(|| by.clone());
        }
    }
}

/// Shared by who keeps it and who waits.
pub(super) type Kept = Arc<Entry>;
