use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bailiwick_action::{Class, Kind, Resource, Verb};

use crate::name::{Column, Pattern};
use crate::problem::Place;

/// A named template of what a kind of run needs: one valid file `tasks/NAME.toml`.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name, which is the file's.
    pub name: String,
    /// What it is for, in words.
    pub purpose: String,
    /// Who may open a run of it: patterns of launchers, where `*` stands for any text.
    pub launchers: Vec<String>,
    /// The longest time box a run of it may have.
    pub ttl: Duration,
    /// The environment variables that the agent's process gets, and the target each points to;
    /// `jdbc:TARGET` for its URL in the form that JDBC drivers want.
    pub env: BTreeMap<String, String>,
    /// What its runs may do, in the order of the file, reads first.
    pub grants: Vec<Grant>,
    /// The columns whose values its runs never see.
    pub masks: Vec<Mask>,
    /// How the agent's process is confined.
    pub confine: Confine,
    /// `sha256:` and the digest of the file.
    pub digest: String,
    /// Its file.
    pub place: Place,
}

impl Task {
    /// The time box of a run: what was asked for, or the task's `ttl` if nothing was. More than the
    /// task's `ttl` is refused, not cut down, so that nobody counts on time a run does not have.
    pub fn time_box(&self, asked: Option<Duration>) -> Result<Duration, TooLong> {
        match asked {
            None => Ok(self.ttl),
            Some(asked) if asked.is_zero() => Err(TooLong::Nothing),
            Some(asked) if asked <= self.ttl => Ok(asked),
            Some(_) => Err(TooLong::MoreThan(self.name.clone(), self.ttl)),
        }
    }

    /// Every table and function that the task names, so that a caller who can ask the target may
    /// warn about those that do not exist.
    pub fn references(&self) -> Vec<Reference<'_>> {
        let granted = self.grants.iter().flat_map(|grant| {
            grant.items.iter().map(move |item| Reference {
                target: &grant.target,
                kind: item.pattern.kind,
                schema: item.pattern.schema.as_deref(),
                name: item.pattern.name.as_deref(),
                columns: match (&grant.columns, item.pattern.kind) {
                    (Some(columns), Kind::Table) => columns.iter().map(String::as_str).collect(),
                    _ => Vec::new(),
                },
                place: &item.place,
            })
        });
        let masked = self.masks.iter().map(|mask| Reference {
            target: &mask.target,
            kind: Kind::Table,
            schema: Some(&mask.column.schema),
            name: Some(&mask.column.table),
            columns: vec![&mask.column.name],
            place: &mask.place,
        });
        granted
            .filter(|reference| matches!(reference.kind, Kind::Table | Kind::Function))
            .chain(masked)
            .collect()
    }

    /// The masked columns of each table of a target, and whether rows may be looked up by them. A
    /// column that is named twice may be if both say so.
    pub(crate) fn masked(&self, target: &str) -> BTreeMap<(&str, &str), BTreeMap<&str, bool>> {
        let mut tables: BTreeMap<_, BTreeMap<&str, bool>> = BTreeMap::new();
        for Mask { column, lookup, .. } in self.masks.iter().filter(|mask| mask.target == target) {
            let table = (&*column.schema, &*column.table);
            let columns = tables.entry(table).or_default();
            *columns.entry(&column.name).or_insert(true) &= lookup;
        }
        tables
    }

    /// What it grants on a target, one verb on one entry each. What waits for somebody's approval is
    /// not granted.
    pub fn granted<'t>(&'t self, target: &'t str) -> impl Iterator<Item = Granted<'t>> {
        let grants = self.grants.iter();
        let grants = grants.filter(move |grant| grant.target == target && grant.approve.is_none());
        grants.flat_map(|grant| {
            grant.items.iter().flat_map(move |item| {
                let verbs = grant.verbs_on(item.pattern.kind);
                verbs.map(move |verb| Granted {
                    class: grant.class,
                    verb,
                    pattern: &item.pattern,
                    columns: grant.limited(verb),
                })
            })
        })
    }

    /// The targets that it has a grant on.
    pub fn targets(&self) -> BTreeSet<&str> {
        self.grants
            .iter()
            .map(|grant| grant.target.as_str())
            .collect()
    }
}

/// A time box that the task does not give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLong {
    /// No time at all.
    #[error("a time box of zero leaves the run no time; ask for at least a second")]
    Nothing,
    /// More than the task's `ttl`.
    #[error("task {0} gives a run at most {ttl}; ask for that or less", ttl = humantime::format_duration(*.1))]
    MoreThan(String, Duration),
}

