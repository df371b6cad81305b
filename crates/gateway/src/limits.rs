//! Every limit of the gateway, in one place.

use std::time::Duration;

/// From the first byte of a connection to a logged-in agent.
pub(crate) const LOGIN_TIME_MAX: Duration = Duration::from_secs(15);

/// From opening a target's socket to a target that is ready.
pub(crate) const TARGET_LOGIN_TIME_MAX: Duration = Duration::from_secs(15);

/// For the last words of a session that is cut.
pub(crate) const FAREWELL_TIME_MAX: Duration = Duration::from_millis(250);

/// For a session to reach its own end when the gateway stops.
pub(crate) const STOP_TIME_MAX: Duration = Duration::from_secs(3);

/// Connections of agents at once.
pub(crate) const CONNECTIONS_MAX: usize = 1_024;

/// Files that the whole process may have open at once: two for each connection of each of two listeners
/// (one of HTTP may have several exchanges, whose connections to targets are kept and shared), and as many
/// as programs that are started for runs, the log, the index and the control socket may need beside them.
pub const OPEN_FILES_MAX: u64 = 4 * CONNECTIONS_MAX as u64 + 2_048;

/// Sessions of one run at once.
pub(crate) const SESSIONS_PER_RUN_MAX: u64 = 32;

/// Bytes on their way to one side before the other side is no longer read.
pub(crate) const HELD_BYTES_MAX: usize = 256 * 1024;

/// Bytes read at once.
pub(crate) const READ_BYTES: usize = 32 * 1024;

/// How long what was learned of a target serves new sessions.
pub(crate) const KNOWLEDGE_TIME_MAX: Duration = Duration::from_secs(2);

/// How long it serves the session that learned it.
pub(crate) const REFRESH_EVERY: Duration = Duration::from_secs(5);

/// How long a read may run before what has become of its record is of interest, though nothing of its
/// result has come.
pub(crate) const RECORD_TIME_USUAL: Duration = Duration::from_millis(100);

/// Text of a call that is kept as its payload, in bytes; what is longer is cut.
pub(crate) const PAYLOAD_TEXT_BYTES_MAX: usize = 64 * 1024;

/// Bound values of a call that are kept in its payload.
pub(crate) const PAYLOAD_VALUES_MAX: usize = 256;

/// Bytes of each of them.
pub(crate) const PAYLOAD_VALUE_BYTES_MAX: usize = 1_024;

/// For having a target make a run's login, from opening its socket on. An agent waits for it.
pub(crate) const PROVIDE_TIME_MAX: Duration = Duration::from_secs(30);

/// For one sweep of a target; the next goes on where it was.
pub(crate) const SWEEP_TIME_MAX: Duration = Duration::from_secs(60);

/// Errands at once, at all targets together.
pub(crate) const ERRANDS_MAX: usize = 8;

/// Sessions at once that a target allows a run's own login: as many as the gateway does, and some whose
/// end the target has not noticed yet.
pub(crate) const LOGIN_SESSIONS_MAX: u32 = SESSIONS_PER_RUN_MAX as u32 + 8;

/// How often a target is looked through for logins of runs that are over, beside after each end.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How soon it is tried again where some could not be dropped; then twice as long.
pub(crate) const SWEEP_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// For dropping the last of them when the gateway stops.
pub(crate) const SWEEP_STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// How long what holds a task's privileges stays at a target when no run uses it.
pub(crate) const TEMPLATE_KEPT: Duration = Duration::from_secs(600);

/// Exchanges of HTTP of one run at once.
pub(crate) const EXCHANGES_PER_RUN_MAX: u64 = 256;

/// Exchanges at once on one connection of HTTP/2.
pub(crate) const STREAMS_MAX: u32 = 128;

/// Fields in the head of an HTTP message.
pub(crate) const FIELDS_MAX: usize = 100;

/// Bytes in the head of an HTTP message.
pub(crate) const FIELDS_BYTES_MAX: usize = 64 * 1024;

/// For the head of a request to arrive, from its first byte on; and for how long a connection waits for
/// another request.
pub(crate) const HEAD_TIME_MAX: Duration = Duration::from_secs(60);

/// Between two pieces of a request's content.
pub(crate) const CONTENT_TIME_MAX: Duration = Duration::from_secs(60);

/// How often the other side of an HTTP/2 connection is asked whether it is still there.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(20);

/// For the head of a target's response: tools take their time.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(300);

/// The largest window of a connection of HTTP/2, in bytes (RFC 9113, section 6.9.1).
pub(crate) const HTTP2_WINDOW_MAX: u32 = (1 << 31) - 1;

