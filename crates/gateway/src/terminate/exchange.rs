//! One exchange: an agent's request and what it gets for it, as one session.

use std::pin::pin;
use std::sync::Arc;

use bailiwick_audit::State;
use bailiwick_run::{Cut, Ending};
use bailiwick_wire::http::bhttp;
use bailiwick_wire::{CancelKey, End, Fault, Protocol, Refused, Session, Step, Wanted, Why};
use bytes::BytesMut;
use http::{Method, Response};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::agent::{Coming, FromAgent, ToAgent, Unwritten};
use super::body::Body;
use super::together::Together;
use super::towards::{Came, Towards};
use super::upstream::Lost;
use crate::calls::{Calls, ended_because, ended_words};
use crate::connect::may;
use crate::directory::{Admission, SessionOpen};
use crate::gate::Way;
use crate::gateway::{Cancellable, Gateway};
use crate::limits::{EXCHANGES_PER_RUN_MAX, GATHERED_BYTES_MAX, HELD_BYTES_MAX, RECORD_TIME_USUAL};
use crate::login::{admitted, identify, login_failed, not_understood};
use crate::target::Target;

/// An agent's request.
pub(crate) struct Asked {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) protocol: &'static Protocol,
    pub(crate) head: bhttp::Request,
    pub(crate) method: Method,
    pub(crate) coming: Coming,
    /// Takes the response. Dropped without one, the agent's connection is cut.
    pub(crate) answer: oneshot::Sender<Response<Body>>,
}

/// Serves an exchange to its end, and leaves an outcome on record for every call of it.
pub(crate) async fn serve(asked: Asked) {
    let Asked {
        gateway,
        protocol,
        head,
        method,
        coming,
        answer,
    } = asked;
    let gets = method == Method::GET;
    let to_agent = ToAgent::new(answer, method);
    let Ok(seed) = Gateway::seed() else { return };
    let key = seed.cancel;
    let mut session = (protocol.session)(seed);
    let begun = match begin(&gateway, protocol, &mut *session, &head).await {
        Ok(begun) => begun,
        Err(words) => return to_agent.last(words).await,
    };
    let Begun {
        admission,
        target,
        session_open,
        together,
        words,
    } = begun;
    let way = Way::new(());
    let put = bhttp::put_content;
    let mut calls = Calls::new(&gateway, admission, target, session, way, put);
    calls.back.push(&words);
    if together.is_stale() {
        calls.session.refresh();
    }
    let exchange = Exchange {
        calls,
        from_agent: FromAgent::new(coming),
        to_agent,
        towards: Towards::new(Arc::clone(&together.upstream)),
        gathered: None,
        key,
        cancellable: None,
        gets,
        has_events: false,
    };
    exchange.serve().await;
    drop(session_open);
}

/// An exchange whose agent has proved who it is, and may use the target.
struct Begun<'g> {
    admission: Admission,
    target: &'g Target,
    session_open: SessionOpen,
    together: Arc<Together>,
    /// What the session says before any call.
    words: BytesMut,
}

/// Gives the session the head of the request, up to its [`Step::Ready`].
///
/// # Errors
/// If that is where it ends; says what the agent is told.
async fn begin<'g>(
    gateway: &'g Arc<Gateway>,
    protocol: &'static Protocol,
    session: &mut dyn Session,
    head: &bhttp::Request,
) -> Result<Begun<'g>, BytesMut> {
    let mut words = BytesMut::new();
    let mut claimed = None;
    let mut opened = None;
    let mut bytes = BytesMut::new();
    bhttp::put_request(&mut bytes, head);
    let mut fed = session.agent(&bytes);
    loop {
        if let Err(fault) = fed {
            not_understood(gateway, session, claimed.as_ref(), &fault).await;
            return Err(last_words(session, words));
        }
        fed = match session.next() {
            Some(Step::ToAgent(bytes)) => {
                words.extend_from_slice(&bytes);
                Ok(())
            }
            Some(Step::Identify(claim)) => {
                let verifier;
                (claimed, verifier) = identify(gateway, &claim);
                session.identified(verifier)
            }
            Some(Step::LoginFailed(failure)) => {
                login_failed(gateway, claimed.as_ref(), failure).await;
                Ok(())
            }
            Some(Step::Connect { verified, target }) => {
                let entered = match admitted(gateway, &verified).await {
                    Ok(admission) => enter(gateway, protocol, admission, &target).await,
                    Err(refused) => Err(refused),
                };
                match entered {
                    Ok(entered) => {
                        let (_, target, _, together) = opened.insert(entered);
                        let veil = Arc::clone(&together.veil);
                        let knowledge = together.knowledge.clone();
                        session.connected(&target.endpoint, &together.label, veil, knowledge)
                    }
                    Err(refused) => {
                        session.refuse(&refused);
                        return Err(last_words(session, words));
                    }
                }
            }
            Some(Step::Learned(_)) => Ok(()),
            Some(Step::Ready) => match opened {
                Some((admission, target, session_open, together)) => {
                    return Ok(Begun {
                        admission,
                        target,
                        session_open,
                        together,
                        words,
                    });
                }
                None => Err(Fault::Bug("ready before it was connected")),
            },
            Some(Step::Done) => return Err(words),
            Some(
                Step::AgentTls(_)
                | Step::TargetTls
                | Step::Did(_)
                | Step::Ask(..)
                | Step::Rows(..)
                | Step::Relay(_)
                | Step::Finished(..)
                | Step::Held(..)
                | Step::Resumed(..)
                | Step::Cancel(_),
            ) => Err(Fault::Bug("a step that does not belong to a login")),
            None => Err(Fault::Bug("the head of a request says whose it is")),
        };
    }
}

