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

/// Files that the whole process may have open at once: two for each connection, and as many as the
/// log, the index and the control socket may need beside them.
pub const OPEN_FILES_MAX: u64 = 2 * CONNECTIONS_MAX as u64 + 512;

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
