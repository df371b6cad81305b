//! Checking a receipt: one record and the proof that it is in a log (C2SP tlog-proof).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::checkpoint::{decimal, hash};
use super::policy::{Judgement, NotTrusted, Policy};
use super::proof;
use super::tree::{Hash, leaf_hash};
use crate::entry::Entry;
use crate::limits;

/// The first line of a receipt.
pub(crate) const PROOF_FILE: &str = "c2sp.org/tlog-proof@v1";

/// What a receipt has been found to show.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The record, and its place in the log.
    pub entry: Entry,
    /// The checkpoint that covers it, and who cosigned that.
    pub checkpoint: Judgement,
}

/// Why a receipt shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotProven {
    /// It is not a receipt, or was damaged.
    #[error("it is not a receipt: {0}")]
    Malformed(&'static str),
    /// The log did not sign it, or a witness's signature is not its own.
    #[error("its checkpoint is not valid: {0}")]
    Checkpoint(#[from] NotTrusted),
    /// The record is not the one that the log has there.
    #[error(
        "its record is not record {index} of the {size} that {origin} signs for: the record, its \
         place or its path was altered"
    )]
    NotIncluded {
        /// Where it says that the record is.
        index: u64,
        /// How many records the checkpoint covers.
        size: u64,
        /// The log.
        origin: String,
    },
    /// Too few witnesses saw it.
    #[error(
        "too few witnesses have seen it: {}, which is not the quorum of the policy",
        seen_by(.0)
    )]
    Quorum(Judgement),
    /// The log has it, but it is not a record.
    #[error("what the log has there is not a record: {0}")]
    NotARecord(String),
}

/// Checks a receipt by itself: that its record is in a log of the policy, that the log has signed
/// for it, and that as many witnesses as the policy asks for have seen it.
pub fn verify_receipt(file: &[u8], policy: &Policy) -> Result<Proven, NotProven> {
    let receipt = ProofFile::parse(file).map_err(NotProven::Malformed)?;
    let checkpoint = policy.judge(receipt.checkpoint)?;
    let included = proof::includes(
        receipt.index,
        checkpoint.size,
        &leaf_hash(&receipt.record),
        &receipt.path,
        checkpoint.root.as_bytes(),
    );
    if !included {
        return Err(NotProven::NotIncluded {
            index: receipt.index,
            size: checkpoint.size,
            origin: checkpoint.origin,
        });
    }
    if !checkpoint.quorum {
        return Err(NotProven::Quorum(checkpoint));
    }
    let entry = Entry::parse(receipt.index, receipt.record)
        .map_err(|error| NotProven::NotARecord(error.to_string()))?;
    if entry.record.v != 1 {
        let reason = format!("it is of version {}, not 1", entry.record.v);
        return Err(NotProven::NotARecord(reason));
    }
    Ok(Proven { entry, checkpoint })
}

/// The parts of a receipt, in form.
struct ProofFile<'a> {
    record: Vec<u8>,
    index: u64,
    /// From the leaf's sibling up.
    path: Vec<Hash>,
    checkpoint: &'a [u8],
}

impl<'a> ProofFile<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, &'static str> {
        if file.len() > limits::PROOF_FILE {
            return Err("it is too long for one");
        }
        let mut rest = file;
        if next_line(&mut rest)? != PROOF_FILE {
            return Err("its first line is not `c2sp.org/tlog-proof@v1`");
        }
        // Other proofs may be without; a receipt is about the record in it.
        let record = next_line(&mut rest)?
            .strip_prefix("extra ")
            .ok_or("it has no `extra` line with the record in it")?;
        let record = BASE64
            .decode(record)
            .map_err(|_| "its record is not base64")?;
        let index = next_line(&mut rest)?
            .strip_prefix("index ")
            .and_then(decimal)
            .ok_or("it has no `index` line with a number in it")?;
        let mut path = Vec::new();
        loop {
            match next_line(&mut rest)? {
                "" => break,
                _ if path.len() == limits::PATH => return Err("its path is too long"),
                line => path.push(hash(line).ok_or("a line of its path is not a hash")?),
            }
        }
        Ok(Self {
            record,
            index,
            path,
            checkpoint: rest,
        })
    }
}

/// Takes a line off the beginning.
fn next_line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, &'static str> {
    let end = rest.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or("it ends before its checkpoint")?;
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..).unwrap_or_default();
    std::str::from_utf8(line).map_err(|_| "it is not text")
}

fn seen_by(judgement: &Judgement) -> String {
    let names = judgement.cosigned.iter().map(|seen| seen.witness.as_str());
    match names.collect::<Vec<_>>() {
        names if names.is_empty() => "none that it knows".to_owned(),
        names => names.join(", "),
    }
}
