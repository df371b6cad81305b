//! The files of the console, embedded. Each is under a name that changes with its content, and is kept by
//! browsers for as long as they like.

use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bailiwick_audit::Digest;

/// Digits of a file's digest that are in its name.
const DIGITS: usize = 12;

const FILES: [(&str, &str, &str); 4] = [
    (
        "console.css",
        "text/css; charset=utf-8",
        include_str!("../../assets/console.css"),
    ),
    (
        "console.js",
        "text/javascript; charset=utf-8",
        include_str!("../../assets/console.js"),
    ),
    (
        "sign-in.js",
        "text/javascript; charset=utf-8",
        include_str!("../../assets/sign-in.js"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_str!("../../assets/icon.svg"),
    ),
];

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: String = FILES.iter().map(|(_, _, text)| *text).collect();
    let digest = Digest::of(all.as_bytes()).to_string();
    let digits = digest.rsplit(':').next().unwrap_or_default();
    digits
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(DIGITS)
        .collect()
});

/// Where a file is.
pub(crate) fn path(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

/// The file of a version and name; nothing if there is none. One of another version is the one there is now,
/// but nobody keeps it.
pub(crate) fn file(version: &str, name: &str) -> Option<Response> {
    let (_, kind, text) = FILES.iter().find(|(known, _, _)| *known == name)?;
    let keep = match version == *VERSION {
        true => "public, max-age=31536000, immutable",
        false => "no-store",
    };
    Some(([(CONTENT_TYPE, *kind), (CACHE_CONTROL, keep)], *text).into_response())
}

/// The stylesheet, for tests of its colours.
#[cfg(test)]
pub(super) const CSS: &str = include_str!("../../assets/console.css");
