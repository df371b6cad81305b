//! What a record says, and its exact bytes: one JSON object in RFC 8785 form (keys sorted, no
//! spaces, integers only). `docs/log-format.md` describes every field.

mod json;

use std::borrow::Cow;
use std::collections::BTreeSet;

use bailiwick_action::{Action, Decision, Fingerprint, Kind, Resource};
use bailiwick_run::{ApprovalId, Confinement, Ending, Launcher, Run, RunId, Time};
use serde::{Deserialize, Serialize};

use crate::chain::ChainId;
use crate::digest::Digest;
use crate::limits;
use json::Unfit;

/// Something to be recorded.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What happened.
    pub event: Event,
    /// Whose chain it belongs to.
    pub subject: Subject,
    /// What goes with it and may hold personal data: JSON text, at most 4 MiB. Kept encrypted under
    /// the run's own key, outside the record, which holds only a digest of the encrypted bytes.
    pub payload: Option<Vec<u8>>,
}

/// Whose chain a record belongs to.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The gateway's own.
    Gateway,
    /// A run's. Its launcher and task are copied into the record.
    Run(Run),
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// `approval.decided`: somebody approved or denied a call that was held, or nobody did in time. What they said is
    /// the payload.
    ApprovalDecided {
        /// The approval.
        approval: ApprovalId,
        /// The `seq` of its `call.held`.
        of: u64,
        /// What became of it.
        ruling: Ruling,
        /// Who decided; nobody where the time ran out.
        by: Option<Launcher>,
        /// Until when the call may be made, where it was approved.
        expires: Option<Time>,
    },
    /// `call.decided`: a call was allowed or denied.
    CallDecided {
        /// The target's name.
        target: String,
        /// The protocol's name.
        protocol: &'static str,
        /// What the protocol calls the command.
        verb: String,
        /// What it does.
        actions: Vec<Action>,
        /// The keyed digest of exactly what the agent sent.
        fingerprint: Fingerprint,
        /// What was decided.
        decision: Decision,
        /// The digest of the policies that decided.
        policy_digest: String,
    },
    /// `call.finished`: an allowed call has ended.
    CallFinished {
        /// The `seq` of its `call.decided`.
        of: u64,
        /// The target's name.
        target: String,
        /// The protocol's name.
        protocol: Cow<'static, str>,
        /// What the protocol calls the command.
        verb: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// `call.held`: a call waits for somebody's approval. Nothing of it has reached the target.
    CallHeld {
        /// The target's name.
        target: String,
        /// The protocol's name.
        protocol: &'static str,
        /// What the protocol calls the command.
        verb: String,
        /// What it would do.
        actions: Vec<Action>,
        /// The keyed digest of exactly what the agent sent.
        fingerprint: Fingerprint,
        /// What is asked for.
        approval: ApprovalId,
        /// Who is asked, as the task names them: `group:data-owners`. Each of them has to say yes.
        approvers: BTreeSet<String>,
        /// Until when they may decide.
        expires: Time,
        /// The digest of the policies that hold it.
        policy_digest: String,
    },
    /// `gateway.started`.
    GatewayStarted {
        /// The gateway's version.
        version: String,
    },
    /// `gateway.stopped`.
    GatewayStopped,
    /// `login.denied`: somebody tried to connect and was refused. About a run that is not open it
    /// goes to the gateway's chain, and names the run.
    LoginDenied {
        /// The target they wanted, if they said.
        target: Option<String>,
        /// Why they were refused.
        reason: String,
    },
    /// `index.remade`, in the gateway's chain: the index is made anew out of the log.
    IndexRemade {
        /// Who wanted it.
        by: Launcher,
    },
    /// `log.continued`, the last record of a log: another one goes on, under a name and a key of its
    /// own.
    LogContinued(ContinuedBy),
    /// `log.continues`, the first record of a log that goes on where another one ended.
    LogContinues(Continues),
    /// `log.pruned`, in the gateway's chain: records before an index, a multiple of 256, are removed.
    /// Made by [`Log::prune`](crate::Log::prune) alone.
    LogPruned {
        /// The index of the first record that stays.
        before: u64,
        /// The names of the logs that this one continued and that are removed whole.
        logs: Vec<String>,
        /// Who wanted it.
        by: Launcher,
    },
    /// `payloads.erased`, in the gateway's chain: the payload key of a closed run is destroyed, and its
    /// payloads with it. Made by [`Log::erase`](crate::Log::erase) alone.
    PayloadsErased {
        /// Whose payloads.
        run: RunId,
        /// Who wanted it.
        by: Launcher,
    },
    /// `payloads.viewed`, in the gateway's chain: somebody was shown payloads of a chain.
    PayloadsViewed {
        /// The chain, a run's id or `gateway`.
        chain: String,
        /// The `seq` of the first record whose payload was shown.
        from: u64,
        /// Of the last one.
        to: u64,
        /// To whom.
        by: Launcher,
    },
    /// `payloads.searched`, in the gateway's chain: somebody searches the words of payloads. Which they looked for is
    /// the payload.
    PayloadsSearched {
        /// Who.
        by: Launcher,
    },
    /// `policy.loaded`, in the gateway's chain: other tasks and guardrails are in force from here on.
    PolicyLoaded {
        /// Who wanted it: `human:alice@acme.com`, or `SIGHUP`.
        by: String,
        /// The digest of those that were in force before.
        before: String,
        /// The digest of those that are now.
        after: String,
    },
    /// `receipt.taken`, in the gateway's chain: somebody takes a record with its proof.
    ReceiptTaken {
        /// The chain of the record, a run's id or `gateway`.
        chain: String,
        /// Its `seq`.
        seq: u64,
        /// Who.
        by: Launcher,
    },
    /// `run.verified`, in the gateway's chain: somebody had a run's trail checked.
    RunVerified {
        /// Whose trail.
        run: RunId,
        /// Who wanted it.
        by: Launcher,
        /// What it was found to be.
        found: Found,
    },
    /// `person.signed_in`, in the gateway's chain: a person has a session at the console.
    PersonSignedIn {
        /// Who.
        by: Launcher,
        /// How it is known who they are: `local`, `oidc`.
        via: &'static str,
        /// What they may do: names of roles, sorted.
        roles: Vec<&'static str>,
    },
    /// `run.closed`: the last record of a run. Count and last digest are filled in.
    RunClosed {
        /// Why it ended.
        ending: Ending,
        /// Who wanted it: `human:alice@acme.com`, or a rule: `signal:first-denied`. Nobody where its time was over,
        /// its process was gone or the gateway stopped.
        by: Option<String>,
    },
    /// `run.opened`: the first record of a run.
    RunOpened {
        /// How its process is confined.
        confinement: Confinement,
        /// When it ends, at the latest.
        expires: Time,
        /// The digest of its scope.
        scope_digest: String,
    },
    /// `run.resumed`: a run that was suspended may act again.
    RunResumed {
        /// Who wanted it.
        by: Launcher,
    },
    /// `run.suspended`: a run may not act until somebody resumes it. What it had open is cut.
    RunSuspended {
        /// Who wanted it: `human:alice@acme.com`, or a rule: `signal:first-denied`.
        by: String,
    },
    /// `signal.raised`: a rule of the configuration matched. In the chain of the run that it is about if that is
    /// open, else in the gateway's.
    SignalRaised {
        /// The rule's name.
        signal: String,
        /// What it looks for: `canary`, `denials`, …
        rule: &'static str,
        /// The record that made it match: `RUN/SEQ`.
        of: String,
        /// What is done about it: `notify`, `suspend`, `revoke`, sorted.
        actions: Vec<&'static str>,
    },
    /// `witness.disagreed`: a witness has signed another history of this log.
    WitnessDisagreed {
        /// The witness, as the trust policy calls it.
        witness: String,
        /// How they differ.
        problem: Disagreement,
        /// How many records the last checkpoint covers that the witness has signed.
        size: u64,
        /// How many the one covers that it was asked to sign; for a larger one, how many are
        /// published.
        ours: u64,
    },
}

