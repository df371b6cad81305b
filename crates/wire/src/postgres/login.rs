//! The agent's login: startup packets, then SCRAM-SHA-256 with the gateway as the server
//! (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>, RFC 5802).

use std::sync::Arc;

use bailiwick_run::{Verified, Verifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};

use super::frame::{Frame, Reader, Sender, take, take_startup};
use super::message;
use crate::limits::{LOGIN_BYTES_MAX, STARTUP_BYTES_MAX};
use crate::sql::harmless_setting;
use crate::{CancelKey, Fault, LoginFailure, Refused, Result, Why};

pub(crate) const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const PROTOCOL_3_0: u32 = 3 << 16;

/// What the agent asked for in its startup packet, once it is all acceptable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Startup {
    pub(crate) user: String,
    pub(crate) database: String,
    /// Harmless settings of the session, to pass on to the target.
    pub(crate) settings: Vec<(String, String)>,
}

/// What came out of the bytes so far.
pub(crate) enum Progress {
    /// More bytes are needed.
    Wait,
    /// Send this.
    Say(bytes::Bytes),
    /// Send this and start TLS.
    Tls(bytes::Bytes),
    /// The connection is for cancelling another.
    Cancel(CancelKey),
    /// Whom does this name stand for?
    Identify(String),
    /// It proved who it is; send this.
    Proved(Box<(Verified, Startup)>, bytes::Bytes),
    /// It did not get in. Record the failure, tell it the rest.
    Failed(LoginFailure, Refused),
    /// Not a login at all: refuse it without a record of whom.
    Refuse(Refused),
}

/// Where a login is.
pub(crate) enum Login {
    /// Waiting for a startup packet.
    Start {
        /// TLS is up.
        secured: bool,
        /// GSSAPI encryption was asked for, and refused.
        gss_refused: bool,
    },
    /// Waiting for the verifier of the name.
    Identifying(Startup),
    /// Waiting for the client's first SCRAM message.
    First(Startup, Arc<Verifier>),
    /// Waiting for the client's proof.
    Final(Startup, Arc<Verifier>, Exchange),
    /// Over.
    Over,
}

/// What both sides have said so far (RFC 5802, section 3: AuthMessage is made of it).
pub(crate) struct Exchange {
    gs2_header: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

impl Login {
    pub(crate) fn new() -> Self {
        Login::Start {
            secured: false,
            gss_refused: false,
        }
    }

    /// Reads on. `nonce` is the server's half, fresh for this connection.
    pub(crate) fn advance(&mut self, input: &mut BytesMut, nonce: &[u8; 18]) -> Result<Progress> {
        match self {
            Login::Start { .. } => match take_startup(input, STARTUP_BYTES_MAX)? {
                Some(packet) => self.start(Reader(packet), input),
                None => Ok(Progress::Wait),
            },
            Login::Identifying(_) | Login::Over => Ok(Progress::Wait),
            Login::First(..) | Login::Final(..) => {
                let Some(frame) = take(input, Sender::Agent, LOGIN_BYTES_MAX)? else {
                    return Ok(Progress::Wait);
                };
                if frame.tag != b'p' {
                    return Err(Fault::Agent(
                        "a message other than the password it was asked for".into(),
                    ));
                }
                match std::mem::replace(self, Login::Over) {
                    Login::First(startup, verifier) => self.first(startup, verifier, &frame, nonce),
                    Login::Final(startup, verifier, exchange) => {
                        Ok(Self::finish(startup, &verifier, &exchange, &frame))
                    }
                    _ => Err(Fault::Bug("a login in two states")),
                }
            }
        }
    }

    /// TLS is up: the agent starts again from its startup packet.
    pub(crate) fn secured(&mut self) {
        *self = Login::Start {
            secured: true,
            gss_refused: true,
        };
    }

    /// Goes on with the verifier of whoever the name stands for; returns what to send.
    pub(crate) fn identified(&mut self, verifier: Arc<Verifier>) -> Result<bytes::Bytes> {
        match std::mem::replace(self, Login::Over) {
            Login::Identifying(startup) => {
                *self = Login::First(startup, verifier);
                // The list of mechanisms: one, and the empty name that ends the list. The channel
                // binding variant is not offered.
                Ok(message::authentication(10, b"SCRAM-SHA-256\0\0"))
            }
            _ => Err(Fault::Bug("identified, but nobody asked")),
        }
    }

