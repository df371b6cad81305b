use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bailiwick_action::{Action, Class, DetectedSet, FieldPath, Kind, Pin, Resource, Verb};

use crate::condition::Condition;
use crate::covered::{Covered, is_matched};
use crate::digest::Digest;
use crate::name::{Column, Pattern};
use crate::pins::Pins;
use crate::problem::Place;

/// What the name of an entry's second policy ends with: the one for verbs that its columns do not limit.
pub(crate) const LOCK: &str = "/lock";

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
    /// The environment variables that the agent's process gets, and the target each points to:
    /// `TARGET`, or `FORM:TARGET` for one of the forms that the target has.
    pub env: BTreeMap<String, String>,
    /// What its runs may do, in the order of the file, reads first.
    pub grants: Vec<Grant>,
    /// The columns whose values its runs never see, those that every task masks among them.
    pub masks: Vec<Mask>,
    /// The fields of JSON results whose values its runs never see, likewise.
    pub fields: Vec<MaskedField>,
    /// The columns of which its runs see some of what detectors find.
    pub clears: Vec<Clear>,
    /// How the agent's process is confined.
    pub confine: Confine,
    /// Whether the agent's process is to reach its targets through the gateway as a proxy.
    pub proxy: bool,
    /// Which definition of each tool it was written for: the file `tasks/NAME.pins`.
    pub pins: Pins,
    /// `sha256:` and the digest of the file, of its pins, of the operations that it names and of what every task
    /// masks.
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
            grant.named().map(move |(pattern, place)| Reference {
                target: &grant.target,
                kind: pattern.kind,
                schema: pattern.schema.as_deref(),
                name: pattern.name.as_deref(),
                columns: match (&grant.columns, pattern.kind) {
                    (Some(columns), Kind::Table) => columns.iter().map(String::as_str).collect(),
                    _ => Vec::new(),
                },
                place,
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
        let cleared = self.clears.iter().map(|clear| Reference {
            target: &clear.target,
            kind: Kind::Table,
            schema: Some(&clear.column.schema),
            name: Some(&clear.column.table),
            columns: vec![&clear.column.name],
            place: &clear.place,
        });
        granted
            .filter(|reference| matches!(reference.kind, Kind::Table | Kind::Function))
            .chain(masked)
            .chain(cleared)
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

    /// What it grants of what has a name on a target, one verb on one entry each, whether or not somebody has
    /// to approve each use.
    pub fn granted<'t>(&'t self, target: &'t str) -> impl Iterator<Item = Granted<'t>> {
        let grants = self.grants.iter();
        let grants = grants.filter(move |grant| grant.target == target);
        grants.flat_map(|grant| {
            grant.named().flat_map(move |(pattern, _)| {
                let verbs = grant.verbs_on(pattern.kind);
                verbs.map(move |verb| Granted {
                    class: grant.class,
                    verb,
                    pattern,
                    columns: grant.limited(verb),
                })
            })
        })
    }

    /// The names of all entries of its grants: `read-1/public.tickets`, `write-2/tool add_comment`.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        let grants = self.grants.iter();
        grants.flat_map(|grant| grant.items.iter().map(|item| grant.entry(item)))
    }

    /// The entry that a policy of its runs was made for, by the policy's name in a decision, with or without
    /// `task:NAME/`. Nothing for policies that no entry asks for: those for a session's housekeeping, those
    /// that mask, and guardrails.
    pub fn entry_of(&self, policy: &str) -> Option<String> {
        let own = policy.strip_prefix("task:").and_then(|rest| {
            let rest = rest.strip_prefix(self.name.as_str())?;
            rest.strip_prefix('/')
        });
        let policy = own.unwrap_or(policy);
        // Where columns limit some of an entry's verbs, the others have a policy of their own.
        let of_others = policy.strip_suffix(LOCK);
        let mut entries = self.entries();
        entries.find(|entry| entry == policy || Some(entry.as_str()) == of_others)
    }

    /// The targets that it has a grant on.
    pub fn targets(&self) -> BTreeSet<&str> {
        self.grants
            .iter()
            .map(|grant| grant.target.as_str())
            .collect()
    }

    /// The names of the tools of a target that it grants, whether or not somebody has to approve each use.
    pub fn tools<'t>(&'t self, target: &str) -> BTreeSet<&'t str> {
        let named = self.on(target).flat_map(|grant| grant.named());
        named
            .filter(|(pattern, _)| pattern.kind == Kind::Tool)
            .filter_map(|(pattern, _)| pattern.name.as_deref())
            .collect()
    }

    /// Whether a tool of a target has to be the one that the task was written for: it may be another only
    /// where every grant that names it says so.
    pub(crate) fn pin(&self, target: &str, tool: &str) -> Pin {
        let tool = Resource::named(Kind::Tool, tool);
        let mut naming = self
            .on(target)
            .filter(|grant| grant.covers(&tool))
            .peekable();
        let granted = naming.peek().is_some();
        if granted && naming.all(|grant| grant.unpinned) {
            return Pin::Unpinned;
        }
        let pinned = self
            .pins
            .get(target)
            .and_then(|tools| tools.get(&tool.name));
        pinned.map_or(Pin::Missing, |digest| Pin::Digest(*digest))
    }

    /// The grants on a target.
    pub(crate) fn on(&self, target: &str) -> impl Iterator<Item = &Grant> {
        self.grants
            .iter()
            .filter(move |grant| grant.target == target)
    }

    /// The class that it gives a request, a tool call or a server's use of a feature: the heaviest of the
    /// grants that are met. Nothing where none is, or where the verb alone says it.
    pub(crate) fn class_of(&self, target: &str, action: &Action) -> Option<Class> {
        let kind = action.resource.kind;
        if !matches!(kind, Kind::Feature | Kind::Request | Kind::Tool) {
            return None;
        }
        let met = self
            .on(target)
            .filter(|grant| grant.might_meet(action).next().is_some());
        met.map(|grant| grant.class).max()
    }

    /// The entries of its grants on a target that an action meets, by their names, as its policies ask for
    /// them.
    pub(crate) fn met(&self, target: &str, action: &Action) -> BTreeSet<String> {
        if !is_matched(action.resource.kind) {
            return BTreeSet::new();
        }
        let grants = self.on(target);
        grants
            .flat_map(|grant| grant.met(action).map(|item| grant.entry(item)))
            .collect()
    }

    /// The same, and those that hold for somebody's approval what this might be.
    pub(crate) fn might_meet(&self, target: &str, action: &Action) -> BTreeSet<String> {
        if !is_matched(action.resource.kind) {
            return BTreeSet::new();
        }
        let grants = self.on(target);
        grants
            .flat_map(|grant| grant.might_meet(action).map(|item| grant.entry(item)))
            .collect()
    }

    /// The same task with what is masked in every task, of the targets that it has grants on.
    pub(crate) fn masking(self, masks: &[Mask], fields: &[MaskedField]) -> Self {
        let masks = masks.iter().filter(|mask| self.uses(&mask.target));
        let fields = fields.iter().filter(|field| self.uses(&field.target));
        let (masks, fields): (Vec<Mask>, Vec<MaskedField>) =
            (masks.cloned().collect(), fields.cloned().collect());
        if masks.is_empty() && fields.is_empty() {
            return self;
        }
        let mut digest = Digest::new().part(self.digest.as_bytes()).part(b"masks");
        for Mask {
            target,
            column,
            lookup,
            ..
        } in &masks
        {
            let Column {
                schema,
                table,
                name,
            } = column;
            for part in [target, schema, table, name] {
                digest = digest.part(part.as_bytes());
            }
            digest = digest.part(&[u8::from(*lookup)]);
        }
        for field in &fields {
            let path = field.path.to_string();
            digest = digest.part(field.target.as_bytes()).part(path.as_bytes());
        }
        Self {
            digest: digest.finish(),
            masks: [self.masks, masks].concat(),
            fields: [self.fields, fields].concat(),
            ..self
        }
    }

    fn uses(&self, target: &str) -> bool {
        self.on(target).next().is_some()
    }

    /// The same task with its pins, read from this text.
    pub(crate) fn with_pins(self, pins: Pins, text: &str) -> Self {
        let digest = Digest::new().part(self.digest.as_bytes()).part(b"pins");
        Self {
            pins,
            digest: digest.part(text.as_bytes()).finish(),
            ..self
        }
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
    /// What it allows, as written or by default; each concerns the kinds of resource it makes sense for.
    pub verbs: BTreeSet<Verb>,
    /// What it allows that on.
    pub items: Vec<Item>,
    /// The only columns it covers, if it has a list.
    pub columns: Option<BTreeSet<String>>,
    /// What a request or a tool call has to have, all of it.
    pub conditions: Vec<Condition>,
    /// Whether results may be of a type that cannot be looked into, and so not masked.
    pub binary: bool,
    /// Whether its tools may have another definition than the task was written for.
    pub unpinned: bool,
    /// Who has to approve each use: `group:data-owners`, `human:alice@acme.com`.
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
        // An update locks the rows it changes, so whoever may update may lock rows. To lock the whole table
        // against others is another verb.
        let lock = (locks && !self.verbs.contains(&Verb::Lock)).then_some(Verb::Lock);
        let listed = self.verbs.iter().copied();
        listed.filter(move |verb| applies(*verb, kind)).chain(lock)
    }

    /// Whether it names the resource at all, whatever the verb and its conditions.
    pub(crate) fn covers(&self, resource: &Resource) -> bool {
        self.items.iter().any(|item| item.covered.covers(resource))
    }

    /// What it covers by name, and where it says so.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&Pattern, &Place)> {
        let items = self.items.iter();
        items.filter_map(|item| Some((item.covered.named()?, &item.place)))
    }

    /// Those of its entries that an action meets, for what is matched before Cedar is asked.
    pub(crate) fn met<'g>(&'g self, action: &'g Action) -> impl Iterator<Item = &'g Item> {
        self.matching(action, |condition| condition.met(&action.facts))
    }

    /// The same, but a grant that holds for somebody's approval is met by whatever might be what it holds.
    pub(crate) fn might_meet<'g>(&'g self, action: &'g Action) -> impl Iterator<Item = &'g Item> {
        self.matching(action, |condition| match self.approve {
            None => condition.met(&action.facts),
            Some(_) => condition.might_be_met(&action.facts),
        })
    }

    fn matching<'g>(
        &'g self,
        action: &'g Action,
        met: impl Fn(&Condition) -> bool,
    ) -> impl Iterator<Item = &'g Item> {
        let all = self.conditions.iter().all(met);
        let items = self.items.iter();
        items.filter(move |item| all && item.covered.covers(&action.resource))
    }

    /// The name of one of its entries within the task: `read-1/GET /customers/*`,
    /// `write-2/tool add_comment`.
    pub(crate) fn entry(&self, item: &Item) -> String {
        let covered = &item.covered;
        let name = self.name();
        match covered {
            Covered::Named(Pattern {
                kind: Kind::Table, ..
            })
            | Covered::Requests(_) => format!("{name}/{covered}"),
            // The same entry may stand for an object in a schema and for one outside any.
            Covered::Named(Pattern {
                kind: Kind::Object,
                schema: Some(_),
                ..
            }) => format!("{name}/object in schema {covered}"),
            _ => format!("{name}/{} {covered}", covered.kind().as_str()),
        }
    }

    /// Whether its column list is what limits this verb.
    pub(crate) fn limited(&self, verb: Verb) -> Option<&BTreeSet<String>> {
        self.columns.as_ref().filter(|_| has_columns(verb))
    }
}

