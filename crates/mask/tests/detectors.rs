//! What is found and what is left alone, one line a case. Secrets are put together here, so that no
//! scanner takes this file for a leak.

use bailiwick_mask::{Detectors, Kind};

fn masked(text: &str) -> String {
    match Detectors::new().rewrite(text.as_bytes()) {
        Some(rewritten) => String::from_utf8_lossy(&rewritten.bytes).into_owned(),
        None => text.to_owned(),
    }
}

#[track_caller]
fn all_masked(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(masked(text), *expected, "{text}");
    }
}

#[track_caller]
fn all_left_alone(cases: &[&str]) {
    for text in cases {
        assert_eq!(masked(text), *text);
    }
}

/// `count` characters that look random: both cases and digits.
fn random(count: usize) -> String {
    "aB3xY7qK9mZ2".chars().cycle().take(count).collect()
}

#[test]
fn addresses() {
    all_masked(&[
        ("a@b.co", "[masked:email]"),
        ("Mail bob.smith+x@mail.example.com.", "Mail [masked:email]."),
        (
            "<bob@example.com>,\"al@example.org\"",
            "<[masked:email]>,\"[masked:email]\"",
        ),
        ("{a@x.com,b@x.com}", "{[masked:email],[masked:email]}"),
        ("bob@example.com-foo", "[masked:email]-foo"),
        ("to bob@example.com.5", "to [masked:email].5"),
        (
            "https://x.com/?email=bob@example.com&a=1",
            "https://x.com/?email=[masked:email]&a=1",
        ),
        ("?e=bob%40example.com", "?e=[masked:email]"),
        ("josé.núñez@correo.españa.es!", "[masked:email]!"),
        ("иван@почта.рф", "[masked:email]"),
        ("联系bob@example.com谢谢", "联系[masked:email]谢谢"),
        ("bob@xn--bcher-kva.xn--p1ai", "[masked:email]"),
        ("ｂｏｂ＠example．com", "[masked:email]"),
        ("bo\u{200b}b@exam\u{ad}ple.com", "[masked:email]"),
        (
            r#"{"e":"bob\u0040example.com\nx"}"#,
            r#"{"e":"[masked:email]\nx"}"#,
        ),
    ]);
    all_left_alone(&[
        "bob@localhost",
        "@bob",
        "a @ b.com",
        "react@18.2.0",
        "x@1.2.3beta",
        "a@b",
        "@@@@",
        "bob@",
        "@example.com",
        "@app.route",
        "a@.com",
        "user@-",
        "price@10.50",
    ]);
}

#[test]
fn cards() {
    all_masked(&[
        ("4111111111111111", "[masked:card]"),
        ("4111 1111 1111 1111", "[masked:card]"),
        ("pay 4111-1111-1111-1111.", "pay [masked:card]."),
        ("3782 822463 10005", "[masked:card]"),
        ("371449635398431 exp 12/27", "[masked:card] exp 12/27"),
        ("3056 930902 5904", "[masked:card]"),
        ("4222222222222", "[masked:card]"),
        (
            "5105105105105100,6011000990139424",
            "[masked:card],[masked:card]",
        ),
        ("2223003122003222", "[masked:card]"),
        ("3530111333300000", "[masked:card]"),
        ("6250941006528599", "[masked:card]"),
        ("4111 1111 1111 1111 123", "[masked:card] 123"),
        ("12 4111 1111 1111 1111", "12 [masked:card]"),
        (
            "4111 1111 1111 1111 5105 1051 0510 5100",
            "[masked:card] [masked:card]",
        ),
        (
            "{4111111111111111,5105105105105100}",
            "{[masked:card],\"[masked:card]\"}",
        ),
        (
            r#"{"card":4111111111111111}"#,
            r#"{"card":"[masked:card]"}"#,
        ),
        (
            r#"["\"", 4111111111111111 ]"#,
            r#"["\"", "[masked:card]" ]"#,
        ),
        (
            r#"{"a":"x\n4111111111111111"}"#,
            r#"{"a":"x\n[masked:card]"}"#,
        ),
        ("４１１１１１１１１１１１１１１１", "[masked:card]"),
        ("4111\u{a0}1111\u{a0}1111\u{a0}1111", "[masked:card]"),
        ("4111\u{2013}1111\u{2013}1111\u{2013}1111", "[masked:card]"),
    ]);
    all_left_alone(&[
        "4111111111111112",
        "4111 1111-1111 1111",
        "4111  1111  1111  1111",
        "41111111111111111111",
        "0.4111111111111111",
        "4111111111111111.25",
        "x4111111111111111",
        "4111111111111111f",
        "0000 0000 0000 0000",
        "41 11 11 11 11 11 11 11",
    ]);
}

