//! Every limit of the session layer, in one place. Those of the SQL classifier are in `sql`.

/// The largest startup packet, in bytes; PostgreSQL's own MAX_STARTUP_PACKET_LENGTH.
pub(crate) const STARTUP_BYTES_MAX: usize = 10_000;

/// The largest message before the agent has logged in, in bytes.
pub(crate) const LOGIN_BYTES_MAX: usize = 4_096;

/// The largest message of a live agent, in bytes. It is held whole while it is decided.
pub(crate) const AGENT_FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest message of a target, in bytes. A row is held whole while it is masked.
pub(crate) const TARGET_FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Messages sent to the target and not yet answered, of one session.
pub(crate) const PIPELINE_MAX: usize = 1_024;

/// Prepared statements of one session, and separately its portals and cursors.
pub(crate) const NAMES_MAX: usize = 1_024;

/// Values bound to one statement; the protocol's own limit.
pub(crate) const VALUES_MAX: usize = 65_535;

/// Columns of one result; PostgreSQL's own MaxTupleAttributeNumber is 1,664.
pub(crate) const COLUMNS_MAX: usize = 1_664;

/// Rows of the target's catalogue.
pub(crate) const CATALOGUE_ROWS_MAX: usize = 1_000_000;

/// Bytes of the name of a prepared statement or portal; PostgreSQL's NAMEDATALEN is one more.
pub(crate) const NAME_BYTES_MAX: usize = 63;
