//! Statements by chance: over tables, views, partitions, functions and sequences, some of which a scope
//! grants and some of which are secret, in every place of a statement where something can be named.

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one_in(&mut self, so_many: usize) -> bool {
        self.below(so_many) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Relations and their columns. What is granted comes more often than what is not.
const RELATIONS: &[(&str, &[&str])] = &[
    ("tickets", &["id", "subject", "email", "priority"]),
    ("public.tickets", &["id", "subject", "email", "priority"]),
    ("comments", &["id", "ticket", "body"]),
    ("people", &["id", "name"]),
    ("people", &["id", "name", "phone"]),
    ("events", &["id", "year", "what"]),
    ("events_2024", &["id", "year", "what"]),
    ("open_tickets", &["id", "subject"]),
    ("holders", &["holder"]),
    ("ticket_stats", &["priority", "n"]),
    ("old_tickets", &["id", "subject", "email", "priority"]),
    ("\"Odd Name\"", &["id", "\"quo\"\"ted\""]),
    ("drafts", &["id", "body"]),
    ("secret.cards", &["id", "holder", "number"]),
    ("secret.\"keys\"", &["id", "key"]),
    ("all_cards", &["id", "number"]),
    ("numbers", &["last_value", "is_called"]),
];

/// Tables that rows are written to, with columns to set.
const WRITTEN: &[(&str, &[&str])] = &[
    ("tickets", &["subject", "priority"]),
    ("comments", &["ticket", "body"]),
    ("comments", &["body"]),
    ("events", &["id", "what"]),
    ("events", &["year", "what"]),
    ("people", &["name"]),
    ("open_tickets", &["subject"]),
    ("drafts", &["id", "body"]),
    ("secret.cards", &["holder"]),
];

/// Functions of one value.
const FUNCTIONS: &[&str] = &[
    "lower",
    "length",
    "md5",
    "coalesce",
    "quote_literal",
    "to_json",
    "shout",
    "public.shout",
    "peek",
    "secret.unlock",
    "pg_typeof",
    "row",
    "concat",
    "hashtext",
];

/// What reads a table that is named in a text.
const BY_TEXT: &[&str] = &[
    "query_to_xml('SELECT number FROM secret.cards', true, false, '')",
    "table_to_xml('secret.cards', true, false, '')",
    "schema_to_xml('secret', true, false, '')",
    "nextval('numbers')",
    "setval('numbers', 7)",
    "pg_relation_size('secret.cards')",
    "has_table_privilege('secret.cards', 'select')",
    "'secret.cards'::regclass",
    "(SELECT ndoc FROM ts_stat('SELECT to_tsvector(number) FROM secret.cards') LIMIT 1)",
    "ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, number::tsquery FROM secret.cards')",
    "current_setting('search_path')",
    "now()",
    "7",
    "'text'",
    "NULL",
];

/// A name that stands for rows, and its columns.
type Alias = (String, Vec<String>);

/// Makes statements.
pub(crate) struct Generator {
    pub(crate) random: Random,
    /// Names of common table expressions in sight, with their columns.
    common: Vec<Alias>,
    aliases: usize,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            common: Vec::new(),
            aliases: 0,
        }
    }

    pub(crate) fn statement(&mut self) -> String {
        self.common.clear();
        self.aliases = 0;
        match self.random.below(24) {
            0 => format!("EXPLAIN {}", self.manipulation(2)),
            1 => format!("EXPLAIN (ANALYZE, VERBOSE) {}", self.manipulation(2)),
            2 => format!("CREATE TEMP TABLE made AS {}", self.query(2, &[])),
            3 => {
                let (relation, _) = self.random.pick(RELATIONS);
                let mode = self
                    .random
                    .pick(&["ACCESS SHARE", "ROW EXCLUSIVE", "EXCLUSIVE"]);
                format!("LOCK TABLE {relation} IN {mode} MODE")
            }
            4 => format!("TRUNCATE {}", self.random.pick(WRITTEN).0),
            5..12 => self.manipulation(3),
            _ => self.query(3, &[]),
        }
    }

    /// A query, or something that writes.
    fn manipulation(&mut self, depth: usize) -> String {
        let kept = self.common.len();
        let with = self.with(depth);
        let statement = match self.random.below(5) {
            0 => self.insert(depth),
            1 => self.update(depth),
            2 => self.delete(depth),
            3 => self.merge(depth),
            _ => self.query(depth, &[]),
        };
        self.common.truncate(kept);
        format!("{with}{statement}")
    }

    fn with(&mut self, depth: usize) -> String {
        if depth == 0 || !self.random.one_in(4) {
            return String::new();
        }
        let recursive = if self.random.one_in(3) {
            "RECURSIVE "
        } else {
            ""
        };
        let mut parts = Vec::new();
        for _ in 0..=self.random.below(2) {
            // Sometimes it hides a table of the same name.
            let name = match self.random.one_in(3) {
                true => self
                    .random
                    .pick(&["tickets", "comments", "cards", "keys"])
                    .to_owned(),
                false => self.alias("c"),
            };
            let columns = vec!["x".to_owned()];
            let inner = match self.random.below(4) {
                0 => {
                    let (table, _) = self.random.pick(WRITTEN);
                    format!("DELETE FROM {table} RETURNING 1")
                }
                1 => self.update(0) + " RETURNING 1",
                _ => format!(
                    "SELECT {} FROM {}",
                    self.value(depth - 1, &[]),
                    self.relation()
                ),
            };
            parts.push(format!("{name} (x) AS ({inner})"));
            self.common.push((name, columns));
        }
        format!("WITH {recursive}{} ", parts.join(", "))
    }

    fn alias(&mut self, letter: &str) -> String {
        self.aliases += 1;
        format!("{letter}{}", self.aliases)
    }

    fn relation(&mut self) -> &'static str {
        self.random.pick(RELATIONS).0
    }

    /// A query; it may use these rows of the query around it.
    fn query(&mut self, depth: usize, around: &[Alias]) -> String {
        let kept = self.common.len();
        let with = self.with(depth);
        let text = match self.random.below(10) {
            0 if depth > 0 => {
                let operator = self
                    .random
                    .pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT"]);
                let (a, b) = (
                    self.one_value(depth - 1, around),
                    self.one_value(depth - 1, around),
                );
                format!("{a} {operator} {b}")
            }
            1 => format!("VALUES ({}), ('v')", self.value_text(depth.min(1), around)),
            2 => format!("TABLE {}", self.relation()),
            _ => self.select(depth, around),
        };
        self.common.truncate(kept);
        format!("{with}{text}")
    }

    /// A query with one column of text.
    fn one_value(&mut self, depth: usize, around: &[Alias]) -> String {
        let (from, here) = self.from(depth, around);
        let all = [around, &here].concat();
        let value = self.value_text(depth.saturating_sub(1), &all);
        let condition = self.condition(depth.saturating_sub(1), &all);
        format!("SELECT {value} FROM {from} WHERE {condition}")
    }

    fn select(&mut self, depth: usize, around: &[Alias]) -> String {
        let (from, here) = self.from(depth, around);
        let all = [around, &here].concat();
        let less = depth.saturating_sub(1);
        let mut list = Vec::new();
        for _ in 0..=self.random.below(2) {
            let one = match self.random.below(8) {
                0 => "*".to_owned(),
                1 => format!("{}.*", here[0].0),
                2 => format!("{}::text", here[0].0),
                3 => format!(
                    "count({}) OVER (PARTITION BY {})",
                    self.value(0, &here),
                    self.value(0, &here)
                ),
                _ => self.value(less, &all),
            };
            list.push(one);
        }
        let list = list.join(", ");
        let mut text = match self.random.below(12) {
            0 => format!("SELECT DISTINCT {list} FROM {from}"),
            1 => format!(
                "SELECT count(*), max({}) FROM {from}",
                self.value_text(less, &all)
            ),
            2 => {
                let by = self.value_text(0, &here);
                let having = self.condition(0, &[]);
                return format!("SELECT {by} FROM {from} GROUP BY {by} HAVING {having}");
            }
            3 => format!("SELECT FROM {from}"),
            _ => format!("SELECT {list} FROM {from}"),
        };
        if self.random.one_in(2) {
            text += &format!(" WHERE {}", self.condition(less, &all));
        }
        if text.contains("count(*),") || text.contains("DISTINCT") {
            return text;
        }
        if self.random.one_in(4) {
            text += &format!(" ORDER BY {}", self.value_text(less, &all));
        }
        if self.random.one_in(6) {
            let limit = self.query_of_number(less);
            text += &format!(" LIMIT {limit}");
        }
        if self.random.one_in(8) {
            let strength = self
                .random
                .pick(&["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"]);
            let of = match self.random.one_in(2) {
                true => format!(" OF {}", here[0].0),
                false => String::new(),
            };
            text += &format!(" FOR {strength}{of}");
        }
        text
    }

    fn query_of_number(&mut self, depth: usize) -> String {
        match depth {
            0 => "3".into(),
            _ => format!("(SELECT count(*) FROM {})", self.relation()),
        }
    }

    /// What stands behind FROM, and what it makes known.
    fn from(&mut self, depth: usize, around: &[Alias]) -> (String, Vec<Alias>) {
        let (mut text, first) = self.source(depth, around);
        let mut here = vec![first];
        if self.random.one_in(3) {
            let (other, second) = self.source(depth.saturating_sub(1), &[]);
            let join = match self.random.below(5) {
                0 => ", ".to_owned(),
                1 => " NATURAL JOIN ".to_owned(),
                2 => " CROSS JOIN ".to_owned(),
                _ => self
                    .random
                    .pick(&[" JOIN ", " LEFT JOIN ", " FULL JOIN "])
                    .to_owned(),
            };
            let plain =
                !join.contains("JOIN") || join.contains("NATURAL") || join.contains("CROSS");
            text = format!("{text}{join}{other}");
            here.push(second);
            if !plain {
                let condition = match here[0].1.contains(&"id".to_owned())
                    && here[1].1.contains(&"id".to_owned())
                    && self.random.one_in(2)
                {
                    true => "USING (id)".to_owned(),
                    false => format!("ON {}", self.condition(0, &here)),
                };
                text = format!("{text} {condition}");
            }
        }
        (text, here)
    }

    fn source(&mut self, depth: usize, around: &[Alias]) -> (String, Alias) {
        let alias = self.alias("t");
        if !self.common.is_empty() && self.random.one_in(2) {
            let (name, columns) = self.common[self.random.below(self.common.len())].clone();
            return (format!("{name} {alias}"), (alias, columns));
        }
        let one = |name: &str| vec![name.to_owned()];
        match self.random.below(12) {
            0 if depth > 0 => {
                let inner = self.one_value(depth - 1, &[]);
                (format!("({inner}) {alias} (x)"), (alias, one("x")))
            }
            1 if depth > 0 && !around.is_empty() => {
                let inner = self.one_value(depth - 1, around);
                (format!("LATERAL ({inner}) {alias} (x)"), (alias, one("x")))
            }
            2 => {
                let function = self.random.pick(&[
                    "generate_series(1, 2)",
                    "recent(1)",
                    "leak()",
                    "unnest(ARRAY[1, 2])",
                ]);
                (format!("{function} {alias} (x)"), (alias, one("x")))
            }
            3 => {
                let (relation, columns) = self.random.pick(RELATIONS);
                let columns = columns.iter().map(|name| (*name).to_owned()).collect();
                (format!("ONLY {relation} {alias}"), (alias, columns))
            }
            _ => {
                let (relation, columns) = self.random.pick(RELATIONS);
                let columns = columns.iter().map(|name| (*name).to_owned()).collect();
                let sample = match self.random.one_in(16) {
                    true => " TABLESAMPLE bernoulli (100)",
                    false => "",
                };
                (format!("{relation} {alias}{sample}"), (alias, columns))
            }
        }
    }

    /// A value of text.
    fn value_text(&mut self, depth: usize, rows: &[Alias]) -> String {
        format!("({})::text", self.value(depth, rows))
    }

    fn value(&mut self, depth: usize, rows: &[Alias]) -> String {
        if depth > 0 {
            match self.random.below(12) {
                0 => return format!("({} LIMIT 1)", self.one_value(depth - 1, rows)),
                1 => return format!("ARRAY({})", self.one_value(depth - 1, rows)),
                2 => {
                    let condition = self.condition(depth - 1, rows);
                    let (a, b) = (
                        self.value_text(depth - 1, rows),
                        self.value_text(depth - 1, rows),
                    );
                    return format!("CASE WHEN {condition} THEN {a} ELSE {b} END");
                }
                3 => {
                    let (a, b) = (
                        self.value_text(depth - 1, rows),
                        self.value_text(depth - 1, rows),
                    );
                    return format!("{a} || {b}");
                }
                4 | 5 => {
                    let function = self.random.pick(FUNCTIONS);
                    return format!("{function}({})", self.value_text(depth - 1, rows));
                }
                6 => {
                    let value = self.value_text(depth - 1, rows);
                    let to = self.random.pick(&["name", "short", "varchar(9)", "bytea"]);
                    return format!("{value}::{to}");
                }
                7 => {
                    return format!(
                        "{} ^^^ {}",
                        self.value_text(0, rows),
                        self.value_text(0, rows)
                    );
                }
                _ => {}
            }
        }
        if rows.is_empty() || self.random.one_in(6) {
            return self.random.pick(BY_TEXT).to_owned();
        }
        let (alias, columns) = &rows[self.random.below(rows.len())];
        let column = &columns[self.random.below(columns.len())];
        match self.random.below(12) {
            0 => format!("({alias}).{column}"),
            1 => format!("to_jsonb({alias})"),
            2 => format!("{alias}.ctid"),
            3 => format!("{alias}.tableoid::regclass"),
            4 => format!("summary({alias})"),
            5 => format!("({alias}).summary"),
            _ => format!("{alias}.{column}"),
        }
    }

    fn condition(&mut self, depth: usize, rows: &[Alias]) -> String {
        if depth > 0 {
            match self.random.below(8) {
                0 => return format!("EXISTS ({})", self.one_value(depth - 1, rows)),
                1 => {
                    let value = self.value_text(0, rows);
                    return format!("{value} IN ({})", self.one_value(depth - 1, rows));
                }
                2 => {
                    let value = self.value_text(0, rows);
                    return format!("{value} > ALL ({})", self.one_value(depth - 1, rows));
                }
                3 => {
                    let (a, b) = (
                        self.condition(depth - 1, rows),
                        self.condition(depth - 1, rows),
                    );
                    return format!("({a} OR NOT {b})");
                }
                _ => {}
            }
        }
        match self.random.below(3) {
            0 => format!(
                "{} = {}",
                self.value_text(0, rows),
                self.value_text(0, rows)
            ),
            1 => format!("{} IS NOT NULL", self.value_text(0, rows)),
            _ => "true".into(),
        }
    }

    /// Something that fits a column of this name.
    fn fitting(&mut self, column: &str, depth: usize, rows: &[Alias]) -> String {
        match column {
            "id" => (1_000 + self.random.below(1_000_000)).to_string(),
            "priority" | "ticket" => match self.random.one_in(3) {
                true => format!("length({})", self.value_text(depth, rows)),
                false => "1".into(),
            },
            "year" => self.random.pick(&["2023", "2024"]).into(),
            _ => self.value_text(depth, rows),
        }
    }

    fn insert(&mut self, depth: usize) -> String {
        let (table, columns) = self.random.pick(WRITTEN);
        let mut columns: Vec<&str> = columns.to_vec();
        if !columns.contains(&"id") {
            columns.push("id");
        }
        if table == "events" && !columns.contains(&"year") {
            columns.push("year");
        }
        if table == "tickets" || table == "open_tickets" {
            columns.retain(|column| *column != "priority");
        }
        let less = depth.saturating_sub(1);
        let (from, rows) = self.from(less, &[]);
        let source = match self.random.below(3) {
            0 => {
                let values: Vec<_> = columns
                    .iter()
                    .map(|name| self.fitting(name, less, &[]))
                    .collect();
                format!("VALUES ({})", values.join(", "))
            }
            _ => {
                let values: Vec<_> = columns
                    .iter()
                    .map(|name| self.fitting(name, less, &rows))
                    .collect();
                format!("SELECT {} FROM {from} LIMIT 1", values.join(", "))
            }
        };
        let mut text = format!("INSERT INTO {table} AS w ({}) {source}", columns.join(", "));
        if self.random.one_in(3) && !table.contains("events") && table != "open_tickets" {
            let target = vec![
                ("w".to_owned(), vec![columns[0].to_owned()]),
                ("excluded".to_owned(), vec![columns[0].to_owned()]),
            ];
            let value = self.fitting(columns[0], less, &target);
            let column = columns[0];
            text += &match self.random.one_in(3) {
                true => " ON CONFLICT DO NOTHING".to_owned(),
                false => {
                    let condition = self.condition(less, &target);
                    format!(" ON CONFLICT (id) DO UPDATE SET {column} = {value} WHERE {condition}")
                }
            };
        }
        text + &self.returning(less, "w", columns[0])
    }

    fn returning(&mut self, depth: usize, alias: &str, column: &str) -> String {
        if !self.random.one_in(3) {
            return String::new();
        }
        let rows = vec![(alias.to_owned(), vec![column.to_owned()])];
        format!(" RETURNING {}", self.value(depth, &rows))
    }

    fn update(&mut self, depth: usize) -> String {
        let (table, columns) = self.random.pick(WRITTEN);
        let column = self.random.pick(columns);
        let less = depth.saturating_sub(1);
        let own = ("w".to_owned(), vec![columns[0].to_owned()]);
        let (from, mut rows) = match self.random.one_in(2) && depth > 0 {
            true => {
                let (from, rows) = self.from(less, &[]);
                (format!(" FROM {from}"), rows)
            }
            false => (String::new(), Vec::new()),
        };
        rows.push(own);
        let set = match self.random.one_in(4) && depth > 0 {
            true => format!(
                "({column}) = (SELECT {} LIMIT 1)",
                self.fitting(column, less, &rows)
            ),
            false => format!("{column} = {}", self.fitting(column, less, &rows)),
        };
        let condition = self.condition(less, &rows);
        format!("UPDATE {table} AS w SET {set}{from} WHERE {condition}")
    }

    fn delete(&mut self, depth: usize) -> String {
        let (table, columns) = self.random.pick(WRITTEN);
        let less = depth.saturating_sub(1);
        let own = ("w".to_owned(), vec![columns[0].to_owned()]);
        let (using, mut rows) = match self.random.one_in(2) {
            true => {
                let (from, rows) = self.from(less, &[]);
                (format!(" USING {from}"), rows)
            }
            false => (String::new(), Vec::new()),
        };
        rows.push(own);
        let condition = self.condition(less, &rows);
        format!("DELETE FROM {table} AS w{using} WHERE {condition}")
    }

    fn merge(&mut self, depth: usize) -> String {
        let (table, columns) = self.random.pick(WRITTEN);
        let less = depth.saturating_sub(1);
        let (source, row) = self.source(less, &[]);
        let rows = vec![row, ("w".to_owned(), vec![columns[0].to_owned()])];
        let condition = self.condition(0, &rows);
        let column = columns[0];
        let action = match self.random.below(4) {
            0 => "WHEN MATCHED THEN DELETE".to_owned(),
            1 => format!(
                "WHEN MATCHED AND {} THEN UPDATE SET {column} = {}",
                self.condition(less, &rows),
                self.fitting(column, less, &rows)
            ),
            2 => format!(
                "WHEN NOT MATCHED THEN INSERT ({column}) VALUES ({})",
                self.fitting(column, less, &rows[..1])
            ),
            _ => "WHEN NOT MATCHED THEN DO NOTHING".to_owned(),
        };
        format!("MERGE INTO {table} AS w USING {source} ON {condition} {action}")
    }
}