#[test]
fn numbers_that_are_no_cards() {
    all_left_alone(&[
        "1732345678901",
        "1732345678901234",
        "1732345678901234567",
        "20241123071554",
        "2024112307155412",
        "2024-11-23 07:15:54.123456+02",
        "9223372036854775807",
        "-9223372036854775808",
        "4611686018427387904",
        "550e8400-e29b-41d4-a716-446655440000",
        "41111111-1111-4111-8111-111111111111",
        "d41d8cd98f00b204e9800998ecf8427e",
        "01JD3Q4ZK2W9X8V7T6S5R4P3N2",
        "10.11.12.13",
        "1.2.3-4111",
        "v4111.1111.1111",
        "192.168.100.200:5432",
        "978-3-16-148410-0",
    ]);
    let detectors = Detectors::new();
    let hits = (0..10_000u64)
        .map(|n| {
            4_000_000_000_000_000_000
                + n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 5_000_000_000_000_000_000
        })
        .filter(|id| detectors.rewrite(id.to_string().as_bytes()).is_some())
        .count();
    assert!(
        hits < 40,
        "{hits} of 10,000 random ids were taken for cards"
    );
}

#[test]
fn accounts() {
    all_masked(&[
        ("DE89370400440532013000", "[masked:iban]"),
        (
            "DE89 3704 0044 0532 0130 00 and more",
            "[masked:iban] and more",
        ),
        ("gb29nwbk60161331926819", "[masked:iban]"),
        ("FR14 2004 1010 0505 0001 3M02 606,x", "[masked:iban],x"),
        ("NO93 8601 1117 947", "[masked:iban]"),
        ("MT84MALT011000012345MTLCAST001S", "[masked:iban]"),
    ]);
    all_left_alone(&[
        "DE88370400440532013000",
        "XX89370400440532013000",
        "DE893704004405320130001",
        "xDE89370400440532013000",
        "DE89 3704",
    ]);
}

#[test]
fn people() {
    all_masked(&[
        ("SSN 078-05-1120.", "SSN [masked:ssn]."),
        ("078\u{2011}05\u{2011}1120", "[masked:ssn]"),
        ("call +14155552671", "call [masked:phone]"),
        ("+1 (415) 555-2671 ext", "[masked:phone] ext"),
        ("(+49 30 901820)", "([masked:phone])"),
        ("tel:+442079460958", "tel:[masked:phone]"),
        ("+1 415 555 2671 12", "[masked:phone] 12"),
        ("+49 30 12345678 2024-11-23", "[masked:phone] 2024-11-23"),
    ]);
    all_left_alone(&[
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "123-00-4567",
        "123-45-0000",
        "123-45-67890",
        "1-123-45-6789",
        "123456789",
        "415-555-2671",
        "00:00:00+10",
        "2+1234567890",
        "+1.5e10",
        "+1 100 555 2671",
        "+1234567890123456789",
        "x = +5 - 3",
    ]);
}

#[test]
fn tokens() {
    let mut cases = vec![
        format!("AKIA{}", "IOSFODNN7EXAMPL2".to_uppercase()),
        format!("ghp_{}", random(36)),
        format!("github_pat_{}_{}", random(22), random(59)),
        format!("glpat-{}", random(20)),
        format!("xoxb-{}-{}", "123456789012", random(24)),
        format!("sk_live_{}", random(24)),
        format!("rk_test_{}", random(24)),
        format!("whsec_{}", random(32)),
        format!("AIza{}", random(35)),
        format!("GOCSPX-{}", random(28)),
        format!("sk-{}", random(48)),
        format!("sk-proj-{}", random(80)),
        format!("sk-ant-api03-{}", random(93)),
        format!("npm_{}", random(36)),
        format!("SG.{}.{}", random(22), random(43)),
        format!("hvs.{}", random(90)),
        format!("bwk_{}", "0123456789abcdef".repeat(5).get(..72).unwrap()),
        format!("eyJ{}.eyJ{}.{}", random(30), random(60), random(43)),
        format!(
            "eyJ{}.{}.{}.{}.{}",
            random(30),
            random(60),
            random(9),
            random(9),
            random(9)
        ),
        format!("eyJ{}.eyJ{}.", random(30), random(60)),
    ];
    for label in [
        "RSA PRIVATE KEY",
        "PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ] {
        let body = format!("{}\n{}\n", random(64), random(20));
        cases.push(format!(
            "-----BEGIN {label}-----\nProc-Type: 4,ENCRYPTED\n\n{body}-----END {label}-----"
        ));
        // Cut off.
        cases.push(format!("-----BEGIN {label}-----\n{body}"));
    }
    for case in cases {
        assert_eq!(masked(&case), "[masked:secret]", "{case}");
        let quoted = format!("say {:?}!", case);
        assert_eq!(masked(&quoted), "say \"[masked:secret]\"!", "{quoted}");
    }
    let secret = random(40);
    for context in [
        format!("aws_secret_access_key = {secret}"),
        format!("AKIAIOSFODNN7EXAMPL2,{secret}"),
        format!("{{\"SecretAccessKey\": \"{secret}\"}}"),
        format!("Authorization: Bearer {secret}"),
        format!("authorization: basic {secret}=="),
    ] {
        let rewritten = masked(&context);
        assert!(
            !rewritten.contains(&secret) && rewritten.contains("[masked:secret]"),
            "{rewritten}"
        );
    }
    all_left_alone(&[
        "sk-learn-is-a-library-for-people",
        "task-0123456789abcdefghij",
        "AKIA",
        "the bearer of bad news, as always, is here",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "eyJhbGciOi",
        "ghp_short",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]);
}

