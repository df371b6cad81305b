//! Sensitive values leave the gateway masked: whatever name, expression, format or error carries them.

use bailiwick_tests::{Agent, Run, Store, World, command, finish, frontend, mark, psql, task};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// What stands for a value that is masked whole.
const MASKED: &str = "[masked]";

/// In every masked value, and in nothing else.
const SECRET: &str = "@shop.example";

fn triage() -> (World, Run, Agent) {
    let grants = r#"
[[read]]
target = "tickets"
tables = ["public.contacts"]
"#;
    let world = World::granting(grants);
    let run = world.open("triage");
    let agent = Agent::connect(&run);
    (world, run, agent)
}

/// Denied for the masked column, and never at the target.
#[track_caller]
fn stays_out(agent: &mut Agent, sql: &str, names: &str) {
    let mark = mark();
    agent.query(&format!("{sql} {mark}")).denied(&[names]);
    assert!(!Store::shared().saw(&mark), "it reached the target: {sql}");
}

#[test]
fn a_masked_column_is_masked_whatever_it_is_called_and_made_into() {
    let (_world, _run, mut agent) = triage();
    // The other columns of the same rows come as they are.
    let answer = agent
        .query("SELECT subject, email FROM tickets WHERE id = 1")
        .ok();
    assert_eq!(answer.values(), ["subject 1", MASKED]);
    for sql in [
        "SELECT * FROM tickets WHERE id = 1",
        "SELECT t.* FROM tickets t WHERE t.id = 1",
        "TABLE tickets",
        "SELECT email AS subject FROM tickets",
        "SELECT upper(email) FROM tickets",
        "SELECT left(email, 4) || '…' FROM tickets",
        "SELECT email::varchar(12) FROM tickets",
        "SELECT email::bytea FROM tickets",
        "SELECT substring(email FROM 1 FOR 2) FROM tickets",
        "SELECT length(email) FROM tickets",
        "SELECT md5(email) FROM tickets",
        "SELECT x FROM (SELECT email AS x FROM tickets) y",
        "WITH e AS (SELECT email AS x FROM tickets) SELECT x FROM e",
        "WITH RECURSIVE e(x, n) AS (SELECT email, 1 FROM tickets UNION ALL SELECT x, n + 1 FROM e WHERE n < 2) SELECT x FROM e",
        "SELECT (SELECT email FROM tickets WHERE id = 1)",
        "SELECT email FROM tickets UNION ALL SELECT 'x'",
        "SELECT contact FROM contacts",
        "SELECT upper(c.contact) AS id FROM contacts c",
        "SELECT array_agg(email) FROM tickets",
        "SELECT string_agg(email, ',') FROM tickets",
        "SELECT json_agg(t) FROM tickets t",
        "SELECT row_to_json(t) FROM tickets t WHERE id = 1",
        "SELECT to_jsonb(t) -> 'email' FROM tickets t WHERE id = 1",
        "SELECT json_build_object('e', email) FROM tickets",
        "SELECT t FROM tickets t WHERE id = 1",
        "SELECT ROW(id, email) FROM tickets",
        "SELECT ARRAY[email] FROM tickets",
        "SELECT (t).email FROM tickets t",
        "SELECT t::text FROM tickets t",
        "SELECT coalesce(email, subject) FROM tickets",
        "SELECT CASE WHEN id = 1 THEN email ELSE 'x' END FROM tickets",
        "SELECT first_value(email) OVER () FROM tickets",
        "SELECT max(email) FROM tickets",
        "SELECT format('%s', email) FROM tickets",
        "SELECT x FROM tickets, LATERAL (SELECT email AS x) l",
        "VALUES ((SELECT email FROM tickets WHERE id = 1))",
        "UPDATE tickets SET priority = 1 WHERE id = 1 RETURNING email",
        "UPDATE tickets SET priority = 1 WHERE id = 1 RETURNING *",
    ] {
        let answer = agent.query(sql);
        if let Some(error) = answer.error() {
            // Where masking cannot reach, a denial is right too; silence is not.
            assert_eq!(error.code, "42501", "{sql}: {error:#?}");
            assert!(!error.whole.contains("customer"), "{sql}: {error:#?}");
            panic!(
                "{sql}: it could be masked, and was denied: {}",
                error.detail
            );
        }
        assert!(!answer.rows().is_empty(), "{sql}: no rows");
        assert!(!answer.holds(SECRET), "{sql}: {answer:#?}");
        assert!(!answer.holds("customer"), "{sql}: {answer:#?}");
        // NULL takes the place of what has no room for a placeholder: a number, an array.
        let nulls = answer.rows().iter().flatten().any(Option::is_none);
        assert!(answer.holds("[masked") || nulls, "{sql}: {answer:#?}");
    }
    // What stands beside it is not masked.
    let answer = agent
        .query("SELECT id, priority, subject FROM tickets WHERE id = 3")
        .ok();
    assert_eq!(answer.values(), ["3", "0", "subject 3"]);
}

