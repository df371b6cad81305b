//! What can be asked. Each answer is a type of [`api`](crate::api).
//!
//! The API describes itself: a handler says in its `utoipa::path` attribute what it takes and answers and whom
//! it is for, and is served and described by the same line in [`api`]. A further file of routes has
//! `pub(super) fn routes() -> OpenApiRouter<Arc<App>>` and one `merge` there. What every answer may be
//! besides, [`openapi`](super::openapi) adds. Pages are no part of it: they are merged in [`router`].

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router, middleware};
use bailiwick_policy::Task;
use bailiwick_run::{Ending, RunId};
use bytes::Bytes;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::guard::{Guard, LocalTokens, check};
use super::headers::protect;
use super::monitoring::{self, Watched};
use super::person::Asker;
use super::problem::{self, Refusal};
use super::{ServerSettings, attach, log, openapi};
use crate::api::{
    Change, Erased, Health, IndexState, OpenRequest, OpenedRun, PruneRequest, Pruned, Reference,
    Reindexing, Reloaded, RunDetail, RunList, RunQuery, Summary, TaskDetail, TaskInfo, TaskList,
    Words, schema,
};
use crate::limits::BODY_BYTES_MAX;
use crate::people::{People, Person, Role};
use crate::registry::{EndError, Opening, Registry, blocking};

mod approvals;
mod console;
pub(super) mod sign_in;
mod suspend;
mod view;

/// What handlers work with.
pub(super) struct App {
    pub(super) registry: Registry,
    pub(super) version: String,
    pub(super) people: Arc<People>,
    /// Where people reach it over TCP.
    pub(super) network: Option<std::net::SocketAddr>,
    pub(super) log: PathBuf,
    pub(super) public_log: bool,
    /// What the API says of itself.
    description: Bytes,
}

impl App {
    pub(super) fn new(
        registry: Registry,
        settings: &ServerSettings,
        people: Arc<People>,
        network: Option<std::net::SocketAddr>,
        description: OpenApi,
    ) -> Self {
        Self {
            registry,
            version: settings.version.clone(),
            people,
            network,
            log: settings.data.join("log"),
            public_log: settings.public_log,
            description: openapi::complete(description, &settings.version).into(),
        }
    }
}

type Api = State<Arc<App>>;
type Answer<T> = Result<Json<T>, Refusal>;

/// All routes, behind the guard.
pub(super) fn router(
    registry: Registry,
    tokens: LocalTokens,
    settings: &ServerSettings,
    people: Arc<People>,
    network: Option<std::net::SocketAddr>,
    watched: &Arc<Watched>,
) -> Router {
    let (api, description) = api().split_for_parts();
    let app = App::new(
        registry,
        settings,
        Arc::clone(&people),
        network,
        description,
    );
    let app = Arc::new(app);
    let guard = Arc::new(Guard {
        tokens,
        network,
        public_log: settings.public_log,
        people,
    });
    api.route("/log/{*path}", get(log_file))
        .merge(console::routes())
        .merge(sign_in::pages())
        .merge(monitoring::guarded(watched))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::map_response(problem::in_form))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            console::pages,
        ))
        .layer(middleware::from_fn_with_state(guard, check))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            console::pages,
        ))
        .layer(middleware::map_response(protect))
        .with_state(app)
}

/// What is served under `/v1/`, with what its handlers say of it.
pub(super) fn api() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(describe))
        .routes(routes!(health))
        .routes(routes!(list_runs, open_run))
        .routes(routes!(show_run, delete_run))
        .routes(routes!(close_run))
        .routes(routes!(revoke_run))
        .routes(routes!(erase_run))
        .routes(routes!(attach_run))
        .routes(routes!(prune_log))
        .routes(routes!(show_index))
        .routes(routes!(reindex))
        .routes(routes!(reload))
        .routes(routes!(list_tasks))
        .routes(routes!(show_task))
        .merge(approvals::routes())
        .merge(sign_in::routes())
        .merge(suspend::routes())
        .merge(view::routes())
}

