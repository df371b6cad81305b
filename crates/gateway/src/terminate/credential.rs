//! What the gateway shows a target with every request. No agent has it, and no error tells it.

use std::time::{Duration, Instant};

use bailiwick_wire::{Endpoint, TlsMode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address;
use crate::limits::{
    TOKEN_AGAIN_AFTER, TOKEN_ANSWER_BYTES_MAX, TOKEN_BYTES_MAX, TOKEN_FETCH_TIME_MAX, TOKEN_MARGIN,
    TOKEN_TIME_MAX, TOKEN_TIME_USUAL,
};
use crate::tls;
use crate::upstream::{ClientCredentials, Credential, Upstream};

/// Why there is no credential to show. For whoever runs the gateway: it names the target and what to do,
/// and nothing secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("target `{target}`: {what}")]
pub(crate) struct CredentialError {
    target: String,
    what: String,
}

/// A target's credential, ready to be shown.
pub(crate) struct Shown {
    target: String,
    how: How,
}

enum How {
    Nothing,
    Fixed(HeaderName, HeaderValue),
    Token(Box<Tokens>),
}

impl Shown {
    /// From what is configured: `auth`, or else the user and the password in the target's URL.
    ///
    /// # Errors
    /// If it cannot be a header's value, or the token endpoint's URL is none.
    pub(crate) fn new(
        target: &str,
        upstream: &Upstream,
        endpoint: &Endpoint,
    ) -> Result<Self, CredentialError> {
        let how = match &upstream.credential {
            Credential::None if endpoint.user.is_empty() => Ok(How::Nothing),
            Credential::None => {
                let password = endpoint.password.as_deref().unwrap_or_default();
                basic(&endpoint.user, password)
            }
            Credential::Bearer(token) => bearer(token).map(authorization),
            Credential::Basic { user, password } => basic(user, password),
            Credential::Header { name, value } => HeaderName::try_from(name)
                .map_err(|_| format!("`{}` cannot be a header's name", name.escape_debug()))
                .and_then(|name| Ok(How::Fixed(name, secret(value)?))),
            Credential::OAuth(client) => {
                Tokens::new(client, upstream, endpoint).map(|tokens| How::Token(Box::new(tokens)))
            }
        };
        match how {
            Ok(how) => Ok(Self {
                target: target.to_owned(),
                how,
            }),
            Err(what) => Err(CredentialError {
                target: target.to_owned(),
                what,
            }),
        }
    }

    /// Puts the credential into a request, instead of whatever is there.
    ///
    /// # Errors
    /// If a token is needed and cannot be had.
    pub(crate) async fn apply(&self, headers: &mut HeaderMap) -> Result<(), CredentialError> {
        let (name, value) = match &self.how {
            How::Nothing => return Ok(()),
            How::Fixed(name, value) => (name.clone(), value.clone()),
            How::Token(tokens) => {
                let value = tokens.current().await.map_err(|what| CredentialError {
                    target: self.target.clone(),
                    what,
                })?;
                (AUTHORIZATION, value)
            }
        };
        headers.insert(name, value);
        Ok(())
    }

    /// The target said that it does not accept what it was shown (401). A token that is not new is had anew
    /// for the next request. This one is not sent again: it was permitted once, and what it did is not known.
    pub(crate) async fn refused(&self, shown: &HeaderMap) {
        if let How::Token(tokens) = &self.how
            && let Some(value) = shown.get(AUTHORIZATION)
        {
            tokens.forget(value).await;
        }
    }
}

fn authorization(value: HeaderValue) -> How {
    How::Fixed(AUTHORIZATION, value)
}

fn basic(user: &str, password: &str) -> Result<How, String> {
    if user.contains(':') {
        return Err("a user with `:` in it cannot be sent as HTTP Basic".into());
    }
    let both = BASE64_STANDARD.encode(format!("{user}:{password}"));
    secret(&format!("Basic {both}")).map(authorization)
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    secret(&format!("Bearer {token}"))
}

/// A header's value that is neither logged nor put into a table of HTTP/2's header compression.
fn secret(value: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        "its credential has a character that no header may have, maybe a line's end".to_owned()
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Where tokens come from, and the one that is in use.
struct Tokens {
    endpoint: TokenEndpoint,
    /// Locked while one is fetched: whoever needs one meanwhile waits for that.
    kept: Mutex<Kept>,
}

/// What came of asking last.
enum Kept {
    Nothing,
    Token {
        value: HeaderValue,
        /// When it was asked for.
        since: Instant,
        until: Instant,
    },
    Failure {
        what: String,
        until: Instant,
    },
}

impl Tokens {
    fn new(
        client: &ClientCredentials,
        upstream: &Upstream,
        target: &Endpoint,
    ) -> Result<Self, String> {
        Ok(Self {
            endpoint: TokenEndpoint::new(client, upstream, target)?,
            kept: Mutex::new(Kept::Nothing),
        })
    }

    async fn current(&self) -> Result<HeaderValue, String> {
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        match &*kept {
            Kept::Token { value, until, .. } if now < *until => return Ok(value.clone()),
            Kept::Failure { what, until } if now < *until => return Err(what.clone()),
            _ => {}
        }
        let fetched = timeout(TOKEN_FETCH_TIME_MAX, self.endpoint.fetch())
            .await
            .unwrap_or_else(|_| {
                let seconds = TOKEN_FETCH_TIME_MAX.as_secs();
                Err(format!("it gave no answer within {seconds} s"))
            });
        match fetched {
            Ok((value, time)) => {
                let until = now + time - TOKEN_MARGIN.min(time / 4);
                *kept = Kept::Token {
                    value: value.clone(),
                    since: now,
                    until,
                };
                Ok(value)
            }
            Err(what) => {
                let what = format!("no token from {}: {what}", self.endpoint.url);
                let until = Instant::now() + TOKEN_AGAIN_AFTER;
                *kept = Kept::Failure {
                    what: what.clone(),
                    until,
                };
                Err(what)
            }
        }
    }

    async fn forget(&self, refused: &HeaderValue) {
        let mut kept = self.kept.lock().await;
        if let Kept::Token { value, since, .. } = &*kept
            && value == refused
            && since.elapsed() > TOKEN_AGAIN_AFTER
        {
            *kept = Kept::Nothing;
        }
    }
}

/// A token endpoint, and what it is asked (RFC 6749, section 4.4).
struct TokenEndpoint {
    url: Uri,
    /// As a target: host, port, TLS.
    place: Endpoint,
    /// The name in its certificate, where it has one.
    name: Option<ServerName<'static>>,
    private: bool,
    authorization: HeaderValue,
    form: String,
}

/// What `application/x-www-form-urlencoded` leaves as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');

fn form(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string()
}

impl TokenEndpoint {
    fn new(
        client: &ClientCredentials,
        upstream: &Upstream,
        target: &Endpoint,
    ) -> Result<Self, String> {
        let wrong = |what: &str| format!("`token_url` {what}");
        let url: Uri = client
            .token_url
            .parse()
            .map_err(|_| wrong("is not a URL"))?;
        let authority = url.authority().ok_or_else(|| wrong("is not a whole URL"))?;
        if authority.as_str().contains('@') {
            return Err(wrong(
                "has a user in it; give `client_id` and `client_secret` instead",
            ));
        }
        let host = authority.host().to_owned();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let at_home = host == "localhost"
            || bare
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        let (tls, usual_port) = match url.scheme_str() {
            Some("https") => (TlsMode::VerifyFull, 443),
            Some("http") if at_home => (TlsMode::Disable, 80),
            _ => return Err(wrong("has to begin with `https://`")),
        };
        let name = match tls {
            TlsMode::Disable => None,
            _ => Some(
                ServerName::try_from(bare.to_owned())
                    .map_err(|_| wrong("has neither a DNS name nor an address in it"))?,
            ),
        };
        let mut body = "grant_type=client_credentials".to_owned();
        for (key, value) in [("scope", &client.scope), ("resource", &client.resource)] {
            if let Some(value) = value {
                body.push_str(&format!("&{key}={}", form(value)));
            }
        }
        let both = format!(
            "{}:{}",
            form(&client.client_id),
            form(&client.client_secret)
        );
        Ok(Self {
            name,
            place: Endpoint {
                port: authority.port_u16().unwrap_or(usual_port),
                user: String::new(),
                password: None,
                database: String::new(),
                tls,
                // At the target's own host it is trusted like the target, else like anybody.
                roots: target
                    .roots
                    .clone()
                    .filter(|_| host.eq_ignore_ascii_case(&target.host)),
                host,
            },
            private: upstream.private || at_home,
            authorization: secret(&format!("Basic {}", BASE64_STANDARD.encode(both)))?,
            form: body,
            url,
        })
    }

    /// A token, and how long it serves.
    async fn fetch(&self) -> Result<(HeaderValue, Duration), String> {
        let Endpoint { host, port, .. } = &self.place;
        let stream = address::connect(host, *port, self.private)
            .await
            .map_err(|error| error.to_string())?;
        let Some(name) = self.name.clone() else {
            return self.ask(stream).await;
        };
        let failed = |error: &dyn std::fmt::Display| format!("TLS failed: {error}");
        let config = tls::towards(&self.place).map_err(|error| failed(&error))?;
        let stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|error| failed(&error))?;
        self.ask(stream).await
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(HeaderValue, Duration), String> {
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.url.authority().map_or("", |host| host.as_str());
        let request = Request::post(path)
            .header(HOST, authority)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(self.form.clone())))
            .map_err(|error| error.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let connection = AbortOnDrop(tokio::spawn(connection));
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), TOKEN_ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| format!("its answer did not come whole: {error}"))?
            .to_bytes();
        drop(connection);
        read(status, &answer)
    }
}

