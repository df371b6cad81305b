//! Who looks and decides: people, and programs that have a token, with what they may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bailiwick_run::Launcher;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod attempts;
mod entry;
mod links;
mod oidc;
mod place;
mod roles;
mod secret;
mod sessions;
mod tokens;

pub(crate) use attempts::Attempts;
pub use entry::PeopleSettings;
pub(crate) use entry::{CALLBACK, People, SignInError, SignedIn};
pub(crate) use links::LinkError;
pub(crate) use oidc::{Callback, OidcError};
pub use oidc::{Fetch, FetchError, Fetched, OidcSettings};
pub use place::{NoPlace, Place};
pub use roles::{Named, NotNamed, Pattern, Roles};
pub(crate) use sessions::{Session, SessionError};
pub use tokens::{ProgramToken, UnfitToken};

/// What somebody may do here. Each role is for itself; only an admin has them all.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees runs, trails, incidents, tasks, approvals and the index: everything but payloads.
    Viewer,
    /// The same, and opens, closes, revokes, suspends and resumes runs.
    Operator,
    /// The same as a viewer, and answers questions that are put to a group it is in; sees those calls' payloads.
    Approver,
    /// The same as a viewer, and sees and searches payloads, takes receipts and has trails verified; each time is on
    /// record.
    Auditor,
    /// All of it, and erases, prunes and makes the index anew.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Operator,
        Self::Approver,
        Self::Auditor,
        Self::Admin,
    ];

    /// The lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// Whether whoever has this role may do what wants `wanted`.
    pub fn covers(self, wanted: Self) -> bool {
        self == wanted || self == Self::Admin || wanted == Self::Viewer
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        (Self::ALL.into_iter())
            .find(|role| role.as_str() == text)
            .ok_or(NoRole)
    }
}

/// Text that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role: there are viewer, operator, approver, auditor and admin")]
pub struct NoRole;

/// How it is known who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The control socket says which local user it is.
    Local,
    /// An identity provider says so.
    Oidc,
    /// A token, of a program.
    Token,
}

impl Via {
    /// The lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Oidc => "oidc",
            Self::Token => "token",
        }
    }
}

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their name, as it stands in records.
    pub name: Launcher,
    /// Their other names. They give them nothing: they are for seeing that somebody is the same.
    pub also: BTreeSet<Launcher>,
    /// What they may do.
    pub roles: BTreeSet<Role>,
    /// The groups they are in, without `group:`.
    pub groups: BTreeSet<String>,
    /// How that is known.
    pub via: Via,
}

impl Person {
    /// Whether they may do what wants this role.
    pub fn may(&self, wanted: Role) -> bool {
        self.roles.iter().any(|role| role.covers(wanted))
    }

    /// Whether this is a name of theirs.
    pub fn is(&self, name: &Launcher) -> bool {
        self.name == *name || self.also.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_admin_has_every_role_and_everybody_may_look() {
        for role in Role::ALL {
            assert!(role.covers(Role::Viewer));
            assert!(Role::Admin.covers(role));
            assert!(role.covers(role));
        }
        assert!(!Role::Operator.covers(Role::Approver));
        assert!(!Role::Approver.covers(Role::Auditor));
        assert!(!Role::Auditor.covers(Role::Operator));
        assert!(!Role::Viewer.covers(Role::Admin));
    }
}
