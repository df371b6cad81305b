//! The gate, both ways. A call reaches a target only as a [`Permit`], and a permit is made only here,
//! from a decision that allowed the call and a receipt that its record is durable. A read alone may
//! run while its record is on its way to the disk; then nothing of its result leaves through the
//! [`WayBack`] before the record is there.
//!
//! The compiler keeps it so. This builds:
//!
//! ```
//! use bailiwick_gateway::gate::{Permit, Way};
//! use bailiwick_wire::Plumbing;
//!
//! fn send(way: &mut Way<tokio::net::TcpStream>, permit: Permit, plumbing: Plumbing) {
//!     way.send(permit);
//!     way.relay(plumbing);
//! }
//! ```
//!
//! A held call without its permit does not:
//!
//! ```compile_fail,E0308
//! use bailiwick_gateway::gate::{Permit, Way};
//!
//! fn send(way: &mut Way<tokio::net::TcpStream>, held: bailiwick_action::Held) {
//!     way.send(held);
//! }
//! ```
//!
//! Nor does a permit out of nothing,
//!
//! ```compile_fail,E0451
//! let permit = bailiwick_gateway::gate::Permit { bytes: b"DROP TABLE tickets".to_vec() };
//! ```
//!
//! one without a receipt (a decision alone is not enough),
//!
//! ```compile_fail,E0061
//! use bailiwick_gateway::gate::Permit;
//!
//! fn permit(allow: bailiwick_policy::Allow, held: bailiwick_action::Held) {
//!     let _ = Permit::new(allow, held);
//! }
//! ```
//!
//! one that is used twice,
//!
//! ```compile_fail,E0382
//! use bailiwick_gateway::gate::{Permit, Way};
//!
//! fn send(way: &mut Way<tokio::net::TcpStream>, permit: Permit) {
//!     way.send(permit);
//!     way.send(permit);
//! }
//! ```
//!
//! one for a read that runs ahead of its record, without holding what it brings,
//!
//! ```compile_fail,E0308
//! use bailiwick_gateway::gate::{ReadAhead, Way};
//!
//! fn send(way: &mut Way<tokio::net::TcpStream>, read: ReadAhead) {
//!     way.send(read);
//! }
//! ```
//!
//! or without the proof that there is a record on its way,
//!
//! ```compile_fail,E0308
//! use bailiwick_gateway::gate::Permit;
//!
//! fn permit(
//!     allow: bailiwick_policy::Allow,
//!     held: bailiwick_action::Held,
//!     key: &bailiwick_action::FingerprintKey,
//! ) {
//!     let _ = Permit::for_read(allow, None, held, key);
//! }
//! ```
//!
//! or plumbing of the gateway's own making:
//!
//! ```compile_fail,E0624
//! let plumbing = bailiwick_wire::Plumbing::new(&b"DROP TABLE tickets"[..]);
//! ```

use std::collections::VecDeque;

use bailiwick_action::{Fingerprint, FingerprintKey, Held};
use bailiwick_audit::{Receipt, Submitted, Written};
use bailiwick_policy::Allow;
use bailiwick_wire::Plumbing;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::limits::HELD_BYTES_MAX;

/// One held call that may go to its target, once. Its bytes can be had in no other way.
#[derive(Debug)]
pub struct Permit {
    bytes: Vec<u8>,
}

/// What was presented permits nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPermit {
    /// The proof is for another call than the held one.
    #[error("a defect in the gateway: the record presented is that of another call")]
    OtherCall,
    /// The call may change something, and its record is not durable.
    #[error("a defect in the gateway: a call with an effect was to run ahead of its record")]
    Effect,
}

impl Permit {
    /// Turns an allow and the receipt of its record into the permit to send the held call. All three
    /// are used up.
    ///
    /// # Errors
    /// If the receipt is not that of this very call.
    pub fn new(
        _allow: Allow,
        receipt: Receipt,
        held: Held,
        key: &FingerprintKey,
    ) -> Result<Self, NoPermit> {
        Self::recorded_as(receipt.fingerprint(), held, key)
    }

    /// Lets a held read run ahead of its record, which is on its way to the disk. The permit to send
    /// it comes from the [`WayBack`], which from then on holds what the read brings.
    ///
    /// # Errors
    /// If the call does anything but read, or the record is not that of this very call.
    pub fn for_read(
        _allow: Allow,
        submitted: Submitted,
        held: Held,
        key: &FingerprintKey,
    ) -> Result<ReadAhead, NoPermit> {
        if !held.call.only_reads() {
            return Err(NoPermit::Effect);
        }
        Self::recorded_as(submitted.fingerprint(), held, key).map(ReadAhead)
    }

    fn recorded_as(
        recorded: Option<Fingerprint>,
        held: Held,
        key: &FingerprintKey,
    ) -> Result<Self, NoPermit> {
        if recorded != Some(Fingerprint::of(key, &held.call)) {
            return Err(NoPermit::OtherCall);
        }
        Ok(Self { bytes: held.bytes })
    }
}