#[test]
fn what_is_masked_is_counted() {
    let (world, run, mut agent) = triage();
    agent
        .query("SELECT id, email FROM tickets WHERE id <= 3")
        .ok();
    let trail = world.trail(&run.id);
    let masked = |entry: &serde_json::Value| entry["record"]["outcome"]["masked"].as_u64();
    assert_eq!(
        trail.iter().filter_map(masked).sum::<u64>(),
        3,
        "{trail:#?}"
    );
    assert_eq!(world.summary(&run.id)["counts"]["masked"], 3);
}

#[test]
fn a_masked_column_cannot_be_searched_through() {
    let (_world, _run, mut agent) = triage();
    agent
        .query("SELECT id FROM tickets WHERE subject = 'subject 1' ORDER BY subject")
        .ok();
    for sql in [
        "SELECT id FROM tickets WHERE email = 'customer1@shop.example'",
        "SELECT id FROM tickets WHERE email LIKE 'c%'",
        "SELECT id FROM tickets ORDER BY email",
        "SELECT id FROM tickets ORDER BY upper(email)",
        "SELECT count(*) FROM tickets GROUP BY email",
        "SELECT DISTINCT email FROM tickets",
        "SELECT count(*) FROM tickets HAVING max(email) > 'b'",
        "SELECT a.id FROM tickets a JOIN tickets b ON a.email = b.email",
        "SELECT a.id FROM tickets a JOIN comments c ON c.author = a.email",
        "SELECT a.id FROM tickets a JOIN tickets b USING (email)",
        "SELECT id FROM tickets WHERE id IN (SELECT length(email) FROM tickets)",
        "SELECT id FROM (SELECT id, email AS e FROM tickets) x WHERE e > 'b'",
        "SELECT count(*) FILTER (WHERE email > 'b') FROM tickets",
        "SELECT CASE WHEN email > 'b' THEN 1 ELSE 2 END FROM tickets",
        "SELECT id FROM tickets LIMIT (SELECT length(email) FROM tickets WHERE id = 1)",
        "UPDATE tickets SET priority = length(email)",
        "UPDATE tickets SET priority = 1 WHERE email = 'x'",
        "INSERT INTO comments (text) SELECT email FROM tickets",
        "INSERT INTO comments (text) VALUES ((SELECT email FROM tickets WHERE id = 1))",
    ] {
        // A CASE may also come back masked whole, which hides as much.
        if sql.contains("CASE") {
            let answer = agent.query(sql);
            let values = answer.values();
            let told = values.iter().any(|value| value == "1" || value == "2");
            assert!(!told, "{sql}: {values:?}");
            continue;
        }
        stays_out(&mut agent, sql, "email");
    }
    for sql in [
        "SELECT id FROM contacts WHERE contact LIKE 'c%'",
        "SELECT id FROM contacts ORDER BY contact",
        "INSERT INTO comments (text) SELECT contact FROM contacts",
    ] {
        stays_out(&mut agent, sql, "email");
    }
}

#[test]
fn detectors_find_what_nobody_thought_to_name() {
    let (_world, _run, mut agent) = triage();
    let mut body = |id: u32| {
        agent
            .query(&format!("SELECT body FROM tickets WHERE id = {id}"))
            .ok()
            .value()
    };
    let text = body(7);
    assert_eq!(text, "Write to [masked:email] or charge [masked:card].");
    assert_eq!(body(8), "Order 4111 1111 1111 1112 is no card.");
    let secrets = body(9);
    assert!(
        !secrets.contains("hunter2") && !secrets.contains("AKIA"),
        "{secrets}"
    );
    assert!(secrets.contains("[masked:secret]"), "{secrets}");
    // In what wraps it, too.
    for sql in [
        "SELECT json_build_object('body', body) FROM tickets WHERE id = 7",
        "SELECT ARRAY[body, 'x'] FROM tickets WHERE id = 7",
        "SELECT t FROM tickets t WHERE id = 7",
        "SELECT 'jane.doe@example.org'",
        "SELECT body::varchar FROM tickets WHERE id = 7",
    ] {
        let answer = agent.query(sql).ok();
        assert!(!answer.holds("jane.doe"), "{sql}: {answer:#?}");
    }
}

