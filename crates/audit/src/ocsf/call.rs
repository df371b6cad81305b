//! Calls: what was decided, and how it ended.

use super::class::{Activity, ApiActivity, Body, Control, Datastore, Severity, Status};
use super::objects::{
    Api, ApiRequest, ApiService, Authorization, Database, Endpoint, Policy, QueryInfo,
    ResourceDetails, Table,
};
use super::{Mapped, Source};
use crate::entry::{RecordedAction, RecordedCall, RecordedDecision};

const POSTGRES: &str = "postgres";
const HTTP: &str = "http";
const MCP: &str = "mcp";

/// Datastore Activity, or API Activity for what is spoken in HTTP, with the profile `security_control`. A
/// call of a protocol that is not known here stays a Base Event.
pub(super) fn decided(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let call = record.call.as_ref()?;
    let decision = record.decision.as_ref()?;
    let target = record.target.as_deref()?;
    let what = what(call);
    let (control, severity, status, message) = match decision.effect.as_str() {
        "allow" => (
            Control::allowed(authorizations(decision)),
            Severity::INFORMATIONAL,
            // How it ended is another record.
            Status::UNKNOWN,
            format!("allowed on {target}: {what}"),
        ),
        "deny" => (
            Control::denied(authorizations(decision)),
            severity_of_denied(call),
            Status::FAILURE.detail(decision.reason.as_deref()),
            format!("denied on {target}: {what}"),
        ),
        _ => return None,
    };
    let (activity, body) = of_call(source, call, target)?;
    Some(Mapped {
        activity,
        control: Some(control),
        correlation: Some(format!("{}/{}", record.run, record.seq)),
        is_truncated: is_short(call, decision),
        message,
        placed: placed(&body),
        severity,
        status,
        body,
    })
}

/// The same class as the decision that follows. Nothing is allowed or denied yet.
pub(super) fn held(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let call = record.call.as_ref()?;
    let target = record.target.as_deref()?;
    let approval = record.approval.as_ref()?;
    let (activity, body) = of_call(source, call, target)?;
    let asked = approval.approvers.join(", ");
    Some(Mapped {
        activity,
        correlation: Some(format!("{}/{}", record.run, record.seq)),
        is_truncated: is_shortened(call),
        message: format!("held on {target} for {asked}: {}", what(call)),
        placed: placed(&body),
        severity: Severity::LOW,
        status: Status::other("held"),
        ..Mapped::new(activity, body)
    })
}

fn of_call<'e>(
    source: Source<'e>,
    call: &'e RecordedCall,
    target: &'e str,
) -> Option<(Activity<'e>, Body<'e>)> {
    Some(match call.protocol.as_str() {
        POSTGRES => (
            activity(call),
            Body::Datastore(Box::new(Datastore {
                query_info: Some(QueryInfo {
                    query_string: what(call),
                    uid: &call.fingerprint,
                }),
                table: only_table(call),
                ..datastore(source, target, Database::relational(target))?
            })),
        ),
        HTTP | MCP => (
            api_activity(call),
            Body::Api(Box::new(ApiActivity {
                resources: resources(call),
                ..api(source, target, &call.verb, Some(&call.fingerprint))?
            })),
        ),
        _ => (Activity::other(&call.verb), Body::Base {}),
    })
}

/// What of the record of a call has a place in such a body, or in what is decided about it.
fn placed(body: &Body<'_>) -> &'static [&'static str] {
    match body {
        Body::Datastore(_) => &[
            "call.fingerprint",
            "decision.effect",
            "decision.policies",
            "decision.reason",
            "launcher",
            "target",
            "task",
        ],
        Body::Api(_) => &[
            "call.fingerprint",
            "call.verb",
            "decision.effect",
            "decision.policies",
            "decision.reason",
            "launcher",
            "target",
            "task",
        ],
        _ => &["decision.effect", "decision.policies", "decision.reason"],
    }
}

/// The class of its decision. What was done is the decision's to say. Older records do not say of which protocol
/// they are: they stay Datastore Activity.
pub(super) fn finished(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let outcome = record.outcome.as_ref()?;
    let target = record.target.as_deref()?;
    let state = outcome.state.as_str();
    let (severity, status) = match state {
        "ok" => (Severity::INFORMATIONAL, Status::SUCCESS),
        "error" => (Severity::INFORMATIONAL, Status::FAILURE),
        "skipped" => (Severity::INFORMATIONAL, Status::other(state)),
        "cut" => (
            Severity::LOW,
            Status::FAILURE.detail("the connection was cut before its end"),
        ),
        "indeterminate" => (
            Severity::MEDIUM,
            Status::UNKNOWN
                .detail("the gateway stopped between decision and outcome: nobody knows"),
        ),
        _ => (Severity::UNKNOWN, Status::other(state)),
    };
    let decision = format!("{}/{}", record.run, record.of?);
    let body = match (record.protocol.as_deref(), &record.verb) {
        (Some(HTTP | MCP), Some(verb)) => Body::Api(Box::new(api(source, target, verb, None)?)),
        (Some(POSTGRES), _) => datastore_body(source, target, Database::relational(target))?,
        (None, _) => datastore_body(source, target, Database::of_unknown_type(target))?,
        _ => Body::Base {},
    };
    let placed: &[&str] = match &body {
        Body::Api(_) => &["launcher", "of", "outcome.error", "target", "task", "verb"],
        Body::Datastore(_) => &["launcher", "of", "outcome.error", "target", "task"],
        _ => &["of", "outcome.error"],
    };
    Some(Mapped {
        message: format!("the call {decision} on {target} ended: {state}"),
        correlation: Some(decision),
        placed,
        severity,
        status: status.code(outcome.error.as_deref()),
        ..Mapped::new(Activity::other("Finish"), body)
    })
}

fn datastore_body<'e>(
    source: Source<'e>,
    target: &'e str,
    database: Database<'e>,
) -> Option<Body<'e>> {
    let body = datastore(source, target, database)?;
    Some(Body::Datastore(Box::new(body)))
}

