//! What a grant holds waits for people: it happens once after a yes, never without one, and the agent is told
//! why.

use std::process::Stdio;
use std::time::{Duration, Instant};

use bailiwick_tests::{
    Agent, Answer, Builder, Report, Run, Store, World, confinement, eventually, finish, frontend,
    mark, me, psql, python, skipped, task,
};
use serde_json::Value;

/// Long enough for anything that was sent to have arrived.
const A_WHILE: Duration = Duration::from_millis(400);

fn held() -> String {
    format!(
        "[[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\", \"public.drafts\"]\n\
         [[write]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\napprove = {:?}\n\
         [[destroy]]\ntarget = \"tickets\"\ntables = [\"public.drafts\"]\napprove = {:?}\n",
        me(),
        me()
    )
}

fn builder() -> Builder {
    World::builder().task(task("triage", &held()))
}

fn start() -> (World, Run, Agent) {
    let world = builder().start();
    let run = world.open_confined("triage");
    let agent = Agent::connect(&run);
    (world, run, agent)
}

/// Whether runs can be confined here: a launcher approves nothing for a process that could be theirs.
fn can_approve() -> bool {
    confinement().map_err(skipped).is_ok()
}

/// Sends a Query and does not wait for its answer.
fn send(agent: &mut Agent, sql: &str) {
    agent.send(|out| frontend::query(sql, out).expect("a query"));
}

/// A statement that is held, with what no other has.
fn update() -> (String, String) {
    let mark = mark();
    let sql = format!("UPDATE tickets SET priority = priority + 1 WHERE id = 1 {mark}");
    (sql, mark)
}

fn priority(world: &World) -> String {
    world.sql("SELECT priority FROM tickets WHERE id = 1")
}

/// The denial of a call that waits, or that nobody approved; and the approval's id in it.
#[track_caller]
fn unapproved(answer: &Answer) -> (Report, String) {
    let report = answer.denied(&["approval apr_"]);
    let id = report.detail.split_whitespace();
    let id = id.map(|word| word.trim_end_matches([':', ',', ';']));
    let id = { id }.find(|word| word.starts_with("apr_")).expect("an id");
    (report.clone(), id.to_owned())
}

#[track_caller]
fn state(world: &World, id: &str) -> String {
    let all = world.approvals();
    let found = all.iter().find(|approval| approval["id"] == id);
    let found = found.unwrap_or_else(|| panic!("no {id} in {all:#?}"));
    found["state"].as_str().expect("a state").to_owned()
}

fn of<'t>(trail: &'t [Value], mark: &str, kind: &str) -> Vec<&'t Value> {
    let records = trail.iter().filter(|entry| {
        let text = entry["payload"]["text"].as_str().unwrap_or_default();
        text.contains(mark.trim()) && entry["record"]["type"] == kind
    });
    records.map(|entry| &entry["record"]).collect()
}

#[test]
fn a_held_call_is_made_once_when_somebody_says_yes() {
    if !can_approve() {
        return;
    }
    let (world, run, mut agent) = start();
    let (sql, mark) = update();
    send(&mut agent, &sql);
    let asked = world.asked(&run);
    assert_eq!(
        asked["actions"][0], "update public.tickets (priority)",
        "{asked:#}"
    );
    assert_eq!(asked["estimate"]["rows"], 1, "{asked:#}");
    assert_eq!(asked["approvers"][0], me());
    std::thread::sleep(A_WHILE);
    assert_eq!(priority(&world), "0");
    world.approve(&asked);
    assert_eq!(agent.answer().ok().tags(), ["UPDATE 1"]);
    assert_eq!(priority(&world), "1");
    assert_eq!(state(&world, asked["id"].as_str().unwrap()), "used");
    // The session goes on, and the same again is another question.
    agent.query("SELECT 1").ok();
    send(&mut agent, &sql);
    let again = world.asked(&run);
    assert_ne!(again["id"], asked["id"]);
    world.deny(&again, "once is enough for bob@example.com");
    let (report, id) = unapproved(&agent.answer());
    assert_eq!(again["id"], *id);
    assert!(
        report
            .detail
            .contains(&format!("denied by {}: once is enough", me())),
        "{report:#?}"
    );
    assert!(!report.detail.contains("bob@"), "{report:#?}");
    assert_eq!(priority(&world), "1");
    agent.query("SELECT 1").ok();
    let trail = world.trail(&run.id);
    let decided = of(&trail, &mark, "call.decided");
    assert_eq!(decided.len(), 2, "{trail:#?}");
    assert_eq!(decided[0]["decision"]["approval"], asked["id"]);
    assert_eq!(decided[1]["decision"]["effect"], "deny");
    assert!(
        decided[1]["decision"]["reason"]
            .as_str()
            .unwrap()
            .contains(&id)
    );
    assert_eq!(
        trail
            .iter()
            .filter(|entry| entry["record"]["type"] == "call.held")
            .count(),
        2
    );
    world.verify();
}

