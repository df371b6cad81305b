//! Every limit of the controls, in one place.

use std::time::Duration;

/// Runs open at once.
pub(crate) const RUNS_OPEN_MAX: usize = 10_000;

/// What the launcher says a run is for, in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 1_024;

/// How often the time boxes are looked at. A run ends at most this long after its time.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// How long the sessions of a run that was cut have to write their last records.
pub(crate) const SESSIONS_END_TIME_MAX: Duration = Duration::from_secs(2);

/// How long somebody who ends a run waits for its closing record.
pub(crate) const END_TIME_MAX: Duration = Duration::from_secs(5);

/// How long after a failure the closing record of a run is tried again.
pub(crate) const CLOSE_RETRY_AFTER: Duration = Duration::from_millis(500);

/// How long a run that was opened to be attached waits for that.
pub(crate) const ATTACH_TIME_MAX: Duration = Duration::from_secs(10);

/// Jobs waiting for the database.
pub(crate) const STORE_QUEUE_MAX: usize = 1_024;

/// How long another process may hold the database.
pub(crate) const STORE_BUSY_TIME_MAX: Duration = Duration::from_secs(2);

/// Records that go into the index in one transaction.
pub(crate) const INDEX_BATCH_RECORDS_MAX: usize = 512;

/// Bytes of records and payloads that go into the index in one transaction; the record that exceeds it
/// is the last.
pub(crate) const INDEX_BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How much of a payload is indexed, in bytes of text. What is beyond it is not found by a search.
pub(crate) const INDEX_PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// How often the index looks for new records when nobody asks.
pub(crate) const INDEX_POLL: Duration = Duration::from_millis(250);

/// How long after a failure the index is tried again.
pub(crate) const INDEX_RETRY_AFTER: Duration = Duration::from_secs(5);

/// How long one connection to the index waits for another.
pub(crate) const INDEX_BUSY_TIME_MAX: Duration = Duration::from_secs(2);

/// Pages of SQLite's own log (4 KiB each) before they are brought into the index file.
pub(crate) const INDEX_WAL_PAGES: i64 = 4_096;

/// How long a search waits for the index to come up with the log.
pub(crate) const INDEX_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long a search may take.
pub(crate) const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// Searches at once.
pub(crate) const SEARCHES_AT_ONCE_MAX: usize = 8;

/// The words of a search, in bytes.
pub(crate) const SEARCH_WORDS_BYTES_MAX: usize = 1_024;

/// The words of a search.
pub(crate) const SEARCH_WORDS_MAX: usize = 32;

/// Hits in an answer where nothing is asked for.
pub(crate) const SEARCH_HITS: u32 = 50;

/// Hits in one answer. With records of 8 KiB they fit the client's limit.
pub(crate) const SEARCH_HITS_MAX: u32 = 1_000;

/// Connections to the Unix socket at once; every attached run holds one.
pub(crate) const LOCAL_CONNECTIONS_MAX: usize = 4_096;

/// Connections over TCP at once.
pub(crate) const NETWORK_CONNECTIONS_MAX: usize = 64;

/// For a request's headers, also on a connection that waits for its next request.
pub(crate) const HEADER_TIME_MAX: Duration = Duration::from_secs(10);

/// For a request, from its headers to the head of the answer.
pub(crate) const REQUEST_TIME_MAX: Duration = Duration::from_secs(20);

/// A request's body.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Runs in one answer.
pub(crate) const RUNS_LISTED_MAX: u32 = 1_000;

/// Records in one answer.
pub(crate) const TRAIL_RECORDS_MAX: usize = 500;

/// How long the payloads of one answer may take to be read; what is left is for the next one.
pub(crate) const TRAIL_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of records and payloads in one answer; the one that exceeds it is the last.
pub(crate) const TRAIL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Connections that the server still serves when it stops.
pub(crate) const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// An answer that the client reads. One record may bring a payload of 4 MiB, in JSON twice that.
pub(crate) const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long the client waits for an answer; longer than the server takes to give up.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// How often the client asks how far an index is that is being made anew.
pub(crate) const REINDEX_LOOK: Duration = Duration::from_millis(100);

/// Connections to a witness at once.
pub(crate) const WITNESS_CONNECTIONS_MAX: usize = 256;

/// What a witness is asked: a proof of 63 lines, and a note with room for post-quantum signatures.
pub(crate) const WITNESS_BODY_BYTES_MAX: usize = 128 * 1024;

/// For a request to a witness, from its headers to the head of the answer.
pub(crate) const WITNESS_REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
