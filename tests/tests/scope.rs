//! What a run may do and what it may not: a call within the scope goes through, one outside it never
//! reaches the target, is denied in PostgreSQL's own way, and the session goes on.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use bailiwick_tests::{
    Agent, Run, Store, TRIAGE, World, actions, eventually, finish, frontend, mark, psql, signal,
    task,
};
use bytes::{BufMut, BytesMut};

/// Denied, named, never at the target, and the session goes on.
#[track_caller]
fn stays_out(agent: &mut Agent, sql: &str, names: &[&str]) {
    let mark = mark();
    agent.query(&format!("{sql} {mark}")).denied(names);
    assert!(!Store::shared().saw(&mark), "it reached the target: {sql}");
    goes_through(agent, "SELECT 41 + 1");
}

/// Allowed, and at the target. What makes [`stays_out`] mean something.
#[track_caller]
fn goes_through(agent: &mut Agent, sql: &str) {
    let mark = mark();
    agent.query(&format!("{sql} {mark}")).ok();
    assert!(
        Store::shared().saw(&mark),
        "it did not reach the target: {sql}"
    );
}

fn triage() -> (World, Run, Agent) {
    let world = World::triage();
    let run = world.open("triage");
    let agent = Agent::connect(&run);
    (world, run, agent)
}

fn granting(grants: &str) -> (World, Run, Agent) {
    let world = World::granting(grants);
    let run = world.open("triage");
    let agent = Agent::connect(&run);
    (world, run, agent)
}

#[test]
fn what_the_task_lists_goes_through() {
    let (world, run, mut agent) = triage();
    let answer = agent
        .query("SELECT id, subject FROM tickets ORDER BY id LIMIT 2")
        .ok();
    assert_eq!(answer.values(), ["1", "subject 1", "2", "subject 2"]);
    let answer = agent
        .query("UPDATE tickets SET priority = 3 WHERE id = 1")
        .ok();
    assert_eq!(answer.tags(), ["UPDATE 1"]);
    agent
        .query("INSERT INTO comments (ticket, author, text) VALUES (1, 'agent', 'seen')")
        .ok();
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 1"), "3");
    assert_eq!(
        world.sql("SELECT text FROM comments WHERE author = 'agent'"),
        "seen"
    );

    let decided = world.decided(&run.id, "UPDATE tickets");
    assert_eq!(decided["decision"]["effect"], "allow");
    assert_eq!(decided["target"], "tickets");
    assert!(
        actions(&decided).contains(&"update public.tickets".to_owned()),
        "{decided:#}"
    );
}

#[test]
fn what_it_does_not_list_never_reaches_the_target() {
    let (_world, _run, mut agent) = triage();
    goes_through(&mut agent, "SELECT id FROM tickets");
    for (sql, names) in [
        ("SELECT * FROM billing.cards", "billing.cards"),
        (
            "SELECT 1 FROM tickets, billing.invoices",
            "billing.invoices",
        ),
        (
            "SELECT (SELECT max(number) FROM billing.cards)",
            "billing.cards",
        ),
        (
            "SELECT id FROM tickets WHERE EXISTS (SELECT FROM billing.cards)",
            "billing.cards",
        ),
        ("TABLE drafts", "public.drafts"),
        ("SELECT contact FROM contacts", "public.contacts"),
        ("SELECT rolpassword FROM pg_authid", "pg_catalog.pg_authid"),
        (
            "SELECT * FROM pg_stat_activity",
            "pg_catalog.pg_stat_activity",
        ),
        (
            "SELECT * FROM information_schema.tables",
            "information_schema.tables",
        ),
    ] {
        stays_out(&mut agent, sql, &[names]);
    }
}

#[test]
fn a_denial_says_what_was_outside_and_what_to_ask_for() {
    let (world, run, mut agent) = triage();
    let denial = agent
        .query("DELETE FROM billing.invoices")
        .denied(&["delete", "billing.invoices"]);
    assert!(denial.hint.contains("[[destroy]]"), "{denial:#?}");
    assert!(denial.hint.contains("billing.invoices"), "{denial:#?}");
    let decided = world.decided(&run.id, "DELETE FROM billing.invoices");
    assert_eq!(decided["decision"]["effect"], "deny");
    assert_eq!(decided["decision"]["reason"], denial.detail.as_str());
    assert_eq!(decided["decision"]["remedy"], denial.hint.as_str());
}

#[test]
fn the_same_names_mean_what_they_mean_to_the_target() {
    let (_world, _run, mut agent) = triage();
    goes_through(&mut agent, "SELECT \"id\" FROM \"public\".\"tickets\"");
    goes_through(&mut agent, "SELECT ID FROM PUBLIC.Tickets");
    goes_through(
        &mut agent,
        "WITH cards AS (SELECT 1 AS id) SELECT id FROM cards",
    );
    stays_out(
        &mut agent,
        "SELECT id FROM billing.\"cards\"",
        &["billing.cards"],
    );
    // A name that is hidden by a common table expression in one place only.
    stays_out(
        &mut agent,
        "SELECT 1 FROM (WITH cards AS (SELECT 1) SELECT FROM cards) c, billing.cards",
        &["billing.cards"],
    );
    stays_out(&mut agent, "SELECT id FROM ONLY drafts", &["public.drafts"]);
    stays_out(
        &mut agent,
        "SELECT id FROM tickets NATURAL JOIN drafts",
        &["public.drafts"],
    );
}

