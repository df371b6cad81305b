//! Who may ask, and who it is: a local user with the control token, a program with a token of its own, or a person with
//! a session; over TCP only by a name that is this machine's or the console's.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use bailiwick_run::{InvalidLauncher, Launcher};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use subtle::ConstantTimeEq;
use tokio::time::timeout;

use super::headers::{cookie, is_foreign, is_own, only};
use super::lasting;
use super::monitoring;
use super::person::Asker;
use super::problem::Refusal;
use super::routes::sign_in::session_cookie;
use crate::limits::{BODY_BYTES_MAX, REQUEST_TIME_MAX};
use crate::people::{People, Person, Role, Session, Via};
use crate::token::Token;

/// Who has the control token and comes over TCP, in records.
pub(super) const CONTROL_TOKEN: &str = "workflow:control-token";

/// In which header a script of ours says that it is one.
const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// A local user, proved by the socket.
    Local(LocalUser),
    /// Somebody on the network, at this address.
    Network(IpAddr),
}

/// A user of this machine.
#[derive(Clone, Debug)]
pub(super) struct LocalUser {
    /// Where they have come in.
    pub(super) entrance: Entrance,
    /// Whether it is the gateway's own user, or root.
    pub(super) is_keeper: bool,
    /// Who it is, or why that cannot be said.
    pub(super) name: Result<Launcher, String>,
}

/// One of the gateway's Unix sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// That of the data folder.
    Own,
    /// That of a group.
    Shared,
}

/// What is asked for at each of the Unix sockets, and kept where no confined process of the same user reads it. That of the
/// shared one is good for nothing elsewhere, because many can read it.
#[derive(Debug)]
pub(super) struct LocalTokens {
    pub(super) own: Token,
    pub(super) shared: Option<Token>,
}

impl Peer {
    /// Where a request comes from, to count what comes from there.
    pub(super) fn address(&self) -> IpAddr {
        match self {
            Self::Local(_) => Ipv4Addr::LOCALHOST.into(),
            Self::Network(address) => *address,
        }
    }
}

/// What every request is checked against.
pub(super) struct Guard {
    pub(super) tokens: LocalTokens,
    /// Where the TCP listener is.
    pub(super) network: Option<SocketAddr>,
    /// Whether the published log is for anybody.
    pub(super) public_log: bool,
    pub(super) people: Arc<People>,
}

/// Lets a request through, within its time, if it may be here.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let request = match guard.admit(request).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    let session = request.extensions().get::<Session>().cloned();
    match timeout(REQUEST_TIME_MAX, next.run(request)).await {
        Ok(response) => match session {
            Some(session) => lasting::until_signed_out(response, &guard.people, session),
            None => response,
        },
        Err(_) => {
            let seconds = REQUEST_TIME_MAX.as_secs();
            Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                "timeout",
                format!(
                    "the gateway did not get this done in {seconds} s; its own log may say why"
                ),
            )
            .into_response()
        }
    }
}

impl Guard {
    /// The request with who asks, unless anybody may.
    async fn admit(&self, mut request: Request) -> Result<Request, Response> {
        let (headers, path) = (request.headers(), request.uri().path());
        // Published is published: there is nothing here that a page on the web could make worse.
        if self.public_log && path.starts_with("/log/") {
            return Ok(request);
        }
        if monitoring::is_probe(path) {
            return Ok(request);
        }
        let local = match request.extensions().get::<Peer>() {
            Some(Peer::Local(user)) => Some(user.clone()),
            Some(Peer::Network(_)) | None => {
                self.check_host(headers)
                    .map_err(IntoResponse::into_response)?;
                None
            }
        };
        if headers.contains_key(AUTHORIZATION) {
            let asker = self
                .holder(headers, local)
                .map_err(IntoResponse::into_response)?;
            request.extensions_mut().insert(asker);
            return Ok(request);
        }
        let browsed = local.is_none();
        if browsed && is_for_anybody(path) {
            if !request.method().is_safe() && !is_own(headers, self.people.place()) {
                return Err(not_ours().into_response());
            }
            if let Some(session) = self.session(headers) {
                request.extensions_mut().insert(session);
            }
            return Ok(request);
        }
        if browsed && let Some(session) = self.session(headers) {
            if !request.method().is_safe() {
                request = self.check_form(request, &session).await?;
            }
            let asker = Asker(Ok(session.person.clone()));
            request.extensions_mut().insert(asker);
            request.extensions_mut().insert(session);
            return Ok(request);
        }
        if browsed && wants_page(request.method(), headers, path) {
            return Err(Redirect::to(&sign_in_first(request.uri())).into_response());
        }
        Err(unknown().into_response())
    }

