//! The one that is killed: this test program again, told by its environment to write. It says on
//! stdout what it is about to submit, and what was proven to it.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_run::{Run, RunId};

use super::checker::History;
use super::{Random, number, this_program};
use crate::disk::FileSystem;
use crate::kit::{closed, config, decided, draft, finished, opened, run, started};
use crate::receipt::{Receipt, Written};
use crate::{AppendError, Draft, Event, Log, Recovered};

const DIR: &str = "BAILIWICK_TEST_CHILD_DIR";
const FIRST: &str = "BAILIWICK_TEST_CHILD_FIRST";
const SEGMENT: &str = "BAILIWICK_TEST_CHILD_SEGMENT";
const RANDOM: &str = "BAILIWICK_TEST_CHILD_RANDOM";
const CLOSES: &str = "BAILIWICK_TEST_CHILD_CLOSES_AFTER_MICROS";

/// How many write at once, so that batches have more than one record.
const WRITERS: u64 = 6;

/// No child submits more.
const NUMBERS: u64 = 1_000_000;

/// What starts the next child of this history.
pub(super) fn command(history: &History, random: u64, closes: Option<Duration>) -> Command {
    let mut command = this_program();
    command
        .args(["--exact", "kills::child::writes_until_it_is_killed"])
        .arg("--nocapture")
        .env(DIR, history.dir())
        .env(FIRST, (history.lives * NUMBERS).to_string())
        .env(SEGMENT, history.segment.to_string())
        .env(RANDOM, random.to_string());
    if let Some(closes) = closes {
        command.env(CLOSES, closes.as_micros().to_string());
    }
    command
}

/// Not a test by itself.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let segment = number(SEGMENT).unwrap();
    let mut random = Random(number(RANDOM).unwrap());
    // The test harness is in the middle of a line.
    say("\nbegun");
    say("opening");
    let disk = Arc::new(FileSystem);
    let (log, recovered) = Log::open_on(config(Path::new(&dir)), disk, segment).unwrap();
    say(&recovered_line(&recovered));
    say("opened");
    let pen = Pen {
        log,
        next: AtomicU64::new(number(FIRST).unwrap()),
        large: segment / 8,
    };
    std::thread::scope(|scope| {
        scope.spawn(|| pen.clear(&recovered));
        for _ in 0..WRITERS {
            let random = Random(random.next());
            let pen = &pen;
            scope.spawn(move || pen.write(random));
        }
        let publishes = Random(random.next());
        scope.spawn(|| pen.publish(publishes));
        if let Some(micros) = number(CLOSES) {
            std::thread::sleep(Duration::from_micros(micros));
            say("closing");
            pen.log.close();
        }
    });
}

/// What a start found unfinished, for the parent to compare.
fn recovered_line(recovered: &Recovered) -> String {
    let mut found: Vec<String> = (recovered.open_runs.iter().map(RunId::to_string))
        .chain((recovered.unfinished.iter()).map(|(run, of)| format!("{run}/{of}")))
        .collect();
    found.sort_unstable();
    format!("recovered {}", found.join(" "))
}

/// One write per line: a line is whole or not there.
fn say(line: &str) {
    let line = format!("{line}\n");
    if std::io::stdout().write_all(line.as_bytes()).is_err() {
        // The parent has failed and is gone.
        std::process::exit(1);
    }
}

struct Pen {
    log: Log,
    next: AtomicU64,
    /// The size of a large payload.
    large: u64,
}

