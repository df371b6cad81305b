//! `openapi = "crm.json"`: the operations of an HTTP target, by the names that its description gives them
//! (<https://spec.openapis.org/oas/latest.html>). JSON or YAML; nothing but ids, methods and paths is read.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use bailiwick_policy::Operation;
use serde_json::{Map, Value};

use super::document::Section;

/// The largest description, in bytes.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// The most operations of one target.
const MAX_OPERATIONS: usize = 5_000;

/// The longest id of an operation, and the longest path, in bytes.
const MAX_TEXT: usize = 512;

/// Those of OpenAPI that this gateway lets through for anybody.
const METHODS: [&str; 7] = ["delete", "get", "head", "options", "patch", "post", "put"];

/// What a description says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) operations: BTreeMap<String, Operation>,
    /// What in it no task can name, a line each.
    pub(super) notes: Vec<String>,
}

/// Reads what a target's `openapi` names; nothing if that cannot be read, which is reported. `base` is the
/// path of the target's URL, as far as it is known.
pub(super) fn read(
    section: &Section<'_, '_>,
    folder: &Path,
    base: Option<&str>,
) -> Option<Description> {
    const NAME: &str = "openapi";
    if !section.has(NAME) {
        return Some(Description::default());
    }
    let name = section.plain(NAME)?;
    let description = text(&folder.join(name))
        .and_then(|text| parse(name, &text))
        .and_then(|document| describe(&document, base));
    match description {
        Ok(mut description) => {
            for note in &mut description.notes {
                *note = format!("`{name}`: {note}");
            }
            Some(description)
        }
        Err(message) => {
            section.report(NAME, format!("`{name}`: {message}"));
            None
        }
    }
}

fn text(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(MAX_FILE + 1).read_to_string(&mut text))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    match text.len() as u64 > MAX_FILE {
        true => Err(format!("it is larger than {MAX_FILE} bytes")),
        false => Ok(text),
    }
}

fn parse(name: &str, text: &str) -> Result<Map<String, Value>, String> {
    let line = |error: &dyn std::fmt::Display| {
        // A parser's messages may show the place on lines of its own.
        let error = error.to_string();
        error.lines().next().unwrap_or_default().to_owned()
    };
    let document: Value = match name.ends_with(".yaml") || name.ends_with(".yml") {
        true => serde_saphyr::from_str(text)
            .map_err(|error| format!("it is not valid YAML: {}", line(&error)))?,
        false => serde_json::from_str(text)
            .map_err(|error| format!("it is not valid JSON: {}", line(&error)))?,
    };
    match document {
        Value::Object(document)
            if document.contains_key("openapi") || document.contains_key("swagger") =>
        {
            Ok(document)
        }
        _ => Err("it is not an OpenAPI description: it has no `openapi` key".to_owned()),
    }
}

fn describe(document: &Map<String, Value>, base: Option<&str>) -> Result<Description, String> {
    let prefix = prefix(document, base)?;
    let mut description = Description::default();
    let mut unnamed = 0_usize;
    let no_paths = Map::new();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, item) in paths.unwrap_or(&no_paths) {
        let Some(item) = item.as_object().filter(|_| path.starts_with('/')) else {
            continue;
        };
        for method in METHODS {
            let Some(operation) = item.get(method).and_then(Value::as_object) else {
                continue;
            };
            let Some(id) = operation.get("operationId").and_then(Value::as_str) else {
                unnamed += 1;
                continue;
            };
            if id.is_empty() || id.len() > MAX_TEXT || id.contains(char::is_control) {
                return Err(format!("an `operationId` of `{path}` is empty or too long"));
            }
            if description.operations.contains_key(id) {
                return Err(format!("the `operationId` `{id}` is there more than once"));
            }
            if let Some(why) = unfit(path, item, operation) {
                description
                    .notes
                    .push(format!("operation `{id}` cannot be named in a task: {why}"));
                continue;
            }
            if description.operations.len() == MAX_OPERATIONS {
                return Err(format!("it has more than {MAX_OPERATIONS} operations"));
            }
            let named = Operation {
                method: method.to_ascii_uppercase(),
                path: format!("{prefix}{path}"),
            };
            description.operations.insert(id.to_owned(), named);
        }
    }
    if unnamed > 0 {
        description.notes.push(format!(
            "{unnamed} of its operations have no `operationId`, and cannot be named in a task but as \
             `requests`"
        ));
    }
    Ok(description)
}

/// Why an operation is not one request of this target.
fn unfit(
    path: &str,
    item: &Map<String, Value>,
    operation: &Map<String, Value>,
) -> Option<&'static str> {
    if item.contains_key("servers") || operation.contains_key("servers") {
        return Some("it has servers of its own");
    }
    if path.len() > MAX_TEXT || path.contains(['?', '#', '*']) {
        return Some("its path is not one that a request has");
    }
    let whole = |segment: &str| {
        let inner = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match inner {
            Some(name) => !name.contains(['{', '}']),
            None => !segment.contains(['{', '}']),
        }
    };
    let whole = path.split('/').all(whole);
    (!whole).then_some("a parameter is only a part of a segment of its path")
}

/// What goes before its paths, to make them relative to the target's URL. Where that URL has a path itself
/// and the description's server has none, the URL is taken for the server.
fn prefix(document: &Map<String, Value>, base: Option<&str>) -> Result<String, String> {
    let server = server(document)?;
    let server = server.trim_end_matches('/');
    if server.is_empty() {
        return Ok(String::new());
    }
    let Some(base) = base else {
        return Err(format!(
            "its server's path is `{server}`, and the path of the target's URL is not known, because \
             all of that is a secret; write the URL out but for its secrets"
        ));
    };
    let rest = server.strip_prefix(base);
    match rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        Some(rest) => Ok(rest.to_owned()),
        None => Err(format!(
            "its server's path is `{server}`, which is not beneath the target's, `{base}`; correct \
             the target's `url`, or `servers` there"
        )),
    }
}

