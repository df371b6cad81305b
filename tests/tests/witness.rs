//! The log held against those who see it from outside: witnesses, and a signer that keeps its key.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_tests::{Agent, Lasting, World, bailiwick, command, eventually};
use serde_json::Value;
use tempfile::TempDir;

/// For what takes a witness a second or two.
const SOON: Duration = Duration::from_secs(20);

/// A witness of one log, in a folder of its own.
struct Witness {
    dir: TempDir,
    log: String,
    process: Option<Lasting>,
    url: String,
    vkey: String,
}

impl Witness {
    #[track_caller]
    fn start(log: &str) -> Self {
        let mut witness = Self {
            dir: tempfile::tempdir().expect("a folder"),
            log: log.to_owned(),
            process: None,
            url: "http://127.0.0.1:0".to_owned(),
            vkey: String::new(),
        };
        witness.again();
        witness
    }

    /// Starts it where it was.
    #[track_caller]
    fn again(&mut self) {
        let listen = self.url.replace("http://", "");
        let mut command = command(bailiwick());
        command.args(["witness", "--listen", &listen, "--log", &self.log, "--data"]);
        command.arg(self.dir.path().join("data"));
        let said = self.dir.path().join("said");
        let process = Lasting::start(&mut command, "policy", &said);
        self.url = process.value("listen").to_owned();
        self.vkey = process.value("key").to_owned();
        self.process = Some(process);
    }

    fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// The checkpoint that it keeps.
    fn kept(&self) -> Option<String> {
        let entries = fs::read_dir(self.dir.path().join("data")).ok()?;
        let mut paths = entries.map_while(|entry| Some(entry.ok()?.path().join("checkpoint")));
        fs::read_to_string(paths.find(|path| path.is_file())?).ok()
    }
}

/// A gateway that has one witness, whose signature everybody asks for.
#[track_caller]
fn witnessed() -> (World, Witness) {
    let mut world = World::triage();
    let vkey = fs::read_to_string(world.data().join("log.vkey")).expect("the key");
    let witness = Witness::start(vkey.trim());
    let policy = format!(
        "log {}\nwitness w1 {} {}\nquorum w1\n",
        vkey.trim(),
        witness.vkey,
        witness.url
    );
    fs::write(policy_of(&world), policy).expect("the policy");
    world.stop();
    world.configure("[log]\npolicy = \"log.policy\"\n");
    world.serve();
    (world, witness)
}

fn policy_of(world: &World) -> PathBuf {
    world.config().with_file_name("log.policy")
}

/// A file of the published log: its size, and how many have signed it besides the log.
fn published(world: &World, file: &str) -> Option<(u64, usize)> {
    let note = fs::read_to_string(world.data().join("log").join(file)).ok()?;
    let size = note.lines().nth(1)?.parse().ok()?;
    Some((size, note.matches('\u{2014}').count() - 1))
}

#[track_caller]
fn until_witnessed(world: &World) -> u64 {
    eventually("the checkpoint is cosigned", SOON, || {
        let (size, signatures) = published(world, "checkpoint")?;
        let witnessed = published(world, "witnessed")?;
        (signatures == 1 && witnessed == (size, 1)).then_some(size)
    })
}

fn record_something(world: &World) {
    let run = world.open("triage");
    Agent::connect(&run).query("SELECT id FROM tickets").ok();
    world.bailiwick(&["close", &run.id]).ok();
}

