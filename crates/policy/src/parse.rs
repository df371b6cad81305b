//! A task file becomes a [`Task`], or a list of everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use bailiwick_action::{Class, Kind, Verb};

use crate::TargetName;
use crate::digest::Digest;
use crate::document::{At, Document, Section};
use crate::limits::{MAX_NAME, MAX_PURPOSE, MAX_TTL};
use crate::name::{self, Column, Pattern};
use crate::problem::{Place, Problem, nearest};
use crate::task::{Confine, Grant, Item, Mask, Task, applies, has_columns};

/// Reads a task file. `stem` is the file's name without `.toml`, which the task's has to be.
pub(crate) fn task(
    file: &Path,
    stem: &str,
    text: &str,
    targets: &[TargetName],
) -> Result<Task, Vec<Problem>> {
    let document = Document::new(file, text);
    let task = document
        .parse()
        .map(|table| read(&Section::top(&document, &table, &TOP), stem, text, targets));
    let problems = document.into_problems();
    match task {
        Some(task) if problems.is_empty() => Ok(Task {
            place: Place::whole(file),
            ..task
        }),
        _ => Err(problems),
    }
}

const TOP: [&str; 11] = [
    "task",
    "purpose",
    "launchers",
    "ttl",
    "confine",
    "env",
    "read",
    "write",
    "destroy",
    "admin",
    "mask",
];

const GRANT: [&str; 9] = [
    "target",
    "tables",
    "columns",
    "verbs",
    "functions",
    "settings",
    "roles",
    "objects",
    "approve",
];

const CLASSES: [Class; 4] = [Class::Read, Class::Write, Class::Destroy, Class::Admin];

/// Reads everything, with placeholders for what is wrong: each problem has been reported by then.
fn read(top: &Section<'_, '_>, stem: &str, text: &str, targets: &[TargetName]) -> Task {
    let name = task_name(top, stem);
    let grants: Vec<Grant> = CLASSES
        .into_iter()
        .flat_map(|class| grants(top, class, targets))
        .collect();
    Task {
        purpose: purpose(top),
        launchers: launchers(top),
        ttl: ttl(top),
        env: env(top, &grants, targets),
        masks: masks(top, targets),
        confine: confine(top),
        digest: Digest::new()
            .part(name.as_bytes())
            .part(text.as_bytes())
            .finish(),
        place: Place::whole(Path::new("")),
        name,
        grants,
    }
}

fn task_name(top: &Section<'_, '_>, stem: &str) -> String {
    let Some(name) = top.required_string("task", "it is the task's name, the same as the file's")
    else {
        return stem.to_owned();
    };
    let fits = !name.value.is_empty()
        && name.value.len() <= 64
        && !name.value.starts_with(['.', '-'])
        && name
            .value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !fits {
        top.report(
            "task",
            "a task's name is at most 64 ASCII letters, digits, `-`, `_` and `.`, and begins with a letter or digit",
        );
    } else if name.value != stem {
        let message = format!(
            "the task is called `{}` but its file `{stem}.toml`; give both the same name",
            name.value
        );
        top.report("task", message);
    }
    name.value.to_owned()
}

fn purpose(top: &Section<'_, '_>) -> String {
    let why = "say in a sentence what the task is for";
    let purpose = top
        .required_string("purpose", why)
        .map_or("", |at| at.value);
    if top.has("purpose") {
        if purpose.len() > MAX_PURPOSE {
            top.report("purpose", format!("it is longer than {MAX_PURPOSE} bytes"));
        } else if purpose.chars().any(|c| c.is_control() && c != '\n') {
            top.report("purpose", "it holds a control character");
        }
    }
    purpose.trim().to_owned()
}

fn launchers(top: &Section<'_, '_>) -> Vec<String> {
    if !top.has("launchers") {
        top.report(
            "launchers",
            "this key is missing, so nobody could open a run; say who may, as in [\"human:*@acme.com\"]",
        );
    }
    let patterns = top.strings("launchers").unwrap_or_default();
    let mut launchers = Vec::with_capacity(patterns.len());
    for At { value, at } in patterns {
        let name = value
            .strip_prefix("human:")
            .or_else(|| value.strip_prefix("workflow:"));
        let problem = match name {
            None => Some(
                "a launcher begins with \"human:\" or \"workflow:\", as in \"human:*@acme.com\"",
            ),
            Some("") => Some("name someone after the colon; `*` stands for any text"),
            Some(_) if value.len() > MAX_NAME => Some("it is too long"),
            Some(name) if name.chars().any(|c| c.is_control() || c.is_whitespace()) => {
                Some("no launcher's name holds a space or control character")
            }
            Some(_) => None,
        };
        match problem {
            Some(problem) => top.document.report(&at, &top.key("launchers"), problem),
            None => launchers.push(value.to_owned()),
        }
    }
    launchers
}

