//! Lines of JSON-RPC to exchanges of HTTP, and back
//! (<https://modelcontextprotocol.io/specification/2026-07-28/basic/transports>).
//!
//! A message goes on as it came, byte by byte: what it is, and whether it may be, is the gateway's to say.

use std::collections::VecDeque;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_wire::content::events::{Item, Reader};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::gateway::{Ask, Gateway, LAST_EVENT, PROTOCOL_VERSION, SESSION, whole};
use super::message::{Message, Request, error, mirrored, refusal};
use crate::failure::Failure;
use crate::render::{clean, note};

/// The longest message, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Requests that are on their way at once; more wait to be read.
const REQUESTS_MAX: usize = 64;

/// How long answers are waited for after the client has closed its side.
const LAST_ANSWERS_TIME_MAX: Duration = Duration::from_secs(30);

/// How long the end of the session may take.
const END_TIME_MAX: Duration = Duration::from_secs(1);

/// How long after its end a server's stream is opened again, where the server does not say.
const RECONNECT_TIME: Duration = Duration::from_secs(1);

/// The longest that it can say.
const RECONNECT_TIME_MAX: Duration = Duration::from_secs(60);

/// A request that is never answered before it is given up.
const LISTEN: &str = "subscriptions/listen";

/// Lines that standard output is to get.
type Out = mpsc::Sender<Bytes>;

/// Passes messages on until the client closes its side, or `stopped`.
pub(super) async fn run(
    gateway: Gateway,
    stopped: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let (out, lines) = mpsc::channel(1);
    let writer = tokio::spawn(write(lines));
    let relay = Arc::new(Relay {
        gateway,
        state: Mutex::default(),
    });
    let mut streams = JoinSet::new();
    let passed = tokio::select! {
        passed = pass_on(&relay, &out, &mut streams) => passed,
        () = stopped => Ok(()),
    };
    streams.shutdown().await;
    relay.end().await;
    drop(out);
    // The client may read no more.
    drop(timeout(END_TIME_MAX, writer).await);
    passed
}

/// What the exchanges of one client have in common.
struct Relay {
    gateway: Gateway,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The revision that was agreed on, where there is a session.
    version: Option<String>,
    session: Option<HeaderValue>,
    /// The revision that the client's requests name, where there is none.
    stateless: Option<String>,
    /// Requests on their way, by their ids as JSON.
    pending: HashMap<String, Pending>,
    /// Which arguments the tools seen so far want repeated.
    mirrored: BTreeMap<String, Vec<(String, Vec<String>)>>,
}

struct Pending {
    task: AbortHandle,
    /// Of a revision in which a request is given up by closing its stream.
    stateless: bool,
}

async fn pass_on(relay: &Arc<Relay>, out: &Out, streams: &mut JoinSet<()>) -> Result<(), Failure> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut requests = JoinSet::new();
    while let Some(line) = next_line(&mut input).await? {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        while requests.len() >= REQUESTS_MAX {
            requests.join_next().await;
        }
        while requests.try_join_next().is_some() {}
        match Message::read(&line) {
            // What comes after it depends on its answer.
            Message::Request(request) if request.method == "initialize" => {
                relay.request(&request, line, out).await;
            }
            Message::Request(request) => {
                let (relay, out) = (Arc::clone(relay), out.clone());
                let (id, stateless) = (request.id.to_string(), request.envelope.version.is_some());
                let listens = request.method == LISTEN;
                let own = Arc::clone(&relay);
                let ask = async move {
                    own.request(&request, line, &out).await;
                    own.state().pending.remove(&request.id.to_string());
                };
                let mut state = relay.state();
                let task = match listens {
                    true => streams.spawn(ask),
                    false => requests.spawn(ask),
                };
                state.pending.insert(id, Pending { task, stateless });
            }
            Message::Cancelled(id, envelope) => {
                if !relay.give_up(&id.to_string()) {
                    relay
                        .tell(envelope.fields(relay.version().as_deref(), &[]), line, out)
                        .await;
                }
            }
            Message::Other(mut envelope) => {
                let state = relay.stateless();
                if envelope.version.is_none() {
                    envelope.version = state;
                }
                let began = line
                    .windows(INITIALIZED.len())
                    .any(|part| part == INITIALIZED);
                relay
                    .tell(envelope.fields(relay.version().as_deref(), &[]), line, out)
                    .await;
                if began && relay.version().is_some() {
                    let (relay, out) = (Arc::clone(relay), out.clone());
                    streams.spawn(async move { relay.listen(&out).await });
                }
            }
        }
    }
    let answered = async { while requests.join_next().await.is_some() {} };
    // Whoever waits longer has gone.
    drop(timeout(LAST_ANSWERS_TIME_MAX, answered).await);
    Ok(())
}

/// After this notification a server may have something to say.
const INITIALIZED: &[u8] = b"notifications/initialized";

