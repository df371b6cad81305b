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
pub(crate) const INDEX_BATCH_RECORDS_MAX: usize = 4_096;

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

/// Runs in one answer where nothing is asked for.
pub(crate) const RUNS_LISTED: u32 = 100;

/// Runs in one answer.
pub(crate) const RUNS_LISTED_MAX: u32 = 1_000;

/// Records of a trail that is verified while somebody waits.
pub(crate) const VERIFIED_RECORDS_MAX: u64 = 100_000;

/// Runs whose trail does not verify, on one page.
pub(crate) const UNVERIFIED_SHOWN: u32 = 20;

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

// Approvals.

/// Calls of one run that wait for an approval at once.
pub(crate) const APPROVALS_OPEN_OF_RUN_MAX: usize = 16;

/// How often one run may ask in all. What is joined or remembered is not asked again.
pub(crate) const APPROVALS_ASKED_MAX: usize = 100;

/// Calls of all runs that wait for an approval at once.
pub(crate) const APPROVALS_OPEN_MAX: usize = 1_000;

/// Approvals in memory, decided ones among them.
pub(crate) const APPROVALS_KEPT_MAX: usize = 5_000;

/// What somebody says with a decision, in bytes.
pub(crate) const ANSWER_TEXT_BYTES_MAX: usize = 1_024;

/// Actions of a held call that people are shown. The heaviest come first.
pub(crate) const APPROVAL_ACTIONS_SHOWN: usize = 64;

/// Of one of these, in bytes.
pub(crate) const APPROVAL_ACTION_BYTES_SHOWN: usize = 512;

// People: tokens, links, sessions, and the identity provider.

/// A program's token, in bytes.
pub(crate) const TOKEN_BYTES_MIN: usize = 32;

/// The same, at most.
pub(crate) const TOKEN_BYTES_MAX: usize = 512;

/// How often whoever holds a run open is told that the gateway is still there: more often than what stands between
/// them, such as a proxy, gives up on a connection.
pub(crate) const BEAT_TIME: Duration = Duration::from_secs(15);

/// The longest line that the client takes from a gateway that holds a run open, in bytes.
pub(crate) const CHANGE_BYTES_MAX: usize = 4 * 1024;

/// How long nothing may be heard of a gateway that holds a run open.
pub(crate) const SILENCE_TIME_MAX: Duration = Duration::from_secs(60);

/// The longest name of a program that has a token, in bytes, without `workflow:`.
pub(crate) const TOKEN_NAME_BYTES_MAX: usize = 128;

/// How long a one-time link can be used.
pub(crate) const LINK_TIME: Duration = Duration::from_secs(60);

/// Links that wait to be used.
pub(crate) const LINKS_MAX: usize = 64;

/// How long a session lasts at most.
pub(crate) const SESSION_TIME_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// How long a session lasts without a request.
pub(crate) const SESSION_IDLE_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// How often an answer that goes on looks whether its session still lives.
pub(crate) const SESSION_LOOK: Duration = Duration::from_secs(1);

/// Sessions at once.
pub(crate) const SESSIONS_MAX: usize = 4_096;

/// Sessions of one person at once.
pub(crate) const SESSIONS_PER_PERSON_MAX: usize = 16;

/// Attempts to sign in, from one address within [`ATTEMPTS_TIME`]; a success gives back what it took.
pub(crate) const ATTEMPTS_MAX: u32 = 30;

/// Within which time attempts are counted.
pub(crate) const ATTEMPTS_TIME: Duration = Duration::from_secs(60);

/// Addresses of which attempts are counted.
pub(crate) const ATTEMPTS_ADDRESSES_MAX: usize = 4_096;

/// Where to go on after signing in, in bytes.
pub(crate) const NEXT_BYTES_MAX: usize = 1_024;

/// How long somebody may take at the identity provider.
pub(crate) const OIDC_SIGN_IN_TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// People at the identity provider at once.
pub(crate) const OIDC_PENDING_MAX: usize = 10_000;

/// How long what the identity provider says of itself, and its keys, are used before they are asked for again.
pub(crate) const OIDC_KEEP: Duration = Duration::from_secs(60 * 60);

/// How soon, at the earliest, it is asked for them again: after a failure, or for a key that is not among them.
pub(crate) const OIDC_ASK_AGAIN: Duration = Duration::from_secs(30);

/// How far the identity provider's clock may be off.
pub(crate) const OIDC_CLOCK_OFF_MAX: Duration = Duration::from_secs(5 * 60);

/// Groups of one person, by the identity provider's claim.
pub(crate) const OIDC_GROUPS_MAX: usize = 1_024;

// Views.

/// How long a page waits for what was just recorded.
pub(crate) const INDEX_GLANCE_MAX: Duration = Duration::from_millis(50);

/// Pages that read the index at once; more of them wait for their turn.
pub(crate) const VIEWS_AT_ONCE_MAX: usize = 4;

/// Changes of the index that are kept for whoever is late to hear of them.
pub(crate) const CHANGES_KEPT_MAX: usize = 64;

/// Runs in one answer about incidents where nothing is asked for.
pub(crate) const INCIDENT_RUNS: u32 = 50;

/// Runs in one answer about incidents.
pub(crate) const INCIDENT_RUNS_MAX: u32 = 200;

/// Incidents that are shown of one run.
pub(crate) const INCIDENTS_OF_RUN: u32 = 5;

