//! What people see: clean text, widths, colours.

mod clean;
pub(crate) mod style;

pub(crate) use clean::{clean, fit, width};