fn ttl(top: &Section<'_, '_>) -> Duration {
    let why = "say how long a run may last at most, as in \"30m\"";
    let Some(text) = top.required_string("ttl", why) else {
        return Duration::ZERO;
    };
    let ttl = match humantime::parse_duration(text.value) {
        Ok(ttl) => ttl,
        Err(error) => {
            let message = format!("not a duration ({error}); write it as in \"30m\" or \"1h 30m\"");
            top.report("ttl", message);
            return Duration::ZERO;
        }
    };
    if ttl < Duration::from_secs(1) {
        top.report("ttl", "a run needs at least a second");
    } else if ttl > MAX_TTL {
        let max = humantime::format_duration(MAX_TTL);
        top.report("ttl", format!("a run may last at most {max}"));
    }
    ttl
}

fn confine(top: &Section<'_, '_>) -> Confine {
    match top.string("confine").map(|at| at.value) {
        None | Some("default") => Confine::Default,
        Some("gateway-only") => Confine::GatewayOnly,
        Some(other) => {
            top.document.report_nearest(
                &top.string("confine").map(|at| at.at).unwrap_or_default(),
                "confine",
                "it is \"default\" or \"gateway-only\"",
                nearest(other, ["default", "gateway-only"]),
            );
            Confine::Default
        }
    }
}

fn env(
    top: &Section<'_, '_>,
    grants: &[Grant],
    targets: &[TargetName],
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (variable, target) in top.pairs("env") {
        let key = format!("env.{}", variable.value);
        let starts = variable
            .value
            .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let fits = variable.value.len() <= MAX_NAME
            && variable
                .value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !starts || !fits {
            let message = "an environment variable's name is letters, digits and `_`";
            top.document.report(&variable.at, &key, message);
        }
        // `jdbc:` asks for the URL in the form that JDBC drivers want.
        let name = At {
            value: target.value.strip_prefix("jdbc:").unwrap_or(target.value),
            at: target.at.clone(),
        };
        if known_target(top.document, &name, &key, targets) {
            if !grants.iter().any(|grant| grant.target == name.value) {
                let message = format!(
                    "the task has no grant on target `{}`, so everything there would be denied",
                    name.value
                );
                top.document.report(&target.at, &key, message);
            }
            env.insert(variable.value.to_owned(), target.value.to_owned());
        }
    }
    env
}

fn known_target(
    document: &Document<'_>,
    name: &At<&str>,
    key: &str,
    targets: &[TargetName],
) -> bool {
    if targets.iter().any(|target| target.name == name.value) {
        return true;
    }
    let message = if targets.is_empty() {
        format!(
            "no target is called `{}`; the configuration names none",
            name.value
        )
    } else {
        let known: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
        let known = known.join(", ");
        format!(
            "no target is called `{}`; the configuration has {known}",
            name.value
        )
    };
    let near = nearest(
        name.value,
        targets.iter().map(|target| target.name.as_str()),
    );
    document.report_nearest(&name.at, key, message, near);
    false
}

fn section_target(section: &Section<'_, '_>, targets: &[TargetName]) -> String {
    let why = "say which target of the configuration this is about";
    match section.required_string("target", why) {
        Some(target) => {
            known_target(section.document, &target, &section.key("target"), targets);
            target.value.to_owned()
        }
        None => String::new(),
    }
}

