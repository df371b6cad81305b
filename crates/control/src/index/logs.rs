//! The logs of a data folder as one: those that were rotated away, in their order, and then the one
//! that goes on.

use bailiwick_audit::{Entry, Forward, ReadError, Reader};

/// A place in the row of all records.
pub(crate) struct Logs {
    /// The logs after this place's own, the next of them last.
    following: Vec<Reader>,
    /// How many records the logs before this place's own have.
    base: u64,
    log: Forward,
}

/// A record, and its number in the row of all records.
pub(crate) struct Numbered {
    pub(crate) number: u64,
    pub(crate) entry: Entry,
}

impl Logs {
    /// The place of the record of this number, or after the last where there are fewer.
    pub(crate) fn from(reader: &Reader, number: u64) -> Result<Self, ReadError> {
        let mut following = all(reader)?;
        following.reverse();
        let mut base = 0;
        let mut log = following.pop().unwrap_or_else(|| reader.clone());
        while let Some(next) = following.pop() {
            let end = base + log.count()?;
            if number < end {
                following.push(next);
                break;
            }
            (base, log) = (end, next);
        }
        Ok(Self {
            following,
            base,
            log: log.from(number.saturating_sub(base)),
        })
    }

    /// How many records are in the logs that were rotated away: the number of the first of the one that goes on.
    pub(crate) fn base(reader: &Reader) -> Result<u64, ReadError> {
        reader.archived()?.iter().map(Reader::count).sum()
    }

    /// How many records there are.
    pub(crate) fn count(reader: &Reader) -> Result<u64, ReadError> {
        all(reader)?.iter().map(Reader::count).sum()
    }

    /// The number of the record that is shown next.
    pub(crate) fn position(&self) -> u64 {
        self.base + self.log.position()
    }

    /// The next record; nothing if there is no more now.
    pub(crate) fn next(&mut self) -> Result<Option<Numbered>, ReadError> {
        loop {
            if let Some(entry) = self.log.next()? {
                let number = self.base + entry.index;
                return Ok(Some(Numbered { number, entry }));
            }
            let Some(next) = self.following.pop() else {
                return Ok(None);
            };
            self.base += self.log.position();
            self.log = next.from(0);
        }
    }

    /// Goes forward to the record of this number, or as far as there are any.
    pub(crate) fn seek(&mut self, number: u64) -> Result<(), ReadError> {
        loop {
            self.log.seek(number.saturating_sub(self.base))?;
            if self.position() >= number {
                return Ok(());
            }
            let Some(next) = self.following.pop() else {
                return Ok(());
            };
            self.base += self.log.position();
            self.log = next.from(0);
        }
    }

    /// The payload of the record shown last.
    pub(crate) fn payload(&mut self, entry: &Entry) -> Result<Option<Vec<u8>>, ReadError> {
        self.log.payload(entry)
    }
}

fn all(reader: &Reader) -> Result<Vec<Reader>, ReadError> {
    let mut all = reader.archived()?;
    all.push(reader.clone());
    Ok(all)
}
