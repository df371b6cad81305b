//! A live session, from the agent's side: each message is read, and what it asks the target to do is
//! held until it is answered. The target's side is in [`answers`](super::answers).
//!
//! Two rules keep the order PostgreSQL's own. One segment at a time: what follows a Query or a Sync
//! waits for its ReadyForQuery, so what a name stands for is always known. And a denied call is not
//! answered here but by the target: in its place goes an Execute of a portal that does not exist,
//! which fails as the call would have, aborts the transaction, skips the rest of the pipeline, and
//! has its error replaced by the denial.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use bailiwick_action::{Call, Held, Stage, Verb};
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::Outbox;
use super::calls::{self, Calls, FULL, stage};
use super::copy_out::Copying;
use super::cover::Cover;
use super::expect::{Expect, Part, Running};
use super::frame::{Frame, Sender, take};
use super::learn::Learning;
use super::message;
use super::names::{Change, Names, Portal, Prepared};
use super::place::{ADRIFT, Place};
use super::target_login::Greeting;
use super::waiting::{Reported, Since, Waiting};
use crate::limits::{AGENT_FRAME_BYTES_MAX, PIPELINE_BYTES_MAX, PIPELINE_MAX, VALUES_MAX};
use crate::sql::{Catalogue, StatementKind};
use crate::{Answer, End, Fault, Result, Seed, Step, Ticket, Veil};

/// A session in which calls go through.
pub(super) struct Active {
    pub(super) veil: Arc<dyn Veil>,
    pub(super) catalogue: Arc<Catalogue>,
    /// What the veil masks, by this catalogue.
    pub(super) cover: Cover,
    /// The catalogue may have changed since it was read.
    pub(super) stale: bool,
    /// Where names are looked for.
    pub(super) place: Place,
    /// The agent has begun a pipeline and not ended it with its Sync.
    pub(super) in_pipeline: bool,
    /// The catalogue is being read again.
    pub(super) learning: Option<Learning>,
    pub(super) names: Names,
    pub(super) expected: VecDeque<Expect>,
    /// The target's transaction status: `I`, `T` or `E`.
    pub(super) status: u8,
    /// A ReadyForQuery is due; until then no further segment starts.
    pub(super) awaiting: bool,
    /// A call of this pipeline failed: the agent's messages are dropped up to its Sync, as the target
    /// would drop them.
    pub(super) skipping: bool,
    /// The target reported an error, and drops what it has been sent since, up to a Sync.
    pub(super) failed: bool,
    /// The target takes COPY data; the end of what was sent before, to see a placeholder in two halves.
    pub(super) copying: Option<Vec<u8>>,
    /// The target sends COPY data.
    pub(super) copying_out: Option<Copying>,
    /// The target's key for cancelling.
    cancel_key: Bytes,
    /// Names the portal that no agent can make.
    nowhere: String,
    /// What the agent has begun at the target since it was last ready.
    pub(super) since: Since,
    /// How the target reads what can be read in several ways.
    pub(super) reported: Arc<Reported>,
    pub(super) asked: Option<(Ticket, Asked)>,
    /// What the gateway itself does at the target for a call that is held.
    pub(super) waiting: Option<Waiting>,
    tickets: u64,
    stash: Option<Stash>,
    /// A message that was read, and waits for the stash before it to be answered.
    pub(super) next: Option<Frame>,
    /// The target was asked for the answers to a pipeline that is full.
    pub(super) flushed: bool,
}

/// Every message that a client may send once it has logged in.
const KNOWN: &[u8] = b"QPBDECHSXFdcf";

/// What becomes of a held call.
pub(super) enum Asked {
    /// What came before it has failed: the target would skip it, and so it is never sent.
    Void,
    Query(VecDeque<Part>, bool),
    Parse(String, Arc<Prepared>),
    /// Bind, perhaps Describe, perhaps Execute.
    Portal(Stash, Option<Execute>),
    /// Not understood, with the message to tell the agent instead of a plain denial, and whether
    /// the message ends its segment by itself.
    Refused {
        instead: Option<Bytes>,
        segment: bool,
    },
}

