//! A real child, confined, that tries to get out.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{bailiwick, can_confine, ran};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A folder as a gateway would have it, and one for the agent's work.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for folder in [
            "gateway/data/keys",
            "gateway/tasks",
            "gateway/notes",
            "work",
        ] {
            fs::create_dir_all(place.path(folder)).unwrap();
        }
        for file in [
            "gateway/data/secret",
            "gateway/tasks/t.toml",
            "gateway/notes/n",
            "work/w",
        ] {
            fs::write(place.path(file), "text").unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// This test program, confined, as the attempt of that name.
    fn attempt(&self, name: &str, options: &[&str]) -> common::Ran {
        let mut command = bailiwick();
        command
            .arg("confined")
            .arg("--hide")
            .arg(self.path("gateway/data"));
        command.arg("--read-only").arg(self.path("gateway/tasks"));
        command
            .args(options)
            .arg("--")
            .arg(std::env::current_exe().unwrap());
        command.args(["--exact", "attempts", "--nocapture", "--test-threads=1"]);
        command
            .env("ATTEMPT", name)
            .env("PLACE", self.path(""))
            .current_dir(self.path("work"));
        ran(&mut command)
    }

    fn assert_holds(&self, attempt: &str, options: &[&str]) {
        let ran = self.attempt(attempt, options);
        assert_eq!(
            ran.status,
            Some(0),
            "{attempt}: {}{}",
            ran.stdout,
            ran.stderr
        );
        assert!(ran.stdout.contains("HELD"), "{attempt}: {}", ran.stdout);
    }
}

/// Runs in the confined child: each attempt panics if it gets anywhere.
#[test]
fn attempts() {
    let (Ok(attempt), Ok(place)) = (std::env::var("ATTEMPT"), std::env::var("PLACE")) else {
        return;
    };
    let path = |name: &str| Path::new(&place).join(name);
    match attempt.as_str() {
        "files" => files(&path),
        "processes" => processes(),
        "network" => network(),
        other => panic!("no attempt is called {other}"),
    }
    println!("HELD");
}

fn files(path: &dyn Fn(&str) -> PathBuf) {
    let secret = path("gateway/data/secret");
    // What is hidden can be neither read, listed, changed, removed, nor moved away.
    fs::read(&secret).unwrap_err();
    fs::read_dir(path("gateway/data")).unwrap_err();
    fs::write(&secret, "x").unwrap_err();
    fs::OpenOptions::new()
        .append(true)
        .open(&secret)
        .unwrap_err();
    fs::write(path("gateway/data/new"), "x").unwrap_err();
    fs::create_dir(path("gateway/data/dir")).unwrap_err();
    fs::remove_file(&secret).unwrap_err();
    fs::remove_dir(path("gateway/data/keys")).unwrap_err();
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&secret)
        .unwrap_err();
    fs::hard_link(&secret, path("work/link")).unwrap_err();
    fs::hard_link(path("work/w"), path("gateway/data/w")).unwrap_err();
    fs::rename(&secret, path("work/moved")).unwrap_err();
    fs::rename(path("work/w"), path("gateway/data/w")).unwrap_err();
    fs::rename(path("gateway/data"), path("gateway/other")).unwrap_err();
    fs::rename(path("gateway"), path("other")).unwrap_err();
    // Nor by another way there.
    symlink(&secret, path("work/symlink")).unwrap();
    fs::read(path("work/symlink")).unwrap_err();
    fs::read(path("work/../gateway/data/secret")).unwrap_err();
    let root = |of: &str| PathBuf::from(format!("/proc/{of}/root{}", secret.display()));
    fs::read(root("self")).unwrap_err();
    fs::read(root(&parent())).unwrap_err();
    fs::read(format!("/proc/{}/cwd/../gateway/data/secret", parent())).unwrap_err();
    std::env::set_current_dir(path("gateway/data"))
        .map(|()| fs::read("secret").unwrap_err())
        .unwrap();
    std::env::set_current_dir(path("work")).unwrap();
    // Folders on the way are not listed, and keep what they have.
    fs::read_dir(path("gateway")).unwrap_err();
    fs::write(path("gateway/new"), "x").unwrap_err();
    // What is read-only is read, and stays.
    assert_eq!(fs::read(path("gateway/tasks/t.toml")).unwrap(), b"text");
    fs::read_dir(path("gateway/tasks")).unwrap();
    fs::write(path("gateway/tasks/t.toml"), "x").unwrap_err();
    fs::write(path("gateway/tasks/new.toml"), "x").unwrap_err();
    fs::remove_file(path("gateway/tasks/t.toml")).unwrap_err();
    // Everything else is as ever.
    fs::write(path("gateway/notes/n"), "x").unwrap();
    fs::write(path("gateway/notes/new"), "x").unwrap();
    fs::write(path("work/new"), "x").unwrap();
    fs::rename(path("work/new"), path("gateway/notes/moved")).unwrap();
    fs::write("/dev/null", "x").unwrap();
    assert!(
        Command::new("sh")
            .args(["-c", "exit 0"])
            .status()
            .unwrap()
            .success()
    );
    // What hides as a device or needs the kernel's own rights is out, for root too.
    let denied = |command: &[&str]| {
        let mut command = {
            let (program, arguments) = command.split_first().unwrap();
            let mut built = Command::new(program);
            built.args(arguments);
            built
        };
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.is_err() || !status.unwrap().success(), "{command:?}");
    };
    denied(&["mount", "-t", "tmpfs", "none", "/mnt"]);
    denied(&["unshare", "-m", "true"]);
    denied(&["mknod", "work-disk", "b", "8", "0"]);
    fs::write("/proc/sys/kernel/core_pattern", "|/bin/true").unwrap_err();
}

