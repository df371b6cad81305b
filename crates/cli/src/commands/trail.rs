//! `bailiwick trail`: what a run did, a line a call.

mod live;
mod spoken;
mod story;
mod what;

use std::process::ExitCode;
use std::time::Duration;

use bailiwick_control::api::{RunDetail, TrailRecord};
use bailiwick_run::RunId;
use clap::Args;

use crate::commands::close;
use crate::commands::source::{Source, SourceArgs};
use crate::failure::Failure;
use crate::render::{self, Cell, Table, clean, style};
pub(crate) use live::time_of_day;
pub(crate) use spoken::sentence;
pub(crate) use story::{Effect, Line, Story};

/// Show what a run did: a line a call, what was denied first-class
///
/// Calls that do the same are folded into one line (×3). Those that only prepare a statement or keep
/// the session (BEGIN, COMMIT, …) are left out; --all shows each by itself. With --follow each line is
/// a sentence, as it happens, and the last one sums up.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  bailiwick trail last\n  bailiwick trail last --denied\n  \
    bailiwick trail last --follow --json | jq .record.decision"
)]
pub(crate) struct Trail {
    /// The run's id, `last` for the newest, or `gateway` for the gateway's own records
    run: String,
    /// Only what was denied
    #[arg(long)]
    denied: bool,
    /// Every call by itself
    #[arg(long)]
    all: bool,
    /// Go on as the run does, until it ends
    #[arg(long, conflicts_with = "data")]
    follow: bool,
    /// Print JSON, a record a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// How often a followed run is asked for more.
const POLL: Duration = Duration::from_millis(300);

/// Where a line's own text stands below it.
const INDENT: usize = 10;

impl Trail {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        self.source.ask(async |source| {
            let chain = Chain::find(source, &self.run).await?;
            if self.json {
                self.print_json(source, &chain).await
            } else if self.follow {
                live::follow(source, &chain, self.denied, self.all).await
            } else {
                self.print_whole(source, &chain).await
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn print_json(&self, source: &Source, chain: &Chain) -> Result<(), Failure> {
        let mut after = 0;
        loop {
            let page = source.trail(chain.run(), after).await?;
            let mut closed = false;
            for record in &page.records {
                let read = Story::read(record)?;
                closed |= read.r#type == "run.closed";
                after = record.seq;
                if !self.denied || story::is_denied(&read) {
                    render::print_json(record)?;
                }
            }
            match (page.more, self.follow && !closed) {
                (true, _) => {}
                (false, true) => tokio::time::sleep(POLL).await,
                (false, false) => return Ok(()),
            }
        }
    }

    async fn print_whole(&self, source: &Source, chain: &Chain) -> Result<(), Failure> {
        let mut story = Story::default();
        let mut lines = Vec::new();
        let records = chain.records(source).await?;
        for record in &records {
            lines.extend(story.add(record)?);
        }
        lines.extend(story.unfinished());
        lines.sort_by_key(|line| line.seq);
        // Nobody has to answer what was answered.
        for line in lines.iter_mut().filter(|line| line.effect == Effect::Held) {
            line.remedy = line.remedy.take().filter(|_| story.is_waiting(line.seq));
        }
        let quiet = lines.iter().filter(|line| line.quiet).count();
        if !self.all {
            lines.retain(|line| !line.quiet);
            lines = story::fold(lines);
        }
        if self.denied {
            lines.retain(|line| line.effect == Effect::Denied);
        }
        if let Chain::Run(run) = chain {
            render::print(&heading(run))?;
            let first = records.first().map_or(1, |record| record.seq);
            if first > 1 {
                let pruned = match first - 1 {
                    1 => "its first record is pruned".to_owned(),
                    more => format!("its first {more} records are pruned"),
                };
                let dim = style::DIM;
                render::print(&format!("{dim}{pruned}{dim:#}\n"))?;
            }
        }
        let mut table = Table::new(4);
        for line in &lines {
            show(&mut table, &story, line);
        }
        render::print(&table.render(render::columns()))?;
        let dim = style::DIM;
        if self.denied && lines.is_empty() {
            render::print(&format!("{dim}nothing was denied{dim:#}\n"))?;
        }
        if !self.all && !self.denied && quiet > 0 {
            let calls = render::count(quiet as u64, "call");
            let words =
                format!("{dim}{calls} that only prepared or kept the session: --all{dim:#}\n");
            render::print(&words)?;
        }
        match chain {
            Chain::Run(run) => render::print(&format!("{}\n", close::summary(&run.summary))),
            Chain::Gateway => Ok(()),
        }
    }
}

/// Whose records are shown.
enum Chain {
    Run(Box<RunDetail>),
    Gateway,
}

impl Chain {
    async fn find(source: &Source, name: &str) -> Result<Self, Failure> {
        if name == "gateway" {
            return Ok(Self::Gateway);
        }
        let run = source.find(name).await?;
        Ok(Self::Run(Box::new(source.run(&run).await?)))
    }

    /// The run, unless it is the gateway's own chain.
    fn run(&self) -> Option<&RunId> {
        match self {
            Self::Run(run) => Some(&run.summary.run),
            Self::Gateway => None,
        }
    }

    async fn records(&self, source: &Source) -> Result<Vec<TrailRecord>, Failure> {
        let mut records: Vec<TrailRecord> = Vec::new();
        loop {
            let after = records.last().map_or(0, |record| record.seq);
            let page = source.records(self.run(), after).await?;
            let done = !page.more || page.records.is_empty();
            records.extend(page.records);
            if done {
                return Ok(records);
            }
        }
    }
}

/// Who, what for, and how it is confined.
fn heading(run: &RunDetail) -> String {
    let (bold, dim) = (style::HEADING, style::DIM);
    let summary = &run.summary;
    let mut text = format!(
        "{bold}{}{bold:#}  {dim}{} · {} · {}{dim:#}\n",
        summary.run,
        clean(&summary.task),
        clean(summary.launcher.as_str()),
        summary.confinement.as_str(),
    );
    if let Some(reason) = &run.reason {
        text.push_str(&format!("{dim}“{}”{dim:#}\n", clean(reason)));
    }
    text
}

fn show(table: &mut Table, story: &Story, line: &Line) {
    let (mark, style) = match line.effect {
        Effect::Denied => ("✗ DENY", style::DENIED),
        Effect::Failed => ("! fail", style::NOTE),
        Effect::Held => ("‖ held", style::NOTE),
        Effect::Signal => ("! signal", style::NOTE),
        Effect::Allowed | Effect::Event => ("", style::DIM),
    };
    let dim = |text: String| Cell::new(text).style(style::DIM);
    let times = match line.times {
        1 => String::new(),
        times => format!("×{times}"),
    };
    let some = |number: u64, noun: &str| match number {
        0 => String::new(),
        1 if noun == "row" => "1 row".into(),
        _ if noun == "row" => format!("{number} rows"),
        _ => format!("{number} {noun}"),
    };
    table.row([
        Cell::new(mark).style(style),
        dim(story.since(line.time)).right(),
        Cell::new(&line.verb).style(style),
        dim(line
            .target
            .clone()
            .filter(|_| story.has_several_targets())
            .unwrap_or_default()),
        Cell::new(&line.what).style(style),
        dim(times).right(),
        dim(some(line.rows, "row")).right(),
        dim(some(line.masked, "masked")).right(),
        Cell::new(&line.state).style(style),
    ]);
    if let Some(reason) = &line.reason {
        let style = match line.effect {
            Effect::Held | Effect::Signal => style::NOTE,
            _ => style::REASON,
        };
        table.text(INDENT, reason, style);
    }
    if let Some(remedy) = &line.remedy {
        table.text(INDENT, &format!("→ {remedy}"), style::DIM);
    }
}
