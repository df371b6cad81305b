//! `bailiwick show`: one record with everything that belongs to it.

use std::process::ExitCode;

use bailiwick_audit::Record;
use bailiwick_control::api::TrailRecord;
use clap::Args;
use serde_json::Value;

use crate::commands::gateway;
use crate::config::ConfigArg;
use crate::failure::Failure;
use crate::render::{self, clean, clean_lines, style};

/// Show one record in full, with what the agent wrote
#[derive(Args)]
#[command(
    after_help = "Example:\n  bailiwick show run_01JD5K3T9V8Z0W2Y4X6A7B8C9D/7\n  bailiwick show last/7"
)]
pub(crate) struct Show {
    /// Its name: RUN/NUMBER, where RUN may be `last`, or `gateway` for the gateway's own records
    #[arg(value_name = "RECORD")]
    name: String,
    /// Print JSON: the exact record, its digest and its payload
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

impl Show {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let (chain, seq) = self
            .name
            .rsplit_once('/')
            .and_then(|(chain, seq)| Some((chain, seq.parse::<u64>().ok()?)))
            .ok_or_else(|| {
                Failure::new(format!("`{}` names no record", self.name))
                    .help("a record's name is RUN/NUMBER; `bailiwick trail RUN` shows the numbers")
            })?;
        let record = gateway::ask(&self.config, async |client| {
            let chain = match chain {
                "gateway" => chain.to_owned(),
                run => gateway::find(client, run).await?.to_string(),
            };
            Ok(client.record(&chain, seq).await?)
        })?;
        if self.json {
            render::print_json(&record)?;
        } else {
            render::print(&describe(&record)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A record as the API gives it, read.
pub(crate) fn parse(record: &TrailRecord) -> Result<Record, Failure> {
    serde_json::from_str(record.record.get()).map_err(|error| {
        Failure::new(format!("record {} cannot be read: {error}", record.id))
            .help("`bailiwick verify` says whether the log is whole")
    })
}

fn describe(shown: &TrailRecord) -> Result<String, Failure> {
    let record = parse(shown)?;
    let mut page = Page::default();
    page.heading(&shown.id);
    page.line("type", &record.r#type);
    page.line("time", &record.time);
    page.some("launcher", record.launcher.as_deref());
    page.some("task", record.task.as_deref());
    page.some("target", record.target.as_deref());
    page.some("confinement", record.confinement.as_deref());
    page.some("expires", record.expires.as_deref());
    if let Some(call) = &record.call {
        page.line("call", &call.verb);
        for action in &call.actions {
            page.line("action", &format!("{}: {action}", action.class));
        }
        if call.more_actions > 0 {
            page.line("action", &format!("and {} more", call.more_actions));
        }
        page.line("fingerprint", &call.fingerprint);
    }
    if let Some(decision) = &record.decision {
        let style = match decision.effect.as_str() {
            "allow" => style::FINE,
            _ => style::DENIED,
        };
        page.styled("decision", &decision.effect, style);
        page.some("reason", decision.reason.as_deref());
        page.some("remedy", decision.remedy.as_deref());
        for policy in &decision.policies {
            page.line("policy", policy);
        }
        page.line("policies", &decision.policy_digest);
    }
    if let Some(login) = &record.login {
        page.styled("login", "deny", style::DENIED);
        page.line("reason", &login.reason);
        page.some("run", login.run.as_deref());
    }
    if let Some(outcome) = &record.outcome {
        page.line("outcome", &outcome.state);
        page.some("error", outcome.error.as_deref());
        page.line("rows", &outcome.rows.to_string());
        page.line("bytes", &outcome.bytes.to_string());
        page.line("masked", &outcome.masked.to_string());
        page.line("took", &format!("{} µs", outcome.micros));
    }
    if let Some(of) = record.of {
        page.line("of", &format!("{}/{of}", record.run));
    }
    if let Some(erased) = &record.erased {
        page.line("erased", &format!("the payloads of {}", erased.run));
        page.line("for", &erased.by);
    }
    if let Some(pruned) = &record.pruned {
        page.line(
            "pruned",
            &format!("everything before record {}", pruned.before),
        );
        page.line("for", &pruned.by);
    }
    if let Some(log) = &record.continues {
        page.line("continues", &log.origin);
        page.line("which has", &format!("{} records", log.size));
        page.line("root", &log.root);
        page.line("key", &log.vkey);
    }
    if let Some(log) = &record.continued_by {
        page.line("continued as", &log.origin);
        page.line("key", &log.vkey);
    }
    page.some("ending", record.ending.as_deref());
    page.some("version", record.version.as_deref());
    if let Some(witness) = &record.witness {
        page.styled("witness", &witness.name, style::DENIED);
        page.line("problem", &witness.problem);
        page.line("its size", &witness.size.to_string());
        page.line("our size", &witness.ours.to_string());
    }
    page.line("digest", &shown.digest);
    page.line("previous", &record.prev);
    page.line("in the log", &format!("record {}", shown.index));
    if let Some(payload) = &shown.payload {
        page.payload(payload);
    }
    if let Some(missing) = &shown.payload_missing {
        page.line("payload", missing);
    }
    Ok(page.0)
}

/// A value without the quotes that JSON puts around it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

/// Names on the left, values on the right.
#[derive(Default)]
struct Page(String);

impl Page {
    fn heading(&mut self, text: &str) {
        let style = style::HEADING;
        self.0
            .push_str(&format!("{style}{}{style:#}\n", clean(text)));
    }

    fn line(&mut self, name: &str, value: &str) {
        self.styled(name, value, anstyle::Style::new());
    }

    fn some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.line(name, value);
        }
    }

    fn styled(&mut self, name: &str, value: &str, style: anstyle::Style) {
        let dim = style::DIM;
        let line = format!(
            "  {dim}{name:<12}{dim:#} {style}{}{style:#}\n",
            clean(value)
        );
        self.0.push_str(&line);
    }

    /// What the agent wrote: a statement and the values bound to it, or what the launcher said.
    fn payload(&mut self, payload: &Value) {
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
