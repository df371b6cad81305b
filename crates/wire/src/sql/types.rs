//! Types that are not the system's own: what they are made of, and which functions making a value of one
//! calls. A cast, a placeholder of the type or a column of JSON_TABLE does so without naming a function.

use std::collections::{BTreeSet, HashMap, HashSet};

/// What is known of types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Types {
    /// By name: the schema and object id.
    names: HashMap<String, BTreeSet<(String, u32)>>,
    parts: HashMap<u32, Parts>,
    /// The schema and name of each function.
    made_by: HashMap<u32, BTreeSet<(String, String)>>,
}

/// What a type is made of; zero where it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    base: u32,
    element: u32,
    relation: u32,
}

impl Types {
    pub(super) fn add(
        &mut self,
        oid: u32,
        schema: &str,
        name: &str,
        [base, element]: [u32; 2],
        relation: u32,
    ) {
        self.name(oid, schema, name);
        let parts = Parts {
            base,
            element,
            relation,
        };
        self.parts.insert(oid, parts);
    }

    pub(super) fn add_made_by(
        &mut self,
        oid: u32,
        schema: &str,
        name: &str,
        (function_schema, function): (&str, &str),
    ) {
        self.name(oid, schema, name);
        let functions = self.made_by.entry(oid).or_default();
        functions.insert((function_schema.to_owned(), function.to_owned()));
    }

    fn name(&mut self, oid: u32, schema: &str, name: &str) {
        let schemas = self.names.entry(name.to_owned()).or_default();
        schemas.insert((schema.to_owned(), oid));
    }

    /// The types of a name in the schemas that are wanted.
    pub(super) fn named(&self, name: &str, wanted: impl Fn(&str) -> bool) -> Vec<u32> {
        let all = self.names.get(name).into_iter().flatten();
        all.filter(|(schema, _)| wanted(schema))
            .map(|(_, oid)| *oid)
            .collect()
    }

    /// What a type is a domain over, in the end.
    pub(super) fn base(&self, mut oid: u32) -> u32 {
        let mut seen = HashSet::new();
        while let Some(parts) = self.parts.get(&oid) {
            if parts.base == 0 || !seen.insert(oid) {
                break;
            }
            oid = parts.base;
        }
        oid
    }

    /// The functions of a type and of everything that it is made of. `columns` gives the types of a
    /// relation's columns.
    pub(super) fn made_by(
        &self,
        oid: u32,
        columns: impl Fn(u32) -> Vec<u32>,
    ) -> BTreeSet<(&str, &str)> {
        let mut functions = BTreeSet::new();
        // Mostly there is nothing that could be found.
        if self.made_by.is_empty() {
            return functions;
        }
        let mut seen = HashSet::new();
        let mut left = vec![oid];
        while let Some(oid) = left.pop() {
            if oid == 0 || !seen.insert(oid) {
                continue;
            }
            let own = self.made_by.get(&oid).into_iter().flatten();
            functions.extend(own.map(|(schema, name)| (&**schema, &**name)));
            if let Some(parts) = self.parts.get(&oid) {
                left.extend([parts.base, parts.element]);
                if parts.relation != 0 {
                    left.extend(columns(parts.relation));
                }
            }
        }
        functions
    }
}
