//! What the agent says about itself, a line of JSON each, for the demo to show.

use serde::{Deserialize, Serialize};

/// The longest line, in bytes.
pub(super) const LINE_MAX: u64 = 64 * 1024;

/// Something the agent did, or that happened to it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Event {
    /// It thinks aloud.
    Says { text: String },
    /// It sends a statement, a request or a tool call.
    Asks { call: String },
    /// Rows came back.
    Reads { rows: Vec<Vec<String>> },
    /// It sends one that waits for somebody's yes, and asks for the right thing or not.
    Waits { call: String, fine: bool },
    /// Rows were changed.
    Changes { rows: u64, what: String },
    /// An error came back.
    Fails {
        code: String,
        message: String,
        detail: Option<String>,
        hint: Option<String>,
    },
    /// It takes what stands in a ticket for an order.
    Obeys { ticket: String, text: String },
    /// It goes for what the gateway keeps.
    Turns,
    /// It tries to do something beside the gateway: what, and why it could not.
    Tries {
        what: String,
        stopped: Option<String>,
    },
}
