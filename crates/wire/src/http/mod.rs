//! HTTP: each request and its answer are one session. What crosses between the gateway's sockets and a
//! session is in [`bhttp`].
//!
//! A session is over with [`Step::Done`]. What the agent is told is a whole response, up to its
//! [`bhttp::Part::End`], or, where that did not come, one that is cut: the gateway breaks the connection
//! off then, so that nobody takes a part of an answer for the whole.

pub mod bhttp;
mod body;
mod exchange;
pub(crate) mod fields;
pub(crate) mod login;
mod method;
pub(crate) mod path;
mod place;
pub(crate) mod problem;
mod request;
mod response;
mod tags;
#[cfg(test)]
mod tests;
mod websocket;

use std::collections::VecDeque;
use std::sync::Arc;

use bailiwick_run::Verifier;
use bytes::Bytes;

use self::bhttp::{Part, Reader, WEBSOCKET};
use self::exchange::Exchange;
use self::login::{Face, Login, NoLogin, Route};
use self::problem::Problem;
use self::tags::Tags;
use crate::{
    Answer, Endpoint, Fault, Form, Knowledge, Protocol, Refused, Result, Seed, Session, Step,
    Ticket, Transport, Veil, Why,
};

/// This protocol's entry in the table.
pub const PROTOCOL: Protocol = Protocol {
    name: "http",
    endpoint: place::parse,
    forms: &FORMS,
    transport: Transport::Http,
    session: |seed| Box::new(Http::new(Phase::Head, seed)),
    survey: |seed| Box::new(Http::new(Phase::Survey, seed)),
    readable,
    lacks: |_, _| Vec::new(),
    per_run: None,
    shared: Some(|| Arc::new(Tags::default())),
};

/// What an agent can be handed to reach a target by HTTP.
const FORMS: [Form; 4] = [
    Form {
        name: "url",
        value: place::agent_url,
    },
    Form {
        name: "token",
        value: place::agent_token,
    },
    Form {
        name: "basic",
        value: place::agent_basic_url,
    },
    Form {
        name: "proxy",
        value: place::agent_proxy,
    },
];

/// Kept content as one row of one text.
fn readable(rows: &[u8]) -> Vec<Vec<Option<String>>> {
    match rows {
        [] => Vec::new(),
        rows => vec![vec![Some(String::from_utf8_lossy(rows).into_owned())]],
    }
}

/// Steps on their way out, in order.
#[derive(Default)]
struct Outbox(VecDeque<Step>);

impl Outbox {
    fn agent(&mut self, bytes: impl Into<Bytes>) {
        self.0.push_back(Step::ToAgent(bytes.into()));
    }

    fn step(&mut self, step: Step) {
        self.0.push_back(step);
    }
}

/// Numbers the calls of an exchange.
#[derive(Default)]
struct Tickets(u64);

impl Tickets {
    fn next(&mut self) -> Ticket {
        self.0 += 1;
        Ticket(self.0)
    }
}

/// The next part of what the agent sent.
fn next(reader: &mut Reader) -> Result<Option<Part>> {
    reader
        .next()
        .map_err(|_| Fault::Bug("a malformed request between socket and session"))
}

/// A session of one exchange.
struct Http {
    phase: Phase,
    from_agent: Reader,
    from_target: Reader,
    out: Outbox,
    /// As what the agent takes the gateway, as soon as that is known.
    face: Face,
    /// Whether the request is a HEAD, whose answer has no content.
    to_head: bool,
    /// Whether it is for a WebSocket.
    is_socket: bool,
    seed: Seed,
}

/// Where the exchange is. Each phase holds what that phase has, and no more.
enum Phase {
    /// The request's head is not there.
    Head,
    /// Whose request it is is looked up.
    Identifying(Box<Arrived>, Login),
    /// It is known; the gateway opens the target.
    Connecting(Box<Arrived>),
    /// A session without an agent, before its target is there.
    Survey,
    /// The request is held, decided and answered.
    Active(Box<Exchange>),
    /// One side broke the protocol. What the agent got of an answer is all there is.
    Broken(Out),
    /// Over.
    Over,
}

/// A request that has arrived.
struct Arrived {
    head: bhttp::Request,
    route: Route,
}

/// Whether the head of an answer is with the agent.
#[derive(Clone, Copy)]
enum Out {
    Yes,
    No,
}

impl Http {
    fn new(phase: Phase, seed: Seed) -> Self {
        Self {
            phase,
            from_agent: Reader::default(),
            from_target: Reader::default(),
            out: Outbox::default(),
            face: Face::Target,
            to_head: false,
            is_socket: false,
            seed,
        }
    }

    fn head(&mut self) -> Result<()> {
        let head = match next(&mut self.from_agent)? {
            None => return Ok(()),
            Some(Part::Request(head)) => head,
            Some(_) => return Err(Fault::Bug("a request that begins without its head")),
        };
        let route = Route::of(&head);
        self.face = route.face;
        self.to_head = head.method == "HEAD";
        self.is_socket = head.method == WEBSOCKET;
        let arrived = Arrived { head, route };
        match Login::of(&arrived.head, self.face) {
            Ok(login) => {
                self.out.step(Step::Identify(login.claim()));
                self.phase = Phase::Identifying(Box::new(arrived), login);
            }
            Err(why) => self.turn_away(None, &arrived.route, why),
        }
        Ok(())
    }

    fn turn_away(&mut self, login: Option<&Login>, route: &Route, why: NoLogin) {
        let failure = Login::failure(login, route, why);
        self.out.step(Step::LoginFailed(failure));
        let problem = Problem::unauthenticated(self.face, why.0);
        self.out.agent(problem.response(self.to_head));
        self.out.step(Step::Done);
        self.phase = Phase::Over;
    }

