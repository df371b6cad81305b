//! Names and URIs that are read in one way.

use crate::http::path;
use crate::limits::{MCP_NAME_BYTES_MAX, MCP_URI_BYTES_MAX};

/// A name that a record can show. The specification recommends less.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MCP_NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

/// A URI that is read in one way: what stands behind its scheme is spelled plainly.
pub(super) fn is_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_plain = rest
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
    let lower = rest.to_ascii_lowercase();
    let hides = ["%2e", "%2f", "%5c", "%00"];
    let (path, _) = path::split(rest);
    let is_up = path.split('/').any(|segment| matches!(segment, "." | ".."));
    uri.len() <= MCP_URI_BYTES_MAX
        && is_scheme
        && is_plain
        && !hides.iter().any(|hidden| lower.contains(hidden))
        && !is_up
}
