//! What goes wrong ends in a clear error for the one who can act on it, a record, and no hang.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bailiwick_tests::{
    Agent, Report, SERVICE, SERVICE_PASSWORD, Store, TRIAGE, World, certificate, eventually,
    finish, frontend, mark, psql, task,
};
use bytes::BufMut;

/// Takes until it is cancelled, in the target.
const LONG: &str = "SELECT count(*) FROM tickets a, generate_series(1, 2000000000) b";

/// A clear no takes no longer, and waits for no time limit.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A world in front of a target with this URL.
fn in_front_of(url: &str) -> World {
    World::builder()
        .target("tickets", url)
        .task(task("triage", TRIAGE))
        .start()
}

/// The login is refused, at once, in words that name the target and keep its secrets; the trail
/// says more.
#[track_caller]
fn cannot_be_opened(world: &World, says: &[&str]) -> String {
    let run = world.open("triage");
    let start = Instant::now();
    let refused = Agent::try_connect(&run).err().expect("no connection");
    assert!(start.elapsed() < AT_ONCE, "it took {:?}", start.elapsed());
    assert_eq!(
        (&*refused.severity, &*refused.code),
        ("FATAL", "08001"),
        "{refused:#?}"
    );
    assert!(refused.message.contains("tickets"), "{refused:#?}");
    assert!(!refused.hint.is_empty(), "{refused:#?}");
    assert!(
        !refused.whole.contains(SERVICE) && !refused.whole.contains("127.0.0.1"),
        "{refused:#?}"
    );
    let trail = world.trail(&run.id);
    let denied = trail
        .iter()
        .map(|entry| &entry["record"])
        .find(|record| record["type"] == "login.denied");
    let denied = denied.unwrap_or_else(|| panic!("no record of it: {trail:#?}"));
    assert_eq!(denied["target"], "tickets");
    let reason = denied["login"]["reason"]
        .as_str()
        .expect("a reason")
        .to_owned();
    assert!(
        says.iter().any(|says| reason.contains(says)),
        "none of {says:?} in: {reason}"
    );
    assert!(!reason.contains(SERVICE_PASSWORD), "{reason}");
    reason
}

#[test]
fn a_target_that_is_down() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = closed.local_addr().expect("its address").port();
    drop(closed);
    let world = in_front_of(&format!("postgres://svc:PASSWORD@127.0.0.1:{port}/store"));
    cannot_be_opened(&world, &["refused"]);
    world.verify();
}

#[test]
fn a_target_that_refuses_the_login() {
    let store = Store::shared();
    let database = store.database();
    let port = store.port();
    let world = in_front_of(&format!("postgres://svc:wrong@127.0.0.1:{port}/{database}"));
    cannot_be_opened(&world, &["password authentication failed"]);
    let world = in_front_of(&format!(
        "postgres://svc:PASSWORD@127.0.0.1:{port}/no_such_database"
    ));
    cannot_be_opened(&world, &["no_such_database"]);
    // The same, rightly.
    let world = in_front_of(&World::url(store, &database));
    Agent::connect(&world.open("triage")).query("SELECT 1").ok();
}

#[test]
fn a_target_that_is_something_else() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        use std::io::Write;
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let world = in_front_of(&format!(
        "postgres://svc:PASSWORD@127.0.0.1:{port}/store?sslmode=disable"
    ));
    cannot_be_opened(&world, &["does not accept", "login"]);
}

