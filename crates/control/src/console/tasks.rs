//! Tasks: what each allows and denies, in words.

use askama::Template;

use super::layout::{Here, Layout};
use super::run::Word;
use super::text::Text;
use super::words::{count, for_long};
use crate::api::{Sort, TaskDetail, TaskInfo};

/// All tasks.
#[derive(Template)]
#[template(path = "tasks.html")]
pub(crate) struct Page {
    layout: Layout,
    headline: String,
    tasks: Vec<Row>,
}

struct Row {
    name: Text,
    link: String,
    purpose: Text,
    ttl: String,
    targets: Text,
    launchers: Text,
}

impl Page {
    pub(crate) fn new(layout: Layout, tasks: &[TaskInfo]) -> Self {
        let rows = tasks.iter().map(|task| Row {
            name: Text::line(&task.name),
            link: super::encoded(&task.name),
            purpose: Text::line(&task.purpose),
            ttl: for_long(task.ttl),
            targets: Text::line(&list(&task.targets, "nothing")),
            launchers: Text::line(&list(&task.launchers, "nobody")),
        });
        Self {
            layout: Layout {
                here: Here::Tasks,
                ..layout
            },
            headline: count(tasks.len() as u64, "task"),
            tasks: rows.collect(),
        }
    }
}

fn list(names: &[String], none: &str) -> String {
    match names.is_empty() {
        true => none.to_owned(),
        false => names.join(", "),
    }
}

/// One task.
#[derive(Template)]
#[template(path = "task.html")]
pub(crate) struct OnePage {
    layout: Layout,
    name: Text,
    link: String,
    purpose: Text,
    groups: Vec<Group>,
    launchers: Vec<Text>,
    ttl: String,
    gateway_only: bool,
    env: Vec<Pair>,
    file: Text,
    digest: Text,
}

struct Group {
    title: &'static str,
    note: &'static str,
    words: Vec<Word>,
}

struct Pair {
    name: Text,
    value: Text,
}

/// What a task says, in the order in which it matters.
const GROUPS: [(Sort, &str, &str); 5] = [
    (Sort::Allowed, "Allowed", ""),
    (
        Sort::Approval,
        "Held until somebody says yes",
        "The call waits at the gateway; nothing of it has reached the target.",
    ),
    (
        Sort::Masked,
        "Masked",
        "By lineage: whatever is made of these is masked, too, under any name.",
    ),
    (
        Sort::Guardrail,
        "Guardrails",
        "They stand above every task.",
    ),
    (Sort::Rest, "The rest", ""),
];

impl OnePage {
    pub(crate) fn new(layout: Layout, detail: &TaskDetail) -> Self {
        let task = &detail.task;
        let groups = GROUPS.iter().map(|(sort, title, note)| Group {
            title,
            note,
            words: (detail.words.iter())
                .filter(|words| words.sort == *sort)
                .map(Word::of)
                .collect(),
        });
        Self {
            layout: Layout {
                here: Here::Tasks,
                ..layout
            },
            name: Text::line(&task.name),
            link: super::encoded(&task.name),
            purpose: Text::line(&task.purpose),
            groups: groups.filter(|group| !group.words.is_empty()).collect(),
            launchers: task.launchers.iter().map(|name| Text::line(name)).collect(),
            ttl: for_long(task.ttl),
            gateway_only: task.gateway_only,
            env: (task.env.iter())
                .map(|(name, value)| Pair {
                    name: Text::line(name),
                    value: Text::line(value),
                })
                .collect(),
            file: Text::line(&task.file.display().to_string()),
            digest: Text::line(&task.digest),
        }
    }
}
