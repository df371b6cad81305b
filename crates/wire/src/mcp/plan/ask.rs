//! A request or a notification whose method is known: what it is about, and what of it goes on.

use std::collections::BTreeMap;
use std::ops::Range;

use bailiwick_action::{Action, Class, Facts, Kind, Resource, Verb};

use super::name::{is_name, is_uri};
use super::{
    Expect, Given, Own, PLACEHOLDER, Planned, Read, Refusal, call, holds_placeholder, onwards,
};
use crate::content::json as content;
use crate::mcp::alias::is_own_session;
use crate::mcp::answer::granted;
use crate::mcp::header;
use crate::mcp::json::{Edits, Entry, Node, put_kept, quoted};
use crate::mcp::message::Id;
use crate::mcp::method::{Method, Revision, What};
use crate::mcp::reply::{INVALID_PARAMS, INVALID_REQUEST, Reply};
use crate::mcp::shared::{Flight, Input, Taken};

/// A request or notification whose method is known.
pub(super) struct Ask<'g, 'n, 'a> {
    pub(super) given: &'g Given<'g>,
    pub(super) known: &'static Method,
    pub(super) revision: Revision,
    pub(super) session: Option<&'g str>,
    pub(super) params: Option<&'n Node<'a>>,
    /// Its id, and where that stands.
    pub(super) id: Option<(Id, Range<usize>)>,
}

