//! What is looked at, and what a key does about it.

use std::time::Duration;

use bailiwick_control::api::{Approval, Summary};
use bailiwick_run::{ApprovalId, RunId, Time};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::deed::{Asked, Deed, Question, about_call, about_run};
use super::feed::{News, Noted, Seen, Tail};
use super::palette::Palette;
use crate::commands::runs;

/// The longest filter and reason that can be typed, in bytes.
const TYPED_MAX: usize = 512;

/// How long a question is there before it can be answered: text that is pasted does not read it.
const READ_AT_LEAST: Duration = Duration::from_millis(300);

/// Lines that Page Up and Page Down move by.
const PAGE: isize = 10;

/// What wants keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Runs,
    Held,
    Incidents,
    Trail,
}

impl Pane {
    const ALL: [Self; 4] = [Self::Runs, Self::Held, Self::Incidents, Self::Trail];
}

/// What a key wants that is not done by showing something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    None,
    Quit,
    /// Back to the shell, for now.
    Stop,
    Redraw,
    Do(Deed),
}

/// What has come of something, on the last line.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) is_trouble: bool,
    since: Time,
}

/// How long a word stays, in milliseconds.
const WORD_STAYS: u64 = 8_000;

/// Everything that is shown.
pub(super) struct App {
    pub(super) me: String,
    pub(super) version: String,
    pub(super) palette: Palette,
    pub(super) now: Time,
    pub(super) seen: Seen,
    /// Whether anything was seen yet.
    pub(super) is_loaded: bool,
    /// Why the gateway does not answer now.
    pub(super) trouble: Option<String>,
    word: Option<Word>,
    pub(super) focus: Pane,
    /// Whether the pane that has the keys has all the room.
    pub(super) is_wide: bool,
    run: Option<RunId>,
    held: Option<ApprovalId>,
    incident: Option<String>,
    /// How many lines of the trail are below what is shown; at 0 it follows.
    pub(super) back: usize,
    pub(super) filter: String,
    pub(super) is_filtering: bool,
    pub(super) question: Option<Question>,
    /// Since when it is asked.
    asked: Time,
    pub(super) is_helping: bool,
}

impl App {
    pub(super) fn new(me: String, version: String, palette: Palette) -> Self {
        Self {
            me,
            version,
            palette,
            now: Time::from_millis(0),
            seen: Seen::default(),
            is_loaded: false,
            trouble: None,
            word: None,
            focus: Pane::Runs,
            is_wide: false,
            run: None,
            held: None,
            incident: None,
            back: 0,
            filter: String::new(),
            is_filtering: false,
            question: None,
            asked: Time::from_millis(0),
            is_helping: false,
        }
    }

    /// What is new.
    pub(super) fn take(&mut self, news: News) {
        match news {
            News::Seen(seen) => {
                let added = self.trail().map_or(0, |tail| tail.lines.len());
                self.seen = seen;
                self.is_loaded = true;
                self.trouble = None;
                // What somebody reads stays where it is while more comes below it.
                let lines = self.trail().map_or(0, |tail| tail.lines.len());
                if self.back > 0 {
                    self.back = (self.back + lines.saturating_sub(added)).min(lines);
                }
                if self.focus == Pane::Held && self.seen.held.is_empty() {
                    self.focus = Pane::Runs;
                    self.is_wide = false;
                }
            }
            News::Unseen(why) => self.trouble = Some(why),
            News::Done(Ok(words)) => self.say(words, false),
            News::Done(Err(words)) => self.say(words, true),
        }
    }

    /// What has come of the last thing, for a while.
    pub(super) fn word(&self) -> Option<&Word> {
        let word = self.word.as_ref()?;
        (word.since.millis() + WORD_STAYS > self.now.millis()).then_some(word)
    }

    fn say(&mut self, text: impl Into<String>, is_trouble: bool) {
        self.word = Some(Word {
            text: text.into(),
            is_trouble,
            since: self.now,
        });
    }

    /// The runs that the filter leaves.
    pub(super) fn runs(&self) -> Vec<&Summary> {
        let all = self.seen.runs.iter();
        all.filter(|run| {
            self.leaves(&[
                &run.run.to_string(),
                &run.task,
                run.launcher.as_str(),
                runs::state(run),
            ])
        })
        .collect()
    }

