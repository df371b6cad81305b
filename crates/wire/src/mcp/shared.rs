//! What all exchanges of one run with one server share: its sessions, which request ids are taken, what the
//! server was let ask, and the tools that were seen. It is made for one run, so nothing in it is ever another
//! run's.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::alias::Alias;
use super::message::Id;
use super::method::{Revision, What};
use super::tools::Tools;
use crate::CancelKey;
use crate::limits::{
    MCP_ASKED_MAX, MCP_CALLS_PER_LOOK, MCP_EVENT_ID_BYTES_MAX, MCP_EVENTS_MAX, MCP_ID_RANGES_MAX,
    MCP_IDS_MAX, MCP_IN_FLIGHT_MAX, MCP_INPUTS_MAX, MCP_SESSIONS_MAX,
};

/// The state; one per run and target.
#[derive(Default)]
pub(super) struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    sessions: HashMap<String, Known>,
    /// What has no session: of a server without any, or of a revision without any.
    loose: Known,
    inputs: BTreeMap<String, Input>,
}

/// What is known of one session.
#[derive(Default)]
pub(super) struct Known {
    /// The revision that was agreed on.
    pub(super) revision: Option<Revision>,
    used: Used,
    in_flight: HashMap<Id, Flown>,
    asked: BTreeMap<Id, Option<&'static str>>,
    tools: Option<Tools>,
    calls_since_look: u32,
    /// The ids of the events that it was sent, the latest.
    events: VecDeque<Vec<u8>>,
}

struct Flown {
    what: What,
    alias: Alias,
    /// The server may have got it.
    sent: bool,
    /// Its client does not wait for it any more.
    taken_back: bool,
    /// Its stream is gone, and no response was on it.
    interrupted: bool,
}

/// What a server said it needs before it goes on, and the agent was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    /// The method it was said in answer to, and what that was about.
    pub(super) about: (String, String),
    /// What it asked for: the feature, by the key that the answer stands under.
    pub(super) asked: BTreeMap<String, &'static str>,
    /// What the server wants to see again. It stays here, and the agent is given a name for it.
    pub(super) state: Option<String>,
}

/// Why an id cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    InFlight,
    Used,
    Full,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what is known of a session, or of what has none. Nothing where there is no such session.
    pub(super) fn with<T>(
        &self,
        session: Option<&str>,
        look: impl FnOnce(&mut Known) -> T,
    ) -> Option<T> {
        let mut state = self.state();
        match session {
            None => Some(look(&mut state.loose)),
            Some(session) => state.sessions.get_mut(session).map(look),
        }
    }

    /// A session that the server has begun. Says whether there was room.
    pub(super) fn begin(&self, session: &str, revision: Revision) -> bool {
        let mut state = self.state();
        if state.sessions.len() >= MCP_SESSIONS_MAX && !state.sessions.contains_key(session) {
            return false;
        }
        let known = Known {
            revision: Some(revision),
            ..Known::default()
        };
        state.sessions.insert(session.to_owned(), known);
        true
    }

    /// A session that is over.
    pub(super) fn end(&self, session: &str) {
        self.state().sessions.remove(session);
    }

    /// Every definition is to be looked at again before the next call.
    pub(super) fn forget_tools(&self) {
        let mut state = self.state();
        state.loose.tools = None;
        for known in state.sessions.values_mut() {
            known.tools = None;
        }
    }

    /// Keeps what a server needs under a name. Says whether there was room.
    pub(super) fn keep_input(&self, name: &str, input: Input) -> bool {
        let mut state = self.state();
        let room = state.inputs.len() < MCP_INPUTS_MAX;
        if room {
            state.inputs.insert(name.to_owned(), input);
        }
        room
    }

    /// What is kept under a name.
    pub(super) fn input(&self, name: &str) -> Option<Input> {
        self.state().inputs.get(name).cloned()
    }

    /// What is kept under a name has been answered: it is answered once.
    pub(super) fn answered_input(&self, name: &str) {
        self.state().inputs.remove(name);
    }
}

impl Known {
    /// Shows the tools, if they were looked at and need not be looked at again yet.
    pub(super) fn tools(&self) -> Option<&Tools> {
        let fresh = self.calls_since_look < MCP_CALLS_PER_LOOK;
        self.tools.as_ref().filter(|_| fresh)
    }

