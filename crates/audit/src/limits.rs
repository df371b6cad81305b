//! Every limit of the log, in one place.

use std::time::Duration;

use crate::transport::Bounds;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The longest record.
pub(crate) const RECORD: usize = 8 * KIB;

/// The longest payload, before encryption. With its record it fits half a segment.
pub(crate) const PAYLOAD: usize = 4 * MIB;

/// The longest frame of the write-ahead log: a record, a wrapped key, an encrypted payload and
/// their lengths.
pub(crate) const FRAME: usize = RECORD + PAYLOAD + KIB;

/// How much memory the writer keeps from one batch for the next.
pub(crate) const BATCH_KEPT: usize = MIB;

/// The size of a segment of the write-ahead log. One is in use, one is prepared ahead, one is the
/// reserve: three times this is what an idle log occupies.
pub(crate) const SEGMENT: u64 = (16 * MIB) as u64;

/// How much of a segment is filled with zeros before the disk has time for something else.
pub(crate) const ZEROED_AT_ONCE: usize = 512 * KIB;

/// The longest frame that may go into the reserve of a full disk: a closing record without a large
/// payload.
pub(crate) const CLOSING_FRAME: u64 = (16 * KIB) as u64;

/// How much may be durable and not yet in the tree before appends are refused.
pub(crate) const BACKLOG: usize = 256 * MIB;

/// How much of the write-ahead log a reader takes at once, unless a single frame is longer.
pub(crate) const READ_AHEAD: usize = 256 * KIB;

/// Chains of which a reader remembers keys and places. Those beyond it take longer, nothing else.
pub(crate) const CHAINS_REMEMBERED: usize = 4096;

/// The longest name of a log, which is also the name of its key.
pub(crate) const ORIGIN: usize = 255;

/// The largest integer a record holds: every JSON reader agrees on it (RFC 7493).
pub(crate) const INTEGER: u64 = (1 << 53) - 1;

/// How much the integrator keeps in memory before it writes it, where no checkpoint is due: payloads
/// of one run that are written together cost one write.
pub(crate) const WRITE_FROM: usize = 4 * MIB;

/// How long the integrator lets records gather.
pub(crate) const INTEGRATE_EVERY: Duration = Duration::from_millis(100);

/// How long a changed tree goes without a signed checkpoint.
pub(crate) const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// How long a start waits for another process that has the folder, and may be ending.
pub(crate) const LOCK_WAIT: Duration = Duration::from_millis(200);

/// How long after a full disk the next try comes.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How many records a start reads again at most, beyond those in the write-ahead log.
pub(crate) const SNAPSHOT_EVERY: u64 = 4096;

/// How long a record for which nobody waits stays unsynced, at most; with the sync itself it is
/// durable within 10 ms.
pub(crate) const SYNC_WITHIN: Duration = Duration::from_millis(5);

/// How long a sync takes at most on a disk that is well: one that takes longer may be stuck, and then nobody
/// is made to wait for a write who has other things to do.
pub(crate) const SYNC_USUAL: Duration = Duration::from_millis(50);

/// Bundles removed in one go when the log is pruned, so that the tree does not wait for long.
pub(crate) const PRUNED_AT_ONCE: u64 = 16;

/// How far the clock may have gone back before records of a time are passed over when the log is
/// looked through by time.
pub(crate) const CLOCK_BACK: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest file of a data folder that is read whole. The longest there are say where the chains of all open
/// runs stand.
pub(crate) const FILE: u64 = (256 * MIB) as u64;

/// The longest file that is read to verify a log: a bundle of 256 entries of 64 KiB, or a segment of
/// the write-ahead log.
pub(crate) const VERIFIED_FILE: u64 = (17 * MIB) as u64;

/// How often a log is verified again that was being pruned meanwhile.
pub(crate) const VERIFIED_AGAIN: u32 = 2;

/// The longest signed note. Signatures of sixteen post-quantum keys fit it, at 5 kB each.
pub(crate) const NOTE: usize = 256 * KIB;

/// The most signatures of a note.
pub(crate) const SIGNATURES: usize = 64;

/// The longest receipt: the longest entry of a log (64 KiB, in base64), a path and a note.
pub(crate) const PROOF_FILE: usize = 512 * KIB;

/// The most hashes of an inclusion proof.
pub(crate) const PATH: usize = 63;

/// What a witness may take to say which checkpoint it keeps.
pub(crate) const ASK_WITNESS: Bounds = Bounds {
    body: NOTE,
    time: Duration::from_secs(5),
};

/// How many witnesses are asked at the same time.
pub(crate) const WITNESSES_AT_ONCE: usize = 16;

/// The longest trust policy.
pub(crate) const POLICY: usize = 256 * KIB;

/// The most logs of a trust policy, and of witnesses, and of groups.
pub(crate) const POLICY_ENTRIES: usize = 256;

/// The most lines of a consistency proof (C2SP tlog-witness); a tree of 2^63 records needs no more.
pub(crate) const PROOF_LINES: usize = 63;

/// The longest request to a signer, and the longest answer: a proof of 63 lines and a checkpoint.
pub(crate) const SIGNER_MESSAGE: usize = 8 * KIB;

/// How long a signer may take to read, to answer, and to be read.
pub(crate) const SIGNER_TIME: Duration = Duration::from_secs(5);

/// Connections to a signer at once. A gateway has one, for as long as a question takes.
pub(crate) const SIGNER_CONNECTIONS: usize = 16;

/// How often a gateway says that its signer does not sign.
pub(crate) const SAY_AGAIN: Duration = Duration::from_secs(60);

/// How long a witness may take to answer.
pub(crate) const WITNESS_TIME: Duration = Duration::from_secs(10);

/// The longest answer of a witness.
pub(crate) const WITNESS_ANSWER: usize = 64 * KIB;

/// How often a witness is asked, at most.
pub(crate) const WITNESS_EVERY: Duration = Duration::from_secs(1);

/// How long a witness that fails is left alone, at most.
pub(crate) const WITNESS_REST: Duration = Duration::from_secs(60);

/// How long witnesses that have not answered keep the others from a newer checkpoint.
pub(crate) const ROUND: Duration = Duration::from_secs(5);

/// How long a log that closes waits for witnesses to sign its last checkpoint.
pub(crate) const LAST_ROUND: Duration = Duration::from_secs(3);
