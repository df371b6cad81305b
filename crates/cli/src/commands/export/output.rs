//! Lines on stdout.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use bailiwick_audit::{Entry, ocsf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Format;
use crate::failure::Failure;

/// Whole lines on stdout. Whoever reads them may have seen enough and gone; that ends the command
/// quietly.
pub(super) struct Output {
    format: Format,
    out: BufWriter<Stdout>,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            out: BufWriter::with_capacity(64 * 1024, io::stdout()),
        }
    }

    /// Writes a record, a line.
    pub(super) fn write(&mut self, entry: &Entry, origin: &str) -> Result<(), Failure> {
        let line = match self.format {
            Format::Jsonl => &entry.bytes,
            Format::Ocsf => &serde_json::to_vec(&ocsf::Event::of(entry, origin)?)
                .map_err(|error| Failure::new(format!("cannot write the output: {error}")))?,
        };
        let written = self.out.write_all(line);
        done(written.and_then(|()| self.out.write_all(b"\n")))
    }

    /// Sees to it that all of it is on its way.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        done(self.out.flush())
    }

    /// Whether nobody is left who could read it.
    pub(super) fn is_closed(&self) -> bool {
        let mut stdout = [PollFd::new(self.out.get_ref(), PollFlags::empty())];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut stdout, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }
}

fn done(written: io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::quiet(),
        _ => Failure::new(format!("cannot write the output: {error}")),
    })
}
