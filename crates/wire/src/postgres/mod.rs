//! PostgreSQL, protocol 3.0: the agent's login, the gateway's login to the target, and between them a
//! session in which every statement is held until it is decided.

mod active;
mod administer;
mod answers;
mod calls;
mod copy_out;
mod cover;
mod endpoint;
mod estimate;
mod expect;
mod frame;
mod lacks;
mod learn;
mod login;
mod message;
mod names;
mod place;
mod roles;
mod rows;
mod shape;
mod target_login;
#[cfg(test)]
mod tests;
mod types;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;

use bailiwick_run::Verifier;
use bytes::{Bytes, BytesMut};

use self::active::Active;
use self::learn::Learning;
use self::login::{Login, Startup};
use self::target_login::{Greeting, TargetLogin};
use crate::sql::Catalogue;
use crate::{
    Answer, Claim, Endpoint, Fault, Form, Knowledge, PerRun, Plumbing, Protocol, Refused, Result,
    Rows, Seed, Session, Step, Ticket, Transport, Veil, Wanted,
};

/// This protocol's entry in the table.
pub const PROTOCOL: Protocol = Protocol {
    name: "postgres",
    endpoint: endpoint::parse,
    forms: &[
        Form {
            name: "url",
            value: endpoint::agent_url,
        },
        Form {
            name: "jdbc",
            value: endpoint::agent_jdbc_url,
        },
    ],
    transport: Transport::Socket {
        tls_request: &target_login::TLS_REQUEST,
        // Registered with IANA; what PostgreSQL 17 and its clients send.
        tls_alpn: b"postgresql",
    },
    session: |seed| Box::new(Postgres::new(seed)),
    survey: |seed| Box::new(Postgres::survey(seed)),
    readable: rows::readable,
    lacks: lacks::lacks,
    per_run: Some(PerRun {
        errand: |errand| Box::new(administer::Administer::new(errand)),
        beyond: roles::beyond,
    }),
    shared: None,
};

/// Steps on their way out, in order.
#[derive(Default)]
struct Outbox(VecDeque<Step>);

impl Outbox {
    fn agent(&mut self, bytes: Bytes) {
        self.0.push_back(Step::ToAgent(bytes));
    }

    fn relay(&mut self, bytes: Bytes) {
        self.0.push_back(Step::Relay(Plumbing::new(bytes)));
    }

    fn step(&mut self, step: Step) {
        self.0.push_back(step);
    }
}

/// A session of one connection.
struct Postgres {
    seed: Seed,
    phase: Phase,
    from_agent: BytesMut,
    from_target: BytesMut,
    out: Outbox,
}

/// Where the connection is. Each phase holds what that phase has, and no more.
enum Phase {
    /// The agent logs in.
    Login(Login),
    /// It proved who it is; the gateway opens the target.
    Connecting(Startup),
    /// The gateway logs in to the target. Kept for another attempt: what the agent asked for.
    TargetLogin(
        Box<TargetLogin>,
        Startup,
        Arc<dyn Veil>,
        Option<Arc<Catalogue>>,
    ),
    /// The gateway reads the target's catalogue.
    Learning(Learning, Greeting, Arc<dyn Veil>),
    /// Calls go through.
    Active(Box<Active>),
    /// One side broke the protocol while calls went through. Nothing is read or sent any more; what
    /// the target is still doing can be cancelled.
    Broken(Box<Active>),
    /// Over.
    Over,
}

impl Postgres {
    fn new(seed: Seed) -> Self {
        Self {
            seed,
            phase: Phase::Login(Login::new()),
            from_agent: BytesMut::new(),
            from_target: BytesMut::new(),
            out: Outbox::default(),
        }
    }

    /// A session that has no agent and goes to its target at once.
    fn survey(seed: Seed) -> Self {
        Self {
            phase: Phase::Connecting(Startup::default()),
            ..Self::new(seed)
        }
    }

    fn login(&mut self) -> Result<()> {
        let Phase::Login(login) = &mut self.phase else {
            return Ok(());
        };
        loop {
            match login.advance(&mut self.from_agent, &self.seed.nonce)? {
                login::Progress::Wait => return Ok(()),
                login::Progress::Say(bytes) => {
                    self.out.agent(bytes);
                    if let Some(user) = login.identifying() {
                        let claim = Claim::Name(user.to_owned());
                        self.out.step(Step::Identify(claim));
                        return Ok(());
                    }
                }
                login::Progress::Tls(bytes) => {
                    self.out.step(Step::AgentTls(bytes));
                    return Ok(());
                }
                login::Progress::Identify(user) => {
                    self.out.step(Step::Identify(Claim::Name(user)));
                    return Ok(());
                }
                login::Progress::Cancel(key) => {
                    self.out.step(Step::Cancel(key));
                    self.phase = Phase::Over;
                    return Ok(());
                }
                login::Progress::Proved(proof, bytes) => {
                    let (verified, startup) = *proof;
                    self.out.agent(bytes);
                    self.out.step(Step::Connect {
                        verified,
                        target: Wanted::Name(startup.database.clone()),
                    });
                    self.phase = Phase::Connecting(startup);
                    return Ok(());
                }
                login::Progress::Failed(failure, refused) => {
                    self.out.step(Step::LoginFailed(failure));
                    self.refuse(&refused);
                    return Ok(());
                }
                login::Progress::Refuse(refused) => {
                    self.refuse(&refused);
                    return Ok(());
                }
            }
        }
    }

