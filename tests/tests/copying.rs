//! COPY to the agent: what it brings is masked as rows are, in every format.

use bailiwick_tests::{Agent, Run, Store, World, finish, mark, psql, python};

fn triage() -> (World, Run, Agent) {
    let grants = "[[read]]\ntarget = \"tickets\"\ntables = [\"public.contacts\", \"public.odd\"]\n\
                  [[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.odd.secret\", \"public.odd.wage\"]\n";
    let task = format!("{}{grants}", bailiwick_tests::TRIAGE);
    let mut world = World::builder()
        .task(bailiwick_tests::task("triage", &task))
        .prepare();
    world.sql(ODD);
    world.serve();
    let run = world.open("triage");
    let agent = Agent::connect(&run);
    (world, run, agent)
}

/// Values that each format writes in a way of its own.
const ODD: &str = r#"
CREATE TABLE odd (id int, note text, secret text, wage numeric,
    made text GENERATED ALWAYS AS ('x') STORED, raw bytea);
INSERT INTO odd (id, note, secret, wage, raw) VALUES
    (1, E'tab\there, "quoted"\nand \\ more', E'hidden\t1', 1000, '\x00ff'),
    (2, NULL, NULL, NULL, NULL),
    (3, '', 'hidden 3', 3000, ''),
    (4, E'\\.', 'hidden, "4"', 4000, '\x5c2e'),
    (5, 'it''s; a|b', E'hidden\n5', 5000, 'plain'),
    (6, 'NULL', '\N', 6000, NULL);
"#;

const OPTIONS: [&str; 5] = [
    "",
    "(DELIMITER '|', NULL 'NULL')",
    "(FORMAT csv)",
    "(FORMAT csv, HEADER, DELIMITER ';', NULL 'NULL', QUOTE '''', ESCAPE '\\')",
    "(FORMAT csv, FORCE_QUOTE *)",
];

/// What COPY brought, put together.
fn copied(agent: &mut Agent, sql: &str) -> Vec<u8> {
    let answer = agent.query(sql).ok();
    let data = answer.messages.iter().filter(|message| message.tag == b'd');
    data.flat_map(|message| message.body.to_vec()).collect()
}

#[test]
fn what_is_not_masked_is_as_the_target_writes_it() {
    let (world, _run, mut agent) = triage();
    for options in OPTIONS {
        let sql = format!("COPY odd (id, note, raw) TO STDOUT {options}");
        let got = String::from_utf8(copied(&mut agent, &sql)).expect("text");
        assert_eq!(got.trim_end(), world.sql(&sql).trim_end(), "{options}");
    }
    let found = "COPY (SELECT body FROM tickets WHERE id = 7) TO STDOUT";
    assert_eq!(
        String::from_utf8_lossy(&copied(&mut agent, found)),
        "Write to [masked:email] or charge [masked:card].\n"
    );
}

#[test]
fn what_is_masked_is_so_in_every_format() {
    let (_world, _run, mut agent) = triage();
    for options in OPTIONS {
        for sql in [
            format!("COPY odd TO STDOUT {options}"),
            format!("COPY odd (wage, secret) TO STDOUT {options}"),
            format!("COPY (SELECT id, secret FROM odd) TO STDOUT {options}"),
            format!("COPY (SELECT upper(secret) AS note, wage * 2 FROM odd) TO STDOUT {options}"),
            format!("COPY (SELECT o FROM odd o) TO STDOUT {options}"),
        ] {
            let got = String::from_utf8(copied(&mut agent, &sql)).expect("text");
            assert!(!got.to_lowercase().contains("hidden"), "{sql}: {got}");
            assert!(!got.contains("000"), "{sql}: {got}");
            if !sql.contains("upper") && !sql.contains("odd o") {
                assert_eq!(got.matches("[masked]").count(), 6, "{sql}: {got}");
            }
        }
    }
    // Nothing tells the quoted from the unquoted, or NULL from any other.
    let csv = copied(&mut agent, "COPY (SELECT secret FROM odd) TO STDOUT CSV");
    assert_eq!(csv, b"[masked]\n".repeat(6));
    let sql = "COPY odd (id, secret, wage, note) TO STDOUT (FORMAT binary)";
    let binary = copied(&mut agent, sql);
    let shown = String::from_utf8_lossy(&binary);
    assert!(binary.starts_with(b"PGCOPY\n") && binary.ends_with(&[0xff, 0xff]));
    assert!(!shown.contains("hidden"), "{shown}");
    assert_eq!(shown.matches("[masked]").count(), 6);
}

