use std::time::Duration;

use bailiwick_action::{Action, Resource, Verb};
use bailiwick_policy::{Question, Standing};
use bailiwick_run::{Ending, Run};
use serde_json::Value;

use super::{AskError, NotTheirs, RuleError};
use crate::api::{ApprovalState, Estimate, WhichApprovals};
use crate::limits::{APPROVALS_ASKED_MAX, APPROVALS_OPEN_OF_RUN_MAX};
use crate::notice::testing::Receiver;
use crate::people::{Role, Via};
use crate::registry::Opening;
use crate::testing::{House, LAUNCHER, Running, opening, person, question, soon};

const OTHER: &str = "human:other@acme.com";

/// A gateway with a run that asks.
struct Held {
    house: House,
    running: Running,
    run: Run,
}

impl Held {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(set: impl FnOnce(&mut House)) -> Self {
        let mut house = House::new();
        set(&mut house);
        let running = house.start().await;
        let run = open(&running).await;
        Self {
            house,
            running,
            run,
        }
    }

    fn question(&self) -> Question {
        question(&self.run)
    }

    /// The records of the run since it was opened.
    fn records(&self) -> Vec<Value> {
        let entries = self.running.log.reader().run(&self.run.id).unwrap();
        let records = entries.iter().skip(1);
        records
            .map(|entry| serde_json::from_slice(&entry.bytes).unwrap())
            .collect()
    }

    /// What was decided, in order: `approve`, `lapse`.
    fn effects(&self) -> Vec<String> {
        let records = self.records();
        let effects = records
            .iter()
            .filter(|record| record["type"] == "approval.decided");
        effects
            .map(|record| record["approval"]["effect"].as_str().unwrap().to_owned())
            .collect()
    }
}

async fn open(running: &Running) -> Run {
    let opening = Opening {
        reason: Some("clean up".into()),
        ..opening("sweep")
    };
    running.registry.open_run(opening).await.unwrap().run
}

/// A question about another text.
fn other_text(question: &Question, number: usize) -> Question {
    use bailiwick_action::{Call, Fingerprint, FingerprintKey, Payload};
    let call = Call {
        protocol: question.protocol,
        verb: question.verb.clone(),
        actions: question.actions.clone(),
        refusal: None,
        payload: Payload {
            text: format!("DELETE FROM drafts WHERE id = {number}"),
            values: Vec::new(),
        },
    };
    Question {
        fingerprint: Fingerprint::of(&FingerprintKey::new([1; 32]), &call),
        ..question.clone()
    }
}

#[tokio::test]
async fn what_was_said_of_a_call_is_erased_with_the_rest_of_its_run() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let asked = registry.ask(held.question()).await.unwrap();
    let other = person(OTHER);
    let no = registry.deny(&asked.id, &other, "it names bob@acme.com");
    no.await.unwrap();
    registry.end(&held.run.id, Ending::Closed).await.unwrap();
    let shown = registry.approval(&asked.id).unwrap();
    assert_eq!(shown.answer.as_deref(), Some("it names bob@acme.com"));
    let erased = registry.erase(&held.run.id, LAUNCHER.parse().unwrap());
    erased.await.unwrap();
    assert!(registry.approval(&asked.id).is_none());
    let all = registry.approvals(WhichApprovals::All);
    assert!(all.is_empty(), "{all:?}");
}

