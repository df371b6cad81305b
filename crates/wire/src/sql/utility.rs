//! Whole statements: which of them there are, and those that are neither queries nor definitions.

use bailiwick_action::{Action, Kind, Resource, Verb};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    self, AConst, CallStmt, ClusterStmt, CreateTableAsStmt, DeallocateStmt, DeclareCursorStmt,
    DefElem, DiscardMode, DiscardStmt, ExecuteStmt, ExplainStmt, FetchStmt, LockStmt, Node,
    ObjectType, PrepareStmt, RefreshMatViewStmt, ReindexStmt, SelectStmt, SetOperation,
    TransactionStmt, TransactionStmtKind, TruncateStmt, VacuumRelation, VacuumStmt,
    VariableSetKind, VariableSetStmt, a_const,
};

use super::parse::parse_view;
use super::scope::{Derived, Env};
use super::settings::harmless_setting;
use super::walk::{Closed, Walked, Walker, kind, present, refuse};
use super::{Lineage, Outputs, Statement, StatementKind};

/// What a statement is, beside the book that was kept of it.
pub(super) struct What {
    pub(super) verb: &'static str,
    pub(super) outputs: Outputs,
    pub(super) kind: StatementKind,
}

impl What {
    /// A statement without a result that changes nothing of the session.
    pub(super) fn plain(verb: &'static str) -> Self {
        Self {
            verb,
            outputs: Outputs::None,
            kind: StatementKind::Plain,
        }
    }

    pub(super) fn kind(verb: &'static str, kind: StatementKind) -> Self {
        Self {
            kind,
            ..Self::plain(verb)
        }
    }

    pub(super) fn rows(verb: &'static str, outputs: Outputs) -> Self {
        Self {
            outputs,
            ..Self::plain(verb)
        }
    }
}

