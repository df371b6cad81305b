//! MCP, the Model Context Protocol, over its Streamable HTTP transport: revisions 2025-06-18, 2025-11-25 and
//! 2026-07-28 (<https://modelcontextprotocol.io/specification>). An exchange is one HTTP request; servers and
//! clients that talk over pipes are turned into such exchanges before they come here.
//!
//! * A message is read strictly and whole, and every request is a call: what it is about is one action, and
//!   what is not known is refused, on record like the rest.
//! * A tool is called only while its definition is the one that its task was written for. The session looks at
//!   the definitions itself, before the first call, after the server says that they changed, and from time to
//!   time.
//! * What a server asks its client for is a call too. Without a grant the server is told that its client
//!   does not do it, and clients are not shown as able to.
//! * Of a server's lists the agent sees what its run may use; of its texts, what masking leaves.

mod alias;
mod answer;
mod events;
mod exchange;
mod field;
mod header;
mod json;
mod listing;
mod mask;
mod message;
mod method;
mod plan;
mod reply;
mod shared;
#[cfg(test)]
mod tests;
mod tools;

use std::collections::VecDeque;
use std::sync::Arc;

use bailiwick_run::Verifier;

use self::alias::Alias;
use self::exchange::Exchange;
use self::message::Id;
use self::reply::{Place, Reply};
use self::shared::Shared;
use crate::http::bhttp::{Part, Reader, Request};
use crate::http::login::{Face, Login, NoLogin, Route};
use crate::{
    Answer, Endpoint, Fault, Knowledge, Protocol, Refused, Result, Seed, Session, Step, Ticket,
    Transport, Veil, Wanted, Why,
};

pub use listing::{Survey, SurveyRequest};
pub use tools::{Tool, definition_digest};

const NAME: &str = "mcp";

/// This protocol's entry in the table.
pub const PROTOCOL: Protocol = Protocol {
    name: NAME,
    endpoint: crate::http::PROTOCOL.endpoint,
    forms: crate::http::PROTOCOL.forms,
    transport: Transport::Http,
    session: |seed| Box::new(Mcp::new(seed)),
    survey: |seed| Box::new(Mcp::survey(seed)),
    readable: crate::http::PROTOCOL.readable,
    lacks: |_, _| Vec::new(),
    per_run: None,
    shared: Some(|| Arc::new(Shared::default())),
};

/// A session: one exchange.
struct Mcp {
    phase: Phase,
    from_agent: Reader,
    alias: Alias,
    /// From where the agent sees the gateway.
    place: Place,
    /// The id that the last words are for, once the exchange is over.
    id: Option<Id>,
    out: VecDeque<Step>,
}

/// Where the exchange is.
enum Phase {
    /// The head of the request is not there.
    Waiting,
    /// Somebody says which run it is.
    Identifying(Request, Route, Login),
    /// It is, and the target is opened.
    Connecting(Request, Route),
    /// There is no agent.
    Surveying,
    /// The call goes through.
    Active(Box<Exchange>),
    /// One side broke the protocol. Only last words are left.
    Broken(Box<Exchange>),
    /// It ends before it began, and nobody has been told why.
    Unsaid,
    /// Over.
    Over,
}

impl Mcp {
    fn new(seed: Seed) -> Self {
        Self {
            phase: Phase::Waiting,
            from_agent: Reader::default(),
            alias: Alias::new(&seed),
            place: Place::default(),
            id: None,
            out: VecDeque::new(),
        }
    }

    /// A session that has no agent: there is nothing to learn without asking, and [`Survey`] asks.
    fn survey(seed: Seed) -> Self {
        Self {
            phase: Phase::Surveying,
            ..Self::new(seed)
        }
    }