#[test]
fn an_error_does_not_tell_what_is_masked() {
    let (world, _run, mut agent) = triage();
    for sql in [
        "SELECT email::int FROM tickets",
        "SELECT CAST(email AS date) FROM tickets",
        "SELECT ('{' || email)::jsonb FROM tickets",
        "SELECT to_number(email, '999') FROM tickets",
        "SELECT contact::int FROM contacts",
        "SELECT body::int FROM tickets WHERE id = 7",
        "SELECT ROW(email)::text::int FROM tickets",
    ] {
        for answer in [agent.query(sql), agent.execute(sql, &[], false)] {
            let error = answer.error().expect(sql);
            for told in ["customer", SECRET, "jane.doe"] {
                assert!(!error.whole.contains(told), "{sql}: {error:#?}");
            }
        }
    }
    // It is the target that would have told.
    let told = psql()
        .args([&told_by(&world), "-c", "SELECT email::int FROM tickets"])
        .output();
    let told = told.expect("psql");
    assert!(
        String::from_utf8_lossy(&told.stderr).contains(SECRET),
        "{told:?}"
    );
    // And errors about nothing masked are as useful as ever.
    let error = agent
        .query("SELECT subject::int FROM tickets WHERE id = 1")
        .error()
        .expect("an error");
    assert_eq!(error.code, "22P02");
    assert!(error.message.contains("subject 1"), "{error:#?}");
}

/// The target itself, past the gateway.
fn told_by(world: &World) -> String {
    let (user, password) = (bailiwick_tests::SERVICE, bailiwick_tests::SERVICE_PASSWORD);
    let (port, database) = (Store::shared().port(), world.database());
    format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}")
}

#[test]
fn a_placeholder_is_never_written_back() {
    let (world, _run, mut agent) = triage();
    agent
        .query("INSERT INTO comments (author, text) VALUES ('agent', 'masked')")
        .ok();
    for sql in [
        "INSERT INTO comments (author, text) VALUES ('agent', '[masked]')",
        "INSERT INTO comments (author, text) VALUES ('agent', 'write to [masked:email]')",
    ] {
        stays_out(&mut agent, sql, "placeholder");
    }
    let mark = mark();
    let sql = format!("INSERT INTO comments (author, text) VALUES ('agent', $1) {mark}");
    agent
        .execute(&sql, &["to [masked:email]"], false)
        .denied(&["placeholder"]);
    agent.execute(&sql, &["to nobody"], false).ok();
    let copied = "COPY comments (author, text) FROM STDIN";
    agent.send(|out| bailiwick_tests::frontend::query(copied, out).expect("a query"));
    assert_eq!(agent.message().expect("an answer").tag, b'G');
    agent.send(|out| {
        use bailiwick_tests::frontend::{CopyData, copy_done};
        // Cut in two where it hurts.
        for data in ["agent\tto [mas", "ked:email]\n"] {
            CopyData::new(data.as_bytes()).expect("data").write(out);
        }
        copy_done(out);
    });
    assert!(
        agent.answer().error().is_some(),
        "a placeholder was copied in"
    );
    agent.query("SELECT 1").ok();
    let written =
        world.sql("SELECT string_agg(text, '|' ORDER BY id) FROM comments WHERE author = 'agent'");
    assert_eq!(written, "masked|to nobody");
    // Reading one is no harm.
    agent
        .query("SELECT id FROM comments WHERE text = '[masked]'")
        .ok();
}