type Entered<'g> = (Admission, &'g Target, SessionOpen, Arc<Together>);

/// Lets a run's exchange at a target begin, if it may.
async fn enter<'g>(
    gateway: &'g Arc<Gateway>,
    protocol: &'static Protocol,
    admission: Admission,
    wanted: &Wanted,
) -> Result<Entered<'g>, Refused> {
    let max = EXCHANGES_PER_RUN_MAX;
    let (target, session_open) = may(gateway, protocol, &admission, wanted, max).await?;
    match gateway.together(&admission, target) {
        Ok(together) => Ok((admission, target, session_open, together)),
        Err(error) => {
            let reason = format!("the target cannot be opened: {error}");
            let name = Some(target.name.clone());
            gateway
                .login_denied(Some(&admission.run), name, reason)
                .await;
            Err(unopened(&admission, target, &error))
        }
    }
}

/// What an agent is told whose target cannot be opened. Addresses are for whoever runs the gateway.
fn unopened(admission: &Admission, target: &Target, error: &Lost) -> Refused {
    let run = admission.run.id;
    tracing::error!(%run, target = target.name, %error, "the target cannot be opened");
    Refused {
        why: Why::TargetUnopened,
        message: format!("target `{}` cannot be opened", target.name),
        hint: "The gateway's own log and the run's trail say why. Try again later.".into(),
    }
}

/// What a session that is over still says to its agent.
fn last_words(session: &mut dyn Session, mut words: BytesMut) -> BytesMut {
    while let Some(step) = session.next() {
        if let Step::ToAgent(bytes) = step {
            words.extend_from_slice(&bytes);
        }
    }
    words
}

/// An exchange between a run and a target.
struct Exchange<'g> {
    calls: Calls<'g, ()>,
    from_agent: FromAgent,
    to_agent: ToAgent,
    towards: Towards,
    /// A short response that the session gets once it is there whole.
    gathered: Option<BytesMut>,
    /// The agent only asked to be told something.
    gets: bool,
    /// What it is told is a stream of events.
    has_events: bool,
    /// By this another exchange takes back the call that is held in this one.
    key: CancelKey,
    /// From when on one is.
    cancellable: Option<Cancellable>,
}

/// Waits for the call that is held to be taken back. Cancel safe: one that nobody waited for is kept.
async fn cancelled(cancellable: &Option<Cancellable>) {
    match cancellable {
        Some(cancellable) => cancellable.wake.notified().await,
        None => std::future::pending().await,
    }
}

/// Why an exchange ended.
enum Over {
    /// In good order.
    Done,
    /// The agent went away.
    AgentGone,
    /// Its run may do nothing more.
    Ended(Option<Cut>),
    /// With these words for the agent.
    Refused(Refused),
    /// The same, and the target has got nothing of the request.
    Unsent(Refused, Lost),
}

