//! The walk over a statement's tree: what it keeps book of, and the limits it stays within. The parts
//! of the walk are in `select`, `from`, `expr`, `json`, `names`, `functions`, `write`, `utility` and
//! `define`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use bailiwick_action::{Action, Class, Facts, Resource, Verb};
use pg_query::NodeEnum;
use pg_query::protobuf::Node;

use super::flow::{Flow, Sources};
use super::limits::{DEPTH_MAX, WORK_MAX};
use super::scope::{Column, Name};
use super::{Catalogue, Refusal, Source, Statement};

/// The result of walking a part of the tree.
pub(super) type Walked<T> = Result<T, Refusal>;

/// What a statement was found to do.
#[derive(Debug, Default)]
pub(super) struct Book {
    actions: BTreeMap<(Class, Verb, Resource), BTreeSet<String>>,
    exposed: Flow,
    /// What is only looked up; it is exposed as well if the same column is in there.
    looked_up: Flow,
    touched: Flow,
}

/// Walks the statements of one text.
pub(super) struct Walker<'c> {
    pub(super) catalogue: &'c Catalogue,
    pub(super) sources: Sources,
    pub(super) book: Book,
    /// The columns of relations, by object id: views are worked out once.
    pub(super) relations: HashMap<u32, Rc<Vec<Column>>>,
    /// Views that are being worked out.
    pub(super) views: usize,
    depth: usize,
    work: usize,
}

impl<'c> Walker<'c> {
    pub(super) fn new(catalogue: &'c Catalogue) -> Self {
        Self {
            catalogue,
            sources: Sources::default(),
            book: Book::default(),
            relations: HashMap::new(),
            views: 0,
            depth: 0,
            work: 0,
        }
    }

    /// Goes one level down the tree.
    pub(super) fn deeper<T>(&mut self, walk: impl FnOnce(&mut Self) -> Walked<T>) -> Walked<T> {
        self.charge(1)?;
        if self.depth >= DEPTH_MAX {
            return refuse("a statement that is nested too deeply, with the views it reads");
        }
        self.depth += 1;
        let walked = walk(self);
        self.depth -= 1;
        walked
    }

    /// Counts work.
    pub(super) fn charge(&mut self, work: usize) -> Walked<()> {
        self.work = self.work.saturating_add(work);
        if self.work > WORK_MAX {
            return refuse("a text that is too much work to understand; send it in parts");
        }
        Ok(())
    }

    /// The work so far.
    #[cfg(test)]
    pub(super) fn work(&self) -> usize {
        self.work
    }

    /// Adds what another value is made of to a flow.
    pub(super) fn join(&mut self, flow: &mut Flow, more: &Flow) -> Walked<()> {
        self.charge(more.len())?;
        flow.add(more);
        Ok(())
    }

    /// Takes down an action without columns.
    pub(super) fn act(&mut self, action: Action) {
        let Action {
            class,
            verb,
            resource,
            columns,
            exposed: _,
            looked_up: _,
            facts: _,
        } = action;
        self.book
            .actions
            .entry((class, verb, resource))
            .or_default()
            .extend(columns);
    }

    /// Takes down that a table is read, whichever columns.
    pub(super) fn selects(&mut self, table: &Name) {
        self.act(Action::new(
            Verb::Select,
            Resource::table(&*table.schema, &*table.name),
        ));
    }

    /// Takes down that a column is named: its table's own columns are read.
    pub(super) fn reads(&mut self, column: &Column) -> Walked<Flow> {
        self.reads_all(&column.reads, &column.flow)
    }

    /// Takes down that columns are read, and what they are made of.
    pub(super) fn reads_all(&mut self, reads: &Flow, flow: &Flow) -> Walked<Flow> {
        self.charge(reads.len() + flow.len())?;
        for id in reads.ids() {
            if let Some(source) = self.sources.get(id) {
                let action = Action::new(
                    Verb::Select,
                    Resource::table(&*source.schema, &*source.table),
                )
                .with_columns([&*source.column]);
                self.act(action);
            }
        }
        self.book.touched.add(reads);
        self.book.touched.add(flow);
        Ok(flow.clone())
    }

    /// Takes down that a value can show itself other than as a result column.
    pub(super) fn expose(&mut self, flow: &Flow) -> Walked<()> {
        self.charge(flow.len())?;
        self.book.exposed.add(flow);
        Ok(())
    }

