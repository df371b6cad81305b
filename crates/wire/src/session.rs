//! What a protocol's state machine looks like from outside. Everything else in this crate implements
//! it; the gateway drives it without knowing which protocol it is.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bailiwick_action::{Denial, DetectedSet, FieldPath, Held, Input, Kind, Pin, Resource};
use bailiwick_run::{ApprovalId, BearerDigest, Verified, Verifier};
use bytes::Bytes;

use crate::{Did, PerRun};

/// A protocol's entry in the table of protocols.
pub struct Protocol {
    /// Its name in records, and the `kind` of a target in the configuration.
    pub name: &'static str,
    /// Reads a target's URL. The error says what is wrong with it, without its password.
    pub endpoint: fn(url: &str) -> std::result::Result<Endpoint, String>,
    /// What an agent can be handed to reach a target through the gateway; the first without being asked
    /// for.
    pub forms: &'static [Form],
    /// How its bytes travel.
    pub transport: Transport,
    /// A new session, for a connection that was just accepted.
    pub session: fn(seed: Seed) -> Box<dyn Session>,
    /// A session without an agent, to learn of a target: it starts at [`Session::connected`], and
    /// nothing goes through it.
    pub survey: fn(seed: Seed) -> Box<dyn Session>,
    /// Reads what [`Step::Rows`] brought, for people: its rows, each a list of values.
    pub readable: fn(rows: &[u8]) -> Vec<Vec<Option<String>>>,
    /// What of this a target does not have, in words; nothing if it has it all.
    pub lacks: fn(knowledge: &Knowledge, named: &Named<'_>) -> Vec<String>,
    /// How each run gets a login of its own at a target, if it can.
    pub per_run: Option<PerRun>,
    /// Makes what all sessions of one run with one target share, where they share something: they get it
    /// as what is known at [`Session::connected`], and it is gone with the run.
    pub shared: Option<fn() -> Knowledge>,
}

/// One thing that an agent can be handed in its environment, to reach a target: `FORM:TARGET` in a task's
/// `[env]`, `TARGET` alone for the first.
pub struct Form {
    /// Its name.
    pub name: &'static str,
    /// The value of the environment variable.
    pub value: fn(agent: &Agent<'_>) -> String,
}

/// How a protocol's bytes travel between agent, gateway and target.
#[derive(Clone, Copy, Debug)]
pub enum Transport {
    /// On a connection of their own, which is one [`Session`]: what the sockets bring is what the session
    /// is given, and the other way round.
    Socket {
        /// What asks a target for TLS, on a connection that is opened only to cancel; the answer is one
        /// byte, `S` for yes.
        tls_request: &'static [u8],
        /// The protocol's name in TLS (ALPN). An agent that gives it may start TLS at once, without
        /// asking first.
        tls_alpn: &'static [u8],
    },
    /// In HTTP, whichever version and however framed: each request and its response are one [`Session`].
    /// The gateway ends HTTP on both sides, and what crosses between it and the session is the one
    /// unambiguous form of [`crate::http::bhttp`], in both directions.
    Http,
}

/// Something that a task names on a target.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// What sort of thing it is.
    pub kind: Kind,
    /// The schema it lives in.
    pub schema: &'a str,
    /// Its name; nothing for everything in the schema.
    pub name: Option<&'a str>,
    /// The columns it should have.
    pub columns: &'a [&'a str],
}

/// What goes into an agent's URL.
#[derive(Clone, Copy, Debug)]
pub struct Agent<'a> {
    /// The host by which an agent reaches the gateway.
    pub host: &'a str,
    /// The port of the protocol's listener.
    pub port: u16,
    /// The run's id.
    pub run: &'a str,
    /// The run's secret.
    pub secret: &'a str,
    /// The target's name.
    pub target: &'a str,
}

/// Randomness for one session, from the operating system. This crate has no source of its own.
#[derive(Clone)]
pub struct Seed {
    /// For the server's half of the login nonce.
    pub nonce: [u8; 18],
    /// The key that the agent may cancel with.
    pub cancel: CancelKey,
    /// Names what no agent can guess.
    pub token: [u8; 8],
}

/// The key by which another connection of the agent cancels what this session is doing. The
/// gateway's own; the target's key never reaches an agent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CancelKey(pub [u8; 8]);

