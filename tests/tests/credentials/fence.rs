//! What the second fence holds, also where the first has a hole, or is not there.

use bailiwick_tests::{Agent, TRIAGE, Version, World, actions, task};

use crate::kit::{Fenced, login};
use crate::on_each_version;

on_each_version!(
    a_session_works_as_ever_and_is_the_runs_own,
    a_hole_in_the_first_fence_is_closed_by_the_second,
    without_the_first_fence_the_second_holds,
    every_sort_of_grant_is_as_wide_as_the_task_says,
    names_mean_what_they_mean_to_the_login,
    a_guardrail_stands_above_the_privileges,
);

fn a_session_works_as_ever_and_is_the_runs_own(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    let row = agent
        .query("SELECT subject, email FROM tickets WHERE id = 3")
        .ok();
    let row = row.values();
    assert_eq!(row[0], "subject 3");
    assert!(!row[1].contains('@'), "{row:?}");
    agent
        .query("UPDATE tickets SET priority = 7 WHERE id = 3 RETURNING id")
        .ok();
    agent
        .query("INSERT INTO comments (ticket, author, text) VALUES (3, 'a', 'b') RETURNING id")
        .ok();
    assert_eq!(fenced.sql("SELECT priority FROM tickets WHERE id = 3"), "7");
    agent
        .query("UPDATE tickets SET subject = 'x' WHERE id = 3")
        .denied(&["tickets"]);

    let login = login(&run);
    assert_eq!(agent.query("SELECT current_user").value(), login);
    let seen = fenced.sql(&format!(
        "SELECT usename, application_name FROM pg_stat_activity WHERE usename = '{login}'"
    ));
    assert_eq!(seen, format!("{login}|bailiwick {}", run.id));
    let said = fenced.sql(&format!(
        "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = '{login}'"
    ));
    assert!(said.contains(&run.id), "{said}");
    let attributes = fenced.sql(&format!(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls, \
         rolinherit, rolconnlimit > 0, rolvaliduntil > now(), rolvaliduntil < now() + interval '11 min' \
         FROM pg_roles WHERE rolname = '{login}'"
    ));
    assert_eq!(attributes, "f|t|t|t|t");
    // Neither says who or what for.
    assert!(!format!("{said}{:?}", fenced.templates()).contains("triage"));

    // Its password is in no log of the target, nor is it anything that opens the gateway.
    let log = fenced.store.log();
    let made = log
        .lines()
        .find(|line| line.contains(&login) && line.contains("PASSWORD"));
    let made = made.expect("the statement that made it");
    assert!(made.contains("PASSWORD 'SCRAM-SHA-256$4096:"), "{made}");
    assert!(!made.contains("bwk_"), "{made}");

    // Another session, and another run of the same task: the same template.
    let mut second = Agent::connect(&run);
    assert_eq!(second.query("SELECT current_user").value(), login);
    let other = fenced.world.open("triage");
    let mut of_other = Agent::connect(&other);
    assert_ne!(of_other.query("SELECT current_user").value(), login);
    assert_eq!(fenced.logins().len(), 2);
    assert_eq!(fenced.templates().len(), 1);
}