impl Ask<'_, '_, '_> {
    pub(super) fn planned(self) -> Result<Planned, Refusal> {
        let text = self.text();
        let mut actions = Vec::new();
        match self.understood(&mut actions) {
            Ok(understood) => Ok(Planned {
                call: call(self.known.name, actions, text),
                refusal: None,
                revision: self.revision,
                session: self.session.map(str::to_owned),
                expect: understood.expect,
                bytes: match understood.expect {
                    Expect::Nothing => Vec::new(),
                    _ => onwards(self.given, &understood.body),
                },
                about: understood.about,
                flight: understood.flight,
                input: understood.input,
                answers: None,
                progress: understood.progress,
                own: understood.own,
                id: self.id.map(|(id, _)| id),
            }),
            Err(reply) => Err(Refusal {
                reply: Box::new(reply),
                read: Read {
                    verb: Some(self.known.name),
                    id: self.id.map(|(id, _)| id),
                    text: Some(text),
                    actions,
                },
            }),
        }
    }

    fn param(&self, name: &str) -> Option<&Node<'_>> {
        self.params.and_then(|params| params.get(name))
    }

    /// What the agent wrote, for the payload: what is named and what is brought along, exactly as they were
    /// sent.
    fn text(&self) -> String {
        let raw = |node: &Node<'_>| String::from_utf8_lossy(node.raw(self.given.body)).into_owned();
        let named = ["name", "uri"];
        let name = named
            .into_iter()
            .find_map(|name| self.param(name).and_then(Node::text));
        let mut text = String::new();
        if let Some(name) = name {
            text.push_str(name);
            for brought in ["arguments", "inputResponses", "_meta"] {
                if let Some(node) = self.param(brought)
                    && (brought != "_meta" || has_foreign(node))
                {
                    text.push('\n');
                    if brought != "arguments" {
                        // What is brought otherwise cannot be taken for what the tool is given.
                        text.push_str(brought);
                        text.push(' ');
                    }
                    text.push_str(&raw(node));
                }
            }
        } else if let Some(params) = self.params {
            text = raw(params);
        }
        text
    }

    /// Whatever the reason is about, the model that called a tool can read it in the tool's result.
    fn content(&self, why: &str) -> Reply {
        let reply = Reply::error(400, INVALID_PARAMS, why);
        match self.known.what {
            What::CallTool => reply.into_result(),
            _ => reply,
        }
    }

    fn invalid(&self, why: &str) -> Reply {
        Reply::error(
            400,
            INVALID_PARAMS,
            format!("the request is refused: {why}"),
        )
    }

    fn understood(&self, actions: &mut Vec<Action>) -> Result<Understood, Reply> {
        let about = self.about()?;
        let name = about.as_ref().map(|about| about.name.as_str());
        match (&about, self.known.what) {
            (Some(about), What::CallTool) => actions.push(Action {
                facts: self.facts(),
                ..Action::of_class(Class::Write, Verb::Execute, about.clone())
            }),
            (Some(about), _) => actions.push(Action::new(Verb::Get, about.clone())),
            (None, What::Listen) => self.listened(actions)?,
            (None, _) => {}
        }
        if actions.is_empty() {
            actions.push(Action::session());
        }
        let members = self.params.and_then(Node::members).unwrap_or_default();
        if !members
            .iter()
            .all(|member| self.known.has_param(&member.name, self.revision))
        {
            return Err(self.invalid("its params have a member that the method does not have"));
        }
        let repeated = matches!(
            self.known.what,
            What::CallTool | What::GetPrompt | What::ReadResource
        );
        header::agree(
            self.given.head,
            self.revision,
            self.known.name,
            name.filter(|_| repeated),
        )?;
        if self.known.what != What::CallTool && header::repeats_arguments(self.given.head) {
            return Err(Reply::mismatch("there are no arguments to repeat"));
        }
        if let Some(params) = self.params
            && holds_placeholder(self.given.veil, params.raw(self.given.body), params)
        {
            return Err(self.content(PLACEHOLDER));
        }
        let mut edits = Edits::default();
        self.client(&mut edits)?;
        if let Some((_, at)) = &self.id {
            self.given.alias.put(&mut edits, at.clone());
        }
        let progress = self.progress(&mut edits)?;
        let input = self.input(actions, &mut edits)?;
        let (expect, own) = match (&self.id, self.known.what) {
            (Some(_), what) => (Expect::Response(what), None),
            (None, What::Cancel) => self.cancelled(&mut edits)?,
            (None, _) => (Expect::Taken, None),
        };
        let flight = self.flight()?;
        Ok(Understood {
            body: edits.apply(self.given.body),
            expect,
            about,
            flight,
            input,
            progress,
            own,
        })
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        // Without arguments each place is empty, which is another thing than one that is not looked at.
        let arguments = self.param("arguments");
        let arguments = arguments.map_or(&b"{}"[..], |node| node.raw(self.given.body));
        if let Ok(document) = content::read(arguments) {
            document.facts(self.given.veil.inputs(), &mut facts);
        }
        facts
    }

    /// What the request is about.
    fn about(&self) -> Result<Option<Resource>, Reply> {
        let name = |node: Option<&Node<'_>>| match node.and_then(Node::text) {
            Some(name) if is_name(name) => Ok(name.to_owned()),
            _ => Err(self.invalid("it names nothing, or in a way that nothing is named")),
        };
        let uri = |node: Option<&Node<'_>>| {
            match node.and_then(Node::text) {
            Some(uri) if is_uri(uri) => Ok(uri.to_owned()),
            _ => Err(self.invalid(
                "its URI is missing, or could be read in two ways: no `..`, no `\\`, no `%2F`, ASCII only",
            )),
        }
        };
        Ok(Some(match self.known.what {
            What::CallTool => {
                if let Some(arguments) = self.param("arguments")
                    && arguments.members().is_none()
                {
                    return Err(self.invalid("its arguments are no object"));
                }
                Resource::named(Kind::Tool, name(self.param("name"))?)
            }
            What::GetPrompt => Resource::named(Kind::Prompt, name(self.param("name"))?),
            What::ReadResource | What::Subscribe => {
                Resource::named(Kind::Uri, uri(self.param("uri"))?)
            }
            What::Complete => {
                let reference = self.param("ref");
                let of = |name: &str| reference.and_then(|reference| reference.get(name));
                match of("type").and_then(Node::text) {
                    Some("ref/prompt") => Resource::named(Kind::Prompt, name(of("name"))?),
                    Some("ref/resource") => Resource::named(Kind::Uri, uri(of("uri"))?),
                    _ => return Err(self.invalid("it completes nothing that is known")),
                }
            }
            What::Cancel
            | What::Discover
            | What::Initialize
            | What::ListPrompts
            | What::ListResources
            | What::ListTemplates
            | What::ListTools
            | What::Listen
            | What::Other => return Ok(None),
        }))
    }

    /// The resources that a stream of changes is about.
    fn listened(&self, actions: &mut Vec<Action>) -> Result<(), Reply> {
        let Some(uris) = self
            .param("notifications")
            .and_then(|filter| filter.get("resourceSubscriptions"))
        else {
            return Ok(());
        };
        let uris = uris
            .elements()
            .ok_or_else(|| self.invalid("its list of resources is none"))?;
        for uri in uris {
            match uri.text() {
                Some(uri) if is_uri(uri) => {
                    actions.push(Action::new(Verb::Get, Resource::named(Kind::Uri, uri)));
                }
                _ => return Err(self.invalid("a URI of it could be read in two ways")),
            }
        }
        Ok(())
    }

    /// Takes what the scope does not grant out of what the client says it can.
    fn client(&self, edits: &mut Edits) -> Result<(), Reply> {
        const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
        let capabilities = match self.known.what {
            What::Initialize => self.param("capabilities"),
            _ => self.param("_meta").and_then(|meta| meta.get(CAPABILITIES)),
        };
        let is_request = self.id.is_some();
        match capabilities {
            Some(capabilities) if capabilities.members().is_some() => {
                if let Some(kept) = granted(self.given.veil, self.given.body, capabilities) {
                    edits.replace(capabilities.span.clone(), kept);
                }
                Ok(())
            }
            None if !is_request => Ok(()),
            None if !self.revision.is_stateless() && self.known.what != What::Initialize => Ok(()),
            _ => Err(self.invalid("it does not say what its client is capable of")),
        }
    }

    /// What the agent brings because the server needed it first (2026-07-28, basic/patterns/mrtr).
    fn input(&self, actions: &mut Vec<Action>, edits: &mut Edits) -> Result<Option<String>, Reply> {
        if !(self.revision.is_stateless() && self.known.what.takes_input()) {
            return Ok(None);
        }
        let brought = self.param("inputResponses");
        let Some(name) = self.param("requestState") else {
            return match brought {
                None => Ok(None),
                Some(_) => Err(self.invalid("it brings input that nobody asked for")),
            };
        };
        const FOREIGN: &str = "its requestState is none that this run was given for this very request, or \
                               was brought before";
        let foreign = || self.invalid(FOREIGN);
        let name = name.text().ok_or_else(foreign)?;
        let input = self.given.shared.input(name).ok_or_else(foreign)?;
        if input.about != about_of(self.known.name, self.params) {
            return Err(foreign());
        }
        let brought = match brought {
            None => &[],
            Some(brought) => brought
                .members()
                .ok_or_else(|| self.invalid("its input is no object"))?,
        };
        let mut features = BTreeMap::new();
        for member in brought {
            match input.asked.get(&*member.name) {
                Some(feature) => features.insert(*feature, ()),
                None => return Err(self.invalid("it brings input that nobody asked for")),
            };
        }
        for (feature, ()) in features {
            let feature = Resource::named(Kind::Feature, feature);
            actions.push(Action::new(Verb::Execute, feature));
        }
        self.restore(&input, edits);
        Ok(Some(name.to_owned()))
    }

    /// Puts back what the server wants to see again.
    fn restore(&self, input: &Input, edits: &mut Edits) {
        match (&input.state, self.param("requestState"), self.params) {
            (Some(state), Some(name), _) => edits.replace(name.span.clone(), quoted(state)),
            (None, _, Some(params)) => {
                let mut out = Vec::new();
                put_kept(
                    &mut out,
                    edits,
                    self.given.body,
                    params,
                    |entry| !matches!(entry, Entry::Member(member) if member.name == "requestState"),
                );
                edits.replace(params.span.clone(), out);
            }
            _ => {}
        }
    }

    /// The token that the agent's request names for its progress, where the server cannot tell by it whose it
    /// is, and so is given another.
    fn progress(&self, edits: &mut Edits) -> Result<Option<Vec<u8>>, Reply> {
        let meta = self.param("_meta");
        let Some(token) = meta.and_then(|meta| meta.get("progressToken")) else {
            return Ok(None);
        };
        if Id::of(token).is_none() {
            return Err(self.invalid("its progress token is neither a text nor an integer"));
        }
        let in_session = |session: &str| !is_own_session(session.as_bytes());
        if self.id.is_none() || self.session.is_some_and(in_session) {
            return Ok(None);
        }
        self.given.alias.put(edits, token.span.clone());
        Ok(Some(token.raw(self.given.body).to_vec()))
    }

    /// A request is not waited for any more. The server is told of one that it has, under the name that it has
    /// it by. Without a session nobody knows whose request that would be: its client ends it by closing it.
    fn cancelled(&self, edits: &mut Edits) -> Result<(Expect, Option<Own>), Reply> {
        let named = self.param("requestId");
        let id = named.and_then(Id::of);
        let (Some(named), Some(id)) = (named, id) else {
            return Err(self.invalid("it names no request"));
        };
        let Some(session) = self.session else {
            return Ok((Expect::Nothing, None));
        };
        let alias = self
            .given
            .shared
            .with(Some(session), |known| known.at_server(&id));
        Ok(match alias.flatten() {
            Some(alias) => {
                let mut sent = Vec::new();
                alias.put(&mut sent);
                edits.replace(named.span.clone(), sent);
                (Expect::Taken, None)
            }
            None => (Expect::Nothing, Some(Own::TakesBack(id))),
        })
    }

    /// Takes the request's id. Without a session several clients may use the same at a time, and none of them
    /// ever meets another's: each has an exchange of its own.
    fn flight(&self) -> Result<Option<Flight>, Reply> {
        let (Some((id, _)), Some(session)) = (&self.id, self.session) else {
            return Ok(None);
        };
        let flight = Flight::begin(
            self.given.shared,
            session,
            id,
            self.known.what,
            self.given.alias,
        );
        flight.map(Some).map_err(|taken| match taken {
            Taken::InFlight => Reply::invalid(
                "another request of this session with the same id has no response yet; each has its own",
            ),
            Taken::Used => Reply::invalid("its id was used before in this session"),
            Taken::Full => Reply::error(
                429,
                INVALID_REQUEST,
                "the request is refused: too many requests of this session have no response yet, or it has \
                 used too many ids; begin another",
            ),
        })
    }
}

/// Whether a `_meta` has anything but what the protocol itself puts there. A server may go by it.
fn has_foreign(meta: &Node<'_>) -> bool {
    let own = |name: &str| name == "progressToken" || name.starts_with("io.modelcontextprotocol/");
    meta.members()
        .is_none_or(|members| members.iter().any(|member| !own(&member.name)))
}

/// What a request comes to.
struct Understood {
    body: Vec<u8>,
    expect: Expect,
    about: Option<Resource>,
    flight: Option<Flight>,
    input: Option<String>,
    progress: Option<Vec<u8>>,
    own: Option<Own>,
}

/// By what a request that brings input is known to be the same as before.
pub(in crate::mcp) fn about_of(method: &str, params: Option<&Node<'_>>) -> (String, String) {
    let name = ["name", "uri"]
        .into_iter()
        .find_map(|name| params?.get(name)?.text());
    (method.to_owned(), name.unwrap_or_default().to_owned())
}
