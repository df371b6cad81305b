//! Who may ask: whoever has the token, and over TCP only by a name that is this machine's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use bailiwick_run::Launcher;
use tokio::time::timeout;

use super::problem::Refusal;
use crate::limits::REQUEST_TIME_MAX;
use crate::token::Token;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// A local user, proved by the socket; or why it cannot be said which one.
    Local(Result<Launcher, String>),
    /// Somebody on the network.
    Network,
}

/// What every request is checked against.
pub(super) struct Guard {
    pub(super) token: Token,
    /// Where the TCP listener is.
    pub(super) network: Option<SocketAddr>,
    /// Whether the published log is for anybody.
    pub(super) public_log: bool,
}

/// Lets a request through, within its time, if it may be here.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    guard.check(&request)?;
    timeout(REQUEST_TIME_MAX, next.run(request))
        .await
        .map_err(|_| {
            let seconds = REQUEST_TIME_MAX.as_secs();
            Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                "timeout",
                format!(
                    "the gateway did not get this done in {seconds} s; its own log may say why"
                ),
            )
        })
}

impl Guard {
    fn check(&self, request: &Request) -> Result<(), Refusal> {
        // Published is published: there is nothing here that a page on the web could make worse.
        if self.public_log && request.uri().path().starts_with("/log/") {
            return Ok(());
        }
        match request.extensions().get::<Peer>() {
            Some(Peer::Local(_)) => {}
            Some(Peer::Network) | None => self.check_host(request.headers())?,
        }
        let authorised = (request.headers().get(AUTHORIZATION))
            .is_some_and(|header| self.token.is_in(header.as_bytes()));
        if authorised {
            Ok(())
        } else {
            Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "token",
                "every request needs the header `Authorization: Bearer TOKEN`, with the token from \
                 the file control.token in the gateway's data folder; it changes with every start"
                    .to_owned(),
            ))
        }
    }

    /// A page on the web can have its own name lead to this address, and then its scripts would
    /// speak with us as with their own server. Their requests still carry that name.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().unwrap_or_default(),
            _ => "",
        };
        if self
            .network
            .is_some_and(|listens| is_ours(host, listens.ip()))
        {
            Ok(())
        } else {
            Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "host",
                "ask for this address as `localhost` or by its number: requests by any other name \
                 are refused, because a web page could have made them"
                    .to_owned(),
            ))
        }
    }
}

/// Whether a `Host` header names the address that we listen at, in a way that no other machine's
/// name server has a say in.
fn is_ours(host: &str, listens: IpAddr) -> bool {
    let name = match host.rsplit_once(':') {
        // The colon of a port; those of an IPv6 address are in brackets.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let number = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    match number.parse::<IpAddr>() {
        Ok(number) => {
            number == listens
                || listens.is_unspecified()
                || (number.is_loopback() && listens.is_loopback())
        }
        Err(_) => false,
    }
}

/// The local user who asks. A request over TCP has none and is refused.
pub(super) struct Local(pub(super) Result<Launcher, String>);

impl<S: Sync> FromRequestParts<S> for Local {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match parts.extensions.get::<Peer>() {
            Some(Peer::Local(launcher)) => Ok(Self(launcher.clone())),
            Some(Peer::Network) | None => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "not-local",
                "over TCP this can only be looked at: the gateway cannot know who asks. Open and \
                 end runs with `bailiwick` on the gateway's own machine, which uses the control \
                 socket"
                    .to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_else_decides_about_are_ours() {
        let loopback = "127.0.0.1".parse().unwrap();
        for ours in [
            "localhost",
            "LOCALHOST:7400",
            "127.0.0.1:7400",
            "[::1]:7400",
            "[::1]",
        ] {
            assert!(is_ours(ours, loopback), "{ours}");
        }
        for not in [
            "",
            "evil.example",
            "evil.example:7400",
            "localhost.evil.example",
            "10.0.0.1:7400",
        ] {
            assert!(!is_ours(not, loopback), "{not}");
        }
        assert!(is_ours("10.0.0.1:7400", "0.0.0.0".parse().unwrap()));
        assert!(is_ours("10.0.0.1:7400", "10.0.0.1".parse().unwrap()));
        assert!(!is_ours("127.0.0.1", "10.0.0.1".parse().unwrap()));
    }
}