/// Connections to one target that wait for another request.
pub(crate) const IDLE_AT_TARGET_MAX: usize = 128;

/// For how long each of them waits.
pub(crate) const IDLE_AT_TARGET_TIME_MAX: Duration = Duration::from_secs(30);

/// Pieces of content that wait for one side of an exchange to read them.
pub(crate) const PIECES_MAX: usize = 4;

/// Requests of one exchange that are under way beside the one that is answered; more are not sent.
pub(crate) const BESIDE_MAX: usize = 8;

/// How long each of them may take.
pub(crate) const BESIDE_TIME_MAX: Duration = Duration::from_secs(10);

/// Content of a response that is read whole before its head is passed on, in bytes: it makes one message of
/// three.
pub(crate) const GATHERED_BYTES_MAX: u64 = 16 * 1024;

/// Content that a decoder gives out at once, in bytes.
pub(crate) const DECODED_BYTES: usize = 16 * 1024;

/// The largest window of content in zstd, as a power of two: 8 MiB (RFC 9659).
pub(crate) const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// For connecting to a host, its name looked up and all its addresses tried.
pub(crate) const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// Addresses of a host that are tried.
pub(crate) const ADDRESSES_MAX: usize = 8;

/// How long an address may take before the next one is tried beside it (RFC 8305, section 8).
pub(crate) const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// For having a token from a token endpoint, from looking up its name on.
pub(crate) const TOKEN_FETCH_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of a token endpoint's answer.
pub(crate) const TOKEN_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a token.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// How long a token serves where the endpoint does not say.
pub(crate) const TOKEN_TIME_USUAL: Duration = Duration::from_secs(60);

/// How long it serves at most, whatever the endpoint says.
pub(crate) const TOKEN_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long before its end a token is had anew; a quarter of its time where that is less.
pub(crate) const TOKEN_MARGIN: Duration = Duration::from_secs(30);

/// How long it is not asked again after an endpoint gave no token, or a target refused a new one.
pub(crate) const TOKEN_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How long the gateway's authority is trusted for, from the gateway's start on: its certificate is made
/// anew at each start.
pub(crate) const AUTHORITY_TIME: Duration = Duration::from_secs(2 * 365 * 24 * 3600);

/// How long a certificate is good for that the gateway shows in a target's name.
pub(crate) const STANDIN_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long it is shown before another takes its place.
pub(crate) const STANDIN_SHOWN: Duration = Duration::from_secs(24 * 3600);

/// How far an agent's clock may be behind.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Bytes of the path of a target whose metadata is asked for.
pub(crate) const METADATA_PATH_BYTES_MAX: usize = 1_024;

/// Programs of one run at one target at once.
pub(crate) const PROGRAMS_PER_RUN_MAX: usize = 8;

/// Bytes of a line to or from a program.
pub(crate) const PROGRAM_LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Requests that a program has not answered.
pub(crate) const PROGRAM_REQUESTS_MAX: usize = 1_024;

/// What a program says while nobody listens that is kept for who does: messages.
pub(crate) const PROGRAM_KEPT_MAX: usize = 64;

/// Bytes of them, all together.
pub(crate) const PROGRAM_KEPT_BYTES_MAX: usize = 1024 * 1024;

/// How long a program may not read what it is sent, or an agent not what the program says to it.
pub(crate) const PROGRAM_STUCK_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a program may have nothing to do.
pub(crate) const PROGRAM_IDLE_TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// How often it is looked whether it has.
pub(crate) const PROGRAM_IDLE_EVERY: Duration = Duration::from_secs(30);

/// How long a program that is to end has to do so by itself, after its input was closed and again after it
/// was told to.
pub(crate) const PROGRAM_END_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the last words of a program that has ended are waited for.
pub(crate) const PROGRAM_LAST_WORDS_TIME_MAX: Duration = Duration::from_millis(250);

/// Bytes of a line of a program's log.
pub(crate) const PROGRAM_LOG_LINE_BYTES_MAX: usize = 4 * 1024;

/// The longest answer to a request of the gateway's own, in bytes.
pub(crate) const OWN_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

// Approvals.

/// What is said by whoever denies a call, in bytes.
pub(crate) const APPROVAL_REASON_BYTES_MAX: usize = 1_024;

/// How long after its time to be decided a call that is held gives up by itself, if nobody says that it is over.
pub(crate) const APPROVAL_OVER_AFTER: Duration = Duration::from_secs(5);