#[tokio::test]
async fn a_call_is_held_shown_approved_and_made_once() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let asked = registry.ask(held.question()).await.unwrap();
    assert_eq!(*asked.standing.borrow(), Standing::Open);

    // On record before anybody sees it, the agent's words beside it and not in it.
    let records = held.records();
    assert_eq!(records[0]["type"], "call.held");
    assert_eq!(records[0]["approval"]["id"], asked.id.to_string());
    assert_eq!(records[0]["approval"]["approvers"][0], "group:data-owners");
    assert!(!records[0].to_string().contains("DELETE FROM"));

    let shown = registry.approval(&asked.id).unwrap();
    assert_eq!(
        registry.approvals(WhichApprovals::Open),
        std::slice::from_ref(&shown)
    );
    assert_eq!(shown.actions, ["delete public.drafts"]);
    assert_eq!(shown.class.as_str(), "destroy");
    assert_eq!(shown.estimate, Estimate::Rows(12));
    assert_eq!(shown.launcher.as_str(), LAUNCHER);
    assert_eq!(shown.reason.as_deref(), Some("clean up"));
    assert_eq!(shown.record, format!("{}/2", held.run.id));
    assert!(
        !serde_json::to_string(&shown)
            .unwrap()
            .contains("DELETE FROM")
    );
    assert!(registry.take(&asked.id).is_none(), "nobody has said yes");

    let note = Some("drafts of last year".to_owned());
    let approved = registry.approve(&asked.id, &person(OTHER), note).await;
    let approved = approved.unwrap();
    assert_eq!(approved.state, ApprovalState::Approved);
    assert_eq!(approved.by.unwrap().as_str(), OTHER);
    assert_eq!(*asked.standing.borrow(), Standing::Approved);
    let decided = &held.records()[1];
    assert_eq!(decided["type"], "approval.decided");
    assert_eq!(decided["of"], 2);
    assert_eq!(decided["approval"]["effect"], "approve");
    assert_eq!(decided["approval"]["by"], OTHER);
    assert!(decided["approval"]["expires"].is_string());
    assert!(!decided.to_string().contains("last year"));
    let payload = held.running.last(held.run.id).payload.unwrap();
    assert_eq!(payload["note"], "drafts of last year");
    assert_eq!(payload["for"][0], "group:data-owners");

    let used = registry.take(&asked.id).unwrap();
    assert_eq!((used.id, used.run), (asked.id, held.run.id));
    assert_eq!(used.fingerprint, held.question().fingerprint);
    assert_eq!(used.policy_digest, "sha256:0");
    assert_eq!(used.target, "tickets");
    assert!(registry.take(&asked.id).is_none(), "once");
    let shown = registry.approval(&asked.id).unwrap();
    assert_eq!(shown.state, ApprovalState::Used);

    // The next time it is another question.
    let again = registry.ask(held.question()).await.unwrap();
    assert_ne!(again.id, asked.id);
    assert_eq!(*again.standing.borrow(), Standing::Open);
    let all = registry.approvals(WhichApprovals::All);
    assert_eq!(
        all.iter().map(|shown| shown.id).collect::<Vec<_>>(),
        [again.id, asked.id]
    );
}

#[tokio::test]
async fn the_same_call_is_one_question_and_any_other_is_not() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let first = registry.ask(held.question()).await.unwrap();
    assert_eq!(registry.ask(held.question()).await.unwrap().id, first.id);
    let at_once = tokio::join!(registry.ask(held.question()), registry.ask(held.question()));
    assert_eq!(at_once.0.unwrap().id, first.id);
    assert_eq!(at_once.1.unwrap().id, first.id);
    registry
        .approve(&first.id, &person(OTHER), None)
        .await
        .unwrap();

    // What an agent would try with a yes: the same words at another place, or after it has led them elsewhere.
    let elsewhere = Question {
        target: "billing".into(),
        ..held.question()
    };
    let meaning_another = Question {
        actions: vec![Action::new(
            Verb::Delete,
            Resource::table("secret", "drafts"),
        )],
        ..held.question()
    };
    let under_other_policies = Question {
        policy_digest: "sha256:1".into(),
        ..held.question()
    };
    let asked_of_others = Question {
        approvers: ["group:others".to_owned()].into(),
        ..held.question()
    };
    let other_run = open(&held.running).await;
    let of_another_run = question(&other_run);
    for call in [
        elsewhere,
        meaning_another,
        under_other_policies,
        asked_of_others,
        of_another_run,
        other_text(&held.question(), 1),
    ] {
        let asked = registry.ask(call).await.unwrap();
        assert_ne!(asked.id, first.id);
        assert_eq!(*asked.standing.borrow(), Standing::Open);
        assert!(registry.take(&asked.id).is_none());
    }
    let same = registry.ask(held.question()).await.unwrap();
    assert_eq!(same.id, first.id);
    assert_eq!(*same.standing.borrow(), Standing::Approved);
}

