//! A record and what belongs to it, as a page.

use bailiwick_audit::Record;
use serde_json::Value;

use crate::render::{clean, clean_lines, style};

/// Names on the left, values on the right.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    /// What a record says, but for its name and its place in its chain.
    pub(crate) fn record(&mut self, record: &Record) {
        self.line("type", &record.r#type);
        self.line("time", &record.time);
        self.some("launcher", record.launcher.as_deref());
        self.some("task", record.task.as_deref());
        self.some("target", record.target.as_deref());
        self.some("confinement", record.confinement.as_deref());
        self.some("expires", record.expires.as_deref());
        if let Some(call) = &record.call {
            self.line("call", &call.verb);
            for action in &call.actions {
                self.line("action", &format!("{}: {action}", action.class));
            }
            if call.more_actions > 0 {
                self.line("action", &format!("and {} more", call.more_actions));
            }
            self.line("fingerprint", &call.fingerprint);
        }
        if let Some(decision) = &record.decision {
            let style = match decision.effect.as_str() {
                "allow" => style::FINE,
                _ => style::DENIED,
            };
            self.styled("decision", &decision.effect, style);
            self.some("approval", decision.approval.as_deref());
            self.some("reason", decision.reason.as_deref());
            self.some("remedy", decision.remedy.as_deref());
            for policy in &decision.policies {
                self.line("policy", policy);
            }
            self.line("policies", &decision.policy_digest);
        }
        if let Some(approval) = &record.approval {
            self.line("approval", &approval.id);
            self.some("ruling", approval.effect.as_deref());
            self.some("by", approval.by.as_deref());
            for approver in &approval.approvers {
                self.line("asked", approver);
            }
            self.some("until", approval.expires.as_deref());
            self.some("policies", approval.policy_digest.as_deref());
        }
        if let Some(policy) = &record.policy {
            self.line("before", &policy.before);
            self.line("now", &policy.after);
        }
        if let Some(signal) = &record.signal {
            self.styled("signal", &signal.name, style::NOTE);
            self.line("rule", &signal.rule);
            self.line("because of", &signal.of);
            self.line("what is done", &signal.actions.join(", "));
        }
        if let Some(viewed) = &record.viewed {
            let (chain, from, to) = (&viewed.chain, viewed.from, viewed.to);
            match record.r#type.as_str() {
                "receipt.taken" => self.line("receipt of", &format!("{chain}/{from}")),
                _ => self.line("payloads of", &format!("{chain}/{from} to {chain}/{to}")),
            }
            self.line("by", &viewed.by);
        }
        if let Some(verified) = &record.verified {
            match &verified.problem {
                None => self.line("verified", &format!("the trail of {}: whole", verified.run)),
                Some(problem) => {
                    let words = format!("the trail of {}: not whole", verified.run);
                    self.styled("verified", &words, style::DENIED);
                    self.line("problem", problem);
                }
            }
            self.line("records", &verified.records.to_string());
            if verified.problem.is_none() {
                self.line("checkpoint", &format!("over {} records", verified.size));
            }
            for witness in &verified.witnesses {
                self.line("cosigned", witness);
            }
            self.line("by", &verified.by);
        }
        self.some("by", record.by.as_deref());
        self.some("known by", record.via.as_deref());
        if !record.roles.is_empty() {
            self.line("roles", &record.roles.join(", "));
        }
        if let Some(login) = &record.login {
            self.styled("login", "deny", style::DENIED);
            self.line("reason", &login.reason);
            self.some("run", login.run.as_deref());
        }
        if let Some(outcome) = &record.outcome {
            self.line("outcome", &outcome.state);
            self.some("error", outcome.error.as_deref());
            self.line("rows", &outcome.rows.to_string());
            self.line("bytes", &outcome.bytes.to_string());
            self.line("masked", &outcome.masked.to_string());
            self.line("took", &format!("{} µs", outcome.micros));
        }
        if let Some(of) = record.of {
            self.line("of", &format!("{}/{of}", record.run));
        }
        if let Some(erased) = &record.erased {
            self.line("erased", &format!("the payloads of {}", erased.run));
            self.line("for", &erased.by);
        }
        if let Some(pruned) = &record.pruned {
            self.line(
                "pruned",
                &format!("everything before record {}", pruned.before),
            );
            for log in &pruned.logs {
                self.line("and the log", log);
            }
            self.line("for", &pruned.by);
        }
        if let Some(log) = &record.continues {
            self.line("continues", &log.origin);
            self.line("which has", &format!("{} records", log.size));
            self.line("root", &log.root);
            self.line("key", &log.vkey);
        }
        if let Some(log) = &record.continued_by {
            self.line("continued as", &log.origin);
            self.line("key", &log.vkey);
        }
        self.some("ending", record.ending.as_deref());
        self.some("version", record.version.as_deref());
        if let Some(witness) = &record.witness {
            self.styled("witness", &witness.name, style::DENIED);
            self.line("problem", &witness.problem);
            self.line("its size", &witness.size.to_string());
            self.line("our size", &witness.ours.to_string());
        }
    }

    /// All of it.
    pub(crate) fn into_text(self) -> String {
        self.0
    }

    pub(crate) fn heading(&mut self, text: &str) {
        let style = style::HEADING;
        self.0
            .push_str(&format!("{style}{}{style:#}\n", clean(text)));
    }

    pub(crate) fn line(&mut self, name: &str, value: &str) {
        self.styled(name, value, anstyle::Style::new());
    }

    fn some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.line(name, value);
        }
    }

    pub(crate) fn styled(&mut self, name: &str, value: &str, style: anstyle::Style) {
        let dim = style::DIM;
        let line = format!(
            "  {dim}{name:<12}{dim:#} {style}{}{style:#}\n",
            clean(value)
        );
        self.0.push_str(&line);
    }

    /// What the agent wrote: a statement and the values bound to it, or what the launcher said.
    pub(crate) fn payload(&mut self, payload: &Value) {
        let Some(parts) = payload.as_object() else {
            return self.line("payload", &payload.to_string());
        };
        for (name, value) in parts {
            self.0.push('\n');
            self.heading(name);
            match value {
                Value::String(text) => self.block(text),
                Value::Array(values) if name == "rows" => {
                    for row in values {
                        let values = row.as_array().into_iter().flatten();
                        let values: Vec<_> = values.map(plain).collect();
                        self.block(&values.join(" | "));
                    }
                }
                Value::Array(values) => {
                    for (index, value) in values.iter().enumerate() {
                        self.line(&format!("${}", index + 1), &plain(value));
                    }
                }
                other => self.block(&other.to_string()),
            }
        }
    }

    fn block(&mut self, text: &str) {
        for line in clean_lines(text) {
            self.0.push_str(&format!("  {line}\n"));
        }
    }
}

/// A value without the quotes that JSON puts around it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}