    fn active(&mut self) -> Result<()> {
        match &mut self.phase {
            Phase::Active(exchange) => {
                exchange.target(&mut self.from_target, &mut self.out)?;
                exchange.agent(&mut self.from_agent, &mut self.out)
            }
            _ => Ok(()),
        }
    }

    /// After a fault nothing of the session goes to its target: not what is on its way out, and not
    /// what is put in later.
    fn break_on<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            let to_target = |step: &Step| matches!(step, Step::Relay(_) | Step::Ask(..));
            self.out.0.retain(|step| !to_target(step));
            self.phase = match &self.phase {
                Phase::Active(exchange) if exchange.is_out() => Phase::Broken(Out::Yes),
                Phase::Broken(out) => Phase::Broken(*out),
                _ => Phase::Broken(Out::No),
            };
        }
        result
    }
}

impl Session for Http {
    fn agent(&mut self, bytes: &[u8]) -> Result<()> {
        let result = match self.phase {
            Phase::Broken(_) | Phase::Over | Phase::Survey => return Ok(()),
            Phase::Head => {
                self.from_agent.push(bytes);
                self.head()
            }
            // It is read when there is somebody to read it for.
            Phase::Identifying(..) | Phase::Connecting(_) => {
                self.from_agent.push(bytes);
                Ok(())
            }
            Phase::Active(_) => {
                self.from_agent.push(bytes);
                self.active()
            }
        };
        self.break_on(result)
    }

    fn target(&mut self, bytes: &[u8]) -> Result<()> {
        if !matches!(self.phase, Phase::Active(_)) {
            return Ok(());
        }
        self.from_target.push(bytes);
        let result = self.active();
        self.break_on(result)
    }

    fn agent_secured(&mut self) {}

    fn identified(&mut self, verifier: Arc<Verifier>) -> Result<()> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Identifying(arrived, login) => match login.prove(&verifier) {
                Ok(verified) => {
                    self.out.step(Step::Connect {
                        verified,
                        target: arrived.route.wanted.clone(),
                    });
                    self.phase = Phase::Connecting(arrived);
                }
                Err(why) => self.turn_away(Some(&login), &arrived.route, why),
            },
            _ => return self.break_on(Err(Fault::Bug("identified, but nobody asked"))),
        }
        Ok(())
    }

    fn connected(
        &mut self,
        endpoint: &Endpoint,
        _label: &str,
        veil: Arc<dyn Veil>,
        knowledge: Option<Knowledge>,
    ) -> Result<()> {
        let result = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Survey => {
                // There is nothing to learn of it that is not learned call by call.
                self.out.step(Step::Learned(Arc::new(())));
                self.out.step(Step::Ready);
                Ok(())
            }
            Phase::Connecting(arrived) => {
                self.out.step(Step::Ready);
                let Arrived { head, route } = *arrived;
                let tags = knowledge.and_then(|knowledge| knowledge.downcast::<Tags>().ok());
                let tags = tags.unwrap_or_default();
                tags.seed(&self.seed);
                let out = &mut self.out;
                let exchange = Exchange::begin(&head, &route, endpoint, veil, tags, out);
                self.phase = Phase::Active(Box::new(exchange));
                self.active()
            }
            _ => Err(Fault::Bug("connected outside of a connection")),
        };
        self.break_on(result)
    }

    fn target_secured(&mut self) -> Result<()> {
        self.break_on(Err(Fault::Bug("TLS that was not asked for")))
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> Result<()> {
        let result = match &mut self.phase {
            Phase::Active(exchange) => exchange
                .answer(ticket, answer, &mut self.out)
                .and_then(|()| self.active()),
            // The exchange ended while the call was decided.
            Phase::Broken(_) | Phase::Over => Ok(()),
            Phase::Head | Phase::Identifying(..) | Phase::Connecting(_) | Phase::Survey => {
                Err(Fault::Bug("an answer outside of an exchange"))
            }
        };
        self.break_on(result)
    }

    fn refresh(&mut self) {}

    fn refuse(&mut self, refused: &Refused) {
        let is_out = match &self.phase {
            Phase::Active(exchange) => exchange.is_out(),
            Phase::Broken(out) => matches!(out, Out::Yes),
            Phase::Over => true,
            Phase::Head | Phase::Identifying(..) | Phase::Connecting(_) | Phase::Survey => false,
        };
        // What a read brought is held until it is on record. So this is why nobody has got any of it, and
        // nobody will. Of a WebSocket it may be a later message that this is about.
        let is_held_back = refused.why == Why::Unrecorded && !self.is_socket;
        if !is_out || is_held_back {
            let problem = Problem::refused(refused, self.face);
            self.out.agent(problem.response(self.to_head));
        } else if let Phase::Active(exchange) = &self.phase {
            exchange.take_leave(refused, &mut self.out);
        }
        self.phase = Phase::Over;
        self.out.step(Step::Done);
    }

    fn wants_agent(&self) -> bool {
        match &self.phase {
            Phase::Head => true,
            Phase::Active(exchange) => exchange.wants_agent(),
            Phase::Identifying(..)
            | Phase::Connecting(_)
            | Phase::Survey
            | Phase::Broken(_)
            | Phase::Over => false,
        }
    }

    /// What is done for a request that nobody waits for is the target's matter: its connection is closed.
    fn cancel_request(&self) -> Option<Vec<u8>> {
        None
    }

    fn next(&mut self) -> Option<Step> {
        let step = self.out.0.pop_front();
        if matches!(step, Some(Step::Done)) {
            self.phase = Phase::Over;
        }
        step
    }
}
