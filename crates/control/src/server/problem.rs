//! Errors as answers: `application/problem+json` (RFC 9457), with what to do in `detail`.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bailiwick_audit::ReadError;

use crate::api::Problem;
use crate::approvals::{NotTheirs, RuleError};
use crate::index::SearchError;
use crate::limits::REFUSED_BYTES_MAX;
use crate::people::{LinkError, OidcError, SessionError, SignInError};
use crate::registry::{
    AttachError, EndError, EraseError, LookupError, OpenRunError, PruneRunsError, ReloadError,
    SuspendError, VerifyError, WordsError,
};
use crate::store::StoreError;
use crate::view::ViewError;

/// An answer that refuses.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    remedy: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: String) -> Self {
        Self {
            status,
            kind,
            detail,
            remedy: None,
        }
    }

    /// It is not known who asks.
    pub(crate) fn unnamed(why: &str) -> Self {
        let detail = format!("nothing was done, because it is not known who asks: {why}");
        Self::new(StatusCode::FORBIDDEN, "launcher", detail)
    }

    pub(crate) fn not_found(detail: String) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(crate) fn bad_request(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// The status it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What happened and what to do.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// What to ask for.
    pub(crate) fn remedy(&self) -> &str {
        self.remedy.as_deref().unwrap_or_default()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Whoever makes a page of it (`routes/console.rs`) finds it here.
        let kept = self.clone();
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
        response.extensions_mut().insert(kept);
        response
    }
}

/// What a request is refused with before a handler has it, in the form of all other errors.
pub(super) async fn in_form(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE);
    let is_text = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !is_text || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let body = axum::body::to_bytes(response.into_body(), REFUSED_BYTES_MAX).await;
    let detail = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
    Refusal::new(status, "bad-request", detail).into_response()
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

impl From<RuleError> for Refusal {
    fn from(error: RuleError) -> Self {
        let (status, kind) = match &error {
            RuleError::NoSuch(_) => (StatusCode::NOT_FOUND, "no-such-approval"),
            RuleError::NotTheirs(NotTheirs::Role(_)) => (StatusCode::FORBIDDEN, "role"),
            RuleError::NotTheirs(_) => (StatusCode::FORBIDDEN, "not-yours"),
            RuleError::Over { .. } => (StatusCode::CONFLICT, "over"),
            RuleError::NotLive(_) => (StatusCode::CONFLICT, "not-live"),
            RuleError::Said { .. } => (StatusCode::CONFLICT, "said"),
            RuleError::NoReason | RuleError::TooLong(_) | RuleError::NotText => {
                (StatusCode::UNPROCESSABLE_ENTITY, "reason")
            }
            RuleError::Record(_) => (StatusCode::SERVICE_UNAVAILABLE, "record"),
            RuleError::Unexpected => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<SuspendError> for Refusal {
    fn from(error: SuspendError) -> Self {
        let (status, kind) = match &error {
            SuspendError::NoRun(_) => (StatusCode::NOT_FOUND, "no-such-run"),
            SuspendError::Ended(_) => (StatusCode::CONFLICT, "ended"),
            SuspendError::Program(_) => (StatusCode::FORBIDDEN, "role"),
            SuspendError::NotYet(_) | SuspendError::Record { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "record")
            }
            SuspendError::Unexpected(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            SuspendError::Lookup(error) => lookup(error),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<VerifyError> for Refusal {
    fn from(error: VerifyError) -> Self {
        let (status, kind) = match error {
            VerifyError::NoRun(_) => (StatusCode::NOT_FOUND, "no-such-run"),
            VerifyError::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            VerifyError::Archived(_) => (StatusCode::CONFLICT, "archived"),
            VerifyError::Pruned(_) => (StatusCode::CONFLICT, "pruned"),
            VerifyError::TooLong(_) => (StatusCode::CONFLICT, "too-long"),
            VerifyError::Index(error) => return error.into(),
            VerifyError::Record(_) => (StatusCode::SERVICE_UNAVAILABLE, "record"),
            VerifyError::Lookup(ref error) => lookup(error),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<WordsError> for Refusal {
    fn from(error: WordsError) -> Self {
        match error {
            WordsError::Rule(error) => error.into(),
            WordsError::View(error) => error.into(),
        }
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

impl From<ReloadError> for Refusal {
    fn from(error: ReloadError) -> Self {
        let (status, kind) = match &error {
            ReloadError::Wrong(_) | ReloadError::Scope(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "policy")
            }
            ReloadError::Record(_) => (StatusCode::SERVICE_UNAVAILABLE, "record"),
            ReloadError::Unexpected => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
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

impl From<ViewError> for Refusal {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Query(detail) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "query", detail)
            }
            ViewError::Index(error) => error.into(),
            ViewError::Store(error) => error.into(),
            ViewError::Lookup(error) => error.into(),
            ViewError::Read(error) => error.into(),
            ViewError::Record(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "record", error.to_string())
            }
        }
    }
}

impl From<SearchError> for Refusal {
    fn from(error: SearchError) -> Self {
        let (status, kind) = match &error {
            SearchError::Query(_) => (StatusCode::BAD_REQUEST, "bad-request"),
            SearchError::TooSlow => (StatusCode::UNPROCESSABLE_ENTITY, "too-slow"),
            SearchError::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many-searches"),
            SearchError::NotReady
            | SearchError::Damaged
            | SearchError::Failed(_)
            | SearchError::NotMade(_) => (StatusCode::SERVICE_UNAVAILABLE, "index"),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl SignInError {
    /// The status of an answer that says so.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Link(LinkError::Used(_) | LinkError::Unknown) | Self::NoRole(_) => {
                StatusCode::FORBIDDEN
            }
            Self::Link(LinkError::TooMany)
            | Self::Oidc(OidcError::TooMany)
            | Self::Session(SessionError::TooMany) => StatusCode::TOO_MANY_REQUESTS,
            Self::Oidc(OidcError::Provider { .. }) => StatusCode::BAD_GATEWAY,
            Self::Oidc(OidcError::Refused(_)) => StatusCode::FORBIDDEN,
            Self::NoProvider => StatusCode::NOT_FOUND,
            Self::Record(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Link(LinkError::Random(_)) | Self::Session(SessionError::Random(_)) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

impl From<SignInError> for Refusal {
    fn from(error: SignInError) -> Self {
        let kind = match &error {
            SignInError::NoRole(_) => "role",
            SignInError::Record(_) => "record",
            _ => "sign-in",
        };
        Self::new(error.status(), kind, error.to_string())
    }
}
