//! What a name means: relations and columns, as the server would resolve them.

use std::rc::Rc;

use bailiwick_action::{Action, Resource, Verb};
use pg_query::NodeEnum;
use pg_query::protobuf::{Alias, ColumnRef, Node, RangeVar};

use super::flow::Flow;
use super::limits::VIEWS_MAX;
use super::parse::parse_view;
use super::scope::{Column, Derived, Entry, Env, Level, Name, SYSTEM_COLUMNS};
use super::walk::{Walked, Walker, kind, refuse, strings};
use super::{Catalogue, Relation, Source};

/// A relation that a statement names.
pub(super) enum Found {
    /// The catalogue knows it.
    Known(Name, Rc<Vec<Column>>),
    /// It does not; then no grant covers it.
    Unknown(Name),
}

impl Found {
    pub(super) fn name(&self) -> &Name {
        match self {
            Found::Known(name, _) | Found::Unknown(name) => name,
        }
    }
}

/// What stands before a column's name: an item of FROM.
pub(super) struct Qualifier<'q> {
    schema: Option<&'q str>,
    name: &'q str,
}

impl<'q> Qualifier<'q> {
    /// The names before a column's own.
    pub(super) fn of(names: &[&'q str], catalogue: &'q Catalogue) -> Walked<Self> {
        let (schema, name) = match names {
            [name] => (None, *name),
            [schema, name] => (Some(*schema), *name),
            [database, schema, name] if *database == catalogue.database() => (Some(*schema), *name),
            _ => return refuse("a column of another database, or with too many names before it"),
        };
        let schema = schema.map(|schema| match schema {
            "pg_temp" => catalogue.temporary_schema(),
            schema => schema,
        });
        Ok(Self { schema, name })
    }

    /// Whether it means this item.
    pub(super) fn means(&self, entry: &Entry) -> bool {
        match (self.schema, &entry.full) {
            (None, _) => entry.name.as_deref() == Some(self.name),
            (Some(schema), Some(full)) => &*full.schema == schema && &*full.name == self.name,
            // A relation that is not known is refused by every grant already.
            (Some(schema), None) => entry.relation.as_ref().is_some_and(|relation| {
                relation.schema.is_empty() && *relation.name == *format!("{schema}.{}", self.name)
            }),
        }
    }
}

impl Walker<'_> {
    /// The relation that a name means. Queries named by WITH are not looked at here.
    pub(super) fn relation(&mut self, named: &RangeVar) -> Walked<Found> {
        let (schema, name) = self.named(named)?;
        let relation = match schema {
            Some(schema) => self.catalogue.relation(schema, name),
            None => self.catalogue.visible_relation(name),
        };
        if schema.is_none() && relation.is_some_and(|found| self.catalogue.hides(found)) {
            // The temporary one may be gone by then, with its transaction.
            return refuse(
                "a table that a temporary one hides; write pg_temp or its schema before it",
            );
        }
        match relation {
            Some(relation) => {
                let columns = self.columns(relation)?;
                Ok(Found::Known(
                    full(&relation.schema, &relation.name),
                    columns,
                ))
            }
            None => Ok(Found::Unknown(Name {
                schema: "".into(),
                name: match schema {
                    Some(schema) => format!("{schema}.{name}").into(),
                    None => name.into(),
                },
            })),
        }
    }

