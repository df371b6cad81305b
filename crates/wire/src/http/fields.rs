//! Which header fields pass.
//!
//! Of a request, those on a list and no others. There is no list of all the fields by which some server
//! takes a caller for somebody else, a path for another, or a request for one from inside
//! (`Impersonate-User`, `X-Original-URL`, `X-Forwarded-For`, …), and every request carries the gateway's
//! own credential. So what is not known to be harmless is left out; agents' libraries send much that nobody
//! needs, and refusing it would refuse them all. What asks for another method than the one that is
//! decided is refused, though: whoever sends it means it.
//!
//! Of a response, all but what is about the connection, about logging in, or about the content before it
//! was masked; and each value goes through the detectors.

use super::bhttp::Fields;
use super::problem::{Refusal, Sort};
use super::tags::Tags;
use crate::Veil;
use crate::limits::HTTP_FIELDS_BYTES_MAX;

/// Fields of a request that pass: what it is about, what answer it wants, and what names it in logs. No
/// `range` and `if-range` (a part of an answer cannot be masked), no `accept-encoding` (the gateway's own
/// matter), no `accept-charset` (an answer in another one cannot be masked).
const HARMLESS: [&str; 22] = [
    "accept",
    "accept-language",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "last-event-id",
    "pragma",
    "prefer",
    "request-id",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-correlation-id",
    "x-idempotency-key",
    "x-request-id",
    "x-requested-with",
];

/// What the names of fields end with that say which revision of an API is spoken
/// (`x-github-api-version`, `stripe-version`, …). They pass too.
const REVISION: &str = "-version";

/// What the names of fields begin with that belong to the handshake of a WebSocket, which is the gateway's
/// own on each side.
const HANDSHAKE: &str = "sec-";

/// Fields, and parameters of a query or a form, that ask for another method than the request's own.
const OVERRIDES: [&str; 6] = [
    "_httpmethod",
    "_method",
    "x-http-method",
    "x-http-method-override",
    "x-method",
    "x-method-override",
];

/// Whether this name asks for another method than the request's own. Servers take `_` for `-` in names, and
/// do not look at case.
pub(crate) fn overrides_method(name: &str) -> bool {
    let folded = |byte: u8| match byte {
        b'_' => b'-',
        byte => byte.to_ascii_lowercase(),
    };
    let same = |other: &&str| other.bytes().map(folded).eq(name.bytes().map(folded));
    OVERRIDES.iter().any(same)
}

/// The fields of a request that pass. `also` pass besides those that always do.
///
/// # Errors
/// If there is one that leaves open what the request means; says why.
pub(crate) fn of_request(sent: &Fields, also: &[&str]) -> Result<Fields, Refusal> {
    let mut passed = Fields::new();
    let mut length = 0;
    for (name, value) in sent {
        if overrides_method(name) {
            return Err(Refusal::new(
                Sort::NotUnderstood,
                "a field that asks for another method than the request's own",
            ));
        }
        if name == "content-encoding" && !value.eq_ignore_ascii_case(b"identity") {
            return Err(Refusal::new(
                Sort::MediaType,
                "content in an encoding, which is not looked into; send it as it is",
            ));
        }
        if name == "content-type" && passed.iter().any(|(other, _)| other == name) {
            return Err(Refusal::new(Sort::MediaType, "more than one content-type"));
        }
        let names_revision = name.ends_with(REVISION) && !name.starts_with(HANDSHAKE);
        let passes = HARMLESS.contains(&&**name) || also.contains(&&**name) || names_revision;
        if !passes {
            continue;
        }
        if !is_plain(value) {
            return Err(Refusal::new(
                Sort::NotUnderstood,
                "a field with a control character in it",
            ));
        }
        length += name.len() + value.len();
        if length > HTTP_FIELDS_BYTES_MAX {
            return Err(Refusal::new(
                Sort::NotUnderstood,
                "fields that are too long together",
            ));
        }
        passed.push((name.clone(), value.clone()));
    }
    Ok(passed)
}

