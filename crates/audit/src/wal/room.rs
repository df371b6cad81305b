//! Whether a frame still finds room, decided before it gets a number, so that a record is never
//! refused after its chain has moved on. No IO: the threads tell it what the disk did.

use crate::limits;

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The disk is full.
    DiskFull,
    /// The disk does not keep up: half a segment is already waiting for one to be prepared.
    Behind,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goes {
    /// Behind the one before it.
    On,
    /// To the start of the next segment, which is the spare.
    ToSpare,
    /// To the start of the next segment, which is still being prepared.
    ToUnprepared,
    /// To the start of the next segment, which is the reserve.
    ToReserve,
}

/// The room in the write-ahead log.
#[derive(Debug)]
pub(crate) struct Room {
    segment: u64,
    /// Where the next frame goes in the newest segment.
    cursor: u64,
    newest: Newest,
    /// A segment is prepared ahead.
    spare: bool,
    /// The reserve is there.
    reserve: bool,
    /// The last try to prepare a segment found the disk full.
    full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newest {
    Prepared,
    /// Not there yet. Should the disk turn out full, the reserve takes its place: so only half of
    /// it is given to ordinary records.
    Unprepared,
    /// The reserve: for closing records alone.
    Reserve,
}

impl Room {
    /// With a segment in use up to `cursor` and the reserve in place.
    pub(crate) fn new(segment: u64, cursor: u64) -> Self {
        Self {
            segment,
            cursor,
            newest: Newest::Prepared,
            spare: false,
            reserve: true,
            full: false,
        }
    }

    /// Takes room for a frame of this length. A closing one may use what is kept for it.
    pub(crate) fn take(&mut self, length: u64, closing: bool) -> Result<Goes, NoRoom> {
        let closing = closing && length <= limits::CLOSING_FRAME;
        let end = match (self.newest, closing) {
            (Newest::Prepared, _) | (_, true) => self.segment,
            (Newest::Unprepared, false) => self.segment / 2,
            (Newest::Reserve, false) => return Err(NoRoom::DiskFull),
        };
        if self.cursor + length <= end {
            self.cursor += length;
            return Ok(Goes::On);
        }
        self.next_segment(length, closing)
    }

    /// Takes room for an ordinary frame at the start of the next segment, however much this one has
    /// left.
    pub(crate) fn begin(&mut self, length: u64) -> Result<Goes, NoRoom> {
        self.next_segment(length, false)
    }

    fn next_segment(&mut self, length: u64, closing: bool) -> Result<Goes, NoRoom> {
        let goes = match self.newest {
            Newest::Unprepared => return Err(NoRoom::Behind),
            Newest::Reserve => return Err(NoRoom::DiskFull),
            Newest::Prepared if self.spare => {
                self.spare = false;
                Goes::ToSpare
            }
            Newest::Prepared if !self.full => {
                self.newest = Newest::Unprepared;
                Goes::ToUnprepared
            }
            Newest::Prepared if closing && self.reserve => {
                self.reserve = false;
                self.newest = Newest::Reserve;
                Goes::ToReserve
            }
            Newest::Prepared => return Err(NoRoom::DiskFull),
        };
        self.cursor = super::segment::HEAD_LEN + length;
        Ok(goes)
    }

    /// Whether the disk is full as far as is known: there is no room for more than what this segment has left.
    pub(crate) fn is_full(&self) -> bool {
        self.newest == Newest::Reserve || self.full && !self.spare
    }

    /// A segment has been prepared. True if it is waited for as the newest one; otherwise it is the
    /// spare.
    pub(crate) fn prepared(&mut self) -> bool {
        if self.newest == Newest::Unprepared {
            self.newest = Newest::Prepared;
            true
        } else {
            self.spare = true;
            self.clear_full();
            false
        }
    }

    /// The reserve has been made anew.
    pub(crate) fn reserve_prepared(&mut self) {
        self.reserve = true;
        self.clear_full();
    }

