//! What the target still owes: one entry for each message that was sent to it, in order. Its answers
//! mean what the entry at the front says.

use std::sync::Arc;

use bytes::Bytes;

use super::names::{Change, Portal, Prepared};
use super::rows::Rules;
use crate::{End, Ticket};

/// One statement of a Query.
#[derive(Debug)]
pub(crate) struct Part {
    /// What its results are made of.
    pub(crate) prepared: Arc<Prepared>,
    /// What it changes about the session's names once it is complete.
    pub(crate) change: Option<Change>,
}

/// A call that is running.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) ticket: Ticket,
    pub(crate) end: End,
    /// It reads a masked column, so that no text of the target about it may pass.
    pub(crate) withhold: bool,
}

/// The answer to one message.
#[derive(Debug)]
pub(crate) enum Expect {
    /// Query: results of each part in turn, then ReadyForQuery.
    Query {
        running: Running,
        parts: std::collections::VecDeque<Part>,
        rules: Option<Rules>,
    },
    /// Parse: ParseComplete.
    Parse {
        running: Running,
        name: String,
        prepared: Arc<Prepared>,
    },
    /// The gateway's own Describe of a statement: ParameterDescription and RowDescription or NoData,
    /// kept from the agent.
    OwnDescribe { prepared: Arc<Prepared> },
    /// Bind: BindComplete. A call of its own only if it was not followed by its Execute.
    Bind {
        running: Option<Running>,
        name: String,
        portal: Arc<Portal>,
    },
    /// The agent's Describe of a statement.
    DescribeStatement,
    /// The agent's Describe of a portal.
    DescribePortal,
    /// Execute: rows, then CommandComplete, EmptyQueryResponse or PortalSuspended.
    Execute {
        running: Running,
        portal: Arc<Portal>,
        /// What its rows are made of: the portal's own statement, or the one that it executes or
        /// fetches from.
        results: Arc<Prepared>,
        /// How to treat its rows; made from the statement's description at the first row.
        rules: Option<Rules>,
        change: Option<Change>,
    },
    /// Close: CloseComplete.
    Close(Change),
    /// Sync: ReadyForQuery.
    Sync,
    /// The gateway's own Sync, which ends what the agent has only prepared before a call that is held:
    /// ReadyForQuery, kept from the agent.
    OwnSync,
    /// A message that stands for a denied call and can only fail: ErrorResponse, in the place of
    /// which the agent gets this.
    Denied { instead: Bytes },
}

impl Expect {
    /// About how many bytes of the agent's it holds.
    pub(crate) fn held(&self) -> usize {
        match self {
            Expect::Query { parts, .. } => parts.front().map_or(0, |part| part.prepared.held()),
            Expect::Parse { prepared, .. } => prepared.held(),
            Expect::Execute { portal, .. }
            | Expect::Bind {
                portal,
                running: Some(_),
                ..
            } => portal.held(),
            // Its Execute follows, with the same portal.
            Expect::Bind { running: None, .. }
            | Expect::OwnDescribe { .. }
            | Expect::DescribeStatement
            | Expect::DescribePortal
            | Expect::Close(_)
            | Expect::Sync
            | Expect::OwnSync
            | Expect::Denied { .. } => 0,
        }
    }
}