impl Exchange<'_> {
    async fn serve(mut self) {
        let over = self.run().await;
        // Whatever the target is still doing for this exchange, nobody waits for it any more.
        drop(self.towards);
        let mut calls = self.calls;
        calls.take_the_rest();
        let refused = match &over {
            Over::Refused(refused) | Over::Unsent(refused, _) => Some(refused.clone()),
            Over::Ended(cut) => Some(ended_words(*cut)),
            Over::Done | Over::AgentGone => None,
        };
        if !matches!(over, Over::Done) {
            calls.last_words(refused.as_ref()).await;
        }
        // Such a stream has no end of its own: it lasts until nobody listens any more, and that is its end.
        let lasting = self.gets && self.has_events;
        match &over {
            Over::Unsent(_, error) => {
                let end = End {
                    error: Some(error.to_string()),
                    ..End::default()
                };
                calls.close(State::Skipped, &end);
            }
            Over::AgentGone | Over::Ended(Some(Cut::Ended(Ending::Closed))) if lasting => {
                calls.close(State::Ok, &End::default());
            }
            Over::Done | Over::AgentGone | Over::Ended(_) | Over::Refused(_) => {
                if matches!(over, Over::AgentGone) {
                    calls.left();
                }
                calls.close(State::Cut, &End::default());
            }
        }
        if !matches!(over, Over::AgentGone) {
            self.to_agent.last(calls.back.take()).await;
        }
    }

    async fn run(&mut self) -> Over {
        let mut ended = self.calls.admission.ended.clone();
        let mut ending = pin!(ended_because(&mut ended));
        let mut late = pin!(sleep(RECORD_TIME_USUAL));
        let mut is_late = false;
        let mut done = false;
        loop {
            if !done {
                done = match self.steps() {
                    Ok(done) => done,
                    Err(fault) => return Over::Refused(self.calls.blame(&fault)),
                };
            }
            let calls = &mut self.calls;
            if done && calls.back.waiting() == 0 && !self.to_agent.has_more() {
                return Over::Done;
            }
            let held = calls.back.is_holding();
            if calls.records.holding.is_some() && self.cancellable.is_none() {
                self.cancellable = Some(calls.gateway.cancellable(self.key));
            }
            let read_agent = !done
                && calls.session.wants_agent()
                && !self.from_agent.is_over()
                && !self.towards.is_full();
            // While a call waits, for its record or for people, the session only keeps what comes; a server that asks its
            // client one thing after the other could fill the memory with that.
            let waits = calls.records.is_asking() && !calls.records.is_looking();
            let read_target = !done && calls.back.waiting() < HELD_BYTES_MAX && !waits;
            tokio::select! {
                biased;
                ending = &mut ending => return Over::Ended(ending),
                () = cancelled(&self.cancellable) => {
                    calls.withdraw();
                }
                became = calls.records.next(held) => {
                    if let Err(refused) = calls.became(became) {
                        return Over::Refused(refused);
                    }
                }
                () = &mut late, if !is_late && calls.records.are_ahead() => {
                    is_late = true;
                    calls.records.are_overdue();
                }
                written = self.to_agent.write(&mut calls.back) => match written {
                    Ok(()) => {}
                    Err(Unwritten::Gone) => return Over::AgentGone,
                    Err(Unwritten::Bug(what)) => {
                        return Over::Refused(calls.blame(&Fault::Bug(what)));
                    }
                },
                came = self.towards.next(read_target), if read_target || self.towards.is_full() => {
                    if let Err(over) = self.came(came) {
                        return over;
                    }
                }
                read = self.from_agent.read(), if read_agent => {
                    let fed = read.and_then(|bytes| calls.session.agent(&bytes));
                    if let Err(fault) = fed {
                        return Over::Refused(calls.blame(&fault));
                    }
                }
            }
        }
    }

    /// Takes the session's steps, and what they send to the target; says whether it is done.
    fn steps(&mut self) -> Result<bool, Fault> {
        let done = self.calls.steps()?;
        if let Some(passed) = self.calls.way.take() {
            self.towards.send(passed)?;
        }
        Ok(done)
    }

    /// Gives the session what came from the target.
    fn came(&mut self, came: Came) -> Result<(), Over> {
        let calls = &mut self.calls;
        let mut bytes = self.gathered.take().unwrap_or_default();
        let is_over = match came {
            Came::Sent => return Ok(()),
            Came::Head(head, length) => {
                self.has_events = is_of_events(&head);
                bhttp::put_response(&mut bytes, &head);
                length.is_none_or(|length| length > GATHERED_BYTES_MAX)
            }
            Came::Content(content) => {
                let short = !bytes.is_empty();
                bhttp::put_content(&mut bytes, &content);
                !short
            }
            Came::End(trailers) => {
                bhttp::put_end(&mut bytes, &trailers);
                true
            }
            Came::Lost(error) => {
                return Err(match error {
                    Lost::Unsent(_) => {
                        Over::Unsent(unopened(&calls.admission, calls.target, &error), error)
                    }
                    Lost::Gone(how) => Over::Refused(calls.target_gone(&how)),
                    Lost::Unreadable(what) => Over::Refused(calls.blame(&Fault::Target(what))),
                });
            }
        };
        if !is_over {
            self.gathered = Some(bytes);
            return Ok(());
        }
        let fed = calls.session.target(&bytes);
        fed.map_err(|fault| Over::Refused(calls.blame(&fault)))
    }
}

/// Whether a response is a stream of events (WHATWG HTML, server-sent events).
fn is_of_events(head: &bhttp::Response) -> bool {
    let kind = bhttp::field(&head.fields, "content-type").unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    head.status == 200 && kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}
