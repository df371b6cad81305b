//! Drivers in Rust: tokio-postgres and sqlx.

use std::time::Duration;

use bailiwick_tests::{Run, World};
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use sqlx::postgres::{PgConnection, PgDatabaseError};
use sqlx::{Connection, Executor, Row};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::table::{Observed, Outcome};

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000000)";
const MISSPELT: &str = "SELECT txt FROM comments";
const MALFORMED: &str = "SELECT '{1'::int[]";
const TAKEN: &str = "INSERT INTO comments (id, ticket, author, text) VALUES (1, 1, 'a', 'b')";
const OUTSIDE: &str = "DELETE FROM billing.cards";

/// What a driver's own kind of error says.
#[derive(Debug)]
struct Report {
    code: String,
    message: String,
    detail: String,
    hint: String,
}

impl Report {
    fn outcome(&self) -> Outcome {
        assert!(
            self.code == "42501"
                && self.message.contains("call denied")
                && !self.detail.is_empty()
                && !self.hint.is_empty(),
            "it failed: {self:#?}"
        );
        Outcome::Denied
    }

    fn check_denial(&self) {
        assert_eq!(self.code, "42501");
        assert!(
            self.message.contains("outside the scope of this run"),
            "{self:#?}"
        );
        assert!(self.detail.contains("delete on billing.cards"), "{self:#?}");
        assert!(self.hint.contains("[[destroy]]"), "{self:#?}");
    }
}

fn check_errors([misspelt, malformed, taken]: [Report; 3]) {
    assert!(
        misspelt.code == "42703" && misspelt.hint.contains("comments.text"),
        "{misspelt:#?}"
    );
    assert!(
        malformed.code == "22P02" && !malformed.detail.is_empty(),
        "{malformed:#?}"
    );
    assert!(
        taken.code == "23505" && taken.message.contains("comments_pkey"),
        "{taken:#?}"
    );
    assert!(taken.detail.is_empty(), "{taken:#?}");
}

fn outcome<T>(done: Result<T, Report>) -> Outcome {
    match done {
        Ok(_) => Outcome::Works,
        Err(report) => report.outcome(),
    }
}

/// The version of a crate that these tests are built with.
fn locked(name: &str) -> String {
    let lock = include_str!("../../../Cargo.lock");
    let (_, after) = lock
        .split_once(&format!("name = \"{name}\"\nversion = \""))
        .expect("a crate");
    after.split('"').next().expect("a version").to_owned()
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work)
}

fn report(error: &tokio_postgres::Error) -> Report {
    let error = error
        .as_db_error()
        .unwrap_or_else(|| panic!("not the target's: {error:?}"));
    Report {
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().unwrap_or_default().to_owned(),
        hint: error.hint().unwrap_or_default().to_owned(),
    }
}

async fn error_of(client: &Client, sql: &str) -> Report {
    report(&client.batch_execute(sql).await.expect_err("an error"))
}

pub(crate) fn tokio_postgres(_world: &World, run: &Run) -> Observed {
    let mut observed = Observed::new("tokio-postgres", &locked("tokio-postgres"));
    wait(async {
        let (mut client, connection) = tokio_postgres::connect(run.url(), NoTls)
            .await
            .expect("a connection");
        let driving = tokio::spawn(connection);
        observed.note("connect", Outcome::Works);

        let several = client
            .simple_query("SELECT 41; SELECT email FROM tickets WHERE id = 3")
            .await
            .expect("rows");
        let values: Vec<_> = several
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        assert_eq!(values, ["41", "[masked]"]);
        observed.note("simple", Outcome::Works);

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
        observed.note("prepared", Outcome::Works);

        observed.note("transaction", outcome(transactions(&mut client).await));
        observed.note("copy in", outcome(copy_in(&client).await));
        observed.note("copy out", outcome(copy_out(&client).await));

        let token = client.cancel_token();
        let (cancelled, sent) = tokio::join!(error_of(&client, ENDLESS), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            token.cancel_query(NoTls).await
        });
        sent.expect("a cancel request");
        assert_eq!(cancelled.code, "57014");
        observed.note("cancel", Outcome::Works);

        check_errors([
            error_of(&client, MISSPELT).await,
            error_of(&client, MALFORMED).await,
            error_of(&client, TAKEN).await,
        ]);
        observed.note("error", Outcome::Works);
        error_of(&client, OUTSIDE).await.check_denial();
        client.batch_execute("SELECT 1").await.expect("it goes on");
        observed.note("denied call", Outcome::Works);

        // A type of the database's own.
        let mood = client.query_one("SELECT 'calm'::mood", &[]).await;
        observed.note("metadata", outcome(mood.map_err(|error| report(&error))));
        drop(client);
        driving.await.expect("a task").expect("a clean end");
    });
    observed
}

