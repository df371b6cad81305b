//! What a run's trail must say, given what its clients did and saw, and what the target has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bailiwick_tests::{Fate, Sent, Told, key_in};
use serde_json::Value;

/// What was checked so far.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) kills: u64,
    runs: u64,
    records: u64,
    calls: u64,
    told: u64,
    effects: u64,
    /// By the state of the outcome, or `denied`.
    ends: BTreeMap<String, u64>,
    /// Calls whose outcome is `ok`, in a pipeline that did not come to its end.
    undone: u64,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kills,
            runs,
            records,
            calls,
            told,
            effects,
            ends,
            undone,
        } = self;
        write!(
            f,
            "{kills} kills, {runs} runs with {records} records; {calls} calls sent, {told} \
             answered, {effects} effects in the target; on record {ends:?}, {undone} of them ok in \
             a transaction that never ended"
        )
    }
}

/// A decision on record, and what came of it.
struct Decided {
    allowed: bool,
    /// The state of its outcome; a denied call has none.
    end: Option<String>,
}

/// So many kills are something to go by.
const KILLS_MIN: u64 = 20;

impl Account {
    /// What there was too little of to go by, if there was: a test that has killed nothing, or nothing that matters,
    /// has found nothing.
    pub(crate) fn lacks(&self) -> Option<String> {
        let ends = ["ok", "error", "indeterminate", "denied"];
        let never = |end: &&&str| !self.ends.contains_key(**end);
        if self.kills < KILLS_MIN || self.runs < KILLS_MIN / 4 {
            return Some(format!("{} kills, {} runs", self.kills, self.runs));
        }
        if self.told == 0 || self.effects == 0 {
            return Some("calls that were answered, and that had an effect".to_owned());
        }
        let end = ends.iter().find(never)?;
        Some(format!("calls that are on record as {end}"))
    }

    /// Checks one run, which the gateway's death has ended.
    pub(crate) fn check(&mut self, trail: &[Value], sent: &[Sent], written: &str) {
        self.runs += 1;
        self.records += trail.len() as u64;
        self.calls += sent.len() as u64;
        closed_once(trail);
        let by_key: BTreeMap<&str, &Sent> = sent.iter().map(|call| (&*call.key, call)).collect();
        assert_eq!(by_key.len(), sent.len(), "the load used a key twice");
        let decided = self.decisions(trail, &by_key);
        let written: BTreeSet<&str> = written.lines().collect();
        for call in sent {
            self.told += u64::from(call.told != Told::Nothing);
            let own = decided.get(&*call.key);
            told_is_recorded(call, own);
            if let (Fate::Endless, Some(Decided { end, .. })) = (&call.fate, own) {
                assert_eq!(end.as_deref(), Some("indeterminate"), "{call:?}");
            }
            self.effect_is_recorded(call, &by_key, &decided, &written);
        }
    }

