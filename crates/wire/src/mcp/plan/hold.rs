//! A call of a tool against what the server says its tools are.

use super::{Given, Planned};
use crate::mcp::answer::{Misfit, fits};
use crate::mcp::header;
use crate::mcp::json::{self};
use crate::mcp::reply::Reply;
use crate::mcp::tools::Tools;

/// Holds a call of a tool against what the server says its tools are.
pub(in crate::mcp) fn hold_against(planned: &mut Planned, given: &Given<'_>, tools: &Tools) {
    let Some(name) = planned.tool().map(str::to_owned) else {
        return;
    };
    let Some(tool) = tools.get(&name) else {
        return planned.refuse(stopped(&format!(
            "the server has no tool {name} any more, or two of that name"
        )));
    };
    match fits(given.veil, tool) {
        Ok(()) => {}
        Err(Misfit::Changed) => {
            return planned.refuse(stopped(&format!(
                "the server has changed the definition of tool {name} since the task was written: run \
                 `bailiwick task pin TASK` after reading what it says now"
            )));
        }
        Err(Misfit::Unpinned) => {
            return planned.refuse(stopped(&format!(
                "the task has no digest of the definition of tool {name}: read what it says, and run \
                 `bailiwick task pin TASK`"
            )));
        }
    }
    let Ok(node) = json::read(given.body) else {
        return;
    };
    let arguments = node.path(&["params", "arguments"]);
    let agree = header::agree_with_arguments(given.head, planned.revision, tool, arguments);
    if let Err(reply) = agree {
        planned.refuse(reply);
    }
}

/// A call of a tool that is stopped for what the server did. The model can read why.
pub(in crate::mcp) fn stopped(why: &str) -> Reply {
    Reply::error(403, crate::mcp::reply::DENIED, format!("Denied: {why}")).into_result()
}
