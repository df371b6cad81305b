//! What stands above the grants of a task file.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::TargetName;
use crate::document::{At, Section};
use crate::limits::{MAX_NAME, MAX_PURPOSE, MAX_TTL};
use crate::problem::nearest;
use crate::task::{Confine, Grant};

use super::target::known;

pub(super) fn name(top: &Section<'_, '_>, stem: &str) -> String {
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

pub(super) fn purpose(top: &Section<'_, '_>) -> String {
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

pub(super) fn launchers(top: &Section<'_, '_>) -> Vec<String> {
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

pub(super) fn ttl(top: &Section<'_, '_>) -> Duration {
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

pub(super) fn confine(top: &Section<'_, '_>) -> Confine {
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

pub(super) fn env(
    top: &Section<'_, '_>,
    grants: &[Grant],
    targets: &[TargetName],
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (variable, value) in top.pairs("env") {
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
        let (form, name) = match value.value.split_once(':') {
            Some((form, name)) => (Some(form), name),
            None => (None, value.value),
        };
        let name = At {
            value: name,
            at: value.at.clone(),
        };
        let Some(target) = known(top.document, &name, &key, targets) else {
            continue;
        };
        if let Some(form) = form.filter(|form| !target.forms.iter().any(|known| known == form)) {
            let forms = target.forms.iter().map(String::as_str);
            let message = format!(
                "target `{}` has no form `{form}`; it has {}",
                name.value,
                target.forms.join(", ")
            );
            let near = nearest(form, forms);
            top.document.report_nearest(&value.at, &key, message, near);
        }
        if !grants.iter().any(|grant| grant.target == name.value) {
            let message = format!(
                "the task has no grant on target `{}`, so everything there would be denied",
                name.value
            );
            top.document.report(&value.at, &key, message);
        }
        env.insert(variable.value.to_owned(), value.value.to_owned());
    }
    env
}