/// What a check of a run's trail has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is whole.
    Whole {
        /// How many records it has.
        records: u64,
        /// How many of the last of them are not under the checkpoint yet.
        tail: u64,
        /// How many records of the log the checkpoint covers.
        size: u64,
        /// The witnesses that have cosigned the checkpoint.
        witnesses: Vec<String>,
    },
    /// Something is wrong.
    Broken {
        /// How many records before that are whole.
        records: u64,
        /// What.
        problem: String,
    },
}

/// What became of a call that was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// Somebody said yes, and others have to as well: it may not be made yet.
    Agree,
    /// It may be made, once. Everybody whose yes it takes has said so.
    Approve,
    /// It may not.
    Deny,
    /// Nobody decided in time, or the run ended before.
    Lapse,
}

/// How a witness disagrees with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disagreement {
    /// The log's tree did not grow from the one that the witness has signed.
    Inconsistent,
    /// The witness has signed a larger tree than the log has.
    Larger,
}

/// The log that another one continues, and where it ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Continues {
    /// Its name.
    pub origin: String,
    /// Its root, in base64.
    pub root: String,
    /// How many records it has.
    pub size: u64,
    /// The key that checks it.
    pub vkey: String,
}

/// The log that continues another one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ContinuedBy {
    /// Its name.
    pub origin: String,
    /// The key that checks it.
    pub vkey: String,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it did what it should.
    pub state: State,
    /// Rows returned or changed.
    pub rows: u64,
    /// Bytes returned to the agent.
    pub bytes: u64,
    /// The keyed digest of the result as the agent got it, if there was one.
    pub digest: Option<Fingerprint>,
    /// Values that were masked on the way.
    pub masked: u64,
    /// The target's own error code (for PostgreSQL the SQLSTATE), never its text.
    pub error: Option<String>,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// How a call ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The connection was cut before its end.
    Cut,
    /// The target answered with an error.
    Error,
    /// Nobody knows: the gateway stopped between decision and outcome.
    Indeterminate,
    /// The target did it.
    Ok,
    /// The target never looked at it, because of an earlier error.
    Skipped,
}

