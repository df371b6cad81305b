//! What a task file may say of HTTP and MCP targets, and what is said of the rest.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests may fail a test"
)]

mod common;

use common::{load, task};

/// The problems of these files, without their folder.
fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
    let Err(errors) = load(files) else {
        panic!("loaded: {files:?}");
    };
    let name = |line: &str| match line.rsplit_once("/tasks/") {
        Some((_, rest)) => rest.to_owned(),
        None => line
            .rsplit_once("/policies/")
            .map_or(line, |(_, rest)| rest)
            .to_owned(),
    };
    errors.to_string().lines().map(name).collect()
}

/// The one problem of a task that goes on so after its head, of four lines.
fn problem(text: &str) -> String {
    let problems = problems_of(&[("t.toml", &task(text))]);
    assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
    problems.concat()
}

fn check(cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        let found = problem(text);
        assert!(found.starts_with(wanted), "{text}\n{found}\n{wanted}");
    }
}

#[test]
fn each_mistake_in_a_request_is_named() {
    for (request, wanted) in [
        (
            "/customers",
            "write a method and a path, as in \"GET /customers/*\"",
        ),
        ("GET", "write a method and a path"),
        (
            "GTE /customers",
            "\"GTE\" is no method; it is one of DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, WEBSOCKET, in upper case; did you mean `GET`?",
        ),
        (
            "get /customers",
            "\"get\" is no method; it is one of DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, WEBSOCKET, in upper case; did you mean `GET`?",
        ),
        ("* /customers", "\"*\" is no method"),
        ("TRACE /customers", "\"TRACE\" is no method"),
        ("GET customers", "the path begins with `/`"),
        ("GET  /customers", "the path begins with `/`"),
        ("GET https://crm/customers", "the path begins with `/`"),
        ("GET *", "the path begins with `/`"),
        (
            "GET /customers?all=1",
            "`?` and `#` are no part of a path; what the query has to be is said with query = { … }",
        ),
        ("GET /customers#a", "`?` and `#` are no part of a path"),
        (
            "GET //customers",
            "a segment of the path is empty; only the last may be",
        ),
        ("GET /a//b", "a segment of the path is empty"),
        ("GET /a/../b", "a segment of the path is `.` or `..`"),
        ("GET /a/%2e%2E", "a segment of the path is `.` or `..`"),
        ("GET /./b", "a segment of the path is `.` or `..`"),
        (
            "GET /a b",
            "the path holds a control character or a space; a space is written %20",
        ),
        ("GET /a ", "the path holds a control character or a space"),
        (
            "GET /a\\tb",
            "the path holds a control character or a space",
        ),
        (
            "GET /a%0Ab",
            "the path holds a control character or a space",
        ),
        (
            "GET /a%",
            "a `%` in the path is not followed by two hexadecimal digits",
        ),
        (
            "GET /a%2",
            "a `%` in the path is not followed by two hexadecimal digits",
        ),
        (
            "GET /a%2x",
            "a `%` in the path is not followed by two hexadecimal digits",
        ),
        (
            "GET /a*",
            "`*` and {name} stand for one whole segment; a star itself is written %2A, braces %7B and %7D",
        ),
        (
            "GET /{a}.json",
            "`*` and {name} stand for one whole segment",
        ),
        ("GET /{}", "`*` and {name} stand for one whole segment"),
        ("GET /{a", "`*` and {name} stand for one whole segment"),
        ("GET /***", "`*` and {name} stand for one whole segment"),
        (
            "GET /**/a",
            "`**` stands only at the end of the path, for whatever follows",
        ),
        ("GET /a/**/", "`**` stands only at the end of the path"),
    ] {
        let found = problem(&format!(
            "[[read]]\ntarget = \"crm\"\nrequests = [\"{request}\"]\n"
        ));
        let shown = request.replace('\\', "\\\\").replace("\\\\t", "\\t");
        let wanted = format!("t.toml:7:13: read[1].requests: {shown:?}: {wanted}");
        let wanted = wanted.replace("\\\\t", "\\t");
        assert!(found.starts_with(&wanted), "{found}\n{wanted}");
    }
}

