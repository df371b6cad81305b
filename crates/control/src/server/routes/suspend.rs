//! Suspending and resuming runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, App, run_id};
use crate::api::{Summary, schema};
use crate::people::{Person, Role};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(suspend))
        .routes(routes!(resume))
}

/// Suspends a run: what it has open is cut, and it may not act until it is resumed
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/suspend",
    tag = "runs",
    params(("run" = schema::RunId, Path, description = "The run")),
    responses(
        (status = OK, description = "It is suspended", body = Summary),
        (status = CONFLICT, description = "It has ended, or is not suspended"),
    ),
    security(("token" = ["operator"])),
)]
async fn suspend(State(app): Api, who: Person, Path(run): Path<String>) -> Answer<Summary> {
    who.must(Role::Operator)?;
    let by = who.name.as_str().to_owned();
    Ok(Json(app.registry.suspend(&run_id(&run)?, by).await?))
}

/// Lets a suspended run act again
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/resume",
    tag = "runs",
    params(("run" = schema::RunId, Path, description = "The run")),
    responses(
        (status = OK, description = "It may act", body = Summary),
        (status = CONFLICT, description = "It has ended, or is not suspended"),
    ),
    security(("token" = ["operator"])),
)]
async fn resume(State(app): Api, who: Person, Path(run): Path<String>) -> Answer<Summary> {
    who.must(Role::Operator)?;
    Ok(Json(app.registry.resume(&run_id(&run)?, &who).await?))
}
