//! One exchange, once it is known whose it is: the request is held until it is decided, then its answer
//! comes back.

use std::sync::Arc;

use bailiwick_action::{Call, Held, Stage};
use bytes::BytesMut;
use sha2::{Digest, Sha256};

use super::bhttp::{self, Part, Reader, put_content, put_end};
use super::body::{Extent, Scan};
use super::login::Route;
use super::method::Method;
use super::place::Place;
use super::problem::{Problem, Refusal, Sort};
use super::request::Request;
use super::response::{Answering, Next};
use super::tags::Tags;
use super::websocket::{self, WebSocket};
use super::{Outbox, Tickets};
use crate::{Answer, Endpoint, Fault, Plumbing, Refused, Result, Step, Ticket, Veil};

pub(super) struct Exchange {
    veil: Arc<dyn Veil>,
    tags: Arc<Tags>,
    place: Place,
    tickets: Tickets,
    state: State,
}

enum State {
    /// The request's content is not all there.
    Holding(Request, BytesMut),
    /// The call is being decided.
    Asked(Asked),
    /// It is with the target.
    Sent(Answering, Upload),
    /// Both sides speak as they like.
    WebSocket(WebSocket),
    /// Over.
    Over,
}

struct Asked {
    ticket: Ticket,
    what: Asking,
}

/// What becomes of a call once it is decided.
enum Asking {
    /// The call can only be denied, and this is how the agent is told.
    Refused(Sort),
    /// It may be let through.
    Understood(Request, Upload),
}

impl Asking {
    /// Whether the answer has no content.
    fn is_to_head(&self) -> bool {
        matches!(self, Asking::Understood(request, _) if request.method == Method::Head)
    }
}

/// What becomes of what else comes of the request.
enum Upload {
    /// It follows, if there is nothing wrong with it.
    Follows(Scan),
    /// It waits until the target has accepted the WebSocket.
    Waits,
    /// There is nothing, or nobody wants it any more.
    Over,
}

impl Exchange {
    /// Begins with a request's head.
    pub(super) fn begin(
        head: &bhttp::Request,
        route: &Route,
        endpoint: &Endpoint,
        veil: Arc<dyn Veil>,
        tags: Arc<Tags>,
        out: &mut Outbox,
    ) -> Self {
        let place = Place::new(endpoint, route);
        let read = Request::read(head, route, &place, &*veil, &tags);
        let mut exchange = Self {
            veil,
            tags,
            place,
            tickets: Tickets::default(),
            state: State::Over,
        };
        match read {
            Ok(request) if request.method == Method::WebSocket => {
                exchange.ask(request, &[], Extent::Whole, Upload::Waits, out);
            }
            Ok(request) => exchange.state = State::Holding(request, BytesMut::new()),
            Err(not) => {
                let (line, refusal) = *not;
                let call = line.refused(&refusal);
                let asking = Asking::Refused(refusal.sort);
                exchange.put_question(call, Vec::new(), Stage::Retries, asking, out);
            }
        }
        exchange
    }

    pub(super) fn wants_agent(&self) -> bool {
        match &self.state {
            State::Holding(..) | State::Sent(_, Upload::Follows(_)) => true,
            State::WebSocket(socket) => socket.wants_agent(),
            State::Asked(_) | State::Sent(..) | State::Over => false,
        }
    }

    /// Whether the agent has got the head of an answer.
    pub(super) fn is_out(&self) -> bool {
        match &self.state {
            State::Sent(answering, _) => answering.is_out(),
            State::WebSocket(_) | State::Over => true,
            State::Holding(..) | State::Asked(_) => false,
        }
    }

    /// Says why it is ended, where its answer has begun and there is a way to say it.
    pub(super) fn take_leave(&self, refused: &Refused, out: &mut Outbox) {
        if let State::WebSocket(_) = &self.state {
            out.agent(websocket::farewell(refused));
        }
    }

    /// Reads what the agent sent.
    pub(super) fn agent(&mut self, reader: &mut Reader, out: &mut Outbox) -> Result<()> {
        loop {
            match &mut self.state {
                State::Asked(_) | State::Sent(_, Upload::Waits) => return Ok(()),
                State::WebSocket(socket) => {
                    return socket.agent(reader, &*self.veil, &mut self.tickets, out);
                }
                State::Holding(..) | State::Sent(..) | State::Over => {}
            }
            match super::next(reader)? {
                None => return Ok(()),
                Some(Part::Content(piece)) => self.content(&piece, out)?,
                Some(Part::End(_)) => self.end(out),
                Some(Part::Request(_) | Part::Response(_)) => {
                    return Err(Fault::Bug("two requests in one exchange"));
                }
            }
        }
    }

    fn content(&mut self, piece: &[u8], out: &mut Outbox) -> Result<()> {
        match &mut self.state {
            State::Holding(request, held) => {
                held.extend_from_slice(piece);
                match request.may_hold(held.len()) {
                    Ok(true) => {}
                    Ok(false) => {
                        if let Some((request, held)) = self.take_held() {
                            let upload = Upload::Follows(request.scan(&held));
                            self.ask(request, &held, Extent::Begun, upload, out);
                        }
                    }
                    Err(refusal) => {
                        if let Some((request, _)) = self.take_held() {
                            self.ask_refused(&request, &refusal, out);
                        }
                    }
                }
            }
            State::Sent(_, Upload::Follows(scan)) => {
                scan.look(piece, &*self.veil)
                    .map_err(|refusal| Fault::Agent(refusal.why))?;
                let mut bytes = BytesMut::new();
                put_content(&mut bytes, piece);
                out.step(Step::Relay(Plumbing::new(bytes)));
            }
            // The target has answered already.
            _ => {}
        }
        Ok(())
    }

