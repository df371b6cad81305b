//! A trail as it happens: a sentence a call, to be read or read aloud.

use std::time::{Duration, Instant};

use super::{Chain, Effect, Line, POLL, Story, heading, sentence};
use crate::commands::close;
use crate::commands::source::Source;
use crate::failure::Failure;
use crate::render::{self, Table, clean, count, style};

/// How long repeats are counted before somebody is told how many there were.
const REPEATS_TOLD_EVERY: Duration = Duration::from_secs(5);

/// Where a sentence begins, after the time of day.
const INDENT: usize = 10;

/// Prints the lines of a chain until its run is closed.
pub(super) async fn follow(
    source: &Source,
    chain: &Chain,
    denied: bool,
    all: bool,
) -> Result<(), Failure> {
    if let Chain::Run(run) = chain {
        render::print(&heading(run))?;
    }
    let mut story = Story::default();
    let mut repeats = Repeats::default();
    let mut after = 0;
    loop {
        let page = source.records(chain.run(), after).await?;
        for record in &page.records {
            after = record.seq;
            let Some(line) = story.add(record)? else {
                continue;
            };
            let shown = (all || !line.quiet) && (!denied || line.effect == Effect::Denied);
            if shown {
                let several = story.has_several_targets();
                render::print(&repeats.add(line, several, !all).render(render::columns()))?;
            }
        }
        if story.is_closed() {
            render::print(&repeats.told().render(render::columns()))?;
            break;
        }
        if !page.more {
            if repeats.are_due() {
                render::print(&repeats.told().render(render::columns()))?;
            }
            tokio::time::sleep(POLL).await;
        }
    }
    match chain.run() {
        Some(run) => {
            let ended = source.run(run).await?.summary;
            render::print(&format!("{}\n", close::summary(&ended)))
        }
        None => Ok(()),
    }
}

/// Lines as they are printed, where one that is like the one before is only counted.
#[derive(Default)]
struct Repeats {
    last: Option<Line>,
    /// What came after it and is like it, all in one, and since when.
    more: Option<(Line, Instant)>,
}

impl Repeats {
    /// What is to be printed now that there is one more line.
    fn add(&mut self, line: Line, with_target: bool, fold: bool) -> Table {
        if fold && self.last.as_ref().is_some_and(|last| last.is_like(&line)) {
            match &mut self.more {
                Some((more, _)) => more.take_in(&line),
                None => self.more = Some((line, Instant::now())),
            }
            return match self.are_due() {
                true => self.told(),
                false => Table::new(0),
            };
        }
        let mut table = self.told();
        show(&mut table, &line, with_target);
        self.last = Some(line);
        table
    }

    /// Whether somebody has waited long enough to hear how many there were.
    fn are_due(&self) -> bool {
        let more = self.more.as_ref();
        more.is_some_and(|(_, since)| since.elapsed() >= REPEATS_TOLD_EVERY)
    }

    /// How many there were.
    fn told(&mut self) -> Table {
        let mut table = Table::new(0);
        if let Some((more, _)) = self.more.take() {
            let mut words = match more.times {
                1 => "once more".to_owned(),
                times => format!("{times} times more"),
            };
            if more.rows > 0 {
                words.push_str(&format!(", {}", count(more.rows, "row")));
            }
            if more.masked > 0 {
                words.push_str(&format!(", {} masked", count(more.masked, "value")));
            }
            table.text(INDENT, &words, style::DIM);
        }
        table
    }
}

fn show(table: &mut Table, line: &Line, with_target: bool) {
    let style = match line.effect {
        Effect::Denied => style::DENIED,
        Effect::Failed | Effect::Held | Effect::Signal => style::NOTE,
        Effect::Event => style::DIM,
        Effect::Allowed => anstyle::Style::new(),
    };
    let mut words = sentence(line, with_target);
    if let Some(reason) = &line.reason {
        words = match line.effect {
            Effect::Denied => format!("{words}: {reason}"),
            _ => format!("{words}; {reason}"),
        };
    }
    table.said(&time_of_day(line.time), INDENT, &clean(&words), style);
    if let Some(remedy) = &line.remedy {
        table.text(INDENT, &format!("→ {remedy}"), style::DIM);
    }
}

/// `14:03:07`, in UTC as all times here are.
pub(crate) fn time_of_day(time: bailiwick_run::Time) -> String {
    let seconds = time.millis() / 1_000 % 86_400;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_run::Time;

    fn line(what: &str, rows: u64) -> Line {
        Line {
            seq: 1,
            time: Time::from_millis(3_661_000),
            effect: Effect::Denied,
            verb: "login".into(),
            target: None,
            what: what.into(),
            state: String::new(),
            rows,
            masked: 0,
            reason: Some("because\u{1b}[2J".into()),
            remedy: None,
            times: 1,
            quiet: false,
            spoken: None,
        }
    }

    #[test]
    fn what_is_like_the_one_before_is_counted() {
        let mut repeats = Repeats::default();
        let mut told = String::new();
        for (what, rows) in [("a", 1), ("a", 2), ("a", 3), ("b", 0), ("a", 0), ("a", 0)] {
            told += &repeats.add(line(what, rows), false, true).render(80);
        }
        told += &repeats.told().render(80);
        let told = anstream::adapter::strip_str(&told).to_string();
        assert_eq!(
            told,
            "01:01:01  denied: login to a: because\\u{1b}[2J\n          2 times more, 5 rows\n\
             01:01:01  denied: login to b: because\\u{1b}[2J\n\
             01:01:01  denied: login to a: because\\u{1b}[2J\n          once more\n"
        );
    }

    #[test]
    fn every_one_is_told_by_itself_if_that_is_wanted() {
        let mut repeats = Repeats::default();
        let told = (0..3).map(|_| repeats.add(line("a", 0), false, false).render(80));
        assert_eq!(told.collect::<String>().lines().count(), 3);
    }
}
