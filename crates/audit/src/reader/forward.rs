//! Reading the log forward: from a place on, and on again when more has been recorded.

use std::collections::VecDeque;

use super::payloads::Payloads;
use super::tail::Tail;
use super::{ReadError, Reader, contains, record};
use crate::chain::ChainId;
use crate::digest::Digest;
use crate::entry::{Entry, Record};
use crate::merkle::TILE;
use crate::payload::Sealed;
use crate::tiles;
use crate::wal::frame::Frame;
use crate::wal::scan::WalError;
use crate::wal::segment::{self, Segment};

/// The record that erases payloads: their key is gone by the time it is shown.
const ERASED: &str = "payloads.erased";

/// Shows records in the order of the log, each once: those in the tree first, then those that are
/// only in the write-ahead log. Where it has come to the end it can be asked again later, and goes
/// on with what has been recorded since. A gateway may be writing meanwhile, and move records from
/// the write-ahead log into the tree, before or behind this place.
///
/// A record may be shown a moment before it is durable. Should the machine lose its power in that
/// moment, another record takes its index; the digest tells them apart.
#[derive(Debug)]
pub struct Forward {
    reader: Reader,
    /// The index of the next record to show.
    next: u64,
    ready: VecDeque<Ready>,
    /// The place in the write-ahead log behind all that is ready.
    tail: Option<Tail>,
    /// The encrypted payload of the record shown last, where it came along.
    carried: Option<(u64, Sealed)>,
    payloads: Payloads,
}

/// A record that has been read and not been shown.
#[derive(Debug)]
enum Ready {
    Tree(Vec<u8>),
    Wal(Frame),
}

impl Ready {
    /// The record's bytes.
    fn bytes(&self) -> &[u8] {
        match self {
            Ready::Tree(bytes) => bytes,
            Ready::Wal(frame) => frame.body.record(),
        }
    }
}

impl Forward {
    pub(super) fn new(reader: Reader, next: u64) -> Self {
        Self {
            payloads: Payloads::new(reader.clone()),
            reader,
            next,
            ready: VecDeque::new(),
            tail: None,
            carried: None,
        }
    }