#[test]
fn writes_are_granted_by_column() {
    let (world, _run, mut agent) = triage();
    goes_through(&mut agent, "UPDATE tickets SET priority = 2 WHERE id = 2");
    stays_out(
        &mut agent,
        "UPDATE tickets SET subject = 'x'",
        &["public.tickets", "subject"],
    );
    stays_out(
        &mut agent,
        "UPDATE tickets SET priority = 9, subject = 'x'",
        &["public.tickets", "subject"],
    );
    stays_out(
        &mut agent,
        "UPDATE tickets SET (priority, body) = (1, 'x')",
        &["body"],
    );
    stays_out(
        &mut agent,
        "INSERT INTO tickets VALUES (99, 'x')",
        &["insert", "public.tickets"],
    );
    stays_out(
        &mut agent,
        "UPDATE comments SET text = 'x'",
        &["update", "public.comments"],
    );
    // An insert that becomes an update.
    goes_through(
        &mut agent,
        "INSERT INTO comments (id, text) VALUES (900, 'x') ON CONFLICT DO NOTHING",
    );
    stays_out(
        &mut agent,
        "INSERT INTO comments (id, text) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET text = 'y'",
        &["update", "public.comments"],
    );
    assert_eq!(
        world.sql("SELECT count(*) FROM tickets WHERE subject = 'x'"),
        "0"
    );
    assert_eq!(
        world.sql("SELECT text FROM comments WHERE id = 1"),
        "comment 1"
    );
}

#[test]
fn destroying_is_never_implied_by_writing() {
    let grants = r#"
[[write]]
target = "tickets"
tables = ["public.drafts"]
[[read]]
target = "tickets"
tables = ["public.drafts"]
"#;
    let (world, _run, mut agent) = granting(grants);
    goes_through(&mut agent, "UPDATE drafts SET text = 'mine' WHERE id = 1");
    goes_through(&mut agent, "INSERT INTO drafts VALUES (100, 'mine')");
    stays_out(
        &mut agent,
        "DELETE FROM drafts WHERE id = 1",
        &["delete", "public.drafts"],
    );
    stays_out(
        &mut agent,
        "TRUNCATE drafts",
        &["truncate", "public.drafts"],
    );
    stays_out(&mut agent, "DROP TABLE drafts", &["drop", "public.drafts"]);
    stays_out(
        &mut agent,
        "MERGE INTO drafts USING tickets t ON drafts.id = t.id WHEN MATCHED THEN DELETE",
        &["delete", "public.drafts"],
    );
    assert_eq!(world.sql("SELECT count(*) FROM drafts"), "6");
}

#[test]
fn destroying_is_granted_verb_by_verb() {
    let grants = r#"
[[read]]
target = "tickets"
tables = ["public.drafts"]
[[destroy]]
target = "tickets"
tables = ["public.drafts"]
"#;
    let (world, _run, mut agent) = granting(grants);
    goes_through(&mut agent, "DELETE FROM drafts WHERE id = 1");
    assert_eq!(world.sql("SELECT count(*) FROM drafts"), "4");
    stays_out(
        &mut agent,
        "TRUNCATE drafts",
        &["truncate", "public.drafts"],
    );
    stays_out(&mut agent, "DROP TABLE drafts", &["drop", "public.drafts"]);
    stays_out(
        &mut agent,
        "UPDATE drafts SET text = 'x'",
        &["update", "public.drafts"],
    );
    stays_out(
        &mut agent,
        "DELETE FROM comments",
        &["delete", "public.comments"],
    );
}

#[test]
fn administration_is_never_implied() {
    let grants = r#"
[[write]]
target = "tickets"
tables = ["public.*"]
[[destroy]]
target = "tickets"
tables = ["public.*"]
verbs  = ["delete", "truncate", "drop"]
"#;
    let (world, _run, mut agent) = granting(grants);
    goes_through(&mut agent, "TRUNCATE drafts");
    for sql in [
        "CREATE TABLE extra (id int)",
        "CREATE TEMP TABLE extra (id int)",
        "ALTER TABLE drafts ADD COLUMN extra int",
        "CREATE INDEX ON drafts (text)",
        "CREATE VIEW all_cards AS SELECT * FROM billing.cards",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER t BEFORE INSERT ON drafts FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE r AS ON INSERT TO drafts DO ALSO DELETE FROM billing.cards",
        "CREATE ROLE mallory SUPERUSER",
        "ALTER ROLE svc PASSWORD 'mine'",
        "GRANT ALL ON billing.cards TO PUBLIC",
        "CREATE EXTENSION dblink",
        "ALTER SYSTEM SET log_statement = 'none'",
        "VACUUM drafts",
        "CHECKPOINT",
        "LOAD 'auto_explain'",
        "COMMENT ON TABLE drafts IS 'x'",
        "REASSIGN OWNED BY svc TO postgres",
        "NOTIFY channel, 'x'",
        "LISTEN channel",
    ] {
        stays_out(&mut agent, sql, &[]);
    }
    assert_eq!(
        world.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'mallory'"),
        "0"
    );
}

