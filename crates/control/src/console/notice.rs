//! Pages between pages: asking once more before something is done, and saying why it was not.

use askama::Template;
use axum::http::StatusCode;

use super::layout::{Here, Layout};
use super::text::Text;
use super::words::Standing;
use crate::api::Summary;

/// What can be done to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Suspend,
    Resume,
    Revoke,
}

impl Act {
    pub(crate) const ALL: [Self; 3] = [Self::Suspend, Self::Resume, Self::Revoke];

    /// As it stands in a path.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Revoke => "revoke",
        }
    }

    /// What a path says.
    pub(crate) fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }

    /// That it was done.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::Suspend => {
                "Suspended: its connections are cut, and it can do nothing until somebody resumes it."
            }
            Self::Resume => "Resumed: it may act again, within the time it has left.",
            Self::Revoke => "Revoked: it has ended, and its credential is dead.",
        }
    }
}

/// Asks once more.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct Confirm {
    layout: Layout,
    title: &'static str,
    run: String,
    task: Text,
    launcher: Text,
    standing: Standing,
    consequence: &'static str,
    act: &'static str,
    button: &'static str,
    button_class: &'static str,
}

impl Confirm {
    pub(crate) fn new(layout: Layout, run: &Summary, act: Act) -> Self {
        let (title, consequence, button, button_class) = match act {
            Act::Suspend => (
                "Suspend this run?",
                "What it has open is cut within a second, and its credential is dead until somebody resumes it. \
                 Its time box goes on.",
                "Suspend it",
                "stop",
            ),
            Act::Resume => (
                "Resume this run?",
                "Its credential works again, for all that its scope allows, until its time box ends.",
                "Resume it",
                "go",
            ),
            Act::Revoke => (
                "Revoke this run?",
                "What it has open is cut within a second, and it ends. This cannot be undone; its trail stays.",
                "Revoke it",
                "stop",
            ),
        };
        Self {
            layout: Layout {
                here: Here::Runs,
                ..layout
            },
            title,
            run: run.run.to_string(),
            task: Text::line(&run.task),
            launcher: Text::line(run.launcher.as_str()),
            standing: Standing::of(run.state),
            consequence,
            act: act.as_str(),
            button,
            button_class,
        }
    }
}

/// Says why something was not done or is not there.
#[derive(Template)]
#[template(path = "trouble.html")]
pub(crate) struct Trouble {
    layout: Layout,
    status: u16,
    title: &'static str,
    detail: Text,
    remedy: Text,
}

impl Trouble {
    pub(crate) fn new(layout: Layout, status: StatusCode, detail: &str, remedy: &str) -> Self {
        Self {
            layout: Layout {
                here: Here::Elsewhere,
                ..layout
            },
            status: status.as_u16(),
            title: match status {
                StatusCode::UNAUTHORIZED => "Nobody is signed in",
                StatusCode::FORBIDDEN => "That is not for you to do",
                StatusCode::NOT_FOUND => "There is nothing here",
                StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST => {
                    "That was not understood"
                }
                StatusCode::CONFLICT => "That cannot be done now",
                status if status.is_client_error() => "That was not done",
                _ => "The gateway could not do that",
            },
            detail: Text::whole(&upper(detail)),
            remedy: Text::whole(remedy),
        }
    }
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
