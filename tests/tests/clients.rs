//! Unmodified clients work inside a run, with the URL they are given: psql, psycopg, node-postgres,
//! pgjdbc and tokio-postgres.

use bailiwick_tests::{
    Finished, Run, TRIAGE, World, command, finish, java, node, psql, python, skipped, task,
};
use serde_json::{Value, json};
use tokio_postgres::NoTls;
use tokio_postgres::types::Type;

fn triage() -> (World, Run) {
    let world = World::triage();
    let run = world.open("triage");
    (world, run)
}

/// Runs a client with what the task's `[env]` gives it.
#[track_caller]
fn with_environment(mut client: std::process::Command, run: &Run) -> Finished {
    finish(client.envs(&run.env))
}

/// What every client did: one transaction that was broken by a denial, one that held.
#[track_caller]
fn transactions_held(world: &World, broken: &str, held: &str) {
    let priority = |id: u32| world.sql(&format!("SELECT priority FROM tickets WHERE id = {id}"));
    assert_ne!(
        priority(2),
        broken,
        "a transaction that was denied was committed"
    );
    assert_eq!(priority(3), held);
    assert_eq!(world.sql("SELECT count(*) FROM billing.cards"), "3");
}

/// What every client was told when it reached for the cards.
#[track_caller]
fn denial_was_clear(code: &str, detail: &str, hint: &str) {
    assert_eq!(code, "42501");
    assert!(
        detail.contains("delete") && detail.contains("billing.cards"),
        "{detail}"
    );
    assert!(hint.contains("[[destroy]]"), "{hint}");
}

#[test]
fn psql_works_and_shows_denials_in_full() {
    let (world, run) = triage();
    let sql = "SELECT subject FROM tickets WHERE id = 3";
    let shown = finish(psql().args([run.url(), "-Atc", sql]));
    assert_eq!(shown.ok().trim(), "subject 3");
    let script =
        "BEGIN; UPDATE tickets SET priority = 11 WHERE id = 2; DELETE FROM billing.cards; COMMIT;
        BEGIN; UPDATE tickets SET priority = 12 WHERE id = 3; COMMIT; SELECT 'went on'";
    let file = world.work().join("script.sql");
    std::fs::write(&file, script).expect("a script");
    let shown = finish(psql().args([run.url(), "-Atq", "-f"]).arg(&file));
    assert_eq!(shown.ok().trim(), "went on");
    let line = |name: &str| {
        let found = shown
            .stderr
            .lines()
            .find_map(|line| line.trim().strip_prefix(name));
        found
            .unwrap_or_else(|| panic!("no {name} in {}", shown.stderr))
            .to_owned()
    };
    denial_was_clear("42501", &line("DETAIL:"), &line("HINT:"));
    assert!(
        shown.stderr.contains("outside the scope of this run"),
        "{}",
        shown.stderr
    );
    transactions_held(&world, "11", "12");
    // The exit status that scripts go by.
    let refused = finish(psql().args([run.url(), "-c", "DELETE FROM billing.cards"]));
    assert_eq!(refused.code(), 1, "{refused:#?}");
    // By environment variables, as libpq takes them.
    let secret = run
        .url()
        .split(':')
        .nth(2)
        .and_then(|rest| rest.split('@').next());
    let mut libpq = psql();
    libpq
        .env("PGUSER", &run.id)
        .env("PGPASSWORD", secret.expect("the run's secret"));
    libpq.env("PGHOST", "127.0.0.1").env(
        "PGPORT",
        world.address().rsplit(':').next().expect("a port"),
    );
    libpq
        .env("PGDATABASE", "tickets")
        .args(["-Atc", "SELECT 42"]);
    assert_eq!(finish(&mut libpq).ok().trim(), "42");
}

#[test]
fn psql_binds_parameters_where_it_can() {
    let (_world, run) = triage();
    let version = finish(command("psql").arg("--version"));
    let major: u32 = version
        .ok()
        .split_whitespace()
        .nth(2)
        .and_then(|version| version.split('.').next()?.parse().ok())
        .expect("a version");
    if major < 16 {
        // `\bind` came with psql 16; before, psql has the simple protocol only, tested above.
        skipped(&format!("psql {major} has no \\bind"));
        return;
    }
    let mut psql = psql();
    psql.args([
        run.url(),
        "-At",
        "-c",
        "SELECT subject FROM tickets WHERE id = $1 \\bind 4 \\g",
    ]);
    assert_eq!(finish(&mut psql).ok().trim(), "subject 4");
}

#[test]
fn psql_describes_what_the_task_lets_it_see() {
    let (_world, run) = triage();
    for meta in ["\\d", "\\dt", "\\d tickets"] {
        let refused = finish(psql().args([run.url(), "-c", meta]));
        assert!(
            refused.stderr.contains("outside the scope of this run"),
            "{meta}: {refused:#?}"
        );
        assert!(
            refused.stderr.contains("pg_catalog."),
            "{meta}: {refused:#?}"
        );
    }
    let world = World::granting("[[read]]\ntarget = \"tickets\"\ntables = [\"pg_catalog.*\"]\n");
    let run = world.open("triage");
    for (meta, shows) in [
        ("\\d", "contacts"),
        ("\\dt", "drafts"),
        ("\\d tickets", "priority"),
        ("\\d+ contacts", "View definition"),
        ("\\df", "touch"),
        ("\\dn", "billing"),
        ("\\l", "store"),
        ("\\du", "svc"),
    ] {
        let shown = finish(psql().args([run.url(), "-c", meta]));
        assert!(shown.ok().contains(shows), "{meta}: {shown:#?}");
        assert!(shown.stderr.is_empty(), "{meta}: {shown:#?}");
    }
}

