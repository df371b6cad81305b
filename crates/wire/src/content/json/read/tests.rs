use super::*;

fn refused(text: &[u8]) -> NotJson {
    read(text)
        .map(|document| document.root().raw().to_owned())
        .unwrap_err()
}

#[test]
fn what_may_mean_two_things_is_refused() {
    for (text, why) in [
        (&br#"{"a":1,"a":2}"#[..], NotJson::Duplicate(7)),
        (br#"{"a":1,"\u0061":2}"#, NotJson::Duplicate(7)),
        (br#"[{"b":{"x":0,"x":0}}]"#, NotJson::Duplicate(13)),
        (b"\xef\xbb\xbf{}", NotJson::ByteOrderMark),
        (b"\"\xff\"", NotJson::Encoding),
        (b"\"\xc0\xa2\"", NotJson::Encoding),
        (b"{\0\"\0a\0", NotJson::Syntax(1)),
        (br#""\ud800""#, NotJson::Surrogate(1)),
        (br#""\udc00\ud800""#, NotJson::Surrogate(1)),
        (br#""\ud83d\u0041""#, NotJson::Surrogate(1)),
        (br#""\x41""#, NotJson::Escape(1)),
        (b"\"a\nb\"", NotJson::Escape(2)),
        (b"{} {}", NotJson::Trailing(3)),
        (b"1,", NotJson::Trailing(1)),
        (b"[1,]", NotJson::Syntax(3)),
        (br#"{"a":1,}"#, NotJson::Syntax(7)),
        (b"{a:1}", NotJson::Syntax(1)),
        (b"['a']", NotJson::Syntax(1)),
        (b"[1 /* x */]", NotJson::Syntax(3)),
        (b"// x\n1", NotJson::Syntax(0)),
        (b"NaN", NotJson::Scalar(0)),
        (b"[-Infinity]", NotJson::Scalar(1)),
        (b"01", NotJson::Scalar(0)),
        (b"+1", NotJson::Scalar(0)),
        (b"1.", NotJson::Scalar(0)),
        (b"True", NotJson::Scalar(0)),
        (b"truefalse", NotJson::Scalar(0)),
        (b"", NotJson::Incomplete),
        (b" ", NotJson::Incomplete),
        (b"{\"a\"", NotJson::Incomplete),
        (b"[1", NotJson::Incomplete),
        (b"\"abc", NotJson::Incomplete),
        (b"\"abc\\", NotJson::Incomplete),
        (b"\"\\ud83d", NotJson::Incomplete),
        (b"]", NotJson::Syntax(0)),
        (b"\x0b1", NotJson::Syntax(0)),
        (b"\xc2\xa01", NotJson::Syntax(0)),
    ] {
        assert_eq!(refused(text), why, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn every_limit_is_a_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(nested(JSON_DEPTH_READ_MAX).as_bytes()).is_ok());
    assert_eq!(
        refused(nested(JSON_DEPTH_READ_MAX + 1).as_bytes()),
        NotJson::TooDeep
    );
    assert_eq!(refused("[".repeat(1_000_000).as_bytes()), NotJson::TooDeep);
    let many = format!("[{}0]", "0,".repeat(JSON_VALUES_MAX));
    assert_eq!(refused(many.as_bytes()), NotJson::TooMany);
    assert_eq!(
        refused(&vec![b' '; CONTENT_HELD_BYTES_MAX + 1]),
        NotJson::TooLong
    );
}

#[test]
fn why_does_not_repeat_what_was_sent() {
    for text in [
        r#"{"hunter2":1,"hunter2":1}"#,
        "hunter2",
        "[hunter2]",
        r#""hunter2\q""#,
    ] {
        let why = refused(text.as_bytes()).to_string();
        assert!(!why.contains("hunter"), "{why}");
    }
}

#[test]
fn a_text_is_taken_apart_at_the_top() {
    let text = r#" { "jsonrpc" : "2.0", "p\u0061rams":{"name":"t","arguments": { "x" : [1, {"y":"\u0040"} ] } }, "id" : 1e400 } "#;
    let document = read(text.as_bytes()).unwrap();
    let root = document.root();
    assert_eq!(root.kind(), Type::Object);
    let names: Vec<_> = root.members().map(|member| member.name).collect();
    assert_eq!(names, ["jsonrpc", "params", "id"]);
    let arguments = root.get(&["params", "arguments"]).unwrap();
    assert_eq!(arguments.raw(), r#"{ "x" : [1, {"y":"\u0040"} ] }"#);
    let x = arguments.get(&["x"]).unwrap();
    let elements: Vec<_> = x.elements().collect();
    assert_eq!(elements.len(), 2);
    assert_eq!(elements[1].get(&["y"]).unwrap().text().unwrap(), "@");
    assert_eq!(root.get(&["id"]).unwrap().raw(), "1e400");
    assert_eq!(root.get(&["id"]).unwrap().kind(), Type::Number);
    assert_eq!(root.get(&["params", "nothing"]), None);
    assert_eq!(root.get(&["id", "x"]), None);
    assert_eq!(root.raw(), text.trim());
    let empty = read(b"{\"a\":{ },\"b\":[ ]}").unwrap();
    assert_eq!(empty.root().members().count(), 2);
    assert_eq!(empty.root().get(&["a"]).unwrap().members().count(), 0);
    assert_eq!(empty.root().get(&["b"]).unwrap().elements().count(), 0);
}

fn facts(text: &str, path: &str) -> Vec<Fact> {
    let input = Input::Field(FieldPath::parse(path).unwrap());
    let mut out = Facts::new();
    read(text.as_bytes())
        .unwrap()
        .facts(std::slice::from_ref(&input), &mut out);
    // Also where there is nothing: it was looked at.
    out.remove(&input).unwrap()
}

#[test]
fn facts_are_all_the_values_that_a_path_leads_to() {
    let text = |text: &str| Fact::Text(text.into());
    let number = |text: &str| Fact::Number(text.into());
    let json = r#"{"a":{"b":"x\u0040y"},"l":[{"b":1},{"b":null,"c":[true]},[],{"b":{"b":2}}],"big":123456789012345678901234567890,"e":1e400}"#;
    assert_eq!(facts(json, "$.a.b"), [text("x@y")]);
    assert_eq!(facts(json, "$.a"), [Fact::Other]);
    assert_eq!(
        facts(json, "$.l[*].b"),
        [number("1"), Fact::Null, Fact::Other, Fact::Other]
    );
    assert_eq!(
        facts(json, "$..b"),
        [
            text("x@y"),
            number("1"),
            Fact::Null,
            Fact::Other,
            number("2")
        ]
    );
    assert_eq!(facts(json, "$..b..b"), [number("2")]);
    assert_eq!(facts(json, "$.l[*].c[*]"), [Fact::Bool(true), Fact::Other]);
    assert_eq!(
        facts(json, "$.big"),
        [number("123456789012345678901234567890")]
    );
    assert_eq!(facts(json, "$.e"), [number("1e400")]);
    assert_eq!(facts(json, "$.nothing"), []);
    assert_eq!(facts(r#"{"\u0061":1}"#, "$.a"), [number("1")]);
    // A target may ignore case.
    assert_eq!(facts(r#"{"a":1,"A":2}"#, "$.a"), [number("1"), Fact::Other]);
    assert_eq!(facts(r#"{"A":{"b":1}}"#, "$.a.b"), [Fact::Other]);
    assert_eq!(facts(r#"{"x":{"B":1}}"#, "$..b"), [Fact::Other]);
    assert_eq!(facts(r#"{"x":{"B":1}}"#, "$.b"), []);
    assert_eq!(facts("[[1],[2]]", "$[*][*]"), [number("1"), number("2")]);
}

#[test]
fn a_list_of_what_is_looked_for_is_not_nothing() {
    for (json, path) in [
        (r#"[{"a":1}]"#, "$.a"),
        ("[]", "$.a"),
        ("1", "$.a"),
        (r#""{\"a\":1}""#, "$.a"),
        (r#"{"o":[{"a":1}]}"#, "$.o.a"),
        (r#"{"o":"a=1"}"#, "$.o.a"),
        (r#"{"l":{"a":1}}"#, "$.l[*].a"),
        (r#"{"l":[[{"a":1}]]}"#, "$.l[*].a"),
        (r#"{"a":1}"#, "$[*]"),
    ] {
        assert_eq!(facts(json, path), [Fact::Other], "{json} {path}");
    }
    for (json, path) in [
        ("null", "$.a"),
        ("{}", "$.o.a"),
        (r#"{"o":null}"#, "$.o.a"),
        (r#"{"o":{}}"#, "$.o.a"),
        (r#"{"l":[]}"#, "$.l[*].a"),
        (r#"[{"b":1}]"#, "$..a"),
    ] {
        assert_eq!(facts(json, path), [], "{json} {path}");
    }
}

#[test]
fn a_text_that_is_too_long_for_a_condition_is_other() {
    let at = |count: usize| format!(r#"{{"a":"{}"}}"#, r"\u0041".repeat(count));
    let longest = "A".repeat(Fact::TEXT_BYTES_MAX);
    assert_eq!(
        facts(&at(Fact::TEXT_BYTES_MAX), "$.a"),
        [Fact::Text(longest)]
    );
    assert_eq!(facts(&at(Fact::TEXT_BYTES_MAX + 1), "$.a"), [Fact::Other]);
}

#[test]
fn facts_of_a_member_are_seen_from_it() {
    let document = read(br#"{"params":{"arguments":{"id":7}}}"#).unwrap();
    let arguments = document.root().get(&["params", "arguments"]).unwrap();
    let input = Input::Field(FieldPath::parse("$.id").unwrap());
    let mut out = Facts::new();
    let twice = [input.clone(), Input::Query("id".into()), input.clone()];
    arguments.facts(&twice, &mut out);
    assert_eq!(out, Facts::from([(input, vec![Fact::Number("7".into())])]));
}
