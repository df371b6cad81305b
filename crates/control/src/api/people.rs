//! Who asks, and how people come to the console.

use std::collections::BTreeSet;

use bailiwick_run::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{schema, text};
use crate::people::{Role, Via};

/// `GET /v1/me`: who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// Their name, as it stands in records.
    pub name: String,
    /// What they may do.
    pub roles: BTreeSet<Role>,
    /// The groups that they are in.
    pub groups: BTreeSet<String>,
    /// How it is known who they are.
    pub via: Via,
    /// What their session's requests carry as `x-csrf-token`, if they have a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
}

/// `POST /v1/console/link`: a link by which the local user who asks can sign in at the console, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsoleLink {
    /// The link. Whoever has it can use it.
    pub url: String,
    /// Until when.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub expires: Time,
}
