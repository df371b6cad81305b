//! A veil for tests: it knows one address, one card and one name of a secret.

use std::sync::Arc;

use bailiwick_action::FieldPath;
use bytes::BytesMut;

use super::Broken;
use crate::{Masked, Veil};

pub(super) struct TestVeil(Vec<FieldPath>);

/// A veil that masks these fields.
pub(super) fn veil(fields: &[&str]) -> Arc<TestVeil> {
    let fields = fields.iter().map(|text| FieldPath::parse(text).unwrap());
    Arc::new(TestVeil(fields.collect()))
}

impl Veil for TestVeil {
    fn masked(&self) -> Vec<Masked> {
        Vec::new()
    }

    fn fields(&self) -> &[FieldPath] {
        &self.0
    }

    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let mut count = 0;
        let mut out = Vec::new();
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let rest = &text[at..];
            if let Some(kind) = [("bob@x.org", "email"), ("4111111111111111", "card")]
                .iter()
                .find_map(|(word, kind)| rest.starts_with(word.as_bytes()).then_some((word, kind)))
            {
                out.extend_from_slice(format!("[masked:{}]", kind.1).as_bytes());
                at += kind.0.len();
                count += 1;
            } else if let Some(value) = rest.strip_prefix(br#"password":""#)
                && let end = value
                    .iter()
                    .position(|byte| *byte == b'"')
                    .unwrap_or(value.len())
                && end > 3
                && !value.starts_with(b"[masked")
            {
                out.extend_from_slice(br#"password":"[masked:secret]"#);
                at += rest.len() - value.len() + end;
                count += 1;
            } else {
                out.push(*byte);
                at += 1;
            }
        }
        (count > 0).then_some((out, count))
    }

    fn placeholder(&self) -> &'static str {
        "[masked]"
    }

    fn has_placeholder(&self, bytes: &[u8]) -> bool {
        bytes.windows(8).any(|window| window == b"[masked]")
    }
}

/// What comes out of a masker: fed at once, a byte at a time and in threes, which has to be the same. Before
/// an error, what had gone out.
#[track_caller]
pub(super) fn run<M>(
    new: impl Fn() -> M,
    feed: impl Fn(&mut M, &[u8], &mut BytesMut) -> Result<(), Broken>,
    finish: impl Fn(&mut M, &mut BytesMut) -> Result<(), Broken>,
    masked: impl Fn(&M) -> u64,
    content: &[u8],
) -> Result<(String, u64), (Broken, String)> {
    let once = |size: usize| {
        let mut masker = new();
        let mut out = BytesMut::new();
        let mut pieces = content.chunks(size);
        let fed = pieces.try_for_each(|piece| feed(&mut masker, piece, &mut out));
        let done = fed.and_then(|()| finish(&mut masker, &mut out));
        let text = String::from_utf8_lossy(&out).into_owned();
        match done {
            Ok(()) => Ok((text, masked(&masker))),
            Err(broken) => Err((broken, text)),
        }
    };
    let whole = once(content.len().max(1));
    for size in [1, 3] {
        match (&whole, once(size)) {
            (Ok(whole), Ok(cut)) => assert_eq!(&cut, whole),
            (Err((whole, _)), Err((cut, _))) => assert_eq!(cut, *whole),
            (whole, cut) => panic!("{whole:?} at once, {cut:?} cut"),
        }
    }
    whole
}
