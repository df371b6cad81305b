//! From statements to calls: what a Query, a Parse or an Execute does, in the light of what the
//! session has named before.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_action::{Action, Call, Kind, Payload, Stage, WRITTEN_BACK};

use super::cover::{Cover, Covered};
use super::expect::Part;
use super::frame::Frame;
use super::names::{Change, Names, Portal, Prepared};
use super::place::{ADRIFT, Place};
use super::waiting::Reported;
use crate::limits::NAME_BYTES_MAX;
use crate::sql::{Catalogue, Outputs, Source, Statement, StatementKind, classify, of_type};
use crate::{Fault, Result, Veil};

/// The longest verb of a call, in bytes.
const VERB_BYTES_MAX: usize = 64;

/// No placeholder is longer than this, in bytes; what a COPY keeps of one message to see a
/// placeholder that is cut in two.
pub(super) const PLACEHOLDER_BYTES_MAX: usize = 32;

/// Why a session cannot name more.
pub(super) const FULL: &str = "more prepared statements, portals or cursors, or larger ones, than one \
                               session may hold; close some, or end the transaction";

/// Makes calls, for one session.
pub(super) struct Calls<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) veil: &'a dyn Veil,
    pub(super) cover: &'a Cover,
    /// How the target reads texts now.
    pub(super) reported: &'a Arc<Reported>,
}

/// A statement as it would run now.
struct Resolved {
    actions: Vec<Action>,
    /// What its results are made of.
    results: Arc<Prepared>,
    change: Option<Change>,
}