#[test]
fn in_a_transaction_it_is_denied_at_once_and_passes_when_it_is_sent_again() {
    if !can_approve() {
        return;
    }
    let (world, run, mut agent) = start();
    let (sql, _) = update();
    let attempt = |agent: &mut Agent| {
        agent.query("BEGIN").ok();
        agent.query("SELECT id FROM tickets WHERE id = 2").ok();
        agent.query(&sql)
    };
    let start = Instant::now();
    let answer = attempt(&mut agent);
    assert!(start.elapsed() < Duration::from_secs(5));
    let (report, id) = unapproved(&answer);
    assert!(
        report.hint.contains("exactly the same call again"),
        "{report:#?}"
    );
    assert_eq!(answer.status, 'E');
    agent.query("ROLLBACK").ok();
    let asked = world.asked(&run);
    assert_eq!(asked["id"], *id);
    // Again before anybody has decided: the same question.
    assert_eq!(unapproved(&attempt(&mut agent)).1, id);
    agent.query("ROLLBACK").ok();
    world.approve(&asked);
    // Something else that is held has not been approved.
    agent.query("BEGIN").ok();
    let other = sql.replace("id = 1", "id = 2");
    let (_, other) = unapproved(&agent.query(&other));
    assert_ne!(other, id);
    agent.query("ROLLBACK").ok();
    assert_eq!(attempt(&mut agent).ok().tags(), ["UPDATE 1"]);
    agent.query("COMMIT").ok();
    assert_eq!(priority(&world), "1");
    // And once more takes another yes.
    let (_, third) = unapproved(&attempt(&mut agent));
    assert_ne!(third, id);
    agent.query("ROLLBACK").ok();
    // Several statements in one Query are one transaction.
    let several = format!("SELECT id FROM tickets WHERE id = 3; {sql}");
    unapproved(&agent.query(&several));
    world.verify();
}

#[test]
fn by_the_extended_protocol_it_waits_with_exactly_its_values() {
    if !can_approve() {
        return;
    }
    let (world, run, mut agent) = start();
    let sql = "UPDATE tickets SET priority = 7 WHERE id = $1";
    let execute = |agent: &mut Agent, value: &str| {
        agent.send(|out| {
            frontend::parse("", sql, [], out).expect("a parse");
            bind(out, value.as_bytes(), 0);
            frontend::execute("", 0, out).expect("an execute");
            frontend::sync(out);
        });
    };
    execute(&mut agent, "1111");
    let asked = world.asked(&run);
    assert_eq!(asked["estimate"]["rows"], 1, "{asked:#}");
    // While it waits the target holds no lock for it: another one may change the table.
    world.sql(
        "BEGIN; SET LOCAL lock_timeout = '2s'; LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE; COMMIT",
    );
    world.approve(&asked);
    let answer = agent.answer().ok();
    assert_eq!(
        (answer.kinds().as_str(), answer.tags()[0].as_str()),
        ("12C", "UPDATE 0")
    );
    // Whoever prepares and runs it later waits too, and with another value for another yes.
    execute(&mut agent, "2");
    let asked = world.asked(&run);
    world.approve(&asked);
    assert_eq!(agent.answer().ok().tags(), ["UPDATE 1"]);
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 2"), "7");
    // `1111` as text is another number than its bytes.
    agent.query("BEGIN").ok();
    execute(&mut agent, "1111");
    let (_, id) = unapproved(&agent.answer());
    agent.query("ROLLBACK").ok();
    world.approve(&world.asked(&run));
    agent.query("BEGIN").ok();
    agent.send(|out| {
        frontend::parse("", sql, [], out).expect("a parse");
        bind(out, b"1111", 1);
        frontend::execute("", 0, out).expect("an execute");
        frontend::sync(out);
    });
    let (_, other) = unapproved(&agent.answer());
    assert_ne!(id, other);
    world.verify();
}