/// Where in its chain a record stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) chain: ChainId,
    pub(crate) seq: u64,
    pub(crate) prev: Digest,
    pub(crate) time: Time,
}

/// What a record says of its payload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PayloadReference {
    pub(crate) digest: Digest,
    pub(crate) id: String,
    pub(crate) size: u64,
}

/// How much room most records need: what is more costs a move or two.
const USUAL: usize = 1536;

/// The record's bytes, with room behind them for its payload. Where they would be longer than the limit, lists and texts are shortened,
/// step by step, and the record says how many entries it leaves out.
pub(crate) fn encode(
    event: &Event,
    subject: &Subject,
    payload: Option<&PayloadReference>,
    place: &Place,
) -> Result<Vec<u8>, Unfit> {
    let follows = payload.map_or(0, |payload| usize::try_from(payload.size).unwrap_or(0));
    let mut bytes = Vec::with_capacity(USUAL + follows);
    for room in Room::STEPS {
        bytes.clear();
        json::append(&record(event, subject, payload, place, room), &mut bytes)?;
        if bytes.len() <= limits::RECORD {
            break;
        }
    }
    Ok(bytes)
}

/// How long a list and a text may be.
#[derive(Clone, Copy)]
struct Room {
    list: usize,
    text: usize,
}

impl Room {
    /// At the last step even texts made of nothing but control characters (six bytes each in JSON)
    /// fit.
    const STEPS: [Room; 6] = [
        Room {
            list: 64,
            text: 1024,
        },
        Room {
            list: 32,
            text: 512,
        },
        Room {
            list: 16,
            text: 256,
        },
        Room { list: 8, text: 128 },
        Room { list: 4, text: 64 },
        Room { list: 2, text: 32 },
    ];

    fn text(self, text: &str) -> Cow<'_, str> {
        const CUT: &str = "…";
        if text.len() <= self.text {
            return Cow::Borrowed(text);
        }
        let end = text.floor_char_boundary(self.text.saturating_sub(CUT.len()));
        let mut short = text.get(..end).unwrap_or_default().to_owned();
        short.push_str(CUT);
        Cow::Owned(short)
    }

    fn list<T>(self, all: usize, entries: impl Iterator<Item = T>) -> (Vec<T>, Option<usize>) {
        let rest = all.saturating_sub(self.list);
        (
            entries.take(self.list).collect(),
            (rest > 0).then_some(rest),
        )
    }
}

// The structures below are the record's JSON. Fields stand in the order of their names, which is
// what makes the output canonical: they are written as they come.