    /// The index of the record that is shown next.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next record; nothing if the log has no more now.
    ///
    /// # Errors
    /// If the log cannot be read or is not whole. The place stays, and it can be tried again.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator does not go on after its end"
    )]
    pub fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        self.carried = None;
        if !self.read_more()? {
            return Ok(None);
        }
        let index = self.next;
        let Some(ready) = self.ready.front() else {
            return Ok(None);
        };
        // What cannot be read stays where it is.
        let record = record(index, ready.bytes())?;
        let bytes = match self.ready.pop_front() {
            None => return Ok(None),
            Some(Ready::Tree(bytes)) => bytes,
            Some(Ready::Wal(frame)) => {
                self.learn(&frame, &record);
                let (bytes, payload) = frame.body.into_parts();
                let sealed = payload.and_then(Sealed::from_stored);
                self.carried = sealed.map(|sealed| (index, sealed));
                bytes
            }
        };
        let shown = Entry {
            index,
            bytes,
            record,
        };
        if shown.record.r#type == ERASED {
            self.payloads.forget_keys();
        }
        self.next += 1;
        Ok(Some(shown))
    }

    /// Goes forward to the record of this index, or to the end of the log where there are fewer, without
    /// reading what is passed. Never goes back.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn seek(&mut self, index: u64) -> Result<(), ReadError> {
        self.carried = None;
        while self.next < index {
            if let Some(passed) = self.ready.pop_front() {
                self.pass(&passed)?;
                self.next += 1;
                continue;
            }
            if self.tail.is_none() {
                // What is in the tree can be passed without being read, but for keys that are gone since.
                let covered = self.reader.covered()?;
                if self.next < covered {
                    self.payloads.forget_keys();
                    self.next = index.min(covered);
                    continue;
                }
            }
            if !self.read_more()? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Notes what has to be known of a record that is not shown.
    fn pass(&mut self, passed: &Ready) -> Result<(), ReadError> {
        let bytes = passed.bytes();
        if contains(bytes, ERASED.as_bytes()) {
            self.payloads.forget_keys();
        }
        match passed {
            Ready::Wal(frame) if frame.body.key().is_some() => {
                self.learn(frame, &record(self.next, bytes)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// The payload of a record, as [`Reader::payload`] gives it. Quick for the one shown last.
    ///
    /// # Errors
    /// As [`Reader::payload`].
    pub fn payload(&mut self, entry: &Entry) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(reference) = &entry.record.payload else {
            return Ok(None);
        };
        let Ok(chain) = entry.record.run.parse::<ChainId>() else {
            return self.reader.payload(entry);
        };
        let sealed = match self.carried.take() {
            // A record of the same index may be of a log that was rotated away.
            Some((index, sealed)) if index == entry.index && sealed.id() == reference.id => {
                Some(sealed)
            }
            _ => self.payloads.sealed(chain, &reference.id)?,
        };
        let (Some(sealed), Some(key)) = (sealed, self.payloads.key(chain)?) else {
            // Where they are is known to the long way only, if they are anywhere.
            return self.reader.payload(entry);
        };
        let altered = || ReadError::PayloadAltered(entry.id());
        if Digest::of(sealed.as_bytes()).to_string() != reference.digest {
            return Err(altered());
        }
        key.open(chain, &sealed).map(Some).map_err(|_| altered())
    }

    /// Sees to it that records are ready, from the next on; whether there are any.
    fn read_more(&mut self) -> Result<bool, ReadError> {
        loop {
            if !self.ready.is_empty() {
                return Ok(true);
            }
            if let Some(tail) = &mut self.tail {
                let frames = self.reader.at(self.reader.layout.wal(), |_| tail.read())?;
                if !frames.is_empty() {
                    self.ready.extend(frames.into_iter().map(Ready::Wal));
                    continue;
                }
                // One in which nothing was written yet is followed by none.
                let is_new = tail.base() == self.next;
                if !is_new && let Some(tail) = self.following_segment()? {
                    self.tail = Some(tail);
                    continue;
                }
            }
            let covered = self.reader.covered()?;
            let pruned = self.reader.pruned()?;
            if self.next < pruned {
                (self.next, self.tail) = (pruned, None);
            }
            if self.next < covered {
                // The segment that came after the tail's has been removed meanwhile.
                self.tail = None;
                self.read_tree(covered)?;
            } else if self.tail.is_some() || !self.find_tail()? {
                return Ok(false);
            }
        }
    }

    /// The segment that begins with the next record, if there is one.
    fn following_segment(&self) -> Result<Option<Tail>, ReadError> {
        self.reader.at(self.reader.layout.wal(), |wal| {
            let mut segments = segment::list(wal)?.into_iter();
            match segments.find(|segment| segment.base == self.next) {
                Some(segment) => Tail::open(&segment.path, segment.base),
                None => Ok(None),
            }
        })
    }

    fn read_tree(&mut self, covered: u64) -> Result<(), ReadError> {
        let tile = TILE as u64;
        let entries = self.reader.at(self.reader.layout.log(), |log| {
            tiles::read_entries(log, self.next / tile, covered)
        })?;
        let shown = usize::try_from(self.next % tile).unwrap_or(usize::MAX);
        self.ready
            .extend(entries.into_iter().skip(shown).map(Ready::Tree));
        Ok(())
    }

    /// Finds the next record's place in the write-ahead log; whether it is worth to look again.
    fn find_tail(&mut self) -> Result<bool, ReadError> {
        let segments = (self.reader).at(self.reader.layout.wal(), segment::list)?;
        let Some(first) = segments.first() else {
            return Ok(false);
        };
        let Some(Segment { base, path }) = segments.iter().rfind(|found| found.base <= self.next)
        else {
            // What was removed since the checkpoint was read is covered by a later one.
            if self.reader.covered()? > self.next {
                return Ok(true);
            }
            return Err(ReadError::Wal(WalError::Gap {
                from: self.next,
                to: first.base,
                next: first.path.clone(),
            }));
        };
        let opened = self.reader.at(path.clone(), |path| Tail::open(path, *base));
        let Some(mut tail) = opened? else {
            return Ok(true);
        };
        while tail.next() < self.next {
            let frames = self.reader.at(path.clone(), |_| tail.read())?;
            if frames.is_empty() {
                // There are fewer records than somebody thought.
                return Ok(false);
            }
            for frame in frames {
                if frame.index >= self.next {
                    self.ready.push_back(Ready::Wal(frame));
                } else if frame.body.key().is_some() {
                    self.learn(&frame, &record(frame.index, frame.body.record())?);
                }
            }
        }
        self.tail = Some(tail);
        Ok(true)
    }

    /// Keeps a chain's key, if one came with this record.
    fn learn(&mut self, frame: &Frame, record: &Record) {
        if let (Some(key), Ok(chain)) = (frame.body.key(), record.run.parse()) {
            self.payloads.learn(chain, key);
        }
    }
}
