//! Asking a server for all its tools, page by page: for the gateway before a tool is called, and for whoever
//! writes a task.

use super::events::Events;
use super::header;
use super::json::{self, Node, put_text};
use super::message::{Id, Message, Outcome};
use super::method::Revision;
use super::tools::{Tool, Tools};
use crate::content::events::{Event, Item};
use crate::limits::{MCP_PAGES_MAX, MCP_TARGET_BYTES_MAX, MCP_TOOLS_MAX};

/// One request for tools after the other, until there are no more pages.
pub(super) struct Listing {
    revision: Revision,
    /// What every id of it begins with.
    token: String,
    pages: usize,
    cursor: Option<String>,
    tools: Tools,
}

impl Listing {
    /// `token` is nothing that the agent's ids begin with.
    pub(super) fn new(revision: Revision, token: String) -> Self {
        Self {
            revision,
            token,
            pages: 0,
            cursor: None,
            tools: Tools::default(),
        }
    }

    /// The id of the request that is under way.
    fn id(&self) -> Id {
        Id::Text(format!("{}-{}", self.token, self.pages))
    }

    /// The request for the next page.
    pub(super) fn request(&self) -> Vec<u8> {
        request(&self.id(), "tools/list", self.revision, |out| {
            if let Some(cursor) = &self.cursor {
                out.extend(b"\"cursor\":");
                put_text(out, cursor);
                out.push(b',');
            }
        })
    }

    /// Takes one message of the server. Says whether it is the answer.
    ///
    /// # Errors
    /// If the server does not give a list.
    pub(super) fn message(&mut self, text: &[u8]) -> Result<bool, String> {
        let node = json::read(text).map_err(|why| format!("its answer is not read: {why}"))?;
        let message =
            Message::of(&node).map_err(|no| format!("its answer is not read: {}", no.why))?;
        let Message::Response { id, outcome, .. } = message else {
            return Ok(false);
        };
        if id.is_some_and(|id| id != self.id()) {
            return Err("it answered something that was not asked".to_owned());
        }
        let result = match outcome {
            Outcome::Result(result) => result,
            Outcome::Error(error) => {
                let code = error.get("code").map(|code| code.raw(text));
                let code = String::from_utf8_lossy(code.unwrap_or_default()).into_owned();
                return Err(format!("it answered with the error {code}"));
            }
        };
        let tools = result.get("tools").and_then(Node::elements);
        self.tools.add(tools.ok_or("its answer has no tools")?);
        self.pages += 1;
        let cursor = result.get("nextCursor").and_then(Node::text);
        if cursor.is_some() && (self.pages >= MCP_PAGES_MAX || cursor == self.cursor.as_deref()) {
            return Err("its list of tools does not end".to_owned());
        }
        if self.tools.len() > MCP_TOOLS_MAX {
            return Err("it has too many tools".to_owned());
        }
        self.cursor = cursor.map(str::to_owned);
        Ok(true)
    }

    /// Whether there is another page.
    pub(super) fn has_more(&self) -> bool {
        self.cursor.is_some()
    }

    /// The tools.
    pub(super) fn into_tools(self) -> Tools {
        self.tools
    }
}

/// One request, with what the revision wants in every one.
fn request(
    id: &Id,
    method: &str,
    revision: Revision,
    params: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut out = b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec();
    id.put(&mut out);
    out.extend(b",\"method\":");
    put_text(&mut out, method);
    out.extend(b",\"params\":{");
    params(&mut out);
    out.extend(b"\"_meta\":{");
    if revision.is_stateless() {
        out.extend(b"\"io.modelcontextprotocol/protocolVersion\":");
        put_text(&mut out, revision.as_str());
        out.extend(b",\"io.modelcontextprotocol/clientInfo\":");
        out.extend(CLIENT.bytes());
        out.extend(b",\"io.modelcontextprotocol/clientCapabilities\":{}");
    }
    out.extend(b"}}}");
    out
}

/// What the gateway says of itself.
const CLIENT: &str = concat!(
    r#"{"name":"bailiwick","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);

/// Asks one server for all its tools, without an agent: what `task pin` does. It does no IO: send what
/// [`Survey::request`] gives as a POST, give what comes to [`Survey::answer`], and go on until there is
/// nothing to send.
///
/// It begins with the revisions that have sessions, and falls forward to the newest where the server
/// knows no `initialize`.
pub struct Survey {
    listing: Listing,
    step: Step,
    session: Option<String>,
}

enum Step {
    Initialize,
    Initialized,
    List,
    Done,
}

/// One request to send: a POST of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyRequest {
    /// Its header fields, in lower case, all of them but what HTTP itself needs.
    pub fields: Vec<(String, String)>,
    /// Its content.
    pub body: Vec<u8>,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            listing: Listing::new(Revision::R20251125, "bailiwick".to_owned()),
            step: Step::Initialize,
            session: None,
        }
    }
}

