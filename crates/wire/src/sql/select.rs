//! Queries: what each column of the result is made of, and what shows itself on the way.

use std::cell::RefCell;
use std::rc::Rc;

use bailiwick_action::Verb;
use pg_query::NodeEnum;
use pg_query::protobuf::{
    self, CommonTableExpr, CteCycleClause, CteSearchClause, GroupingSet, IntoClause, LockingClause,
    Node, ResTarget, SelectStmt, SetOperation, SortBy, WindowDef, WithClause,
};

use super::flow::Flow;
use super::limits::COLUMNS_MAX;
use super::scope::{Column, Derived, Env, Name, Queries, Slot, State, With};
use super::titles::{is_unsure, title};
use super::walk::{Walked, Walker, kind, present, refuse, strings};

/// Where a name or number alone means a result column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefers {
    /// ORDER BY and DISTINCT ON: a result column before a table's.
    Result,
    /// GROUP BY: a table's column before a result column.
    Table,
}

impl Walker<'_> {
    /// A query. `env` is what is around it.
    pub(super) fn select<'t>(&mut self, select: &'t SelectStmt, env: &Env<'t>) -> Walked<Derived> {
        self.deeper(|walker| walker.select_parts(select, env))
    }

    fn select_parts<'t>(&mut self, select: &'t SelectStmt, env: &Env<'t>) -> Walked<Derived> {
        let SelectStmt {
            distinct_clause,
            into_clause,
            target_list,
            from_clause,
            where_clause,
            group_clause,
            group_distinct: _,
            having_clause,
            window_clause,
            values_lists,
            sort_clause,
            limit_offset,
            limit_count,
            limit_option: _,
            locking_clause,
            with_clause,
            op,
            all,
            larg,
            rarg,
        } = select;
        let env = &self.with(with_clause.as_ref(), env)?;
        let plain = target_list.is_empty()
            && from_clause.is_empty()
            && where_clause.is_none()
            && group_clause.is_empty()
            && having_clause.is_none()
            && window_clause.is_empty()
            && distinct_clause.is_empty()
            && into_clause.is_none();
        let (derived, inner) = match SetOperation::try_from(*op) {
            Ok(
                SetOperation::SetopUnion | SetOperation::SetopIntersect | SetOperation::SetopExcept,
            ) => {
                if !plain || !values_lists.is_empty() {
                    return refuse("a set operation with more than its two sides");
                }
                let left = self.select(present(larg.as_deref())?, env)?;
                let right = self.select(present(rarg.as_deref())?, env)?;
                let derived = self.either(left, right)?;
                // Rows are compared, unless all are kept; INTERSECT and EXCEPT compare them always.
                if !all || *op != SetOperation::SetopUnion as i32 {
                    self.expose(&derived.whole())?;
                }
                let inner = self.results(&derived, env)?;
                (derived, inner)
            }
            Ok(SetOperation::SetopNone) if larg.is_some() || rarg.is_some() => {
                return refuse("a set operation that is not known");
            }
            Ok(SetOperation::SetopNone) if !values_lists.is_empty() => {
                if !plain {
                    return refuse("VALUES with more than rows");
                }
                let derived = self.values(values_lists, env)?;
                let inner = self.results(&derived, env)?;
                (derived, inner)
            }
            Ok(SetOperation::SetopNone) => {
                let items = self.items_of(from_clause, env)?;
                let locks = items
                    .entries
                    .iter()
                    .flat_map(|entry| entry.locks.clone())
                    .collect();
                let inner = env.within(items);
                self.search(where_clause.as_deref(), &inner)?;
                let mut derived = self.targets(target_list, &inner)?;
                derived.locks = locks;
                for item in group_clause {
                    self.group(item, &derived, &inner)?;
                }
                self.condition(having_clause.as_deref(), &inner)?;
                for window in window_clause {
                    let NodeEnum::WindowDef(window) = kind(window)? else {
                        return refuse("a window that is not known");
                    };
                    self.window(window, &inner)?;
                }
                for item in distinct_clause {
                    match &item.node {
                        // Plain DISTINCT compares whole rows.
                        None => self.expose(&derived.whole())?,
                        Some(_) => self.by(item, &derived, &inner, Prefers::Result)?,
                    }
                }
                if let Some(into) = into_clause {
                    let rel = self.into(into)?;
                    self.does(Verb::Create, &rel);
                    self.expose(&derived.whole())?;
                }
                (derived, inner)
            }
            _ => return refuse("a set operation that is not known"),
        };
        for item in sort_clause {
            let NodeEnum::SortBy(sort) = kind(item)? else {
                return refuse("an ORDER BY that is not known");
            };
            self.sort(sort, &derived, &inner)?;
        }
        for limit in [limit_offset, limit_count].into_iter().flatten() {
            let flow = self.expr(limit, &inner)?;
            self.expose(&flow)?;
        }
        for lock in locking_clause {
            let NodeEnum::LockingClause(lock) = kind(lock)? else {
                return refuse("a locking clause that is not known");
            };
            self.lock(lock, &inner)?;
        }
        Ok(derived)
    }

    /// A condition: what it is made of shows in which rows there are.
    pub(super) fn condition<'t>(
        &mut self,
        condition: Option<&'t Node>,
        env: &Env<'t>,
    ) -> Walked<()> {
        let flow = self.maybe(condition, env)?;
        self.expose(&flow)
    }

    /// The two sides of a set operation, column by column.
    fn either(&mut self, left: Derived, right: Derived) -> Walked<Derived> {
        let mut locks = left.locks.clone();
        locks.extend(right.locks.iter().cloned());
        if left.open.is_some() || right.open.is_some() {
            let mut open = left.whole();
            self.join(&mut open, &right.whole())?;
            let columns = left.columns.into_iter().map(|column| Column {
                flow: open.clone(),
                ..column
            });
            return Ok(Derived {
                columns: columns.collect(),
                open: Some(open),
                locks,
            });
        }
        if left.columns.len() != right.columns.len() {
            return refuse("a set operation whose sides have different numbers of columns");
        }
        let mut columns = left.columns;
        for (column, other) in columns.iter_mut().zip(&right.columns) {
            if column.type_oid != other.type_oid {
                column.type_oid = 0;
            }
            self.join(&mut column.flow, &other.flow)?;
        }
        Ok(Derived {
            columns,
            open: None,
            locks,
        })
    }

    /// What ORDER BY of a set operation or VALUES can name: result columns only.
    fn results<'t>(&mut self, derived: &Derived, env: &Env<'t>) -> Walked<Env<'t>> {
        let items = self.derived(derived, None, None)?;
        Ok(env.within(items))
    }

    fn values<'t>(&mut self, rows: &'t [Node], env: &Env<'t>) -> Walked<Derived> {
        let mut derived = Derived::default();
        for row in rows {
            let NodeEnum::List(row) = kind(row)? else {
                return refuse("a row of VALUES that is not known");
            };
            for (at, value) in row.items.iter().enumerate() {
                let flow = self.expr(value, env)?;
                match derived.columns.get_mut(at) {
                    Some(column) => self.join(&mut column.flow, &flow)?,
                    None => derived.columns.push(Column {
                        name: format!("column{}", at + 1).into(),
                        flow,
                        reads: Flow::default(),
                        type_oid: 0,
                    }),
                }
            }
        }
        Ok(derived)
    }

    /// The result columns of a target list, or of RETURNING.
    pub(super) fn targets<'t>(&mut self, targets: &'t [Node], env: &Env<'t>) -> Walked<Derived> {
        let mut derived = Derived::default();
        for target in targets {
            let NodeEnum::ResTarget(target) = kind(target)? else {
                return refuse("a result column that is not known");
            };
            self.target_item(target, &mut derived, env)?;
            if derived.columns.len() > COLUMNS_MAX {
                return refuse("a query with more columns than PostgreSQL allows");
            }
        }
        Ok(derived)
    }

    fn target_item<'t>(
        &mut self,
        target: &'t ResTarget,
        derived: &mut Derived,
        env: &Env<'t>,
    ) -> Walked<()> {
        let ResTarget {
            name,
            indirection,
            val,
            location: _,
        } = target;
        if !indirection.is_empty() {
            return refuse("a result column that is assigned to");
        }
        let value = present(val.as_deref())?;
        if let Some(qualifier) = starred(value)? {
            return self.starred(qualifier, derived, env);
        }
        let flow = self.expr(value, env)?;
        if expands(value)? {
            // `(row).*`: its fields are not known here.
            derived.open.get_or_insert_with(Flow::default).add(&flow);
            return Ok(());
        }
        if name.is_empty() && is_unsure(value) {
            return refuse("a sub-select in a result list, without a name; give it one with AS");
        }
        let name = match name.is_empty() {
            true => title(value).into(),
            false => (&**name).into(),
        };
        derived.columns.push(Column {
            name,
            flow,
            reads: Flow::default(),
            type_oid: self.type_of(value, env)?,
        });
        Ok(())
    }

    fn starred(&mut self, qualifier: &[Node], derived: &mut Derived, env: &Env<'_>) -> Walked<()> {
        let star = self.star(qualifier, env)?;
        for column in star.columns {
            let flow = self.reads(&column)?;
            derived.columns.push(Column {
                flow,
                reads: Flow::default(),
                ..column
            });
        }
        if let Some(open) = &star.open {
            derived.open.get_or_insert_with(Flow::default).add(open);
        }
        Ok(())
    }

    /// An item of GROUP BY.
    fn group<'t>(&mut self, item: &'t Node, derived: &Derived, env: &Env<'t>) -> Walked<()> {
        if let NodeEnum::GroupingSet(set) = kind(item)? {
            let GroupingSet {
                kind: _,
                content,
                location: _,
            } = set;
            return self.deeper(|walker| {
                content
                    .iter()
                    .try_for_each(|item| walker.group(item, derived, env))
            });
        }
        // `(1, 2)` is flattened, and each part stands for itself.
        if let NodeEnum::RowExpr(row) = kind(item)? {
            self.deeper(|walker| {
                row.args
                    .iter()
                    .try_for_each(|item| walker.group(item, derived, env))
            })?;
        }
        self.by(item, derived, env, Prefers::Table)
    }

    /// An item of ORDER BY.
    fn sort<'t>(&mut self, sort: &'t SortBy, derived: &Derived, env: &Env<'t>) -> Walked<()> {
        let SortBy {
            node,
            sortby_dir: _,
            sortby_nulls: _,
            use_op,
            location: _,
        } = sort;
        self.operator(use_op)?;
        self.by(present(node.as_deref())?, derived, env, Prefers::Result)
    }

    /// What rows are ordered, grouped or compared by: a result column's name or number, or an
    /// expression.
    fn by<'t>(
        &mut self,
        item: &'t Node,
        derived: &Derived,
        env: &Env<'t>,
        prefers: Prefers,
    ) -> Walked<()> {
        // Where not all result columns are known, any may be meant.
        if let Some(open) = &derived.open {
            self.expose(open)?;
        }
        match kind(item)? {
            NodeEnum::AConst(constant) => {
                if let Some(protobuf::a_const::Val::Ival(number)) = &constant.val {
                    let place = usize::try_from(number.ival)
                        .ok()
                        .and_then(|n| n.checked_sub(1));
                    match place.and_then(|place| derived.columns.get(place)) {
                        Some(column) if derived.open.is_none() => self.expose(&column.flow)?,
                        _ => self.expose(&derived.whole())?,
                    }
                }
                Ok(())
            }
            NodeEnum::ColumnRef(reference) => {
                if let [node] = reference.fields.as_slice()
                    && let NodeEnum::String(name) = kind(node)?
                {
                    let name = &*name.sval;
                    let table = env.level.as_ref().is_some_and(|level| {
                        level
                            .items
                            .columns
                            .iter()
                            .any(|column| &*column.name == name)
                    });
                    let mut found = false;
                    if prefers == Prefers::Result || !table {
                        for column in derived.columns.iter().filter(|one| &*one.name == name) {
                            self.expose(&column.flow)?;
                            found = true;
                        }
                    }
                    if found && derived.open.is_none() {
                        return Ok(());
                    }
                }
                let flow = self.expr(item, env)?;
                self.expose(&flow)
            }
            _ => {
                let flow = self.expr(item, env)?;
                self.expose(&flow)
            }
        }
    }

    /// A window: which rows are in it shows what it is made of.
    pub(super) fn window<'t>(&mut self, window: &'t WindowDef, env: &Env<'t>) -> Walked<()> {
        let WindowDef {
            name: _,
            refname: _,
            partition_clause,
            order_clause,
            frame_options: _,
            start_offset,
            end_offset,
            location: _,
        } = window;
        for item in partition_clause {
            let flow = self.expr(item, env)?;
            self.expose(&flow)?;
        }
        for item in order_clause {
            let flow = self.sorted(item, env)?;
            self.expose(&flow)?;
        }
        for offset in [start_offset, end_offset].into_iter().flatten() {
            let flow = self.expr(offset, env)?;
            self.expose(&flow)?;
        }
        Ok(())
    }

    /// An item of an ORDER BY that knows no result columns: within an aggregate or a window.
    pub(super) fn sorted<'t>(&mut self, item: &'t Node, env: &Env<'t>) -> Walked<Flow> {
        let NodeEnum::SortBy(sort) = kind(item)? else {
            return refuse("an ORDER BY that is not known");
        };
        let SortBy {
            node,
            sortby_dir: _,
            sortby_nulls: _,
            use_op,
            location: _,
        } = &**sort;
        self.operator(use_op)?;
        self.expr(present(node.as_deref())?, env)
    }

    /// FOR UPDATE and its kin.
    fn lock(&mut self, lock: &LockingClause, env: &Env<'_>) -> Walked<()> {
        let LockingClause {
            locked_rels,
            strength: _,
            wait_policy: _,
        } = lock;
        let mut names = Vec::new();
        for rel in locked_rels {
            match kind(rel)? {
                NodeEnum::RangeVar(rel) if rel.schemaname.is_empty() => names.push(&*rel.relname),
                _ => return refuse("a locking clause that is not known"),
            }
        }
        let entries = env
            .level
            .iter()
            .flat_map(|level| level.items.entries.clone());
        let mut all = Vec::new();
        let mut meant = Vec::new();
        for entry in entries {
            all.extend(entry.locks.iter().cloned());
            // A name that hides another, such as a join's, is taken to mean both.
            if entry
                .name
                .as_ref()
                .is_none_or(|name| names.contains(&&**name))
            {
                meant.extend(entry.locks.iter().cloned());
            }
        }
        // Without names all are meant; with one that nothing here has, it may be any.
        for relation in match meant.is_empty() || names.is_empty() {
            true => all,
            false => meant,
        } {
            self.does(Verb::Lock, &relation);
        }
        Ok(())
    }

    /// The relation that INTO or CREATE TABLE AS makes.
    pub(super) fn into(&mut self, into: &IntoClause) -> Walked<Name> {
        let IntoClause {
            rel,
            col_names: _,
            access_method: _,
            options: _,
            on_commit: _,
            table_space_name: _,
            view_query,
            skip_data: _,
        } = into;
        if view_query.is_some() {
            return refuse("a definition that is not known");
        }
        self.created(present(rel.as_ref())?)
    }

    /// What names mean after a WITH.
    pub(super) fn with<'t>(
        &mut self,
        with: Option<&'t WithClause>,
        env: &Env<'t>,
    ) -> Walked<Env<'t>> {
        let Some(WithClause {
            ctes,
            recursive,
            location: _,
        }) = with
        else {
            return Ok(env.clone());
        };
        let queries = ctes
            .iter()
            .map(|node| match kind(node)? {
                NodeEnum::CommonTableExpr(query) => Ok(&**query),
                _ => refuse("a WITH that is not known"),
            })
            .collect::<Walked<Vec<&'t CommonTableExpr>>>()?;
        let mut env = env.clone();
        if *recursive {
            let slots: Vec<_> = queries
                .into_iter()
                .map(|query| Slot {
                    name: (&*query.ctename).into(),
                    query,
                    state: State::Waiting,
                })
                .collect();
            let count = slots.len();
            let with = Rc::new(With {
                queries: Queries::Recursive {
                    level: env.level.clone(),
                    slots: RefCell::new(slots),
                },
                outer: env.with.take(),
            });
            env.with = Some(Rc::clone(&with));
            for at in 0..count {
                self.recursive(&with, at)?;
            }
            return Ok(env);
        }
        for query in queries {
            let derived = self.named_by(query, &env)?;
            let derived = self.generated(query, derived, &env)?;
            env.with = Some(Rc::new(With {
                queries: Queries::One((&*query.ctename).into(), Rc::new(derived)),
                outer: env.with.take(),
            }));
        }
        Ok(env)
    }

    /// The query that a name means, if WITH has named one.
    pub(super) fn named_query<'t>(
        &mut self,
        name: &str,
        env: &Env<'t>,
    ) -> Walked<Option<Rc<Derived>>> {
        let mut next = env.with.as_ref();
        while let Some(with) = next {
            self.charge(1)?;
            match &with.queries {
                Queries::One(known, derived) if **known == *name => {
                    return Ok(Some(Rc::clone(derived)));
                }
                Queries::One(..) => {}
                Queries::Recursive { slots, .. } => {
                    let at = slots.borrow().iter().position(|slot| *slot.name == *name);
                    if let Some(at) = at {
                        return self.recursive(&Rc::clone(with), at).map(Some);
                    }
                }
            }
            next = with.outer.as_ref();
        }
        Ok(None)
    }

    /// A query of a WITH RECURSIVE, worked out as far as needed.
    fn recursive<'t>(&mut self, with: &Rc<With<'t>>, at: usize) -> Walked<Rc<Derived>> {
        let Queries::Recursive { level, slots } = &with.queries else {
            return refuse("a WITH that is not known");
        };
        let (query, state, innermost) = {
            let slots = slots.borrow();
            let running = |slot: &Slot<'_>| matches!(slot.state, State::Running { .. });
            let others = slots
                .iter()
                .enumerate()
                .any(|(other, slot)| other != at && running(slot));
            match slots.get(at) {
                Some(slot) => (slot.query, slot.state.clone(), !others),
                None => return refuse("a WITH that is not known"),
            }
        };
        let env = Env {
            level: level.clone(),
            with: Some(Rc::clone(with)),
        };
        let set = |state| {
            if let Some(slot) = slots.borrow_mut().get_mut(at) {
                slot.state = state;
            }
        };
        let running = |so_far| State::Running {
            so_far,
            named: false,
        };
        match state {
            State::Done(derived) => Ok(derived),
            State::Running {
                so_far: Some(so_far),
                ..
            } if innermost => {
                set(State::Running {
                    so_far: Some(Rc::clone(&so_far)),
                    named: true,
                });
                Ok(so_far)
            }
            State::Running { .. } => refuse(
                "queries of a WITH RECURSIVE that refer to each other, or begin with themselves",
            ),
            State::Waiting => {
                set(running(None));
                let mut so_far = match self.base(query, &env)? {
                    // What is not a UNION cannot refer to itself.
                    None => {
                        let derived = self.named_by(query, &env)?;
                        let derived = Rc::new(self.generated(query, derived, &env)?);
                        set(State::Done(Rc::clone(&derived)));
                        return Ok(derived);
                    }
                    Some(base) => base,
                };
                loop {
                    set(running(Some(Rc::new(so_far.clone()))));
                    let round = self.named_by(query, &env)?;
                    let again = slots.borrow().get(at).is_some_and(|slot| {
                        matches!(slot.state, State::Running { named: true, .. })
                    });
                    let grown = grows(&so_far, &round);
                    so_far = round;
                    if !again || !grown {
                        break;
                    }
                }
                let derived = Rc::new(self.generated(query, so_far, &env)?);
                set(State::Done(Rc::clone(&derived)));
                Ok(derived)
            }
        }
    }

    /// The first side of a recursive query: what it starts from.
    fn base<'t>(&mut self, query: &'t CommonTableExpr, env: &Env<'t>) -> Walked<Option<Derived>> {
        let NodeEnum::SelectStmt(select) = kind(present(query.ctequery.as_deref())?)? else {
            return Ok(None);
        };
        if select.op != SetOperation::SetopUnion as i32 {
            return Ok(None);
        }
        let env = self.with(select.with_clause.as_ref(), env)?;
        let derived = self.select(present(select.larg.as_deref())?, &env)?;
        self.own_names(query, derived).map(Some)
    }

    /// A query named by WITH.
    fn named_by<'t>(&mut self, query: &'t CommonTableExpr, env: &Env<'t>) -> Walked<Derived> {
        let node = present(query.ctequery.as_deref())?;
        let derived = self.deeper(|walker| match kind(node)? {
            NodeEnum::SelectStmt(select) => walker.select(select, env),
            NodeEnum::InsertStmt(insert) => walker.insert(insert, env),
            NodeEnum::UpdateStmt(update) => walker.update(update, env),
            NodeEnum::DeleteStmt(delete) => walker.delete(delete, env),
            NodeEnum::MergeStmt(merge) => walker.merges(merge, env),
            _ => refuse("a statement within WITH that is not known"),
        })?;
        self.own_names(query, derived)
    }

    /// The names that a WITH gives to the columns of a query.
    fn own_names(&mut self, query: &CommonTableExpr, mut derived: Derived) -> Walked<Derived> {
        self.renamed(&mut derived, &query.aliascolnames)?;
        // Locking does not reach into WITH.
        derived.locks.clear();
        Ok(derived)
    }

    /// The columns that SEARCH and CYCLE add to a query once it is complete.
    fn generated<'t>(
        &mut self,
        query: &'t CommonTableExpr,
        mut derived: Derived,
        env: &Env<'t>,
    ) -> Walked<Derived> {
        let CommonTableExpr {
            ctename: _,
            aliascolnames: _,
            ctematerialized: _,
            ctequery: _,
            search_clause,
            cycle_clause,
            location: _,
            cterecursive: _,
            cterefcount: _,
            ctecolnames,
            ctecoltypes,
            ctecoltypmods,
            ctecolcollations,
        } = query;
        let analysed = [ctecolnames, ctecoltypes, ctecoltypmods, ctecolcollations];
        if analysed.into_iter().any(|list| !list.is_empty()) {
            return refuse("a WITH that is not known");
        }
        let mut added = Vec::new();
        if let Some(CteSearchClause {
            search_col_list,
            search_breadth_first: _,
            search_seq_column,
            location: _,
        }) = search_clause
        {
            let flow = self.some_columns(&derived, search_col_list)?;
            added.push((&**search_seq_column, flow));
        }
        if let Some(cycle) = cycle_clause {
            let CteCycleClause {
                cycle_col_list,
                cycle_mark_column,
                cycle_mark_value,
                cycle_mark_default,
                cycle_path_column,
                location: _,
                cycle_mark_type: _,
                cycle_mark_typmod: _,
                cycle_mark_collation: _,
                cycle_mark_neop: _,
            } = &**cycle;
            let flow = self.some_columns(&derived, cycle_col_list)?;
            self.expose(&flow)?;
            let mut mark = flow.clone();
            for value in [cycle_mark_value, cycle_mark_default].into_iter().flatten() {
                let value = self.expr(value, env)?;
                self.join(&mut mark, &value)?;
            }
            added.push((&**cycle_mark_column, mark));
            added.push((&**cycle_path_column, flow));
        }
        for (name, flow) in added {
            derived.columns.push(Column {
                name: name.into(),
                flow,
                reads: Flow::default(),
                type_oid: 0,
            });
        }
        Ok(derived)
    }

    /// What the named columns of a result are made of.
    fn some_columns(&mut self, derived: &Derived, names: &[Node]) -> Walked<Flow> {
        let names = strings(names)?;
        let mut flow = derived.open.clone().unwrap_or_default();
        for column in &derived.columns {
            if names.contains(&&*column.name) {
                self.join(&mut flow, &column.flow)?;
            }
        }
        Ok(flow)
    }
}

/// Whether a round of a recursive query has found more than the one before.
fn grows(before: &Derived, after: &Derived) -> bool {
    let flows = |derived: &Derived| {
        let columns = derived.columns.iter().map(|column| column.flow.clone());
        (columns.collect::<Vec<_>>(), derived.open.clone())
    };
    flows(before) != flows(after)
}

/// For `t.*` and `*`: what stands before the star.
fn starred(value: &Node) -> Walked<Option<&[Node]>> {
    let NodeEnum::ColumnRef(reference) = kind(value)? else {
        return Ok(None);
    };
    Ok(match reference.fields.split_last() {
        Some((last, before)) if matches!(kind(last)?, NodeEnum::AStar(_)) => Some(before),
        _ => None,
    })
}

/// Whether an expression is a row that becomes several columns: `(row).*`.
fn expands(value: &Node) -> Walked<bool> {
    let NodeEnum::AIndirection(indirection) = kind(value)? else {
        return Ok(false);
    };
    match indirection.indirection.last() {
        Some(last) => Ok(matches!(kind(last)?, NodeEnum::AStar(_))),
        None => Ok(false),
    }
}
