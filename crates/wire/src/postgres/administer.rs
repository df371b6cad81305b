//! A session of the gateway's own, in which no agent is and none can be: it logs in, does an errand, and
//! says what came of it.

use std::sync::Arc;

use bailiwick_run::Verifier;
use bytes::BytesMut;

use super::Outbox;
use super::frame::{Frame, Sender, take};
use super::message;
use super::roles::{self, Next, Refusal, Results, Work};
use super::rows::{report_field, texts};
use super::target_login::{self, TargetLogin};
use crate::limits::{ROLE_ROWS_MAX, TARGET_FRAME_BYTES_MAX};
use crate::sql::Row;
use crate::{
    Answer, Endpoint, Errand, Fault, Knowledge, Refused, Result, Session, Step, Ticket, Veil,
};

/// A session that does an errand.
pub(super) struct Administer {
    work: Box<dyn Work>,
    phase: Phase,
    from_target: BytesMut,
    out: Outbox,
}

enum Phase {
    /// Not connected yet.
    Start,
    /// Logging in.
    Login(Box<TargetLogin>),
    /// Making the session's settings its own.
    Settings(Reading),
    /// Doing the errand.
    Work(Reading),
    /// Done, or failed.
    Over,
}

/// An answer on its way in.
#[derive(Default)]
struct Reading {
    results: Results,
    /// The rows of the result that is being read; nothing for a statement that returns none at all.
    rows: Option<Vec<Row>>,
    count: usize,
    refusal: Option<Refusal>,
}

impl Administer {
    pub(super) fn new(errand: Errand) -> Self {
        Self {
            work: roles::work(errand),
            phase: Phase::Start,
            from_target: BytesMut::new(),
            out: Outbox::default(),
        }
    }

    fn login(&mut self) -> Result<()> {
        while let Phase::Login(login) = &mut self.phase {
            let before = self.from_target.len();
            match login.advance(&mut self.from_target)? {
                target_login::Progress::Wait if self.from_target.len() == before => break,
                target_login::Progress::Wait => {}
                target_login::Progress::Say(bytes) => self.out.relay(bytes),
                target_login::Progress::Tls => {
                    self.out.step(Step::TargetTls);
                    break;
                }
                target_login::Progress::In(_) => {
                    self.out.relay(message::query(roles::SETTINGS));
                    self.phase = Phase::Settings(Reading::default());
                }
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        while let Some(frame) = take(
            &mut self.from_target,
            Sender::Target,
            TARGET_FRAME_BYTES_MAX,
        )? {
            let (Phase::Settings(reading) | Phase::Work(reading)) = &mut self.phase else {
                return Ok(());
            };
            if !reading.take(&frame)? {
                continue;
            }
            let idle = frame.reader().u8() == Some(b'I');
            let answer = std::mem::take(reading).answer();
            let next = match &self.phase {
                Phase::Settings(_) => match answer {
                    Ok(_) => Next::Ask(self.work.start()),
                    Err(refusal) => Next::Failed(refusal.to_string()),
                },
                _ => self.work.answered(answer),
            };
            let next = match next {
                Next::Anew(sql) if idle => Next::Ask(sql),
                Next::Anew(sql) => Next::Ask(format!("ROLLBACK; {sql}")),
                next => next,
            };
            match next {
                Next::Ask(sql) | Next::Anew(sql) => {
                    self.out.relay(message::query(&sql));
                    self.phase = Phase::Work(Reading::default());
                }
                Next::Did(did) => {
                    self.out.step(Step::Did(did));
                    self.out.step(Step::Ready);
                    self.phase = Phase::Over;
                }
                Next::Failed(why) => {
                    self.phase = Phase::Over;
                    return Err(Fault::Errand(why));
                }
            }
        }
        Ok(())
    }
}

impl Reading {
    /// Takes one message; says whether the answer is whole.
    fn take(&mut self, frame: &Frame) -> Result<bool> {
        match frame.tag {
            b'T' => self.rows = Some(Vec::new()),
            b'D' => {
                let row = self.row(frame)?;
                self.rows.get_or_insert_default().push(row);
            }
            b'C' => self.results.extend(self.rows.take()),
            b'E' => {
                self.refusal = Some(Refusal {
                    code: report_field(frame, b'C').unwrap_or_default(),
                    message: report_field(frame, b'M').unwrap_or_default(),
                });
            }
            b'Z' => return Ok(true),
            // Notices and settings say nothing new.
            b'I' | b'N' | b'S' | b'A' => {}
            tag => {
                return Err(Fault::Target(format!(
                    "a message of type {:?} in answer to the gateway's own statements",
                    char::from(tag)
                )));
            }
        }
        Ok(false)
    }

    fn row(&mut self, frame: &Frame) -> Result<Row> {
        let malformed = || Fault::Target("a malformed row of an answer about its roles".into());
        self.count += 1;
        if self.count > ROLE_ROWS_MAX {
            return Err(Fault::Target(format!(
                "an answer of more than {ROLE_ROWS_MAX} rows about its roles"
            )));
        }
        texts(frame).ok_or_else(malformed)
    }

    fn answer(self) -> std::result::Result<Results, Refusal> {
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(self.results),
        }
    }
}

/// What there is for an agent's sake alone.
const NO_AGENT: Fault = Fault::Bug("an agent in a session of the gateway's own");

impl Session for Administer {
    fn agent(&mut self, _bytes: &[u8]) -> Result<()> {
        Err(NO_AGENT)
    }

    fn target(&mut self, bytes: &[u8]) -> Result<()> {
        self.from_target.extend_from_slice(bytes);
        self.login()?;
        self.read()
    }

    fn agent_secured(&mut self) {}