/// A function that is granted, and reads what its argument says: no parser sees that.
const READER: &str = "
CREATE FUNCTION total(name text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE found text;
BEGIN
    EXECUTE 'SELECT string_agg(t::text, '';'') FROM ' || name || ' t' INTO found;
    RETURN found;
END $$;
";

const WITH_READER: &str = r#"
[[read]]
target = "tickets"
tables = ["public.drafts"]
[[read]]
target    = "tickets"
functions = ["public.total"]
"#;

fn a_hole_in_the_first_fence_is_closed_by_the_second(version: Version) {
    let through = "SELECT total('billing.cards')";
    let shared = Fenced::with(version, WITH_READER, "shared", READER);
    let mut agent = Agent::connect(&shared.world.open("triage"));
    assert!(agent.query(through).ok().value().contains("holder 1"));
    assert!(shared.logins().is_empty());

    let fenced = Fenced::with(version, WITH_READER, "per-run", READER);
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    let refused = agent.query(through).error().expect("PostgreSQL refuses");
    assert_eq!(refused.code, "42501", "{refused:#?}");
    assert!(
        refused.message.starts_with("permission denied for "),
        "it was not PostgreSQL: {refused:#?}"
    );
    // It was let through by the first.
    assert_eq!(
        fenced.world.decided(&run.id, "total(")["decision"]["effect"],
        "allow"
    );
    let trail = fenced.world.bailiwick(&["trail", &run.id]);
    let trail = trail.ok().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(trail.contains("refused by the target itself"), "{trail}");
    assert!(
        agent
            .query("SELECT total('drafts')")
            .ok()
            .value()
            .contains("draft 1")
    );
}

fn without_the_first_fence_the_second_holds(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT 1").ok();
    let login = login(&run);
    for allowed in [
        "SELECT * FROM tickets",
        "SELECT * FROM comments",
        "UPDATE tickets SET priority = 3 WHERE id = 1",
        "INSERT INTO comments (ticket, text) VALUES (1, 'x')",
        "SELECT * FROM tickets FOR UPDATE",
    ] {
        let answer = fenced.as_login(&login, allowed);
        assert!(answer.is_ok(), "{allowed}: {answer:?}");
    }
    for refused in [
        // Another table, by every way to read one.
        "SELECT * FROM billing.cards",
        "SELECT * FROM drafts",
        "TABLE contacts",
        "COPY drafts TO STDOUT",
        "SELECT query_to_xml('SELECT * FROM drafts', true, true, '')",
        "SELECT table_to_xml('drafts', true, true, '')",
        "PREPARE p AS SELECT 1 FROM drafts; EXECUTE p",
        "EXPLAIN ANALYZE SELECT * FROM drafts",
        "DO 'BEGIN PERFORM 1 FROM drafts; END'",
        "SELECT peek()",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_largeobject",
        // Other columns, other verbs.
        "UPDATE tickets SET subject = 'x'",
        "UPDATE tickets SET priority = 1, email = ''",
        "INSERT INTO tickets (id, subject, email) VALUES (99, '', '')",
        "DELETE FROM tickets",
        "DELETE FROM comments",
        "UPDATE comments SET text = ''",
        "TRUNCATE comments",
        "SELECT touch(1)  FROM drafts",
        "MERGE INTO tickets t USING comments c ON t.id = c.ticket WHEN MATCHED THEN DELETE",
        "SELECT nextval('numbers')",
        "SELECT setval('comments_id_seq', 1)",
        // Definitions, roles, files, programs.
        "CREATE TABLE t (a int)",
        "CREATE TABLE billing.t (a int)",
        "CREATE SCHEMA s",
        "CREATE VIEW v AS SELECT * FROM drafts",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE tickets ADD COLUMN x int",
        "ALTER TABLE tickets DISABLE TRIGGER ALL",
        "DROP TABLE tickets",
        "CREATE INDEX ON tickets (id)",
        "CREATE TRIGGER t BEFORE UPDATE ON tickets EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
        "CREATE ROLE other",
        "CREATE DATABASE other",
        "CREATE EXTENSION file_fdw",
        "COPY tickets TO '/tmp/x'",
        "COPY tickets FROM PROGRAM 'true'",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "ALTER DATABASE postgres SET work_mem = '1MB'",
        "SET session_replication_role = replica",
        "SET ROLE gateway",
        "GRANT gateway TO current_user",
        "CREATE PUBLICATION p FOR TABLE tickets",
        "CHECKPOINT",
    ] {
        let answer = fenced.as_login(&login, refused);
        let error = answer.expect_err(refused);
        assert!(
            error.contains("42501"),
            "{refused}: it failed for another reason: {error}"
        );
    }
    // Nor can it change itself into more.
    for itself in [
        format!("ALTER ROLE {login} CREATEROLE"),
        format!("ALTER ROLE {login} VALID UNTIL 'infinity'"),
        format!("ALTER ROLE {login} CONNECTION LIMIT -1"),
        format!("COMMENT ON ROLE {login} IS 'not of any gateway'"),
        format!(
            "GRANT {} TO {login} WITH ADMIN OPTION",
            fenced.templates()[0]
        ),
    ] {
        let answer = fenced.as_login(&login, &itself);
        let refused = answer
            .as_ref()
            .err()
            .is_some_and(|error| error.contains("42501"));
        assert!(refused, "{itself}: {answer:?}");
    }
}

const ALL_SORTS: &str = r#"
[[read]]
target  = "tickets"
tables  = ["public.tickets"]
columns = ["id", "subject"]
[[read]]
target    = "tickets"
tables    = ["public.drafts", "public.contacts", "public.numbers"]
[[read]]
target    = "tickets"
functions = ["public.secret", "public.wild"]
[[write]]
target  = "tickets"
tables  = ["public.drafts"]
verbs   = ["insert"]
columns = ["id"]
[[write]]
target  = "tickets"
tables  = ["public.numbers"]
verbs   = ["update"]
[[destroy]]
target  = "tickets"
tables  = ["public.drafts"]
verbs   = ["delete", "truncate"]
[[read]]
target  = "tickets"
tables  = ["more.*"]
[[read]]
target  = "tickets"
tables  = ["public.comments"]
approve = "group:owners"
"#;

/// A schema that is granted as a whole, and a function that not everybody may run.
const MORE: &str = "
CREATE FUNCTION secret() RETURNS int LANGUAGE sql STABLE AS 'SELECT 42';
CREATE FUNCTION wild() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 42';
REVOKE EXECUTE ON FUNCTION secret(), wild() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION secret(), wild() TO gateway WITH GRANT OPTION;
CREATE SCHEMA more;
CREATE TABLE more.one (a int);
CREATE TABLE more.\"T\"\"wo'\" (\"a\"\"b\" int);
GRANT USAGE ON SCHEMA more TO gateway WITH GRANT OPTION;
GRANT SELECT ON ALL TABLES IN SCHEMA more TO gateway WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES IN SCHEMA more GRANT SELECT ON TABLES TO gateway WITH GRANT OPTION;
";

fn every_sort_of_grant_is_as_wide_as_the_task_says(version: Version) {
    let fenced = Fenced::with(version, ALL_SORTS, "per-run", MORE);
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT id, subject FROM tickets").ok();
    agent.query("SELECT secret()").ok();
    agent.query("SELECT wild()").denied(&["wild"]);
    let first = login(&run);
    let allowed = [
        "SELECT id, subject FROM tickets WHERE id = 1",
        "SELECT count(*) FROM tickets",
        "SELECT contact FROM contacts",
        "SELECT last_value FROM numbers",
        "SELECT nextval('numbers')",
        "SELECT secret()",
        "INSERT INTO drafts (id) VALUES (77)",
        "DELETE FROM drafts WHERE text = 'draft 1'",
        "BEGIN; TRUNCATE drafts; ROLLBACK",
        "SELECT a FROM more.one",
        "SELECT \"a\"\"b\" FROM more.\"T\"\"wo'\"",
        // What waits for somebody's approval is possible here: PostgreSQL does not know of approvals.
        "SELECT * FROM comments",
    ];
    let refused = [
        // It may write, which a grant to read does not cover.
        "SELECT wild()",
        "SELECT email FROM tickets",
        "SELECT * FROM tickets",
        "SELECT tickets FROM tickets",
        "SELECT ctid FROM tickets",
        "SELECT id FROM tickets FOR UPDATE",
        "INSERT INTO drafts (id, text) VALUES (78, 'x')",
        "UPDATE drafts SET id = 1",
        "INSERT INTO more.one VALUES (1)",
    ];
    let holds = |login: &str| {
        for sql in allowed {
            let answer = fenced.as_login(login, sql);
            assert!(answer.is_ok(), "{sql}: {answer:?}");
        }
        for sql in refused {
            let error = fenced.as_login(login, sql).expect_err(sql);
            assert!(error.contains("42501"), "{sql}: {error}");
        }
    };
    holds(&first);

    // One that took another's name is not what the earlier run was given, and is what the next is.
    fenced.sql(
        "ALTER TABLE drafts RENAME TO drafts_old; CREATE TABLE drafts (id int, text text); \
         GRANT SELECT, INSERT, DELETE, TRUNCATE ON drafts TO gateway WITH GRANT OPTION",
    );
    assert!(fenced.as_login(&first, "SELECT * FROM drafts").is_err());
    let run = fenced.world.open("triage");
    Agent::connect(&run).query("SELECT id FROM drafts").ok();
    holds(&login(&run));
    let old = fenced.as_login(&login(&run), "SELECT * FROM drafts_old");
    assert!(old.is_err(), "{old:?}");
    assert_eq!(fenced.templates().len(), 2);

    // A table that comes later is in the grant of the next run.
    fenced.sql("CREATE TABLE more.three (a int)");
    let run = fenced.world.open("triage");
    Agent::connect(&run).query("SELECT a FROM more.three").ok();
    let second = login(&run);
    holds(&second);
    assert_eq!(fenced.templates().len(), 3);

    // What the world took away is given again to the same template.
    fenced.sql(&format!(
        "SET ROLE gateway; REVOKE SELECT ON more.one FROM \"{}\"",
        fenced.sql(&format!(
            "SELECT t.rolname FROM pg_auth_members m JOIN pg_roles t ON t.oid = m.roleid \
             JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = '{second}'"
        ))
    ));
    let run = fenced.world.open("triage");
    Agent::connect(&run).query("SELECT a FROM more.one").ok();
    assert_eq!(fenced.templates().len(), 3);
    holds(&login(&run));
}

/// PostgreSQL passes over a schema of the search path that a role may not use.
fn names_mean_what_they_mean_to_the_login(version: Version) {
    let read = |table: &str| format!("[[read]]\ntarget = \"tickets\"\ntables = [\"{table}\"]\n");
    let fenced = Fenced::from(
        version,
        World::builder()
            .task(task("one", &read("first.notes")))
            .task(task("two", &read("public.notes"))),
        "per-run",
        "CREATE SCHEMA first; CREATE TABLE first.notes AS SELECT 'first' AS a; \
         CREATE TABLE public.notes AS SELECT 'second' AS a; \
         GRANT USAGE ON SCHEMA first TO gateway WITH GRANT OPTION; \
         GRANT SELECT ON first.notes, public.notes TO gateway WITH GRANT OPTION;",
    );
    fenced.sql(&format!(
        "ALTER DATABASE {} SET search_path = first, public",
        fenced.database
    ));
    // One right after the other, so that what was learned for the one could serve the other.
    for (task, table, says) in [
        ("one", "first.notes", "first"),
        ("two", "public.notes", "second"),
        ("one", "first.notes", "first"),
    ] {
        let run = fenced.world.open(task);
        let mut agent = Agent::connect(&run);
        assert_eq!(agent.query("SELECT a FROM notes").ok().value(), says);
        let decided = fenced.world.decided(&run.id, "FROM notes");
        assert_eq!(actions(&decided), [format!("select {table}")]);
    }
}

/// A guardrail that forbids what the task grants is in the privileges, too.
fn a_guardrail_stands_above_the_privileges(version: Version) {
    let builder = World::builder().task(task("triage", TRIAGE)).guardrail(
        "bodies",
        r#"@reason("bodies stay where they are")
forbid (principal, action == Bailiwick::Action::"select", resource == Bailiwick::Table::"tickets/public/tickets")
when { context.columns.contains("body") };"#,
    );
    let fenced = Fenced::from(version, builder, "per-run", "");
    let run = fenced.world.open("triage");
    Agent::connect(&run)
        .query("SELECT subject FROM tickets")
        .ok();
    let login = login(&run);
    let answer = fenced.as_login(&login, "SELECT subject, email FROM tickets");
    assert!(answer.is_ok(), "{answer:?}");
    let error = fenced
        .as_login(&login, "SELECT body FROM tickets")
        .unwrap_err();
    assert!(error.contains("42501"), "{error}");
}
