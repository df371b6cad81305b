use super::*;
use crate::content::testing::{run, veil};
use crate::limits::EVENT_BYTES_MAX;

fn masked(fields: &[&str], text: &str) -> Result<(String, u64), (Broken, String)> {
    let new = || Events::new(veil(fields));
    run(
        new,
        Events::feed,
        Events::finish,
        Events::masked,
        text.as_bytes(),
    )
}

#[track_caller]
fn becomes(fields: &[&str], text: &str, expected: &str) {
    assert_eq!(masked(fields, text).unwrap().0, expected, "{text:?}");
}

fn read(text: &str) -> Vec<Item> {
    let mut all = Vec::new();
    Reader::new().feed(text.as_bytes(), &mut all).unwrap();
    let mut reader = Reader::new();
    let mut cut = Vec::new();
    for byte in text.as_bytes() {
        reader.feed(std::slice::from_ref(byte), &mut cut).unwrap();
    }
    assert_eq!(all, cut);
    all
}

#[test]
fn a_stream_is_read_as_the_specification_says() {
    let data = |data: &str| Item::Event(Event::with_data(data));
    assert_eq!(
        read("data: YHOO\ndata: +2\ndata: 10\n\n"),
        [data("YHOO\n+2\n10")]
    );
    assert_eq!(read("data\n\ndata\ndata\n\ndata:"), [data(""), data("\n")]);
    assert_eq!(
        read("data:test\r\rdata: test\r\n\r\n"),
        [data("test"), data("test")]
    );
    assert_eq!(read("\u{feff}data:  x\n\n"), [data(" x")]);
    assert_eq!(
        read(": hi\n\n:\n\n"),
        [Item::Comment(b" hi".into()), Item::Comment(b"".into())]
    );
    let event = Event {
        event: Some(b"add".into()),
        data: Some(b"x:y".into()),
        id: Some(b"1".into()),
        retry: Some(50),
    };
    assert_eq!(
        read("event: add\nid: 1\nretry: 50\nretry: x5\nunknown: 1\ndata: x:y\n\n"),
        [Item::Event(event)]
    );
    assert_eq!(
        read("id\n\n"),
        [Item::Event(Event {
            id: Some(Vec::new()),
            ..Event::default()
        })]
    );
}

#[test]
fn what_is_written_reads_back_as_the_same() {
    let event = Event {
        event: Some(b"add".into()),
        data: Some(b"x\n\n y\n".into()),
        id: Some(b"".into()),
        retry: Some(5),
    };
    let mut out = BytesMut::new();
    event.write(&mut out);
    assert_eq!(read(str::from_utf8(&out).unwrap()), [Item::Event(event)]);
    let mut out = BytesMut::new();
    Event {
        id: Some(b"1\ndata: forged".into()),
        ..Event::with_data("a\r\nb\rc")
    }
    .write(&mut out);
    assert_eq!(&out[..], b"id: 1\ndata: a\ndata: b\ndata: c\n\n");
}

#[test]
fn every_field_is_masked() {
    becomes(
        &[],
        "event: bob@x.org\nid: bob@x.org\ndata: bob@x.org\n: bob@x.org\nx: bob@x.org\n\n",
        ": [masked:email]\nevent: [masked:email]\nid: [masked:email]\ndata: [masked:email]\n\n",
    );
    becomes(
        &["$.a"],
        "data: {\"a\":1,\"b\":\"bob\\u0040x.org\"}\r\n\r\n",
        "data: {\"a\":\"[masked]\",\"b\":\"[masked:email]\"}\n\n",
    );
    becomes(
        &["$.a"],
        "data: {\"a\":\ndata: 1}\n\n",
        "data: {\"a\":\ndata: \"[masked]\"}\n\n",
    );
    becomes(&["$.a"], "data: [DONE]\n\n", "data: [DONE]\n\n");
    becomes(
        &[],
        "data: {\"a\": bob@x.org\n\ndata: {\"a\":\"bob@x.org\"}\n\n",
        "data: {\"a\": [masked:email]\n\ndata: {\"a\":\"[masked:email]\"}\n\n",
    );
    assert_eq!(
        masked(&[], "data: [\"bob@x.org\",\n\ndata: \"bob@x.org\"\n\n")
            .unwrap()
            .1,
        2
    );
    // An event that is not ended.
    becomes(
        &[],
        "data: bob@x.org\nid: 7",
        "id: 7\ndata: [masked:email]\n",
    );
}

#[test]
fn what_cannot_be_masked_does_not_go_out() {
    let (broken, out) = masked(&["$.a"], "data: {\"a\":'x'}\n\n").unwrap_err();
    assert_eq!((broken, out.as_str()), (Broken::Syntax, ""));
    assert_eq!(masked(&[], "d\0a\0t\0a\0").unwrap_err().0, Broken::Encoding);
    let mut events = Events::new(veil(&[]));
    let mut out = BytesMut::new();
    let line = format!("data: {}\n", "x".repeat(60_000));
    let mut lines = 0..=EVENT_BYTES_MAX / line.len();
    let fed = lines.try_for_each(|_| events.feed(line.as_bytes(), &mut out));
    assert_eq!(fed, Err(Broken::TooLong));
}

#[test]
fn an_event_goes_out_as_soon_as_it_is_whole() {
    let mut events = Events::new(veil(&[]));
    let mut out = BytesMut::new();
    events.feed(b"data: a\r\n\r", &mut out).unwrap();
    assert_eq!(&out[..], b"data: a\n\n");
    events.feed(b"\ndata: b\n: keep-alive\n", &mut out).unwrap();
    assert_eq!(&out[..], b"data: a\n\n: keep-alive\n");
}
