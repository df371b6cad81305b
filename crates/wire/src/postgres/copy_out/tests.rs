use bailiwick_action::DetectedSet;

use super::*;
use crate::Masked;
use crate::postgres::rows::frame_of;

/// Replaces every `@`.
struct At;

impl Veil for At {
    fn masked(&self) -> Vec<Masked> {
        Vec::new()
    }
    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let text = String::from_utf8_lossy(text);
        let count = text.matches('@').count() + text.matches("4111").count();
        (count > 0).then(|| (text.replace('@', "[masked]").into(), count as u64))
    }
    fn placeholder(&self) -> &'static str {
        "[masked]"
    }
    fn has_placeholder(&self, _: &[u8]) -> bool {
        false
    }
}

const TEXT: CopyFormat = CopyFormat::Text {
    delimiter: b'\t',
    null: String::new(),
};

fn text(delimiter: u8, null: &str) -> CopyFormat {
    CopyFormat::Text {
        delimiter,
        null: null.into(),
    }
}

fn csv(delimiter: u8, null: &str, quote: u8, escape: u8) -> CopyFormat {
    CopyFormat::Csv {
        delimiter,
        null: null.into(),
        quote,
        escape,
    }
}

/// One rule for each letter: `t`ext, `n`umber, `u`nknown; a capital is masked.
fn copying(format: CopyFormat, columns: &str, header: Option<&[&str]>) -> Copying {
    let rule = |column: char| Rule {
        type_oid: match column.to_ascii_lowercase() {
            't' => 25,
            'n' => 23,
            'b' => 20,
            _ => 0,
        },
        binary: false,
        masked: column.is_ascii_uppercase(),
        cleared: DetectedSet::NONE,
    };
    let header = header.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    Copying::new(
        CopyOut { format, header },
        Rules(columns.chars().map(rule).collect()),
    )
}

fn data(bytes: &[u8]) -> Frame {
    frame_of(message(b'd', |body| body.put_slice(bytes))).unwrap()
}

/// What becomes of a message; nothing if it is refused.
fn copied(copying: &mut Copying, bytes: &[u8]) -> Option<Vec<u8>> {
    let frame = data(bytes);
    let copied = copying.data(&frame, &At).ok()?;
    if copied.masked == 0 {
        assert_eq!(copied.bytes, frame.whole, "unmasked, and another message");
    }
    Some(frame_of(copied.bytes).unwrap().body().to_vec())
}

#[track_caller]
fn becomes(format: CopyFormat, columns: &str, before: &str, after: &str) {
    let done = copied(&mut copying(format, columns, None), before.as_bytes());
    let done = done.map(|done| String::from_utf8(done).unwrap());
    assert_eq!(done.as_deref(), Some(after), "{before}");
}

#[track_caller]
fn refused(format: CopyFormat, columns: &str, data: &[u8]) {
    let mut copying = copying(format, columns, None);
    let done = copied(&mut copying, data);
    assert!(done.is_none(), "{:?}", String::from_utf8_lossy(data));
}

#[test]
fn lines_of_text_are_masked_value_by_value() {
    let text = |before, after, columns| becomes(text(b'\t', "\\N"), columns, before, after);
    text("1\ta\\tb\\\\\\n\t\\N\n", "1\ta\\tb\\\\\\n\t\\N\n", "ntt");
    text("1\tBob\tx\n", "1\t[masked]\tx\n", "nTt");
    text("\tBob\t\n", "\t[masked]\t\n", "tTt");
    text("7\tBob\n8\t\\N\n", "\\N\t[masked]\n\\N\t[masked]\n", "NT");
    text("x\tBob\n", "\\N\tBob\n", "Ut");
    text("a\\t@\\\\\n", "a\\t[masked]\\\\\n", "t");
    text("1\t4111\n", "1\t\\N\n", "nb");
    text(
        "1\t4111\n2\tx@\n3\ty\n",
        "1\t\\N\n2\tx[masked]\n3\ty\n",
        "nu",
    );
    text("\n\n", "\n\n", "");
    text("\n", "[masked]\n", "T");
}