fn masks(top: &Section<'_, '_>, targets: &[TargetName]) -> Vec<Mask> {
    let mut masks = Vec::new();
    for section in top.sections("mask", &["target", "columns", "lookup"]) {
        let target = section_target(&section, targets);
        let lookup = section.boolean("lookup");
        if !section.has("columns") {
            let message = "this key is missing: name columns, as in [\"public.tickets.email\"]";
            section.report("columns", message);
        }
        for At { value, at } in section.strings("columns").unwrap_or_default() {
            match Column::parse(value) {
                Ok(column) => masks.push(Mask {
                    target: target.clone(),
                    column,
                    lookup,
                    place: section.document.place(&at),
                }),
                Err(error) => {
                    let key = section.key("columns");
                    section
                        .document
                        .report(&at, &key, format!("{value:?}: {error}"));
                }
            }
        }
    }
    masks
}

fn grants(top: &Section<'_, '_>, class: Class, targets: &[TargetName]) -> Vec<Grant> {
    // `requests` is listed so that it gets its own message.
    let known: Vec<&'static str> = GRANT.into_iter().chain(["requests"]).collect();
    top.sections(class.as_str(), &known)
        .iter()
        .enumerate()
        .map(|(index, section)| {
            if section.has("requests") {
                section.report(
                    "requests",
                    "this version has no http targets; leave this grant out",
                );
            }
            let items = items(section);
            let verbs = verbs(section, class, &items);
            check_use(section, class, &verbs, &items);
            Grant {
                class,
                number: index + 1,
                target: section_target(section, targets),
                columns: columns(section, &verbs, &items),
                approve: approve(section),
                place: section.document.place(&section.at),
                verbs,
                items,
            }
        })
        .collect()
}

const LISTS: [(&str, Kind); 5] = [
    ("tables", Kind::Table),
    ("functions", Kind::Function),
    ("settings", Kind::Setting),
    ("roles", Kind::Role),
    ("objects", Kind::Object),
];

fn items(section: &Section<'_, '_>) -> Vec<Item> {
    let mut items = Vec::new();
    for (key, kind) in LISTS {
        for At { value, at } in section.strings(key).unwrap_or_default() {
            match patterns(kind, value) {
                Ok(patterns) => {
                    let place = section.document.place(&at);
                    let known = |pattern: &Pattern| {
                        items.iter().any(|item: &Item| item.pattern == *pattern)
                    };
                    if patterns.iter().any(known) {
                        let message = format!("{value:?} is listed twice, in another spelling");
                        section.document.report(&at, &section.key(key), message);
                        continue;
                    }
                    items.extend(patterns.into_iter().map(|pattern| Item {
                        pattern,
                        place: place.clone(),
                    }));
                }
                Err(error) => {
                    let key = section.key(key);
                    section
                        .document
                        .report(&at, &key, format!("{value:?}: {error}"));
                }
            }
        }
    }
    if items.is_empty()
        && !LISTS.iter().any(|(key, _)| section.has(key))
        && !section.has("requests")
    {
        let message = "the grant names nothing; say which tables it is about, as in tables = [\"public.tickets\"]";
        section.report("tables", message);
    }
    items
}

fn patterns(kind: Kind, text: &str) -> Result<Vec<Pattern>, name::InvalidName> {
    match kind {
        Kind::Table | Kind::Function => Ok(vec![Pattern::in_schema(kind, text)?]),
        // PostgreSQL compares settings without regard to case.
        Kind::Setting => Ok(vec![Pattern::plain(kind, &text.to_ascii_lowercase())?]),
        Kind::Role | Kind::Target => Ok(vec![Pattern::plain(kind, text)?]),
        // An index lives in a schema and an extension or file does not; only the target knows which
        // this is, so the entry stands for either.
        Kind::Object => match (Pattern::in_schema(kind, text), Pattern::plain(kind, text)) {
            (Ok(one), Ok(other)) => Ok(vec![one, other]),
            (Ok(one), Err(_)) => Ok(vec![one]),
            (Err(_), Ok(other)) => Ok(vec![other]),
            (Err(error), Err(_)) => Err(error),
        },
    }
}

