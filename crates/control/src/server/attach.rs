//! The answer that lasts as long as its run, and the run as long as it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bailiwick_run::Ending;
use bytes::Bytes;
use hyper::body::Frame;

use crate::api::Ended;
use crate::registry::Attachment;

/// Keeps the run until the client goes away: then the body is dropped, and the attachment with it.
/// When the run ends first, the client gets one line that says why.
pub(super) fn response(attachment: Attachment) -> Response {
    let body = Attached {
        ended: Some(Box::pin(async move { attachment.ended().await })),
    };
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::new(body)).into_response()
}

struct Attached {
    /// Owns the attachment. Nothing once it has been answered.
    ended: Option<Pin<Box<dyn Future<Output = Ending> + Send>>>,
}

impl hyper::body::Body for Attached {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(ended) = &mut self.ended else {
            return Poll::Ready(None);
        };
        let Poll::Ready(ending) = ended.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.ended = None;
        let mut line = serde_json::to_string(&Ended { ending }).unwrap_or_default();
        line.push('\n');
        Poll::Ready(Some(Ok(Frame::data(line.into()))))
    }
}