impl Relay {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self) -> Option<String> {
        self.state().version.clone()
    }

    fn stateless(&self) -> Option<String> {
        self.state().stateless.clone()
    }

    /// Sends a request, and writes what comes of it, which is a response in the end.
    async fn request(&self, request: &Request, line: Bytes, out: &Out) {
        let fields = {
            let mut state = self.state();
            if request.envelope.version.is_some() {
                state.stateless.clone_from(&request.envelope.version);
            }
            let tool = request
                .envelope
                .tool()
                .and_then(|tool| state.mirrored.get(tool));
            let mirrored = tool.map(Vec::as_slice).unwrap_or_default();
            // It agrees on a revision, so there is none yet.
            let agreed = state
                .version
                .as_deref()
                .filter(|_| request.method != "initialize");
            request.envelope.fields(agreed, mirrored)
        };
        if let Err(why) = self.exchange(request, fields, line, out).await {
            send(out, error(&request.id, &why).to_string().into()).await;
        }
    }

    async fn exchange(
        &self,
        request: &Request,
        fields: Fields,
        line: Bytes,
        out: &Out,
    ) -> Result<(), String> {
        let begins = request.method == "initialize";
        let response = self.post(fields, line, !begins).await?;
        let status = response.status();
        if !status.is_success() {
            let body = whole(response.into_body()).await?;
            let told = refusal(&request.id, status.as_u16(), &body);
            send(out, told.to_string().into()).await;
            return Ok(());
        }
        let session = response.headers().get(SESSION).cloned();
        let mut answered = false;
        let mut take = |message: &[u8]| {
            let is_answer = self.learn(request, message, session.as_ref());
            answered |= is_answer;
        };
        if is_events(&response) {
            let mut events = Stream::new(response.into_body());
            while let Some(message) = events.next().await? {
                take(&message);
                send(out, message).await;
            }
        } else {
            let message = one_line(whole(response.into_body()).await?);
            if !message.is_empty() {
                take(&message);
                send(out, message).await;
            }
        }
        match answered {
            true => Ok(()),
            false => Err("the answer broke off before its end".to_owned()),
        }
    }

    /// Looks at a message for what later ones depend on. Whether it is the response.
    fn learn(&self, request: &Request, message: &[u8], session: Option<&HeaderValue>) -> bool {
        let Ok(message) = serde_json::from_slice::<Value>(message) else {
            return false;
        };
        if message.get("method").is_some() || message.get("id") != Some(&request.id) {
            return false;
        }
        let Some(result) = message.get("result") else {
            return true;
        };
        match request.method.as_str() {
            "initialize" => {
                let version = result.get("protocolVersion").and_then(Value::as_str);
                let mut state = self.state();
                state.version = version.map(str::to_owned);
                state.session = session.cloned();
                state.stateless = None;
            }
            "tools/list" => {
                let tools = result.get("tools").and_then(Value::as_array);
                let mut state = self.state();
                for tool in tools.into_iter().flatten() {
                    let name = tool.get("name").and_then(Value::as_str);
                    if let (Some(name), Some(schema)) = (name, tool.get("inputSchema")) {
                        state.mirrored.insert(name.to_owned(), mirrored(schema));
                    }
                }
            }
            _ => {}
        }
        true
    }

    /// Sends what has no answer. What goes wrong with it is said on standard error, but that what is no
    /// message at all is answered.
    async fn tell(&self, fields: Fields, line: Bytes, out: &Out) {
        let is_message = matches!(serde_json::from_slice(&line), Ok(Value::Object(_)));
        let refused = match self.refused(fields, line).await {
            Ok(None) => return,
            Ok(Some(refused)) => refused,
            Err(why) => error(&Value::Null, &why),
        };
        if is_message {
            let why = refused.pointer("/error/message").and_then(Value::as_str);
            note(format!(
                "a message was not taken: {}",
                clean(why.unwrap_or_default())
            ));
        } else {
            send(out, refused.to_string().into()).await;
        }
    }

    /// Sends what has no answer; how it was refused, if it was.
    async fn refused(&self, fields: Fields, line: Bytes) -> Result<Option<Value>, String> {
        let response = self.post(fields, line, true).await?;
        let status = response.status();
        let body = whole(response.into_body()).await?;
        let refused = || refusal(&Value::Null, status.as_u16(), &body);
        Ok((!status.is_success()).then(refused))
    }

    async fn post(
        &self,
        mut fields: Fields,
        body: Bytes,
        in_session: bool,
    ) -> Result<Response<Incoming>, String> {
        if in_session {
            fields.extend(self.session());
        }
        let ask = Ask {
            method: Method::POST,
            fields,
            body,
        };
        self.gateway.ask(ask).await
    }

    fn session(&self) -> Option<(HeaderName, HeaderValue)> {
        self.state()
            .session
            .clone()
            .map(|session| (SESSION, session))
    }

    /// Closes the stream of a request, where that is how it is given up. Whether it was.
    fn give_up(&self, id: &str) -> bool {
        let mut state = self.state();
        match state.pending.get(id) {
            Some(pending) if pending.stateless => {
                pending.task.abort();
                state.pending.remove(id);
                true
            }
            _ => false,
        }
    }

    /// Writes what the server says by itself, as long as it offers a stream for that.
    async fn listen(&self, out: &Out) {
        let mut last_event = None;
        loop {
            let mut fields: Fields = self.session().into_iter().collect();
            let version = self.version().and_then(|version| version.parse().ok());
            fields.extend(version.map(|version| (PROTOCOL_VERSION, version)));
            fields.extend(last_event.clone().map(|event| (LAST_EVENT, event)));
            let ask = Ask {
                method: Method::GET,
                fields,
                body: Bytes::new(),
            };
            let response = match self.gateway.ask(ask).await {
                Ok(response) if response.status() == StatusCode::OK && is_events(&response) => {
                    response
                }
                // A server need not offer one.
                _ => return,
            };
            let mut events = Stream::new(response.into_body());
            while let Ok(Some(message)) = events.next().await {
                send(out, message).await;
            }
            last_event = events.last_event.or(last_event);
            tokio::time::sleep(events.retry).await;
        }
    }

    /// Ends the session, if the server began one.
    async fn end(&self) {
        let Some(session) = self.session() else {
            return;
        };
        let version = self.version().and_then(|version| version.parse().ok());
        let version = version.map(|version| (PROTOCOL_VERSION, version));
        let ask = Ask {
            method: Method::DELETE,
            fields: [session].into_iter().chain(version).collect(),
            body: Bytes::new(),
        };
        // A server need not let its clients do that.
        drop(timeout(END_TIME_MAX, self.gateway.ask(ask)).await);
    }
}