    /// The tools, unless they may be others now.
    pub(super) fn known_tools(&self) -> Option<&Tools> {
        self.tools.as_ref()
    }

    /// One more call went by what is known of the tools.
    pub(super) fn used_tools(&mut self) {
        self.calls_since_look += 1;
    }

    /// All tools of the server, as they are now.
    pub(super) fn learn_tools(&mut self, tools: Tools) {
        self.tools = Some(tools);
        self.calls_since_look = 0;
    }

    /// The server has listed these. Unless they are what is known of them, all may be others now.
    pub(super) fn compare_tools(&mut self, listed: &Tools) {
        if !{ self.tools.as_ref() }.is_some_and(|known| listed.are_in(known)) {
            self.tools = None;
        }
    }

    /// The tools may be others now.
    pub(super) fn forget_tools(&mut self) {
        self.tools = None;
    }

    /// An event with this id is sent. One that is long is not gone on from.
    pub(super) fn sees(&mut self, event: &[u8]) {
        if event.len() <= MCP_EVENT_ID_BYTES_MAX {
            self.events.push_back(event.to_vec());
        }
        if self.events.len() > MCP_EVENTS_MAX {
            self.events.pop_front();
        }
    }

    /// Whether an event with this id was sent, as far as that is remembered.
    pub(super) fn has_seen(&self, event: &str) -> bool {
        self.events.iter().any(|seen| seen == event.as_bytes())
    }

    /// A request of the server was shown to the agent. Says whether there was room, and the id is not
    /// that of another one.
    pub(super) fn ask(&mut self, id: Id, feature: Option<&'static str>) -> bool {
        let room = self.asked.len() < MCP_ASKED_MAX && !self.asked.contains_key(&id);
        if room {
            self.asked.insert(id, feature);
        }
        room
    }

    /// What a server's request with this id, not answered yet, was for: a feature, or nothing but a sign
    /// of life.
    pub(super) fn asked(&self, id: &Id) -> Option<Option<&'static str>> {
        self.asked.get(id).copied()
    }

    /// A request of the server has its answer.
    pub(super) fn answered(&mut self, id: &Id) {
        self.asked.remove(id);
    }

    /// What an interrupted request was, whose response may come on another stream, and its own id; it has it
    /// now. The server knows it by `sent`.
    pub(super) fn resumed(&mut self, sent: &Id) -> Option<(Id, What)> {
        let mut flown = self.in_flight.iter();
        let (id, _) = flown.find(|(_, flown)| flown.interrupted && flown.alias.id() == *sent)?;
        let id = id.clone();
        let flown = self.in_flight.remove(&id)?;
        Some((id, flown.what))
    }

    /// By what the server knows a request that it has got and not answered.
    pub(super) fn at_server(&self, id: &Id) -> Option<Id> {
        let flown = self.in_flight.get(id)?;
        flown.sent.then(|| flown.alias.id())
    }

    /// A request is not waited for any more. Gives the key of the exchange that it is held in, if it has not
    /// reached the server.
    pub(super) fn take_back(&mut self, id: &Id) -> Option<CancelKey> {
        let flown = self.in_flight.get_mut(id)?;
        flown.taken_back = true;
        (!flown.sent).then_some(flown.alias.cancel)
    }

    fn take(&mut self, id: &Id, what: What, alias: &Alias) -> Result<(), Taken> {
        if self.in_flight.contains_key(id) {
            return Err(Taken::InFlight);
        }
        if self.used.has(id) {
            return Err(Taken::Used);
        }
        if self.in_flight.len() >= MCP_IN_FLIGHT_MAX {
            self.in_flight.retain(|_, flown| !flown.interrupted);
        }
        let full = self.in_flight.len() >= MCP_IN_FLIGHT_MAX;
        if full || !self.used.add(id) {
            return Err(Taken::Full);
        }
        let flown = Flown {
            what,
            alias: alias.clone(),
            sent: false,
            taken_back: false,
            interrupted: false,
        };
        self.in_flight.insert(id.clone(), flown);
        Ok(())
    }
}

/// A request of a session that is under way. Its id is free again when this goes, unless its response can still come.
pub(super) struct Flight {
    shared: Arc<Shared>,
    session: String,
    id: Id,
    has_response: bool,
}