/// What can be asked, as an OpenAPI 3.1 document
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "gateway",
    responses((status = OK, description = "The document", body = Object)),
    security(("token" = ["viewer"])),
)]
async fn describe(State(app): Api, who: Person) -> Result<Response, Refusal> {
    who.must(Role::Viewer)?;
    Ok((
        [(CONTENT_TYPE, "application/json")],
        app.description.clone(),
    )
        .into_response())
}

/// How the gateway is
#[utoipa::path(
    get,
    path = "/v1/health",
    tag = "gateway",
    responses((status = OK, description = "It is well", body = Health)),
    security(("token" = ["viewer"])),
)]
async fn health(State(app): Api, who: Person) -> Answer<Health> {
    who.must(Role::Viewer)?;
    Ok(Json(Health {
        version: app.version.clone(),
        open_runs: app.registry.open_runs(),
        policy_digest: app.registry.engine().digest().to_owned(),
        vkey: app.registry.vkey(),
    }))
}

/// Opens a run. The answer is the only one that holds its credential
#[utoipa::path(
    post,
    path = "/v1/runs",
    tag = "runs",
    request_body = OpenRequest,
    responses(
        (status = CREATED, description = "It is open", body = OpenedRun),
        (status = CONFLICT, description = "The task has a target that there is no way to reach from here"),
        (status = TOO_MANY_REQUESTS, description = "Too many runs are open"),
    ),
    security(("token" = ["operator"])),
)]
async fn open_run(
    State(app): Api,
    who: Person,
    request: Result<Json<OpenRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<OpenedRun>), Refusal> {
    who.must(Role::Operator)?;
    let Json(request) = request.map_err(bad_body)?;
    let opening = Opening {
        task: request.task,
        launcher: who.name,
        ttl: request.ttl,
        reason: request.reason,
        confinement: request.confinement,
        attach: request.attach,
    };
    let opened = app.registry.open_run(opening).await?;
    Ok((StatusCode::CREATED, Json(opened.into())))
}

/// Runs, the newest first
#[utoipa::path(
    get,
    path = "/v1/runs",
    tag = "runs",
    params(RunQuery),
    responses((status = OK, description = "The runs", body = RunList)),
    security(("token" = ["viewer"])),
)]
async fn list_runs(
    State(app): Api,
    who: Person,
    query: Result<Query<RunQuery>, QueryRejection>,
) -> Answer<RunList> {
    who.must(Role::Viewer)?;
    let Query(query) = query.map_err(bad_query)?;
    Ok(Json(app.registry.runs(query).await?))
}

/// A run, with what its launcher said that it is for
#[utoipa::path(
    get,
    path = "/v1/runs/{run}",
    tag = "runs",
    params(("run" = schema::RunId, Path, description = "The run")),
    responses((status = OK, description = "The run", body = RunDetail)),
    security(("token" = ["viewer"])),
)]
async fn show_run(State(app): Api, who: Person, Path(run): Path<String>) -> Answer<RunDetail> {
    who.must(Role::Viewer)?;
    let run = run_id(&run)?;
    let summary = app
        .registry
        .summary(&run)
        .await?
        .ok_or(EndError::NoRun(run))?;
    let reason = app.registry.reason(&run).await?;
    // The run itself is known without the index.
    let verified = app.registry.verified(run).await.ok().flatten();
    Ok(Json(RunDetail {
        summary,
        reason,
        verified,
    }))
}

/// Closes a run. One that has ended stays as it is
#[utoipa::path(
    delete,
    path = "/v1/runs/{run}",
    tag = "runs",
    params(("run" = schema::RunId, Path, description = "The run")),
    responses((status = OK, description = "The run, closed", body = Summary)),
    security(("token" = ["operator"])),
)]
async fn delete_run(State(app): Api, who: Asker, Path(run): Path<String>) -> Answer<Summary> {
    end_run(&app, who, &run, Ending::Closed).await
}

/// Closes a run. One that has ended stays as it is
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/close",
    tag = "runs",
    params(("run" = schema::RunId, Path, description = "The run")),
    responses((status = OK, description = "The run, closed", body = Summary)),
    security(("token" = ["operator"])),
)]
async fn close_run(State(app): Api, who: Asker, Path(run): Path<String>) -> Answer<Summary> {
    end_run(&app, who, &run, Ending::Closed).await
}

