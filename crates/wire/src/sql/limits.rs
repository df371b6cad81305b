//! Every limit of the SQL classifier, in one place.

/// The longest text that is looked at, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Parentheses and brackets open at once, before parsing.
pub(super) const BRACKETS_MAX: usize = 200;

/// Statements in one text.
pub(super) const STATEMENTS_MAX: usize = 100;

/// Nodes of the tree above one another while walking, views included. The decoder's own limit is about
/// fifty in one text.
pub(super) const DEPTH_MAX: usize = 200;

/// Views defined by views.
pub(super) const VIEWS_MAX: usize = 16;

/// Work for one text: nodes visited and columns joined. A thousand rows of fifty values are 50,000.
pub(super) const WORK_MAX: usize = 500_000;

/// Columns of one result; PostgreSQL's own MaxTupleAttributeNumber.
pub(super) const COLUMNS_MAX: usize = 1_664;
