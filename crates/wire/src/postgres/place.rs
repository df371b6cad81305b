//! Where a session's names are looked for, and that it can move: by a search path, and back again by
//! the end of the transaction that set it. What is decided on must mean at the target what it meant
//! here, so whatever follows such a statement waits until the catalogue has been read again.

use bailiwick_action::{Action, Class, Kind, Verb};

use crate::sql::{Statement, StatementKind};

/// Why what follows is refused.
pub(super) const ADRIFT: &str = "a statement sent together with one before it after which names may \
    stand for something else (a search path, or the end of a transaction that changed one); send it \
    by itself, once that one is answered";

/// What of a session may move its names.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// A setting was changed that has to do with the meaning of texts.
    set: bool,
    /// A definition was changed in the transaction that is open.
    defined: bool,
    /// Something that moves names was sent, and its segment is not over.
    adrift: bool,
}

impl Place {
    /// Whether names may stand for something else after this statement.
    pub(super) fn moves(&self, statement: &Statement) -> bool {
        statement.actions.iter().any(sets) || self.reverts(statement)
    }

    /// Whether it takes back what the session has changed.
    fn reverts(&self, statement: &Statement) -> bool {
        let ends = matches!(
            statement.kind,
            StatementKind::Commit { .. }
                | StatementKind::Rollback { .. }
                | StatementKind::RollbackTo { .. }
                | StatementKind::Discard
                | StatementKind::Set { name: None }
        );
        ends && (self.set || self.defined)
    }

    /// It goes to the target, and more of its pipeline may come.
    pub(super) fn sent(&mut self, statement: &Statement) {
        self.adrift |= self.moves(statement);
    }

    /// What comes now is not what it seems.
    pub(super) fn is_adrift(&self) -> bool {
        self.adrift
    }

    /// It was carried out. Says whether the catalogue may be another now.
    pub(super) fn completed(&mut self, statement: &Statement) -> bool {
        let reverts = self.reverts(statement);
        let mut changes = false;
        for action in &statement.actions {
            self.set |= sets(action);
            changes |= action.class == Class::Admin || action.verb == Verb::Drop;
        }
        self.defined |= changes;
        changes || reverts
    }

    /// The target is ready for the next segment, in this transaction status.
    pub(super) fn ready(&mut self, status: u8) {
        self.adrift = false;
        self.defined &= status != b'I';
    }
}

/// Whether it changes how a text is read, or whose names are looked for.
fn sets(action: &Action) -> bool {
    action.verb == Verb::Set
        && (action.resource.kind != Kind::Setting
            || matches!(
                &*action.resource.name,
                "all"
                    | "backslash_quote"
                    | "client_encoding"
                    | "names"
                    | "role"
                    | "search_path"
                    | "session_authorization"
                    | "standard_conforming_strings"
            ))
}
