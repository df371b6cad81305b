//! Which revision of the protocol a request is in.

use super::Given;
use crate::mcp::header;
use crate::mcp::method::Revision;
use crate::mcp::reply::{INVALID_PARAMS, Reply};

/// What the body says of the revision.
#[derive(Clone, Copy)]
pub(super) enum Stated<'a> {
    /// This.
    As(&'a str),
    /// Nothing; in a revision without sessions it would have to.
    Missing,
    /// Nothing, and it need not.
    Nothing,
    /// Nothing yet: it begins a session.
    Beginning,
}

/// The revision that a request is in.
pub(super) fn revision(
    given: &Given<'_>,
    session: Option<&str>,
    stated: Stated<'_>,
) -> Result<Revision, Reply> {
    let agreed = given.shared.with(session, |known| known.revision);
    let agreed = agreed.ok_or_else(|| {
        let why =
            "this run has no such session with the server: initialize again, without a session";
        Reply::error(404, 404, why)
    })?;
    let sent = match header::one(given.head, header::VERSION)? {
        None => None,
        Some(sent) => match Revision::of(sent) {
            Some(revision) => Some(revision),
            None => return Err(Reply::unsupported(sent)),
        },
    };
    match (stated, sent) {
        (Stated::As(stated), sent) if sent.map(Revision::as_str) != Some(stated) => {
            return Err(Reply::mismatch(
                "MCP-Protocol-Version is not the body's io.modelcontextprotocol/protocolVersion",
            ));
        }
        (Stated::Missing, Some(sent)) if sent.is_stateless() => {
            let why = "the request's `_meta` lacks io.modelcontextprotocol/protocolVersion";
            return Err(Reply::error(400, INVALID_PARAMS, why));
        }
        _ => {}
    }
    match (sent, agreed) {
        (Some(sent), _) if sent.is_stateless() && session.is_some() => Err(Reply::invalid(
            "a request of this revision belongs to no session",
        )),
        (Some(sent), Some(agreed)) if sent != agreed => Err(Reply::invalid(
            "MCP-Protocol-Version is not the revision that the session agreed on",
        )),
        (Some(revision), _) | (None, Some(revision)) => Ok(revision),
        (None, None) if matches!(stated, Stated::Beginning) => Ok(Revision::R20250618),
        (None, None) => Err(Reply::invalid("MCP-Protocol-Version is missing")),
    }
}
