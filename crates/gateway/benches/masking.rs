//! What masking costs: megabytes a second on one core, of each sort of content, with all detectors, in
//! pieces as they come from a socket.
//!
//! `cargo bench -p bailiwick-gateway --bench masking`

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_action::FieldPath;
use bailiwick_mask::{Detectors, WHOLE};
use bailiwick_wire::content::Masker;
use bailiwick_wire::{Masked, Veil};
use bytes::BytesMut;

const PIECE_BYTES: usize = 16 * 1024;
const CONTENT_BYTES: usize = 4 * 1024 * 1024;
const AT_LEAST: Duration = Duration::from_millis(700);

struct Scope {
    detectors: Detectors,
    fields: Vec<FieldPath>,
}

impl Veil for Scope {
    fn masked(&self) -> Vec<Masked> {
        Vec::new()
    }

    fn fields(&self) -> &[FieldPath] {
        &self.fields
    }

    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let rewritten = self.detectors.rewrite(text)?;
        Some((rewritten.bytes, rewritten.count))
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

fn main() {
    let scope = |fields: &[&str]| {
        let path = |text: &&str| FieldPath::parse(text).ok();
        Arc::new(Scope {
            detectors: Detectors::new(),
            fields: fields.iter().filter_map(path).collect(),
        })
    };
    let plain = scope(&[]);
    let fields = scope(&["$[*].customer.name", "$..reference", "$[*].tags[*]"]);
    let sparse = json(200, false);
    let pretty = json(200, true);
    let dense = json(1, false);
    let text = prose();
    let events = events();
    let columns = columns();

    println!("{:<34} {:>9} {:>10}", "", "MB/s", "masked");
    let mut copy = Vec::with_capacity(CONTENT_BYTES);
    show("copied (memcpy)", &sparse, || {
        copy.clear();
        copy.extend_from_slice(std::hint::black_box(&sparse));
        0
    });
    show("detectors alone, JSON sparse", &sparse, || {
        let pieces = sparse.chunks(PIECE_BYTES);
        pieces
            .filter_map(|piece| plain.rewrite(piece))
            .map(|(_, count)| count)
            .sum()
    });
    show("detectors alone, text columns", &columns.concat(), || {
        let texts = columns.iter();
        texts
            .filter_map(|text| plain.rewrite(text))
            .map(|(_, count)| count)
            .sum()
    });
    let json = "application/json";
    for (name, kind, content, veil) in [
        ("JSON, sparse", json, &sparse, &plain),
        ("JSON, sparse, pretty-printed", json, &pretty, &plain),
        ("JSON, dense", json, &dense, &plain),
        ("JSON, masked fields", json, &sparse, &fields),
        ("text", "text/plain", &text, &plain),
        ("server-sent events", "text/event-stream", &events, &plain),
    ] {
        show(name, content, || mask(kind, content, veil));
    }
}

fn mask(kind: &str, content: &[u8], veil: &Arc<Scope>) -> u64 {
    let mut masker = Masker::for_type(Some(kind.as_bytes()), veil.clone());
    let mut out = BytesMut::with_capacity(4 * PIECE_BYTES);
    for piece in content.chunks(PIECE_BYTES) {
        out.clear();
        let fed = masker.feed(piece, &mut out);
        assert!(fed.is_ok(), "{fed:?}");
    }
    let finished = masker.finish(&mut out);
    assert!(finished.is_ok(), "{finished:?}");
    masker.masked()
}

/// The best of several rounds: what else the machine did is not of interest.
fn show(name: &str, content: &[u8], mut round: impl FnMut() -> u64) {
    let mut masked = round();
    let mut best = Duration::MAX;
    let start = Instant::now();
    while start.elapsed() < AT_LEAST {
        let start = Instant::now();
        masked = round();
        best = best.min(start.elapsed());
    }
    let rate = content.len() as f64 / best.as_secs_f64() / 1e6;
    println!("{name:<34} {rate:>9.0} {masked:>10}");
}

/// An answer of an API: a list of orders, every `nth` with an address and a card in it.
fn json(nth: u64, is_pretty: bool) -> Vec<u8> {
    let mut text = String::from("[");
    let mut index = 0_u64;
    while text.len() < CONTENT_BYTES {
        index += 1;
        let random = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let contact = match index.is_multiple_of(nth) {
            true => format!("\"ann{index}@example.com\", \"card\": 4111111111111111"),
            false => "null".into(),
        };
        let order = format!(
            r#"{{"id": {index}, "uuid": "{random:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}", "created_at": "2026-11-{:02}T07:{:02}:54Z", "status": "in_progress", "reference": "ORD-{}", "customer": {{"id": {}, "name": "Ann Miller", "contact": {contact}, "newsletter": false}}, "total": {}.{:02}, "currency": "EUR", "items": [{{"sku": "A-{}", "title": "Folding chair, oak", "quantity": {}, "price": 79.5}}, {{"sku": "B-{}", "title": "Lamp \"Sol\" with a warm light", "quantity": 1, "price": 129.0}}], "tags": ["fragile", "gift"], "note": "Please leave it with the neighbours on the second floor if nobody answers; the bell does not always work.", "url": "https://api.example.com/v2/orders/{index}", "parent": null}}"#,
            random & 0xffff,
            random >> 20 & 0xfff,
            random >> 32 & 0xfff,
            random >> 8 & 0xffff_ffff_ffff,
            random % 28 + 1,
            random % 60,
            random % 1_000_000,
            random % 90_000,
            random % 1_000,
            random % 100,
            random % 9_999,
            random % 9 + 1,
            random % 7_777,
        );
        if index > 1 {
            text.push(',');
        }
        text.push_str(&match is_pretty {
            true => order.replace(", \"", ",\n    \""),
            false => order.replace(": ", ":").replace(", \"", ",\""),
        });
    }
    text.push(']');
    text.into_bytes()
}

fn prose() -> Vec<u8> {
    let mut text = String::new();
    let mut line = 0;
    while text.len() < CONTENT_BYTES {
        line += 1;
        text.push_str("2026-11-23 07:15:54.123 INFO  worker-3 handled request GET /v2/orders/81723 in 12 ms, 200, 5312 bytes\n");
        if line % 200 == 0 {
            text.push_str("told bob@example.com about it\n");
        }
    }
    text.into_bytes()
}

/// As a language model's answer streams, an event every few words.
fn events() -> Vec<u8> {
    let mut text = String::new();
    let mut index = 0;
    while text.len() < CONTENT_BYTES {
        index += 1;
        let content = match index % 200 {
            0 => " to bob@example.com",
            _ => " the quick brown fox",
        };
        text.push_str(&format!(
            "event: delta\nid: {index}\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{content}\"}}}}\n\n"
        ));
    }
    text.into_bytes()
}

/// Values as they stand in the text columns of rows.
fn columns() -> Vec<Vec<u8>> {
    let mut columns = Vec::new();
    for index in 0..40_000_u64 {
        let value = match index % 5 {
            0 => format!("Order {index} was sent to the wrong address and came back, please call"),
            1 => "in_progress".into(),
            2 => format!("2026-11-23 07:15:{:02}.123456+00", index % 60),
            3 => format!(
                "Ann Miller of {} Long Street, Springfield, has not answered yet",
                index % 900
            ),
            _ if index % 1_000 == 4 => format!("ann{index}@example.com"),
            _ => "https://api.example.com/v2/orders/81723/items?page=2&sort=price".into(),
        };
        columns.push(value.into_bytes());
    }
    columns
}