    fn head(&mut self, head: Request) {
        let route = Route::of(&head);
        self.place = Place {
            host: crate::http::bhttp::field(&head.fields, "host").and_then(reply::host),
            target: match &route.wanted {
                Wanted::Name(name) => reply::host(name.as_bytes()),
                Wanted::Url { .. } => None,
            },
        };
        match Login::of(&head, route.face) {
            Ok(login) => {
                self.out.push_back(Step::Identify(login.claim()));
                self.phase = Phase::Identifying(head, route, login);
            }
            Err(why) => self.login_failed(None, &route, why),
        }
    }

    fn login_failed(&mut self, login: Option<&Login>, route: &Route, why: NoLogin) {
        let failure = Login::failure(login, route, why);
        self.out.push_back(Step::LoginFailed(failure));
        self.refuse(&Refused {
            why: Why::Credential,
            message: format!("this request is of no run: {}", why.0),
            hint: "Send the run's own secret as `Authorization: Bearer …`".into(),
        });
    }

    /// Takes the parts of the request that are there.
    fn advance(&mut self) -> Result<()> {
        loop {
            match &mut self.phase {
                Phase::Waiting | Phase::Active(_) => {}
                _ => return Ok(()),
            }
            let part = self
                .from_agent
                .next()
                .map_err(|_| Fault::Bug("a malformed message between session and socket"))?;
            match (part, &mut self.phase) {
                (None, _) => return Ok(()),
                (Some(Part::Request(head)), Phase::Waiting) => self.head(head),
                (Some(part), Phase::Active(exchange)) => exchange.agent(part, &mut self.out)?,
                _ => return Err(Fault::Bug("a request without a head")),
            }
        }
    }

    /// After a fault nothing of the exchange goes to its target.
    fn break_on<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            let to_target = |step: &Step| matches!(step, Step::Relay(_) | Step::Ask(..));
            self.out.retain(|step| !to_target(step));
            self.phase = match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Active(exchange) | Phase::Broken(exchange) => Phase::Broken(exchange),
                Phase::Over => Phase::Over,
                _ => Phase::Unsaid,
            };
        }
        result
    }
}

/// The path at the target, where the request is to the server and to nothing else there.
fn path(route: &Route, base: &str) -> std::result::Result<String, Reply> {
    let whole = match base {
        "" => "/",
        base => base,
    };
    let path = route.path.as_deref().map_err(|odd| Reply::invalid(odd))?;
    let is_whole = match route.face {
        Face::Target => path == "/",
        Face::Proxy => path.trim_end_matches('/') == base.trim_end_matches('/'),
    };
    if is_whole && route.query.is_none() {
        Ok(whole.to_owned())
    } else {
        let why = "a target that speaks MCP has one address, with nothing behind it";
        Err(Reply::error(404, 404, why))
    }
}

impl Session for Mcp {
    fn agent(&mut self, bytes: &[u8]) -> Result<()> {
        if matches!(self.phase, Phase::Broken(_) | Phase::Unsaid | Phase::Over) {
            return Ok(());
        }
        self.from_agent.push(bytes);
        let result = self.advance();
        self.break_on(result)
    }

    fn target(&mut self, bytes: &[u8]) -> Result<()> {
        let Phase::Active(exchange) = &mut self.phase else {
            return Ok(());
        };
        let result = exchange.target(bytes, &mut self.out);
        self.break_on(result)
    }

    fn agent_secured(&mut self) {}

    fn identified(&mut self, verifier: Arc<Verifier>) -> Result<()> {
        match std::mem::replace(&mut self.phase, Phase::Unsaid) {
            Phase::Identifying(head, route, login) => match login.prove(&verifier) {
                Ok(verified) => {
                    self.out.push_back(Step::Connect {
                        verified,
                        target: route.wanted.clone(),
                    });
                    self.phase = Phase::Connecting(head, route);
                    Ok(())
                }
                Err(why) => {
                    self.login_failed(Some(&login), &route, why);
                    Ok(())
                }
            },
            _ => Err(Fault::Bug("identified outside of a login")),
        }
    }

