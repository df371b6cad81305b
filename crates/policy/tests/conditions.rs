//! What a request or a tool call has to have in it.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail a test")]

mod common;

use bailiwick_action::{Action, Class, Denial, Fact, FieldPath, Input, Resource, Verb};
use bailiwick_policy::Scope;
use common::{approvers, call, load, run, task};

fn scope(grant: &str) -> Scope {
    let text = format!("[[write]]\ntarget = \"crm\"\nrequests = [\"POST /a\"]\n{grant}\n");
    load(&[("t.toml", &task(&text))])
        .unwrap()
        .scope(&run("t"))
        .unwrap()
}

/// The scope of a task that grants this and no more.
fn alone(grants: &str) -> Scope {
    let engine = load(&[("t.toml", &task(grants))]).unwrap();
    engine.scope(&run("t")).unwrap()
}

fn field(path: &str) -> Input {
    Input::Field(FieldPath::parse(path).unwrap())
}

fn query(name: &str) -> Input {
    Input::Query(name.into())
}

fn post(facts: &[(Input, &[Fact])]) -> Action {
    let mut action = Action::of_class(Class::Write, Verb::Request, Resource::request("POST", "/a"));
    for (input, values) in facts {
        action.facts.insert(input.clone(), values.to_vec());
    }
    action
}

fn decide(scope: &Scope, action: Action) -> Result<Vec<String>, Denial> {
    let mut call = call([action]);
    scope.settle("crm", &mut call);
    approvers(scope.decide("crm", &call))
}

fn text(text: &str) -> Fact {
    Fact::Text(text.into())
}

fn number(text: &str) -> Fact {
    Fact::Number(text.into())
}

/// Each condition on `$.x`, the values that meet it, and those that do not.
#[test]
fn a_condition_is_met_by_every_value_or_not_at_all() {
    let long = "é".repeat(3);
    let longer = "é".repeat(4);
    for (condition, met, unmet) in [
        (
            "\"internal\"",
            vec![
                vec![text("internal")],
                vec![text("internal"), text("internal")],
            ],
            vec![
                vec![],
                vec![text("public")],
                vec![text("Internal")],
                vec![text("internal ")],
                vec![text("internal\0")],
                vec![text("")],
                vec![Fact::Null],
                vec![Fact::Bool(true)],
                vec![Fact::Other],
                vec![text("internal"), text("public")],
                vec![text("public"), text("internal")],
                vec![text("internal"), Fact::Null],
                vec![text("internal"), Fact::Other],
            ],
        ),
        (
            "[\"a\", 1, true]",
            vec![
                vec![text("a")],
                vec![number("1")],
                vec![number("1.0")],
                vec![number("10e-1")],
                vec![Fact::Bool(true)],
                vec![text("a"), number("1"), Fact::Bool(true)],
            ],
            vec![
                vec![text("1")],
                vec![text("true")],
                vec![Fact::Bool(false)],
                vec![number("1.0000000000000000000001")],
                vec![number("0")],
                vec![Fact::Null],
            ],
        ),
        (
            "{ min = 1, max = 3 }",
            vec![
                vec![number("1")],
                vec![number("3.0")],
                vec![number("2.5e0")],
            ],
            vec![
                vec![],
                vec![number("0.999999999999999999999999")],
                vec![number("3.000000000000000000000001")],
                vec![number("-2")],
                vec![number("1e400000000000")],
                vec![number("0x2")],
                vec![text("2")],
                vec![Fact::Bool(true)],
                vec![Fact::Null],
                vec![Fact::Other],
                vec![number("2"), number("4")],
            ],
        ),
        (
            "9007199254740993",
            vec![vec![number("9007199254740993")]],
            vec![
                vec![number("9007199254740992")],
                vec![number("9007199254740992.9")],
            ],
        ),
        (
            "{ max = 123456789012345678901234567890 }",
            vec![vec![number("123456789012345678901234567890")]],
            vec![vec![number("123456789012345678901234567891")]],
        ),
        (
            "{ like = \"C-*\", max_length = 4 }",
            vec![vec![text("C-")], vec![text("C-12")]],
            vec![
                vec![text("C-123")],
                vec![text("c-1")],
                vec![text("XC-1")],
                vec![number("1")],
                vec![Fact::Other],
            ],
        ),
        (
            "{ max_length = 3 }",
            vec![vec![text("")], vec![text(&long)]],
            vec![
                vec![text(&longer)],
                vec![number("1")],
                vec![Fact::Null],
                vec![],
            ],
        ),
        (
            "{ in = [\"a\"], optional = true }",
            vec![vec![], vec![text("a")]],
            vec![
                vec![Fact::Null],
                vec![text("b")],
                vec![Fact::Other],
                vec![text("a"), text("b")],
            ],
        ),
    ] {
        let scope = scope(&format!("body = {{ x = {condition} }}"));
        for (values, expected) in met
            .iter()
            .map(|values| (values, true))
            .chain(unmet.iter().map(|values| (values, false)))
        {
            // Twice, for what is remembered.
            for _ in 0..2 {
                let decided = decide(&scope, post(&[(field("$.x"), values)]));
                assert_eq!(
                    decided.is_ok(),
                    expected,
                    "{condition} {values:?} {decided:?}"
                );
            }
        }
        // A place that could not be looked at meets nothing, even what may be absent.
        assert!(decide(&scope, post(&[])).is_err(), "{condition}");
        // Nor does the same name elsewhere.
        for elsewhere in [field("$.y"), field("$..x"), field("$.x.x"), query("x")] {
            let values = met.first().unwrap();
            assert!(decide(&scope, post(&[(elsewhere, values)])).is_err());
        }
    }
}

