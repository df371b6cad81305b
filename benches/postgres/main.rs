//! What the gateway costs: `pgbench` against the database itself, through PgBouncer, through a proxy that
//! only copies bytes, and through Bailiwick with all controls on, in turn.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark, which may stop at anything unexpected"
)]

mod copying;
mod disk;
#[path = "../itself.rs"]
mod itself;
mod options;
mod pgbench;
mod systems;

use options::{Cell, Options};
use systems::{System, Systems};

const HELP: &str = "\
Measures pgbench against the same database on four ways, in turn.

  scripts/bench postgres [--clients 1,8,32] [--seconds 3] [--rounds 5] [--load select,tpcb] [--mode simple,prepared]
                [--of direct,pgbouncer,copying,written,durable]

  direct     to PostgreSQL itself
  pgbouncer  through PgBouncer (session pooling, one process, as Debian ships it)
  copying    through a proxy on Tokio that copies bytes both ways and looks at nothing
  written    through Bailiwick: each call is read, decided for the run, and recorded with its statement and
             values encrypted; every text that comes back is searched, and a column is masked. A read waits
             until the system has its record
  durable    the same; a read waits until its record is on the disk, which is the default

A write always waits for its record to be on the disk, and then for PostgreSQL's own. All of it is on this machine, pgbench
too, so with few processors what one takes is missing elsewhere: latency and share of the processors, both count.

What is printed are transactions a second, medians of the rounds, and their ratio to the direct way and to PgBouncer; a
round's ratio is made within the round. At one client also the latency, and what it would be if Bailiwick cost nothing but
one fdatasync of a record. The disk is that of BAILIWICK_BENCH_DIR, or else of target/. Let nothing else run.";

/// How much longer than directly a call with a durable record may take at one client, beside the disk.
const ALLOWED_MICROS: f64 = 40.0;

fn main() {
    if let Some(port) = itself::proxied() {
        copying::run(port);
    }
    let Some(options) = Options::read(HELP) else {
        return;
    };
    let systems = Systems::start(&options.dir);
    println!("{}", systems.processes());
    let sync = disk::sync_micros(&options.dir);
    println!(
        "{} rounds of {:?} each; a fdatasync of 1 KiB takes {sync:.0} us in {}",
        options.rounds,
        options.time,
        options.dir.display()
    );
    for cell in options.cells() {
        measure(&options, &systems, cell, sync);
    }
}

/// One kind of load, on every way.
fn measure(options: &Options, systems: &Systems, cell: Cell, sync: f64) {
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); options.systems.len()];
    let urls: Vec<String> = (options.systems.iter().map(|system| systems.url(*system))).collect();
    for _ in 0..options.rounds {
        for (url, results) in urls.iter().zip(&mut rounds) {
            results.push(pgbench::run(url, cell, options.time));
        }
    }
    println!("\n{cell}");
    println!("                  tps   ms each   to direct   to PgBouncer");
    let of = |wanted: System| {
        let at = options.systems.iter().position(|system| *system == wanted);
        at.and_then(|at| rounds.get(at))
    };
    for (system, results) in options.systems.iter().zip(&rounds) {
        let ratio = |base: Option<&Vec<f64>>| match base {
            None => "-".to_owned(),
            Some(base) => {
                let ratios = results.iter().zip(base).map(|(own, base)| own / base);
                format!("{:.2}", median(ratios.collect()))
            }
        };
        let tps = median(results.clone());
        println!(
            "{:<10} {tps:>10.0} {:>9.3} {:>11} {:>14}",
            system.to_string(),
            cell.clients as f64 * 1000.0 / tps,
            ratio(of(System::Direct)),
            ratio(of(System::PgBouncer)),
        );
    }
    if let (1, Some(direct), Some(durable)) =
        (cell.clients, of(System::Direct), of(System::Durable))
    {
        let each = |results: &Vec<f64>| 1e6 / median(results.clone());
        println!(
            "one client: {:.0} us directly, {:.0} us durable; with one fdatasync and {ALLOWED_MICROS} us it would be {:.0} us",
            each(direct),
            each(durable),
            each(direct) + sync + ALLOWED_MICROS
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    *values.get(middle).expect("at least one round")
}
