//! The record: complete, the same for what was denied as for what was allowed, and proof of itself
//! against whoever changes it, and against the gateway's own sudden death.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_tests::{
    Agent, Finished, Run, TRIAGE, World, actions, bailiwick, command, eventually, finish, task,
};
use serde_json::Value;
use tempfile::TempDir;

fn of_type<'t>(trail: &'t [Value], kind: &str) -> Vec<&'t Value> {
    let records = trail.iter().map(|entry| &entry["record"]);
    records.filter(|record| record["type"] == kind).collect()
}

#[test]
fn a_run_is_a_gapless_chain_from_its_opening_to_its_close() {
    let world = World::triage();
    let run = world.open_with(&["--task", "triage", "--reason", "for a test"]);
    let mut agent = Agent::connect(&run);
    agent.query("SELECT id FROM tickets").ok();
    agent.query("DELETE FROM tickets").denied(&["delete"]);
    world.bailiwick(&["close", &run.id]).ok();
    let trail = world.trail(&run.id);
    let records: Vec<_> = trail.iter().map(|entry| &entry["record"]).collect();
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record["seq"], index + 1, "{record:#}");
        assert_eq!(record["run"], run.id.as_str());
        assert_eq!(record["task"], "triage");
        assert!(
            record["launcher"]
                .as_str()
                .expect("a launcher")
                .starts_with("human:")
        );
        let before = index
            .checked_sub(1)
            .map(|before| trail[before]["digest"].as_str());
        let expected = before
            .flatten()
            .map_or("0".repeat(64), |digest| digest.replace("sha256:", ""));
        assert_eq!(
            record["prev"]
                .as_str()
                .expect("prev")
                .replace("sha256:", ""),
            expected
        );
    }
    assert_eq!(records.first().expect("records")["type"], "run.opened");
    let closed = records.last().expect("records");
    assert_eq!(
        (&closed["type"], &closed["ending"]),
        (&"run.closed".into(), &"closed".into())
    );
    assert_eq!(closed["count"], records.len());
    assert_eq!(closed["last"], closed["prev"]);
    assert_eq!(trail[0]["payload"]["reason"], "for a test");
}