    fn connected(
        &mut self,
        endpoint: &Endpoint,
        _label: &str,
        veil: Arc<dyn Veil>,
        knowledge: Option<Knowledge>,
    ) -> Result<()> {
        match std::mem::replace(&mut self.phase, Phase::Unsaid) {
            Phase::Surveying => {
                self.out.push_back(Step::Learned(Arc::new(())));
                self.out.push_back(Step::Ready);
                Ok(())
            }
            Phase::Connecting(head, route) => {
                let shared = knowledge.and_then(|knowledge| knowledge.downcast().ok());
                let Some(shared) = shared else {
                    return Err(Fault::Bug("an exchange without what its run shares"));
                };
                let path = path(&route, &endpoint.database);
                let (path, refusal) = match path {
                    Ok(path) => (path, None),
                    Err(reply) => (String::new(), Some(reply)),
                };
                let foreign = crate::http::bhttp::field(&head.fields, "origin").is_some();
                let refusal = refusal.or_else(|| {
                    // Basic/transports, "Security Warning": no page of a browser is expected here.
                    foreign.then(|| {
                        Reply::error(
                            403,
                            reply::DENIED,
                            "the request is refused: it comes from a page in a browser",
                        )
                    })
                });
                self.out.push_back(Step::Ready);
                let place = self.place.clone();
                let alias = self.alias.clone();
                let mut exchange = Exchange::new(veil, shared, head, path, place, alias);
                if let Some(reply) = refusal {
                    exchange.refuse_request(reply, &mut self.out);
                }
                self.phase = Phase::Active(Box::new(exchange));
                let result = self.advance();
                self.break_on(result)
            }
            _ => Err(Fault::Bug("connected outside of a connection")),
        }
    }

    fn target_secured(&mut self) -> Result<()> {
        Err(Fault::Bug("TLS is not the session's matter"))
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> Result<()> {
        let result = match &mut self.phase {
            Phase::Active(exchange) => exchange.decided(ticket, answer, &mut self.out),
            // The exchange ended while the call was decided.
            Phase::Broken(_) | Phase::Unsaid | Phase::Over => Ok(()),
            _ => Err(Fault::Bug("an answer outside of an exchange")),
        };
        self.break_on(result)
    }

    fn resume(&mut self, _: Ticket) -> Result<Option<bool>> {
        match &mut self.phase {
            Phase::Active(exchange) => exchange.resume(&mut self.out),
            _ => Ok(Some(false)),
        }
    }

    fn refresh(&mut self) {
        if let Phase::Active(exchange) = &self.phase {
            exchange.refresh();
        }
    }

    fn refuse(&mut self, refused: &Refused) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Active(mut exchange) | Phase::Broken(mut exchange) => {
                exchange.refuse(refused, &mut self.out);
            }
            // What a read brought is held until it is on record. If it will not be, nobody has got any
            // of it, though all of it was said.
            Phase::Over if refused.why != Why::Unrecorded => {}
            _ => {
                let response = Reply::refused(refused).response(self.id.as_ref(), &self.place);
                self.out.push_back(Step::ToAgent(response));
                self.out.push_back(Step::Done);
            }
        }
    }

    fn wants_agent(&self) -> bool {
        match &self.phase {
            Phase::Waiting => true,
            Phase::Active(exchange) => exchange.wants_agent(),
            _ => false,
        }
    }

    fn listens(&self) -> bool {
        matches!(&self.phase, Phase::Active(exchange) if exchange.listens())
    }

    fn cancel_request(&self) -> Option<Vec<u8>> {
        None
    }

    fn next(&mut self) -> Option<Step> {
        let step = self.out.pop_front();
        if matches!(step, Some(Step::Done))
            && let Phase::Active(exchange) = std::mem::replace(&mut self.phase, Phase::Over)
        {
            self.id = exchange.into_id();
        }
        step
    }
}
