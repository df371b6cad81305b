//! The names that a request goes to its server under. Clients count from one, each for itself, and some servers
//! go by that number alone; so the gateway puts a name of its own in its place, which nobody guesses and no
//! other request has, and gives the agent its own back. What comes under another name is not the answer.

use crate::{CancelKey, Seed};

use super::json::{Edits, Node, quoted};
use super::message::Id;

/// Every one begins with this.
const PREFIX: &str = "bw-";

/// Under which a notification belongs to a subscription (2026-07-28, basic/utilities/subscriptions).
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// By what one exchange is known.
#[derive(Clone)]
pub(super) struct Alias {
    text: String,
    /// What another exchange takes its call back by.
    pub(super) cancel: CancelKey,
}

impl Alias {
    pub(super) fn new(seed: &Seed) -> Self {
        use std::fmt::Write;
        let mut text = PREFIX.to_owned();
        for byte in seed.token {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self {
            text,
            cancel: seed.cancel,
        }
    }

    /// As a text.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// As the id of a request.
    pub(super) fn id(&self) -> Id {
        Id::Text(self.text.clone())
    }

    /// Puts it in the place of an agent's own name.
    pub(super) fn put(&self, edits: &mut Edits, own: std::ops::Range<usize>) {
        edits.replace(own, quoted(&self.text));
    }

    /// The session of a client whose server has none.
    pub(super) fn session(&self) -> String {
        self.text.clone()
    }
}

/// Whether a session is of the gateway's own making: its server knows nothing of it.
pub(super) fn is_own_session(session: &[u8]) -> bool {
    session.starts_with(PREFIX.as_bytes())
}

/// The agent's own names.
pub(super) struct Given<'p> {
    pub(super) id: Option<&'p Id>,
    /// The token of its progress as JSON, where the server was given another.
    pub(super) progress: Option<&'p [u8]>,
    /// Whether the server tells its clients apart, so that their tokens went to it as they are.
    pub(super) in_session: bool,
}

impl Given<'_> {
    /// Gives the agent its own names back where the server repeats them, in params or a result. Says whether
    /// what it repeats is this request's.
    pub(super) fn back(&self, alias: &Alias, edits: &mut Edits, node: Option<&Node<'_>>) -> bool {
        let Some(node) = node else {
            return true;
        };
        let subscription = node.get("_meta").and_then(|meta| meta.get(SUBSCRIPTION));
        for repeated in [subscription, node.get("requestId")].into_iter().flatten() {
            if let (Some(alias_too), Some(id)) = (repeated.text(), self.id)
                && alias_too == alias.as_str()
            {
                let mut own = Vec::new();
                id.put(&mut own);
                edits.replace(repeated.span.clone(), own);
            }
        }
        let Some(token) = node.get("progressToken") else {
            return true;
        };
        match self.progress {
            Some(own) if token.text() == Some(alias.as_str()) => {
                edits.replace(token.span.clone(), own.to_vec());
                true
            }
            _ => self.in_session,
        }
    }
}
