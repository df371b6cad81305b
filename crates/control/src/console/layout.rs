//! What every page has around it: the ways, who looks, and what the page is told of its surroundings.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bailiwick_run::Time;

use super::assets;
use super::text::Text;
use super::words::Moment;
use crate::people::{Person, Role};

/// Which of the ways a page is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Here {
    Incidents,
    Runs,
    Approvals,
    Tasks,
    Search,
    /// None of them: signing in, and what could not be shown.
    Elsewhere,
}

/// Of which news a page wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Of none; it does not change.
    Nothing,
    /// Of any.
    All,
    /// Of those about one run.
    Run(String),
}

/// Whoever looks, as far as a page shows it. What may not be done has no button; the handlers refuse it all
/// the same.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) name: Text,
    pub(crate) roles: String,
    /// They may end, suspend and resume runs.
    pub(crate) acts: bool,
    /// They may see payloads and take receipts.
    pub(crate) audits: bool,
}

impl Who {
    pub(crate) fn of(person: &Person) -> Self {
        let roles: Vec<&str> = person.roles.iter().map(|role| role.as_str()).collect();
        Self {
            name: Text::line(person.name.as_str()),
            roles: match person.may(Role::Admin) {
                true => Role::Admin.as_str().to_owned(),
                false => roles.join(", "),
            },
            acts: person.may(Role::Operator),
            audits: person.may(Role::Auditor),
        }
    }
}

/// What is around a page.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) here: Here,
    /// Nobody, before they have signed in.
    pub(crate) who: Option<Who>,
    /// What a form has to carry to be believed.
    pub(crate) csrf: String,
    /// Runs that have not ended.
    pub(crate) alive: u64,
    /// Calls that wait for a person.
    pub(crate) waiting: u64,
    pub(crate) now: Moment,
    pub(crate) version: Text,
    pub(crate) watch: Watch,
}

impl Layout {
    /// For a page that nobody has to be known for.
    pub(crate) fn bare(version: &str, now: Time) -> Self {
        Self {
            here: Here::Elsewhere,
            who: None,
            csrf: String::new(),
            alive: 0,
            waiting: 0,
            now: Moment::new(now, now),
            version: Text::line(version),
            watch: Watch::Nothing,
        }
    }

    pub(crate) fn acts(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.acts)
    }

    pub(crate) fn audits(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.audits)
    }

    /// Whether the page is on the way of this name.
    pub(crate) fn on(&self, way: &str) -> bool {
        let here = match self.here {
            Here::Incidents => "incidents",
            Here::Runs => "runs",
            Here::Approvals => "approvals",
            Here::Tasks => "tasks",
            Here::Search => "search",
            Here::Elsewhere => return false,
        };
        here == way
    }

    /// Whether the script keeps the page up to date.
    pub(crate) fn is_live(&self) -> bool {
        self.watch != Watch::Nothing
    }

    /// What the script is told to watch.
    pub(crate) fn watched(&self) -> &str {
        match &self.watch {
            Watch::Nothing => "",
            Watch::All => "all",
            Watch::Run(run) => run,
        }
    }

    pub(crate) fn css(&self) -> String {
        assets::path("console.css")
    }

    pub(crate) fn script(&self) -> String {
        assets::path("console.js")
    }

    /// Where a file of the console is.
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::path(name)
    }

    pub(crate) fn icon(&self) -> String {
        assets::path("icon.svg")
    }
}

/// A template as an answer. What browsers are told beside it, the server puts on every answer.
pub(crate) fn page(status: StatusCode, template: &impl askama::Template) -> Response {
    let (status, body) = match template.render() {
        Ok(body) => (status, body),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            let sorry = "The page could not be made; the gateway's own log says why.\n".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, sorry)
        }
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}
