//! JSON-RPC 2.0 as this protocol has it: one message, which is a request, a notification or a response.

use std::ops::Range;

use bailiwick_action::Call;

use super::json::{Node, Value};
use crate::limits::MCP_ID_BYTES_MAX;

/// The id of a request. A number is an integer that every reader has exactly (RFC 7493, section 2.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Id {
    Number(i64),
    Text(String),
}

/// The largest integer that is the same in every reader.
const INTEGER_MAX: i64 = (1 << 53) - 1;

impl Id {
    /// Reads one; nothing for what is none.
    pub(super) fn of(node: &Node<'_>) -> Option<Self> {
        match &node.value {
            Value::Text(text) if text.len() <= MCP_ID_BYTES_MAX => {
                Some(Id::Text(text.clone().into_owned()))
            }
            Value::Number(written) => {
                let number: i64 = written.parse().ok()?;
                let plain = number.to_string() == *written && number.abs() <= INTEGER_MAX;
                plain.then_some(Id::Number(number))
            }
            _ => None,
        }
    }

    /// Appends it as JSON.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Id::Number(number) => out.extend(number.to_string().bytes()),
            Id::Text(text) => super::json::put_text(out, text),
        }
    }
}

/// One message.
#[derive(Debug)]
pub(super) enum Message<'n, 'a> {
    Request {
        id: Id,
        /// Where the id stands in the text.
        id_at: Range<usize>,
        method: &'n str,
        params: Option<&'n Node<'a>>,
    },
    Notification {
        method: &'n str,
        params: Option<&'n Node<'a>>,
    },
    Response {
        id: Option<Id>,
        /// Where the id stands in the text; nowhere if there is none.
        id_at: Range<usize>,
        outcome: Outcome<'n, 'a>,
    },
}

/// What a response brings.
#[derive(Debug)]
pub(super) enum Outcome<'n, 'a> {
    Result(&'n Node<'a>),
    Error(&'n Node<'a>),
}

/// Why a value is no message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoMessage {
    /// In words, without the sender's text.
    pub(super) why: &'static str,
    /// The id to answer to, where there is one.
    pub(super) id: Option<Id>,
}

impl<'n, 'a> Message<'n, 'a> {
    /// Reads a message's envelope (JSON-RPC 2.0, sections 4 and 5). It has no members but those that it is
    /// made of.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn of(node: &'n Node<'a>) -> Result<Self, NoMessage> {
        let without_id = |why| NoMessage { why, id: None };
        let Some(members) = node.members() else {
            return Err(without_id(match node.value {
                Value::Array(_) => "a batch: one message is sent at a time",
                _ => "it is no JSON-RPC message",
            }));
        };
        let id = node.get("id").map(Id::of);
        let id_at = node.get("id").map_or(0..0, |id| id.span.clone());
        let wrong = |why| NoMessage {
            why,
            id: id.clone().flatten(),
        };
        if node.get("jsonrpc").and_then(Node::text) != Some("2.0") {
            return Err(wrong("it is not JSON-RPC 2.0"));
        }
        let only = |known: &[&str]| {
            let known = |name: &str| name == "jsonrpc" || known.contains(&name);
            match members.iter().all(|member| known(&member.name)) {
                true => Ok(()),
                false => Err(wrong("it has a member that JSON-RPC does not have")),
            }
        };
        if let Some(method) = node.get("method") {
            only(&["id", "method", "params"])?;
            let method = method
                .text()
                .ok_or_else(|| wrong("its method is no text"))?;
            let params = node.get("params");
            if params.is_some_and(|params| params.members().is_none()) {
                return Err(wrong("its params are no object"));
            }
            return match id {
                None => Ok(Message::Notification { method, params }),
                Some(None) => Err(wrong("its id is neither a text nor an integer")),
                Some(Some(id)) => Ok(Message::Request {
                    id,
                    id_at,
                    method,
                    params,
                }),
            };
        }
        let outcome = match (node.get("result"), node.get("error")) {
            (Some(result), None) if result.members().is_some() => Outcome::Result(result),
            (None, Some(error)) if error.members().is_some() => Outcome::Error(error),
            (None, None) => return Err(wrong("it is neither request nor response")),
            _ => return Err(wrong("it is not one result, nor one error")),
        };
        only(&["id", "result", "error"])?;
        let id = match (id.clone(), &outcome) {
            (Some(Some(id)), _) => Some(id),
            // An error about a message whose id could not be read.
            (None, Outcome::Error(_)) => None,
            (Some(None), Outcome::Error(_))
                if node
                    .get("id")
                    .is_some_and(|id| matches!(id.value, Value::Null)) =>
            {
                None
            }
            _ => return Err(wrong("it has no id that a request can have")),
        };
        Ok(Message::Response { id, id_at, outcome })
    }
}

/// A call of this protocol that nothing is known of yet.
pub(super) fn call(verb: &str, text: String) -> Call {
    Call {
        protocol: super::NAME,
        verb: verb.to_owned(),
        actions: Vec::new(),
        refusal: None,
        payload: bailiwick_action::Payload {
            text,
            values: Vec::new(),
        },
    }
}