    /// The request has ended. Its trailer fields do not pass: nothing of them was decided.
    fn end(&mut self, out: &mut Outbox) {
        if let Some((request, held)) = self.take_held() {
            self.ask(request, &held, Extent::Whole, Upload::Over, out);
            return;
        }
        if let State::Sent(_, upload @ Upload::Follows(_)) = &mut self.state {
            *upload = Upload::Over;
            let mut bytes = BytesMut::new();
            put_end(&mut bytes, &[]);
            out.step(Step::Relay(Plumbing::new(bytes)));
        }
    }

    fn take_held(&mut self) -> Option<(Request, BytesMut)> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Holding(request, held) => Some((request, held)),
            other => {
                self.state = other;
                None
            }
        }
    }

    fn ask(
        &mut self,
        request: Request,
        content: &[u8],
        extent: Extent,
        upload: Upload,
        out: &mut Outbox,
    ) {
        let veil = &*self.veil;
        let (call, bytes, refusal) = request.call(content, extent, &self.place, veil);
        let asking = match refusal {
            Some(Refusal { sort, .. }) => Asking::Refused(sort),
            None => Asking::Understood(request, upload),
        };
        let stage = match extent {
            Extent::Whole => Stage::Waits,
            Extent::Begun => Stage::Unfinished(
                "its content is too long to be held whole, so nobody could say what the rest of it is",
            ),
        };
        self.put_question(call, bytes, stage, asking, out);
    }

    fn ask_refused(&mut self, request: &Request, refusal: &Refusal, out: &mut Outbox) {
        let call = request.refused(refusal);
        let asking = Asking::Refused(refusal.sort);
        self.put_question(call, Vec::new(), Stage::Retries, asking, out);
    }

    fn put_question(
        &mut self,
        call: Call,
        bytes: Vec<u8>,
        stage: Stage,
        what: Asking,
        out: &mut Outbox,
    ) {
        let ticket = self.tickets.next();
        let held = Held {
            call,
            // The text of a call has what is text in it; this is of every byte.
            sense: Sha256::digest(&bytes).to_vec(),
            bytes,
            stage,
        };
        out.step(Step::Ask(ticket, held));
        self.state = State::Asked(Asked { ticket, what });
    }

    /// The gateway's answer to a call.
    pub(super) fn answer(
        &mut self,
        ticket: Ticket,
        answer: Answer,
        out: &mut Outbox,
    ) -> Result<()> {
        match &mut self.state {
            State::WebSocket(socket) => {
                if socket.answer(ticket, answer, out)? {
                    self.state = State::Over;
                }
                return Ok(());
            }
            State::Asked(asked) if asked.ticket == ticket => {}
            State::Over => return Ok(()),
            State::Asked(_) | State::Holding(..) | State::Sent(..) => {
                return Err(Fault::Bug("an answer to a call that was not asked"));
            }
        }
        let State::Asked(Asked { what, .. }) = std::mem::replace(&mut self.state, State::Over)
        else {
            return Err(Fault::Bug("an exchange in two states"));
        };
        let (problem, to_head) = match (answer, what) {
            (Answer::Allow(terms), Asking::Understood(request, upload)) => {
                self.state = State::Sent(Answering::new(ticket, request, terms), upload);
                return Ok(());
            }
            (Answer::Allow(_), Asking::Refused(_)) => {
                return Err(Fault::Bug("a call that was refused was let through"));
            }
            (Answer::Deny(denial), Asking::Refused(sort)) => {
                (Problem::new(sort, denial.reason, denial.remedy), false)
            }
            (Answer::Deny(denial), Asking::Understood(request, _)) => {
                (Problem::denied(&denial), request.method == Method::Head)
            }
            (Answer::Unapproved(denial, approval), asking) => {
                let problem = Problem::unapproved(&denial, approval);
                (problem, asking.is_to_head())
            }
            (Answer::Withdrawn, asking) => (Problem::withdrawn(), asking.is_to_head()),
            (Answer::Unrecorded(why), _) => (Problem::unrecorded(&why), false),
        };
        out.agent(problem.response(to_head));
        out.step(Step::Done);
        Ok(())
    }

    /// Reads what the target sent.
    pub(super) fn target(&mut self, reader: &mut Reader, out: &mut Outbox) -> Result<()> {
        loop {
            let malformed = |_| Fault::Target("a malformed answer".into());
            let Some(part) = reader.next().map_err(malformed)? else {
                return Ok(());
            };
            let next = match &mut self.state {
                State::Over => continue,
                State::Holding(..) | State::Asked(_) => {
                    return Err(Fault::Target("an answer before the request".into()));
                }
                State::WebSocket(socket) => {
                    if socket.target(part, &self.veil, out)? {
                        self.state = State::Over;
                    }
                    continue;
                }
                State::Sent(answering, upload) => match part {
                    Part::Response(head) => {
                        // Whatever else there is of the request, the target does not wait for it.
                        if let Upload::Follows(_) = upload {
                            *upload = Upload::Over;
                        }
                        answering.head(&head, &self.place, &self.veil, &self.tags, out)?
                    }
                    Part::Content(piece) => answering.content(&piece, out)?,
                    Part::End(_) => answering.end(out)?,
                    Part::Request(_) => {
                        return Err(Fault::Target("a request for an answer".into()));
                    }
                },
            };
            match next {
                Next::More => {}
                Next::Over => self.state = State::Over,
                Next::Upgraded => self.upgrade(),
            }
        }
    }

    fn upgrade(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Sent(answering, _) => State::WebSocket(WebSocket::new(
                answering.ticket,
                answering.request,
                answering.terms,
            )),
            other => other,
        };
    }
}