    /// Takes down that rows are looked up by a column.
    pub(super) fn looks_up(&mut self, flow: &Flow) -> Walked<()> {
        self.charge(flow.len())?;
        self.book.looked_up.add(flow);
        Ok(())
    }

    /// Everything that a part of the walk touches.
    pub(super) fn touching<T>(
        &mut self,
        walk: impl FnOnce(&mut Self) -> Walked<T>,
    ) -> Walked<(T, Flow)> {
        let before = std::mem::take(&mut self.book.touched);
        let walked = walk(self);
        let touched = std::mem::replace(&mut self.book.touched, before);
        self.book.touched.add(&touched);
        Ok((walked?, touched))
    }

    /// Walks what is fixed by a definition, not by this statement: it needs no grant of its own.
    pub(super) fn aside<T>(&mut self, walk: impl FnOnce(&mut Self) -> Walked<T>) -> Walked<T> {
        let before = std::mem::take(&mut self.book);
        let walked = walk(self);
        self.book = before;
        walked
    }

    /// Takes down again what a statement within this one was found to do.
    pub(super) fn retake(&mut self, inner: &Statement) {
        for action in &inner.actions {
            self.act(action.clone());
        }
        let exposed = inner.exposed_sources.difference(&inner.looked_up).collect();
        for (of, book) in [
            (exposed, &mut self.book.exposed),
            (inner.looked_up.iter().collect(), &mut self.book.looked_up),
            (
                inner.touched.iter().collect::<Vec<_>>(),
                &mut self.book.touched,
            ),
        ] {
            for source in of {
                book.add(&Flow::of(self.sources.id(source.clone())));
            }
        }
    }

    /// Closes the book on a statement.
    pub(super) fn close(&mut self) -> Closed {
        let Book {
            actions,
            exposed,
            looked_up,
            touched,
        } = std::mem::take(&mut self.book);
        let mut exposed = self.sources.set(&exposed);
        let mut looked_up = self.sources.set(&looked_up);
        looked_up.retain(|source| !exposed.contains(source));
        exposed.extend(looked_up.iter().cloned());
        let mut actions: Vec<_> = actions
            .into_iter()
            .map(|((class, verb, resource), columns)| {
                let among = |sources: &BTreeSet<Source>| {
                    let shown = |column: &&String| {
                        verb == Verb::Select
                            && sources.contains(&Source {
                                schema: resource.schema.clone().unwrap_or_default(),
                                table: resource.name.clone(),
                                column: (*column).clone(),
                            })
                    };
                    columns.iter().filter(shown).cloned().collect()
                };
                Action {
                    class,
                    verb,
                    exposed: among(&exposed),
                    looked_up: among(&looked_up),
                    resource,
                    columns,
                    facts: Facts::new(),
                }
            })
            .collect();
        if actions.is_empty() {
            actions.push(Action::session());
        }
        Closed {
            actions,
            exposed,
            looked_up,
            touched: self.sources.set(&touched),
        }
    }
}

/// What a statement was found to do, in the end.
pub(super) struct Closed {
    pub(super) actions: Vec<Action>,
    pub(super) exposed: BTreeSet<Source>,
    pub(super) looked_up: BTreeSet<Source>,
    pub(super) touched: BTreeSet<Source>,
}

/// Refuses the text.
pub(super) fn refuse<T>(reason: impl Into<String>) -> Walked<T> {
    Err(Refusal::new(reason))
}

/// What a node is.
pub(super) fn kind(node: &Node) -> Walked<&NodeEnum> {
    match &node.node {
        Some(kind) => Ok(kind),
        None => refuse("a statement with a gap where something is expected"),
    }
}

/// A node that has to be there.
pub(super) fn present<T>(part: Option<&T>) -> Walked<&T> {
    match part {
        Some(part) => Ok(part),
        None => refuse("a statement with a gap where something is expected"),
    }
}

/// A list of names.
pub(super) fn strings(nodes: &[Node]) -> Walked<Vec<&str>> {
    nodes
        .iter()
        .map(|node| match kind(node)? {
            NodeEnum::String(string) => Ok(&*string.sval),
            _ => refuse("something else than a name where a name is expected"),
        })
        .collect()
}
