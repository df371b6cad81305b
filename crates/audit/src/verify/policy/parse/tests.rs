use super::*;
use crate::verify::policy::tests::key;

fn witness(name: &str, seed: u8) -> String {
    format!("witness {name} {}\n", key("w.example", 4, seed))
}

fn problem(file: &str) -> (Option<usize>, Problem) {
    let error = parse(file.as_bytes()).unwrap_err();
    (error.line, error.problem)
}

#[test]
fn reads_names_urls_comments_and_white_space() {
    let file = format!(
        "# whom to trust\n\n \t \n\tlog\t{} \thttps://l.example/  \n  # more\n\
         witness caf\u{e9} {} https://w.example/\n\
         witness K {}\nwitness \u{212a} {}\nquorum caf\u{e9}\n",
        key("l.example", 1, 1),
        key("w.example", 4, 2),
        key("w.example", 4, 3),
        key("w.example", 4, 4),
    );
    let policy = parse(file.as_bytes()).unwrap();
    assert_eq!(policy.logs()[0].name(), "l.example");
    assert_eq!(policy.logs()[0].url(), Some("https://l.example/"));
    assert_eq!(policy.logs()[0].vkey(), key("l.example", 1, 1));
    let names: Vec<&str> = policy.witnesses().iter().map(KnownWitness::name).collect();
    assert_eq!(names, ["caf\u{e9}", "K", "\u{212a}"]);
    assert_eq!(policy.witnesses()[0].key_name(), "w.example");
    assert_eq!(policy.witnesses()[0].url(), Some("https://w.example/"));
    assert_eq!(policy.witnesses()[1].url(), None);
    assert_eq!(policy.witnesses()[1].vkey(), key("w.example", 4, 3));
    assert!(!policy.needs_no_witness());
    assert!(parse(b"quorum none\n").unwrap().needs_no_witness());
    // Octets that are not UTF-8 are names like any other, and unequal if they differ.
    let octets = |name: u8| {
        let line = witness("?", name);
        let at = line.find('?').unwrap();
        [&line.as_bytes()[..at], &[name], &line.as_bytes()[at + 1..]].concat()
    };
    let file = [&octets(0xfe)[..], &octets(0xff), b"quorum \xff\n"].concat();
    assert_eq!(
        parse(&file).unwrap().quorum,
        Quorum::Needs(Member::Witness(1))
    );
}