/// The gateway's own records of a type.
fn records(world: &World, kind: &str) -> Vec<Value> {
    let trail = world.trail("gateway").into_iter();
    let records = trail.map(|entry| entry["record"].clone());
    records.filter(|record| record["type"] == kind).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    fs::set_permissions(to, fs::metadata(from).expect("a folder").permissions()).expect("a mode");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if !kind.is_socket() {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

#[test]
fn what_is_published_is_cosigned_and_verifies_by_the_policy() {
    let (mut world, witness) = witnessed();
    record_something(&world);
    until_witnessed(&world);
    let policy = policy_of(&world);
    let policy = policy.to_str().expect("a path");
    let verified = world.bailiwick(&["verify", "--policy", policy, "--json"]);
    let report: Value = serde_json::from_str(verified.ok()).expect("JSON");
    assert_eq!(report["witnessed"]["by"][0]["witness"], "w1", "{report:#}");

    // The last checkpoint, which the gateway signs when it stops, is cosigned too.
    record_something(&world);
    world.stop();
    let note = fs::read_to_string(world.data().join("log/checkpoint")).expect("a checkpoint");
    let (_, signatures) = published(&world, "checkpoint").expect("a checkpoint");
    assert_eq!(signatures, 1, "{note}");
    assert_eq!(witness.kept().as_deref(), Some(note.as_str()));
    // Whoever holds the signing key alone cannot make a checkpoint that the policy accepts.
    let forged: String = note
        .lines()
        .take(5)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(world.data().join("log/checkpoint"), forged).expect("a file");
    fs::remove_file(world.data().join("log/witnessed")).expect("a file");
    let verified = world.bailiwick(&["verify", "--policy", policy]);
    assert_eq!(verified.code(), 1, "{verified:#?}");
}

#[test]
fn a_witness_that_is_down_holds_nothing_up_and_is_asked_again() {
    let (mut world, mut witness) = witnessed();
    let before = until_witnessed(&world);
    witness.kill();
    record_something(&world);
    record_something(&world);
    let size = eventually("a checkpoint without it", SOON, || {
        let (size, signatures) = published(&world, "checkpoint")?;
        (size > before && signatures == 0).then_some(size)
    });
    // Whoever verifies has the last one that it signed.
    assert_eq!(
        published(&world, "witnessed").expect("a checkpoint").0,
        before
    );
    let said = || {
        eventually("it says so", SOON, || {
            let said = world.said();
            said.contains("the witness w1 does not sign")
                .then_some(said)
        })
    };
    said();
    witness.again();
    assert!(until_witnessed(&world) >= size);
    assert!(world.said().contains("the witness w1 signs again"));
    // It remembers: both of them start anew, and go on.
    world.stop();
    witness.kill();
    witness.again();
    world.serve();
    assert!(until_witnessed(&world) > size);
    assert_eq!(records(&world, "witness.disagreed"), Vec::<Value>::new());
}

#[test]
fn a_data_folder_that_was_rolled_back_is_found() {
    let (mut world, witness) = witnessed();
    until_witnessed(&world);
    world.stop();
    let older = witness.dir.path().join("older");
    copy(world.data(), &older);
    world.serve();
    record_something(&world);
    record_something(&world);
    let seen = until_witnessed(&world);
    world.stop();

    fs::remove_dir_all(world.data()).expect("the folder");
    copy(&older, world.data());
    // The folder fits together, and nothing in it knows better.
    let verified = world.bailiwick(&["verify"]);
    verified.ok();
    let policy = policy_of(&world);
    let verified = world.bailiwick(&["verify", "--policy", policy.to_str().expect("a path")]);
    assert_eq!(verified.code(), 1, "{verified:#?}");

    world.serve();
    let disagreed = eventually("the gateway finds out", SOON, || {
        records(&world, "witness.disagreed").into_iter().next()
    });
    assert_eq!(disagreed["witness"]["name"], "w1");
    assert_eq!(disagreed["witness"]["problem"], "larger");
    assert!(disagreed["witness"]["size"].as_u64() >= Some(seen));
    assert!(disagreed["witness"]["ours"].as_u64() < disagreed["witness"]["size"].as_u64());
    assert!(
        world.said().contains("restored from an older copy"),
        "{}",
        world.said()
    );
    let trail = world.bailiwick(&["trail", "gateway"]);
    assert!(trail.ok().contains("disagreed"), "{}", trail.stdout);
    let show = format!("gateway/{}", disagreed["seq"]);
    assert!(world.bailiwick(&["show", &show]).ok().contains("larger"));
    // Once, not once a second.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(records(&world, "witness.disagreed").len(), 1);
    // Its history grows past the other one, and then it is another one.
    for _ in 0..8 {
        record_something(&world);
    }
    world.stop();
    world.serve();
    eventually("the gateway finds out again", SOON, || {
        let disagreed = records(&world, "witness.disagreed");
        (disagreed.last()?["witness"]["problem"] == "inconsistent").then_some(())
    });
}

/// A signer for the gateway of the tests.
struct Signer {
    dir: TempDir,
    name: &'static str,
    process: Option<Lasting>,
}

/// The name of the log as the configuration has it, and after a rotation.
const NAME: &str = "test.example/bailiwick";
const NEXT: &str = "test.example/bailiwick/2027";

impl Signer {
    #[track_caller]
    fn start() -> Self {
        Self::of(NAME)
    }

    #[track_caller]
    fn of(name: &'static str) -> Self {
        let mut signer = Self {
            dir: tempfile::tempdir().expect("a folder"),
            name,
            process: None,
        };
        signer.serve(&["--new"]);
        signer
    }

    #[track_caller]
    fn serve(&mut self, more: &[&str]) {
        let mut command = command(bailiwick());
        command.args(["signer", "--name", self.name, "--key"]);
        command.arg(self.dir.path().join("log.key"));
        command.arg("--listen").arg(self.socket()).args(more);
        let said = self.dir.path().join("said");
        self.process = Some(Lasting::start(&mut command, "key", &said));
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("signer.sock")
    }

    /// The key that checks what it signs.
    fn vkey(&self) -> &str {
        self.process.as_ref().expect("it runs").value("key")
    }

    fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }
}

/// A gateway whose key a signer has, from its first start.
#[track_caller]
fn signed() -> (World, Signer) {
    let signer = Signer::start();
    let socket = signer.socket();
    let world = World::builder()
        .task(bailiwick_tests::task("triage", bailiwick_tests::TRIAGE))
        .log(&format!("signer = {socket:?}"))
        .start();
    (world, signer)
}

#[test]
fn a_gateway_with_a_signer_never_holds_the_key() {
    let (mut world, mut signer) = signed();
    let mode = |path: PathBuf| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(signer.socket()), 0o600);
    assert_eq!(mode(signer.dir.path().join("log.key")), 0o600);
    let vkey = signer.vkey().to_owned();
    let known = fs::read_to_string(world.data().join("log.vkey")).expect("the key");
    assert_eq!(known.trim(), vkey);
    record_something(&world);
    assert!(!world.data().join("keys/log.key").exists());
    let seed = fs::read(signer.dir.path().join("log.key")).expect("the key");
    let mut folders = vec![world.data().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                let bytes = fs::read(&path).expect("a file");
                let found = bytes.windows(32).any(|window| window == seed);
                assert!(!found, "the key is in {}", path.display());
            }
        }
    }

    // It is missing for a while, also when the gateway starts.
    signer.kill();
    record_something(&world);
    let (before, _) = published(&world, "checkpoint").expect("a checkpoint");
    eventually("the gateway says so", SOON, || {
        world
            .said()
            .contains("nothing is published until it is signed")
            .then_some(())
    });
    world.kill();
    world.serve();
    record_something(&world);
    let tail = world.verify()["tail"].as_u64();
    assert!(tail > Some(5), "{tail:?}");
    let now = published(&world, "checkpoint").expect("a checkpoint").0;
    assert_eq!(now, before);
    signer.serve(&[]);
    eventually("it is signed again", SOON, || {
        (published(&world, "checkpoint")?.0 > before).then_some(())
    });
    eventually("the gateway says so", SOON, || {
        world
            .said()
            .contains("the signer signs again")
            .then_some(())
    });
    world.stop();
    assert_eq!(world.verify()["tail"], 0);
}

