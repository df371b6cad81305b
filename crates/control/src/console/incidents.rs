//! The first page: what was outside a scope, who launched it, and whether it is still alive.

use askama::Template;
use bailiwick_run::Time;

use super::chart::Chart;
use super::layout::{Here, Layout, Watch};
use super::said;
use super::text::Text;
use super::words::{Moment, Standing};
use crate::api::{Incident, IncidentQuery, Incidents, RunIncidents};

/// What was outside a scope.
#[derive(Template)]
#[template(path = "incidents.html")]
pub(crate) struct Page {
    layout: Layout,
    headline: String,
    subline: String,
    outside: usize,
    /// Runs whose trail does not verify.
    broken: Vec<Broken>,
    groups: Vec<Group>,
    next: Option<String>,
    is_filtered: bool,
    task: Text,
    launcher: Text,
    target: Text,
    overs: Vec<Over>,
    chart: Chart,
}

struct Group {
    key: String,
    is_run: bool,
    task: Text,
    launcher: Text,
    standing: Standing,
    left: String,
    calls: Vec<Call>,
    more: u64,
    more_link: String,
}

struct Call {
    id: Text,
    anchor: String,
    is_signal: bool,
    what: Text,
    target: Text,
    time: Moment,
    reason: Text,
    remedy: Text,
}

/// Over how long calls are counted.
struct Over {
    link: String,
    words: &'static str,
    is_current: bool,
}

/// The lengths of time that can be chosen: name, words, seconds.
pub(crate) const OVERS: [(&str, &str, u64); 3] = [
    ("hour", "Hour", 3_600),
    ("day", "Day", 86_400),
    ("week", "Week", 7 * 86_400),
];

/// A run whose trail does not verify.
struct Broken {
    run: String,
    problem: Text,
    record: Text,
    when: Option<Moment>,
}

/// What the page is made of.
pub(crate) struct Shown<'a> {
    pub(crate) incidents: &'a Incidents,
    pub(crate) query: &'a IncidentQuery,
    /// The chosen length of time.
    pub(crate) over: &'a str,
    pub(crate) chart: Chart,
    /// Until when the runs that are alive may go on, in the order of the incidents.
    pub(crate) expires: Vec<Option<Time>>,
    pub(crate) now: Time,
}

impl Page {
    pub(crate) fn new(layout: Layout, shown: Shown<'_>) -> Self {
        let Shown {
            incidents,
            query,
            now,
            ..
        } = shown;
        let mut expires = shown.expires.into_iter();
        let groups: Vec<Group> = (incidents.runs.iter())
            .map(|run| Group::of(run, expires.next().flatten(), now))
            .collect();
        let runs = groups.iter().filter(|group| group.is_run);
        let count = |class| {
            runs.clone()
                .filter(|group| group.standing.class == class)
                .count()
        };
        let (alive, suspended) = (count("alive"), count("suspended"));
        let outside = Outside {
            runs: runs.clone().count(),
            alive,
            suspended,
            more: incidents.next.is_some() || query.before.is_some(),
        };
        let is_filtered =
            query.task.is_some() || query.launcher.is_some() || query.target.is_some();
        let (headline, subline) = headline(outside, groups.len());
        let filters = filters(query);
        Self {
            layout: Layout {
                here: Here::Incidents,
                watch: Watch::All,
                ..layout
            },
            headline,
            subline,
            outside: outside.runs,
            broken: (incidents.unverified.iter())
                .map(|found| Broken {
                    run: found.run.to_string(),
                    problem: Text::whole(found.problem.as_deref().unwrap_or_default()),
                    record: Text::line(&found.record),
                    when: Some(Moment::new(found.time, now)),
                })
                .collect(),
            groups,
            next: (incidents.next)
                .map(|next| format!("/?{filters}before={next}&over={}", shown.over)),
            is_filtered,
            task: text(query.task.as_ref()),
            launcher: text(query.launcher.as_ref()),
            target: text(query.target.as_ref()),
            overs: (OVERS.iter())
                .map(|(name, words, _)| Over {
                    link: format!("/?{filters}over={name}"),
                    words,
                    is_current: *name == shown.over,
                })
                .collect(),
            chart: shown.chart,
        }
    }
}

/// Runs with incidents, by how far they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outside {
    runs: usize,
    alive: usize,
    suspended: usize,
    /// There are more on other pages.
    more: bool,
}

