//! What of its launcher's environment an agent gets: little, unless somebody says so.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::str::FromStr;

use crate::failure::Failure;
use crate::render::clean;

/// What programs need to find their way: no secrets, and nothing that leads to an agent of the launcher's, such as
/// that of SSH.
const PASSED: [&str; 22] = [
    "CLICOLOR",
    "COLORTERM",
    "HOME",
    "HOSTNAME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "PWD",
    "SHELL",
    "TEMP",
    "TERM",
    "TERMINFO",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
];

/// And all of these beginnings.
const PASSED_PREFIX: &str = "LC_";

/// A shell's own, which nobody misses.
const TRIVIAL: [&str; 3] = ["OLDPWD", "SHLVL", "_"];

/// So many are named that were withheld.
const NAMED_MAX: usize = 8;

/// One `--env`: a variable that the agent gets although it is not among those it always does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    name: String,
    /// Its value; the launcher's own where none is given.
    value: Option<String>,
}

impl FromStr for Wanted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(inside) {
            return Err("a variable's name is letters, digits and `_`: NAME, or NAME=VALUE");
        }
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }
}

/// What an agent gets, and what it does not.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// What it gets.
    pub(super) given: BTreeMap<OsString, OsString>,
    /// The names of the rest.
    withheld: BTreeSet<String>,
    /// What was asked for and is not there.
    missing: Vec<String>,
}

impl Environment {
    /// Chooses from the launcher's own. What is secret to the gateway is never given.
    pub(super) fn choose(
        own: impl IntoIterator<Item = (OsString, OsString)>,
        wanted: &[Wanted],
        secret: &BTreeSet<String>,
    ) -> Result<Self, Failure> {
        let own: BTreeMap<OsString, OsString> = own.into_iter().collect();
        let mut chosen = Self::default();
        for Wanted { name, value } in wanted {
            if value.is_none() && secret.contains(name) {
                let message =
                    format!("`{name}` holds a secret of the gateway's, and no agent gets that");
                return Err(Failure::new(message)
                    .help("leave it out; the gateway shows it to the target itself"));
            }
            match value
                .as_ref()
                .map(OsString::from)
                .or_else(|| own.get(OsStr::new(name)).cloned())
            {
                Some(value) => drop(chosen.given.insert(name.into(), value)),
                None => chosen.missing.push(name.clone()),
            }
        }
        for (name, value) in own {
            let text = name.to_string_lossy().into_owned();
            if secret.contains(&text) || chosen.given.contains_key(&name) {
                continue;
            }
            if PASSED.contains(&&*text) || text.starts_with(PASSED_PREFIX) {
                chosen.given.insert(name, value);
            } else if !TRIVIAL.contains(&&*text) {
                chosen.withheld.insert(text);
            }
        }
        Ok(chosen)
    }

    /// What somebody may wonder about, in words. Names only.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let missing = self.missing.iter();
        let missing = missing.map(|name| format!("--env {name}: there is no such variable here"));
        missing.chain(self.withheld_in_words())
    }

    fn withheld_in_words(&self) -> Option<String> {
        let names: Vec<_> = self
            .withheld
            .iter()
            .take(NAMED_MAX)
            .map(|name| clean(name))
            .collect();
        let more = match self.withheld.len().saturating_sub(names.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!names.is_empty()).then(|| {
            format!(
                "not given to the agent: {}{more}; --env NAME gives it one",
                names.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(own: &[(&str, &str)], wanted: &[&str]) -> Result<Environment, Failure> {
        let own = own.iter().map(|(name, value)| (name.into(), value.into()));
        let wanted: Vec<Wanted> = wanted.iter().map(|text| text.parse().unwrap()).collect();
        let secret = BTreeSet::from(["TICKETS_PASSWORD".to_owned()]);
        Environment::choose(own, &wanted, &secret)
    }

    #[test]
    fn little_is_passed_unless_somebody_says_so() {
        let own = [
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("AWS_SECRET_ACCESS_KEY", "s3cr3t"),
            ("SSH_AUTH_SOCK", "/tmp/ssh"),
            ("ANTHROPIC_API_KEY", "sk"),
            ("TICKETS_PASSWORD", "pw"),
            ("SHLVL", "1"),
        ];
        let environment = chosen(&own, &["ANTHROPIC_API_KEY", "MODE=fast=er", "NONE"]).unwrap();
        let given: Vec<_> = environment.given.iter().collect();
        let given: Vec<_> = given
            .iter()
            .map(|(n, v)| (n.to_str().unwrap(), v.to_str().unwrap()))
            .collect();
        assert_eq!(
            given,
            [
                ("ANTHROPIC_API_KEY", "sk"),
                ("LC_ALL", "C"),
                ("MODE", "fast=er"),
                ("PATH", "/bin"),
            ]
        );
        assert_eq!(
            environment.notes().collect::<Vec<_>>(),
            [
                "--env NONE: there is no such variable here",
                "not given to the agent: AWS_SECRET_ACCESS_KEY, SSH_AUTH_SOCK; --env NAME gives it one",
            ]
        );
        assert!(chosen(&own, &["TICKETS_PASSWORD"]).is_err());
    }

    #[test]
    fn many_are_counted_and_none_can_disturb_the_terminal() {
        let names: Vec<String> = (0..12).map(|n| format!("X\u{1b}{n:02}")).collect();
        let own: Vec<_> = names.iter().map(|name| (&**name, "secret")).collect();
        let said = chosen(&own, &[]).unwrap().notes().next().unwrap();
        assert!(said.contains("and 4 more"), "{said}");
        assert!(
            !said.contains('\u{1b}') && !said.contains("secret"),
            "{said}"
        );
    }

    #[test]
    fn a_name_is_one() {
        for bad in ["", "=x", "A B", "A\u{0}", "é"] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad:?}");
        }
    }
}
