//! Where notices go.

use std::fmt;
use std::path::PathBuf;

use crate::people::Fetch;

/// One place that notices go to.
#[derive(Clone)]
pub struct Sink {
    /// Its name in the configuration.
    pub name: String,
    /// How it is reached.
    pub way: Way,
}

/// How a sink is reached.
#[derive(Clone)]
pub enum Way {
    /// By a webhook that is signed, as Standard Webhooks say.
    Webhook {
        /// Where.
        url: String,
        /// The key that signs, 24 to 64 bytes.
        secret: Vec<u8>,
        /// What sends it. What goes wrong there is told without the URL.
        fetch: Fetch,
    },
    /// By a webhook of Slack, or of what takes the same.
    Slack {
        /// Where. Whoever has it can post.
        url: String,
        /// What sends it. What goes wrong there is told without the URL.
        fetch: Fetch,
    },
    /// As log records of OpenTelemetry, over HTTP with JSON.
    Otlp {
        /// Where, with `/v1/logs`.
        url: String,
        /// Fields of each request, with what lets it in.
        fields: Vec<(String, String)>,
        /// What sends it. What goes wrong there is told without the URL.
        fetch: Fetch,
    },
    /// As messages of RFC 5424.
    Syslog(Syslog),
}

/// Where a syslog server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Syslog {
    /// A datagram each (RFC 5426).
    Udp {
        /// Host name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A connection each, framed by a count of bytes (RFC 6587, section 3.4.1).
    Tcp {
        /// Host name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A datagram each, to a socket of this machine, such as `/dev/log`.
    Unix(PathBuf),
}

/// Names no secret, and a URL may be one.
impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