    /// A segment could not be prepared. True if the reserve has to take its place now.
    pub(crate) fn disk_full(&mut self) -> bool {
        self.full = true;
        let now = self.newest == Newest::Unprepared;
        if now {
            self.newest = Newest::Reserve;
            self.reserve = false;
        }
        now
    }

    /// Whether records are waiting for a segment to be prepared.
    pub(crate) fn is_waiting(&self) -> bool {
        self.newest == Newest::Unprepared
    }

    /// What is to be prepared next, if anything: the reserve first.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        if !self.reserve {
            Some(Wanted::Reserve)
        } else if !self.spare {
            Some(Wanted::Segment)
        } else {
            None
        }
    }

    /// Ordinary records are taken again only once there is a spare and a reserve.
    fn clear_full(&mut self) {
        if self.spare && self.reserve {
            self.full = false;
            self.newest = Newest::Prepared;
        }
    }
}

/// What is to be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Reserve,
    Segment,
}

#[cfg(test)]
mod tests {
    use super::super::segment::HEAD_LEN;
    use super::*;

    const SEGMENT: u64 = 1000;

    fn filled() -> Room {
        let mut room = Room::new(SEGMENT, HEAD_LEN);
        assert_eq!(room.take(SEGMENT - HEAD_LEN, false), Ok(Goes::On));
        room
    }

    #[test]
    fn goes_on_into_the_spare() {
        let mut room = filled();
        assert_eq!(room.wanted(), Some(Wanted::Segment));
        assert!(!room.prepared());
        assert_eq!(room.wanted(), None);
        assert_eq!(room.take(10, false), Ok(Goes::ToSpare));
        assert_eq!(room.take(10, false), Ok(Goes::On));
    }

    #[test]
    fn borrows_half_a_segment_while_one_is_being_prepared() {
        let mut room = filled();
        assert_eq!(room.take(400, false), Ok(Goes::ToUnprepared));
        assert_eq!(room.take(400, false), Err(NoRoom::Behind));
        assert_eq!(room.take(400, true), Ok(Goes::On));
        assert!(room.prepared());
        assert_eq!(room.take(100, false), Ok(Goes::On));
    }

    #[test]
    fn a_full_disk_leaves_the_reserve_to_closing_records() {
        let mut room = filled();
        assert!(!room.disk_full());
        assert_eq!(room.take(10, false), Err(NoRoom::DiskFull));
        assert_eq!(room.take(10, true), Ok(Goes::ToReserve));
        assert_eq!(room.take(10, false), Err(NoRoom::DiskFull));
        assert_eq!(room.take(10, true), Ok(Goes::On));
        // Space comes back: first the reserve is made again, then the spare.
        assert_eq!(room.wanted(), Some(Wanted::Reserve));
        room.reserve_prepared();
        assert_eq!(room.take(10, false), Err(NoRoom::DiskFull));
        assert_eq!(room.wanted(), Some(Wanted::Segment));
        assert!(!room.prepared());
        assert_eq!(room.take(10, false), Ok(Goes::On));
    }

    #[test]
    fn what_was_borrowed_is_covered_by_the_reserve() {
        let mut room = filled();
        assert_eq!(room.take(400, false), Ok(Goes::ToUnprepared));
        assert!(room.disk_full());
        assert_eq!(room.take(10, false), Err(NoRoom::DiskFull));
        assert_eq!(room.take(500, true), Ok(Goes::On));
        assert_eq!(room.take(500, true), Err(NoRoom::DiskFull));
    }

    #[test]
    fn a_large_frame_is_never_a_closing_one() {
        let mut room = Room::new(limits::SEGMENT, limits::SEGMENT);
        room.disk_full();
        let large = limits::CLOSING_FRAME + 1;
        assert_eq!(room.take(large, true), Err(NoRoom::DiskFull));
    }
}
