//! The gate: a call reaches a target only as a [`Permit`], and a permit is made only here, from a
//! decision that allowed the call and a receipt that its record is durable.
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
//! or plumbing of the gateway's own making:
//!
//! ```compile_fail,E0624
//! let plumbing = bailiwick_wire::Plumbing::new(&b"DROP TABLE tickets"[..]);
//! ```

use bailiwick_action::{Fingerprint, FingerprintKey, Held};
use bailiwick_audit::Receipt;
use bailiwick_policy::Allow;
use bailiwick_wire::Plumbing;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// One held call that may go to its target, once. Its bytes can be had in no other way.
#[derive(Debug)]
pub struct Permit {
    bytes: Vec<u8>,
}

/// The receipt is for another call than the held one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a defect in the gateway: a receipt was presented for another call")]
pub struct Mismatch;

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
    ) -> Result<Self, Mismatch> {
        if receipt.fingerprint() != Some(Fingerprint::of(key, &held.call)) {
            return Err(Mismatch);
        }
        Ok(Self { bytes: held.bytes })
    }
}

/// The way to a target. Nothing else in the gateway holds the writing half of a target's connection.
#[derive(Debug)]
pub struct Way<W> {
    target: W,
    waiting: BytesMut,
}

impl<W: AsyncWrite + Unpin> Way<W> {
    /// Takes over the writing half of a target's connection.
    pub fn new(target: W) -> Self {
        Self {
            target,
            waiting: BytesMut::new(),
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

    /// Writes some of what waits. Cancel safe.
    ///
    /// # Errors
    /// If the target's connection fails.
    pub async fn write(&mut self) -> std::io::Result<()> {
        while self.waiting.has_remaining() {
            if self.target.write_buf(&mut self.waiting).await? == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
        }
        self.target.flush().await
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

/// What waits for the agent; the counterpart of [`Way`] on the other side.
pub(crate) async fn write_all<W: AsyncWrite + Unpin>(
    to: &mut W,
    waiting: &mut BytesMut,
) -> std::io::Result<()> {
    while waiting.has_remaining() {
        if to.write_buf(waiting).await? == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
    }
    to.flush().await
}