#[test]
fn other_delimiters_and_nulls_are_honoured() {
    becomes(
        text(b'|', "nil"),
        "tTn",
        "a\\|b|nil|nil\n",
        "a\\|b|[masked]|nil\n",
    );
    becomes(text(b'|', "nil"), "tN", "@\\||5\n", "[masked]\\||nil\n");
    becomes(text(b'X', ""), "TtX", "aXbXc\n", "[masked]XbX\n");
    becomes(
        csv(b';', "NULL", b'\'', b'\\'),
        "TtN",
        "NULL;'it\\'s; \\\\';3\n",
        "[masked];'it\\'s; \\\\';NULL\n",
    );
    becomes(
        csv(b';', "NULL", b'\'', b'\\'),
        "t",
        "'it\\'s @ \\\\'\n",
        "'it\\'s [masked] \\\\'\n",
    );
}

#[test]
fn lines_of_csv_are_masked_value_by_value() {
    let csv = |before, after, columns| becomes(csv(b',', "", b'"', b'"'), columns, before, after);
    csv("1,\"a,\"\"b\"\"\nc\",\n", "1,\"a,\"\"b\"\"\nc\",\n", "ntt");
    csv("1,\"a\nb\",x\n", "1,[masked],x\n", "nTt");
    csv(",Bob,\n", ",[masked],\n", "tTt");
    csv("1,\"\",\n", ",[masked],[masked]\n", "NTT");
    csv("\"say \"\"@\"\"\"\n", "\"say \"\"[masked]\"\"\"\n", "t");
    csv("\"\"\n\n", "\"\"\n\n", "t");
    csv("@,b\n", "[masked],b\n", "tt");
}

#[test]
fn what_is_not_whole_rows_is_refused() {
    let plain = || text(b'\t', "\\N");
    for bytes in [
        &b"1\tBob"[..],
        b"1\n",
        b"1\t2\t3\n",
        b"1\tBob\\",
        b"1\tBob\\x41\n",
        b"1\t\\Nx\n",
        b"1\tBob\r\n",
        b"1\t2\n3",
        b"\\.\n",
    ] {
        refused(plain(), "nt", bytes);
    }
    let csv = || csv(b',', "", b'"', b'"');
    for bytes in [
        &b"1,\"Bob"[..],
        b"1,\"Bob\"x\n",
        b"1,Bo\"b\n",
        b"1\n",
        b"1,Bob",
        b"1,\"Bob\"\"\n",
        b"1,Bob\r\n",
    ] {
        refused(csv(), "nt", bytes);
    }
    refused(self::csv(b',', "", b'"', b'\\'), "t", b"\"a\\b\"\n");
    refused(TEXT, "", b"x\n");
    // A row in two messages.
    let mut copying = copying(plain(), "T", None);
    assert!(copying.data(&data(b"Bo"), &At).is_err());
}

#[test]
fn a_line_of_names_passes_and_one_that_is_none_is_a_row() {
    let names: &[&str] = &["id", "we, @"];
    let csv = csv(b',', "", b'"', b'"');
    let mut one = copying(csv.clone(), "nT", Some(names));
    assert!(!one.is_whole());
    let head = b"id,\"we, @\"\n";
    assert_eq!(copied(&mut one, head).as_deref(), Some(&head[..]));
    assert!(one.is_whole());
    // Once only.
    assert_eq!(
        copied(&mut one, head).as_deref(),
        Some(&b"id,[masked]\n"[..])
    );
    let mut other = copying(csv, "nT", Some(names));
    assert_eq!(
        copied(&mut other, b"1,Bob\n").as_deref(),
        Some(&b"1,[masked]\n"[..])
    );
}