/// Fields of a response that never pass.
const KEPT_BACK: [&str; 38] = [
    // It would lead around the gateway.
    "alt-svc",
    "strict-transport-security",
    "public-key-pins",
    "nel",
    "report-to",
    "reporting-endpoints",
    "clear-site-data",
    // The gateway's own login at the target.
    "authentication-info",
    "proxy-authenticate",
    "proxy-authentication-info",
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    // The connection's own (RFC 9110, section 7.6.1), and how content is framed on it.
    "connection",
    "content-encoding",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-version",
    // Parts of content, which are not asked for.
    "accept-ranges",
    "content-range",
    // Digests of the content before it was masked: wrong afterwards, and a way to guess what was masked.
    "content-digest",
    "content-md5",
    "digest",
    "repr-digest",
    "signature",
    "signature-input",
    "x-goog-hash",
    // What the target is made of.
    "server",
    "via",
    "x-powered-by",
    "x-sendfile",
];

/// The same, by what their names begin with.
const KEPT_BACK_PREFIXES: [&str; 6] = [
    "x-accel-",
    "x-amz-checksum-",
    "x-checksum-",
    "x-cos-hash-",
    "x-forwarded-",
    "x-oss-hash-",
];

/// The fields of a response as they pass: entity tags by the gateway's own, each other value rewritten by `place`
/// (for the addresses in it), then by the detectors. What is no text is left out. Adds to `masked` what was masked.
pub(crate) fn of_response(
    sent: &Fields,
    veil: &dyn Veil,
    tags: &Tags,
    place: impl Fn(&str, &str) -> Option<String>,
    masked: &mut u64,
) -> Fields {
    let mut passed = Fields::new();
    for (name, value) in sent {
        let kept_back = KEPT_BACK.contains(&&**name)
            || KEPT_BACK_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix));
        let Ok(text) = std::str::from_utf8(value) else {
            continue;
        };
        if kept_back || !is_plain(value) {
            continue;
        }
        if name == "etag" {
            let tag = tags.for_agent(text);
            passed.extend(tag.map(|tag| (name.clone(), tag.into())));
            continue;
        }
        let placed = place(name, text);
        let text = placed.as_deref().unwrap_or(text);
        match veil.rewrite(text.as_bytes()) {
            Some((rewritten, count)) => {
                *masked += count;
                passed.push((name.clone(), rewritten.into()));
            }
            None => match placed {
                Some(placed) => passed.push((name.clone(), placed.into())),
                None => passed.push((name.clone(), value.clone())),
            },
        }
    }
    passed
}

/// Whether a field's value is one line (RFC 9110, section 5.5).
fn is_plain(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| *byte == b'\t' || !byte.is_ascii_control())
}

/// A content type, without its parameters and in lower case, and the charset that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    pub(crate) essence: String,
    pub(crate) charset: Option<String>,
}