#[test]
fn what_was_denied_is_kept_with_the_same_detail() {
    let world = World::triage();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    agent
        .query("UPDATE tickets SET priority = 1 WHERE id = 1")
        .ok();
    agent
        .query("UPDATE billing.invoices SET amount = 0 WHERE id = 1")
        .denied(&["billing.invoices"]);
    let allowed = world.decided(&run.id, "UPDATE tickets");
    let denied = world.decided(&run.id, "UPDATE billing.invoices");
    let keys = |value: &Value| -> BTreeSet<String> {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(keys(&denied), keys(&allowed));
    assert_eq!(keys(&denied["call"]), keys(&allowed["call"]));
    assert!(keys(&denied["decision"]).is_superset(&keys(&allowed["decision"])));
    assert!(keys(&denied["decision"]).contains("reason"));
    assert!(
        actions(&denied).contains(&"update billing.invoices".to_owned()),
        "{denied:#}"
    );
    let action = denied["call"]["actions"]
        .as_array()
        .expect("actions")
        .iter()
        .find(|action| action["verb"] == "update");
    assert_eq!(
        action.expect("the update")["columns"],
        serde_json::json!(["amount"]),
        "{denied:#}"
    );

    // First-class for people: by itself, marked, with the reason and what to ask for.
    let shown = world.bailiwick(&["trail", &run.id, "--denied"]);
    let lines = shown.ok();
    assert!(
        lines.contains("DENY") && lines.contains("billing.invoices"),
        "{lines}"
    );
    assert!(
        lines.contains(
            denied["decision"]["remedy"]
                .as_str()
                .expect("a remedy")
                .split(',')
                .next()
                .expect("words")
        ),
        "{lines}"
    );
    assert!(!lines.contains("public.tickets"), "{lines}");
    let whole = world.bailiwick(&["trail", &run.id]);
    assert!(
        whole.ok().contains("DENY") && whole.ok().contains("tickets"),
        "{whole:#?}"
    );
    let name = format!("{}/{}", run.id, denied["seq"]);
    let shown = world.bailiwick(&["show", &name]);
    assert!(shown.ok().contains("SET amount = 0"), "{shown:#?}");
}

#[test]
fn failed_logins_are_kept() {
    let world = World::triage();
    let run = world.open("triage");
    Agent::connect(&run);
    let wrong = Agent::log_in(&run.url_with_password("bwk_wrong"))
        .err()
        .expect("no login");
    assert_eq!(wrong.code, "28P01", "{wrong:#?}");
    let nobody = run.url().replace(&run.id, "run_01JD5K3T9V8Z0W2Y4X6A7B8C9D");
    let unknown = Agent::log_in(&nobody).err().expect("no login");
    // Nobody can tell by it whether the run exists.
    assert_eq!(
        unknown
            .message
            .replace("run_01JD5K3T9V8Z0W2Y4X6A7B8C9D", ""),
        wrong.message.replace(&run.id, "")
    );
    assert_eq!(unknown.code, wrong.code);
    Agent::log_in(&run.url().replace(&run.id, "svc"))
        .err()
        .expect("no login");

    let trail = world.trail(&run.id);
    let denied = of_type(&trail, "login.denied");
    assert_eq!(denied.len(), 1, "{trail:#?}");
    assert_eq!(denied[0]["target"], "tickets");
    assert!(
        !denied[0]["login"]["reason"]
            .as_str()
            .expect("a reason")
            .is_empty()
    );
    let shown = world.bailiwick(&["trail", &run.id, "--denied"]);
    assert!(shown.ok().contains("DENY"), "{shown:#?}");
    assert_eq!(world.summary(&run.id)["counts"]["denied"], 1);

    let gateway = world.trail("gateway");
    assert_eq!(of_type(&gateway, "login.denied").len(), 2, "{gateway:#?}");
    world.bailiwick(&["close", &run.id]).ok();
    Agent::try_connect(&run)
        .err()
        .expect("no login after the end");
    let gateway = world.trail("gateway");
    let late = of_type(&gateway, "login.denied");
    assert_eq!(late.len(), 3, "{gateway:#?}");
    world.verify();
}

#[test]
fn what_the_agent_wrote_is_nowhere_in_clear() {
    let mut world = World::triage();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    let (allowed, denied, bound) = ("erika.mustermann", "max.mustermann", "john.public");
    agent
        .query(&format!(
            "SELECT id FROM tickets WHERE subject = '{allowed}'"
        ))
        .ok();
    agent
        .query(&format!("SELECT id FROM drafts WHERE text = '{denied}'"))
        .denied(&["drafts"]);
    agent
        .execute("SELECT id FROM tickets WHERE subject = $1", &[bound], false)
        .ok();
    let trail = format!("{:?}", world.trail(&run.id));
    for text in [allowed, denied, bound] {
        assert!(
            trail.contains(text),
            "{text} is not shown to whoever may see it"
        );
    }
    world.stop();
    let mut seen = 0;
    for file in files(world.data()) {
        let bytes = fs::read(&file).expect("a file");
        seen += usize::from(holds(&bytes, &run.id));
        for text in [allowed, denied, bound] {
            assert!(
                !holds(&bytes, text),
                "{text} stands in clear in {}",
                file.display()
            );
        }
    }
    assert!(
        seen > 0,
        "no file holds even the run's id: nothing was searched"
    );
}

/// The payload of the outcome of the call whose statement holds this text, and the outcome.
fn result(world: &World, run: &Run, text: &str) -> (Value, Value) {
    let seq = world.decided(&run.id, text)["seq"].clone();
    let trail = world.trail(&run.id);
    let finished = trail.iter().find(|entry| entry["record"]["of"] == seq);
    let finished = finished.expect("its outcome");
    (
        finished["payload"].clone(),
        finished["record"]["outcome"].clone(),
    )
}

#[test]
fn what_the_agent_got_is_kept_masked_and_up_to_a_limit() {
    let world = World::builder()
        .task(task("triage", TRIAGE))
        .target_setting("keep_results = 2000")
        .start();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    let sql = "SELECT id, email, NULL::text FROM tickets WHERE id = 1";
    let rows = agent.query(sql).ok().rows();
    let (kept, outcome) = result(&world, &run, sql);
    assert_eq!(kept["rows"], serde_json::json!(rows), "{kept:#}");
    assert!(format!("{kept}").contains("[masked]"), "{kept:#}");
    let digest = outcome["digest"].as_str().expect("a digest").to_owned();
    let shown = world.bailiwick(&["show", &format!("{}/3", run.id)]);
    assert!(shown.ok().contains("[masked]"), "{shown:#?}");

    // The same result has the same digest, another has another.
    agent.query(&format!("{sql} AND true")).ok();
    assert_eq!(result(&world, &run, "AND true").1["digest"], digest);
    agent.query(&format!("{sql} OR id = 2")).ok();
    assert_ne!(result(&world, &run, "OR id = 2").1["digest"], digest);

    let many = "SELECT t.id, c.text FROM tickets t, comments c, comments d, comments e";
    let count = agent.query(many).ok().rows().len();
    let (kept, outcome) = result(&world, &run, many);
    let shown = kept["rows"].as_array().expect("rows").len();
    assert!((1..count).contains(&shown), "{shown} of {count}");
    assert_eq!(kept["rows_left_out"], count - shown);
    assert!(outcome["digest"].is_string() && outcome["rows"] == count);
    world.verify();
}

#[test]
fn what_is_erased_is_gone_and_the_log_is_whole() {
    let world = World::builder()
        .task(task("triage", TRIAGE))
        .log("index_payloads = true")
        .start();
    let (erika, other) = (world.open("triage"), world.open("triage"));
    for (run, name) in [(&erika, "erika"), (&other, "max")] {
        let mut agent = Agent::connect(run);
        let sql = format!("SELECT id FROM tickets WHERE subject = '{name}'");
        agent.query(&sql).ok();
    }
    let refused = world.bailiwick(&["erase", &erika.id, "--yes"]);
    assert!(!refused.status.success(), "{refused:#?}");
    assert!(refused.stderr.contains("has not ended"), "{refused:#?}");
    assert!(!world.bailiwick(&["erase", "last"]).status.success());
    world.bailiwick(&["close", &erika.id]).ok();
    let key = world.data().join(format!("payloads/{}.key", erika.id));
    eventually("its payloads are stored", Duration::from_secs(5), || {
        key.exists().then_some(())
    });
    let wrapped = fs::read(&key).expect("the key");
    let found = |word: &str| {
        let found = world.bailiwick(&["search", "--json", word]);
        found.ok().lines().count()
    };
    assert_eq!((found("erika"), found("max")), (1, 1));
    // At a terminal it says what is lost and asks; whoever does not say yes has done nothing.
    let asked = at_a_terminal(&world, &["erase", &erika.id], "n\n");
    assert!(asked.contains("for good"), "{asked}");
    assert!(asked.contains("nothing was done"), "{asked}");
    // Nobody is there to be asked, so nothing is done.
    let refused = world.bailiwick(&["erase", &erika.id]);
    assert_eq!(refused.code(), 2, "{refused:#?}");
    assert!(refused.stderr.contains("--yes"), "{refused:#?}");
    assert_eq!((found("erika"), found("max")), (1, 1));
    let said = world.bailiwick(&["erase", &erika.id, "--yes"]);
    assert!(said.ok().contains("gateway/"), "{said:#?}");

    let trail = world.trail(&erika.id);
    assert_eq!(of_type(&trail, "call.decided").len(), 1);
    assert!(!format!("{trail:?}").contains("erika"), "{trail:#?}");
    let why = trail[1]["payload_missing"].as_str().expect("a reason");
    assert!(why.contains("erased"), "{why}");
    assert!(format!("{:?}", world.trail(&other.id)).contains("max"));
    for file in files(world.data()) {
        let bytes = fs::read(&file).unwrap_or_default();
        let there = bytes.windows(wrapped.len()).any(|here| here == wrapped);
        assert!(!there, "the key is still in {}", file.display());
    }
    assert_eq!((found("erika"), found("max")), (0, 1));
    let gateway = world.trail("gateway");
    let erased = of_type(&gateway, "payloads.erased");
    assert_eq!(erased[0]["erased"]["run"], erika.id.as_str());
    let by = erased[0]["erased"]["by"].as_str().expect("a launcher");
    assert!(by.starts_with("human:"), "{by}");
    let report = world.verify();
    assert_eq!(
        report["erased"],
        serde_json::json!([erika.id]),
        "{report:#}"
    );
    let told = world.bailiwick(&["verify"]);
    assert!(told.ok().contains("erased"), "{told:#?}");
}

/// Runs a command in a pseudo-terminal, at which somebody types this; what the terminal shows.
#[track_caller]
fn at_a_terminal(world: &World, arguments: &[&str], typed: &str) -> String {
    let line = arguments.join(" ");
    let mut terminal = command("script");
    terminal.args([
        "-qec",
        &format!("{} {line}", bailiwick().display()),
        "/dev/null",
    ]);
    terminal.env("BAILIWICK_CONFIG", world.config());
    terminal.env("TERM", "dumb");
    let mut keys = tempfile::tempfile().expect("a file");
    keys.write_all(typed.as_bytes()).expect("room");
    keys.rewind().expect("a file");
    finish(terminal.stdin(keys)).stdout
}

#[test]
fn what_is_old_is_pruned_and_the_log_is_whole() {
    let world = World::triage();
    let old = world.open("triage");
    let mut agent = Agent::connect(&old);
    for _ in 0..150 {
        agent.query("SELECT id FROM tickets WHERE id = 1").ok();
    }
    drop(agent);
    world.bailiwick(&["close", &old.id]).ok();
    let none = world.bailiwick(&["prune", "--older-than", "1h", "--json"]);
    let none: Value = serde_json::from_str(none.ok()).expect("JSON");
    assert_eq!(
        none,
        serde_json::json!({"before": 0, "runs": 0}),
        "too young to go"
    );
    let kept = world.open("triage");
    let pruned = world.bailiwick(&["prune", "--older-than", "0s", "--json"]);
    let pruned: Value = serde_json::from_str(pruned.ok()).expect("JSON");
    assert_eq!(pruned["before"], 256);
    let report = world.verify();
    assert_eq!(report["pruned"], 256);
    let told = world.bailiwick(&["verify"]);
    assert!(told.ok().contains("256 records at the beginning pruned"));
    assert_eq!(world.trail(&kept.id).len(), 1);
    let said = world.trail("gateway");
    assert_eq!(of_type(&said, "log.pruned")[0]["pruned"]["before"], 256);
    // It goes on, and so does the next gateway.
    let mut world = world;
    world.stop();
    world.serve();
    let next = world.open("triage");
    Agent::connect(&next).query("SELECT 1").ok();
    assert_eq!(world.verify()["pruned"], 256);
}

#[test]
fn a_target_may_want_its_reads_no_further_than_written() {
    let mut world = World::builder()
        .task(task("triage", TRIAGE))
        .target_setting("reads = \"written\"")
        .target_setting("keep_results = 0")
        .start();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    for _ in 0..50 {
        agent.query("SELECT id FROM tickets WHERE id = 1").ok();
    }
    agent
        .query("UPDATE tickets SET priority = 1 WHERE id = 1")
        .ok();
    // What is written outlives the gateway.
    world.kill();
    world.serve();
    let trail = world.trail(&run.id);
    assert_eq!(of_type(&trail, "call.decided").len(), 51);
    let finished = trail.iter().find(|entry| entry["record"]["of"] == 2);
    let finished = finished.expect("an outcome");
    assert!(finished["payload"].is_null(), "{finished:#}");
    world.verify();
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// Every file in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        match entry.file_type().expect("its type") {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found.sort();
    found
}

#[test]
fn statements_are_not_searched_unless_that_is_wanted() {
    let world = World::triage();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    agent
        .query("UPDATE billing.invoices SET amount = 0 WHERE note = 'pangolin'")
        .denied(&["billing.invoices"]);
    let none = world.bailiwick(&["search", "pangolin"]);
    assert!(none.ok().is_empty(), "{none:#?}");
    assert!(none.stderr.contains("index_payloads"), "{none:#?}");
    let found = world.bailiwick(&["search", "invoices"]);
    assert!(found.ok().contains("DENY"), "{found:#?}");
}

#[test]
fn what_was_denied_is_found_by_its_words_over_all_runs_and_restarts() {
    let mut world = World::builder()
        .task(task("triage", TRIAGE))
        .log("index_payloads = true")
        .start();
    let (first, second) = (world.open("triage"), world.open("triage"));
    Agent::connect(&first)
        .query("SELECT id FROM tickets WHERE subject = 'aardvark'")
        .ok();
    Agent::connect(&second)
        .query("UPDATE billing.invoices SET amount = 0 WHERE note = 'pangolin'")
        .denied(&["billing.invoices"]);
    world.bailiwick(&["close", &first.id]).ok();
    let found = |world: &World, arguments: &[&str]| -> Vec<String> {
        let finished = world.bailiwick(&[&["search", "--json"], arguments].concat());
        let lines = finished.ok().lines().map(serde_json::from_str::<Value>);
        let ids = lines.map(|hit| hit.expect("JSON")["id"].as_str().map(str::to_owned));
        ids.map(|id| id.expect("an id")).collect()
    };
    let shown = world.bailiwick(&["search", "pangolin", "invoices"]);
    let lines: Vec<&str> = shown.ok().lines().collect();
    assert!(
        lines[0].contains("DENY") && lines[0].contains(&format!("{}/", second.id)),
        "{shown:#?}"
    );
    assert!(
        lines[0].contains("UPDATE  tickets  billing.invoices (amount)"),
        "{shown:#?}"
    );
    assert!(lines[1].contains("outside the scope"), "{shown:#?}");

    let check = |world: &World| {
        let denied = found(world, &["--denied", "pangol*"]);
        assert_eq!(denied.len(), 1, "{denied:?}");
        assert!(denied[0].starts_with(&second.id), "{denied:?}");
        assert_eq!(found(world, &["aardvark"]).len(), 1);
        assert!(found(world, &["aardvark", "--denied"]).is_empty());
        assert!(found(world, &["aardvark", "--run", &second.id]).is_empty());
        assert!(found(world, &["aardvark", "--until", "1h"]).is_empty());
        assert_eq!(found(world, &["aardvark", "--since", "1h"]).len(), 1);
        assert!(found(world, &["pangolin", "OR", "aardvark"]).is_empty());
        // The record itself is under that name.
        let record = world.bailiwick(&["show", &denied[0]]);
        assert!(record.ok().contains("pangolin"), "{record:#?}");
    };
    check(&world);
    let by_gateway = world.bailiwick(&["reindex"]);
    assert!(by_gateway.ok().contains("indexed"), "{by_gateway:#?}");
    check(&world);
    world.kill();
    let alone = world.bailiwick(&["reindex", "--json"]);
    let alone: Value = serde_json::from_str(alone.ok()).expect("JSON");
    // Fifteen of them say that words of payloads were searched, two that a payload was looked at, and one that the
    // index was made anew.
    assert_eq!(alone["records"].as_u64(), Some(25), "{alone:#}");
    assert_eq!(alone["payloads_unread"], 0);
    world.serve();
    check(&world);
    assert!(
        !world.said().contains("made anew: it is"),
        "{}",
        world.said()
    );
    let refused = world.bailiwick(&["search", "--", "--"]);
    assert_eq!(refused.code(), 2, "{refused:#?}");
    assert!(
        refused.stderr.contains("no letter or digit"),
        "{refused:#?}"
    );
}

/// A log of a few runs, and copies of it to break.
struct Evidence {
    world: World,
    run: Run,
}

impl Evidence {
    fn new() -> Self {
        let mut world = World::triage();
        let run = world.open("triage");
        let mut agent = Agent::connect(&run);
        for id in 1..5 {
            agent
                .query(&format!("SELECT subject FROM tickets WHERE id = {id}"))
                .ok();
        }
        agent.query("DELETE FROM tickets").denied(&["delete"]);
        drop(agent);
        world.bailiwick(&["close", &run.id]).ok();
        let later = world.open("triage");
        Agent::connect(&later).query("SELECT 1").ok();
        world.stop();
        Self { world, run }
    }

    fn copy(&self) -> Copy {
        copy_of(self.world.data())
    }
}

struct Copy(TempDir);

fn copy_of(data: &Path) -> Copy {
    let folder = tempfile::tempdir().expect("a folder");
    finish(
        command("cp")
            .arg("-a")
            .arg(data)
            .arg(folder.path().join("data")),
    )
    .ok();
    Copy(folder)
}

impl Copy {
    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.data().join("log")
    }

    /// The file with the records. One of fewer records may be left beside it.
    fn entries(&self) -> PathBuf {
        let found = files(&self.log().join("tile/entries")).into_iter();
        let records = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u64>().ok();
        found.max_by_key(records).expect("an entry bundle")
    }

    fn verify(&self) -> Finished {
        finish(
            command(bailiwick())
                .arg("verify")
                .arg("--data")
                .arg(self.data())
                .env("NO_COLOR", "1"),
        )
    }

    /// Broken, said with status 1, and what is broken is named.
    #[track_caller]
    fn broken(&self, what: &str, names: &[&str]) {
        let verdict = self.verify();
        assert_eq!(verdict.code(), 1, "{what} was not found: {verdict:#?}");
        let said = format!("{}{}", verdict.stdout, verdict.stderr);
        assert!(said.contains("broken"), "{what}: {verdict:#?}");
        assert!(
            names.iter().any(|name| said.contains(name)),
            "{what}: none of {names:?} named: {verdict:#?}"
        );
    }
}

