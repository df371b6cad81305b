use super::*;
use crate::content::testing::{run, veil};

fn masked(fields: &[&str], text: &str) -> Result<(String, u64), (Broken, String)> {
    let new = || Json::new(veil(fields));
    run(new, Json::feed, Json::finish, Json::masked, text.as_bytes())
}

#[track_caller]
fn becomes(fields: &[&str], text: &str, expected: &str) {
    let (out, _) = masked(fields, text).unwrap();
    assert_eq!(out, expected, "{text}");
}

#[test]
fn what_is_not_masked_is_byte_for_byte_as_it_came() {
    for text in [
        "",
        " \n ",
        "null",
        "-1.50E+07 ",
        "\"\\u00e9\\/ \\ud83d\\ude00 \\ud800 é 😀\"",
        "{ \"a\" :\t[ 1 ,\r\n 2.0, { } , [ ] , \"\" ] , \"\" : null }\n",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1}\n{\"a\":2}\n",
        "1 2 \"x\"\"y\"[]{}",
        "\x1e{\"a\":1}\n\x1e{\"a\":2}\n",
        "\u{feff}{\"a\":1}",
    ] {
        becomes(&["$.b", "$.a.c", "$..z"], text, text);
    }
}

#[test]
fn a_field_is_masked_whole_whatever_it_is() {
    for value in [
        "\"x\"",
        "\"\\\"\\u0041\"",
        "17",
        "-0.5e3",
        "true",
        "null",
        "[1,[2,\"]\"]]",
        "{\"a\":{\"b\":\"}\"}}",
        "[]",
        "{ }",
    ] {
        let text = format!("{{\"email\": {value} ,\"x\":1}}");
        becomes(&["$.email"], &text, "{\"email\": \"[masked]\" ,\"x\":1}");
        let text = format!("[ {value} , {value}]");
        becomes(&["$[*]"], &text, "[ \"[masked]\" , \"[masked]\"]");
    }
}

