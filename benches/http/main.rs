//! What the gateway costs for HTTP: `wrk` against a server itself, through nginx as a reverse proxy, and
//! through Bailiwick with all controls on, in turn.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark, which may stop at anything unexpected"
)]

#[path = "../itself.rs"]
mod itself;
mod nginx;
mod passing;
mod wrk;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_tests::{World, http_task};
use nginx::Nginx;

const HELP: &str = "\
Measures small JSON GETs from the same server on five ways, in turn.

  scripts/bench http [--connections 1,8,64] [--seconds 3] [--rounds 5]

  direct     to the server itself (nginx, which answers from memory)
  nginx      through another nginx as a reverse proxy, with connections to the server kept open
  passing    through a proxy on hyper and Tokio, as the gateway is, that passes requests on and looks at nothing
  written    through Bailiwick: each request is authenticated, read, decided for the run, and recorded with its
             payload encrypted; every text that comes back is searched, and a field is masked. A read waits until the
             system has its record
  durable    the same; a read waits until its record is on the disk, which is the default

What is printed are requests a second and the latency's median and 99th percentile, medians of the rounds, and the ratio to
the direct way and to nginx; a round's ratio is made within the round. All of it is on this machine, the load and the
server too. The disk is that of BAILIWICK_BENCH_DIR, or else of target/. Let nothing else run.";

/// What is asked for, and what it brings: about as much as an API says of one thing.
const PATH: &str = "/customers/42";
const ANSWER: &str = r#"{"id":42,"name":"Anna Berg","plan":"enterprise","email":"anna.berg@example.com","seats":120,"tags":["eu","annual"],"since":"2019-04-01"}"#;

const GRANTS: &str = r#"
[[read]]
target   = "crm"
requests = ["GET /customers/{id}"]
[[mask]]
target = "crm"
fields = ["$.email"]
"#;

fn main() {
    if let Some(port) = itself::proxied() {
        passing::run(port);
    }
    let Some(options) = Options::read() else {
        println!("{HELP}");
        return;
    };
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&options.dir)
        .expect("a folder");
    let server = Nginx::server(ANSWER);
    let proxy = Nginx::proxy(server.port());
    let (passing, passing_port) = itself::start(server.port());
    let gateway = |reads: &str| {
        let lines = format!(
            "[targets.crm]\nkind = \"http\"\nurl = \"http://127.0.0.1:{}\"\nreads = \"{reads}\"\n",
            server.port()
        );
        World::builder()
            .section(&lines)
            .task(http_task("bench", GRANTS))
            .data(&folder.path().join(reads))
            .quiet()
            .start()
    };
    let worlds = [gateway("written"), gateway("durable")];
    let plain = |port: u16| (format!("http://127.0.0.1:{port}{PATH}"), None);
    let through = |world: &World| {
        let run = world.open("bench");
        (
            format!("{}{PATH}", world.http("crm")),
            Some(run.token().to_owned()),
        )
    };
    let [written, durable] = &worlds;
    let ways = [
        ("direct", plain(server.port())),
        ("nginx", plain(proxy.port())),
        ("passing", plain(passing_port)),
        ("written", through(written)),
        ("durable", through(durable)),
    ];
    println!(
        "{} rounds of {:?} each; passing {}, written {}, durable {}",
        options.rounds,
        options.time,
        passing.0.id(),
        written.pid(),
        durable.pid()
    );
    for connections in &options.connections {
        let mut rounds: Vec<Vec<wrk::Result>> = vec![Vec::new(); ways.len()];
        for _ in 0..options.rounds {
            for ((_, (url, token)), results) in ways.iter().zip(&mut rounds) {
                results.push(wrk::run(url, token.as_deref(), *connections, options.time));
            }
        }
        println!(
            "\n{connections} connection{}",
            if *connections == 1 { "" } else { "s" }
        );
        println!("            requests/s   median ms    99 % ms   to direct   to nginx");
        for ((name, _), results) in ways.iter().zip(&rounds) {
            let ratio = |base: &[wrk::Result]| {
                let ratios = results.iter().zip(base);
                median(ratios.map(|(own, base)| own.rate / base.rate).collect())
            };
            let of = |value: fn(&wrk::Result) -> f64| median(results.iter().map(value).collect());
            println!(
                "{name:<10} {:>11.0} {:>11.3} {:>10.3} {:>11.2} {:>10.2}",
                of(|result| result.rate),
                of(|result| result.median),
                of(|result| result.p99),
                ratio(&rounds[0]),
                ratio(&rounds[1]),
            );
        }
    }
}

struct Options {
    connections: Vec<u32>,
    time: Duration,
    rounds: usize,
    dir: PathBuf,
}

impl Options {
    /// From the command line; nothing if it is not understood.
    fn read() -> Option<Self> {
        let dir = match std::env::var_os("BAILIWICK_BENCH_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(),
        };
        std::fs::create_dir_all(&dir).expect("the folder for the record");
        let mut options = Self {
            connections: vec![1, 8, 64],
            time: Duration::from_secs(3),
            rounds: 5,
            dir,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let value = if argument == "--bench" {
                String::new()
            } else {
                arguments.next()?
            };
            match argument.as_str() {
                // Cargo says so.
                "--bench" => {}
                "--connections" => {
                    let counts = value.split(',').map(|text| text.parse().ok());
                    options.connections = counts.collect::<Option<_>>()?;
                }
                "--seconds" => options.time = Duration::from_secs(value.parse().ok()?),
                "--rounds" => options.rounds = value.parse().ok().filter(|rounds| *rounds > 0)?,
                _ => return None,
            }
        }
        Some(options)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
