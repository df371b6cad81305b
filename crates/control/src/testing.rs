//! A registry over a real log and a real policy engine, for tests.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_action::{
    Action, Call, Decision, Denial, Fingerprint, FingerprintKey, Payload, Resource, Verb,
};
use bailiwick_audit::{Config, Draft, Event, Log, Outcome, State, Subject};
use bailiwick_policy::{Engine, Estimate, Question, TargetName};
use bailiwick_run::{Confinement, Run, RunId, TimeBox};
use tempfile::TempDir;

use crate::api::TrailRecord;
use crate::approvals::ApprovalSettings;
use crate::notice::NoticeSettings;
use crate::people::{Person, Role, Via};
use crate::registry::{LoadPolicy, Opening, Registry, Settings};
use crate::signals::SignalSettings;

pub(crate) const LAUNCHER: &str = "human:root@localhost";

/// What a gateway has on disk.
pub(crate) struct House {
    pub(crate) dir: TempDir,
    pub(crate) approvals: ApprovalSettings,
    pub(crate) signals: SignalSettings,
    pub(crate) notices: NoticeSettings,
}

/// A gateway without its listeners.
pub(crate) struct Running {
    pub(crate) registry: Registry,
    pub(crate) log: Log,
}

impl House {
    pub(crate) fn new() -> Self {
        let house = Self {
            dir: tempfile::tempdir().unwrap(),
            approvals: ApprovalSettings::default(),
            signals: SignalSettings::default(),
            notices: NoticeSettings::default(),
        };
        for folder in ["data", "tasks", "policies"] {
            fs::create_dir(house.dir.path().join(folder)).unwrap();
        }
        house.task(
            "triage",
            "confine = \"gateway-only\"\n[env]\nDATABASE_URL = \"tickets\"",
        );
        house.task("sweep", "");
        house
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn task(&self, name: &str, more: &str) {
        let text = format!(
            "task = \"{name}\"\npurpose = \"p\"\nlaunchers = [\"human:*@localhost\"]\n\
             ttl = \"30m\"\n{more}\n[[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\n"
        );
        let path = self.dir.path().join("tasks").join(format!("{name}.toml"));
        fs::write(path, text).unwrap();
    }

    /// Puts a task file there, with these grants.
    pub(crate) fn write_task(&self, name: &str, grants: &str) {
        let head = format!(
            "task = \"{name}\"\npurpose = \"p\"\nlaunchers = [\"human:*@localhost\"]\nttl = \"30m\"\n"
        );
        let path = self.dir.path().join("tasks").join(format!("{name}.toml"));
        fs::write(path, head + grants).unwrap();
    }

    /// Puts a guardrail there.
    pub(crate) fn write_guardrail(&self, name: &str, text: &str) {
        let path = self
            .dir
            .path()
            .join("policies")
            .join(format!("{name}.cedar"));
        fs::write(path, text).unwrap();
    }

    fn load(&self) -> LoadPolicy {
        let (tasks, policies) = (
            self.dir.path().join("tasks"),
            self.dir.path().join("policies"),
        );
        let targets = [TargetName::new("tickets", "postgres", &["url", "jdbc"])];
        Arc::new(move || {
            Engine::load(&tasks, &policies, &targets).map_err(|errors| errors.to_string())
        })
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_as("test.example/log").await
    }

    /// With a log of this name.
    pub(crate) async fn start_as(&self, name: &str) -> Running {
        let (log, recovered) = Log::open(Config::new(self.data(), name)).unwrap();
        let path = |folder: &str| self.dir.path().join(folder);
        let engine = (self.load())().unwrap();
        let settings = Settings {
            data: self.data(),
            tasks: path("tasks"),
            load: self.load(),
            words: crate::Words::WithPayloads,
            signals: self.signals.clone(),
            notices: self.notices.clone(),
            agent_url: Arc::new(|target, run, secret| {
                let secret = secret.reveal();
                Some(format!("postgres://{run}:{secret}@localhost:7432/{target}"))
            }),
            agent_kit: Arc::new(|_, _, secret| crate::Kit {
                env: [
                    ("DATABASE_URL", "kit"),
                    ("BAILIWICK_TOKEN", secret.reveal()),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
                ..crate::Kit::default()
            }),
            withhold: vec!["TICKETS_PASSWORD".into()],
            gateway_ports: vec![7432],
            hidden: vec![self.data()],
            read_only: vec![path("tasks"), path("policies")],
            approvals: self.approvals.clone(),
            policy: None,
        };
        let registry = Registry::start(settings, Arc::new(engine), log.clone(), &recovered);
        Running {
            registry: registry.await.unwrap(),
            log,
        }
    }
}

impl Running {
    /// Goes away as a killed process does: without closing any run.
    pub(crate) fn crash(self) {
        self.log.close();
    }

    /// The types of a run's records, in order.
    pub(crate) fn types(&self, run: RunId) -> Vec<String> {
        let entries = self.log.reader().run(&run).unwrap();
        entries
            .into_iter()
            .map(|entry| entry.record.r#type)
            .collect()
    }

    pub(crate) fn last(&self, run: RunId) -> TrailRecord {
        let reader = self.log.reader();
        let entries = reader.run(&run).unwrap();
        let entry = entries.last().unwrap();
        let opened = &mut reader.payloads().unwrap();
        crate::trail::show(opened, entry, &crate::trail::Payloads::All)
            .unwrap()
            .0
    }

    /// Records an allowed call, as the gateway would; returns its number.
    pub(crate) async fn decide(&self, run: &Run) -> u64 {
        let action = Action::new(Verb::Select, Resource::table("public", "tickets"));
        let call = Call {
            protocol: "postgres",
            verb: "SELECT".into(),
            actions: vec![action],
            refusal: None,
            payload: Payload::default(),
        };
        let event = Event::CallDecided {
            target: "tickets".into(),
            protocol: call.protocol,
            verb: call.verb.clone(),
            fingerprint: Fingerprint::of(&FingerprintKey::new([1; 32]), &call),
            actions: call.actions,
            decision: Decision::Allow {
                policies: vec!["p".into()],
                approval: None,
            },
            policy_digest: "sha256:0".into(),
        };
        self.append(run, event).await
    }

    /// Records a denied call on this table, as the gateway would; returns its number.
    pub(crate) async fn deny(&self, run: &Run, table: &str) -> u64 {
        let action = Action::new(Verb::Select, Resource::table("public", table));
        let call = Call {
            protocol: "postgres",
            verb: "SELECT".into(),
            actions: vec![action],
            refusal: None,
            payload: Payload::default(),
        };
        let event = Event::CallDecided {
            target: "tickets".into(),
            protocol: call.protocol,
            verb: call.verb.clone(),
            fingerprint: Fingerprint::of(&FingerprintKey::new([1; 32]), &call),
            actions: call.actions,
            decision: Decision::Deny(Denial {
                policies: Vec::new(),
                reason: format!("select on public.{table} is outside the scope of task triage"),
                remedy: String::new(),
            }),
            policy_digest: "sha256:0".into(),
        };
        self.append(run, event).await
    }

    /// Records how it ended.
    pub(crate) async fn finish(&self, run: &Run, of: u64) -> u64 {
        let outcome = Outcome {
            state: State::Ok,
            rows: 1,
            bytes: 1,
            digest: None,
            masked: 2,
            error: None,
            micros: 1,
        };
        let target = "tickets".to_owned();
        self.append(
            run,
            Event::CallFinished {
                of,
                target,
                protocol: "postgres".into(),
                verb: "SELECT".into(),
                outcome,
            },
        )
        .await
    }

    async fn append(&self, run: &Run, event: Event) -> u64 {
        let draft = Draft {
            event,
            subject: Subject::Run(run.clone()),
            payload: None,
        };
        self.log.append(draft).await.unwrap().seq()
    }
}

pub(crate) fn opening(task: &str) -> Opening {
    Opening {
        task: task.into(),
        launcher: LAUNCHER.parse().unwrap(),
        ttl: None,
        reason: None,
        confinement: Confinement::GatewayOnly,
        attach: false,
    }
}

/// A run of this launcher that nobody has opened.
pub(crate) fn run_of(launcher: &str) -> Run {
    let opened = crate::clock::now();
    Run {
        id: RunId::new(opened, [3; 10]),
        launcher: launcher.parse().unwrap(),
        task: "sweep".into(),
        time_box: TimeBox {
            opened,
            expires: opened.after(Duration::from_secs(1_800)),
        },
        confinement: Confinement::Landlock,
        reason: None,
    }
}

/// A call of this run that `group:data-owners` is asked about.
pub(crate) fn question(run: &Run) -> Question {
    let action = Action::new(Verb::Delete, Resource::table("public", "drafts"));
    let call = Call {
        protocol: "postgres",
        verb: "DELETE".into(),
        actions: vec![action],
        refusal: None,
        payload: Payload {
            text: "DELETE FROM drafts".into(),
            values: Vec::new(),
        },
    };
    Question {
        run: run.clone(),
        target: "tickets".into(),
        protocol: call.protocol,
        verb: call.verb.clone(),
        class: call.class(),
        fingerprint: Fingerprint::of(&FingerprintKey::new([1; 32]), &call),
        actions: call.actions,
        policy_digest: "sha256:0".into(),
        approvers: ["group:data-owners".to_owned()].into(),
        estimate: Ok(Estimate { rows: 12 }),
        payload: br#"{"text":"DELETE FROM drafts"}"#.to_vec(),
    }
}

/// An approver in `data-owners`.
pub(crate) fn person(name: &str) -> Person {
    Person {
        name: name.parse().unwrap(),
        also: [].into(),
        roles: [Role::Approver].into(),
        groups: ["data-owners".to_owned()].into(),
        via: Via::Local,
    }
}

/// Asks again and again until it is so.
pub(crate) async fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within half a minute: {what}");
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