    fn target_login(&mut self) -> Result<()> {
        while let Phase::TargetLogin(login, ..) = &mut self.phase {
            let before = self.from_target.len();
            match login.advance(&mut self.from_target)? {
                // Nothing was taken: what is there is not whole yet.
                target_login::Progress::Wait if self.from_target.len() == before => return Ok(()),
                progress => {
                    if self.target_progress(progress)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Acts on what the target's login came to; says whether there is nothing more to read now.
    fn target_progress(&mut self, progress: target_login::Progress) -> Result<bool> {
        match progress {
            target_login::Progress::Wait => Ok(false),
            target_login::Progress::Say(bytes) => {
                self.out.relay(bytes);
                Ok(false)
            }
            target_login::Progress::Tls => {
                self.out.step(Step::TargetTls);
                Ok(true)
            }
            target_login::Progress::In(greeting) => {
                match std::mem::replace(&mut self.phase, Phase::Over) {
                    Phase::TargetLogin(_, _, veil, Some(catalogue)) => {
                        self.begin(*greeting, veil, catalogue)?;
                    }
                    Phase::TargetLogin(_, _, veil, None) => {
                        let (learning, first) = Learning::start();
                        self.out.relay(first);
                        self.phase = Phase::Learning(learning, *greeting, veil);
                    }
                    _ => return Err(Fault::Bug("a target logged in twice")),
                }
                Ok(true)
            }
        }
    }

    fn learning(&mut self) -> Result<()> {
        let Phase::Learning(learning, ..) = &mut self.phase else {
            return Ok(());
        };
        let mut out = Outbox::default();
        let Some(catalogue) = learning.advance(&mut self.from_target, &mut out)? else {
            self.out.0.append(&mut out.0);
            return Ok(());
        };
        self.out.0.append(&mut out.0);
        let catalogue = Arc::new(catalogue);
        let knowledge: Knowledge = Arc::clone(&catalogue) as Knowledge;
        self.out.step(Step::Learned(knowledge));
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Learning(_, greeting, veil) => self.begin(greeting, veil, catalogue),
            _ => Err(Fault::Bug("learned, but nobody asked")),
        }
    }

    fn begin(
        &mut self,
        greeting: Greeting,
        veil: Arc<dyn Veil>,
        catalogue: Arc<Catalogue>,
    ) -> Result<()> {
        let active = Active::start(greeting, veil, catalogue, &self.seed, &mut self.out)?;
        self.phase = Phase::Active(Box::new(active));
        self.out.step(Step::Ready);
        self.active()
    }

    /// After a fault nothing of the session goes to its target: not what is on its way out, and not
    /// what is put in later. Where a login failed, another attempt can be made.
    fn break_on<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            let to_target = |step: &Step| matches!(step, Step::Relay(_) | Step::Ask(..));
            self.out.0.retain(|step| !to_target(step));
            self.phase = match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Active(active) => Phase::Broken(active),
                phase @ (Phase::TargetLogin(..) | Phase::Connecting(_) | Phase::Broken(_)) => phase,
                Phase::Login(_) | Phase::Learning(..) | Phase::Over => Phase::Over,
            };
        }
        result
    }