#[test]
fn every_condition_of_one_grant_has_to_be_met() {
    let scope = scope(
        "query = { notify = [\"false\", \"0\"] }\nbody = { \"$.items[*].kind\" = \"note\", n = { max = 1 } }",
    );
    let notify = |values: &'static str| (query("notify"), text(values));
    let decide = |notify: &[Fact], kinds: &[Fact], n: &[Fact]| {
        let facts = [
            (query("notify"), notify),
            (field("$.items[*].kind"), kinds),
            (field("$.n"), n),
        ];
        decide(&scope, post(&facts))
    };
    let (_, no) = notify("false");
    assert!(
        decide(
            std::slice::from_ref(&no),
            &[text("note"), text("note")],
            &[number("0")]
        )
        .is_ok()
    );
    for (notify, kinds, n) in [
        (
            vec![no.clone(), text("true")],
            vec![text("note")],
            vec![number("0")],
        ),
        (vec![], vec![text("note")], vec![number("0")]),
        (
            vec![no.clone()],
            vec![text("note"), text("task")],
            vec![number("0")],
        ),
        (vec![no.clone()], vec![], vec![number("0")]),
        (vec![no], vec![text("note")], vec![number("2")]),
    ] {
        assert!(
            decide(&notify, &kinds, &n).is_err(),
            "{notify:?} {kinds:?} {n:?}"
        );
    }
}

/// Two grants of the same request do not add up to one.
#[test]
fn conditions_of_different_grants_are_not_mixed() {
    let scope = scope(
        "body = { a = 1, b = 1 }\n\
         [[write]]\ntarget = \"crm\"\nrequests = [\"POST /a\"]\nbody = { a = 2, b = 2 }",
    );
    let one = |a: &str, b: &str| {
        let (a, b) = ([number(a)], [number(b)]);
        decide(&scope, post(&[(field("$.a"), &a), (field("$.b"), &b)]))
    };
    assert!(one("1", "1").is_ok() && one("2", "2").is_ok());
    let denial = one("1", "2").unwrap_err();
    assert_eq!(
        denial.reason,
        "POST /a is outside the scope of task t: b has to be 1; or a has to be 2"
    );
}