fn bind(out: &mut bytes::BytesMut, value: &[u8], format: i16) {
    let bound = frontend::bind(
        "",
        "",
        [format],
        [value],
        |value, out| {
            out.extend_from_slice(value);
            Ok(postgres_protocol::IsNull::No)
        },
        [0],
        out,
    );
    assert!(bound.is_ok(), "a bind");
}

#[test]
fn what_follows_in_a_pipeline_waits_and_what_ran_before_is_not_kept_waiting() {
    if !can_approve() {
        return;
    }
    let (world, run, mut agent) = start();
    let (sql, _) = update();
    // Two in one pipeline: the first waits, the second cannot.
    agent.send(|out| {
        for _ in 0..2 {
            frontend::parse("", &sql, [], out).expect("a parse");
            frontend::bind(
                "",
                "",
                [],
                [""; 0],
                |_, _| Ok(postgres_protocol::IsNull::No),
                [0],
                out,
            )
            .unwrap_or_else(|_| panic!("a bind"));
            frontend::execute("", 0, out).expect("an execute");
        }
        frontend::sync(out);
    });
    let asked = world.asked(&run);
    world.approve(&asked);
    let (_, second) = unapproved(&agent.answer());
    assert_ne!(asked["id"], *second);
    // The second has failed, and the first with it: they are one transaction.
    assert_eq!(priority(&world), "0");
    // What does not parse takes what waits behind it with it, and nobody is asked.
    let before = world.approvals().len();
    agent.send(|out| {
        frontend::parse("good", &sql, [], out).expect("a parse");
        frontend::parse("bad", "SELECT nothing FROM tickets", [], out).expect("a parse");
        frontend::bind(
            "",
            "good",
            [],
            [""; 0],
            |_, _| Ok(postgres_protocol::IsNull::No),
            [0],
            out,
        )
        .unwrap_or_else(|_| panic!("a bind"));
        frontend::execute("", 0, out).expect("an execute");
        frontend::sync(out);
    });
    let answer = agent.answer();
    assert_eq!(answer.kinds().matches('E').count(), 1, "{answer:#?}");
    agent.query("SELECT 1").ok();
    assert_eq!(world.approvals().len(), before);
    assert_eq!(priority(&world), "0");
    world.verify();
}

#[test]
fn what_does_not_say_what_it_does_cannot_be_approved() {
    if !can_approve() {
        return;
    }
    let (world, _run, mut agent) = start();
    agent
        .query("PREPARE p AS UPDATE tickets SET priority = 9 WHERE id = 1")
        .ok();
    for sql in ["EXECUTE p", "COPY tickets (id, subject, email) FROM STDIN"] {
        let report = agent
            .query(sql)
            .denied(&["needs approval by", "nobody can give"]);
        assert!(report.hint.contains("approve"), "{report:#?}");
    }
    agent.query("BEGIN").ok();
    agent
        .query("DECLARE c CURSOR FOR UPDATE tickets SET priority = 9")
        .error()
        .expect("an error");
    agent.query("ROLLBACK").ok();
    assert_eq!(world.approvals().len(), 0);
    assert_eq!(priority(&world), "0");
    world.verify();
}

