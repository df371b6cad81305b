//! A call that is held while people are asked about it. It waits only where nothing is kept up by that: no
//! transaction is open, and nothing that was sent with it has run. What was only prepared is ended by a Sync
//! of the gateway's own, so that the target holds no lock for it. Before the call is made, the catalogue is read
//! again: it may have waited for long.

use std::sync::Arc;

use bytes::BytesMut;
use sha2::{Digest, Sha256};

use super::Outbox;
use super::active::{Active, Asked};
use super::estimate::{Estimating, Explain};
use super::expect::Expect;
use super::frame::Frame;
use super::learn::Learning;
use super::message;
use super::names::Portal;
use crate::sql::StatementKind;
use crate::{Fault, Result, Rows, Step, Ticket};

/// What the agent has begun at the target since it was last ready for a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Since {
    /// Nothing.
    Ready,
    /// It has prepared or described statements.
    Prepared,
    /// It has run something, or opened what could.
    Ran,
}

/// What the gateway does at the target for a call that is held.
pub(super) enum Waiting {
    /// Its own Sync is on its way.
    Settling(Ticket, std::result::Result<Explain, String>),
    /// The target is asked what it expects of the call.
    Estimating(Ticket, Estimating),
    /// The catalogue is being read again.
    Looking(Ticket),
}

/// The target's settings by which one text can be two values, as it reports them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reported {
    /// Apart from the rest: they hardly ever change, and that does with every statement.
    known: Arc<[String; 3]>,
    /// What ran since. Changes are reported at the end of a segment only, so that in the middle of one it has a part
    /// in how a text is read.
    ran: Option<Sha256>,
}

impl Reported {
    const NAMES: [&'static str; 3] = ["DateStyle", "IntervalStyle", "TimeZone"];

    /// Takes a ParameterStatus.
    pub(super) fn note(self: &mut Arc<Self>, frame: &Frame) {
        let mut reader = frame.reader();
        let (Some(name), Some(value)) = (reader.c_string(), reader.c_string()) else {
            return;
        };
        if let Some(at) = Self::NAMES.iter().position(|known| **known == name) {
            let known = Arc::make_mut(&mut Arc::make_mut(self).known);
            if let Some(kept) = known.get_mut(at) {
                *kept = value;
            }
        }
    }

    /// This portal runs.
    pub(super) fn runs(self: &mut Arc<Self>, portal: &Portal) {
        // The start of a transaction sets nothing, and clients send it with what comes after it.
        if matches!(portal.prepared.statement.kind, StatementKind::Begin) {
            return;
        }
        let text = &portal.prepared.text;
        let ran = Arc::make_mut(self).ran.get_or_insert_default();
        ran.update((text.len() as u64).to_be_bytes());
        ran.update(text.as_bytes());
        ran.update(portal.sense);
    }

    /// The segment is over, and what it has changed is reported.
    pub(super) fn settled(self: &mut Arc<Self>) {
        if self.ran.is_some() {
            Arc::make_mut(self).ran = None;
        }
    }

    /// How texts are read now.
    pub(super) fn put(&self, sense: &mut Vec<u8>) {
        let known = self.known.iter().map(|setting| setting.len() + 1);
        sense.reserve(known.sum());
        for setting in &*self.known {
            sense.extend_from_slice(setting.as_bytes());
            sense.push(0);
        }
        if let Some(ran) = &self.ran {
            sense.extend_from_slice(&ran.clone().finalize());
        }
    }
}

impl Active {
    /// Whether a call that is asked now can wait for people.
    pub(super) fn can_wait(&self) -> bool {
        self.status == b'I' && self.since < Since::Ran && !self.place.is_adrift()
    }

    /// What else decides what a call does, beside its text and its values as text.
    pub(super) fn sense(&self, asked: &Asked) -> Vec<u8> {
        let mut sense = Vec::new();
        self.reported.put(&mut sense);
        if let Asked::Portal(stash, _) = asked {
            sense.extend_from_slice(&stash.portal.sense);
        }
        sense
    }

    /// The call that is asked is to wait.
    pub(super) fn hold(&mut self, ticket: Ticket, out: &mut Outbox) -> Result<()> {
        let asked = match &self.asked {
            Some((asked, what)) if *asked == ticket => what,
            _ => return Err(Fault::Bug("a call is held that was not asked")),
        };
        let explain = self.explain(asked);
        if self.since == Since::Ready {
            self.estimate(ticket, explain, out);
            return Ok(());
        }
        out.relay(message::sync());
        self.expected.push_back(Expect::OwnSync);
        self.waiting = Some(Waiting::Settling(ticket, explain));
        Ok(())
    }

    /// How the target is asked about the call.
    fn explain(&self, asked: &Asked) -> std::result::Result<Explain, String> {
        match asked {
            Asked::Query(parts, _) => match parts.front() {
                Some(part) if parts.len() == 1 => Explain::of(&part.prepared, &[]),
                _ => Err("it is more than one statement".into()),
            },
            Asked::Portal(stash, Some(_)) => Explain::of(&stash.portal.prepared, &stash.values),
            _ => Err("it runs nothing".into()),
        }
    }

