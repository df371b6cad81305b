//! Errors as answers: `application/problem+json` (RFC 9457), with what to do in `detail`.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bailiwick_audit::ReadError;

use crate::api::Problem;
use crate::index::SearchError;
use crate::registry::{
    AttachError, EndError, EraseError, LookupError, OpenRunError, PruneRunsError,
};
use crate::store::StoreError;

/// An answer that refuses.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    remedy: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, kind: &'static str, detail: String) -> Self {
        Self {
            status,
            kind,
            detail,
            remedy: None,
        }
    }

    pub(super) fn not_found(detail: String) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(super) fn bad_request(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: format!("urn:bailiwick:{}", self.kind),
            title: self
                .status
                .canonical_reason()
                .unwrap_or_default()
                .to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            remedy: self.remedy,
        };
        let mut response = (self.status, axum::Json(problem)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, problem);
        response
    }
}

impl From<OpenRunError> for Refusal {
    fn from(error: OpenRunError) -> Self {
        let (status, kind) = match &error {
            OpenRunError::NoTask { .. } => (StatusCode::NOT_FOUND, "no-such-task"),
            OpenRunError::Denied(_) => (StatusCode::FORBIDDEN, "denied"),
            OpenRunError::TimeBox(_) => (StatusCode::UNPROCESSABLE_ENTITY, "time-box"),
            OpenRunError::Reason(_) => (StatusCode::UNPROCESSABLE_ENTITY, "reason"),
            OpenRunError::NoWayIn { .. } => (StatusCode::CONFLICT, "no-way-in"),
            OpenRunError::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many-runs"),
            OpenRunError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            OpenRunError::Record(_) => (StatusCode::SERVICE_UNAVAILABLE, "record"),
            OpenRunError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "registry"),
            OpenRunError::Scope(_) | OpenRunError::Random(_) | OpenRunError::Unexpected => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        let detail = error.to_string();
        let remedy = match error {
            OpenRunError::Denied(denial) => Some(denial.remedy),
            _ => None,
        };
        Self {
            status,
            kind,
            detail,
            remedy,
        }
    }
}

impl From<EndError> for Refusal {
    fn from(error: EndError) -> Self {
        let (status, kind) = match &error {
            EndError::NoRun(_) => (StatusCode::NOT_FOUND, "no-such-run"),
            EndError::NotYet(_) | EndError::Record { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "record")
            }
            EndError::Lookup(error) => lookup(error),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<EraseError> for Refusal {
    fn from(error: EraseError) -> Self {
        let (status, kind) = match &error {
            EraseError::NoRun(_) => (StatusCode::NOT_FOUND, "no-such-run"),
            EraseError::StillOpen(_) => (StatusCode::CONFLICT, "still-open"),
            EraseError::Nobody(_) => (StatusCode::FORBIDDEN, "launcher"),
            EraseError::Record { .. } => (StatusCode::SERVICE_UNAVAILABLE, "record"),
            EraseError::Lookup(error) => lookup(error),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<PruneRunsError> for Refusal {
    fn from(error: PruneRunsError) -> Self {
        let (status, kind) = match &error {
            PruneRunsError::Nobody(_) => (StatusCode::FORBIDDEN, "launcher"),
            PruneRunsError::Log(_) => (StatusCode::SERVICE_UNAVAILABLE, "record"),
            PruneRunsError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "registry"),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<AttachError> for Refusal {
    fn from(error: AttachError) -> Self {
        Self::new(StatusCode::CONFLICT, "attach", error.to_string())
    }
}

impl From<LookupError> for Refusal {
    fn from(error: LookupError) -> Self {
        let (status, kind) = lookup(&error);
        Self::new(status, kind, error.to_string())
    }
}

fn lookup(error: &LookupError) -> (StatusCode, &'static str) {
    let kind = match error {
        LookupError::Store(_) => "registry",
        LookupError::Read { .. } => "record",
    };
    (StatusCode::SERVICE_UNAVAILABLE, kind)
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "registry",
            error.to_string(),
        )
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "record",
            error.to_string(),
        )
    }
}

impl From<SearchError> for Refusal {
    fn from(error: SearchError) -> Self {
        let (status, kind) = match &error {
            SearchError::Query(_) => (StatusCode::BAD_REQUEST, "bad-request"),
            SearchError::TooSlow => (StatusCode::UNPROCESSABLE_ENTITY, "too-slow"),
            SearchError::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many-searches"),
            SearchError::NotReady | SearchError::Damaged | SearchError::Failed(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "index")
            }
        };
        Self::new(status, kind, error.to_string())
    }
}