    /// The schema, if one is given, and the name.
    pub(super) fn named<'t>(&self, named: &'t RangeVar) -> Walked<(Option<&'t str>, &'t str)> {
        let RangeVar {
            catalogname,
            schemaname,
            relname,
            inh: _,
            relpersistence: _,
            alias: _,
            location: _,
        } = named;
        if !catalogname.is_empty() && catalogname != self.catalogue.database() {
            return refuse("a table of another database");
        }
        Ok(((!schemaname.is_empty()).then_some(&**schemaname), relname))
    }

    /// The columns of a relation; of a view, with what they are made of.
    fn columns(&mut self, relation: &Relation) -> Walked<Rc<Vec<Column>>> {
        if let Some(columns) = self.relations.get(&relation.oid) {
            return Ok(Rc::clone(columns));
        }
        self.charge(relation.columns.len())?;
        let behind = match &relation.definition {
            Some(definition) => self.view(definition, relation.columns.len())?,
            None => Vec::new(),
        };
        let mut columns = Vec::new();
        for (at, column) in relation.columns.iter().enumerate() {
            let reads = self.source(&relation.schema, &relation.name, &column.name);
            let mut flow = reads.clone();
            if let Some(behind) = behind.get(at) {
                self.join(&mut flow, behind)?;
            }
            columns.push(Column {
                name: (&*column.name).into(),
                flow,
                reads,
                type_oid: self.catalogue.base_type(column.type_oid),
            });
        }
        let columns = Rc::new(columns);
        self.relations.insert(relation.oid, Rc::clone(&columns));
        Ok(columns)
    }

    /// What each column of a view is made of.
    fn view(&mut self, definition: &str, columns: usize) -> Walked<Vec<Flow>> {
        if self.views >= VIEWS_MAX {
            return refuse("a view of views of views, too many");
        }
        // Parsing costs more than walking.
        self.charge(definition.len())?;
        let query = parse_view(definition)?;
        self.views += 1;
        let walked =
            self.aside(|walker| walker.touching(|walker| walker.select(&query, &Env::default())));
        self.views -= 1;
        let (derived, touched) = walked?;
        if derived.open.is_some() {
            return Ok(vec![touched; columns]);
        }
        if derived.columns.len() != columns {
            return refuse("a view whose definition does not fit its columns");
        }
        Ok(derived
            .columns
            .into_iter()
            .map(|column| column.flow)
            .collect())
    }

    /// A column of a relation as a source.
    pub(super) fn source(&mut self, schema: &str, table: &str, column: &str) -> Flow {
        Flow::of(self.sources.id(Source {
            schema: schema.to_owned(),
            table: table.to_owned(),
            column: column.to_owned(),
        }))
    }

    /// A relation as an item of FROM, or as the target of a write.
    pub(super) fn entry(&mut self, found: &Found, alias: Option<&Alias>) -> Walked<Entry> {
        let name = found.name().clone();
        let mut entry = match found {
            Found::Known(_, columns) => {
                self.charge(columns.len())?;
                Entry {
                    name: Some(Rc::clone(&name.name)),
                    columns: columns.to_vec(),
                    full: Some(name.clone()),
                    relation: Some(name.clone()),
                    ..Entry::default()
                }
            }
            Found::Unknown(_) => Entry {
                // It may be written with or without the schema, which is in the name now.
                name: Some(name.name.rsplit('.').next().unwrap_or(&name.name).into()),
                full: None,
                relation: Some(name.clone()),
                open: Some(self.source(&name.schema, &name.name, "*")),
                ..Entry::default()
            },
        };
        entry.locks = vec![name];
        apply(&mut entry, alias)?;
        Ok(entry)
    }

    /// What a reference to a column, or to a whole row, is made of.
    pub(super) fn column_ref(&mut self, reference: &ColumnRef, env: &Env<'_>) -> Walked<Flow> {
        let ColumnRef {
            fields,
            location: _,
        } = reference;
        let (last, before) = match fields.split_last() {
            Some(split) => split,
            None => return refuse("a column without a name"),
        };
        match kind(last)? {
            NodeEnum::AStar(_) => {
                let items = self.star(before, env)?;
                let mut flow = items.open.unwrap_or_default();
                for column in &items.columns {
                    let read = self.reads(column)?;
                    self.join(&mut flow, &read)?;
                }
                Ok(flow)
            }
            _ => {
                let names = strings(fields)?;
                match names.as_slice() {
                    [name] => self.bare(name, env),
                    [qualifier @ .., name] => self.qualified(qualifier, name, env),
                    [] => refuse("a column without a name"),
                }
            }
        }
    }

    /// What `*` (with what stands before it) gives, in order. Reading it is not taken down yet.
    pub(super) fn star(&mut self, qualifier: &[Node], env: &Env<'_>) -> Walked<Derived> {
        let mut derived = Derived::default();
        if qualifier.is_empty() {
            let Some(level) = &env.level else {
                return refuse("`*` without a table to take columns from");
            };
            self.charge(level.items.columns.len())?;
            derived.columns = level.items.columns.clone();
            derived.open = level.items.open();
            self.touch_open(&derived.open)?;
            return Ok(derived);
        }
        for entry in self.entries(&strings(qualifier)?, env)? {
            self.charge(entry.columns.len())?;
            derived.columns.extend(entry.columns.iter().cloned());
            if let Some(open) = &entry.open {
                derived.open.get_or_insert_with(Flow::default).add(open);
            }
        }
        self.touch_open(&derived.open)?;
        Ok(derived)
    }

    /// What an item with unknown columns is made of, once it is read: only an unknown relation is read
    /// by that.
    fn touch_open(&mut self, open: &Option<Flow>) -> Walked<()> {
        if let Some(open) = open {
            self.reads_open(open)?;
        }
        Ok(())
    }

    pub(super) fn reads_open(&mut self, open: &Flow) -> Walked<Flow> {
        let mut unknown = Flow::default();
        for id in open.ids() {
            if self
                .sources
                .get(id)
                .is_some_and(|source| source.schema.is_empty())
            {
                unknown.add(&Flow::of(id));
            }
        }
        self.reads_all(&unknown, open)
    }

    /// A name alone: a column of the nearest query that has one, else a whole row.
    pub(super) fn bare(&mut self, name: &str, env: &Env<'_>) -> Walked<Flow> {
        let mut flow = Flow::default();
        let mut maybe = false;
        let mut found = false;
        for level in levels(env) {
            self.charge(level.items.columns.len())?;
            for column in level
                .items
                .columns
                .iter()
                .filter(|column| &*column.name == name)
            {
                let read = self.reads(column)?;
                self.join(&mut flow, &read)?;
                found = true;
            }
            if found {
                return Ok(flow);
            }
            for entry in level
                .items
                .entries
                .iter()
                .filter(|entry| !entry.qualified_only)
            {
                if let Some(open) = &entry.open {
                    let read = self.reads_open(open)?;
                    self.join(&mut flow, &read)?;
                    maybe = true;
                }
                if SYSTEM_COLUMNS.contains(&name)
                    && let Some(relation) = &entry.relation
                {
                    let read = self.reads_named(&relation.clone(), name)?;
                    self.join(&mut flow, &read)?;
                    maybe = true;
                }
            }
        }
        for level in levels(env) {
            for entry in &level.items.entries {
                if entry.name.as_deref() == Some(name) {
                    let row = self.reads_row(entry)?;
                    self.join(&mut flow, &row)?;
                    found = true;
                }
            }
            if found {
                return Ok(flow);
            }
        }
        if maybe {
            return Ok(flow);
        }
        // The catalogue does not know such a column. The server will, or will say so; until then it may
        // be any relation's.
        for level in levels(env) {
            for entry in level
                .items
                .entries
                .iter()
                .filter(|entry| !entry.qualified_only)
            {
                let read = self.reads_unknown(entry, name)?;
                self.join(&mut flow, &read)?;
            }
        }
        Ok(flow)
    }

    /// A name after a table's.
    fn qualified(&mut self, qualifier: &[&str], name: &str, env: &Env<'_>) -> Walked<Flow> {
        let mut flow = Flow::default();
        for entry in self.entries(qualifier, env)? {
            self.charge(entry.columns.len())?;
            let mut found = false;
            for column in entry.columns.iter().filter(|column| &*column.name == name) {
                let read = self.reads(column)?;
                self.join(&mut flow, &read)?;
                found = true;
            }
            if found {
                continue;
            }
            if let (true, Some(relation)) = (SYSTEM_COLUMNS.contains(&name), &entry.relation) {
                let read = self.reads_named(&relation.clone(), name)?;
                self.join(&mut flow, &read)?;
                continue;
            }
            // `row.function` calls a function with the row, if there is no such column.
            let read = if self.is_function(name) {
                self.call_by_field(name)?;
                self.reads_row(&entry)?
            } else {
                self.reads_unknown(&entry, name)?
            };
            self.join(&mut flow, &read)?;
        }
        Ok(flow)
    }

    /// The items that a qualifier means: of the nearest query that has any.
    fn entries(&mut self, qualifier: &[&str], env: &Env<'_>) -> Walked<Vec<Rc<Entry>>> {
        let qualifier = Qualifier::of(qualifier, self.catalogue)?;
        for level in levels(env) {
            self.charge(level.items.entries.len())?;
            let found: Vec<_> = level
                .items
                .entries
                .iter()
                .filter(|entry| qualifier.means(entry))
                .cloned()
                .collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        refuse(
            "a column of a table that is not in FROM where it is named; add the table, or correct the name",
        )
    }

    /// A column of a relation by its name, known or not.
    pub(super) fn reads_named(&mut self, relation: &Name, column: &str) -> Walked<Flow> {
        let source = self.source(&relation.schema, &relation.name, column);
        self.reads_all(&source, &source)
    }

    /// A whole row.
    fn reads_row(&mut self, entry: &Entry) -> Walked<Flow> {
        let (flow, reads) = entry.whole();
        self.touch_open(&entry.open)?;
        self.reads_all(&reads, &flow)
    }

    /// A column that the catalogue does not know: of what it may be made.
    fn reads_unknown(&mut self, entry: &Entry, name: &str) -> Walked<Flow> {
        let (mut flow, _) = entry.whole();
        self.touch(&flow)?;
        if let Some(relation) = &entry.relation {
            let read = self.reads_named(&relation.clone(), name)?;
            self.join(&mut flow, &read)?;
        }
        Ok(flow)
    }

    /// Takes down that columns are read by way of a subquery or function.
    fn touch(&mut self, flow: &Flow) -> Walked<()> {
        self.reads_all(&Flow::default(), flow).map(drop)
    }

    /// Whether any relation in scope has a column of this name. Names that the statement gives itself do
    /// not count.
    pub(super) fn is_column_in_scope(&mut self, name: &str, env: &Env<'_>) -> Walked<bool> {
        for level in levels(env) {
            self.charge(level.items.entries.len())?;
            for relation in level
                .items
                .entries
                .iter()
                .filter_map(|entry| entry.relation.as_ref())
            {
                let known = self.catalogue.relation(&relation.schema, &relation.name);
                let columns = known.map_or(&[][..], |relation| &relation.columns);
                self.charge(columns.len())?;
                if columns.iter().any(|column| column.name == name) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The resource of a relation that a statement creates.
    pub(super) fn created(&mut self, named: &RangeVar) -> Walked<Name> {
        let (schema, name) = self.named(named)?;
        let schema = match (schema, &*named.relpersistence) {
            (Some(schema), _) => schema,
            (None, "t") => "pg_temp",
            (None, _) => self.catalogue.creation_schema().unwrap_or_default(),
        };
        Ok(full(schema, name))
    }

    /// Takes down a verb on a relation.
    pub(super) fn does(&mut self, verb: Verb, relation: &Name) {
        self.act(Action::new(
            verb,
            Resource::table(&*relation.schema, &*relation.name),
        ));
    }

    /// Takes down a verb on the relation that a statement names.
    pub(super) fn does_to(&mut self, verb: Verb, named: &RangeVar) -> Walked<Found> {
        let found = self.relation(named)?;
        self.does(verb, found.name());
        Ok(found)
    }
}

fn full(schema: &str, name: &str) -> Name {
    Name {
        schema: schema.into(),
        name: name.into(),
    }
}

fn levels<'e>(env: &'e Env<'_>) -> impl Iterator<Item = &'e Rc<Level>> {
    std::iter::successors(env.level.as_ref(), |level| level.outer.as_ref())
}

/// Gives an item of FROM its alias, and its columns theirs.
pub(super) fn apply(entry: &mut Entry, alias: Option<&Alias>) -> Walked<()> {
    let Some(Alias {
        aliasname,
        colnames,
    }) = alias
    else {
        return Ok(());
    };
    entry.name = Some((&**aliasname).into());
    entry.full = None;
    rename(&mut entry.columns, entry.open.as_ref(), &strings(colnames)?)
}

/// Gives columns other names, from the first on. Where more columns may be than are known, the names
/// are columns too.
pub(super) fn rename(columns: &mut Vec<Column>, open: Option<&Flow>, names: &[&str]) -> Walked<()> {
    for (at, name) in names.iter().enumerate() {
        match (columns.get_mut(at), open) {
            (Some(column), _) => column.name = (*name).into(),
            (None, Some(open)) => columns.push(Column {
                name: (*name).into(),
                flow: open.clone(),
                reads: Flow::default(),
                type_oid: 0,
            }),
            (None, None) => return refuse("more names for columns than there are columns"),
        }
    }
    Ok(())
}
