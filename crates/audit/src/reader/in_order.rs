use super::{Forward, ReadError, Reader};
use crate::entry::Entry;

/// Reads the payloads of records that are asked for in the order of the log, such as those of a
/// trail, each file and the write-ahead log once. Any other order is read as well, slowly.
#[derive(Debug)]
pub struct InOrder {
    /// Where the write-ahead log goes on from the tree.
    log: Forward,
}

impl InOrder {
    pub(super) fn new(reader: &Reader) -> Result<Self, ReadError> {
        Ok(Self {
            log: reader.from(reader.covered()?),
        })
    }

    /// The payload of a record, as [`Reader::payload`] gives it.
    ///
    /// # Errors
    /// As [`Reader::payload`].
    pub fn payload(&mut self, entry: &Entry) -> Result<Option<Vec<u8>>, ReadError> {
        // Beyond the tree a payload comes with its record.
        if self.log.position() <= entry.index {
            self.log.seek(entry.index)?;
            self.log.next()?;
        }
        self.log.payload(entry)
    }
}
