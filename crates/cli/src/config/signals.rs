//! `[[signals]]`: what is looked for in the record, and what is done about it.

use std::time::Duration;

use bailiwick_control::{Canary, Does, Glob, Rule, When};
use bailiwick_policy::Engine;

use super::document::Section;
use super::notify::{Notify, is_name};
use super::problem::nearest;
use super::target::Target;
use crate::failure::Failure;

/// The most rules, and the most names in one list of a rule.
const MAX: usize = 256;

/// The largest `after`.
const AFTER_MAX: u32 = 1_000;

/// The longest `within`.
const WITHIN_MAX: Duration = Duration::from_secs(24 * 3600);

const KEYS: [&str; 9] = [
    "after",
    "do",
    "launchers",
    "name",
    "resources",
    "targets",
    "tasks",
    "when",
    "within",
];

/// Reads them all.
pub(super) fn read_all(top: &Section<'_, '_>, targets: &[Target], sinks: &[Notify]) -> Vec<Rule> {
    let sections = top.listed_sections("signals", &KEYS);
    if sections.len() > MAX {
        top.report("signals", format!("there are at most {MAX}"));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for section in sections {
        let Some(rule) = read(&section, targets, sinks) else {
            continue;
        };
        if rules.iter().any(|other| other.name == rule.name) {
            section.report(
                "name",
                format!("there is another rule that is called `{}`", rule.name),
            );
        }
        rules.push(rule);
    }
    rules
}

fn read(section: &Section<'_, '_>, targets: &[Target], sinks: &[Notify]) -> Option<Rule> {
    let name = section.required("name", "it is what records call the rule");
    if name.is_some_and(|name| !is_name(name)) {
        section.report(
            "name",
            "it has to be 1 to 64 lower-case letters, digits and `-`",
        );
    }
    let canaries = canaries(section, targets);
    let kinds = When::NAMES.join("`, `");
    let when = match section.required("when", &format!("it is what the rule looks for: `{kinds}`"))
    {
        None => None,
        Some("canary") => {
            if !section.has("resources") {
                section.report(
                    "resources",
                    "this key is missing: it lists what nobody's task needs, such as [\"tickets: public.salaries\"]",
                );
            }
            Some(When::Canary(canaries))
        }
        Some(other) => {
            if section.has("resources") {
                section.report("resources", "only a rule with `when = \"canary\"` takes it");
            }
            let when = match other {
                "denied" => Some(When::Denied),
                "masked-back" => Some(When::MaskedBack),
                "login-denied" => Some(When::LoginDenied),
                "held" => Some(When::Held),
                "log" => Some(When::Log),
                "witness" => Some(When::Witness),
                _ => None,
            };
            if when.is_none() {
                section.report_nearest(
                    "when",
                    format!("there is no `{other}`; there are `{kinds}`"),
                    nearest(other, When::NAMES),
                );
            }
            when
        }
    };
    let does = does(section, sinks);
    if matches!(when, Some(When::Log | When::Witness)) {
        for key in ["launchers", "targets", "tasks"] {
            if section.has(key) {
                section.report(
                    key,
                    "a rule about the record itself is about no run, so it does not take it",
                );
            }
        }
        if does
            .as_ref()
            .is_some_and(|does| does.suspend || does.revoke)
        {
            section.report(
                "do",
                "a rule about the record itself is about no run: it can only notify",
            );
        }
    }
    let after = section.number("after", 1, AFTER_MAX).unwrap_or(1);
    Some(Rule {
        name: name?.to_owned(),
        when: when?,
        after,
        within: within(section),
        tasks: globs(section, "tasks"),
        launchers: globs(section, "launchers"),
        targets: known_targets(section, targets),
        does: does?,
    })
}

fn globs(section: &Section<'_, '_>, key: &str) -> Vec<Glob> {
    let texts = section.list(key, MAX).unwrap_or_default();
    texts.into_iter().map(Glob::new).collect()
}

fn within(section: &Section<'_, '_>) -> Option<Duration> {
    let text = section.plain("within")?;
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() && time <= WITHIN_MAX => Some(time),
        _ => {
            section.report(
                "within",
                "it has to be a time of at most a day, such as `10m`",
            );
            None
        }
    }
}

