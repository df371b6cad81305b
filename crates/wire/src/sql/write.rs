//! Statements that change rows: INSERT, UPDATE, DELETE, MERGE. What they read on the way counts as
//! well, and what is written from a column shows itself.

use std::rc::Rc;

use bailiwick_action::{Action, Resource, Verb};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    CmdType, DeleteStmt, IndexElem, InferClause, InsertStmt, MergeMatchKind, MergeStmt,
    MergeWhenClause, Node, OnConflictAction, OnConflictClause, RangeVar, ResTarget,
    ReturningClause, ReturningOption, ReturningOptionKind, UpdateStmt,
};

use super::flow::Flow;
use super::names::Found;
use super::scope::{Column, Derived, Entry, Env, Items};
use super::walk::{Walked, Walker, kind, present, refuse};

/// The relation that a statement writes to.
struct Target {
    found: Found,
    entry: Entry,
}

impl Walker<'_> {
    pub(super) fn insert<'t>(&mut self, insert: &'t InsertStmt, env: &Env<'t>) -> Walked<Derived> {
        let InsertStmt {
            relation,
            cols,
            select_stmt,
            on_conflict_clause,
            returning_clause,
            with_clause,
            r#override: _,
        } = insert;
        let env = &self.with(with_clause.as_ref(), env)?;
        let target = self.target(present(relation.as_ref())?)?;
        let mut columns = Vec::new();
        for node in cols {
            let NodeEnum::ResTarget(column) = kind(node)? else {
                return refuse("a column to insert into that is not known");
            };
            let ResTarget {
                name,
                indirection,
                val,
                location: _,
            } = &**column;
            if val.is_some() {
                return refuse("a column to insert into that is not known");
            }
            let steps = self.steps(indirection, env)?;
            self.expose(&steps)?;
            columns.push(&**name);
        }
        match select_stmt {
            Some(query) => {
                let NodeEnum::SelectStmt(select) = kind(query)? else {
                    return refuse("an INSERT of something else than a query");
                };
                // Without a list, the columns are filled from the first on: it may be any of them.
                self.sets_columns(Verb::Insert, &target, (!cols.is_empty()).then_some(columns));
                let derived = self.select(select, env)?;
                self.expose(&derived.whole())?;
            }
            // Nothing but defaults.
            None => self.sets_columns(Verb::Insert, &target, Some(columns)),
        }
        if let Some(conflict) = on_conflict_clause {
            self.conflict(conflict, &target, env)?;
        }
        self.returning(returning_clause.as_ref(), &target, Items::default(), env)
    }

    fn conflict<'t>(
        &mut self,
        conflict: &'t OnConflictClause,
        target: &Target,
        env: &Env<'t>,
    ) -> Walked<()> {
        let OnConflictClause {
            action,
            infer,
            target_list,
            where_clause,
            location: _,
        } = conflict;
        let on_target = env.within(Items::one(target.entry.clone()));
        if let Some(infer) = infer {
            let InferClause {
                index_elems,
                where_clause,
                conname,
                location: _,
            } = &**infer;
            // Whether a row is in the way tells of the columns it is looked for by.
            for element in index_elems {
                let NodeEnum::IndexElem(element) = kind(element)? else {
                    return refuse("an ON CONFLICT that is not known");
                };
                self.index_element(element, target, &on_target)?;
            }
            self.condition(where_clause.as_deref(), &on_target)?;
            if !conname.is_empty() {
                // Which columns a constraint has is not known.
                self.exposes_row(&target.entry)?;
            }
        }
        let updates = match OnConflictAction::try_from(*action) {
            Ok(OnConflictAction::OnconflictNothing) => false,
            Ok(OnConflictAction::OnconflictUpdate) => true,
            _ => return refuse("an ON CONFLICT that is not known"),
        };
        if !updates {
            return match target_list.is_empty() && where_clause.is_none() {
                true => Ok(()),
                false => refuse("an ON CONFLICT that is not known"),
            };
        }
        let mut items = Items::one(target.entry.clone());
        items.entries.push(Rc::new(Entry {
            // What was to be inserted has been counted already.
            columns: unread(&target.entry.columns),
            name: Some("excluded".into()),
            open: target.entry.open.clone(),
            qualified_only: true,
            ..Entry::default()
        }));
        let both = env.within(items);
        self.assign(Verb::Update, target, target_list, &both)?;
        self.condition(where_clause.as_deref(), &both)
    }

    /// A column or expression of a unique index, which is looked rows up by.
    fn index_element<'t>(
        &mut self,
        element: &'t IndexElem,
        target: &Target,
        env: &Env<'t>,
    ) -> Walked<()> {
        let IndexElem {
            name,
            expr,
            indexcolname: _,
            collation: _,
            opclass: _,
            opclassopts: _,
            ordering: _,
            nulls_ordering: _,
        } = element;
        if !name.is_empty() {
            let flow = self.target_column(target, name)?;
            self.expose(&flow)?;
        }
        self.condition(expr.as_deref(), env)
    }

    pub(super) fn update<'t>(&mut self, update: &'t UpdateStmt, env: &Env<'t>) -> Walked<Derived> {
        let UpdateStmt {
            relation,
            target_list,
            where_clause,
            from_clause,
            returning_clause,
            with_clause,
        } = update;
        let env = &self.with(with_clause.as_ref(), env)?;
        let target = self.target(present(relation.as_ref())?)?;
        let from = self.written_from(&target, from_clause, env)?;
        let mut items = Items::one(target.entry.clone());
        items.extend(from.clone());
        let inner = env.within(items);
        self.assign(Verb::Update, &target, target_list, &inner)?;
        self.search(where_clause.as_deref(), &inner)?;
        self.returning(returning_clause.as_ref(), &target, from, env)
    }

    pub(super) fn delete<'t>(&mut self, delete: &'t DeleteStmt, env: &Env<'t>) -> Walked<Derived> {
        let DeleteStmt {
            relation,
            using_clause,
            where_clause,
            returning_clause,
            with_clause,
        } = delete;
        let env = &self.with(with_clause.as_ref(), env)?;
        let target = self.target(present(relation.as_ref())?)?;
        self.does(Verb::Delete, target.found.name());
        let from = self.written_from(&target, using_clause, env)?;
        let mut items = Items::one(target.entry.clone());
        items.extend(from.clone());
        self.search(where_clause.as_deref(), &env.within(items))?;
        self.returning(returning_clause.as_ref(), &target, from, env)
    }

    /// The other relations of an UPDATE or DELETE. LATERAL among them sees the target as well.
    fn written_from<'t>(
        &mut self,
        target: &Target,
        from: &'t [Node],
        env: &Env<'t>,
    ) -> Walked<Items> {
        let before = Items::one(target.entry.clone());
        let mut items = Items::default();
        for node in from {
            let mut sees = before.clone();
            sees.extend(items.clone());
            self.charge(sees.columns.len())?;
            let more = self.item(node, env, &sees)?;
            items.extend(more);
        }
        Ok(items)
    }

    pub(super) fn merges<'t>(&mut self, merge: &'t MergeStmt, env: &Env<'t>) -> Walked<Derived> {
        let MergeStmt {
            relation,
            source_relation,
            join_condition,
            merge_when_clauses,
            returning_clause,
            with_clause,
        } = merge;
        let env = &self.with(with_clause.as_ref(), env)?;
        let target = self.target(present(relation.as_ref())?)?;
        let source = self.item(present(source_relation.as_deref())?, env, &Items::default())?;
        // Whatever the arms do, and if they do nothing: its rows decide which of them is taken.
        self.does(Verb::Select, target.found.name());
        let alone = Items::one(target.entry.clone());
        let mut items = alone.clone();
        items.extend(source.clone());
        let both = env.within(items);
        self.condition(join_condition.as_deref(), &both)?;
        for node in merge_when_clauses {
            let NodeEnum::MergeWhenClause(when) = kind(node)? else {
                return refuse("an arm of MERGE that is not known");
            };
            let MergeWhenClause {
                match_kind,
                command_type,
                r#override: _,
                condition,
                target_list,
                values,
            } = &**when;
            let sees = match MergeMatchKind::try_from(*match_kind) {
                Ok(MergeMatchKind::MergeWhenMatched) => both.clone(),
                Ok(MergeMatchKind::MergeWhenNotMatchedBySource) => env.within(alone.clone()),
                Ok(MergeMatchKind::MergeWhenNotMatchedByTarget) => env.within(source.clone()),
                _ => return refuse("an arm of MERGE that is not known"),
            };
            self.condition(condition.as_deref(), &sees)?;
            match CmdType::try_from(*command_type) {
                Ok(CmdType::CmdUpdate) => {
                    self.assign(Verb::Update, &target, target_list, &sees)?;
                }
                Ok(CmdType::CmdInsert) => {
                    let mut columns = Vec::new();
                    for node in target_list {
                        let NodeEnum::ResTarget(column) = kind(node)? else {
                            return refuse("a column to insert into that is not known");
                        };
                        let steps = self.steps(&column.indirection, &sees)?;
                        self.expose(&steps)?;
                        columns.push(&*column.name);
                    }
                    let listed = !columns.is_empty() || values.is_empty();
                    self.sets_columns(Verb::Insert, &target, listed.then_some(columns));
                    let flow = self.all(values, &sees)?;
                    self.expose(&flow)?;
                    continue;
                }
                Ok(CmdType::CmdDelete) => self.does(Verb::Delete, target.found.name()),
                Ok(CmdType::CmdNothing) => {}
                _ => return refuse("an arm of MERGE that is not known"),
            }
            if !values.is_empty() {
                return refuse("an arm of MERGE that is not known");
            }
        }
        self.returning(returning_clause.as_ref(), &target, source, env)
    }

    /// The relation that a statement writes to. Names of WITH are no targets.
    fn target(&mut self, named: &RangeVar) -> Walked<Target> {
        let found = self.relation(named)?;
        let entry = self.entry(&found, named.alias.as_ref())?;
        Ok(Target { found, entry })
    }

    /// Takes down the columns that a write sets; nothing for all of them.
    fn sets_columns(&mut self, verb: Verb, target: &Target, columns: Option<Vec<&str>>) {
        let name = target.found.name();
        let resource = Resource::table(&*name.schema, &*name.name);
        let columns: Vec<String> = match (columns, &target.found) {
            (Some(columns), _) => columns.into_iter().map(str::to_owned).collect(),
            (None, Found::Known(_, columns)) => columns
                .iter()
                .map(|column| column.name.to_string())
                .collect(),
            (None, Found::Unknown(_)) => vec!["*".to_owned()],
        };
        self.act(Action::new(verb, resource).with_columns(columns));
    }

    /// `SET a = …, (b, c) = …`.
    fn assign<'t>(
        &mut self,
        verb: Verb,
        target: &Target,
        list: &'t [Node],
        env: &Env<'t>,
    ) -> Walked<()> {
        let mut columns = Vec::new();
        for node in list {
            let NodeEnum::ResTarget(assignment) = kind(node)? else {
                return refuse("an assignment that is not known");
            };
            let ResTarget {
                name,
                indirection,
                val,
                location: _,
            } = &**assignment;
            columns.push(&**name);
            let steps = self.steps(indirection, env)?;
            self.expose(&steps)?;
            let value = self.expr(present(val.as_deref())?, env)?;
            self.expose(&value)?;
        }
        self.sets_columns(verb, target, Some(columns));
        Ok(())
    }

    /// A column of the target, by its name.
    fn target_column(&mut self, target: &Target, name: &str) -> Walked<Flow> {
        let column = target
            .entry
            .columns
            .iter()
            .find(|column| &*column.name == name);
        match column {
            Some(column) => self.reads(column),
            None => self.reads_named(target.found.name(), name),
        }
    }

    /// Any column of a row may show itself.
    fn exposes_row(&mut self, entry: &Entry) -> Walked<()> {
        let (flow, reads) = entry.whole();
        let flow = self.reads_all(&reads, &flow)?;
        self.expose(&flow)
    }

    /// RETURNING: the result of a write.
    fn returning<'t>(
        &mut self,
        returning: Option<&'t ReturningClause>,
        target: &Target,
        from: Items,
        env: &Env<'t>,
    ) -> Walked<Derived> {
        let Some(ReturningClause { options, exprs }) = returning else {
            return Ok(Derived::default());
        };
        let mut items = Items::one(target.entry.clone());
        items.extend(from);
        // The row before and after: both are the target's.
        let mut versions = vec!["old", "new"];
        for option in options {
            let NodeEnum::ReturningOption(option) = kind(option)? else {
                return refuse("a RETURNING that is not known");
            };
            let ReturningOption {
                option,
                value,
                location: _,
            } = option;
            match ReturningOptionKind::try_from(*option) {
                Ok(ReturningOptionKind::ReturningOptionOld) => versions.retain(|one| *one != "old"),
                Ok(ReturningOptionKind::ReturningOptionNew) => versions.retain(|one| *one != "new"),
                _ => return refuse("a RETURNING that is not known"),
            }
            versions.push(value);
        }
        for name in versions {
            let taken = |entry: &Rc<Entry>| entry.name.as_deref() == Some(name);
            if !items.entries.iter().any(taken) {
                items.entries.push(Rc::new(Entry {
                    name: Some(name.into()),
                    full: None,
                    qualified_only: true,
                    ..target.entry.clone()
                }));
            }
        }
        self.targets(exprs, &env.within(items))
    }
}

/// Columns that stand for values of the statement's own.
fn unread(columns: &[Column]) -> Vec<Column> {
    columns
        .iter()
        .map(|column| Column {
            name: Rc::clone(&column.name),
            flow: Flow::default(),
            reads: Flow::default(),
            type_oid: 0,
        })
        .collect()
}