    fn identified(&mut self, _verifier: Arc<Verifier>) -> Result<()> {
        Err(NO_AGENT)
    }

    fn connected(
        &mut self,
        endpoint: &Endpoint,
        label: &str,
        _veil: Arc<dyn Veil>,
        _knowledge: Option<Knowledge>,
    ) -> Result<()> {
        if !matches!(self.phase, Phase::Start | Phase::Login(_)) {
            return Err(Fault::Bug("connected outside of a connection"));
        }
        self.from_target.clear();
        let settings = vec![("application_name".into(), label.into())];
        let (login, first) = TargetLogin::start(endpoint, settings);
        self.out.relay(first);
        self.phase = Phase::Login(Box::new(login));
        Ok(())
    }

    fn target_secured(&mut self) -> Result<()> {
        let Phase::Login(login) = &mut self.phase else {
            return Err(Fault::Bug("TLS outside of a login"));
        };
        let first = login.secured()?;
        self.out.relay(first);
        Ok(())
    }

    fn answer(&mut self, _ticket: Ticket, _answer: Answer) -> Result<()> {
        Err(NO_AGENT)
    }

    fn refresh(&mut self) {}

    fn refuse(&mut self, _refused: &Refused) {
        self.phase = Phase::Over;
        self.out.step(Step::Done);
    }

    fn wants_agent(&self) -> bool {
        false
    }

    fn cancel_request(&self) -> Option<Vec<u8>> {
        None
    }

    fn next(&mut self) -> Option<Step> {
        self.out.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::message::{message, put_c_string, ready};
    use crate::{Did, Sweep, TlsMode};

    struct Nothing;

    impl Veil for Nothing {
        fn masked(&self) -> Vec<crate::Masked> {
            Vec::new()
        }
        fn rewrite(&self, _: &[u8]) -> Option<(Vec<u8>, u64)> {
            None
        }
        fn placeholder(&self) -> &'static str {
            ""
        }
        fn has_placeholder(&self, _: &[u8]) -> bool {
            false
        }
    }

    /// A sweep whose target has let it in; what it asked so far is taken.
    fn let_in() -> Administer {
        let mut session = Administer::new(Errand::Sweep(Sweep {
            gateway: "g".into(),
            live: Arc::new(|_| false),
            keep: Arc::new(|_| false),
        }));
        let endpoint = Endpoint {
            host: "h".into(),
            port: 1,
            user: "u".into(),
            password: None,
            database: "d".into(),
            tls: TlsMode::Disable,
            roots: None,
        };
        let veil: Arc<dyn Veil> = Arc::new(Nothing);
        session.connected(&endpoint, "label", veil, None).unwrap();
        let mut bytes = super::message::authentication(0, b"").to_vec();
        bytes.extend(ready(b'I'));
        session.target(&bytes).unwrap();
        // The settings that do not depend on the role come before anything else.
        assert!(asked(&mut session).contains("SET search_path = pg_catalog"));
        session.target(&ready(b'I')).unwrap();
        assert!(asked(&mut session).contains("FROM pg_roles"));
        session
    }

    /// What it asked last.
    fn asked(session: &mut Administer) -> String {
        let mut last = String::new();
        while let Some(step) = session.next() {
            if let Step::Relay(plumbing) = step {
                last = String::from_utf8_lossy(&plumbing.into_bytes()).into_owned();
            }
        }
        last
    }

    /// A result of one row, or none.
    fn result(cells: &[&str]) -> Vec<u8> {
        let mut bytes = message(b'T', |body| body.extend_from_slice(&[0, 0])).to_vec();
        if !cells.is_empty() {
            bytes.extend(message(b'D', |body| {
                body.extend_from_slice(&u16::try_from(cells.len()).unwrap().to_be_bytes());
                for cell in cells {
                    body.extend_from_slice(&u32::try_from(cell.len()).unwrap().to_be_bytes());
                    body.extend_from_slice(cell.as_bytes());
                }
            }));
        }
        bytes.extend(message(b'C', |body| put_c_string(body, "SELECT")));
        bytes
    }

    #[test]
    fn a_target_without_logins_is_swept_at_once() {
        let mut session = let_in();
        let mut bytes = result(&["180000", "false"]);
        bytes.extend(result(&[]));
        bytes.extend(result(&[]));
        bytes.extend(ready(b'I'));
        for byte in bytes {
            session.target(&[byte]).unwrap();
        }
        let steps: Vec<_> = std::iter::from_fn(|| session.next()).collect();
        let [Step::Did(Did::Swept { dropped, failed }), Step::Ready] = &steps[..] else {
            panic!("not swept");
        };
        assert_eq!((*dropped, failed.len()), (0, 0));
    }

    #[test]
    fn an_answer_that_is_none_ends_the_errand() {
        let refusal = message(b'E', |body| {
            for (field, text) in [(b'C', "42501"), (b'M', "no")] {
                body.extend_from_slice(&[field]);
                put_c_string(body, text);
            }
            body.extend_from_slice(&[0]);
        });
        let cut = message(b'D', |body| body.extend_from_slice(&[0, 9, 0, 0]));
        for (bytes, expected) in [
            (refusal.to_vec(), "no (42501)"),
            (Vec::new(), "a form that is not understood"),
            (result(&["180000"]), "a form that is not understood"),
            (cut.to_vec(), "malformed row"),
            (message(b'G', |_| {}).to_vec(), "a message of type 'G'"),
        ] {
            let mut session = let_in();
            let bytes = [bytes, ready(b'I').to_vec()].concat();
            let fault = session.target(&bytes).unwrap_err();
            assert!(fault.to_string().contains(expected), "{fault}");
        }
        assert!(let_in().agent(b"x").is_err());
    }
}