#[test]
fn the_estimate_runs_nothing_and_leaves_the_session_as_it_was() {
    if !can_approve() {
        return;
    }
    let world = World::builder()
        .task(task(
            "triage",
            &format!(
                "{}[[write]]\ntarget = \"tickets\"\nfunctions = [\"public.touch\"]\napprove = {:?}\n",
                held(),
                me()
            ),
        ))
        .start();
    let run = world.open_confined("triage");
    let mut agent = Agent::connect(&run);
    world.sql("ANALYZE tickets");
    // An unnamed statement that the agent has prepared is still there afterwards.
    agent.send(|out| {
        frontend::parse("", "UPDATE tickets SET priority = 5", [], out).expect("a parse");
        frontend::sync(out);
    });
    agent.answer().ok();
    agent.send(|out| {
        frontend::bind(
            "",
            "",
            [],
            [""; 0],
            |_, _| Ok(postgres_protocol::IsNull::No),
            [0],
            out,
        )
        .unwrap_or_else(|_| panic!("a bind"));
        frontend::execute("", 0, out).expect("an execute");
        frontend::sync(out);
    });
    let asked = world.asked(&run);
    assert_eq!(asked["estimate"]["rows"], 20, "{asked:#}");
    world.approve(&asked);
    assert_eq!(agent.answer().ok().tags(), ["UPDATE 20"]);
    // What calls a function is not planned.
    send(&mut agent, "SELECT touch(1)");
    let asked = world.asked(&run);
    let why = asked["estimate"]["unknown"]
        .as_str()
        .expect("why")
        .to_owned();
    assert!(why.contains("function"), "{asked:#}");
    world.deny(&asked, "no");
    unapproved(&agent.answer());
    assert_eq!(priority(&world), "5");
    // A target that is busy with the table does not hold up the question.
    let blocker = world.database().to_owned();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            Store::shared().sql(
                &blocker,
                "BEGIN; LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT",
            )
        });
        std::thread::sleep(A_WHILE);
        let (sql, _) = update();
        send(&mut agent, &sql);
        let asked = world.asked(&run);
        let why = asked["estimate"]["unknown"]
            .as_str()
            .expect("why")
            .to_owned();
        assert!(why.contains("too long"), "{asked:#}");
        world.approve(&asked);
    });
    agent.answer().ok();
    assert_eq!(agent.query("SHOW statement_timeout").value(), "0");
    assert_eq!(agent.query("SHOW transaction_read_only").value(), "off");
    world.verify();
}

#[test]
fn an_agent_that_goes_finds_the_answer_when_it_comes_back() {
    if !can_approve() {
        return;
    }
    let (world, run, mut agent) = start();
    let (sql, _) = update();
    send(&mut agent, &sql);
    let asked = world.asked(&run);
    drop(agent);
    std::thread::sleep(A_WHILE);
    world.approve(&asked);
    std::thread::sleep(A_WHILE);
    // Nothing happens for somebody who is gone.
    assert_eq!(priority(&world), "0");
    let mut agent = Agent::connect(&run);
    assert_eq!(agent.query(&sql).ok().tags(), ["UPDATE 1"]);
    assert_eq!(priority(&world), "1");
    // One that says good-bye behind a call that waits is gone too.
    agent.send(|out| {
        frontend::query(&sql, out).expect("a query");
        frontend::terminate(out);
    });
    assert!(agent.message().is_none());
    world.verify();
}

