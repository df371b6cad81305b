//! The write-ahead log: where a record is durable first. The order in which frames stand in it is
//! the order of the log.

pub(crate) mod frame;
pub(crate) mod room;
pub(crate) mod scan;
pub(crate) mod segment;
