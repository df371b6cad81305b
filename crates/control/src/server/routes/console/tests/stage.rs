//! A gateway with runs that did something, and people who look at them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::AUTHORIZATION;
use bailiwick_action::{
    Action, Call, Class, Decision, Denial, Fingerprint, FingerprintKey, Payload,
};
use bailiwick_action::{Resource, Verb};
use bailiwick_audit::{Draft, Event, Outcome, State, Subject};
use bailiwick_policy::{Estimate, Question};
use bailiwick_run::{Confinement, Ending, Launcher, Run};
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use crate::api::Search;
use crate::index::Query;
use crate::people::{Named, People, PeopleSettings, Role, Roles};
use crate::registry::Opening;
use crate::server::guard::{Entrance, LocalTokens, LocalUser, Peer};
use crate::server::monitoring::{Monitoring, Watched};
use crate::server::{ServerSettings, routes};
use crate::testing::{House, Running};
use crate::token::Token;

pub(super) const ADMIN: &str = "human:alice@acme.com";
pub(super) const VIEWER: &str = "human:victor@acme.com";
pub(super) const OPERATOR: &str = "human:olga@acme.com";
pub(super) const APPROVER: &str = "human:bob@acme.com";

const TRIAGE: &str = r#"
task      = "triage-tickets"
purpose   = "Read new tickets and set their priority"
launchers = ["human:*@acme.com", "workflow:github:acme/support"]
ttl       = "30m"
[env]
DATABASE_URL = "tickets"
[[read]]
target = "tickets"
tables = ["public.tickets", "public.comments", "public.labels"]
[[write]]
target  = "tickets"
tables  = ["public.tickets"]
verbs   = ["update"]
columns = ["priority"]
[[destroy]]
target  = "tickets"
tables  = ["public.drafts"]
approve = "group:data-owners"
[[mask]]
target  = "tickets"
columns = ["public.tickets.email"]
"#;

const REPORT: &str = r#"
task      = "weekly-report"
purpose   = "Count last week's tickets by team"
launchers = ["workflow:github:acme/reports", "human:*@acme.com"]
ttl       = "10m"
[[read]]
target = "tickets"
tables = ["public.tickets", "public.teams"]
"#;

pub(super) struct Stage {
    /// Keeps the folder.
    house: House,
    pub(super) running: Running,
    pub(super) router: Router,
    token: Token,
}

/// One call, and what came of it.
pub(super) struct Did<'a> {
    pub(super) verb: &'a str,
    pub(super) actions: Vec<Action>,
    pub(super) sql: &'a str,
    pub(super) came: Came<'a>,
}

pub(super) enum Came<'a> {
    Rows(u64, u64),
    Error(&'a str),
    Denied(&'a str, &'a str),
}

pub(super) fn table(verb: Verb, name: &str, columns: &[&str]) -> Action {
    let (schema, name) = name.split_once('.').unwrap();
    Action::new(verb, Resource::table(schema, name)).with_columns(columns.iter().copied())
}

impl Stage {
    pub(super) async fn new() -> Self {
        let mut house = House::new();
        house.approvals.decide_within = Duration::from_secs(540);
        let write = |name: &str, text: &str| fs::write(house.dir.path().join(name), text).unwrap();
        write("tasks/triage-tickets.toml", TRIAGE);
        write("tasks/weekly-report.toml", REPORT);
        let running = house.start_as("acme.example/bailiwick").await;
        let named = |name: &str| vec![Named::People(name.parse().unwrap())];
        let roles = BTreeMap::from([
            (Role::Admin, named(ADMIN)),
            (Role::Viewer, named(VIEWER)),
            (Role::Operator, named(OPERATOR)),
            (Role::Approver, named(APPROVER)),
        ]);
        let owners = vec![APPROVER.parse().unwrap(), ADMIN.parse().unwrap()];
        let people = PeopleSettings {
            roles: Roles::new(
                Some(roles),
                BTreeMap::from([("data-owners".into(), owners)]),
            ),
            ..PeopleSettings::default()
        };
        let settings = ServerSettings {
            data: house.data(),
            shared: None,
            network: None,
            public_log: false,
            version: "0.1.0".into(),
            people: people.clone(),
        };
        Token::create(&house.data(), None).unwrap();
        let people = Arc::new(People::new(people).unwrap());
        let token = Token::read(&house.data()).unwrap();
        let registry = running.registry.clone();
        let watched = Watched::new(registry.clone(), Monitoring::default());
        let tokens = LocalTokens {
            own: token,
            shared: None,
        };
        let router = routes::router(registry, tokens, &settings, people, None, &watched);
        let token = Token::read(&house.data()).unwrap();
        let stage = Self {
            house,
            running,
            router,
            token,
        };
        // The index is there a moment after the gateway.
        stage.settle().await;
        stage
    }