/// Revokes a run: what it has open is cut within a second
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/revoke",
    tag = "runs",
    params(("run" = schema::RunId, Path, description = "The run")),
    responses((status = OK, description = "The run, ended", body = Summary)),
    security(("token" = ["operator"])),
)]
async fn revoke_run(State(app): Api, who: Asker, Path(run): Path<String>) -> Answer<Summary> {
    end_run(&app, who, &run, Ending::Revoked).await
}

async fn end_run(app: &App, Asker(who): Asker, run: &str, ending: Ending) -> Answer<Summary> {
    // Whoever can read the token may end a run, known by name or not.
    let by = match who {
        Ok(who) => {
            who.must(Role::Operator)?;
            Some(who.name.as_str().to_owned())
        }
        Err(why) if app.people.roles.are_given() => {
            return Err(Refusal::unnamed(&why));
        }
        Err(_) => None,
    };
    let summary = app.registry.end_by(&run_id(run)?, ending, by).await?;
    Ok(Json(summary))
}

/// Erases the payloads of a run that has ended. Every proof stays whole
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/erase",
    tag = "log",
    params(("run" = schema::RunId, Path, description = "The run")),
    responses(
        (status = OK, description = "They are gone", body = Erased),
        (status = CONFLICT, description = "The run is still open"),
    ),
    security(("token" = ["admin"])),
)]
async fn erase_run(State(app): Api, who: Person, Path(run): Path<String>) -> Answer<Erased> {
    who.must(Role::Admin)?;
    Ok(Json(app.registry.erase(&run_id(&run)?, who.name).await?))
}

/// Removes old records and payloads. Later records stay proved
#[utoipa::path(
    post,
    path = "/v1/log/prune",
    tag = "log",
    request_body = PruneRequest,
    responses((status = OK, description = "What was removed", body = Pruned)),
    security(("token" = ["admin"])),
)]
async fn prune_log(
    State(app): Api,
    who: Person,
    request: Result<Json<PruneRequest>, JsonRejection>,
) -> Answer<Pruned> {
    who.must(Role::Admin)?;
    let Json(request) = request.map_err(bad_body)?;
    Ok(Json(app.registry.prune(request.until, who.name).await?))
}

/// Holds a run open: it is closed when this answer is no longer read. A line of JSON for each suspension and resumption, and a last one when the run has ended; an empty line says that the gateway is still there
#[utoipa::path(
    get,
    path = "/v1/runs/{run}/attach",
    tag = "runs",
    params(("run" = schema::RunId, Path, description = "The run")),
    responses(
        (status = OK, description = "Lasts as long as the run", body = Change, content_type = "application/x-ndjson"),
        (status = CONFLICT, description = "The run is not waiting for anybody, is somebody else's, or is held already"),
    ),
    security(("token" = ["operator"])),
)]
async fn attach_run(
    State(app): Api,
    who: Person,
    Path(run): Path<String>,
) -> Result<Response, Refusal> {
    who.must(Role::Operator)?;
    let attached = app.registry.attach(&run_id(&run)?, &who.name)?;
    Ok(attach::response(attached))
}

/// How far the index is
#[utoipa::path(
    get,
    path = "/v1/index",
    tag = "log",
    responses((status = OK, description = "The index", body = IndexState)),
    security(("token" = ["viewer"])),
)]
async fn show_index(State(app): Api, who: Person) -> Answer<IndexState> {
    who.must(Role::Viewer)?;
    Ok(Json(app.registry.index().state()))
}

/// Makes the index anew from the log
#[utoipa::path(
    post,
    path = "/v1/reindex",
    tag = "log",
    responses((status = ACCEPTED, description = "It is being made", body = Reindexing)),
    security(("token" = ["admin"])),
)]
async fn reindex(State(app): Api, who: Person) -> Result<(StatusCode, Json<Reindexing>), Refusal> {
    who.must(Role::Admin)?;
    let recorded = app.registry.reindex(who.name).await;
    let rebuild = recorded.map_err(|error| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "record",
            format!("the index stays as it is, because that could not be recorded: {error}"),
        )
    })?;
    Ok((StatusCode::ACCEPTED, Json(Reindexing { rebuild })))
}

