use std::time::Duration;

/// Asks servers over HTTP: witnesses for cosignatures, and logs elsewhere for their files. Blocks the
/// thread that asks, so it is not for use inside an async runtime.
///
/// This crate opens no connections itself; whoever uses it says how.
pub trait Transport: Send + Sync + 'static {
    /// Gets what is at an `http` or `https` URL.
    ///
    /// # Errors
    /// If there is no whole answer within the bounds. A status such as 404 is an answer.
    fn get(&self, url: &str, bounds: Bounds) -> Result<Answer, TransportError>;

    /// Posts a body. It may be sent a second time if the first connection breaks, so this is for
    /// requests that do no harm when repeated.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn post(&self, url: &str, body: &[u8], bounds: Bounds) -> Result<Answer, TransportError>;
}

/// How much somebody who asks takes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The longest body of an answer, in bytes.
    pub body: usize,
    /// How long it may take, from the first look-up to the last byte.
    pub time: Duration,
}

/// What a server has answered. A redirection is not followed: it is the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What the body says it is, if it says so: the media type alone, without parameters.
    pub content_type: Option<String>,
    /// How long to wait before the next question, if it says so: `Retry-After` as it is (RFC 9110, section 10.2.3).
    pub retry_after: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The URL is not one that can be asked.
    #[error("`{url}` cannot be asked: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// Why not.
        reason: String,
    },
    /// Nobody is there, or the connection broke.
    #[error("{url} does not answer: {reason}")]
    Unreachable {
        /// The URL.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It took too long.
    #[error("{url} did not answer within {} s", time.as_secs_f32())]
    TimedOut {
        /// The URL.
        url: String,
        /// How long it may.
        time: Duration,
    },
    /// The answer is too long.
    #[error("{url} answered with more than {limit} bytes")]
    TooLong {
        /// The URL.
        url: String,
        /// How many it may be.
        limit: usize,
    },
}