#[tokio::test]
async fn a_no_comes_with_its_reason_and_is_remembered() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let asked = registry.ask(held.question()).await.unwrap();
    let deny = async |reason: &str| registry.deny(&asked.id, &person(OTHER), reason).await;
    assert!(matches!(deny(" \n").await, Err(RuleError::NoReason)));
    let long = "x".repeat(1_025);
    assert!(matches!(deny(&long).await, Err(RuleError::TooLong(1_025))));
    assert!(matches!(deny("\u{1b}[2J").await, Err(RuleError::NotText)));
    let shown = deny("these are\n still needed").await.unwrap();
    assert_eq!(shown.state, ApprovalState::Denied);
    assert_eq!(shown.answer.as_deref(), Some("these are still needed"));
    let no = Standing::Denied {
        by: OTHER.parse().unwrap(),
        reason: "these are still needed".into(),
    };
    assert_eq!(*asked.standing.borrow(), no);
    let record = held.records().pop().unwrap();
    assert_eq!(record["approval"]["effect"], "deny");
    assert!(!record.to_string().contains("needed"));

    // Asking again changes nothing, and nobody is bothered.
    let again = registry.ask(held.question()).await.unwrap();
    assert_eq!(again.id, asked.id);
    assert_eq!(*again.standing.borrow(), no);
    assert!(registry.approvals(WhichApprovals::Open).is_empty());
    assert!(registry.take(&asked.id).is_none());
    let late = registry.approve(&asked.id, &person(OTHER), None).await;
    let error = late.unwrap_err().to_string();
    assert!(
        error.contains("was denied by human:other@acme.com"),
        "{error}"
    );
    assert_eq!(held.effects(), ["deny"]);
}

#[tokio::test]
async fn everybody_who_is_asked_has_to_say_yes() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let both = || Question {
        approvers: ["group:data-owners", "group:security"]
            .map(str::to_owned)
            .into(),
        ..held.question()
    };
    let asked = registry.ask(both()).await.unwrap();
    let owner = person("human:owner@acme.com");
    let shown = registry.approve(&asked.id, &owner, None).await.unwrap();
    assert_eq!(shown.state, ApprovalState::Open);
    assert_eq!(shown.given[0].approver, "group:data-owners");
    assert_eq!(*asked.standing.borrow(), Standing::Open);
    assert!(registry.take(&asked.id).is_none());
    let record = held.records().pop().unwrap();
    assert_eq!(record["approval"]["effect"], "agree");
    assert_eq!(record["approval"]["by"], "human:owner@acme.com");
    assert!(record["approval"]["expires"].is_null());

    let twice = registry.approve(&asked.id, &owner, None).await;
    let error = twice.unwrap_err().to_string();
    assert!(error.contains("group:security has to, too"), "{error}");
    let mut guard = person("human:guard@acme.com");
    guard.groups = ["security".to_owned()].into();
    let shown = registry.approve(&asked.id, &guard, None).await.unwrap();
    assert_eq!(shown.state, ApprovalState::Approved);
    assert_eq!(shown.given.len(), 2);
    assert_eq!(held.effects(), ["agree", "approve"]);
    assert!(registry.take(&asked.id).is_some());

    // Somebody in both groups says it for both.
    let asked = registry.ask(both()).await.unwrap();
    guard.groups.insert("data-owners".to_owned());
    let shown = registry.approve(&asked.id, &guard, None).await.unwrap();
    assert_eq!(shown.state, ApprovalState::Approved);

    // One no is a no, also after a yes.
    registry.take(&asked.id).unwrap();
    let asked = registry.ask(both()).await.unwrap();
    registry.approve(&asked.id, &owner, None).await.unwrap();
    let shown = registry.deny(&asked.id, &guard, "no").await.unwrap();
    assert_eq!(shown.state, ApprovalState::Denied);
    assert!(registry.take(&asked.id).is_none());
}

#[tokio::test]
async fn whoever_may_not_decide_decides_nothing_and_leaves_no_record() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let asked = registry.ask(held.question()).await.unwrap();
    let mut program = person("workflow:ci");
    program.via = Via::Token;
    program.roles = Role::ALL.into();
    let mut outsider = person(OTHER);
    outsider.groups.clear();
    let mut viewer = person(OTHER);
    viewer.roles = [Role::Viewer].into();
    let launcher = person(LAUNCHER);
    for who in [&program, &outsider, &viewer, &launcher] {
        let error = registry.approve(&asked.id, who, None).await.unwrap_err();
        assert!(matches!(error, RuleError::NotTheirs(_)), "{error}");
    }
    for who in [&program, &outsider, &viewer] {
        let error = registry.deny(&asked.id, who, "no").await.unwrap_err();
        assert!(matches!(error, RuleError::NotTheirs(_)), "{error}");
    }
    let error = registry.approve(&asked.id, &launcher, None).await;
    assert!(matches!(
        error,
        Err(RuleError::NotTheirs(NotTheirs::OwnRun { .. }))
    ));
    assert_eq!(*asked.standing.borrow(), Standing::Open);
    assert!(held.effects().is_empty());
}