#[test]
fn a_target_that_dies_in_the_middle() {
    let mut store = Store::fresh();
    let database = store.database();
    let world = in_front_of(&World::url(&store, &database));
    let run = world.open("triage");
    let mut idle = Agent::connect(&run);
    let mut running = Agent::connect(&run);
    let mark = mark();
    running.send(|out| frontend::query(&format!("{LONG} {mark}"), out).expect("a query"));
    eventually("it runs", AT_ONCE, || store.saw(&mark).then_some(()));
    store.stop();
    for (what, agent) in [("idle", &mut idle), ("running", &mut running)] {
        let start = Instant::now();
        let last = agent
            .last_words()
            .unwrap_or_else(|| panic!("{what}: no last word"));
        assert!(start.elapsed() < AT_ONCE, "{what}");
        assert_eq!(last.severity, "FATAL", "{what}: {last:#?}");
        assert!(
            ["57P01", "57P02", "08006"].contains(&&*last.code),
            "{what}: {last:#?}"
        );
    }
    let trail = world.trail(&run.id);
    let decided = trail.iter().find(|entry| {
        entry["payload"]["text"]
            .as_str()
            .is_some_and(|text| text.contains(&mark))
    });
    let seq = &decided.expect("the record")["record"]["seq"];
    let outcome = trail
        .iter()
        .find(|entry| entry["record"]["of"] == *seq)
        .expect("its outcome");
    let state = outcome["record"]["outcome"]["state"]
        .as_str()
        .expect("a state");
    assert!(["cut", "error"].contains(&state), "{outcome:#}");
    // And back again, in the same run.
    assert!(Agent::try_connect(&run).is_err());
    store.resume();
    Agent::connect(&run).query("SELECT id FROM tickets").ok();
    world.verify();
}

/// The gateway is well, for anybody else.
#[track_caller]
fn is_well(world: &World) {
    let run = world.open("triage");
    Agent::connect(&run).query("SELECT id FROM tickets").ok();
    world.verify();
}

/// A message with this length in it and nothing behind it.
fn of_length(tag: u8, length: u32) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.put_u32(length);
    bytes
}

#[test]
fn a_length_of_a_gigabyte() {
    let world = World::triage();
    let run = world.open("triage");
    for (tag, length) in [
        (b'Q', 1 << 30),
        (b'P', u32::MAX),
        (b'B', 0),
        (b'd', 1 << 30),
        (b'S', 3),
    ] {
        let mut agent = Agent::connect(&run);
        let start = Instant::now();
        agent.send_bytes(&of_length(tag, length));
        let last = agent.last_words().expect("a last word");
        assert!(start.elapsed() < AT_ONCE);
        assert_eq!(
            (&*last.severity, &*last.code),
            ("FATAL", "08P01"),
            "{tag} {length}: {last:#?}"
        );
    }
    // Before anybody has logged in.
    for length in [1u32 << 30, u32::MAX, 0, 4, 7] {
        let mut stranger = Agent::dial(&world.address()).expect("a connection");
        stranger.send_bytes(&length.to_be_bytes());
        stranger.last_words();
    }
    // In place of the password.
    let mut stranger = Agent::dial(&world.address()).expect("a connection");
    stranger.send(|out| {
        frontend::startup_message([("user", &*run.id), ("database", "tickets")], out)
            .expect("a startup");
    });
    assert_eq!(stranger.message().expect("a challenge").tag, b'R');
    stranger.send_bytes(&of_length(b'p', 1 << 30));
    let last = stranger.last_words().expect("a last word");
    assert_eq!(last.severity, "FATAL", "{last:#?}");
    is_well(&world);
}

#[test]
fn garbage() {
    let world = World::triage();
    let run = world.open("triage");
    let noise: Vec<u8> = (0..4096u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let openings: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x00\x0b\x01\x00\x01\xfc\x03\x03 hello",
        &noise,
        b"\x00\x00\x00\x08\x00\x02\x00\x00",
    ];
    for opening in openings {
        let mut stranger = Agent::dial(&world.address()).expect("a connection");
        let start = Instant::now();
        stranger.send_bytes(opening);
        // Whatever it may be told, it is closed.
        while stranger.message().is_some() {}
        assert!(start.elapsed() < AT_ONCE, "{opening:?}");
    }
    let unread = noise.get(5..).expect("noise");
    for tag in [b'z', 0, 255, b'R', b'p'] {
        let mut agent = Agent::connect(&run);
        agent.send_bytes(&of_length(tag, 104));
        let _ = agent.try_send_bytes(&unread[..100]);
        let last = agent.last_words().expect("a last word");
        assert_eq!(
            (&*last.severity, &*last.code),
            ("FATAL", "08P01"),
            "{tag}: {last:#?}"
        );
    }
    let gateway = world.trail("gateway");
    let denied = gateway
        .iter()
        .filter(|entry| entry["record"]["type"] == "login.denied")
        .count();
    assert!(
        denied >= 3,
        "what is no login is not on record: {gateway:#?}"
    );
    is_well(&world);
}

