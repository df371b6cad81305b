//! The published part of the log, a record at a time: what leaves for other systems.

use bailiwick_run::{RunId, Time};

use crate::chain::ChainId;
use crate::entry::Entry;
use crate::limits;
use crate::reader::{Forward, ReadError, Reader};

/// The records that a checkpoint covers, in the order of the log, and on as it covers more. What is
/// not covered waits: it may be a moment from being durable, and what has left cannot be taken
/// back. What was pruned is passed over.
#[derive(Debug)]
pub struct Published {
    reader: Reader,
    forward: Forward,
    origin: String,
    /// How many records the checkpoint covered when it was read last.
    size: u64,
    since: Option<Time>,
    until: Option<Place>,
    /// `RUN`, or `gateway`.
    chain: Option<String>,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The record of this index.
    Index(u64),
    /// The records from this moment on.
    Time(Time),
}

/// What there is at a place in the log.
#[derive(Debug)]
pub enum Next {
    /// A record.
    Record(Box<Entry>),
    /// Nothing now; perhaps later.
    Nothing,
    /// Nothing, and nothing later.
    End,
}

impl Published {
    /// All of it, from the first record on.
    ///
    /// # Errors
    /// If the checkpoint cannot be read.
    pub fn new(reader: Reader) -> Result<Self, ReadError> {
        let (origin, size) = reader.checkpoint()?;
        Ok(Self {
            forward: reader.from(0),
            reader,
            origin,
            size,
            since: None,
            until: None,
            chain: None,
        })
    }

    /// The log's origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The index of the first record that was not pruned.
    ///
    /// # Errors
    /// If the note of it cannot be read.
    pub fn first(&self) -> Result<u64, ReadError> {
        self.reader.pruned()
    }

    /// Only from here on. The gateway's clock may go back: of a moment, the records are those that
    /// were recorded at it or later, wherever they stand, unless the clock went back by more than a
    /// day.
    ///
    /// # Errors
    /// If the log cannot be read, or has never had that many records.
    pub fn since(mut self, place: Place) -> Result<Self, ReadError> {
        match place {
            Place::Index(index) if index > self.size => return Err(self.replaced(index)),
            Place::Index(index) => {
                let index = index.max(self.forward.position());
                self.forward = self.reader.from(index);
            }
            Place::Time(time) => {
                self.skip_to(time)?;
                self.since = self.since.max(Some(time));
            }
        }
        Ok(self)
    }

    /// Only what comes before.
    pub fn until(mut self, place: Place) -> Self {
        self.until = Some(place);
        self
    }

    /// Only the records of this run, up to its last.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn of_run(mut self, run: RunId) -> Result<Self, ReadError> {
        self.skip_to(run.opened())?;
        self.chain = Some(ChainId::Run(run).to_string());
        Ok(self)
    }

    /// Only the gateway's own records.
    pub fn of_gateway(mut self) -> Self {
        self.chain = Some(ChainId::Gateway.to_string());
        self
    }

    /// What comes next.
    ///
    /// # Errors
    /// If the log cannot be read, or has been replaced by another.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator does not go on after its end"
    )]
    pub fn next(&mut self) -> Result<Next, ReadError> {
        loop {
            let position = self.forward.position();
            if self.is_end(position) {
                return Ok(Next::End);
            }
            if position >= self.size && !self.has_grown()? {
                return Ok(Next::Nothing);
            }
            let Some(entry) = self.forward.next()? else {
                return Ok(Next::Nothing);
            };
            // Records between the two may have been pruned.
            if self.is_end(entry.index) {
                return Ok(Next::End);
            }
            let time = time(&entry)?;
            if let Some(Place::Time(end)) = self.until {
                if time >= end.after(limits::CLOCK_BACK) {
                    return Ok(Next::End);
                }
                if time >= end {
                    continue;
                }
            }
            if self.since.is_some_and(|since| time < since) {
                continue;
            }
            match &self.chain {
                Some(chain) if entry.record.run != *chain => continue,
                Some(_) if entry.record.r#type == "run.closed" => {
                    self.until = Some(Place::Index(self.forward.position()));
                }
                _ => {}
            }
            return Ok(Next::Record(Box::new(entry)));
        }
    }

    fn is_end(&self, index: u64) -> bool {
        matches!(self.until, Some(Place::Index(end)) if index >= end)
    }

    /// Whether the checkpoint covers more than before.
    fn has_grown(&mut self) -> Result<bool, ReadError> {
        let (origin, size) = self.reader.checkpoint()?;
        if origin != self.origin || size < self.size {
            return Err(ReadError::Replaced {
                was: self.origin.clone(),
                before: self.size,
                is: origin,
                size,
            });
        }
        let more = size > self.size;
        self.size = size;
        Ok(more)
    }

    fn replaced(&self, before: u64) -> ReadError {
        ReadError::Replaced {
            was: self.origin.clone(),
            before,
            is: self.origin.clone(),
            size: self.size,
        }
    }

    /// Passes over records before this moment, as many as is safe.
    fn skip_to(&mut self, time: Time) -> Result<(), ReadError> {
        let back = u64::try_from(limits::CLOCK_BACK.as_millis()).unwrap_or(u64::MAX);
        let earliest = Time::from_millis(time.millis().saturating_sub(back));
        let mut low = self.forward.position().max(self.first()?);
        let mut high = self.size.max(low);
        // No record before `low` is of `time` or later: the one before it is earlier by more than
        // the clock goes back.
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.reader.from(middle).next()?;
            if let Some(entry) = entry
                && self::time(&entry)? < earliest
            {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.forward = self.reader.from(low);
        Ok(())
    }
}

fn time(entry: &Entry) -> Result<Time, ReadError> {
    entry.record.time.parse().map_err(|_| ReadError::Record {
        index: entry.index,
        reason: "its time is not one".to_owned(),
    })
}