/// A Bind that waits for the Execute that belongs to it.
pub(super) struct Stash {
    /// Nothing if the portal was bound before.
    bind: bool,
    describe: bool,
    name: String,
    pub(super) portal: Arc<Portal>,
    /// The values of the Bind, as it has them, with their formats.
    pub(super) values: Bytes,
    bytes: BytesMut,
}

pub(super) struct Execute {
    /// What its rows are made of.
    results: Arc<Prepared>,
    change: Option<Change>,
}

impl Active {
    pub(super) fn start(
        greeting: Greeting,
        veil: Arc<dyn Veil>,
        catalogue: Arc<Catalogue>,
        seed: &Seed,
        out: &mut Outbox,
    ) -> Result<Self> {
        let mut token = String::new();
        for byte in seed.token {
            token.push_str(&format!("{byte:02x}"));
        }
        let mut reported = Arc::<Reported>::default();
        for setting in &greeting.settings {
            calls::check_setting(setting)?;
            reported.note(setting);
            out.agent(setting.whole.clone());
        }
        out.agent(message::message(b'K', |body| {
            body.extend_from_slice(&seed.cancel.0);
        }));
        out.agent(message::ready(greeting.status));
        Ok(Self {
            cover: Cover::new(&*veil, &catalogue),
            veil,
            catalogue,
            stale: false,
            place: Place::default(),
            in_pipeline: false,
            learning: None,
            names: Names::default(),
            expected: VecDeque::new(),
            status: greeting.status,
            awaiting: false,
            skipping: false,
            failed: false,
            copying: None,
            copying_out: None,
            cancel_key: greeting.cancel_key,
            nowhere: format!("bailiwick denied a call {token}"),
            since: Since::Ready,
            reported,
            asked: None,
            waiting: None,
            tickets: 0,
            stash: None,
            next: None,
            flushed: false,
        })
    }

    /// Nothing if the target gave no key.
    pub(super) fn cancel_request(&self) -> Option<Vec<u8>> {
        (!self.cancel_key.is_empty()).then(|| message::cancel(&self.cancel_key).to_vec())
    }

    pub(super) fn wants_agent(&self) -> bool {
        self.acts() && !self.awaits_copy()
    }

    /// Whether a message of the agent would be acted on now.
    fn acts(&self) -> bool {
        self.asked.is_none()
            && self.learning.is_none()
            && (!self.awaiting || self.copying.is_some())
            && !self.is_full()
    }

    /// Whether as much is on its way as may be.
    fn is_full(&self) -> bool {
        self.expected.len() >= PIPELINE_MAX
            || self.expected.iter().map(Expect::held).sum::<usize>() >= PIPELINE_BYTES_MAX
    }

    /// Whether data waits for a COPY that the target has not confirmed.
    fn awaits_copy(&self) -> bool {
        let data = |frame: &Frame| matches!(frame.tag, b'd' | b'c' | b'f');
        self.copying.is_none()
            && !self.skipping
            && self.next.as_ref().is_some_and(data)
            && self.expects_copy()
    }

    fn expects_copy(&self) -> bool {
        self.expected.iter().any(|expect| {
            matches!(expect, Expect::Execute { portal, .. }
                if matches!(portal.prepared.statement.kind, StatementKind::CopyIn))
        })
    }