fn verbs(section: &Section<'_, '_>, class: Class, items: &[Item]) -> BTreeSet<Verb> {
    let has = |kind| items.iter().any(|item| item.pattern.kind == kind);
    let mut verbs = BTreeSet::new();
    if section.has("verbs") {
        for At { value, at } in section.strings("verbs").unwrap_or_default() {
            match verb(class, value) {
                Ok(verb) => {
                    verbs.insert(verb);
                }
                Err((message, near)) => {
                    let key = section.key("verbs");
                    section
                        .document
                        .report_nearest(&at, &key, message, near.as_deref());
                }
            }
        }
    } else if class == Class::Admin {
        let message = "this key is missing: an admin grant says what it allows, as in [\"create\", \"alter\"]";
        section.report("verbs", message);
    } else if has(Kind::Table) {
        verbs.extend(match class {
            Class::Read => vec![Verb::Select],
            Class::Write => vec![Verb::Insert, Verb::Update],
            Class::Destroy => vec![Verb::Delete],
            Class::Admin | Class::Session => Vec::new(),
        });
    }
    // Functions are there to be run. Only an admin grant may be about their definition alone.
    if class != Class::Admin && has(Kind::Function) {
        verbs.insert(Verb::Execute);
    }
    verbs
}

fn verb(class: Class, name: &str) -> Result<Verb, (String, Option<String>)> {
    let of_class = |verb: &Verb| verb.class().is_none_or(|of| of == class);
    let fitting: Vec<_> = Verb::ALL
        .iter()
        .filter(|verb| of_class(verb))
        .map(|v| v.as_str())
        .collect();
    match name.parse::<Verb>() {
        Ok(Verb::Session) => Err((
            "session is never granted by itself: it comes with any grant on the target".to_owned(),
            None,
        )),
        Ok(verb) if of_class(&verb) => Ok(verb),
        Ok(verb) => {
            let right = verb.class().unwrap_or(class);
            let message = format!(
                "{verb} is a matter of {right}, not of {class}; put it in a [[{right}]] grant"
            );
            Err((message, None))
        }
        Err(_) => {
            let near = nearest(name, Verb::ALL.iter().map(|verb| verb.as_str()));
            let message = format!(
                "no verb is called {name:?}; a [[{class}]] grant may have {}",
                fitting.join(", ")
            );
            Err((message, near.map(str::to_owned)))
        }
    }
}

/// A verb that fits nothing the grant names, or a thing that no verb fits, can never match.
fn check_use(section: &Section<'_, '_>, class: Class, verbs: &BTreeSet<Verb>, items: &[Item]) {
    for verb in verbs {
        if !items.is_empty() && !items.iter().any(|item| applies(*verb, item.pattern.kind)) {
            let message = format!("{verb} makes no sense for anything that this grant names");
            section.report("verbs", message);
        }
    }
    for (key, kind) in LISTS {
        let listed = items.iter().any(|item| item.pattern.kind == kind);
        if listed && !verbs.is_empty() && !verbs.iter().any(|verb| applies(*verb, kind)) {
            let message = format!("none of the grant's verbs makes sense for {key}");
            section.report(key, message);
        }
        if listed && verbs.is_empty() && !section.has("verbs") && class != Class::Admin {
            let message = format!("say what may be done with these {key}: add verbs = […]");
            section.report(key, message);
        }
    }
}

fn columns(
    section: &Section<'_, '_>,
    verbs: &BTreeSet<Verb>,
    items: &[Item],
) -> Option<BTreeSet<String>> {
    let listed = section.strings("columns")?;
    let mut columns = BTreeSet::new();
    for At { value, at } in listed {
        match name::column(value) {
            Ok(column) => {
                columns.insert(column);
            }
            Err(error) => {
                let key = section.key("columns");
                section
                    .document
                    .report(&at, &key, format!("{value:?}: {error}"));
            }
        }
    }
    if !items.iter().any(|item| item.pattern.kind == Kind::Table) {
        section.report("columns", "columns limit tables, and this grant names none");
    } else if let Some(verb) = verbs
        .iter()
        .find(|verb| applies(**verb, Kind::Table) && !has_columns(**verb) && **verb != Verb::Lock)
    {
        let message = format!("columns cannot limit {verb}; put it in a grant of its own");
        section.report("columns", message);
    }
    Some(columns)
}

fn approve(section: &Section<'_, '_>) -> Option<String> {
    let who = section.string("approve")?.value;
    let name = who
        .strip_prefix("group:")
        .or_else(|| who.strip_prefix("human:"));
    let fits = name.is_some_and(|name| {
        !name.is_empty()
            && who.len() <= MAX_NAME
            && !name.chars().any(|c| c.is_control() || c.is_whitespace())
    });
    if !fits {
        section.report(
            "approve",
            "it names who approves, as in \"group:data-owners\"",
        );
    }
    Some(who.to_owned())
}
