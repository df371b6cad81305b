//! Against a real PostgreSQL from the system's packages.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use bailiwick_throwaway::{Auth, Certificate, Options, Throwaway};

#[test]
fn it_runs_logs_stops_resumes_and_leaves_nothing() {
    let mut server = Throwaway::start(&Options::default()).unwrap();
    let created = server.psql(
        "postgres",
        "create table t (a int); insert into t values (1), (2)",
    );
    assert_eq!(created.unwrap(), "");
    assert_eq!(
        server
            .psql("postgres", "select a, a + 1 from t order by a")
            .unwrap(),
        "1|2\n2|3"
    );
    let log = server.statement_log().unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("select a, a + 1"))
        .unwrap();
    assert!(
        line.contains("postgres@postgres bailiwick-throwaway: "),
        "{line}"
    );

    let error = server
        .psql("postgres", "select 1; select nonsense; select 2")
        .unwrap_err();
    assert!(error.to_string().contains("nonsense"), "{error}");

    server.stop();
    assert!(TcpStream::connect((Throwaway::HOST, server.port())).is_err());
    assert!(server.psql("postgres", "select 1").is_err());
    server.resume().unwrap();
    assert_eq!(
        server.psql("postgres", "select count(*) from t").unwrap(),
        "2"
    );

    let port = server.port();
    let folder = server.psql("postgres", "show data_directory").unwrap();
    assert!(std::path::Path::new(&folder).exists());
    drop(server);
    assert!(TcpStream::connect((Throwaway::HOST, port)).is_err());
    assert!(!std::path::Path::new(&folder).exists(), "{folder}");
}

#[test]
fn each_way_to_authenticate_is_set_up() {
    for (auth, stored) in [
        (Auth::Scram, "SCRAM-SHA-256"),
        (Auth::Md5, "md5"),
        (Auth::Cleartext, "SCRAM-SHA-256"),
        (Auth::Trust, "SCRAM-SHA-256"),
    ] {
        let options = Options {
            auth,
            ..Options::default()
        };
        let server = Throwaway::start(&options).unwrap();
        server
            .psql("postgres", "create role svc login password 'p'")
            .unwrap();
        let kept = server.psql(
            "postgres",
            "select rolpassword from pg_authid where rolname = 'svc'",
        );
        assert!(kept.unwrap().starts_with(stored), "{auth:?}");
        assert!(login(&server, "p", "prefer"), "{auth:?}");
        assert_eq!(
            login(&server, "wrong", "prefer"),
            auth == Auth::Trust,
            "{auth:?}"
        );
    }
}

#[test]
fn with_a_certificate_it_can_insist_on_tls() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let server = Throwaway::start(&Options {
        certificate: Some(Certificate {
            chain: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }),
        tls_only: true,
        ..Options::default()
    })
    .unwrap();
    server
        .psql("postgres", "create role svc login password 'p'")
        .unwrap();
    assert!(login(&server, "p", "require"));
    assert!(!login(&server, "p", "disable"));
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let options = Options {
        settings: vec![("shared_buffers".into(), "nonsense".into())],
        ..Options::default()
    };
    let error = Throwaway::start(&options).unwrap_err().to_string();
    assert!(error.contains("shared_buffers"), "{error}");
}

/// The test runs itself as a child, which starts a server and is killed.
#[test]
fn it_ends_with_the_process_that_started_it() {
    const CHILD: &str = "BAILIWICK_THROWAWAY_CHILD";
    if let Some(file) = std::env::var_os(CHILD) {
        let server = Throwaway::start(&Options::default()).unwrap();
        std::fs::write(file, server.port().to_string()).unwrap();
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("port");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "it_ends_with_the_process_that_started_it"])
        .env(CHILD, &file)
        .spawn()
        .unwrap();
    let port = wait_for(|| std::fs::read_to_string(&file).ok()?.parse::<u16>().ok());
    assert!(TcpStream::connect((Throwaway::HOST, port)).is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for(|| {
        TcpStream::connect((Throwaway::HOST, port))
            .is_err()
            .then_some(())
    });
}

fn login(server: &Throwaway, password: &str, tls: &str) -> bool {
    let (host, port) = (Throwaway::HOST, server.port());
    Command::new("psql")
        .args(["--no-psqlrc", "--no-password", "--command=select 1"])
        .arg(format!(
            "postgres://svc@{host}:{port}/postgres?sslmode={tls}"
        ))
        .env("PGPASSWORD", password)
        .output()
        .is_ok_and(|output| output.status.success())
}

#[track_caller]
fn wait_for<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(it) = what() {
            return it;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "it did not happen"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
