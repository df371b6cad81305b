//! What can be recorded.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bailiwick_action::{Action, Decision, Fingerprint};
use bailiwick_run::{ApprovalId, Confinement, Ending, Launcher, Run, RunId, Time};
use serde::{Deserialize, Serialize};

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
    /// `link.made`, in the gateway's chain: somebody is given a link by which they can sign in at the console, once.
    LinkMade {
        /// Who.
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
    /// `person.signed_out`, in the gateway's chain: a person has ended their session at the console.
    PersonSignedOut {
        /// Who.
        by: Launcher,
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
