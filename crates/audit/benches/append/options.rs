//! What the caller asked for.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) struct Options {
    pub(crate) writers: Vec<usize>,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    pub(crate) dir: PathBuf,
}

impl Options {
    /// From the command line and the environment; nothing if only help was wanted, which is given.
    pub(crate) fn read(help: &str) -> Option<Self> {
        let mut options = Self {
            writers: vec![1, 8, 64, 256],
            time: Duration::from_secs(2),
            rounds: 5,
            dir: dir(),
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_default();
            let understood = match argument.as_str() {
                // Cargo says so.
                "--bench" => Some(()),
                "--writers" => value()
                    .split(',')
                    .map(|count| count.parse().ok().filter(|count| *count > 0))
                    .collect::<Option<_>>()
                    .map(|writers| options.writers = writers),
                "--seconds" => (value().parse().ok())
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .map(|time| options.time = time),
                "--rounds" => (value().parse().ok())
                    .filter(|rounds| *rounds > 0)
                    .map(|rounds| options.rounds = rounds),
                _ => None,
            };
            if understood.is_none() {
                println!("{help}");
                return None;
            }
        }
        Some(options)
    }
}

fn dir() -> PathBuf {
    let dir = match env::var_os("BAILIWICK_BENCH_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(),
    };
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