#[test]
fn each_mistake_in_a_grant_is_named() {
    let crm = |text: &str| format!("[[read]]\ntarget = \"crm\"\n{text}\n");
    let get = |text: &str| crm(&format!("requests = [\"GET /a\"]\n{text}"));
    let helpdesk = |text: &str| format!("[[write]]\ntarget = \"helpdesk\"\n{text}\n");
    let tool = |text: &str| helpdesk(&format!("tools = [\"a\"]\n{text}"));
    for (text, wanted) in [
        (
            crm(""),
            "t.toml:5:1: read[1].requests: the grant names nothing; say which requests",
        ),
        (
            helpdesk(""),
            "t.toml:5:1: write[1].tools: the grant names nothing; say which tools",
        ),
        (
            crm("tables = [\"public.a\"]"),
            "t.toml:7:10: read[1].tables: `tables` makes no sense here: `crm` is of kind http, and a grant on it may have requests, operations, operation, query, body and binary",
        ),
        (
            get("verbs = [\"select\"]"),
            "t.toml:8:9: read[1].verbs: verbs are for what a database has: what a request or a tool does is said by the kind of grant",
        ),
        (
            get("arguments = { a = 1 }"),
            "t.toml:8:13: read[1].arguments: `arguments` makes no sense here: `crm` is of kind http",
        ),
        (
            get("columns = [\"a\"]"),
            "t.toml:8:11: read[1].columns: `columns` makes no sense here",
        ),
        (
            get("unpinned = true"),
            "t.toml:8:12: read[1].unpinned: `unpinned` makes no sense here",
        ),
        (
            tool("body = { a = 1 }"),
            "t.toml:8:8: write[1].body: `body` makes no sense here: `helpdesk` is of kind mcp, and a grant on it may have tools, resources, prompts, features, arguments, binary and unpinned",
        ),
        (
            tool("requests = [\"GET /a\"]"),
            "t.toml:8:12: write[1].requests: `requests` makes no sense here",
        ),
        (
            get("binary = \"yes\""),
            "t.toml:8:10: read[1].binary: it has to be true or false",
        ),
        (
            get("operation = \"listTicket\""),
            "t.toml:8:13: read[1].operation: target `crm` has no operation \"listTicket\"; did you mean `listTickets`?",
        ),
        (
            crm("operations = [\"getFile\"]"),
            "t.toml:7:15: read[1].operations: operation \"getFile\" is GET /files/{name}.{ending}, which no grant can name: `*` and {name} stand for one whole segment",
        ),
        (
            crm("requests = [\"GET /tickets/*\"]\noperation = \"getTicket\""),
            "t.toml:8:13: read[1].operation: \"getTicket\" is listed twice, in another spelling",
        ),
        (
            crm("requests = [\"GET /a/{b}\", \"GET /%61/*\"]"),
            "t.toml:7:27: read[1].requests: \"GET /%61/*\" is listed twice, in another spelling",
        ),
        (
            helpdesk("tools = [\"*\"]"),
            "t.toml:7:10: write[1].tools: \"*\": each tool is granted by its name: the server may add others",
        ),
        (
            helpdesk("tools = [\"list_*\"]"),
            "t.toml:7:10: write[1].tools: \"list_*\": each tool is granted by its name",
        ),
        (
            helpdesk("tools = [\"\"]"),
            "t.toml:7:10: write[1].tools: \"\": a part of the name is empty",
        ),
        (
            helpdesk("features = [\"samplng\"]"),
            "t.toml:7:13: write[1].features: \"samplng\": a server may ask for elicitation, roots, sampling; did you mean `sampling`?",
        ),
        (
            helpdesk("resources = [\"ticket://1\"]"),
            "t.toml:7:13: write[1].resources: resources are only read; put them in a [[read]] grant",
        ),
        (
            helpdesk("prompts = [\"a\"]"),
            "t.toml:7:11: write[1].prompts: prompts are only read; put them in a [[read]] grant",
        ),
        (
            "[[read]]\ntarget = \"helpdesk\"\nresources = [\"tickets\"]\n".to_owned(),
            "t.toml:7:14: read[1].resources: \"tickets\": a URI begins with a scheme, as in \"ticket://*\"",
        ),
        (
            tool("features = [\"roots\"]\narguments = { a = 1 }"),
            "t.toml:9:13: write[1].arguments: arguments are those of tools; put what else this grant names in a grant of its own",
        ),
        (
            helpdesk("features = [\"roots\"]\nunpinned = true"),
            "t.toml:8:12: write[1].unpinned: only tools are pinned, and this grant names none",
        ),
        (
            "[[mask]]\ntarget = \"crm\"\ncolumns = [\"public.a.b\"]\n".to_owned(),
            "t.toml:7:11: mask[1].columns: `columns` makes no sense here: `crm` is of kind http, and a mask on it may have fields",
        ),
        (
            "[[mask]]\ntarget = \"tickets\"\nfields = [\"$.a\"]\n".to_owned(),
            "t.toml:7:10: mask[1].fields: `fields` makes no sense here: `tickets` is of kind postgres, and a mask on it may have columns and lookup",
        ),
        (
            "[[mask]]\ntarget = \"helpdesk\"\n".to_owned(),
            "t.toml:5:1: mask[1].fields: this key is missing: name fields, as in [\"$.customer.email\"]",
        ),
        (
            "[[mask]]\ntarget = \"crm\"\nfields = [\"customer.email\"]\n".to_owned(),
            "t.toml:7:11: mask[1].fields: \"customer.email\": a field begins with `$.`",
        ),
        (
            "proxy = 1".to_owned(),
            "t.toml:5:9: proxy: it has to be true or false",
        ),
        (
            format!("[env]\nA = \"jdbc:crm\"\n{}", get("")),
            "t.toml:6:5: env.A: target `crm` has no form `jdbc`; it has url, token, basic, proxy",
        ),
    ] {
        check(&[(&text, wanted)]);
    }
}