/// How a target's connection is encrypted; the modes of libpq's `sslmode`
/// (<https://www.postgresql.org/docs/current/libpq-ssl.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Only if the target refuses a connection without.
    Allow,
    /// If the target offers it.
    Prefer,
    /// Always, whoever answers.
    Require,
    /// Always, and the certificate is from a trusted authority.
    VerifyCa,
    /// Always, from a trusted authority, and for this host.
    VerifyFull,
}

/// Where a target is and how the gateway logs in to it.
#[derive(Clone)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The gateway's own user there.
    pub user: String,
    /// Its password, if it needs one.
    pub password: Option<String>,
    /// The database (or the protocol's like) to open.
    pub database: String,
    /// How the connection is encrypted.
    pub tls: TlsMode,
    /// A file with the certificates to trust, instead of the system's.
    pub roots: Option<String>,
}

/// What a session has learned of its target and the gateway may keep for the next one. Opaque outside
/// of its protocol.
pub type Knowledge = Arc<dyn Any + Send + Sync>;

/// Names one asked call of a session, so that its outcome finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What the gateway answers to a held call.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It was permitted; its bytes are on their way to the target.
    Allow(Terms),
    /// It was denied, and the denial is on record.
    Deny(Denial),
    /// It is not made for want of this approval, and that is on record: nobody has said yes yet, or somebody
    /// has said no.
    Unapproved(Denial, ApprovalId),
    /// The agent took it back while it was held, and that is on record.
    Withdrawn,
    /// It could not be recorded, so it was not sent. The text says why and what to do.
    Unrecorded(String),
}

/// What a grant gives along with the call that it allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The result may be of a type whose values cannot be looked into, and so not masked.
    pub binary: bool,
}

/// How many rows a target guesses that a call would return or change; or why it does not, in words.
pub type Rows = std::result::Result<u64, String>;

/// How a call ended, as far as the session can see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Rows returned or changed.
    pub rows: u64,
    /// Bytes of results, as sent to the agent.
    pub bytes: u64,
    /// Values that were masked.
    pub masked: u64,
    /// The target's error code, if it refused the call.
    pub error: Option<String>,
    /// Never executed, because an earlier call of its pipeline failed.
    pub skipped: bool,
}

/// A message for the target that carries no call of the agent's. A closed set that only this crate
/// can build. In an agent's session it ends, flushes, describes or feeds what was permitted before, or
/// reads the catalogue, and starts nothing; in a session that no agent is in, it is the gateway's own
/// [`Errand`](crate::Errand).
#[derive(Debug, PartialEq, Eq)]
pub struct Plumbing(Bytes);

impl Plumbing {
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes to send.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// A login that failed, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginFailure {
    /// Whom it said it was: agent-supplied text.
    pub user: String,
    /// Which target it wanted: agent-supplied text.
    pub target: String,
    /// What failed; no agent-supplied text in it.
    pub reason: String,
}

/// What the gateway is to do next.
pub enum Step {
    /// Send this to the agent.
    ToAgent(Bytes),
    /// Send this to the agent: a part of the result of this call, masked. Bare, where the transport
    /// frames what goes through it.
    Rows(Ticket, Bytes),
    /// Send this to the agent, then start TLS with it as the server.
    AgentTls(Bytes),
    /// Look up whom this stands for, and call [`Session::identified`].
    Identify(Claim),
    /// Record this failed login. The session is over; what the agent is told follows.
    LoginFailed(LoginFailure),
    /// The agent proved who it is: open this target for it, then call [`Session::connected`] or
    /// [`Session::refuse`].
    Connect {
        /// The proof.
        verified: Verified,
        /// Which one.
        target: Wanted,
    },
    /// Start TLS with the target as the client, then call [`Session::target_secured`].
    TargetTls,
    /// At login: keep this for the next session with the same target. Later: something else was found
    /// than what is kept. A session sees its own search path and what it has not committed, so only
    /// what a login finds is for others.
    Learned(Knowledge),
    /// What came of the errand that this session was for.
    Did(Did),
    /// The agent is logged in and the target is ready.
    Ready,
    /// Decide this call, record the decision, send its bytes if permitted; then call
    /// [`Session::answer`].
    Ask(Ticket, Held),
    /// The call of [`Session::hold`] is held. Nothing where what came before it has failed, so that it will
    /// not be made: deny it.
    Held(Ticket, Option<Rows>),
    /// The call of [`Session::resume`]: whether it still is what was asked about.
    Resumed(Ticket, bool),
    /// Send this to the target.
    Relay(Plumbing),
    /// This call ended.
    Finished(Ticket, End),
    /// Another session is to be cancelled. At login: this connection is over.
    Cancel(CancelKey),
    /// The session ended in good order.
    Done,
}

