//! What can be asked. Each answer is a type of [`api`](crate::api).

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use bailiwick_audit::{ReadError, Reader};
use bailiwick_policy::Task;
use bailiwick_run::{Ending, RunId};
use serde::Deserialize;

use super::guard::{Guard, Local, check};
use super::problem::Refusal;
use super::{ServerSettings, attach, log};
use crate::api::{
    Answer as Found, Erased, Health, IndexState, OpenRequest, OpenedRun, PruneRequest, Pruned,
    Reference, Reindexing, RunDetail, RunList, Search, Sort, Summary, TaskDetail, TaskInfo,
    TaskList, Trail, TrailRecord, Which, Words,
};
use crate::index::{Query as SearchQuery, SearchError};
use crate::limits::{BODY_BYTES_MAX, RUNS_LISTED_MAX};
use crate::registry::{EndError, EraseError, Opening, PruneRunsError, Registry, blocking};
use crate::token::Token;
use crate::trail;

/// Runs in an answer where nothing is asked for.
const RUNS_LISTED: u32 = 100;

struct App {
    registry: Registry,
    version: String,
    log: PathBuf,
    public_log: bool,
}

type Api = State<Arc<App>>;
type Answer<T> = Result<Json<T>, Refusal>;

/// All routes, behind the guard.
pub(super) fn router(
    registry: Registry,
    token: Token,
    settings: &ServerSettings,
    network: Option<std::net::SocketAddr>,
) -> Router {
    let app = App {
        registry,
        version: settings.version.clone(),
        log: settings.data.join("log"),
        public_log: settings.public_log,
    };
    let guard = Arc::new(Guard {
        token,
        network,
        public_log: settings.public_log,
    });
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/runs", get(list_runs).post(open_run))
        .route("/v1/runs/{run}", get(show_run).delete(close_run))
        .route("/v1/runs/{run}/close", post(close_run))
        .route("/v1/runs/{run}/revoke", post(revoke_run))
        .route("/v1/runs/{run}/erase", post(erase_run))
        .route("/v1/runs/{run}/attach", get(attach_run))
        .route("/v1/runs/{run}/trail", get(run_trail))
        .route("/v1/records/{run}/{seq}", get(show_record))
        .route("/v1/log/prune", post(prune_log))
        .route("/v1/gateway/trail", get(gateway_trail))
        .route("/v1/search", get(search))
        .route("/v1/index", get(show_index))
        .route("/v1/reindex", post(reindex))
        .route("/v1/tasks", get(list_tasks))
        .route("/v1/tasks/{name}", get(show_task))
        .route("/log/{*path}", get(log_file))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(guard, check))
        .with_state(Arc::new(app))
}

async fn health(State(app): Api) -> Json<Health> {
    Json(Health {
        version: app.version.clone(),
        open_runs: app.registry.open_runs(),
        policy_digest: app.registry.engine().digest().to_owned(),
        vkey: app.registry.vkey(),
    })
}