#[test]
fn binary_results_are_masked_in_their_own_format() {
    let (_world, run, _agent) = triage();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(run.url(), NoTls).await.expect("a connection");
        let driving = tokio::spawn(connection);
        // tokio-postgres asks for binary results, and decodes each by its type.
        let row = client
            .query_one("SELECT id, email, body FROM tickets WHERE id = $1", &[&7])
            .await
            .expect("a row");
        assert_eq!(row.get::<_, i32>(0), 7);
        assert_eq!(row.get::<_, String>(1), MASKED);
        assert_eq!(row.get::<_, String>(2), "Write to [masked:email] or charge [masked:card].");
        let row = client
            .query_one("SELECT array_agg(email), max(length(email)) FROM tickets", &[])
            .await
            .expect("a row");
        // What has no room for a placeholder is NULL, which is valid in every type.
        assert_eq!(row.try_get::<_, Option<Vec<String>>>(0).expect("an array"), None);
        assert_eq!(row.try_get::<_, Option<i32>>(1).expect("a number"), None);
        let row = client
            .query_one("SELECT ARRAY[body, subject], json_build_object('b', body)::jsonb::text FROM tickets WHERE id = 7", &[])
            .await
            .expect("a row");
        let texts: Option<Vec<String>> = row.get(0);
        assert!(texts.iter().flatten().all(|text| !text.contains("jane.doe")), "{texts:?}");
        assert!(!row.get::<_, String>(1).contains("jane.doe"));
        // The same in text.
        let messages = client.simple_query("SELECT email FROM tickets WHERE id = 7").await.expect("rows");
        let value = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        assert_eq!(value.as_deref(), Some(MASKED));
        drop(client);
        driving.await.expect("a task").expect("a clean end");
    });
}

#[test]
fn psql_shows_what_is_masked_as_masked() {
    let (_world, run, _agent) = triage();
    let shown = finish(psql().args([
        run.url(),
        "-At",
        "-c",
        "SELECT id, email, body FROM tickets WHERE id = 7",
    ]));
    assert_eq!(
        shown.ok().trim_end(),
        "7|[masked]|Write to [masked:email] or charge [masked:card]."
    );
    let prepared = "PREPARE p AS SELECT email FROM tickets WHERE id = $1; EXECUTE p (7)";
    let shown = finish(psql().args([run.url(), "-Atq", "-c", prepared]));
    assert_eq!(shown.ok().trim_end(), MASKED);
    let cursor = "BEGIN; DECLARE c CURSOR FOR SELECT email FROM tickets; FETCH 1 FROM c; COMMIT";
    let shown = finish(psql().args([run.url(), "-Atq", "-c", cursor]));
    assert_eq!(shown.ok().trim_end(), MASKED);
    // A column that psql fetches in pieces, by a cursor of its own.
    let mut pieces = command("psql");
    pieces.args([
        "--no-psqlrc",
        run.url(),
        "-Atq",
        "-v",
        "FETCH_COUNT=5",
        "-c",
        "SELECT email FROM tickets",
    ]);
    let shown = finish(&mut pieces);
    assert_eq!(shown.ok().trim_end(), [MASKED; 20].join("\n"));
}

#[test]
fn a_notice_does_not_tell_what_is_masked() {
    let (world, _run, mut agent) = triage();
    world.sql(
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE NOTICE 'ticket of %, priority %', NEW.email, NEW.priority; RETURN NEW; END $$; \
         CREATE TRIGGER tell BEFORE UPDATE ON tickets FOR EACH ROW EXECUTE FUNCTION tell()",
    );
    let answer = agent
        .query("UPDATE tickets SET priority = 4 WHERE id = 1")
        .ok();
    assert!(answer.kinds().contains('N'), "no notice: {answer:#?}");
    assert!(!answer.holds(SECRET), "{answer:#?}");
}

#[test]
fn names_that_lead_to_names_do_not_lead_around_masking() {
    let (_world, _run, mut agent) = triage();
    let step = |agent: &mut Agent, name: &str, sql: &str| {
        agent.send(|out| {
            frontend::parse(name, sql, [], out).expect("a parse");
            frontend::sync(out);
        });
        agent.answer()
    };
    step(&mut agent, "plain", "SELECT subject FROM tickets").ok();
    step(&mut agent, "secret", "SELECT email FROM tickets").ok();
    // One that executes another.
    step(&mut agent, "another", "EXECUTE secret").ok();
    agent.query("EXECUTE another").denied(&["EXECUTE"]);
    // One that gives a known name another meaning, where the result does not show where it is from.
    let rename = "PREPARE plain AS SELECT left(email, 8) FROM tickets";
    step(&mut agent, "forget", "DEALLOCATE plain").ok();
    step(&mut agent, "rename", rename).ok();
    agent.query("EXECUTE forget").denied(&["DEALLOCATE"]);
    agent.query("EXECUTE rename").denied(&["PREPARE"]);
    let answer = agent.query("EXECUTE plain").ok();
    assert!(
        answer.holds("subject") && !answer.holds("customer"),
        "{answer:#?}"
    );
    // A portal that fetches from what another portal executes.
    agent.query("BEGIN").ok();
    agent.send(|out| {
        frontend::parse("", "EXECUTE secret", [], out).expect("a parse");
        let bound = frontend::bind("portal", "", [], [""; 0], |_, _| unreachable!(), [], out);
        assert!(bound.is_ok());
        frontend::sync(out);
    });
    agent.answer().ok();
    agent.query("FETCH ALL FROM portal").denied(&["portal"]);
}

