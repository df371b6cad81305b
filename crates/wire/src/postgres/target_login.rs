//! The gateway's own login to a target, as libpq does it: TLS as the mode says, then trust, cleartext,
//! MD5 or SCRAM-SHA-256 as the target asks.

use bytes::{BufMut, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use super::frame::{Frame, Reader, Sender, take};
use super::message;
use crate::limits::{SCRAM_ROUNDS_MAX, TARGET_LOGIN_BYTES_MAX, TARGET_LOGIN_MESSAGES_MAX};
use crate::{Endpoint, Fault, Result, TlsMode};

/// SSLRequest: its length, and the code 80877103.
pub(crate) const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const PROTOCOL_3_0: u32 = 3 << 16;

/// What came out of the bytes so far.
pub(crate) enum Progress {
    /// More bytes are needed.
    Wait,
    /// Send this to the target.
    Say(Bytes),
    /// Start TLS with the target.
    Tls,
    /// Logged in. What it said about itself: its settings, and its key for cancelling.
    In(Box<Greeting>),
}

/// What a target says about itself once it has let the gateway in.
#[derive(Debug, Default)]
pub(crate) struct Greeting {
    /// ParameterStatus messages, whole.
    pub(crate) settings: Vec<Frame>,
    /// The body of BackendKeyData.
    pub(crate) cancel_key: Bytes,
    /// Its transaction status.
    pub(crate) status: u8,
}

/// A login on its way.
pub(crate) struct TargetLogin {
    endpoint: Endpoint,
    settings: Vec<(String, String)>,
    state: State,
    /// Messages it has sent so far.
    messages: usize,
    greeting: Greeting,
}

enum State {
    /// Asked whether it does TLS.
    Tls,
    /// Waiting for TLS to be up.
    Securing,
    /// Asked to be let in.
    Authenticating,
    /// In the middle of SCRAM; whether it has sent its challenge.
    Scram(Box<ScramSha256>, bool),
    /// Whatever it asked for was sent, once: it has only to say yes or no.
    Answered,
    /// Let in; waiting for it to be ready.
    Greeting,
}

impl TargetLogin {
    /// Starts; returns what to send first.
    pub(crate) fn start(endpoint: &Endpoint, settings: Vec<(String, String)>) -> (Self, Bytes) {
        let mut login = Self {
            endpoint: endpoint.clone(),
            settings,
            state: State::Tls,
            messages: 0,
            greeting: Greeting::default(),
        };
        let first = match endpoint.tls {
            // `allow` tries without first. The gateway makes one attempt, and so goes without.
            TlsMode::Disable | TlsMode::Allow => login.start_up(),
            TlsMode::Prefer | TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => {
                Bytes::from_static(&TLS_REQUEST)
            }
        };
        (login, first)
    }

    /// TLS is up; returns what to send.
    pub(crate) fn secured(&mut self) -> Result<Bytes> {
        match self.state {
            State::Securing => Ok(self.start_up()),
            State::Tls
            | State::Authenticating
            | State::Scram(..)
            | State::Answered
            | State::Greeting => Err(Fault::Bug("TLS came up that nobody asked for")),
        }
    }

    /// Reads on.
    pub(crate) fn advance(&mut self, input: &mut BytesMut) -> Result<Progress> {
        match &self.state {
            State::Tls => self.tls_answer(input),
            State::Securing => Ok(Progress::Wait),
            State::Authenticating | State::Scram(..) | State::Answered | State::Greeting => {
                match take(input, Sender::Target, TARGET_LOGIN_BYTES_MAX)? {
                    Some(frame) => self.frame(frame),
                    None => Ok(Progress::Wait),
                }
            }
        }
    }

    fn start_up(&mut self) -> Bytes {
        self.state = State::Authenticating;
        let mut body = BytesMut::new();
        body.put_u32(PROTOCOL_3_0);
        let mut pair = |name: &str, value: &str| {
            message::put_c_string(&mut body, name);
            message::put_c_string(&mut body, value);
        };
        pair("user", &self.endpoint.user);
        pair("database", &self.endpoint.database);
        pair("client_encoding", "UTF8");
        for (name, value) in &self.settings {
            pair(name, value);
        }
        body.put_u8(0);
        let mut packet = BytesMut::new();
        packet.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
        packet.put_slice(&body);
        packet.freeze()
    }

    fn tls_answer(&mut self, input: &mut BytesMut) -> Result<Progress> {
        let Some(answer) = input.first().copied() else {
            return Ok(Progress::Wait);
        };
        if input.len() > 1 {
            return Err(Fault::Target("bytes between its TLS answer and TLS".into()));
        }
        input.clear();
        match (answer, self.endpoint.tls) {
            (b'S', _) => {
                self.state = State::Securing;
                Ok(Progress::Tls)
            }
            (b'N', TlsMode::Prefer) => Ok(Progress::Say(self.start_up())),
            (b'N', _) => Err(Fault::TargetLogin(
                "it does not offer TLS, which the target's sslmode asks for".into(),
            )),
            _ => Err(Fault::Target("no answer to a TLS request".into())),
        }
    }

    fn frame(&mut self, frame: Frame) -> Result<Progress> {
        self.messages += 1;
        if self.messages > TARGET_LOGIN_MESSAGES_MAX {
            return Err(Fault::Target(format!(
                "more than {TARGET_LOGIN_MESSAGES_MAX} messages before it was ready"
            )));
        }
        let let_in = matches!(self.state, State::Greeting);
        match frame.tag {
            b'R' if !let_in => self.authenticate(frame.reader()),
            b'S' if let_in => {
                self.greeting.settings.push(frame);
                Ok(Progress::Wait)
            }
            b'K' if let_in => {
                let key = frame.body();
                // In protocol 3.0, which it was asked for, it has four bytes behind the process id.
                if key.len() != 8 {
                    return Err(Fault::Target("a cancel key of a wrong length".into()));
                }
                self.greeting.cancel_key = key;
                Ok(Progress::Wait)
            }
            b'N' | b'v' => Ok(Progress::Wait),
            b'E' => Err(Fault::TargetLogin(error_text(frame.reader()))),
            b'Z' if let_in => {
                self.greeting.status = message::status(&frame)?;
                Ok(Progress::In(Box::new(std::mem::take(&mut self.greeting))))
            }
            tag => Err(Fault::Target(format!(
                "a message of type {:?} during login",
                char::from(tag)
            ))),
        }
    }

    fn authenticate(&mut self, mut body: Reader) -> Result<Progress> {
        let malformed = || Fault::Target("a malformed authentication request".into());
        let scram = |_| Fault::TargetLogin("it failed SCRAM: the password may be wrong".into());
        match body.u32().ok_or_else(malformed)? {
            0 => {
                // A target that lets us in without having shown that it knows the password, in the
                // middle of SCRAM, is not the one we think.
                if matches!(self.state, State::Scram(..)) {
                    return Err(Fault::Target(
                        "a login cut short in the middle of SCRAM".into(),
                    ));
                }
                self.state = State::Greeting;
                Ok(Progress::Wait)
            }
            3 | 5 | 10 if !matches!(self.state, State::Authenticating) => {
                Err(Fault::Target("a second request for the password".into()))
            }
            3 => {
                self.state = State::Answered;
                Ok(Progress::Say(password(self.password()?)))
            }
            5 => {
                self.state = State::Answered;
                let salt = body.rest();
                let salt: [u8; 4] = (&*salt).try_into().map_err(|_| malformed())?;
                let user = self.endpoint.user.as_bytes();
                Ok(Progress::Say(password(&md5_hash(
                    user,
                    self.password()?.as_bytes(),
                    salt,
                ))))
            }
            10 => {
                let offered = std::iter::from_fn(|| body.c_string()).any(|m| m == "SCRAM-SHA-256");
                if !offered {
                    return Err(Fault::TargetLogin(
                        "it offers no login mechanism known here (SCRAM-SHA-256)".into(),
                    ));
                }
                let exchange =
                    ScramSha256::new(self.password()?.as_bytes(), ChannelBinding::unsupported());
                let first = exchange.message().to_vec();
                self.state = State::Scram(Box::new(exchange), false);
                Ok(Progress::Say(message::message(b'p', |body| {
                    message::put_c_string(body, "SCRAM-SHA-256");
                    body.put_u32(u32::try_from(first.len()).unwrap_or(u32::MAX));
                    body.put_slice(&first);
                })))
            }
            11 => {
                let State::Scram(exchange, challenged @ false) = &mut self.state else {
                    return Err(malformed());
                };
                let challenge = body.rest();
                if rounds(&challenge).is_none_or(|rounds| rounds > SCRAM_ROUNDS_MAX) {
                    return Err(Fault::Target(format!(
                        "a SCRAM challenge without a count of rounds up to {SCRAM_ROUNDS_MAX}"
                    )));
                }
                *challenged = true;
                exchange.update(&challenge).map_err(scram)?;
                let message = exchange.message().to_vec();
                Ok(Progress::Say(message::message(b'p', |body| {
                    body.put_slice(&message);
                })))
            }
            12 => {
                let State::Scram(exchange, true) = &mut self.state else {
                    return Err(malformed());
                };
                exchange.finish(&body.rest()).map_err(scram)?;
                self.state = State::Answered;
                Ok(Progress::Wait)
            }
            kind => Err(Fault::TargetLogin(format!(
                "it asks for an authentication of kind {kind}; known here are trust, cleartext, MD5 \
                 and SCRAM-SHA-256"
            ))),
        }
    }

    fn password(&self) -> Result<&str> {
        self.endpoint.password.as_deref().ok_or_else(|| {
            Fault::TargetLogin("it asks for a password, and the target's URL has none".into())
        })
    }
}

/// How often a SCRAM challenge (`r=…,s=…,i=…`) wants the password hashed. Each round is work of ours
/// that the target need not do.
fn rounds(challenge: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(challenge).ok()?;
    let mut rounds = text.split(',').filter_map(|part| part.strip_prefix("i="));
    let first = rounds.next()?;
    // A second one might be the one that counts.
    rounds.next().is_none().then(|| first.parse().ok())?
}

fn password(text: &str) -> Bytes {
    message::message(b'p', |body| message::put_c_string(body, text))
}

/// `CODE: message` of an ErrorResponse.
fn error_text(mut body: Reader) -> String {
    let mut code = String::new();
    let mut text = String::new();
    while let Some(field) = body.u8().filter(|field| *field != 0) {
        let Some(value) = body.c_bytes() else { break };
        let value = String::from_utf8_lossy(&value).into_owned();
        match field {
            b'C' => code = value,
            b'M' => text = value,
            _ => {}
        }
    }
    format!("{text} ({code})")
}