    /// Every decision by the key of its call. Nothing is decided that nobody sent, and nothing twice;
    /// what is allowed has one outcome, what is denied none.
    fn decisions<'t>(
        &mut self,
        trail: &'t [Value],
        by_key: &BTreeMap<&str, &Sent>,
    ) -> BTreeMap<&'t str, Decided> {
        let mut outcomes = BTreeMap::new();
        for record in records(trail, "call.finished") {
            let of = record["of"].as_u64().expect("the decision's number");
            let twin = outcomes.insert(of, record);
            assert!(twin.is_none(), "two outcomes of one call: {record:#}");
        }
        let mut decided = BTreeMap::new();
        for entry in trail {
            let record = &entry["record"];
            if record["type"] != "call.decided" {
                continue;
            }
            let key = key_of(entry).unwrap_or_else(|| panic!("nobody's call: {entry:#}"));
            assert!(by_key.contains_key(key), "nobody sent {key}: {entry:#}");
            let allowed = record["decision"]["effect"] == "allow";
            let outcome = outcomes.remove(&record["seq"].as_u64().expect("a number"));
            assert_eq!(outcome.is_some(), allowed, "{entry:#} {outcome:#?}");
            let end = outcome.map(|outcome| {
                let state = outcome["outcome"]["state"].as_str();
                state.expect("a state").to_owned()
            });
            let name = end.clone().unwrap_or_else(|| "denied".to_owned());
            *self.ends.entry(name).or_default() += 1;
            let twin = decided.insert(key, Decided { allowed, end });
            assert!(twin.is_none(), "{key} is decided twice");
        }
        assert!(outcomes.is_empty(), "outcomes of nothing: {outcomes:#?}");
        decided
    }

    /// What is in the target is on record, and what the record says of an effect is so.
    fn effect_is_recorded(
        &mut self,
        call: &Sent,
        by_key: &BTreeMap<&str, &Sent>,
        decided: &BTreeMap<&str, Decided>,
        written: &BTreeSet<&str>,
    ) {
        let there = call.writes.iter().filter(|text| written.contains(&***text));
        let there = there.count();
        assert!(there == 0 || there == call.writes.len(), "half of {call:?}");
        if call.writes.is_empty() {
            return;
        }
        self.effects += there as u64;
        let there = there > 0;
        let own = decided.get(&*call.key);
        let allowed = own.is_some_and(|own| own.allowed);
        assert!(allowed || !there, "an effect without a record: {call:?}");
        let end = |decided: Option<&Decided>| {
            let end = decided.and_then(|decided| decided.end.clone());
            end.unwrap_or_else(|| "none".to_owned())
        };
        let (decisive, told) = match &call.fate {
            Fate::Undone | Fate::Endless => {
                assert!(!there, "an effect that was undone: {call:?}");
                return;
            }
            Fate::Pipelined => {
                assert!(there || call.told != Told::Done, "lost: {call:?}");
                assert!(!there || call.told != Told::Failed, "undone: {call:?}");
                self.undone += u64::from(end(own) == "ok" && !there);
                if there {
                    assert!(["ok", "indeterminate"].contains(&&*end(own)), "{call:?}");
                }
                return;
            }
            Fate::Alone => (own, call.told),
            Fate::With(commit) => {
                let told = by_key.get(&**commit).map(|commit| commit.told);
                (decided.get(&**commit), told.unwrap_or(Told::Nothing))
            }
        };
        let end = end(decisive);
        if there {
            assert!(["ok", "indeterminate"].contains(&&*end), "{end}: {call:?}");
            assert_ne!(told, Told::Failed, "{call:?}");
        } else {
            assert_ne!(end, "ok", "not there, and on record as done: {call:?}");
            assert_ne!(told, Told::Done, "not there, and said to be done: {call:?}");
        }
    }
}

/// What a client was told of a call is on record.
fn told_is_recorded(call: &Sent, decided: Option<&Decided>) {
    let Some(Decided { allowed, end }) = decided else {
        assert_eq!(
            call.told,
            Told::Nothing,
            "an answer without a record: {call:?}"
        );
        return;
    };
    let ends: &[&str] = match call.told {
        Told::Denied => {
            assert!(!allowed, "denied, and on record as allowed: {call:?}");
            return;
        }
        Told::Nothing => return,
        Told::Done | Told::Part => &["ok", "indeterminate"],
        Told::Failed => &["error", "skipped", "indeterminate"],
    };
    assert!(allowed, "answered, and on record as denied: {call:?}");
    let end = end.as_deref().unwrap_or_default();
    assert!(ends.contains(&end), "on record as {end}: {call:?}");
}

/// The run's last record, and no other, closes it, because the gateway was gone.
fn closed_once(trail: &[Value]) {
    assert_eq!(records(trail, "run.closed").count(), 1, "{trail:#?}");
    let last = &trail.last().expect("records")["record"];
    assert_eq!(
        (&last["type"], &last["ending"], &last["count"]),
        (
            &"run.closed".into(),
            &"gateway-stopped".into(),
            &trail.len().into()
        )
    );
    for (index, entry) in trail.iter().enumerate() {
        assert_eq!(entry["record"]["seq"], index + 1);
    }
}

fn records<'t>(trail: &'t [Value], kind: &str) -> impl Iterator<Item = &'t Value> {
    let records = trail.iter().map(|entry| &entry["record"]);
    records.filter(move |record| record["type"] == kind)
}

/// The key in what the agent wrote.
fn key_of(entry: &Value) -> Option<&str> {
    let payload = &entry["payload"];
    let values = payload["values"].as_array().into_iter().flatten();
    let texts = values.chain([&payload["text"]]).filter_map(Value::as_str);
    texts.into_iter().find_map(key_in)
}