#[tokio::test]
async fn what_nobody_decides_or_uses_in_time_lapses_and_that_is_recorded() {
    let held = Held::with(|house| {
        house.approvals.decide_within = Duration::from_millis(400);
        house.approvals.use_within = Duration::from_millis(400);
    })
    .await;
    let registry = &held.running.registry;
    let mut asked = registry.ask(held.question()).await.unwrap();
    let changed = tokio::time::timeout(Duration::from_secs(5), asked.standing.changed());
    changed.await.unwrap().unwrap();
    assert_eq!(*asked.standing.borrow(), Standing::Lapsed);
    let record = held.records().pop().unwrap();
    assert_eq!(record["approval"]["effect"], "lapse");
    assert!(record["approval"]["by"].is_null());
    let late = registry.approve(&asked.id, &person(OTHER), None).await;
    assert!(matches!(late, Err(RuleError::Over { .. })));

    let second = registry.ask(held.question()).await.unwrap();
    assert_ne!(second.id, asked.id);
    registry
        .approve(&second.id, &person(OTHER), None)
        .await
        .unwrap();
    soon("the approval lapses", || {
        registry.approval(&second.id).unwrap().state == ApprovalState::Lapsed
    })
    .await;
    assert!(registry.take(&second.id).is_none(), "too late");
    soon("and that is recorded", || {
        held.effects() == ["lapse", "approve", "lapse"]
    })
    .await;
    // A no is remembered as long as a question is open, and not longer.
    let third = registry.ask(held.question()).await.unwrap();
    registry
        .deny(&third.id, &person(OTHER), "no")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_ne!(registry.ask(held.question()).await.unwrap().id, third.id);
}

#[tokio::test]
async fn no_question_outlives_its_run() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let short = Opening {
        ttl: Some(Duration::from_secs(60)),
        ..opening("sweep")
    };
    let run = registry.open_run(short).await.unwrap().run;
    let asked = registry.ask(question(&run)).await.unwrap();
    assert_eq!(asked.expires, run.time_box.expires);
    let shown = registry.approve(&asked.id, &person(OTHER), None).await;
    assert_eq!(shown.unwrap().usable_until, Some(run.time_box.expires));
}

#[tokio::test]
async fn a_run_that_ends_voids_what_it_asked_before_it_is_closed() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let open = registry.ask(held.question()).await.unwrap();
    let approved = registry.ask(other_text(&held.question(), 1)).await.unwrap();
    let denied = registry.ask(other_text(&held.question(), 2)).await.unwrap();
    registry
        .approve(&approved.id, &person(OTHER), None)
        .await
        .unwrap();
    registry
        .deny(&denied.id, &person(OTHER), "no")
        .await
        .unwrap();
    registry.end(&held.run.id, Ending::Revoked).await.unwrap();
    assert_eq!(
        held.running.types(held.run.id),
        [
            "run.opened",
            "call.held",
            "call.held",
            "call.held",
            "approval.decided",
            "approval.decided",
            "approval.decided",
            "approval.decided",
            "run.closed",
        ]
    );
    assert_eq!(held.effects(), ["approve", "deny", "lapse", "lapse"]);
    for asked in [&open, &approved] {
        assert_eq!(*asked.standing.borrow(), Standing::Lapsed);
        assert!(registry.take(&asked.id).is_none());
        let late = registry.approve(&asked.id, &person(OTHER), None).await;
        assert!(matches!(late, Err(RuleError::Over { .. })));
    }
    let again = registry.ask(held.question()).await;
    assert!(matches!(again, Err(AskError::NotLive)));
    // They can still be looked at.
    assert_eq!(registry.approvals(WhichApprovals::All).len(), 3);
}

