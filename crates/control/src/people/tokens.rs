//! Tokens of programs: `[[tokens]]` of the configuration.

use std::collections::BTreeSet;

use bailiwick_run::Launcher;

use super::secret::Hashed;
use super::{Person, Role, Roles, Via};
use crate::limits::{TOKEN_BYTES_MAX, TOKEN_BYTES_MIN, TOKEN_NAME_BYTES_MAX};

/// A program that has a token. Only the token's digest is kept.
#[derive(Clone, Debug)]
pub struct ProgramToken {
    name: Launcher,
    secret: Hashed,
    roles: BTreeSet<Role>,
}

/// Why a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitToken {
    /// The name does not fit.
    #[error(
        "a token's name has 1 to {TOKEN_NAME_BYTES_MAX} lower-case letters, digits, `-`, `_` and `.`, between them single `:` and `/`, as \
         in `github:acme/support`, and `control-token` is the gateway's own"
    )]
    Name,
    /// The secret does not fit.
    #[error(
        "a token has {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} letters, digits and other printable characters of ASCII \
         without spaces; `openssl rand -hex 32` makes one"
    )]
    Secret,
}

impl ProgramToken {
    /// The program `workflow:NAME`, which has this token and these roles.
    ///
    /// # Errors
    /// If name or token do not fit.
    pub fn new(name: &str, secret: &str, roles: BTreeSet<Role>) -> Result<Self, UnfitToken> {
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        // No part can be taken for a step in a path.
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(fits) && !part.bytes().all(|byte| byte == b'.')
        };
        if name.len() > TOKEN_NAME_BYTES_MAX
            || !name.split([':', '/']).all(is_part)
            || name == "control-token"
        {
            return Err(UnfitToken::Name);
        }
        let name = format!("workflow:{name}");
        let name = name.parse().map_err(|_| UnfitToken::Name)?;
        let long = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&secret.len());
        if !long || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UnfitToken::Secret);
        }
        Ok(Self {
            name,
            secret: Hashed::of(secret),
            roles,
        })
    }

    /// The program's name, as it stands in records.
    pub fn name(&self) -> &Launcher {
        &self.name
    }

    /// Whether both have the same secret.
    pub fn shares_secret(&self, other: &Self) -> bool {
        self.secret.same(&other.secret)
    }
}

/// Whose token this is. Looks at every one, whatever it finds.
pub(crate) fn find(tokens: &[ProgramToken], secret: &str, roles: &Roles) -> Option<Person> {
    let secret = Hashed::of(secret);
    let mut found = None;
    for token in tokens {
        if token.secret.same(&secret) {
            found = Some(token);
        }
    }
    let token = found?;
    Some(Person {
        name: token.name.clone(),
        also: roles.other_names(&token.name),
        roles: token.roles.clone(),
        groups: roles.groups_of(&token.name),
        via: Via::Token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_secrets_fit_or_are_refused() {
        let long = "x".repeat(32);
        let new = |name: &str, secret: &str| ProgramToken::new(name, secret, BTreeSet::new());
        let token = new("grafana", &long).unwrap();
        assert_eq!(token.name().as_str(), "workflow:grafana");
        assert!(!format!("{token:?}").contains('x'));
        let workflow = new("github:acme/support", &long).unwrap();
        assert_eq!(workflow.name().as_str(), "workflow:github:acme/support");
        for name in [
            "",
            "Grafana",
            "a b",
            "control-token",
            &"a".repeat(129),
            ":a",
            "a/",
            "a//b",
            "a:/b",
            "a/../b",
            ".",
        ] {
            assert_eq!(new(name, &long).unwrap_err(), UnfitToken::Name, "{name}");
        }
        for secret in [
            "",
            "short",
            &"x".repeat(31),
            &format!("{long} "),
            &"x".repeat(513),
        ] {
            assert_eq!(
                new("a", secret).unwrap_err(),
                UnfitToken::Secret,
                "{secret}"
            );
        }
    }

    #[test]
    fn a_token_is_its_program_and_nobody_else() {
        let (one, two) = ("1".repeat(32), "2".repeat(32));
        let tokens = [
            ProgramToken::new("one", &one, [Role::Viewer].into()).unwrap(),
            ProgramToken::new("two", &two, [Role::Operator].into()).unwrap(),
        ];
        let roles = Roles::default();
        let found = find(&tokens, &two, &roles).unwrap();
        assert_eq!(found.name.as_str(), "workflow:two");
        assert_eq!(found.roles, [Role::Operator].into());
        assert!(find(&tokens, one.trim_end_matches('1'), &roles).is_none());
        assert!(find(&tokens, &"1".repeat(31), &roles).is_none());
    }
}
