//! Roles of the target that the gateway makes: a login for each run, and a role without a login for
//! each set of privileges, which the logins are members of. Privileges are granted to the latter alone:
//! grants to a role per run would fill the catalogue's rows and get in each other's way.
//!
//! Everything is in statements that are put together here, over a session of the gateway's own.

mod facts;
mod holdings;
mod inspect;
mod provide;
mod quote;
mod rights;
mod sweep;

use bailiwick_run::RunId;

use crate::sql::Row;
use crate::{Did, Errand};

pub(super) use rights::beyond;

/// The beginning of the name of what holds privileges.
const TEMPLATE: &str = "bailiwick_task_";

/// The beginning of the name of a run's login.
const LOGIN: &str = "bailiwick_run_";

/// Whom the things of a run belong to that outlive it. It may do nothing, and nobody is a member but
/// who had to give it something: what runs as its owner has no rights any more.
const GRAVEYARD: &str = "bailiwick_graveyard";

/// The advisory lock of a database for those who change its templates, whichever gateway they are of.
const LOCK: i64 = i64::from_be_bytes(*b"bailiwic");

/// What a session of these settings does not depend on: the settings of its role and its database.
pub(super) const SETTINGS: &str = "SET search_path = pg_catalog; \
     SET standard_conforming_strings = on; SET lock_timeout = '5s'; SET statement_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET default_transaction_read_only = off";

/// The results of statements, in order, without those that return no rows at all.
pub(super) type Results = Vec<Vec<Row>>;

/// The target refused a statement.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Its SQLSTATE.
    pub(super) code: String,
    /// Its words.
    pub(super) message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl Refusal {
    /// Whether somebody else changed the same entry of the catalogue at the same moment. It has no
    /// code of its own.
    fn is_at_once(&self) -> bool {
        self.message.starts_with("tuple concurrently ")
    }
}

/// What follows from an answer.
pub(super) enum Next {
    /// Further statements.
    Ask(String),
    /// Further statements, after undoing what is not committed yet.
    Anew(String),
    /// It is done.
    Did(Did),
    /// It cannot be done. The words are for whoever runs the gateway.
    Failed(String),
}

/// An errand as statements.
pub(super) trait Work: Send {
    /// The first of them.
    fn start(&mut self) -> String;

    /// What follows from the answer to the last.
    fn answered(&mut self, answer: Result<Results, Refusal>) -> Next;
}

/// The work that an errand is.
pub(super) fn work(errand: Errand) -> Box<dyn Work> {
    match errand {
        Errand::Provide(login) => Box::new(provide::Provide::new(login)),
        Errand::Sweep(sweep) => Box::new(sweep::Sweeping::new(sweep)),
        Errand::Inspect { gateway, fence } => Box::new(inspect::Inspect::new(gateway, fence)),
    }
}

/// The words for an answer that does not have the form of one.
fn not_understood() -> String {
    "it answered a question about its roles in a form that is not understood".into()
}

/// The name of a run's login. There may be others, where several targets are one server.
fn login_name(run: &RunId) -> String {
    format!("bailiwick_{}", run.to_string().to_ascii_lowercase())
}

/// The run that a login's name stands for.
fn run_of(name: &str) -> Option<RunId> {
    let rest = name.strip_prefix(LOGIN)?;
    let ulid = rest.split('_').next()?;
    let run: RunId = format!("run_{}", ulid.to_ascii_uppercase()).parse().ok()?;
    name.starts_with(&login_name(&run)).then_some(run)
}

/// The comment of a run's login: what a person may want to know who finds it.
fn login_comment(run: &RunId, gateway: &str, expires: bailiwick_run::Time) -> String {
    format!("bailiwick run {run} of {gateway} until {expires}")
}

/// The comment of a template.
fn template_comment(gateway: &str) -> String {
    format!("bailiwick task of {gateway} (made and dropped by the gateway)")
}

/// The gateway that a role's comment names.
fn gateway_of(comment: &str) -> Option<&str> {
    let mut words = comment.split(' ');
    if words.next() != Some("bailiwick") {
        return None;
    }
    let of = match words.next()? {
        "run" => words.nth(1)?,
        "task" => words.next()?,
        _ => return None,
    };
    (of == "of").then(|| words.next())?
}

/// A cell that is there.
fn cell(row: &Row, at: usize) -> Option<&str> {
    row.get(at)?.as_deref()
}

/// A cell that says yes or no.
fn flag(row: &Row, at: usize) -> Option<bool> {
    match cell(row, at)? {
        "t" | "true" => Some(true),
        "f" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_run::Time;

    use super::*;

    #[test]
    fn a_login_is_known_again_by_its_name_and_its_comment() {
        let run = RunId::new(Time::from_millis(1_700_000_000_000), [7; 10]);
        let name = login_name(&run);
        assert!(name.len() < 60 && name.starts_with(LOGIN), "{name}");
        assert_eq!(name, name.to_ascii_lowercase());
        assert_eq!(run_of(&name), Some(run));
        assert_eq!(run_of(&format!("{name}_2")), Some(run));
        for other in [
            "bailiwick_run_",
            "bailiwick_run_x",
            &name.to_ascii_uppercase(),
            "bailiwick_task_x",
            "postgres",
        ] {
            assert_eq!(run_of(other), None, "{other}");
        }
        let comment = login_comment(&run, "acme.example/gw", Time::from_millis(0));
        assert_eq!(gateway_of(&comment), Some("acme.example/gw"));
        let comment = template_comment("acme.example/gw");
        assert_eq!(gateway_of(&comment), Some("acme.example/gw"));
        for other in [
            "",
            "bailiwick",
            "bailiwick run x",
            "a run run_x of y until z",
        ] {
            assert_eq!(gateway_of(other), None, "{other}");
        }
    }
}