#[test]
fn every_rule_is_kept() {
    let (a, b) = (witness("a", 1), witness("b", 2));
    let log = format!("log {}\n", key("l.example", 1, 9));
    let at = |line: usize, problem| (Some(line), problem);
    let unknown = |name: &str| Problem::Unknown(name.to_owned());
    let threshold = |text: &str| Problem::Threshold(text.to_owned());
    let cases = [
        (String::new(), (None, Problem::NoQuorum)),
        (log.clone(), (None, Problem::NoQuorum)),
        ("quorum none".to_owned(), at(1, Problem::NoEnd)),
        ("quorum none\n#".to_owned(), at(2, Problem::NoEnd)),
        (
            "quorum none\nquorum none\n".to_owned(),
            at(2, Problem::SecondQuorum),
        ),
        (format!("quorum a\n{a}"), at(1, unknown("a"))),
        ("quorum\n".to_owned(), at(1, Problem::Form(QUORUM))),
        (format!("{a}{b}quorum a b\n"), at(3, Problem::Form(QUORUM))),
        (
            "quorums none\n".to_owned(),
            at(1, Problem::Keyword("quorums".to_owned())),
        ),
        ("log\n".to_owned(), at(1, Problem::Form(LOG))),
        (
            format!("log {} u more\n", key("l", 1, 1)),
            at(1, Problem::Form(LOG)),
        ),
        ("witness a\n".to_owned(), at(1, Problem::Form(WITNESS))),
        (
            format!("witness a {} u more\n", key("w", 4, 1)),
            at(1, Problem::Form(WITNESS)),
        ),
        ("group g any\n".to_owned(), at(1, Problem::Form(GROUP))),
        ("group g\n".to_owned(), at(1, Problem::Form(GROUP))),
        (
            "log nothing\n".to_owned(),
            at(1, Problem::Key(NotAKey::Parts)),
        ),
        (
            format!("log {}\n", key("w", 4, 1)),
            at(1, Problem::Key(NotAKey::OfAWitness)),
        ),
        (
            format!("witness a {}\n", key("l", 1, 1)),
            at(1, Problem::Key(NotAKey::OfALog)),
        ),
        // The same key under another name is the same.
        (
            format!("{log}log {}\n", key("m.example", 1, 9)),
            at(2, Problem::SameKey),
        ),
        (
            format!("{a}witness b {}\n", key("v.example", 4, 1)),
            at(2, Problem::SameKey),
        ),
        (
            format!("{a}{}", witness("a", 2)),
            at(2, Problem::Defined("a".to_owned())),
        ),
        (
            format!("{a}{b}group a any b\n"),
            at(3, Problem::Defined("a".to_owned())),
        ),
        (witness("none", 1), at(1, Problem::None)),
        (format!("{a}group none any a\n"), at(2, Problem::None)),
        (format!("{a}group g any none\n"), at(2, Problem::None)),
        (format!("{a}group g any b\n{b}"), at(2, unknown("b"))),
        (format!("{a}group g any g\n"), at(2, unknown("g"))),
        (
            format!("{a}group g any a a\n"),
            at(2, Problem::MemberAlready("a".to_owned())),
        ),
        (
            format!("{a}{b}group g any a\ngroup h any a b\n"),
            at(4, Problem::MemberAlready("a".to_owned())),
        ),
        (format!("{a}group g 0 a\n"), at(2, threshold("0"))),
        (format!("{a}group g 2 a\n"), at(2, threshold("2"))),
        (format!("{a}group g +1 a\n"), at(2, threshold("+1"))),
        (format!("{a}group g ALL a\n"), at(2, threshold("ALL"))),
        (
            format!("{a}group g 99999999999999999999 a\n"),
            at(2, threshold("99999999999999999999")),
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(problem(&file), expected, "{file}");
    }
    for byte in (0..0x20).chain([0x7f]).filter(|byte| *byte != b'\n') {
        let file = [b"# ", &[byte][..], b"\nquorum none\n"].concat();
        let result = parse(&file).map(drop).map_err(|error| error.problem);
        match byte {
            b'\t' => assert_eq!(result, Ok(())),
            _ => assert_eq!(result, Err(Problem::Character(byte))),
        }
    }
}

#[test]
fn there_is_room_for_what_the_specification_asks_and_no_end_of_room() {
    let count = limits::POLICY_ENTRIES;
    assert!(count >= 32);
    let seeded = |index: usize, kind: u8, name: &str| {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&(index as u64).to_be_bytes());
        let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        crate::verify::key::tests::vkey(name, kind, public.as_bytes())
    };
    let logs = |count| -> String {
        let log = |index| format!("log {}\n", seeded(index, 1, "l.example"));
        (0..count).map(log).collect()
    };
    let witnesses = |count| -> String {
        let witness = |index| format!("witness w{index} {}\n", seeded(index, 4, "w.example"));
        (0..count).map(witness).collect()
    };
    let groups = |count| -> String {
        let group = |index| format!("group g{index} any w{index}\n");
        (0..count).map(group).collect()
    };
    let all = logs(count) + &witnesses(count) + &groups(count) + "quorum g0\n";
    let policy = parse(all.as_bytes()).unwrap();
    assert_eq!(policy.groups.len(), count);
    let too_many = |file: String| parse(file.as_bytes()).unwrap_err().problem;
    assert_eq!(too_many(logs(count + 1)), Problem::TooMany("logs"));
    assert_eq!(
        too_many(witnesses(count + 1)),
        Problem::TooMany("witnesses")
    );
    let long = "#".repeat(limits::POLICY) + "\n";
    assert_eq!(too_many(long), Problem::TooLong);
}