/// By what an agent says which run it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A name, with a proof to follow: a run's id, if it is honest. Agent-supplied text.
    Name(String),
    /// The digest of a run's secret, which it sent along.
    Bearer(BearerDigest),
}

/// By what an agent says which target it wants. Agent-supplied text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The target of this name.
    Name(String),
    /// The target at this address, for an agent that takes the gateway for a proxy.
    Url {
        /// `http` or `https`.
        scheme: String,
        /// The host and, where it is not the scheme's own, the port.
        authority: String,
        /// The path, without the query, spelled as [`bailiwick_action::Resource::request`] has it.
        path: String,
    },
}

/// Agent-supplied text, for a message or a log.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Name(name) => f.write_str(name),
            Wanted::Url {
                scheme,
                authority,
                path,
            } => write!(f, "{scheme}://{authority}{path}"),
        }
    }
}

/// Why a session is ended or not started. Each protocol has a code of its own for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The agent broke the protocol, or used a part of it that is not understood.
    Agent,
    /// There is no room for one more.
    Busy,
    /// The credential is not right.
    Credential,
    /// A defect in the gateway.
    Defect,
    /// The run has ended.
    Ended,
    /// The credential is right, and its run is over.
    NotLive,
    /// It is outside the run's scope.
    OutOfScope,
    /// The run is suspended: the credential is right, and opens nothing until somebody resumes the run.
    Suspended,
    /// The gateway stops.
    Stopping,
    /// The target went away, or broke the protocol.
    TargetLost,
    /// The target cannot be opened.
    TargetUnopened,
    /// What went through could not be recorded, so nothing can follow.
    Unrecorded,
    /// This gateway does not have it.
    Unsupported,
}

/// Why the gateway ends a session or refuses to start it, in words for the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In the one word that the protocol has a code for.
    pub why: Why,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Why a session cannot go on. It says who is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The agent broke the protocol, or used a part of it that is not understood.
    #[error("the agent sent what this gateway does not accept: {0}")]
    Agent(String),
    /// The target broke the protocol, or a promise that the gateway relies on.
    #[error("the target sent what this gateway does not accept: {0}")]
    Target(String),
    /// The target refused the gateway's own login.
    #[error("the target refused the gateway's login: {0}")]
    TargetLogin(String),
    /// The target did not do what the gateway needs there for itself.
    #[error("{0}")]
    Errand(String),
    /// The gateway drove the session wrongly: a defect.
    #[error("a defect in the gateway: {0}")]
    Bug(&'static str),
}

/// The result of driving a session.
pub type Result<T> = std::result::Result<T, Fault>;

/// A column whose values the scope masks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Masked {
    /// The schema of its table.
    pub schema: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub column: String,
    /// Whether rows may be looked up by it: compared for equality with a value of the call's own.
    pub lookup: bool,
}

/// A column of which the scope lets through some of what detectors find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// The schema of its table.
    pub schema: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub column: String,
    /// What of it.
    pub kinds: DetectedSet,
}

/// What a session asks of the run's scope: what is masked, and what a call has to be looked at for. The
/// gateway's.
pub trait Veil: Send + Sync {
    /// The columns that the scope masks. What is a copy of one, the protocol finds out.
    fn masked(&self) -> Vec<Masked>;

    /// The columns of which the scope lets through some of what detectors find. What is masked stays so.
    fn cleared(&self) -> Vec<Cleared> {
        Vec::new()
    }

    /// The fields of JSON results that the scope masks.
    fn fields(&self) -> &[FieldPath] {
        &[]
    }

    /// Where the conditions of the scope look: what is to be in [`bailiwick_action::Action::facts`].
    fn inputs(&self) -> &[Input] {
        &[]
    }

    /// Whether the scope has a grant that names this resource, whatever the verb and the conditions: a
    /// list of what a server offers shows what the run may use.
    fn covers(&self, resource: &Resource) -> bool {
        let _ = resource;
        false
    }

    /// Whether a tool has to be the one that the task was written for.
    fn pin(&self, tool: &str) -> Pin {
        let _ = tool;
        Pin::Missing
    }