#[test]
fn a_signer_refuses_to_sign_a_history_anew() {
    let (mut world, signer) = signed();
    record_something(&world);
    world.stop();
    let older = signer.dir.path().join("older");
    copy(world.data(), &older);
    world.serve();
    record_something(&world);
    record_something(&world);
    world.stop();

    fs::remove_dir_all(world.data()).expect("the folder");
    copy(&older, world.data());
    // Nothing in the folder knows better, but the signer does, also at the second try.
    for _ in 0..2 {
        world.bailiwick(&["verify"]).ok();
        let refused = world.serve_in_vain();
        assert!(refused.stderr.contains("rolled back"), "{refused:#?}");
    }
    // A signer with another key, which knows nothing of the log, is no way out.
    let other = Signer::start();
    let config = fs::read_to_string(world.config()).expect("the configuration");
    let [ours, others] = [&signer, &other].map(|signer| format!("{:?}", signer.socket()));
    fs::write(world.config(), config.replace(&ours, &others)).expect("the configuration");
    let refused = world.serve_in_vain();
    assert!(refused.stderr.contains("it has the key"), "{refused:#?}");
}

/// Gives the configuration another value.
#[track_caller]
fn configure(world: &World, from: &str, to: &str) {
    let config = fs::read_to_string(world.config()).expect("the configuration");
    assert!(config.contains(from), "{config}");
    fs::write(world.config(), config.replace(from, to)).expect("the configuration");
}