#[test]
fn it_can_be_cancelled_while_it_waits() {
    if !can_approve() {
        return;
    }
    let (world, run, mut agent) = start();
    let (sql, mark) = update();
    send(&mut agent, &sql);
    let asked = world.asked(&run);
    let mut other = Agent::dial(&world.address()).expect("a connection");
    let (process, secret) = agent.key;
    other.send(|out| frontend::cancel_request(process, secret, out));
    let answer = agent.answer();
    let report = answer.error().expect("an error");
    assert_eq!(report.code, "57014", "{report:#?}");
    agent.query("SELECT 1").ok();
    let id = asked["id"].as_str().expect("an id");
    eventually("it is over", Duration::from_secs(60), || {
        (state(&world, id) == "lapsed").then_some(())
    });
    let late = world.bailiwick(&["approve", id, "--yes"]);
    assert!(!late.status.success(), "{late:#?}");
    assert_eq!(priority(&world), "0");
    let trail = world.trail(&run.id);
    let decided = of(&trail, &mark, "call.decided");
    assert_eq!(decided[0]["decision"]["effect"], "deny", "{trail:#?}");
    // Sent again, it is another question.
    send(&mut agent, &sql);
    let again = world.asked(&run);
    assert_ne!(again["id"], asked["id"]);
    world.approve(&again);
    assert_eq!(agent.answer().ok().tags(), ["UPDATE 1"]);
    world.verify();
}

/// Two connections with the same call, and one yes.
#[test]
fn one_yes_is_for_one_of_two() {
    if !can_approve() {
        return;
    }
    let (world, run, mut one) = start();
    let mut two = Agent::connect(&run);
    let (sql, _) = update();
    send(&mut one, &sql);
    let asked = world.asked(&run);
    send(&mut two, &sql);
    std::thread::sleep(A_WHILE);
    assert_eq!(world.approvals().len(), 1);
    world.approve(&asked);
    let answers = [one.answer(), two.answer()];
    let failed = answers.iter().filter(|answer| answer.error().is_some());
    assert_eq!(failed.count(), 1, "{answers:#?}");
    assert_eq!(priority(&world), "1");
    world.verify();
}

#[test]
fn a_launcher_does_not_approve_what_is_destroyed() {
    if !can_approve() {
        return;
    }
    let (world, run, mut agent) = start();
    send(&mut agent, "DELETE FROM drafts WHERE id = 1");
    let asked = world.asked(&run);
    let refused = world.bailiwick(&["approve", asked["id"].as_str().unwrap(), "--yes"]);
    assert!(!refused.status.success(), "{refused:#?}");
    assert_eq!(world.sql("SELECT count(*) FROM drafts"), "5");
    world.deny(&asked, "no");
    unapproved(&agent.answer());
    world.verify();
}

#[test]
fn nothing_happens_when_the_run_or_the_gateway_ends_first() {
    if !can_approve() {
        return;
    }
    let (mut world, run, mut agent) = start();
    let (sql, _) = update();
    send(&mut agent, &sql);
    let asked = world.asked(&run);
    world.bailiwick(&["revoke", &run.id]).ok();
    let last = agent.last_words().expect("last words");
    assert_eq!(last.code, "57P01", "{last:#?}");
    let late = world.bailiwick(&["approve", asked["id"].as_str().unwrap(), "--yes"]);
    assert!(!late.status.success(), "{late:#?}");
    assert_eq!(priority(&world), "0");

    let run = world.open_confined("triage");
    let mut agent = Agent::connect(&run);
    send(&mut agent, &sql);
    world.asked(&run);
    world.kill();
    assert!(agent.last_words().is_none());
    world.serve();
    std::thread::sleep(A_WHILE);
    assert_eq!(priority(&world), "0");
    world.verify();
}

#[test]
fn time_to_decide_ends() {
    if !can_approve() {
        return;
    }
    let world = builder().approvals("decide_within = \"1s\"").start();
    let run = world.open_confined("triage");
    let mut agent = Agent::connect(&run);
    let (report, id) = unapproved(&agent.query(&update().0));
    assert!(
        report.detail.contains("nobody decided in time"),
        "{report:#?}"
    );
    assert_eq!(state(&world, &id), "lapsed");
    assert_eq!(priority(&world), "0");
    world.verify();
}