#[test]
fn administration_is_granted_verb_by_verb() {
    let grants = r#"
[[admin]]
target = "tickets"
tables = ["public.extra"]
verbs  = ["create"]
[[read]]
target = "tickets"
tables = ["public.extra"]
"#;
    let (world, _run, mut agent) = granting(grants);
    goes_through(&mut agent, "CREATE TABLE extra (id int)");
    // What was just made is known at once.
    goes_through(&mut agent, "SELECT id FROM extra");
    stays_out(
        &mut agent,
        "ALTER TABLE extra ADD COLUMN more int",
        &["alter", "public.extra"],
    );
    stays_out(&mut agent, "DROP TABLE extra", &["drop", "public.extra"]);
    stays_out(
        &mut agent,
        "CREATE TABLE other (id int)",
        &["create", "public.other"],
    );
    assert_eq!(world.sql("SELECT count(*) FROM extra"), "0");
}

#[test]
fn several_statements_are_one_call_and_all_must_be_allowed() {
    let (world, _run, mut agent) = triage();
    let answer = agent
        .query("SELECT 1; UPDATE tickets SET priority = 5 WHERE id = 5; SELECT 2")
        .ok();
    assert_eq!(answer.tags(), ["SELECT 1", "UPDATE 1", "SELECT 1"]);
    stays_out(
        &mut agent,
        "UPDATE tickets SET priority = 6 WHERE id = 5; DELETE FROM billing.cards; SELECT 1",
        &["delete", "billing.cards"],
    );
    stays_out(
        &mut agent,
        "SELECT 1; ; SELECT number FROM billing.cards",
        &["billing.cards"],
    );
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 5"), "5");
}

#[test]
fn a_statement_is_all_that_its_parts_do() {
    let (world, _run, mut agent) = triage();
    goes_through(
        &mut agent,
        "WITH moved AS (UPDATE tickets SET priority = 4 WHERE id = 4 RETURNING id) SELECT * FROM moved",
    );
    stays_out(
        &mut agent,
        "WITH gone AS (DELETE FROM tickets RETURNING id) SELECT count(*) FROM gone",
        &["delete", "public.tickets"],
    );
    stays_out(
        &mut agent,
        "INSERT INTO comments (text) WITH gone AS (DELETE FROM drafts RETURNING text) SELECT text FROM gone",
        &["delete", "public.drafts"],
    );
    stays_out(
        &mut agent,
        "SELECT id INTO loot FROM tickets",
        &["create", "loot"],
    );
    stays_out(
        &mut agent,
        "CREATE TABLE loot AS SELECT id FROM tickets",
        &["create", "loot"],
    );
    goes_through(&mut agent, "EXPLAIN SELECT id FROM tickets");
    stays_out(
        &mut agent,
        "EXPLAIN ANALYZE DELETE FROM tickets",
        &["delete", "public.tickets"],
    );
    stays_out(
        &mut agent,
        "EXPLAIN SELECT * FROM billing.cards",
        &["billing.cards"],
    );
    stays_out(
        &mut agent,
        "SELECT id FROM tickets FOR UPDATE OF tickets; TABLE drafts",
        &["drafts"],
    );
    assert_eq!(world.sql("SELECT count(*) FROM tickets"), "20");
    assert_eq!(world.sql("SELECT to_regclass('loot') IS NULL"), "t");
}

#[test]
fn what_is_not_understood_is_denied() {
    let (world, run, mut agent) = triage();
    stays_out(&mut agent, "SELEKT 1", &[]);
    stays_out(&mut agent, "DO $$ BEGIN DELETE FROM tickets; END $$", &[]);
    stays_out(&mut agent, "SELECT * FROM no_such_table", &[]);
    stays_out(
        &mut agent,
        &format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        &[],
    );
    assert_eq!(world.sql("SELECT count(*) FROM tickets"), "20");
    assert_eq!(
        world.decided(&run.id, "SELEKT 1")["decision"]["effect"],
        "deny"
    );
    assert_eq!(
        world.decided(&run.id, "DO $$")["decision"]["effect"],
        "deny"
    );
}