/// A read that may be sent once its result is sure to be held: see [`WayBack::hold`].
#[derive(Debug)]
pub struct ReadAhead(Permit);

/// The proof that the record of a read is where its target wants it before the result is released.
#[derive(Debug)]
pub enum Recorded {
    /// On the disk.
    Durable(Receipt),
    /// With the operating system, and on the disk within 10 ms.
    Written(Written),
}

/// The way back to the agent, for all that is sent to it. What a read brought that ran ahead of its
/// record is held until there is the proof of it; what came before goes on.
#[derive(Debug, Default)]
pub struct WayBack {
    waiting: BytesMut,
    /// What was written may still be in the connection's own buffer, as TLS has one.
    unflushed: bool,
    /// How many bytes have been written.
    written: u64,
    /// Where the results of reads begin that ran ahead, counted from the first byte ever; the first
    /// read's first.
    holds: VecDeque<u64>,
}

impl WayBack {
    /// Takes bytes for the agent.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Takes bytes for the agent, framed.
    pub(crate) fn push_framed(&mut self, frame: fn(&mut BytesMut, &[u8]), bytes: &[u8]) {
        frame(&mut self.waiting, bytes);
    }

    /// Hands out what may go, for a transport that has more to do with it than to write it.
    pub(crate) fn take(&mut self) -> BytesMut {
        let free = self.free();
        self.written += free as u64;
        self.waiting.split_to(free)
    }

    /// A read is to be sent ahead of its record: everything from here on may be its result.
    pub fn hold(&mut self, read: ReadAhead) -> Permit {
        self.holds
            .push_back(self.written + self.waiting.len() as u64);
        read.0
    }

    /// The record of the first read that is held is there.
    pub fn release(&mut self, _recorded: Recorded) {
        self.holds.pop_front();
    }

    /// There will be no record, so what is held leaves by no way.
    pub fn drop_held(&mut self) {
        self.waiting.truncate(self.free());
        self.holds.clear();
    }

    /// Whether something waits for the record of a read.
    pub fn is_holding(&self) -> bool {
        self.free() < self.waiting.len()
    }

    /// Bytes that wait, held or not.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many of them may go.
    pub fn free(&self) -> usize {
        let free = self
            .holds
            .front()
            .map(|hold| hold.saturating_sub(self.written));
        free.map_or(self.waiting.len(), |free| {
            usize::try_from(free)
                .unwrap_or(usize::MAX)
                .min(self.waiting.len())
        })
    }

    /// Whether there is something for [`write`](Self::write) to do.
    pub fn wants_write(&self) -> bool {
        self.unflushed || self.free() > 0
    }

    /// Writes what may go. Cancel safe.
    ///
    /// # Errors
    /// If the agent's connection fails.
    pub async fn write<W: AsyncWrite + Unpin>(&mut self, to: &mut W) -> std::io::Result<()> {
        loop {
            let free = self.waiting.get(..self.free()).unwrap_or_default();
            if free.is_empty() {
                to.flush().await?;
                self.unflushed = false;
                give_back(&mut self.waiting);
                return Ok(());
            }
            self.unflushed = true;
            let written = to.write(free).await?;
            if written == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            self.waiting.advance(written);
            self.written += written as u64;
        }
    }
}

/// The way to a target. Nothing else in the gateway holds the writing half of a target's connection.
#[derive(Debug)]
pub struct Way<W> {
    target: W,
    waiting: BytesMut,
    /// What was written may still be in the connection's own buffer, as TLS has one.
    unflushed: bool,
}

impl<W> Way<W> {
    /// Takes over the writing half of a target's connection.
    pub fn new(target: W) -> Self {
        Self {
            target,
            waiting: BytesMut::new(),
            unflushed: false,
        }
    }

    /// Sends a call.
    pub fn send(&mut self, permit: Permit) {
        self.waiting.extend_from_slice(&permit.bytes);
    }

    /// Sends what carries no call.
    pub fn relay(&mut self, plumbing: Plumbing) {
        self.waiting.extend_from_slice(&plumbing.into_bytes());
    }

    /// Bytes that were sent and are not written yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// What has passed the gate, on the way of a transport that has more to do with it than to write it.
#[derive(Debug)]
pub(crate) struct Passed(BytesMut);

impl Passed {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Way<()> {
    /// Hands out what was sent, if anything was.
    pub(crate) fn take(&mut self) -> Option<Passed> {
        let passed = self.waiting.split();
        (!passed.is_empty()).then_some(Passed(passed))
    }
}

impl<W: AsyncWrite + Unpin> Way<W> {
    /// Whether there is something for [`write`](Self::write) to do.
    pub fn wants_write(&self) -> bool {
        self.unflushed || self.waiting.has_remaining()
    }