async fn transactions(client: &mut Client) -> Result<(), Report> {
    let broken = client.transaction().await.expect("a transaction");
    broken
        .execute("UPDATE tickets SET priority = $1 WHERE id = 2", &[&21])
        .await
        .map_err(|error| report(&error))?;
    report(&broken.execute(OUTSIDE, &[]).await.expect_err("a denial")).check_denial();
    broken.rollback().await.expect("a rollback");

    let mut held = client.transaction().await.expect("a transaction");
    held.execute("UPDATE tickets SET priority = $1 WHERE id = 3", &[&22])
        .await
        .map_err(|error| report(&error))?;
    let savepoint = held.transaction().await.expect("a savepoint");
    savepoint
        .execute("UPDATE tickets SET priority = $1 WHERE id = 4", &[&21])
        .await
        .map_err(|error| report(&error))?;
    report(&savepoint.execute(OUTSIDE, &[]).await.expect_err("a denial")).check_denial();
    savepoint
        .rollback()
        .await
        .expect("a rollback to the savepoint");
    // A portal that is read in pieces.
    let portal = held
        .bind("SELECT id FROM tickets ORDER BY id", &[])
        .await
        .expect("a portal");
    for _ in 0..2 {
        let rows = held
            .query_portal(&portal, 3)
            .await
            .map_err(|error| report(&error))?;
        assert_eq!(rows.len(), 3);
    }
    held.commit().await.expect("a commit");
    Ok(())
}

async fn copy_in(client: &Client) -> Result<(), Report> {
    let sink = client
        .copy_in("COPY comments (ticket, author, text) FROM STDIN")
        .await
        .map_err(|error| report(&error))?;
    let mut sink = std::pin::pin!(sink);
    let rows = bytes::Bytes::from_static(b"1\ttokio\tcopied\n2\ttokio\tcopied\n");
    sink.send(rows).await.expect("rows");
    assert_eq!(sink.finish().await.map_err(|error| report(&error))?, 2);
    Ok(())
}

async fn copy_out(client: &Client) -> Result<(), Report> {
    let stream = client
        .copy_out("COPY (SELECT id, email FROM tickets WHERE id = 1) TO STDOUT")
        .await
        .map_err(|error| report(&error))?;
    let rows: Vec<_> = stream.try_collect().await.map_err(|error| report(&error))?;
    assert_eq!(rows.concat(), b"1\t[masked]\n");
    Ok(())
}

fn sqlx_report(error: &sqlx::Error) -> Report {
    let error = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        .unwrap_or_else(|| panic!("not the target's: {error:?}"));
    Report {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().unwrap_or_default().to_owned(),
        hint: error.hint().unwrap_or_default().to_owned(),
    }
}

async fn sqlx_error_of(connection: &mut PgConnection, sql: &'static str) -> Report {
    sqlx_report(&connection.execute(sql).await.expect_err("an error"))
}

