//! `[roles]`, `[groups]`, `[people]`, `[[tokens]]` and `[console]`: who may do what, and where people find it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bailiwick_control::{
    Fetch, Named, Pattern, PeopleSettings, Place, ProgramToken, Role, Roles, UnfitToken,
};
use bailiwick_policy::Task;
use bailiwick_run::Launcher;

use super::document::Section;
use super::oidc::Oidc;
use super::problem::{Problems, nearest};
use super::sealed::Sealed;

/// The most names of one role or group.
const MAX_NAMES: usize = 1_000;

/// The most programs that have a token.
const MAX_TOKENS: usize = 100;

/// Who may do what, with the secrets not looked up yet.
#[derive(Debug, Default)]
pub(crate) struct People {
    roles: Roles,
    tokens: Vec<Token>,
    place: Option<Place>,
    oidc: Option<Oidc>,
}

/// A program's token.
#[derive(Debug)]
struct Token {
    name: String,
    secret: Sealed,
    roles: BTreeSet<Role>,
}

impl People {
    /// Reads it all. `console` says whether there is an address for people.
    pub(super) fn read(top: &Section<'_, '_>, console: bool) -> Self {
        let place = place(top, console);
        let oidc = Oidc::read(top, place.is_some());
        let claimed = oidc.as_ref().is_some_and(Oidc::claims_groups);
        let groups = groups(top);
        let given = roles(top, &groups, claimed);
        if oidc.is_some() && given.is_none() && !top.has("roles") {
            top.report(
                "oidc",
                "nobody who signs in by it may do anything, as long as [roles] does not say who may: give \
                 somebody a role there, such as `viewer = [\"human:*@acme.com\"]`",
            );
        }
        Self {
            roles: Roles::new(given, groups).with_people(same(top)),
            tokens: tokens(top),
            place,
            oidc,
        }
    }

    /// Where people reach the console, if that is said.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// By which identity provider they sign in.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.oidc.as_ref().map(Oidc::issuer)
    }

    /// The places in these tasks that want the yes of a group in which nobody is: what they hold can only lapse. An
    /// identity provider may know more groups.
    pub(crate) fn empty_groups<'t>(
        &self,
        tasks: impl IntoIterator<Item = &'t Task>,
    ) -> Vec<(&'t Task, String)> {
        if self.oidc.as_ref().is_some_and(Oidc::claims_groups) {
            return Vec::new();
        }
        let grants = tasks
            .into_iter()
            .flat_map(|task| task.grants.iter().map(move |grant| (task, grant)));
        let empty = grants.filter_map(|(task, grant)| {
            let group = grant.approve.as_deref()?.strip_prefix("group:")?;
            (!self.roles.has_group(group)).then(|| {
                let warning = format!(
                    "{}: nobody is in `group:{group}`, so nobody can approve what this grant holds; name its \
                     members under [groups] in bailiwick.toml",
                    grant.place
                );
                (task, warning)
            })
        });
        empty.collect()
    }

    /// What names a secret.
    pub(super) fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        let tokens = self.tokens.iter().map(|token| &token.secret);
        tokens.chain(self.oidc.iter().flat_map(Oidc::sealed))
    }

    /// Who may come in, with the secrets looked up.
    pub(crate) fn settings(&self, folder: &Path, fetch: Fetch) -> Result<PeopleSettings, Problems> {
        let mut tokens: Vec<ProgramToken> = Vec::new();
        for Token {
            name,
            secret,
            roles,
        } in &self.tokens
        {
            let token = ProgramToken::new(name, &secret.text(folder)?, roles.clone())
                .map_err(|error| secret.problem(error.to_string()))?;
            if let Some(other) = tokens.iter().find(|other| other.shares_secret(&token)) {
                return Err(secret.problem(format!(
                    "it is the same secret as that of {}, and then nobody knows which of them asks",
                    other.name()
                )));
            }
            tokens.push(token);
        }
        let oidc = match &self.oidc {
            Some(oidc) => Some(oidc.settings(folder, fetch)?),
            None => None,
        };
        Ok(PeopleSettings {
            roles: self.roles.clone(),
            tokens,
            place: self.place.clone(),
            oidc,
        })
    }
}

fn place(top: &Section<'_, '_>, console: bool) -> Option<Place> {
    const NAME: &str = "url";
    let section = top.section("console", &[NAME])?;
    let url = section.required(
        NAME,
        "it is where people reach the console, such as \"https://bailiwick.acme.com\"",
    )?;
    if !console {
        section.report(
            NAME,
            "nobody is served there without `control` under [listen], which is where the console listens",
        );
    }
    match url.parse() {
        Ok(place) => Some(place),
        Err(error) => {
            section.report(NAME, format!("`{url}` is {error}"));
            None
        }
    }
}

