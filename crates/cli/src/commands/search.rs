//! `bailiwick search`: finds records over all runs.

use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use bailiwick_control::Words;
use bailiwick_control::api::{self, Answer, Hit};
use bailiwick_run::Time;
use clap::Args;

use crate::commands::source::SourceArgs;
use crate::failure::Failure;
use crate::render::{self, Cell, Table, count, style};

/// Find records over all runs, also those that ended long ago, the newest first
///
/// Finds what has all the words in its record: task, launcher, target, tables, columns, the reason of a
/// denial, who did it. What agents wrote and got (statements, values, results) is encrypted, and searched
/// only where `index_payloads = true` stands under `[log]`, and for those with the role `auditor`. WORD*
/// finds every word that begins so; case and accents make no difference. With --data an index is made
/// for the one search, which takes a while in a large log.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    bailiwick search billing.cards --denied\n  \
    bailiwick search delete public.tickets --since 2h\n  \
    bailiwick search invoi* --task triage-tickets --json | jq -r .id")]
pub(crate) struct Search {
    /// The words; any record if there are none
    words: Vec<String>,
    /// Only this run: its id, `last` for the newest, or `gateway` for the gateway's own records
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only runs of this task
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Only runs of this launcher, such as human:alice@localhost
    #[arg(long, value_name = "LAUNCHER")]
    launcher: Option<String>,
    /// Only this target
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Only what was denied
    #[arg(long)]
    denied: bool,
    /// Only since then: a moment (2026-11-25T19:00:00Z), or how long ago (2h)
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Time>,
    /// Only before then
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Time>,
    /// How many at most; 1000 is the most there can be
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Print JSON, a record a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Actions of a call that a line names.
const ACTIONS_SHOWN: usize = 4;

/// Where a line's own text stands below it.
const INDENT: usize = 8;

impl Search {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        self.source.ask(async |source| {
            let run = match self.run.as_deref() {
                None => None,
                Some("gateway") => Some("gateway".to_owned()),
                Some(run) => Some(source.find(run).await?.to_string()),
            };
            let words = Some(self.words.join(" ")).filter(|words| !words.is_empty());
            let search = api::Search {
                words,
                run,
                task: self.task.clone(),
                launcher: self.launcher.clone(),
                target: self.target.clone(),
                denied: self.denied,
                since: self.since,
                until: self.until,
                limit: Some(self.limit),
            };
            self.print(&source.search(search).await?)
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, answer: &Answer) -> Result<(), Failure> {
        if self.json {
            answer.hits.iter().try_for_each(render::print_json)?;
        } else {
            render::print(&describe(answer))?;
        }
        if answer.hits.is_empty() {
            render::note(match self.source.words() {
                None | Some(Words::WithPayloads) => "nothing was found",
                Some(Words::OfRecords) => {
                    "nothing was found; statements, values and results are not searched, because \
                     they are encrypted: `index_payloads = true` under [log] has a gateway index their words"
                }
            });
        }
        if !answer.complete {
            let records = count(answer.records, "record");
            render::note(format!(
                "the index is behind the log: this is from its first {records}; later ones are \
                 found when it has come up with it"
            ));
        }
        Ok(())
    }
}

fn describe(answer: &Answer) -> String {
    let mut table = Table::new(5);
    for hit in &answer.hits {
        show(&mut table, hit);
    }
    let mut text = table.render(render::columns());
    if answer.more {
        let dim = style::DIM;
        text.push_str(&format!(
            "{dim}there are older ones: --limit, --until{dim:#}\n"
        ));
    }
    text
}

fn show(table: &mut Table, hit: &Hit) {
    let (mark, style) = match (hit.effect.as_deref(), hit.state.as_deref()) {
        (Some("allow") | None, Some("error" | "cut" | "indeterminate")) => ("! fail", style::NOTE),
        (Some("allow") | None, _) if hit.r#type == "signal.raised" => ("! signal", style::NOTE),
        (Some("allow") | None, _) => ("", style::DIM),
        (Some("hold"), _) => ("‖ held", style::NOTE),
        (Some(_), _) => ("✗ DENY", style::DENIED),
    };
    let dim = |text: &str| Cell::new(text).style(style::DIM);
    table.row([
        Cell::new(mark).style(style),
        dim(&second(hit.time)),
        Cell::new(&hit.id),
        Cell::new(verb(hit)).style(style),
        dim(hit.target.as_deref().unwrap_or_default()),
        Cell::new(what(hit)).style(style),
    ]);
    if let Some(reason) = &hit.reason {
        let style = match hit.effect.as_deref() {
            Some("hold") => style::NOTE,
            Some("allow") | None => style::DIM,
            Some(_) => style::REASON,
        };
        table.text(INDENT, reason, style);
    }
}

/// A moment to the second, which is enough to tell when something was.
fn second(time: Time) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

fn verb(hit: &Hit) -> &str {
    match (hit.r#type.as_str(), &hit.verb) {
        (_, Some(verb)) => verb,
        ("call.finished", _) => "finished",
        ("login.denied", _) => "access",
        ("run.opened", _) => "opened",
        ("run.closed", _) => "ended",
        ("run.suspended", _) => "suspended",
        ("run.resumed", _) => "resumed",
        ("approval.decided", _) => "approval",
        ("signal.raised", _) => "signal",
        ("payloads.searched", _) => "searched",
        ("payloads.viewed", _) => "viewed",
        ("receipt.taken", _) => "receipt",
        ("run.verified", _) => "verified",
        ("index.remade", _) => "reindexed",
        ("policy.loaded", _) => "loaded",
        ("link.made", _) => "link",
        ("person.signed_in", _) => "sign-in",
        ("person.signed_out", _) => "sign-out",
        (other, _) => other,
    }
}

/// What was done to what, or how it ended.
fn what(hit: &Hit) -> String {
    if let Some(verb) = &hit.verb {
        return actions(verb, &hit.actions);
    }
    let state = hit.state.iter().chain(&hit.error);
    let mut parts: Vec<String> = state.cloned().collect();
    if let Some(rows) = hit.rows.filter(|rows| *rows > 0) {
        parts.push(count(rows, "row"));
    }
    if let Some(masked) = hit.masked.filter(|masked| *masked > 0) {
        parts.push(format!("{masked} masked"));
    }
    if hit.r#type == "run.opened" {
        parts.extend(hit.task.clone());
        parts.extend(hit.launcher.clone());
    }
    parts.join(", ")
}

/// What a call does, first what it is named after, and that without the name.
fn actions(verb: &str, actions: &[String]) -> String {
    let own = format!(
        "{} ",
        verb.rsplit(' ').next().unwrap_or_default().to_lowercase()
    );
    let named = actions
        .iter()
        .filter_map(|action| action.strip_prefix(&own));
    let others = actions.iter().filter(|action| !action.starts_with(&own));
    let all: Vec<&str> = named.chain(others.map(String::as_str)).collect();
    let mut text = all
        .iter()
        .copied()
        .take(ACTIONS_SHOWN)
        .collect::<Vec<_>>()
        .join(", ");
    let more = all.len().saturating_sub(ACTIONS_SHOWN);
    if more > 0 {
        text.push_str(&format!(", and {more} more"));
    }
    text
}

/// A moment in RFC 3339 form, or how long ago it was.
fn moment(text: &str) -> Result<Time, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        return Ok(Time::from_millis(
            render::now().millis().saturating_sub(ago),
        ));
    }
    let moment = humantime::parse_rfc3339_weak(text)
        .ok()
        .and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    let moment = moment.and_then(|since| u64::try_from(since.as_millis()).ok());
    moment.map(Time::from_millis).ok_or_else(|| {
        "it is neither a moment, such as 2026-11-25T19:00:00Z, nor how long ago, such as 2h".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit() -> Hit {
        serde_json::from_value(serde_json::json!({
            "id": "run_x/4", "index": 9, "type": "call.decided", "time": "2026-01-02T03:04:05.678Z",
            "run": "run_x", "seq": 4, "target": "tickets", "verb": "SELECT", "effect": "deny",
            "actions": ["select public.\u{1b}[2Jcards (pin)"], "reason": "outside\u{1b}]0;x\u{7} the scope",
        }))
        .unwrap()
    }

    fn told(hit: Hit) -> String {
        let answer = Answer {
            hits: vec![hit],
            more: true,
            records: 10,
            complete: true,
        };
        anstream::adapter::strip_str(&describe(&answer)).to_string()
    }

    #[test]
    fn a_hit_is_a_line_and_a_denial_says_why() {
        let told = told(hit());
        let mut lines = told.lines();
        assert_eq!(
            lines.next().unwrap(),
            "✗ DENY  2026-01-02T03:04:05Z  run_x/4  SELECT  tickets  public.\\u{1b}[2Jcards (pin)"
        );
        assert_eq!(
            lines.next().unwrap(),
            "        outside\\u{1b}]0;x\\u{7} the scope"
        );
        assert_eq!(
            lines.next().unwrap(),
            "there are older ones: --limit, --until"
        );
    }

    #[test]
    fn a_call_is_about_what_it_is_named_after() {
        let all = ["select a.t (x)", "update a.t (y)", "a", "b", "c", "d"].map(str::to_owned);
        assert_eq!(
            actions("UPDATE", &all),
            "a.t (y), select a.t (x), a, b, and 2 more"
        );
        assert_eq!(
            actions("PREPARE SELECT", &all[..2]),
            "a.t (x), update a.t (y)"
        );
        assert_eq!(actions("", &[]), "");
    }

    #[test]
    fn nothing_that_an_agent_wrote_reaches_the_terminal_as_more_than_text() {
        let mut hostile = hit();
        let text = "\u{1b}[31m\u{202e}x\r\n\u{9b}";
        for part in [
            &mut hostile.id,
            &mut hostile.r#type,
            &mut hostile.actions[0],
        ] {
            *part = text.into();
        }
        for part in [
            &mut hostile.verb,
            &mut hostile.target,
            &mut hostile.state,
            &mut hostile.error,
            &mut hostile.reason,
        ] {
            *part = Some(text.into());
        }
        for verb in [Some(text.to_owned()), None] {
            hostile.verb = verb;
            let answer = Answer {
                hits: vec![hostile.clone()],
                more: false,
                records: 0,
                complete: true,
            };
            let shown = describe(&answer);
            // The colours are ours, and what is theirs is none.
            assert!(
                !shown.contains(text) && !shown.contains("\u{1b}[31m\u{202e}"),
                "{shown:?}"
            );
            assert!(!shown.contains(['\u{202e}', '\u{9b}', '\r']), "{shown:?}");
        }
    }

    #[test]
    fn moments_are_said_in_two_ways() {
        assert_eq!(
            moment("2026-01-02T03:04:05Z").unwrap().to_string(),
            "2026-01-02T03:04:05.000Z"
        );
        let ago = moment("2h").unwrap().until(render::now()).as_secs();
        assert!((7_199..7_210).contains(&ago), "{ago}");
        assert_eq!(moment("9999years").unwrap().millis(), 0);
        assert!(moment("yesterday").unwrap_err().contains("2h"));
    }
}