fn known_targets(section: &Section<'_, '_>, targets: &[Target]) -> Vec<Glob> {
    let globs = globs(section, "targets");
    for glob in globs.iter().filter(|glob| glob.is_literal()) {
        if !targets.iter().any(|target| target.name == glob.as_str()) {
            let names = targets.iter().map(|target| target.name.as_str());
            section.report_nearest(
                "targets",
                format!("no target is called `{}`", glob.as_str()),
                nearest(glob.as_str(), names),
            );
        }
    }
    globs
}

fn canaries(section: &Section<'_, '_>, targets: &[Target]) -> Vec<Canary> {
    let mut canaries = Vec::new();
    for text in section.list("resources", MAX).unwrap_or_default() {
        let Some((name, resource)) = text.split_once(':') else {
            section.report(
                "resources",
                format!("`{text}` has to be `TARGET: RESOURCE`"),
            );
            continue;
        };
        let (name, resource) = (name.trim(), resource.trim());
        let Some(target) = targets.iter().find(|target| target.name == name) else {
            let names = targets.iter().map(|target| target.name.as_str());
            section.report_nearest(
                "resources",
                format!("no target is called `{name}`"),
                nearest(name, names),
            );
            continue;
        };
        let (whole, such) = match target.protocol.name {
            "http" => (resource.contains(" /") || resource == "*", "GET /admin/*"),
            "mcp" => (resource.contains(' ') || resource == "*", "tool delete_*"),
            _ => (resource.contains(['.', '*']), "public.salaries"),
        };
        if !whole {
            // Records name it so, and what is not whole would never match.
            section.report(
                "resources",
                format!("`{resource}` is not how a record names something at `{name}`: it would be like `{such}`"),
            );
            continue;
        }
        canaries.push(Canary {
            target: name.to_owned(),
            resource: Glob::new(resource),
        });
    }
    canaries
}

fn does(section: &Section<'_, '_>, sinks: &[Notify]) -> Option<Does> {
    let actions = section.required_list(
        "do",
        MAX,
        "it is what is done: `suspend`, `revoke`, `notify:NAME`",
    )?;
    let mut does = Does::default();
    for action in actions {
        match (&*action, action.strip_prefix("notify:")) {
            ("suspend", _) => does.suspend = true,
            ("revoke", _) => does.revoke = true,
            (_, Some(name)) => {
                if !sinks.iter().any(|sink| sink.name == name) {
                    let names = sinks.iter().map(|sink| sink.name.as_str());
                    section.report_nearest(
                        "do",
                        format!("there is no [notify.{name}]"),
                        nearest(name, names),
                    );
                }
                does.notify.push(name.to_owned());
            }
            _ => section.report_nearest(
                "do",
                format!("`{action}` is not one of `suspend`, `revoke` and `notify:NAME`"),
                nearest(&action, ["suspend", "revoke"]),
            ),
        }
    }
    Some(does)
}

/// Checks that the tasks are there that rules name.
pub(crate) fn check_tasks(rules: &[Rule], engine: &Engine) -> Result<(), Failure> {
    for rule in rules {
        for task in rule.tasks.iter().filter(|task| task.is_literal()) {
            let task = task.as_str();
            if engine.task(task).is_none() {
                let nearest = engine.nearest_task(task);
                let nearest = nearest.map(|nearest| format!("; did you mean `{nearest}`?"));
                return Err(Failure::new(format!(
                    "the rule `{}` of [[signals]] is about the task `{task}`, and there is none{}",
                    rule.name,
                    nearest.unwrap_or_default()
                )));
            }
        }
    }
    Ok(())
}