#[test]
fn a_name_that_nobody_knows_is_denied_by_its_name() {
    let (_world, _run, mut agent) = triage();
    stays_out(
        &mut agent,
        "SELECT * FROM no_such_table",
        &["no_such_table"],
    );
    stays_out(
        &mut agent,
        "SELECT no_such_function(1)",
        &["no_such_function"],
    );
    stays_out(
        &mut agent,
        "DELETE FROM no_such_schema.t",
        &["no_such_schema.t"],
    );
}

#[test]
fn prepared_statements_are_what_they_hold() {
    let (world, _run, mut agent) = triage();
    goes_through(
        &mut agent,
        "PREPARE fine AS SELECT id FROM tickets WHERE id = $1",
    );
    assert_eq!(agent.query("EXECUTE fine (3)").ok().value(), "3");
    stays_out(
        &mut agent,
        "PREPARE bad AS DELETE FROM tickets",
        &["delete", "public.tickets"],
    );
    stays_out(&mut agent, "EXECUTE bad", &[]);
    stays_out(
        &mut agent,
        "EXECUTE fine ((SELECT max(id) FROM billing.cards))",
        &["billing.cards"],
    );
    agent.query("DEALLOCATE fine").ok();
    stays_out(&mut agent, "EXECUTE fine (3)", &[]);
    assert_eq!(world.sql("SELECT count(*) FROM tickets"), "20");
}

#[test]
fn cursors_are_what_they_are_declared_for() {
    let (_world, _run, mut agent) = triage();
    agent.query("BEGIN").ok();
    goes_through(
        &mut agent,
        "DECLARE c CURSOR FOR SELECT id FROM tickets ORDER BY id",
    );
    assert_eq!(agent.query("FETCH 2 FROM c").ok().values(), ["1", "2"]);
    agent.query("CLOSE c").ok();
    agent.query("COMMIT").ok();
    let mark = mark();
    agent.query("BEGIN").ok();
    let answer = agent.query(&format!(
        "DECLARE d CURSOR FOR SELECT * FROM billing.cards {mark}"
    ));
    answer.denied(&["billing.cards"]);
    assert_eq!(answer.status, 'E');
    assert!(!Store::shared().saw(&mark));
    agent.query("ROLLBACK").ok();
}

#[test]
fn functions_are_a_resource() {
    let grants = "[[write]]\ntarget = \"tickets\"\nfunctions = [\"public.touch\"]\n";
    let (world, _run, mut agent) = granting(grants);
    goes_through(
        &mut agent,
        "SELECT upper(subject), now(), count(*) OVER () FROM tickets",
    );
    assert_eq!(agent.query("SELECT touch(6)").ok().value(), "100");
    stays_out(&mut agent, "SELECT peek()", &["public.peek"]);
    stays_out(&mut agent, "SELECT * FROM peek()", &["public.peek"]);
    stays_out(
        &mut agent,
        "UPDATE tickets SET priority = length(peek())",
        &["public.peek"],
    );
    stays_out(
        &mut agent,
        "SELECT id FROM tickets ORDER BY (SELECT peek())",
        &["public.peek"],
    );
    for (sql, function) in [
        ("SELECT lo_create(0)", "lo_create"),
        (
            "SELECT query_to_xml('SELECT * FROM billing.cards', true, true, '')",
            "query_to_xml",
        ),
        (
            "SELECT set_config('log_statement', 'none', false)",
            "log_statement",
        ),
        (
            "SELECT set_config(subject, 'none', false) FROM tickets",
            "set_config",
        ),
        ("SELECT nextval('numbers')", "nextval"),
        ("SELECT setval('numbers', 7)", "setval"),
        ("SELECT pg_read_file('/etc/passwd')", "pg_read_file"),
        ("SELECT pg_ls_dir('/')", "pg_ls_dir"),
        ("SELECT pg_terminate_backend(1)", "pg_terminate_backend"),
        ("SELECT pg_reload_conf()", "pg_reload_conf"),
        ("SELECT pg_advisory_lock(1)", "pg_advisory_lock"),
        (
            "SELECT table_to_xml('billing.cards', true, true, '')",
            "table_to_xml",
        ),
        ("SELECT pg_notify('channel', 'x')", "pg_notify"),
        ("SELECT * FROM pg_sleep(60)", "pg_sleep"),
        ("SELECT dblink('', 'DROP TABLE tickets')", ""),
    ] {
        stays_out(&mut agent, sql, &[function]);
    }
    assert_eq!(
        world.sql("SELECT count(*) FROM pg_largeobject_metadata"),
        "0"
    );
    assert_eq!(world.sql("SELECT is_called FROM numbers"), "f");
}