    fn start(&mut self, mut packet: Reader, rest: &BytesMut) -> Result<Progress> {
        let code = packet.u32().unwrap_or_default();
        if matches!(code, SSL_REQUEST | GSS_REQUEST) {
            return self.encryption(code, &packet, rest);
        }
        match code {
            CANCEL_REQUEST => match <[u8; 8]>::try_from(&*packet.rest()) {
                Ok(key) => Ok(Progress::Cancel(CancelKey(key))),
                Err(_) => Err(Fault::Agent("a cancel key of a wrong length".into())),
            },
            version if version >> 16 == 3 => self.start_up(packet, version),
            version => Ok(Progress::Refuse(Refused {
                why: Why::Unsupported,
                message: format!(
                    "protocol {}.{} is not spoken here",
                    version >> 16,
                    version & 0xffff
                ),
                hint: "Use a client that speaks PostgreSQL's protocol 3.".into(),
            })),
        }
    }

    /// A request for encryption. Each kind may be asked for once, and not within TLS.
    fn encryption(&mut self, code: u32, body: &Reader, rest: &BytesMut) -> Result<Progress> {
        // Bytes sent before the answer must not be taken for bytes sent after it: with TLS, somebody
        // in between could have put them there (CVE-2021-23214).
        if !body.is_empty() || !rest.is_empty() {
            return Err(Fault::Agent(
                "bytes between its request for encryption and the answer".into(),
            ));
        }
        match (code, self) {
            (SSL_REQUEST, Login::Start { secured: false, .. }) => {
                Ok(Progress::Tls(bytes::Bytes::from_static(b"S")))
            }
            (GSS_REQUEST, Login::Start { gss_refused, .. }) if !*gss_refused => {
                *gss_refused = true;
                Ok(Progress::Say(bytes::Bytes::from_static(b"N")))
            }
            _ => Err(Fault::Agent(
                "a request for encryption that was answered before".into(),
            )),
        }
    }

    fn start_up(&mut self, mut packet: Reader, version: u32) -> Result<Progress> {
        let short = || Fault::Agent("a startup packet that ends too early".into());
        let mut startup = Startup::default();
        let mut unknown = Vec::new();
        let mut refused = None;
        loop {
            let name = packet.c_string().ok_or_else(short)?;
            if name.is_empty() {
                break;
            }
            let value = packet.c_string().ok_or_else(short)?;
            match &*name {
                "user" => startup.user = value,
                "database" => startup.database = value,
                // The run's id stands here instead, so that the target's own views name the run.
                "application_name" => {}
                "options" => match options(&value) {
                    Ok(settings) => startup.settings.extend(settings),
                    Err(why) => refused = Some(why),
                },
                _ if name.starts_with("_pq_.") => unknown.push(name),
                _ => startup.settings.push((name, value)),
            }
        }
        if !packet.is_empty() {
            return Err(Fault::Agent(
                "a startup packet with something behind its end".into(),
            ));
        }
        if startup.database.is_empty() {
            startup.database = startup.user.clone();
        }
        // Always UTF-8 towards the target: the statement is parsed here, and must not read otherwise
        // there.
        startup.settings.retain(|(name, value)| {
            !(name.eq_ignore_ascii_case("client_encoding") && is_utf8(value))
        });
        for (name, value) in &startup.settings {
            if !harmless_setting(name, value) {
                refused = Some(format!(
                    "the session setting `{name}` cannot be set to this value at login"
                ));
            }
        }
        if let Some(why) = refused {
            *self = Login::Over;
            return Ok(Self::failed(
                startup,
                "it asked for a session setting outside what a login may set".into(),
                Refused {
                    why: Why::OutOfScope,
                    message: why,
                    hint: "Leave the setting out of the connection's parameters and options."
                        .into(),
                },
            ));
        }
        let user = startup.user.clone();
        *self = Login::Identifying(startup);
        if version != PROTOCOL_3_0 || !unknown.is_empty() {
            // NegotiateProtocolVersion comes first; identification follows on the next step.
            return Ok(Progress::Say(negotiate(&unknown)));
        }
        Ok(Progress::Identify(user))
    }

