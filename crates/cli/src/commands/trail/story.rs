//! Records as a story: each call and its outcome are one line, and calls that do the same are one.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_audit::{Record, RecordedCall};
use bailiwick_control::api::TrailRecord;
use bailiwick_run::Time;

use super::spoken::Spoken;
use super::what::what;
use crate::commands::show;
use crate::failure::Failure;
use crate::render;

/// The error code of a target whose own privileges refused a call: insufficient_privilege.
const NO_PRIVILEGE: &str = "42501";

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// A call that was let through.
    Allowed,
    /// A call or login that was not.
    Denied,
    /// A call that was let through and did not come to a good end.
    Failed,
    /// A call that waits for somebody's yes.
    Held,
    /// A rule of the configuration that matched.
    Signal,
    /// Something that happened to the run itself.
    Event,
}

/// One line of the story.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) time: Time,
    pub(crate) effect: Effect,
    pub(crate) verb: String,
    pub(crate) target: Option<String>,
    /// What it was done to.
    pub(crate) what: String,
    /// How it ended, if that is worth a word.
    pub(crate) state: String,
    pub(crate) rows: u64,
    pub(crate) masked: u64,
    pub(crate) reason: Option<String>,
    pub(crate) remedy: Option<String>,
    /// How many calls it stands for.
    pub(crate) times: u64,
    /// It only prepares something or keeps the session.
    pub(crate) quiet: bool,
    /// The call, as one says it; nothing where it is none.
    pub(crate) spoken: Option<Spoken>,
}

/// Reads records in their order and tells lines as they are complete.
#[derive(Debug, Default)]
pub(crate) struct Story {
    start: Option<Time>,
    targets: BTreeSet<String>,
    /// Calls that were allowed and have no outcome yet.
    pending: BTreeMap<u64, Line>,
    /// Calls that were held, for what becomes of them.
    held: BTreeMap<u64, Line>,
    closed: bool,
}

impl Story {
    /// A record as the API gives it.
    pub(crate) fn read(record: &TrailRecord) -> Result<Record, Failure> {
        show::parse(record)
    }

