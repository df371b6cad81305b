//! What the MCP servers of a task say their tools are, asked from here.

use std::collections::BTreeMap;

use bailiwick_gateway::{Own, Target};
use bailiwick_policy::Task;
use bailiwick_wire::mcp::{Survey, Tool};

/// The targets of a task whose tools it grants.
pub(super) fn targets<'t>(targets: &'t [Target], task: &Task) -> impl Iterator<Item = &'t Target> {
    targets
        .iter()
        .filter(|target| target.protocol.name == "mcp" && !task.tools(&target.name).is_empty())
}

/// The tools of a server, by name.
///
/// # Errors
/// If it does not say; in words.
pub(super) async fn ask(target: &Target) -> Result<BTreeMap<String, Tool>, String> {
    let server = Own::new(target)?;
    let mut survey = Survey::default();
    while let Some(request) = survey.request() {
        let answer = server.ask("POST", request.fields, request.body).await?;
        survey.answer(answer.status, &answer.fields, &answer.content)?;
    }
    if let Some(session) = survey.session() {
        let session = vec![("mcp-session-id".to_owned(), session.to_owned())];
        // A server need not let its clients do that.
        drop(server.ask("DELETE", session, Vec::new()).await);
    }
    let tools = survey.into_tools().into_iter();
    Ok(tools.map(|tool| (tool.name.clone(), tool)).collect())
}

/// What is wrong with the tools that a task grants on a target, a line each.
pub(super) fn lacks(task: &Task, target: &str, tools: &BTreeMap<String, Tool>) -> Vec<String> {
    let pinned = task.pins.get(target);
    let name = &task.name;
    let mut lacks = Vec::new();
    for granted in task.tools(target) {
        let pin = pinned.and_then(|pinned| pinned.get(granted));
        lacks.push(match (tools.get(granted), pin) {
            (None, _) => format!("task {name}: target {target} has no tool {granted}"),
            (Some(tool), Some(pin)) if tool.digest == *pin => continue,
            (Some(_), _) if may_be_any(task, target, granted) => continue,
            (Some(_), Some(_)) => format!(
                "task {name}: the tool {granted} on target {target} has changed since it was pinned, and is \
                 not called; `bailiwick task pin {name}` shows how"
            ),
            (Some(_), None) => format!(
                "task {name}: the tool {granted} on target {target} is not pinned, and is not called; \
                 `bailiwick task pin {name}` does it"
            ),
        });
    }
    lacks
}

/// Whether every grant that names the tool lets it have any definition.
pub(super) fn may_be_any(task: &Task, target: &str, tool: &str) -> bool {
    let grants = task.grants.iter().filter(|grant| grant.target == target);
    let mut naming = grants.filter(|grant| {
        let mut named = grant.items.iter().filter_map(|item| item.covered.named());
        named.any(|pattern| pattern.name.as_deref() == Some(tool))
    });
    naming.all(|grant| grant.unpinned)
}
