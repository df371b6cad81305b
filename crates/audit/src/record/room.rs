//! How much of lists and texts fits into a record.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// How long a list and a text may be.
#[derive(Clone, Copy)]
pub(super) struct Room {
    list: usize,
    text: usize,
}

impl Room {
    /// At the last step even texts made of nothing but control characters (six bytes each in JSON)
    /// fit.
    pub(super) const STEPS: [Room; 6] = [
        Room {
            list: 64,
            text: 1024,
        },
        Room {
            list: 32,
            text: 512,
        },
        Room {
            list: 16,
            text: 256,
        },
        Room { list: 8, text: 128 },
        Room { list: 4, text: 64 },
        Room { list: 2, text: 32 },
    ];

    /// A text, cut where it is too long.
    pub(super) fn text(self, text: &str) -> Cow<'_, str> {
        const CUT: &str = "…";
        if text.len() <= self.text {
            return Cow::Borrowed(text);
        }
        let end = text.floor_char_boundary(self.text.saturating_sub(CUT.len()));
        let mut short = text.get(..end).unwrap_or_default().to_owned();
        short.push_str(CUT);
        Cow::Owned(short)
    }

    /// So many of all entries, and how many are left out.
    pub(super) fn list<T>(
        self,
        all: usize,
        entries: impl Iterator<Item = T>,
    ) -> (Vec<T>, Option<usize>) {
        let rest = all.saturating_sub(self.list);
        (
            entries.take(self.list).collect(),
            (rest > 0).then_some(rest),
        )
    }

    /// The same of texts.
    pub(super) fn texts(self, all: &BTreeSet<String>) -> (Vec<Cow<'_, str>>, Option<usize>) {
        self.list(all.len(), all.iter().map(|text| self.text(text)))
    }
}