    /// The line that the next record completes, if it does.
    pub(crate) fn add(&mut self, record: &TrailRecord) -> Result<Option<Line>, Failure> {
        let record = Self::read(record)?;
        let time = time(&record.time);
        self.start.get_or_insert(time);
        self.targets.extend(record.target.clone());
        if let Some(call) = record
            .call
            .as_ref()
            .filter(|_| record.r#type == "call.held")
        {
            let asked = record.approval.as_ref();
            let approvers = asked.map(|asked| asked.approvers.join(" and "));
            let line = Line {
                effect: Effect::Held,
                verb: call.verb.clone(),
                target: record.target.clone(),
                what: what(call),
                reason: approvers.map(|approvers| format!("waits for a yes of {approvers}")),
                remedy: asked.map(|asked| format!("bailiwick approve {}", asked.id)),
                spoken: Some(Spoken::of(call)),
                ..Line::event(&record, time)
            };
            self.held.insert(record.seq, line.clone());
            return Ok(Some(line));
        }
        if record.r#type == "approval.decided" {
            return Ok(Some(self.decided(&record, time)));
        }
        if let Some(signal) = &record.signal {
            return Ok(Some(Line {
                effect: Effect::Signal,
                verb: "signal".into(),
                what: format!("{} ({})", signal.name, signal.rule),
                reason: Some(format!(
                    "because of {}; what is done: {}",
                    signal.of,
                    signal.actions.join(", ")
                )),
                ..Line::event(&record, time)
            }));
        }
        if let (Some(call), Some(decision)) = (&record.call, &record.decision) {
            let denied = decision.effect != "allow";
            let line = Line {
                effect: if denied {
                    Effect::Denied
                } else {
                    Effect::Allowed
                },
                verb: call.verb.clone(),
                target: record.target.clone(),
                what: what(call),
                reason: decision.reason.clone(),
                remedy: decision.remedy.clone().filter(|remedy| !remedy.is_empty()),
                quiet: !denied && is_quiet(call),
                spoken: Some(Spoken::of(call)),
                ..Line::event(&record, time)
            };
            if denied {
                return Ok(Some(line));
            }
            self.pending.insert(record.seq, line);
            return Ok(None);
        }
        if let Some(outcome) = &record.outcome {
            let Some(mut line) = record.of.and_then(|seq| self.pending.remove(&seq)) else {
                return Ok(None);
            };
            line.rows = outcome.rows;
            line.masked = outcome.masked;
            if outcome.state != "ok" {
                line.effect = Effect::Failed;
                line.quiet = false;
                line.state = match &outcome.error {
                    Some(code) => format!("{} {code}", outcome.state),
                    None => outcome.state.clone(),
                };
                if outcome.error.as_deref() == Some(NO_PRIVILEGE) {
                    line.reason = Some("let through here, and refused by the target itself".into());
                }
            }
            return Ok(Some(line));
        }
        if let Some(login) = &record.login {
            return Ok(Some(Line {
                effect: Effect::Denied,
                // Not only a login: a run that is known asked for what is no target of its own.
                verb: "access".into(),
                target: record.target.clone(),
                what: record.target.clone().unwrap_or_default(),
                reason: Some(login.reason.clone()),
                ..Line::event(&record, time)
            }));
        }
        if let Some(witness) = &record.witness {
            let (size, ours) = (witness.size, witness.ours);
            let reason = match witness.problem.as_str() {
                "larger" => {
                    format!("it has signed a tree of {size} records, and there were {ours} here")
                }
                _ => format!(
                    "the tree of {ours} records here did not grow from the one of {size} that it \
                     signed"
                ),
            };
            return Ok(Some(Line {
                effect: Effect::Failed,
                verb: "witness".into(),
                what: witness.name.clone(),
                state: "disagreed".into(),
                reason: Some(reason),
                ..Line::event(&record, time)
            }));
        }
        self.closed |= record.r#type == "run.closed";
        let (verb, what) = match record.r#type.as_str() {
            "run.opened" => {
                let expires = self::time(record.expires.as_deref().unwrap_or_default());
                (
                    "opened",
                    format!("for {}", render::time_box(time.until(expires))),
                )
            }
            "run.closed" => ("ended", ended(&record)),
            "gateway.started" => ("started", record.version.clone().unwrap_or_default()),
            "gateway.stopped" => ("stopped", String::new()),
            "log.continued" => ("continued", continued(&record)),
            "log.continues" => ("continues", continues(&record)),
            "index.remade" => ("reindexed", by(&record)),
            "log.pruned" => ("pruned", pruned(&record)),
            "payloads.erased" => ("erased", erased(&record)),
            "payloads.searched" => (
                "searched",
                format!("the words of payloads, {}", by(&record)),
            ),
            "payloads.viewed" => ("viewed", viewed(&record)),
            "receipt.taken" => ("receipt", viewed(&record)),
            "run.verified" => ("verified", verified(&record)),
            "policy.loaded" => (
                "loaded",
                format!("other tasks and guardrails, {}", by(&record)),
            ),
            "link.made" => ("link", format!("to sign in, {}", by(&record))),
            "person.signed_in" => ("sign-in", signed_in(&record)),
            "person.signed_out" => ("sign-out", by(&record)),
            "run.resumed" => ("resumed", by(&record)),
            "run.suspended" => ("suspended", by(&record)),
            other => (other, String::new()),
        };
        Ok(Some(Line {
            verb: verb.to_owned(),
            what,
            ..Line::event(&record, time)
        }))
    }

    /// What became of a call that was held.
    fn decided(&mut self, record: &Record, time: Time) -> Line {
        let ruling = record.approval.as_ref();
        let effect = ruling.and_then(|ruling| ruling.effect.as_deref());
        let by = ruling
            .and_then(|ruling| ruling.by.clone())
            .map_or_else(String::new, |by| format!("by {by}"));
        let verb = match effect.unwrap_or_default() {
            "agree" => "agreed",
            "approve" => "approved",
            "deny" => "refused",
            "lapse" => "lapsed",
            other => other,
        };
        let held = record.of.and_then(|seq| match effect {
            // One yes of several: it is still held.
            Some("agree") => self.held.get(&seq).cloned(),
            _ => self.held.remove(&seq),
        });
        let (target, spoken) = held.map_or((None, None), |call| (call.target, call.spoken));
        Line {
            verb: verb.to_owned(),
            what: by,
            target,
            spoken,
            ..Line::event(record, time)
        }
    }

    /// The calls that have no outcome so far.
    pub(crate) fn unfinished(&mut self) -> Vec<Line> {
        let state = if self.closed { "no outcome" } else { "running" };
        let lines = std::mem::take(&mut self.pending).into_values();
        lines
            .map(|line| Line {
                state: state.into(),
                quiet: false,
                ..line
            })
            .collect()
    }

    /// Whether a call that was held still waits.
    pub(super) fn is_waiting(&self, seq: u64) -> bool {
        self.held.contains_key(&seq)
    }

    /// When something was, since the story began.
    pub(crate) fn since(&self, time: Time) -> String {
        render::since(self.start.unwrap_or(time), time)
    }

    /// Whether a line has to say which target it is about.
    pub(crate) fn has_several_targets(&self) -> bool {
        self.targets.len() > 1
    }

    /// Whether the run is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Line {
    fn event(record: &Record, time: Time) -> Self {
        Self {
            seq: record.seq,
            time,
            effect: Effect::Event,
            verb: String::new(),
            target: None,
            what: String::new(),
            state: String::new(),
            rows: 0,
            masked: 0,
            reason: None,
            remedy: None,
            times: 1,
            quiet: false,
            spoken: None,
        }
    }

    /// Whether it differs from another one only in when it was and how much it moved.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.effect != Effect::Event
            && (self.effect, &self.verb, &self.what, &self.target)
                == (other.effect, &other.verb, &other.what, &other.target)
            && (&self.state, &self.reason, &self.remedy)
                == (&other.state, &other.reason, &other.remedy)
    }

    /// Stands for another one like it, too.
    pub(crate) fn take_in(&mut self, other: &Self) {
        self.times += other.times;
        self.rows = self.rows.saturating_add(other.rows);
        self.masked = self.masked.saturating_add(other.masked);
    }
}

