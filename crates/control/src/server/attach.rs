//! The answer that lasts as long as its run, and the run as long as it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::time::{Instant, Interval, interval_at};

use crate::api::Change;
use crate::limits::BEAT_TIME;
use crate::registry::Attachment;

/// Keeps the run until the client goes away: then the body is dropped, and the attachment with it.
/// The client gets a line whenever the run is suspended or resumed, and a last one when it ends. An empty line now and then
/// says that the gateway is still there.
pub(super) fn response(attachment: Attachment) -> Response {
    let body = Attached {
        next: Some(next(attachment)),
        beat: interval_at(Instant::now() + BEAT_TIME, BEAT_TIME),
    };
    let head = [
        (CONTENT_TYPE, "application/x-ndjson"),
        // What stands between must not keep lines back (nginx).
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (head, Body::new(body)).into_response()
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
    beat: Interval,
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
        let Poll::Ready((attachment, change)) = waiting.as_mut().poll(context) else {
            ready!(self.beat.poll_tick(context));
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"\n")))));
        };
        self.next = match change {
            Change::Ended { .. } => None,
            Change::Suspended | Change::Resumed => Some(next(attachment)),
        };
        let mut line = serde_json::to_string(&change).unwrap_or_default();
        line.push('\n');
        Poll::Ready(Some(Ok(Frame::data(line.into()))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::registry::Opening;
    use crate::testing::{House, opening};

    #[tokio::test]
    async fn somebody_who_hears_nothing_new_hears_that_it_is_there() {
        let house = House::new();
        let registry = house.start().await.registry;
        let attached = Opening {
            attach: true,
            ..opening("sweep")
        };
        let run = registry.open_run(attached).await.unwrap().run.id;
        let beat = Duration::from_millis(10);
        let mut body = Attached {
            next: Some(next(
                registry.attach(&run, &opening("sweep").launcher).unwrap(),
            )),
            beat: interval_at(Instant::now() + beat, beat),
        };
        for _ in 0..3 {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "\n");
        }
        registry.stop().await;
        let mut last = Bytes::new();
        while let Some(frame) = body.frame().await {
            last = frame.unwrap().into_data().unwrap();
        }
        assert!(last.starts_with(b"{\"now\":\"ended\""), "{last:?}");
    }
}