#[test]
fn half_a_message() {
    let world = World::triage();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    let mark = mark();
    let mut whole = bytes::BytesMut::new();
    frontend::query(
        &format!("UPDATE tickets SET priority = 9 WHERE id = 1 {mark}"),
        &mut whole,
    )
    .expect("a query");
    agent.send_bytes(&whole[..whole.len() - 1]);
    std::thread::sleep(Duration::from_millis(200));
    assert!(!Store::shared().saw(&mark), "half a message was sent on");
    drop(agent);
    eventually("its session ends", AT_ONCE, || {
        (world.summary(&run.id)["sessions"] == 0).then_some(())
    });
    assert!(!Store::shared().saw(&mark));
    let trail = format!("{:?}", world.trail(&run.id));
    assert!(!trail.contains(&mark), "half a message was decided");
    // The other half makes it whole.
    let mut agent = Agent::connect(&run);
    agent.send_bytes(&whole[..7]);
    std::thread::sleep(Duration::from_millis(50));
    agent.send_bytes(&whole[7..]);
    agent.answer().ok();
    assert!(Store::shared().saw(&mark));
    is_well(&world);
}

#[test]
fn a_client_that_says_nothing_is_not_waited_for_for_ever() {
    let world = World::triage();
    let run = world.open("triage");
    let mut silent = Agent::dial(&world.address()).expect("a connection");
    let mut halfway = Agent::dial(&world.address()).expect("a connection");
    halfway.send(|out| {
        frontend::startup_message([("user", &*run.id), ("database", "tickets")], out)
            .expect("a startup");
    });
    // `message` fails the test if nothing comes for a minute, not even the end.
    while halfway.message().is_some() {}
    while silent.message().is_some() {}
    is_well(&world);
}

#[test]
fn a_client_that_vanishes_in_the_middle() {
    let world = World::triage();
    let run = world.open("triage");
    let mark = mark();
    let mut agent = Agent::connect(&run);
    agent.send(|out| frontend::query(&format!("{LONG} {mark}"), out).expect("a query"));
    let active = || {
        let id = &run.id;
        world.sql(&format!("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND application_name LIKE '%{id}%'"))
    };
    eventually("it runs", AT_ONCE, || (active() == "1").then_some(()));
    drop(agent);
    eventually("the target stops working for it", AT_ONCE, || {
        (active() == "0").then_some(())
    });
    let outcome = eventually("its outcome is on record", AT_ONCE, || {
        let trail = world.trail(&run.id);
        let seq = trail.iter().find(|entry| {
            entry["payload"]["text"]
                .as_str()
                .is_some_and(|text| text.contains(&mark))
        })?["record"]["seq"]
            .clone();
        trail
            .iter()
            .find(|entry| entry["record"]["of"] == seq)
            .cloned()
    });
    assert_eq!(outcome["record"]["outcome"]["state"], "cut", "{outcome:#}");
    // An open transaction of one that vanishes is no transaction any more.
    let mut agent = Agent::connect(&run);
    agent
        .query("BEGIN; UPDATE tickets SET priority = 9 WHERE id = 1")
        .ok();
    drop(agent);
    eventually("its lock is gone", AT_ONCE, || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()";
        (world.sql(sql) == "0").then_some(())
    });
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 1"), "0");
    is_well(&world);
}

#[test]
fn more_sessions_than_a_run_may_have() {
    let world = World::triage();
    let run = world.open("triage");
    let mut open = Vec::new();
    let refused: Box<Report> = loop {
        match Agent::try_connect(&run) {
            Ok(agent) => open.push(agent),
            Err(report) => break report,
        }
        assert!(open.len() < 100, "there is no limit");
    };
    assert_eq!(
        (&*refused.severity, &*refused.code),
        ("FATAL", "53300"),
        "{refused:#?}"
    );
    open.pop();
    eventually("there is room for one again", AT_ONCE, || {
        Agent::try_connect(&run).ok()
    });
    is_well(&world);
}