#[test]
fn what_it_brought_is_counted() {
    let (world, run, mut agent) = triage();
    let sql = "COPY (SELECT id, email FROM tickets WHERE id <= 3) TO STDOUT";
    let got = copied(&mut agent, sql);
    let expected = "1\t[masked]\n2\t[masked]\n3\t[masked]\n";
    assert_eq!(String::from_utf8_lossy(&got), expected);
    drop(agent);
    let trail = world.trail(&run.id);
    let outcome = trail
        .iter()
        .map(|entry| &entry["record"]["outcome"])
        .find(|outcome| outcome["masked"].as_u64() == Some(3))
        .unwrap_or_else(|| panic!("{trail:#?}"));
    assert_eq!(outcome["rows"], 3);
    // The type and length of each message count too.
    assert_eq!(outcome["bytes"], got.len() as u64 + 3 * 5);
}

#[test]
fn errors_on_the_way_tell_nothing_and_end_it() {
    let (_world, _run, mut agent) = triage();
    let sql = "COPY (SELECT email::int FROM tickets) TO STDOUT";
    for answer in [agent.query(sql), agent.execute(sql, &[], false)] {
        let error = answer.error().expect("an error");
        assert!(!error.whole.contains("customer"), "{error:#?}");
    }
    // In the middle.
    let sql = "COPY (SELECT 1 / (3 - id) FROM tickets ORDER BY id) TO STDOUT";
    assert_eq!(agent.query(sql).error().expect("an error").code, "22012");
    let one = copied(&mut agent, "COPY (SELECT 1) TO STDOUT");
    assert_eq!(one, b"1\n");
    let two = agent.query("COPY (SELECT 1) TO STDOUT; SELECT email FROM tickets WHERE id = 1");
    assert_eq!(two.ok().tags(), ["COPY 1", "SELECT 1"]);
    for sql in [
        "COPY (SELECT id FROM tickets ORDER BY email) TO STDOUT",
        "COPY (SELECT id FROM contacts WHERE contact LIKE 'c%') TO STDOUT",
        "COPY tickets TO STDOUT (ENCODING 'latin1')",
    ] {
        let mark = mark();
        agent.query(&format!("{sql} {mark}")).denied(&[]);
        assert!(!Store::shared().saw(&mark), "{sql}");
    }
}

#[test]
fn psql_and_psycopg_copy_as_ever() {
    let (world, run, _agent) = triage();
    std::fs::create_dir_all(world.work()).expect("a folder");
    let file = world.work().join("tickets.csv");
    let copy = format!(
        "\\copy (SELECT id, email, subject FROM tickets WHERE id < 3) TO '{}' WITH (FORMAT csv, HEADER)",
        file.display()
    );
    let shown = finish(psql().args([run.url(), "-c", &copy]));
    assert_eq!(shown.ok().trim_end(), "COPY 2");
    let written = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(
        written,
        "id,email,subject\n1,[masked],subject 1\n2,[masked],subject 2\n"
    );
    let copy = "COPY tickets (id, email) TO STDOUT";
    let shown = finish(psql().args([run.url(), "-c", copy]));
    assert_eq!(shown.ok().lines().next(), Some("1\t[masked]"));

    let mut python = python("psycopg_copy.py");
    let finished = finish(python.env("DATABASE_URL", run.url()));
    let report: serde_json::Value = serde_json::from_str(finished.ok()).expect("a report");
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(
        report["text"],
        json(r#"[["1", "[masked]"], ["2", "[masked]"]]"#)
    );
    assert_eq!(
        report["binary"],
        json(r#"[[1, "[masked]", null], [2, "[masked]", null]]"#)
    );
    assert_eq!(report["csv"], "1,[masked]\n2,[masked]\n");
}
