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

/// How much memory a session keeps for messages to come.
pub(crate) const BUFFER_BYTES_KEPT: usize = 256 * 1024;

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

/// How much of a request's path that was not understood its record shows.
pub(crate) const PATH_SHOWN_BYTES_MAX: usize = 256;

/// The largest content that is read whole: JSON that an agent sends, in bytes.
pub(crate) const CONTENT_HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Objects and arrays in one another, of JSON that is read.
pub(crate) const JSON_DEPTH_READ_MAX: usize = 64;

/// Values of JSON that is read, whatever they are in.
pub(crate) const JSON_VALUES_MAX: usize = 500_000;

/// Objects and arrays in one another, of JSON that is masked.
pub(crate) const JSON_DEPTH_MASKED_MAX: usize = 128;

/// The longest number of JSON that is masked, in bytes.
pub(crate) const JSON_SCALAR_BYTES_MAX: usize = 4 * 1024;

/// The longest string of JSON that is masked whole, in bytes; a longer one is masked while it passes. A
/// member's name may not be longer.
pub(crate) const JSON_STRING_HELD_BYTES_MAX: usize = 1024 * 1024;

/// How much of a text is held because something in it may go on, in bytes: the longest private key.
pub(crate) const TEXT_HELD_BYTES_MAX: usize = 1024 * 1024;

/// The largest server-sent event, in bytes.
pub(crate) const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest message of an agent to an MCP server, in bytes. It is held whole while it is decided.
pub(crate) const MCP_AGENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The largest message of an MCP server, in bytes. It is held whole while it is masked.
pub(crate) const MCP_TARGET_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest id of a request that is a text, in bytes.
pub(crate) const MCP_ID_BYTES_MAX: usize = 256;

/// The longest name of a tool or prompt, in bytes. The specification recommends 128 at most.
pub(crate) const MCP_NAME_BYTES_MAX: usize = 256;

/// The longest URI of a resource, in bytes.
pub(crate) const MCP_URI_BYTES_MAX: usize = 2_048;

/// The longest id of a session, in bytes.
pub(crate) const MCP_SESSION_BYTES_MAX: usize = 256;

/// Sessions of one run with one server.
pub(crate) const MCP_SESSIONS_MAX: usize = 64;

/// Requests of one session that have no response yet.
pub(crate) const MCP_IN_FLIGHT_MAX: usize = 1_024;

/// Ids that are texts, of all requests of one session.
pub(crate) const MCP_IDS_MAX: usize = 65_536;

/// Ranges of ids that are numbers, of all requests of one session.
pub(crate) const MCP_ID_RANGES_MAX: usize = 4_096;

/// Requests of a server that its agent has not answered yet, of one session.
pub(crate) const MCP_ASKED_MAX: usize = 64;

/// Answers of servers that need input first and have not got it, of one run.
pub(crate) const MCP_INPUTS_MAX: usize = 64;

/// Calls of tools for which one look at their definitions is good, whatever the time.
pub(crate) const MCP_CALLS_PER_LOOK: u32 = 64;

/// Events of one session that its client may go on from, the latest.
pub(crate) const MCP_EVENTS_MAX: usize = 1_024;

/// The longest id of an event that a client may go on from, in bytes.
pub(crate) const MCP_EVENT_ID_BYTES_MAX: usize = 256;

/// Values of masked fields that are looked for in the texts of the same message.
pub(crate) const MCP_VALUES_MAX: usize = 64;

/// Pages of one list of tools that the gateway reads for itself.
pub(crate) const MCP_PAGES_MAX: usize = 64;

/// Tools of one server.
pub(crate) const MCP_TOOLS_MAX: usize = 4_096;

/// Entity tags of one target that one run was given and may come back with.
pub(crate) const HTTP_TAGS_MAX: usize = 4_096;

/// The longest entity tag that is passed on, in bytes.
pub(crate) const HTTP_TAG_BYTES_MAX: usize = 512;

/// The longest path of an HTTP request, in bytes.
pub(crate) const HTTP_PATH_BYTES_MAX: usize = 8 * 1024;

/// The longest query, in bytes.
pub(crate) const HTTP_QUERY_BYTES_MAX: usize = 32 * 1024;

/// Parameters of a query, or of a form.
pub(crate) const HTTP_PARAMETERS_MAX: usize = 1_024;

/// The longest credential that an agent sends, in bytes.
pub(crate) const HTTP_CREDENTIAL_BYTES_MAX: usize = 1_024;

/// The most bytes of the fields that pass with a request, names and values. The record of a call begins
/// with them, and has to have room for its content.
pub(crate) const HTTP_FIELDS_BYTES_MAX: usize = 16 * 1024;

// Approvals.

/// For a target to plan a statement that is held.
pub(crate) const ESTIMATE_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(1);

/// The longest plan that is read, in bytes.
pub(crate) const ESTIMATE_BYTES_MAX: usize = 256 * 1024;
