//! What watches over the gateway asks: whether it is alive (`/healthz`), whether it can do its work
//! (`/readyz`), and what it measures (`/metrics`).
//!
//! The first two are for anybody, and say nothing but words of this file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bailiwick_audit::AppendError;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry as Metrics;
use serde::Serialize;
use tokio::time::timeout;

use super::problem::Refusal;
use crate::api::{RunQuery, Which};
use crate::limits::PROBE_TIME_MAX;
use crate::people::{Person, Role};
use crate::registry::Registry;

/// Whether a part of the gateway does its work; if not, why, in words for anybody.
pub type Check = Box<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// What watches over the gateway is given.
#[derive(Default)]
pub struct Monitoring {
    /// What is measured.
    pub metrics: Metrics,
    /// An address of its own for it, without a token.
    pub listen: Option<SocketAddr>,
    /// What has to be as it should for the gateway to do its work, beside runs and record.
    pub checks: BTreeMap<&'static str, Check>,
}

/// What answers come from.
pub(super) struct Watched {
    registry: Registry,
    metrics: Metrics,
    checks: BTreeMap<&'static str, Check>,
}

impl Watched {
    pub(super) fn new(registry: Registry, monitoring: Monitoring) -> Arc<Self> {
        Arc::new(Self {
            registry,
            metrics: monitoring.metrics,
            checks: monitoring.checks,
        })
    }
}

/// For whoever may ask the API anything: `/metrics` for those who may look.
pub(super) fn guarded<S>(watched: &Arc<Watched>) -> Router<S> {
    probes()
        .route("/metrics", get(guarded_metrics))
        .with_state(Arc::clone(watched))
}

/// For whoever can reach an address that there is for this alone.
pub(super) fn open(watched: &Arc<Watched>) -> Router {
    probes()
        .route("/metrics", get(metrics))
        .with_state(Arc::clone(watched))
}

/// Whether anybody may ask this.
pub(super) fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

fn probes() -> Router<Arc<Watched>> {
    Router::new()
        .route(
            "/healthz",
            get(|| async { ([(CACHE_CONTROL, "no-store")], "ok\n") }),
        )
        .route("/readyz", get(ready))
}

/// Whether the gateway can do its work, and each part of it.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    parts: BTreeMap<&'static str, &'static str>,
}

async fn ready(State(watched): State<Arc<Watched>>) -> Response {
    let registry = &watched.registry;
    let query = RunQuery {
        state: Which::Open,
        limit: Some(1),
        ..RunQuery::default()
    };
    let listed = timeout(PROBE_TIME_MAX, registry.runs(query)).await;
    let listed = match listed {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err("its database cannot be read"),
        Err(_) => Err("its database does not answer"),
    };
    let stopping = match registry.is_stopping() {
        true => Err("it is stopping"),
        false => Ok(()),
    };
    let mut parts = BTreeMap::from([
        ("gateway", stopping),
        ("record", recordable(registry)),
        ("registry", listed),
    ]);
    for (name, check) in &watched.checks {
        parts.insert(name, check());
    }
    let ready = parts.values().all(Result::is_ok);
    let parts = parts
        .into_iter()
        .map(|(name, is)| (name, is.err().unwrap_or("ok")));
    let answer = Ready {
        ready,
        parts: parts.collect(),
    };
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, [(CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

fn recordable(registry: &Registry) -> Result<(), &'static str> {
    match registry.vitals().trouble {
        None => Ok(()),
        Some(AppendError::DiskFull) => Err("the disk is full"),
        Some(AppendError::Behind) => Err("the disk or the signer does not keep up"),
        Some(AppendError::Closed) => Err("it is closed"),
        Some(_) => Err("it has stopped"),
    }
}

async fn guarded_metrics(
    watched: State<Arc<Watched>>,
    who: Person,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    who.must(Role::Viewer)?;
    Ok(metrics(watched, headers).await)
}

/// In the form of OpenMetrics for whoever takes it, else in the one that came before
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
async fn metrics(State(watched): State<Arc<Watched>>, headers: HeaderMap) -> Response {
    let accepts = headers.get_all(ACCEPT).iter();
    let open = accepts
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("application/openmetrics-text"));
    // One that does not answer is at `/readyz`; the rest is told even so.
    let _ = timeout(PROBE_TIME_MAX, watched.registry.notices().look()).await;
    let mut body = String::new();
    let (kind, written) = match open {
        true => (
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text::encode(&mut body, &watched.metrics),
        ),
        false => (
            "text/plain; version=0.0.4; charset=utf-8",
            prometheus_text::encode(&mut body, &watched.metrics),
        ),
    };
    match written {
        Ok(()) => ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