/// One `[[read]]`, `[[write]]`, `[[destroy]]` or `[[admin]]` of a task.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The authority it gives.
    pub class: Class,
    /// Which one of its class it is in the file, counted from 1.
    pub number: usize,
    /// The target.
    pub target: String,
    /// What it allows, as written or by default. [`Verb::Execute`] concerns functions; the others
    /// concern the kinds of resource they make sense for.
    pub verbs: BTreeSet<Verb>,
    /// What it allows that on.
    pub items: Vec<Item>,
    /// The only columns it covers, if it has a list.
    pub columns: Option<BTreeSet<String>>,
    /// Who has to approve each use. This version has no approvals, so it denies.
    pub approve: Option<String>,
    /// Where it is.
    pub place: Place,
}

impl Grant {
    /// `read-1`, `write-2`: its name within the task.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.class, self.number)
    }

    /// The verbs it allows on a resource of this kind.
    pub(crate) fn verbs_on(&self, kind: Kind) -> impl Iterator<Item = Verb> + '_ {
        let locks = self.verbs.contains(&Verb::Update) && kind == Kind::Table;
        // An update locks the rows it changes, so whoever may update may lock.
        let lock = (locks && !self.verbs.contains(&Verb::Lock)).then_some(Verb::Lock);
        let listed = self.verbs.iter().copied();
        listed.filter(move |verb| applies(*verb, kind)).chain(lock)
    }

    /// Whether it names the resource at all, whatever the verb.
    pub(crate) fn covers(&self, resource: &Resource) -> bool {
        self.items.iter().any(|item| item.pattern.covers(resource))
    }

    /// Whether its column list is what limits this verb.
    pub(crate) fn limited(&self, verb: Verb) -> Option<&BTreeSet<String>> {
        self.columns.as_ref().filter(|_| has_columns(verb))
    }
}

/// One entry of a grant's `tables`, `functions`, `settings`, `roles` or `objects`.
#[derive(Clone, Debug)]
pub struct Item {
    /// The resources it covers.
    pub pattern: Pattern,
    /// Where it is.
    pub place: Place,
}

/// One column of a `[[mask]]`.
#[derive(Clone, Debug)]
pub struct Mask {
    /// The target.
    pub target: String,
    /// The column.
    pub column: Column,
    /// Whether rows may be looked up by it: compared for equality with a value of the call's own.
    pub lookup: bool,
    /// Where it is.
    pub place: Place,
}

/// One verb on one entry of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted<'t> {
    /// The authority it gives.
    pub class: Class,
    /// What it allows.
    pub verb: Verb,
    /// What it allows that on.
    pub pattern: &'t Pattern,
    /// The only columns, if there is a list and the verb has columns.
    pub columns: Option<&'t BTreeSet<String>>,
}

/// How a task wants the agent's process confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confine {
    /// Away from the gateway's files and processes.
    #[default]
    Default,
    /// And from every TCP port but the gateway's.
    GatewayOnly,
}

/// A table or function that a task names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The target it should be on.
    pub target: &'a str,
    /// [`Kind::Table`] or [`Kind::Function`].
    pub kind: Kind,
    /// Its schema.
    pub schema: Option<&'a str>,
    /// Its name; nothing where every one in the schema is meant.
    pub name: Option<&'a str>,
    /// The columns it should have.
    pub columns: Vec<&'a str>,
    /// Where the task says so.
    pub place: &'a Place,
}

/// Whether a column list has a meaning for the verb.
pub(crate) fn has_columns(verb: Verb) -> bool {
    matches!(verb, Verb::Select | Verb::Insert | Verb::Update)
}

/// Whether a verb can be granted on resources of this kind. The same as `appliesTo` in the schema,
/// which a test holds it to.
pub(crate) fn applies(verb: Verb, kind: Kind) -> bool {
    match verb {
        Verb::Select | Verb::Insert | Verb::Update | Verb::Lock | Verb::Delete | Verb::Truncate => {
            kind == Kind::Table
        }
        Verb::Execute => kind == Kind::Function,
        Verb::Drop | Verb::Create => matches!(
            kind,
            Kind::Table | Kind::Function | Kind::Object | Kind::Role
        ),
        Verb::Alter | Verb::Grant => kind != Kind::Target,
        Verb::Maintain => matches!(kind, Kind::Table | Kind::Object),
        Verb::Set => matches!(kind, Kind::Setting | Kind::Role),
        Verb::Session => kind == Kind::Target,
    }
}