#[tokio::test]
async fn a_run_that_may_not_act_for_now_has_no_questions_either() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let asked = registry.ask(held.question()).await.unwrap();
    registry.void_questions(held.run.id).await;
    assert_eq!(held.effects(), ["lapse"]);
    assert_eq!(*asked.standing.borrow(), Standing::Lapsed);
    // Once it may act again, it may ask again.
    let again = registry.ask(held.question()).await.unwrap();
    assert_ne!(again.id, asked.id);
}

#[tokio::test]
async fn questions_that_a_gateway_left_open_are_closed_by_the_next() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let open = registry.ask(held.question()).await.unwrap();
    let used = registry.ask(other_text(&held.question(), 1)).await.unwrap();
    let denied = registry.ask(other_text(&held.question(), 2)).await.unwrap();
    let who = person(OTHER);
    registry.approve(&used.id, &who, None).await.unwrap();
    registry.deny(&denied.id, &who, "no").await.unwrap();
    let Held {
        house,
        running,
        run,
    } = held;
    running.crash();
    let running = house.start().await;
    let held = Held {
        house,
        running,
        run,
    };
    // The one that was approved was not made either.
    assert_eq!(held.effects(), ["approve", "deny", "lapse", "lapse"]);
    assert_eq!(held.records().last().unwrap()["type"], "run.closed");
    let registry = &held.running.registry;
    assert!(registry.approval(&open.id).is_none());
    assert!(
        registry.take(&used.id).is_none(),
        "no run outlives its gateway"
    );
}

#[tokio::test]
async fn nobody_is_worn_down_or_drowned() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let mut asked = 0;
    for number in 0..APPROVALS_OPEN_OF_RUN_MAX {
        registry
            .ask(other_text(&held.question(), number))
            .await
            .unwrap();
        asked += 1;
    }
    let error = registry.ask(held.question()).await.unwrap_err();
    assert!(matches!(error, AskError::TooMany(16)), "{error}");
    // Another run is not held up by it.
    let other = open(&held.running).await;
    registry.ask(question(&other)).await.unwrap();
    while asked < APPROVALS_ASKED_MAX {
        for shown in registry.approvals(WhichApprovals::Open) {
            if shown.run == held.run.id {
                let denied = registry.deny(&shown.id, &person(OTHER), "no").await;
                denied.unwrap();
            }
        }
        let next = other_text(&held.question(), asked);
        registry.ask(next).await.unwrap();
        asked += 1;
    }
    for shown in registry.approvals(WhichApprovals::Open) {
        let denied = registry.deny(&shown.id, &person(OTHER), "no").await;
        denied.unwrap();
    }
    let error = registry
        .ask(other_text(&held.question(), 1_000))
        .await
        .unwrap_err();
    assert!(matches!(error, AskError::TooOften(100)), "{error}");
    // What was answered still has its answer.
    let known = registry.ask(other_text(&held.question(), 1)).await;
    assert!(matches!(
        *known.unwrap().standing.borrow(),
        Standing::Denied { .. }
    ));
}

#[tokio::test]
async fn only_one_of_those_who_come_at_once_decides_and_one_call_is_made() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let asked = registry.ask(held.question()).await.unwrap();
    let who = person(OTHER);
    let (yes, no) = tokio::join!(
        registry.approve(&asked.id, &who, None),
        registry.deny(&asked.id, &who, "no")
    );
    assert!(yes.is_ok() != no.is_ok());
    assert_eq!(held.effects().len(), 1);

    let asked = registry.ask(other_text(&held.question(), 1)).await.unwrap();
    registry.approve(&asked.id, &who, None).await.unwrap();
    let takers: Vec<_> = (0..8)
        .map(|_| {
            let (registry, id) = (registry.clone(), asked.id);
            std::thread::spawn(move || registry.take(&id).is_some())
        })
        .collect();
    let taken = takers.into_iter().filter_map(|taker| taker.join().ok());
    assert_eq!(taken.filter(|taken| *taken).count(), 1);
}

