//! Every limit of the session layer, in one place. Those of the SQL classifier are in `sql`.

/// The largest startup packet, in bytes; PostgreSQL's own MAX_STARTUP_PACKET_LENGTH.
pub(crate) const STARTUP_BYTES_MAX: usize = 10_000;

/// The largest message before the agent has logged in, in bytes.
pub(crate) const LOGIN_BYTES_MAX: usize = 4_096;

/// The largest message of a target that has not let the gateway in yet, in bytes.
pub(crate) const TARGET_LOGIN_BYTES_MAX: usize = 64 * 1024;

/// Messages of a target up to the end of its login.
pub(crate) const TARGET_LOGIN_MESSAGES_MAX: usize = 1_024;

/// Rounds of hashing that a target may ask for in SCRAM. PostgreSQL's own default is 4,096; a million
/// take about a second.
pub(crate) const SCRAM_ROUNDS_MAX: u32 = 1_000_000;

/// The largest message of a live agent, in bytes. It is held whole while it is decided.
pub(crate) const AGENT_FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest message of a target, in bytes. A row is held whole while it is masked.
pub(crate) const TARGET_FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Messages sent to the target and not yet answered, of one session.
pub(crate) const PIPELINE_MAX: usize = 1_024;

/// Bytes of statements and values that wait for the target's answer, of one session; the call that
/// goes beyond it is the last to be sent before some are answered.
pub(crate) const PIPELINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Prepared statements of one session, and separately its portals and cursors.
pub(crate) const NAMES_MAX: usize = 1_024;

/// Bytes of the statements and values that they hold, together.
pub(crate) const NAMES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Values bound to one statement; the protocol's own limit.
pub(crate) const VALUES_MAX: usize = 65_535;

/// Columns of one result; PostgreSQL's own MaxTupleAttributeNumber is 1,664.
pub(crate) const COLUMNS_MAX: usize = 1_664;

/// Rows of the target's catalogue.
pub(crate) const CATALOGUE_ROWS_MAX: usize = 1_000_000;

/// Bytes of them.
pub(crate) const CATALOGUE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of the name of a prepared statement or portal; PostgreSQL's NAMEDATALEN is one more.
pub(crate) const NAME_BYTES_MAX: usize = 63;

/// Rows of one answer to a question about the target's roles.
pub(crate) const ROLE_ROWS_MAX: usize = 200_000;

/// Privileges that one task comes to, columns counted singly.
pub(crate) const PRIVILEGES_MAX: usize = 10_000;

/// Logins of one run at one server, where several targets are databases of it.
pub(crate) const LOGINS_PER_RUN_MAX: u32 = 9;

/// How often a login is tried to be made when others are in the way.
pub(crate) const PROVIDE_ATTEMPTS_MAX: u32 = 5;

/// Logins that one sweep looks at.
pub(crate) const SWEEP_MAX: usize = 100_000;

/// Things that one message names.
pub(crate) const SHOWN_MAX: usize = 8;