#[test]
fn a_session_cannot_become_another() {
    let (_world, _run, mut agent) = triage();
    goes_through(&mut agent, "SET statement_timeout = '5s'");
    goes_through(&mut agent, "SET TIME ZONE 'UTC'");
    goes_through(&mut agent, "SHOW search_path");
    for sql in [
        "SET ROLE postgres",
        "RESET ROLE",
        "SET SESSION AUTHORIZATION postgres",
        "RESET SESSION AUTHORIZATION",
        "SET search_path = billing",
        "SET LOCAL search_path TO billing, public",
        "SET row_security = off",
        "SET standard_conforming_strings = off",
        "SET client_encoding = 'LATIN1'",
        "SET session_replication_role = replica",
        "SET log_statement = 'none'",
    ] {
        stays_out(&mut agent, sql, &[]);
    }
    assert_eq!(agent.query("SELECT current_user").ok().value(), "svc");
    assert!(
        !agent
            .query("SHOW search_path")
            .ok()
            .value()
            .contains("billing")
    );
}

#[test]
fn a_search_path_of_the_connection_cannot_move_names() {
    // The startup packet is the agent's too.
    let (_world, run, _agent) = triage();
    let mut psql = psql();
    psql.args([run.url(), "-Atc", "SHOW search_path"]);
    psql.env("PGOPTIONS", "-c search_path=billing -c log_statement=none");
    let said = finish(&mut psql);
    assert!(
        !said.status.success() || !said.stdout.contains("billing"),
        "the agent's options reached the target: {said:#?}"
    );
}

#[test]
fn in_a_transaction_a_denial_is_an_error_like_any_other() {
    let (world, _run, mut agent) = triage();
    agent.query("BEGIN").ok();
    assert_eq!(
        agent
            .query("UPDATE tickets SET priority = 7 WHERE id = 1")
            .ok()
            .status,
        'T'
    );
    let denied = agent.query("DELETE FROM tickets");
    denied.denied(&["delete", "public.tickets"]);
    assert_eq!(denied.status, 'E');
    let aborted = agent
        .query("SELECT id FROM tickets")
        .error()
        .expect("an error");
    assert_eq!(aborted.code, "25P02", "{aborted:#?}");
    let committed = agent.query("COMMIT").ok();
    assert_eq!(
        (committed.tags(), committed.status),
        (vec!["ROLLBACK".to_owned()], 'I')
    );
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 1"), "0");

    agent.query("BEGIN").ok();
    agent
        .query("UPDATE tickets SET priority = 8 WHERE id = 1")
        .ok();
    agent.query("SAVEPOINT here").ok();
    agent.query("TRUNCATE tickets").denied(&["truncate"]);
    assert_eq!(agent.query("ROLLBACK TO here").ok().status, 'T');
    let committed = agent.query("COMMIT").ok();
    assert_eq!(
        (committed.tags(), committed.status),
        (vec!["COMMIT".to_owned()], 'I')
    );
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 1"), "8");

    agent.query("BEGIN").ok();
    agent.query("DROP TABLE tickets").denied(&["drop"]);
    let rolled_back = agent.query("ROLLBACK").ok();
    assert_eq!(
        (rolled_back.tags(), rolled_back.status),
        (vec!["ROLLBACK".to_owned()], 'I')
    );
}

/// Appends one statement of a pipeline.
fn step(out: &mut BytesMut, sql: &str) {
    frontend::parse("", sql, [], out).expect("a parse");
    let bound = frontend::bind("", "", [], [""; 0], |_, _| unreachable!(), [], out);
    assert!(bound.is_ok());
    frontend::execute("", 0, out).expect("an execute");
}

#[test]
fn in_a_pipeline_a_denial_skips_the_rest_and_undoes_what_came_before() {
    let (world, run, mut agent) = triage();
    let (before, denied, after) = (mark(), mark(), mark());
    agent.send(|out| {
        step(
            out,
            &format!("UPDATE tickets SET priority = 11 WHERE id = 1 {before}"),
        );
        step(out, &format!("DELETE FROM tickets {denied}"));
        step(
            out,
            &format!("UPDATE tickets SET priority = 12 WHERE id = 2 {after}"),
        );
        frontend::sync(out);
        step(out, "UPDATE tickets SET priority = 13 WHERE id = 3");
        frontend::sync(out);
    });
    let first = agent.answer();
    first.denied(&["delete", "public.tickets"]);
    assert_eq!(first.kinds(), "12CE", "{first:#?}");
    assert_eq!(first.status, 'I');
    let second = agent.answer().ok();
    assert_eq!(second.tags(), ["UPDATE 1"]);
    let store = Store::shared();
    assert!(store.saw(&before), "the first was sent");
    assert!(!store.saw(&denied), "the second never");
    assert!(!store.saw(&after), "and neither the third");
    let rows =
        world.sql("SELECT string_agg(priority::text, ' ' ORDER BY id) FROM tickets WHERE id < 4");
    assert_eq!(rows, "0 0 13");
    assert_eq!(
        world.decided(&run.id, &denied)["decision"]["effect"],
        "deny"
    );
}

