//! Which requests a task lets through, and what is said of the others.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail a test")]

mod common;

use bailiwick_action::{Action, Class, Decision, Denial, Kind, Resource, Verb};
use bailiwick_policy::{Engine, Scope};
use common::{allowed, call, load, run, task};

fn request(method: &str, path: &str) -> Action {
    let class = match method {
        "GET" | "HEAD" | "OPTIONS" => Class::Read,
        "DELETE" => Class::Destroy,
        _ => Class::Write,
    };
    Action::of_class(class, Verb::Request, Resource::request(method, path))
}

/// Settled and decided, as the gateway does.
fn decide(scope: &Scope, action: Action) -> Result<Class, Denial> {
    let mut call = call([action]);
    scope.settle("crm", &mut call);
    allowed(scope.decide("crm", &call)).map(|allow| allow.class())
}

fn scope(text: &str) -> Scope {
    engine(text).scope(&run("t")).unwrap()
}

fn engine(text: &str) -> Engine {
    load(&[("t.toml", &task(text))]).unwrap()
}

fn reading(requests: &str) -> Scope {
    scope(&format!(
        "[[read]]\ntarget = \"crm\"\nrequests = [{requests}]\n"
    ))
}

#[test]
fn an_allow_names_the_entry() {
    let scope = reading("\"GET /customers/*\"");
    let get = call([request("GET", "/customers/42")]);
    let allow = allowed(scope.decide("crm", &get)).unwrap();
    assert_eq!(allow.class(), Class::Read);
    assert!(!allow.binary());
    let policies = vec!["task:t/read-1/GET /customers/*".to_owned()];
    assert_eq!(
        allow.decision(),
        Decision::Allow {
            policies,
            approval: None
        }
    );
}

#[test]
fn a_pattern_covers_whole_segments() {
    for (pattern, covered, not) in [
        (
            "GET /customers/*",
            &[
                "/customers/42",
                "/customers/a%20b",
                "/customers/%C3%A9",
                "/customers/a.b",
            ][..],
            &[
                "/customers",
                "/customers/",
                "/customers/42/",
                "/customers/42/cards",
                "/customersx/42",
                "/Customers/42",
                "/v1/customers/42",
                "/",
            ][..],
        ),
        (
            "GET /tickets/{id}/comments",
            &["/tickets/5/comments"],
            &[
                "/tickets/5",
                "/tickets/5/comments/",
                "/tickets/5/6/comments",
                "/tickets//comments",
            ],
        ),
        (
            "GET /files/**",
            &["/files", "/files/", "/files/a", "/files/a/b/c", "/files/a/"],
            &["/filesystem", "/", "/files/a//b", "/files/../secrets"],
        ),
        ("GET /**", &["/", "/a", "/a/b/"], &["", "a", "//"]),
        ("GET /", &["/"], &["/a", ""]),
        ("GET /a/", &["/a/"], &["/a", "/a/b"]),
        (
            "GET /%7Euser/caf\u{e9}/a:b/%2f",
            &["/~user/caf%C3%A9/a%3Ab/%2F"],
            &["/%7Euser/caf%C3%A9/a%3Ab/%2F", "/~user/caf\u{e9}/a:b/%2F"],
        ),
        // Cyrillic letters that look like Latin ones.
        (
            "GET /cards",
            &["/cards"],
            &["/%D1%81ards", "/c%61rds", "/cards%00", "/CARDS"],
        ),
    ] {
        let scope = reading(&format!("{pattern:?}"));
        for path in covered {
            assert!(
                decide(&scope, request("GET", path)).is_ok(),
                "{pattern} {path}"
            );
        }
        for path in not {
            assert!(
                decide(&scope, request("GET", path)).is_err(),
                "{pattern} {path}"
            );
        }
    }
}