/// Loads the tasks and guardrails anew: all are right, or everything stays as it was. Open runs go on, with what they were opened to do, within the new guardrails
#[utoipa::path(
    post,
    path = "/v1/reload",
    tag = "tasks",
    responses(
        (status = OK, description = "They are in force", body = Reloaded),
        (status = UNPROCESSABLE_ENTITY, description = "A file is wrong, and nothing was loaded"),
    ),
    security(("token" = ["admin"])),
)]
async fn reload(State(app): Api, who: Person) -> Answer<Reloaded> {
    who.must(Role::Admin)?;
    let by = who.name.as_str().to_owned();
    Ok(Json(app.registry.reload(by).await?))
}

/// The tasks, by name
#[utoipa::path(
    get,
    path = "/v1/tasks",
    tag = "tasks",
    responses((status = OK, description = "The tasks", body = TaskList)),
    security(("token" = ["viewer"])),
)]
async fn list_tasks(State(app): Api, who: Person) -> Answer<TaskList> {
    who.must(Role::Viewer)?;
    let tasks = app.registry.engine().tasks().map(task_info).collect();
    Ok(Json(TaskList { tasks }))
}

/// What a task allows, in words
#[utoipa::path(
    get,
    path = "/v1/tasks/{name}",
    tag = "tasks",
    params(("name" = String, Path, description = "The task")),
    responses((status = OK, description = "The task", body = TaskDetail)),
    security(("token" = ["viewer"])),
)]
async fn show_task(State(app): Api, who: Person, Path(name): Path<String>) -> Answer<TaskDetail> {
    who.must(Role::Viewer)?;
    Ok(Json(task_detail(&app, name).await?))
}

/// What a task says.
async fn task_detail(app: &App, name: String) -> Result<TaskDetail, Refusal> {
    let engine = app.registry.engine();
    let (Some(task), Some(words)) = (engine.task(&name), engine.describe(&name)) else {
        return Err(app.registry.no_task(name).await.into());
    };
    let references = task.references();
    Ok(TaskDetail {
        task: task_info(task),
        words: words.iter().map(Words::from).collect(),
        references: references.iter().map(reference).collect(),
    })
}

fn task_info(task: &Task) -> TaskInfo {
    TaskInfo {
        name: task.name.clone(),
        purpose: task.purpose.clone(),
        launchers: task.launchers.clone(),
        ttl: task.ttl,
        env: task.env.clone(),
        targets: task.targets().into_iter().map(str::to_owned).collect(),
        gateway_only: task.confine == bailiwick_policy::Confine::GatewayOnly,
        digest: task.digest.clone(),
        file: task.place.file.to_path_buf(),
    }
}

fn reference(reference: &bailiwick_policy::Reference<'_>) -> Reference {
    Reference {
        target: reference.target.to_owned(),
        kind: reference.kind.as_str().to_owned(),
        schema: reference.schema.map(str::to_owned),
        name: reference.name.map(str::to_owned),
        columns: reference
            .columns
            .iter()
            .copied()
            .map(str::to_owned)
            .collect(),
        place: reference.place.to_string(),
    }
}

async fn log_file(
    State(app): Api,
    who: Option<Extension<Asker>>,
    Path(path): Path<String>,
) -> Result<Response, Refusal> {
    // The guard lets nobody in here who is not known, unless the log is for anybody.
    if let Some(Extension(Asker(Ok(who)))) = who {
        who.must(Role::Viewer)?;
    }
    blocking(move || log::file(&app.log, &path, app.public_log)).await
}

async fn nothing_here(uri: Uri) -> Refusal {
    Refusal::not_found(format!("there is nothing at `{}`", uri.path()))
}

async fn not_allowed(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        format!("`{}` does not take {method}", uri.path()),
    )
}

fn run_id(text: &str) -> Result<RunId, Refusal> {
    id_of(text)
}

/// Reads an id of a path.
fn id_of<I: FromStr<Err: Display>>(text: &str) -> Result<I, Refusal> {
    text.parse()
        .map_err(|error| Refusal::bad_request(format!("`{text}` is {error}")))
}

fn bad_body(error: JsonRejection) -> Refusal {
    Refusal::new(error.status(), "bad-request", error.body_text())
}

fn bad_query(error: QueryRejection) -> Refusal {
    Refusal::bad_request(error.body_text())
}
