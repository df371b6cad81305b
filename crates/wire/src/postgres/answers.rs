//! A live session, from the target's side: every message answers what [`expect`](super::expect) has
//! at the front, or comes unasked (settings, notices). What is not expected ends the session.

use std::sync::Arc;

use bytes::BytesMut;

use super::Outbox;
use super::active::Active;
use super::calls;
use super::copy_out::{self, Copying};
use super::cover::Cover;
use super::expect::{Expect, Running};
use super::frame::{Frame, Sender, take};
use super::names::Change;
use super::rows;
use super::shape;
use super::waiting::Since;
use crate::limits::TARGET_FRAME_BYTES_MAX;
use crate::sql::StatementKind;
use crate::{Fault, Knowledge, Result, Step};

impl Active {
    /// Reads as many of the target's messages as are whole.
    pub(super) fn target(&mut self, input: &mut BytesMut, out: &mut Outbox) -> Result<()> {
        if let Some(learning) = &mut self.learning {
            let Some(catalogue) = learning.advance(input, out)? else {
                return Ok(());
            };
            self.learning = None;
            self.stale = false;
            if !catalogue.is_placed_like(&self.catalogue) {
                // The target reads them again too, and may find something else under their names.
                self.names.confirm(Change::Deallocate(None));
            }
            if catalogue != *self.catalogue {
                self.catalogue = Arc::new(catalogue);
                self.cover = Cover::new(&*self.veil, &self.catalogue);
                out.step(Step::Learned(Arc::clone(&self.catalogue) as Knowledge));
                self.looked_again(false, out);
            } else {
                self.looked_again(true, out);
            }
        }
        if !self.estimated(input, out)? {
            return Ok(());
        }
        while let Some(frame) = take(input, Sender::Target, TARGET_FRAME_BYTES_MAX)? {
            self.answered(&frame, out)?;
            // What comes next may be kept back again.
            self.flushed = false;
            if !self.estimated(input, out)? {
                return Ok(());
            }
        }
        Ok(())
    }

    pub(super) fn answered(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        match frame.tag {
            b'S' => {
                calls::check_setting(frame)?;
                self.reported.note(frame);
                out.agent(frame.whole.clone());
            }
            b'N' => {
                let (bytes, masked) = rows::mask_report(frame, self.withhold(), &*self.veil)?;
                self.note(|running| running.end.masked += masked);
                out.agent(bytes);
            }
            b'A' => {
                // A notification's payload is another session's text.
                match self.veil.rewrite(&frame.body()) {
                    None => out.agent(frame.whole.clone()),
                    Some((body, _)) => out.agent(super::message::message(b'A', |bytes| {
                        bytes.extend_from_slice(&body);
                    })),
                }
            }
            b'E' => self.error(frame, out)?,
            b'Z' => self.ready(frame, out)?,
            b'T' => self.row_description(frame, out)?,
            b'D' => self.row(frame, out)?,
            b'C' | b'I' | b's' => self.complete(frame, out)?,
            b'1' | b'2' | b'3' | b't' | b'n' => self.step_done(frame, out)?,
            b'G' => self.copy_in(frame, out)?,
            b'H' => self.copy_out(frame, out)?,
            b'd' => self.copied(frame, out)?,
            b'c' => match self.copying_out.take() {
                Some(copying) if copying.is_whole() => out.agent(frame.whole.clone()),
                Some(_) => return Err(Fault::Target("a COPY that ends in the middle".into())),
                None => return Err(unexpected(frame.tag)),
            },
            tag => return Err(unexpected(tag)),
        }
        Ok(())
    }

    fn running(&mut self) -> Option<&mut Running> {
        match self.expected.front_mut()? {
            Expect::Query { running, .. }
            | Expect::Parse { running, .. }
            | Expect::Execute { running, .. }
            | Expect::Bind {
                running: Some(running),
                ..
            } => Some(running),
            Expect::Bind { running: None, .. }
            | Expect::OwnDescribe { .. }
            | Expect::DescribeStatement
            | Expect::DescribePortal
            | Expect::Close(_)
            | Expect::Sync
            | Expect::OwnSync
            | Expect::Denied { .. } => None,
        }
    }