#[test]
fn what_every_task_masks_is_masked_though_the_task_does_not_say_so() {
    let grants = "[[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\", \"public.contacts\"]\n\
                  [[write]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\n";
    let looks =
        "[[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.tickets.email\"]\nlookup = true\n";
    let world = World::builder()
        .task(task("triage", grants))
        .task(task("looks", &format!("{grants}{looks}")))
        .masks("[[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.tickets.email\"]\n")
        .start();
    for name in ["triage", "looks"] {
        let run = world.open(name);
        let mut agent = Agent::connect(&run);
        for sql in [
            "SELECT email FROM tickets WHERE id = 1",
            "SELECT upper(email) AS subject FROM tickets WHERE id = 1",
            "SELECT x FROM (SELECT email || 'x' AS x FROM tickets) y LIMIT 1",
            "SELECT contact FROM contacts LIMIT 1",
        ] {
            let answer = agent.query(sql).ok();
            assert_eq!(answer.value(), MASKED, "{sql}");
            assert!(!answer.holds(SECRET), "{sql}");
        }
        // Also in the binary format, and copied out.
        let answer = agent.execute("SELECT email FROM tickets WHERE id = $1", &["1"], true);
        assert_eq!(answer.ok().value(), MASKED);
        assert!(!agent.query("COPY tickets TO STDOUT").ok().holds(SECRET));
        // No task makes less of it.
        stays_out(
            &mut agent,
            "SELECT id FROM tickets WHERE email LIKE 'a%'",
            "email",
        );
        stays_out(
            &mut agent,
            "SELECT id FROM tickets WHERE email = 'a@shop.example'",
            "email",
        );
        stays_out(&mut agent, "UPDATE tickets SET subject = email", "email");
        let said = world.bailiwick(&["task", "check", name]);
        let says = "email of public.tickets on tickets is masked in every task";
        assert!(said.ok().contains(says), "{said:#?}");
    }
}