    pub(super) fn incidents(&self) -> Vec<&Noted> {
        let all = self.seen.incidents.iter();
        all.filter(|noted| {
            let incident = &noted.incident;
            self.leaves(&[
                &incident.id,
                noted.task.as_deref().unwrap_or_default(),
                noted.launcher.as_deref().unwrap_or_default(),
                incident.target.as_deref().unwrap_or_default(),
                incident.verb.as_deref().unwrap_or_default(),
                &incident.actions.join(" "),
                incident.reason.as_deref().unwrap_or_default(),
            ])
        })
        .collect()
    }

    /// All of them: what waits for somebody is not to be filtered away.
    pub(super) fn held(&self) -> &[Approval] {
        &self.seen.held
    }

    /// The trail of the run that is selected, once it is there.
    pub(super) fn trail(&self) -> Option<&Tail> {
        let run = self.selected_run()?;
        self.seen.trail.as_ref().filter(|tail| tail.run == run)
    }

    /// Every word of the filter is in one of these.
    fn leaves(&self, texts: &[&str]) -> bool {
        let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
        let filter = self.filter.to_lowercase();
        let mut words = filter.split_whitespace();
        words.all(|word| texts.iter().any(|text| text.contains(word)))
    }

    /// Which row is selected: the one that was, wherever it is now, or else the first.
    pub(super) fn run_row(&self) -> usize {
        let row = self.runs().iter().position(|run| Some(run.run) == self.run);
        row.unwrap_or(0)
    }

    pub(super) fn held_row(&self) -> usize {
        let row = self
            .held()
            .iter()
            .position(|call| Some(call.id) == self.held);
        row.unwrap_or(0)
    }

    pub(super) fn incident_row(&self) -> usize {
        let incidents = self.incidents();
        let row = incidents
            .iter()
            .position(|noted| Some(&noted.incident.id) == self.incident.as_ref());
        row.unwrap_or(0)
    }

    /// The run whose trail is shown.
    pub(super) fn selected_run(&self) -> Option<RunId> {
        self.runs().get(self.run_row()).map(|run| run.run)
    }

    pub(super) fn selected_call(&self) -> Option<&Approval> {
        self.held().get(self.held_row())
    }

    pub(super) fn selected_incident(&self) -> Option<&Noted> {
        self.incidents().get(self.incident_row()).copied()
    }

    /// The run that a key is about: of the row that is selected where the keys go.
    fn run_meant(&self) -> Option<&Summary> {
        let run = match self.focus {
            Pane::Runs | Pane::Trail => self.selected_run(),
            Pane::Held => self.selected_call().map(|call| call.run),
            Pane::Incidents => self.selected_incident().and_then(|noted| noted.run),
        };
        self.seen
            .runs
            .iter()
            .find(|summary| Some(summary.run) == run)
    }

