//! What happened, as one says it aloud: `read 14 rows of public.tickets`.

use bailiwick_audit::RecordedCall;

use super::story::{Effect, Line};
use super::what::object;
use crate::render::count;

/// A call in words: what it does, and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// Before its object, where it was not done: `delete from`.
    base: String,
    /// The same where it was done: `deleted`.
    done: String,
    /// Between a number of rows and the object, for those that count rows.
    of: Option<&'static str>,
    object: String,
}

impl Spoken {
    /// The call of a record.
    pub(super) fn of(call: &RecordedCall) -> Self {
        let object = object(call);
        let sql = |base: &str, done: &str, of: &'static str, object: String| Self {
            base: base.to_owned(),
            done: done.to_owned(),
            of: Some(of),
            object,
        };
        let plain = |base: &str, done: &str, object: String| Self {
            base: base.to_owned(),
            done: done.to_owned(),
            of: None,
            object,
        };
        let kind = call
            .actions
            .first()
            .map(|action| action.resource.kind.as_str());
        let request = |object: String| match object.contains(' ') {
            true => object,
            false => format!("{} {object}", call.verb),
        };
        match (call.protocol.as_str(), call.verb.as_str(), kind) {
            (_, verb, _) if object.is_empty() => plain("send", "sent", verb.to_owned()),
            (_, "SELECT", _) => sql("read", "read", "of", object),
            (_, "INSERT", _) => sql("insert into", "inserted", "into", object),
            (_, "UPDATE", _) => sql("update", "updated", "of", object),
            (_, "DELETE", Some("table")) => sql("delete from", "deleted", "from", object),
            (_, _, Some("request")) => plain("request", "requested", request(object)),
            (_, _, Some("tool")) => plain("call the tool", "called the tool", object),
            (_, _, Some("prompt")) => plain("get the prompt", "got the prompt", object),
            (_, _, Some("uri")) => plain("read the resource", "read the resource", object),
            (_, verb, _) => plain("send", "sent", format!("{verb} on {object}")),
        }
    }

    /// What it would have done.
    fn to_do(&self) -> String {
        format!("{} {}", self.base, self.object)
    }

    /// What it did.
    fn done(&self, rows: u64) -> String {
        match self.of {
            Some(of) => format!("{} {} {of} {}", self.done, count(rows, "row"), self.object),
            None => format!("{} {}", self.done, self.object),
        }
    }
}