#[test]
fn what_is_cleared_is_seen_where_it_stands_and_nowhere_else() {
    let grants = r#"
[[read]]
target    = "tickets"
tables    = ["public.people", "public.seen", "public.more"]
functions = ["public.said"]
[[clear]]
target  = "tickets"
columns = ["public.people.mail", "public.people.data", "public.more.mail", "public.people.masked"]
kinds   = ["email"]
[[clear]]
target  = "tickets"
columns = ["public.people.id"]
kinds   = ["card"]
[[mask]]
target  = "tickets"
columns = ["public.people.masked"]
"#;
    let world = World::builder().task(task("triage", grants)).start();
    world.sql(
        "CREATE TABLE people (id bigint, number bigint, mail text, data jsonb, other text, masked text);
         INSERT INTO people VALUES (4111111111111111, 4111111111111111, 'ada@shop.example or 5105105105105100', \
             '{\"mail\": \"ada@shop.example\"}', 'eve@shop.example', 'bob@shop.example');
         CREATE TABLE more (mail text); INSERT INTO more VALUES ('ada@shop.example');
         CREATE VIEW seen AS SELECT mail FROM people;
         CREATE FUNCTION said(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'eve@shop.example' $$;
         GRANT SELECT ON people, more, seen TO svc",
    );
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    let seen = "ada@shop.example or [masked:card]";
    for sql in [
        "SELECT mail FROM people",
        "SELECT p.mail AS other FROM people p WHERE id > 0 ORDER BY mail",
        "SELECT x FROM (SELECT mail AS x FROM people) y",
        "WITH w AS (SELECT mail FROM people) SELECT * FROM w",
    ] {
        assert_eq!(agent.query(sql).ok().value(), seen, "{sql}");
        for binary in [false, true] {
            assert_eq!(agent.execute(sql, &[], binary).ok().value(), seen, "{sql}");
        }
    }
    let data = agent.query("SELECT data FROM people").ok();
    assert!(data.holds("ada@shop.example"), "{data:#?}");
    assert_eq!(
        agent.query("SELECT id FROM people").ok().value(),
        "4111111111111111"
    );
    // By no other way, in no other column, and of no other kind.
    for sql in [
        "SELECT other FROM people",
        "SELECT masked FROM people",
        "SELECT other AS mail FROM people",
        "SELECT mail || '' FROM people",
        "SELECT coalesce(NULL, mail, other) FROM people",
        "SELECT said(mail) FROM people",
        "SELECT max(other) FROM people",
        "SELECT mail FROM people UNION ALL SELECT other FROM people",
        "SELECT mail FROM people UNION ALL SELECT said('') FROM people",
        "SELECT x FROM (SELECT mail AS x FROM people UNION ALL SELECT other FROM people) y",
        "SELECT x FROM (SELECT mail AS x FROM more UNION ALL SELECT said('')) y",
        "SELECT (SELECT other FROM people LIMIT 1) AS mail",
        "WITH RECURSIVE w(mail, n) AS (SELECT mail, 1 FROM more UNION ALL SELECT said(mail), n + 1 FROM w WHERE n < 2) \
         SELECT mail FROM w",
        "SELECT mail FROM (VALUES ('eve@shop.example')) v(mail)",
        "SELECT CASE WHEN true THEN other ELSE mail END AS mail FROM people",
        "SELECT l.mail FROM people p, LATERAL (SELECT p.other AS mail) l",
        "SELECT mail FROM more FULL JOIN (SELECT other AS mail FROM people) o USING (mail)",
        "SELECT people FROM people",
        "SELECT to_jsonb(people) FROM people",
        "SELECT mail FROM seen",
        "COPY people TO STDOUT",
        "COPY (SELECT mail FROM people) TO STDOUT",
        "VALUES ('eve@shop.example')",
    ] {
        let answer = agent.query(sql).ok();
        assert!(!answer.holds(SECRET), "{sql}: {answer:#?}");
    }
    let number = agent.query("SELECT number FROM people").ok();
    assert!(!number.holds("4111"), "{number:#?}");
    let cast = agent.query("SELECT id::text FROM people").ok();
    assert!(!cast.holds("4111"), "{cast:#?}");
    // What detectors find in errors is masked as ever.
    let error = agent
        .query("SELECT mail::int FROM people")
        .error()
        .expect("an error");
    assert!(!error.message.contains(SECRET), "{error:#?}");
    let said = world.bailiwick(&["task", "check", "triage"]);
    let says = "may see mail addresses in mail of public.people on tickets";
    assert!(said.ok().contains(says), "{said:#?}");
    assert!(!said.stdout.contains("addresses in masked"), "{said:#?}");
}

#[test]
fn what_is_written_elsewhere_is_not_seen_through_a_generated_column() {
    let grants = r#"
[[read]]
target = "tickets"
tables = ["public.made", "public.parent", "public.others"]
[[write]]
target  = "tickets"
tables  = ["public.made", "public.child"]
verbs   = ["update"]
columns = ["note"]
[[clear]]
target  = "tickets"
columns = ["public.made.mail", "public.parent.mail"]
kinds   = ["email"]
"#;
    let world = World::builder().task(task("triage", grants)).start();
    world.sql(
        "CREATE TABLE others (mail text); INSERT INTO others VALUES ('eve@shop.example');
         CREATE TABLE made (note text, mail text GENERATED ALWAYS AS (lower(note)) STORED);
         INSERT INTO made (note) VALUES ('x');
         CREATE TABLE parent (note text, mail text);
         CREATE TABLE child (note text, mail text GENERATED ALWAYS AS (lower(note)) STORED) INHERITS (parent);
         INSERT INTO child (note) VALUES ('x');
         GRANT SELECT ON made, parent, child, others TO svc; GRANT UPDATE ON made, child TO svc",
    );
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    for sql in [
        "UPDATE made SET note = o.mail FROM others o RETURNING made.mail",
        "SELECT mail FROM made",
        "UPDATE child SET note = o.mail FROM others o",
        "SELECT mail FROM parent",
    ] {
        let answer = agent.query(sql).ok();
        assert!(!answer.holds(SECRET), "{sql}: {answer:#?}");
    }
}
