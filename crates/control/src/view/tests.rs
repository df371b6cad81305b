use std::time::Duration;

use bailiwick_action::{
    Action, Call, Decision, Denial, Fingerprint, FingerprintKey, Payload, Resource, Verb,
};
use bailiwick_audit::{Draft, Event, Outcome, State, Subject};
use bailiwick_run::{ApprovalId, Ending, Run, RunId, Time};
use serde_json::json;

use super::{Chain, Change, ViewError};
use crate::api::{
    ActivityQuery, IncidentQuery, RunIncidents, RunQuery, RunState, Search, TrailRecord, Which,
};
use crate::people::{Person, Role, Via};
use crate::registry::Opening;
use crate::testing::{House, Running, opening};

fn person(name: &str, roles: &[Role], groups: &[&str]) -> Person {
    Person {
        name: name.parse().unwrap(),
        also: [].into(),
        roles: roles.iter().copied().collect(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        via: Via::Local,
    }
}

fn auditor() -> Person {
    person("human:olga@acme.com", &[Role::Auditor], &[])
}

fn action(table: &str) -> Action {
    Action::new(Verb::Select, Resource::table("public", table))
}

fn fingerprint() -> Fingerprint {
    let call = Call {
        protocol: "postgres",
        verb: "SELECT".into(),
        actions: vec![],
        refusal: None,
        payload: Payload::default(),
    };
    Fingerprint::of(&FingerprintKey::new([1; 32]), &call)
}

/// Records of one run.
struct Of<'a> {
    running: &'a Running,
    run: Run,
}

impl Of<'_> {
    async fn append(&self, event: Event, payload: Option<serde_json::Value>) -> u64 {
        let draft = Draft {
            event,
            subject: Subject::Run(self.run.clone()),
            payload: payload.map(|payload| payload.to_string().into_bytes()),
        };
        self.running.log.append(draft).await.unwrap().seq()
    }

    async fn decided(&self, target: &str, decision: Decision, text: &str) -> u64 {
        let event = Event::CallDecided {
            target: target.into(),
            protocol: "postgres",
            verb: "SELECT".into(),
            actions: vec![action("tickets")],
            fingerprint: fingerprint(),
            decision,
            policy_digest: "sha256:0".into(),
        };
        self.append(event, Some(json!({ "text": text }))).await
    }

    async fn denied(&self, target: &str, why: &str) -> u64 {
        let denial = Denial {
            policies: vec![],
            reason: why.into(),
            remedy: "ask for it".into(),
        };
        self.decided(target, Decision::Deny(denial), "SELECT secretword")
            .await
    }

    async fn allowed(&self, policies: &[&str]) -> u64 {
        let decision = Decision::Allow {
            policies: policies.iter().map(|policy| (*policy).to_owned()).collect(),
            approval: None,
        };
        self.decided("tickets", decision, "SELECT plainword").await
    }

    async fn held(&self, approvers: &[&str]) -> u64 {
        let event = Event::CallHeld {
            target: "tickets".into(),
            protocol: "postgres",
            verb: "DELETE".into(),
            actions: vec![action("drafts")],
            fingerprint: fingerprint(),
            approval: ApprovalId::new(Time::from_millis(1), [1; 10]),
            approvers: approvers.iter().map(|name| (*name).to_owned()).collect(),
            expires: Time::from_millis(1_700_000_000_000),
            policy_digest: "sha256:0".into(),
        };
        self.append(event, Some(json!({ "text": "DELETE heldword" })))
            .await
    }

    async fn masked(&self, of: u64, target: &str, masked: u64) {
        let outcome = Outcome {
            state: State::Ok,
            rows: 1,
            bytes: 1,
            digest: None,
            masked,
            error: None,
            micros: 1,
        };
        let target = target.to_owned();
        self.append(
            Event::CallFinished {
                of,
                target,
                protocol: "postgres".into(),
                verb: "SELECT".into(),
                outcome,
            },
            None,
        )
        .await;
    }
}

async fn open<'a>(running: &'a Running, task: &str) -> Of<'a> {
    let opened = running.registry.open_run(opening(task)).await.unwrap();
    Of {
        running,
        run: opened.run,
    }
}

