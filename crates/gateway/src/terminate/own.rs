//! Requests of the gateway's own to a target that speaks HTTP: in no run's name, with no agent to answer.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_run::{Cut, RunId, Time};
use bailiwick_wire::http::bhttp;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use tokio::sync::watch;
use tokio::time::timeout;

use super::body::Body;
use super::client::Client;
use super::command::Commands;
use super::upstream::{Lost, Upstream};
use crate::limits::OWN_ANSWER_BYTES_MAX;
use crate::target::Target;

/// How long one answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// A target, reached as the gateway itself reaches it: with its credential, or by starting its program.
pub struct Own {
    upstream: Arc<dyn Upstream>,
    /// The path of its URL.
    path: String,
    /// Ends its program when it is dropped.
    _lives: watch::Sender<Option<Cut>>,
}

/// What a target answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// Its header fields, their names in lower case. Those that are no text are left out.
    pub fields: Vec<(String, String)>,
    /// Its content.
    pub content: Vec<u8>,
}

impl Own {
    /// A target that speaks HTTP.
    ///
    /// # Errors
    /// If it cannot be reached, whatever is sent; says why.
    pub fn new(target: &Target) -> Result<Self, String> {
        let (lives, ended) = watch::channel(None);
        let upstream: Arc<dyn Upstream> = match &target.upstream.command {
            Some(command) => {
                // Of no run: this one never was.
                let nobody = RunId::new(Time::from_millis(0), [0; 10]);
                Arc::new(Commands::new(&target.name, command, nobody, ended))
            }
            None => Arc::new(Client::new(target).map_err(|lost| lost.to_string())?),
        };
        let path = match target.endpoint.database.as_str() {
            "" => "/",
            base => base,
        };
        Ok(Self {
            upstream,
            path: path.to_owned(),
            _lives: lives,
        })
    }

    /// Sends a request to its URL and waits for the whole answer.
    ///
    /// # Errors
    /// If there is none, or it is too long or takes too long; says why, and names addresses.
    pub async fn ask(
        &self,
        method: &str,
        fields: Vec<(String, String)>,
        content: Vec<u8>,
    ) -> Result<Answered, String> {
        let head = bhttp::Request {
            method: method.to_owned(),
            path: self.path.clone(),
            fields: fields
                .into_iter()
                .map(|(name, value)| (name, Bytes::from(value)))
                .collect(),
            ..bhttp::Request::default()
        };
        let sent = Arc::clone(&self.upstream).send(head, Body::Whole(content.into()));
        let answered = async {
            let reply = sent.await.map_err(|lost| lost.to_string())?;
            let content = Limited::new(reply.content, OWN_ANSWER_BYTES_MAX);
            let content = content.collect().await;
            let content = content.map_err(|error| match error.downcast::<Lost>() {
                Ok(lost) => lost.to_string(),
                Err(error) => error.to_string(),
            })?;
            let fields = reply.head.fields.into_iter();
            Ok(Answered {
                status: reply.head.status,
                fields: fields
                    .filter_map(|(name, value)| Some((name, String::from_utf8(value.into()).ok()?)))
                    .collect(),
                content: content.to_bytes().into(),
            })
        };
        match timeout(ANSWER_TIME_MAX, answered).await {
            Ok(answered) => answered,
            Err(_) => Err(format!(
                "it did not answer within {} s",
                ANSWER_TIME_MAX.as_secs()
            )),
        }
    }
}
