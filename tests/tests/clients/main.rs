//! Unmodified clients behind the gateway, with the URL that a run is given. What each of them can do is
//! in docs/postgres-clients.md, which these tests hold to what they see.

mod catalogue;
mod drivers;
mod programs;
mod table;

use std::process::Command;

use bailiwick_tests::{
    Builder, Run, Store, TRIAGE, Version, World, finish, java, node, python, task,
};
use table::{Observed, Outcome};

/// Grants on data alone, as a task would have them; those on pgbench's tables as pgbench needs them.
const DATA: &str = r#"
[[read]]
target = "tickets"
tables = ["public.pgbench_accounts", "public.pgbench_branches", "public.pgbench_tellers"]
[[write]]
target = "tickets"
tables = ["public.pgbench_accounts", "public.pgbench_branches", "public.pgbench_tellers"]
verbs  = ["update"]
[[write]]
target = "tickets"
tables = ["public.pgbench_history"]
verbs  = ["insert"]
"#;

const OBJECTS: &str = "
CREATE TYPE mood AS ENUM ('calm', 'cross');
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
INSERT INTO pgbench_branches VALUES (1, 0);
INSERT INTO pgbench_tellers SELECT n, 1, 0 FROM generate_series(1, 10) n;
INSERT INTO pgbench_accounts SELECT n, 1, 0 FROM generate_series(1, 100) n;
";

/// A gateway with the tasks `plain` and `catalogue`, in front of the system's PostgreSQL.
fn world() -> World {
    let world = tasks().start();
    world.sql(OBJECTS);
    world
}

fn tasks() -> Builder {
    let both = |name: &str, grants: &str| {
        let (name, text) = task(name, &format!("{TRIAGE}{DATA}{grants}"));
        let jdbc = "[env]\nJDBC_URL = \"jdbc:tickets\"\n";
        (name, text.replace("[env]\n", jdbc))
    };
    World::builder()
        .task(both("plain", ""))
        .task(both("catalogue", &table::catalogue_grant()))
}

/// Watches a client in a run of either task, and holds the table's row against it. Each has a
/// transaction that a denial breaks, and one that holds but for a savepoint.
#[track_caller]
fn watch(look: impl Fn(&World, &Run) -> Observed) {
    let world = world();
    let [plain, catalogue] = ["plain", "catalogue"].map(|task| {
        world.sql("UPDATE tickets SET priority = 0");
        let run = world.open(task);
        let observed = look(&world, &run);
        let transaction = observed.outcomes.get("transaction");
        let priorities = match transaction {
            Some(Outcome::Works) if observed.client != "pgbench" => "0|22|0",
            _ => "0|0|0",
        };
        let found = world.sql(
            "SELECT string_agg(priority::text, '|' ORDER BY id) FROM tickets WHERE id IN (2, 3, 4)",
        );
        assert_eq!(found, priorities, "{observed:#?}");
        assert_eq!(world.sql("SELECT count(*) FROM billing.cards"), "3");
        (observed, world.trail(&run.id))
    });
    let (plain, _) = plain;
    let (catalogue, trail) = catalogue;
    table::check(&plain, &catalogue);
    let sent = trail.iter().map(|entry| entry["payload"]["text"].as_str());
    let sent: Vec<_> = sent.flatten().map(str::to_owned).collect();
    table::check_statements(&plain.client, &sent);
}

/// A client's program that prints a line for each feature.
fn script(mut program: Command) -> impl Fn(&World, &Run) -> Observed {
    let program = std::sync::Mutex::new(move |run: &Run| finish(program.envs(&run.env)));
    move |_, run| {
        let finished = (program.lock().expect("one at a time"))(run);
        assert!(
            !finished.stdout.contains("failed"),
            "{}\n{}",
            finished.stdout,
            finished.stderr
        );
        Observed::read(&finished.stdout)
    }
}

/// A test for each row of the table.
macro_rules! clients {
    ($($test:ident: $client:literal => $look:expr;)*) => {
        $(#[test]
        fn $test() {
            watch($look);
        })*

        #[test]
        fn every_row_of_the_table_has_a_test() {
            table::check_rows(&[$($client),*]);
            table::check_readme();
        }
    };
}

clients! {
    psql_works: "psql" => programs::psql(programs::system());
    psql_18_works: "psql" => programs::psql(programs::newest());
    pgbench_works: "pgbench" => programs::pgbench(programs::system());
    pgbench_18_works: "pgbench" => programs::pgbench(programs::newest());
    pg_dump_is_denied: "pg_dump" => programs::pg_dump(programs::system());
    pg_dump_18_is_denied: "pg_dump" => programs::pg_dump(programs::newest());
    psycopg_works: "psycopg" => script(python("psycopg3.py"));
    asyncpg_works: "asyncpg" => script(python("asyncpg_client.py"));
    sqlalchemy_works: "SQLAlchemy" => script(python("sqlalchemy_client.py"));
    sqlalchemy_without_hstore_works: "SQLAlchemy without hstore" => script({
        let mut program = python("sqlalchemy_client.py");
        program.arg("without hstore");
        program
    });
    node_postgres_works: "node-postgres" => script(node("pg.js"));
    drizzle_works: "Drizzle" => script(node("drizzle.js"));
    jdbc_works: "JDBC" => script(java("Jdbc.java"));
    tokio_postgres_works: "tokio-postgres" => drivers::tokio_postgres;
    sqlx_works: "sqlx" => drivers::sqlx;
}

/// What a client looks up depends on its server; the table is about the system's.
#[test]
fn the_catalogue_grant_is_enough_for_postgresql_18() {
    let store = Store::of(Version::Newest);
    let database = store.database();
    store.sql(&database, OBJECTS);
    let url = World::url(store, &database);
    let world = tasks().target("tickets", &url).start();
    let run = world.open("catalogue");
    let shown = programs::metadata(&programs::newest(), &run, false);
    assert_eq!(shown, Outcome::Works);
    for program in [
        python("psycopg3.py"),
        python("asyncpg_client.py"),
        python("sqlalchemy_client.py"),
        java("Jdbc.java"),
    ] {
        let observed = script(program)(&world, &run);
        let metadata = observed.outcomes.get("metadata");
        assert_eq!(metadata, Some(&Outcome::Works), "{observed:#?}");
    }
    for drive in [drivers::tokio_postgres, drivers::sqlx] {
        let observed = drive(&world, &run);
        let metadata = observed.outcomes.get("metadata");
        assert_eq!(metadata, Some(&Outcome::Works), "{observed:#?}");
    }
}