impl Pen {
    /// Gives the draft a number of its own, and says so before anything is submitted.
    fn announce(&self, mut draft: Draft, fill: u64) -> (u64, Draft) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("n{n}");
        match &mut draft.event {
            Event::RunOpened { scope_digest, .. } => *scope_digest = name,
            Event::CallDecided { target, .. } | Event::CallFinished { target, .. } => {
                *target = name;
            }
            Event::LoginDenied { target, .. } => *target = Some(name),
            Event::GatewayStarted { version } => *version = name,
            // Its payload has it, below.
            Event::RunClosed { .. } => {}
            other => panic!("not one of those that are written here: {other:?}"),
        }
        if fill > 0 || matches!(draft.event, Event::RunClosed { .. }) {
            let fill = ".".repeat(usize::try_from(fill).unwrap());
            draft.payload = Some(format!("{{\"n\":{n},\"fill\":\"{fill}\"}}").into_bytes());
        }
        say(&format!("submits {n}"));
        (n, draft)
    }

    /// Submits until there is room, and waits until the record is durable.
    fn append(&self, draft: impl Fn() -> Draft, fill: u64) -> Result<Receipt, AppendError> {
        loop {
            let (n, draft) = self.announce(draft(), fill);
            match self.log.append(draft).wait() {
                Err(AppendError::Behind) => std::thread::sleep(Duration::from_micros(200)),
                done => {
                    let receipt = done?;
                    say(&format!("proven {n} {} {}", receipt.id(), receipt.digest()));
                    return Ok(receipt);
                }
            }
        }
    }

    /// The same for whom it is enough that it is written. Returns its number in the chain.
    fn append_written(&self, draft: impl Fn() -> Draft, fill: u64) -> Result<u64, AppendError> {
        loop {
            let (n, draft) = self.announce(draft(), fill);
            let pending = self.log.append_written(draft);
            let seq = pending.seq();
            match pending.wait() {
                Err(AppendError::Behind) => std::thread::sleep(Duration::from_micros(200)),
                done => {
                    let Written { .. } = done?;
                    say(&format!("proven {n}"));
                    return Ok(seq);
                }
            }
        }
    }

    /// Closes what the last child left open.
    fn clear(&self, recovered: &Recovered) {
        let of = |id: RunId| Run { id, ..run(0) };
        let closing = || {
            for (id, call) in &recovered.unfinished {
                self.append(|| finished(&of(*id), *call), 0)?;
            }
            for id in &recovered.open_runs {
                self.append(|| closed(&of(*id)), 1)?;
            }
            self.append(started, 0)
        };
        expect_end(closing().map(drop));
    }

    fn write(&self, mut random: Random) {
        expect_end((|| {
            loop {
                self.one_run(&mut random)?;
            }
        })());
    }

    fn one_run(&self, random: &mut Random) -> Result<(), AppendError> {
        let run = run(self.next.fetch_add(1, Ordering::Relaxed));
        self.append(|| opened(&run), random.below(2))?;
        for _ in 0..random.below(12) {
            let fill = match random.below(16) {
                0 => self.large,
                1..=8 => 1 + random.below(300),
                _ => 0,
            };
            match random.below(8) {
                0 => self.append(|| decided(&run, false), fill).map(|_| ())?,
                1 => self.append(|| denied_login(&run), 0).map(|_| ())?,
                way => {
                    let allowed = || decided(&run, true);
                    let of = if way < 5 {
                        self.append(allowed, fill)?.seq()
                    } else {
                        self.append_written(allowed, fill)?
                    };
                    self.finish(&run, of, random)?;
                }
            }
        }
        self.append(|| closed(&run), 1)?;
        // About a run that is closed: goes to the gateway's chain.
        self.append(|| denied_login(&run), 0).map(drop)
    }

    fn finish(&self, run: &Run, of: u64, random: &mut Random) -> Result<(), AppendError> {
        let fill = random.below(3) * 100;
        match random.below(8) {
            0 => self.append(|| finished(run, of), fill).map(drop),
            // Some never end.
            1 => Ok(()),
            _ => {
                let (_, draft) = self.announce(finished(run, of), fill);
                match self.log.note(draft) {
                    Err(AppendError::Behind) => Ok(()),
                    noted => noted.map(drop),
                }
            }
        }
    }

    /// Publishes far more often than once a second, so that many kills meet it.
    fn publish(&self, mut random: Random) {
        expect_end((|| {
            loop {
                std::thread::sleep(Duration::from_micros(random.below(8_000)));
                self.log.checkpoint_now()?;
            }
        })());
    }
}

fn denied_login(run: &Run) -> Draft {
    let event = Event::LoginDenied {
        target: None,
        reason: "wrong secret".to_owned(),
    };
    draft(run, event)
}

/// Nothing else ends the work than that the log is closed.
fn expect_end(end: Result<(), AppendError>) {
    assert!(matches!(end, Ok(()) | Err(AppendError::Closed)), "{end:?}");
}
