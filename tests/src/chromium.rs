//! Debian's Chromium, driven by a program in Node: one for all tests of a file, which take turns with it.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::programs::{axe_core, node_browser};
use crate::world::World;

/// A browser with a screen that nobody sees, on one page.
pub struct Chromium {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    // It ends when its input does, which is at the latest when the tests do.
    _driver: Child,
    folder: TempDir,
    /// The gateway it looks at.
    port: u16,
}

impl Chromium {
    /// The one of this test program, on an empty page of nobody's. Others wait until it is dropped.
    #[track_caller]
    pub fn of(world: &World) -> MutexGuard<'static, Self> {
        Self::opened(world, true)
    }

    /// The same, with scripts switched off.
    #[track_caller]
    pub fn without_scripts(world: &World) -> MutexGuard<'static, Self> {
        Self::opened(world, false)
    }

    #[track_caller]
    fn opened(world: &World, javascript: bool) -> MutexGuard<'static, Self> {
        static SHARED: OnceLock<Mutex<Chromium>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Mutex::new(Self::start()));
        // A test that failed leaves it usable: the next has a page of its own.
        let mut this = shared.lock().unwrap_or_else(PoisonError::into_inner);
        this.port = world.control();
        let host = format!("127.0.0.1:{}", this.port);
        this.ask(json!({"act": "fresh", "javascript": javascript, "host": host}));
        this
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut driver = node_browser("chromium.mjs")
            .arg(folder.path())
            .arg(axe_core())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the driver of the browser");
        let input = driver.stdin.take().expect("its input");
        let mut output = BufReader::new(driver.stdout.take().expect("its output")).lines();
        let ready = output.next().and_then(Result::ok);
        assert_eq!(ready.as_deref(), Some("ready"), "no browser");
        Self {
            input,
            output,
            _driver: driver,
            folder,
            port: 0,
        }
    }

    #[track_caller]
    fn ask(&mut self, what: Value) -> Value {
        writeln!(self.input, "{what}").expect("a browser");
        let line = self.output.next().and_then(Result::ok);
        let mut told: Value = serde_json::from_str(&line.expect("an answer")).expect("JSON");
        if let Some(failed) = told.get("failed") {
            let failed = failed.as_str().unwrap_or_default().to_owned();
            let shown = match what["act"] == "fresh" {
                true => Value::Null,
                false => self.ask(json!({"act": "evaluate", "script":
                    "location.href + '\\n' + (document.body?.innerText ?? '').slice(0, 3000)"})),
            };
            panic!(
                "{what}: {failed}\nthe page: {}",
                shown.as_str().unwrap_or_default()
            );
        }
        told["ok"].take()
    }

    /// Signs in by the link that `bailiwick console` prints.
    #[track_caller]
    pub fn sign_in(&mut self, world: &World) {
        let link = world.console_link();
        self.ask(json!({"act": "go", "url": link}));
        self.until("document.getElementById('code').value !== ''");
        self.follow("#by-link button");
        self.until("location.pathname === '/' && !!document.querySelector('#main')");
    }

    /// Goes to a page of the console, and says with which status it came.
    #[track_caller]
    pub fn go(&mut self, path: &str) -> u64 {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let status = self.ask(json!({"act": "go", "url": url}));
        status.as_u64().unwrap_or_default()
    }

    /// What a script says there; a promise is waited for.
    #[track_caller]
    pub fn evaluate(&mut self, script: &str) -> Value {
        self.ask(json!({"act": "evaluate", "script": script}))
    }

    /// The same as text.
    #[track_caller]
    pub fn text(&mut self, script: &str) -> String {
        let value = self.evaluate(script);
        let text = value.as_str();
        text.unwrap_or_else(|| panic!("{script}: {value}"))
            .to_owned()
    }

    /// All that somebody can read there.
    #[track_caller]
    pub fn shown(&mut self) -> String {
        self.text("document.body.innerText")
    }

    /// Waits until a script says so, ten seconds at most. Gives what it says.
    #[track_caller]
    pub fn until(&mut self, script: &str) -> Value {
        self.within(10_000, script)
    }

    /// Waits until a script says so, so many milliseconds at most.
    #[track_caller]
    pub fn within(&mut self, milliseconds: u64, script: &str) -> Value {
        let mut told = self.ask(json!({"act": "until", "script": script, "within": milliseconds}));
        told["value"].take()
    }

    /// Presses a button that changes the page it is on.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        self.ask(json!({"act": "click", "selector": selector}));
    }

    /// Presses what leads to another page, and says with which status that came.
    #[track_caller]
    pub fn follow(&mut self, selector: &str) -> u64 {
        let status = self.ask(json!({"act": "follow", "selector": selector}));
        status.as_u64().unwrap_or_default()
    }

    /// Presses a key.
    #[track_caller]
    pub fn press(&mut self, key: &str) {
        self.ask(json!({"act": "press", "key": key}));
    }

    /// Types.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        self.ask(json!({"act": "write", "text": text}));
    }

    /// So many pixels wide, in `light` or `dark`.
    #[track_caller]
    pub fn look(&mut self, width: u32, scheme: &str) {
        self.ask(json!({"act": "look", "width": width, "scheme": scheme}));
    }

    /// What axe-core finds against WCAG 2.2 AA.
    #[track_caller]
    pub fn axe(&mut self) -> Vec<String> {
        serde_json::from_value(self.ask(json!({"act": "axe"}))).expect("a list")
    }

    /// What the pages gave rise to since it was asked last: errors, violations of their own policy, dialogs, and
    /// requests to other hosts.
    #[track_caller]
    pub fn problems(&mut self) -> Vec<String> {
        serde_json::from_value(self.ask(json!({"act": "problems"}))).expect("a list")
    }

    /// Takes a picture, of the whole page or of what fits on the screen.
    #[track_caller]
    pub fn picture(&mut self, path: &std::path::Path, whole: bool) {
        self.ask(json!({"act": "shot", "path": path, "whole": whole}));
    }

    /// What it has for the gateway's pages.
    #[track_caller]
    pub fn cookies(&mut self) -> Vec<Value> {
        serde_json::from_value(self.ask(json!({"act": "cookies"}))).expect("a list")
    }

    /// A file that was downloaded, once it is whole.
    #[track_caller]
    pub fn downloaded(&mut self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        crate::eventually(
            "it is downloaded",
            std::time::Duration::from_secs(10),
            || path.exists().then(|| path.clone()),
        )
    }
}