impl Calls<'_> {
    /// A call that cannot be allowed whatever the scope, and why.
    pub(super) fn refused(&self, verb: &str, text: String, why: String) -> Call {
        Call {
            protocol: super::PROTOCOL.name,
            verb: verb.to_owned(),
            actions: Vec::new(),
            refusal: Some(why),
            payload: Payload {
                text,
                values: Vec::new(),
            },
        }
    }

    /// The call that a Query is, its statements in order, and how far it could wait.
    pub(super) fn query(
        &self,
        text: &str,
        names: &Names,
        place: &Place,
    ) -> (Call, Vec<Part>, Stage) {
        let statements = match classify(text, self.catalogue) {
            Ok(statements) => statements,
            Err(refusal) => {
                let call = self.refused("NOT UNDERSTOOD", text.to_owned(), refusal.reason);
                return (call, Vec::new(), Stage::Retries);
            }
        };
        let verb = joined(&statements);
        let stage = stage(statements.iter().map(|statement| &statement.kind));
        let mut names = names.clone();
        let mut actions = BTreeSet::new();
        let mut parts: Vec<Part> = Vec::new();
        for statement in statements {
            if parts
                .iter()
                .any(|part| place.moves(&part.prepared.statement))
            {
                let call = self.refused(&verb, text.to_owned(), ADRIFT.to_owned());
                return (call, Vec::new(), stage);
            }
            let prepared = self.prepared(statement, text.to_owned(), Vec::new());
            match self.resolve(&prepared, &names) {
                Ok(resolved) => {
                    actions.extend(resolved.actions);
                    if let Some(change) = &resolved.change {
                        names.foresee(change.clone());
                    }
                    parts.push(Part {
                        prepared: resolved.results,
                        change: resolved.change,
                    });
                }
                Err(why) => {
                    let call = self.refused(&verb, text.to_owned(), why);
                    return (call, Vec::new(), stage);
                }
            }
        }
        if actions.is_empty() {
            actions.insert(Action::session());
        }
        let call = self.call(verb, actions, text.to_owned(), Vec::new());
        (call, parts, stage)
    }

    /// The call that a Parse is, and what it prepares; or the call to refuse in its place. `types` are
    /// those that it gives its placeholders.
    pub(super) fn prepare(
        &self,
        text: &str,
        types: &[u32],
        names: &Names,
    ) -> std::result::Result<(Call, Arc<Prepared>), Box<Call>> {
        let refused =
            |verb: &str, why: String| Err(Box::new(self.refused(verb, text.to_owned(), why)));
        let mut statements = match classify(text, self.catalogue) {
            Ok(statements) => statements.into_iter(),
            Err(refusal) => return refused("NOT UNDERSTOOD", refusal.reason),
        };
        let mut statement = statements.next().unwrap_or_else(|| {
            Statement::housekeeping("EMPTY", StatementKind::Plain, Outputs::None)
        });
        // A value that is bound is made by its type.
        let mut made = types
            .iter()
            .flat_map(|oid| of_type(*oid, self.catalogue))
            .peekable();
        if made.peek().is_some() {
            statement.actions.extend(made);
            statement.actions.sort();
            statement.actions.dedup();
        }
        if statements.next().is_some() {
            return refused(
                "PREPARE",
                "several statements in one prepared statement".into(),
            );
        }
        if names.is_full() {
            return refused("PREPARE", FULL.into());
        }
        let verb = format!("PREPARE {}", statement.verb);
        let prepared = self.prepared(statement, text.to_owned(), types.to_vec());
        // What it names is looked up again when it runs; here it may not exist yet.
        let actions = match self.resolve(&prepared, names) {
            Ok(resolved) => resolved.actions,
            Err(_) => prepared.statement.actions.clone(),
        };
        let call = self.call(
            clipped(verb),
            actions.into_iter().collect(),
            text.to_owned(),
            Vec::new(),
        );
        match call.refusal {
            Some(_) => Err(Box::new(call)),
            None => Ok((call, prepared)),
        }
    }

    /// The call that an Execute of a portal is (or its Bind alone), what its rows are made of, and
    /// what it changes.
    pub(super) fn portal(
        &self,
        portal: &Portal,
        executes: bool,
        names: &Names,
    ) -> (Call, Arc<Prepared>, Option<Change>) {
        let prepared = &portal.prepared;
        let verb = match executes {
            true => prepared.statement.verb.to_owned(),
            false => clipped(format!("BIND {}", prepared.statement.verb)),
        };
        match self.resolve(prepared, names) {
            Ok(resolved) => {
                let call = self.call(
                    verb,
                    resolved.actions.into_iter().collect(),
                    prepared.text.clone(),
                    portal.values.clone(),
                );
                (call, resolved.results, resolved.change)
            }
            Err(why) => {
                let call = self.refused(&verb, prepared.text.clone(), why);
                (call, Arc::clone(prepared), None)
            }
        }
    }

    /// A statement that is prepared now.
    fn prepared(&self, statement: Statement, text: String, types: Vec<u32>) -> Arc<Prepared> {
        let reported = Arc::clone(self.reported);
        Prepared::new(statement, text, types, self.cover, reported)
    }

    /// What a statement does now, given what is named.
    fn resolve(
        &self,
        prepared: &Arc<Prepared>,
        names: &Names,
    ) -> std::result::Result<Resolved, String> {
        let statement = &prepared.statement;
        if let Some((source, covered)) = exposed_unseen(statement, self.cover) {
            let (masked, by) = match covered.named {
                Some(_) => ("masked", "through a view "),
                None => ("a copy of a masked column", ""),
            };
            return Err(format!(
                "column {} of {}.{} is {masked}, and is used {by}in a condition, an ordering or a \
                 write, where masking cannot reach",
                source.column, source.schema, source.table
            ));
        }
        let mut actions = statement.actions.clone();
        let mut results = Arc::clone(prepared);
        let mut change = None;
        match &statement.kind {
            StatementKind::Prepare { name, inner } => {
                check_name(name)?;
                let inner = self.prepared((**inner).clone(), prepared.text.clone(), Vec::new());
                change = Some(Change::Prepare(name.clone(), inner));
            }
            StatementKind::Execute { name } => {
                let found = names
                    .statement(name)
                    .ok_or("EXECUTE of a prepared statement that does not exist in this session")?;
                // The protocol can prepare what SQL cannot: another EXECUTE, or a command that changes
                // what names mean. Neither would be seen here.
                if !matches!(found.statement.kind, StatementKind::Plain) {
                    return Err(format!(
                        "EXECUTE of a prepared {}, which is a command of the session and no query; \
                         send it by itself",
                        found.statement.verb
                    ));
                }
                actions.extend(found.statement.actions.iter().cloned());
                results = Arc::clone(found);
            }
            StatementKind::Declare { cursor } => {
                check_name(cursor)?;
                let portal = Portal {
                    prepared: Arc::clone(prepared),
                    values: Vec::new(),
                    sense: [0; 32],
                    formats: Vec::new(),
                    cursor: true,
                };
                change = Some(Change::Open(cursor.clone(), Arc::new(portal)));
            }
            StatementKind::Fetch { cursor } => {
                let found = names
                    .portal(cursor)
                    .ok_or("FETCH from a cursor that does not exist in this session")?;
                let of = &found.prepared.statement;
                if !matches!(
                    of.kind,
                    StatementKind::Plain | StatementKind::Declare { .. }
                ) {
                    return Err(format!(
                        "FETCH from a portal of {}, which is no query",
                        of.verb
                    ));
                }
                actions.extend(found.prepared.statement.actions.iter().cloned());
                results = Arc::clone(&found.prepared);
            }
            StatementKind::Deallocate { name } => {
                change = Some(Change::Deallocate(name.clone()));
            }
            StatementKind::Close { cursor } => change = Some(Change::Close(cursor.clone())),
            StatementKind::Discard => change = Some(Change::DiscardAll),
            _ => {}
        }
        if matches!(change, Some(Change::Prepare(..) | Change::Open(..))) && names.is_full() {
            return Err(FULL.into());
        }
        Ok(Resolved {
            actions,
            results,
            change,
        })
    }

    fn call(
        &self,
        verb: String,
        actions: BTreeSet<Action>,
        text: String,
        values: Vec<Option<String>>,
    ) -> Call {
        let mut call = Call {
            protocol: super::PROTOCOL.name,
            verb,
            actions: actions.into_iter().collect(),
            refusal: None,
            payload: Payload { text, values },
        };
        let writes_back = call.class().has_effect()
            && (self.veil.has_placeholder(call.payload.text.as_bytes())
                || call
                    .payload
                    .values
                    .iter()
                    .flatten()
                    .any(|value| self.veil.has_placeholder(value.as_bytes())));
        if writes_back {
            call.refusal = Some(WRITTEN_BACK.into());
        }
        call
    }
}

