//! The database, and the ways to it.

use std::fmt;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use bailiwick_tests::{SERVICE, SERVICE_PASSWORD, World, command, eventually, finish, task};
use bailiwick_throwaway::{Options, Throwaway};
use tempfile::TempDir;

use crate::itself::{self, Killed};

/// A way to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Direct,
    PgBouncer,
    Copying,
    Written,
    Durable,
}

impl System {
    pub(crate) const ALL: [System; 5] = [
        System::Direct,
        System::PgBouncer,
        System::Copying,
        System::Written,
        System::Durable,
    ];
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            System::Direct => "direct",
            System::PgBouncer => "pgbouncer",
            System::Copying => "copying",
            System::Written => "written",
            System::Durable => "durable",
        })
    }
}

/// A hundred thousand rows each: everything stays in memory.
const SCALE: &str = "10";

/// What pgbench needs, and a mask that is in force though it selects nothing masked.
const GRANTS: &str = r#"
[[read]]
target = "tickets"
tables = ["public.pgbench_accounts", "public.pgbench_branches", "public.pgbench_tellers", "public.pgbench_history"]
[[write]]
target = "tickets"
tables = ["public.pgbench_accounts", "public.pgbench_branches", "public.pgbench_tellers"]
verbs  = ["update"]
[[write]]
target = "tickets"
tables = ["public.pgbench_history"]
verbs  = ["insert"]
[[mask]]
target  = "tickets"
columns = ["public.pgbench_accounts.filler"]
"#;

/// Everything that is measured, running. Dropped, it stops.
pub(crate) struct Systems {
    server: Throwaway,
    pgbouncer: Killed,
    pgbouncer_port: u16,
    copying: Killed,
    copying_port: u16,
    written: World,
    durable: World,
    _folder: TempDir,
}

impl Systems {
    pub(crate) fn start(dir: &Path) -> Self {
        let server = database();
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(dir)
            .expect("a folder");
        let (pgbouncer, pgbouncer_port) = pgbouncer(&server);
        let (copying, copying_port) = itself::start(server.port());
        let gateway = |reads: &str| gateway(&server, reads, &folder.path().join(reads));
        Self {
            pgbouncer: Killed(pgbouncer),
            pgbouncer_port,
            copying,
            copying_port,
            written: gateway("written"),
            durable: gateway("durable"),
            server,
            _folder: folder,
        }
    }

    /// The database's URL on this way; through Bailiwick, that of a new run.
    pub(crate) fn url(&self, system: System) -> String {
        // None of the ways is encrypted: libpq would otherwise take the gateway's offer of TLS.
        let run = |world: &World| format!("{}?sslmode=disable", world.open("bench").url());
        let plain = |port: u16| {
            format!(
                "postgres://{SERVICE}:{SERVICE_PASSWORD}@127.0.0.1:{port}/bench?sslmode=disable"
            )
        };
        match system {
            System::Direct => plain(self.server.port()),
            System::PgBouncer => plain(self.pgbouncer_port),
            System::Copying => plain(self.copying_port),
            System::Written => run(&self.written),
            System::Durable => run(&self.durable),
        }
    }

    /// The processes of the ways, for whoever wants to look at one while it runs.
    pub(crate) fn processes(&self) -> String {
        format!(
            "pgbouncer {}, copying {}, written {}, durable {}",
            self.pgbouncer.0.id(),
            self.copying.0.id(),
            self.written.pid(),
            self.durable.pid()
        )
    }
}

/// PostgreSQL with pgbench's tables, as durable as a real one.
fn database() -> Throwaway {
    let settings = [
        ("log_statement", "none"),
        ("shared_buffers", "512MB"),
        ("max_wal_size", "8GB"),
        ("autovacuum", "off"),
    ];
    let server = Throwaway::start(&Options {
        durable: true,
        settings: settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..Options::default()
    })
    .expect("PostgreSQL; scripts/bench installs what is missing");
    server
        .psql(
            "postgres",
            &format!("CREATE ROLE {SERVICE} LOGIN PASSWORD '{SERVICE_PASSWORD}'; CREATE DATABASE bench OWNER {SERVICE}"),
        )
        .expect("a database");
    let url = format!(
        "postgres://{SERVICE}:{SERVICE_PASSWORD}@127.0.0.1:{}/bench",
        server.port()
    );
    finish(command("pgbench").args(["--initialize", "--quiet", "--scale", SCALE, &url])).ok();
    server
}

/// PgBouncer as Debian ships it, one server connection per client connection.
fn pgbouncer(server: &Throwaway) -> (Child, u16) {
    let port = TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    // It must not be root, and has to read it.
    let file = std::env::temp_dir().join(format!("bailiwick-bench-{}.ini", std::process::id()));
    let config = format!(
        "[databases]\nbench = host=127.0.0.1 port={} dbname=bench user={SERVICE} password={SERVICE_PASSWORD}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = session\ndefault_pool_size = 100\nmax_client_conn = 200\n\
         ignore_startup_parameters = extra_float_digits\n\
         log_connections = 0\nlog_disconnections = 0\nlog_stats = 0\nlogfile =\n",
        server.port()
    );
    fs::write(&file, config).expect("PgBouncer's configuration");
    let mut pgbouncer = command("pgbouncer");
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        // Debian's user for it and for PostgreSQL.
        pgbouncer.args(["--user", "postgres"]);
    }
    let child = pgbouncer
        .arg("--quiet")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("PgBouncer; scripts/bench installs it");
    eventually("PgBouncer listens", Duration::from_secs(10), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    fs::remove_file(&file).expect("its configuration");
    (child, port)
}

/// Bailiwick with all controls on.
fn gateway(server: &Throwaway, reads: &str, data: &Path) -> World {
    let url = format!(
        "postgres://{SERVICE}:PASSWORD@127.0.0.1:{}/bench?sslmode=disable",
        server.port()
    );
    World::builder()
        .target("tickets", &url)
        .target_setting(&format!("reads = \"{reads}\""))
        .task(task("bench", GRANTS))
        .data(data)
        .quiet()
        .start()
}