    /// Writes what waits. Cancel safe.
    ///
    /// # Errors
    /// If the target's connection fails.
    pub async fn write(&mut self) -> std::io::Result<()> {
        while self.waiting.has_remaining() {
            self.unflushed = true;
            if self.target.write_buf(&mut self.waiting).await? == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
        }
        self.target.flush().await?;
        self.unflushed = false;
        give_back(&mut self.waiting);
        Ok(())
    }

    /// Gives the connection back, to start TLS on it.
    pub(crate) fn into_inner(self) -> W {
        self.target
    }

    /// Looks at the connection, to read from it.
    pub(crate) fn get_mut(&mut self) -> &mut W {
        &mut self.target
    }
}

/// An empty buffer that was large once is let go: the session may stay idle for long. Its capacity is only what
/// is behind the bytes that have gone.
fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.try_reclaim(HELD_BYTES_MAX + 1) {
        *buffer = BytesMut::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(way: &mut WayBack) -> String {
        let mut out = Vec::new();
        way.write(&mut out).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    fn read() -> ReadAhead {
        ReadAhead(Permit { bytes: Vec::new() })
    }

    async fn proof() -> Recorded {
        let dir = tempfile::tempdir().unwrap();
        let config = bailiwick_audit::Config::new(dir.path().to_owned(), "test.example/log");
        let (log, _) = bailiwick_audit::Log::open(config).unwrap();
        let draft = bailiwick_audit::Draft {
            event: bailiwick_audit::Event::GatewayStopped,
            subject: bailiwick_audit::Subject::Gateway,
            payload: None,
        };
        Recorded::Durable(log.append(draft).await.unwrap())
    }

    #[tokio::test]
    async fn what_a_read_brought_is_held_until_its_record_is_there() {
        let mut way = WayBack::default();
        way.push(b"before ");
        way.hold(read());
        way.push(b"one ");
        way.hold(read());
        way.push(b"two ");
        assert_eq!((way.free(), way.waiting()), (7, 15));
        assert_eq!(written(&mut way).await, "before ");
        assert_eq!(written(&mut way).await, "");
        way.release(proof().await);
        assert_eq!(written(&mut way).await, "one ");
        way.push(b"more ");
        assert_eq!(way.free(), 0);
        way.release(proof().await);
        assert_eq!(written(&mut way).await, "two more ");
    }

    #[tokio::test]
    async fn what_a_long_result_took_is_given_back() {
        let mut way = WayBack::default();
        way.push(&vec![b'.'; 4 * HELD_BYTES_MAX]);
        assert_eq!(written(&mut way).await.len(), 4 * HELD_BYTES_MAX);
        assert!(!way.waiting.try_reclaim(HELD_BYTES_MAX + 1));
    }

    /// A connection with a buffer of its own, which empties only when there is room below.
    #[derive(Default)]
    struct Buffered {
        buffer: Vec<u8>,
        room: bool,
        sent: Vec<u8>,
    }

    impl AsyncWrite for Buffered {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            self.buffer.extend_from_slice(bytes);
            std::task::Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            if !self.room {
                return std::task::Poll::Pending;
            }
            let buffer = std::mem::take(&mut self.buffer);
            self.sent.extend(buffer);
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            self.poll_flush(context)
        }
    }

    #[tokio::test]
    async fn what_is_in_a_connections_own_buffer_is_not_forgotten_there() {
        // Something else happens while the buffer is being emptied, so that the write is broken off.
        async fn broken_off(write: impl Future<Output = std::io::Result<()>>) {
            tokio::select! {
                biased;
                _ = write => panic!("there was no room"),
                () = std::future::ready(()) => {}
            }
        }
        let mut way = WayBack::default();
        let mut agent = Buffered::default();
        way.push(b"the end of a result");
        broken_off(way.write(&mut agent)).await;
        assert_eq!((way.free(), way.wants_write()), (0, true));
        agent.room = true;
        way.write(&mut agent).await.unwrap();
        assert_eq!(agent.sent, b"the end of a result");
        assert!(!way.wants_write());

        let mut way = Way::new(Buffered::default());
        way.send(Permit {
            bytes: b"select 1".to_vec(),
        });
        broken_off(way.write()).await;
        assert_eq!((way.waiting(), way.wants_write()), (0, true));
        way.get_mut().room = true;
        way.write().await.unwrap();
        assert_eq!(way.get_mut().sent, b"select 1");
        assert!(!way.wants_write());
    }

    #[tokio::test]
    async fn what_has_no_record_never_leaves() {
        let mut way = WayBack::default();
        way.push(b"before ");
        way.hold(read());
        way.push(b"secret ");
        way.drop_held();
        way.push(b"sorry");
        assert_eq!(written(&mut way).await, "before sorry");
    }
}
