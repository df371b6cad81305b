//! `kill -9` at random moments, hundreds of times: while the log is opened for the first time and
//! again, while it is written, while segments change, while a checkpoint is published, while it is
//! closed. After each, what is on the disk is held against what was announced and proven.
//!
//! `BAILIWICK_TEST_KILLS` says how many kills there are to be, however long that takes;
//! `BAILIWICK_TEST_SEED` repeats the plan of an earlier time, if not its timing.

mod checker;
mod child;

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::checker::History;

/// Where nobody says otherwise: as many kills as this, or as fit the time.
const KILLS: u32 = 300;
const TIME: Duration = Duration::from_secs(40);

/// How often one log is killed before the next one begins.
const KILLS_OF_ONE_LOG: u32 = 12;

/// No child takes longer for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Small segments are changed often; those of the real size hold large payloads.
const SMALL_SEGMENT: u64 = 64 * 1024;

/// A file system in memory, on most systems.
const MEMORY: &str = "/dev/shm";

#[test]
fn what_was_proven_is_there_after_every_kill_and_nothing_else_is() {
    let (kills, time) = match number("BAILIWICK_TEST_KILLS") {
        Some(kills) => (u32::try_from(kills).unwrap(), Duration::MAX),
        None => (KILLS, TIME),
    };
    let seed = number("BAILIWICK_TEST_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(now.as_micros()).unwrap()
    });
    eprintln!("BAILIWICK_TEST_SEED={seed}");
    let mut random = Random(seed);
    let start = Instant::now();
    let (mut killed, mut logs, mut records, mut closed) = (0, 0, 0, 0);
    while killed < kills && start.elapsed() < time {
        let segment = match logs % 8 {
            6 | 7 => crate::limits::SEGMENT,
            _ => SMALL_SEGMENT,
        };
        let folder = match logs % 2 {
            // Where nothing waits for a disk, a kill meets other moments.
            0 if Path::new(MEMORY).is_dir() => tempfile::tempdir_in(MEMORY),
            _ => tempfile::tempdir(),
        };
        let mut history = History::new(folder.unwrap(), segment);
        for _ in 0..KILLS_OF_ONE_LOG {
            match one_life(&mut history, &mut random) {
                Death::Killed => killed += 1,
                Death::Closed => closed += 1,
            }
            history.check(&mut random);
            if killed >= kills || start.elapsed() >= time {
                break;
            }
        }
        logs += 1;
        records += history.finish();
    }
    eprintln!(
        "{killed} kills and {closed} ends in order of {logs} logs with {records} records, all \
         accounted for, in {:?}",
        start.elapsed()
    );
}

/// How a child came to its end.
enum Death {
    Killed,
    /// In good order, before it could be killed.
    Closed,
}

/// When a child is killed: this long after it has said this.
struct Moment {
    said: &'static str,
    after: Duration,
    /// How long it works before it closes the log, if it is to.
    closes: Option<Duration>,
}

impl Moment {
    fn choose(history: &History, random: &mut Random) -> Self {
        let micros = |random: &mut Random, most: u64| Duration::from_micros(random.below(most));
        let ways = match history.lives {
            // The first start does what no other does.
            0..3 => 3,
            _ => 8,
        };
        let (said, after, closes) = match random.below(ways) {
            0 => ("begun", micros(random, 2_000), None),
            1 | 2 => {
                let opening = u64::try_from(history.opening.as_micros()).unwrap();
                ("opening", micros(random, opening + opening / 4), None)
            }
            3 => {
                let works = micros(random, 20_000);
                ("closing", micros(random, 10_000), Some(works))
            }
            _ => ("opened", micros(random, 40_000), None),
        };
        Self {
            said,
            after,
            closes,
        }
    }
}

fn one_life(history: &mut History, random: &mut Random) -> Death {
    let moment = Moment::choose(history, random);
    let mut child = child::command(history, random.next(), moment.closes)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines_of(&mut child);
    let mut opening = None;
    loop {
        let line = lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|error| {
            panic!(
                "the child never said `{}`: {error}; {:?}",
                moment.said,
                child.wait()
            )
        });
        let reached = line == moment.said;
        match &*line {
            "opening" => opening = Some(Instant::now()),
            "opened" => history.opened(opening.unwrap().elapsed()),
            line => history.hears(line),
        }
        if reached {
            break;
        }
    }
    std::thread::sleep(moment.after);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        match &*line {
            "opened" => history.opened(history.opening),
            line => history.hears(line),
        }
    }
    match status.signal() {
        Some(9) => Death::Killed,
        _ if status.success() && moment.closes.is_some() => Death::Closed,
        _ => panic!("the child failed: {status}"),
    }
}

/// What the child says, line by line, to the last one that it said whole.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        while stdout.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
            if sender.send(line.trim_end().to_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    lines
}

/// A number that the environment may give.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// SplitMix64: all that a plan needs, and it can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From zero up to this, which is not one of them.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// This test program, told to be the child.
fn this_program() -> Command {
    Command::new(std::env::current_exe().unwrap())
}
