//! Content that a target sends coded.

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::house::{House, There, until, whole};

async fn all(mut reader: impl AsyncRead + Unpin) -> Bytes {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.unwrap();
    bytes.into()
}

fn coded(coding: &'static str, content: Bytes) -> Response<super::house::Said> {
    let mut response = Response::new(Full::new(content).boxed_unsync());
    let fields = response.headers_mut();
    fields.insert("content-encoding", coding.parse().unwrap());
    fields.insert("content-type", "text/plain".parse().unwrap());
    response
}

/// How a long answer begins and ends.
fn ends(answer: &str) -> String {
    let begin: String = answer.chars().take(300).collect();
    let end = answer.get(answer.len().saturating_sub(100)..);
    let end = end.unwrap_or_default();
    format!("{} bytes: {begin:?} … {end:?}", answer.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn codings_are_undone_and_unknown_ones_refused() {
    let plain = "q is all of it. ".repeat(10_000);
    let coded_as = [
        ("gzip", all(GzipEncoder::new(plain.as_bytes())).await),
        ("br", all(BrotliEncoder::new(plain.as_bytes())).await),
        ("deflate", all(ZlibEncoder::new(plain.as_bytes())).await),
        ("zstd", all(ZstdEncoder::new(plain.as_bytes())).await),
    ];
    let answers = coded_as.clone();
    let there = There::new(move |parts| {
        let path = parts.uri.path().trim_start_matches("/open/");
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        match answers.iter().find(|(coding, _)| *coding == name) {
            Some((coding, content)) if rest == "cut" => {
                coded(coding, content.slice(..content.len() - 9))
            }
            Some((coding, content)) => coded(coding, content.clone()),
            None if name == "twice" => coded("gzip, br", Bytes::from_static(b"x")),
            None => coded("compress", Bytes::from_static(b"x")),
        }
    })
    .await;
    let house = House::new(there.port).await;
    for (coding, _) in &coded_as {
        let answer = house.ask(&format!("GET /crm/open/{coding}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "{coding} {}",
            ends(&answer)
        );
        assert!(!answer.contains("content-encoding"));
        let content = whole(&answer);
        assert!(content == Some(plain.clone()), "{coding} {}", ends(&answer));
        let answer = house.ask(&format!("GET /crm/open/{coding}/cut")).await;
        let looks_whole = answer.starts_with("HTTP/1.1 200") && whole(&answer).is_some();
        assert!(!looks_whole, "{coding} {}", ends(&answer));
    }
    for unknown in ["compress", "twice"] {
        let answer = house.ask(&format!("GET /crm/open/{unknown}")).await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    }
    let got = there.got.lock().unwrap();
    assert_eq!(got[0].0.headers["accept-encoding"], "gzip, br, zstd");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_swells_is_never_there_whole() {
    // 4 GiB of nothing, in 4 MiB: whoever undid it at once would have it all in memory.
    let zeros = tokio::io::repeat(b' ').take(256 << 20);
    let one = all(GzipEncoder::new(tokio::io::BufReader::with_capacity(
        1 << 20,
        zeros,
    )))
    .await;
    let bomb: Bytes = one.repeat(16).into();
    let there = There::new(move |_| coded("gzip", bomb.clone())).await;
    let house = House::new(there.port).await;
    let mut stream = house.connect().await;
    let request = format!("{}\r\n", house.head("GET /crm/open/bomb"));
    stream.write_all(request.as_bytes()).await.unwrap();
    until(&mut stream, "    ").await;
    // An agent that does not read gets no more undone for it.
    let before = resident();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    drop(stream);
    house.recorded(3).await;
}

/// Bytes of memory that this process has in use.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
