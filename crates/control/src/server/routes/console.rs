//! The console's pages, its few files, and what tells it of changes. What people may not do is refused here, whether
//! or not a page shows a button for it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bailiwick_run::Time;

use super::App;
use crate::api::WhichApprovals;
use crate::clock;
use crate::console::layout::{Layout, Who, page};
use crate::console::notice::Trouble;
use crate::console::{assets, layout, words::Moment};
use crate::people::{Person, Role};
use crate::server::person::{Asker, Csrf};
use crate::server::problem::Refusal;

mod act;
mod events;
mod look;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(look::incidents))
        .route("/runs", get(look::runs))
        .route("/runs/{run}", get(look::run))
        .route("/runs/{run}/verify", post(act::verify))
        .route("/runs/{run}/{act}", get(act::confirm).post(act::run))
        .route("/approvals", get(look::approvals))
        .route("/approvals/{id}/approve", post(act::approve))
        .route("/approvals/{id}/deny", post(act::deny))
        .route("/approvals/{id}/words", post(act::agent_words))
        .route("/tasks", get(look::tasks))
        .route("/tasks/{name}", get(look::task))
        .route("/records/{chain}/{seq}", get(look::record))
        .route("/records/{chain}/{seq}/payload", post(act::payload))
        .route("/records/{chain}/{seq}/receipt", post(act::receipt))
        .route("/search", get(look::search))
        .route(
            "/events",
            get(events::events).layer(Extension(events::Listeners::new())),
        )
        .route("/assets/{version}/{name}", get(asset))
}

/// The first parts of the paths of pages.
const PAGES: [&str; 5] = ["runs", "approvals", "tasks", "records", "search"];

/// What is answered to programs, whoever asks.
const NO_PAGES: [&str; 8] = [
    "v1", "log", "metrics", "healthz", "readyz", "events", "assets", "sign-in",
];

/// Whether an answer to this is a page.
fn is_page(path: &str, headers: &HeaderMap) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    let asks = || {
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        accept.is_some_and(|accept| accept.contains("text/html"))
    };
    first.is_empty() || PAGES.contains(&first) || (!NO_PAGES.contains(&first) && asks())
}

/// Makes a page of whatever refuses one. Around the handlers it knows who asks, and around the guard it does not.
pub(super) async fn pages(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !is_page(request.uri().path(), request.headers()) {
        return next.run(request).await;
    }
    let extensions = request.extensions();
    let layout = match extensions.get::<Asker>() {
        Some(Asker(Ok(who))) => {
            let csrf = extensions
                .get()
                .map(|session: &crate::people::Session| session.csrf.clone());
            around(&app, who, csrf.unwrap_or_default(), clock::now())
        }
        Some(Asker(Err(_))) | None => Layout::bare(&app.version, clock::now()),
    };
    let response = next.run(request).await;
    let Some(refusal) = response.extensions().get::<Refusal>() else {
        return response;
    };
    let trouble = Trouble::new(layout, refusal.status(), refusal.detail(), refusal.remedy());
    let mut sorry = page(refusal.status(), &trouble);
    for (name, value) in response.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            sorry.headers_mut().append(name, value.clone());
        }
    }
    sorry
}

/// What is around a page that this person looks at.
pub(super) fn around(app: &App, who: &Person, csrf: String, now: Time) -> Layout {
    Layout {
        here: layout::Here::Elsewhere,
        who: Some(Who::of(who)),
        csrf,
        alive: app.registry.open_runs() as u64,
        waiting: app.registry.approvals(WhichApprovals::Open).len() as u64,
        now: Moment::new(now, now),
        version: crate::console::text::Text::line(&app.version),
        watch: layout::Watch::Nothing,
    }
}

/// Whoever looks at a page, and when.
pub(super) struct View {
    app: Arc<App>,
    who: Person,
    csrf: String,
    now: Time,
}

impl FromRequestParts<Arc<App>> for View {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let who = Person::from_request_parts(parts, app).await?;
        who.must(Role::Viewer)
            .map_err(IntoResponse::into_response)?;
        let Csrf(csrf) = match Csrf::from_request_parts(parts, app).await {
            Ok(csrf) => csrf,
            Err(never) => match never {},
        };
        Ok(Self {
            app: Arc::clone(app),
            who,
            csrf,
            now: clock::now(),
        })
    }
}

impl View {
    fn layout(&self) -> Layout {
        around(&self.app, &self.who, self.csrf.clone(), self.now)
    }
}

async fn asset(Path((version, name)): Path<(String, String)>) -> Result<Response, Refusal> {
    assets::file(&version, &name)
        .ok_or_else(|| Refusal::not_found("the console has no file of this name".to_owned()))
}

/// The value of a field, if there is anything in it.
fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
