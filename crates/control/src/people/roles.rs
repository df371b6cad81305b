//! Who has which role, who is in which group, and who goes by several names: `[roles]`, `[groups]` and `[people]` of the
//! configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use bailiwick_run::Launcher;

use super::{Person, Role, Via};

/// Whose name fits: `human:alice@acme.com`, or with stars for any text: `human:*@acme.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether this name fits.
    pub fn fits(&self, name: &Launcher) -> bool {
        let name = name.as_str();
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(last) = parts.next_back() else {
            return name == first;
        };
        let Some(rest) = name.strip_prefix(first) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(last) else {
            return false;
        };
        for part in parts {
            // The first place is as good as any: what is left over, the next star takes.
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        true
    }
}

/// Text that names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not somebody: it is `human:NAME` or `workflow:NAME`, in which `*` stands for any text, such as \
     `human:*@acme.com`"
)]
pub struct NotNamed;

impl FromStr for Pattern {
    type Err = NotNamed;

    fn from_str(text: &str) -> Result<Self, NotNamed> {
        // A star is part of a name like any other character.
        match text.parse::<Launcher>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(NotNamed),
        }
    }
}

/// Who has a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// Whoever is in this group.
    Group(String),
    /// Whose name fits.
    People(Pattern),
}

/// Who may do what.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    given: Option<BTreeMap<Role, Vec<Named>>>,
    groups: BTreeMap<String, Vec<Pattern>>,
    /// The names of each person who has several.
    people: Vec<BTreeSet<Launcher>>,
}

impl Roles {
    /// These roles, and nobody else has any. Without (`None`), the gateway's own user and root
    /// have them all.
    pub fn new(
        given: Option<BTreeMap<Role, Vec<Named>>>,
        groups: BTreeMap<String, Vec<Pattern>>,
    ) -> Self {
        Self {
            given,
            groups,
            people: Vec::new(),
        }
    }

    /// The same, where each of these sets is the names of one person. It takes away and never gives: each name has
    /// the roles and groups that it has by itself.
    #[must_use]
    pub fn with_people(self, people: Vec<BTreeSet<Launcher>>) -> Self {
        Self { people, ..self }
    }

    /// Whether anybody is in this group by the configuration.
    pub fn has_group(&self, group: &str) -> bool {
        self.groups
            .get(group)
            .is_some_and(|members| !members.is_empty())
    }

    /// What else somebody is called.
    pub(crate) fn other_names(&self, name: &Launcher) -> BTreeSet<Launcher> {
        let same = self.people.iter().filter(|names| names.contains(name));
        let others = same.flatten().filter(|other| *other != name);
        others.cloned().collect()
    }

    /// Whether it is said who has which.
    pub fn are_given(&self) -> bool {
        self.given.is_some()
    }

    /// Somebody whose name is known, with the groups that an identity provider puts them in.
    pub(crate) fn person(&self, name: Launcher, via: Via, claimed: BTreeSet<String>) -> Person {
        let mut groups = self.groups_of(&name);
        groups.extend(claimed);
        let roles = match (&self.given, via) {
            (None, Via::Local) => Role::ALL.into(),
            (None, Via::Oidc | Via::Token) => BTreeSet::new(),
            (Some(given), _) => given
                .iter()
                .filter(|(_, named)| {
                    named.iter().any(|named| match named {
                        Named::Group(group) => groups.contains(group),
                        Named::People(pattern) => pattern.fits(&name),
                    })
                })
                .map(|(role, _)| *role)
                .collect(),
        };
        Person {
            also: self.other_names(&name),
            name,
            roles,
            groups,
            via,
        }
    }

    /// A local user who is not the gateway's own: they have what is given to them, and without any roles nothing.
    pub(crate) fn guest(&self, name: Launcher) -> Person {
        let mut person = self.person(name, Via::Local, BTreeSet::new());
        if !self.are_given() {
            person.roles.clear();
        }
        person
    }

