//! What holds for any text: nothing panics, one pass is enough, JSON stays JSON, and the time is
//! linear.

use std::time::{Duration, Instant};

use bailiwick_mask::{Detectors, PREFIX};

/// A small generator (xorshift64*), so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from.get(self.below(from.len())).unwrap_or(&"")
    }

    /// A number that passes for a card of this length.
    fn card(&mut self) -> String {
        let head = self.pick(&["4", "51", "55", "2223", "3528", "6011"]);
        let mut digits = String::from(head);
        while digits.len() < 15 {
            digits.push(char::from(b'0' + self.below(10) as u8));
        }
        let sum: u32 = digits
            .bytes()
            .rev()
            .enumerate()
            .map(|(place, digit)| {
                let digit = u32::from(digit - b'0') * if place % 2 == 0 { 2 } else { 1 };
                digit / 10 + digit % 10
            })
            .sum();
        digits.push(char::from(b'0' + ((10 - sum % 10) % 10) as u8));
        digits
    }
}

/// Pieces that the rules care about, and pieces that break them.
const PIECES: &[&str] = &[
    "bob",
    "@",
    "%40",
    "example.com",
    ".",
    "-",
    " ",
    "4111",
    "1111",
    "4111111111111111",
    "+49 30 ",
    "901820",
    "078-05-1120",
    "DE89",
    "3704 0044 0532 0130 00",
    "password",
    "=",
    "\"",
    "'",
    "\\",
    "\\\"",
    "\\u0040",
    "\\u",
    "\\n",
    "://",
    "svc:",
    "pw",
    "[masked:",
    "]",
    "secret]",
    "-----BEGIN PRIVATE KEY-----",
    "-----END ",
    "-----",
    "eyJhbGciOiJI",
    "ghp_",
    "sk-",
    "AKIA",
    "IOSFODNN7EXAMPL2",
    "Bearer ",
    "aB3xY7qK9mZ2aB3xY7qK9mZ2",
    "é",
    "４",
    "\u{200b}",
    "\u{a0}",
    "日本",
    "𝟗",
    "{",
    "}",
    "[",
    ",",
    ":",
    "\n",
    "0",
    "x",
];

fn any_text(random: &mut Random) -> String {
    (0..random.below(30)).map(|_| random.pick(PIECES)).collect()
}

#[test]
fn any_text_is_rewritten_once_and_stays_text() {
    let detectors = Detectors::new();
    let mut random = Random(7);
    for _ in 0..20_000 {
        let text = any_text(&mut random);
        let mut end = 0;
        for finding in detectors.find(&text) {
            assert!(
                finding.range.start >= end && !finding.range.is_empty(),
                "{text:?}"
            );
            assert!(
                text.get(finding.range.clone()).is_some(),
                "{text:?} {finding:?}"
            );
            end = finding.range.end;
        }
        let Some(rewritten) = detectors.rewrite(text.as_bytes()) else {
            continue;
        };
        let rewritten = String::from_utf8(rewritten.bytes).expect("still UTF-8");
        assert!(rewritten.contains(PREFIX) && Detectors::has_placeholder(rewritten.as_bytes()));
        // Rarely what was masked had kept another finding apart; a second pass finds no end of them.
        let mut passes = 0;
        let mut again = rewritten;
        while let Some(more) = detectors.rewrite(again.as_bytes()) {
            again = String::from_utf8(more.bytes).expect("still UTF-8");
            passes += 1;
            assert!(passes < 4, "{text:?}");
        }
    }
}

#[test]
fn any_bytes_are_taken() {
    let detectors = Detectors::new();
    let mut random = Random(11);
    for _ in 0..20_000 {
        let mut bytes = any_text(&mut random).into_bytes();
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len() + 1);
            bytes.insert(at, random.below(256) as u8);
        }
        bytes.truncate(random.below(bytes.len() + 1));
        let _ = detectors.rewrite(&bytes);
    }
}

