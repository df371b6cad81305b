//! What a grant is about.

use bailiwick_action::{Class, Kind};

use crate::TargetName;
use crate::covered::Covered;
use crate::document::{At, Section};
use crate::name::{self, Pattern};
use crate::problem::nearest;
use crate::request::{InvalidRequest, RequestPattern};
use crate::task::Item;
use crate::uri::UriPattern;

/// The lists of what a database has.
pub(super) const LISTS: [(&str, Kind); 5] = [
    ("tables", Kind::Table),
    ("functions", Kind::Function),
    ("settings", Kind::Setting),
    ("roles", Kind::Role),
    ("objects", Kind::Object),
];

/// The lists of what an HTTP or MCP target has.
const OTHERS: [(&str, Kind); 5] = [
    ("requests", Kind::Request),
    ("tools", Kind::Tool),
    ("resources", Kind::Uri),
    ("prompts", Kind::Prompt),
    ("features", Kind::Feature),
];

/// What an MCP server may ask of its client.
const FEATURES: [&str; 3] = ["elicitation", "roots", "sampling"];

/// What is wrong with an entry, and what was probably meant.
type Wrong = (String, Option<String>);

/// Reads all that a grant names. `target` is nothing where it is not known.
pub(super) fn items(
    section: &Section<'_, '_>,
    class: Class,
    target: Option<&TargetName>,
) -> Vec<Item> {
    let mut items = Items {
        section,
        items: Vec::new(),
    };
    for (key, kind) in LISTS.into_iter().chain(OTHERS) {
        for entry in section.strings(key).unwrap_or_default() {
            let covered = covered(kind, entry.value)
                .map_err(|(error, near)| (format!("{:?}: {error}", entry.value), near));
            items.add(key, &entry, covered);
        }
    }
    if let Some(target) = target {
        let one = section
            .string("operation")
            .map(|entry| ("operation", entry));
        let listed = section.strings("operations").unwrap_or_default();
        let listed = listed.into_iter().map(|entry| ("operations", entry));
        for (key, entry) in one.into_iter().chain(listed) {
            items.add(key, &entry, operation(target, entry.value));
        }
    }
    for (key, kind) in [("resources", Kind::Uri), ("prompts", Kind::Prompt)] {
        if class != Class::Read && items.has(kind) {
            let message = format!("{key} are only read; put them in a [[read]] grant");
            section.report(key, message);
        }
    }
    let lists = LISTS.into_iter().chain(OTHERS).map(|(key, _)| key);
    let named = lists
        .chain(["operation", "operations"])
        .any(|key| section.has(key));
    if !named {
        let (key, message) = nothing(target);
        section.report(key, message);
    }
    items.items
}

fn nothing(target: Option<&TargetName>) -> (&'static str, &'static str) {
    match target.map(|target| &*target.kind) {
        Some("http") => (
            "requests",
            "the grant names nothing; say which requests it is about, as in requests = [\"GET /customers/*\"]",
        ),
        Some("mcp") => (
            "tools",
            "the grant names nothing; say which tools it is about, as in tools = [\"list_tickets\"]",
        ),
        _ => (
            "tables",
            "the grant names nothing; say which tables it is about, as in tables = [\"public.tickets\"]",
        ),
    }
}

struct Items<'s, 'd, 'a> {
    section: &'s Section<'d, 'a>,
    items: Vec<Item>,
}

impl Items<'_, '_, '_> {
    fn add(&mut self, key: &str, entry: &At<&str>, covered: Result<Vec<Covered>, Wrong>) {
        let document = self.section.document;
        match covered {
            Ok(covered) => {
                let known = |one: &Covered| self.items.iter().any(|item| item.covered == *one);
                if covered.iter().any(known) {
                    let message = format!("{:?} is listed twice, in another spelling", entry.value);
                    document.report(&entry.at, &self.section.key(key), message);
                    return;
                }
                let place = document.place(&entry.at);
                self.items.extend(covered.into_iter().map(|covered| Item {
                    covered,
                    place: place.clone(),
                }));
            }
            Err((message, near)) => {
                let key = self.section.key(key);
                document.report_nearest(&entry.at, &key, message, near.as_deref());
            }
        }
    }

    fn has(&self, kind: Kind) -> bool {
        self.items.iter().any(|item| item.covered.kind() == kind)
    }
}

fn covered(kind: Kind, text: &str) -> Result<Vec<Covered>, Wrong> {
    let one = match kind {
        Kind::Request => Covered::Requests(RequestPattern::parse(text).map_err(wrong_request)?),
        Kind::Uri => Covered::Uris(UriPattern::parse(text).map_err(|e| (e.to_string(), None))?),
        Kind::Tool | Kind::Prompt => Covered::one(kind, exact(kind, text)?),
        Kind::Feature if FEATURES.contains(&text) => Covered::one(kind, text.to_owned()),
        Kind::Feature => {
            let message = format!("a server may ask for {}", FEATURES.join(", "));
            return Err((message, nearest(text, FEATURES).map(str::to_owned)));
        }
        Kind::Function | Kind::Object | Kind::Role | Kind::Setting | Kind::Table | Kind::Target => {
            let patterns = patterns(kind, text).map_err(|error| (error.to_string(), None))?;
            return Ok(patterns.into_iter().map(Covered::Named).collect());
        }
    };
    Ok(vec![one])
}

fn wrong_request(error: InvalidRequest) -> Wrong {
    let near = match &error {
        InvalidRequest::Method(_, near) => near.map(str::to_owned),
        _ => None,
    };
    (error.to_string(), near)
}

/// The name of a tool or prompt. `*` is no part of one: a server may add what nobody has seen.
fn exact(kind: Kind, text: &str) -> Result<String, Wrong> {
    if text.contains('*') {
        let message = format!(
            "each {} is granted by its name: the server may add others that nobody has looked at",
            kind.as_str()
        );
        return Err((message, None));
    }
    name::column(text).map_err(|error| (error.to_string(), None))
}

/// An operation, by its id in the target's OpenAPI description.
fn operation(target: &TargetName, id: &str) -> Result<Vec<Covered>, Wrong> {
    let Some(operation) = target.operations.get(id) else {
        let message = if target.operations.is_empty() {
            format!(
                "{id:?}: target `{}` has no OpenAPI description that names operations; \
                 give it one in the configuration, or name requests",
                target.name
            )
        } else {
            format!("target `{}` has no operation {id:?}", target.name)
        };
        let known = target.operations.keys().map(String::as_str);
        return Err((message, nearest(id, known).map(str::to_owned)));
    };
    match RequestPattern::new(&operation.method, &operation.path) {
        Ok(pattern) => Ok(vec![Covered::Requests(pattern)]),
        Err(error) => {
            let message = format!(
                "operation {id:?} is {} {}, which no grant can name: {error}",
                operation.method, operation.path
            );
            Err((message, None))
        }
    }
}

fn patterns(kind: Kind, text: &str) -> Result<Vec<Pattern>, name::InvalidName> {
    match kind {
        Kind::Table | Kind::Function => Ok(vec![Pattern::in_schema(kind, text)?]),
        // PostgreSQL compares settings without regard to case.
        Kind::Setting => Ok(vec![Pattern::plain(kind, &text.to_ascii_lowercase())?]),
        Kind::Feature
        | Kind::Prompt
        | Kind::Request
        | Kind::Role
        | Kind::Target
        | Kind::Tool
        | Kind::Uri => Ok(vec![Pattern::plain(kind, text)?]),
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
