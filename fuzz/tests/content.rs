//! What the maskers of contents give out, with the real detectors: the same however a content is cut, the
//! same as a look at each value by itself, and nothing of what was put in to be found.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_action::FieldPath;
use bailiwick_mask::{Detectors, WHOLE};
use bailiwick_wire::content::{Broken, Masker};
use bailiwick_wire::{Masked, Veil};
use bytes::BytesMut;

/// Masks some fields, and what the detectors find.
struct Scope {
    detectors: Detectors,
    fields: Vec<FieldPath>,
    /// Says of every text that something was found in it, so that no value is passed over.
    is_thorough: bool,
}

impl Veil for Scope {
    fn masked(&self) -> Vec<Masked> {
        Vec::new()
    }

    fn fields(&self) -> &[FieldPath] {
        &self.fields
    }

    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        match self.detectors.rewrite(text) {
            Some(rewritten) => Some((rewritten.bytes, rewritten.count)),
            None => self.is_thorough.then(|| (text.to_vec(), 0)),
        }
    }

    fn rewrite_start(&self, text: &[u8]) -> (usize, Option<(Vec<u8>, u64)>) {
        let (settled, rewritten) = self.detectors.rewrite_start(text);
        let rewritten = rewritten.map(|rewritten| (rewritten.bytes, rewritten.count));
        (settled, rewritten)
    }

    fn placeholder(&self) -> &'static str {
        WHOLE
    }

    fn has_placeholder(&self, bytes: &[u8]) -> bool {
        Detectors::has_placeholder(bytes)
    }
}

fn scope(fields: &[&str], is_thorough: bool) -> Arc<Scope> {
    let fields = fields.iter().map(|text| FieldPath::parse(text).unwrap());
    Arc::new(Scope {
        detectors: Detectors::new(),
        fields: fields.collect(),
        is_thorough,
    })
}

/// A small generator, so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// What the rules look for and what is around it.
const PIECES: &[&str] = &[
    "bob",
    "@",
    "example.com",
    "bob@example.com",
    "%40",
    ".",
    "-",
    " ",
    "  ",
    "4111",
    "1111",
    "4111111111111111",
    "4111 1111 1111 1111",
    "+49 30 901820",
    "078-05-1120",
    "DE89 3704 0044 0532 0130 00",
    "password",
    "passwd=",
    "api_key",
    "secret access key",
    "=",
    ":",
    "\"",
    "'",
    "\\",
    "\\n",
    "\\u0040",
    "/",
    "://",
    "https://svc:pw@h",
    "[masked:",
    "]",
    "-----BEGIN PRIVATE KEY-----",
    "\n",
    "MIIabc",
    "-----END PRIVATE KEY-----",
    "eyJhbGciOiJI.eyJhbGciOiJI",
    "ghp_aB3xY7qK9mZ2aB3xY7qK9mZ2aB3xY7qK9mZ2",
    "sk-aB3xY7qK9mZ2aB3xY7qK9mZ2",
    "AKIAIOSFODNN7EXAMPL2",
    "aB3xY7qK9mZ2aB3xY7qK9mZ2aB3xY7qK9mZ2aB3x",
    "Bearer ",
    "hunter22",
    "é",
    "４",
    "\u{200b}",
    "\u{a0}",
    "日本",
    "😀",
    "{",
    "}",
    "[",
    ",",
    "\t",
    "\u{1}",
    "0",
    "x",
    "lorem ipsum ",
];

fn any_text(random: &mut Random, pieces: usize) -> String {
    (0..random.below(pieces))
        .map(|_| random.pick(PIECES))
        .collect()
}

fn space(random: &mut Random, out: &mut String) {
    if random.below(4) == 0 {
        out.push_str(random.pick(&[" ", "\n  ", "\t", "  "]));
    }
}

fn put_string(random: &mut Random, text: &str, out: &mut String) {
    out.push('"');
    let escapes = random.below(3);
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' if random.below(2) == 0 => out.push_str("\\n"),
            '/' if random.below(2) == 0 => out.push_str("\\/"),
            char if char < ' ' || escapes == 1 && random.below(3) == 0 => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            char => out.push(char),
        }
    }
    out.push('"');
}