/// Gives the log its next name, and a signer at this socket.
#[track_caller]
fn rename(world: &World, from: &Path, to: &Path) {
    configure(
        world,
        &format!("name = {NAME:?}"),
        &format!("name = {NEXT:?}"),
    );
    configure(world, &format!("{from:?}"), &format!("{to:?}"));
}

/// The log goes on under the key of its new signer, and both are whole.
#[track_caller]
fn goes_on(world: &mut World, signer: &Signer) {
    world.serve();
    record_something(world);
    eventually("the new signer signs", SOON, || {
        (published(world, "checkpoint")?.0 > 3).then_some(())
    });
    world.stop();
    let report = world.verify();
    assert_eq!(report["origin"], NEXT, "{report:#}");
    assert_eq!(report["predecessors"][0]["origin"], NAME, "{report:#}");
    let known = fs::read_to_string(world.data().join("log.vkey")).expect("the key");
    assert_eq!(known.trim(), signer.vkey());
    for name in ["keys/log.key", "keys/next.key"] {
        assert!(!world.data().join(name).exists(), "{name}");
    }
}

#[test]
fn a_log_whose_key_a_signer_has_is_rotated_to_the_key_of_another_signer() {
    let (mut world, old) = signed();
    record_something(&world);
    world.stop();
    let mut next = Signer::of(NEXT);
    rename(&world, &old.socket(), &next.socket());
    let old_socket = old.socket();
    let rotate = ["rotate", "--old-signer", old_socket.to_str().expect("text")];

    // Each has to be there: nothing has happened without them.
    let without = world.bailiwick(&["rotate"]);
    assert!(!without.status.success(), "{without:#?}");
    next.kill();
    let missing = world.bailiwick(&rotate);
    assert!(
        missing.stderr.contains("does not say with which key"),
        "{missing:#?}"
    );
    assert!(!world.data().join("archive").exists());
    next.serve(&[]);

    let rotated = world.bailiwick(&rotate);
    assert!(rotated.ok().contains(next.vkey()), "{rotated:#?}");
    let again = world.bailiwick(&rotate);
    assert!(again.stderr.contains("rotated already"), "{again:#?}");
    drop(old);

    // Only the signer that the old log has named begins the new one.
    let other = Signer::of(NEXT);
    configure(
        &world,
        &format!("{:?}", next.socket()),
        &format!("{:?}", other.socket()),
    );
    let refused = world.serve_in_vain();
    assert!(
        refused.stderr.contains("to go on under the key"),
        "{refused:#?}"
    );
    configure(
        &world,
        &format!("{:?}", other.socket()),
        &format!("{:?}", next.socket()),
    );
    goes_on(&mut world, &next);
}

#[test]
fn a_log_with_a_key_of_its_own_is_rotated_to_one_that_a_signer_has() {
    let mut world = World::triage();
    record_something(&world);
    world.stop();
    let key = fs::read(world.data().join("keys/log.key")).expect("the key");
    let next = Signer::of(NEXT);
    configure(
        &world,
        &format!("name = {NAME:?}"),
        &format!("name = {NEXT:?}"),
    );
    world.configure(&format!("\n[log]\nsigner = {:?}\n", next.socket()));
    let rotated = world.bailiwick(&["rotate"]);
    assert!(rotated.ok().contains(next.vkey()), "{rotated:#?}");
    for entry in fs::read_dir(world.data().join("keys")).expect("a folder") {
        let path = entry.expect("an entry").path();
        assert_ne!(fs::read(&path).expect("a file"), key, "{}", path.display());
    }
    goes_on(&mut world, &next);
}
