//! What a server's message becomes before the agent sees it: lists are cut down to what the run may use,
//! capabilities to what this gateway passes, and every text is masked.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_action::{Kind, Pin, Resource};

use super::json::{Edits, Entry, Node, Value, put_kept, quoted};
use super::mask::Mask;
use super::message::Outcome;
use super::method::{FEATURES, Revision, What, feature};
use super::tools::{Tool, Tools};
use crate::Veil;

/// Why a server's message is not passed on. No text of the server's in it.
pub(super) type Unfit = &'static str;

/// How a server's messages are read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'v> {
    pub(super) veil: &'v Arc<dyn Veil>,
    pub(super) revision: Revision,
    /// Whether contents that cannot be looked into may pass.
    pub(super) binary: bool,
}

/// A message as the agent gets it.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Values that were masked.
    pub(super) masked: u64,
    /// The error that it brings, as a code.
    pub(super) error: Option<String>,
    /// What the server needs before it goes on.
    pub(super) input: Option<Needs>,
    /// The revision that was agreed on, where this is how.
    pub(super) agreed: Option<Revision>,
}

/// What an `input_required` result asks for (2026-07-28, basic/patterns/mrtr).
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The feature of each request, by its key.
    pub(super) asked: BTreeMap<String, &'static str>,
    /// What the server wants to see again.
    pub(super) state: Option<String>,
}

impl Reading<'_> {
    /// A response. `name` is what the agent is given instead of what the server wants to see again, `own` puts
    /// its own names back.
    ///
    /// # Errors
    /// If nothing of it can be passed on.
    pub(super) fn response(
        &self,
        text: &[u8],
        outcome: &Outcome<'_, '_>,
        what: What,
        name: &str,
        own: Edits,
    ) -> Result<Answer, Unfit> {
        let (Outcome::Error(node) | Outcome::Result(node)) = outcome;
        let mut mask = Mask::of(self.veil, self.binary, node);
        let mut error = None;
        let mut input = None;
        let mut agreed = None;
        match outcome {
            Outcome::Error(node) => {
                let code = match node.get("code").map(|code| &code.value) {
                    Some(Value::Number(code)) if code.parse::<i64>().is_ok() => *code,
                    _ => return Err("its error has no code"),
                };
                if node.get("message").and_then(Node::text).is_none() {
                    return Err("its error has no message");
                }
                error = Some(code.to_owned());
            }
            Outcome::Result(node) => {
                if node
                    .get("isError")
                    .is_some_and(|is| matches!(is.value, Value::Bool(true)))
                {
                    error = Some("isError".to_owned());
                }
                match node.get("resultType").map(Node::text) {
                    None | Some(Some("complete")) => {}
                    Some(Some("input_required"))
                        if self.revision.is_stateless() && what.takes_input() =>
                    {
                        input = Some(needs(&mut mask, node, name)?);
                    }
                    Some(_) => return Err("its result is of a type that is not known"),
                }
                match what {
                    What::Initialize => {
                        agreed = Some(self.agreed(node)?);
                        strip(&mut mask, text, node);
                    }
                    What::Discover => {
                        versions(&mut mask, text, node);
                        strip(&mut mask, text, node);
                    }
                    What::ListTools => self.tools(&mut mask, text, node)?,
                    What::ListPrompts => {
                        self.list(&mut mask, text, node, "prompts", "name", Kind::Prompt)?;
                    }
                    What::ListResources => {
                        self.list(&mut mask, text, node, "resources", "uri", Kind::Uri)?;
                    }
                    What::ListTemplates => {
                        let (list, name) = ("resourceTemplates", "uriTemplate");
                        self.list(&mut mask, text, node, list, name, Kind::Uri)?;
                    }
                    What::CallTool
                    | What::Cancel
                    | What::Complete
                    | What::GetPrompt
                    | What::Listen
                    | What::ReadResource
                    | What::Subscribe
                    | What::Other => {}
                }
            }
        }
        Ok(Answer {
            masked: mask.masked,
            bytes: mask.edits.and(own).apply(text),
            error,
            input,
            agreed,
        })
    }

    /// A notification or a request; `own` puts the agent's own names back.
    pub(super) fn params(
        &self,
        text: &[u8],
        params: Option<&Node<'_>>,
        own: Edits,
    ) -> (Vec<u8>, u64) {
        let Some(params) = params else {
            return (own.apply(text), 0);
        };
        let mask = Mask::of(self.veil, self.binary, params);
        (mask.edits.and(own).apply(text), mask.masked)
    }

    fn agreed(&self, result: &Node<'_>) -> Result<Revision, Unfit> {
        result
            .get("protocolVersion")
            .and_then(Node::text)
            .and_then(Revision::of)
            .filter(|revision| !revision.is_stateless())
            .ok_or("it speaks a revision of the protocol that this gateway does not")
    }

    fn tools(&self, mask: &mut Mask<'_>, text: &[u8], result: &Node<'_>) -> Result<(), Unfit> {
        let list = result.get("tools").ok_or("its result has no list")?;
        let mut tools = Tools::default();
        tools.add(list.elements().ok_or("its result has no list")?);
        let is_shown = |name: &str| {
            tools.get(name).is_some_and(|tool| {
                let resource = Resource::named(Kind::Tool, name);
                self.veil.covers(&resource) && fits(&**self.veil, tool).is_ok()
            })
        };
        // A masked value is a text, whatever the tool says it is: clients that check results by the
        // schema would refuse them.
        let with_schema = self.veil.fields().is_empty();
        for element in list.elements().unwrap_or_default() {
            if !with_schema && element.get("outputSchema").is_some() {
                let mut out = Vec::new();
                put_kept(
                    &mut out,
                    &mut mask.edits,
                    text,
                    element,
                    |entry| !matches!(entry, Entry::Member(member) if member.name == "outputSchema"),
                );
                mask.edits.replace(element.span.clone(), out);
            }
        }
        keep(mask, text, list, |element| {
            element
                .get("name")
                .and_then(Node::text)
                .is_some_and(is_shown)
        });
        Ok(())
    }

    fn list(
        &self,
        mask: &mut Mask<'_>,
        text: &[u8],
        result: &Node<'_>,
        list: &str,
        name: &str,
        kind: Kind,
    ) -> Result<(), Unfit> {
        let list = result.get(list).ok_or("its result has no list")?;
        list.elements().ok_or("its result has no list")?;
        keep(mask, text, list, |element| {
            element
                .get(name)
                .and_then(Node::text)
                .is_some_and(|name| self.veil.covers(&Resource::named(kind, name)))
        });
        Ok(())
    }
}