type Fields = Vec<(HeaderName, HeaderValue)>;

fn is_events(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("text/event-stream")
}

/// The messages of an event stream.
struct Stream {
    body: Incoming,
    reader: Reader,
    /// What was read and not handed on yet.
    items: VecDeque<Item>,
    last_event: Option<HeaderValue>,
    /// How long to wait before it is opened again.
    retry: Duration,
}

impl Stream {
    fn new(body: Incoming) -> Self {
        Self {
            body,
            reader: Reader::default(),
            items: VecDeque::new(),
            last_event: None,
            retry: RECONNECT_TIME,
        }
    }

    /// The next message, as one line; nothing at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            while let Some(item) = self.items.pop_front() {
                let Item::Event(event) = item else {
                    continue;
                };
                if let Some(id) = event.id {
                    self.last_event = HeaderValue::from_bytes(&id).ok();
                }
                if let Some(retry) = event.retry {
                    self.retry = Duration::from_millis(retry).min(RECONNECT_TIME_MAX);
                }
                if let Some(data) = event.data.filter(|data| !data.is_empty()) {
                    return Ok(Some(one_line(data.into())));
                }
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        let mut items = Vec::new();
                        self.reader
                            .feed(data, &mut items)
                            .map_err(|_| "the answer is no event stream".to_owned())?;
                        self.items.extend(items);
                    }
                }
                Some(Err(error)) => return Err(format!("the answer broke off: {error}")),
            }
        }
    }
}

/// A JSON text as one line: within a string no line ends, and elsewhere a space is as good.
fn one_line(message: Bytes) -> Bytes {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !message.iter().any(is_end) {
        return message;
    }
    let line = message
        .iter()
        .map(|byte| if is_end(byte) { b' ' } else { *byte });
    line.collect()
}

async fn send(out: &Out, line: Bytes) {
    // Nobody reads any more: the client has gone, which its other side tells.
    let _ = out.send(line).await;
}

async fn write(mut lines: mpsc::Receiver<Bytes>) {
    let mut output = tokio::io::stdout();
    while let Some(line) = lines.recv().await {
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(&line);
        whole.push(b'\n');
        let written = match output.write_all(&whole).await {
            Ok(()) => output.flush().await,
            failed => failed,
        };
        if written.is_err() {
            return;
        }
    }
}

/// The next line, without its end; nothing at the end of the input.
async fn next_line(
    input: &mut BufReader<impl tokio::io::AsyncRead + Unpin>,
) -> Result<Option<Bytes>, Failure> {
    let mut line = Vec::new();
    let mut limited = input.take(MESSAGE_BYTES_MAX as u64 + 1);
    let read = limited.read_until(b'\n', &mut line).await;
    read.map_err(|error| Failure::new(format!("standard input cannot be read: {error}")))?;
    if line.len() > MESSAGE_BYTES_MAX {
        return Err(Failure::new(format!(
            "a message is longer than {MESSAGE_BYTES_MAX} bytes"
        )));
    }
    Ok((!line.is_empty()).then(|| line.into()))
}
