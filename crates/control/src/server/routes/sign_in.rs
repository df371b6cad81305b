//! Signing in and out, and who one is then.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Extension, Form, Query, State};
use axum::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::console::around;
use super::{Answer, Api, App};
use crate::api::{ConsoleLink, Me};
use crate::clock;
use crate::console::layout::{self, Layout};
use crate::limits::{ATTEMPTS_TIME, LINK_TIME, NEXT_BYTES_MAX, OIDC_SIGN_IN_TIME_MAX};
use crate::people::{CALLBACK, Callback, Person, Place, Session, SignInError, SignedIn, Via};
use crate::server::guard::Peer;
use crate::server::headers::{cookie, is_foreign};
use crate::server::person::Csrf;
use crate::server::problem::Refusal;

/// The cookie that binds the way back from the identity provider to the browser that was sent there.
fn on_the_way(place: Option<&Place>) -> &'static str {
    match place.is_some_and(Place::is_secure) {
        true => "__Host-bailiwick_oidc",
        false => "bailiwick_oidc",
    }
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(me))
        .routes(routes!(make_link))
}

/// The pages by which people come in and go.
pub(super) fn pages() -> Router<Arc<App>> {
    Router::new()
        .route("/sign-in", get(sign_in))
        .route("/sign-in/link", post(use_link))
        .route("/sign-in/oidc", get(to_provider))
        .route(CALLBACK, get(from_provider))
        .route("/sign-out", post(sign_out))
}

/// What the cookie of a session is called. With `__Host-`, browsers take it only from the console itself over TLS.
pub(crate) fn session_cookie(place: Option<&Place>) -> &'static str {
    match place.is_some_and(Place::is_secure) {
        true => "__Host-bailiwick_session",
        false => "bailiwick_session",
    }
}

/// Who asks, and what they may do
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "people",
    responses((status = OK, description = "They", body = Me)),
    security(("token" = ["viewer"])),
)]
async fn me(who: Person, Csrf(csrf): Csrf) -> Json<Me> {
    Json(Me {
        name: who.name.to_string(),
        roles: who.roles,
        groups: who.groups,
        via: who.via,
        csrf: (!csrf.is_empty()).then_some(csrf),
    })
}

/// A link by which the local user who asks can sign in at the console, once. Only over the control socket
#[utoipa::path(
    post,
    path = "/v1/console/link",
    tag = "people",
    responses(
        (status = OK, description = "The link", body = ConsoleLink),
        (status = CONFLICT, description = "The console is not served"),
        (status = TOO_MANY_REQUESTS, description = "Too many links wait to be used"),
        (status = SERVICE_UNAVAILABLE, description = "It cannot be recorded, so there is none"),
    ),
    security(("token" = ["viewer"])),
)]
async fn make_link(
    State(app): Api,
    Extension(peer): Extension<Peer>,
    who: Person,
) -> Answer<ConsoleLink> {
    // Whoever signs in by it has what this person has: so it has to be known here and now who that is. A session
    // that a link made is no such proof: it would last for ever.
    if who.via != Via::Local || !matches!(peer, Peer::Local(_)) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "not-local",
            "a link to sign in is for the local user who asks over the control socket: use `bailiwick console` on \
             the gateway's own machine"
                .to_owned(),
        ));
    }
    if who.roles.is_empty() {
        return Err(SignInError::NoRole(who.name).into());
    }
    let place = match (app.people.place(), app.network) {
        (Some(place), Some(_)) => place.to_string(),
        (None, Some(listens)) => format!("http://{}", nearby(listens)),
        (_, None) => {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                "no-console",
                "the console is not served, because this gateway has no address for it: set `control` under \
                 [listen] in bailiwick.toml, such as \"127.0.0.1:7400\", and start it again"
                    .to_owned(),
            ));
        }
    };
    let code = app.people.link(&app.registry, who).await?;
    let expires = clock::now().after(LINK_TIME);
    // Behind the `#` it goes to no server: to no log, no proxy, and nobody who looks where a link leads.
    let url = format!("{place}/sign-in#code={code}");
    Ok(Json(ConsoleLink { url, expires }))
}