fn binary_row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u16(values.len() as u16);
    for value in values {
        match value {
            None => out.put_i32(-1),
            Some(value) => {
                out.put_i32(value.len() as i32);
                out.put_slice(value);
            }
        }
    }
    out
}

#[test]
fn the_binary_format_is_masked_in_place() {
    let row = binary_row;
    let seven = 7i32.to_be_bytes();
    let card = 4111i64.to_be_bytes();
    let end = [0xff, 0xff];
    let all = |rows: &[Vec<u8>]| [BINARY_HEAD.to_vec(), rows.concat(), end.to_vec()].concat();
    for (columns, before, after) in [
        (
            "nt",
            row(&[Some(&seven), Some(b"x")]),
            row(&[Some(&seven), Some(b"x")]),
        ),
        (
            "nT",
            row(&[Some(&seven), Some(b"x")]),
            row(&[Some(&seven), Some(b"[masked]")]),
        ),
        (
            "NT",
            row(&[Some(&seven), None]),
            row(&[None, Some(b"[masked]")]),
        ),
        (
            "nt",
            row(&[Some(&seven), Some(b"a@b")]),
            row(&[Some(&seven), Some(b"a[masked]b")]),
        ),
        (
            "nu",
            row(&[Some(&seven), Some(b"a@b")]),
            row(&[Some(&seven), None]),
        ),
        ("bu", row(&[Some(&card), Some(&card)]), row(&[None, None])),
        ("U", row(&[Some(b"x")]), row(&[None])),
        ("", row(&[]), row(&[])),
    ] {
        let mut copying = copying(CopyFormat::Binary, columns, None);
        let done = copied(&mut copying, &all(&[before.clone(), before.clone()]));
        assert_eq!(
            done,
            Some(all(&[after.clone(), after.clone()])),
            "{columns}"
        );
        assert!(copying.is_whole());
        // The same in messages of their own.
        let mut copying = self::copying(CopyFormat::Binary, columns, None);
        let first = [BINARY_HEAD, &before].concat();
        assert_eq!(
            copied(&mut copying, &first),
            Some([BINARY_HEAD, &after].concat())
        );
        assert_eq!(copied(&mut copying, &before), Some(after));
        assert!(!copying.is_whole());
        assert_eq!(copied(&mut copying, &end), Some(end.to_vec()));
        assert!(copying.is_whole());
        assert_eq!(copied(&mut copying, &end), None);
    }
    let one = row(&[Some(b"Bob")]);
    for bytes in [
        &b"PGCOPY\n\xff\r\n\0\0\0\0\x01\0\0\0\0"[..],
        b"PGCOPY\n",
        b"Bob",
        &[BINARY_HEAD, &one[..4]].concat(),
        &[BINARY_HEAD, &one[..one.len() - 1]].concat(),
        &[BINARY_HEAD, &row(&[None, None])].concat(),
        &[BINARY_HEAD, &[0, 1, 0xff, 0xff, 0xff, 0xfe]].concat(),
        &[BINARY_HEAD, &end, &one].concat(),
    ] {
        refused(CopyFormat::Binary, "t", bytes);
    }
}

#[test]
fn the_answer_must_be_what_was_asked_for() {
    let response = |format: u8, columns: &[i16]| {
        frame_of(message(b'H', |body| {
            body.put_u8(format);
            body.put_u16(columns.len() as u16);
            columns.iter().for_each(|column| body.put_i16(*column));
        }))
        .unwrap()
    };
    let copy = |format| CopyOut {
        format,
        header: None,
    };
    assert_eq!(columns(&response(0, &[0, 0]), &copy(TEXT)), Ok(2));
    assert_eq!(
        columns(&response(1, &[1]), &copy(CopyFormat::Binary)),
        Ok(1)
    );
    assert!(columns(&response(1, &[1]), &copy(TEXT)).is_err());
    assert!(columns(&response(0, &[0, 1]), &copy(TEXT)).is_err());
    assert!(columns(&response(0, &[0]), &copy(CopyFormat::Binary)).is_err());
}