    /// The answer to the gateway's own Sync.
    pub(super) fn settled(&mut self, frame: &Frame, out: &mut Outbox) -> Result<()> {
        self.failed = false;
        self.since = Since::Ready;
        self.status = message::status(frame)?;
        self.place.ready(self.status);
        self.reported.settled();
        let Some(Waiting::Settling(ticket, explain)) = self.waiting.take() else {
            return Err(Fault::Bug("the end of what was not begun"));
        };
        if self.status != b'I' {
            return Err(Fault::Target("a transaction that nothing has begun".into()));
        }
        self.names.transaction_over();
        if self.skipping {
            // What it relies on has failed, and the agent was told.
            if let Some((_, what)) = &mut self.asked {
                *what = Asked::Void;
            }
            out.step(Step::Held(ticket, None));
        } else {
            self.estimate(ticket, explain, out);
        }
        Ok(())
    }

    fn estimate(
        &mut self,
        ticket: Ticket,
        explain: std::result::Result<Explain, String>,
        out: &mut Outbox,
    ) {
        match explain {
            Ok(explain) => {
                let (estimating, bytes) = Estimating::start(&explain);
                out.relay(bytes);
                self.waiting = Some(Waiting::Estimating(ticket, estimating));
            }
            Err(why) => out.step(Step::Held(ticket, Some(Err(why)))),
        }
    }

    /// Takes what the target says to the gateway's own question, if it was asked one. Says whether what comes
    /// next is for the agent again.
    pub(super) fn estimated(&mut self, input: &mut BytesMut, out: &mut Outbox) -> Result<bool> {
        let Some(Waiting::Estimating(ticket, mut estimating)) = self.waiting.take_if(is_estimate)
        else {
            return Ok(true);
        };
        let rows: Option<Rows> = estimating.advance(input, |frame| self.answered(frame, out))?;
        match rows {
            Some(rows) => {
                out.step(Step::Held(ticket, Some(rows)));
                Ok(true)
            }
            None => {
                self.waiting = Some(Waiting::Estimating(ticket, estimating));
                Ok(false)
            }
        }
    }

    /// The call that was held may be made, if it still is what it was.
    pub(super) fn resume(&mut self, ticket: Ticket, out: &mut Outbox) -> Result<()> {
        match &self.asked {
            Some((asked, _)) if *asked == ticket && self.waiting.is_none() => {}
            _ => return Err(Fault::Bug("a call is resumed that was not held")),
        }
        let (learning, first) = Learning::start();
        self.learning = Some(learning);
        self.waiting = Some(Waiting::Looking(ticket));
        out.relay(first);
        Ok(())
    }

    /// The catalogue was read again, and is the same or not.
    pub(super) fn looked_again(&mut self, same: bool, out: &mut Outbox) {
        let looking = |waiting: &mut Waiting| matches!(waiting, Waiting::Looking(_));
        if let Some(Waiting::Looking(ticket)) = self.waiting.take_if(looking) {
            out.step(Step::Resumed(ticket, same));
        }
    }

    /// Whether the message that was read last says that the agent goes.
    pub(super) fn leaves(&self) -> bool {
        self.next.as_ref().is_some_and(|frame| frame.tag == b'X')
    }
}

fn is_estimate(waiting: &mut Waiting) -> bool {
    matches!(waiting, Waiting::Estimating(..))
}

/// Whether a Terminate is among the whole messages of these two pieces, one after the other.
pub(super) fn has_terminate(first: &[u8], second: &[u8]) -> bool {
    let byte = |at: usize| match first.get(at) {
        Some(byte) => Some(*byte),
        None => second.get(at.checked_sub(first.len())?).copied(),
    };
    let mut at = 0_usize;
    while let Some(tag) = byte(at) {
        if tag == b'X' {
            return true;
        }
        let mut length = 0_u32;
        for offset in 1..=4 {
            let Some(next) = byte(at + offset) else {
                return false;
            };
            length = length << 8 | u32::from(next);
        }
        let Some(end) = usize::try_from(length)
            .ok()
            .and_then(|length| at.checked_add(1 + length))
        else {
            return false;
        };
        at = end;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminate_is_seen_behind_what_waits() {
        let sync = message::sync();
        let close = message::message(b'C', |body| body.extend_from_slice(b"SX\0"));
        let all = [&sync[..], &close, &message::terminate()].concat();
        for cut in 0..=all.len() {
            let (first, second) = all.split_at(cut);
            assert!(has_terminate(first, second), "{cut}");
        }
        assert!(!has_terminate(&sync, &close));
        assert!(!has_terminate(&close[..6], &[]));
        assert!(!has_terminate(&[], b"Q\0\0"));
    }
}