/// Ends a task with what started it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A token endpoint's answer (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    expires_in: Option<f64>,
}

/// Why it gave none (section 5.2). What it says in words is not passed on: it may hold what it was sent.
#[derive(Deserialize)]
struct Denied {
    error: String,
}

fn read(status: StatusCode, answer: &[u8]) -> Result<(HeaderValue, Duration), String> {
    if status.is_redirection() {
        return Err(format!(
            "it answered {status}, and a redirect is not followed with the client's secret; give the URL that it leads to as `token_url`"
        ));
    }
    if status != StatusCode::OK {
        let code = serde_json::from_slice::<Denied>(answer)
            .ok()
            .map(|denied| denied.error)
            .filter(|code| {
                let known = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
                code.len() <= 64 && code.bytes().all(known)
            });
        return Err(match code.as_deref() {
            Some("invalid_client") => format!(
                "it answered {status}, `invalid_client`; check `client_id` and `client_secret`"
            ),
            Some("invalid_scope" | "invalid_target") => {
                format!("it answered {status}, the client may not have this `scope` or `resource`")
            }
            Some(code) => format!("it answered {status}, `{code}`"),
            None => format!("it answered {status}; check `token_url`"),
        });
    }
    let granted: Granted = serde_json::from_slice(answer).map_err(|_| {
        "its answer is not the JSON of RFC 6749, section 5.1; check `token_url`".to_owned()
    })?;
    if !granted.token_type.eq_ignore_ascii_case("bearer") {
        return Err("it gave a token that is not a bearer token".into());
    }
    if granted.access_token.is_empty() || granted.access_token.len() > TOKEN_BYTES_MAX {
        return Err(format!(
            "it gave a token of {} bytes",
            granted.access_token.len()
        ));
    }
    let time = match granted.expires_in {
        Some(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|_| "its `expires_in` is no time".to_owned())?
            .min(TOKEN_TIME_MAX),
        None => TOKEN_TIME_USUAL,
    };
    let value = bearer(&granted.access_token)
        .map_err(|_| "it gave a token with a character that no header may have".to_owned())?;
    Ok((value, time))
}

#[cfg(test)]
mod tests;
