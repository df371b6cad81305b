//! The events of a stream of messages, one after the other.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::content::Broken;
use crate::content::events::{Event, Item, Reader};

/// Takes a stream in pieces, and gives its events one by one.
#[derive(Debug, Default)]
pub(super) struct Events {
    reader: Reader,
    items: VecDeque<Item>,
    broken: bool,
}

impl Events {
    /// Takes a piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let mut items = Vec::new();
        let fed: Result<(), Broken> = self.reader.feed(piece, &mut items);
        self.items.extend(items);
        self.broken = self.broken || fed.is_err();
    }

    /// The next event or comment.
    ///
    /// # Errors
    /// If there is none because the stream cannot be read any further.
    pub(super) fn next(&mut self) -> Result<Option<Item>, &'static str> {
        match self.items.pop_front() {
            None if self.broken => Err("an event of its stream is too long, or not UTF-8"),
            item => Ok(item),
        }
    }
}

/// Appends an event with one message in it.
pub(super) fn put(out: &mut Vec<u8>, id: Option<&[u8]>, retry: Option<u64>, data: &[u8]) {
    let event = Event {
        event: None,
        data: Some(data.to_vec()),
        id: id.map(<[u8]>::to_vec),
        retry,
    };
    let mut bytes = BytesMut::new();
    event.write(&mut bytes);
    out.extend_from_slice(&bytes);
}
