//! The path and the query of a request, each in one spelling. Targets decode, split and normalise them
//! in ways of their own; what could be read in two ways is refused, and what is sent on is the spelling
//! that was decided, not the agent's.

use std::fmt::Write;

use percent_encoding::percent_decode_str;

use crate::limits::{HTTP_PARAMETERS_MAX, HTTP_PATH_BYTES_MAX, HTTP_QUERY_BYTES_MAX};

/// A path or query that is not accepted: why, without the agent's text.
pub(crate) type Odd = &'static str;

/// Splits what a request's line says at its first `?`.
pub(crate) fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// The one spelling of a path, as [`bailiwick_action::Resource::request`] has it (RFC 3986, section 2.3,
/// for what is unreserved).
///
/// A `;` is a character like any other here, and goes to the target encoded, so that nothing behind it
/// is taken for a parameter and cut off there.
///
/// # Errors
/// If the path could mean something else to a target: an encoded separator, a segment that is empty or
/// leads elsewhere, bytes that are no text.
pub(crate) fn canonical(path: &str) -> Result<String, Odd> {
    if path.len() > HTTP_PATH_BYTES_MAX {
        return Err("a path that is too long");
    }
    let rest = path
        .strip_prefix('/')
        .ok_or("a path that does not begin with `/`")?;
    let mut spelled = String::with_capacity(path.len());
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let decoded = decode(segment)?;
        if decoded.is_empty() && segments.peek().is_some() {
            return Err("a path with an empty segment");
        }
        check(&decoded)?;
        spelled.push('/');
        encode(&mut spelled, &decoded);
    }
    Ok(spelled)
}

/// What a segment may not be once it is decoded.
fn check(segment: &str) -> Result<(), Odd> {
    if segment.contains(['/', '\\']) {
        return Err("a path with a backslash or an encoded separator in it");
    }
    if segment.chars().any(char::is_control) {
        return Err("a path with a control character in it");
    }
    // Some servers cut a segment at a `;` before they look at its dots, and some drop dots and spaces at
    // its end.
    let name = segment.split(';').next().unwrap_or_default();
    if !segment.is_empty() && name.trim_end_matches(['.', ' ']).is_empty() {
        return Err("a path with a segment of dots in it, or of nothing but a parameter");
    }
    Ok(())
}

/// One parameter of a query or a form; what is behind its `=`, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// The parameters of a query or of a form's body, in order, by the rules of
/// `application/x-www-form-urlencoded` (WHATWG URL, section 5.1).
///
/// # Errors
/// If it does not decode cleanly, or has too many.
pub(crate) fn parameters(query: &str) -> Result<Vec<Parameter>, Odd> {
    let mut parameters = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if parameters.len() == HTTP_PARAMETERS_MAX {
            return Err("too many parameters");
        }
        let pair = pair.replace('+', "%20");
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name, Some(decode(value)?)),
            None => (&*pair, None),
        };
        let name = decode(name)?;
        if name.contains('\0') || value.as_ref().is_some_and(|value| value.contains('\0')) {
            return Err("a parameter with a NUL in it");
        }
        parameters.push(Parameter { name, value });
    }
    Ok(parameters)
}

/// The parameters of a request's query. [`parameters`], for what is not a body.
///
/// # Errors
/// Likewise, or if it is too long.
pub(crate) fn query(query: &str) -> Result<Vec<Parameter>, Odd> {
    if query.len() > HTTP_QUERY_BYTES_MAX {
        return Err("a query that is too long");
    }
    parameters(query)
}

/// The one spelling of a query: nothing but names, `=`, `&` and values, with every other character
/// encoded. A `;`, which some servers take for an `&`, and a `+` have one meaning then. Empty where there
/// are no parameters; else it begins with `?`.
pub(crate) fn spelled(parameters: &[Parameter]) -> String {
    let mut text = String::new();
    for parameter in parameters {
        text.push(if text.is_empty() { '?' } else { '&' });
        encode(&mut text, &parameter.name);
        if let Some(value) = &parameter.value {
            text.push('=');
            encode(&mut text, value);
        }
    }
    text
}

/// Resolves percent-encodings. An encoding that was itself encoded stays so: it is not resolved twice.
fn decode(text: &str) -> Result<String, Odd> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a character in its path or query that has to be percent-encoded");
    }
    if text.contains('#') {
        return Err("a fragment, which is never sent");
    }
    let encoded = text.split('%').skip(1);
    let mut digits = encoded.map(|rest| rest.as_bytes().get(..2));
    if !digits.all(|two| two.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))) {
        return Err("a percent sign that encodes nothing");
    }
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| "an encoded character that is not UTF-8")
}

fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            byte => drop(write!(out, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for (sent, spelled) in [
            ("/", "/"),
            ("/customers/42", "/customers/42"),
            ("/customers/", "/customers/"),
            ("/%63ustomers/%34%32", "/customers/42"),
            ("/a%2eb/.well-known", "/a.b/.well-known"),
            ("/users/@me:x", "/users/%40me%3Ax"),
            ("/a;v=1", "/a%3Bv%3D1"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/%252e%252E", "/%252e%252E"),
            ("/%252f", "/%252f"),
            ("/a+b", "/a%2Bb"),
            ("/a%20b", "/a%20b"),
        ] {
            assert_eq!(canonical(sent).as_deref(), Ok(spelled), "{sent}");
            assert_eq!(canonical(spelled).as_deref(), Ok(spelled), "{spelled}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for odd in [
            "",
            "*",
            "customers",
            "//",
            "//customers",
            "/a//b",
            "/a/../b",
            "/a/..",
            "/..",
            "/.",
            "/./a",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a/%2e/b",
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a/;/b",
            "/;x",
            "/a/...",
            "/a/..%20/b",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0ab",
            "/a%7f",
            "/a%zz",
            "/a%",
            "/a%2",
            "/a%u0041",
            "/caf\u{e9}",
            "/a b",
            "/a\tb",
            "/%c0%ae%c0%ae/a",
            "/%c0%af",
            "/%ff",
            "/%e0%80%af",
            "/a#b",
            "/a%C2%85",
        ] {
            assert!(canonical(odd).is_err(), "{odd:?}");
        }
        assert!(canonical(&format!("/{}", "a".repeat(HTTP_PATH_BYTES_MAX))).is_err());
    }

    #[test]
    fn a_query_has_one_spelling_too() {
        for (sent, spelling) in [
            ("", ""),
            ("a=1&b=2", "?a=1&b=2"),
            ("&&a=1&", "?a=1"),
            ("flag&empty=", "?flag&empty="),
            ("a=1;notify=true", "?a=1%3Bnotify%3Dtrue"),
            ("%6eotify=t+r%20ue%2B", "?notify=t%20r%20ue%2B"),
            ("a[]=1&a[]=2", "?a%5B%5D=1&a%5B%5D=2"),
            ("q=a?b/c", "?q=a%3Fb%2Fc"),
            ("=x", "?=x"),
        ] {
            assert_eq!(spelled(&query(sent).unwrap()), spelling, "{sent}");
        }
        for odd in [
            "a=%", "a=%zz", "a=\u{e9}", "a=%ff", "a=%00", "a=1#b", "a=%u0031",
        ] {
            assert!(query(odd).is_err(), "{odd}");
        }
        assert!(query(&"a&".repeat(HTTP_PARAMETERS_MAX + 1)).is_err());
        assert!(query(&"a".repeat(HTTP_QUERY_BYTES_MAX + 1)).is_err());
    }
}
