//! COPY: rows in or out, of a table or a query, with the agent or with the target's own files.

use bailiwick_action::{Action, Resource, Verb};
use pg_query::NodeEnum;
use pg_query::protobuf::{self, CopyStmt, Node};

use super::flow::Flow;
use super::names::Found;
use super::scope::{Column, Derived, Entry, Env, Items};
use super::settings::harmless_setting;
use super::utility::{What, constant, definition, makes_table};
use super::walk::{Walked, Walker, kind, present, refuse, strings};
use super::{Outputs, StatementKind};

/// How the rows of a COPY to the agent are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOut {
    /// The format.
    pub format: CopyFormat,
    /// The names in the first line, if it has them. Nothing in the list where they are not known.
    pub header: Option<Vec<String>>,
}

/// A format of COPY, with what sets it apart. All single characters are ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// Lines of values with a delimiter between them, and backslashes before what is special.
    Text {
        /// Between two values.
        delimiter: u8,
        /// What stands for NULL.
        null: String,
    },
    /// Lines of values with a delimiter between them, and quotes around what is special.
    Csv {
        /// Between two values.
        delimiter: u8,
        /// What stands for NULL, where it is not quoted.
        null: String,
        /// Around a value.
        quote: u8,
        /// Before a quote or itself within a quoted value.
        escape: u8,
    },
    /// PostgreSQL's own, with the values in their binary formats.
    Binary,
}

