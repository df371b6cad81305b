//! Programs that run until they are stopped, beside the gateway: witnesses and signers.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long one may take to start.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A program that runs. Dropping it kills it.
pub struct Lasting {
    child: Child,
    said: PathBuf,
    lines: Vec<(String, String)>,
}

impl Lasting {
    /// Starts it, and waits until it has printed the line that begins with this word. What it says
    /// on stderr goes to the end of a file.
    #[track_caller]
    pub fn start(command: &mut Command, last: &'static str, said: &Path) -> Self {
        let stderr = File::options().create(true).append(true).open(said);
        let mut child = command
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(stderr.expect("a file for what it says"))
            .spawn()
            .expect("the program");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let (ready, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut printed = Vec::new();
            for line in stdout.lines().map_while(Result::ok) {
                let line = line.trim();
                let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
                printed.push((word.to_owned(), rest.trim().to_owned()));
                if word == last {
                    break;
                }
            }
            let _ = ready.send(printed);
        });
        let lines = lines.recv_timeout(READY_WITHIN).unwrap_or_default();
        let lasting = Self {
            child,
            said: said.to_owned(),
            lines,
        };
        assert!(
            lasting.lines.iter().any(|(word, _)| word == last),
            "it did not start: {:?}\n{}",
            lasting.lines,
            lasting.said()
        );
        lasting
    }

    /// What it printed after this word.
    #[track_caller]
    pub fn value(&self, word: &str) -> &str {
        let line = self.lines.iter().find(|(first, _)| first == word);
        &line.expect("a line that begins with the word").1
    }

    /// What it and those before it have said on stderr.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("{} says:\n{}", self.said.display(), self.said());
        }
    }
}