    /// The text with every sensitive value in it replaced, and how many there were; nothing where
    /// there was none.
    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)>;

    /// As [`Veil::rewrite`], but what is of these kinds stays.
    fn rewrite_but(&self, text: &[u8], cleared: DetectedSet) -> Option<(Vec<u8>, u64)> {
        let _ = cleared;
        self.rewrite(text)
    }

    /// As [`Veil::rewrite`], for a text of which more is to come: how many bytes at its start are settled
    /// whatever follows, and these rewritten. The rest is looked at again, with what follows. Without a
    /// better knowledge of what is looked for, whole lines are settled.
    fn rewrite_start(&self, text: &[u8]) -> (usize, Option<(Vec<u8>, u64)>) {
        let line_end = text.iter().rposition(|byte| *byte == b'\n');
        let settled = line_end.map_or(0, |line_end| line_end + 1);
        let (settled, _) = text.split_at(settled);
        (settled.len(), self.rewrite(settled))
    }

    /// What stands for a value that is masked whole.
    fn placeholder(&self) -> &'static str;

    /// Whether bytes hold such a placeholder.
    fn has_placeholder(&self, bytes: &[u8]) -> bool;
}

/// The state machine of one connection: bytes in, steps out.
///
/// After every call that puts something in, take steps with [`Session::next`] until there are none.
/// After a [`Fault`] only [`Session::refuse`], [`Session::cancel_request`] and `next` are of use: nothing
/// that is put in is looked at, and nothing more goes to the target but the end of the session.
pub trait Session: Send {
    /// The agent sent these bytes.
    fn agent(&mut self, bytes: &[u8]) -> Result<()>;

    /// The target sent these bytes.
    fn target(&mut self, bytes: &[u8]) -> Result<()>;

    /// Answers [`Step::AgentTls`]: the agent's bytes are encrypted from now on. Also before the first
    /// byte, if the agent started TLS at once.
    fn agent_secured(&mut self);

    /// Answers [`Step::Identify`].
    fn identified(&mut self, verifier: Arc<Verifier>) -> Result<()>;

    /// Answers [`Step::Connect`]: the target's socket is open. `label` names the run to the target.
    /// Also starts another attempt after [`Fault::TargetLogin`].
    fn connected(
        &mut self,
        endpoint: &Endpoint,
        label: &str,
        veil: Arc<dyn Veil>,
        knowledge: Option<Knowledge>,
    ) -> Result<()>;

    /// Answers [`Step::TargetTls`].
    fn target_secured(&mut self) -> Result<()>;

    /// Answers [`Step::Ask`].
    fn answer(&mut self, ticket: Ticket, answer: Answer) -> Result<()>;

    /// The call of [`Step::Ask`] is to wait while people are asked about it: ends what the session has open at
    /// the target, and asks the target what it expects of the call. Nothing where that takes a while:
    /// [`Step::Held`] brings it.
    fn hold(&mut self, ticket: Ticket) -> Result<Option<Rows>> {
        let _ = ticket;
        Ok(Some(Err("the target makes no estimate".into())))
    }

    /// The call that was held may be made now: looks whether it still is what people were asked about.
    /// Nothing where that takes a while: [`Step::Resumed`] says it.
    fn resume(&mut self, ticket: Ticket) -> Result<Option<bool>> {
        let _ = ticket;
        Ok(Some(true))
    }

    /// Whether the agent has said good-bye in what it sent and the session did not want yet.
    fn leaves(&self, unread: &[u8]) -> bool {
        let _ = unread;
        false
    }

    /// Whether the call under way only waits for what the target may have to say by itself, and so has no end to wait
    /// for.
    fn listens(&self) -> bool {
        false
    }

    /// What was learned of the target may be out of date: it is learned again before the next call
    /// that allows it.
    fn refresh(&mut self);

    /// Ends the session with the protocol's own words for it.
    fn refuse(&mut self, refused: &Refused);

    /// Whether agent bytes would be looked at now. While not, leave them in the socket.
    fn wants_agent(&self) -> bool;

    /// The bytes that cancel what the target is doing for this session, to send on a connection of
    /// their own; nothing before the target is ready.
    fn cancel_request(&self) -> Option<Vec<u8>>;

    /// The next step, until there is none.
    fn next(&mut self) -> Option<Step>;
}