#[test]
fn an_execute_is_what_its_parse_was() {
    let (_world, _run, mut agent) = triage();
    let mark = mark();
    agent.send(|out| {
        frontend::parse(
            "s",
            &format!("SELECT number FROM billing.cards {mark}"),
            [],
            out,
        )
        .expect("a parse");
        frontend::sync(out);
    });
    agent.answer().denied(&["billing.cards"]);
    agent.send(|out| {
        let bound = frontend::bind("", "s", [], [""; 0], |_, _| unreachable!(), [], out);
        assert!(bound.is_ok());
        frontend::execute("", 0, out).expect("an execute");
        frontend::sync(out);
    });
    let answer = agent.answer();
    assert_eq!(
        answer.error().expect("an error").code,
        "26000",
        "{answer:#?}"
    );
    assert!(!Store::shared().saw(&mark));
    // And one that is fine, bound twice.
    for id in ["1", "2"] {
        let answer = agent
            .execute("SELECT id FROM tickets WHERE id = $1::int", &[id], false)
            .ok();
        assert_eq!(answer.value(), id);
    }
}

#[test]
fn copy_is_a_read_or_a_write_or_a_denial() {
    let (world, _run, mut agent) = triage();
    // In: a write of the table.
    agent.send(|out| {
        frontend::query("COPY comments (ticket, author, text) FROM STDIN", out).expect("a query")
    });
    let ready = agent.message().expect("an answer");
    assert_eq!(char::from(ready.tag), 'G', "{ready:#?}");
    agent.send(|out| {
        for row in ["1\tcopy\tone\n", "2\tcopy\ttwo\n"] {
            frontend::CopyData::new(row.as_bytes())
                .expect("data")
                .write(out);
        }
        frontend::copy_done(out);
    });
    let answer = agent.answer().ok();
    assert_eq!(answer.tags(), ["COPY 2"]);
    assert_eq!(
        world.sql("SELECT count(*) FROM comments WHERE author = 'copy'"),
        "2"
    );
    stays_out(
        &mut agent,
        "COPY drafts FROM STDIN",
        &["insert", "public.drafts"],
    );
    // Out: a read of the table, or of what its query reads.
    let answer = agent.query("COPY (SELECT id FROM tickets) TO STDOUT").ok();
    assert_eq!(answer.tags(), ["COPY 20"]);
    for sql in [
        "COPY billing.cards TO STDOUT",
        "COPY (SELECT number FROM billing.cards) TO STDOUT (FORMAT csv)",
    ] {
        stays_out(&mut agent, sql, &["select", "billing.cards"]);
    }
    stays_out(
        &mut agent,
        "COPY (DELETE FROM tickets RETURNING id) TO STDOUT",
        &["delete", "public.tickets"],
    );
    // Programs and files of the server.
    stays_out(
        &mut agent,
        "COPY comments FROM PROGRAM 'id > /tmp/owned'",
        &[],
    );
    stays_out(&mut agent, "COPY (SELECT 1) TO PROGRAM 'sh'", &[]);
    stays_out(&mut agent, "COPY comments FROM '/etc/passwd'", &[]);
    stays_out(&mut agent, "COPY comments TO '/tmp/loot'", &[]);
}

#[test]
fn a_function_call_message_is_denied() {
    let (world, run, mut agent) = triage();
    agent.send(|out| {
        out.put_u8(b'F');
        out.put_i32(4 + 4 + 2 + 2 + 4 + 4 + 2);
        // lo_create(0), and the result as text.
        out.put_u32(715);
        out.put_i16(0);
        out.put_i16(1);
        out.put_i32(4);
        out.put_slice(b"1234");
        out.put_i16(0);
    });
    let answer = agent.answer();
    answer.denied(&["function call"]);
    assert!(!Store::shared().saw("fastpath"));
    goes_through(&mut agent, "SELECT 1");
    assert_eq!(
        world.sql("SELECT count(*) FROM pg_largeobject_metadata"),
        "0"
    );
    let trail = world.trail(&run.id);
    let denied = |entry: &serde_json::Value| {
        entry["record"]["call"]["verb"] == "FUNCTION CALL"
            && entry["record"]["decision"]["effect"] == "deny"
    };
    assert!(trail.iter().any(denied), "{trail:#?}");
}

/// Takes until it is cancelled, in the target.
const LONG: &str = "SELECT count(*) FROM tickets a, generate_series(1, 2000000000) b";