    /// The gateway's own records of this type, as they are.
    pub(super) fn told(&self, kind: &str) -> Vec<String> {
        let gateway = self.running.log.reader().gateway().unwrap().into_iter();
        let told = gateway.filter(|entry| entry.record.r#type == kind);
        told.map(|entry| String::from_utf8(entry.bytes).unwrap())
            .collect()
    }

    /// Changes a record of this run where it is published, and leaves all that proves it.
    pub(super) async fn alter(&self, run: &str) {
        // A bundle that is full is not written again.
        for _ in 0..300 {
            let registry = &self.running.registry;
            registry.sign_in_denied("no".to_owned()).await.unwrap();
        }
        self.running.log.checkpoint_now().unwrap();
        let mut folders = vec![self.house.data().join("log/tile/entries")];
        let mut altered = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let mut bytes = fs::read(&path).unwrap();
                let own = format!("\"run\":\"{run}\"");
                let Some(at) = bytes
                    .windows(own.len())
                    .position(|part| part == own.as_bytes())
                else {
                    continue;
                };
                // Behind the run's name stands the `seq`; before it, in the same record, is its launcher.
                let launcher = b"\"launcher\":\"human:";
                let mut before = bytes[..at].windows(launcher.len());
                let found = before.rposition(|part| part == launcher).unwrap();
                bytes[found + launcher.len()] ^= 1;
                fs::write(&path, bytes).unwrap();
                altered += 1;
            }
        }
        assert!(altered > 0, "there was nothing to alter");
    }

    /// The router as this person has it, who comes over the control socket.
    pub(super) fn as_seen_by(&self, name: &'static str) -> Router {
        let header = self.token.header();
        self.router.clone().layer(axum::middleware::map_request(
            move |mut request: Request<Body>| {
                let header = header.clone();
                async move {
                    let name: Launcher = name.parse().unwrap();
                    request.extensions_mut().insert(Peer::Local(LocalUser {
                        entrance: Entrance::Own,
                        is_keeper: false,
                        name: Ok(name),
                    }));
                    request
                        .headers_mut()
                        .insert(AUTHORIZATION, header.parse().unwrap());
                    request
                }
            },
        ))
    }

    /// Asks, and returns the status, the headers as text, and the body.
    pub(super) async fn ask(
        &self,
        who: &'static str,
        request: Request<Body>,
    ) -> (u16, String, String) {
        let answer = TowerToHyperService::new(self.as_seen_by(who))
            .call(request)
            .await
            .unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let headers = format!("{:?}", head.headers);
        (
            head.status.as_u16(),
            headers,
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    pub(super) async fn get(&self, who: &'static str, path: &str) -> (u16, String) {
        let request = Request::get(path)
            .header("accept", "text/html")
            .body(Body::empty())
            .unwrap();
        let (status, _, body) = self.ask(who, request).await;
        (status, body)
    }

    pub(super) async fn post(
        &self,
        who: &'static str,
        path: &str,
        form: &str,
    ) -> (u16, String, String) {
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html")
            .body(Body::from(form.to_owned()))
            .unwrap();
        self.ask(who, request).await
    }

    pub(super) async fn open(&self, task: &str, launcher: &str, reason: Option<&str>) -> Run {
        let opening = Opening {
            task: task.into(),
            launcher: launcher.parse().unwrap(),
            ttl: None,
            reason: reason.map(str::to_owned),
            confinement: Confinement::GatewayOnly,
            attach: false,
        };
        self.running.registry.open_run(opening).await.unwrap().run
    }

    /// Records a call and its outcome, as the gateway would; returns its number.
    pub(super) async fn did(&self, run: &Run, did: Did<'_>) -> u64 {
        let call = Call {
            protocol: "postgres",
            verb: did.verb.into(),
            actions: did.actions,
            refusal: None,
            payload: Payload {
                text: did.sql.into(),
                values: Vec::new(),
            },
        };
        let live = self.running.registry.find(&run.id);
        let decision = match did.came {
            Came::Denied(reason, remedy) => {
                live.iter().for_each(|live| live.tally.deny());
                Decision::Deny(Denial {
                    policies: Vec::new(),
                    reason: reason.into(),
                    remedy: remedy.into(),
                })
            }
            Came::Rows(..) | Came::Error(_) => {
                live.iter().for_each(|live| live.tally.allow());
                let first = call.actions.first().map(|action| action.resource.clone());
                let name = first.map_or_else(String::new, |table| {
                    format!("{}.{}", table.schema.unwrap_or_default(), table.name)
                });
                let policy = if did.verb == "UPDATE" {
                    "write-1"
                } else {
                    "read-1"
                };
                Decision::Allow {
                    policies: vec![format!("task:{}/{policy}/{name}", run.task)],
                    approval: None,
                }
            }
        };
        let event = Event::CallDecided {
            target: "tickets".into(),
            protocol: call.protocol,
            verb: call.verb.clone(),
            fingerprint: Fingerprint::of(&FingerprintKey::new([1; 32]), &call),
            actions: call.actions,
            decision,
            policy_digest: self.running.registry.engine().digest().to_owned(),
        };
        let seq = self
            .append(run, event, Some(serde_json::json!({ "text": did.sql })))
            .await;
        let (state, rows, masked, error) = match did.came {
            Came::Rows(rows, masked) => (State::Ok, rows, masked, None),
            Came::Error(code) => (State::Error, 0, 0, Some(code.to_owned())),
            Came::Denied(..) => return seq,
        };
        live.iter().for_each(|live| live.tally.mask(masked));
        let outcome = Outcome {
            state,
            rows,
            bytes: rows * 93,
            digest: None,
            masked,
            error,
            micros: 812,
        };
        let event = Event::CallFinished {
            of: seq,
            target: "tickets".into(),
            protocol: "postgres".into(),
            verb: "SELECT".into(),
            outcome,
        };
        self.append(
            run,
            event,
            Some(serde_json::json!({"rows": [["1", "masked"]]})),
        )
        .await;
        seq
    }

    pub(super) async fn append(
        &self,
        run: &Run,
        event: Event,
        payload: Option<serde_json::Value>,
    ) -> u64 {
        let draft = Draft {
            event,
            subject: Subject::Run(run.clone()),
            payload: payload.map(|payload| payload.to_string().into_bytes()),
        };
        self.running.log.append(draft).await.unwrap().seq()
    }

    /// Has a run ask for the drafts to be deleted; returns the question's name.
    pub(super) async fn hold(&self, run: &Run, sql: &str) -> String {
        let action = Action::new(Verb::Delete, Resource::table("public", "drafts"));
        let call = Call {
            protocol: "postgres",
            verb: "DELETE".into(),
            actions: vec![action],
            refusal: None,
            payload: Payload {
                text: sql.into(),
                values: Vec::new(),
            },
        };
        let question = Question {
            run: run.clone(),
            target: "tickets".into(),
            protocol: call.protocol,
            verb: call.verb.clone(),
            class: Class::Destroy,
            fingerprint: Fingerprint::of(&FingerprintKey::new([1; 32]), &call),
            actions: call.actions,
            policy_digest: "sha256:0".into(),
            approvers: BTreeSet::from(["group:data-owners".to_owned()]),
            estimate: Ok(Estimate { rows: 12 }),
            payload: serde_json::json!({ "text": sql }).to_string().into_bytes(),
        };
        self.running
            .registry
            .ask(question)
            .await
            .unwrap()
            .id
            .to_string()
    }

    /// Waits until pages tell of everything that is recorded, under a signed checkpoint.
    pub(super) async fn settle(&self) {
        self.running.log.checkpoint_now().unwrap();
        let index = self.running.registry.index();
        let answer = index
            .search(Query::new(Search::default()).unwrap())
            .await
            .unwrap();
        assert!(answer.complete, "{:?}", index.state());
    }

    /// What a day brings: an agent that is led astray, one that does what it should, one that ended.
    pub(super) async fn day(&self) -> [Run; 3] {
        let report = self
            .open("weekly-report", "workflow:github:acme/reports", None)
            .await;
        for _ in 0..3 {
            let counted = table(Verb::Select, "public.tickets", &["id", "team"]);
            self.did(
                &report,
                Did {
                    verb: "SELECT",
                    actions: vec![counted],
                    sql: "SELECT team, count(*) FROM tickets GROUP BY team",
                    came: Came::Rows(6, 0),
                },
            )
            .await;
        }
        self.running
            .registry
            .end(&report.id, Ending::Closed)
            .await
            .unwrap();

        let stray = self
            .open(
                "triage-tickets",
                "human:carol@acme.com",
                Some("Monday's queue"),
            )
            .await;
        let read = || {
            table(
                Verb::Select,
                "public.tickets",
                &["id", "subject", "body", "email"],
            )
        };
        for _ in 0..14 {
            self.did(
                &stray,
                Did {
                    verb: "SELECT",
                    actions: vec![read()],
                    sql: "SELECT id, subject, body, email FROM tickets WHERE id = $1",
                    came: Came::Rows(1, 1),
                },
            )
            .await;
        }
        let set = table(Verb::Update, "public.tickets", &["priority"]);
        for _ in 0..6 {
            self.did(
                &stray,
                Did {
                    verb: "UPDATE",
                    actions: vec![set.clone(), read()],
                    sql: "UPDATE tickets SET priority = 'high' WHERE id = 3",
                    came: Came::Rows(1, 0),
                },
            )
            .await;
        }
        let cards = table(Verb::Select, "billing.cards", &["number", "holder"]);
        self.did(
            &stray,
            Did {
                verb: "SELECT",
                actions: vec![cards],
                sql: "SELECT number, holder FROM billing.cards",
                came: Came::Denied(
                    "select on billing.cards is outside the scope of task triage-tickets",
                    "ask for [[read]] target = \"tickets\", tables = [\"billing.cards\"]",
                ),
            },
        )
        .await;
        let drop = table(Verb::Delete, "public.tickets", &[]);
        self.did(
            &stray,
            Did {
                verb: "DELETE",
                actions: vec![drop],
                sql: "DELETE FROM tickets",
                came: Came::Denied(
                    "delete on public.tickets is outside the scope of task triage-tickets",
                    "ask for [[destroy]] target = \"tickets\", tables = [\"public.tickets\"]",
                ),
            },
        )
        .await;
        let missing = table(Verb::Select, "public.comments", &["body"]);
        self.did(
            &stray,
            Did {
                verb: "SELECT",
                actions: vec![missing],
                sql: "SELECT bdoy FROM comments",
                came: Came::Error("42703"),
            },
        )
        .await;

        let calm = self.open("triage-tickets", ADMIN, None).await;
        for _ in 0..4 {
            self.did(
                &calm,
                Did {
                    verb: "SELECT",
                    actions: vec![read()],
                    sql: "SELECT 1",
                    came: Came::Rows(20, 20),
                },
            )
            .await;
        }
        self.settle().await;
        [stray, calm, report]
    }
}
