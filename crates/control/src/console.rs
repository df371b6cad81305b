//! The console: what people see in a browser. Pages are made on the server, of what the registry and the
//! API's types say, and work without scripts; a small script of our own keeps them up to date.
//!
//! Handlers are in `server/routes/console.rs`. Here is what they show: for each page a type that is made of
//! data, and its template. Words of others come into a page only as a [`text::Text`], and pictures are made of
//! numbers alone (`chart.rs`).

pub(crate) mod approvals;
pub(crate) mod assets;
pub(crate) mod chart;
pub(crate) mod incidents;
pub(crate) mod layout;
pub(crate) mod notice;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod runs;
mod said;
pub(crate) mod search;
mod story;
pub(crate) mod tasks;
pub(crate) mod text;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod tests;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A text as part of a path or a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The pairs that have a value, as the beginning of a query.
pub(crate) fn query<'a>(
    pairs: impl IntoIterator<Item = (&'static str, Option<&'a str>)>,
) -> String {
    let pairs = pairs.into_iter();
    let said =
        pairs.filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    said.map(|(name, value)| format!("{name}={}&", encoded(value)))
        .collect()
}