#[test]
fn a_path_leads_where_it_says_and_nowhere_else() {
    let text = r#"{"email":1,"c":{"email":2,"d":[{"email":3},[{"email":4}]]}}"#;
    for (path, expected) in [
        (
            "$.email",
            r#"{"email":"[masked]","c":{"email":2,"d":[{"email":3},[{"email":4}]]}}"#,
        ),
        (
            "$.c.email",
            r#"{"email":1,"c":{"email":"[masked]","d":[{"email":3},[{"email":4}]]}}"#,
        ),
        (
            "$.c.d[*].email",
            r#"{"email":1,"c":{"email":2,"d":[{"email":"[masked]"},[{"email":4}]]}}"#,
        ),
        (
            "$.c.d[*][*].email",
            r#"{"email":1,"c":{"email":2,"d":[{"email":3},[{"email":"[masked]"}]]}}"#,
        ),
        (
            "$..email",
            r#"{"email":"[masked]","c":{"email":"[masked]","d":[{"email":"[masked]"},[{"email":"[masked]"}]]}}"#,
        ),
        (
            "$..d..email",
            r#"{"email":1,"c":{"email":2,"d":[{"email":"[masked]"},[{"email":"[masked]"}]]}}"#,
        ),
        ("$.c", r#"{"email":1,"c":"[masked]"}"#),
        ("$.d.email", text),
        ("$[*].email", text),
        ("$.Email", text),
    ] {
        becomes(&[path], text, expected);
    }
    becomes(
        &["$.c.email", "$.email"],
        text,
        r#"{"email":"[masked]","c":{"email":"[masked]","d":[{"email":3},[{"email":4}]]}}"#,
    );
}

#[test]
fn other_spellings_of_a_name_do_not_evade() {
    let once = r#"{"\u0065mail":"[masked]","\u0065\u006D\u0061il":"[masked]","e\\mail":1}"#;
    becomes(
        &["$.email"],
        r#"{"\u0065mail":"a","\u0065\u006D\u0061il":2,"e\\mail":1}"#,
        once,
    );
    becomes(
        &["$.email"],
        r#"{"email":1,"email":[2]}"#,
        r#"{"email":"[masked]","email":"[masked]"}"#,
    );
    becomes(
        &["$['😀']"],
        r#"{"\ud83d\uDE00":1}"#,
        r#"{"\ud83d\uDE00":"[masked]"}"#,
    );
    becomes(&["$['a/b']"], r#"{"a\/b":1}"#, r#"{"a\/b":"[masked]"}"#);
}

#[test]
fn every_value_of_several_is_masked() {
    becomes(
        &["$.a"],
        "{\"a\":1}\n{\"a\":2} {\"b\":{\"a\":3}}{\"a\":4}",
        "{\"a\":\"[masked]\"}\n{\"a\":\"[masked]\"} {\"b\":{\"a\":3}}{\"a\":\"[masked]\"}",
    );
}

#[test]
fn what_the_detectors_find_is_masked_in_every_string_and_number() {
    for (text, expected) in [
        (r#"{"a":"to bob@x.org!"}"#, r#"{"a":"to [masked:email]!"}"#),
        (
            r#"{"bob@x.org":"bob@x.org"}"#,
            r#"{"[masked:email]":"[masked:email]"}"#,
        ),
        (
            r#"["bob\u0040x.org","b\u006fb@x.org\n\u0001é\/"]"#,
            "[\"[masked:email]\",\"[masked:email]\\n\\u0001é/\"]",
        ),
        (
            r#"{"a":4111111111111111,"b":[4111111111111111]}"#,
            r#"{"a":"[masked:card]","b":["[masked:card]"]}"#,
        ),
        ("4111111111111111", "\"[masked:card]\""),
        (r#""bob@x.org""#, r#""[masked:email]""#),
        // Known by its name, however it is laid out, and all of it.
        (
            r#"{"password":"hunter2"}"#,
            r#"{"password":"[masked:secret]"}"#,
        ),
        (
            "{\"password\"\n :\t\"hunter2\"}",
            "{\"password\"\n :\t\"[masked:secret]\"}",
        ),
        (
            r#"{"pass\u0077ord":"ab12\"cd"}"#,
            r#"{"pass\u0077ord":"[masked]"}"#,
        ),
        (
            r#"{"bob@x.org password":"hunter2"}"#,
            r#"{"[masked:email] password":"[masked:secret]"}"#,
        ),
        (
            r#"{"password":{"x":"hunter2"}}"#,
            r#"{"password":{"x":"hunter2"}}"#,
        ),
    ] {
        becomes(&[], text, expected);
    }
    assert_eq!(
        masked(&["$.a"], r#"{"a":1,"b":"bob@x.org bob@x.org"}"#)
            .unwrap()
            .1,
        3
    );
}

#[test]
fn what_is_no_json_is_an_error() {
    use Broken::{Encoding, Incomplete, Syntax, TooDeep, TooLong};
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(masked(&["$..a"], &deep(JSON_DEPTH_MASKED_MAX)).is_ok());
    for (text, expected) in [
        ("{", Incomplete),
        ("{\"a\"", Incomplete),
        ("[1", Incomplete),
        ("\"abc", Incomplete),
        ("\"\\ud83d", Incomplete),
        ("{\"a\" 1}", Syntax),
        ("{a:1}", Syntax),
        ("[1,]", Syntax),
        ("[,1]", Syntax),
        ("{,}", Syntax),
        ("{\"a\":1,}", Syntax),
        ("{\"a\":}", Syntax),
        ("[1}", Syntax),
        ("]", Syntax),
        ("NaN", Syntax),
        ("truefalse", Syntax),
        ("01", Syntax),
        ("<html>", Syntax),
        ("\"a\nb\"", Syntax),
        ("\"\\x\"", Syntax),
        ("{\0\"\0", Syntax),
        (")]}',\n{}", Syntax),
        ("// x", Syntax),
        (deep(JSON_DEPTH_MASKED_MAX + 1).as_str(), TooDeep),
        ("1".repeat(JSON_SCALAR_BYTES_MAX + 1).as_str(), TooLong),
    ] {
        let (broken, _) = masked(&[], text).unwrap_err();
        assert_eq!(broken, expected, "{text:?}");
    }
    let mut json = Json::new(veil(&[]));
    let mut out = BytesMut::new();
    assert_eq!(json.feed(b"[\"\xff\"]", &mut out), Err(Encoding));
    assert!(out.is_empty());
}

#[test]
fn nothing_unmasked_goes_out_before_an_error() {
    for text in [
        r#"{"a":"bob@x.org","b":"bob@x.org"#,
        r#"{"a":"bob@x.org",]"#,
        r#"{"secret":{"x":"bob@x.org","y":"#,
        r#"{"secret":"bob@x.o"#,
        r#"["bob\u0040x.org" "bob@x.org"]"#,
    ] {
        let (_, out) = masked(&["$.secret"], text).unwrap_err();
        assert!(!out.contains("bob"), "{out}");
    }
}

#[test]
fn a_string_of_any_length_is_masked_without_holding_it() {
    let filler = "0123456789abcdef\\n".repeat(JSON_STRING_HELD_BYTES_MAX / 8);
    let text = format!(
        "{{\"a\":\"{filler}bob\\u0040x.org\\n{filler}\",\"b\":\"bob@x.org\",\"c\":\"{filler}\"}}"
    );
    let mut json = Json::new(veil(&["$.c"]));
    let mut out = BytesMut::new();
    for piece in text.as_bytes().chunks(1_000) {
        json.feed(piece, &mut out).unwrap();
        let held = json.raw.capacity() + json.look.capacity();
        assert!(held < 5 * JSON_STRING_HELD_BYTES_MAX, "{held}");
    }
    json.finish(&mut out).unwrap();
    let expected = format!(
        "{{\"a\":\"{filler}[masked:email]\\n{filler}\",\"b\":\"[masked:email]\",\"c\":\"[masked]\"}}"
    );
    assert!(out == expected.as_bytes());
    assert_eq!(json.masked(), 3);
    let name = format!("{{\"{filler}\":1}}");
    assert_eq!(json.feed(name.as_bytes(), &mut out), Err(Broken::TooLong));
}

#[test]
fn a_masked_field_of_any_length_needs_no_memory() {
    let mut json = Json::new(veil(&["$.a"]));
    let mut out = BytesMut::new();
    json.feed(b"{\"a\":{\"x\":\"", &mut out).unwrap();
    for _ in 0..1_000 {
        json.feed(&[b'x'; 10_000], &mut out).unwrap();
        assert!(json.raw.capacity() + json.look.capacity() < 100_000);
    }
    json.feed(b"\"},\"b\":1}", &mut out).unwrap();
    json.finish(&mut out).unwrap();
    assert_eq!(out, "{\"a\":\"[masked]\",\"b\":1}");
}

#[test]
fn a_value_goes_out_as_soon_as_it_is_whole() {
    let mut json = Json::new(veil(&[]));
    let mut out = BytesMut::new();
    json.feed(b"{\"a\":1}\n{\"b\":\"x", &mut out).unwrap();
    assert_eq!(out, "{\"a\":1}\n{\"b\":");
}
