//! What is said of each event.

use std::borrow::Cow;

use bailiwick_action::{Action, Decision, Fingerprint, Resource};
use bailiwick_run::{Launcher, RunId};

use super::event::{Event, Found, Subject};
use super::room::Room;
use super::shape::{
    ActionPart, ApprovalPart, CallPart, DecisionPart, ErasedPart, LoginPart, OutcomePart,
    PolicyPart, PrunedPart, Record, ResourcePart, SignalPart, VerifiedPart, ViewedPart,
    WitnessPart,
};
use super::{PayloadReference, Place};
use crate::chain::ChainId;
use crate::limits;

/// What the record of an event says.
pub(super) fn record<'a>(
    event: &'a Event,
    subject: &'a Subject,
    payload: Option<&'a PayloadReference>,
    place: &Place,
    room: Room,
) -> Record<'a> {
    let base = Record {
        payload,
        prev: place.prev,
        run: place.chain,
        seq: place.seq,
        time: place.time.to_string(),
        v: 1,
        ..Record::default()
    };
    let base = match subject {
        Subject::Run(run) if place.chain != ChainId::Gateway => Record {
            launcher: Some(run.launcher.as_str()),
            task: Some(room.text(&run.task)),
            ..base
        },
        Subject::Gateway | Subject::Run(_) => base,
    };
    match event {
        Event::ApprovalDecided {
            approval,
            of,
            ruling,
            by,
            expires,
        } => Record {
            r#type: "approval.decided",
            of: Some(*of),
            approval: Some(ApprovalPart {
                approvers: Vec::new(),
                by: by.as_ref().map(Launcher::as_str),
                effect: Some(*ruling),
                expires: expires.map(|expires| expires.to_string()),
                id: *approval,
                policy_digest: None,
            }),
            ..base
        },
        Event::CallDecided {
            target,
            protocol,
            verb,
            actions,
            fingerprint,
            decision,
            policy_digest,
        } => Record {
            r#type: "call.decided",
            target: Some(room.text(target)),
            call: Some(call_part(protocol, verb, actions, *fingerprint, room)),
            decision: Some(decision_part(decision, policy_digest, room)),
            ..base
        },
        Event::CallFinished {
            of,
            target,
            protocol,
            verb,
            outcome,
        } => Record {
            r#type: "call.finished",
            of: Some(*of),
            target: Some(room.text(target)),
            protocol: Some(protocol),
            verb: Some(room.text(verb)),
            outcome: Some(OutcomePart {
                bytes: outcome.bytes.min(limits::INTEGER),
                digest: outcome.digest,
                error: outcome.error.as_deref().map(|code| room.text(code)),
                masked: outcome.masked.min(limits::INTEGER),
                micros: outcome.micros.min(limits::INTEGER),
                rows: outcome.rows.min(limits::INTEGER),
                state: outcome.state,
            }),
            ..base
        },
        Event::CallHeld {
            target,
            protocol,
            verb,
            actions,
            fingerprint,
            approval,
            approvers,
            expires,
            policy_digest,
        } => Record {
            r#type: "call.held",
            target: Some(room.text(target)),
            call: Some(call_part(protocol, verb, actions, *fingerprint, room)),
            approval: Some(ApprovalPart {
                approvers: room.texts(approvers).0,
                by: None,
                effect: None,
                expires: Some(expires.to_string()),
                id: *approval,
                policy_digest: Some(room.text(policy_digest)),
            }),
            ..base
        },
        Event::GatewayStarted { version } => Record {
            r#type: "gateway.started",
            version: Some(room.text(version)),
            ..base
        },
        Event::GatewayStopped => Record {
            r#type: "gateway.stopped",
            ..base
        },
        Event::LoginDenied { target, reason } => Record {
            r#type: "login.denied",
            target: target.as_deref().map(|target| room.text(target)),
            login: Some(LoginPart {
                reason: room.text(reason),
                run: match (subject, place.chain) {
                    (Subject::Run(run), ChainId::Gateway) => Some(run.id),
                    _ => None,
                },
            }),
            ..base
        },
        Event::LinkMade { by } => Record {
            r#type: "link.made",
            by: Some(Cow::Borrowed(by.as_str())),
            ..base
        },
        Event::PersonSignedOut { by } => Record {
            r#type: "person.signed_out",
            by: Some(Cow::Borrowed(by.as_str())),
            ..base
        },
        Event::IndexRemade { by } => Record {
            r#type: "index.remade",
            by: Some(Cow::Borrowed(by.as_str())),
            ..base
        },
        Event::LogContinued(by) => Record {
            r#type: "log.continued",
            continued_by: Some(by),
            ..base
        },
        Event::LogContinues(log) => Record {
            r#type: "log.continues",
            continues: Some(log),
            ..base
        },
        Event::LogPruned { before, logs, by } => Record {
            r#type: "log.pruned",
            pruned: Some(PrunedPart {
                before: *before,
                by: by.as_str(),
                logs: room
                    .list(logs.len(), logs.iter().map(|log| room.text(log)))
                    .0,
            }),
            ..base
        },
        Event::PayloadsErased { run, by } => Record {
            r#type: "payloads.erased",
            erased: Some(ErasedPart {
                by: by.as_str(),
                run: *run,
            }),
            ..base
        },
        Event::PayloadsViewed {
            chain,
            from,
            to,
            by,
        } => Record {
            r#type: "payloads.viewed",
            viewed: Some(ViewedPart {
                by: by.as_str(),
                chain,
                from: *from,
                to: *to,
            }),
            ..base
        },
        Event::PayloadsSearched { by } => Record {
            r#type: "payloads.searched",
            by: Some(Cow::Borrowed(by.as_str())),
            ..base
        },
        Event::PolicyLoaded { by, before, after } => Record {
            r#type: "policy.loaded",
            by: Some(room.text(by)),
            policy: Some(PolicyPart {
                after: room.text(after),
                before: room.text(before),
            }),
            ..base
        },
        Event::ReceiptTaken { chain, seq, by } => Record {
            r#type: "receipt.taken",
            viewed: Some(ViewedPart {
                by: by.as_str(),
                chain,
                from: *seq,
                to: *seq,
            }),
            ..base
        },
        Event::RunVerified { run, by, found } => Record {
            r#type: "run.verified",
            verified: Some(verified_part(*run, by, found, room)),
            ..base
        },
        Event::PersonSignedIn { by, via, roles } => Record {
            r#type: "person.signed_in",
            by: Some(Cow::Borrowed(by.as_str())),
            roles: roles.clone(),
            via: Some(via),
            ..base
        },
        Event::RunClosed { ending, by } => Record {
            r#type: "run.closed",
            by: by.as_deref().map(|by| room.text(by)),
            ending: Some(ending.as_str()),
            count: Some(place.seq),
            last: Some(place.prev),
            ..base
        },
        Event::RunOpened {
            confinement,
            expires,
            scope_digest,
        } => Record {
            r#type: "run.opened",
            confinement: Some(confinement.as_str()),
            expires: Some(expires.to_string()),
            scope_digest: Some(room.text(scope_digest)),
            ..base
        },
        Event::RunResumed { by } => Record {
            r#type: "run.resumed",
            by: Some(Cow::Borrowed(by.as_str())),
            ..base
        },
        Event::RunSuspended { by } => Record {
            r#type: "run.suspended",
            by: Some(room.text(by)),
            ..base
        },
        Event::SignalRaised {
            signal,
            rule,
            of,
            actions,
        } => Record {
            r#type: "signal.raised",
            signal: Some(SignalPart {
                actions,
                name: room.text(signal),
                of: room.text(of),
                rule,
            }),
            ..base
        },
        Event::WitnessDisagreed {
            witness,
            problem,
            size,
            ours,
        } => Record {
            r#type: "witness.disagreed",
            witness: Some(WitnessPart {
                name: room.text(witness),
                ours: (*ours).min(limits::INTEGER),
                problem: *problem,
                size: (*size).min(limits::INTEGER),
            }),
            ..base
        },
    }
}