/// How this machine reaches an address that it listens at.
fn nearby(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

#[derive(Deserialize)]
struct Wanted {
    next: Option<String>,
    /// The page has been asked for once more, by itself.
    again: Option<String>,
}

#[derive(Template)]
#[template(path = "sign-in.html")]
struct Page<'a> {
    layout: Layout,
    next: &'a str,
    /// The same as the value of a query's parameter.
    next_encoded: String,
    provider: Option<&'a str>,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "go-on.html")]
struct GoOn<'a> {
    layout: Layout,
    to: &'a str,
}

async fn sign_in(
    State(app): Api,
    headers: HeaderMap,
    session: Option<Extension<Session>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let wanted = wanted.map(|Query(wanted)| wanted).unwrap_or(Wanted {
        next: None,
        again: None,
    });
    let asked = wanted.next.is_some();
    let next = local(wanted.next);
    // Whoever follows a link from elsewhere comes without their cookie; with it, if the page itself asks again.
    if asked && wanted.again.is_none() && is_foreign(&headers) {
        let again: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("next", &next)
            .append_pair("again", "1")
            .finish();
        return go_on(&app, &format!("/sign-in?{again}"));
    }
    match &session {
        Some(_) if asked => Redirect::to(&next).into_response(),
        session => {
            let session = session.as_ref().map(|Extension(session)| session);
            page(&app, StatusCode::OK, &next, session, None)
        }
    }
}

#[derive(Deserialize)]
struct LinkForm {
    code: String,
    next: Option<String>,
}

/// Only a person at a browser uses a link up: whoever looks where it leads, does not send the form.
async fn use_link(
    State(app): Api,
    Extension(peer): Extension<Peer>,
    form: Result<Form<LinkForm>, FormRejection>,
) -> Response {
    let from = peer.address();
    if !app.people.attempts.allow(from, Instant::now()) {
        return too_often(&app);
    }
    let Ok(Form(form)) = form else {
        let problem = "the form is not complete".to_owned();
        return page(&app, StatusCode::BAD_REQUEST, "/", None, Some(problem));
    };
    let next = local(form.next);
    match app
        .people
        .by_link(&app.registry, form.code.trim(), next)
        .await
    {
        Ok(signed_in) => {
            app.people.attempts.succeeded(from);
            let to = signed_in.next.clone();
            welcome(&app, signed_in, Redirect::to(&to).into_response())
        }
        Err(error) => failed(&app, &error),
    }
}

async fn to_provider(
    State(app): Api,
    Extension(peer): Extension<Peer>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    if !app.people.attempts.allow(peer.address(), Instant::now()) {
        return too_often(&app);
    }
    let next = local(wanted.ok().and_then(|Query(wanted)| wanted.next));
    match app.people.begin(next).await {
        Ok(begun) => {
            let seconds = OIDC_SIGN_IN_TIME_MAX.as_secs();
            // Lax, because the provider's site sends them back.
            let cookie = format!(
                "{}={}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{}",
                on_the_way(app.people.place()),
                begun.cookie,
                secure(&app)
            );
            (
                StatusCode::SEE_OTHER,
                [(LOCATION, begun.to), (SET_COOKIE, cookie)],
            )
                .into_response()
        }
        Err(error) => failed(&app, &error),
    }
}

