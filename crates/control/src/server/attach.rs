//! The answer that lasts as long as its run, and the run as long as it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;

use crate::api::Change;
use crate::registry::Attachment;

/// Keeps the run until the client goes away: then the body is dropped, and the attachment with it.
/// The client gets a line whenever the run is suspended or resumed, and a last one when it ends.
pub(super) fn response(attachment: Attachment) -> Response {
    let body = Attached {
        next: Some(next(attachment)),
    };
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::new(body)).into_response()
}

type Next = Pin<Box<dyn Future<Output = (Attachment, Change)> + Send>>;

fn next(mut attachment: Attachment) -> Next {
    Box::pin(async move {
        let change = attachment.change().await;
        (attachment, change)
    })
}

struct Attached {
    /// Owns the attachment. Nothing once the run has ended.
    next: Option<Next>,
}

impl hyper::body::Body for Attached {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(waiting) = &mut self.next else {
            return Poll::Ready(None);
        };
        let (attachment, change) = ready!(waiting.as_mut().poll(context));
        self.next = match change {
            Change::Ended { .. } => None,
            Change::Suspended | Change::Resumed => Some(next(attachment)),
        };
        let mut line = serde_json::to_string(&change).unwrap_or_default();
        line.push('\n');
        Poll::Ready(Some(Ok(Frame::data(line.into()))))
    }
}
