//! PostgreSQL's own programs: psql, pgbench and pg_dump.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use bailiwick_tests::{
    Finished, Run, World, command, eventually, finish, programs_18, python, signal,
};

use crate::table::{Observed, Outcome};

/// Where a release of PostgreSQL has its programs.
#[derive(Clone)]
pub(crate) struct Release(Option<PathBuf>);

/// The machine's own.
pub(crate) fn system() -> Release {
    Release(None)
}

/// The newest, which is installed for the tests.
pub(crate) fn newest() -> Release {
    Release(Some(programs_18()))
}

impl Release {
    fn program(&self, name: &str) -> Command {
        let mut program = command(match &self.0 {
            None => PathBuf::from(name),
            Some(folder) => folder.join(name),
        });
        program.env("LC_ALL", "C");
        program
    }

    fn psql(&self, run: &Run) -> Command {
        let mut psql = self.program("psql");
        psql.args(["--no-psqlrc", "--no-password", "-At", run.url()]);
        psql
    }

    /// `psql (PostgreSQL) 15.18 (Debian …)`.
    fn observed(&self, name: &str) -> Observed {
        let said = finish(self.program(name).arg("--version"));
        let version = said.ok().split_whitespace().nth(2).expect("a version");
        Observed::new(name, version)
    }

    /// Whether this psql completes names by the Tab key.
    fn completes(&self) -> bool {
        self.0.is_none()
    }
}

/// Whether a program was denied, and said so in full. If it was not, it has to have shown this.
#[track_caller]
fn outcome(finished: &Finished, shows: &str) -> Outcome {
    if finished.stderr.contains("call denied") {
        assert!(finished.stderr.contains("DETAIL:  "), "{finished:#?}");
        assert!(finished.stderr.contains("HINT:  "), "{finished:#?}");
        return Outcome::Denied;
    }
    assert!(
        finished.ok().contains(shows) && finished.stderr.is_empty(),
        "it does not show {shows:?}: {finished:#?}"
    );
    Outcome::Works
}