async fn from_provider(
    State(app): Api,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    callback: Result<Query<Callback>, QueryRejection>,
) -> Response {
    let from = peer.address();
    if !app.people.attempts.allow(from, Instant::now()) {
        return too_often(&app);
    }
    let Ok(Query(callback)) = callback else {
        let problem = "what the identity provider sent back is not understood".to_owned();
        return page(&app, StatusCode::BAD_REQUEST, "/", None, Some(problem));
    };
    let cookie = cookie(&headers, on_the_way(app.people.place()));
    match app
        .people
        .by_provider(&app.registry, cookie, callback)
        .await
    {
        Ok(signed_in) => {
            app.people.attempts.succeeded(from);
            // The new cookie does not go along with a redirect that began at another site. A page of ours may take it.
            let go_on = go_on(&app, &signed_in.next);
            let mut response = welcome(&app, signed_in, go_on);
            set_cookie(&mut response, &gone(&app, on_the_way(app.people.place())));
            response
        }
        Err(error) => failed(&app, &error),
    }
}

async fn sign_out(State(app): Api, session: Option<Extension<Session>>) -> Response {
    if let Some(Extension(session)) = session {
        app.people.sign_out(&app.registry, &session).await;
    }
    let gone = gone(&app, session_cookie(app.people.place()));
    ([(SET_COOKIE, gone)], Redirect::to("/sign-in")).into_response()
}

/// Gives the browser its session, a new one each time: what it had before is worth nothing.
fn welcome(app: &App, signed_in: SignedIn, mut response: Response) -> Response {
    let name = session_cookie(app.people.place());
    let cookie = format!(
        "{name}={}; Path=/; HttpOnly; SameSite=Strict{}",
        signed_in.token,
        secure(app)
    );
    set_cookie(&mut response, &cookie);
    response
}

fn set_cookie(response: &mut Response, cookie: &str) {
    // It is made of letters and digits, so it always is a header's value.
    if let Ok(cookie) = cookie.parse() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// Has the browser forget a cookie.
fn gone(app: &App, name: &str) -> String {
    let secure = secure(app);
    format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{secure}")
}

fn secure(app: &App) -> &'static str {
    match app.people.place().is_some_and(Place::is_secure) {
        true => "; Secure",
        false => "",
    }
}

/// A path of ours; the first page for anything else, so that no link leads through here to another site.
fn local(next: Option<String>) -> String {
    next.filter(|next| {
        next.len() <= NEXT_BYTES_MAX
            && next.starts_with('/')
            && !next.starts_with("//")
            && next
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && !next.starts_with("/sign-")
    })
    .unwrap_or_else(|| "/".to_owned())
}

fn go_on(app: &App, to: &str) -> Response {
    let layout = Layout::bare(&app.version, clock::now());
    layout::page(StatusCode::OK, &GoOn { layout, to })
}

fn page(
    app: &App,
    status: StatusCode,
    next: &str,
    session: Option<&Session>,
    problem: Option<String>,
) -> Response {
    let now = clock::now();
    let page = Page {
        layout: match session {
            Some(session) => around(app, &session.person, session.csrf.clone(), now),
            None => Layout::bare(&app.version, now),
        },
        next,
        next_encoded: utf8_percent_encode(next, NON_ALPHANUMERIC).to_string(),
        provider: app.people.oidc().map(|oidc| host(oidc.issuer())),
        problem,
    };
    layout::page(status, &page)
}

/// The host of a URL, which is what people know of it.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn failed(app: &App, error: &SignInError) -> Response {
    page(app, error.status(), "/", None, Some(error.to_string()))
}

fn too_often(app: &App) -> Response {
    let seconds = ATTEMPTS_TIME.as_secs();
    let problem = format!("too many attempts to sign in from this address; wait {seconds} s");
    let page = page(app, StatusCode::TOO_MANY_REQUESTS, "/", None, Some(problem));
    ([(RETRY_AFTER, seconds.to_string())], page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for ours in ["/", "/runs/run_1?state=open", "/records/run_1/2"] {
            assert_eq!(local(Some(ours.into())), ours);
        }
        for not in [
            "",
            "runs",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/",
            "/\tx",
            "/a\r\nSet-Cookie: x",
            "/sign-in",
            "/sign-out",
            "javascript:alert(1)",
            &format!("/{}", "x".repeat(NEXT_BYTES_MAX)),
        ] {
            assert_eq!(local(Some(not.into())), "/", "{not}");
        }
    }
}