impl Walker<'_> {
    /// A statement of a text.
    pub(super) fn statement(&mut self, node: &Node) -> Walked<Statement> {
        let found = self.deeper(|walker| walker.found(kind(node)?))?;
        let What {
            verb,
            outputs,
            kind,
        } = found;
        let Closed {
            actions,
            exposed: exposed_sources,
            looked_up,
            touched,
        } = self.close();
        Ok(Statement {
            verb,
            actions,
            outputs,
            exposed_sources,
            looked_up,
            touched,
            kind,
        })
    }

    pub(super) fn found(&mut self, node: &NodeEnum) -> Walked<What> {
        let env = Env::default();
        match node {
            NodeEnum::SelectStmt(select) => {
                let derived = self.select(select, &env)?;
                if makes_table(select) {
                    return Ok(What::plain("SELECT INTO"));
                }
                let outputs = self.outputs(&derived)?;
                Ok(What::rows("SELECT", outputs))
            }
            NodeEnum::InsertStmt(insert) => {
                let derived = self.insert(insert, &env)?;
                self.written("INSERT", insert.returning_clause.is_some(), &derived)
            }
            NodeEnum::UpdateStmt(update) => {
                let derived = self.update(update, &env)?;
                self.written("UPDATE", update.returning_clause.is_some(), &derived)
            }
            NodeEnum::DeleteStmt(delete) => {
                let derived = self.delete(delete, &env)?;
                self.written("DELETE", delete.returning_clause.is_some(), &derived)
            }
            NodeEnum::MergeStmt(merge) => {
                let derived = self.merges(merge, &env)?;
                self.written("MERGE", merge.returning_clause.is_some(), &derived)
            }
            NodeEnum::TransactionStmt(statement) => self.transaction(statement),
            NodeEnum::VariableSetStmt(statement) => self.set(statement),
            NodeEnum::VariableShowStmt(statement) => {
                let outputs = match &*statement.name {
                    "all" => Outputs::Unknown,
                    _ => Outputs::Columns(vec![Lineage::default()]),
                };
                Ok(What::rows("SHOW", outputs))
            }
            NodeEnum::ExplainStmt(statement) => self.explain(statement),
            NodeEnum::CopyStmt(statement) => self.copy(statement),
            NodeEnum::PrepareStmt(statement) => self.prepare(statement),
            NodeEnum::ExecuteStmt(statement) => {
                let ExecuteStmt { name, params } = statement;
                let flow = self.all(params, &env)?;
                self.expose(&flow)?;
                Ok(What {
                    verb: "EXECUTE",
                    outputs: Outputs::Unknown,
                    kind: StatementKind::Execute { name: name.clone() },
                })
            }
            NodeEnum::DeallocateStmt(DeallocateStmt {
                name,
                isall,
                location: _,
            }) => {
                let name = (!isall && !name.is_empty()).then(|| name.clone());
                Ok(What::kind("DEALLOCATE", StatementKind::Deallocate { name }))
            }
            NodeEnum::DeclareCursorStmt(statement) => {
                let DeclareCursorStmt {
                    portalname,
                    options: _,
                    query,
                } = &**statement;
                let NodeEnum::SelectStmt(select) = kind(present(query.as_deref())?)? else {
                    return refuse("a cursor for something else than a query");
                };
                let derived = self.select(select, &env)?;
                Ok(What {
                    verb: "DECLARE CURSOR",
                    outputs: self.outputs(&derived)?,
                    kind: StatementKind::Declare {
                        cursor: portalname.clone(),
                    },
                })
            }
            NodeEnum::FetchStmt(FetchStmt {
                direction: _,
                how_many: _,
                portalname,
                ismove,
            }) => {
                let kind = StatementKind::Fetch {
                    cursor: portalname.clone(),
                };
                Ok(match ismove {
                    true => What::kind("MOVE", kind),
                    false => What {
                        verb: "FETCH",
                        outputs: Outputs::Unknown,
                        kind,
                    },
                })
            }
            NodeEnum::ClosePortalStmt(statement) => {
                let name = &statement.portalname;
                let cursor = (!name.is_empty()).then(|| name.clone());
                Ok(What::kind("CLOSE", StatementKind::Close { cursor }))
            }
            NodeEnum::DiscardStmt(DiscardStmt { target }) => match DiscardMode::try_from(*target) {
                Ok(DiscardMode::DiscardAll) => {
                    Ok(What::kind("DISCARD ALL", StatementKind::Discard))
                }
                Ok(
                    DiscardMode::DiscardPlans
                    | DiscardMode::DiscardSequences
                    | DiscardMode::DiscardTemp,
                ) => Ok(What::plain("DISCARD")),
                _ => refuse("a DISCARD that is not known"),
            },
            NodeEnum::CallStmt(statement) => {
                let CallStmt {
                    funccall,
                    funcexpr,
                    outargs,
                } = &**statement;
                if funcexpr.is_some() || !outargs.is_empty() {
                    return refuse("a CALL that is not known");
                }
                let flow = self.call(present(funccall.as_deref())?, &env)?;
                self.expose(&flow)?;
                Ok(What::rows("CALL", Outputs::Unknown))
            }
            NodeEnum::DoStmt(_) => refuse(
                "DO, whose code is not looked into; send its statements one by one, or CALL a \
                 procedure that the task may execute",
            ),
            NodeEnum::LockStmt(LockStmt {
                relations,
                mode,
                nowait: _,
            }) => {
                let verb = locking(*mode);
                for relation in relations {
                    match kind(relation)? {
                        NodeEnum::RangeVar(named) => self.does_to(verb, named)?,
                        _ => return refuse("a LOCK of something that is not known"),
                    };
                }
                Ok(What::plain("LOCK TABLE"))
            }
            NodeEnum::TruncateStmt(TruncateStmt {
                relations,
                restart_seqs: _,
                behavior,
            }) => {
                self.restricted(*behavior)?;
                for relation in relations {
                    match kind(relation)? {
                        NodeEnum::RangeVar(named) => self.does_to(Verb::Truncate, named)?,
                        _ => return refuse("a TRUNCATE of something that is not known"),
                    };
                }
                Ok(What::plain("TRUNCATE"))
            }
            NodeEnum::CreateTableAsStmt(statement) => self.create_table_as(statement),
            NodeEnum::RefreshMatViewStmt(RefreshMatViewStmt {
                concurrent: _,
                skip_data: _,
                relation,
            }) => {
                let named = present(relation.as_ref())?;
                self.does_to(Verb::Maintain, named)?;
                let (schema, name) = self.named(named)?;
                let view = match schema {
                    Some(schema) => self.catalogue.relation(schema, name),
                    None => self.catalogue.visible_relation(name),
                };
                if let Some(definition) = view.and_then(|view| view.definition.as_deref()) {
                    self.charge(definition.len())?;
                    let query = parse_view(definition)?;
                    let derived = self.select(&query, &env)?;
                    self.expose(&derived.whole())?;
                }
                Ok(What::plain("REFRESH MATERIALIZED VIEW"))
            }
            NodeEnum::VacuumStmt(VacuumStmt {
                options: _,
                rels,
                is_vacuumcmd,
            }) => {
                for rel in rels {
                    let NodeEnum::VacuumRelation(VacuumRelation {
                        relation,
                        oid: 0,
                        va_cols: _,
                    }) = kind(rel)?
                    else {
                        return refuse("a VACUUM of something that is not known");
                    };
                    self.does_to(Verb::Maintain, present(relation.as_ref())?)?;
                }
                if rels.is_empty() {
                    self.object(Verb::Maintain, "database", self.catalogue.database());
                }
                Ok(What::plain(if *is_vacuumcmd {
                    "VACUUM"
                } else {
                    "ANALYZE"
                }))
            }
            NodeEnum::ClusterStmt(ClusterStmt {
                relation,
                indexname: _,
                params: _,
            }) => {
                match relation {
                    Some(named) => drop(self.does_to(Verb::Maintain, named)?),
                    None => self.object(Verb::Maintain, "database", self.catalogue.database()),
                }
                Ok(What::plain("CLUSTER"))
            }
            NodeEnum::ReindexStmt(ReindexStmt {
                kind: _,
                relation,
                name,
                params: _,
            }) => {
                match relation {
                    // It may be an index, which the catalogue does not have.
                    Some(named) => {
                        let (schema, name) = self.named(named)?;
                        let name = dotted(schema, name);
                        self.object(Verb::Maintain, "index", &name);
                    }
                    None => self.object(Verb::Maintain, "index", name),
                }
                Ok(What::plain("REINDEX"))
            }
            NodeEnum::CheckPointStmt(_) => {
                self.object(Verb::Maintain, "server", "");
                Ok(What::plain("CHECKPOINT"))
            }
            NodeEnum::LoadStmt(_) => {
                self.object(Verb::Maintain, "server", "files");
                Ok(What::plain("LOAD"))
            }
            NodeEnum::AlterSystemStmt(statement) => {
                self.object(Verb::Maintain, "server", "");
                let setting = present(statement.setstmt.as_ref())?;
                self.sets(match setting.name.is_empty() {
                    true => "all",
                    false => &setting.name,
                });
                Ok(What::plain("ALTER SYSTEM"))
            }
            NodeEnum::NotifyStmt(statement) => {
                self.object(Verb::Maintain, "channel", &statement.conditionname);
                Ok(What::plain("NOTIFY"))
            }
            NodeEnum::ListenStmt(statement) => {
                self.object(Verb::Maintain, "channel", &statement.conditionname);
                Ok(What::plain("LISTEN"))
            }
            NodeEnum::UnlistenStmt(_) => Ok(What::plain("UNLISTEN")),
            NodeEnum::ConstraintsSetStmt(_) => Ok(What::plain("SET CONSTRAINTS")),
            _ => self.define(node).map(What::plain),
        }
    }

    /// The result of a write.
    fn written(&mut self, verb: &'static str, returning: bool, derived: &Derived) -> Walked<What> {
        Ok(match returning {
            true => What::rows(verb, self.outputs(derived)?),
            false => What::plain(verb),
        })
    }

    pub(super) fn outputs(&mut self, derived: &Derived) -> Walked<Outputs> {
        if derived.open.is_some() {
            return Ok(Outputs::Unknown);
        }
        let mut columns = Vec::new();
        for column in &derived.columns {
            // Spelt out, a source is larger than its number.
            self.charge(4 * column.flow.len())?;
            columns.push(Lineage {
                sources: self.sources.set(&column.flow),
                type_oid: column.type_oid,
            });
        }
        Ok(Outputs::Columns(columns))
    }

    /// Takes down a verb on an object without a kind of its own.
    pub(super) fn object(&mut self, verb: Verb, what: &str, name: &str) {
        let name = match name.is_empty() {
            true => what.to_owned(),
            false => format!("{what} {name}"),
        };
        self.act(Action::new(verb, Resource::named(Kind::Object, name)));
    }

    /// Refuses what reaches objects that the statement does not name.
    pub(super) fn restricted(&self, behavior: i32) -> Walked<()> {
        match protobuf::DropBehavior::try_from(behavior) {
            Ok(protobuf::DropBehavior::DropRestrict | protobuf::DropBehavior::Undefined) => Ok(()),
            _ => refuse("CASCADE, which reaches what the statement does not name; name everything"),
        }
    }

    fn transaction(&mut self, statement: &TransactionStmt) -> Walked<What> {
        let TransactionStmt {
            kind,
            options,
            savepoint_name,
            gid: _,
            chain,
            location: _,
        } = statement;
        let (name, chain) = (savepoint_name.clone(), *chain);
        let (verb, kind) = match TransactionStmtKind::try_from(*kind) {
            Ok(TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart) => {
                self.modes(options)?;
                ("BEGIN", StatementKind::Begin)
            }
            Ok(TransactionStmtKind::TransStmtCommit) => ("COMMIT", StatementKind::Commit { chain }),
            Ok(TransactionStmtKind::TransStmtRollback) => {
                ("ROLLBACK", StatementKind::Rollback { chain })
            }
            Ok(TransactionStmtKind::TransStmtSavepoint) => {
                ("SAVEPOINT", StatementKind::Savepoint { name })
            }
            Ok(TransactionStmtKind::TransStmtRelease) => {
                ("RELEASE SAVEPOINT", StatementKind::Release { name })
            }
            Ok(TransactionStmtKind::TransStmtRollbackTo) => {
                ("ROLLBACK TO SAVEPOINT", StatementKind::RollbackTo { name })
            }
            // A prepared transaction outlives its session, and with it its run.
            Ok(TransactionStmtKind::TransStmtPrepare) => {
                self.object(Verb::Maintain, "prepared transaction", "");
                (
                    "PREPARE TRANSACTION",
                    StatementKind::Commit { chain: false },
                )
            }
            Ok(TransactionStmtKind::TransStmtCommitPrepared) => {
                self.object(Verb::Maintain, "prepared transaction", "");
                ("COMMIT PREPARED", StatementKind::Plain)
            }
            Ok(TransactionStmtKind::TransStmtRollbackPrepared) => {
                self.object(Verb::Maintain, "prepared transaction", "");
                ("ROLLBACK PREPARED", StatementKind::Plain)
            }
            _ => return refuse("a transaction statement that is not known"),
        };
        Ok(What::kind(verb, kind))
    }

    /// The modes of a transaction, which are settings.
    fn modes(&mut self, options: &[Node]) -> Walked<()> {
        for option in options {
            let (name, value) = definition(option)?;
            let value = match value {
                Some(value) => constant(value).unwrap_or_default(),
                None => "on".to_owned(),
            };
            if !harmless_setting(name, &value) {
                self.sets(name);
            }
        }
        Ok(())
    }

    fn set(&mut self, statement: &VariableSetStmt) -> Walked<What> {
        let VariableSetStmt {
            kind,
            name,
            args,
            jumble_args: _,
            is_local: _,
            location: _,
        } = statement;
        let done = |verb| {
            let name = (!name.is_empty()).then(|| name.to_ascii_lowercase());
            Ok(What::kind(verb, StatementKind::Set { name }))
        };
        match VariableSetKind::try_from(*kind) {
            Ok(VariableSetKind::VarSetValue) => {
                let values: Option<Vec<_>> = args.iter().map(constant).collect();
                if !values.is_some_and(|values| harmless_setting(name, &values.join(", "))) {
                    self.sets(name);
                }
                done("SET")
            }
            Ok(VariableSetKind::VarSetMulti) => {
                match &**name {
                    "TRANSACTION" | "SESSION CHARACTERISTICS" => self.modes(args)?,
                    name => self.sets(name),
                }
                done("SET")
            }
            Ok(VariableSetKind::VarSetCurrent) => {
                self.sets(name);
                done("SET")
            }
            // Back to what the gateway has started the session with.
            Ok(VariableSetKind::VarSetDefault | VariableSetKind::VarReset) => {
                if !["", "on", "utf8", "notice", "hex", "1", "c"]
                    .into_iter()
                    .any(|v| harmless_setting(name, v))
                {
                    self.sets(name);
                }
                done("RESET")
            }
            Ok(VariableSetKind::VarResetAll) => done("RESET"),
            _ => refuse("a SET that is not known"),
        }
    }

    fn explain(&mut self, statement: &ExplainStmt) -> Walked<What> {
        let ExplainStmt { query, options } = statement;
        let mut analyze = false;
        for option in options {
            let (name, value) = definition(option)?;
            match name {
                "analyze" => {
                    analyze = value.is_none_or(|value| {
                        let value = constant(value).unwrap_or_default().to_ascii_lowercase();
                        !matches!(&*value, "off" | "false" | "0")
                    });
                }
                "verbose" | "costs" | "settings" | "generic_plan" | "buffers" | "serialize"
                | "wal" | "timing" | "summary" | "memory" | "format" => {}
                _ => return refuse("an option of EXPLAIN that is not known"),
            }
        }
        let inner = kind(present(query.as_deref())?)?;
        match inner {
            NodeEnum::SelectStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_)
            | NodeEnum::DeclareCursorStmt(_)
            | NodeEnum::CreateTableAsStmt(_)
            | NodeEnum::RefreshMatViewStmt(_) => {
                let (_, touched) =
                    self.touching(|walker| walker.deeper(|walker| walker.found(inner)))?;
                if analyze {
                    // What was run also shows which branches of an expression were taken.
                    self.expose(&touched)?;
                }
            }
            NodeEnum::ExecuteStmt(_) => {
                return refuse("EXPLAIN EXECUTE; EXPLAIN the statement itself");
            }
            _ => return refuse("an EXPLAIN of something that is not known"),
        }
        // A plan shows how many rows meet a condition, and conditions show themselves anyway.
        let outputs = Outputs::Columns(vec![Lineage::default()]);
        Ok(What::rows(
            if analyze {
                "EXPLAIN ANALYZE"
            } else {
                "EXPLAIN"
            },
            outputs,
        ))
    }

    fn prepare(&mut self, statement: &PrepareStmt) -> Walked<What> {
        let PrepareStmt {
            name,
            argtypes,
            query,
        } = statement;
        let inner = present(query.as_deref())?;
        match kind(inner)? {
            NodeEnum::SelectStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_) => {}
            _ => return refuse("a PREPARE of something that is not known"),
        }
        let mut inner = self.deeper(|walker| walker.statement(inner))?;
        for argument in argtypes {
            let NodeEnum::TypeName(type_name) = kind(argument)? else {
                return refuse("a PREPARE of something that is not known");
            };
            // EXECUTE makes the values.
            inner.actions.extend(self.making(type_name)?);
        }
        inner.actions.sort();
        inner.actions.dedup();
        self.retake(&inner);
        Ok(What::kind(
            "PREPARE",
            StatementKind::Prepare {
                name: name.clone(),
                inner: Box::new(inner),
            },
        ))
    }

    fn create_table_as(&mut self, statement: &CreateTableAsStmt) -> Walked<What> {
        let CreateTableAsStmt {
            query,
            into,
            objtype,
            is_select_into: _,
            if_not_exists: _,
        } = statement;
        let verb = match ObjectType::try_from(*objtype) {
            Ok(ObjectType::ObjectTable) => "CREATE TABLE AS",
            Ok(ObjectType::ObjectMatview) => "CREATE MATERIALIZED VIEW",
            _ => return refuse("a CREATE … AS that is not known"),
        };
        let NodeEnum::SelectStmt(select) = kind(present(query.as_deref())?)? else {
            return refuse("CREATE TABLE … AS EXECUTE; write the query itself");
        };
        let created = self.into(present(into.as_deref())?)?;
        self.does(Verb::Create, &created);
        let derived = self.select(select, &Env::default())?;
        self.expose(&derived.whole())?;
        Ok(What::plain(verb))
    }
}

