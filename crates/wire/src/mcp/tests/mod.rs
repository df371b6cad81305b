//! Exchanges with a scripted server: requests in, steps out.

mod aliases;
mod answers;
mod attacks;
mod definitions;
mod features;
mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_action::{Denial, FieldPath, Held, Input, Kind, Pin, Resource};
use bailiwick_run::{RunId, Secret, Time, Verifier};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use super::{PROTOCOL, definition_digest};
use crate::http::bhttp::{self, Part, Reader, Request, Response};
use crate::{
    Answer, CancelKey, Claim, End, Endpoint, Knowledge, Masked, Plumbing, Refused, Seed, Session,
    Step, Terms, Ticket, TlsMode, Veil, Wanted, Why,
};

/// What a task grants, in these tests.
#[derive(Default)]
struct Task {
    grants: Vec<Resource>,
    pins: BTreeMap<String, Pin>,
    fields: Vec<FieldPath>,
    inputs: Vec<Input>,
}

impl Veil for Task {
    fn masked(&self) -> Vec<Masked> {
        Vec::new()
    }
    fn fields(&self) -> &[FieldPath] {
        &self.fields
    }
    fn inputs(&self) -> &[Input] {
        &self.inputs
    }
    fn covers(&self, resource: &Resource) -> bool {
        self.grants.contains(resource)
    }
    fn pin(&self, tool: &str) -> Pin {
        self.pins.get(tool).cloned().unwrap_or(Pin::Missing)
    }
    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let text = String::from_utf8_lossy(text);
        let found = text.matches(CANARY).count() as u64;
        (found > 0).then(|| (text.replace(CANARY, MASKED).into_bytes(), found))
    }
    fn placeholder(&self) -> &'static str {
        MASKED
    }
    fn has_placeholder(&self, bytes: &[u8]) -> bool {
        bytes
            .windows(MASKED.len())
            .any(|window| window == MASKED.as_bytes())
    }
}

/// What the detectors of these tests find.
const CANARY: &str = "alice@example.com";
const MASKED: &str = "[masked]";

const LEGACY: &str = "2025-11-25";
const STATELESS: &str = "2026-07-28";

/// The definition of a tool.
fn tool(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "properties": {"ticket": {"type": "integer"}}},
    })
}

fn pin(definition: &Value) -> Pin {
    Pin::Digest(definition_digest(definition.to_string().as_bytes()).unwrap())
}

/// A task that grants one tool, as it is defined here, one resource and one prompt.
fn task() -> Task {
    Task {
        grants: vec![
            Resource::named(Kind::Tool, "list_tickets"),
            Resource::named(Kind::Uri, "ticket://5"),
            Resource::named(Kind::Uri, "ticket://{id}"),
            Resource::named(Kind::Prompt, "summary"),
        ],
        pins: BTreeMap::from([(
            "list_tickets".to_owned(),
            pin(&tool("list_tickets", "Lists.")),
        )]),
        ..Task::default()
    }
}

/// All exchanges of one run with one server.
struct Run {
    task: Arc<Task>,
    shared: Knowledge,
    session: Option<String>,
    version: &'static str,
    exchanges: u8,
}

impl Run {
    fn new(version: &'static str, task: Task) -> Self {
        Self {
            task: Arc::new(task),
            shared: PROTOCOL.shared.unwrap()(),
            session: None,
            version,
            exchanges: 0,
        }
    }

    /// A run with a session.
    fn with_session(task: Task) -> Self {
        let mut run = Self::new(LEGACY, task);
        let body = json!({
            "jsonrpc": "2.0", "id": "begin", "method": "initialize",
            "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {}},
        });
        let mut fields = run.fields(&body);
        fields.retain(|(name, _)| *name != "mcp-protocol-version");
        let mut exchange = run.send("POST", &fields, body.to_string().as_bytes());
        exchange.allow();
        let result = json!({"protocolVersion": LEGACY, "capabilities": {}, "serverInfo": {}});
        let answer = json!({"jsonrpc": "2.0", "id": exchange.alias, "result": result});
        exchange.server(
            200,
            &[
                ("content-type", "application/json"),
                ("mcp-session-id", "s-1"),
            ],
            answer.to_string().as_bytes(),
        );
        assert_eq!(exchange.head().fields.len(), 2, "{:?}", exchange.head());
        run.session = Some("s-1".to_owned());
        run
    }

