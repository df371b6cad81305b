//! Copies of masked columns that the target keeps itself, and looking rows up by a masked column.

use bailiwick_tests::{Agent, Store, World, mark};

/// What stands for a value that is masked whole.
const MASKED: &str = "[masked]";

/// Denied for the masked column, and never at the target.
#[track_caller]
fn stays_out(agent: &mut Agent, sql: &str, names: &str) {
    let mark = mark();
    agent.query(&format!("{sql} {mark}")).denied(&[names]);
    assert!(!Store::shared().saw(&mark), "it reached the target: {sql}");
}

/// Copies of what is masked that the target keeps itself: partitions, children, generated columns.
const COPIES: &str = "\
CREATE TABLE old_tickets (closed date) INHERITS (tickets);
INSERT INTO old_tickets (id, subject, email) VALUES (90, 'old', 'customer90@shop.example');
ALTER TABLE tickets ADD login text GENERATED ALWAYS AS (split_part(email, '@', 1)) STORED;
CREATE TABLE people (id int, region text, email text,
    shown text GENERATED ALWAYS AS (lower(email)) STORED) PARTITION BY LIST (region);
CREATE TABLE people_eu PARTITION OF people FOR VALUES IN ('eu');
CREATE TABLE people_us PARTITION OF people FOR VALUES IN ('us');
INSERT INTO people (id, region, email) VALUES (1, 'eu', 'customer1@shop.example'), (2, 'us', 'customer2@shop.example');
CREATE VIEW europeans AS SELECT id, shown AS who FROM people_eu;";

#[test]
fn copies_that_the_target_keeps_are_masked_too() {
    let grants = r#"
[[read]]
target = "tickets"
tables = ["public.old_tickets", "public.people", "public.people_eu", "public.people_us", "public.europeans"]
[[write]]
target = "tickets"
tables = ["public.drafts"]
[[mask]]
target  = "tickets"
columns = ["public.people_us.email"]
"#;
    let task = bailiwick_tests::task("triage", &format!("{}{grants}", bailiwick_tests::TRIAGE));
    let mut world = World::builder().task(task).prepare();
    world.sql(COPIES);
    world.serve();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    for sql in [
        "SELECT email FROM tickets WHERE id = 90",
        "SELECT email FROM ONLY old_tickets",
        "SELECT * FROM old_tickets",
        "SELECT login FROM tickets WHERE id = 90",
        "SELECT upper(login) FROM old_tickets",
        "SELECT o FROM old_tickets o",
        // A mask on one partition is one on its rows, whichever table they are read by; those of
        // its sisters may have been its own before.
        "SELECT email FROM people",
        "SELECT email FROM people_eu",
        "SELECT shown FROM people_us",
        "SELECT shown FROM people",
        "SELECT shown || '' FROM people_eu",
        "SELECT who FROM europeans",
        "SELECT row_to_json(p) FROM people_us p",
    ] {
        for answer in [agent.query(sql), agent.execute(sql, &[], true)] {
            let answer = answer.ok();
            assert!(!answer.rows().is_empty(), "{sql}: no rows");
            assert!(!answer.holds("customer"), "{sql}: {answer:#?}");
            let nulls = answer.rows().iter().flatten().any(Option::is_none);
            assert!(answer.holds(MASKED) || nulls, "{sql}: {answer:#?}");
        }
    }
    let plain = agent.query("SELECT id, subject, closed FROM old_tickets");
    assert_eq!(plain.ok().rows()[0][1].as_deref(), Some("old"));
    for (sql, names) in [
        ("SELECT id FROM old_tickets WHERE email LIKE 'c%'", "email"),
        ("SELECT id FROM tickets ORDER BY login", "login"),
        ("SELECT id FROM people_eu WHERE email = 'x'", "email"),
        ("SELECT count(*) FROM people GROUP BY shown", "shown"),
        ("SELECT id FROM europeans ORDER BY who", "shown"),
        ("INSERT INTO drafts SELECT 9, email FROM people_eu", "email"),
        ("INSERT INTO drafts SELECT 9, login FROM tickets", "login"),
    ] {
        stays_out(&mut agent, sql, names);
    }
    for sql in [
        "SELECT login::int FROM tickets",
        "SELECT shown::int FROM people_eu",
    ] {
        let error = agent.query(sql).error().expect(sql);
        assert!(!error.whole.contains("customer"), "{sql}: {error:#?}");
    }
}

