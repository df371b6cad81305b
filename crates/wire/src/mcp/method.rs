//! The revisions of the protocol and what can be asked in each. What is not in the table is not known, and
//! what is not known is refused.

/// A revision of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Revision {
    R20250618,
    R20251125,
    R20260728,
}

impl Revision {
    /// Every one, the newest first.
    pub(super) const ALL: [Revision; 3] = [
        Revision::R20260728,
        Revision::R20251125,
        Revision::R20250618,
    ];

    /// As it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Revision::R20250618 => "2025-06-18",
            Revision::R20251125 => "2025-11-25",
            Revision::R20260728 => "2026-07-28",
        }
    }

    /// Reads one.
    pub(super) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// Whether it has no sessions: every request says all about itself.
    pub(super) fn is_stateless(self) -> bool {
        self == Revision::R20260728
    }
}

/// What a method is, where that makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    CallTool,
    /// That a request is not waited for any more.
    Cancel,
    Complete,
    Discover,
    GetPrompt,
    Initialize,
    ListPrompts,
    ListResources,
    ListTemplates,
    ListTools,
    Listen,
    ReadResource,
    Subscribe,
    /// Housekeeping: its answer is nothing that is filtered.
    Other,
}

impl What {
    /// Whether a server may answer that it needs input first, in revisions without sessions.
    pub(super) fn takes_input(self) -> bool {
        matches!(self, What::CallTool | What::GetPrompt | What::ReadResource)
    }
}

/// In which revisions a method exists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Era {
    /// In those with sessions.
    Sessions,
    /// In those without.
    Stateless,
    Both,
}

/// A method that an agent may send.
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) what: What,
    era: Era,
    /// What its params may have, besides `_meta`.
    params: &'static [&'static str],
}

/// What the params of a method that can be answered with `input_required` may have besides, in the
/// revisions without sessions (basic/patterns/mrtr).
const INPUT: [&str; 2] = ["inputResponses", "requestState"];

impl Method {
    /// The request of this name.
    pub(super) fn request(name: &str, revision: Revision) -> Option<&'static Self> {
        find(&REQUESTS, name, revision)
    }

    /// The notification of this name.
    pub(super) fn notification(name: &str, revision: Revision) -> Option<&'static Self> {
        find(&NOTIFICATIONS, name, revision)
    }

    /// Whether its params may have a member of this name.
    pub(super) fn has_param(&self, name: &str, revision: Revision) -> bool {
        name == "_meta"
            || self.params.contains(&name)
            || (revision.is_stateless() && self.what.takes_input() && INPUT.contains(&name))
    }
}

fn find(table: &'static [Method], name: &str, revision: Revision) -> Option<&'static Method> {
    let exists = |method: &Method| match method.era {
        Era::Both => true,
        Era::Sessions => !revision.is_stateless(),
        Era::Stateless => revision.is_stateless(),
    };
    table
        .iter()
        .find(|method| method.name == name && exists(method))
}

const fn method(
    name: &'static str,
    what: What,
    era: Era,
    params: &'static [&'static str],
) -> Method {
    Method {
        name,
        what,
        era,
        params,
    }
}

/// The requests of an agent: `ClientRequest` of each revision's schema, without tasks.
static REQUESTS: [Method; 15] = [
    method(
        "completion/complete",
        What::Complete,
        Era::Both,
        &["ref", "argument", "context"],
    ),
    method(
        "initialize",
        What::Initialize,
        Era::Sessions,
        &["protocolVersion", "capabilities", "clientInfo"],
    ),
    method("logging/setLevel", What::Other, Era::Sessions, &["level"]),
    method("ping", What::Other, Era::Sessions, &[]),
    method(
        "prompts/get",
        What::GetPrompt,
        Era::Both,
        &["name", "arguments"],
    ),
    method("prompts/list", What::ListPrompts, Era::Both, &["cursor"]),
    method(
        "resources/list",
        What::ListResources,
        Era::Both,
        &["cursor"],
    ),
    method("resources/read", What::ReadResource, Era::Both, &["uri"]),
    method(
        "resources/subscribe",
        What::Subscribe,
        Era::Sessions,
        &["uri"],
    ),
    method(
        "resources/templates/list",
        What::ListTemplates,
        Era::Both,
        &["cursor"],
    ),
    method(
        "resources/unsubscribe",
        What::Other,
        Era::Sessions,
        &["uri"],
    ),
    method("server/discover", What::Discover, Era::Stateless, &[]),
    method(
        "subscriptions/listen",
        What::Listen,
        Era::Stateless,
        &["notifications"],
    ),
    method(
        "tools/call",
        What::CallTool,
        Era::Both,
        &["name", "arguments"],
    ),
    method("tools/list", What::ListTools, Era::Both, &["cursor"]),
];

/// The notifications of an agent: `ClientNotification`.
static NOTIFICATIONS: [Method; 4] = [
    method(
        "notifications/cancelled",
        What::Cancel,
        Era::Both,
        &["requestId", "reason"],
    ),
    method("notifications/initialized", What::Other, Era::Sessions, &[]),
    method(
        "notifications/progress",
        What::Other,
        Era::Sessions,
        &["progressToken", "progress", "total", "message"],
    ),
    method(
        "notifications/roots/list_changed",
        What::Other,
        Era::Sessions,
        &[],
    ),
];

/// The notifications of a server that are passed on: `ServerNotification`. Any other is not.
pub(super) fn is_known_to_agents(notification: &str, revision: Revision) -> bool {
    match notification {
        "notifications/cancelled"
        | "notifications/message"
        | "notifications/progress"
        | "notifications/prompts/list_changed"
        | "notifications/resources/list_changed"
        | "notifications/resources/updated"
        | "notifications/tools/list_changed" => true,
        "notifications/subscriptions/acknowledged" => revision.is_stateless(),
        _ => false,
    }
}

/// What a server asks of its client by a method, by the name that a task grants it under. Nothing for
/// a method that is none of these.
pub(super) fn feature(method: &str) -> Option<&'static str> {
    Some(match method {
        "elicitation/create" => "elicitation",
        "roots/list" => "roots",
        "sampling/createMessage" => "sampling",
        _ => return None,
    })
}

/// Every feature that a task can grant.
pub(super) const FEATURES: [&str; 3] = ["elicitation", "roots", "sampling"];