#[test]
fn each_mistake_in_a_condition_is_named() {
    for (condition, wanted) in [
        (
            "body = 1",
            "8: write[1].body: it has to be a table, not a value of type integer",
        ),
        (
            "body = {}",
            "8: write[1].body: it has no condition, or more than 500",
        ),
        (
            "body = { a = [] }",
            "14: write[1].body.a: the list is empty or has more than 500 values",
        ),
        (
            "body = { a = [[1]] }",
            "14: write[1].body.a: it has to be a string, a decimal number, true, false or a list of them, not a value of type array",
        ),
        (
            "body = { a = 0x10 }",
            "14: write[1].body.a: it has to be a string, a decimal number",
        ),
        (
            "body = { a = nan }",
            "14: write[1].body.a: it has to be a string, a decimal number",
        ),
        (
            "body = { a = inf }",
            "14: write[1].body.a: it has to be a string, a decimal number",
        ),
        (
            "body = { a = 2024-01-01 }",
            "14: write[1].body.a: it has to be a string, a decimal number",
        ),
        (
            "body = { a = \"b\\nc\" }",
            "14: write[1].body.a: it is longer than 1024 bytes or holds a control character",
        ),
        (
            "body = { a = {} }",
            "14: write[1].body.a: say what the value has to be",
        ),
        (
            "body = { a = { optional = true } }",
            "14: write[1].body.a: say what the value has to be",
        ),
        (
            "body = { a = { is = 1 } }",
            "16: write[1].body.a.is: this key is not known; did you mean `in`?",
        ),
        (
            "body = { a = { min = 3, max = 1 } }",
            "22: write[1].body.a.min: it is more than max, so no value could meet both",
        ),
        (
            "body = { a = { min = \"1\" } }",
            "22: write[1].body.a.min: it has to be a decimal number, not a value of type string",
        ),
        (
            "body = { a = { min = 1, like = \"a\" } }",
            "22: write[1].body.a.min: min is about numbers and like about text, so no value could meet both",
        ),
        (
            "body = { a = { max_length = -1 } }",
            "29: write[1].body.a.max_length: it has to be a number of characters, as in 200",
        ),
        (
            "body = { a = { like = 1 } }",
            "23: write[1].body.a.like: it has to be a string",
        ),
        (
            "body = { a = { in = \"a\", optional = 1 } }",
            "37: write[1].body.a.optional: it has to be true or false",
        ),
        (
            "body = { \"$\" = 1 }",
            "10: write[1].body.$: a field begins with `$.`",
        ),
        (
            "body = { \"$.a[0]\" = 1 }",
            "10: write[1].body.$.a[0]: brackets hold `*`",
        ),
        (
            "body = { a = 1, \"$.a\" = 2 }",
            "14: write[1].body.a: field $.a is listed twice, in another spelling",
        ),
        (
            "body = { customer.id = 1 }",
            "19: write[1].body.customer.id: this key is not known",
        ),
        (
            "query = { a = 1 }",
            "15: write[1].query.a: a query parameter is text; write what it has to be in quotes",
        ),
        (
            "query = { a = [\"1\", true] }",
            "15: write[1].query.a: a query parameter is text",
        ),
        (
            "query = { a = { max = 1 } }",
            "23: write[1].query.a.max: max is about numbers of JSON, and a query parameter is text",
        ),
        (
            "query = { \"\" = \"1\" }",
            "11: write[1].query.: a parameter's name has 1 to 256 bytes",
        ),
    ] {
        let text = format!("[[write]]\ntarget = \"crm\"\nrequests = [\"POST /a\"]\n{condition}\n");
        let found = problems_of(&[("t.toml", &task(&text))]);
        let wanted = format!("t.toml:8:{wanted}");
        assert!(
            found.iter().any(|found| found.starts_with(&wanted)),
            "{wanted}\n{found:#?}"
        );
    }
}