pub(crate) fn sqlx(_world: &World, run: &Run) -> Observed {
    let mut observed = Observed::new("sqlx", &locked("sqlx"));
    wait(async {
        let mut connection = PgConnection::connect(run.url())
            .await
            .expect("a connection");
        observed.note("connect", Outcome::Works);

        let several = sqlx::raw_sql("SELECT 'a'; SELECT email FROM tickets WHERE id = 3");
        let rows = several.fetch_all(&mut connection).await.expect("rows");
        let values: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(values, ["a", "[masked]"]);
        observed.note("simple", Outcome::Works);

        observed.note("prepared", outcome(sqlx_prepared(&mut connection).await));
        observed.note(
            "transaction",
            outcome(sqlx_transactions(&mut connection).await),
        );
        observed.note("copy in", outcome(sqlx_copy_in(&mut connection).await));
        // On a connection of its own: when it fails, whoever denied it, sqlx takes its end for the next
        // statement's.
        let mut other = PgConnection::connect(run.url())
            .await
            .expect("a connection");
        observed.note("copy out", outcome(sqlx_copy_out(&mut other).await));
        observed.note("cancel", Outcome::Absent);

        check_errors([
            sqlx_error_of(&mut connection, MISSPELT).await,
            sqlx_error_of(&mut connection, MALFORMED).await,
            sqlx_error_of(&mut connection, TAKEN).await,
        ]);
        observed.note("error", Outcome::Works);
        sqlx_error_of(&mut connection, OUTSIDE).await.check_denial();
        connection.execute("SELECT 1").await.expect("it goes on");
        observed.note("denied call", Outcome::Works);

        // A type of the database's own.
        let mood = sqlx::query("SELECT 'calm'::mood")
            .fetch_one(&mut connection)
            .await;
        observed.note(
            "metadata",
            outcome(mood.map_err(|error| sqlx_report(&error))),
        );
        connection.close().await.expect("a clean end");
    });
    observed
}

async fn sqlx_prepared(connection: &mut PgConnection) -> Result<(), Report> {
    for id in 1..=8i32 {
        let row = sqlx::query("SELECT id, subject, email FROM tickets WHERE id = $1")
            .bind(id)
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| sqlx_report(&error))?;
        let values: (i32, String, String) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(values, (id, format!("subject {id}"), "[masked]".to_owned()));
    }
    Ok(())
}

async fn sqlx_transactions(connection: &mut PgConnection) -> Result<(), Report> {
    let mut broken = connection.begin().await.expect("a transaction");
    broken
        .execute("UPDATE tickets SET priority = 21 WHERE id = 2")
        .await
        .map_err(|error| sqlx_report(&error))?;
    sqlx_error_of(&mut broken, OUTSIDE).await.check_denial();
    broken.rollback().await.expect("a rollback");

    let mut held = connection.begin().await.expect("a transaction");
    held.execute("UPDATE tickets SET priority = 22 WHERE id = 3")
        .await
        .map_err(|error| sqlx_report(&error))?;
    let mut savepoint = held.begin().await.expect("a savepoint");
    savepoint
        .execute("UPDATE tickets SET priority = 21 WHERE id = 4")
        .await
        .map_err(|error| sqlx_report(&error))?;
    sqlx_error_of(&mut savepoint, OUTSIDE).await.check_denial();
    savepoint
        .rollback()
        .await
        .expect("a rollback to the savepoint");
    held.commit().await.expect("a commit");
    Ok(())
}

async fn sqlx_copy_in(connection: &mut PgConnection) -> Result<(), Report> {
    let mut copy = connection
        .copy_in_raw("COPY comments (ticket, author, text) FROM STDIN")
        .await
        .map_err(|error| sqlx_report(&error))?;
    copy.send(&b"1\tsqlx\tcopied\n"[..]).await.expect("rows");
    assert_eq!(copy.finish().await.map_err(|error| sqlx_report(&error))?, 1);
    Ok(())
}

async fn sqlx_copy_out(connection: &mut PgConnection) -> Result<(), Report> {
    let mut copy = connection
        .copy_out_raw("COPY (SELECT id, email FROM tickets WHERE id = 1) TO STDOUT")
        .await
        .map_err(|error| sqlx_report(&error))?;
    let mut rows = Vec::new();
    while let Some(row) = copy.next().await {
        rows.extend_from_slice(&row.map_err(|error| sqlx_report(&error))?);
    }
    assert_eq!(rows, b"1\t[masked]\n");
    Ok(())
}