    /// The name to identify, if that is what the login waits for.
    pub(crate) fn identifying(&self) -> Option<&str> {
        match self {
            Login::Identifying(startup) => Some(&startup.user),
            Login::Start { .. } | Login::First(..) | Login::Final(..) | Login::Over => None,
        }
    }

    fn first(
        &mut self,
        startup: Startup,
        verifier: Arc<Verifier>,
        frame: &Frame,
        nonce: &[u8; 18],
    ) -> Result<Progress> {
        let malformed = || Fault::Agent("a malformed SCRAM message".into());
        let mut reader = frame.reader();
        let mechanism = reader.c_string().ok_or_else(malformed)?;
        let first = reader.value().flatten_malformed().ok_or_else(malformed)?;
        let first = std::str::from_utf8(&first).map_err(|_| malformed())?;
        if mechanism != "SCRAM-SHA-256" {
            return Err(Fault::Agent(
                "a login mechanism that was not offered".into(),
            ));
        }
        // gs2-header: `n,,` (no channel binding) or `y,,` (it would, but we did not offer it).
        let (gs2_header, bare) = first
            .strip_prefix("n,,")
            .map(|bare| ("n,,", bare))
            .or_else(|| first.strip_prefix("y,,").map(|bare| ("y,,", bare)))
            .ok_or_else(malformed)?;
        let client_nonce = bare
            .split(',')
            .find_map(|part| part.strip_prefix("r="))
            .filter(|nonce| !nonce.is_empty())
            .ok_or_else(malformed)?;
        if bare.starts_with("m=") {
            return Err(Fault::Agent("a SCRAM extension that is not known".into()));
        }
        let nonce = format!("{client_nonce}{}", STANDARD.encode(nonce));
        let server_first = format!(
            "r={nonce},s={},i={}",
            STANDARD.encode(verifier.salt()),
            Verifier::ITERATIONS
        );
        let say = message::authentication(11, server_first.as_bytes());
        *self = Login::Final(
            startup,
            verifier,
            Exchange {
                gs2_header: gs2_header.to_owned(),
                client_first_bare: bare.to_owned(),
                server_first,
                nonce,
            },
        );
        Ok(Progress::Say(say))
    }

    fn finish(
        startup: Startup,
        verifier: &Verifier,
        exchange: &Exchange,
        frame: &Frame,
    ) -> Progress {
        match prove(verifier, exchange, &frame.body()) {
            Some((verified, server_signature)) => {
                let mut say = BytesMut::new();
                say.put_slice(&message::authentication(
                    12,
                    format!("v={}", STANDARD.encode(server_signature)).as_bytes(),
                ));
                say.put_slice(&message::authentication(0, b""));
                Progress::Proved(Box::new((verified, startup)), say.freeze())
            }
            None => {
                let refused = Refused {
                    why: Why::Credential,
                    // PostgreSQL's own words; the same whether the run exists or not.
                    message: format!("password authentication failed for user \"{}\"", startup.user),
                    hint: "The user is a run's id (run_…), the password that run's own secret; \
                           both come from `bailiwick run` or `bailiwick open`, and end with the run."
                        .into(),
                };
                let reason = "no live run has this id and this secret".into();
                Self::failed(startup, reason, refused)
            }
        }
    }

