//! Answers that go on, such as events: they end with the session that asked for them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::limits::SESSION_LOOK;
use crate::people::{People, Session};

/// Ends an answer that goes on when its session does. Others are not touched.
pub(super) fn until_signed_out(
    response: Response,
    people: &Arc<People>,
    session: Session,
) -> Response {
    let goes_on = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.starts_with(b"text/event-stream") || kind.starts_with(b"application/x-ndjson")
    });
    if !goes_on {
        return response;
    }
    let people = Arc::clone(people);
    response.map(|body| {
        let mut look = interval(SESSION_LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Body::new(Lasting {
            body,
            people,
            session,
            look,
        })
    })
}

struct Lasting {
    body: Body,
    people: Arc<People>,
    session: Session,
    look: Interval,
}

impl hyper::body::Body for Lasting {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.look.poll_tick(context).is_ready() {
            if !self.people.lives(&self.session) {
                return Poll::Ready(None);
            }
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}