async fn open_run(
    State(app): Api,
    Local(launcher): Local,
    request: Result<Json<OpenRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<OpenedRun>), Refusal> {
    let launcher = launcher.map_err(|why| {
        Refusal::new(
            StatusCode::FORBIDDEN,
            "launcher",
            format!("the run was not opened, because it is not known for whom: {why}"),
        )
    })?;
    let Json(request) = request.map_err(bad_body)?;
    let opening = Opening {
        task: request.task,
        launcher,
        ttl: request.ttl,
        reason: request.reason,
        confinement: request.confinement,
        attach: request.attach,
    };
    let opened = app.registry.open_run(opening).await?;
    Ok((StatusCode::CREATED, Json(opened.into())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunsQuery {
    #[serde(default)]
    state: Which,
    limit: Option<u32>,
}

async fn list_runs(
    State(app): Api,
    query: Result<Query<RunsQuery>, QueryRejection>,
) -> Answer<RunList> {
    let Query(query) = query.map_err(bad_query)?;
    let limit = query.limit.unwrap_or(RUNS_LISTED).min(RUNS_LISTED_MAX);
    let runs = app.registry.list(query.state, limit).await?;
    Ok(Json(RunList { runs }))
}

async fn show_run(State(app): Api, Path(run): Path<String>) -> Answer<RunDetail> {
    let run = run_id(&run)?;
    let summary = app
        .registry
        .summary(&run)
        .await?
        .ok_or(EndError::NoRun(run))?;
    let reason = match app.registry.find(&run) {
        Some(live) => live.run.reason,
        None => {
            let reader = app.registry.reader();
            blocking(move || reason(&reader, run)).await?
        }
    };
    Ok(Json(RunDetail { summary, reason }))
}

/// What the launcher of a run said that it is for: the payload of the run's first record.
fn reason(reader: &Reader, run: RunId) -> Result<Option<String>, ReadError> {
    let Some(opened) = reader.record(&format!("{run}/1"))? else {
        return Ok(None);
    };
    let (opened, _) = trail::show(&mut reader.payloads()?, &opened)?;
    let reason = opened
        .payload
        .as_ref()
        .and_then(|payload| payload.get("reason")?.as_str());
    Ok(reason.map(str::to_owned))
}

async fn close_run(State(app): Api, local: Local, Path(run): Path<String>) -> Answer<Summary> {
    end_run(&app, local, &run, Ending::Closed).await
}

async fn revoke_run(State(app): Api, local: Local, Path(run): Path<String>) -> Answer<Summary> {
    end_run(&app, local, &run, Ending::Revoked).await
}

async fn end_run(app: &App, Local(by): Local, run: &str, ending: Ending) -> Answer<Summary> {
    // Whoever can read the token may end a run, known by name or not.
    let summary = app.registry.end_by(&run_id(run)?, ending, by.ok()).await?;
    Ok(Json(summary))
}

async fn erase_run(State(app): Api, Local(by): Local, Path(run): Path<String>) -> Answer<Erased> {
    let by = by.map_err(EraseError::Nobody)?;
    Ok(Json(app.registry.erase(&run_id(&run)?, by).await?))
}

async fn prune_log(
    State(app): Api,
    Local(by): Local,
    request: Result<Json<PruneRequest>, JsonRejection>,
) -> Answer<Pruned> {
    let by = by.map_err(PruneRunsError::Nobody)?;
    let Json(request) = request.map_err(bad_body)?;
    Ok(Json(app.registry.prune(request.until, by).await?))
}

async fn attach_run(
    State(app): Api,
    Local(_): Local,
    Path(run): Path<String>,
) -> Result<Response, Refusal> {
    Ok(attach::response(app.registry.attach(&run_id(&run)?)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrailQuery {
    #[serde(default)]
    after: u64,
}

async fn run_trail(
    State(app): Api,
    Path(run): Path<String>,
    query: Result<Query<TrailQuery>, QueryRejection>,
) -> Answer<Trail> {
    let (run, Query(query)) = (run_id(&run)?, query.map_err(bad_query)?);
    let reader = app.registry.reader();
    let trail = blocking(move || {
        let entries = reader.run(&run)?;
        let known = !entries.is_empty();
        Ok::<_, ReadError>(known.then_some(trail::page(&reader, &entries, query.after)?))
    });
    Ok(Json(trail.await?.ok_or(EndError::NoRun(run))?))
}

async fn gateway_trail(
    State(app): Api,
    query: Result<Query<TrailQuery>, QueryRejection>,
) -> Answer<Trail> {
    let Query(query) = query.map_err(bad_query)?;
    let reader = app.registry.reader();
    let trail = blocking(move || trail::page(&reader, &reader.gateway()?, query.after));
    Ok(Json(trail.await?))
}

async fn show_record(
    State(app): Api,
    Path((run, seq)): Path<(String, u64)>,
) -> Answer<TrailRecord> {
    let reader = app.registry.reader();
    let id = format!("{run}/{seq}");
    let record = {
        let id = id.clone();
        blocking(move || match reader.record(&id)? {
            Some(entry) => {
                let (record, _) = trail::show(&mut reader.payloads()?, &entry)?;
                Ok::<_, ReadError>(Some(record))
            }
            None => Ok(None),
        })
    };
    let record = record.await?.ok_or_else(|| {
        Refusal::not_found(format!(
            "there is no record {id}; `bailiwick trail RUN` lists those of a run"
        ))
    })?;
    Ok(Json(record))
}

async fn search(State(app): Api, query: Result<Query<Search>, QueryRejection>) -> Answer<Found> {
    let Query(search) = query.map_err(bad_query)?;
    let query = SearchQuery::new(search).map_err(SearchError::from)?;
    Ok(Json(app.registry.index().search(query).await?))
}

async fn show_index(State(app): Api) -> Json<IndexState> {
    Json(app.registry.index().state())
}

async fn reindex(State(app): Api, Local(_): Local) -> (StatusCode, Json<Reindexing>) {
    let rebuild = app.registry.index().rebuild();
    (StatusCode::ACCEPTED, Json(Reindexing { rebuild }))
}

async fn list_tasks(State(app): Api) -> Json<TaskList> {
    let tasks = app.registry.engine().tasks().map(task_info).collect();
    Json(TaskList { tasks })
}

async fn show_task(State(app): Api, Path(name): Path<String>) -> Answer<TaskDetail> {
    let engine = app.registry.engine();
    let (Some(task), Some(words)) = (engine.task(&name), engine.describe(&name)) else {
        let nearest = engine.nearest_task(&name).map(str::to_owned);
        return Err(crate::OpenRunError::NoTask { name, nearest }.into());
    };
    let references = task.references();
    Ok(Json(TaskDetail {
        task: task_info(task),
        words: words.iter().map(words_of).collect(),
        references: references.iter().map(reference).collect(),
    }))
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

fn words_of(line: &bailiwick_policy::Line) -> Words {
    use bailiwick_policy::Sort as From;
    Words {
        sort: match line.sort {
            From::Allowed => Sort::Allowed,
            From::Approval => Sort::Approval,
            From::Masked => Sort::Masked,
            From::Guardrail => Sort::Guardrail,
            From::Rest => Sort::Rest,
        },
        text: line.text.clone(),
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

async fn log_file(State(app): Api, Path(path): Path<String>) -> Result<Response, Refusal> {
    blocking(move || log::file(&app.log, &path, app.public_log)).await
}

async fn nothing_here(uri: Uri) -> Refusal {
    Refusal::not_found(format!("the API has no `{}`", uri.path()))
}

async fn not_allowed(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        format!("`{}` does not take {method}", uri.path()),
    )
}

fn run_id(text: &str) -> Result<RunId, Refusal> {
    text.parse()
        .map_err(|error| Refusal::bad_request(format!("`{text}` is {error}")))
}

fn bad_body(error: JsonRejection) -> Refusal {
    Refusal::new(error.status(), "bad-request", error.body_text())
}

fn bad_query(error: QueryRejection) -> Refusal {
    Refusal::bad_request(error.body_text())
}