fn put_value(random: &mut Random, depth: usize, out: &mut String) {
    const NAMES: &[&str] = &[
        "email",
        "id",
        "password",
        "SecretAccessKey",
        "a",
        "secret",
        "note",
        "",
    ];
    match random.below(if depth > 4 { 6 } else { 9 }) {
        0 => out.push_str(random.pick(&["null", "true", "false"])),
        1 => out.push_str(random.pick(&[
            "0",
            "-1.5e+10",
            "4111111111111111",
            "-4111111111111111",
            "4111111111111111.5",
            "17",
            "5105105105105100",
            "0.4111111111111111",
            "4111111111111111e0",
        ])),
        2..=5 => {
            let text = any_text(random, 6);
            put_string(random, &text, out);
        }
        kind => {
            let (open, close) = if kind == 6 { ('[', ']') } else { ('{', '}') };
            out.push(open);
            space(random, out);
            for index in 0..random.below(6) {
                if index > 0 {
                    out.push(',');
                    space(random, out);
                }
                if open == '{' {
                    let name = match random.below(3) {
                        0 => any_text(random, 4),
                        _ => random.pick(NAMES).to_owned(),
                    };
                    put_string(random, &name, out);
                    space(random, out);
                    out.push(':');
                    space(random, out);
                }
                put_value(random, depth + 1, out);
                space(random, out);
            }
            out.push(close);
        }
    }
}

fn any_json(random: &mut Random) -> String {
    let mut out = String::new();
    for _ in 0..=random.below(3) {
        put_value(random, 0, &mut out);
        out.push_str(random.pick(&["\n", " ", "\r\n\n"]));
    }
    out
}

/// What comes out, of pieces of these lengths and then of the rest.
fn mask(
    content_type: &str,
    veil: &Arc<Scope>,
    content: &[u8],
    mut cut: impl FnMut() -> usize,
) -> Result<(String, u64), Broken> {
    let mut masker = Masker::for_type(Some(content_type.as_bytes()), veil.clone());
    let mut out = BytesMut::new();
    let mut rest = content;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cut().clamp(1, rest.len()));
        masker.feed(piece, &mut out)?;
        rest = after;
    }
    masker.finish(&mut out)?;
    Ok((String::from_utf8(out.into()).unwrap(), masker.masked()))
}

const FIELDS: &[&str] = &["$.email", "$..secret", "$[*].id", "$.a[*].a"];

#[test]
fn the_quick_look_at_json_sees_what_a_look_at_each_value_sees() {
    for fields in [&[][..], FIELDS] {
        let (quick, thorough) = (scope(fields, false), scope(fields, true));
        let mut random = Random(23);
        let mut all = 0;
        for _ in 0..10_000 {
            let json = any_json(&mut random);
            let whole = mask("application/json", &quick, json.as_bytes(), || usize::MAX).unwrap();
            let each = mask("application/json", &thorough, json.as_bytes(), || {
                usize::MAX
            })
            .unwrap();
            assert_eq!(whole, each, "{json}");
            let most = 1 + random.below(40);
            let cut = mask("application/json", &quick, json.as_bytes(), || {
                random.below(most)
            })
            .unwrap();
            assert_eq!(whole, cut, "{json}");
            all += whole.1;
        }
        assert!(all > 10_000, "{all}");
    }
}

#[test]
fn masked_json_is_json_and_nothing_else_in_it_changed() {
    let veil = scope(FIELDS, false);
    let mut random = Random(29);
    for _ in 0..5_000 {
        let json = any_json(&mut random);
        let (out, count) = mask("application/json", &veil, json.as_bytes(), || usize::MAX).unwrap();
        if count == 0 {
            assert_eq!(out, json);
        }
        // Once more, without fields: it is still JSON, and rarely has anything left to be found.
        mask("application/json", &scope(&[], false), out.as_bytes(), || 7).unwrap();
        assert!(!out.contains("bob@example.com"), "{json}\n{out}");
        assert!(!out.contains("\"4111111111111111\""), "{json}\n{out}");
    }
}