/// Who suspended or resumed a run.
fn by(record: &Record) -> String {
    record
        .by
        .as_ref()
        .map_or_else(String::new, |by| format!("by {by}"))
}

/// Whose payloads were shown, and to whom.
fn viewed(record: &Record) -> String {
    record.viewed.as_ref().map_or_else(String::new, |viewed| {
        let records = match viewed.from == viewed.to {
            true => format!("record {}", viewed.from),
            false => format!("records {} to {}", viewed.from, viewed.to),
        };
        if record.r#type == "receipt.taken" {
            return format!("of {}, {records}, by {}", viewed.chain, viewed.by);
        }
        format!("payloads of {}, {records}, by {}", viewed.chain, viewed.by)
    })
}

/// What a run's trail was found to be, and for whom.
fn verified(record: &Record) -> String {
    record
        .verified
        .as_ref()
        .map_or_else(String::new, |verified| {
            let (run, by) = (&verified.run, &verified.by);
            match &verified.problem {
                None => format!("the trail of {run}, which is whole, by {by}"),
                Some(problem) => {
                    format!("the trail of {run}, which is not whole ({problem}), by {by}")
                }
            }
        })
}

/// Who signed in at the console, and as what.
fn signed_in(record: &Record) -> String {
    let by = record.by.as_deref().unwrap_or_default();
    let via = record.via.as_deref().unwrap_or_default();
    format!("{by}, {via}, as {}", record.roles.join(", "))
}

/// Whose payloads were erased, and who wanted it.
fn erased(record: &Record) -> String {
    let erased = record.erased.as_ref();
    erased.map_or_else(String::new, |erased| {
        format!("payloads of {}, for {}", erased.run, erased.by)
    })
}

/// Which records were removed, and who wanted it.
fn pruned(record: &Record) -> String {
    let pruned = record.pruned.as_ref();
    pruned.map_or_else(String::new, |pruned| {
        let logs = match pruned.logs.is_empty() {
            true => String::new(),
            false => format!(", and the logs {}", pruned.logs.join(", ")),
        };
        format!(
            "everything before record {}{logs}, for {}",
            pruned.before, pruned.by
        )
    })
}

/// The log that continues this one.
fn continued(record: &Record) -> String {
    let by = record.continued_by.as_ref();
    by.map_or_else(String::new, |log| format!("as {}", log.origin))
}

/// The log that this one continues.
fn continues(record: &Record) -> String {
    let log = record.continues.as_ref();
    log.map_or_else(String::new, |log| {
        format!("{}, which ended with {} records", log.origin, log.size)
    })
}

/// Whether a record says that something was denied.
pub(super) fn is_denied(record: &Record) -> bool {
    record.login.is_some()
        || record
            .decision
            .as_ref()
            .is_some_and(|decision| decision.effect != "allow")
}

/// Makes one line of all that differ only in when they were and how much they moved, where the
/// first of them stands.
pub(super) fn fold(lines: Vec<Line>) -> Vec<Line> {
    let mut folded: Vec<Line> = Vec::new();
    for line in lines {
        match folded.iter_mut().find(|other| line.is_like(other)) {
            Some(first) => first.take_in(&line),
            None => folded.push(line),
        }
    }
    folded
}