fn groups(top: &Section<'_, '_>) -> BTreeMap<String, Vec<Pattern>> {
    let Some(section) = top.open_section("groups") else {
        return BTreeMap::new();
    };
    let mut groups = BTreeMap::new();
    for name in section.names() {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            section.report(
                name,
                "a group's name has 1 to 64 letters, digits, `-`, `_` and `.`",
            );
        }
        let members = section.list(name, MAX_NAMES).unwrap_or_default();
        let mut patterns = Vec::new();
        for member in members {
            match member.parse() {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => section.report(name, format!("`{member}` is {error}")),
            }
        }
        groups.insert(name.to_owned(), patterns);
    }
    groups
}

/// The names of each person who has several.
fn same(top: &Section<'_, '_>) -> Vec<BTreeSet<Launcher>> {
    let Some(section) = top.open_section("people") else {
        return Vec::new();
    };
    let mut people: Vec<BTreeSet<Launcher>> = Vec::new();
    for person in section.names() {
        let mut names = BTreeSet::new();
        let given = section.list(person, MAX_NAMES).unwrap_or_default();
        if given.len() == 1 {
            section.report(person, "one name is no other: it has to have at least two");
        }
        for name in given {
            match name.parse::<Launcher>() {
                Ok(_) if name.contains('*') => section.report(
                    person,
                    format!("`{name}` fits many, and here stand the names of one person"),
                ),
                Ok(known) if people.iter().any(|others| others.contains(&known)) => section.report(
                    person,
                    format!("`{name}` is somebody else's: a name is one person's"),
                ),
                Ok(known) => drop(names.insert(known)),
                Err(error) => section.report(person, format!("`{name}` is {error}")),
            }
        }
        people.push(names);
    }
    people
}

fn roles(
    top: &Section<'_, '_>,
    groups: &BTreeMap<String, Vec<Pattern>>,
    claimed: bool,
) -> Option<BTreeMap<Role, Vec<Named>>> {
    let section = top.section("roles", &Role::ALL.map(Role::as_str))?;
    let mut roles = BTreeMap::new();
    for role in Role::ALL {
        let mut named = Vec::new();
        for name in section.list(role.as_str(), MAX_NAMES).unwrap_or_default() {
            match name.strip_prefix("group:") {
                Some(group) => {
                    if !claimed && !groups.contains_key(group) {
                        let names = groups.keys().map(String::as_str);
                        section.report_nearest(
                            role.as_str(),
                            format!("no group is called `{group}` under [groups]"),
                            nearest(group, names),
                        );
                    }
                    named.push(Named::Group(group.to_owned()));
                }
                None => match name.parse() {
                    Ok(pattern) => named.push(Named::People(pattern)),
                    Err(error) => section.report(
                        role.as_str(),
                        format!("`{name}` is neither `group:NAME` nor a name: {error}"),
                    ),
                },
            }
        }
        roles.insert(role, named);
    }
    Some(roles)
}

fn tokens(top: &Section<'_, '_>) -> Vec<Token> {
    let sections = top.listed_sections("tokens", &["name", "secret", "roles"]);
    if sections.len() > MAX_TOKENS {
        top.report("tokens", format!("there are at most {MAX_TOKENS}"));
    }
    let mut tokens: Vec<Token> = Vec::new();
    for section in sections {
        let name = section.required(
            "name",
            "it is what records call the program, after `workflow:`",
        );
        let secret =
            section.required_sealed("secret", "it is the token, as `${NAME}` or `${file:PATH}`");
        if secret
            .as_ref()
            .is_some_and(|secret| !secret.template().is_secret())
        {
            section.report("secret", NOT_IN_THE_FILE);
        }
        let roles =
            section.required_list("roles", Role::ALL.len(), "they are what the program may do");
        let mut given = BTreeSet::new();
        for role in roles.unwrap_or_default() {
            match role.parse::<Role>() {
                Ok(role) => {
                    given.insert(role);
                }
                Err(error) => {
                    let names = Role::ALL.map(Role::as_str);
                    section.report_nearest(
                        "roles",
                        format!("`{role}` is {error}"),
                        nearest(&role, names),
                    );
                }
            }
        }
        let (Some(name), Some(secret)) = (name, secret) else {
            continue;
        };
        // The name is looked at first, so this says whether it fits without a secret.
        if let Err(UnfitToken::Name) = ProgramToken::new(name, "", BTreeSet::new()) {
            section.report("name", UnfitToken::Name.to_string());
        }
        if tokens.iter().any(|token| token.name == name) {
            section.report(
                "name",
                format!("there is another token that is called `{name}`"),
            );
        }
        tokens.push(Token {
            name: name.to_owned(),
            secret,
            roles: given,
        });
    }
    tokens
}

/// What is wrong with a secret that stands in the configuration.
pub(super) const NOT_IN_THE_FILE: &str =
    "a secret does not stand in the file itself: name where it is, as `${NAME}` or `${file:PATH}`";