/// Waits until everything is in the index that is in the log.
async fn indexed(running: &Running) {
    let search = Search {
        limit: Some(1),
        ..Search::default()
    };
    let answer = running.registry.search(search, &auditor()).await.unwrap();
    assert!(answer.complete);
}

async fn incidents(running: &Running, query: IncidentQuery) -> (Vec<RunIncidents>, Option<u64>) {
    indexed(running).await;
    let found = running.registry.incidents(query).await.unwrap();
    (found.runs, found.next)
}

fn runs(found: &[RunIncidents]) -> Vec<Option<RunId>> {
    found.iter().map(|incidents| incidents.run).collect()
}

#[tokio::test]
async fn what_was_denied_comes_first_by_run_the_newest_before_the_others() {
    let house = House::new();
    let running = house.start().await;
    let (one, two, quiet) = (
        open(&running, "triage").await,
        open(&running, "sweep").await,
        open(&running, "sweep").await,
    );
    quiet.allowed(&[]).await;
    for number in 0..7 {
        one.denied("tickets", &format!("outside {number}")).await;
    }
    two.denied("billing", "elsewhere").await;
    let (found, next) = incidents(&running, IncidentQuery::default()).await;
    assert_eq!(runs(&found), [Some(two.run.id), Some(one.run.id)]);
    assert_eq!(next, None);
    let [of_two, of_one] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((of_two.denied, of_one.denied), (1, 7));
    assert_eq!(of_one.task.as_deref(), Some("triage"));
    assert_eq!(of_one.launcher.as_deref(), Some("human:root@localhost"));
    assert_eq!(of_one.state, Some(RunState::Open));
    // A handful, the newest first, with what to know of each.
    let reasons: Vec<_> = of_one
        .newest
        .iter()
        .filter_map(|denied| denied.reason.clone())
        .collect();
    assert_eq!(
        reasons,
        [
            "outside 6",
            "outside 5",
            "outside 4",
            "outside 3",
            "outside 2"
        ]
    );
    let newest = &of_one.newest[0];
    assert_eq!(newest.id, format!("{}/8", one.run.id));
    assert_eq!(newest.kind, "call.decided");
    assert_eq!(newest.target.as_deref(), Some("tickets"));
    assert_eq!(newest.actions, ["select public.tickets"]);
    assert_eq!(newest.remedy.as_deref(), Some("ask for it"));

    // One that was denied something again is first again; a refused launcher and a signal are incidents, too.
    one.denied("billing", "again").await;
    let refused = Opening {
        launcher: "human:mallory@elsewhere".parse().unwrap(),
        ..opening("triage")
    };
    running.registry.open_run(refused).await.unwrap_err();
    let signal = Event::SignalRaised {
        signal: "noisy".into(),
        rule: "denials",
        of: format!("{}/9", one.run.id),
        actions: vec!["notify"],
    };
    quiet.append(signal, None).await;
    let (found, _) = incidents(&running, IncidentQuery::default()).await;
    let (quiet_id, one_id, two_id) = (quiet.run.id, one.run.id, two.run.id);
    assert_eq!(
        runs(&found),
        [Some(quiet_id), None, Some(one_id), Some(two_id)]
    );
    assert_eq!(
        (found[0].denied, &*found[0].newest[0].kind),
        (0, "signal.raised")
    );
    assert!(
        found[0].newest[0]
            .reason
            .as_ref()
            .unwrap()
            .contains("noisy")
    );
    assert_eq!((found[1].denied, found[1].task.as_ref()), (1, None));

    let only = async |change: fn(&mut IncidentQuery)| {
        let mut query = IncidentQuery::default();
        change(&mut query);
        incidents(&running, query).await
    };
    let (found, _) = only(|query| query.task = Some("sweep".into())).await;
    assert_eq!(runs(&found), [Some(quiet_id), Some(two_id)]);
    let (found, _) = only(|query| query.launcher = Some("human:nobody@localhost".into())).await;
    assert_eq!(runs(&found), []);
    // At a target: what was denied there alone.
    let (found, _) = only(|query| query.target = Some("billing".into())).await;
    assert_eq!(runs(&found), [Some(one_id), Some(two_id)]);
    assert_eq!((found[0].denied, found[0].newest.len()), (1, 1));
    let (found, _) = only(|query| query.target = Some("' OR 1=1".into())).await;
    assert_eq!(runs(&found), []);

    // Page by page it is the same.
    let mut pages = Vec::new();
    let mut query = IncidentQuery {
        limit: Some(1),
        ..IncidentQuery::default()
    };
    loop {
        let (found, next) = incidents(&running, query.clone()).await;
        pages.extend(runs(&found));
        query.before = next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(pages, [Some(quiet_id), None, Some(one_id), Some(two_id)]);
    // Of a run that has ended it is said.
    running.registry.end(&two_id, Ending::Closed).await.unwrap();
    let (found, _) = only(|query| query.task = Some("sweep".into())).await;
    assert_eq!(found[1].state, Some(RunState::Ended));
}

#[tokio::test]
async fn calls_are_counted_over_time() {
    let house = House::new();
    let running = house.start().await;
    let (one, two) = (
        open(&running, "triage").await,
        open(&running, "sweep").await,
    );
    for _ in 0..3 {
        let call = one.allowed(&[]).await;
        one.masked(call, "tickets", 1).await;
    }
    one.denied("tickets", "no").await;
    one.held(&["group:owners"]).await;
    two.allowed(&[]).await;
    indexed(&running).await;
    let count = async |query: ActivityQuery| {
        let activity = running.registry.activity(query).await.unwrap();
        let sum = |of: fn(&crate::api::Part) -> u64| activity.parts.iter().map(of).sum::<u64>();
        (
            (
                sum(|part| part.allowed),
                sum(|part| part.denied),
                sum(|part| part.held),
            ),
            activity,
        )
    };
    let (all, activity) = count(ActivityQuery::default()).await;
    assert_eq!(all, (4, 1, 1));
    assert!(
        (60..=61).contains(&activity.parts.len()),
        "{}",
        activity.parts.len()
    );
    let of = |run: &Of<'_>, parts| ActivityQuery {
        run: Some(run.run.id.to_string()),
        parts: Some(parts),
        ..ActivityQuery::default()
    };
    // In whatever parts.
    for parts in [1, 7, 60, 240] {
        assert_eq!(count(of(&one, parts)).await.0, (3, 1, 1), "{parts}");
        assert_eq!(count(of(&two, parts)).await.0, (1, 0, 0), "{parts}");
        let all = ActivityQuery {
            parts: Some(parts),
            since: Some(Time::from_millis(0)),
            ..ActivityQuery::default()
        };
        assert_eq!(count(all).await.0, (4, 1, 1), "{parts}");
    }
    let before = ActivityQuery {
        until: Some(Time::from_millis(1_000)),
        ..ActivityQuery::default()
    };
    assert_eq!(count(before).await.0, (0, 0, 0));
    for (wrong, says) in [
        (
            ActivityQuery {
                parts: Some(0),
                ..ActivityQuery::default()
            },
            "1 to 240",
        ),
        (
            ActivityQuery {
                parts: Some(241),
                ..ActivityQuery::default()
            },
            "1 to 240",
        ),
        (
            ActivityQuery {
                run: Some("x".into()),
                ..ActivityQuery::default()
            },
            "`x` is",
        ),
        (
            ActivityQuery {
                since: Some(Time::from_millis(5)),
                until: Some(Time::from_millis(5)),
                ..ActivityQuery::default()
            },
            "ends before",
        ),
        (
            ActivityQuery {
                since: Some(Time::from_millis(1_800_000)),
                until: Some(Time::from_millis(253_402_300_799_000)),
                parts: Some(1),
                ..ActivityQuery::default()
            },
            "year 9999",
        ),
    ] {
        let error = running
            .registry
            .activity(wrong)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn what_was_granted_and_never_used_is_known() {
    let house = House::new();
    house.write_task(
        "wide",
        "[[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\", \"public.comments\"]\n\
         [[write]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\nverbs = [\"update\"]\n\
         columns = [\"priority\"]\n",
    );
    let running = house.start().await;
    let run = open(&running, "wide").await;
    let session = "task:wide/session/tickets";
    let call = run
        .allowed(&["task:wide/read-1/public.tickets", session])
        .await;
    run.masked(call, "tickets", 3).await;
    let call = run.allowed(&["task:wide/read-1/public.tickets"]).await;
    run.masked(call, "tickets", 4).await;
    let call = run.allowed(&[session]).await;
    run.masked(call, "tickets", 0).await;
    indexed(&running).await;
    let scope = async || {
        let scope = running.registry.run_scope(&run.run.id).await.unwrap();
        let scope = scope.unwrap();
        let used: Vec<_> = scope.used.clone().into_iter().collect();
        (scope, used)
    };
    let used = |name: &str, calls| (name.to_owned(), calls);
    let expected = [
        used("read-1/public.comments", 0),
        used("read-1/public.tickets", 2),
        used("write-1/public.tickets", 0),
    ];
    let (found, counted) = scope().await;
    assert_eq!(counted, expected);
    assert_eq!(found.masked, [("tickets".to_owned(), 7)].into());
    assert!(!found.changed);
    assert!(
        found
            .words
            .iter()
            .any(|line| line.text.contains("public.comments"))
    );

    // Locking is a policy of its own, and a use of the same entry.
    run.allowed(&["task:wide/write-1/public.tickets/lock"])
        .await;
    indexed(&running).await;
    assert_eq!(scope().await.1[2], used("write-1/public.tickets", 1));

    // It is the same of a run that has ended, and said if its task has changed since.
    let id = run.run.id;
    running.registry.end(&id, Ending::Closed).await.unwrap();
    indexed(&running).await;
    assert!(!scope().await.0.changed);
    drop(run);
    running.crash();
    house.write_task(
        "wide",
        "[[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\n",
    );
    let running = house.start().await;
    indexed(&running).await;
    let scope = running.registry.run_scope(&id).await.unwrap().unwrap();
    assert!(scope.changed);
    // What it did of what is granted no more is still told.
    let counted: Vec<_> = scope.used.into_iter().collect();
    assert_eq!(
        counted,
        [
            used("read-1/public.tickets", 2),
            used("write-1/public.tickets/lock", 1)
        ]
    );
    let nobody = RunId::new(Time::from_millis(1), [0; 10]);
    assert!(running.registry.run_scope(&nobody).await.unwrap().is_none());
}

#[tokio::test]
async fn runs_are_listed_by_what_they_are_page_by_page() {
    let house = House::new();
    let running = house.start().await;
    let mut ids = Vec::new();
    for number in 0..7 {
        let task = if number % 2 == 0 { "triage" } else { "sweep" };
        let opening = Opening {
            launcher: format!("human:user{}@localhost", number % 3)
                .parse()
                .unwrap(),
            ..opening(task)
        };
        ids.push(running.registry.open_run(opening).await.unwrap().run.id);
        // Ids sort by the millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    running.registry.end(&ids[0], Ending::Closed).await.unwrap();
    let listed = async |query: RunQuery| {
        let list = running.registry.runs(query).await.unwrap();
        let numbers: Vec<_> = list
            .runs
            .iter()
            .map(|run| ids.iter().position(|id| *id == run.run).unwrap())
            .collect();
        (numbers, list.next)
    };
    let query = RunQuery::default();
    assert_eq!(
        listed(query.clone()).await,
        (vec![6, 5, 4, 3, 2, 1, 0], None)
    );
    let with = |change: fn(&mut RunQuery)| {
        let mut query = RunQuery::default();
        change(&mut query);
        query
    };
    for (query, expected) in [
        (with(|q| q.state = Which::Ended), vec![0]),
        (with(|q| q.state = Which::Open), vec![6, 5, 4, 3, 2, 1]),
        (with(|q| q.task = Some("sweep".into())), vec![5, 3, 1]),
        (
            with(|q| q.launcher = Some("human:user1@localhost".into())),
            vec![4, 1],
        ),
        (with(|q| q.words = Some("SWEEP user2".into())), vec![5]),
        (with(|q| q.words = Some("%".into())), vec![]),
        (with(|q| q.words = Some("' OR 1=1 --".into())), vec![]),
        (with(|q| q.task = Some("' OR 1=1 --".into())), vec![]),
    ] {
        assert_eq!(listed(query.clone()).await.0, expected, "{query:?}");
    }
    let mut query = with(|q| q.limit = Some(3));
    let mut pages = Vec::new();
    loop {
        let (numbers, next) = listed(query.clone()).await;
        pages.push(numbers);
        query.before = next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec![6, 5, 4], vec![3, 2, 1], vec![0]]);
    let many = with(|q| q.words = Some("a ".repeat(33)));
    assert!(matches!(
        running.registry.runs(many).await,
        Err(ViewError::Query(_))
    ));
}

#[tokio::test]
async fn whoever_listens_hears_what_has_changed() {
    let house = House::new();
    let running = house.start().await;
    indexed(&running).await;
    let mut changes = running.registry.changes();
    let mut late = running.registry.changes();
    let run = open(&running, "triage").await;
    // By itself, without anybody asking for anything.
    let heard = tokio::time::timeout(Duration::from_secs(5), changes.next());
    let only = |runs: &[RunId], gateway| Change::Some {
        runs: runs.iter().copied().collect(),
        gateway,
    };
    assert_eq!(*heard.await.unwrap().unwrap(), only(&[run.run.id], false));
    let refused = Opening {
        launcher: "human:mallory@elsewhere".parse().unwrap(),
        ..opening("triage")
    };
    running.registry.open_run(refused).await.unwrap_err();
    assert_eq!(*changes.next().await.unwrap(), only(&[], true));

    for _ in 0..200 {
        run.allowed(&[]).await;
        indexed(&running).await;
    }
    assert_eq!(*late.next().await.unwrap(), Change::Everything);
    assert_eq!(*late.next().await.unwrap(), only(&[run.run.id], false));
    // Made anew, it may all look different.
    let mut changes = running.registry.changes();
    running.registry.index().rebuild();
    let all = async { while *changes.next().await.unwrap() != Change::Everything {} };
    let heard = tokio::time::timeout(Duration::from_secs(5), all).await;
    assert!(heard.is_ok());
}

/// What is in the gateway's own chain about views of payloads: who, whose, from, to.
fn views(running: &Running) -> Vec<(String, String, u64, u64)> {
    let gateway = running.log.reader().gateway().unwrap();
    let viewed = gateway.into_iter().filter_map(|entry| entry.record.viewed);
    viewed
        .map(|viewed| (viewed.by, viewed.chain, viewed.from, viewed.to))
        .collect()
}

fn payload(record: &TrailRecord) -> Option<String> {
    Some(record.payload.as_ref()?.to_string())
}

#[tokio::test]
async fn a_payload_is_shown_to_whoever_may_see_it_and_never_without_a_record() {
    let house = House::new();
    let running = house.start().await;
    let registry = &running.registry;
    let run = open(&running, "triage").await;
    let chain = Chain::Run(run.run.id);
    run.allowed(&[]).await;
    run.held(&["group:owners", "group:others"]).await;
    let denied = run.denied("tickets", "no").await;
    let count = async |who: Option<&Person>| {
        let trail = registry.trail(chain, 0, who).await.unwrap().unwrap();
        assert_eq!(trail.records.len(), 4);
        let shown: Vec<_> = trail.records.iter().filter_map(payload).collect();
        (shown, trail.records)
    };
    let name = |name: &str| name.to_owned();

    // Left out, they are not asked for, and nothing is on record.
    let (shown, records) = count(None).await;
    assert!(shown.is_empty());
    assert!(
        records[1]
            .payload_missing
            .as_ref()
            .unwrap()
            .contains("not asked for")
    );
    assert_eq!(records[0].payload_missing, None, "it has none");
    assert!(views(&running).is_empty());

    // Whoever may look and no more gets the records alone.
    for role in [Role::Viewer, Role::Operator] {
        let (shown, records) =
            count(Some(&person("human:eve@acme.com", &[role], &["owners"]))).await;
        assert!(shown.is_empty(), "{role}");
        assert!(
            records[1]
                .payload_missing
                .as_ref()
                .unwrap()
                .contains("`auditor`")
        );
    }
    assert!(views(&running).is_empty());

    // An approver sees what is put to them, and only if it is.
    let stranger = person("human:bob@acme.com", &[Role::Approver], &["nobodies"]);
    assert!(count(Some(&stranger)).await.0.is_empty());
    let owner = person("human:bob@acme.com", &[Role::Approver], &["owners"]);
    let (shown, _) = count(Some(&owner)).await;
    assert_eq!(shown.len(), 1);
    assert!(shown[0].contains("heldword"));
    let id = run.run.id.to_string();
    let mut expected = vec![(name("human:bob@acme.com"), id.clone(), 3, 3)];
    assert_eq!(views(&running), expected);

    for (role, by) in [
        (Role::Auditor, "human:olga@acme.com"),
        (Role::Admin, "human:adam@acme.com"),
    ] {
        assert_eq!(count(Some(&person(by, &[role], &[]))).await.0.len(), 3);
        expected.push((name(by), id.clone(), 2, 4));
        assert_eq!(views(&running), expected);
    }
    let record = registry
        .record(chain, denied, Some(&auditor()))
        .await
        .unwrap()
        .unwrap();
    assert!(payload(&record).unwrap().contains("secretword"));
    expected.push((name("human:olga@acme.com"), id.clone(), 4, 4));
    assert_eq!(views(&running), expected);
    let record = registry
        .record(chain, 1, Some(&auditor()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((record.payload, record.payload_missing), (None, None));
    assert_eq!(views(&running), expected);
    assert!(
        registry
            .record(chain, 5, Some(&auditor()))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        registry
            .record(chain, 0, Some(&auditor()))
            .await
            .unwrap()
            .is_none()
    );
    // The gateway's own trail holds those records, and looking at it makes no more of them.
    for _ in 0..2 {
        let trail = registry
            .trail(Chain::Gateway, 0, Some(&auditor()))
            .await
            .unwrap();
        assert_eq!(trail.unwrap().records.len(), expected.len());
    }

    // Where that cannot be recorded, the records are shown without.
    running.log.close();
    for who in [&owner, &auditor()] {
        let (shown, records) = count(Some(who)).await;
        assert!(shown.is_empty());
        let missing = records[2].payload_missing.as_ref().unwrap();
        assert!(missing.contains("could not be recorded"), "{missing}");
        assert_eq!(records[0].payload_missing, None);
        let record = registry.record(chain, 3, Some(who)).await.unwrap().unwrap();
        assert_eq!(record.payload, None);
    }
    let error = registry.viewed(&owner, chain, 1, 2).await.unwrap_err();
    assert!(matches!(error, ViewError::Record(_)), "{error}");
    assert!(count(None).await.0.is_empty());
}

#[tokio::test]
async fn nobody_learns_by_searching_what_they_may_not_see() {
    let house = House::new();
    let running = house.start().await;
    let run = open(&running, "triage").await;
    run.denied("tickets", "outside").await;
    indexed(&running).await;
    let hits = async |words: &str, roles: &[Role]| {
        let search = Search {
            words: Some(words.into()),
            run: Some(run.run.id.to_string()),
            ..Search::default()
        };
        let who = person("human:eve@acme.com", roles, &["owners"]);
        running
            .registry
            .search(search, &who)
            .await
            .unwrap()
            .hits
            .len()
    };
    for words in ["secretword", "secret*", "outside secretword", "s*"] {
        assert_eq!(hits(words, &[Role::Auditor]).await, 1, "{words}");
        for role in [Role::Viewer, Role::Operator, Role::Approver] {
            let found = hits(words, &[role]).await;
            // Other words of the record begin with an s.
            assert_eq!(found, usize::from(words == "s*"), "{words} {role}");
        }
    }
    assert_eq!(hits("outside", &[Role::Viewer]).await, 1);
    for hostile in [
        "secretword) OR (payload:x",
        "\"} : secretword",
        "payload:secretword",
        "{payload}:secretword",
    ] {
        assert_eq!(hits(hostile, &[Role::Viewer]).await, 0, "{hostile}");
    }
    // That the auditor looked is on record, with what for apart from it; that others did is not.
    let searched = || {
        let gateway = running.log.reader().gateway().unwrap().into_iter();
        gateway.filter(|entry| entry.record.r#type == "payloads.searched")
    };
    assert_eq!(searched().count(), 4);
    let first = searched().next().unwrap();
    assert_eq!(first.record.by.as_deref(), Some("human:eve@acme.com"));
    assert!(!String::from_utf8_lossy(&first.bytes).contains("secretword"));
    let payload = running.log.reader().payload(&first).unwrap().unwrap();
    assert!(String::from_utf8_lossy(&payload).contains("secretword"));
    // It is not found by what was looked for.
    let auditor = person("human:eve@acme.com", &[Role::Auditor], &[]);
    let everywhere = Search {
        words: Some("secretword".into()),
        ..Search::default()
    };
    let found = running.registry.search(everywhere.clone(), &auditor).await;
    assert_eq!(found.unwrap().hits.len(), 1);
    // Without words nothing of payloads is searched. And what cannot be recorded is not searched.
    let all = running.registry.search(Search::default(), &auditor).await;
    all.unwrap();
    assert_eq!(searched().count(), 5);
    running.log.close();
    let error = running.registry.search(everywhere, &auditor).await;
    assert!(matches!(error, Err(ViewError::Record(_))), "{error:?}");
}

#[tokio::test]
async fn a_trail_is_the_same_with_the_index_and_without() {
    let house = House::new();
    let running = house.start().await;
    let (one, two) = (
        open(&running, "triage").await,
        open(&running, "sweep").await,
    );
    for number in 0..700 {
        one.allowed(&[]).await;
        if number % 3 == 0 {
            two.denied("tickets", "no").await;
        }
    }
    let seqs = async |running: &Running, chain: Chain, after: u64| {
        let trail = running.registry.trail(chain, after, None).await.unwrap();
        let trail = trail.unwrap();
        let seqs: Vec<u64> = trail.records.iter().map(|record| record.seq).collect();
        assert!(
            seqs.iter()
                .zip(after.saturating_add(1)..)
                .all(|(seq, expected)| *seq == expected)
        );
        (seqs.len(), trail.more)
    };
    let check = async |running: &Running| {
        let one = Chain::Run(one.run.id);
        assert_eq!(seqs(running, one, 0).await, (500, true));
        assert_eq!(seqs(running, one, 201).await, (500, false));
        assert_eq!(seqs(running, one, 500).await, (201, false));
        assert_eq!(seqs(running, one, 701).await, (0, false));
        assert_eq!(seqs(running, one, u64::MAX).await, (0, false));
        assert_eq!(seqs(running, Chain::Run(two.run.id), 0).await, (235, false));
        let record = running.registry.record(one, 333, Some(&auditor())).await;
        let record = record.unwrap().unwrap();
        assert_eq!(record.id, format!("{one}/333"));
        assert!(payload(&record).unwrap().contains("plainword"));
        let nobody = Chain::Run(RunId::new(Time::from_millis(1), [0; 10]));
        assert!(
            running
                .registry
                .trail(nobody, 0, None)
                .await
                .unwrap()
                .is_none()
        );
    };
    indexed(&running).await;
    check(&running).await;
    // One that says of records where they are not is not believed.
    let path = crate::index::Index::path(&house.data());
    let shift = |by: i64| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .execute("UPDATE record SET id = id + 100000 + ?1", [by])
            .and_then(|_| connection.execute("UPDATE record SET id = id - 100000", []))
            .unwrap();
    };
    shift(1);
    check(&running).await;
    shift(-1);
    check(&running).await;
    // Nor is one that cannot answer waited for.
    let broken = rusqlite::Connection::open(&path).unwrap();
    broken.execute_batch("DROP TABLE chain").unwrap();
    check(&running).await;
}