#[test]
fn psycopg_works() {
    let (world, run) = triage();
    let finished = with_environment(python("psycopg3.py"), &run);
    let report: Value = serde_json::from_str(finished.ok()).expect("JSON");
    assert_eq!(report["parametrised"], "subject 3");
    assert_eq!(report["prepared"], json!([1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(report["binary"], json!([2, "subject 2", "[masked]", 0]));
    assert_eq!(report["pipeline"], json!([1, "42501"]));
    assert_eq!(report["after"], "went on");
    assert_eq!(report["cursor"], json!([1, 2, 3]));
    assert_eq!(report["many"], 5);
    assert_eq!(report["composed"], 20);
    let text = |key: &str| {
        report["denied"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    denial_was_clear(&text("code"), &text("detail"), &text("hint"));
    transactions_held(&world, "21", "22");
    assert_eq!(
        world.sql("SELECT count(*) FROM comments WHERE author = 'psycopg'"),
        "6"
    );
}

#[test]
fn node_postgres_works() {
    let (world, run) = triage();
    let finished = with_environment(node("pg.js"), &run);
    let report: Value = serde_json::from_str(finished.ok()).expect("JSON");
    assert_eq!(report["parametrised"], "subject 3");
    assert_eq!(report["prepared"], json!([1, 2, 3, 4]));
    assert_eq!(report["binary"], json!(["subject 2", "[masked]"]));
    assert_eq!(report["format"], "binary");
    assert_eq!(report["several"], json!([1, 2]));
    assert_eq!(report["pool"], json!([1, 2, 3, 4, 5, 6]));
    let text = |key: &str| {
        report["denied"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    denial_was_clear(&text("code"), &text("detail"), &text("hint"));
    transactions_held(&world, "31", "32");
}

#[test]
fn jdbc_works() {
    let (name, text) = task("triage", TRIAGE);
    let text = text.replace("[env]\n", "[env]\nJDBC_URL = \"jdbc:tickets\"\n");
    let world = World::builder().task((name, text)).start();
    let run = world.open("triage");
    let finished = with_environment(java("Jdbc.java"), &run);
    let said = |name: &str| {
        let found = finished
            .ok()
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found
            .unwrap_or_else(|| panic!("no {name} in {finished:#?}"))
            .to_owned()
    };
    let rows: String = (1..=8).map(|id| format!("{id} [masked],")).collect();
    assert_eq!(said("prepared"), rows);
    denial_was_clear(&said("code"), &said("detail"), &said("hint"));
    assert_eq!(said("updated"), "1");
    assert_eq!(said("batch"), "10");
    assert_eq!(said("pieces"), "20");
    transactions_held(&world, "41", "42");
    assert_eq!(
        world.sql("SELECT count(*) FROM comments WHERE author = 'jdbc'"),
        "10"
    );
}

#[test]
fn tokio_postgres_works() {
    let (world, run) = triage();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (mut client, connection) = tokio_postgres::connect(run.url(), NoTls)
            .await
            .expect("a connection");
        let driving = tokio::spawn(connection);
        let statement = client
            .prepare_typed("SELECT subject FROM tickets WHERE id = $1", &[Type::INT4])
            .await
            .expect("a prepared statement");
        for id in 1..=3i32 {
            let row = client.query_one(&statement, &[&id]).await.expect("a row");
            assert_eq!(row.get::<_, String>(0), format!("subject {id}"));
        }
        // Several at once, on one connection.
        let (one, two) = tokio::join!(
            client.query_one("SELECT id FROM tickets WHERE id = 5", &[]),
            client.query_one("SELECT id FROM tickets WHERE id = 6", &[]),
        );
        assert_eq!(
            (one.expect("a row").get(0), two.expect("a row").get(0)),
            (5i32, 6i32)
        );

        let transaction = client.transaction().await.expect("a transaction");
        transaction
            .execute("UPDATE tickets SET priority = $1 WHERE id = 2", &[&51])
            .await
            .expect("an update");
        let error = transaction
            .execute("DELETE FROM billing.cards", &[])
            .await
            .expect_err("a denial");
        let error = error.as_db_error().expect("the target's kind of error");
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        denial_was_clear(
            error.code().code(),
            &text(error.detail()),
            &text(error.hint()),
        );
        transaction.rollback().await.expect("a rollback");
        let transaction = client.transaction().await.expect("a transaction");
        transaction
            .execute("UPDATE tickets SET priority = $1 WHERE id = 3", &[&52])
            .await
            .expect("an update");
        transaction.commit().await.expect("a commit");
        drop(client);
        driving.await.expect("a task").expect("a clean end");
    });
    transactions_held(&world, "51", "52");
}