    /// The groups of `[groups]` that somebody is in.
    pub(crate) fn groups_of(&self, name: &Launcher) -> BTreeSet<String> {
        self.groups
            .iter()
            .filter(|(_, members)| members.iter().any(|pattern| pattern.fits(name)))
            .map(|(group, _)| group.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Launcher {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_is_any_text_and_the_rest_is_itself() {
        for (pattern, fits, not) in [
            (
                "human:alice@acme.com",
                "human:alice@acme.com",
                "human:alice@acme.com.evil.example",
            ),
            (
                "human:*@acme.com",
                "human:bob@acme.com",
                "human:bob@acme.com.evil.example",
            ),
            (
                "human:*@acme.com",
                "human:a@b@acme.com",
                "human:bob@evilacme.com",
            ),
            ("human:a*c*e", "human:abcde", "human:abde"),
            ("human:a*a", "human:aa", "human:a"),
            ("human:*", "human:root@localhost", "workflow:human:x"),
            ("human:a**b", "human:ab", "human:ba"),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            assert!(pattern.fits(&name(fits)), "{pattern:?} {fits}");
            assert!(!pattern.fits(&name(not)), "{pattern:?} {not}");
        }
        for wrong in ["*", "alice", "human:", "robot:*", "human:a b", ""] {
            assert_eq!(wrong.parse::<Pattern>(), Err(NotNamed), "{wrong}");
        }
    }

    #[test]
    fn a_person_is_all_of_their_names_and_has_what_the_one_they_come_by_has() {
        let (here, there) = (name("human:alice@localhost"), name("human:alice@acme.com"));
        let roles = Roles::new(
            Some(
                [(
                    Role::Admin,
                    vec![Named::People("human:*@acme.com".parse().unwrap())],
                )]
                .into(),
            ),
            BTreeMap::new(),
        )
        .with_people(vec![[here.clone(), there.clone()].into()]);
        let local = roles.person(here.clone(), Via::Local, BTreeSet::new());
        assert!(local.is(&here) && local.is(&there));
        assert!(local.roles.is_empty(), "{local:?}");
        let remote = roles.person(there.clone(), Via::Oidc, BTreeSet::new());
        assert!(remote.is(&here) && remote.is(&there) && remote.may(Role::Admin));
        let other = roles.person(name("human:bob@acme.com"), Via::Oidc, BTreeSet::new());
        assert!(!other.is(&here) && !other.is(&there) && !remote.is(&other.name));
    }

    #[test]
    fn without_roles_a_user_of_a_shared_socket_has_none() {
        let nobody = name("human:nobody@localhost");
        let everywhere: BTreeMap<_, Vec<Pattern>> =
            [("owners".into(), vec!["human:*".parse().unwrap()])].into();
        let none = Roles::new(None, everywhere.clone());
        assert!(none.guest(nobody.clone()).roles.is_empty());
        let some = [(
            Role::Operator,
            vec![Named::People("human:nobody*".parse().unwrap())],
        )];
        let given = Roles::new(Some(some.into()), everywhere);
        assert_eq!(given.guest(nobody).roles, [Role::Operator].into());
        assert!(
            given
                .guest(name("human:mallory@localhost"))
                .roles
                .is_empty()
        );
    }

    #[test]
    fn only_without_roles_is_a_local_user_everything() {
        let none = Roles::default();
        let me = name("human:root@localhost");
        let roles = |roles: &Roles, name: &Launcher, via| {
            roles.person(name.clone(), via, BTreeSet::new()).roles
        };
        assert_eq!(roles(&none, &me, Via::Local), Role::ALL.into());
        assert!(roles(&none, &me, Via::Oidc).is_empty());

        let pattern = |text: &str| Named::People(text.parse().unwrap());
        let given = Roles::new(
            Some(
                [
                    (Role::Viewer, vec![pattern("human:*@acme.com")]),
                    (Role::Approver, vec![Named::Group("owners".into())]),
                ]
                .into(),
            ),
            [(
                "owners".into(),
                vec!["human:alice@acme.com".parse().unwrap()],
            )]
            .into(),
        );
        assert!(roles(&given, &me, Via::Local).is_empty());
        let alice = name("human:alice@acme.com");
        let both = [Role::Viewer, Role::Approver];
        assert_eq!(roles(&given, &alice, Via::Oidc), both.into());
        let bob = name("human:bob@acme.com");
        assert_eq!(roles(&given, &bob, Via::Oidc), [Role::Viewer].into());
        // A group that the identity provider claims counts like one of the configuration.
        let claimed = given.person(bob, Via::Oidc, ["owners".to_owned()].into());
        assert_eq!(claimed.roles, both.into());
    }
}