    fn note(&mut self, what: impl FnOnce(&mut Running)) {
        if let Some(running) = self.running() {
            what(running);
        }
    }

    /// Whether the target's texts may quote a masked value now. Where it is not clear which call
    /// they are about, any call on its way counts.
    fn withhold(&self) -> bool {
        self.expected.iter().any(|expect| match expect {
            Expect::Query { running, .. }
            | Expect::Parse { running, .. }
            | Expect::Execute { running, .. } => running.withhold,
            Expect::Bind { portal, .. } => portal.prepared.reads_masked,
            Expect::OwnDescribe { prepared } => prepared.reads_masked,
            Expect::DescribeStatement
            | Expect::DescribePortal
            | Expect::Close(_)
            | Expect::Sync
            | Expect::OwnSync
            | Expect::Denied { .. } => false,
        })
    }

    fn error(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        self.copying = None;
        self.copying_out = None;
        let code = rows::report_field(frame, b'C');
        let withhold = self.withhold();
        let (bytes, masked) = rows::mask_report(frame, withhold, &*self.veil)?;
        match self.expected.front_mut() {
            None => {
                // Unasked: the target ends the session (shutdown, termination by an administrator).
                out.agent(bytes);
                return Ok(());
            }
            Some(Expect::Denied { instead }) => {
                out.agent(instead.clone());
                self.expected.pop_front();
            }
            Some(Expect::Query { running, .. }) => {
                // Its ReadyForQuery is still due, and finishes it.
                running.end.error = code;
                running.end.masked += masked;
                out.agent(bytes);
                return Ok(());
            }
            Some(Expect::Sync) => {
                // Sync itself can fail: the commit of an implicit transaction. ReadyForQuery follows.
                out.agent(bytes);
                return Ok(());
            }
            Some(Expect::OwnSync) => {
                self.skipping = true;
                out.agent(bytes);
                return Ok(());
            }
            Some(_) => {
                out.agent(bytes);
                if let Some(mut failed) = self.expected.pop_front().and_then(Expect::into_running) {
                    failed.end.error = code;
                    failed.end.masked += masked;
                    out.step(Step::Finished(failed.ticket, failed.end));
                }
            }
        }
        // The target drops everything up to the next Sync. If the agent has not sent it yet, what
        // comes before it need not be asked for.
        self.failed = true;
        while let Some(expect) = self.expected.pop_front() {
            if matches!(expect, Expect::Sync | Expect::OwnSync) {
                // The agent's own is still to come after the gateway's.
                self.skipping |= matches!(expect, Expect::OwnSync);
                self.expected.push_front(expect);
                return Ok(());
            }
            skip(expect, out);
        }
        self.skipping = true;
        Ok(())
    }

    fn ready(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        loop {
            match self.expected.pop_front() {
                Some(Expect::Sync) => break,
                Some(Expect::OwnSync) => return self.settled(frame, out),
                Some(Expect::Query { running, .. }) => {
                    out.step(Step::Finished(running.ticket, running.end));
                    break;
                }
                // Sent while the error was on its way here, and dropped by the target.
                Some(dropped) if self.failed => skip(dropped, out),
                _ => return Err(unexpected(frame.tag)),
            }
        }
        self.failed = false;
        self.status = super::message::status(frame)?;
        self.place.ready(self.status);
        self.reported.settled();
        if self.status == b'I' {
            self.names.transaction_over();
        }
        self.awaiting = false;
        self.since = Since::Ready;
        self.copying = None;
        self.copying_out = None;
        out.agent(frame.whole.clone());
        Ok(())
    }

    fn row_description(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        let described = rows::described(frame)?;
        match self.expected.front_mut() {
            Some(Expect::Query { parts, rules, .. }) => {
                let part = parts.front().ok_or_else(|| unexpected(frame.tag))?;
                *rules = Some(shape::rules(
                    &part.prepared,
                    &described,
                    &self.catalogue,
                    &self.cover,
                )?);
                out.agent(frame.whole.clone());
            }
            Some(Expect::OwnDescribe { prepared }) => {
                // The same text may be prepared twice; the description is the same.
                let _ = prepared.columns.set(described);
                self.expected.pop_front();
            }
            Some(Expect::DescribeStatement | Expect::DescribePortal) => {
                self.expected.pop_front();
                out.agent(frame.whole.clone());
            }
            _ => return Err(unexpected(frame.tag)),
        }
        Ok(())
    }

