//! The table in docs/postgres-clients.md: read, and held against what a client did.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_tests::skipped;

/// The document.
pub(crate) fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/postgres-clients.md");
    std::fs::read_to_string(path).expect("docs/postgres-clients.md")
}

/// The catalogue grant, as the document has it.
pub(crate) fn catalogue_grant() -> String {
    let document = document();
    let (_, after) = document.split_once("```toml\n").expect("the grant");
    let (grant, _) = after.split_once("```").expect("the grant's end");
    grant.to_owned()
}

/// The features, in the order of the table's columns.
pub(crate) const FEATURES: [&str; 10] = [
    "connect",
    "simple",
    "prepared",
    "transaction",
    "copy in",
    "copy out",
    "cancel",
    "error",
    "denied call",
    "metadata",
];

/// What became of a feature in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that is asserted about it holds.
    Works,
    /// The client's own error says that the gateway denied it, in full.
    Denied,
    /// The client has no such thing.
    Absent,
}

/// What a client did in one run.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) client: String,
    pub(crate) version: String,
    pub(crate) outcomes: BTreeMap<String, Outcome>,
}

impl Observed {
    pub(crate) fn new(client: &str, version: &str) -> Self {
        Self {
            client: client.to_owned(),
            version: version.to_owned(),
            outcomes: BTreeMap::new(),
        }
    }

    pub(crate) fn note(&mut self, feature: &str, outcome: Outcome) {
        self.outcomes.insert(feature.to_owned(), outcome);
    }

    /// What a client's program printed, one line for each feature.
    #[track_caller]
    pub(crate) fn read(printed: &str) -> Self {
        let mut lines = printed.lines().filter_map(|line| line.split_once(": "));
        let Some(("client", client)) = lines.next() else {
            panic!("no client in {printed}");
        };
        let (name, version) = client.rsplit_once(' ').expect("a version");
        let mut observed = Self::new(name, version);
        for (feature, outcome) in lines {
            let outcome = match outcome {
                "works" => Outcome::Works,
                "denied" => Outcome::Denied,
                "none" => Outcome::Absent,
                _ => panic!("{client}: {feature}: {outcome}"),
            };
            observed.note(feature, outcome);
        }
        observed
    }
}

/// A row of the table.
struct Row {
    client: String,
    version: String,
    cells: Vec<String>,
}

fn rows() -> Vec<Row> {
    let document = document();
    let lines = document.lines();
    let lines = lines.skip_while(|line| !line.starts_with("| client | connect |"));
    let mut table = lines.map_while(|line| {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(line.split(" | ").map(str::trim).collect::<Vec<_>>())
    });
    let head = table.next().expect("the table's head");
    let wanted: Vec<_> = ["client"]
        .into_iter()
        .chain(FEATURES)
        .chain(["notes"])
        .collect();
    let head: Vec<_> = head.iter().map(|cell| cell.to_lowercase()).collect();
    assert_eq!(head, wanted, "the table's columns");
    table
        .filter(|cells| !cells[0].starts_with("---"))
        .map(|cells| {
            let (client, version) = cells[0].rsplit_once(' ').expect("a version");
            assert_eq!(cells.len(), wanted.len(), "a row of the table: {cells:?}");
            Row {
                client: client.to_owned(),
                version: version.to_owned(),
                cells: cells[1..=FEATURES.len()]
                    .iter()
                    .map(|cell| (*cell).to_owned())
                    .collect(),
            }
        })
        .collect()
}

/// Whether a row about this version is about that one: `15` is about every 15.
fn is_about(row: &str, version: &str) -> bool {
    let rest = version.strip_prefix(row);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Holds the row of a client against what it did in two runs: one with grants on its data alone, one
/// with the catalogue grant too.
#[track_caller]
pub(crate) fn check(plain: &Observed, catalogue: &Observed) {
    let Observed {
        client, version, ..
    } = plain;
    let of_client: Vec<_> = rows()
        .into_iter()
        .filter(|row| row.client == *client)
        .collect();
    let Some(row) = of_client.iter().find(|row| is_about(&row.version, version)) else {
        let known: Vec<_> = of_client.iter().map(|row| &*row.version).collect();
        // The machine's own PostgreSQL is of any version; everything else is installed as pinned.
        assert!(
            matches!(&**client, "psql" | "pgbench" | "pg_dump"),
            "the table has {client} {known:?}, and this is {version}"
        );
        skipped(&format!(
            "the table has {client} {known:?}, and this is {version}"
        ));
        return;
    };
    for (feature, said) in FEATURES.iter().zip(&row.cells) {
        let outcome = |observed: &Observed| {
            let found = observed.outcomes.get(*feature).copied();
            found.unwrap_or_else(|| panic!("{client} said nothing of {feature}: {observed:#?}"))
        };
        let seen = match (outcome(plain), outcome(catalogue)) {
            (Outcome::Works, Outcome::Works) => "works",
            (Outcome::Denied, Outcome::Works) => "catalogue",
            (Outcome::Denied, Outcome::Denied) => "denied",
            // Without a connection everything is denied.
            (Outcome::Absent | Outcome::Denied, Outcome::Absent) => "–",
            other => panic!("{client}: {feature}: {other:?}"),
        };
        assert_eq!(
            said, seen,
            "docs/postgres-clients.md says of {client} {version}, {feature}: {said}, and it is: {seen}"
        );
    }
}

/// Every row has a test, and every test a row.
pub(crate) fn check_rows(tested: &[&str]) {
    let mut tested = tested.to_vec();
    tested.sort_unstable();
    let rows = rows();
    let mut said: Vec<_> = rows.iter().map(|row| &*row.client).collect();
    said.sort_unstable();
    assert_eq!(said, tested, "the rows of the table and the tests");
}

/// The sentence of the README about clients names those of the table that do anything, and no others.
pub(crate) fn check_readme() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(path).expect("README.md");
    let (_, after) = readme
        .split_once("Agents keep their clients: ")
        .expect("the sentence");
    let (sentence, _) = after.split_once("\nconnect with").expect("its end");
    let mut named: Vec<_> = sentence
        .split(", ")
        .flat_map(|part| part.split(" and "))
        .collect();
    named.sort_unstable();
    let rows = rows();
    let mut working: Vec<_> = rows
        .iter()
        .filter(|row| row.cells.iter().filter(|cell| *cell == "works").count() > 2)
        .map(|row| row.client.trim_end_matches(" without hstore"))
        .collect();
    working.sort_unstable();
    working.dedup();
    assert_eq!(
        named, working,
        "the clients of README.md and those of the table"
    );
}

/// Holds what the document says of the statements that a client sends by itself against the record.
#[track_caller]
pub(crate) fn check_statements(client: &str, sent: &[String]) {
    let client = client.trim_end_matches(" without hstore");
    let document = document();
    let (_, table) = document
        .split_once("### What they send by themselves")
        .expect("the second table");
    let row = table
        .lines()
        .find(|line| line.starts_with(&format!("| {client} |")))
        .unwrap_or_else(|| panic!("{client} is not in the second table"));
    let statements = row.split(" | ").nth(2).expect("its third column");
    for statement in statements.split('`').skip(1).step_by(2) {
        assert!(
            sent.iter().any(|text| text.contains(statement)),
            "{client} does not send {statement}: {sent:#?}"
        );
    }
}