impl Flight {
    /// Takes an id, which is used once in a session (2025-11-25, basic, "Requests").
    ///
    /// # Errors
    /// If it is taken.
    pub(super) fn begin(
        shared: &Arc<Shared>,
        session: &str,
        id: &Id,
        what: What,
        alias: &Alias,
    ) -> Result<Self, Taken> {
        let taken = shared.with(Some(session), |known| known.take(id, what, alias));
        match taken {
            Some(Ok(())) => Ok(Self {
                shared: Arc::clone(shared),
                session: session.to_owned(),
                id: id.clone(),
                has_response: false,
            }),
            Some(Err(taken)) => Err(taken),
            None => Err(Taken::Full),
        }
    }

    /// The server gets it now.
    pub(super) fn sent(&self) {
        self.look(|flown| flown.sent = true);
    }

    /// Whether its client does not wait for it any more.
    pub(super) fn is_taken_back(&self) -> bool {
        self.look(|flown| flown.taken_back) == Some(true)
    }

    fn look<T>(&self, look: impl FnOnce(&mut Flown) -> T) -> Option<T> {
        let flown = |known: &mut Known| known.in_flight.get_mut(&self.id).map(look);
        self.shared.with(Some(&self.session), flown).flatten()
    }

    /// Its response is there.
    pub(super) fn landed(&mut self) {
        self.has_response = true;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.shared.with(Some(&self.session), |known| {
            match known.in_flight.get_mut(&self.id) {
                Some(flown) if flown.sent && !self.has_response => flown.interrupted = true,
                _ => drop(known.in_flight.remove(&self.id)),
            }
        });
    }
}

/// The ids that a session has used. Most count upwards, and take one range.
#[derive(Default)]
struct Used {
    /// The last number of each range, by its first.
    ranges: BTreeMap<i64, i64>,
    texts: HashSet<String>,
}

impl Used {
    fn has(&self, id: &Id) -> bool {
        match id {
            Id::Text(text) => self.texts.contains(text),
            Id::Number(number) => self
                .ranges
                .range(..=*number)
                .next_back()
                .is_some_and(|(_, last)| number <= last),
        }
    }

    /// Adds one that is not among them. Says whether there was room.
    fn add(&mut self, id: &Id) -> bool {
        match id {
            Id::Text(text) => self.texts.len() < MCP_IDS_MAX && self.texts.insert(text.clone()),
            Id::Number(number) => {
                let after = self.ranges.remove(&(number + 1)).unwrap_or(*number);
                let room = self.ranges.len() < MCP_ID_RANGES_MAX;
                match self.ranges.range_mut(..*number).next_back() {
                    Some((_, last)) if *last == number - 1 => *last = after,
                    _ if !room => return false,
                    _ => drop(self.ranges.insert(*number, after)),
                }
                true
            }
        }
    }
}

/// The features that an input asks for.
impl Input {
    pub(super) fn features(&self) -> BTreeSet<&'static str> {
        self.asked.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn an_id_is_used_once_in_a_session() {
        let shared = Arc::new(Shared::default());
        assert!(shared.begin("s", Revision::R20251125));
        let alias = Alias::new(&Seed {
            nonce: [1; 18],
            cancel: CancelKey([2; 8]),
            token: [3; 8],
        });
        let begin = |session, id: &Id| Flight::begin(&shared, session, id, What::Other, &alias);
        for id in [
            Id::Number(1),
            Id::Number(3),
            Id::Number(2),
            Id::Text("1".into()),
        ] {
            let flight = begin("s", &id).map_err(|taken| format!("{taken:?}"));
            let mut flight = flight.unwrap();
            assert_eq!(begin("s", &id).err(), Some(Taken::InFlight), "{id:?}");
            flight.landed();
            drop(flight);
            assert_eq!(begin("s", &id).err(), Some(Taken::Used), "{id:?}");
        }
        assert_eq!(begin("other", &Id::Number(9)).err(), Some(Taken::Full));
    }

    #[test]
    fn ids_that_count_upwards_take_no_room() {
        let mut used = Used::default();
        for number in 0..100_000 {
            assert!(!used.has(&Id::Number(number)));
            assert!(used.add(&Id::Number(number)));
        }
        assert_eq!(used.ranges.len(), 1);
        let mut sparse = Used::default();
        let added = (0..)
            .take_while(|number| sparse.add(&Id::Number(number * 2)))
            .count();
        assert_eq!(added, MCP_ID_RANGES_MAX);
        assert!(sparse.has(&Id::Number(0)) && !sparse.has(&Id::Number(1)));
    }
}