/// The page in two sentences. The second one says what is left to do.
fn headline(outside: Outside, groups: usize) -> (String, String) {
    let more = if outside.more { "at least " } else { "" };
    let headline = match (outside.runs, groups) {
        (0, 0) => "Nothing was outside a scope".to_owned(),
        (0, _) => "No run went outside its scope".to_owned(),
        (1, _) => format!("{more}one run went outside its scope"),
        (many, _) => format!("{more}{many} runs went outside their scope"),
    };
    let Outside {
        runs,
        alive,
        suspended,
        ..
    } = outside;
    let subline = match (runs, alive, suspended) {
        (0, ..) if groups > 0 => "Somebody was turned away before they had a run.".to_owned(),
        (0, ..) => "Every call so far was one that its run was opened for.".to_owned(),
        (1, 1, _) => "It is still alive.".to_owned(),
        (1, _, 1) => "It is suspended, and can do nothing until somebody resumes it.".to_owned(),
        (1, ..) => "It cannot act any more.".to_owned(),
        (_, 0, 0) => "None of them can act any more.".to_owned(),
        (_, 0, 1) => "None of them can act; one is suspended.".to_owned(),
        (_, 0, some) => format!("None of them can act; {some} are suspended."),
        (_, 1, _) => "One of them is still alive.".to_owned(),
        (all, some, _) if all == some => "All of them are still alive.".to_owned(),
        (_, some, _) => format!("{some} of them are still alive."),
    };
    (upper(&headline), subline)
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

fn text(text: Option<&String>) -> Text {
    Text::whole(text.map(String::as_str).unwrap_or_default())
}

/// What of a query a link has to say again.
fn filters(query: &IncidentQuery) -> String {
    let pairs = [
        ("task", &query.task),
        ("launcher", &query.launcher),
        ("target", &query.target),
    ];
    super::query(pairs.map(|(name, value)| (name, value.as_deref())))
}

impl Group {
    fn of(run: &RunIncidents, expires: Option<Time>, now: Time) -> Self {
        let calls: Vec<Call> = run.newest.iter().map(|call| Call::of(call, now)).collect();
        let key = run
            .run
            .map_or_else(|| "gateway".to_owned(), |run| run.to_string());
        let standing = match (run.run, run.state) {
            (Some(_), Some(state)) => Standing::of(state),
            (Some(_), None) => Standing::unknown(),
            (None, _) => Standing::none(),
        };
        Self {
            is_run: run.run.is_some(),
            task: Text::line(run.task.as_deref().unwrap_or("a run")),
            launcher: Text::line(run.launcher.as_deref().unwrap_or("nobody known")),
            left: match expires.filter(|_| standing.is_live) {
                Some(expires) => format!("{} left", super::words::for_long(now.until(expires))),
                None => String::new(),
            },
            standing,
            more: run.denied.saturating_sub(calls.len() as u64),
            more_link: match run.run {
                Some(run) => format!("/runs/{run}#outside"),
                None => "/search?run=gateway&denied=true".to_owned(),
            },
            calls,
            key,
        }
    }
}

impl Call {
    fn of(call: &Incident, now: Time) -> Self {
        let what = match call.kind.as_str() {
            "login.denied" => "access".to_owned(),
            "signal.raised" => format!(
                "signal {}",
                said::actions(call.verb.as_deref(), &call.actions)
            ),
            _ => said::actions(call.verb.as_deref(), &call.actions),
        };
        let what = what.trim();
        Self {
            anchor: call
                .id
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect(),
            id: Text::line(&call.id),
            is_signal: call.kind == "signal.raised",
            what: Text::line(if what.is_empty() { &call.kind } else { what }),
            target: Text::line(call.target.as_deref().unwrap_or_default()),
            time: Moment::new(call.time, now),
            reason: Text::line(call.reason.as_deref().unwrap_or_default()),
            remedy: Text::line(call.remedy.as_deref().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sentences_say_it() {
        for (runs, alive, suspended, says) in [
            (
                0,
                0,
                0,
                "Nothing was outside a scope. Every call so far was one that its run was opened for.",
            ),
            (
                1,
                1,
                0,
                "One run went outside its scope. It is still alive.",
            ),
            (
                1,
                0,
                1,
                "One run went outside its scope. It is suspended, and can do nothing until somebody resumes it.",
            ),
            (
                3,
                1,
                1,
                "3 runs went outside their scope. One of them is still alive.",
            ),
            (
                3,
                3,
                0,
                "3 runs went outside their scope. All of them are still alive.",
            ),
            (
                3,
                2,
                0,
                "3 runs went outside their scope. 2 of them are still alive.",
            ),
            (
                3,
                0,
                2,
                "3 runs went outside their scope. None of them can act; 2 are suspended.",
            ),
            (
                3,
                0,
                0,
                "3 runs went outside their scope. None of them can act any more.",
            ),
        ] {
            let outside = Outside {
                runs,
                alive,
                suspended,
                more: false,
            };
            let (headline, subline) = headline(outside, runs);
            assert_eq!(format!("{headline}. {subline}"), says);
        }
    }
}
