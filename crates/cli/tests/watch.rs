//! `bailiwick watch` in a real pseudo-terminal: what it shows, what its keys do, and that the terminal is given
//! back as it was.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod common;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Gateway, ran, until};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A terminal with `watch` in it.
struct Watching {
    keys: File,
    /// The side that `watch` has.
    slave: File,
    screen: Arc<Mutex<vt100::Parser>>,
    /// All that was written to it.
    written: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Watching {
    fn start(gateway: &Gateway, rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .unwrap();
        let keys = File::from(master);
        resize(&keys, rows, columns);
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = gateway
            .ask(&["watch"])
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            // Its own group, so that Ctrl-Z stops nobody else.
            .process_group(0)
            .spawn()
            .unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut out, shown) = (keys.try_clone().unwrap(), Arc::clone(&screen));
        let all = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut buffer) {
                all.lock().unwrap().extend(&buffer[..read]);
                shown.lock().unwrap().process(&buffer[..read]);
            }
        });
        Self {
            keys,
            slave,
            screen,
            written,
            child,
        }
    }

    /// As somebody does who reads first.
    fn press(&mut self, keys: &str) {
        std::thread::sleep(Duration::from_millis(400));
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn shows(&self, words: &str) -> bool {
        self.screen
            .lock()
            .unwrap()
            .screen()
            .contents()
            .contains(words)
    }

    fn wait_for(&self, words: &str) {
        until(words, || self.shows(words));
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether the terminal is as a shell has it.
    fn is_given_back(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        let cooked = modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        cooked && !screen.alternate_screen() && !screen.hide_cursor()
    }

    fn ended(&mut self) -> Option<i32> {
        until("watch ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &File, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).unwrap();
}

fn open_run(gateway: &Gateway) -> String {
    let opened = ran(&mut gateway.ask(&["open", "--task", "look", "--json"]));
    assert_eq!(opened.status, Some(0), "{}", opened.stderr);
    let opened: serde_json::Value = serde_json::from_str(&opened.stdout).unwrap();
    opened["env"]["DATABASE_URL"].as_str().unwrap().to_owned()
}

fn state(gateway: &Gateway) -> String {
    gateway.runs()[0]["state"].as_str().unwrap().to_owned()
}

/// A login to a target whose name is more than a name.
fn attack(url: &str) {
    let mut login: tokio_postgres::Config = url.parse().unwrap();
    login.dbname("db\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert!(
        runtime
            .block_on(login.connect(tokio_postgres::NoTls))
            .is_err()
    );
}

#[test]
fn runs_are_shown_and_suspended_and_resumed_and_revoked() {
    let gateway = Gateway::start();
    let mut watching = Watching::start(&gateway, 24, 80);
    watching.wait_for("no run yet");
    let url = open_run(&gateway);
    watching.wait_for("Runs 1/1");
    watching.wait_for("opened for 5m");
    attack(&url);
    watching.wait_for("Incidents 1/1");
    let written = watching.written.lock().unwrap().clone();
    let written = String::from_utf8_lossy(&written);
    assert!(!written.contains("\x1b]"), "a title or the like was set");

    watching.press("s");
    watching.wait_for("Suspend this run?");
    watching.press("n");
    until("the question goes", || !watching.shows("Suspend this run?"));
    assert_eq!(state(&gateway), "open");
    watching.press("s");
    watching.wait_for("Suspend this run?");
    watching.press("y");
    watching.wait_for("1 suspended");
    assert_eq!(state(&gateway), "suspended");
    watching.press("r");
    watching.wait_for("Let this run act again?");
    watching.press("y");
    until("the run is resumed", || state(&gateway) == "open");

    let small = (18, 60);
    watching
        .screen
        .lock()
        .unwrap()
        .screen_mut()
        .set_size(small.0, small.1);
    resize(&watching.keys, small.0, small.1);
    watching.signal(Signal::WINCH);
    watching.press("x");
    watching.wait_for("Revoke this run?");
    watching.press("y");
    until("the run is revoked", || state(&gateway) == "ended");
    watching.wait_for("0 live");
    watching.press("q");
    assert_eq!(watching.ended(), Some(0));
    until("the terminal is given back", || watching.is_given_back());
}

#[test]
fn the_terminal_is_given_back_whatever_ends_it() {
    let gateway = Gateway::start();
    for (how, status) in [
        (None, 0),
        (Some(Signal::TERM), 143),
        (Some(Signal::HUP), 129),
        (Some(Signal::INT), 130),
    ] {
        let mut watching = Watching::start(&gateway, 24, 80);
        watching.wait_for("no run yet");
        assert!(!watching.is_given_back());
        match how {
            Some(signal) => watching.signal(signal),
            None => watching.press("\u{3}"),
        }
        assert_eq!(watching.ended(), Some(status));
        until("the terminal is given back", || watching.is_given_back());
    }
}

#[test]
fn it_stops_for_the_shell_and_comes_back() {
    let gateway = Gateway::start();
    let mut watching = Watching::start(&gateway, 24, 80);
    watching.wait_for("no run yet");
    watching.press("\u{1a}");
    let stat = format!("/proc/{}/stat", watching.child.id());
    until("it is stopped", || {
        let stat = std::fs::read_to_string(&stat).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with('T')
    });
    until("the terminal is given back", || watching.is_given_back());
    watching.signal(Signal::CONT);
    until("it is back", || {
        !watching.is_given_back() && watching.shows("no run yet")
    });
    watching.press("q");
    assert_eq!(watching.ended(), Some(0));
}

#[test]
fn it_outlives_its_gateway() {
    let mut gateway = Gateway::start();
    let watching = Watching::start(&gateway, 24, 100);
    watching.wait_for("no run yet");
    gateway.process.kill().unwrap();
    gateway.process.wait().unwrap();
    watching.wait_for("trying again");
    gateway.serve();
    until("it has found it again", || !watching.shows("trying again"));
}

#[test]
fn what_is_no_terminal_is_told_what_to_use() {
    let gateway = Gateway::start();
    let told = ran(gateway.ask(&["watch"]).stdin(Stdio::null()));
    assert_eq!(told.status, Some(2));
    assert!(told.stderr.contains("needs a terminal"), "{}", told.stderr);
    assert!(
        told.stderr.contains("trail last --follow"),
        "{}",
        told.stderr
    );
    assert_eq!(told.stdout, "");
}

#[test]
fn a_trail_is_told_as_it_happens_and_shows_no_payload() {
    let gateway = Gateway::start();
    let url = open_run(&gateway);
    let mut following = gateway
        .ask(&["trail", "last", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    attack(&url);
    let closed = ran(&mut gateway.ask(&["close", "last"]));
    assert_eq!(closed.status, Some(0), "{}", closed.stderr);
    let mut told = String::new();
    following
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert!(following.wait().unwrap().success());
    for words in [
        "opened for 5m",
        "denied: access",
        "ended: its work was done",
        " closed after ",
    ] {
        assert!(told.contains(words), "{words}:\n{told}");
    }
    assert!(told.lines().last().unwrap().contains("1 denied"), "{told}");
    assert!(!told.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{told:?}");
    // Who is shown payloads is on record: this shows none.
    let own = ran(&mut gateway.ask(&["trail", "gateway"])).stdout;
    assert!(!own.contains("viewed"), "{own}");
    let whole = ran(&mut gateway.ask(&["trail", "last", "--json"]));
    assert_eq!(whole.status, Some(0), "{}", whole.stderr);
}
