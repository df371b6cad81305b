use super::*;
use crate::content::testing::{run, veil};

fn masked(text: &[u8]) -> Result<(String, u64), (Broken, String)> {
    let new = || Text::new(veil(&[]));
    run(new, Text::feed, Text::finish, Text::masked, text)
}

#[test]
fn text_is_masked_however_it_is_cut() {
    let (text, count) = masked(b"hello bob@x.org\nand bob@x.org").unwrap();
    assert_eq!(text, "hello [masked:email]\nand [masked:email]");
    assert_eq!(count, 2);
    assert_eq!(masked(b"").unwrap().0, "");
    assert_eq!(
        masked("<?xml version=\"1.0\"?>\n<a>bob@x.org</a>".as_bytes())
            .unwrap()
            .1,
        1
    );
    assert_eq!(
        masked(b"<?xml version='1.0' encoding='utf-8'?>bob@x.org")
            .unwrap()
            .1,
        1
    );
    assert_eq!(masked(b"\xef\xbb\xbfbob@x.org").unwrap().1, 1);
    assert_eq!(masked(b"<?x").unwrap().0, "<?x");
}

#[test]
fn bytes_that_are_not_utf8_are_kept() {
    let mut text = Text::new(veil(&[]));
    let mut out = BytesMut::new();
    text.feed(b"caf\xe9 bob@x.org \xff\n", &mut out).unwrap();
    assert_eq!(&out[..], b"caf\xe9 [masked:email] \xff\n");
}

#[test]
fn a_text_in_another_encoding_is_refused() {
    let utf16: Vec<u8> = "bob@x.org"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let marked: Vec<u8> = "\u{feff}\u{4e00}"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    for text in [
        &utf16[..],
        &marked,
        b"\xff\xfe",
        b"<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>",
        b"<?xml version='1.0' encoding = 'utf-7' ?><a>bob+AEA-x.org</a>",
        b"\xef\xbb\xbf<?xml version='1.0' encoding='IBM037'?>",
        b"\x4c\x6f\xa7\x94\x93",
        b"+/v8-",
    ] {
        let (broken, out) = masked(text).unwrap_err();
        assert_eq!(broken, Broken::Encoding);
        assert_eq!(out, "");
    }
    let long = format!("<?xml {} encoding='utf-16'?>", " ".repeat(START_BYTES));
    assert_eq!(masked(long.as_bytes()).unwrap_err().0, Broken::Encoding);
}

#[test]
fn whole_lines_go_out_at_once() {
    let mut text = Text::new(veil(&[]));
    let mut out = BytesMut::new();
    text.feed(b"one\ntwo", &mut out).unwrap();
    assert_eq!(&out[..], b"one\n");
}

#[test]
fn what_never_settles_is_an_error_and_does_not_go_out() {
    let mut text = Text::new(veil(&[]));
    let mut out = BytesMut::new();
    let line = [b'x'; 64 * 1024];
    let fed = (0..20).try_for_each(|_| text.feed(&line, &mut out));
    assert_eq!(fed, Err(Broken::TooLong));
    assert!(out.is_empty());
}
