//! What is decided, and in which words.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail a test")]

mod common;

use bailiwick_action::{Action, Class, Decision, Denial, Kind, Resource, Verb};
use bailiwick_policy::{Engine, Sort};
use common::{allowed, approvers, call, house, load, run, task};

fn denial(engine: &Engine, task: &str, target: &str, action: Action) -> Denial {
    let scope = engine.scope(&run(task)).unwrap();
    scope.decide(target, &call([action])).unwrap_err()
}

fn on(verb: Verb, schema: &str, table: &str) -> Action {
    Action::new(verb, Resource::table(schema, table))
}

fn exposing(column: &str) -> Action {
    let mut action = on(Verb::Select, "public", "tickets").with_columns(["id"]);
    action.columns.insert(column.into());
    action.exposed.insert(column.into());
    action
}

#[test]
fn an_allow_names_its_class_and_its_policies() {
    let scope = house().scope(&run("triage")).unwrap();
    let both = call([
        on(Verb::Select, "public", "tickets").with_columns(["id", "email"]),
        on(Verb::Update, "public", "tickets").with_columns(["priority"]),
    ]);
    let allow = allowed(scope.decide("tickets", &both)).unwrap();
    assert_eq!(allow.class(), Class::Write);
    let policies = [
        "task:triage/read-1/public.tickets",
        "task:triage/write-1/public.tickets",
    ];
    let policies = policies.map(String::from).to_vec();
    assert_eq!(
        allow.decision(),
        Decision::Allow {
            policies,
            approval: None
        }
    );
}

#[test]
fn one_denied_action_denies_the_call() {
    let scope = house().scope(&run("triage")).unwrap();
    let denial = scope
        .decide(
            "tickets",
            &call([
                on(Verb::Select, "public", "tickets").with_columns(["id"]),
                on(Verb::Select, "billing", "cards").with_columns(["number"]),
            ]),
        )
        .unwrap_err();
    assert_eq!(
        denial,
        Denial {
            policies: vec![],
            reason: "select on billing.cards is outside the scope of task triage: \
                     no grant covers this table"
                .into(),
            remedy: r#"ask for [[read]] target = "tickets", tables = ["billing.cards"]"#.into(),
        }
    );
}