/// What may be done with statements that are sent together while people are asked about them.
pub(super) fn stage<'k>(kinds: impl IntoIterator<Item = &'k StatementKind>) -> Stage {
    let mut kinds = kinds.into_iter();
    let mut stage = match kinds.next() {
        Some(kind) => alone(kind),
        None => Stage::Waits,
    };
    for kind in kinds {
        stage = match (stage, alone(kind)) {
            (unfinished @ Stage::Unfinished(_), _) | (_, unfinished @ Stage::Unfinished(_)) => {
                unfinished
            }
            _ => Stage::Retries,
        };
    }
    stage
}

/// The same of one statement. What does not say all that it does is nothing to say yes to: what was prepared
/// or declared before, or is sent after it, may be anything.
fn alone(kind: &StatementKind) -> Stage {
    match kind {
        StatementKind::Prepare { .. } => Stage::Prepares,
        StatementKind::Execute { .. } => Stage::Unfinished(
            "it executes what was prepared before, which is not in it; send the statement itself",
        ),
        StatementKind::Declare { .. } | StatementKind::Fetch { .. } => Stage::Unfinished(
            "a cursor's rows cannot be approved one by one; send its query by itself",
        ),
        StatementKind::CopyIn => Stage::Unfinished(
            "its data follows it, so nobody could say what it is; send it as INSERT",
        ),
        _ => Stage::Waits,
    }
}

/// Whether any column that the statement touches is masked.
pub(super) fn reads_masked(statement: &Statement, cover: &Cover) -> bool {
    let acted = statement.actions.iter().any(|action| {
        action.resource.kind == Kind::Table
            && action.columns.iter().any(|column| {
                let schema = action.resource.schema.as_deref().unwrap_or_default();
                cover.of(schema, &action.resource.name, column).is_some()
            })
    });
    let touched = &statement.touched;
    acted
        || touched
            .iter()
            .any(|source| cover.of_source(source).is_some())
}

/// A masked column that a statement uses where masking cannot reach and the scope's own rule does not
/// see it: through a view, or as a copy. The scope sees those that it names and the statement does too.
fn exposed_unseen<'s>(statement: &'s Statement, cover: &Cover) -> Option<(&'s Source, Covered)> {
    statement.exposed_sources.iter().find_map(|source| {
        let covered = cover.of_source(source)?;
        let looked_up = statement.looked_up.contains(source);
        if looked_up && covered.lookup {
            return None;
        }
        let direct = statement.actions.iter().any(|action| {
            action.resource.kind == Kind::Table
                && action.resource.schema.as_deref() == Some(&source.schema)
                && action.resource.name == source.table
                && action.exposed.contains(&source.column)
        });
        // The scope would let a lookup pass that one of the column's copies does not allow.
        let denied = covered.named == Some(false) || covered.named.is_some() && !looked_up;
        (!direct || !denied).then_some((source, covered))
    })
}

/// Checks a ParameterStatus for what the gateway relies on: that the target reads a statement as the
/// gateway does.
pub(super) fn check_setting(frame: &Frame) -> Result<()> {
    let mut reader = frame.reader();
    let (Some(name), Some(value)) = (reader.c_string(), reader.c_string()) else {
        return Err(Fault::Target("a malformed parameter status".into()));
    };
    let fine = match &*name {
        "client_encoding" => value.eq_ignore_ascii_case("UTF8"),
        "standard_conforming_strings" => value == "on",
        _ => true,
    };
    if fine {
        Ok(())
    } else {
        Err(Fault::Target(format!(
            "its setting {name} is `{value}`; statements would mean something else there than here"
        )))
    }
}

/// A bound value for the record: its text where it is text, else hexadecimal.
pub(super) fn value_text(value: &[u8], binary: bool) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !binary || !text.chars().any(char::is_control) => text.to_owned(),
        _ => value.iter().fold("\\x".to_owned(), |mut text, byte| {
            use std::fmt::Write;
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

/// The gateway's own name for a portal that does not exist starts so.
fn check_name(name: &str) -> std::result::Result<(), String> {
    if name.len() > NAME_BYTES_MAX {
        Err("a name of more than 63 bytes".into())
    } else if name.starts_with("bailiwick") {
        Err("a name that starts with `bailiwick`, which the gateway keeps for itself".into())
    } else {
        Ok(())
    }
}

fn joined(statements: &[Statement]) -> String {
    let verbs: Vec<_> = statements.iter().map(|statement| statement.verb).collect();
    match verbs.as_slice() {
        [] => "EMPTY".into(),
        verbs => clipped(verbs.join("; ")),
    }
}

fn clipped(mut verb: String) -> String {
    // Verbs are this crate's own words, all ASCII.
    verb.truncate(VERB_BYTES_MAX);
    verb
}
