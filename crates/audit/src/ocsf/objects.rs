//! The OCSF objects that events are made of, as far as records fill them.

use serde::Serialize;

use crate::digest::Digest;

/// `metadata`: where the event comes from.
#[derive(Debug, Serialize)]
pub(super) struct Metadata<'e> {
    /// The decision's name, on a decision and on its outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlation_uid: Option<String>,
    /// The record's type.
    pub(super) event_code: &'e str,
    /// Whether the record leaves something out, to be short.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_truncated: bool,
    pub(super) log_format: &'static str,
    /// The log's origin.
    pub(super) log_name: &'e str,
    /// The version of the record's format.
    pub(super) log_version: String,
    /// The record's name, `RUN/SEQ`.
    pub(super) original_event_uid: String,
    pub(super) product: Product<'e>,
    pub(super) profiles: Vec<&'static str>,
    /// The record's index in the log.
    pub(super) sequence: u64,
    /// The record's digest: the same in every export, and what `prev_event` names.
    pub(super) uid: Digest,
    pub(super) version: &'static str,
}

/// `product`
#[derive(Debug, Serialize)]
pub(super) struct Product<'e> {
    pub(super) name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<&'e str>,
    pub(super) vendor_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<&'e str>,
}

/// `attestation`: what shows that the record is the one that was logged.
#[derive(Debug, Serialize)]
pub(super) struct Attestation<'e> {
    /// The log's origin.
    pub(super) authority_uid: &'e str,
    /// The run, or `gateway`.
    pub(super) chain_uid: &'e str,
    pub(super) fingerprint: Fingerprint,
    /// Nothing for the first of a chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prev_event: Option<PreviousEvent>,
    /// `ORIGIN#INDEX`
    pub(super) uid: String,
}

/// `prev_event`
#[derive(Debug, Serialize)]
pub(super) struct PreviousEvent {
    fingerprint: Fingerprint,
    uid: Digest,
}

impl PreviousEvent {
    /// The record of this digest.
    pub(super) fn new(digest: Digest) -> Self {
        Self {
            fingerprint: Fingerprint::sha256(digest),
            uid: digest,
        }
    }
}

/// `fingerprint`: the SHA-256 digest of a record's exact bytes, in hexadecimal digits.
#[derive(Debug, Serialize)]
pub(super) struct Fingerprint {
    algorithm: &'static str,
    algorithm_id: u8,
    encoding: &'static str,
    encoding_id: u8,
    serialization: &'static str,
    serialization_id: u8,
    value: Digest,
}

impl Fingerprint {
    /// Of bytes that are hashed as they are: no verifier serialises them again.
    pub(super) fn sha256(digest: Digest) -> Self {
        Self {
            algorithm: "SHA-256",
            algorithm_id: 3,
            encoding: "Hex",
            encoding_id: 1,
            serialization: "Flat",
            serialization_id: 1,
            value: digest,
        }
    }
}

/// `actor`: who did it; of what a run does, on whose behalf.
#[derive(Debug, Serialize)]
pub(super) struct Actor<'e> {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<Session<'e>>,
    pub(super) user: User<'e>,
}

/// `ai_agent`
#[derive(Debug, Serialize)]
pub(super) struct AiAgent<'e> {
    /// The run.
    pub(super) instance_uid: &'e str,
    /// The task.
    pub(super) name: &'e str,
}

/// `session`: the run, as a session. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Default, Serialize)]
pub(super) struct Session<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expiration_reason: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expiration_time: Option<u64>,
    pub(super) issuer: &'e str,
    pub(super) uid: &'e str,
}

/// `user`
#[derive(Debug, Serialize)]
pub(super) struct User<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'e str>,
    r#type: &'static str,
    type_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'e str>,
}

impl<'e> User<'e> {
    /// `human:NAME` is a user, `workflow:NAME` a service.
    pub(super) fn launcher(launcher: &'e str) -> Self {
        let (r#type, type_id, name) = match launcher.split_once(':') {
            Some(("human", name)) => ("User", 1, name),
            Some(("workflow", name)) => ("Service", 4, name),
            _ => ("Unknown", 0, launcher),
        };
        Self {
            name: Some(name),
            r#type,
            type_id,
            uid: Some(launcher),
        }
    }

    /// Somebody who came as this run.
    pub(super) fn run(run: &'e str) -> Self {
        Self {
            name: None,
            r#type: "Run",
            type_id: 99,
            uid: Some(run),
        }
    }

    /// Somebody. The schema wants a name.
    pub(super) fn unknown() -> Self {
        Self {
            name: Some("unknown"),
            r#type: "Unknown",
            type_id: 0,
            uid: None,
        }
    }
}

/// `service`: the gateway.
#[derive(Debug, Serialize)]
pub(super) struct Service<'e> {
    pub(super) name: &'static str,
    pub(super) uid: &'e str,
}

/// `network_endpoint`: the target by its name, or the run by its id. Records hold no addresses.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Endpoint<'e> {
    /// A target.
    Name(&'e str),
    /// A run.
    Uid(&'e str),
}

/// `api`
#[derive(Debug, Serialize)]
pub(super) struct Api<'e> {
    /// What the protocol calls the call: `GET`, `tools/call`.
    pub(super) operation: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<ApiRequest<'e>>,
    pub(super) service: ApiService<'e>,
}

/// `request`
#[derive(Debug, Serialize)]
pub(super) struct ApiRequest<'e> {
    /// The call's keyed digest.
    pub(super) uid: &'e str,
}

/// `service`: the target.
#[derive(Debug, Serialize)]
pub(super) struct ApiService<'e> {
    pub(super) name: &'e str,
}

/// `resource_details`: what a call is about.
#[derive(Debug, Serialize)]
pub(super) struct ResourceDetails<'e> {
    pub(super) name: &'e str,
    pub(super) r#type: &'e str,
}

/// `database`: the target.
#[derive(Debug, Serialize)]
pub(super) struct Database<'e> {
    name: &'e str,
    r#type: &'static str,
    type_id: u8,
}

impl<'e> Database<'e> {
    pub(super) fn relational(name: &'e str) -> Self {
        Self {
            name,
            r#type: "Relational",
            type_id: 1,
        }
    }

    /// Of an outcome, which does not say it.
    pub(super) fn of_unknown_type(name: &'e str) -> Self {
        Self {
            name,
            r#type: "Unknown",
            type_id: 0,
        }
    }
}

/// `table`
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Table<'e> {
    /// The name without its schema.
    pub(super) name: &'e str,
    /// The name with its schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<String>,
}

/// `query_info`
#[derive(Debug, Serialize)]
pub(super) struct QueryInfo<'e> {
    /// What the gateway read the call as; never its text.
    pub(super) query_string: String,
    /// The call's keyed digest.
    pub(super) uid: &'e str,
}

/// `iam_role`: the task as what the run may do.
#[derive(Debug, Serialize)]
pub(super) struct Role<'e> {
    /// The task.
    pub(super) name: &'e str,
    /// The digest of the scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<&'e str>,
}

/// `authorization`: a policy, and what it decided.
#[derive(Debug, Serialize)]
pub(super) struct Authorization<'e> {
    pub(super) decision: &'e str,
    /// Nothing where no policy allowed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<Policy<'e>>,
}

/// `policy`
#[derive(Debug, Serialize)]
pub(super) struct Policy<'e> {
    pub(super) uid: &'e str,
}

/// `finding_info`
#[derive(Debug, Serialize)]
pub(super) struct FindingInfo {
    pub(super) desc: String,
    pub(super) title: &'static str,
    pub(super) uid: String,
}