/// Even if the protocol let such a spelling through, no wildcard stands for it.
#[test]
fn a_wildcard_stands_for_nothing_that_a_server_might_take_apart() {
    let scope = reading(r#""GET /files/*", "GET /all/**""#);
    for part in [
        "..",
        ".",
        "%2e%2e",
        "%2E%2E",
        ".%2E",
        "..%2F..%2Fadmin",
        "..%2fadmin",
        "a%2Fb",
        "a%5C..%5Cb",
        "..%5Cadmin",
        "..%3B",
        "..;",
        "a%3Bb",
        "%252e%252e%252fadmin",
        "a%25",
        "a%00",
        "a%0D%0AHost%3A",
        "a%3Fadmin%3D1",
        "a%23",
        "a?b",
        "a#b",
        "%C0%AE%C0%AE",
        "%C0%AF",
        "%FF",
        "%",
        "%4",
        "%zz",
        "a b",
        "a+b",
        "\u{e9}",
        "a%c3%a9",
        "%61",
        "",
    ] {
        for path in [format!("/files/{part}"), format!("/all/x/{part}/y")] {
            let denied = decide(&scope, request("GET", &path));
            assert!(denied.is_err(), "{path:?} {denied:?}");
        }
    }
    for path in ["/files/a-b_c.d~e", "/all/x/%C3%A9/y"] {
        assert!(decide(&scope, request("GET", path)).is_ok(), "{path}");
    }
    // What is granted as it is written is another matter.
    let scope = reading(r#""GET /projects/group%2Fname/issues/*""#);
    assert!(decide(&scope, request("GET", "/projects/group%2Fname/issues/5")).is_ok());
    assert!(decide(&scope, request("GET", "/projects/group/name/issues/5")).is_err());
}

#[test]
fn a_method_is_granted_by_itself() {
    let scope = reading(r#""GET /a", "WEBSOCKET /events""#);
    assert!(decide(&scope, request("GET", "/a")).is_ok());
    for method in [
        "HEAD", "OPTIONS", "POST", "get", "Get", "GET ", "", "*", "TRACE",
    ] {
        assert!(decide(&scope, request(method, "/a")).is_err(), "{method}");
    }
    assert!(decide(&scope, request("WEBSOCKET", "/events")).is_ok());
    assert!(decide(&scope, request("GET", "/events")).is_err());
    // A resource of another kind by the same name.
    for kind in [Kind::Tool, Kind::Uri, Kind::Object] {
        let mut action = request("GET", "/a");
        action.resource.kind = kind;
        assert!(decide(&scope, action).is_err(), "{kind:?}");
    }
    let mut odd = request("GET", "/a");
    odd.resource.schema = Some("crm".into());
    assert!(decide(&scope, odd).is_err());
}

/// A search may be a `POST`. What the task says holds, and the heavier where it says two things.
#[test]
fn a_request_is_of_the_class_that_the_task_gives_it() {
    let scope = scope(
        r#"
[[read]]
target   = "crm"
requests = ["POST /search", "GET /export/*", "POST /both/*"]
[[write]]
target   = "crm"
requests = ["GET /export/*", "POST /both/{id}"]
body     = { "$.kind" = "all" }
[[destroy]]
target   = "crm"
requests = ["POST /purge"]
[[admin]]
target   = "crm"
requests = ["PUT /settings"]
"#,
    );
    let class = |action: Action| decide(&scope, action).unwrap();
    assert_eq!(class(request("POST", "/search")), Class::Read);
    assert_eq!(class(request("POST", "/purge")), Class::Destroy);
    assert_eq!(class(request("PUT", "/settings")), Class::Admin);
    // The grant to write has a condition that is not met: it says nothing of this one.
    assert_eq!(class(request("GET", "/export/1")), Class::Read);
    for (method, path) in [("GET", "/export/1"), ("POST", "/both/1")] {
        let action = common::with_field(request(method, path), "$.kind", "all");
        assert_eq!(class(action.clone()), Class::Write);
        // Whatever the protocol thought of it.
        for thought in [Class::Read, Class::Destroy, Class::Admin] {
            let thought = Action {
                class: thought,
                ..action.clone()
            };
            assert_eq!(class(thought), Class::Write);
        }
    }
    // Nor can it be decided as less than it is.
    let export = common::with_field(request("GET", "/export/1"), "$.kind", "all");
    let denial = scope.decide("crm", &call([export])).unwrap_err();
    assert!(
        denial
            .reason
            .ends_with("taken for less than its task says it is"),
        "{denial:?}"
    );
    // What no grant covers stays what it is.
    let mut other = call([request("DELETE", "/search"), Action::session()]);
    scope.settle("crm", &mut other);
    assert_eq!(other.actions[0].class, Class::Destroy);
    assert_eq!(other.actions[1].class, Class::Session);
    // On another target the grants say nothing.
    let mut elsewhere = call([request("POST", "/search")]);
    scope.settle("helpdesk", &mut elsewhere);
    assert_eq!(elsewhere.actions[0].class, Class::Write);
    assert!(scope.decide("helpdesk", &elsewhere).is_err());
}

/// Without [`Scope::settle`] a class that no grant gives is denied, not let through as the lighter.
#[test]
fn a_class_that_nobody_granted_is_denied() {
    let scope = reading(r#""POST /search""#);
    let denial = scope
        .decide("crm", &call([request("POST", "/search")]))
        .unwrap_err();
    assert_eq!(
        denial.reason,
        "POST /search is outside the scope of task t: it is granted for read but not for write"
    );
}

#[test]
fn each_denial_says_what_to_ask_for() {
    let scope = scope(
        r#"
[[read]]
target   = "crm"
requests = ["GET /customers/*", "GET /tickets/*/comments"]
[[write]]
target   = "crm"
requests = ["DELETE /drafts/*"]
approve  = "group:owners"
"#,
    );
    let outside = "is outside the scope of task t";
    for (method, path, reason, remedy) in [
        (
            "POST",
            "/orders/5/comments",
            format!("POST /orders/5/comments {outside}: no grant covers this request"),
            r#"ask for [[write]] target = "crm", requests = ["POST /orders/{id}/comments"]"#,
        ),
        (
            "POST",
            "/tickets/5/comments",
            format!(
                "POST /tickets/5/comments {outside}: its path is granted for GET but not for POST"
            ),
            r#"ask for [[write]] target = "crm", requests = ["POST /tickets/{id}/comments"]"#,
        ),
        (
            "DELETE",
            "/users/F81D4FAE-7dec-11d0-a765-00a0c91e6bf6/v2",
            format!(
                "DELETE /users/F81D4FAE-7dec-11d0-a765-00a0c91e6bf6/v2 {outside}: no grant covers this request"
            ),
            r#"ask for [[destroy]] target = "crm", requests = ["DELETE /users/{id}/v2"]"#,
        ),
        (
            "GET",
            "/v2/abc5/",
            format!("GET /v2/abc5/ {outside}: no grant covers this request"),
            r#"ask for [[read]] target = "crm", requests = ["GET /v2/abc5/"]"#,
        ),
        (
            "GET",
            "/a/%2e%2e/b",
            format!(
                "GET /a/%2e%2e/b {outside}: it is not spelled the one way that a grant could cover"
            ),
            "send it in its plainest form",
        ),
    ] {
        let denial = decide(&scope, request(method, path)).unwrap_err();
        assert_eq!((&*denial.reason, &*denial.remedy), (&*reason, remedy));
    }
    let long = decide(&scope, request("GET", &format!("/{}", "x".repeat(5_000)))).unwrap_err();
    assert!(
        long.reason.len() < 200 && long.remedy.len() < 200,
        "{long:?}"
    );
}

#[test]
fn a_guardrail_beats_a_grant() {
    let everything = task(
        "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /**\", \"POST /search\"]\n\
         [[write]]\ntarget = \"crm\"\nrequests = [\"POST /**\"]\n",
    );
    let guardrails = r#"
@id("no-admin")
@reason("nothing automatic touches the administration")
forbid (principal, action in Bailiwick::Action::"call", resource is Bailiwick::Request)
when { resource.path like "/admin*" };
@id("no-card")
forbid (principal, action, resource == Bailiwick::Request::"crm/GET %2Fcards%2Fa%2520b");
@id("no-writes-there")
forbid (principal, action in Bailiwick::Action::"write", resource in Bailiwick::Target::"crm")
when { resource has name && resource.name like "* /tickets/*" };
"#;
    let engine = load(&[("t.toml", &everything), ("g.cedar", guardrails)]).unwrap();
    let scope = engine.scope(&run("t")).unwrap();
    for (method, path, forbidden) in [
        ("GET", "/customers/1", None),
        ("GET", "/administration", Some("no-admin")),
        ("POST", "/admin", Some("no-admin")),
        ("GET", "/cards/a%20b", Some("no-card")),
        ("GET", "/cards/a", None),
        ("GET", "/tickets/1", None),
        ("POST", "/tickets/1", Some("no-writes-there")),
    ] {
        let decided = decide(&scope, request(method, path));
        match forbidden {
            None => assert!(decided.is_ok(), "{path} {decided:?}"),
            Some(name) => {
                let denial = decided.unwrap_err();
                assert_eq!(denial.policies, [format!("guardrail:{name}")]);
                let start = format!("guardrail {name} forbids {method} {path}: ");
                assert!(denial.reason.starts_with(&start), "{denial:?}");
            }
        }
    }
}

#[test]
fn binary_results_are_for_the_grants_that_say_so() {
    let scope = scope(
        r#"
[[read]]
target   = "crm"
requests = ["GET /files/*", "GET /both"]
binary   = true
[[read]]
target   = "crm"
requests = ["GET /customers/*", "GET /both"]
"#,
    );
    let binary = |actions: &[(&str, &str)]| {
        let actions = actions.iter().map(|(method, path)| request(method, path));
        allowed(scope.decide("crm", &call(actions)))
            .unwrap()
            .binary()
    };
    assert!(binary(&[("GET", "/files/1")]));
    assert!(binary(&[("GET", "/both")]));
    assert!(!binary(&[("GET", "/customers/1")]));
    assert!(!binary(&[("GET", "/files/1"), ("GET", "/customers/1")]));
    let session = allowed(scope.decide("crm", &call([Action::session()]))).unwrap();
    assert!(!session.binary());
    let with = call([request("GET", "/files/1"), Action::session()]);
    assert!(allowed(scope.decide("crm", &with)).unwrap().binary());
}

#[test]
fn an_operation_is_what_the_description_says() {
    let engine = engine(
        "[[read]]\ntarget = \"crm\"\noperations = [\"listTickets\", \"getTicket\"]\n\
         [[write]]\ntarget = \"crm\"\noperation = \"addComment\"\n",
    );
    let scope = engine.scope(&run("t")).unwrap();
    for (allowed, method, path) in [
        (true, "GET", "/tickets"),
        (true, "GET", "/tickets/5"),
        (true, "POST", "/tickets/5/comments"),
        (false, "GET", "/tickets/5/comments"),
        (false, "POST", "/tickets"),
    ] {
        let decided = decide(&scope, request(method, path));
        assert_eq!(decided.is_ok(), allowed, "{method} {path}");
    }
}

#[test]
fn what_the_protocol_asks_of_the_scope() {
    let scope = scope(
        r#"
[[read]]
target   = "crm"
requests = ["GET /customers/*"]
query    = { notify = "false" }
body     = { "$.b" = 1, a = true }
[[write]]
target   = "crm"
requests = ["POST /tickets"]
body     = { "$.a" = "x" }
[[write]]
target   = "crm"
requests = ["DELETE /drafts/*"]
approve  = "group:owners"
[[mask]]
target = "crm"
fields = ["$.customer.email", "$..iban"]
"#,
    );
    let inputs: Vec<_> = scope
        .inputs("crm")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(inputs, ["query parameter notify", "field $.a", "field $.b"]);
    assert!(scope.inputs("tickets").is_empty());
    let fields: Vec<_> = scope
        .fields("crm")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(fields, ["$.customer.email", "$..iban"]);
    assert!(scope.fields("tickets").is_empty());
    let covers = |method, path| scope.covers("crm", &Resource::request(method, path));
    assert!(covers("GET", "/customers/5") && covers("POST", "/tickets"));
    assert!(!covers("POST", "/customers/5") && covers("DELETE", "/drafts/1"));
    assert!(!covers("GET", "/customers/%61") && !covers("GET", "customers/5"));
    let lines: Vec<_> = scope.describe().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "may send GET /customers/* on crm, if query parameter notify is \"false\", b is 1 and a is true",
            "may send POST /tickets (write) on crm, if a is \"x\"",
            "may send DELETE /drafts/* (write) on crm once group:owners approves",
            "$..iban and $.customer.email of what crm answers are masked",
            "everything else is denied",
        ]
    );
}

/// The digest of a task follows what its operations stand for.
#[test]
fn another_description_is_another_scope() {
    let text = task("[[read]]\ntarget = \"crm\"\noperation = \"getTicket\"\n");
    let digest = |path: &str| {
        let mut targets = common::targets();
        for target in &mut targets {
            if let Some(operation) = target.operations.get_mut("getTicket") {
                operation.path = path.to_owned();
            }
        }
        let engine = common::load_with(&[("t.toml", &text)], &targets).unwrap();
        let scope = engine.scope(&run("t")).unwrap();
        (engine.digest().to_owned(), scope.digest().to_owned())
    };
    assert_eq!(digest("/tickets/{id}"), digest("/tickets/{number}"));
    let (engine, scope) = digest("/tickets/{id}");
    let (other_engine, other_scope) = digest("/tickets/{id}/**");
    assert!(engine != other_engine && scope != other_scope);
}