/// Why a run ended, and who wanted it. Its launcher, whose run it is, is not named for having closed it.
fn ended(record: &Record) -> String {
    let by = record.by.as_deref();
    match (record.ending.as_deref().unwrap_or_default(), by) {
        ("closed", Some(by)) if record.launcher.as_deref() != Some(by) => {
            format!("it was closed by {by}")
        }
        ("closed", _) => "its work was done".into(),
        ("expired", _) => "its time was over".into(),
        ("revoked", Some(by)) => format!("it was revoked by {by}"),
        ("revoked", None) => "it was revoked".into(),
        ("gateway-stopped", _) => "the gateway stopped".into(),
        (other, _) => other.into(),
    }
}

fn is_quiet(call: &RecordedCall) -> bool {
    call.verb.starts_with("PREPARE ")
        || (!call.actions.is_empty() && call.actions.iter().all(|action| action.class == "session"))
}

fn time(text: &str) -> Time {
    let since = humantime::parse_rfc3339(text)
        .ok()
        .and_then(|moment| moment.duration_since(std::time::UNIX_EPOCH).ok())
        .unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(seq: u64, rest: serde_json::Value) -> TrailRecord {
        let mut record = json!({
            "v": 1, "time": format!("2026-01-01T00:00:00.{seq:03}Z"), "run": "run_x", "seq": seq,
            "prev": "00",
        });
        record
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        TrailRecord {
            id: format!("run_x/{seq}"),
            seq,
            index: seq,
            digest: String::new(),
            record: serde_json::value::to_raw_value(&record).unwrap(),
            payload: None,
            payload_missing: None,
        }
    }

    fn decided(seq: u64, effect: &str, verb: &str, table: &str) -> TrailRecord {
        let class = if verb == "BEGIN" { "session" } else { "read" };
        record(
            seq,
            json!({
                "type": "call.decided", "target": "tickets",
                "call": {"protocol": "postgres", "verb": verb, "fingerprint": "f", "actions": [
                    {"class": class, "verb": "select", "columns": ["id"],
                     "resource": {"kind": "table", "schema": "public", "name": table}}]},
                "decision": {"effect": effect, "policies": [], "policy_digest": "d",
                             "reason": (effect == "deny").then_some("outside the scope")},
            }),
        )
    }

    fn finished(seq: u64, of: u64, state: &str) -> TrailRecord {
        record(
            seq,
            json!({
                "type": "call.finished", "of": of, "target": "tickets",
                "outcome": {"state": state, "rows": 2, "bytes": 9, "masked": 1, "micros": 5},
            }),
        )
    }

    #[test]
    fn calls_and_outcomes_are_one_line_and_repeats_fold() {
        let mut story = Story::default();
        let records = [
            record(
                1,
                json!({"type": "run.opened", "expires": "2026-01-01T00:30:00.001Z"}),
            ),
            decided(2, "allow", "PREPARE SELECT", "tickets"),
            finished(3, 2, "ok"),
            decided(4, "allow", "SELECT", "tickets"),
            decided(5, "deny", "SELECT", "cards"),
            finished(6, 4, "ok"),
            decided(7, "allow", "SELECT", "tickets"),
            finished(8, 7, "ok"),
            decided(9, "allow", "SELECT", "tickets"),
            finished(10, 9, "error"),
            decided(11, "allow", "BEGIN", "x"),
            finished(12, 11, "ok"),
            decided(13, "allow", "SELECT", "comments"),
        ];
        let mut lines = Vec::new();
        for record in &records {
            lines.extend(story.add(record).unwrap());
        }
        lines.extend(story.unfinished());
        lines.sort_by_key(|line| line.seq);
        assert_eq!(lines.iter().filter(|line| line.quiet).count(), 2);
        lines.retain(|line| !line.quiet);
        let lines = fold(lines);
        let told: Vec<_> = lines
            .iter()
            .map(|line| {
                (
                    line.seq,
                    line.effect,
                    &*line.what,
                    line.times,
                    line.rows,
                    &*line.state,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (1, Effect::Event, "for 30m", 1, 0, ""),
                (4, Effect::Allowed, "public.tickets (id)", 2, 4, ""),
                (5, Effect::Denied, "public.cards (id)", 1, 0, ""),
                (9, Effect::Failed, "public.tickets (id)", 1, 2, "error"),
                (13, Effect::Allowed, "public.comments (id)", 1, 0, "running"),
            ]
        );
        assert_eq!(lines[2].reason.as_deref(), Some("outside the scope"));
    }
}
