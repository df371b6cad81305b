//! What people look at.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bailiwick_audit::Entry;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, App, bad_query, run_id};
use crate::api::{
    Activity, ActivityQuery, Answer as Found, IncidentQuery, Incidents, RunScope, Search, Trail,
    TrailQuery, TrailRecord, Verified, schema,
};
use crate::people::{Person, Role};
use crate::registry::{EndError, blocking};
use crate::server::problem::Refusal;
use crate::view::Chain;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(incidents))
        .routes(routes!(activity))
        .routes(routes!(scope))
        .routes(routes!(run_trail))
        .routes(routes!(gateway_trail))
        .routes(routes!(record))
        .routes(routes!(receipt))
        .routes(routes!(verify))
        .routes(routes!(search))
}

/// What was outside a scope, by run, the newest first
#[utoipa::path(
    get,
    path = "/v1/incidents",
    tag = "runs",
    params(IncidentQuery),
    responses((status = OK, description = "What was denied, by run", body = Incidents)),
    security(("token" = ["viewer"])),
)]
async fn incidents(
    State(app): Api,
    who: Person,
    query: Result<Query<IncidentQuery>, QueryRejection>,
) -> Answer<Incidents> {
    who.must(Role::Viewer)?;
    let Query(query) = query.map_err(bad_query)?;
    Ok(Json(app.registry.incidents(query).await?))
}

/// Calls over time, by decision
#[utoipa::path(
    get,
    path = "/v1/activity",
    tag = "runs",
    params(ActivityQuery),
    responses((status = OK, description = "The calls, by decision", body = Activity)),
    security(("token" = ["viewer"])),
)]
async fn activity(
    State(app): Api,
    who: Person,
    query: Result<Query<ActivityQuery>, QueryRejection>,
) -> Answer<Activity> {
    who.must(Role::Viewer)?;
    let Query(query) = query.map_err(bad_query)?;
    Ok(Json(app.registry.activity(query).await?))
}

/// What a run may do, and what it did of it
#[utoipa::path(
    get,
    path = "/v1/runs/{run}/scope",
    tag = "runs",
    params(("run" = schema::RunId, Path, description = "The run")),
    responses((status = OK, description = "Its scope", body = RunScope)),
    security(("token" = ["viewer"])),
)]
async fn scope(State(app): Api, who: Person, Path(run): Path<String>) -> Answer<RunScope> {
    who.must(Role::Viewer)?;
    let run = run_id(&run)?;
    let scope = app.registry.run_scope(&run).await?;
    Ok(Json(scope.ok_or(EndError::NoRun(run))?))
}

/// The records of a run, in order
#[utoipa::path(
    get,
    path = "/v1/runs/{run}/trail",
    tag = "records",
    params(("run" = schema::RunId, Path, description = "The run"), TrailQuery),
    responses((status = OK, description = "The next records", body = Trail)),
    security(("token" = ["viewer"])),
)]
async fn run_trail(
    State(app): Api,
    who: Person,
    Path(run): Path<String>,
    query: Result<Query<TrailQuery>, QueryRejection>,
) -> Answer<Trail> {
    who.must(Role::Viewer)?;
    let (run, Query(query)) = (run_id(&run)?, query.map_err(bad_query)?);
    let trail = trail(&app, &who, Chain::Run(run), query).await?;
    Ok(Json(trail.ok_or(EndError::NoRun(run))?))
}

/// The records of the gateway's own chain, in order
#[utoipa::path(
    get,
    path = "/v1/gateway/trail",
    tag = "records",
    params(TrailQuery),
    responses((status = OK, description = "The next records", body = Trail)),
    security(("token" = ["viewer"])),
)]
async fn gateway_trail(
    State(app): Api,
    who: Person,
    query: Result<Query<TrailQuery>, QueryRejection>,
) -> Answer<Trail> {
    who.must(Role::Viewer)?;
    let Query(query) = query.map_err(bad_query)?;
    let trail = trail(&app, &who, Chain::Gateway, query).await?;
    Ok(Json(trail.ok_or_else(|| no_record("gateway/1"))?))
}

async fn trail(
    app: &App,
    who: &Person,
    chain: Chain,
    query: TrailQuery,
) -> Result<Option<Trail>, Refusal> {
    let who = query.payloads.then_some(who);
    Ok(app.registry.trail(chain, query.after, who).await?)
}

