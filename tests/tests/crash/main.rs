//! `kill -9` of the gateway at random moments under load, hundreds of times. After each, what the
//! clients saw and what the target did is held against the record: nothing missing, nothing
//! invented.
//!
//! `BAILIWICK_TEST_KILLS` says how many kills there are to be, however long that takes;
//! `BAILIWICK_TEST_SEED` repeats the plan of an earlier time, if not its timing.

mod checker;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bailiwick_tests::{
    Agent, LOAD, Load, Random, Run, World, bailiwick, command, eventually, finish, task,
};

use self::checker::Account;

/// Where nobody says otherwise: as many kills as fit this, of each way to read. A machine that is too slow for it goes
/// on until what was checked is [enough](Account::lacks), however long that takes.
const TIME: Duration = Duration::from_secs(80);

/// What was not met in so many kills will not be.
const KILLS_MAX: u64 = 600;

/// For what happens at once, on a machine that is not slow.
const SOON: Duration = Duration::from_secs(60);

/// How often one gateway is killed before the next one begins.
const KILLS_OF_ONE: u64 = 12;

/// Clients at once.
const CLIENTS: u64 = 5;

#[test]
fn nothing_is_missing_and_nothing_invented_where_reads_are_durable() {
    kill_again_and_again("durable");
}

#[test]
fn nothing_is_missing_and_nothing_invented_where_reads_are_written() {
    kill_again_and_again("written");
}

fn kill_again_and_again(reads: &str) {
    let kills = number("BAILIWICK_TEST_KILLS");
    let seed = number("BAILIWICK_TEST_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::try_from(now.expect("a time").as_micros()).expect("a number")
    });
    eprintln!("BAILIWICK_TEST_SEED={seed} ({reads})");
    let mut random = Random::new(seed);
    let start = Instant::now();
    let mut account = Account::default();
    let is_over = |account: &Account| match kills {
        Some(kills) => account.kills >= kills,
        None => {
            start.elapsed() >= TIME && (account.lacks().is_none() || account.kills >= KILLS_MAX)
        }
    };
    while !is_over(&account) {
        let mut victim = Victim::new(reads);
        victim.start(&mut random, &mut account);
        for round in 0..KILLS_OF_ONE {
            victim.round(round, &mut random, &mut account);
            if is_over(&account) {
                break;
            }
        }
    }
    eprintln!("{reads}: {account}, in {:?}", start.elapsed());
    if kills.is_none() {
        assert_eq!(account.lacks(), None, "{reads}: {account}");
    }
}

/// A gateway that is killed.
struct Victim {
    world: World,
    /// The checkpoint that was there last, as published.
    checkpoint: Option<Vec<u8>>,
    runs: u64,
}

impl Victim {
    fn new(reads: &str) -> Self {
        let world = World::builder()
            .task(task("load", LOAD))
            .target_setting(&format!("reads = \"{reads}\""))
            .prepare();
        Self {
            world,
            checkpoint: None,
            runs: 0,
        }
    }

    /// Starts it, not always at the first attempt.
    fn start(&mut self, random: &mut Random, account: &mut Account) {
        while random.below(2) == 0 {
            let time = Duration::from_micros(random.below(250_000));
            self.world.serve_for(time);
            account.kills += 1;
            self.is_whole();
        }
        self.world.serve();
        let report = self.is_whole().expect("a log");
        assert_eq!(
            (&report["runs_open"], &report["runs_closed"]),
            (&0.into(), &self.runs.into()),
            "{report:#}"
        );
    }

    /// One run under load, killed.
    fn round(&mut self, round: u64, random: &mut Random, account: &mut Account) {
        let run = self.world.open("load");
        self.runs += 1;
        let load = Load::start(&run, round * CLIENTS, CLIENTS, random);
        match random.below(4) {
            0 => {}
            1 | 2 => eventually("there is load", SOON, || (load.made() > 0).then_some(())),
            _ => eventually("there are answers", SOON, || {
                (load.answered() > 0).then_some(())
            }),
        }
        std::thread::sleep(Duration::from_micros(20_000 + random.below(380_000)));
        self.world.kill();
        account.kills += 1;
        let sent = load.lost();
        // As the crash left it.
        self.is_whole();
        self.target_is_done(&run);
        self.start(random, account);
        let url = run.url_at(&self.world.address());
        let refused = Agent::log_in(&url).err().expect("no login");
        assert_eq!(refused.code, "28P01", "{refused:#?}");
        let written = self
            .world
            .sql("SELECT text FROM comments WHERE author = 'load'");
        account.check(&self.world.trail(&run.id), &sent, &written);
    }

    /// Waits until the target is at nothing any more for a run; what would never end is ended.
    fn target_is_done(&self, run: &Run) {
        let sql = format!(
            "SELECT count(CASE WHEN query LIKE '%generate_series%' \
                          THEN pg_terminate_backend(pid)::text ELSE '' END) \
             FROM pg_stat_activity WHERE application_name LIKE '%{}%'",
            run.id
        );
        eventually("the target is done", SOON, || {
            (self.world.sql(&sql) == "0").then_some(())
        });
    }

    /// The log is whole, and grew from what it was. Nothing if there is none yet.
    fn is_whole(&mut self) -> Option<serde_json::Value> {
        let data = self.world.data();
        let Ok(checkpoint) = fs::read(data.join("log/checkpoint")) else {
            assert!(self.checkpoint.is_none(), "the checkpoint is gone");
            return None;
        };
        if let Some(before) = self.checkpoint.replace(checkpoint)
            && Some(&before) != self.checkpoint.as_ref()
        {
            // The same log, as if the checkpoint from before were the one signed last.
            let other = tempfile::tempdir().expect("a folder");
            symlink(data.join("log"), other.path().join("log")).expect("a link");
            symlink(data.join("log.vkey"), other.path().join("log.vkey")).expect("a link");
            fs::create_dir(other.path().join("keys")).expect("a folder");
            fs::write(other.path().join("keys/last-checkpoint"), before).expect("a file");
            let mut verify = command(bailiwick());
            finish(verify.arg("verify").arg("--data").arg(other.path())).ok();
        }
        Some(self.world.verify())
    }
}

/// A number that the environment may give.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}