#[derive(Default, Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<CallPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confinement: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continued_by: Option<&'a ContinuedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continues: Option<&'a Continues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<DecisionPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    erased: Option<ErasedPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    launcher: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<LoginPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomePart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a PayloadReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyPart<'a>>,
    prev: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pruned: Option<PrunedPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<&'static str>,
    run: ChainId,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope_digest: Option<Cow<'a, str>>,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<SignalPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Cow<'a, str>>,
    time: String,
    r#type: &'static str,
    v: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    verb: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<VerifiedPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    viewed: Option<ViewedPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witness: Option<WitnessPart<'a>>,
}

#[derive(Serialize)]
struct ApprovalPart<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    approvers: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Ruling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    id: ApprovalId,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_digest: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct SignalPart<'a> {
    actions: &'a [&'static str],
    name: Cow<'a, str>,
    of: Cow<'a, str>,
    rule: &'static str,
}

#[derive(Serialize)]
struct VerifiedPart<'a> {
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Cow<'a, str>>,
    records: u64,
    run: RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tail: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    witnesses: Vec<Cow<'a, str>>,
}

#[derive(Serialize)]
struct ViewedPart<'a> {
    by: &'a str,
    chain: &'a str,
    from: u64,
    to: u64,
}

#[derive(Serialize)]
struct WitnessPart<'a> {
    name: Cow<'a, str>,
    ours: u64,
    problem: Disagreement,
    size: u64,
}

#[derive(Serialize)]
struct CallPart<'a> {
    actions: Vec<ActionPart<'a>>,
    fingerprint: Fingerprint,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_actions: Option<usize>,
    protocol: &'static str,
    verb: Cow<'a, str>,
}

#[derive(Serialize)]
struct ActionPart<'a> {
    class: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    columns: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_columns: Option<usize>,
    resource: ResourcePart<'a>,
    verb: &'static str,
}

#[derive(Serialize)]
struct ResourcePart<'a> {
    kind: Kind,
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct DecisionPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'a str>,
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_policies: Option<usize>,
    policies: Vec<Cow<'a, str>>,
    policy_digest: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct ErasedPart<'a> {
    by: &'a str,
    run: RunId,
}

#[derive(Serialize)]
struct PolicyPart<'a> {
    after: Cow<'a, str>,
    before: Cow<'a, str>,
}

#[derive(Serialize)]
struct PrunedPart<'a> {
    before: u64,
    by: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<Cow<'a, str>>,
}

#[derive(Serialize)]
struct LoginPart<'a> {
    reason: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
}

#[derive(Serialize)]
struct OutcomePart<'a> {
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Fingerprint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
    masked: u64,
    micros: u64,
    rows: u64,
    state: State,
}