    fn row(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        let (running, rules) = match self.expected.front_mut() {
            Some(Expect::Query {
                running,
                rules: Some(rules),
                ..
            }) => (running, rules),
            Some(Expect::Execute {
                running,
                rules,
                portal,
                results,
                ..
            }) => {
                let rules = match rules {
                    Some(rules) => rules,
                    None => {
                        let of = &portal.prepared;
                        let declared = matches!(of.statement.kind, StatementKind::Declare { .. });
                        let made = match of.columns.get() {
                            Some(described) if Arc::ptr_eq(results, of) && !declared => {
                                shape::rules(results, described, &self.catalogue, &self.cover)?
                            }
                            // Described when it was prepared, when the name may have meant another; or
                            // not at all, because it is a cursor that SQL has declared.
                            _ => shape::blind_rules(results, rows::columns(frame)?, &self.cover)?,
                        };
                        rules.insert(shape::with_formats(made, &portal.formats))
                    }
                };
                (running, rules)
            }
            _ => return Err(unexpected(frame.tag)),
        };
        let (bytes, masked) = rows::mask(frame, rules, &*self.veil)?;
        running.end.rows += 1;
        running.end.bytes += bytes.len() as u64;
        running.end.masked += masked;
        out.step(Step::Rows(running.ticket, bytes));
        Ok(())
    }

    /// CommandComplete, EmptyQueryResponse or PortalSuspended.
    fn complete(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        if self.copying_out.is_some() {
            return Err(unexpected(frame.tag));
        }
        out.agent(frame.whole.clone());
        let affected = match frame.tag {
            b'C' => affected(frame),
            _ => 0,
        };
        match self.expected.front_mut() {
            Some(Expect::Query {
                running,
                parts,
                rules,
            }) => {
                *rules = None;
                running.end.rows = running.end.rows.max(affected);
                if let Some(part) = parts.pop_front() {
                    self.stale |= self.place.completed(&part.prepared.statement);
                    if let Some(change) = part.change {
                        self.names.confirm(change);
                    }
                }
                Ok(())
            }
            Some(Expect::Execute { .. }) => {
                let Some(Expect::Execute {
                    mut running,
                    portal,
                    results,
                    change,
                    ..
                }) = self.expected.pop_front()
                else {
                    return Err(unexpected(frame.tag));
                };
                running.end.rows = running.end.rows.max(affected);
                self.stale |= self.place.completed(&portal.prepared.statement);
                self.stale |= self.place.completed(&results.statement);
                if let (Some(change), b'C') = (change, frame.tag) {
                    self.names.confirm(change);
                }
                out.step(Step::Finished(running.ticket, running.end));
                Ok(())
            }
            _ => Err(unexpected(frame.tag)),
        }
    }

    /// ParseComplete, BindComplete, CloseComplete, ParameterDescription or NoData.
    fn step_done(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        match (frame.tag, self.expected.front()) {
            // Kept from the agent, who did not ask for it. RowDescription or NoData follows.
            (b't', Some(Expect::OwnDescribe { .. })) => return Ok(()),
            (b't', Some(Expect::DescribeStatement)) => {
                out.agent(frame.whole.clone());
                return Ok(());
            }
            (b'n', Some(Expect::OwnDescribe { .. })) => {
                if let Some(Expect::OwnDescribe { prepared }) = self.expected.pop_front() {
                    let _ = prepared.columns.set(Vec::new());
                }
                return Ok(());
            }
            (b'n', Some(Expect::DescribeStatement | Expect::DescribePortal))
            | (b'1', Some(Expect::Parse { .. }))
            | (b'2', Some(Expect::Bind { .. }))
            | (b'3', Some(Expect::Close(_))) => {}
            (tag, _) => return Err(unexpected(tag)),
        }
        out.agent(frame.whole.clone());
        match self.expected.pop_front() {
            Some(Expect::Parse {
                running,
                name,
                prepared,
            }) => {
                self.names.confirm(Change::Prepare(name, prepared));
                out.step(Step::Finished(running.ticket, running.end));
            }
            Some(Expect::Bind {
                running,
                name,
                portal,
            }) => {
                self.names.confirm(Change::Open(name, portal));
                if let Some(running) = running {
                    out.step(Step::Finished(running.ticket, running.end));
                }
            }
            Some(Expect::Close(change)) => self.names.confirm(change),
            _ => {}
        }
        Ok(())
    }