/// The records of an entry bundle (C2SP tlog-tiles: each behind its length, two bytes).
fn unbundle(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).expect("an entry bundle");
    let mut rest = &*bytes;
    let mut records = Vec::new();
    while let Some((length, after)) = rest.split_at_checked(2) {
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let (record, after) = after.split_at(length);
        records.push(record.to_vec());
        rest = after;
    }
    records
}

fn bundle(path: &Path, records: &[Vec<u8>]) {
    let mut bytes = Vec::new();
    for record in records {
        let length = u16::try_from(record.len()).expect("a record's length");
        bytes.extend(length.to_be_bytes());
        bytes.extend(record);
    }
    fs::write(path, bytes).expect("an entry bundle");
}

#[test]
fn a_log_that_nobody_touched_verifies() {
    let evidence = Evidence::new();
    let whole = evidence.copy().verify();
    assert_eq!(whole.code(), 0, "{whole:#?}");
    assert!(whole.stdout.contains("whole"), "{whole:#?}");
    let verdict = evidence
        .world
        .bailiwick(&["verify", "--run", &evidence.run.id]);
    assert!(verdict.ok().contains(&evidence.run.id), "{verdict:#?}");
    // With a key that was kept elsewhere, and with somebody else's.
    let key = fs::read_to_string(evidence.world.data().join("log.vkey")).expect("the key");
    evidence
        .world
        .bailiwick(&["verify", "--key", key.trim()])
        .ok();
    let other = World::triage();
    let other = fs::read_to_string(other.data().join("log.vkey")).expect("the key");
    let refused = evidence.world.bailiwick(&["verify", "--key", other.trim()]);
    assert!(matches!(refused.code(), 1 | 2), "{refused:#?}");
}