fn api<'e>(
    source: Source<'e>,
    target: &'e str,
    operation: &'e str,
    fingerprint: Option<&'e str>,
) -> Option<ApiActivity<'e>> {
    Some(ApiActivity {
        actor: source.actor()?,
        ai_agent: source.agent()?,
        api: Api {
            operation,
            request: fingerprint.map(|uid| ApiRequest { uid }),
            service: ApiService { name: target },
        },
        dst_endpoint: Endpoint::Name(target),
        resources: Vec::new(),
        src_endpoint: Endpoint::Uid(&source.record.run),
    })
}

fn datastore<'e>(
    source: Source<'e>,
    target: &'e str,
    database: Database<'e>,
) -> Option<Datastore<'e>> {
    Some(Datastore {
        actor: source.actor()?,
        ai_agent: source.agent()?,
        database,
        dst_endpoint: Endpoint::Name(target),
        query_info: None,
        src_endpoint: Endpoint::Uid(&source.record.run),
        table: None,
    })
}

/// What the gateway read the call as: its actions, or where it touches nothing the command's name.
fn what(call: &RecordedCall) -> String {
    if call.actions.iter().all(|action| action.class == "session") {
        return call.verb.clone();
    }
    let actions: Vec<_> = call.actions.iter().map(ToString::to_string).collect();
    let mut what = actions.join("; ");
    if call.more_actions > 0 {
        what.push_str(&format!("; and {} more", call.more_actions));
    }
    what
}

/// The action that needs the most authority, of equal ones the first. There is none where the gateway did
/// not understand the call.
fn strongest(call: &RecordedCall) -> Option<&RecordedAction> {
    call.actions.iter().rev().max_by_key(|action| rank(action))
}

/// By class: what a request or a tool does, only its target knows.
fn api_activity(call: &RecordedCall) -> Activity<'_> {
    let Some(action) = strongest(call) else {
        return Activity::UNKNOWN;
    };
    match action.class.as_str() {
        "read" => Activity::CALL_READ,
        "write" => Activity::CALL_UPDATE,
        "destroy" => Activity::CALL_DELETE,
        _ => Activity::other(&call.verb),
    }
}

/// What a call is about, but for the target itself.
fn resources(call: &RecordedCall) -> Vec<ResourceDetails<'_>> {
    let resources = call.actions.iter().map(|action| &action.resource);
    resources
        .filter(|resource| resource.kind != "target")
        .map(|resource| ResourceDetails {
            name: &resource.name,
            r#type: &resource.kind,
        })
        .collect()
}

fn activity(call: &RecordedCall) -> Activity<'_> {
    let Some(action) = strongest(call) else {
        return Activity::UNKNOWN;
    };
    match (action.class.as_str(), action.verb.as_str()) {
        ("read", _) => Activity::READ,
        ("write", "update") => Activity::UPDATE,
        ("write", "insert" | "execute") => Activity::WRITE,
        ("destroy", _) => Activity::DELETE,
        ("admin", "create") => Activity::CREATE,
        (_, verb) => Activity::other(verb),
    }
}

fn rank(action: &RecordedAction) -> usize {
    let ascending = ["session", "read", "write", "destroy", "admin"];
    let rank = ascending.iter().position(|class| *class == action.class);
    // A class of a later version is stronger than any that is known.
    rank.unwrap_or(ascending.len())
}

/// What would have removed data or changed definitions was worse than the rest.
fn severity_of_denied(call: &RecordedCall) -> Severity {
    let mut classes = call.actions.iter().map(|action| action.class.as_str());
    if classes.any(|class| matches!(class, "destroy" | "admin")) {
        Severity::HIGH
    } else {
        Severity::MEDIUM
    }
}

/// The policies that decided; where none did, that it was denied all the same.
fn authorizations(decision: &RecordedDecision) -> Vec<Authorization<'_>> {
    let decided = |policy| Authorization {
        decision: &decision.effect,
        policy,
    };
    if decision.policies.is_empty() {
        return vec![decided(None)];
    }
    let policies = decision.policies.iter();
    policies
        .map(|policy| decided(Some(Policy { uid: policy })))
        .collect()
}

/// The table that the call touches, if it touches exactly one.
fn only_table(call: &RecordedCall) -> Option<Table<'_>> {
    let mut tables = call
        .actions
        .iter()
        .map(|action| &action.resource)
        .filter(|resource| resource.kind == "table");
    let first = tables.next()?;
    let same = tables.all(|table| (&table.schema, &table.name) == (&first.schema, &first.name));
    let schema = first.schema.as_deref().filter(|schema| !schema.is_empty());
    (same && call.more_actions == 0).then(|| Table {
        name: &first.name,
        uid: schema.map(|schema| format!("{schema}.{}", first.name)),
    })
}

fn is_short(call: &RecordedCall, decision: &RecordedDecision) -> bool {
    decision.more_policies > 0 || is_shortened(call)
}

fn is_shortened(call: &RecordedCall) -> bool {
    let mut columns = call.actions.iter().map(|action| action.more_columns);
    call.more_actions > 0 || columns.any(|more| more > 0)
}