#[test]
fn cancelling_reaches_only_the_own_session() {
    let world = World::triage();
    let mut cancelled = Agent::connect(&world.open("triage"));
    let other_run = world.open("triage");
    let mut other = Agent::connect(&other_run);
    for agent in [&mut cancelled, &mut other] {
        agent.send(|out| frontend::query(LONG, out).expect("a query"));
    }
    let running = || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT count(*) FROM tickets a%' AND state = 'active'";
        world.sql(sql)
    };
    eventually("both run", Duration::from_secs(5), || {
        (running() == "2").then_some(())
    });
    // The target's own key is not what the agent was told.
    let pid = cancelled.key.0;
    let known = world.sql(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
    ));
    assert_eq!(known, "0", "the agent knows the target's own process id");

    let cancel = |(process, secret): (i32, i32)| {
        let mut connection = Agent::dial(&world.address()).expect("a connection");
        connection.send(|out| frontend::cancel_request(process, secret, out));
        assert!(
            connection.message().is_none(),
            "a cancel request is not answered"
        );
    };
    let (process, secret) = cancelled.key;
    cancel((process, secret ^ 1));
    cancel((process ^ 1, secret));
    thread::sleep(Duration::from_millis(300));
    assert_eq!(running(), "2", "a wrong key cancelled something");
    cancel(cancelled.key);
    let answer = cancelled.answer();
    assert_eq!(
        answer.error().expect("an error").code,
        "57014",
        "{answer:#?}"
    );
    assert_eq!(running(), "1", "the other session was cancelled too");
    goes_through(&mut cancelled, "SELECT 1");
    cancel(other.key);
    assert_eq!(other.answer().error().expect("an error").code, "57014");
}

#[test]
fn control_c_in_psql_cancels_its_statement() {
    let world = World::triage();
    let run = world.open("triage");
    let mark = mark();
    let mut psql = psql();
    psql.args([run.url(), "-c", &format!("{LONG} {mark}")]);
    psql.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = psql.spawn().expect("psql");
    eventually("it runs", Duration::from_secs(10), || {
        Store::shared().saw(&mark).then_some(())
    });
    signal(child.id(), "INT");
    let output = child.wait_with_output().expect("psql's end");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("canceling statement due to user request"),
        "{stderr}"
    );
}

