//! One exchange with a server that was opened for its run: the request is held until it is whole, understood,
//! asked, and answered with what the server says.

mod answering;
mod asking;
mod look;

use std::collections::VecDeque;
use std::sync::Arc;

use bailiwick_action::{Held, Stage};

use crate::http::bhttp::{Part, Reader, Request};
use crate::limits::{MCP_AGENT_BYTES_MAX, MCP_TARGET_BYTES_MAX};
use crate::mcp::alias::Alias;
use crate::mcp::answer::{Answer, fits};
use crate::mcp::events::Events;
use crate::mcp::listing::Listing;
use crate::mcp::message::Id;
use crate::mcp::method::What;
use crate::mcp::plan::{self, Expect, Given, Own, Planned, hold_against};
use crate::mcp::reply::{DENIED, Place, Reply, TAKEN_BACK};
use crate::mcp::shared::{Flight, Input, Known, Shared};
use crate::mcp::tools::Tools;
use crate::{Answer as Decided, End, Fault, Refused, Result, Step, Terms, Ticket, Veil, Why};

/// The call of the exchange; what a server asks its client has tickets from here on.
const CALL: Ticket = Ticket(1);

/// An exchange.
pub(in crate::mcp) struct Exchange {
    veil: Arc<dyn Veil>,
    shared: Arc<Shared>,
    head: Request,
    body: Vec<u8>,
    /// The whole path at the target.
    path: String,
    place: Place,
    /// By what the server knows the request.
    alias: Alias,
    from_target: Reader,
    tickets: u64,
    /// Whether the head of the response to the agent is on its way.
    answered: bool,
    id: Option<Id>,
    state: State,
}

enum State {
    /// The request is not whole.
    Receiving,
    /// The gateway asks the server for its tools first.
    Looking(Box<Planned>, Box<Look>),
    /// The call is being decided.
    Asking(Box<Planned>),
    /// The server answers.
    Answering(Box<Answering>),
    Over,
}

/// What follows a look at the tools.
#[derive(Clone, Copy)]
enum Then {
    /// The call is asked for.
    Ask,
    /// It was, and is made if its tool is what it was.
    Resume,
}

/// A response of the server, while it comes.
enum Coming {
    Head,
    /// One message.
    Message(Vec<u8>),
    /// Messages as events.
    Events(Events),
    /// Nothing that is looked at.
    Nothing,
}

struct Look {
    then: Then,
    listing: Listing,
    coming: Coming,
    /// The answer to the request that is under way is there.
    is_there: bool,
}

struct Answering {
    planned: Planned,
    terms: Terms,
    coming: Coming,
    status: u16,
    /// The session that the server began.
    began: Option<String>,
    end: End,
    /// What the server asks its client, while that is decided, and the rest waits.
    asking: Option<Asked>,
}

/// What a server asks its client.
struct Asked {
    ticket: Ticket,
    /// What the agent gets.
    event: Vec<u8>,
    how: How,
}

enum How {
    /// As a request, with this id.
    Request(Id, Option<&'static str>),
    /// As a result that says what is needed first.
    Needs(String, Input, Answer),
}

/// Steps on their way out.
type Out = VecDeque<Step>;

impl Exchange {
    pub(in crate::mcp) fn new(
        veil: Arc<dyn Veil>,
        shared: Arc<Shared>,
        head: Request,
        path: String,
        place: Place,
        alias: Alias,
    ) -> Self {
        Self {
            veil,
            shared,
            head,
            body: Vec::new(),
            path,
            place,
            alias,
            from_target: Reader::default(),
            tickets: CALL.0,
            answered: false,
            id: None,
            state: State::Receiving,
        }
    }

    pub(in crate::mcp) fn wants_agent(&self) -> bool {
        matches!(self.state, State::Receiving)
    }

    /// Whether the client only hears what the server says by itself.
    pub(in crate::mcp) fn listens(&self) -> bool {
        let planned = match &self.state {
            State::Asking(planned) => planned,
            State::Answering(answering) => &answering.planned,
            State::Receiving | State::Looking(..) | State::Over => return false,
        };
        matches!(
            planned.expect,
            Expect::Stream | Expect::Response(What::Listen)
        )
    }

    pub(in crate::mcp) fn refresh(&self) {
        self.shared.forget_tools();
    }