/// The time that calls are counted over where nothing is asked for.
pub(crate) const ACTIVITY_TIME: Duration = Duration::from_secs(3600);

/// Parts of that time where nothing is asked for.
pub(crate) const ACTIVITY_PARTS: u32 = 60;

/// Parts of that time.
pub(crate) const ACTIVITY_PARTS_MAX: u32 = 240;

/// Records that a trail passes over behind the index, before the log is read in the other direction.
pub(crate) const TRAIL_PASSED_MAX: usize = 50_000;

// The console.

/// Characters of a text of others that a page shows at once where it has a line for it.
pub(crate) const CONSOLE_LINE_CHARS_MAX: usize = 300;

/// The same where it has a block.
pub(crate) const CONSOLE_BLOCK_CHARS_MAX: usize = 10_000;

/// Records of which a run's page tells.
pub(crate) const CONSOLE_RECORDS_MAX: usize = 2_000;

/// Runs on one page.
pub(crate) const CONSOLE_RUNS: u32 = 50;

/// Runs with incidents on one page.
pub(crate) const CONSOLE_INCIDENTS: u32 = 20;

/// Browsers that are told of changes at once; others renew their pages themselves.
pub(crate) const CONSOLE_EVENTS_MAX: usize = 32;

/// How often a browser is told of changes, at most.
pub(crate) const CONSOLE_EVENTS_PAUSE: Duration = Duration::from_millis(500);

/// How often a browser that hears nothing is told that we are there.
pub(crate) const CONSOLE_EVENTS_ALIVE: Duration = Duration::from_secs(15);

/// Runs that one event names; of more than that, it says that all may have changed.
pub(crate) const CONSOLE_EVENTS_RUNS_MAX: usize = 100;

// Signals and notices.

/// How often the log is looked at for what rules look for. A run is cut at most this long, and what it takes to
/// read on, after the record that says why.
pub(crate) const SIGNALS_POLL: Duration = Duration::from_millis(100);

/// Records that are looked at before what came of them is stored.
pub(crate) const SIGNALS_BATCH_RECORDS_MAX: usize = 512;

/// How long the place in the log is not stored where nothing came of the records.
pub(crate) const SIGNALS_STORED_EVERY: Duration = Duration::from_secs(5);

/// How often a rule is raised about the gateway itself, at most.
pub(crate) const SIGNAL_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Signals that were raised and are not on record yet. One on top that only tells people is not recorded.
pub(crate) const SIGNALS_UNRECORDED_MAX: usize = 10_000;

/// How often it is looked whether the record is in trouble.
pub(crate) const TROUBLE_LOOK: Duration = Duration::from_secs(1);

/// How long records may wait for a checkpoint that covers them. There is one about every second.
pub(crate) const UNSIGNED_TIME_MAX: Duration = Duration::from_secs(60);

/// How long a checkpoint may wait for enough witnesses.
pub(crate) const UNWITNESSED_TIME_MAX: Duration = Duration::from_secs(600);

/// How long a notice is kept that cannot be delivered.
pub(crate) const NOTICE_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Notices that wait for one sink. The oldest go first.
pub(crate) const NOTICES_WAITING_MAX: u32 = 100_000;

/// Notices of one sink that are kept though it has refused them. The oldest go first; that each was refused stays on
/// record.
pub(crate) const NOTICES_REFUSED_MAX: u32 = 10_000;

/// Notices of one sink that wait in memory, because they cannot be stored.
pub(crate) const NOTICES_UNSTORED_MAX: usize = 64;

/// How long after a notice could not be delivered it is tried again, the first time. Each time after that it is
/// twice as long.
pub(crate) const NOTICE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// And at most: how much later than a sink itself what waits for it is back.
pub(crate) const NOTICE_AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);

/// And at most where the sink asks to be left alone for longer.
pub(crate) const NOTICE_ASKED_WAIT_MAX: Duration = Duration::from_secs(3600);

/// Attempts in vain after which it may be the notice and not the sink: from then on others are tried between them.
pub(crate) const NOTICE_SUSPECT_AFTER: u32 = 4;

/// How often a sink looks for notices when nobody wakes it, and for those that are too old.
pub(crate) const NOTICES_LOOK: Duration = Duration::from_secs(30);

/// How long delivering one notice may take.
pub(crate) const NOTICE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a syslog server that listens on TCP is given to take a message and close.
pub(crate) const SYSLOG_CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// A syslog message over UDP, in bytes: what every receiver should take (RFC 5426, section 3.2).
pub(crate) const SYSLOG_BYTES_MAX: usize = 2_048;

/// One value of a syslog message, in bytes, before what has to be escaped.
pub(crate) const SYSLOG_VALUE_BYTES_MAX: usize = 96;

/// Actions of a call that a notice shows.
pub(crate) const NOTICE_ACTIONS_MAX: usize = 8;

/// The longest value in a message for Slack, in characters. A message has at most 15 of them, and Slack refuses one of
/// more than 40,000 characters.
pub(crate) const SLACK_VALUE_CHARS_MAX: usize = 400;
// What watches over the gateway.

/// For the registry's answer when it is asked whether the gateway is ready.
pub(crate) const PROBE_TIME_MAX: Duration = Duration::from_secs(2);

/// Connections to the address for metrics at once.
pub(crate) const MONITORING_CONNECTIONS_MAX: usize = 16;

/// What a request is refused with before a handler has it.
pub(crate) const REFUSED_BYTES_MAX: usize = 16 * 1024;
