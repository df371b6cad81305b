use super::*;
use crate::content::testing::{run, veil};

fn kind(content_type: &str) -> &'static str {
    match Masker::for_type(Some(content_type.as_bytes()), veil(&[])) {
        Masker::Json(_) => "json",
        Masker::Text(_) => "text",
        Masker::Events(_) => "events",
        Masker::Bare => "bare",
        Masker::Guess(_) => "guess",
    }
}

#[test]
fn a_media_type_says_how_it_is_masked() {
    for (content_type, expected) in [
        ("application/json", "json"),
        ("Application/JSON; charset=UTF-8", "json"),
        ("application/problem+json", "json"),
        ("application/vnd.api+json;ext=\"a;charset=utf-16\"", "json"),
        ("application/x-ndjson", "json"),
        ("application/jsonl", "json"),
        ("application/json-seq", "json"),
        ("text/json", "json"),
        ("text/event-stream", "events"),
        ("text/event-stream;charset=utf-8", "events"),
        ("text/plain", "text"),
        ("text/html; charset=\"iso-8859-1\"", "text"),
        ("text/csv", "text"),
        ("application/xml", "text"),
        ("image/svg+xml", "text"),
        ("application/x-www-form-urlencoded", "text"),
        ("application/javascript", "text"),
        ("application/yaml", "text"),
        ("", "bare"),
        ("json", "bare"),
        ("application/octet-stream", "bare"),
        ("image/png", "bare"),
        ("multipart/mixed; boundary=x", "bare"),
        // What the detectors do not read must not come as something that they do.
        ("application/json; charset=utf-16", "bare"),
        ("application/json;charset=\"UTF-16LE\"", "bare"),
        ("application/json; charset=iso-8859-1", "bare"),
        ("application/json; charset=utf-8; charset=utf-16", "bare"),
        ("application/json; CHARSET = utf-7", "bare"),
        ("text/plain; charset=utf-7", "bare"),
        ("text/plain; charset=utf-16be", "bare"),
        ("text/plain; charset=ibm037", "bare"),
        ("text/plain; charset=\"utf-8", "bare"),
        ("text/plain; nonsense", "bare"),
        ("text/event-stream; charset=utf-16", "bare"),
        ("text/plain, application/octet-stream", "bare"),
        (
            "text/plain; charset=utf-8, text/plain; charset=utf-16",
            "bare",
        ),
    ] {
        assert_eq!(kind(content_type), expected, "{content_type}");
    }
    assert!(Masker::for_type(None, veil(&[])).is_bare());
    assert!(Masker::for_type(Some(b"text/\xff"), veil(&[])).is_bare());
}

fn masked(content_type: &str, fields: &[&str], content: &[u8]) -> Result<String, Broken> {
    let new = || Masker::for_type(Some(content_type.as_bytes()), veil(fields));
    run(new, Masker::feed, Masker::finish, Masker::masked, content)
        .map(|(text, _)| text)
        .map_err(|(broken, _)| broken)
}

#[test]
fn json_that_is_called_text_is_masked_by_field() {
    for text in [
        "{\"a\":1}",
        " \n[ {\"a\":1}]",
        "[[ {\"a\":1}]]",
        "\u{feff}{\"a\":1}",
    ] {
        let out = masked("text/plain", &["$..a"], text.as_bytes()).unwrap();
        assert_eq!(out, text.replace('1', "\"[masked]\""));
    }
    for text in ["[INFO] a", "hello", "", "  ", "[", "[1]", "\u{feff}x"] {
        assert_eq!(
            masked("text/plain", &["$..a"], text.as_bytes()).unwrap(),
            text
        );
    }
    assert_eq!(masked("text/plain", &[], b"{\"a\":1").unwrap(), "{\"a\":1");
}

#[test]
fn each_goes_its_way() {
    assert_eq!(
        masked("application/json", &[], b"[\"bob\\u0040x.org\"]").unwrap(),
        "[\"[masked:email]\"]"
    );
    assert_eq!(
        masked("text/plain", &[], b"bob@x.org").unwrap(),
        "[masked:email]"
    );
    assert_eq!(masked("image/png", &[], b"bob@x.org").unwrap(), "bob@x.org");
    assert_eq!(
        masked("text/event-stream", &[], b"data: bob@x.org\n\n").unwrap(),
        "data: [masked:email]\n\n"
    );
}