#[test]
fn more_than_anybody_wants_to_read() {
    let world = World::triage();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    let (mark, long) = (mark(), "x".repeat(8 * 1024 * 1024));
    agent.query(&format!("SELECT '{long}' {mark}")).denied(&[]);
    assert!(!Store::shared().saw(&mark));
    agent.query("SELECT 1").ok();
    // Large values are another matter.
    let answer = agent.query("SELECT length(repeat(subject, 1000000)), repeat(subject, 1000000) FROM tickets WHERE id = 1");
    assert_eq!(answer.ok().value(), "9000000");
    is_well(&world);
}

#[test]
fn wrong_tasks_and_configurations_stop_the_start() {
    let world = World::triage();
    let tasks = world.config().parent().expect("a folder").join("tasks");
    let check = |name: &str, from: &str, to: &str| {
        let (name, text) = task(name, TRIAGE);
        let file = tasks.join(format!("{name}.toml"));
        fs::write(&file, text.replace(from, to)).expect("a task file");
        let checked = world.bailiwick(&["task", "check"]);
        fs::remove_file(&file).expect("a file");
        checked
    };
    assert_eq!(check("fine", "", "").code(), 0);
    for (from, to, names) in [
        (
            "tables =",
            "tabels =",
            &["wrong.toml:", "tabels", "did you mean `tables`"][..],
        ),
        (
            "target = \"tickets\"\ntables",
            "target = \"tickts\"\ntables",
            &["tickts", "did you mean `tickets`"],
        ),
        ("\"update\"", "\"delete\"", &["delete", "[[destroy]]"]),
        (
            "ttl = \"10m\"",
            "ttl = \"soon\"",
            &["wrong.toml:4:", "ttl", "not a duration"],
        ),
    ] {
        let wrong = check("wrong", from, to);
        assert_eq!(wrong.code(), 1, "{wrong:#?}");
        for name in names {
            assert!(
                wrong.stderr.contains(name),
                "{name} is not named: {}",
                wrong.stderr
            );
        }
    }
    fs::write(tasks.join("wrong.toml"), "task = \"wrong\"\n").expect("a task file");
    let refused = world.bailiwick(&["serve"]);
    assert!(!refused.status.success(), "{refused:#?}");
    assert!(
        refused.stderr.contains("TARGET_PASSWORD") || refused.stderr.contains("wrong.toml"),
        "{refused:#?}"
    );
}

#[test]
fn two_gateways_on_one_record() {
    let world = World::triage();
    let mut second = world.command(&["serve"]);
    let refused = finish(second.env("TARGET_PASSWORD", SERVICE_PASSWORD));
    assert!(!refused.status.success(), "{refused:#?}");
    assert!(refused.stderr.contains("data"), "{refused:#?}");
    is_well(&world);
}

#[test]
fn agents_may_use_tls() {
    let world = World::triage();
    let run = world.open("triage");
    let with = |options: &str| {
        let url = format!("{}?{options}", run.url());
        finish(psql().args([&*url, "-c", "\\conninfo", "-Atc", "SELECT 42"]))
    };
    let plain = with("sslmode=disable");
    assert!(
        plain.ok().contains("42") && !plain.stdout.contains("TLS"),
        "{plain:#?}"
    );
    let secured = with("sslmode=require");
    assert!(
        secured.ok().contains("42") && secured.stdout.contains("TLS"),
        "{secured:#?}"
    );
    let own = world.data().join("keys/tls.crt");
    let checked = with(&format!(
        "sslmode=verify-full&sslrootcert={}",
        own.display()
    ));
    assert!(checked.ok().contains("42"), "{checked:#?}");
    let other = certificate("127.0.0.1");
    let file = world.work().join("other.pem");
    fs::write(&file, &other.authority).expect("a certificate");
    let refused = with(&format!("sslmode=verify-ca&sslrootcert={}", file.display()));
    assert!(!refused.status.success(), "{refused:#?}");
}

/// A server with TLS and every way to log in, and the authority of its certificate.
struct Secured {
    store: Store,
    /// PEM.
    authority: String,
}

fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    SECURED.get_or_init(|| {
        let certificate = certificate("127.0.0.1");
        let store = Store::with_certificate(certificate.server);
        let mut rules = vec!["host all postgres 127.0.0.1/32 scram-sha-256".to_owned()];
        for (user, host, method) in [
            ("svc_md5", "host", "md5"),
            ("svc_cleartext", "host", "password"),
            ("svc_trust", "host", "trust"),
            ("svc_tls", "hostssl", "scram-sha-256"),
            ("svc_plain", "hostnossl", "scram-sha-256"),
        ] {
            let encryption = if method == "md5" { "md5" } else { "scram-sha-256" };
            store.sql(
                "postgres",
                &format!("SET password_encryption = '{encryption}'; CREATE ROLE {user} LOGIN SUPERUSER PASSWORD '{SERVICE_PASSWORD}'"),
            );
            rules.push(format!("{host} all {user} 127.0.0.1/32 {method}"));
        }
        let rules = rules.join("'), ('");
        let file = store.sql("postgres", "SHOW hba_file");
        store.sql(
            "postgres",
            &format!("COPY (VALUES ('{rules}')) TO '{file}'; SELECT pg_reload_conf()"),
        );
        Secured {
            store,
            authority: certificate.authority,
        }
    })
}

impl Secured {
    /// The target's URL for one of its users.
    fn url(&self, user: &str, host: &str, options: &str) -> String {
        let port = self.store.port();
        format!("postgres://{user}:PASSWORD@{host}:{port}/store?{options}")
    }

    /// A run works with this URL; says whether its target's connection is encrypted.
    #[track_caller]
    fn is_encrypted(&self, url: &str) -> bool {
        let world = in_front_of(url);
        let run = world.open("triage");
        let mut agent = Agent::connect(&run);
        assert_eq!(
            agent.query("SELECT count(*) FROM tickets").ok().value(),
            "20"
        );
        let id = &run.id;
        let sql = format!(
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE '%{id}%'"
        );
        self.store.sql("postgres", &sql) == "t"
    }
}

#[test]
fn every_way_to_log_in_to_a_target() {
    let secured = secured();
    for user in ["svc_md5", "svc_cleartext", "svc_trust", "svc_plain"] {
        assert!(
            !secured.is_encrypted(&secured.url(user, "127.0.0.1", "sslmode=disable")),
            "{user}"
        );
        if user == "svc_trust" {
            continue;
        }
        let wrong = secured
            .url(user, "127.0.0.1", "sslmode=disable")
            .replace("PASSWORD", "wrong");
        cannot_be_opened(&in_front_of(&wrong), &["password authentication failed"]);
    }
}

#[test]
fn tls_towards_a_target_is_what_sslmode_says() {
    let secured = secured();
    let ours = tempfile::NamedTempFile::new().expect("a file");
    fs::write(ours.path(), &secured.authority).expect("a certificate");
    let authority = format!("&sslrootcert={}", ours.path().display());
    let other = tempfile::NamedTempFile::new().expect("a file");
    fs::write(other.path(), certificate("127.0.0.1").authority).expect("a certificate");
    let strangers = format!("&sslrootcert={}", other.path().display());
    let url = |host: &str, options: &str| secured.url("svc_tls", host, options);
    for options in ["sslmode=require", "sslmode=prefer", "sslmode=allow", ""] {
        assert!(
            secured.is_encrypted(&url("127.0.0.1", options)),
            "{options}"
        );
    }
    for mode in ["verify-ca", "verify-full"] {
        let fine = format!("sslmode={mode}{authority}");
        assert!(secured.is_encrypted(&url("127.0.0.1", &fine)), "{mode}");
        let impostor = format!("sslmode={mode}{strangers}");
        cannot_be_opened(&in_front_of(&url("127.0.0.1", &impostor)), &["ertificate"]);
    }
    // The certificate is for the address, not for this name.
    assert!(secured.is_encrypted(&url("localhost", &format!("sslmode=verify-ca{authority}"))));
    cannot_be_opened(
        &in_front_of(&url(
            "localhost",
            &format!("sslmode=verify-full{authority}"),
        )),
        &["ertificate"],
    );
    // Without TLS where it is asked for.
    cannot_be_opened(
        &in_front_of(&url("127.0.0.1", "sslmode=disable")),
        &["pg_hba.conf", "no encryption"],
    );
    let store = Store::shared();
    let plain = World::url(store, &store.database()).replace("disable", "require");
    cannot_be_opened(&in_front_of(&plain), &["TLS"]);
}
