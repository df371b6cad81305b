//! The questions that are kept in memory, as runs are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bailiwick_policy::Question;
use bailiwick_run::{ApprovalId, RunId};

use super::entry::{Entry, Kept};
use super::moment::Moment;
use super::{AskError, Pen};
use crate::limits::{
    APPROVALS_ASKED_MAX, APPROVALS_KEPT_MAX, APPROVALS_OPEN_MAX, APPROVALS_OPEN_OF_RUN_MAX,
};

#[derive(Default)]
pub(super) struct Book {
    /// By their ids, which begin with the time: the oldest first.
    entries: BTreeMap<ApprovalId, Kept>,
    /// The runs that have asked and not ended.
    runs: HashMap<RunId, OfRun>,
}

#[derive(Default)]
struct OfRun {
    pen: Pen,
    /// How often it has asked in all.
    asked: usize,
    questions: Vec<Kept>,
}

impl Book {
    /// What whoever records something about the questions of a run has to have.
    pub(super) fn pen(&mut self, run: RunId) -> Pen {
        Arc::clone(&self.runs.entry(run).or_default().pen)
    }

    /// The same, if it has asked ever.
    pub(super) fn pen_of_asker(&self, run: RunId) -> Option<Pen> {
        self.runs.get(&run).map(|of_run| Arc::clone(&of_run.pen))
    }

    /// A run could not ask after all.
    pub(super) fn abandon(&mut self, run: RunId) {
        if self.runs.get(&run).is_some_and(|of_run| of_run.asked == 0) {
            self.runs.remove(&run);
        }
    }

    pub(super) fn find(&self, id: &ApprovalId) -> Option<Kept> {
        self.entries.get(id).cloned()
    }

    /// The question that is about the same call and still answers.
    pub(super) fn answering(&self, call: &Question, now: Moment) -> Option<Kept> {
        let questions = self.runs.get(&call.run.id)?.questions.iter().rev();
        let mut same = questions.filter(|entry| entry.is_about(call) && entry.answers(now));
        same.next().cloned()
    }

    /// Whether one more may be asked for this run.
    pub(super) fn room(&self, run: RunId, now: Moment) -> Result<(), AskError> {
        let of_run = self.runs.get(&run);
        let open = of_run
            .into_iter()
            .flat_map(|of_run| &of_run.questions)
            .filter(|entry| entry.is_open(now))
            .count();
        if open >= APPROVALS_OPEN_OF_RUN_MAX {
            return Err(AskError::TooMany(open));
        }
        let asked = of_run.map_or(0, |of_run| of_run.asked);
        if asked >= APPROVALS_ASKED_MAX {
            return Err(AskError::TooOften(asked));
        }
        let open = self.entries.values().filter(|entry| entry.is_open(now));
        match open.count() {
            all if all >= APPROVALS_OPEN_MAX => Err(AskError::TooMany(all)),
            _ => Ok(()),
        }
    }

    pub(super) fn add(&mut self, entry: Kept) {
        let of_run = self.runs.entry(entry.run()).or_default();
        of_run.asked += 1;
        of_run.questions.push(Arc::clone(&entry));
        self.entries.insert(entry.id, entry);
        // The oldest of those that nothing can become of any more.
        while self.entries.len() > APPROVALS_KEPT_MAX {
            let mut over = self.entries.values().filter(|entry| !entry.is_pending());
            let Some(id) = over.next().map(|entry| entry.id) else {
                return;
            };
            self.entries.remove(&id);
        }
    }

    /// Those of a run that something may still become of.
    pub(super) fn pending(&self, run: RunId) -> Vec<Kept> {
        let questions = self.runs.get(&run).map(|of_run| of_run.questions.iter());
        let questions = questions.into_iter().flatten();
        questions
            .filter(|entry| entry.is_pending())
            .cloned()
            .collect()
    }

    /// Those whose time is over.
    pub(super) fn due(&self, now: Moment) -> Vec<Kept> {
        let questions = self.runs.values().flat_map(|of_run| &of_run.questions);
        questions
            .filter(|entry| entry.is_due(now))
            .cloned()
            .collect()
    }

    /// A run has ended: what it asked is for looking at alone.
    pub(super) fn close(&mut self, run: RunId) {
        self.runs.remove(&run);
    }

    /// The payloads of a run are erased, and some of them are kept here.
    pub(super) fn forget(&mut self, run: RunId) {
        self.entries.retain(|_, entry| entry.run() != run);
    }

    /// All that are kept, the oldest first.
    pub(super) fn all(&self) -> Vec<Kept> {
        self.entries.values().cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

impl Entry {
    /// What may be kept of a question for as long as it is: not the agent's own words, which can be long.
    pub(super) fn without_words(question: Question) -> Question {
        Question {
            payload: Vec::new(),
            ..question
        }
    }
}