#[test]
fn rows_are_looked_up_by_a_masked_column_only_where_the_task_says_so() {
    let grants = "[[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\", \"public.old_tickets\", \"public.contacts\"]\n\
                  [[write]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\nverbs = [\"update\"]\ncolumns = [\"priority\"]\n\
                  [[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.tickets.email\"]\nlookup = true\n";
    let mut world = World::builder()
        .task(bailiwick_tests::task("triage", grants))
        .prepare();
    world.sql(COPIES);
    world.serve();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    let sought = "customer3@shop.example";
    for answer in [
        agent.query(&format!(
            "SELECT id, email FROM tickets WHERE email = '{sought}'"
        )),
        agent.execute(
            "SELECT id, email FROM tickets WHERE email = $1 AND id > 0",
            &[sought],
            false,
        ),
        agent.query(&format!(
            "PREPARE p AS SELECT id, email FROM tickets WHERE email = $1; EXECUTE p ('{sought}')"
        )),
    ] {
        assert_eq!(answer.ok().values(), ["3", MASKED]);
    }
    let by_child = "SELECT id FROM old_tickets WHERE email = 'customer90@shop.example'";
    assert_eq!(agent.query(by_child).ok().value(), "90");
    let updated =
        format!("UPDATE tickets SET priority = 9 WHERE email = '{sought}' RETURNING email");
    assert_eq!(agent.query(&updated).ok().value(), MASKED);
    assert!(
        agent
            .query("SELECT id FROM tickets WHERE email = 'nobody'")
            .ok()
            .rows()
            .is_empty()
    );
    for sql in [
        "SELECT id FROM tickets WHERE email = 'a' OR email = 'b'",
        "SELECT id FROM tickets WHERE email LIKE 'c%'",
        "SELECT id FROM tickets WHERE email > 'c'",
        "SELECT id FROM tickets WHERE email IN ('a', 'b')",
        "SELECT id FROM tickets WHERE email = ANY ('{a,b}')",
        "SELECT id FROM tickets WHERE email = (SELECT email FROM tickets WHERE id = 3)",
        "SELECT id FROM tickets WHERE NOT email = 'a'",
        "SELECT id FROM tickets WHERE left(email, 1) = 'c'",
        "SELECT a.id FROM tickets a JOIN tickets b ON a.email = b.email WHERE b.email = 'a'",
        "SELECT id FROM tickets WHERE email = 'a' ORDER BY email",
        "SELECT id FROM old_tickets WHERE email LIKE 'c%'",
        "SELECT id FROM tickets WHERE login = 'customer3'",
        "SELECT id FROM contacts WHERE contact = 'a'",
    ] {
        let names = if sql.contains("login") {
            "login"
        } else {
            "email"
        };
        stays_out(&mut agent, sql, names);
    }
    // Neither a condition beside it nor the value itself makes an error tell more.
    for sql in [
        "SELECT id FROM tickets WHERE email = 'customer3@shop.example' AND (email::text || '')::int = 1",
        "SELECT email::int FROM tickets WHERE email = 'customer3@shop.example'",
        "SELECT 1 / (priority - 9) FROM tickets WHERE email = 'customer3@shop.example'",
    ] {
        let error = agent.query(sql).error().expect(sql);
        assert!(!error.whole.contains("customer"), "{sql}: {error:#?}");
    }
    let error = agent
        .query("SELECT 1 / (priority - 9) FROM tickets WHERE email = 'customer3@shop.example'");
    assert!(
        error
            .error()
            .expect("an error")
            .message
            .contains("withheld")
    );
}

#[test]
fn what_the_system_knows_of_values_is_masked_too() {
    let grants = "[[read]]\ntarget = \"tickets\"\ntables = [\"public.drafts\", \
        \"pg_catalog.pg_stats\", \"pg_catalog.pg_statistic\", \"pg_catalog.pg_stats_ext\", \
        \"pg_catalog.pg_stats_ext_exprs\", \"pg_catalog.pg_statistic_ext_data\", \
        \"pg_catalog.pg_stat_activity\"]\n";
    let masks = "[[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.tickets.email\"]\n";
    let mut world = World::builder()
        .task(bailiwick_tests::task(
            "masking",
            &format!("{grants}{masks}"),
        ))
        .task(bailiwick_tests::task("plain", grants))
        .prepare();
    world.sql(
        "INSERT INTO tickets (id, subject, email) SELECT n, 'x', 'customer1@shop.example' FROM generate_series(100, 200) n; \
         CREATE STATISTICS pairs (mcv) ON subject, email FROM tickets; \
         CREATE STATISTICS made ON (lower(email)) FROM tickets; ANALYZE tickets",
    );
    world.serve();
    let reads = [
        "SELECT most_common_vals FROM pg_stats WHERE tablename = 'tickets' AND attname = 'email'",
        "SELECT histogram_bounds FROM pg_stats WHERE tablename = 'tickets' AND attname = 'email'",
        "SELECT s FROM pg_stats s WHERE tablename = 'tickets'",
        "SELECT stavalues1::text FROM pg_statistic WHERE starelid = 'tickets'::regclass",
        "SELECT * FROM pg_stats_ext",
        "SELECT most_common_vals FROM pg_stats_ext_exprs",
        "SELECT stxdexpr::text, length(stxdmcv::text) FROM pg_statistic_ext_data",
        "SELECT query FROM pg_stat_activity",
    ];
    let run = world.open("masking");
    let mut agent = Agent::connect(&run);
    for sql in reads {
        let answer = agent.query(sql).ok();
        assert!(!answer.rows().is_empty(), "{sql}: no rows");
        assert!(!answer.holds("customer"), "{sql}: {answer:#?}");
    }
    for sql in [
        "SELECT 1 FROM pg_stats WHERE most_common_vals::text LIKE '%customer1%'",
        "SELECT 1 FROM pg_stats ORDER BY histogram_bounds::text",
    ] {
        stays_out(&mut agent, sql, "pg_stats");
    }
    // Where nothing is masked, it is the system's as ever; the detectors look at it all the same.
    let run = world.open("plain");
    let answer = Agent::connect(&run).query(reads[0]).ok();
    assert!(answer.holds("{[masked:email]"), "{answer:#?}");
}
