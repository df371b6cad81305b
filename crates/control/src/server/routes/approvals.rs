//! Calls that wait for somebody's yes. Which approver may answer is for the registry to say: it depends on the question.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use bailiwick_run::ApprovalId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, App, bad_body, bad_query, id_of};
use crate::api::{
    AgentWords, Approval, ApprovalQuery, Approvals, ApproveRequest, DenyRequest, schema,
};
use crate::approvals::RuleError;
use crate::people::{Person, Role};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(words))
        .routes(routes!(approve))
        .routes(routes!(deny))
}

/// Calls that wait for a yes, the least time left first
#[utoipa::path(
    get,
    path = "/v1/approvals",
    tag = "approvals",
    params(ApprovalQuery),
    responses((status = OK, description = "The approvals", body = Approvals)),
    security(("token" = ["viewer"])),
)]
async fn list(
    State(app): Api,
    who: Person,
    query: Result<Query<ApprovalQuery>, QueryRejection>,
) -> Answer<Approvals> {
    who.must(Role::Viewer)?;
    let Query(query) = query.map_err(bad_query)?;
    let approvals = app.registry.approvals(query.state);
    Ok(Json(Approvals { approvals }))
}

/// A call that waits for a yes, or did
#[utoipa::path(
    get,
    path = "/v1/approvals/{id}",
    tag = "approvals",
    params(("id" = schema::ApprovalId, Path, description = "The approval")),
    responses((status = OK, description = "The approval", body = Approval)),
    security(("token" = ["viewer"])),
)]
async fn show(State(app): Api, who: Person, Path(id): Path<String>) -> Answer<Approval> {
    who.must(Role::Viewer)?;
    let id: ApprovalId = id_of(&id)?;
    let approval = app.registry.approval(&id).ok_or(RuleError::NoSuch(id))?;
    Ok(Json(approval))
}

/// What the agent wrote. That it was looked at is recorded before
#[utoipa::path(
    get,
    path = "/v1/approvals/{id}/words",
    tag = "approvals",
    params(("id" = schema::ApprovalId, Path, description = "The approval")),
    responses((status = OK, description = "The words", body = AgentWords)),
    security(("token" = ["approver", "auditor"])),
)]
async fn words(State(app): Api, who: Person, Path(id): Path<String>) -> Answer<AgentWords> {
    if !who.may(Role::Auditor) {
        who.must(Role::Approver)?;
    }
    let id: ApprovalId = id_of(&id)?;
    Ok(Json(app.registry.agent_words(&id, &who).await?))
}

/// Says yes to a call, once
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/approve",
    tag = "approvals",
    params(("id" = schema::ApprovalId, Path, description = "The approval")),
    request_body = ApproveRequest,
    responses(
        (status = OK, description = "It is approved, or waits for others", body = Approval),
        (status = CONFLICT, description = "It is over, or the run may not act"),
    ),
    security(("token" = ["approver"])),
)]
async fn approve(
    State(app): Api,
    who: Person,
    Path(id): Path<String>,
    request: Result<Json<ApproveRequest>, JsonRejection>,
) -> Answer<Approval> {
    who.must(Role::Approver)?;
    let id: ApprovalId = id_of(&id)?;
    let Json(request) = request.map_err(bad_body)?;
    Ok(Json(app.registry.approve(&id, &who, request.note).await?))
}

/// Says no to a call. The agent is told why
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/deny",
    tag = "approvals",
    params(("id" = schema::ApprovalId, Path, description = "The approval")),
    request_body = DenyRequest,
    responses(
        (status = OK, description = "It is denied", body = Approval),
        (status = CONFLICT, description = "It is over, or the run may not act"),
    ),
    security(("token" = ["approver"])),
)]
async fn deny(
    State(app): Api,
    who: Person,
    Path(id): Path<String>,
    request: Result<Json<DenyRequest>, JsonRejection>,
) -> Answer<Approval> {
    who.must(Role::Approver)?;
    let id: ApprovalId = id_of(&id)?;
    let Json(request) = request.map_err(bad_body)?;
    Ok(Json(app.registry.deny(&id, &who, &request.reason).await?))
}
