//! What the classifier says of any text.

use bailiwick_wire::sql::{Catalogue, Outputs, classify as says};

use crate::catalogue::catalogue;

/// Puts a text to the classifier, with nothing known and with a rich catalogue.
pub fn classify(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    static NOTHING: std::sync::OnceLock<Catalogue> = std::sync::OnceLock::new();
    let nothing = NOTHING.get_or_init(|| Catalogue::new("app", "svc", ["pg_catalog", "public"]));
    for known in [nothing, catalogue()] {
        let first = says(text, known);
        assert_eq!(first, says(text, known), "it changed its mind");
        let Ok(statements) = &first else {
            continue;
        };
        for statement in statements {
            assert!(
                !statement.actions.is_empty(),
                "a statement that does nothing"
            );
            assert!(statement.verb.len() <= 64 && !statement.verb.is_empty());
            let mut sorted = statement.actions.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted, statement.actions, "in order, and each once");
            for action in &statement.actions {
                assert!(
                    action.exposed.is_subset(&action.columns),
                    "it shows what it does not touch: {action:?}"
                );
            }
            assert!(
                statement.exposed_sources.is_subset(&statement.touched),
                "it shows what it does not read: {statement:?}"
            );
            if let Outputs::Columns(columns) = &statement.outputs {
                for column in columns {
                    assert!(
                        column.sources.is_subset(&statement.touched),
                        "it returns what it does not read: {statement:?}"
                    );
                }
            }
        }
        // What means nothing changes nothing.
        let spaced = format!(" /* nothing */\n{text}\n");
        if spaced.len() < 200_000 {
            assert_eq!(says(&spaced, known), first, "space made a difference");
        }
    }
}
