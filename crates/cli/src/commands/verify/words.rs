//! What was found of a log, in words.

use bailiwick_audit::{Report, RunState};

use crate::render::{clean, count, style};

/// A whole log.
pub(super) fn whole(report: &Report, own_key: bool) -> String {
    let (fine, dim) = (style::FINE, style::DIM);
    let mut text = format!(
        "{fine}✓ whole:{fine:#} {} of {}, signed under one checkpoint\n",
        count(report.records, "record"),
        clean(&report.origin),
    );
    let mut line = |words: String| text.push_str(&format!("  {words}\n"));
    if let Some(witnessed) = &report.witnessed {
        let by = witnessed.by.iter();
        let by: Vec<String> = by
            .map(|seen| format!("{} at {}", clean(&seen.witness), seen.time))
            .collect();
        line(format!(
            "witnesses have seen {}: {}",
            match witnessed.after {
                0 => "all of it".to_owned(),
                _ => format!("the first {}", count(witnessed.records, "record")),
            },
            by.join(", ")
        ));
        if witnessed.after > 0 {
            let after = count(witnessed.after, "record");
            line(format!(
                "{after} after that have the log's own signature alone"
            ));
        }
    }
    for agreement in &report.asked {
        line(format!(
            "asked now, {} keeps a checkpoint of the first {} of this very log",
            clean(&agreement.witness),
            count(agreement.records, "record")
        ));
    }
    if let Some(resumed) = &report.resumed {
        line(format!(
            "the first {} were verified before and not read again; {} began in them, followed from \
             there",
            count(resumed.skipped, "record"),
            count(resumed.joined, "run")
        ));
    }
    if let Some(time) = &report.last_time {
        line(format!("the last is of {}", clean(time)));
    }
    line(format!(
        "{} closed, {} open",
        count(report.runs_closed, "run"),
        report.runs_open
    ));
    if let Some(run) = &report.run {
        let state = match run.state {
            RunState::Closed => "closed",
            RunState::Open => "open",
        };
        line(format!(
            "{}: {state}, {} without a gap{}",
            clean(&run.run),
            count(run.records, "record"),
            match run.first {
                1 => String::new(),
                first => format!(
                    ", from its number {first} on: what was before is pruned, or was not read again"
                ),
            }
        ));
    }
    if report.without_outcome > 0 {
        line(format!(
            "{} allowed of which no outcome is recorded",
            count(report.without_outcome, "call")
        ));
    }
    if report.pruned > 0 {
        line(format!(
            "{} at the beginning pruned, as the log says itself; {} began before",
            count(report.pruned, "record"),
            count(report.runs_cut, "run")
        ));
    }
    if !report.erased.is_empty() {
        line(format!(
            "the payloads of {} erased: {}",
            count(report.erased.len() as u64, "run"),
            clean(&report.erased.join(", "))
        ));
    }
    if let Some(log) = &report.continues {
        line(format!(
            "it continues {}, which ended with {}",
            clean(&log.origin),
            count(log.size, "record")
        ));
    }
    for before in &report.predecessors {
        line(format!(
            "{} is kept beside it and whole, with {}, and names its successor",
            clean(&before.origin),
            count(before.records, "record")
        ));
    }
    if let Some(log) = &report.continued_by {
        line(format!("it is continued by {}", clean(&log.origin)));
    }
    if report.tail > 0 {
        let records = count(report.tail, "record");
        line(format!(
            "{records} not covered by a checkpoint yet, in whole chains"
        ));
    }
    if report.torn_bytes > 0 {
        let bytes = count(report.torn_bytes, "byte");
        line(format!(
            "{bytes} at the end belong to nothing that was confirmed"
        ));
    }
    let mut caveat = |words: &str| text.push_str(&format!("  {dim}{}{dim:#}\n", clean(words)));
    for unknown in &report.unknown {
        caveat(unknown);
    }
    let oldest = report.predecessors.last().unwrap_or(report);
    if let Some(log) = &oldest.continues {
        caveat(&format!(
            "{}, which it continues, is not kept beside it and was not checked",
            log.origin
        ));
    }
    if own_key {
        caveat(
            "checked with the key that lies beside the log: that the log agrees with itself; \
             --key checks it with one that was kept elsewhere",
        );
    }
    text
}
