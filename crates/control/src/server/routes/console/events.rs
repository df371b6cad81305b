//! What tells a browser that something changed: server-sent events (HTML Living Standard, section 9.2). They say
//! which runs changed and nothing else; the browser then asks for its page again.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bailiwick_run::RunId;
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::View;
use crate::limits::{
    CONSOLE_EVENTS_ALIVE, CONSOLE_EVENTS_MAX, CONSOLE_EVENTS_PAUSE, CONSOLE_EVENTS_RUNS_MAX,
};
use crate::server::problem::Refusal;
use crate::view::{Change, Changes};

/// Places for browsers that listen.
#[derive(Clone)]
pub(super) struct Listeners(Arc<Semaphore>);

impl Listeners {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(CONSOLE_EVENTS_MAX)))
    }
}

pub(super) async fn events(
    view: View,
    Extension(Listeners(places)): Extension<Listeners>,
) -> Result<Response, Refusal> {
    let place = places.try_acquire_owned().map_err(|_| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-listeners",
            format!("{CONSOLE_EVENTS_MAX} browsers are told of changes already; pages still show what is new when they are loaded again"),
        )
    })?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(tell(view.app.registry.changes(), sender));
    let body = Body::new(Events {
        receiver,
        _place: place,
    });
    Ok(([(CONTENT_TYPE, "text/event-stream; charset=utf-8")], body).into_response())
}

/// Tells of changes until nobody listens or there are no more.
async fn tell(mut changes: Changes, to: mpsc::Sender<Bytes>) {
    if to
        .send(Bytes::from_static(b"event: hello\ndata: {}\n\n"))
        .await
        .is_err()
    {
        return;
    }
    loop {
        let mut news = News::default();
        let heard = tokio::select! {
            () = to.closed() => return,
            heard = timeout(CONSOLE_EVENTS_ALIVE, changes.next()) => heard,
        };
        let event = match heard {
            Ok(None) => return,
            // A comment: nothing for the script, but a connection that is gone is noticed.
            Err(_) => Bytes::from_static(b": here\n\n"),
            Ok(Some(change)) => {
                news.add(&change);
                // What comes in quick succession is told at once.
                sleep(CONSOLE_EVENTS_PAUSE).await;
                while let Ok(Some(change)) =
                    timeout(std::time::Duration::ZERO, changes.next()).await
                {
                    news.add(&change);
                }
                news.event()
            }
        };
        if to.send(event).await.is_err() {
            return;
        }
    }
}

/// What changed since the last event.
#[derive(Debug, Default)]
struct News {
    runs: BTreeSet<RunId>,
    all: bool,
}

impl News {
    fn add(&mut self, change: &Change) {
        match change {
            Change::Everything => self.all = true,
            Change::Some { runs, .. } => self.runs.extend(runs),
        }
        self.all |= self.runs.len() > CONSOLE_EVENTS_RUNS_MAX;
    }

    fn event(&self) -> Bytes {
        let names: Vec<String> = self.runs.iter().map(ToString::to_string).collect();
        let data = match self.all {
            true => json!({}),
            false => json!({ "runs": names }),
        };
        Bytes::from(format!("event: change\ndata: {data}\n\n"))
    }
}

struct Events {
    receiver: mpsc::Receiver<Bytes>,
    /// Given back when the browser goes away.
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = self.receiver.poll_recv(context);
        event.map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_run::Time;

    #[test]
    fn an_event_says_which_runs_changed_and_nothing_else() {
        let run = RunId::new(Time::from_millis(1), [1; 10]);
        let mut news = News::default();
        news.add(&Change::Some {
            runs: [run].into(),
            gateway: true,
        });
        let expected = format!("event: change\ndata: {{\"runs\":[\"{run}\"]}}\n\n");
        assert_eq!(news.event(), expected);
        news.add(&Change::Everything);
        assert_eq!(news.event(), "event: change\ndata: {}\n\n");
    }
}
