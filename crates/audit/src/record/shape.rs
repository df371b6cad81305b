//! The record's JSON. Fields stand in the order of their names, which is what makes the output canonical: they are
//! written as they come.

use std::borrow::Cow;

use bailiwick_action::{Fingerprint, Kind};
use bailiwick_run::{ApprovalId, RunId};
use serde::Serialize;

use super::PayloadReference;
use super::event::{ContinuedBy, Continues, Disagreement, Ruling, State};
use crate::chain::ChainId;
use crate::digest::Digest;

#[derive(Default, Serialize)]
pub(super) struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approval: Option<ApprovalPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<CallPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confinement: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) continued_by: Option<&'a ContinuedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) continues: Option<&'a Continues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decision: Option<DecisionPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ending: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) erased: Option<ErasedPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) launcher: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<LoginPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<OutcomePart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload: Option<&'a PayloadReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<PolicyPart<'a>>,
    pub(super) prev: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pruned: Option<PrunedPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) roles: Vec<&'static str>,
    pub(super) run: ChainId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope_digest: Option<Cow<'a, str>>,
    pub(super) seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<SignalPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<Cow<'a, str>>,
    pub(super) time: String,
    pub(super) r#type: &'static str,
    pub(super) v: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verb: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verified: Option<VerifiedPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) via: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) viewed: Option<ViewedPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) witness: Option<WitnessPart<'a>>,
}

#[derive(Serialize)]
pub(super) struct ApprovalPart<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) approvers: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) effect: Option<Ruling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<String>,
    pub(super) id: ApprovalId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy_digest: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
pub(super) struct SignalPart<'a> {
    pub(super) actions: &'a [&'static str],
    pub(super) name: Cow<'a, str>,
    pub(super) of: Cow<'a, str>,
    pub(super) rule: &'static str,
}

#[derive(Serialize)]
pub(super) struct VerifiedPart<'a> {
    pub(super) by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<Cow<'a, str>>,
    pub(super) records: u64,
    pub(super) run: RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tail: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) witnesses: Vec<Cow<'a, str>>,
}

#[derive(Serialize)]
pub(super) struct ViewedPart<'a> {
    pub(super) by: &'a str,
    pub(super) chain: &'a str,
    pub(super) from: u64,
    pub(super) to: u64,
}

#[derive(Serialize)]
pub(super) struct WitnessPart<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) ours: u64,
    pub(super) problem: Disagreement,
    pub(super) size: u64,
}

#[derive(Serialize)]
pub(super) struct CallPart<'a> {
    pub(super) actions: Vec<ActionPart<'a>>,
    pub(super) fingerprint: Fingerprint,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) more_actions: Option<usize>,
    pub(super) protocol: &'static str,
    pub(super) verb: Cow<'a, str>,
}

#[derive(Serialize)]
pub(super) struct ActionPart<'a> {
    pub(super) class: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) columns: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) more_columns: Option<usize>,
    pub(super) resource: ResourcePart<'a>,
    pub(super) verb: &'static str,
}

#[derive(Serialize)]
pub(super) struct ResourcePart<'a> {
    pub(super) kind: Kind,
    pub(super) name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
pub(super) struct DecisionPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approval: Option<&'a str>,
    pub(super) effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) more_policies: Option<usize>,
    pub(super) policies: Vec<Cow<'a, str>>,
    pub(super) policy_digest: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
pub(super) struct ErasedPart<'a> {
    pub(super) by: &'a str,
    pub(super) run: RunId,
}

#[derive(Serialize)]
pub(super) struct PolicyPart<'a> {
    pub(super) after: Cow<'a, str>,
    pub(super) before: Cow<'a, str>,
}

#[derive(Serialize)]
pub(super) struct PrunedPart<'a> {
    pub(super) before: u64,
    pub(super) by: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) logs: Vec<Cow<'a, str>>,
}

#[derive(Serialize)]
pub(super) struct LoginPart<'a> {
    pub(super) reason: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<RunId>,
}

#[derive(Serialize)]
pub(super) struct OutcomePart<'a> {
    pub(super) bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<Fingerprint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Cow<'a, str>>,
    pub(super) masked: u64,
    pub(super) micros: u64,
    pub(super) rows: u64,
    pub(super) state: State,
}