#[test]
fn one_altered_byte_is_found_wherever_it_is() {
    let evidence = Evidence::new();
    let copy = evidence.copy();
    let mut altered = 0;
    for file in files(&copy.log()) {
        let original = fs::read(&file).expect("a file");
        let name = file
            .strip_prefix(copy.log())
            .expect("a path")
            .display()
            .to_string();
        let last = original.len().saturating_sub(1);
        for at in [0, last / 3, last / 2, last * 2 / 3, last] {
            let mut bytes = original.clone();
            bytes[at] ^= 0x01;
            fs::write(&file, &bytes).expect("a file");
            let place = name.split('/').next().expect("a name");
            copy.broken(&format!("byte {at} of {name}"), &[&name, place, "record"]);
            altered += 1;
        }
        fs::write(&file, &original).expect("a file");
    }
    assert!(altered >= 15, "only {altered} bytes were altered");
    assert_eq!(copy.verify().code(), 0, "it is whole again");
}

#[test]
fn an_altered_record_is_named() {
    let evidence = Evidence::new();
    let copy = evidence.copy();
    let file = copy.entries();
    let mut records = unbundle(&file);
    let denied = records
        .iter_mut()
        .find(|record| holds(record, "\"effect\":\"deny\"") && holds(record, &evidence.run.id))
        .expect("the denial");
    let json: Value = serde_json::from_slice(denied).expect("JSON");
    // As somebody would who wants it to have been allowed, and the record to be a record still.
    let text = String::from_utf8(denied.clone()).expect("text");
    *denied = text
        .replace("\"effect\":\"deny\"", "\"effect\":\"allow\"")
        .into_bytes();
    bundle(&file, &records);
    let name = format!("{}/{}", evidence.run.id, json["seq"]);
    let spoken = format!("record {} of {}", json["seq"], evidence.run.id);
    let verdict = copy.verify();
    assert_eq!(verdict.code(), 1, "{verdict:#?}");
    let said = format!("{}{}", verdict.stdout, verdict.stderr);
    let seq = json["seq"].to_string();
    assert!(
        said.contains(&name)
            || said.contains(&spoken)
            || (said.contains(&evidence.run.id) && said.contains(&seq)),
        "the record {name} is not named: {said}"
    );
}