/// One entry of a grant's `tables`, `functions`, `requests`, `tools` and so on.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it covers.
    pub covered: Covered,
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

/// One field of a `[[mask]]`.
#[derive(Clone, Debug)]
pub struct MaskedField {
    /// The target.
    pub target: String,
    /// The field, in the JSON that the target answers with.
    pub path: FieldPath,
    /// Where it is.
    pub place: Place,
}

/// One column of a `[[clear]]`.
#[derive(Clone, Debug)]
pub struct Clear {
    /// The target.
    pub target: String,
    /// The column.
    pub column: Column,
    /// What of it is let through.
    pub kinds: DetectedSet,
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
        Verb::Execute => matches!(kind, Kind::Feature | Kind::Function | Kind::Tool),
        Verb::Get => matches!(kind, Kind::Prompt | Kind::Uri),
        Verb::Request => kind == Kind::Request,
        Verb::Drop | Verb::Create => matches!(
            kind,
            Kind::Table | Kind::Function | Kind::Object | Kind::Role
        ),
        Verb::Alter | Verb::Grant => matches!(
            kind,
            Kind::Table | Kind::Function | Kind::Object | Kind::Role | Kind::Setting
        ),
        Verb::Maintain => matches!(kind, Kind::Table | Kind::Object),
        Verb::Set => matches!(kind, Kind::Setting | Kind::Role),
        Verb::Session => kind == Kind::Target,
    }
}