/// Why a tool cannot be called though a grant names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// The task has no digest of it.
    Unpinned,
    /// It is not as it was when the task was written.
    Changed,
}

/// Whether a tool is the one that the task was written for.
pub(super) fn fits(veil: &dyn Veil, tool: &Tool) -> Result<(), Misfit> {
    match veil.pin(&tool.name) {
        Pin::Unpinned => Ok(()),
        Pin::Digest(digest) if digest == tool.digest => Ok(()),
        Pin::Digest(_) => Err(Misfit::Changed),
        Pin::Missing => Err(Misfit::Unpinned),
    }
}

fn keep(mask: &mut Mask<'_>, text: &[u8], list: &Node<'_>, shown: impl Fn(&Node<'_>) -> bool) {
    let mut out = Vec::new();
    put_kept(
        &mut out,
        &mut mask.edits,
        text,
        list,
        |entry| matches!(entry, Entry::Element(element) if shown(element)),
    );
    mask.edits.replace(list.span.clone(), out);
}

/// What a server can that this gateway passes. Not tasks, extensions and experiments: their methods are
/// not known here.
const CAPABILITIES: [&str; 5] = ["completions", "logging", "prompts", "resources", "tools"];

fn strip(mask: &mut Mask<'_>, text: &[u8], result: &Node<'_>) {
    let Some(capabilities) = result.get("capabilities") else {
        return;
    };
    let mut out = Vec::new();
    put_kept(
        &mut out,
        &mut mask.edits,
        text,
        capabilities,
        |entry| matches!(entry, Entry::Member(member) if CAPABILITIES.contains(&&*member.name)),
    );
    mask.edits.replace(capabilities.span.clone(), out);
}

/// The capabilities of a client without what the scope does not grant; nothing where that is all of
/// them.
pub(super) fn granted(veil: &dyn Veil, text: &[u8], capabilities: &Node<'_>) -> Option<Vec<u8>> {
    let is_granted =
        |name: &str| FEATURES.contains(&name) && veil.covers(&Resource::named(Kind::Feature, name));
    let members = capabilities.members()?;
    if members.iter().all(|member| is_granted(&member.name)) {
        return None;
    }
    let mut out = Vec::new();
    put_kept(
        &mut out,
        &mut Edits::default(),
        text,
        capabilities,
        |entry| matches!(entry, Entry::Member(member) if is_granted(&member.name)),
    );
    Some(out)
}

fn versions(mask: &mut Mask<'_>, text: &[u8], result: &Node<'_>) {
    if let Some(versions) = result.get("supportedVersions") {
        keep(mask, text, versions, |version| {
            version.text().and_then(Revision::of).is_some()
        });
    }
}

fn needs(mask: &mut Mask<'_>, result: &Node<'_>, name: &str) -> Result<Needs, Unfit> {
    let mut needs = Needs::default();
    if let Some(requests) = result.get("inputRequests") {
        for request in requests
            .members()
            .ok_or("it asks for input in no way that is known")?
        {
            let method = request.node.get("method").and_then(Node::text);
            let feature = method
                .and_then(feature)
                .ok_or("it asks its client for something that is not known")?;
            needs
                .asked
                .insert(request.name.clone().into_owned(), feature);
        }
    }
    if let Some(state) = result.get("requestState") {
        let state_text = state.text().ok_or("its requestState is no text")?;
        needs.state = Some(state_text.to_owned());
        mask.edits.replace(state.span.clone(), quoted(name));
    } else {
        // So that the agent's answer can be told to belong to this.
        let at = result.span.end.saturating_sub(1);
        let mut member = b",\"requestState\":".to_vec();
        member.extend(quoted(name));
        mask.edits.replace(at..at, member);
    }
    Ok(needs)
}