    /// CopyOutResponse.
    fn copy_out(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        let prepared = match self.expected.front() {
            Some(Expect::Query { parts, .. }) => parts.front().map(|part| &part.prepared),
            Some(Expect::Execute { results, .. }) => Some(results),
            _ => None,
        };
        let prepared = prepared.ok_or_else(|| unexpected(frame.tag))?;
        let StatementKind::CopyOut(copy) = &prepared.statement.kind else {
            return Err(unexpected(frame.tag));
        };
        let count = copy_out::columns(frame, copy)?;
        let rules = shape::copy_rules(prepared, count, &self.cover)?;
        self.copying_out = Some(Copying::new(copy.clone(), rules));
        out.agent(frame.whole.clone());
        Ok(())
    }

    /// CopyData.
    fn copied(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        let copying = self.copying_out.as_mut();
        let copying = copying.ok_or_else(|| unexpected(frame.tag))?;
        let copied = copying.data(frame, &*self.veil)?;
        let running = self.running().ok_or_else(|| unexpected(frame.tag))?;
        running.end.rows += copied.rows;
        running.end.bytes += copied.bytes.len() as u64;
        running.end.masked += copied.masked;
        out.step(Step::Rows(running.ticket, copied.bytes));
        Ok(())
    }

    fn copy_in(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        let copies = |kind: &StatementKind| matches!(kind, StatementKind::CopyIn);
        match self.expected.front() {
            Some(Expect::Query { parts, .. })
                if parts
                    .front()
                    .is_some_and(|part| copies(&part.prepared.statement.kind)) => {}
            Some(Expect::Execute { portal, .. }) if copies(&portal.prepared.statement.kind) => {
                // The target ignores a Sync while it copies, so none is answered. But if anything else
                // stands before it, that has ended the COPY with an error.
                if matches!(self.expected.get(1), Some(Expect::Sync)) {
                    self.expected.remove(1);
                    self.awaiting = false;
                }
            }
            _ => return Err(unexpected(frame.tag)),
        }
        self.copying = Some(Vec::new());
        out.agent(frame.whole.clone());
        Ok(())
    }
}

impl Expect {
    fn into_running(self) -> Option<Running> {
        match self {
            Expect::Query { running, .. }
            | Expect::Parse { running, .. }
            | Expect::Execute { running, .. } => Some(running),
            Expect::Bind { running, .. } => running,
            Expect::OwnDescribe { .. }
            | Expect::DescribeStatement
            | Expect::DescribePortal
            | Expect::Close(_)
            | Expect::Sync
            | Expect::OwnSync
            | Expect::Denied { .. } => None,
        }
    }
}

/// A message that the target dropped.
fn skip(expect: Expect, out: &mut Outbox) {
    if let Some(mut running) = expect.into_running() {
        running.end.skipped = true;
        out.step(Step::Finished(running.ticket, running.end));
    }
}

fn unexpected(tag: u8) -> Fault {
    Fault::Target(format!(
        "a message of type {:?} that answers nothing it was asked",
        char::from(tag)
    ))
}

/// The count in a command tag: `UPDATE 3`, `INSERT 0 3`.
fn affected(frame: &Frame) -> u64 {
    frame
        .reader()
        .c_string()
        .and_then(|tag| tag.rsplit(' ').next()?.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_command_tags() {
        for (tag, count) in [
            (&b"C\0\0\0\x0dUPDATE 3\0"[..], 3),
            (b"C\0\0\0\x0fINSERT 0 3\0", 3),
            (b"C\0\0\0\x0aBEGIN\0", 0),
        ] {
            let frame = rows::frame_of(bytes::Bytes::copy_from_slice(tag)).unwrap();
            assert_eq!(affected(&frame), count);
        }
    }
}