    /// Whether a call that has waited is still of the tool that people were asked about: the server may have put
    /// another in its place. Nothing where the server has to be asked first; then a step says it.
    pub(in crate::mcp) fn resume(&mut self, out: &mut Out) -> Result<Option<bool>> {
        let State::Asking(planned) = &self.state else {
            return Ok(Some(false));
        };
        if planned.tool().is_none() {
            return Ok(Some(true));
        }
        let is_same = |known: &mut Known| {
            let tools = known.known_tools();
            tools.map(|tools| self.is_called_as_asked(planned, tools))
        };
        match self.shared.with(planned.server_session(), is_same) {
            None => return Ok(Some(false)),
            Some(Some(same)) => return Ok(Some(same)),
            Some(None) => {}
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asking(planned) => {
                self.look(*planned, Then::Resume, out);
                Ok(None)
            }
            _ => Err(Fault::Bug("resumed, but nothing is asked")),
        }
    }

    fn is_called_as_asked(&self, planned: &Planned, tools: &Tools) -> bool {
        let tool = planned.tool().and_then(|name| tools.get(name));
        tool.is_some_and(|tool| fits(&*self.veil, tool).is_ok())
    }

    fn given(&self) -> Given<'_> {
        Given {
            head: &self.head,
            body: &self.body,
            path: &self.path,
            veil: &*self.veil,
            shared: &self.shared,
            alias: &self.alias,
        }
    }

    /// A request that is refused before its content is looked at.
    pub(in crate::mcp) fn refuse_request(&mut self, reply: Reply, out: &mut Out) {
        let planned = Planned::refused(&self.given(), reply);
        self.ask(planned, out);
    }

    /// A part of the request.
    pub(in crate::mcp) fn agent(&mut self, part: Part, out: &mut Out) -> Result<()> {
        if !matches!(self.state, State::Receiving) {
            // What follows a request that was refused is not looked at.
            return Ok(());
        }
        match part {
            Part::Content(bytes) => {
                self.body.extend_from_slice(&bytes);
                if self.body.len() > MCP_AGENT_BYTES_MAX {
                    let why = format!(
                        "the request is refused: it is longer than {MCP_AGENT_BYTES_MAX} bytes"
                    );
                    self.body = Vec::new();
                    let code = crate::mcp::reply::INVALID_REQUEST;
                    self.refuse_request(Reply::error(413, code, why), out);
                }
                Ok(())
            }
            Part::End(_) => {
                let mut planned = plan::plan(&self.given());
                self.id.clone_from(&planned.id);
                match self.known_tools(&mut planned) {
                    Some(()) => self.ask(planned, out),
                    None => self.look(planned, Then::Ask, out),
                }
                Ok(())
            }
            Part::Request(_) | Part::Response(_) => Err(Fault::Bug("a head within a request")),
        }
    }

    /// Holds a call of a tool against what is known of the tools. Nothing where that has to be learned first.
    fn known_tools(&self, planned: &mut Planned) -> Option<()> {
        let is_granted = planned
            .about
            .as_ref()
            .is_some_and(|about| self.veil.covers(about));
        if planned.refusal.is_some() || planned.tool().is_none() || !is_granted {
            return Some(());
        }
        let known = self.shared.with(planned.server_session(), |known| {
            let tools = known.tools()?.clone();
            known.used_tools();
            Some(tools)
        });
        hold_against(planned, &self.given(), &known.flatten()?);
        Some(())
    }

    fn ask(&mut self, mut planned: Planned, out: &mut Out) {
        if planned.flight.as_ref().is_some_and(Flight::is_taken_back) {
            planned.refuse(Reply::error(403, DENIED, TAKEN_BACK).into_result());
        }
        let held = Held {
            call: planned.call.clone(),
            bytes: std::mem::take(&mut planned.bytes),
            // What it goes on from is the server's own, and stands in no text.
            sense: planned.input.clone().unwrap_or_default().into_bytes(),
            stage: Stage::Waits,
        };
        self.state = State::Asking(Box::new(planned));
        out.push_back(Step::Ask(CALL, held));
    }

