use std::io;

const ADVICE: &str = "Keep the folder as it is, for examination, and compare it with a backup or \
                      with a copy that somebody else has";

/// The first thing that is broken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The key is not one.
    #[error(
        "the key to verify with is not right: {0}. It is one line, NAME+ID+KEY, as in `log.vkey`; \
         take it from somebody who got it when the log was started"
    )]
    Key(String),
    /// A file could not be asked for; the log may be whole.
    #[error("cannot read {file}: {error}. Nothing is known to be broken; try again")]
    Unreadable {
        /// Which.
        file: String,
        /// What happened.
        error: io::Error,
    },
    /// A file is missing.
    #[error("{file} is missing: {expected}. The log was cut, or the file removed. {ADVICE}")]
    Missing {
        /// Which.
        file: String,
        /// Why it must be there.
        expected: String,
    },
    /// A checkpoint is not what the key has signed.
    #[error("the checkpoint {file} is not valid: {reason}. {ADVICE}")]
    Checkpoint {
        /// Which file.
        file: String,
        /// Why not.
        reason: String,
    },
    /// The checkpoint is older than what is known to have been signed.
    #[error(
        "the log was rolled back: its checkpoint covers {found} records, but {by} shows that \
         {known} were covered. {ADVICE}"
    )]
    RolledBack {
        /// How many the checkpoint covers.
        found: u64,
        /// How many must have been covered.
        known: u64,
        /// What shows it.
        by: String,
    },
    /// A witness has seen a larger log.
    #[error(
        "the log was cut or rolled back, or this is an old copy of it: its checkpoint covers \
         {found} records, but the witness {witness} saw one that covers {known}, by {time}. Keep \
         the checkpoint that the witness keeps: with it anyone can tell. {ADVICE}"
    )]
    Behind {
        /// How many the checkpoint covers.
        found: u64,
        /// How many the witness has seen.
        known: u64,
        /// The witness, as the policy calls it.
        witness: String,
        /// When it saw them.
        time: String,
        /// The checkpoint that the witness keeps.
        evidence: String,
    },
    /// A witness has seen another log of the same name and key.
    #[error(
        "the log was forked: the witness {witness} saw another tree of the first {size} records by \
         {time}, signed with the same key. Keep the checkpoint that the witness keeps: with it \
         anyone can tell. {ADVICE}"
    )]
    Forked {
        /// How many records the two trees have.
        size: u64,
        /// The witness, as the policy calls it.
        witness: String,
        /// When it saw its own.
        time: String,
        /// The checkpoint that the witness keeps.
        evidence: String,
    },
    /// Too few witnesses have seen the log.
    #[error(
        "too few witnesses have seen this log for the quorum of the policy: its checkpoint, of \
         {size} records, has {by}.{} Either it was rewritten and they were not asked, or refused; \
         or the gateway has just been started, or cannot reach them: then try again", older.as_deref().unwrap_or_default()
    )]
    Unwitnessed {
        /// How many records the newest checkpoint covers.
        size: u64,
        /// Whose signatures it has.
        by: String,
        /// The same of the one that witnesses have seen, if it is there.
        older: Option<String>,
    },
    /// Two signed checkpoints do not belong to one log.
    #[error(
        "{file} signs another tree of the first {size} records than the log has: the log was \
         rewritten, although both were signed with its key. {ADVICE}"
    )]
    Inconsistent {
        /// The other checkpoint.
        file: String,
        /// How many records it covers.
        size: u64,
    },
    /// A record is not the one that was signed.
    #[error(
        "record {index} ({name}) in {file} was altered, or stands where another was: its hash is \
         {found}, the signed tree has {expected}. {ADVICE}"
    )]
    Record {
        /// Its place in the log.
        index: u64,
        /// What it calls itself: run and seq, if it can be read.
        name: String,
        /// The bundle it is in.
        file: String,
        /// The hash of what is there.
        found: String,
        /// The hash that was signed.
        expected: String,
    },
    /// A bundle of entries is not one.
    #[error(
        "{file} is damaged at record {index}: {reason}. The log was cut, or the file altered. \
         {ADVICE}"
    )]
    Bundle {
        /// Which.
        file: String,
        /// The first record that cannot be read.
        index: u64,
        /// Why not.
        reason: String,
    },
    /// A tile of hashes is not what the records make.
    #[error(
        "{file} was altered at hash {position}: it is {found}, the records, which agree with the \
         checkpoint, make it {expected}. {ADVICE}"
    )]
    Tile {
        /// Which.
        file: String,
        /// The first hash that differs, from 0.
        position: usize,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// A file is longer or shorter than it must be.
    #[error("{file} has {found} bytes, it must have {expected}: it was cut or added to. {ADVICE}")]
    Length {
        /// Which.
        file: String,
        /// How long it is.
        found: usize,
        /// How long it must be.
        expected: usize,
    },
    /// A tile kept from when it was smaller is not the beginning of what it has become.
    #[error(
        "{file} was altered at byte {position}: it is not the beginning of the tile it has become, \
         which agrees with the checkpoint. {ADVICE}"
    )]
    Older {
        /// Which.
        file: String,
        /// The first byte that differs, from 0.
        position: usize,
    },
    /// Records and tiles agree with each other, and not with the checkpoint.
    #[error(
        "the {size} records make the root {found}, the checkpoint signs {expected}: the log was \
         rewritten, or the checkpoint belongs to another. {ADVICE}"
    )]
    Root {
        /// How many records there are.
        size: u64,
        /// What they make.
        found: String,
        /// What was signed.
        expected: String,
    },
    /// Signed bytes that are not a record.
    #[error(
        "record {index} in {file} is not a record: {reason}. It is the one that was signed, so \
         whoever wrote the log wrote it wrong. {ADVICE}"
    )]
    NotARecord {
        /// Its place in the log.
        index: u64,
        /// The file it is in.
        file: String,
        /// Why not.
        reason: String,
    },
    /// Two logs do not follow each other.
    #[error("the log {log} is not the one that is continued: {what}. {ADVICE}")]
    Succession {
        /// The older one.
        log: String,
        /// What does not fit.
        what: String,
    },
    /// The chain of a run is broken: a record was left out, put in or moved before it was signed.
    #[error(
        "the chain of records is broken at record {index} ({name}) in {file}: {what} is {found}, \
         expected {expected}. A record was left out, put in or moved before the log was signed. \
         {ADVICE}"
    )]
    Chain {
        /// Its place in the log.
        index: u64,
        /// What it calls itself: run and seq.
        name: String,
        /// The file it is in.
        file: String,
        /// What is wrong.
        what: &'static str,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// The write-ahead log has another record than the tree.
    #[error(
        "record {index} is another in the write-ahead log than in {file}: one of them was altered. \
         {ADVICE}"
    )]
    Differs {
        /// Its place in the log.
        index: u64,
        /// The bundle it is in.
        file: String,
    },
    /// The note of how far the log is pruned is not what the log says.
    #[error("{file} {what}. Whoever reads the log would not be shown what is before. {ADVICE}")]
    PrunedNote {
        /// The note.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// The write-ahead log is damaged where it cannot be by a crash.
    #[error("the write-ahead log is damaged: {file} at record {index}: {reason}. {ADVICE}")]
    Wal {
        /// Which file.
        file: String,
        /// The first record that cannot be read.
        index: u64,
        /// Why not.
        reason: String,
    },
}

impl Broken {
    /// A signed note that shows it, and is worth keeping, where there is one.
    pub fn evidence(&self) -> Option<&str> {
        match self {
            Self::Behind { evidence, .. } | Self::Forked { evidence, .. } => Some(evidence),
            _ => None,
        }
    }
}