    fn failed(startup: Startup, reason: String, refused: Refused) -> Progress {
        Progress::Failed(
            LoginFailure {
                user: startup.user,
                target: startup.database,
                reason,
            },
            refused,
        )
    }
}

/// Checks the client's final message; returns who it is and ServerSignature.
fn prove(verifier: &Verifier, exchange: &Exchange, body: &[u8]) -> Option<(Verified, [u8; 32])> {
    let text = std::str::from_utf8(body).ok()?;
    let (without_proof, proof) = text.rsplit_once(",p=")?;
    let mut parts = without_proof.split(',');
    let binding = STANDARD.decode(parts.next()?.strip_prefix("c=")?).ok()?;
    let nonce = parts.next()?.strip_prefix("r=")?;
    let extensions = parts.next();
    if binding != exchange.gs2_header.as_bytes() || nonce != exchange.nonce || extensions.is_some()
    {
        return None;
    }
    let proof: [u8; 32] = STANDARD.decode(proof).ok()?.try_into().ok()?;
    let auth_message = format!(
        "{},{},{without_proof}",
        exchange.client_first_bare, exchange.server_first
    );
    let (verified, server) = verifier.verify(auth_message.as_bytes(), &proof)?;
    Some((verified, server.0))
}

/// NegotiateProtocolVersion: 3.0 is the newest we speak, and these extensions are not known.
fn negotiate(unknown: &[String]) -> bytes::Bytes {
    message::message(b'v', |body| {
        body.put_u32(PROTOCOL_3_0);
        body.put_u32(u32::try_from(unknown.len()).unwrap_or(u32::MAX));
        for name in unknown {
            message::put_c_string(body, name);
        }
    })
}

/// Whether an encoding's name means UTF-8 to PostgreSQL, which looks at its letters and digits alone
/// (`clean_encoding_name` in encnames.c).
fn is_utf8(encoding: &str) -> bool {
    let letters: String = encoding
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    ["utf8", "unicode"].contains(&&*letters.to_ascii_lowercase())
}

/// The settings in the `options` parameter, as `-c name=value` and `--name=value`
/// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS>).
fn options(text: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let mut settings = Vec::new();
    let mut words = split_options(text).into_iter();
    while let Some(word) = words.next() {
        let setting = if let Some(long) = word.strip_prefix("--") {
            long.to_owned()
        } else if word == "-c" {
            words.next().unwrap_or_default()
        } else if let Some(short) = word.strip_prefix("-c") {
            short.to_owned()
        } else {
            return Err("a connection option other than `-c name=value`".into());
        };
        match setting.split_once('=') {
            // The server takes dashes for underscores in a name given this way.
            Some((name, value)) => settings.push((name.replace('-', "_"), value.to_owned())),
            None => return Err("a connection option without a value".into()),
        }
    }
    Ok(settings)
}

/// Splits at white space; a backslash keeps the character behind it.
fn split_options(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A NULL value is malformed here.
trait FlattenMalformed<T> {
    fn flatten_malformed(self) -> Option<T>;
}

impl<T> FlattenMalformed<T> for Option<Option<T>> {
    fn flatten_malformed(self) -> Option<T> {
        self.flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(pairs: &[(&str, &str)]) -> BytesMut {
        let mut body = BytesMut::new();
        body.put_u32(PROTOCOL_3_0);
        for (name, value) in pairs {
            message::put_c_string(&mut body, name);
            message::put_c_string(&mut body, value);
        }
        body.put_u8(0);
        let mut packet = BytesMut::new();
        packet.put_u32(body.len() as u32 + 4);
        packet.put_slice(&body);
        packet
    }

    #[test]
    fn bytes_smuggled_before_tls_are_refused() {
        let mut bytes = BytesMut::new();
        bytes.put_u32(8);
        bytes.put_u32(SSL_REQUEST);
        let mut clean = bytes.clone();
        assert!(matches!(
            Login::new().advance(&mut clean, &[0; 18]),
            Ok(Progress::Tls(_))
        ));
        bytes.put_u8(b'x');
        assert!(Login::new().advance(&mut bytes, &[0; 18]).is_err());
    }

    #[test]
    fn a_login_cannot_bring_settings_that_change_what_statements_mean() {
        for (name, value) in [
            ("search_path", "evil"),
            ("role", "postgres"),
            ("client_encoding", "SJIS"),
            ("options", "-c search_path=evil"),
            ("options", "-csearch_path=evil"),
            ("options", "--search-path=evil"),
            ("options", "-c role=postgres"),
            ("options", "-B 100"),
            ("replication", "database"),
        ] {
            let mut packet = startup(&[("user", "run_x"), ("database", "t"), (name, value)]);
            assert!(
                matches!(
                    Login::new().advance(&mut packet, &[0; 18]),
                    Ok(Progress::Failed(..))
                ),
                "{name}={value}"
            );
        }
        let mut fine = startup(&[
            ("user", "run_x"),
            ("client_encoding", "'utf-8'"),
            ("DateStyle", "ISO"),
        ]);
        assert!(matches!(
            Login::new().advance(&mut fine, &[0; 18]),
            Ok(Progress::Identify(user)) if user == "run_x"
        ));
    }
}