    /// A key.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Wish::Quit,
                KeyCode::Char('z') => Wish::Stop,
                KeyCode::Char('l') => Wish::Redraw,
                _ => Wish::None,
            };
        }
        if let Some(question) = self.question.take() {
            return self.answer(question, key.code);
        }
        if self.is_filtering {
            self.type_filter(key.code);
            return Wish::None;
        }
        if self.is_helping {
            self.is_helping = false;
            return Wish::None;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?') => self.is_helping = true,
            KeyCode::Char('/') => self.is_filtering = true,
            KeyCode::Char('j') | KeyCode::Down => self.go(1),
            KeyCode::Char('k') | KeyCode::Up => self.go(-1),
            KeyCode::PageDown => self.go(PAGE),
            KeyCode::PageUp => self.go(-PAGE),
            KeyCode::Char('g') | KeyCode::Home => self.go(isize::MIN),
            KeyCode::Char('G') | KeyCode::End => self.go(isize::MAX),
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(Pane::ALL.len() - 1),
            KeyCode::Enter => self.enter(),
            KeyCode::Esc if self.is_wide => {
                self.is_wide = false;
                if self.focus == Pane::Trail {
                    self.focus = Pane::Runs;
                }
            }
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char(key @ ('s' | 'r' | 'x')) => self.ask_about_run(key),
            KeyCode::Char(key @ ('a' | 'd')) => match self.selected_call() {
                Some(call) => self.ask(about_call(key, call)),
                None => self.say("no call waits for a yes", false),
            },
            _ => {}
        }
        Wish::None
    }

    fn ask_about_run(&mut self, key: char) {
        match self.run_meant().map(|run| about_run(key, run)) {
            Some(Ok(question)) => self.ask(question),
            Some(Err(words)) => self.say(words, false),
            None => self.say("no run is selected, or it has ended", false),
        }
    }

    fn ask(&mut self, question: Question) {
        self.question = Some(question);
        self.asked = self.now;
    }

    /// An answer to a question. Only `y` is a yes, and only Enter sends a reason.
    fn answer(&mut self, mut question: Question, key: KeyCode) -> Wish {
        let too_soon = self.asked.until(self.now) < READ_AT_LEAST;
        match (&mut question.asked, key) {
            (Asked::Yes(_), KeyCode::Char('y' | 'Y')) | (Asked::Reason(..), KeyCode::Enter)
                if too_soon => {}
            (_, KeyCode::Esc) => return Wish::None,
            (Asked::Yes(deed), KeyCode::Char('y' | 'Y')) => return Wish::Do(deed.clone()),
            (Asked::Yes(_), KeyCode::Char('n' | 'N' | 'q')) => return Wish::None,
            (Asked::Yes(_), _) => {}
            (Asked::Reason(id, reason), KeyCode::Enter) => {
                if !reason.trim().is_empty() {
                    return Wish::Do(Deed::Deny(*id, reason.trim().to_owned()));
                }
            }
            (Asked::Reason(_, reason), key) => type_into(reason, key),
        }
        self.question = Some(question);
        Wish::None
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_filtering = false,
            KeyCode::Esc => {
                self.is_filtering = false;
                self.filter.clear();
            }
            key => type_into(&mut self.filter, key),
        }
    }

    /// Moves the selection where the keys go.
    fn go(&mut self, by: isize) {
        let to =
            |row: usize, rows: usize| row.saturating_add_signed(by).min(rows.saturating_sub(1));
        match self.focus {
            Pane::Runs => {
                let before = self.selected_run();
                let runs = self.runs();
                self.run = runs.get(to(self.run_row(), runs.len())).map(|run| run.run);
                if self.run != before {
                    self.back = 0;
                }
            }
            Pane::Held => {
                let row = to(self.held_row(), self.held().len());
                self.held = self.held().get(row).map(|call| call.id);
            }
            Pane::Incidents => {
                let incidents = self.incidents();
                let row = to(self.incident_row(), incidents.len());
                self.incident = incidents.get(row).map(|noted| noted.incident.id.clone());
            }
            Pane::Trail => {
                let lines = self.trail().map_or(0, |tail| tail.lines.len());
                // Down is towards the end, where it follows.
                let by = by.saturating_neg();
                self.back = self
                    .back
                    .saturating_add_signed(by)
                    .min(lines.saturating_sub(1));
            }
        }
    }

    /// To the next pane that has something.
    fn turn(&mut self, by: usize) {
        let at = Pane::ALL
            .iter()
            .position(|pane| *pane == self.focus)
            .unwrap_or(0);
        let others = (1..=Pane::ALL.len()).map(|step| (at + by * step) % Pane::ALL.len());
        let next = others
            .filter_map(|index| Pane::ALL.get(index).copied())
            .find(|pane| *pane != Pane::Held || !self.held().is_empty());
        self.focus = next.unwrap_or(Pane::Runs);
        self.is_wide = false;
    }

    /// Looks closer: a run's trail, an incident, a call that waits; from there an incident's run.
    fn enter(&mut self) {
        match self.focus {
            Pane::Runs => {
                self.focus = Pane::Trail;
                self.is_wide = true;
            }
            Pane::Incidents if self.is_wide => {
                let run = self.selected_incident().and_then(|noted| noted.run);
                let is_listed = self
                    .seen
                    .runs
                    .iter()
                    .any(|summary| Some(summary.run) == run);
                match run {
                    Some(run) if is_listed => {
                        self.filter.clear();
                        self.run = Some(run);
                        self.back = 0;
                        self.focus = Pane::Trail;
                    }
                    Some(run) => self.say(format!("ended long ago: bailiwick trail {run}"), false),
                    None => self.say("in the gateway's own chain: bailiwick trail gateway", false),
                }
            }
            Pane::Held | Pane::Incidents | Pane::Trail => self.is_wide = !self.is_wide,
        }
    }
}

/// What a key does to a text that is typed.
fn type_into(text: &mut String, key: KeyCode) {
    match key {
        KeyCode::Char(c) if !c.is_control() && text.len() + c.len_utf8() <= TYPED_MAX => {
            text.push(c)
        }
        KeyCode::Backspace => drop(text.pop()),
        _ => {}
    }
}
