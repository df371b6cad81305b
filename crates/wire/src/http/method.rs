//! The methods that are understood, and what each is to a scope that says nothing of it.

use bailiwick_action::Class;

use super::bhttp::WEBSOCKET;

/// A method that is understood. Others are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
    WebSocket,
}

impl Method {
    const ALL: [Method; 8] = [
        Method::Delete,
        Method::Get,
        Method::Head,
        Method::Options,
        Method::Patch,
        Method::Post,
        Method::Put,
        Method::WebSocket,
    ];

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// As it is sent.
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::Delete => "DELETE",
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::WebSocket => WEBSOCKET,
        }
    }

    /// Its class, unless the task says otherwise.
    pub(super) fn class(self) -> Class {
        match self {
            Method::Get | Method::Head | Method::Options => Class::Read,
            Method::Patch | Method::Post | Method::Put | Method::WebSocket => Class::Write,
            Method::Delete => Class::Destroy,
        }
    }

    /// Whether its requests may have content. That of a GET has no meaning (RFC 9110, section 9.3.1), but
    /// some servers give it one.
    pub(super) fn has_content(self) -> bool {
        match self {
            Method::Delete | Method::Patch | Method::Post | Method::Put => true,
            Method::Get | Method::Head | Method::Options | Method::WebSocket => false,
        }
    }
}