impl MediaType {
    /// Reads the value of a `content-type` field (RFC 9110, section 8.3.1). Nothing if it is none.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next()?.to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let mut charset = None;
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=')?;
            // Some pass over a space behind the name, and some read the extended form (RFC 8187).
            let name = name.trim_end().trim_end_matches('*');
            if name.eq_ignore_ascii_case("charset") {
                // A second one would be read by some, and the first by others.
                if charset.is_some() {
                    return None;
                }
                charset = Some(value.trim().trim_matches('"').to_ascii_lowercase());
            }
        }
        Some(Self { essence, charset })
    }

    /// Whether the content is one JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.essence == "application/json"
            || self.essence == "text/json"
            || self.essence.ends_with("+json")
    }

    /// Whether what is text in it is UTF-8, as far as it says.
    pub(crate) fn is_utf8(&self) -> bool {
        let charset = self.charset.as_deref();
        charset.is_none_or(|charset| matches!(charset, "utf-8" | "utf8" | "us-ascii"))
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fine)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn fields(fields: &[(&str, &[u8])]) -> Fields {
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value)))
            .collect()
    }

    #[test]
    fn what_speaks_for_somebody_or_somewhere_else_does_not_pass() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "host",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-real-ip",
            "x-original-url",
            "x-rewrite-url",
            "impersonate-user",
            "x-api-key",
            "connection",
            "transfer-encoding",
            "content-length",
            "te",
            "trailer",
            "upgrade",
            "expect",
            "range",
            "accept-encoding",
            "sec-websocket-protocol",
            "sec-websocket-version",
            "x-anything",
        ] {
            let passed = of_request(&fields(&[(name, b"x")]), &[]);
            assert_eq!(passed, Ok(Fields::new()), "{name}");
        }
        for name in ["accept", "if-match", "x-github-api-version", "user-agent"] {
            let sent = fields(&[(name, b"x")]);
            assert_eq!(of_request(&sent, &[]), Ok(sent.clone()), "{name}");
        }
        let protocol = fields(&[("sec-websocket-protocol", b"x")]);
        let passed = of_request(&protocol, &["sec-websocket-protocol"]);
        assert_eq!(passed, Ok(protocol));
    }

    #[test]
    fn what_leaves_open_what_is_meant_is_refused() {
        for (name, value) in [
            ("x-http-method-override", &b"DELETE"[..]),
            ("x-http-method", b"DELETE"),
            ("x-method-override", b"DELETE"),
            ("x_http_method_override", b"DELETE"),
            ("content-encoding", b"gzip"),
            ("content-encoding", b"identity, gzip"),
            ("accept", b"a\r\nhost: evil"),
            ("if-match", b"a\0"),
        ] {
            assert!(
                of_request(&fields(&[(name, value)]), &[]).is_err(),
                "{name}"
            );
        }
        let twice = [("content-type", &b"a/b"[..]), ("content-type", b"a/b")];
        assert!(of_request(&fields(&twice), &[]).is_err());
        assert!(overrides_method("_METHOD"));
        assert!(!overrides_method("method"));
    }

    #[test]
    fn a_content_type_is_read_in_one_way() {
        let read = |text: &str| MediaType::read(text.as_bytes());
        let json = read("Application/Problem+JSON ; charset=\"UTF-8\"").unwrap();
        assert!(json.is_json() && json.is_utf8());
        for charset in ["charset=utf-16", "charset =utf-16", "charset*=utf-16''x"] {
            let read = read(&format!("text/plain; {charset}")).unwrap();
            assert!(!read.is_utf8(), "{charset}");
        }
        for wrong in [
            "",
            "json",
            "a/b, c/d",
            "/json",
            "a/",
            "a/b c",
            "a/b; charset=x; charset=y",
            "a/b; charset",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    /// Masks every `@`.
    struct TestVeil;

    impl Veil for TestVeil {
        fn masked(&self) -> Vec<crate::Masked> {
            Vec::new()
        }
        fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
            let text = String::from_utf8_lossy(text);
            text.contains('@')
                .then(|| (text.replace('@', "[masked]").into_bytes(), 1))
        }
        fn placeholder(&self) -> &'static str {
            "[masked]"
        }
        fn has_placeholder(&self, _: &[u8]) -> bool {
            false
        }
    }

    #[test]
    fn what_a_target_says_in_fields_is_masked_or_kept_back() {
        let sent = fields(&[
            ("content-type", b"text/plain"),
            ("x-owner", b"a@b"),
            ("set-cookie", b"session=1"),
            ("www-authenticate", b"Basic"),
            ("content-length", b"5"),
            ("content-md5", b"x"),
            ("x-accel-redirect", b"/secret"),
            ("x-odd", b"\xff"),
            ("x-checksum-sha1", b"x"),
            ("x-lines", b"a\r\nb: c"),
            ("location", b"/x"),
        ]);
        let mut masked = 0;
        let place = |name: &str, _: &str| (name == "location").then(|| "/crm/@".to_owned());
        let passed = of_response(&sent, &TestVeil, &Tags::default(), place, &mut masked);
        let expected = fields(&[
            ("content-type", b"text/plain"),
            ("x-owner", b"a[masked]b"),
            ("location", b"/crm/[masked]"),
        ]);
        assert_eq!((passed, masked), (expected, 2));
    }
}