/// What names stand for may change while a call waits.
#[test]
fn what_has_become_something_else_while_it_waited_is_not_made() {
    if !can_approve() {
        return;
    }
    let (world, run, mut agent) = start();
    let (sql, _) = update();
    send(&mut agent, &sql);
    let asked = world.asked(&run);
    world.sql("ALTER TABLE tickets RENAME TO old; CREATE TABLE tickets (id int, priority int); INSERT INTO tickets VALUES (1, 0)");
    world.approve(&asked);
    let (report, _) = unapproved(&agent.answer());
    assert!(report.detail.contains("has changed"), "{report:#?}");
    assert_eq!(priority(&world), "0");
    // It still does the same to the same name, which is what was approved.
    assert_eq!(agent.query(&sql).ok().tags(), ["UPDATE 1"]);
    world.verify();
}

/// A setting by which the same text is another value.
#[test]
fn another_date_style_is_another_call() {
    if !can_approve() {
        return;
    }
    let (world, run, mut agent) = start();
    let sql = "UPDATE tickets SET priority = 3 WHERE date '02/01/2020' < '2020-01-15'";
    agent.query("BEGIN").ok();
    let (_, id) = unapproved(&agent.query(sql));
    agent.query("ROLLBACK").ok();
    world.approve(&world.asked(&run));
    agent.query("SET datestyle = 'ISO, DMY'").ok();
    agent.query("BEGIN").ok();
    let (_, other) = unapproved(&agent.query(sql));
    assert_ne!(id, other);
    agent.query("ROLLBACK").ok();
    agent.query("RESET datestyle").ok();
    agent.query(sql).ok();
    world.verify();
}

#[test]
fn what_is_sent_behind_a_call_that_waits_has_a_limit() {
    if !can_approve() {
        return;
    }
    let (world, run, mut agent) = start();
    let (sql, _) = update();
    send(&mut agent, &sql);
    world.asked(&run);
    let long = format!("SELECT '{}'", "x".repeat(100_000));
    for _ in 0..8 {
        let mut bytes = bytes::BytesMut::new();
        frontend::query(&long, &mut bytes).expect("a query");
        agent.send_bytes(&bytes);
    }
    let (report, _) = unapproved(&agent.answer());
    assert!(
        report.hint.contains("exactly the same call again"),
        "{report:#?}"
    );
    for _ in 0..8 {
        agent.answer().ok();
    }
    assert_eq!(priority(&world), "0");
    world.verify();
}

#[test]
fn real_clients_wait_and_are_told() {
    if !can_approve() {
        return;
    }
    let (world, run, agent) = start();
    drop(agent);
    let (sql, _) = update();
    let psql = |sql: &str| {
        let mut psql = psql();
        psql.args(["-v", "VERBOSITY=verbose", "-c", sql, run.url()]);
        psql
    };
    let child = psql(&sql)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let asked = world.asked(&run);
    world.approve(&asked);
    let done = child.expect("psql").wait_with_output().expect("psql ends");
    assert!(
        String::from_utf8_lossy(&done.stdout).contains("UPDATE 1"),
        "{done:?}"
    );
    // psycopg begins a transaction by itself.
    let program = "import sys, psycopg\n\
        with psycopg.connect(sys.argv[1]) as c:\n    \
            print(c.execute(sys.argv[2], (int(sys.argv[3]),)).rowcount)\n";
    let by_value = "UPDATE tickets SET priority = 8 WHERE id = %s";
    let psycopg = |id: &str| {
        let mut python = python("psycopg3.py");
        let interpreter = python.get_program().to_owned();
        python = bailiwick_tests::command(interpreter);
        python.args(["-c", program, run.url(), by_value, id]);
        finish(&mut python)
    };
    let refused = psycopg("3");
    assert!(refused.stderr.contains("approval apr_"), "{refused:#?}");
    world.approve(&world.asked(&run));
    assert_eq!(psycopg("3").ok().trim(), "1");
    let other = psycopg("4");
    assert!(other.stderr.contains("approval apr_"), "{other:#?}");
    assert_eq!(
        world.sql("SELECT count(*) FROM tickets WHERE priority = 8"),
        "1"
    );
    world.verify();
}