#[test]
fn json_stays_json_and_keeps_nothing_sensitive() {
    let detectors = Detectors::new();
    let mut random = Random(13);
    for _ in 0..5_000 {
        let card = random.card();
        let noise = any_text(&mut random);
        let value = serde_json::json!({
            "note": noise,
            "text": format!("{} {card} {}", random.pick(&["", "é", "\n", "\"", "\\"]), "x"),
            "list": [card.parse::<u64>().unwrap(), 1, null, {"deep": [card.parse::<u64>().unwrap()]}],
            "mail": "bob@example.com",
        });
        for text in [
            value.to_string(),
            serde_json::to_string_pretty(&value).unwrap(),
        ] {
            let rewritten = detectors.rewrite(text.as_bytes()).unwrap();
            let parsed: serde_json::Value = serde_json::from_slice(&rewritten.bytes)
                .unwrap_or_else(|error| {
                    panic!(
                        "{error}: {text} became {}",
                        String::from_utf8_lossy(&rewritten.bytes)
                    )
                });
            assert_eq!(parsed["mail"], "[masked:email]");
            assert_eq!(parsed["list"][0], "[masked:card]");
            assert_eq!(parsed["list"][3]["deep"][0], "[masked:card]");
            assert!(
                !String::from_utf8_lossy(&rewritten.bytes).contains(&card),
                "{text}"
            );
        }
    }
}

#[test]
fn every_card_is_found_however_it_is_grouped() {
    let detectors = Detectors::new();
    let mut random = Random(17);
    for _ in 0..5_000 {
        let card = random.card();
        let separator = random.pick(&["", " ", "-", "\u{a0}", "\u{2011}"]);
        let groups: Vec<&str> = [0..4, 4..8, 8..12, 12..16]
            .map(|range| card.get(range).unwrap())
            .into();
        let text = format!(
            "{}{}{}",
            random.pick(&["", "a ", "7 ", "(", "\t"]),
            groups.join(separator),
            random.pick(&["", " 7", ".", ")"])
        );
        assert!(detectors.rewrite(text.as_bytes()).is_some(), "{text}");
    }
}

#[test]
fn a_wrong_check_digit_is_no_card() {
    let detectors = Detectors::new();
    let mut random = Random(19);
    for _ in 0..5_000 {
        let mut card = random.card();
        let right = card.pop().unwrap().to_digit(10).unwrap();
        let wrong = (right + 1 + random.below(9) as u32) % 10;
        card.push(char::from_digit(wrong, 10).unwrap());
        assert!(detectors.rewrite(card.as_bytes()).is_none(), "{card}");
    }
}

/// Each text is made to be slow for a search that starts again and again.
#[test]
fn a_mebibyte_of_anything_takes_no_time_worth_naming() {
    let detectors = Detectors::new();
    for piece in [
        "a",
        "1",
        "4",
        "@",
        "a@",
        "a@a.",
        "4111 ",
        "4-",
        "41111 1111 1111 ",
        "+4 ",
        "+1",
        "password='",
        "pwd=a",
        "a://a:",
        "a://a:b",
        "://",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN A PRIVATE ",
        "eyJaaaaaaaa",
        "eyJaaaaaaaa.",
        "sk-aaaaaaaaaaaaaaaaaaaaa",
        "ghp_aaaaaaaaaaaaa",
        "DE89",
        "DE89 ",
        "[masked:",
        "\\",
        "\\u0040",
        "é",
        "\u{200b}",
        "日",
        "{",
        "\"",
        "{\"a\":4111111111111111,",
        "bearer ",
        "secret_key=",
        "AKIA",
        "078-05-1120-",
    ] {
        let text = piece.repeat((1 << 20) / piece.len());
        let start = Instant::now();
        let _ = detectors.rewrite(text.as_bytes());
        let took = start.elapsed();
        // Quadratic would be minutes. The bound leaves room for a slow machine and a debug build.
        assert!(took < Duration::from_secs(5), "{piece:?}: {took:?}");
        if std::env::var_os("BAILIWICK_TIMINGS").is_some() {
            println!("{piece:?}: {took:?}");
        }
    }
}