#[tokio::test]
async fn nothing_is_decided_that_cannot_be_recorded() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let asked = registry.ask(held.question()).await.unwrap();
    held.running.log.close();
    let error = registry
        .approve(&asked.id, &person(OTHER), None)
        .await
        .unwrap_err();
    assert!(matches!(error, RuleError::Record(_)), "{error}");
    let error = registry.deny(&asked.id, &person(OTHER), "no").await;
    assert!(matches!(error, Err(RuleError::Record(_))));
    assert_eq!(*asked.standing.borrow(), Standing::Open);
    assert!(registry.take(&asked.id).is_none());
    let other = registry.ask(other_text(&held.question(), 1)).await;
    assert!(matches!(other, Err(AskError::Record(_))));
    assert_eq!(registry.approvals(WhichApprovals::All).len(), 1);
    assert!(held.house.dir.path().exists());
}

#[tokio::test]
async fn what_the_agent_wrote_is_for_those_who_are_asked_and_looking_is_recorded() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let asked = registry.ask(held.question()).await.unwrap();
    let views = || {
        let entries = held.running.log.reader().gateway().unwrap();
        let views = entries
            .iter()
            .filter_map(|entry| entry.record.viewed.clone());
        views.collect::<Vec<_>>()
    };
    let mut outsider = person("human:nobody@acme.com");
    outsider.groups.clear();
    registry
        .agent_words(&asked.id, &outsider)
        .await
        .unwrap_err();
    assert!(views().is_empty());
    outsider.roles = [Role::Auditor].into();
    for who in [outsider, person(OTHER), person(LAUNCHER)] {
        let words = registry.agent_words(&asked.id, &who).await.unwrap();
        assert_eq!(words.payload.unwrap()["text"], "DELETE FROM drafts");
        let view = views().pop().unwrap();
        assert_eq!(view.by, who.name.as_str());
        assert_eq!(
            (view.chain, view.from, view.to),
            (held.run.id.to_string(), 2, 2)
        );
    }
    // Not without that record.
    held.running.log.close();
    let words = registry.agent_words(&asked.id, &person(OTHER)).await;
    assert_eq!(words.unwrap().payload, None);
}

#[tokio::test]
async fn what_destroys_is_shown_before_a_long_list_of_harmless_actions() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let read = |number| {
        let table = Resource::table("public", format!("t{number}"));
        Action::new(Verb::Select, table)
    };
    let mut call = held.question();
    let destroys = call.actions.pop().unwrap();
    call.actions = (0..100).map(read).collect();
    call.actions.push(destroys);
    let asked = registry.ask(call).await.unwrap();
    let shown = registry.approval(&asked.id).unwrap();
    assert_eq!(shown.actions[0], "delete public.drafts");
    assert_eq!((shown.actions.len(), shown.more_actions), (64, 37));
}

#[tokio::test]
async fn people_elsewhere_are_told_what_is_understood_and_not_what_was_written() {
    let (asked_of, silent) = (Receiver::new(204), Receiver::new(204));
    let held = Held::with(|house| {
        house.notices.console = Some("https://bailiwick.acme.example".into());
        house.notices.sinks = vec![asked_of.sink("hook"), silent.sink("other")];
        house.approvals.notify = vec!["hook".into()];
    })
    .await;
    let asked = held.running.registry.ask(held.question()).await.unwrap();
    soon("it is told", || asked_of.count() == 1).await;
    let got = asked_of.got.lock().unwrap()[0].clone();
    assert_eq!(got.field("webhook-id"), asked.id.to_string());
    for part in [
        "call.held",
        &format!("https://bailiwick.acme.example/approvals/{}", asked.id),
        "delete public.drafts",
        "group:data-owners",
        &format!("sweep waits for group:data-owners: DELETE on tickets, for {LAUNCHER}"),
    ] {
        assert!(got.body.contains(part), "{part}: {}", got.body);
    }
    assert!(!got.body.contains("DELETE FROM"), "{}", got.body);
    // Joining tells nobody again.
    held.running.registry.ask(held.question()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((asked_of.count(), silent.count()), (1, 0));
}

#[tokio::test]
async fn there_is_no_approval_for_a_run_that_nobody_opened() {
    let held = Held::new().await;
    let registry = &held.running.registry;
    let nobody = crate::testing::run_of(LAUNCHER);
    let asked = registry.ask(question(&nobody)).await;
    assert!(matches!(asked, Err(AskError::NotLive)));
    let id = bailiwick_run::ApprovalId::new(crate::clock::now(), [9; 10]);
    assert!(registry.take(&id).is_none());
    let error = registry.approve(&id, &person(OTHER), None).await;
    assert!(matches!(error, Err(RuleError::NoSuch(_))));
}