/// What a lock on a whole table is, by its mode (a `LOCKMODE` of `lockdefs.h`). Those up to ROW EXCLUSIVE stand in
/// nobody's way who reads or writes rows: reading, locking rows and writing take them by themselves. Every stronger
/// one stops others who do the same, and is upkeep, as it is for PostgreSQL's own privilege MAINTAIN.
const fn locking(mode: i32) -> Verb {
    const ACCESS_SHARE: i32 = 1;
    const ROW_EXCLUSIVE: i32 = 3;
    match mode {
        ACCESS_SHARE..=ROW_EXCLUSIVE => Verb::Lock,
        _ => Verb::Maintain,
    }
}

/// Whether the first of a query's parts has an INTO.
pub(super) fn makes_table(select: &SelectStmt) -> bool {
    let mut first = select;
    while let (Ok(op), Some(left)) = (SetOperation::try_from(first.op), &first.larg) {
        if op == SetOperation::SetopNone {
            break;
        }
        first = left;
    }
    first.into_clause.is_some()
}

/// A relation's name with its schema, if it has one.
pub(super) fn dotted(schema: Option<&str>, name: &str) -> String {
    match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.to_owned(),
    }
}

/// An option's name and value.
pub(super) fn definition(option: &Node) -> Walked<(&str, Option<&Node>)> {
    let NodeEnum::DefElem(element) = kind(option)? else {
        return refuse("an option that is not known");
    };
    let DefElem {
        defnamespace: _,
        defname,
        arg,
        defaction: _,
        location: _,
        arg_location: _,
    } = &**element;
    Ok((defname, arg.as_deref()))
}

/// A constant as text.
pub(super) fn constant(node: &Node) -> Option<String> {
    Some(match node.node.as_ref()? {
        NodeEnum::AConst(AConst { val, .. }) => match val.as_ref()? {
            a_const::Val::Ival(number) => number.ival.to_string(),
            a_const::Val::Fval(number) => number.fval.clone(),
            a_const::Val::Boolval(value) => value.boolval.to_string(),
            a_const::Val::Sval(string) => string.sval.clone(),
            a_const::Val::Bsval(bits) => bits.bsval.clone(),
        },
        NodeEnum::String(string) => string.sval.clone(),
        NodeEnum::Integer(number) => number.ival.to_string(),
        NodeEnum::Boolean(value) => value.boolval.to_string(),
        NodeEnum::Float(number) => number.fval.clone(),
        // An interval as a time zone.
        NodeEnum::TypeCast(cast) => return constant(cast.arg.as_deref()?),
        _ => return None,
    })
}