#[test]
fn a_session_may_lock_rows_that_it_may_update() {
    let (_world, _run, mut agent) = triage();
    stays_out(
        &mut agent,
        "SELECT id FROM comments FOR UPDATE",
        &["lock", "public.comments"],
    );
    goes_through(&mut agent, "SELECT id FROM tickets FOR UPDATE");
    let locking = writing("comments", r#""lock""#);
    let (_world, _run, mut agent) = granting(&locking);
    goes_through(&mut agent, "SELECT id FROM comments FOR UPDATE");
    stays_out(
        &mut agent,
        "LOCK TABLE comments IN EXCLUSIVE MODE",
        &["maintain", "public.comments"],
    );
}

/// A grant to write a table, by these verbs.
fn writing(table: &str, verbs: &str) -> String {
    format!("[[write]]\ntarget = \"tickets\"\ntables = [\"public.{table}\"]\nverbs = [{verbs}]\n")
}

#[test]
fn no_grant_to_write_locks_others_out() {
    // Neither one column nor all that can be written brings a lock that stops others.
    let (_world, _run, mut one_column) = triage();
    let all = ["tickets", "comments"].map(|table| writing(table, r#""insert", "update", "lock""#));
    let destroy =
        "[[destroy]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\nverbs = [\"delete\"]\n";
    let (_world_of_all, _run, mut all) = granting(&format!("{}{destroy}", all.concat()));
    for agent in [&mut one_column, &mut all] {
        for (lock, weak) in [
            ("LOCK TABLE tickets IN ACCESS SHARE MODE", true),
            ("LOCK TABLE tickets IN ROW SHARE MODE", true),
            ("LOCK tickets IN ROW EXCLUSIVE MODE NOWAIT", true),
            ("LOCK TABLE tickets IN SHARE UPDATE EXCLUSIVE MODE", false),
            ("LOCK TABLE tickets IN SHARE MODE", false),
            ("LOCK TABLE tickets IN SHARE ROW EXCLUSIVE MODE", false),
            ("LOCK TABLE tickets IN EXCLUSIVE MODE", false),
            (
                "LOCK TABLE ONLY public.tickets IN ACCESS EXCLUSIVE MODE NOWAIT",
                false,
            ),
            // Without a mode it is the strongest.
            ("LOCK TABLE tickets", false),
            ("LOCK tickets *", false),
        ] {
            match weak {
                true => {
                    agent.query(&format!("BEGIN; {lock}; ROLLBACK")).ok();
                }
                false => stays_out(agent, lock, &["maintain", "public.tickets"]),
            }
        }
    }
    let upkeep =
        "[[admin]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\nverbs = [\"maintain\"]\n";
    let (_world, _run, mut agent) = granting(upkeep);
    agent.query("BEGIN; LOCK TABLE tickets; ROLLBACK").ok();
}

#[test]
fn a_target_that_the_task_does_not_name_is_out_of_reach() {
    let store = Store::shared();
    let url = World::url(store, &store.database());
    let other = World::url(store, &store.database());
    let world = World::builder()
        .target("tickets", &url)
        .target("other", &other)
        .task(task("triage", TRIAGE))
        .start();
    let run = world.open("triage");
    Agent::connect(&run);
    for target in ["other", "nonsense", "postgres"] {
        let report = Agent::log_in(&run.url_of(target))
            .err()
            .expect("no such login");
        assert_eq!(report.severity, "FATAL", "{report:#?}");
        assert!(report.message.contains(target), "{report:#?}");
    }
    let trail = world.trail(&run.id);
    let denied = trail
        .iter()
        .filter(|entry| entry["record"]["type"] == "login.denied");
    assert_eq!(denied.count(), 3, "{trail:#?}");
}

#[test]
fn a_guardrail_beats_every_task() {
    let world = World::builder().task(task("triage", TRIAGE)).guardrail(
        "freeze",
        r#"@reason("no writes on Fridays")
forbid (principal, action == Bailiwick::Action::"update", resource);"#,
    );
    let world = world.start();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    goes_through(&mut agent, "SELECT id FROM tickets");
    stays_out(&mut agent, "UPDATE tickets SET priority = 1", &["freeze"]);
}

/// A task that may move its own search path, and delete from `billing.drafts` alone.
const MOVER: &str = "[[read]]\ntarget = \"tickets\"\ntables = [\"billing.drafts\"]\n\
    [[destroy]]\ntarget = \"tickets\"\ntables = [\"billing.drafts\"]\nverbs = [\"delete\"]\n\
    [[admin]]\ntarget = \"tickets\"\nsettings = [\"search_path\"]\nverbs = [\"set\"]\n";

fn mover() -> (World, Run, Agent) {
    let world = World::granting(MOVER);
    world.sql("CREATE TABLE billing.drafts (id int, text text)");
    let run = world.open("triage");
    let agent = Agent::connect(&run);
    (world, run, agent)
}

#[test]
fn a_search_path_moves_names_in_its_own_session_only() {
    let (world, run, mut agent) = mover();
    agent.query("SET search_path = billing").ok();
    agent.query("DELETE FROM drafts").ok();
    let mut other = Agent::connect(&run);
    stays_out(&mut other, "DELETE FROM drafts", &["public.drafts"]);
    goes_through(&mut other, "UPDATE tickets SET priority = 8 WHERE id = 8");
    assert_eq!(world.sql("SELECT count(*) FROM drafts"), "5");
}

#[test]
fn a_search_path_that_is_taken_back_no_longer_moves_names() {
    for (there, back) in [
        ("BEGIN; SET LOCAL search_path = billing", "COMMIT"),
        ("BEGIN; SET search_path = billing", "ROLLBACK"),
        ("SET search_path = billing", "RESET ALL"),
        ("SET search_path = billing", "DISCARD ALL"),
        ("SET search_path = billing", "RESET search_path"),
        (
            "BEGIN; SAVEPOINT here; SET search_path = billing",
            "ROLLBACK TO here",
        ),
        (
            "BEGIN; SELECT set_config('search_path', 'billing', true)",
            "COMMIT",
        ),
    ] {
        let (world, run, mut agent) = mover();
        let moved = |agent: &mut Agent| {
            agent.query(there).ok();
            agent.query("SELECT * FROM drafts").ok();
        };
        moved(&mut agent);
        agent.query(back).ok();
        agent.query("DELETE FROM drafts").denied(&["public.drafts"]);
        // Sent together, one would be read before the other has moved what it means.
        let mut agent = Agent::connect(&run);
        moved(&mut agent);
        agent
            .query(&format!("{back}; DELETE FROM drafts"))
            .denied(&["sent together"]);
        assert_eq!(world.sql("SELECT count(*) FROM drafts"), "5", "{back}");
    }
}

#[test]
fn what_follows_a_search_path_at_once_is_not_decided_on_by_the_old_one() {
    let world = World::granting(
        "[[destroy]]\ntarget = \"tickets\"\ntables = [\"public.drafts\"]\nverbs = [\"delete\"]\n\
         [[admin]]\ntarget = \"tickets\"\nsettings = [\"search_path\"]\nverbs = [\"set\"]\n",
    );
    world.sql("CREATE TABLE billing.drafts (id int, text text)");
    world.sql("INSERT INTO billing.drafts VALUES (1, 'a')");
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    agent
        .query("SET search_path = billing; DELETE FROM drafts")
        .denied(&["sent together"]);
    agent
        .query("SELECT set_config('search_path', 'billing', false); DELETE FROM drafts")
        .denied(&["sent together"]);
    // In a pipeline.
    agent.send(|bytes| {
        for sql in ["SET search_path = billing", "DELETE FROM drafts"] {
            step(bytes, sql);
        }
        frontend::sync(bytes);
    });
    agent.answer().denied(&["sent together"]);
    // What was prepared before would be read again at the target.
    agent.query("PREPARE deleting AS DELETE FROM drafts").ok();
    agent.query("EXECUTE deleting").ok();
    agent.query("SET search_path = billing").ok();
    agent
        .query("EXECUTE deleting")
        .denied(&["does not exist in this session"]);
    agent
        .query("DELETE FROM drafts")
        .denied(&["billing.drafts"]);
    assert_eq!(world.sql("SELECT count(*) FROM billing.drafts"), "1");
}