fn processes() {
    let parent = parent();
    fs::read(format!("/proc/{parent}/environ")).unwrap_err();
    fs::File::open(format!("/proc/{parent}/mem")).unwrap_err();
    fs::read_link(format!("/proc/{parent}/fd/1")).unwrap_err();
    fs::File::open(format!("/proc/{parent}/fd/1")).unwrap_err();
    let pid = Pid::from_raw(parent.parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap_err();
    rustix::process::test_kill_process(pid).unwrap_err();
    // Its own children are its own.
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

fn network() {
    let port = |name: &str| std::env::var(name).unwrap().parse::<u16>().unwrap();
    let connect = |port| std::net::TcpStream::connect(("127.0.0.1", port));
    connect(port("ALLOWED")).unwrap();
    connect(port("OTHER")).unwrap_err();
    std::net::TcpListener::bind("127.0.0.1:0").unwrap_err();
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap_err();
    std::os::unix::net::UnixDatagram::unbound().unwrap_err();
    UnixStream::pair().unwrap();
    let socket = |family, kind, protocol: u32| {
        let protocol = rustix::net::Protocol::from_raw(protocol.try_into().unwrap());
        rustix::net::socket(family, kind, Some(protocol))
    };
    use rustix::net::{AddressFamily, SocketType};
    socket(AddressFamily::INET, SocketType::STREAM, 262).unwrap_err(); // MPTCP
    socket(AddressFamily::INET6, SocketType::STREAM, 132).unwrap_err(); // SCTP
    socket(AddressFamily::VSOCK, SocketType::STREAM, 1).unwrap_err();
    socket(AddressFamily::INET, SocketType::STREAM, 6).unwrap();
}

fn parent() -> String {
    rustix::process::getppid()
        .unwrap()
        .as_raw_nonzero()
        .to_string()
}

#[test]
fn files_are_out_of_reach() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    place.assert_holds("files", &[]);
    assert_eq!(
        fs::read(place.path("gateway/data/secret")).unwrap(),
        b"text"
    );
}

#[test]
fn a_link_to_what_is_hidden_cannot_be_led_elsewhere() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.path("links")).unwrap();
    symlink(place.path("gateway/data"), place.path("links/data")).unwrap();
    let script = "rm data; ln -s /tmp data; mv data x; cat data/secret; ls -l ../links";
    let ran = ran(bailiwick()
        .arg("confined")
        .arg("--hide")
        .arg(place.path("links/data"))
        .args(["--", "sh", "-c", script])
        .current_dir(place.path("links")));
    assert!(!ran.stdout.contains("text"), "{}", ran.stdout);
    assert_eq!(
        fs::read_link(place.path("links/data")).unwrap(),
        place.path("gateway/data")
    );
}

#[test]
fn processes_outside_are_out_of_reach() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    place.assert_holds("processes", &[]);
}

#[test]
fn gateway_only_leaves_one_way() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [allowed, other] = listeners
        .each_ref()
        .map(|l| l.local_addr().unwrap().port().to_string());
    let mut command = bailiwick();
    command.args(["confined", "--connect-only", "--port", &allowed, "--hide"]);
    command
        .arg(place.path("gateway/data"))
        .arg("--")
        .arg(std::env::current_exe().unwrap());
    command.args(["--exact", "attempts", "--nocapture"]);
    command
        .env("ATTEMPT", "network")
        .env("PLACE", place.path(""));
    command.env("ALLOWED", allowed).env("OTHER", other);
    let ran = ran(&mut command);
    assert!(ran.stdout.contains("HELD"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn an_open_file_is_not_inherited() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let script = format!(
        "exec {} confined --hide '{}' -- cat",
        env!("CARGO_BIN_EXE_bailiwick"),
        place.path("gateway/data").display()
    );
    let secret = fs::File::open(place.path("gateway/data/secret")).unwrap();
    let leaked = ran(Command::new("sh").args(["-c", &script]).stdin(secret));
    assert_eq!(leaked.status, Some(125), "{}", leaked.stdout);
    assert_eq!(leaked.stdout, "");
    assert!(
        leaked.stderr.contains("file descriptor 0 is open on"),
        "{}",
        leaked.stderr
    );
    let other = fs::File::open(place.path("work/w")).unwrap();
    let passed = ran(Command::new("sh").args(["-c", &script]).stdin(other));
    assert_eq!((passed.status, &*passed.stdout), (Some(0), "text"));
}

#[test]
fn what_cannot_be_started_is_said_as_shells_do() {
    if !can_confine() {
        return;
    }
    let run = |command: &str| ran(bailiwick().args(["confined", "--", command]));
    assert_eq!(run("no-such-command").status, Some(127));
    assert_eq!(run("/etc/passwd").status, Some(126));
    assert!(
        run("no-such-command")
            .stderr
            .contains("cannot start `no-such-command`")
    );
}
