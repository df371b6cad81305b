//! The codings of a response's content, undone as it comes: what cannot be read cannot be masked. Memory
//! is bounded whatever the content says of itself: a decoder gives out a piece at a time, and none before
//! the one before it is taken.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use futures_util::TryStreamExt;
use http::HeaderMap;
use http::header::{self, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use super::client::causes;
use super::upstream::{Content, Lost};
use crate::limits::{DECODED_BYTES, ZSTD_WINDOW_LOG_MAX};

/// What the gateway asks a target for, whatever the agent could read.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, br, zstd");

/// The content of a response without its codings, and its fields without what speaks of them.
///
/// # Errors
/// If the gateway does not know a coding.
pub(crate) fn undone(
    fields: &mut HeaderMap,
    content: Incoming,
    bodiless: bool,
) -> Result<Content, Lost> {
    let coding = coding(fields)?;
    let Some(coding) = coding.filter(|_| !bodiless) else {
        return Ok(content.map_err(gone).boxed_unsync());
    };
    let coded = content.into_data_stream().map_err(std::io::Error::other);
    let coded = StreamReader::new(coded);
    let plain: std::pin::Pin<Box<dyn AsyncRead + Send>> = match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(coded);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Coding::Brotli => Box::pin(BrotliDecoder::new(coded)),
        Coding::Deflate => Box::pin(ZlibDecoder::new(coded)),
        Coding::Zstd => {
            let window = DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX);
            Box::pin(ZstdDecoder::with_params(coded, &[window]))
        }
    };
    fields.remove(header::CONTENT_ENCODING);
    fields.remove(header::CONTENT_LENGTH);
    let pieces = ReaderStream::with_capacity(plain, DECODED_BYTES);
    let pieces = pieces
        .map_ok(Frame::data)
        .map_err(|error| Lost::Gone(format!("its content cannot be decoded: {error}")));
    Ok(StreamBody::new(pieces).boxed_unsync())
}

fn gone(error: hyper::Error) -> Lost {
    Lost::Gone(causes(&error))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Brotli,
    Deflate,
    Zstd,
}

/// The coding that the fields name (RFC 9110, section 8.4), if any.
fn coding(fields: &HeaderMap) -> Result<Option<Coding>, Lost> {
    let mut found = None;
    for value in fields.get_all(header::CONTENT_ENCODING) {
        let names = value.to_str().unwrap_or("?").split(',');
        for name in names.map(|name| name.trim().to_ascii_lowercase()) {
            let coding = match name.as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "br" => Coding::Brotli,
                "deflate" => Coding::Deflate,
                "zstd" => Coding::Zstd,
                _ => {
                    return Err(Lost::Unreadable(
                        "its content has a coding that the gateway did not ask for".into(),
                    ));
                }
            };
            if found.replace(coding).is_some() {
                return Err(Lost::Unreadable("its content is coded twice".into()));
            }
        }
    }
    Ok(found)
}