fn record<'a>(
    event: &'a Event,
    subject: &'a Subject,
    payload: Option<&'a PayloadReference>,
    place: &Place,
    room: Room,
) -> Record<'a> {
    let base = Record {
        payload,
        prev: place.prev,
        run: place.chain,
        seq: place.seq,
        time: place.time.to_string(),
        v: 1,
        ..Record::default()
    };
    let base = match subject {
        Subject::Run(run) if place.chain != ChainId::Gateway => Record {
            launcher: Some(run.launcher.as_str()),
            task: Some(room.text(&run.task)),
            ..base
        },
        Subject::Gateway | Subject::Run(_) => base,
    };
    match event {
        Event::ApprovalDecided {
            approval,
            of,
            ruling,
            by,
            expires,
        } => Record {
            r#type: "approval.decided",
            of: Some(*of),
            approval: Some(ApprovalPart {
                approvers: Vec::new(),
                by: by.as_ref().map(Launcher::as_str),
                effect: Some(*ruling),
                expires: expires.map(|expires| expires.to_string()),
                id: *approval,
                policy_digest: None,
            }),
            ..base
        },
        Event::CallDecided {
            target,
            protocol,
            verb,
            actions,
            fingerprint,
            decision,
            policy_digest,
        } => Record {
            r#type: "call.decided",
            target: Some(room.text(target)),
            call: Some(call_part(protocol, verb, actions, *fingerprint, room)),
            decision: Some(decision_part(decision, policy_digest, room)),
            ..base
        },
        Event::CallFinished {
            of,
            target,
            protocol,
            verb,
            outcome,
        } => Record {
            r#type: "call.finished",
            of: Some(*of),
            target: Some(room.text(target)),
            protocol: Some(protocol),
            verb: Some(room.text(verb)),
            outcome: Some(OutcomePart {
                bytes: outcome.bytes.min(limits::INTEGER),
                digest: outcome.digest,
                error: outcome.error.as_deref().map(|code| room.text(code)),
                masked: outcome.masked.min(limits::INTEGER),
                micros: outcome.micros.min(limits::INTEGER),
                rows: outcome.rows.min(limits::INTEGER),
                state: outcome.state,
            }),
            ..base
        },
        Event::CallHeld {
            target,
            protocol,
            verb,
            actions,
            fingerprint,
            approval,
            approvers,
            expires,
            policy_digest,
        } => Record {
            r#type: "call.held",
            target: Some(room.text(target)),
            call: Some(call_part(protocol, verb, actions, *fingerprint, room)),
            approval: Some(ApprovalPart {
                approvers: texts(approvers, room).0,
                by: None,
                effect: None,
                expires: Some(expires.to_string()),
                id: *approval,
                policy_digest: Some(room.text(policy_digest)),
            }),
            ..base
        },
        Event::GatewayStarted { version } => Record {
            r#type: "gateway.started",
            version: Some(room.text(version)),
            ..base
        },
        Event::GatewayStopped => Record {
            r#type: "gateway.stopped",
            ..base
        },
        Event::LoginDenied { target, reason } => Record {
            r#type: "login.denied",
            target: target.as_deref().map(|target| room.text(target)),
            login: Some(LoginPart {
                reason: room.text(reason),
                run: match (subject, place.chain) {
                    (Subject::Run(run), ChainId::Gateway) => Some(run.id),
                    _ => None,
                },
            }),
            ..base
        },
        Event::IndexRemade { by } => Record {
            r#type: "index.remade",
            by: Some(Cow::Borrowed(by.as_str())),
            ..base
        },
        Event::LogContinued(by) => Record {
            r#type: "log.continued",
            continued_by: Some(by),
            ..base
        },
        Event::LogContinues(log) => Record {
            r#type: "log.continues",
            continues: Some(log),
            ..base
        },
        Event::LogPruned { before, logs, by } => Record {
            r#type: "log.pruned",
            pruned: Some(PrunedPart {
                before: *before,
                by: by.as_str(),
                logs: room
                    .list(logs.len(), logs.iter().map(|log| room.text(log)))
                    .0,
            }),
            ..base
        },
        Event::PayloadsErased { run, by } => Record {
            r#type: "payloads.erased",
            erased: Some(ErasedPart {
                by: by.as_str(),
                run: *run,
            }),
            ..base
        },
        Event::PayloadsViewed {
            chain,
            from,
            to,
            by,
        } => Record {
            r#type: "payloads.viewed",
            viewed: Some(ViewedPart {
                by: by.as_str(),
                chain,
                from: *from,
                to: *to,
            }),
            ..base
        },
        Event::PayloadsSearched { by } => Record {
            r#type: "payloads.searched",
            by: Some(Cow::Borrowed(by.as_str())),
            ..base
        },
        Event::PolicyLoaded { by, before, after } => Record {
            r#type: "policy.loaded",
            by: Some(room.text(by)),
            policy: Some(PolicyPart {
                after: room.text(after),
                before: room.text(before),
            }),
            ..base
        },
        Event::ReceiptTaken { chain, seq, by } => Record {
            r#type: "receipt.taken",
            viewed: Some(ViewedPart {
                by: by.as_str(),
                chain,
                from: *seq,
                to: *seq,
            }),
            ..base
        },
        Event::RunVerified { run, by, found } => Record {
            r#type: "run.verified",
            verified: Some(verified_part(*run, by, found, room)),
            ..base
        },
        Event::PersonSignedIn { by, via, roles } => Record {
            r#type: "person.signed_in",
            by: Some(Cow::Borrowed(by.as_str())),
            roles: roles.clone(),
            via: Some(via),
            ..base
        },
        Event::RunClosed { ending, by } => Record {
            r#type: "run.closed",
            by: by.as_deref().map(|by| room.text(by)),
            ending: Some(ending.as_str()),
            count: Some(place.seq),
            last: Some(place.prev),
            ..base
        },
        Event::RunOpened {
            confinement,
            expires,
            scope_digest,
        } => Record {
            r#type: "run.opened",
            confinement: Some(confinement.as_str()),
            expires: Some(expires.to_string()),
            scope_digest: Some(room.text(scope_digest)),
            ..base
        },
        Event::RunResumed { by } => Record {
            r#type: "run.resumed",
            by: Some(Cow::Borrowed(by.as_str())),
            ..base
        },
        Event::RunSuspended { by } => Record {
            r#type: "run.suspended",
            by: Some(room.text(by)),
            ..base
        },
        Event::SignalRaised {
            signal,
            rule,
            of,
            actions,
        } => Record {
            r#type: "signal.raised",
            signal: Some(SignalPart {
                actions,
                name: room.text(signal),
                of: room.text(of),
                rule,
            }),
            ..base
        },
        Event::WitnessDisagreed {
            witness,
            problem,
            size,
            ours,
        } => Record {
            r#type: "witness.disagreed",
            witness: Some(WitnessPart {
                name: room.text(witness),
                ours: (*ours).min(limits::INTEGER),
                problem: *problem,
                size: (*size).min(limits::INTEGER),
            }),
            ..base
        },
    }
}