#[test]
fn passwords() {
    all_masked(&[
        (
            "postgres://svc:s3cr3t@db.example.com:5432/x",
            "postgres://svc:[masked:secret]@db.example.com:5432/x",
        ),
        ("redis://:p@ss@w0rd@h/0", "redis://:[masked:secret]@h/0"),
        (
            r#"{"u":"amqp:\/\/a:bcde@h"}"#,
            r#"{"u":"amqp:\/\/a:[masked:secret]@h"}"#,
        ),
        (
            "host=db password=hunter2 user=x",
            "host=db password=[masked:secret] user=x",
        ),
        (
            "Server=a;Pwd=hunter2;X=1",
            "Server=a;Pwd=[masked:secret];X=1",
        ),
        ("DB_PASSWORD='two words'", "DB_PASSWORD='[masked:secret]'"),
        (
            "ALTER ROLE a PASSWORD 'hunter2'",
            "ALTER ROLE a PASSWORD '[masked:secret]'",
        ),
        (
            r#"{"password": "a,b\\c\"d"}"#,
            r#"{"password": "[masked:secret]\"d"}"#,
        ),
        (
            r#"{"x":"{\"api_key\":\"abcd1234\"}"}"#,
            r#"{"x":"{\"api_key\":\"[masked:secret]\"}"}"#,
        ),
        (
            "Key (api_key)=(abcd1234) already exists.",
            "Key (api_key)=([masked:secret]) already exists.",
        ),
        (
            "?client_secret=abcdef&x=1",
            "?client_secret=[masked:secret]&x=1",
        ),
    ]);
    all_left_alone(&[
        "I forgot my password: please help",
        "password=${DB_PASSWORD}",
        "password=null",
        "reset_password=1",
        "PWD=/home/alice",
        "https://example.com:8443/path",
        "https://example.com/a:b@c",
        "http://[::1]:7400/",
        r#"{"password": ""}"#,
        r#"{"password_set": true}"#,
    ]);
}

#[test]
fn a_known_limit_an_escaped_quote_ends_a_password() {
    // It may as well be the quote that closes a nested string.
    assert_eq!(
        masked(r#""password=ab12\"cd""#),
        r#""password=[masked:secret]\"cd""#
    );
}

#[test]
fn findings_that_overlap_become_one() {
    let text = "password=bob@example.com";
    assert_eq!(masked(text), "password=[masked:secret]");
    let findings = Detectors::new().find("a@b.co 4111111111111111");
    let ranges: Vec<_> = findings
        .iter()
        .map(|finding| finding.range.clone())
        .collect();
    assert_eq!(ranges, [0..6, 7..23]);
}

#[test]
fn what_is_not_utf8_is_kept() {
    let text = b"\xff\xfe bob@example.com \xc3\x28 \x80@\x80";
    let rewritten = Detectors::new().rewrite(text).unwrap();
    assert_eq!(
        rewritten.bytes,
        b"\xff\xfe [masked:email] \xc3\x28 \x80@\x80"
    );
    assert_eq!(rewritten.count, 1);
}

#[test]
fn a_placeholder_is_known_again() {
    for text in ["[masked]", "x [masked:email] y", "[masked [masked:card]"] {
        assert!(Detectors::has_placeholder(text.as_bytes()), "{text}");
    }
    for text in [
        "",
        "[masked",
        "[masked:",
        "[masked ball]",
        "[masked:e-mail]",
        "masked]",
    ] {
        assert!(!Detectors::has_placeholder(text.as_bytes()), "{text}");
    }
}

#[test]
fn what_is_not_wanted_stays_and_hides_nothing() {
    let detectors = Detectors::new();
    let without = |text: &str, kind: Kind| {
        let rewritten = detectors.rewrite_only(text.as_bytes(), |found| found != kind);
        rewritten.map_or(text.to_owned(), |rewritten| {
            String::from_utf8(rewritten.bytes).unwrap()
        })
    };
    let both = "bob@example.com paid with 4111 1111 1111 1111";
    assert_eq!(
        without(both, Kind::Email),
        "bob@example.com paid with [masked:card]"
    );
    assert_eq!(
        without(both, Kind::Card),
        "[masked:email] paid with 4111 1111 1111 1111"
    );
    // One over the other: each is found by itself.
    let secret = "password=bob@example.com";
    assert!(!without(secret, Kind::Email).contains("bob"));
    assert!(without(secret, Kind::Email).contains("[masked:secret]"));
    assert_eq!(without(secret, Kind::Secret), "password=[masked:email]");
}