    fn active(&mut self) -> Result<()> {
        match &mut self.phase {
            Phase::Active(active) => {
                active.target(&mut self.from_target, &mut self.out)?;
                active.agent(&mut self.from_agent, &mut self.out)?;
                frame::give_back(&mut self.from_target);
                frame::give_back(&mut self.from_agent);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Session for Postgres {
    fn agent(&mut self, bytes: &[u8]) -> Result<()> {
        let result = match self.phase {
            Phase::Broken(_) | Phase::Over => return Ok(()),
            Phase::Connecting(_) | Phase::TargetLogin(..) | Phase::Learning(..) => Err(
                Fault::Agent("a message before it was told to go ahead".into()),
            ),
            Phase::Login(_) => {
                self.from_agent.extend_from_slice(bytes);
                self.login()
            }
            Phase::Active(_) => {
                self.from_agent.extend_from_slice(bytes);
                self.active()
            }
        };
        self.break_on(result)
    }

    fn target(&mut self, bytes: &[u8]) -> Result<()> {
        let result = match self.phase {
            Phase::Login(_) | Phase::Connecting(_) | Phase::Broken(_) | Phase::Over => {
                return Ok(());
            }
            Phase::TargetLogin(..) => {
                self.from_target.extend_from_slice(bytes);
                self.target_login()
            }
            Phase::Learning(..) => {
                self.from_target.extend_from_slice(bytes);
                self.learning()
            }
            Phase::Active(_) => {
                self.from_target.extend_from_slice(bytes);
                self.active()
            }
        };
        self.break_on(result)
    }

    fn agent_secured(&mut self) {
        if let Phase::Login(login) = &mut self.phase {
            login.secured();
        }
    }

    fn identified(&mut self, verifier: Arc<Verifier>) -> Result<()> {
        let Phase::Login(login) = &mut self.phase else {
            return Err(Fault::Bug("identified outside of a login"));
        };
        let result = login.identified(verifier).and_then(|ask| {
            self.out.agent(ask);
            self.login()
        });
        self.break_on(result)
    }

    fn connected(
        &mut self,
        endpoint: &Endpoint,
        label: &str,
        veil: Arc<dyn Veil>,
        knowledge: Option<Knowledge>,
    ) -> Result<()> {
        let startup = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Connecting(startup) | Phase::TargetLogin(_, startup, ..) => startup,
            _ => return Err(Fault::Bug("connected outside of a connection")),
        };
        self.from_target.clear();
        let mut settings = startup.settings.clone();
        settings.push(("application_name".into(), label.into()));
        let (login, first) = TargetLogin::start(endpoint, settings);
        self.out.relay(first);
        let catalogue = knowledge.and_then(|knowledge| knowledge.downcast().ok());
        self.phase = Phase::TargetLogin(Box::new(login), startup, veil, catalogue);
        Ok(())
    }

    fn target_secured(&mut self) -> Result<()> {
        let Phase::TargetLogin(login, ..) = &mut self.phase else {
            return Err(Fault::Bug("TLS outside of a login"));
        };
        let first = login.secured()?;
        self.out.relay(first);
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> Result<()> {
        let result = match &mut self.phase {
            Phase::Active(active) => active
                .answer(ticket, answer, &mut self.out)
                .and_then(|()| self.active()),
            // The session ended while the call was decided.
            Phase::Broken(_) | Phase::Over => Ok(()),
            Phase::Login(_)
            | Phase::Connecting(_)
            | Phase::TargetLogin(..)
            | Phase::Learning(..) => Err(Fault::Bug("an answer outside of a session")),
        };
        self.break_on(result)
    }

    fn hold(&mut self, ticket: Ticket) -> Result<Option<Rows>> {
        let result = match &mut self.phase {
            Phase::Active(active) => active.hold(ticket, &mut self.out),
            Phase::Broken(_) | Phase::Over => Ok(()),
            _ => Err(Fault::Bug("a call is held outside of a session")),
        };
        self.break_on(result)?;
        Ok(None)
    }

    fn resume(&mut self, ticket: Ticket) -> Result<Option<bool>> {
        let result = match &mut self.phase {
            Phase::Active(active) => active.resume(ticket, &mut self.out),
            Phase::Broken(_) | Phase::Over => Ok(()),
            _ => Err(Fault::Bug("a call is resumed outside of a session")),
        };
        self.break_on(result)?;
        Ok(None)
    }

    fn leaves(&self, unread: &[u8]) -> bool {
        match &self.phase {
            Phase::Active(active) => {
                active.leaves() || waiting::has_terminate(&self.from_agent, unread)
            }
            _ => false,
        }
    }

    fn refresh(&mut self) {
        if let Phase::Active(active) = &mut self.phase {
            active.stale = true;
        }
    }

    fn refuse(&mut self, refused: &Refused) {
        self.out.agent(message::fatal(refused));
        if matches!(self.phase, Phase::Active(_) | Phase::Broken(_)) {
            self.out.relay(message::terminate());
        }
        self.phase = Phase::Over;
        self.out.step(Step::Done);
    }

    fn wants_agent(&self) -> bool {
        match &self.phase {
            Phase::Login(login) => login.identifying().is_none(),
            Phase::Active(active) => active.wants_agent(),
            Phase::Connecting(_)
            | Phase::TargetLogin(..)
            | Phase::Learning(..)
            | Phase::Broken(_)
            | Phase::Over => false,
        }
    }

    fn cancel_request(&self) -> Option<Vec<u8>> {
        match &self.phase {
            Phase::Active(active) | Phase::Broken(active) => active.cancel_request(),
            _ => None,
        }
    }

    fn next(&mut self) -> Option<Step> {
        let step = self.out.0.pop_front();
        if matches!(step, Some(Step::Done)) {
            self.phase = Phase::Over;
        }
        step
    }
}