#[test]
fn a_denial_says_the_condition_and_not_what_was_sent() {
    let scope = scope(
        "query = { notify = \"false\" }\nbody = { visibility = [\"internal\", \"team\"], \"$.p\" = { min = 1, max = 3 }, \"$..note\" = { max_length = 200 } }",
    );
    let secret = [text("hunter2")];
    let denial = decide(
        &scope,
        post(&[
            (query("notify"), &secret),
            (field("$.visibility"), &secret),
            (field("$..note"), &[Fact::Other]),
        ]),
    )
    .unwrap_err();
    assert_eq!(
        denial,
        Denial {
            policies: vec![],
            reason: "POST /a is outside the scope of task t: query parameter notify has to be \"false\", \
                     $..note has to be no longer than 200 characters, p has to be at least 1 and at most 3 \
                     and visibility has to be \"internal\" or \"team\""
                .into(),
            remedy: "send it so, or ask for a grant with another condition".into(),
        }
    );
}

/// What an approval is wanted for is held also where the target might read more into it.
#[test]
fn what_might_need_approval_is_held() {
    let scope = scope(
        "[[write]]\ntarget = \"crm\"\nrequests = [\"POST /a\"]\nbody = { amount = { min = 1000 } }\napprove = \"group:owners\"",
    );
    let amount = |values: &[Fact]| decide(&scope, post(&[(field("$.amount"), values)]));
    assert_eq!(amount(&[number("999.99")]), Ok(vec![]));
    for values in [
        vec![number("1000")],
        vec![number("1"), number("2000")],
        vec![text("2000")],
        vec![Fact::Null],
        vec![Fact::Other],
        vec![],
    ] {
        let who = amount(&values);
        assert_eq!(who, Ok(vec!["group:owners".to_owned()]), "{values:?}");
    }
    assert!(!decide(&scope, post(&[])).unwrap().is_empty());
    // By another grant it is more than a write, and held all the same.
    let heavier = alone(
        "[[write]]\ntarget = \"crm\"\nrequests = [\"POST /a\"]\napprove = \"group:owners\"\n\
         [[destroy]]\ntarget = \"crm\"\nrequests = [\"POST /a\"]\n",
    );
    assert_eq!(
        decide(&heavier, post(&[])),
        Ok(vec!["group:owners".to_owned()])
    );
    // Without another grant, what only might be meant is not what is granted.
    let only = alone(
        "[[write]]\ntarget = \"crm\"\nrequests = [\"POST /a\"]\nbody = { amount = { min = 1000 } }\n\
         approve = \"group:owners\"",
    );
    let amount = |values: &[Fact]| decide(&only, post(&[(field("$.amount"), values)]));
    assert!(!amount(&[number("1000")]).unwrap().is_empty());
    let denial = amount(&[text("2000")]).unwrap_err();
    assert!(
        denial.reason.contains("amount has to be at least 1000"),
        "{denial:?}"
    );
}

/// A verdict is remembered with the facts that it is about.
#[test]
fn what_is_remembered_is_of_the_same_facts() {
    let scope = scope("body = { x = { max_length = 4000 } }");
    let small = text("a");
    let large = text(&"a".repeat(3_999));
    let too_large = text(&"a".repeat(4_001));
    for _ in 0..3 {
        assert!(
            decide(
                &scope,
                post(&[(field("$.x"), std::slice::from_ref(&small))])
            )
            .is_ok()
        );
        assert!(
            decide(
                &scope,
                post(&[(field("$.x"), std::slice::from_ref(&large))])
            )
            .is_ok()
        );
        assert!(
            decide(
                &scope,
                post(&[(field("$.x"), std::slice::from_ref(&too_large))])
            )
            .is_err()
        );
        assert!(
            decide(
                &scope,
                post(&[(field("$.x"), &[small.clone(), Fact::Null])])
            )
            .is_err()
        );
    }
}