/// One record, with its payload
#[utoipa::path(
    get,
    path = "/v1/records/{run}/{seq}",
    tag = "records",
    params(
        ("run" = schema::Chain, Path, description = "Whose chain"),
        ("seq" = u64, Path, description = "Its number there"),
        TrailQuery,
    ),
    responses((status = OK, description = "The record", body = TrailRecord)),
    security(("token" = ["viewer"])),
)]
async fn record(
    State(app): Api,
    who: Person,
    Path((chain, seq)): Path<(String, u64)>,
    query: Result<Query<TrailQuery>, QueryRejection>,
) -> Answer<TrailRecord> {
    who.must(Role::Viewer)?;
    let Query(query) = query.map_err(bad_query)?;
    let none = || no_record(&format!("{chain}/{seq}"));
    let of = chain.parse::<Chain>().map_err(|_| none())?;
    let who = query.payloads.then_some(&who);
    let record = app.registry.record(of, seq, who).await?;
    Ok(Json(record.ok_or_else(none)?))
}

fn no_record(id: &str) -> Refusal {
    Refusal::not_found(format!(
        "there is no record {id}; `bailiwick trail RUN` lists those of a run"
    ))
}

/// One record with the proof that it is in the log (C2SP tlog-proof). That it is taken is on record
#[utoipa::path(
    get,
    path = "/v1/records/{run}/{seq}/receipt",
    tag = "records",
    params(
        ("run" = schema::Chain, Path, description = "Whose chain"),
        ("seq" = u64, Path, description = "Its number there"),
    ),
    responses(
        (status = OK, description = "The receipt", body = String, content_type = "text/plain"),
        (status = CONFLICT, description = "No checkpoint covers the record yet"),
    ),
    security(("token" = ["auditor"])),
)]
async fn receipt(
    State(app): Api,
    who: Person,
    Path((chain, seq)): Path<(String, u64)>,
) -> Result<Response, Refusal> {
    who.must(Role::Auditor)?;
    let none = || no_record(&format!("{chain}/{seq}"));
    let of = chain.parse::<Chain>().map_err(|_| none())?;
    let entry = app.registry.entry(of, seq).await?.ok_or_else(none)?;
    take(&app, &who, of, &entry).await
}

/// Why there is no receipt yet.
pub(super) fn no_proof() -> String {
    "No checkpoint covers it yet: one is signed about every second when there is something new."
        .to_owned()
}

/// A record with its proof, as a file. That it is taken is on record by then.
pub(super) async fn take(
    app: &App,
    who: &Person,
    chain: Chain,
    entry: &Entry,
) -> Result<Response, Refusal> {
    let (reader, proved) = (app.registry.reader(), entry.clone());
    let proof = blocking(move || reader.prove(&proved)).await?;
    let proof =
        proof.ok_or_else(|| Refusal::new(StatusCode::CONFLICT, "not-covered", no_proof()))?;
    app.registry
        .receipt_taken(who, chain, entry.record.seq)
        .await?;
    // A chain and a number: nothing that a header or a file's name could trip over.
    let name = format!(
        "attachment; filename=\"{}.tlog-proof\"",
        entry.id().replace('/', "-")
    );
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, name),
    ];
    Ok((headers, proof.text).into_response())
}

/// Verifies a run's trail: its chain, and that its records are under a checkpoint of the log. What is found is on record
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/verify",
    tag = "records",
    params(("run" = schema::RunId, Path, description = "The run")),
    responses(
        (status = OK, description = "What was found, whole or not", body = Verified),
        (status = CONFLICT, description = "It is too long to be verified while somebody waits, or not in this log any more"),
        (status = TOO_MANY_REQUESTS, description = "Another one is being verified"),
    ),
    security(("token" = ["auditor"])),
)]
async fn verify(State(app): Api, who: Person, Path(run): Path<String>) -> Answer<Verified> {
    who.must(Role::Auditor)?;
    Ok(Json(app.registry.verify(run_id(&run)?, &who).await?))
}

/// Searches the record. That somebody searches the words of payloads is on record
#[utoipa::path(
    get,
    path = "/v1/search",
    tag = "records",
    params(Search),
    responses(
        (status = OK, description = "What was found", body = Found),
        (status = TOO_MANY_REQUESTS, description = "Too many searches at once"),
    ),
    security(("token" = ["viewer"])),
)]
async fn search(
    State(app): Api,
    who: Person,
    query: Result<Query<Search>, QueryRejection>,
) -> Answer<Found> {
    who.must(Role::Viewer)?;
    let Query(search) = query.map_err(bad_query)?;
    Ok(Json(app.registry.search(search, &who).await?))
}