    /// The gateway has decided.
    pub(in crate::mcp) fn decided(
        &mut self,
        ticket: Ticket,
        decided: Decided,
        out: &mut Out,
    ) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asking(mut planned) if ticket == CALL => match decided {
                Decided::Allow(terms) => {
                    self.allowed(*planned, terms, out);
                    self.answering(out)
                }
                decided => {
                    // It was never sent, so nothing can come of it.
                    if let Some(flight) = &mut planned.flight {
                        flight.landed();
                    }
                    let about = planned.about.as_ref();
                    let outside = about.filter(|about| !self.veil.covers(about));
                    let is_granted = outside.is_none() && about.is_some();
                    let reply = match (decided, planned.refusal) {
                        (Decided::Unrecorded(why), _) => Some(Reply::unrecorded(&why)),
                        (_, Some(reply)) => Some(reply),
                        (decided, None) => Reply::not_made(decided, outside).map(|reply| {
                            let calls_tool = planned.expect == Expect::Response(What::CallTool);
                            match is_granted && calls_tool {
                                true => reply.into_result(),
                                false => reply,
                            }
                        }),
                    };
                    let reply = reply.ok_or(Fault::Bug("an answer that is none"))?;
                    self.reply(&reply, out);
                    Ok(())
                }
            },
            State::Answering(mut answering) => {
                match answering.asking.take() {
                    Some(asked) if asked.ticket == ticket => {
                        self.state = State::Answering(answering);
                        self.feature_decided(asked, decided, out)?;
                    }
                    _ => return Err(Fault::Bug("an answer to no question")),
                }
                self.answering(out)
            }
            State::Over => Ok(()),
            State::Receiving | State::Looking(..) | State::Asking(_) => {
                Err(Fault::Bug("an answer to no question"))
            }
        }
    }

    fn allowed(&mut self, planned: Planned, terms: Terms, out: &mut Out) {
        if let Some(name) = &planned.input {
            self.shared.answered_input(name);
        }
        if let Some(id) = &planned.answers {
            self.shared
                .with(planned.session.as_deref(), |known| known.answered(id));
        }
        if let Some(flight) = &planned.flight {
            flight.sent();
        }
        let status = self.own(&planned, out);
        self.state = State::Answering(Box::new(Answering {
            planned,
            terms,
            coming: Coming::Head,
            status: 0,
            began: None,
            end: End::default(),
            asking: None,
        }));
        if let Some(status) = status {
            self.begin(status, b"", out);
            self.finish(None, out);
        }
    }

    /// Does what the gateway itself has to do about a request. Gives the status of its response, where the
    /// server has no part in it.
    fn own(&self, planned: &Planned, out: &mut Out) -> Option<u16> {
        let session = planned.session.as_deref();
        match &planned.own {
            Some(Own::TakesBack(id)) => {
                let key = self.shared.with(session, |known| known.take_back(id));
                out.extend(key.flatten().map(Step::Cancel));
            }
            Some(Own::Ends) => {
                if let Some(session) = session {
                    self.shared.end(session);
                }
                return Some(200);
            }
            None => {}
        }
        (planned.expect == Expect::Nothing).then_some(202)
    }

    /// The gateway's own response, and the end of the exchange.
    pub(in crate::mcp) fn reply(&mut self, reply: &Reply, out: &mut Out) {
        if !self.answered {
            let response = reply.response(self.id.as_ref(), &self.place);
            out.push_back(Step::ToAgent(response));
        }
        self.over(out);
    }

    fn over(&mut self, out: &mut Out) {
        self.state = State::Over;
        out.push_back(Step::Done);
    }

    /// The id that an answer goes to.
    pub(in crate::mcp) fn into_id(self) -> Option<Id> {
        self.id
    }

    /// Ends the exchange for a reason of the gateway's. Where the response has begun, it is cut; unless
    /// nobody has got any of it, because it was held until its record is there.
    pub(in crate::mcp) fn refuse(&mut self, refused: &Refused, out: &mut Out) {
        self.answered = self.answered && refused.why != Why::Unrecorded;
        self.reply(&Reply::refused(refused), out);
    }

    /// Bytes of a response of the target.
    pub(in crate::mcp) fn target(&mut self, bytes: &[u8], out: &mut Out) -> Result<()> {
        self.from_target.push(bytes);
        if self.from_target.waiting() > 2 * MCP_TARGET_BYTES_MAX {
            return Err(Fault::Target("more than is waited for".into()));
        }
        self.looking(out)?;
        self.answering(out)
    }

    fn part(&mut self) -> Result<Option<Part>> {
        self.from_target
            .next()
            .map_err(|_| Fault::Bug("a malformed message between session and socket"))
    }
}