fn verified_part<'a>(
    run: RunId,
    by: &'a Launcher,
    found: &'a Found,
    room: Room,
) -> VerifiedPart<'a> {
    let by = by.as_str();
    match found {
        Found::Whole {
            records,
            tail,
            size,
            witnesses,
        } => VerifiedPart {
            by,
            problem: None,
            records: (*records).min(limits::INTEGER),
            run,
            size: Some((*size).min(limits::INTEGER)),
            tail: Some(*tail).filter(|tail| *tail > 0),
            witnesses: room
                .list(
                    witnesses.len(),
                    witnesses.iter().map(|name| room.text(name)),
                )
                .0,
        },
        Found::Broken { records, problem } => VerifiedPart {
            by,
            problem: Some(room.text(problem)),
            records: (*records).min(limits::INTEGER),
            run,
            size: None,
            tail: None,
            witnesses: Vec::new(),
        },
    }
}

fn call_part<'a>(
    protocol: &'static str,
    verb: &'a str,
    actions: &'a [Action],
    fingerprint: Fingerprint,
    room: Room,
) -> CallPart<'a> {
    let shown = actions.iter().map(|action| action_part(action, room));
    let (shown, more_actions) = room.list(actions.len(), shown);
    CallPart {
        actions: shown,
        fingerprint,
        more_actions,
        protocol,
        verb: room.text(verb),
    }
}

fn action_part(action: &Action, room: Room) -> ActionPart<'_> {
    let (columns, more_columns) = texts(&action.columns, room);
    let Resource { kind, schema, name } = &action.resource;
    ActionPart {
        class: action.class.as_str(),
        columns,
        more_columns,
        resource: ResourcePart {
            kind: *kind,
            name: room.text(name),
            schema: schema.as_deref().map(|schema| room.text(schema)),
        },
        verb: action.verb.as_str(),
    }
}

fn decision_part<'a>(
    decision: &'a Decision,
    policy_digest: &'a str,
    room: Room,
) -> DecisionPart<'a> {
    let policies = decision.policies();
    let (shown, more_policies) = room.list(
        policies.len(),
        policies.iter().map(|policy| room.text(policy)),
    );
    let (approval, denial) = match decision {
        Decision::Allow { approval, .. } => (approval.as_deref(), None),
        Decision::Deny(denial) => (None, Some(denial)),
    };
    DecisionPart {
        approval,
        effect: decision.effect(),
        more_policies,
        policies: shown,
        policy_digest: room.text(policy_digest),
        reason: denial.map(|denial| room.text(&denial.reason)),
        remedy: denial.map(|denial| room.text(&denial.remedy)),
    }
}

fn texts(all: &BTreeSet<String>, room: Room) -> (Vec<Cow<'_, str>>, Option<usize>) {
    room.list(all.len(), all.iter().map(|text| room.text(text)))
}

#[cfg(test)]
mod tests;
