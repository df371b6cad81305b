//! Searching the record.

use std::time::Duration;

use bailiwick_run::Time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{schema, text};

/// `GET /v1/search`: which records are looked for. All that is said has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Search {
    /// Words that are all in the record or, for whoever may see payloads, in its payload, whatever their case and accents. One that ends
    /// in `*` stands for every word that begins so. At most 32 words, 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Whose chain: a run's id, or `gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<schema::Chain>)]
    pub run: Option<String>,
    /// The run's task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Who launched the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launcher: Option<String>,
    /// The target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Only what was denied.
    #[serde(default)]
    pub denied: bool,
    /// Recorded at this moment or later.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[param(value_type = Option<schema::Time>)]
    pub since: Option<Time>,
    /// Recorded before this moment.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[param(value_type = Option<schema::Time>)]
    pub until: Option<Time>,
    /// How many at most: 50 if nothing is said, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SearchAnswer)]
pub struct Answer {
    /// The records, the newest first.
    pub hits: Vec<Hit>,
    /// There are more, older ones.
    pub more: bool,
    /// How many records were searched, from the beginning of the log.
    pub records: u64,
    /// Whether those are all that were in the log when it was asked.
    pub complete: bool,
}

/// A record that was found, as the index has it. The record itself is
/// `GET /v1/records/RUN/SEQ`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hit {
    /// Its name: `RUN/SEQ`.
    pub id: String,
    /// Its place in the log.
    pub index: u64,
    /// What happened: `call.decided`, …
    pub r#type: String,
    /// When it was recorded.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub time: Time,
    /// Whose chain it belongs to: a run's id, or `gateway`.
    pub run: String,
    /// Its number in the chain.
    pub seq: u64,
    /// Who launched the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launcher: Option<String>,
    /// The run's task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What the protocol calls the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// What it does: `select public.tickets (id)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// `allow` or `deny`, where something was decided; `hold` where a call was held for an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Why it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// How the call or the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The target's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Rows returned or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Values that were masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<u64>,
}

/// `POST /v1/reindex`: the index is being made anew. Only on the Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reindexing {
    /// It is done when `rebuilds` of `GET /v1/index` is this or more.
    pub rebuild: u64,
}

/// `GET /v1/index`: how far the index is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IndexState {
    /// How many records of the log are in it.
    pub records: u64,
    /// How many times it was made anew because somebody asked for it, since the gateway started.
    pub rebuilds: u64,
    /// What came of making it anew last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<Reindexed>,
    /// Why it cannot be kept up with the log now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// An index that was made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reindexed {
    /// How many records it has.
    pub records: u64,
    /// Records whose payload could not be read any more, and is not found by its words.
    pub payloads_unread: u64,
    /// How long it took.
    #[serde(with = "text")]
    #[schema(value_type = schema::Duration)]
    pub took: Duration,
}