#[test]
fn each_kind_of_denial_has_its_words() {
    let house = house();
    let outside = "is outside the scope of task";
    let ask = r#"ask for [[write]] target = "tickets", tables = ["#;
    let execute = |class| Action::execute(class, Resource::function("public", "close"));
    let setting = Action::new(Verb::Set, Resource::named(Kind::Setting, "role"));
    let cases = [
        (
            "triage",
            on(Verb::Update, "public", "comments").with_columns(["body"]),
            format!(
                "update on public.comments {outside} triage: it is granted for insert but not for update"
            ),
            format!(r#"{ask}"public.comments"], verbs = ["update"], columns = ["body"]"#),
        ),
        (
            "read-only",
            on(Verb::Delete, "public", "tickets"),
            format!(
                "delete on public.tickets {outside} read-only: it is granted for read but not for destroy"
            ),
            r#"ask for [[destroy]] target = "tickets", tables = ["public.tickets"]"#.into(),
        ),
        (
            "triage",
            on(Verb::Update, "public", "tickets").with_columns(["priority", "status", "owner"]),
            format!(
                "update on public.tickets {outside} triage: columns owner and status are not in the grant"
            ),
            format!(r#"{ask}"public.tickets"], verbs = ["update"], columns = ["owner", "status"]"#),
        ),
        (
            "triage",
            on(Verb::Update, "public", "tickets").with_columns(["*"]),
            format!(
                "update on public.tickets {outside} triage: it touches the whole row or columns that could not be told, and only column priority is granted"
            ),
            "name the columns".into(),
        ),
        (
            "triage",
            execute(Class::Read),
            format!(
                "execute on function public.close {outside} triage: it is granted for write but not for read"
            ),
            r#"ask for [[read]] target = "tickets", functions = ["public.close"]"#.into(),
        ),
        (
            "admin",
            setting,
            format!("set on setting role {outside} admin: no grant covers this setting"),
            r#"ask for [[admin]] target = "tickets", settings = ["role"], verbs = ["set"]"#.into(),
        ),
        (
            "triage",
            on(Verb::Maintain, "", "tickets"),
            format!(
                "maintain on tickets {outside} triage: the name stands for no table that a grant could cover"
            ),
            "check its spelling, or name it in full, with its schema".into(),
        ),
    ];
    for (task, action, reason, remedy) in cases {
        let denial = denial(&house, task, "tickets", action);
        assert_eq!((denial.reason, denial.remedy), (reason, remedy));
        assert_eq!(denial.policies, Vec::<String>::new());
    }
}

#[test]
fn a_target_without_a_grant_is_closed() {
    let house = house();
    let scope = house.scope(&run("triage")).unwrap();
    assert!(scope.may_use("tickets") && !scope.may_use("crm"));
    assert!(scope.decide("tickets", &call([Action::session()])).is_ok());
    let denial = denial(&house, "triage", "crm", Action::session());
    assert_eq!(denial.reason, "task triage has no grant on target crm");
}

#[test]
fn what_was_not_understood_is_denied_whatever_it_claims() {
    let scope = house().scope(&run("greedy")).unwrap();
    let select = on(Verb::Select, "public", "tickets").with_columns(["id"]);
    let mut refused = call([select.clone()]);
    refused.refusal = Some("the statement does not parse".into());
    let denial = scope.decide("tickets", &refused).unwrap_err();
    assert_eq!(
        denial.reason,
        "not understood: the statement does not parse"
    );
    assert!(scope.decide("tickets", &call([])).is_err());
    assert!(
        scope
            .decide("tickets", &call(vec![select.clone(); 1_001]))
            .is_err()
    );

    // A class that contradicts the verb, a verb on what it cannot be done to, names that are none.
    let lies = Action {
        class: Class::Read,
        ..on(Verb::Delete, "public", "tickets")
    };
    let odd = Action::new(Verb::Select, Resource::function("public", "tickets"));
    let mut nameless = select.clone();
    nameless.resource.schema = None;
    for action in [
        lies,
        odd,
        nameless,
        on(Verb::Select, "public", "*"),
        on(Verb::Select, "*", "tickets"),
        on(Verb::Select, "public", ""),
    ] {
        assert!(
            scope.decide("tickets", &call([action.clone()])).is_err(),
            "{action}"
        );
    }
    assert!(scope.decide("tickets", &call([select])).is_ok());
}

#[test]
fn a_masked_column_may_be_read_but_not_exposed() {
    let house = house();
    let scope = house.scope(&run("triage")).unwrap();
    let masked: Vec<_> = scope.masks("tickets").map(|mask| &mask.column).collect();
    assert_eq!(masked.len(), 1);
    assert_eq!((&*masked[0].table, &*masked[0].name), ("tickets", "email"));
    assert_eq!(scope.masks("crm").count(), 0);

    let read = on(Verb::Select, "public", "tickets").with_columns(["id", "email"]);
    assert!(scope.decide("tickets", &call([read])).is_ok());
    assert!(scope.decide("tickets", &call([exposing("status")])).is_ok());

    let one = denial(&house, "triage", "tickets", exposing("email"));
    assert!(
        one.reason
            .starts_with("column email of public.tickets is masked, and"),
        "{one:?}"
    );
    assert_eq!(one.policies, ["task:triage/mask/public.tickets"]);
    let whole = denial(&house, "triage", "tickets", exposing("*"));
    assert!(whole.reason.contains("the whole row"), "{whole:?}");
    // The same column of another table is not masked.
    let mut other = on(Verb::Select, "public", "comments").with_columns(["email"]);
    other.exposed.insert("email".into());
    assert!(scope.decide("tickets", &call([other])).is_ok());
}

#[test]
fn a_masked_column_may_be_looked_up_where_the_task_says_so() {
    let head = "task = \"t\"\npurpose = \"p\"\nlaunchers = [\"human:*\"]\nttl = \"1h\"\n\
                [[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\n";
    let mask = |columns: &str, lookup: &str| {
        format!("[[mask]]\ntarget = \"tickets\"\ncolumns = [{columns}]\n{lookup}\n")
    };
    let email = mask("\"public.tickets.email\"", "lookup = true");
    let phone = mask("\"public.tickets.phone\", \"public.tickets.name\"", "");
    let house = load(&[("t.toml", &format!("{head}{email}{phone}"))]).unwrap();
    let scope = house.scope(&run("t")).unwrap();
    let decide = |action: &Action| scope.decide("tickets", &call([action.clone()]));
    let looking_up = |column: &str| {
        let mut action = exposing(column);
        action.looked_up.insert(column.into());
        action
    };
    assert!(decide(&looking_up("email")).is_ok());
    let shown = decide(&exposing("email")).unwrap_err();
    assert!(shown.reason.contains("may only be looked up"), "{shown:?}");
    let other = decide(&looking_up("phone")).unwrap_err();
    assert!(other.remedy.contains("lookup = true"), "{other:?}");
    let mut both = looking_up("email");
    both.columns.insert("phone".into());
    both.exposed.insert("phone".into());
    let both = decide(&both).unwrap_err();
    assert!(both.reason.starts_with("column phone of"), "{both:?}");
    let mut whole = looking_up("email");
    whole.columns.insert("*".into());
    whole.exposed.insert("*".into());
    assert!(decide(&whole).is_err());
    let lines: Vec<_> = scope.describe().iter().map(ToString::to_string).collect();
    for line in [
        "name and phone of public.tickets on tickets are masked",
        "email of public.tickets on tickets is masked; rows may be looked up by exact values",
    ] {
        assert!(lines.iter().any(|one| one == line), "{lines:?}");
    }

    // Named twice, both have to say so; and a guardrail still sees what is looked up.
    let twice = format!("{head}{email}{}", mask("\"public.tickets.email\"", ""));
    let house = load(&[("t.toml", &twice)]).unwrap();
    assert!(
        denial(&house, "t", "tickets", looking_up("email"))
            .reason
            .contains("is masked")
    );
    let guardrail = r#"forbid (principal, action in Bailiwick::Action::"call", resource is Bailiwick::Table)
        when { context.exposed.contains("email") };"#;
    let house = load(&[
        ("t.toml", &format!("{head}{email}")),
        ("g.cedar", guardrail),
    ])
    .unwrap();
    let forbidden = denial(&house, "t", "tickets", looking_up("email"));
    assert!(forbidden.reason.contains("guardrail g"), "{forbidden:?}");
}

#[test]
fn what_needs_approval_is_held_even_where_another_grant_would_allow_it() {
    let engine = load(&[(
        "t.toml",
        r#"
task = "t"
purpose = "p"
launchers = ["human:*"]
ttl = "1m"
[[write]]
target = "tickets"
tables = ["public.*"]
[[write]]
target = "tickets"
tables = ["public.tickets"]
verbs = ["update"]
columns = ["status"]
approve = "group:owners"
"#,
    )])
    .unwrap();
    let scope = engine.scope(&run("t")).unwrap();
    let update =
        |column: &str| call([on(Verb::Update, "public", "tickets").with_columns([column])]);
    let who = |column| approvers(scope.decide("tickets", &update(column)));
    assert_eq!(who("title"), Ok(vec![]));
    for column in ["status", "*"] {
        assert_eq!(who(column), Ok(vec!["group:owners".to_owned()]), "{column}");
    }
}

/// Each of these tasks grants the same thing twice or more; the call is the update of two columns.
#[test]
fn all_grants_concerned_have_to_be_approved() {
    let plain = "[[write]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\n";
    let grant = |who: &str, columns: &str| {
        format!("{plain}verbs = [\"update\"]\ncolumns = [{columns}]\napprove = \"{who}\"\n")
    };
    let (a, b) = (
        grant("group:a", "\"status\""),
        grant("human:b@x", "\"title\""),
    );
    let both = grant("group:c", "\"status\", \"title\"");
    let no_columns = format!("{plain}approve = \"group:d\"\n");
    for (grants, who) in [
        (vec![plain, &a, &b], Some(vec!["group:a", "human:b@x"])),
        (vec![plain, &a], Some(vec!["group:a"])),
        (vec![&both], Some(vec!["group:c"])),
        (vec![&both, &a], Some(vec!["group:a", "group:c"])),
        (vec![&no_columns], Some(vec!["group:d"])),
        // Whoever says yes to one column has not said yes to both.
        (vec![&a, &b], None),
        (vec![&a], None),
    ] {
        let engine = load(&[("t.toml", &task(&grants.concat()))]).unwrap();
        let scope = engine.scope(&run("t")).unwrap();
        let update = on(Verb::Update, "public", "tickets").with_columns(["status", "title"]);
        let decided = approvers(scope.decide("tickets", &call([update]))).ok();
        let who = who.map(|who| who.iter().map(|who| (*who).to_owned()).collect());
        assert_eq!(decided, who, "{grants:?}");
    }
}

/// Reading how many rows there are touches no column, and still is a read of the table.
#[test]
fn a_grant_to_be_approved_covers_what_touches_no_column() {
    let text = task(
        "[[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\ncolumns = [\"id\"]\n\
         approve = \"group:a\"\n",
    );
    let engine = load(&[("t.toml", &text)]).unwrap();
    let scope = engine.scope(&run("t")).unwrap();
    let count = call([on(Verb::Select, "public", "tickets")]);
    assert_eq!(
        approvers(scope.decide("tickets", &count)),
        Ok(vec!["group:a".to_owned()])
    );
}

#[test]
fn what_is_denied_is_denied_whoever_approves() {
    let house = house();
    let scope = house.scope(&run("triage")).unwrap();
    let delete = on(Verb::Delete, "public", "drafts");
    let held = |actions: &[&Action]| {
        let decided = scope.decide(
            "tickets",
            &call(actions.iter().map(|action| (*action).clone())),
        );
        approvers(decided)
    };
    let who = Ok(vec!["group:data-owners".to_owned()]);
    assert_eq!(held(&[&delete]), who);
    // Again, by what is remembered.
    assert_eq!(held(&[&delete]), who);
    let read = on(Verb::Select, "public", "tickets").with_columns(["id"]);
    assert_eq!(held(&[&delete, &read]), who);
    // One action that nobody may approve, and nobody is asked.
    let outside = on(Verb::Delete, "public", "comments");
    let denial = held(&[&delete, &outside]).unwrap_err();
    assert!(
        denial
            .reason
            .starts_with("delete on public.comments is outside"),
        "{denial:?}"
    );
    let masked = read.with_columns(["email"]);
    let masked = Action {
        exposed: ["email".to_owned()].into(),
        ..masked
    };
    assert!(held(&[&delete, &masked]).is_err());
    let everything = |guardrails: &str| {
        let text = task(
            "[[destroy]]\ntarget = \"tickets\"\ntables = [\"public.*\"]\napprove = \"group:a\"\n",
        );
        let engine = load(&[("t.toml", &text), ("g.cedar", guardrails)]).unwrap();
        let scope = engine.scope(&run("t")).unwrap();
        approvers(scope.decide("tickets", &call([delete.clone()])))
    };
    let forbid = |when: &str| {
        format!(
            "@id(\"final\")\nforbid (principal, action == Bailiwick::Action::\"delete\", resource) {when};"
        )
    };
    assert_eq!(everything("").unwrap(), ["group:a"]);
    let denial = everything(&forbid("")).unwrap_err();
    assert_eq!(denial.policies, ["guardrail:final"]);
    assert!(!denial.reason.contains("approv"), "{denial:?}");
}

#[test]
fn an_approval_is_for_one_run_one_call_and_one_policy() {
    use bailiwick_action::{Fingerprint, FingerprintKey};
    use bailiwick_policy::{Approval, NotApproved, Ruling};
    let house = house();
    let of = run("triage");
    let scope = house.scope(&of).unwrap();
    let delete = call([on(Verb::Delete, "public", "drafts")]);
    let hold = || match scope.decide("tickets", &delete) {
        Ok(Ruling::Hold(hold)) => hold,
        other => panic!("{other:?}"),
    };
    let key = FingerprintKey::new([1; 32]);
    let asked = Fingerprint::of(&key, &delete);
    let id = bailiwick_run::ApprovalId::new(bailiwick_run::Time::from_millis(1), [1; 10]);
    let approval = || Approval {
        id,
        run: of.id,
        target: "tickets".into(),
        fingerprint: asked,
        policy_digest: scope.digest().to_owned(),
    };
    let allow = hold().approved(approval(), asked, &scope).unwrap();
    assert_eq!(
        allow.decision(),
        Decision::Allow {
            policies: vec!["task:triage/destroy-1/public.drafts".into()],
            approval: Some(id.to_string()),
        }
    );
    let other = Fingerprint::of(&FingerprintKey::new([2; 32]), &delete);
    let other_run = Approval {
        run: bailiwick_run::RunId::new(bailiwick_run::Time::from_millis(9), [9; 10]),
        ..approval()
    };
    let other_target = Approval {
        target: "production".into(),
        ..approval()
    };
    let other_policies = Approval {
        policy_digest: house.scope(&run("greedy")).unwrap().digest().to_owned(),
        ..approval()
    };
    for (approval, asked, why) in [
        (other_run, asked, NotApproved::OtherRun),
        (other_target, asked, NotApproved::OtherTarget),
        (approval(), other, NotApproved::OtherCall),
        (other_policies, asked, NotApproved::OtherPolicies),
    ] {
        assert_eq!(hold().approved(approval, asked, &scope).unwrap_err(), why);
    }
    // The run came under other guardrails while people were asked.
    let now = house.scope(&run("greedy")).unwrap();
    let why = hold().approved(approval(), asked, &now).unwrap_err();
    assert_eq!(why, NotApproved::OtherPolicies);
}

#[test]
fn a_run_that_is_open_comes_under_other_guardrails_and_keeps_its_task() {
    use std::sync::Arc;
    let grant = |tables: &str| {
        common::task(&format!(
            "[[read]]\ntarget = \"tickets\"\ntables = [{tables}]\n"
        ))
    };
    let (before, after) = (grant("\"public.a\", \"public.b\""), grant("\"public.c\""));
    let forbid = "@id(\"no-b\")\nforbid (principal, action, resource == Bailiwick::Table::\"tickets/public/b\");";
    let load = |files: &[(&str, &str)]| common::load(files).unwrap();
    let of = run("t");
    let opened = Arc::new(load(&[("t.toml", &before)]).scope(&of).unwrap());
    let may = |scope: &bailiwick_policy::Scope, table: &str| {
        scope.allows("tickets", &on(Verb::Select, "public", table))
    };
    let guarded = |engine: Engine| {
        let guarded = engine.guarded(&[(Arc::clone(&opened), of.clone())]);
        guarded.unwrap().remove(0)
    };
    // Another task, or none, is nothing to it.
    assert!(guarded(load(&[("t.toml", &after)])).is_none());
    assert!(guarded(load(&[])).is_none());
    let files = [("t.toml", &*after), ("own.cedar", forbid)];
    let now = guarded(load(&files)).unwrap();
    assert!(may(&opened, "a") && may(&opened, "b") && !may(&opened, "c"));
    assert!(may(&now, "a") && !may(&now, "b") && !may(&now, "c"));
    let denial = now.decide("tickets", &call([on(Verb::Select, "public", "b")]));
    assert_eq!(denial.unwrap_err().policies, ["guardrail:no-b"]);
    // The digest is that of what decides: the one a run of that task would have under these guardrails.
    assert_ne!(now.digest(), opened.digest());
    let same = load(&[("t.toml", &*before), ("own.cedar", forbid)]);
    assert_eq!(same.scope_digest("t"), Some(now.digest()));
    // And back.
    let back = load(&[]).guarded(&[(Arc::new(now), of.clone())]).unwrap();
    let back = back.into_iter().next().flatten().unwrap();
    assert!(may(&back, "b"));
    assert_eq!(back.digest(), opened.digest());
}

#[test]
fn what_is_masked_in_every_task_is_masked_in_each() {
    let task = |name: &str, more: &str| {
        common::task(more).replacen("task = \"t\"", &format!("task = \"{name}\""), 1)
    };
    let reads = "[[read]]\ntarget = \"tickets\"\ntables = [\"public.people\"]\n";
    let own = "[[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.people.email\", \"public.people.name\"]\nlookup = true\n";
    let asks = "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /a\"]\n";
    let above = "[[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.people.email\", \"public.people.phone\"]\n\
        [[mask]]\ntarget = \"crm\"\nfields = [\"$.iban\"]\n";
    let (plain, looks, other) = (
        task("plain", reads),
        task("looks", &format!("{reads}{own}")),
        task("other", asks),
    );
    let files = [
        ("plain.toml", &*plain),
        ("looks.toml", &*looks),
        ("other.toml", &*other),
    ];
    let with = [&files[..], &[("policies/masks.toml", above)]].concat();
    let (without, with) = (common::load(&files).unwrap(), common::load(&with).unwrap());

    let columns = |engine: &Engine, name: &str| {
        let scope = engine.scope(&run(name)).unwrap();
        let columns = scope.masks("tickets").map(|mask| mask.column.name.clone());
        let mut columns: Vec<String> = columns.collect();
        columns.sort();
        columns
    };
    assert!(columns(&without, "plain").is_empty());
    assert_eq!(columns(&with, "plain"), ["email", "phone"]);
    assert_eq!(columns(&with, "looks"), ["email", "email", "name", "phone"]);
    assert!(columns(&with, "other").is_empty());
    let crm = with.scope(&run("other")).unwrap();
    assert_eq!(crm.fields("crm").len(), 1);

    // No task makes less of it: a lookup that it allows is not allowed above it.
    let looks_up = |engine: &Engine, name: &str, column: &str| {
        let mut read = on(Verb::Select, "public", "people").with_columns(["id", column]);
        read.exposed.insert(column.to_owned());
        read.looked_up.insert(column.to_owned());
        let scope = engine.scope(&run(name)).unwrap();
        scope.decide("tickets", &call([read])).is_ok()
    };
    assert!(looks_up(&without, "looks", "email") && looks_up(&with, "looks", "name"));
    assert!(!looks_up(&with, "looks", "email"));
    assert!(looks_up(&without, "plain", "email") && !looks_up(&with, "plain", "email"));

    // Whose it concerns are other tasks by it, and it is said.
    for (name, concerned) in [("plain", true), ("looks", true), ("other", true)] {
        let changed = without.scope_digest(name) != with.scope_digest(name);
        assert_eq!(changed, concerned, "{name}");
    }
    let only_crm = "[[mask]]\ntarget = \"crm\"\nfields = [\"$.iban\"]\n";
    let files = [&files[..], &[("policies/masks.toml", only_crm)]].concat();
    let crm_alone = common::load(&files).unwrap();
    assert_eq!(
        crm_alone.scope_digest("plain"),
        without.scope_digest("plain")
    );
    assert_ne!(crm_alone.digest(), without.digest());
    let words = |name: &str| {
        let lines = with.describe(name).unwrap().into_iter();
        lines.map(|line| line.text).collect::<Vec<_>>().join("\n")
    };
    let looks = words("looks");
    assert!(
        looks.contains("email and phone of public.people on tickets are masked in every task\n"),
        "{looks}"
    );
    assert!(
        looks.contains("name of public.people on tickets is masked; rows may be looked up"),
        "{looks}"
    );
    let other = words("other");
    assert!(
        other.contains("$.iban of what crm answers is masked in every task"),
        "{other}"
    );
    // To each other they differ in their own alone.
    let (plain, looks) = (with.task("plain").unwrap(), with.task("looks").unwrap());
    let beyond: Vec<String> = plain
        .beyond(looks)
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert_eq!(
        beyond,
        ["may see name of public.people on tickets, masked by the other"]
    );
    assert!(looks.beyond(plain).is_empty());
}

#[test]
fn a_guardrail_beats_any_task() {
    let house = house();
    let secret = denial(
        &house,
        "greedy",
        "tickets",
        on(Verb::Select, "secrets", "keys"),
    );
    assert_eq!(
        secret,
        Denial {
            policies: vec!["guardrail:no-secrets".into()],
            reason: "guardrail no-secrets forbids select on secrets.keys: \
                     nothing automatic reads the secrets"
                .into(),
            remedy: "ask the security team".into(),
        }
    );
    let billing = denial(
        &house,
        "greedy",
        "tickets",
        on(Verb::Drop, "billing", "invoices"),
    );
    assert_eq!(
        billing.remedy,
        "no task can allow it; talk to whoever keeps guardrail billing-is-final"
    );
}

#[test]
fn a_guardrail_about_columns_holds_where_the_columns_are_unknown() {
    let house = house();
    let scope = house.scope(&run("greedy")).unwrap();
    let select = |table: &str, column: &str| {
        call([on(Verb::Select, "public", table).with_columns([column])])
    };
    assert!(
        scope
            .decide("tickets", &select("customers", "name"))
            .is_ok()
    );
    assert!(
        scope
            .decide("tickets", &select("customers", "ssn"))
            .is_err()
    );
    let denial = scope
        .decide("tickets", &select("customers", "*"))
        .unwrap_err();
    assert_eq!(denial.policies, ["guardrail:no-ssn"]);
    assert!(denial.reason.contains("could not be told"), "{denial:?}");
    // And concerns no other table.
    assert!(scope.decide("tickets", &select("tickets", "*")).is_ok());
}

/// Cedar skips a policy that fails, and so would skip a forbid.
#[test]
fn a_guardrail_that_fails_denies() {
    let task = r#"
task = "t"
purpose = "p"
launchers = ["human:*"]
ttl = "1m"
[[read]]
target = "tickets"
tables = ["public.*"]
"#;
    let overflow = r#"
@id("overflows")
forbid (principal, action == Bailiwick::Action::"select", resource)
when { resource.name == "odd" && 9223372036854775807 + 1 == 0 };
"#;
    let engine = load(&[("t.toml", task), ("own.cedar", overflow)]).unwrap();
    let scope = engine.scope(&run("t")).unwrap();
    let select = |table: &str| call([on(Verb::Select, "public", table)]);
    assert!(scope.decide("tickets", &select("tickets")).is_ok());
    for _ in 0..2 {
        let denial = scope.decide("tickets", &select("odd")).unwrap_err();
        assert_eq!(denial.policies, ["guardrail:overflows"]);
        assert!(denial.reason.contains("counts as a deny"), "{denial:?}");
    }
}

#[test]
fn only_launchers_open_and_guardrails_may_forbid_it() {
    let house = house();
    let open = |task: &str, launcher: &str| house.may_open(task, &launcher.parse().unwrap());
    assert!(open("triage", "human:alice@acme.com").is_ok());
    assert!(open("triage", "workflow:github:acme/support").is_ok());
    for stranger in [
        "human:alice@evil.com",
        "human:alice@acme.com.evil.com",
        "workflow:github:acme/supporter",
        "workflow:alice@acme.com",
    ] {
        let denial = open("triage", stranger).unwrap_err();
        assert_eq!(
            denial.reason,
            format!("{stranger} is not among the launchers of task triage")
        );
    }
    assert!(open("greedy", "human:bob").is_ok());
    let denial = open("greedy", "human:intern-7").unwrap_err();
    assert_eq!(denial.policies, ["guardrail:interns"]);
    assert!(
        denial.reason.contains("interns open no destroying runs"),
        "{denial:?}"
    );
    let denial = open("traige", "human:alice@acme.com").unwrap_err();
    assert_eq!(denial.remedy, "did you mean `triage`?");
}

/// Names that would end a string, a condition or a policy if anything were joined as text.
#[test]
fn names_are_only_ever_names() {
    let nasty = r#""]; permit(principal,action,resource);"#;
    let quoted = nasty.replace('"', r#""""#);
    let task = format!(
        "task = \"t\"\npurpose = \"p\"\nttl = \"1m\"\n\
         launchers = ['human:\"}};permit(principal,action,resource);', 'human:a*b?[c]\\']\n\
         [[read]]\ntarget = \"tickets\"\ntables = ['public.\"{quoted}\"', '\"a/b\".c', '\"100%2F\".c']\n\
         columns = ['{nasty}']\n\
         [[mask]]\ntarget = \"tickets\"\ncolumns = ['public.\"{quoted}\".\"{quoted}\"']\n"
    );
    let engine = load(&[("t.toml", &task)]).unwrap();
    let scope = engine.scope(&run("t")).unwrap();
    let select = |schema: &str, table: &str| {
        let action = on(Verb::Select, schema, table).with_columns([nasty]);
        scope.decide("tickets", &call([action])).is_ok()
    };
    assert!(select("public", nasty));
    assert!(select("a/b", "c"));
    assert!(select("100%2F", "c"));
    assert!(!select("a", "b/c"));
    assert!(!select("100/", "c"));
    assert!(!select("public", "tickets"));
    assert!(!select(nasty, nasty));
    for verb in [Verb::Delete, Verb::Update, Verb::Drop] {
        assert!(
            scope
                .decide("tickets", &call([on(verb, "public", nasty)]))
                .is_err()
        );
    }
    let mut exposed = on(Verb::Select, "public", nasty).with_columns([nasty]);
    exposed.exposed.insert(nasty.into());
    assert!(scope.decide("tickets", &call([exposed])).is_err());

    let open = |launcher: &str| engine.may_open("t", &launcher.parse().unwrap()).is_ok();
    assert!(open("human:\"};permit(principal,action,resource);"));
    assert!(open("human:aXb?[c]\\"));
    assert!(!open("human:aXbYc\\"));
    assert!(!open("human:alice"));
}

#[test]
fn a_denial_stays_small_whatever_is_asked() {
    let scope = house().scope(&run("triage")).unwrap();
    let long = "é".repeat(5_000);
    let actions = (0..500).map(|n| {
        on(Verb::Update, "public", "tickets").with_columns((0..50).map(|c| format!("{long}{n}{c}")))
    });
    let denial = scope.decide("tickets", &call(actions)).unwrap_err();
    assert!(denial.reason.len() < 1_300 && denial.remedy.len() < 1_300);
}

#[test]
fn more_decisions_than_are_remembered_change_nothing() {
    let scope = house().scope(&run("read-only")).unwrap();
    for n in 0..5_000 {
        let table = call([on(Verb::Select, "public", &format!("t{n}"))]);
        assert!(scope.decide("tickets", &table).is_ok());
        let elsewhere = call([on(Verb::Select, "elsewhere", &format!("t{n}"))]);
        assert!(scope.decide("tickets", &elsewhere).is_err());
    }
}

#[test]
fn a_scope_is_described_in_words() {
    let house = house();
    let lines = house.describe("triage").unwrap();
    let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(
        text,
        [
            "may read public.tickets, public.comments on tickets",
            "may lock rows of public.tickets on tickets",
            "may update priority of public.tickets on tickets",
            "may run the writing function public.close on tickets",
            "may insert into public.comments on tickets",
            "may delete from public.drafts on tickets once group:data-owners approves",
            "email of public.tickets on tickets is masked",
            "guardrail no-secrets: nothing automatic reads the secrets",
            "guardrail billing-is-final: billing rows are never removed",
            "guardrail no-ssn: nobody needs the social security number",
            "guardrail interns: interns open no destroying runs",
            "everything else is denied",
        ]
    );
    assert_eq!(lines[5].sort, Sort::Approval);
    assert_eq!(house.scope(&run("triage")).unwrap().describe(), lines);
}

#[test]
fn the_digest_follows_the_content() {
    let house = house();
    let scope = |task: &str| house.scope(&run(task)).unwrap().digest().to_owned();
    assert_eq!(scope("triage"), scope("triage"));
    assert_ne!(scope("triage"), scope("greedy"));
    assert!(house.digest().starts_with("sha256:") && house.digest().len() == 71);
    assert!(house.scope(&run("none")).is_err());
}

/// For privileges of the target's own: what is granted is asked action by action.
#[test]
fn what_waits_for_approval_is_granted_at_the_target() {
    let task = r#"
task = "triage"
purpose = "a test"
launchers = ["human:*"]
ttl = "1m"
[[read]]
target = "tickets"
tables = ["public.*"]
[[write]]
target  = "tickets"
tables  = ["public.tickets"]
verbs   = ["update"]
columns = ["priority"]
[[read]]
target  = "tickets"
tables  = ["public.drafts"]
approve = "group:owners"
[[read]]
target   = "crm"
requests = ["GET /people"]
"#;
    let engine = load(&[("triage.toml", task)]).unwrap();
    let task = engine.task("triage").unwrap();
    let granted: Vec<_> = task
        .granted("tickets")
        .map(|granted| {
            let columns = granted.columns.map(|columns| columns.len());
            (granted.verb, granted.pattern.to_string(), columns)
        })
        .collect();
    assert_eq!(
        granted,
        [
            (Verb::Select, "public.*".into(), None),
            (Verb::Select, "public.drafts".into(), None),
            (Verb::Update, "public.tickets".into(), Some(1)),
            (Verb::Lock, "public.tickets".into(), None),
        ]
    );
    let scope = engine.scope(&run("triage")).unwrap();
    for (allowed, target, action) in [
        (true, "tickets", on(Verb::Select, "public", "tickets")),
        (
            true,
            "tickets",
            on(Verb::Update, "public", "tickets").with_columns(["priority"]),
        ),
        (
            false,
            "tickets",
            on(Verb::Update, "public", "tickets").with_columns(["email"]),
        ),
        (true, "tickets", on(Verb::Select, "public", "drafts")),
        (false, "tickets", on(Verb::Select, "public", "*")),
        (false, "crm", on(Verb::Select, "public", "tickets")),
        (false, "elsewhere", on(Verb::Select, "public", "tickets")),
    ] {
        assert_eq!(scope.allows(target, &action), allowed, "{target} {action}");
    }
}