#[test]
fn a_removed_and_a_moved_record_are_found() {
    let evidence = Evidence::new();
    let records = unbundle(&evidence.copy().entries());
    let removed = evidence.copy();
    let mut without = records.clone();
    without.remove(records.len() / 2);
    bundle(&removed.entries(), &without);
    removed.broken("a removed record", &["record", "entries"]);
    let moved = evidence.copy();
    let mut swapped = records.clone();
    swapped.swap(records.len() / 2, records.len() / 2 + 1);
    bundle(&moved.entries(), &swapped);
    moved.broken("two records in another order", &["record", "entries"]);
    let doubled = evidence.copy();
    let mut twice = records.clone();
    twice.push(records[1].clone());
    bundle(&doubled.entries(), &twice);
    doubled.broken("a record twice", &["record", "entries"]);
}

#[test]
fn a_cut_tail_is_found() {
    let evidence = Evidence::new();
    let cut = evidence.copy();
    let mut records = unbundle(&cut.entries());
    records.pop();
    bundle(&cut.entries(), &records);
    cut.broken("the last record cut off", &["record", "entries"]);
    let truncated = evidence.copy();
    let bytes = fs::read(truncated.entries()).expect("a file");
    fs::write(truncated.entries(), &bytes[..bytes.len() - 10]).expect("a file");
    truncated.broken("the last bytes cut off", &["record", "entries"]);
    let removed = evidence.copy();
    fs::remove_file(removed.entries()).expect("a file");
    removed.broken("the records removed", &["record", "entries"]);
    let unsigned = evidence.copy();
    fs::remove_file(unsigned.log().join("checkpoint")).expect("a file");
    unsigned.broken("the checkpoint removed", &["checkpoint"]);
}

#[test]
fn a_log_that_is_put_back_to_what_it_was_is_found() {
    let mut world = World::triage();
    let run = world.open("triage");
    Agent::connect(&run).query("SELECT 1").ok();
    world.stop();
    let before = copy_of(world.data());
    assert_eq!(before.verify().code(), 0);
    world.serve();
    let run = world.open("triage");
    Agent::connect(&run)
        .query("DELETE FROM tickets")
        .denied(&["delete"]);
    world.stop();
    // What is published goes back, valid signature and all; what only the gateway has stays.
    let log = world.data().join("log");
    fs::remove_dir_all(&log).expect("the log");
    finish(command("cp").arg("-a").arg(before.log()).arg(&log)).ok();
    let rolled_back = copy_of(world.data());
    rolled_back.broken("an older log", &["checkpoint", "record"]);
}