/// What an agent is told when it reaches for the cards.
#[track_caller]
fn denial_is_clear(stderr: &str) {
    for part in [
        "outside the scope of this run",
        "DETAIL:  delete on billing.cards",
        "HINT:  ask for [[destroy]]",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

pub(crate) fn psql(release: Release) -> impl Fn(&World, &Run) -> Observed {
    move |world, run| {
        let mut observed = release.observed("psql");
        let major: u32 = observed
            .version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            .expect("a version");
        let psql = |sql: &str| finish(release.psql(run).args(["-q", "-c", sql]));
        let script = |text: &str| {
            let file = world.work().join("script.sql");
            std::fs::write(&file, text).expect("a script");
            finish(release.psql(run).args(["-q", "-f"]).arg(&file))
        };

        // By environment variables, as libpq takes them.
        let (_, rest) = run.url().split_once("://").expect("a URL");
        let (login, _) = rest.split_once('@').expect("a login");
        let (user, password) = login.split_once(':').expect("a password");
        let mut libpq = release.program("psql");
        let address = world.address();
        let (host, port) = address.split_once(':').expect("a port");
        libpq.args(["--no-psqlrc", "--no-password", "-Atc", "SELECT 42"]);
        libpq.envs([("PGUSER", user), ("PGPASSWORD", password), ("PGHOST", host)]);
        libpq.envs([
            ("PGPORT", port),
            ("PGDATABASE", "tickets"),
            ("PGOPTIONS", "-c jit=off"),
        ]);
        observed.note("connect", outcome(&finish(&mut libpq), "42"));

        let simple = psql("SELECT 41; SELECT email FROM tickets WHERE id = 3");
        observed.note("simple", outcome(&simple, "41\n[masked]"));

        let mut prepared =
            "PREPARE p (int) AS SELECT subject FROM tickets WHERE id = $1; EXECUTE p (4);\n"
                .to_owned();
        if major >= 16 {
            prepared.push_str("SELECT subject FROM tickets WHERE id = $1 \\bind 4 \\g\n");
        }
        if major >= 18 {
            prepared.push_str(
                "SELECT subject FROM tickets WHERE id = $1 \\parse s\n\\bind_named s 4 \\g\n",
            );
        }
        observed.note("prepared", outcome(&script(&prepared), "subject 4"));

        let held = script(
            "BEGIN; UPDATE tickets SET priority = 21 WHERE id = 2; DELETE FROM billing.cards; COMMIT;
             BEGIN; UPDATE tickets SET priority = 22 WHERE id = 3; SAVEPOINT here;
             UPDATE tickets SET priority = 21 WHERE id = 4; DELETE FROM billing.cards;
             ROLLBACK TO here; COMMIT; SELECT 'went on'",
        );
        denial_is_clear(&held.stderr);
        assert_eq!(held.ok().trim(), "went on");
        observed.note("transaction", Outcome::Works);

        let copied = script(
            "\\copy comments (ticket, author, text) FROM STDIN\n1\tpsql\tcopied\n\\.\nSELECT count(*) FROM comments WHERE author = 'psql'",
        );
        observed.note("copy in", outcome(&copied, ""));

        let copied = psql("\\copy (SELECT id, email FROM tickets WHERE id = 1) TO STDOUT");
        observed.note("copy out", outcome(&copied, "1\t[masked]"));

        let endless = format!(
            "SELECT count(*) FROM generate_series(1, 100000000000) /* {} */",
            run.id
        );
        let running = release
            .psql(run)
            .args(["-c", &endless])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql");
        eventually("it runs at the target", Duration::from_secs(20), || {
            let running = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE query = '{endless}' AND state = 'active'"
            );
            (world.sql(&running) == "1").then_some(())
        });
        // Ctrl-C.
        signal(running.id(), "INT");
        let said = running.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(
            said.contains("canceling statement due to user request"),
            "{said}"
        );
        observed.note("cancel", Outcome::Works);

        let said = script(
            "\\set VERBOSITY verbose\nSELECT txt FROM comments;\nSELECT '{1'::int[];
             INSERT INTO comments (id, ticket, author, text) VALUES (1, 1, 'a', 'b');\nSELECT 'went on'",
        );
        for part in [
            "42703",
            "comments.text",
            "22P02",
            "DETAIL:  Unexpected",
            "23505",
            "comments_pkey",
        ] {
            assert!(said.stderr.contains(part), "{part}: {said:#?}");
        }
        assert!(!said.stderr.contains("already exists"), "{said:#?}");
        assert_eq!(said.ok().trim(), "went on");
        observed.note("error", Outcome::Works);

        let said = script("DELETE FROM billing.cards;\nSELECT 'went on'");
        denial_is_clear(&said.stderr);
        assert_eq!(said.ok().trim(), "went on");
        // The exit status that scripts go by.
        assert_eq!(psql("DELETE FROM billing.cards").code(), 1);
        observed.note("denied call", Outcome::Works);

        // A psql older than its server may not know how that keeps what is asked for.
        let older = world
            .sql("SHOW server_version_num")
            .parse::<u32>()
            .expect("a version")
            / 10_000
            > major;
        observed.note("metadata", metadata(&release, run, older));
        observed
    }
}

/// psql's commands that begin with `\d`, and the Tab key.
#[track_caller]
pub(crate) fn metadata(release: &Release, run: &Run, older: bool) -> Outcome {
    let psql = |meta: &str| {
        let mut psql = release.program("psql");
        finish(psql.args(["--no-psqlrc", "--no-password", run.url(), "-c", meta]))
    };
    let denied = ["\\d", "\\dt", "\\d tickets", "\\df", "\\l"]
        .iter()
        .all(|meta| psql(meta).stderr.contains("pg_catalog."));
    if denied {
        return outcome(&psql("\\d"), "");
    }
    for (meta, shows) in [
        ("\\d", "contacts"),
        ("\\dt", "drafts"),
        ("\\d tickets", "tickets_pkey"),
        ("\\d tickets_pkey", "primary key"),
        ("\\d comments_id_seq", "owned by"),
        ("\\d+ contacts", "View definition"),
        ("\\d+ comments", "comments_ticket_fkey"),
        ("\\df", "touch"),
        ("\\df+ touch", "sql"),
        ("\\sf touch", "UPDATE tickets"),
        ("\\sv contacts", "CREATE OR REPLACE VIEW"),
        ("\\dn", "billing"),
        ("\\dT+ mood", "cross"),
        ("\\di", "drafts_pkey"),
        ("\\ds", "numbers"),
        ("\\dv", "contacts"),
        ("\\dp tickets", "tickets"),
        ("\\dx", "plpgsql"),
        ("\\l", "store"),
        ("\\du", "svc"),
    ] {
        if older && meta == "\\l" {
            continue;
        }
        let shown = psql(meta);
        assert!(
            shown.ok().to_lowercase().contains(&shows.to_lowercase()),
            "{meta}: {shown:#?}"
        );
        assert!(shown.stderr.is_empty(), "{meta}: {shown:#?}");
    }
    if release.completes() {
        let mut tab = python("psql_tab.py");
        tab.args(["psql", run.url()]);
        tab.args(["SELECT subject FROM tick", "tickets "]);
        tab.args(["SELECT * FROM tickets WHERE prio", "priority "]);
        tab.args(["UPDATE comments SET auth", "author "]);
        tab.args(["SELECT * FROM bill", "billing."]);
        tab.args(["SET exit_on", "exit_on_error "]);
        finish(&mut tab).ok();
    }
    Outcome::Works
}

pub(crate) fn pgbench(release: Release) -> impl Fn(&World, &Run) -> Observed {
    move |world, run| {
        let mut observed = release.observed("pgbench");
        let pgbench =
            |arguments: &[&str]| finish(release.program("pgbench").args(arguments).arg(run.url()));
        let processed = |arguments: &[&str], count: &str| {
            let said = pgbench(arguments);
            assert!(
                said.ok().contains(&format!("processed: {count}/{count}")),
                "{arguments:?}: {said:#?}"
            );
        };
        processed(&["-n", "-S", "-t", "1"], "1");
        observed.note("connect", Outcome::Works);
        processed(&["-n", "-S", "-t", "5", "-M", "simple"], "5");
        processed(&["-n", "-t", "5", "-M", "simple"], "5");
        observed.note("simple", Outcome::Works);
        for mode in ["extended", "prepared"] {
            processed(&["-n", "-S", "-t", "5", "-M", mode], "5");
            processed(&["-n", "-t", "5", "-M", mode], "5");
        }
        observed.note("prepared", Outcome::Works);
        // TPC-B is one, several at once. Without `-n` it would empty its tables first, and goes on
        // without.
        let said = pgbench(&["-t", "5", "-c", "3"]);
        assert!(said.ok().contains("processed: 15/15"), "{said:#?}");
        assert!(
            said.stderr.contains("maintain on public.pgbench_branches"),
            "{said:#?}"
        );
        assert!(
            said.stderr.contains("truncate on public.pgbench_history"),
            "{said:#?}"
        );
        observed.note("transaction", Outcome::Works);

        let made = pgbench(&["-i", "-q"]);
        assert_eq!(made.code(), 1, "{made:#?}");
        observed.note("copy in", outcome(&made, ""));
        observed.note("copy out", Outcome::Absent);
        observed.note("cancel", Outcome::Absent);
        let own = |sql: &str| {
            let file = world.work().join("bench.sql");
            std::fs::write(&file, sql).expect("a script");
            let file = file.to_str().expect("a name");
            pgbench(&["-n", "-t", "1", "-f", file])
        };
        let said = own("SELECT txt FROM comments;");
        assert!(said.stderr.contains("comments.text"), "{said:#?}");
        observed.note("error", Outcome::Works);
        denial_is_clear(&own("DELETE FROM billing.cards;").stderr);
        observed.note("denied call", Outcome::Works);

        // Whether its tables are partitioned, which it takes as no if it is not told.
        let looked = world.decided(&run.id, "pg_partitioned_table");
        observed.note(
            "metadata",
            match looked["decision"]["effect"].as_str() {
                Some("allow") => Outcome::Works,
                _ => Outcome::Denied,
            },
        );
        observed
    }
}

pub(crate) fn pg_dump(release: Release) -> impl Fn(&World, &Run) -> Observed {
    move |world, run| {
        let mut observed = release.observed("pg_dump");
        let dump = |arguments: &[&str]| {
            let said = finish(release.program("pg_dump").args(arguments).arg(run.url()));
            assert!(!said.stdout.contains("shop.example"), "{said:#?}");
            said
        };
        let said = dump(&[]);
        assert_eq!(said.code(), 1, "{said:#?}");
        // It gets so far as to ask for a search path of its own.
        let first = world.decided(&run.id, "set_config('search_path'");
        assert_eq!(first["decision"]["effect"], "deny");
        observed.note("connect", Outcome::Works);
        assert!(
            said.stderr.contains("set on setting search_path"),
            "{said:#?}"
        );
        observed.note("denied call", Outcome::Works);
        observed.note(
            "metadata",
            outcome(&dump(&["--schema-only"]), "CREATE TABLE"),
        );
        observed.note(
            "copy out",
            outcome(&dump(&["--data-only"]), "COPY public.tickets"),
        );
        for absent in [
            "simple",
            "prepared",
            "transaction",
            "copy in",
            "cancel",
            "error",
        ] {
            observed.note(absent, Outcome::Absent);
        }
        observed
    }
}