    /// Reads as many of the agent's messages as can be acted on now.
    pub(super) fn agent(&mut self, input: &mut BytesMut, out: &mut Outbox) -> Result<()> {
        while self.acts() {
            // Between two segments nothing of the agent's is on its way.
            if self.stale && !self.in_pipeline && self.expected.is_empty() && self.status != b'E' {
                let (learning, first) = Learning::start();
                self.learning = Some(learning);
                out.relay(first);
                return Ok(());
            }
            let frame = match self.next.take() {
                Some(frame) => frame,
                None => match take(input, Sender::Agent, AGENT_FRAME_BYTES_MAX)? {
                    Some(frame) => frame,
                    None => return Ok(()),
                },
            };
            if !KNOWN.contains(&frame.tag) {
                return Err(Fault::Agent(format!(
                    "a message of type {:?}, which this gateway does not know",
                    char::from(frame.tag)
                )));
            }
            if frame.tag == b'X' {
                out.relay(message::terminate());
                out.step(Step::Done);
                return Ok(());
            }
            if self.copying.is_some() {
                self.copy(&frame, out)?;
            } else if self.skipping {
                self.stash = None;
                if frame.tag == b'S' {
                    self.sync(out);
                }
            } else if self.stash.is_some() && !self.belongs_to_stash(&frame) {
                self.next = Some(frame);
                self.ask_stash(None, out);
            } else if !self.message(frame, out)? {
                return Ok(());
            }
        }
        if self.is_full() && !self.flushed {
            // The target keeps its answers back until it is asked for them, and the agent may never
            // come to that.
            self.flushed = true;
            out.relay(message::flush());
        }
        Ok(())
    }

    /// Acts on one message; says whether to go on with the next.
    fn message(&mut self, frame: Frame, out: &mut Outbox) -> Result<bool> {
        self.in_pipeline = !matches!(frame.tag, b'Q' | b'S' | b'F');
        match frame.tag {
            b'Q' => self.query(&frame, out)?,
            b'P' => self.parse(&frame, out)?,
            b'B' => self.bind(&frame, out)?,
            b'D' => self.describe(&frame, out)?,
            b'E' => self.execute(&frame, out)?,
            b'C' => self.close(&frame, out)?,
            b'H' => {
                text_of(&frame, |_| Some(()))?;
                out.relay(frame.whole);
            }
            b'S' => {
                text_of(&frame, |_| Some(()))?;
                self.sync(out);
            }
            b'd' | b'c' | b'f' => {
                // Data for a COPY that the target has not confirmed waits; that of a COPY which
                // failed is dropped, as the target would drop it.
                if self.expects_copy() {
                    self.next = Some(frame);
                    return Ok(false);
                }
            }
            b'F' => {
                let why = "a function call of the old kind, outside of any statement".to_owned();
                let call = self.calls().refused("FUNCTION CALL", String::new(), why);
                let asked = Asked::Refused {
                    instead: None,
                    segment: true,
                };
                self.ask(call, Bytes::new(), Stage::Retries, asked, out);
            }
            _ => return Err(Fault::Bug("a known message that nobody reads")),
        }
        Ok(true)
    }