#[test]
fn conditions_may_be_written_as_tables_of_their_own() {
    let text = task(
        r#"
[[write]]
target   = "crm"
requests = ["POST /a"]
[write.query]
notify = "false"
[write.body."$.items[*].kind"]
in       = ["note", "task"]
optional = true
"#,
    );
    let engine = load(&[("t.toml", &text)]).unwrap();
    let lines: Vec<_> = engine
        .describe("t")
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lines.first().unwrap(),
        "may send POST /a (write) on crm, if query parameter notify is \"false\" and items[*].kind, if given, is \"note\" or \"task\""
    );
}

#[test]
fn pins_without_their_task_are_a_problem() {
    let good = task("[[read]]\ntarget = \"helpdesk\"\ntools = [\"a\"]\n");
    assert!(load(&[("t.toml", &good), ("t.pins", "")]).is_ok());
    for (name, text, wanted) in [
        (
            "u.pins",
            "",
            "u.pins: there is no task file `u.toml` that these pins are for",
        ),
        (
            "t.pins",
            "[helpdesk.tools]\na = \"sha256:00\"\n",
            "t.pins:2:5: helpdesk.tools.a: it has to be \"sha256:\" and 64 hexadecimal digits",
        ),
        (
            "t.pins",
            "[tickets.tools]\n",
            "t.pins:1:2: tickets: target `tickets` is of kind postgres",
        ),
        ("t.pins", "[[", "t.pins:1:3: not valid TOML"),
    ] {
        let found = problems_of(&[("t.toml", &good), (name, text)]);
        assert!(found[0].starts_with(wanted), "{found:#?}");
    }
    // A task that is wrong itself is there all the same.
    let found = problems_of(&[("t.toml", "task = \"t\""), ("t.pins", "")]);
    assert!(
        !found.iter().any(|problem| problem.starts_with("t.pins")),
        "{found:#?}"
    );
}

#[test]
fn a_guardrail_about_nothing_is_refused() {
    for (resource, wanted) in [
        (
            "Request::\"crn/GET %2Fa\"",
            "is on target `crn`, and there is no such target; did you mean `crm`?",
        ),
        (
            "Request::\"crm\"",
            "can never match; its form is TARGET/REQUEST",
        ),
        (
            "Request::\"crm/GET /a\"",
            "can never match; its form is TARGET/REQUEST",
        ),
        (
            "Request::\"tickets/GET %2Fa\"",
            "can never match; `tickets` is of kind postgres",
        ),
        (
            "Request::\"crm/get %2Fa\"",
            "can never match; no request is spelled so",
        ),
        (
            "Request::\"crm/GET %2Fa%2F*\"",
            "can never match; no request is spelled so",
        ),
        (
            "Request::\"crm/GET %2Fa%20b\"",
            "can never match; a \"/\" or \"%\" within a name is written %2F or %25",
        ),
        ("Tool::\"crm/a\"", "can never match; `crm` is of kind http"),
        (
            "Tool::\"helpdesk/a/b\"",
            "can never match; its form is TARGET/NAME",
        ),
        (
            "Table::\"helpdesk/public/a\"",
            "can never match; `helpdesk` is of kind mcp",
        ),
        (
            "Uri::\"helpdesk/ticket://5\"",
            "can never match; its form is TARGET/URI",
        ),
    ] {
        let found = problems_of(&[(
            "g.cedar",
            &format!("forbid (principal, action, resource == Bailiwick::{resource});"),
        )]);
        let wanted = format!("g.cedar:1:1: {resource} {wanted}");
        assert!(found[0].starts_with(&wanted), "{found:#?}\n{wanted}");
    }
    let fine = r#"
@id("a") forbid (principal, action, resource == Bailiwick::Request::"crm/GET %2Fa%2520b");
@id("b") forbid (principal, action, resource == Bailiwick::Uri::"helpdesk/ticket:%2F%2F5");
@id("c") forbid (principal, action, resource == Bailiwick::Feature::"helpdesk/sampling");
@id("d") forbid (principal, action, resource in Bailiwick::Target::"helpdesk");
@id("e") forbid (principal, action in Bailiwick::Action::"write", resource is Bailiwick::Tool in Bailiwick::Target::"helpdesk");
@id("f") forbid (principal, action == Bailiwick::Action::"request-read", resource) when { resource.method == "HEAD" };
"#;
    assert!(load(&[("g.cedar", fine)]).is_ok());
    let never = problems_of(&[(
        "g.cedar",
        "forbid (principal, action == Bailiwick::Action::\"request-read\", resource is Bailiwick::Tool);",
    )]);
    assert!(
        never[0].contains("it would never forbid anything"),
        "{never:#?}"
    );
}