    /// What the task of the run says from now on.
    fn fields(&self, body: &Value) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("content-type", "application/json".to_owned()),
            ("mcp-protocol-version", self.version.to_owned()),
        ];
        if let Some(session) = &self.session {
            fields.push(("mcp-session-id", session.clone()));
        }
        if self.version == STATELESS {
            let method = body.get("method").and_then(Value::as_str);
            fields.push(("mcp-method", method.unwrap_or_default().to_owned()));
            let name = ["/params/name", "/params/uri"];
            let name = name
                .into_iter()
                .find_map(|name| body.pointer(name)?.as_str());
            let has_name = ["tools/call", "resources/read", "prompts/get"];
            if let Some(name) = name.filter(|_| has_name.contains(&method.unwrap_or_default())) {
                fields.push(("mcp-name", name.to_owned()));
            }
        }
        fields
    }

    /// A request of this revision.
    fn request(&self, id: i64, method: &str, params: Value) -> Value {
        let mut body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        if self.version == STATELESS {
            body["params"]["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": STATELESS,
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        body
    }

    fn post(&mut self, body: &Value) -> Exchange {
        let fields = self.fields(body);
        self.send("POST", &fields, body.to_string().as_bytes())
    }

    fn call(&mut self, id: i64, method: &str, params: Value) -> Exchange {
        let body = self.request(id, method, params);
        self.post(&body)
    }

    fn send(&mut self, method: &str, fields: &[(&str, String)], body: &[u8]) -> Exchange {
        self.send_to("/helpdesk", method, fields, body)
    }

    fn send_to(
        &mut self,
        path: &str,
        method: &str,
        fields: &[(&str, String)],
        body: &[u8],
    ) -> Exchange {
        let secret = Secret::new([5; 32]);
        let bearer = ("authorization", format!("Bearer {}", secret.reveal()));
        let host = ("host", "gw:7480".to_owned());
        let head = Request {
            method: method.into(),
            scheme: String::new(),
            authority: String::new(),
            path: path.into(),
            fields: [bearer, host]
                .iter()
                .chain(fields)
                .map(|(name, value)| ((*name).to_owned(), Bytes::from(value.clone())))
                .collect(),
        };
        self.exchanges += 1;
        let seed = Seed {
            nonce: [1; 18],
            cancel: CancelKey([self.exchanges; 8]),
            token: [self.exchanges; 8],
        };
        let mut exchange = Exchange {
            session: (PROTOCOL.session)(seed),
            to_agent: BytesMut::new(),
            rows: Vec::new(),
            to_server: Reader::default(),
            asked: Vec::new(),
            finished: Vec::new(),
            cancelled: Vec::new(),
            resumed: Vec::new(),
            server_session: fields
                .iter()
                .any(|(name, value)| *name == "mcp-session-id" && !value.starts_with("bw-")),
            own: serde_json::from_slice(body).unwrap_or_default(),
            alias: format!("bw-{}", format!("{:02x}", self.exchanges).repeat(8)),
            done: false,
        };
        let mut bytes = BytesMut::new();
        bhttp::put_request(&mut bytes, &head);
        exchange.session.agent(&bytes).unwrap();
        assert!(matches!(
            exchange.session.next(),
            Some(Step::Identify(Claim::Bearer(_)))
        ));
        let id = RunId::new(Time::from_millis(1), [3; 10]);
        let verifier = Arc::new(Verifier::new(id, &secret, [9; 16]));
        exchange.session.identified(verifier).unwrap();
        let Some(Step::Connect { target, .. }) = exchange.session.next() else {
            panic!("not let in");
        };
        assert_eq!(target, Wanted::Name("helpdesk".into()));
        let veil = Arc::clone(&self.task) as Arc<dyn Veil>;
        exchange
            .session
            .connected(&endpoint(), "run", veil, Some(Arc::clone(&self.shared)))
            .unwrap();
        exchange.steps();
        let mut rest = BytesMut::new();
        bhttp::put_content(&mut rest, body);
        bhttp::put_end(&mut rest, &[]);
        for piece in rest.chunks(7) {
            if exchange.session.wants_agent() {
                exchange.session.agent(piece).unwrap();
                exchange.steps();
            }
        }
        exchange
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        host: "helpdesk.internal".into(),
        port: 443,
        user: String::new(),
        password: None,
        database: "/mcp".into(),
        tls: TlsMode::VerifyFull,
        roots: None,
    }
}

/// One exchange, and what it did.
struct Exchange {
    session: Box<dyn Session>,
    to_agent: BytesMut,
    rows: Vec<u8>,
    to_server: Reader,
    asked: Vec<(Ticket, Held)>,
    finished: Vec<(Ticket, End)>,
    cancelled: Vec<CancelKey>,
    resumed: Vec<bool>,
    /// What the agent sent.
    own: Value,
    /// Whether the server knows its session.
    server_session: bool,
    /// By what the server knows it.
    alias: String,
    done: bool,
}

impl Exchange {
    fn steps(&mut self) {
        while let Some(step) = self.session.next() {
            match step {
                Step::ToAgent(bytes) => self.to_agent.extend_from_slice(&bytes),
                Step::Rows(_, bytes) => {
                    self.rows.extend_from_slice(&bytes);
                    bhttp::put_content(&mut self.to_agent, &bytes);
                }
                Step::Relay(plumbing) => self.relay(plumbing),
                Step::Ask(ticket, held) => self.asked.push((ticket, held)),
                Step::Finished(ticket, end) => self.finished.push((ticket, end)),
                Step::Cancel(key) => self.cancelled.push(key),
                Step::Resumed(_, same) => self.resumed.push(same),
                Step::Ready => {}
                Step::Done => self.done = true,
                _ => panic!("a step that does not belong here"),
            }
        }
    }

    fn relay(&mut self, plumbing: Plumbing) {
        self.to_server.push(&plumbing.into_bytes());
    }

    /// The call that waits to be decided.
    fn asked(&self) -> &Held {
        let asked = self.asked.last();
        &asked
            .unwrap_or_else(|| panic!("nothing asked; {}", self.text()))
            .1
    }

    /// Why the call that is asked cannot be allowed.
    fn refusal(&self) -> &str {
        self.asked().call.refusal.as_deref().unwrap_or_default()
    }

    fn decide(&mut self, answer: Answer) {
        let (ticket, held) = self.asked.pop().unwrap();
        if matches!(answer, Answer::Allow(_)) {
            assert_eq!(held.call.refusal, None);
            self.to_server.push(&held.bytes);
        }
        self.session.answer(ticket, answer).unwrap();
        self.steps();
    }

    fn allow(&mut self) {
        self.decide(Answer::Allow(Terms::default()));
    }

    /// Denies it, as the gateway does.
    fn deny(&mut self) {
        let refusal = self.asked().call.refusal.clone();
        self.decide(Answer::Deny(Denial {
            policies: Vec::new(),
            reason: refusal.unwrap_or_else(|| "outside the scope".to_owned()),
            remedy: "ask for it".to_owned(),
        }));
    }

    /// The next request that the server gets: its head and its content.
    fn request(&mut self) -> (Request, Value) {
        let Some(Part::Request(head)) = self.to_server.next().unwrap() else {
            panic!("no request");
        };
        let mut body = Vec::new();
        loop {
            match self.to_server.next().unwrap() {
                Some(Part::Content(bytes)) => body.extend_from_slice(&bytes),
                Some(Part::End(_)) => break,
                other => panic!("{other:?}"),
            }
        }
        let value = match &*body {
            b"" => Value::Null,
            body => serde_json::from_slice(body).unwrap(),
        };
        (head, self.named(value, true))
    }

    /// A message as it is on the other side of the gateway, which has a name of its own for the agent's request.
    fn named(&self, mut message: Value, to_agent: bool) -> Value {
        let in_session = self.server_session;
        let is_request = message.get("method").is_some();
        let alias = json!(self.alias);
        for (place, at, aliased) in [
            ("/id", "/id", is_request == to_agent),
            (
                "/params/_meta/progressToken",
                "/params/_meta/progressToken",
                is_request && !in_session,
            ),
            (
                "/params/_meta/progressToken",
                "/params/progressToken",
                is_request && !in_session,
            ),
        ] {
            let (Some(own), Some(found)) = (self.own.pointer(place), message.pointer_mut(at))
            else {
                continue;
            };
            let (from, to) = match to_agent {
                true => (&alias, own),
                false => (own, &alias),
            };
            if aliased && found == from {
                *found = to.clone();
            }
        }
        message
    }

    /// Whether the server got nothing that was not looked at here.
    fn is_silent(&mut self) -> bool {
        self.to_server.next().unwrap().is_none()
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.session.target(bytes).unwrap();
        self.steps();
    }

    fn begin(&mut self, status: u16, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Bytes::from((*value).to_owned())))
            .collect();
        let mut bytes = BytesMut::new();
        bhttp::put_response(&mut bytes, &Response { status, fields });
        self.feed(&bytes);
    }

    fn part(&mut self, content: &[u8]) {
        let mut bytes = BytesMut::new();
        bhttp::put_content(&mut bytes, content);
        self.feed(&bytes);
    }

    fn end(&mut self) {
        let mut bytes = BytesMut::new();
        bhttp::put_end(&mut bytes, &[]);
        self.feed(&bytes);
    }

    /// The server's whole response.
    fn server(&mut self, status: u16, fields: &[(&str, &str)], content: &[u8]) {
        self.begin(status, fields);
        self.part(content);
        self.end();
    }

    /// The server's whole response: one message.
    fn answers(&mut self, message: &Value) {
        let kind = [("content-type", "application/json")];
        let message = self.named(message.clone(), false);
        self.server(200, &kind, message.to_string().as_bytes());
    }

    /// The server's stream: so many messages, and more may follow.
    fn streams(&mut self, messages: &[Value]) {
        self.begin(200, &[("content-type", "text/event-stream")]);
        for message in messages {
            self.says(message);
        }
    }

    fn says(&mut self, message: &Value) {
        let message = self.named(message.clone(), false);
        self.part(format!("event: message\ndata: {message}\n\n").as_bytes());
    }

    /// The server's answer to the gateway's own request for its tools.
    fn lists(&mut self, tools: &[Value]) {
        self.steps();
        let (head, body) = self.request();
        assert_eq!((&*head.method, &*head.path), ("POST", "/mcp"));
        assert_eq!(body["method"], "tools/list");
        let answer = json!({"jsonrpc": "2.0", "id": body["id"], "result": {"tools": tools}});
        self.answers(&answer);
    }

    /// The parts of the response to the agent.
    fn parts(&self) -> Vec<Part> {
        let mut reader = Reader::default();
        reader.push(&self.to_agent);
        let mut parts = Vec::new();
        while let Some(part) = reader.next().unwrap() {
            parts.push(part);
        }
        parts
    }

    fn head(&self) -> Response {
        match self.parts().first() {
            Some(Part::Response(head)) => head.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn field(&self, name: &str) -> Option<String> {
        let head = self.head();
        bhttp::field(&head.fields, name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Whether the response to the agent came to its end.
    fn is_whole(&self) -> bool {
        matches!(self.parts().last(), Some(Part::End(_)))
    }

    /// The content of the response to the agent.
    fn text(&self) -> String {
        let mut text = Vec::new();
        for part in self.parts() {
            if let Part::Content(bytes) = part {
                text.extend_from_slice(&bytes);
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The one message that the agent got.
    fn message(&self) -> Value {
        assert!(self.done && self.is_whole(), "{}", self.text());
        serde_json::from_str(&self.text()).unwrap()
    }

    /// The messages of the stream that the agent got.
    fn messages(&self) -> Vec<Value> {
        let text = self.text();
        let events = text.split("\n\n").filter(|event| !event.is_empty());
        let data = events.map(|event| {
            let data = event.lines().filter_map(|line| line.strip_prefix("data: "));
            data.collect::<Vec<_>>().join("\n")
        });
        data.filter(|data| !data.is_empty())
            .map(|data| serde_json::from_str(&data).unwrap())
            .collect()
    }

    /// What the agent is told: an error's message, or the text of a tool that failed.
    fn told(&self) -> String {
        let message = self.message();
        let places = ["/error/message", "/result/content/0/text"];
        let told = places
            .into_iter()
            .find_map(|at| message.pointer(at)?.as_str());
        told.unwrap_or_else(|| panic!("{message}")).to_owned()
    }
}