    fn calls(&self) -> Calls<'_> {
        Calls {
            catalogue: &self.catalogue,
            veil: &*self.veil,
            cover: &self.cover,
            reported: &self.reported,
        }
    }

    fn query(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        if !self.expected.is_empty() {
            // Should what is on its way fail, the target would drop the Query too, unanswered.
            return Err(Fault::Agent(
                "a Query in the middle of a pipeline, before its Sync".into(),
            ));
        }
        let text = text_of(frame, |reader| reader.c_string())?;
        let (call, parts, stage) = self.calls().query(&text, &self.foreseen(), &self.place);
        let reads_masked = parts.iter().any(|part| part.prepared.reads_masked);
        let asked = if call.refusal.is_some() {
            Asked::Refused {
                instead: None,
                segment: true,
            }
        } else {
            Asked::Query(parts.into(), reads_masked)
        };
        self.ask(call, frame.whole.clone(), stage, asked, out);
        Ok(())
    }

    fn parse(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        let (name, text, types) = text_of(frame, |reader| {
            let (name, text) = (reader.name()?, reader.c_string()?);
            let count = reader.count(VALUES_MAX)?;
            let types: Option<Vec<u32>> = (0..count).map(|_| reader.u32()).collect();
            Some((name, text, types?))
        })?;
        if self.place.is_adrift() {
            let call = self.calls().refused("PREPARE", text, ADRIFT.to_owned());
            self.refuse(call, None, out);
            return Ok(());
        }
        let prepared = self.calls().prepare(&text, &types, &self.foreseen());
        match prepared {
            Ok((call, prepared)) => {
                // The target describes the statement to us too: masking needs to know its types.
                let mut bytes = BytesMut::from(&*frame.whole);
                bytes.extend_from_slice(&message::describe_statement(&name));
                let asked = Asked::Parse(name, prepared);
                self.ask(call, bytes.freeze(), Stage::Prepares, asked, out);
            }
            Err(call) => self.refuse(*call, None, out),
        }
        Ok(())
    }

    fn bind(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        let (name, statement, values, sent, formats) = text_of(frame, |reader| {
            let name = reader.name()?;
            let statement = reader.name()?;
            let before = reader.0.clone();
            let value_formats = formats(reader)?;
            let count = reader.count(VALUES_MAX)?;
            let mut values = Vec::with_capacity(count.min(1_024));
            for at in 0..count {
                let value = reader.value()?;
                let binary = match value_formats.as_slice() {
                    [] => false,
                    [all] => *all,
                    each => *each.get(at)?,
                };
                values.push(value.map(|value| calls::value_text(&value, binary)));
            }
            let sent = before.slice(..before.len().checked_sub(reader.0.len())?);
            Some((name, statement, values, sent, formats(reader)?))
        })?;
        let Some(prepared) = self.foreseen().statement(&statement).cloned() else {
            let why = "a prepared statement that does not exist in this session";
            let instead = message::error(&message::ErrorFields {
                severity: "ERROR",
                code: "26000",
                message: &format!("prepared statement \"{statement}\" does not exist"),
                detail: None,
                hint: None,
            });
            let call = self.calls().refused("BIND", String::new(), why.into());
            self.refuse(call, Some(instead), out);
            return Ok(());
        };
        if self.foreseen().is_full() {
            let verb = prepared.statement.verb;
            let call = self
                .calls()
                .refused(verb, prepared.text.clone(), FULL.into());
            self.refuse(call, None, out);
            return Ok(());
        }
        let mut sense = Sha256::new();
        for oid in &prepared.types {
            sense.update(oid.to_be_bytes());
        }
        sense.update(&sent);
        // Constants were read when it was prepared, and its values are now.
        for reported in [&prepared.reported, &self.reported] {
            let mut read = Vec::new();
            reported.put(&mut read);
            sense.update((read.len() as u64).to_be_bytes());
            sense.update(&read);
        }
        self.stash = Some(Stash {
            bind: true,
            describe: false,
            name,
            values: sent,
            portal: Arc::new(Portal {
                prepared,
                values,
                sense: sense.finalize().into(),
                formats,
                cursor: false,
            }),
            bytes: BytesMut::from(&*frame.whole),
        });
        Ok(())
    }

    fn describe(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        let (what, name) = text_of(frame, |reader| Some((reader.u8()?, reader.name()?)))?;
        match (what, &mut self.stash) {
            (b'P', Some(stash)) if stash.name == name => {
                stash.describe = true;
                stash.bytes.extend_from_slice(&frame.whole);
            }
            (b'P', _) => {
                out.relay(frame.whole.clone());
                self.expected.push_back(Expect::DescribePortal);
            }
            (b'S', _) => {
                out.relay(frame.whole.clone());
                self.since = self.since.max(Since::Prepared);
                self.expected.push_back(Expect::DescribeStatement);
            }
            _ => return Err(Fault::Agent("a malformed message of type 'D'".into())),
        }
        Ok(())
    }

    fn execute(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        let (name, _rows) = text_of(frame, |reader| Some((reader.name()?, reader.i32()?)))?;
        if self.stash.is_none() {
            let Some(portal) = self.foreseen().portal(&name).cloned() else {
                let why = "a portal that does not exist in this session";
                let instead = message::error(&message::ErrorFields {
                    severity: "ERROR",
                    code: "34000",
                    message: &format!("portal \"{name}\" does not exist"),
                    detail: None,
                    hint: None,
                });
                let call = self.calls().refused("EXECUTE", String::new(), why.into());
                self.refuse(call, Some(instead), out);
                return Ok(());
            };
            // What it fetches or executes was settled when it first ran; the name may mean another now.
            let kind = &portal.prepared.statement.kind;
            if matches!(
                kind,
                StatementKind::Fetch { .. } | StatementKind::Execute { .. }
            ) {
                let why = "a portal of FETCH or EXECUTE apart from its Bind; bind it again";
                let verb = portal.prepared.statement.verb;
                let text = portal.prepared.text.clone();
                let call = self.calls().refused(verb, text, why.into());
                self.refuse(call, None, out);
                return Ok(());
            }
            self.stash = Some(Stash {
                bind: false,
                describe: false,
                name,
                portal,
                values: Bytes::new(),
                bytes: BytesMut::new(),
            });
        }
        self.ask_stash(Some(frame), out);
        Ok(())
    }

    fn close(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        let (what, name) = text_of(frame, |reader| Some((reader.u8()?, reader.name()?)))?;
        let change = match what {
            b'S' => Change::Deallocate(Some(name)),
            b'P' => Change::Close(Some(name)),
            _ => return Err(Fault::Agent("a malformed message of type 'C'".into())),
        };
        out.relay(frame.whole.clone());
        self.expected.push_back(Expect::Close(change));
        Ok(())
    }

    fn sync(&mut self, out: &mut Outbox) {
        out.relay(message::sync());
        self.expected.push_back(Expect::Sync);
        self.awaiting = true;
        self.skipping = false;
    }

    /// COPY data under a permitted COPY.
    fn copy(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        match frame.tag {
            b'd' => {
                let tail = self.copying.get_or_insert_default();
                tail.extend_from_slice(&frame.body());
                if self.veil.has_placeholder(tail) {
                    self.copying = None;
                    out.relay(message::copy_fail(
                        "the data holds a masked placeholder, which is never written back",
                    ));
                } else {
                    let keep = tail.len().saturating_sub(calls::PLACEHOLDER_BYTES_MAX);
                    tail.drain(..keep);
                    out.relay(frame.whole.clone());
                }
            }
            b'c' | b'f' => {
                self.copying = None;
                out.relay(frame.whole.clone());
            }
            // Ignored by the target too while it copies.
            b'H' | b'S' => {}
            tag => {
                return Err(Fault::Agent(format!(
                    "a message of type {:?} in the middle of a COPY",
                    char::from(tag)
                )));
            }
        }
        Ok(())
    }

    fn belongs_to_stash(&self, frame: &Frame) -> bool {
        let Some(stash) = &self.stash else {
            return false;
        };
        let mut reader = frame.reader();
        match frame.tag {
            b'D' => {
                !stash.describe
                    && reader.u8() == Some(b'P')
                    && reader.c_string().as_ref() == Some(&stash.name)
            }
            b'E' => reader.c_string().as_ref() == Some(&stash.name),
            _ => false,
        }
    }

    /// Asks for the stashed Bind, together with its Execute if that has come.
    fn ask_stash(&mut self, execute: Option<&Frame>, out: &mut Outbox) {
        let Some(mut stash) = self.stash.take() else {
            return;
        };
        if self.place.is_adrift() {
            let (verb, text) = (
                stash.portal.prepared.statement.verb,
                stash.portal.prepared.text.clone(),
            );
            let call = self.calls().refused(verb, text, ADRIFT.to_owned());
            self.refuse(call, None, out);
            return;
        }
        let executes = execute.is_some();
        let (call, results, change) =
            self.calls()
                .portal(&stash.portal, executes, &self.foreseen());
        if let Some(execute) = execute {
            stash.bytes.extend_from_slice(&execute.whole);
        }
        if call.refusal.is_some() {
            self.refuse(call, None, out);
            return;
        }
        let bytes = stash.bytes.split().freeze();
        let execute = execute.map(|_| Execute { results, change });
        let runs_functions = call
            .actions
            .iter()
            .any(|action| action.verb == Verb::Execute);
        let stage = match &execute {
            Some(_) => stage([&stash.portal.prepared.statement.kind]),
            // To plan a statement, the target may run what always comes to the same.
            None if runs_functions => Stage::Retries,
            None => Stage::Prepares,
        };
        self.ask(call, bytes, stage, Asked::Portal(stash, execute), out);
    }

    /// Asks for a call of the extended protocol that cannot be allowed, so that it is on record.
    fn refuse(&mut self, call: Call, instead: Option<Bytes>, out: &mut Outbox) {
        let asked = Asked::Refused {
            instead,
            segment: false,
        };
        self.ask(call, Bytes::new(), Stage::Retries, asked, out);
    }

    fn ask(&mut self, call: Call, bytes: Bytes, stage: Stage, asked: Asked, out: &mut Outbox) {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        let held = Held {
            call,
            bytes: bytes.to_vec(),
            sense: self.sense(&asked),
            stage: match stage {
                Stage::Waits if !self.can_wait() => Stage::Retries,
                stage => stage,
            },
        };
        self.asked = Some((ticket, asked));
        out.step(Step::Ask(ticket, held));
    }

    /// The names as they will be once everything on its way has succeeded. If something on its way
    /// fails, whatever relies on it is skipped by the target: both are in one segment.
    fn foreseen(&self) -> Cow<'_, Names> {
        let changes = |expect: &Expect| {
            matches!(
                expect,
                Expect::Parse { .. }
                    | Expect::Bind { .. }
                    | Expect::Close(_)
                    | Expect::Execute {
                        change: Some(_),
                        ..
                    }
            )
        };
        if !self.expected.iter().any(changes) {
            return Cow::Borrowed(&self.names);
        }
        let mut names = self.names.clone();
        for expect in &self.expected {
            match expect {
                Expect::Parse { name, prepared, .. } => {
                    names.foresee(Change::Prepare(name.clone(), Arc::clone(prepared)));
                }
                Expect::Bind { name, portal, .. } => {
                    names.foresee(Change::Open(name.clone(), Arc::clone(portal)));
                }
                Expect::Execute {
                    change: Some(change),
                    ..
                }
                | Expect::Close(change) => names.foresee(change.clone()),
                Expect::Query { .. }
                | Expect::OwnDescribe { .. }
                | Expect::DescribeStatement
                | Expect::DescribePortal
                | Expect::Execute { change: None, .. }
                | Expect::Sync
                | Expect::OwnSync
                | Expect::Denied { .. } => {}
            }
        }
        Cow::Owned(names)
    }

    /// Goes on with the answer to what was asked.
    pub(super) fn answer(
        &mut self,
        ticket: Ticket,
        answer: Answer,
        out: &mut Outbox,
    ) -> Result<()> {
        let Some((asked, what)) = self.asked.take() else {
            return Err(Fault::Bug("an answer that nobody asked for"));
        };
        if asked != ticket {
            return Err(Fault::Bug("the answer to another question"));
        }
        match answer {
            Answer::Allow(_) => self.allowed(ticket, what),
            Answer::Deny(denial) => {
                let instead = match &what {
                    Asked::Refused {
                        instead: Some(instead),
                        ..
                    } => instead.clone(),
                    _ => message::denied(&denial),
                };
                self.denied(instead, &what, out);
                Ok(())
            }
            Answer::Unapproved(denial, _) => {
                self.denied(message::unapproved(&denial), &what, out);
                Ok(())
            }
            Answer::Withdrawn => {
                self.denied(message::withdrawn(), &what, out);
                Ok(())
            }
            Answer::Unrecorded(why) => {
                self.denied(message::unrecorded(&why), &what, out);
                Ok(())
            }
        }
    }

    /// The call's bytes went to the target: note what it owes for them.
    fn allowed(&mut self, ticket: Ticket, what: Asked) -> Result<()> {
        let running = |withhold| Running {
            ticket,
            end: End::default(),
            withhold,
        };
        match what {
            Asked::Query(parts, withhold) => {
                self.expected.push_back(Expect::Query {
                    running: running(withhold),
                    parts,
                    rules: None,
                });
                self.awaiting = true;
                // A Query ends the unnamed statement and the unnamed portal.
                self.names.confirm(Change::Deallocate(Some(String::new())));
                self.names.confirm(Change::Close(Some(String::new())));
            }
            Asked::Parse(name, prepared) => {
                self.since = self.since.max(Since::Prepared);
                self.expected.push_back(Expect::Parse {
                    running: running(prepared.reads_masked),
                    name,
                    prepared: Arc::clone(&prepared),
                });
                self.expected.push_back(Expect::OwnDescribe { prepared });
            }
            Asked::Portal(stash, execute) => {
                self.since = Since::Ran;
                let withhold = stash.portal.prepared.reads_masked
                    || execute
                        .as_ref()
                        .is_some_and(|execute| execute.results.reads_masked);
                let alone = execute.is_none();
                if stash.bind {
                    self.expected.push_back(Expect::Bind {
                        running: alone.then(|| running(withhold)),
                        name: stash.name,
                        portal: Arc::clone(&stash.portal),
                    });
                }
                if stash.describe {
                    self.expected.push_back(Expect::DescribePortal);
                }
                if let Some(execute) = execute {
                    self.reported.runs(&stash.portal);
                    self.place.sent(&stash.portal.prepared.statement);
                    self.place.sent(&execute.results.statement);
                    self.expected.push_back(Expect::Execute {
                        running: running(withhold),
                        portal: stash.portal,
                        results: execute.results,
                        rules: None,
                        change: execute.change,
                    });
                }
            }
            Asked::Void | Asked::Refused { .. } => {
                return Err(Fault::Bug("what can only be denied was allowed"));
            }
        }
        Ok(())
    }

    /// The call's bytes did not go to the target: in their place goes what fails like it.
    fn denied(&mut self, instead: Bytes, what: &Asked, out: &mut Outbox) {
        if matches!(what, Asked::Void) {
            // The agent knows already why, and its messages are dropped up to its Sync.
            return;
        }
        self.since = Since::Ran;
        out.relay(message::execute(&self.nowhere));
        self.expected.push_back(Expect::Denied { instead });
        match what {
            Asked::Query(..) | Asked::Refused { segment: true, .. } => self.sync(out),
            Asked::Parse(..) | Asked::Portal(..) | Asked::Refused { .. } => self.skipping = true,
            Asked::Void => {}
        }
    }
}

/// Reads a message's fields, all there are; one that cannot be read is the agent's fault.
fn text_of<T>(
    frame: &Frame,
    read: impl FnOnce(&mut super::frame::Reader) -> Option<T>,
) -> Result<T> {
    let mut reader = frame.reader();
    read(&mut reader)
        .filter(|_| reader.is_empty())
        .ok_or_else(|| {
            Fault::Agent(format!(
                "a malformed message of type {:?}, text that is not UTF-8, or a name of more than \
                 63 bytes",
                char::from(frame.tag)
            ))
        })
}

/// A list of format codes: true for binary. Nothing where one is neither.
fn formats(reader: &mut super::frame::Reader) -> Option<Vec<bool>> {
    let count = reader.count(VALUES_MAX)?;
    (0..count)
        .map(|_| match reader.i16()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        })
        .collect()
}
