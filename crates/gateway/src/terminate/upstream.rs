//! What answers the requests that a session lets through.

use std::pin::Pin;
use std::sync::Arc;

use bailiwick_wire::http::bhttp;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

use super::body::Body;

/// What answers requests.
pub(crate) trait Upstream: Send + Sync {
    /// Sends a request, and waits for the head of its response. To drop what this returns, or the content
    /// of the response, gives the request up.
    fn send(self: Arc<Self>, head: bhttp::Request, content: Body) -> Sending;
}

/// A request on its way, up to the head of its response.
pub(crate) type Sending = Pin<Box<dyn Future<Output = Result<Reply, Lost>> + Send>>;

/// A response.
pub(crate) struct Reply {
    pub(crate) head: bhttp::Response,
    pub(crate) content: Content,
}

/// The content of a response, as it comes, with no coding on it.
pub(crate) type Content = UnsyncBoxBody<Bytes, Lost>;

/// There is no response, or not all of it. In words for whoever runs the gateway: they name addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lost {
    /// Nothing of the request was sent.
    #[error("{0}")]
    Unsent(String),
    /// The request was sent, at least in part.
    #[error("{0}")]
    Gone(String),
    /// The response is none that the gateway can read.
    #[error("{0}")]
    Unreadable(String),
}
