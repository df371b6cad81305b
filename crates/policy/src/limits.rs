//! Every limit of this crate.

use std::time::Duration;

/// The largest task or guardrail file, in bytes.
pub(crate) const MAX_FILE: u64 = 256 * 1024;

/// The most files in `tasks/` or `policies/`.
pub(crate) const MAX_FILES: usize = 1_000;

/// The most `[[read]]`, `[[write]]`, `[[destroy]]`, `[[admin]]` or `[[mask]]` entries of one kind in
/// a task.
pub(crate) const MAX_ENTRIES: usize = 100;

/// The most columns and fields that every task masks, together.
pub(crate) const MAX_MASKED_IN_ALL: usize = 2_000;

/// The most values in one list of a task file.
pub(crate) const MAX_LIST: usize = 500;

/// The most Cedar policies one task may compile to.
pub(crate) const MAX_POLICIES: usize = 2_000;

/// The longest name of a schema, table, column, setting, … in a task file, in bytes.
pub(crate) const MAX_NAME: usize = 256;

/// The longest path or URI in a task file, in bytes.
pub(crate) const MAX_PATH: usize = 1_024;

/// The longest text of a condition in a task file, in bytes. A call's is never longer than
/// [`bailiwick_action::Fact::TEXT_BYTES_MAX`].
pub(crate) const MAX_CONDITION: usize = 1_024;

/// The longest number that is compared, in bytes.
pub(crate) const MAX_NUMBER: usize = 1_024;

/// The longest `purpose`, in bytes.
pub(crate) const MAX_PURPOSE: usize = 1_024;

/// The longest time box a task may give.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The most actions of one call that are looked at; a call with more is denied.
pub(crate) const MAX_ACTIONS: usize = 1_000;

/// How many decisions a scope remembers before it forgets them all.
pub(crate) const MAX_REMEMBERED: usize = 4_096;

/// A decision about an action whose names and facts take more bytes than this is not remembered.
pub(crate) const MAX_REMEMBERED_BYTES: usize = 2_048;

/// How many of a call's denied actions a denial explains.
pub(crate) const MAX_EXPLAINED: usize = 4;

/// How many unmet conditions of a grant, and how many such grants, a denial names.
pub(crate) const MAX_NAMED_CONDITIONS: usize = 4;

/// How many columns a denial names.
pub(crate) const MAX_NAMED_COLUMNS: usize = 8;

/// How many characters of a name a denial shows.
pub(crate) const MAX_SHOWN_NAME: usize = 80;

/// How many characters of a refusal or of a guardrail's reason a denial shows.
pub(crate) const MAX_SHOWN_TEXT: usize = 300;

/// The longest reason or remedy of a denial, in bytes, so that its record stays within its size.
pub(crate) const MAX_DENIAL: usize = 1_200;

/// How many policies a denial names.
pub(crate) const MAX_DENIAL_POLICIES: usize = 8;
