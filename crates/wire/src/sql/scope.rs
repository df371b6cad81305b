//! What names mean at a point of a statement: the relations of each query around it, and the queries
//! named by WITH.

use std::cell::RefCell;
use std::rc::Rc;

use pg_query::protobuf::CommonTableExpr;

use super::flow::Flow;

/// The columns that every table has beside its own.
pub(super) const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

/// A relation's full name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) schema: Rc<str>,
    pub(super) name: Rc<str>,
}

/// A column that can be named.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: Rc<str>,
    /// What its value is made of.
    pub(super) flow: Flow,
    /// The tables' own columns that are read by naming it; none for a column of a subquery, whose
    /// reads were counted where it was written.
    pub(super) reads: Flow,
    /// The OID of its type, where that is plain; else zero.
    pub(super) type_oid: u32,
}

/// One item of FROM under one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// What it is called: its alias, or the relation's name. Nothing where it cannot be named.
    pub(super) name: Option<Rc<str>>,
    /// The relation it is, unless an alias hides its full name.
    pub(super) full: Option<Name>,
    /// The relation it is, alias or not: it has system columns, and may have columns that the
    /// catalogue does not know yet.
    pub(super) relation: Option<Name>,
    pub(super) columns: Vec<Column>,
    /// It may have more columns than these; any of them is made of this.
    pub(super) open: Option<Flow>,
    /// The relations that locking it locks.
    pub(super) locks: Vec<Name>,
    /// Its columns can only be named with its name before them.
    pub(super) qualified_only: bool,
}

impl Entry {
    /// What the whole row is made of.
    pub(super) fn whole(&self) -> (Flow, Flow) {
        let mut flow = self.open.clone().unwrap_or_default();
        let mut reads = Flow::default();
        for column in &self.columns {
            flow.add(&column.flow);
            reads.add(&column.reads);
        }
        (flow, reads)
    }
}

/// Items of FROM side by side: what can be named, and in which order `*` gives it.
#[derive(Clone, Debug, Default)]
pub(super) struct Items {
    /// What `*` gives, and what can be named without a qualifier.
    pub(super) columns: Vec<Column>,
    pub(super) entries: Vec<Rc<Entry>>,
}

impl Items {
    /// One item alone.
    pub(super) fn one(entry: Entry) -> Self {
        Self {
            columns: match entry.qualified_only {
                true => Vec::new(),
                false => entry.columns.clone(),
            },
            entries: vec![Rc::new(entry)],
        }
    }

    /// Puts more items after these.
    pub(super) fn extend(&mut self, more: Items) {
        self.columns.extend(more.columns);
        self.entries.extend(more.entries);
    }

    /// Whether `*` may give more columns than are known.
    pub(super) fn open(&self) -> Option<Flow> {
        let mut open = None;
        for entry in self.entries.iter().filter(|entry| !entry.qualified_only) {
            if let Some(flow) = &entry.open {
                open.get_or_insert_with(Flow::default).add(flow);
            }
        }
        open
    }
}

/// The items of one query, within those of the queries around it.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) items: Items,
    pub(super) outer: Option<Rc<Level>>,
}

/// The columns of a query's result.
#[derive(Clone, Debug, Default)]
pub(super) struct Derived {
    pub(super) columns: Vec<Column>,
    /// There may be more columns than these, and their order is not known; any is made of this.
    pub(super) open: Option<Flow>,
    /// The relations that locking its rows locks.
    pub(super) locks: Vec<Name>,
}

impl Derived {
    /// What everything in it is made of.
    pub(super) fn whole(&self) -> Flow {
        let mut flow = self.open.clone().unwrap_or_default();
        for column in &self.columns {
            flow.add(&column.flow);
        }
        flow
    }
}

/// Everything that names can mean at one point.
#[derive(Clone, Default)]
pub(super) struct Env<'t> {
    pub(super) level: Option<Rc<Level>>,
    pub(super) with: Option<Rc<With<'t>>>,
}

impl<'t> Env<'t> {
    /// The same, within one more query with these items.
    pub(super) fn within(&self, items: Items) -> Self {
        Self {
            level: Some(Rc::new(Level {
                items,
                outer: self.level.clone(),
            })),
            with: self.with.clone(),
        }
    }
}

/// Queries named by WITH, within those named around them.
pub(super) struct With<'t> {
    pub(super) queries: Queries<'t>,
    pub(super) outer: Option<Rc<With<'t>>>,
}

/// The queries of one WITH.
pub(super) enum Queries<'t> {
    /// One query, worked out already; of a plain WITH each sees only those before it.
    One(Rc<str>, Rc<Derived>),
    /// All queries of a WITH RECURSIVE, which see each other. Worked out when first named.
    Recursive {
        /// The queries around the WITH.
        level: Option<Rc<Level>>,
        slots: RefCell<Vec<Slot<'t>>>,
    },
}

/// One query of a WITH RECURSIVE.
pub(super) struct Slot<'t> {
    pub(super) name: Rc<str>,
    pub(super) query: &'t CommonTableExpr,
    pub(super) state: State,
}

/// How far a query of a WITH RECURSIVE is.
#[derive(Clone)]
pub(super) enum State {
    /// Not looked at.
    Waiting,
    /// Being worked out; what is known of its columns so far, once there is something.
    Running {
        so_far: Option<Rc<Derived>>,
        /// It has named itself.
        named: bool,
    },
    /// Worked out.
    Done(Rc<Derived>),
}