#[test]
fn broken_json_lets_nothing_out_that_is_masked() {
    let veil = scope(&["$..secret"], false);
    let mut random = Random(31);
    for _ in 0..5_000 {
        let mut json = any_json(&mut random).into_bytes();
        for _ in 0..=random.below(3) {
            let at = random.below(json.len() + 1);
            match random.below(3) {
                0 => json.insert(at, b"\"\\{}[],:x0 \n"[random.below(12)]),
                1 => json.truncate(at),
                _ if at < json.len() => drop(json.remove(at)),
                _ => {}
            }
        }
        let mut masker = Masker::for_type(Some(b"application/json"), veil.clone());
        let mut out = BytesMut::new();
        for piece in json.chunks(1 + random.below(9)) {
            if masker.feed(piece, &mut out).is_err() {
                break;
            }
        }
        let out = String::from_utf8_lossy(&out);
        assert!(!out.contains("bob@example.com"), "{out}");
    }
}

#[test]
fn text_is_masked_the_same_however_it_is_cut() {
    let veil = scope(&[], false);
    let mut random = Random(37);
    let mut all = 0;
    for round in 0..6_000 {
        let pieces = if round % 100 == 0 { 6_000 } else { 60 };
        // What begins like JSON has bare numbers quoted, of which a piece cannot know.
        let text = format!("x{}", any_text(&mut random, pieces)).replace("[masked:", "");
        let whole = veil.detectors.rewrite(text.as_bytes());
        let whole = match whole {
            Some(whole) => (String::from_utf8(whole.bytes).unwrap(), whole.count),
            None => (text.clone(), 0),
        };
        let most = 1 + random.below(if pieces > 60 { 4_000 } else { 40 });
        let cut = mask("text/plain", &veil, text.as_bytes(), || random.below(most)).unwrap();
        assert_eq!(cut.0, whole.0, "{text:?}");
        all += cut.1;
    }
    assert!(all > 10_000, "{all}");
}

#[test]
fn a_long_line_is_masked_in_parts_and_a_long_key_as_a_whole() {
    let veil = scope(&[], false);
    let mut random = Random(41);
    let filler = |random: &mut Random| "lorem ipsum dolor ".repeat(1 + random.below(3_000));
    let mut line = String::new();
    for _ in 0..20 {
        line += &filler(&mut random);
        line += random.pick(&[
            "bob@example.com",
            "4111 1111 1111 1111",
            "password='two  words'",
        ]);
        line.push(' ');
    }
    let whole = veil.detectors.rewrite(line.as_bytes()).unwrap();
    let (cut, count) = mask("text/plain", &veil, line.as_bytes(), || random.below(9_000)).unwrap();
    assert_eq!(count, whole.count);
    assert!(cut.as_bytes() == whole.bytes);

    let key = format!(
        "a\n-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\nb bob@example.com\n",
        "MIIaBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789\n".repeat(10_000)
    );
    let start = Instant::now();
    let (cut, _) = mask("text/plain", &veil, key.as_bytes(), || random.below(90)).unwrap();
    assert_eq!(cut, "a\n[masked:secret]\nb [masked:email]\n");
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    let endless = key.replace("-----END", &"QUJD\n".repeat(300_000));
    assert_eq!(
        mask("text/plain", &veil, endless.as_bytes(), || 16_384),
        Err(Broken::TooLong)
    );
    let unbroken = "x".repeat(3 << 20) + " bob@example.com";
    let (cut, _) = mask("text/plain", &veil, unbroken.as_bytes(), || 16_384).unwrap();
    assert!(cut.len() == unbroken.len() - 1 && cut.ends_with(" [masked:email]"));
}

#[test]
fn events_are_masked_the_same_however_they_are_cut() {
    let veil = scope(&["$.email"], false);
    let mut random = Random(43);
    for _ in 0..3_000 {
        let mut stream = String::new();
        for _ in 0..random.below(5) {
            let data = match random.below(2) {
                0 => any_json(&mut random),
                _ => any_text(&mut random, 8).replace('{', ""),
            };
            for line in data.split(['\n', '\r']) {
                stream += random.pick(&["data: ", "data:"]);
                stream += line;
                stream += random.pick(&["\n", "\r\n", "\r"]);
            }
            stream += random.pick(&[
                ": x\n\n",
                "id: 4111111111111111\n\n",
                "\r\n",
                "event: bob@example.com\r\r",
            ]);
        }
        let whole = mask("text/event-stream", &veil, stream.as_bytes(), || usize::MAX);
        let cut = mask("text/event-stream", &veil, stream.as_bytes(), || {
            random.below(9)
        });
        assert_eq!(whole, cut, "{stream:?}");
        let (out, _) = whole.unwrap();
        assert!(!out.contains("bob@example.com"), "{stream:?}");
    }
}
