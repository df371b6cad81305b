//! What somebody can see who has nothing but a copy of the data folder: no gateway, and mostly no keys.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_tests::{Agent, Finished, Run, World, bailiwick, command, eventually, finish};
use serde_json::Value;

/// Asks about a folder, outside any configuration.
#[track_caller]
fn ask(data: &Path, arguments: &[&str]) -> Finished {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let mut asked = command(bailiwick());
    asked.args(arguments).arg("--data").arg(data);
    finish(asked.current_dir(elsewhere.path()))
}

#[track_caller]
fn json(data: &Path, arguments: &[&str]) -> Vec<Value> {
    let asked = ask(data, arguments);
    let lines = asked.ok().lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every file with its bytes, and everything with the moment of its last change.
fn state(folder: &Path) -> Vec<(PathBuf, Vec<u8>, i64, i64)> {
    let state = |path: PathBuf| {
        let meta = fs::metadata(&path).expect("there");
        let bytes = fs::read(&path).unwrap_or_default();
        (path, bytes, meta.mtime(), meta.mtime_nsec())
    };
    files(folder).into_iter().map(state).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for path in files(from) {
        let there = to.join(path.strip_prefix(from).expect("within"));
        match path.is_dir() {
            true => fs::create_dir_all(there).expect("a folder"),
            false if path.is_file() => drop(fs::copy(&path, there).expect("a copy")),
            false => {}
        }
    }
}

/// Two runs, the first with something that is masked and something that is denied.
fn worked(world: &World) -> (Run, Run) {
    let run = world.open_with(&["--task", "triage", "--reason", "for the auditor"]);
    let mut agent = Agent::connect(&run);
    agent.query("SELECT id FROM tickets WHERE id = 1").ok();
    agent.query("DELETE FROM tickets").denied(&["delete"]);
    drop(agent);
    world.bailiwick(&["revoke", &run.id]).ok();
    let second = world.open("triage");
    world.bailiwick(&["suspend", &second.id]).ok();
    (run, second)
}

#[test]
fn a_copy_of_the_folder_is_read_without_its_gateway_and_stays_as_it_is() {
    let mut world = World::triage();
    let (run, second) = worked(&world);
    // Which waits until a checkpoint covers it.
    let covered = format!("{}/2", second.id);
    world.bailiwick(&["receipt", &covered, "-o", "-"]).ok();
    world.kill();
    let copied = tempfile::tempdir().expect("a folder");
    let data = copied.path().join("data");
    copy(world.data(), &data);
    fs::remove_dir_all(data.join("keys")).expect("the keys");
    let before = state(&data);

    let runs = json(&data, &["runs", "--json"]);
    let ids: Vec<_> = runs.iter().map(|run| &run["run"]).collect();
    assert_eq!(ids, [&*second.id, &*run.id], "{runs:#?}");
    assert_eq!(
        (&runs[0]["state"], &runs[1]["state"], &runs[1]["ending"]),
        (&"suspended".into(), &"ended".into(), &"revoked".into())
    );
    assert_eq!(
        runs[1]["counts"],
        serde_json::json!({"allowed": 1, "denied": 1, "masked": 0})
    );
    assert_eq!(json(&data, &["runs", "--json", "--ended"]).len(), 1);
    assert_eq!(json(&data, &["runs", "--json", "--limit", "1"]).len(), 1);

    let trail = ask(&data, &["trail", &run.id]);
    let told = trail.ok();
    for words in ["✗ DENY", "public.tickets", "it was revoked by human:"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let records = json(&data, &["trail", &run.id, "--json"]);
    let exported = json(&data, &["export", "--format", "jsonl", "--run", &run.id]);
    let of_trail: Vec<_> = records.iter().map(|entry| &entry["record"]).collect();
    assert_eq!(of_trail, exported.iter().collect::<Vec<_>>());
    // The newest is the same for all.
    let newest = json(&data, &["trail", "last", "--json"]);
    assert_eq!(newest[0]["record"]["run"], *second.id);
    let exported = json(&data, &["export", "--format", "jsonl", "--run", "last"]);
    assert_eq!(exported[0]["run"], *second.id);

    // What agents wrote is sealed.
    let shown = json(&data, &["show", &format!("{}/2", run.id), "--json"]);
    let why = shown[0]["payload_missing"].as_str().expect("a reason");
    assert!(why.contains("sealed"), "{why}");
    assert!(shown[0].get("payload").is_none(), "{shown:#?}");
    let unknown = ask(&data, &["show", "last/99"]);
    assert_eq!(unknown.code(), 2, "{unknown:#?}");
    let own = json(&data, &["trail", "gateway", "--json"]);
    assert_eq!(own[0]["record"]["type"], "gateway.started");

    let hits = json(&data, &["search", "--json", "--denied", "public.tickets"]);
    assert_eq!(hits[0]["run"], *run.id, "{hits:#?}");
    let none = ask(&data, &["search", "nosuchword"]);
    assert!(none.stderr.contains("nothing was found"), "{none:#?}");

    assert_eq!(state(&data), before, "the folder was written to");

    // The published part alone says as much, up to its checkpoint.
    let records = json(&data.join("log"), &["trail", &run.id, "--json"]);
    assert_eq!(records[0]["record"]["type"], "run.opened");
    assert_eq!(state(&data), before, "the folder was written to");

    // Whoever has the keys, too, reads what agents wrote.
    copy(&world.data().join("keys"), &data.join("keys"));
    let shown = ask(&data, &["show", &format!("{}/2", run.id)]);
    assert!(shown.ok().contains("WHERE id = 1"), "{shown:#?}");
    let trail = ask(&data, &["trail", &run.id]);
    assert!(trail.ok().contains("“for the auditor”"), "{trail:#?}");

    // Of a run that is still open in the record `verify` says so.
    let report = &json(&data, &["verify", "--json", "--run", "last"])[0];
    assert_eq!(report["run"]["run"], *second.id, "{report:#}");
}

#[test]
fn what_was_altered_in_a_copy_is_not_shown_as_if_it_were_verified() {
    let mut world = World::triage();
    let (run, second) = worked(&world);
    let covered = format!("{}/2", second.id);
    world.bailiwick(&["receipt", &covered, "-o", "-"]).ok();
    world.stop();
    let copied = tempfile::tempdir().expect("a folder");
    let data = copied.path().join("data");
    copy(world.data(), &data);
    // As whoever has the folder may: of the one bundle and the write-ahead log, the same everywhere.
    let altered = files(&data).into_iter().filter(|path| {
        let bytes = fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        path.starts_with(data.join("log/tile/entries")) && text.contains("public.tickets")
    });
    let altered: Vec<_> = altered.collect();
    assert!(!altered.is_empty());
    for path in &altered {
        let (from, to) = (b"public.tickets", b"public.innocen");
        let mut bytes = fs::read(path).expect("a bundle");
        while let Some(at) = bytes.windows(from.len()).position(|part| part == from) {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
        fs::write(path, bytes).expect("a bundle");
    }
    let record = format!("{}/3", run.id);
    for arguments in [
        &["runs"][..],
        &["trail", &run.id],
        &["trail", &run.id, "--json"],
        &["show", &record],
        &["search", "public.innocen"],
    ] {
        let shown = ask(&data, arguments);
        shown.ok();
        let said = shown.stderr.split_whitespace().collect::<Vec<_>>();
        let said = said.join(" ");
        assert!(said.contains("none of it was verified"), "{shown:#?}");
    }
    let trail = ask(&data, &["trail", &run.id]);
    assert!(trail.stdout.contains("public.innocen"), "{trail:#?}");
    let verified = ask(&data, &["verify"]);
    assert_eq!(verified.code(), 1, "{verified:#?}");

    // A key that lies beside it says nothing, and another than the log's finds it.
    let of_another = World::triage();
    let foreign = of_another.data().join("log.vkey");
    copy(world.data(), &data);
    assert!(
        ask(&data, &["verify"])
            .ok()
            .contains("the key that lies beside the log")
    );
    fs::copy(foreign, data.join("log.vkey")).expect("a key");
    let verified = ask(&data, &["verify"]);
    assert_ne!(verified.code(), 0, "{verified:#?}");
}

#[test]
fn a_folder_that_a_gateway_has_shows_no_payload_that_goes_unrecorded() {
    let world = World::triage();
    let (run, _) = worked(&world);
    let name = format!("{}/2", run.id);
    let shown = eventually("it is shown", Duration::from_secs(20), || {
        Some(ask(world.data(), &["show", &name])).filter(|shown| shown.status.success())
    });
    assert!(shown.stdout.contains("without --data"), "{shown:#?}");
    assert!(!shown.stdout.contains("WHERE id = 1"), "{shown:#?}");
    let follow = ask(world.data(), &["trail", "last", "--follow"]);
    assert_eq!(follow.code(), 2, "{follow:#?}");
    // Through the gateway it is shown, and that is on record.
    let shown = world.bailiwick(&["show", &name]);
    assert!(shown.ok().contains("WHERE id = 1"), "{shown:#?}");
    let own = world.trail("gateway");
    let viewed = own.last().expect("a record");
    assert_eq!(viewed["record"]["type"], "payloads.viewed", "{viewed:#}");
}

#[test]
fn a_pipe_in_a_copy_keeps_nobody_waiting() {
    let mut world = World::triage();
    let (run, _) = worked(&world);
    world.stop();
    for part in ["payloads", "wal", "control.token", "log.vkey"] {
        let copied = tempfile::tempdir().expect("a folder");
        let data = copied.path().join("data");
        copy(world.data(), &data);
        let files = match data.join(part) {
            folder if folder.is_dir() => files(&folder),
            file => vec![file],
        };
        assert!(!files.is_empty(), "{part}");
        for file in files {
            drop(fs::remove_file(&file));
            finish(command("mkfifo").arg(&file)).ok();
        }
        let record = format!("{}/1", run.id);
        for arguments in [
            &["show", &record][..],
            &["trail", &run.id],
            &["search", "public.tickets"],
            &["export", "--format", "jsonl"],
            &["verify"],
        ] {
            // That it ends is enough: what it still finds elsewhere it may say.
            let asked = ask(&data, arguments);
            assert!(matches!(asked.code(), 0..=2), "{part}: {asked:#?}");
        }
    }
}