impl Walker<'_> {
    /// COPY, in either direction.
    pub(super) fn copy(&mut self, statement: &CopyStmt) -> Walked<What> {
        let CopyStmt {
            relation,
            query,
            attlist,
            is_from,
            is_program,
            filename,
            options,
            where_clause,
        } = statement;
        let columns = strings(attlist)?;
        for option in options {
            let (name, value) = definition(option)?;
            match name {
                "format" | "freeze" | "delimiter" | "null" | "header" | "quote" | "escape"
                | "force_quote" | "force_not_null" | "force_null" | "default" | "on_error"
                | "log_verbosity" | "reject_limit" => {}
                "encoding" => {
                    let value = value.and_then(constant).unwrap_or_default();
                    if !harmless_setting("client_encoding", &value) {
                        return refuse("COPY in another encoding than UTF8");
                    }
                }
                _ => return refuse("an option of COPY that is not known"),
            }
        }
        let outside = *is_program || !filename.is_empty();
        if *is_program {
            self.object(Verb::Maintain, "program", "");
        } else if outside {
            self.object(Verb::Maintain, "server files", "");
        }
        if !*is_from && !outside {
            if where_clause.is_some() {
                return refuse("a COPY that is not known");
            }
            return self.copy_to_agent(relation.as_ref(), query.as_deref(), &columns, options);
        }
        if !*is_from {
            return self.copy_out(relation.as_ref(), query.as_deref(), &columns);
        }
        if query.is_some() {
            return refuse("a COPY that is not known");
        }
        let found = self.relation(present(relation.as_ref())?)?;
        let mut entry = Entry {
            name: Some(found.name().name.clone()),
            ..Entry::default()
        };
        let all = match &found {
            Found::Known(_, known) => {
                // Its condition is about the rows that come in, not those that are there.
                entry.columns = known
                    .iter()
                    .map(|column| Column {
                        flow: Flow::default(),
                        reads: Flow::default(),
                        ..column.clone()
                    })
                    .collect();
                known.iter().map(|column| column.name.to_string()).collect()
            }
            Found::Unknown(_) => vec!["*".to_owned()],
        };
        let name = found.name();
        let resource = Resource::table(&*name.schema, &*name.name);
        let set = match columns.is_empty() {
            true => all,
            false => columns.into_iter().map(str::to_owned).collect(),
        };
        self.act(Action::new(Verb::Insert, resource).with_columns(set));
        let env = Env::default().within(Items::one(entry));
        self.condition(where_clause.as_deref(), &env)?;
        Ok(What::kind(
            "COPY FROM",
            match outside {
                true => StatementKind::Plain,
                false => StatementKind::CopyIn,
            },
        ))
    }

    /// COPY to the agent: its rows are masked as those of a SELECT are.
    fn copy_to_agent(
        &mut self,
        relation: Option<&protobuf::RangeVar>,
        query: Option<&Node>,
        columns: &[&str],
        options: &[Node],
    ) -> Walked<What> {
        let (format, header) = self.format(options)?;
        let env = Env::default();
        let derived = match (relation, query) {
            (Some(named), None) => self.copied(named, columns)?,
            (None, Some(query)) if columns.is_empty() => match kind(query)? {
                NodeEnum::SelectStmt(select) if !makes_table(select) => {
                    self.select(select, &env)?
                }
                NodeEnum::InsertStmt(insert) => self.insert(insert, &env)?,
                NodeEnum::UpdateStmt(update) => self.update(update, &env)?,
                NodeEnum::DeleteStmt(delete) => self.delete(delete, &env)?,
                NodeEnum::MergeStmt(merge) => self.merges(merge, &env)?,
                _ => return refuse("a COPY of something that is not known"),
            },
            _ => return refuse("a COPY that is not known"),
        };
        let outputs = self.outputs(&derived)?;
        let names = match outputs {
            Outputs::Columns(_) => derived
                .columns
                .iter()
                .map(|one| one.name.to_string())
                .collect(),
            Outputs::None | Outputs::Unknown => Vec::new(),
        };
        let copy = CopyOut {
            format,
            header: header.then_some(names),
        };
        Ok(What {
            outputs,
            ..What::kind("COPY TO", StatementKind::CopyOut(copy))
        })
    }

    /// The columns of a table that is copied: those that are listed, or all but generated ones.
    fn copied(&mut self, named: &protobuf::RangeVar, listed: &[&str]) -> Walked<Derived> {
        let found = self.relation(named)?;
        self.selects(found.name());
        let entry = self.entry(&found, None)?;
        let mut derived = Derived::default();
        if let Some(open) = &entry.open {
            derived.open = Some(self.reads_open(open)?);
            return Ok(derived);
        }
        let name = found.name();
        let relation = self.catalogue.relation(&name.schema, &name.name);
        let generated = |column: &Column| {
            relation.is_some_and(|relation| {
                let mut columns = relation.columns.iter();
                columns.any(|one| one.generated && *one.name == *column.name)
            })
        };
        let columns: Vec<Column> = if listed.is_empty() {
            let all = entry.columns.iter().filter(|column| !generated(column));
            all.cloned().collect()
        } else {
            let mut columns = Vec::new();
            for name in listed {
                let mut all = entry.columns.iter();
                match all.find(|column| *column.name == **name) {
                    Some(column) => columns.push(column.clone()),
                    None => {
                        return refuse(
                            "COPY of a column that the table does not have; correct its name",
                        );
                    }
                }
            }
            columns
        };
        for column in columns {
            let flow = self.reads(&column)?;
            derived.columns.push(Column { flow, ..column });
        }
        Ok(derived)
    }

    /// How rows are to be written, and whether a line of names comes first. Whatever the server may
    /// read otherwise than it is read here is refused.
    fn format(&mut self, options: &[Node]) -> Walked<(CopyFormat, bool)> {
        let mut format = "text".to_owned();
        let (mut delimiter, mut null, mut quote, mut escape) = (None, None, None, None);
        let (mut header, mut forced) = (None, false);
        let mut seen = Vec::new();
        for option in options {
            let (name, value) = definition(option)?;
            if seen.contains(&name) {
                return refuse("an option of COPY twice");
            }
            seen.push(name);
            let text = value.and_then(constant);
            match (name, text) {
                ("format", Some(text)) => format = text,
                ("delimiter", Some(text)) => delimiter = Some(one(&text)?),
                ("null", Some(text)) => null = Some(text),
                ("quote", Some(text)) => quote = Some(one(&text)?),
                ("escape", Some(text)) => escape = Some(one(&text)?),
                ("header", text) => {
                    let absent = value.is_none();
                    header = match text.map(|text| text.to_ascii_lowercase()).as_deref() {
                        None if absent => Some(true),
                        Some("true" | "on" | "1") => Some(true),
                        Some("false" | "off" | "0") => Some(false),
                        _ => return refuse("a HEADER of COPY that is neither on nor off"),
                    };
                }
                ("force_quote", _) => forced = true,
                // Looked at before.
                ("encoding", _) => {}
                _ => {
                    return refuse(
                        "an option that COPY … TO STDOUT does not take here; leave it out, or use SELECT",
                    );
                }
            }
        }
        let plain = quote.is_none() && escape.is_none() && !forced;
        let format = match &*format {
            "text" if plain => {
                let delimiter = delimiter.unwrap_or(b'\t');
                let special = delimiter.is_ascii_lowercase() || delimiter.is_ascii_digit();
                if special || matches!(delimiter, b'\\' | b'.') {
                    return refuse("a delimiter of COPY that means something else in text");
                }
                CopyFormat::Text {
                    delimiter,
                    null: null.unwrap_or_else(|| "\\N".to_owned()),
                }
            }
            "csv" => {
                let quote = quote.unwrap_or(b'"');
                CopyFormat::Csv {
                    delimiter: delimiter.unwrap_or(b','),
                    null: null.unwrap_or_default(),
                    quote,
                    escape: escape.unwrap_or(quote),
                }
            }
            "binary" if plain && delimiter.is_none() && null.is_none() && header.is_none() => {
                CopyFormat::Binary
            }
            _ => {
                return refuse(
                    "a format of COPY that is not known, or that some option does not go with",
                );
            }
        };
        let clear = match &format {
            CopyFormat::Text { delimiter, null } => clear(null, &[*delimiter]),
            CopyFormat::Csv {
                delimiter,
                null,
                quote,
                escape: _,
            } => delimiter != quote && clear(null, &[*delimiter, *quote]),
            CopyFormat::Binary => true,
        };
        match clear {
            true => Ok((format, header.unwrap_or_default())),
            false => refuse("a COPY whose NULL, delimiter and quote cannot be told apart"),
        }
    }

    /// COPY to a file or program of the target.
    fn copy_out(
        &mut self,
        relation: Option<&protobuf::RangeVar>,
        query: Option<&Node>,
        columns: &[&str],
    ) -> Walked<What> {
        match (relation, query) {
            (Some(named), None) => {
                let found = self.relation(named)?;
                self.selects(found.name());
                let entry = self.entry(&found, None)?;
                for column in &entry.columns {
                    if columns.is_empty() || columns.contains(&&*column.name) {
                        let flow = self.reads(column)?;
                        self.expose(&flow)?;
                    }
                }
                if let Some(open) = &entry.open {
                    let flow = self.reads_open(open)?;
                    self.expose(&flow)?;
                }
            }
            (None, Some(query)) => match kind(query)? {
                NodeEnum::SelectStmt(_)
                | NodeEnum::InsertStmt(_)
                | NodeEnum::UpdateStmt(_)
                | NodeEnum::DeleteStmt(_)
                | NodeEnum::MergeStmt(_) => {
                    let (_, touched) =
                        self.touching(|walker| walker.deeper(|walker| walker.found(kind(query)?)))?;
                    self.expose(&touched)?;
                }
                _ => return refuse("a COPY of something that is not known"),
            },
            _ => return refuse("a COPY that is not known"),
        }
        Ok(What::plain("COPY TO"))
    }
}

/// A character that sets values apart.
fn one(text: &str) -> Walked<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n' | 0) => Ok(*byte),
        _ => refuse("an option of COPY that is to be one ASCII character, and is not"),
    }
}

/// Whether what stands for NULL is no other than a value.
fn clear(null: &str, special: &[u8]) -> bool {
    let mut bytes = null.bytes();
    !bytes.any(|byte| special.contains(&byte) || matches!(byte, b'\r' | b'\n'))
}
