use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::disk;
use crate::limits;
use crate::wal::frame::{self, Frame};
use crate::wal::segment::HEAD_LEN;

/// The length of a frame, before it.
const LENGTH: usize = 4;
/// Length and checksum.
const HEAD: usize = 8;

/// A place in a segment of the write-ahead log. The file can be read on when the gateway has removed
/// it; what is in it stays what it was.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    /// The index of the segment's first frame.
    base: u64,
    /// Where the next frame begins.
    offset: u64,
    /// The index of the next frame.
    next: u64,
}

impl Tail {
    /// The beginning of a segment; nothing if there is none of this name.
    pub(super) fn open(path: &Path, base: u64) -> io::Result<Option<Self>> {
        Ok(disk::open(path)?.map(|file| Self {
            file,
            base,
            offset: HEAD_LEN,
            next: base,
        }))
    }

    /// The index of the segment's first frame.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The index of the frame that is read next.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The frames that follow, some of them; none where the segment ends, or what follows is still
    /// being written, or was torn.
    pub(super) fn read(&mut self) -> io::Result<Vec<Frame>> {
        let mut frames = Vec::new();
        let mut length = [0; LENGTH];
        if self.fill(&mut length)? < LENGTH {
            return Ok(frames);
        }
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || length > limits::FRAME {
            return Ok(frames);
        }
        let mut bytes = vec![0; limits::READ_AHEAD.max(HEAD + length)];
        let read = self.fill(&mut bytes)?;
        let mut rest = bytes.get(..read).unwrap_or_default();
        while let Some((frame, length)) = frame::decode(rest) {
            if frame.index != self.next || frame.durable > self.next {
                break;
            }
            frames.push(frame);
            self.next += 1;
            self.offset += length as u64;
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(frames)
    }

    /// Reads from the place on, until the bytes are full or the file ends; how many it were.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, self.offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}