/// The path of its first server: of `servers`, or `basePath` in version 2.
fn server(document: &Map<String, Value>) -> Result<String, String> {
    if let Some(path) = document.get("basePath").and_then(Value::as_str) {
        return Ok(path.to_owned());
    }
    let first = document.get("servers").and_then(|servers| servers.get(0));
    let Some(url) = first
        .and_then(|server| server.get("url"))
        .and_then(Value::as_str)
    else {
        return Ok(String::new());
    };
    let mut url = url.to_owned();
    let variables = first.and_then(|server| server.get("variables"));
    for (name, variable) in variables.and_then(Value::as_object).into_iter().flatten() {
        let default = variable.get("default").and_then(Value::as_str);
        url = url.replace(&format!("{{{name}}}"), default.unwrap_or_default());
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest
            .find('/')
            .and_then(|at| rest.get(at..))
            .unwrap_or_default(),
        None => url.as_str(),
    };
    let fits = path.is_empty() || path.starts_with('/');
    if !fits || path.contains(['{', '}', '?', '#']) || path.len() > MAX_TEXT {
        return Err(format!(
            "its server `{url}` has no path that can be made out"
        ));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(name: &str, text: &str, base: Option<&str>) -> Result<Description, String> {
        describe(&parse(name, text)?, base)
    }

    fn of(base: Option<&str>, servers: &str) -> Result<Description, String> {
        let text = r#"{"openapi": "3.1.0", SERVERS "paths": {"/tickets": {
            "get": {"operationId": "listTickets"}, "trace": {"operationId": "trace"},
            "parameters": [], "post": {"operationId": "makeTicket"}},
            "/tickets/{id}": {"get": {"operationId": "getTicket"}, "delete": {}},
            "/export.{format}": {"get": {"operationId": "export"}},
            "/elsewhere": {"servers": [], "get": {"operationId": "elsewhere"}},
            "x-more": {"get": {"operationId": "none"}}}}"#;
        described("a.json", &text.replace("SERVERS", servers), base)
    }

    #[test]
    fn operations_are_requests_beneath_the_targets_url() {
        for (base, servers, path) in [
            (Some(""), "", "/tickets/{id}"),
            (Some("/api/v2"), "", "/tickets/{id}"),
            (None, r#""servers": [{"url": "/"}],"#, "/tickets/{id}"),
            (
                Some("/api/v2"),
                r#""servers": [{"url": "https://crm.example/api/v2/"}],"#,
                "/tickets/{id}",
            ),
            (
                Some("/api"),
                r#""servers": [{"url": "https://{host}/api/{version}",
                    "variables": {"host": {"default": "crm"}, "version": {"default": "v2"}}}],"#,
                "/v2/tickets/{id}",
            ),
            (Some(""), r#""basePath": "/v1","#, "/v1/tickets/{id}"),
        ] {
            let described = of(base, servers).unwrap();
            let ids: Vec<&str> = described.operations.keys().map(String::as_str).collect();
            assert_eq!(ids, ["getTicket", "listTickets", "makeTicket"], "{servers}");
            let expected = Operation {
                method: "GET".to_owned(),
                path: path.to_owned(),
            };
            assert_eq!(described.operations["getTicket"], expected, "{servers}");
            assert_eq!(described.notes.len(), 3, "{:?}", described.notes);
        }
    }

    #[test]
    fn what_would_be_ambiguous_is_said() {
        for (base, servers, word) in [
            (
                Some("/api/v3"),
                r#""servers": [{"url": "/api/v2"}],"#,
                "not beneath",
            ),
            (
                Some("/api"),
                r#""servers": [{"url": "/apis"}],"#,
                "not beneath",
            ),
            (None, r#""servers": [{"url": "/api"}],"#, "not known"),
            (Some(""), r#""servers": [{"url": "api"}],"#, "no path"),
            (
                Some(""),
                r#""servers": [{"url": "https://h/{v}"}],"#,
                "no path",
            ),
        ] {
            let error = of(base, servers).unwrap_err();
            assert!(error.contains(word), "{servers}: {error}");
        }
        let twice = r#"{"openapi": "3.0.0", "paths": {
            "/a": {"get": {"operationId": "x"}}, "/b": {"get": {"operationId": "x"}}}}"#;
        let error = described("a.json", twice, Some("")).unwrap_err();
        assert!(error.contains("`x` is there more than once"), "{error}");
        for (name, text, word) in [
            ("a.json", "{}", "no `openapi` key"),
            ("a.json", "{", "not valid JSON"),
            ("a.yaml", "a: [", "not valid YAML"),
        ] {
            let error = described(name, text, Some("")).unwrap_err();
            assert!(
                error.contains(word) && !error.contains('\n'),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn yaml_says_the_same() {
        let yaml = "openapi: 3.1.0\nservers:\n  - url: https://crm.example/api\npaths:\n  \
                    /tickets:\n    get:\n      operationId: listTickets\n      responses:\n        \
                    200:\n          description: them\n        default: {description: no}\n";
        let described = described("crm.yaml", yaml, Some("/api")).unwrap();
        assert_eq!(described.operations["listTickets"].path, "/tickets");
        // A document that would be larger than memory when its aliases are followed.
        let mut bomb = String::from("openapi: 3.1.0\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let alias = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
        }
        assert!(parse("bomb.yaml", &bomb).is_err());
    }
}