    /// Whoever has this token.
    fn holder(&self, headers: &HeaderMap, local: Option<LocalUser>) -> Result<Asker, Refusal> {
        let header = only(headers, &AUTHORIZATION).unwrap_or_default();
        let token = match &local {
            Some(LocalUser {
                entrance: Entrance::Shared,
                ..
            }) => self.tokens.shared.as_ref(),
            _ => Some(&self.tokens.own),
        };
        if token.is_some_and(|token| token.is_in(header.as_bytes())) {
            return match local {
                Some(user) => self.local(user),
                None => Ok(Asker(
                    (CONTROL_TOKEN.parse())
                        .map(reader)
                        .map_err(|error: InvalidLauncher| error.to_string()),
                )),
            };
        }
        let program = header
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, token)| self.people.program(token.trim()));
        match program {
            Some(program) => Ok(Asker(Ok(program))),
            None => Err(unknown()),
        }
    }

    /// A local user. Where nobody has a role by the configuration, the keeper of the gateway has them all, and whoever
    /// else a socket lets in has none.
    fn local(&self, user: LocalUser) -> Result<Asker, Refusal> {
        let roles = &self.people.roles;
        match user {
            LocalUser {
                is_keeper: false,
                name: Err(why),
                ..
            } => Err(Refusal::unnamed(&why)),
            LocalUser {
                is_keeper: false,
                name: Ok(name),
                ..
            } => Ok(Asker(Ok(roles.guest(name)))),
            LocalUser { name, .. } => {
                Ok(Asker(name.map(|name| {
                    roles.person(name, Via::Local, BTreeSet::new())
                })))
            }
        }
    }

    /// The session that a request belongs to. One that a page of somebody else makes belongs to none: not even looking is done
    /// in somebody's name without them.
    fn session(&self, headers: &HeaderMap) -> Option<Session> {
        if is_foreign(headers) {
            return None;
        }
        let name = session_cookie(self.people.place());
        self.people.session(cookie(headers, name)?)
    }

    /// A page on the web can send forms here. Browsers say where those come from, and they lack what ours carry.
    async fn check_form(&self, request: Request, session: &Session) -> Result<Request, Response> {
        if !is_own(request.headers(), self.people.place()) {
            return Err(not_ours().into_response());
        }
        let is_csrf = |token: &str| bool::from(token.as_bytes().ct_eq(session.csrf.as_bytes()));
        if request.headers().contains_key(CSRF_HEADER) {
            let token = only(request.headers(), &CSRF_HEADER).unwrap_or_default();
            return match is_csrf(token) {
                true => Ok(request),
                false => Err(no_csrf().into_response()),
            };
        }
        let is_form = only(request.headers(), &CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if !is_form {
            return Err(no_csrf().into_response());
        }
        let (head, body) = request.into_parts();
        let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
            Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                format!("a form has at most {BODY_BYTES_MAX} bytes"),
            )
            .into_response()
        })?;
        match csrf_of(&body).is_some_and(|token| is_csrf(&token)) {
            true => Ok(Request::from_parts(head, Body::from(body))),
            false => Err(no_csrf().into_response()),
        }
    }

    /// A page on the web can have its own name lead to this address, and then its scripts would
    /// speak with us as with their own server. Their requests still carry that name.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = only(headers, &HOST).unwrap_or_default();
        let is_ours = self
            .network
            .is_some_and(|listens| is_ours(host, listens.ip()))
            || self.people.place().is_some_and(|place| place.is_host(host));
        if is_ours {
            Ok(())
        } else {
            Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "host",
                "ask for this address as `localhost`, by its number, or as the `url` of [console] in \
                 bailiwick.toml says: requests by any other name are refused, because a web page could have \
                 made them"
                    .to_owned(),
            ))
        }
    }
}

/// What is there before anybody is signed in.
fn is_for_anybody(path: &str) -> bool {
    path == "/sign-in" || path.starts_with("/sign-in/") || path.starts_with("/assets/")
}

/// Whether a browser asks for a page to show.
fn wants_page(method: &Method, headers: &HeaderMap, path: &str) -> bool {
    let takes_html = || {
        let accepts = headers.get_all(ACCEPT).iter();
        accepts
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains("text/html"))
    };
    method == Method::GET && !path.starts_with("/v1/") && !path.starts_with("/log/") && takes_html()
}

fn sign_in_first(wanted: &Uri) -> String {
    let wanted = wanted
        .path_and_query()
        .map_or("/", |wanted| wanted.as_str());
    match wanted {
        "/" => "/sign-in".to_owned(),
        _ => format!(
            "/sign-in?next={}",
            utf8_percent_encode(wanted, NON_ALPHANUMERIC)
        ),
    }
}

/// The only `csrf` of a form.
fn csrf_of(form: &[u8]) -> Option<String> {
    let mut found = url::form_urlencoded::parse(form).filter(|(name, _)| name == "csrf");
    match (found.next(), found.next()) {
        (Some((_, token)), None) => Some(token.into_owned()),
        _ => None,
    }
}

fn unknown() -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        "token",
        "every request needs the header `Authorization: Bearer TOKEN`: with a token of [[tokens]] in \
         bailiwick.toml, or the one from the file control.token beside the socket, which changes with \
         every start. A person signs in at /sign-in"
            .to_owned(),
    )
}

fn not_ours() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "origin",
        "the browser says that another site sent this form, or does not say which one; nothing was done. Open the \
         console itself and do it there"
            .to_owned(),
    )
}

fn no_csrf() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "csrf",
        "this does not carry the session's `csrf`, as a form field or as the header `x-csrf-token`, so a page of \
         somebody else may have sent it; nothing was done. Load the page again and repeat it"
            .to_owned(),
    )
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

/// Whoever has the control token and comes over TCP: they may look.
fn reader(name: Launcher) -> Person {
    Person {
        name,
        also: BTreeSet::new(),
        roles: [Role::Auditor].into(),
        groups: BTreeSet::new(),
        via: Via::Token,
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
