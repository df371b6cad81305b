//! What the caller asked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::systems::System;

pub(crate) struct Options {
    pub(crate) clients: Vec<u32>,
    pub(crate) loads: Vec<Load>,
    pub(crate) modes: Vec<Mode>,
    pub(crate) systems: Vec<System>,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    pub(crate) dir: PathBuf,
}

/// One kind of load.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) load: Load,
    pub(crate) mode: Mode,
    pub(crate) clients: u32,
}

/// What pgbench does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// One row by its key (`pgbench -S`).
    Select,
    /// The TPC-B-like transaction: seven statements, all but one of which wait for their record.
    TpcB,
}

/// How it sends statements (`pgbench -M`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As text, each one different.
    Simple,
    /// Prepared once.
    Prepared,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Load::Select => "select",
            Load::TpcB => "tpcb",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Simple => "simple",
            Mode::Prepared => "prepared",
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            load,
            mode,
            clients,
        } = self;
        let s = if *clients == 1 { "" } else { "s" };
        write!(f, "{load}, {mode}, {clients} client{s}")
    }
}

impl Options {
    /// From the command line; nothing if only help was wanted, which is given.
    pub(crate) fn read(help: &str) -> Option<Self> {
        let mut options = Self {
            clients: vec![1, 8, 32],
            loads: vec![Load::Select, Load::TpcB],
            modes: vec![Mode::Simple, Mode::Prepared],
            systems: System::ALL.to_vec(),
            time: Duration::from_secs(3),
            rounds: 5,
            dir: dir(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_default();
            let understood = match argument.as_str() {
                // Cargo says so.
                "--bench" => Some(()),
                "--clients" => list(&value(), |text| {
                    text.parse().ok().filter(|count| *count > 0)
                })
                .map(|clients| options.clients = clients),
                "--load" => {
                    named(&value(), &[Load::Select, Load::TpcB]).map(|loads| options.loads = loads)
                }
                "--mode" => named(&value(), &[Mode::Simple, Mode::Prepared])
                    .map(|modes| options.modes = modes),
                "--of" => named(&value(), &System::ALL).map(|systems| options.systems = systems),
                "--seconds" => (value().parse().ok().filter(|seconds| *seconds > 0))
                    .map(|seconds| options.time = Duration::from_secs(seconds)),
                "--rounds" => (value().parse().ok().filter(|rounds| *rounds > 0))
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

    /// Every load that was asked for.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for load in &self.loads {
            for mode in &self.modes {
                for clients in &self.clients {
                    cells.push(Cell {
                        load: *load,
                        mode: *mode,
                        clients: *clients,
                    });
                }
            }
        }
        cells
    }
}

fn list<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(read).collect()
}

fn named<T: Copy + fmt::Display>(text: &str, all: &[T]) -> Option<Vec<T>> {
    list(text, |name| {
        all.iter().copied().find(|one| one.to_string() == name)
    })
}

fn dir() -> PathBuf {
    let dir = match std::env::var_os("BAILIWICK_BENCH_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(),
    };
    std::fs::create_dir_all(&dir).expect("the folder for the record");
    dir
}