/// A line of a trail as one sentence, without its reason. With the target if that has to be said. Not clean.
pub(crate) fn sentence(line: &Line, with_target: bool) -> String {
    let Some(spoken) = &line.spoken else {
        return match (line.effect, line.what.is_empty()) {
            (Effect::Denied, true) => format!("denied: {}", line.verb),
            (Effect::Denied, false) => format!("denied: {} to {}", line.verb, line.what),
            (_, true) => line.verb.clone(),
            (Effect::Signal, false) => format!("{}: {}", line.verb, line.what),
            (Effect::Failed, false) => format!("{} {}: {}", line.verb, line.what, line.state),
            (_, false) => match line.verb.as_str() {
                "ended" | "sign-in" => format!("{}: {}", line.verb, line.what),
                verb => format!("{verb} {}", line.what),
            },
        };
    };
    let at = match (&line.target, with_target) {
        (Some(target), true) => format!(" at {target}"),
        _ => String::new(),
    };
    match line.effect {
        Effect::Denied => format!("denied: {}{at}", spoken.to_do()),
        Effect::Event => {
            let who = format!("{} {}", line.verb, line.what);
            format!("{}: {}{at}", who.trim_end(), spoken.to_do())
        }
        Effect::Held => format!("held: {}{at}", spoken.to_do()),
        Effect::Failed => format!("failed ({}): {}{at}", line.state, spoken.to_do()),
        _ if !line.state.is_empty() => format!("{}: {}{at}", line.state, spoken.to_do()),
        _ => match line.masked {
            0 => format!("{}{at}", spoken.done(line.rows)),
            masked => format!(
                "{}{at}, {} masked",
                spoken.done(line.rows),
                count(masked, "value")
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;
    use bailiwick_control::api::TrailRecord;
    use serde_json::{Value, json};

    fn records(events: Vec<Value>) -> Vec<TrailRecord> {
        let record = |(index, event): (usize, Value)| {
            let seq = index as u64 + 1;
            let mut record = json!({
                "v": 1, "time": "2026-01-01T00:00:00.000Z", "run": "run_x", "seq": seq, "prev": "0",
            });
            record
                .as_object_mut()
                .unwrap()
                .extend(event.as_object().unwrap().clone());
            TrailRecord {
                id: format!("run_x/{seq}"),
                seq,
                index: seq,
                digest: String::new(),
                record: serde_json::value::to_raw_value(&record).unwrap(),
                payload: None,
                payload_missing: None,
            }
        };
        events.into_iter().enumerate().map(record).collect()
    }

    fn call(verb: &str, class: &str, action: &str, resource: Value) -> Value {
        json!({"protocol": "postgres", "verb": verb, "fingerprint": "f",
               "actions": [{"class": class, "verb": action, "columns": [], "resource": resource}]})
    }

    fn decided(effect: &str, call: &Value) -> Value {
        json!({"type": "call.decided", "target": "tickets", "call": call,
               "decision": {"effect": effect, "policies": [], "policy_digest": "d"}})
    }

    fn finished(of: u64, rows: u64, masked: u64) -> Value {
        json!({"type": "call.finished", "of": of, "target": "tickets",
               "outcome": {"state": "ok", "rows": rows, "bytes": 9, "masked": masked, "micros": 5}})
    }

    #[test]
    fn every_record_is_a_sentence() {
        let table = json!({"kind": "table", "schema": "public", "name": "tickets"});
        let select = call("SELECT", "read", "select", table.clone());
        let delete = call("DELETE", "destroy", "delete", table);
        let tool = call(
            "tools/call",
            "write",
            "execute",
            json!({"kind": "tool", "name": "refund"}),
        );
        let get = call(
            "GET",
            "read",
            "request",
            json!({"kind": "request", "name": "GET /customers/42"}),
        );
        let removal = call(
            "DELETE",
            "destroy",
            "request",
            json!({"kind": "request", "name": "DELETE /drafts/1"}),
        );
        let mut update = call(
            "UPDATE",
            "write",
            "update",
            json!({"kind": "table", "schema": "public", "name": "tickets"}),
        );
        for (name, verb) in [("tickets", "select"), ("people", "select")] {
            let also = json!({"class": "read", "verb": verb, "columns": ["id"],
                "resource": {"kind": "table", "schema": "public", "name": name}});
            update["actions"].as_array_mut().unwrap().push(also);
        }
        let begin = call(
            "BEGIN",
            "session",
            "session",
            json!({"kind": "target", "name": ""}),
        );
        let approval = |effect: &str, by: Option<&str>| {
            json!({"type": "approval.decided", "of": 10,
                   "approval": {"id": "apr_x", "effect": effect, "by": by}})
        };
        let mut story = Story::default();
        let mut told = Vec::new();
        for record in records(vec![
            json!({"type": "run.opened", "expires": "2026-01-01T00:30:00.000Z"}),
            decided("allow", &select),
            finished(2, 14, 3),
            decided("deny", &delete),
            decided("deny", &tool),
            decided("allow", &get),
            finished(6, 0, 0),
            decided("allow", &begin),
            finished(8, 0, 0),
            json!({"type": "call.held", "target": "tickets", "call": delete,
                   "approval": {"id": "apr_x", "approvers": ["group:owners", "human:b@x"]}}),
            approval("agree", Some("human:a@x")),
            approval("approve", Some("human:b@x")),
            approval("lapse", None),
            json!({"type": "signal.raised", "signal": {"name": "first", "rule": "denials", "of": "run_x/4",
                   "actions": ["notify", "suspend"]}}),
            json!({"type": "run.suspended", "by": "signal:first"}),
            json!({"type": "run.resumed", "by": "human:a@x"}),
            json!({"type": "payloads.viewed", "viewed": {"by": "human:a@x", "chain": "run_x", "from": 2, "to": 9}}),
            json!({"type": "payloads.searched", "by": "human:a@x"}),
            json!({"type": "receipt.taken", "viewed": {"by": "human:a@x", "chain": "run_x", "from": 2, "to": 2}}),
            json!({"type": "run.verified", "verified": {"by": "human:a@x", "records": 9, "run": "run_x", "size": 40}}),
            json!({"type": "run.verified", "verified": {"by": "human:a@x", "problem": "altered", "records": 1, "run": "run_x"}}),
            json!({"type": "policy.loaded", "by": "human:a@x", "policy": {"after": "b", "before": "a"}}),
            json!({"type": "link.made", "by": "human:a@x"}),
            json!({"type": "person.signed_in", "by": "human:a@x", "via": "oidc", "roles": ["viewer"]}),
            json!({"type": "person.signed_out", "by": "human:a@x"}),
            decided("deny", &removal),
            decided("allow", &update),
            finished(27, 1, 0),
            json!({"type": "run.closed", "ending": "closed", "by": "human:a@x", "launcher": "human:a@x"}),
            json!({"type": "run.closed", "ending": "closed", "by": "human:b@x", "launcher": "human:a@x"}),
            json!({"type": "run.closed", "ending": "revoked", "by": "signal:first"}),
            // As logs have it that were written before it was recorded who.
            json!({"type": "run.closed", "ending": "revoked"}),
        ]) {
            told.extend(
                story
                    .add(&record)
                    .unwrap()
                    .map(|line| sentence(&line, true)),
            );
        }
        assert_eq!(
            told,
            [
                "opened for 30m",
                "read 14 rows of public.tickets at tickets, 3 values masked",
                "denied: delete from public.tickets at tickets",
                "denied: call the tool refund at tickets",
                "requested GET /customers/42 at tickets",
                "sent BEGIN at tickets",
                "held: delete from public.tickets at tickets",
                "agreed by human:a@x: delete from public.tickets at tickets",
                "approved by human:b@x: delete from public.tickets at tickets",
                "lapsed",
                "signal: first (denials)",
                "suspended by signal:first",
                "resumed by human:a@x",
                "viewed payloads of run_x, records 2 to 9, by human:a@x",
                "searched the words of payloads, by human:a@x",
                "receipt of run_x, record 2, by human:a@x",
                "verified the trail of run_x, which is whole, by human:a@x",
                "verified the trail of run_x, which is not whole (altered), by human:a@x",
                "loaded other tasks and guardrails, by human:a@x",
                "link to sign in, by human:a@x",
                "sign-in: human:a@x, oidc, as viewer",
                "sign-out by human:a@x",
                "denied: request DELETE /drafts/1 at tickets",
                "updated 1 row of public.tickets, select public.people (id) at tickets",
                "ended: its work was done",
                "ended: it was closed by human:b@x",
                "ended: it was revoked by signal:first",
                "ended: it was revoked",
            ]
        );
    }
}
