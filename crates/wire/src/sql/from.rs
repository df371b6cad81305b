//! What stands in FROM: tables, queries, functions and joins, with the names they bring.

use std::rc::Rc;

use pg_query::NodeEnum;
use pg_query::protobuf::{
    Alias, ColumnDef, JoinExpr, JoinType, Node, RangeFunction, RangeSubselect, RangeTableFunc,
    RangeTableFuncCol, RangeTableSample, RangeVar, ResTarget,
};

use super::flow::Flow;
use super::functions::Shape;
use super::names::{apply, rename};
use super::scope::{Column, Derived, Entry, Env, Items};
use super::walk::{Walked, Walker, kind, present, refuse, strings};

impl Walker<'_> {
    /// The items of a FROM list.
    pub(super) fn items_of<'t>(&mut self, list: &'t [Node], env: &Env<'t>) -> Walked<Items> {
        let mut items = Items::default();
        for node in list {
            let more = self.item(node, env, &items)?;
            items.extend(more);
        }
        Ok(items)
    }

    /// One item of FROM; `before` is what stands left of it, which LATERAL can see.
    pub(super) fn item<'t>(
        &mut self,
        node: &'t Node,
        env: &Env<'t>,
        before: &Items,
    ) -> Walked<Items> {
        self.deeper(|walker| match kind(node)? {
            NodeEnum::RangeVar(named) => walker.table_item(named, env),
            NodeEnum::RangeSubselect(query) => walker.query_item(query, env, before),
            NodeEnum::RangeFunction(function) => walker.function_item(function, env, before),
            NodeEnum::RangeTableFunc(table) => walker.xml_item(table, env, before),
            NodeEnum::JsonTable(table) => walker.json_item(table, env, before),
            NodeEnum::RangeTableSample(sample) => walker.sample_item(sample, env, before),
            NodeEnum::JoinExpr(join) => walker.join_item(join, env, before),
            _ => refuse("something in FROM that is not known"),
        })
    }

    /// The names that LATERAL sees: those before it in this FROM, then those around the query.
    pub(super) fn lateral<'t>(&mut self, env: &Env<'t>, before: &Items) -> Walked<Env<'t>> {
        if before.entries.is_empty() {
            return Ok(env.clone());
        }
        self.charge(before.columns.len() + before.entries.len())?;
        Ok(env.within(before.clone()))
    }

    /// A table, view or query named by WITH.
    fn table_item<'t>(&mut self, named: &'t RangeVar, env: &Env<'t>) -> Walked<Items> {
        let (schema, name) = self.named(named)?;
        if schema.is_none()
            && named.catalogname.is_empty()
            && let Some(query) = self.named_query(name, env)?
        {
            let name: Rc<str> = name.into();
            return self.derived(&query, Some(name), named.alias.as_ref());
        }
        let found = self.relation(named)?;
        self.selects(found.name());
        let entry = self.entry(&found, named.alias.as_ref())?;
        if let Some(open) = &entry.open {
            self.reads_open(open)?;
        }
        Ok(Items::one(entry))
    }

    /// A query's result as an item of FROM.
    pub(super) fn derived(
        &mut self,
        derived: &Derived,
        name: Option<Rc<str>>,
        alias: Option<&Alias>,
    ) -> Walked<Items> {
        self.charge(derived.columns.len())?;
        let mut entry = Entry {
            name,
            columns: derived.columns.clone(),
            open: derived.open.clone(),
            locks: derived.locks.clone(),
            ..Entry::default()
        };
        apply(&mut entry, alias)?;
        Ok(Items::one(entry))
    }

    fn query_item<'t>(
        &mut self,
        query: &'t RangeSubselect,
        env: &Env<'t>,
        before: &Items,
    ) -> Walked<Items> {
        let RangeSubselect {
            lateral,
            subquery,
            alias,
        } = query;
        let env = match lateral {
            true => self.lateral(env, before)?,
            false => env.clone(),
        };
        let derived = match kind(present(subquery.as_deref())?)? {
            NodeEnum::SelectStmt(select) => self.select(select, &env)?,
            _ => return refuse("something else than a query within FROM"),
        };
        self.derived(&derived, None, alias.as_ref())
    }

    /// Functions in FROM see what stands before them, LATERAL or not.
    fn function_item<'t>(
        &mut self,
        function: &'t RangeFunction,
        env: &Env<'t>,
        before: &Items,
    ) -> Walked<Items> {
        let RangeFunction {
            lateral: _,
            ordinality,
            is_rowsfrom: _,
            functions,
            alias,
            coldeflist,
        } = function;
        let env = self.lateral(env, before)?;
        let mut entry = Entry::default();
        let single = functions.len() == 1;
        for part in functions {
            let NodeEnum::List(pair) = kind(part)? else {
                return refuse("something else than functions in ROWS FROM");
            };
            let [call, definitions] = pair.items.as_slice() else {
                return refuse("something else than functions in ROWS FROM");
            };
            let (flow, shape, name) = self.table_function(call, &env)?;
            if entry.name.is_none() {
                entry.name = Some(name.clone());
            }
            let definitions = match &definitions.node {
                None => Vec::new(),
                Some(NodeEnum::List(list)) => self.definitions(&list.items)?,
                Some(_) => return refuse("a column definition that is not known"),
            };
            let column = |name: Rc<str>| Column {
                name,
                flow: flow.clone(),
                reads: Flow::default(),
                type_oid: 0,
            };
            if !definitions.is_empty() {
                entry.columns.extend(definitions.into_iter().map(column));
                continue;
            }
            match shape {
                Shape::One => {
                    // A lone column takes the alias of the function as its name.
                    let name = match alias {
                        Some(alias) if single => (&*alias.aliasname).into(),
                        _ => name,
                    };
                    entry.columns.push(column(name));
                }
                Shape::Named(names) => {
                    entry
                        .columns
                        .extend(names.iter().map(|name| column((*name).into())));
                }
                Shape::Unknown => entry.open.get_or_insert_with(Flow::default).add(&flow),
            }
        }
        let definitions = self.definitions(coldeflist)?;
        if !definitions.is_empty() {
            let flow = entry.open.take().unwrap_or_default();
            entry.columns = definitions
                .into_iter()
                .map(|name| Column {
                    name,
                    flow: flow.clone(),
                    reads: Flow::default(),
                    type_oid: 0,
                })
                .collect();
        }
        if *ordinality {
            entry.columns.push(Column {
                name: "ordinality".into(),
                flow: Flow::default(),
                reads: Flow::default(),
                type_oid: 0,
            });
        }
        apply(&mut entry, alias.as_ref())?;
        Ok(Items::one(entry))
    }

    /// The names of a column definition list, `AS t(a int, b text)`.
    fn definitions(&mut self, list: &[Node]) -> Walked<Vec<Rc<str>>> {
        list.iter()
            .map(|node| {
                let NodeEnum::ColumnDef(definition) = kind(node)? else {
                    return refuse("a column definition that is not known");
                };
                let ColumnDef {
                    colname,
                    type_name,
                    compression: _,
                    inhcount: _,
                    is_local: _,
                    is_not_null: _,
                    is_from_type: _,
                    storage: _,
                    storage_name: _,
                    raw_default,
                    cooked_default: _,
                    identity: _,
                    identity_sequence: _,
                    generated: _,
                    coll_clause: _,
                    coll_oid: _,
                    constraints,
                    fdwoptions: _,
                    location: _,
                } = &**definition;
                self.makes(type_name.as_ref())?;
                if raw_default.is_some() || !constraints.is_empty() {
                    return refuse("a column definition in FROM with more than a name and a type");
                }
                Ok((&**colname).into())
            })
            .collect()
    }

    /// XMLTABLE.
    fn xml_item<'t>(
        &mut self,
        table: &'t RangeTableFunc,
        env: &Env<'t>,
        before: &Items,
    ) -> Walked<Items> {
        let RangeTableFunc {
            lateral: _,
            docexpr,
            rowexpr,
            namespaces,
            columns,
            alias,
            location: _,
        } = table;
        let env = self.lateral(env, before)?;
        let mut flow = self.maybe(docexpr.as_deref(), &env)?;
        let row = self.maybe(rowexpr.as_deref(), &env)?;
        self.join(&mut flow, &row)?;
        for namespace in namespaces {
            let NodeEnum::ResTarget(target) = kind(namespace)? else {
                return refuse("a namespace in XMLTABLE that is not known");
            };
            let ResTarget {
                name: _,
                indirection,
                val,
                location: _,
            } = &**target;
            if !indirection.is_empty() {
                return refuse("a namespace in XMLTABLE that is not known");
            }
            let uri = self.maybe(val.as_deref(), &env)?;
            self.join(&mut flow, &uri)?;
        }
        // How many rows there are tells of the document.
        self.expose(&flow)?;
        let mut entry = Entry {
            name: Some("xmltable".into()),
            ..Entry::default()
        };
        for node in columns {
            let NodeEnum::RangeTableFuncCol(column) = kind(node)? else {
                return refuse("a column in XMLTABLE that is not known");
            };
            let RangeTableFuncCol {
                colname,
                type_name,
                for_ordinality: _,
                is_not_null: _,
                colexpr,
                coldefexpr,
                location: _,
            } = &**column;
            self.makes(type_name.as_ref())?;
            let mut made_of = flow.clone();
            for part in [colexpr, coldefexpr] {
                let part = self.maybe(part.as_deref(), &env)?;
                self.join(&mut made_of, &part)?;
            }
            entry.columns.push(Column {
                name: (&**colname).into(),
                flow: made_of,
                reads: Flow::default(),
                type_oid: 0,
            });
        }
        apply(&mut entry, alias.as_ref())?;
        Ok(Items::one(entry))
    }

    fn sample_item<'t>(
        &mut self,
        sample: &'t RangeTableSample,
        env: &Env<'t>,
        before: &Items,
    ) -> Walked<Items> {
        let RangeTableSample {
            relation,
            method,
            args,
            repeatable,
            location: _,
        } = sample;
        let items = self.item(present(relation.as_deref())?, env, before)?;
        match strings(method)?.as_slice() {
            ["bernoulli" | "system"] | ["pg_catalog", "bernoulli" | "system"] => {}
            names => {
                self.function(names)?;
            }
        }
        for arg in args.iter().chain(repeatable.as_deref()) {
            let flow = self.expr(arg, env)?;
            self.expose(&flow)?;
        }
        Ok(items)
    }

    fn join_item<'t>(
        &mut self,
        join: &'t JoinExpr,
        env: &Env<'t>,
        before: &Items,
    ) -> Walked<Items> {
        let JoinExpr {
            jointype,
            is_natural,
            larg,
            rarg,
            using_clause,
            join_using_alias,
            quals,
            alias,
            rtindex: _,
        } = join;
        match JoinType::try_from(*jointype) {
            Ok(
                JoinType::JoinInner | JoinType::JoinLeft | JoinType::JoinFull | JoinType::JoinRight,
            ) => {}
            _ => return refuse("a kind of join that is not known"),
        }
        let left = self.item(present(larg.as_deref())?, env, before)?;
        let right = {
            self.charge(before.columns.len() + left.columns.len())?;
            let mut sees = before.clone();
            sees.extend(left.clone());
            self.item(present(rarg.as_deref())?, env, &sees)?
        };
        let mut shared: Vec<Rc<str>> = strings(using_clause)?.into_iter().map(Into::into).collect();
        if *is_natural {
            // Where columns are not all known, any of them may be shared.
            for open in [left.open(), right.open()].into_iter().flatten() {
                for items in [&left, &right] {
                    for column in &items.columns {
                        let flow = self.reads(column)?;
                        self.expose(&flow)?;
                    }
                }
                self.expose(&open)?;
            }
            for column in &left.columns {
                self.charge(right.columns.len())?;
                if right.columns.iter().any(|other| other.name == column.name) {
                    shared.push(Rc::clone(&column.name));
                }
            }
        }
        let mut items = self.merge(left, right, &shared, join_using_alias.as_ref())?;
        if let Some(condition) = quals {
            // A condition sees the two sides of its own join, then what is around the query.
            self.charge(items.columns.len() + items.entries.len())?;
            let flow = self.expr(condition, &env.within(items.clone()))?;
            self.expose(&flow)?;
        }
        if let Some(alias) = alias {
            // The alias hides the names within.
            let mut entry = Entry {
                locks: items
                    .entries
                    .iter()
                    .flat_map(|entry| entry.locks.clone())
                    .collect(),
                open: items.open(),
                columns: std::mem::take(&mut items.columns),
                ..Entry::default()
            };
            apply(&mut entry, Some(alias))?;
            return Ok(Items::one(entry));
        }
        Ok(items)
    }

    /// Both sides of a join, with the columns they share (USING, NATURAL) first and once.
    fn merge(
        &mut self,
        left: Items,
        right: Items,
        shared: &[Rc<str>],
        alias: Option<&Alias>,
    ) -> Walked<Items> {
        let mut merged = Vec::new();
        for name in shared {
            let mut column = Column {
                name: Rc::clone(name),
                flow: Flow::default(),
                reads: Flow::default(),
                type_oid: 0,
            };
            for side in [&left, &right] {
                self.charge(side.columns.len())?;
                let mut found = false;
                for one in side.columns.iter().filter(|one| one.name == *name) {
                    column.type_oid = one.type_oid;
                    column.flow.add(&one.flow);
                    column.reads.add(&one.reads);
                    found = true;
                }
                match (found, side.open()) {
                    (false, Some(open)) => column.flow.add(&open),
                    (false, None) => {
                        return refuse("a column in USING that one side of the join does not have");
                    }
                    (true, _) => {}
                }
            }
            // It is compared.
            let flow = self.reads(&column)?;
            self.expose(&flow)?;
            merged.push(column);
        }
        let mut entries = left.entries;
        entries.extend(right.entries);
        if let Some(alias) = alias {
            let mut entry = Entry {
                columns: merged.clone(),
                qualified_only: true,
                ..Entry::default()
            };
            apply(&mut entry, Some(alias))?;
            entries.push(Rc::new(entry));
        }
        let rest = left.columns.into_iter().chain(right.columns);
        let rest = rest.filter(|column| !shared.contains(&column.name));
        let mut columns = merged;
        columns.extend(rest);
        Ok(Items { columns, entries })
    }

    /// One output column more, for items that name a list.
    pub(super) fn renamed(&mut self, derived: &mut Derived, names: &[Node]) -> Walked<()> {
        rename(
            &mut derived.columns,
            derived.open.as_ref(),
            &strings(names)?,
        )
    }
}