fn verified_part<'a>(
    run: RunId,
    by: &'a Launcher,
    found: &'a Found,
    room: Room,
) -> VerifiedPart<'a> {
    let by = by.as_str();
    match found {
        Found::Whole {
            records,
            tail,
            size,
            witnesses,
        } => VerifiedPart {
            by,
            problem: None,
            records: (*records).min(limits::INTEGER),
            run,
            size: Some((*size).min(limits::INTEGER)),
            tail: Some(*tail).filter(|tail| *tail > 0),
            witnesses: room
                .list(
                    witnesses.len(),
                    witnesses.iter().map(|name| room.text(name)),
                )
                .0,
        },
        Found::Broken { records, problem } => VerifiedPart {
            by,
            problem: Some(room.text(problem)),
            records: (*records).min(limits::INTEGER),
            run,
            size: None,
            tail: None,
            witnesses: Vec::new(),
        },
    }
}

fn call_part<'a>(
    protocol: &'static str,
    verb: &'a str,
    actions: &'a [Action],
    fingerprint: Fingerprint,
    room: Room,
) -> CallPart<'a> {
    let shown = actions.iter().map(|action| action_part(action, room));
    let (shown, more_actions) = room.list(actions.len(), shown);
    CallPart {
        actions: shown,
        fingerprint,
        more_actions,
        protocol,
        verb: room.text(verb),
    }
}

fn action_part(action: &Action, room: Room) -> ActionPart<'_> {
    let (columns, more_columns) = room.texts(&action.columns);
    let Resource { kind, schema, name } = &action.resource;
    ActionPart {
        class: action.class.as_str(),
        columns,
        more_columns,
        resource: ResourcePart {
            kind: *kind,
            name: room.text(name),
            schema: schema.as_deref().map(|schema| room.text(schema)),
        },
        verb: action.verb.as_str(),
    }
}

fn decision_part<'a>(
    decision: &'a Decision,
    policy_digest: &'a str,
    room: Room,
) -> DecisionPart<'a> {
    let policies = decision.policies();
    let (shown, more_policies) = room.list(
        policies.len(),
        policies.iter().map(|policy| room.text(policy)),
    );
    let (approval, denial) = match decision {
        Decision::Allow { approval, .. } => (approval.as_deref(), None),
        Decision::Deny(denial) => (None, Some(denial)),
    };
    DecisionPart {
        approval,
        effect: decision.effect(),
        more_policies,
        policies: shown,
        policy_digest: room.text(policy_digest),
        reason: denial.map(|denial| room.text(&denial.reason)),
        remedy: denial.map(|denial| room.text(&denial.remedy)),
    }
}
