use crate::Words;
use std::fs;

use bailiwick_audit::{Draft, Event, Subject};
use bailiwick_run::Run;

use super::*;
use crate::index::reindex;

/// Prints how many records a second go into the index, and how large it gets.
#[test]
#[ignore = "a measurement, for a release build with --nocapture"]
fn the_rate_of_indexing() {
    const CALLS: u64 = 100_000;
    let folder = Folder::new();
    let append = |run: &Run, event: Event, text: Option<String>| {
        let payload = text.map(|text| serde_json::json!({"text": text, "values": ["7"]}));
        folder.log.append(Draft {
            event,
            subject: Subject::Run(run.clone()),
            payload: payload.map(|payload| payload.to_string().into_bytes()),
        })
    };
    for number in 0..CALLS / 100 {
        let run = run(number, "triage-tickets");
        drop(append(&run, opened(&run), None));
        for call in 0..100 {
            let text = format!(
                "SELECT t.id, t.subject, t.priority FROM public.tickets t JOIN public.comments c \
                 ON c.ticket = t.id WHERE t.id = {} AND c.text LIKE '{}' ORDER BY t.id LIMIT $1",
                number * 100 + call,
                secret(number, call),
            );
            let decided = append(&run, decided("tickets", true), Some(text));
            drop(append(&run, finished(decided.seq()), None));
        }
        append(&run, closed(), None).wait().unwrap();
    }
    folder.log.close();
    let usage = || {
        let spent = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        spent.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let before = usage();
    let done = reindex(folder.data(), None, Words::WithPayloads).unwrap();
    let processor = usage() - before;
    let rate = |seconds: f64| done.records as f64 / seconds;
    let size = fs::metadata(Index::path(folder.data())).unwrap().len();
    println!(
        "{} records in {:.1?}: {:.0} records/s, {:.0} records/s per core, {} bytes per record",
        done.records,
        done.took,
        rate(done.took.as_secs_f64()),
        rate(processor as f64 / 1e9),
        size / done.records,
    );

    let log = open(folder.data());
    let later = Time::from_millis(4_000_000_000_000);
    let before = log.prune(later, run(0, "t").launcher).unwrap();
    let begun = std::time::Instant::now();
    catch_up(&Index::path(folder.data()), folder.data());
    println!("{before} records pruned from it in {:.1?}", begun.elapsed());
}