impl Survey {
    /// What to send next; nothing once all is there.
    pub fn request(&self) -> Option<SurveyRequest> {
        let revision = self.listing.revision;
        let (method, body) = match self.step {
            Step::Initialize => {
                let body = request(&self.listing.id(), "initialize", revision, |out| {
                    out.extend(b"\"protocolVersion\":");
                    put_text(out, revision.as_str());
                    out.extend(b",\"capabilities\":{},\"clientInfo\":");
                    out.extend(CLIENT.bytes());
                    out.push(b',');
                });
                ("initialize", body)
            }
            Step::Initialized => {
                let method = "notifications/initialized";
                let body = format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#);
                (method, body.into_bytes())
            }
            Step::List => ("tools/list", self.listing.request()),
            Step::Done => return None,
        };
        let mut fields = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            (
                "accept".to_owned(),
                "application/json, text/event-stream".to_owned(),
            ),
        ];
        if !matches!(self.step, Step::Initialize) {
            fields.push((header::VERSION.to_owned(), revision.as_str().to_owned()));
        }
        if revision.is_stateless() {
            fields.push((header::METHOD.to_owned(), method.to_owned()));
        }
        if let Some(session) = &self.session {
            fields.push((header::SESSION.to_owned(), session.clone()));
        }
        Some(SurveyRequest { fields, body })
    }

    /// Takes the answer: its status, its fields in lower case, and its whole content. Of an event stream
    /// the content up to the response is enough.
    ///
    /// # Errors
    /// If the server does not give its tools; says why, for whoever runs the gateway.
    pub fn answer(
        &mut self,
        status: u16,
        fields: &[(String, String)],
        body: &[u8],
    ) -> Result<(), String> {
        let field = |name: &str| {
            let mut fields = fields.iter();
            fields
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let is_ok = (200..300).contains(&status);
        match self.step {
            Step::Initialize => {
                let agreed = messages(field("content-type"), body)
                    .ok()
                    .and_then(|messages| messages.iter().find_map(|text| agreed(text)));
                match agreed.filter(|_| is_ok) {
                    Some(revision) => {
                        self.session = field(header::SESSION).map(str::to_owned);
                        self.listing.revision = revision;
                        self.step = Step::Initialized;
                    }
                    None if status == 401 || status == 403 => {
                        return Err(format!("it refused the gateway's credential ({status})"));
                    }
                    None => {
                        self.listing.revision = Revision::R20260728;
                        self.step = Step::List;
                    }
                }
            }
            Step::Initialized if is_ok => self.step = Step::List,
            Step::List if is_ok => {
                let mut is_there = false;
                for text in messages(field("content-type"), body)? {
                    is_there = is_there || self.listing.message(&text)?;
                }
                if !is_there {
                    return Err("it did not answer tools/list".to_owned());
                }
                if !self.listing.has_more() {
                    self.step = Step::Done;
                }
            }
            Step::Initialized | Step::List => {
                return Err(format!("it answered with status {status}"));
            }
            Step::Done => return Err("it was not asked".to_owned()),
        }
        Ok(())
    }

    /// The session that the server began: to be ended by a DELETE with this in `mcp-session-id`.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The tools, sorted by name. A name that stands for two tools is not among them.
    pub fn into_tools(self) -> Vec<Tool> {
        self.listing.into_tools().into_all().collect()
    }
}

fn agreed(text: &[u8]) -> Option<Revision> {
    let node = json::read(text).ok()?;
    let version = node.path(&["result", "protocolVersion"])?.text()?;
    Revision::of(version).filter(|revision| !revision.is_stateless())
}

/// The messages of a content.
fn messages(content_type: Option<&str>, body: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    if body.len() > MCP_TARGET_BYTES_MAX {
        return Err("its answer is too long".to_owned());
    }
    let kind = content_type.and_then(|kind| header::media_type(kind.as_bytes()));
    match kind.as_ref().map(|(kind, _)| kind.as_str()) {
        Some("application/json") => Ok(vec![body.to_vec()]),
        Some("text/event-stream") => {
            let mut events = Events::default();
            events.push(body);
            let mut messages = Vec::new();
            while let Some(item) = events.next()? {
                if let Item::Event(Event {
                    data: Some(data), ..
                }) = item
                    && !data.is_empty()
                {
                    messages.push(data);
                }
            }
            Ok(messages)
        }
        _ => Err("its answer is neither JSON nor an event stream".to_owned()),
    }
}
