//! What a target expects of a statement before it is run: its planner's guess, by EXPLAIN. Planning runs
//! nothing but what the planner can work out beforehand, and so only statements are explained that call no
//! function but harmless ones. It is done in a transaction of its own that may not write, is short, and is
//! rolled back; under a name of its own, which leaves the agent's statements alone.

use bytes::{Bytes, BytesMut};

use super::frame::{Frame, Sender, take};
use super::learn::ask_with;
use super::message;
use super::names::Prepared;
use super::rows::{report_field, texts};
use crate::limits::{ESTIMATE_BYTES_MAX, ESTIMATE_TIME_MAX, TARGET_FRAME_BYTES_MAX};
use crate::sql::StatementKind;
use crate::{Fault, Result, Rows};
use bailiwick_action::Verb;

/// The name of the statement and of its portal.
const NAME: &str = "bailiwick estimates";

/// What goes before a statement.
const EXPLAIN: &str = "EXPLAIN (FORMAT JSON) ";

/// How many questions the target is asked, each with its own Sync.
const QUESTIONS: usize = 4;

/// A statement that can be explained.
pub(super) struct Explain {
    text: String,
    types: Vec<u32>,
    values: Bytes,
}

impl Explain {
    /// Of a statement with these values, as a Bind has them.
    ///
    /// # Errors
    /// If it is not explained; says why.
    pub(super) fn of(
        prepared: &Prepared,
        values: &(impl AsRef<[u8]> + ?Sized),
    ) -> std::result::Result<Self, String> {
        let statement = &prepared.statement;
        let is_plain = matches!(statement.kind, StatementKind::Plain)
            && matches!(
                statement.verb,
                "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE"
            );
        if !is_plain {
            return Err(format!("PostgreSQL does not plan {}", statement.verb));
        }
        let mut verbs = statement.actions.iter().map(|action| action.verb);
        let is_harmless = verbs.all(|verb| {
            matches!(
                verb,
                Verb::Select | Verb::Insert | Verb::Update | Verb::Delete | Verb::Lock
            )
        });
        if !is_harmless {
            return Err("it calls a function, which planning might run".into());
        }
        Ok(Self {
            text: format!("{EXPLAIN}{}", prepared.text),
            types: prepared.types.clone(),
            values: Bytes::copy_from_slice(values.as_ref()),
        })
    }
}

/// The answers to the gateway's questions, as they come.
#[derive(Debug, Default)]
pub(super) struct Estimating {
    ready: usize,
    plan: Option<String>,
    error: Option<String>,
}

impl Estimating {
    /// Starts; returns what to send.
    pub(super) fn start(explain: &Explain) -> (Self, Bytes) {
        let limit = format!(
            "SET LOCAL statement_timeout = {}",
            ESTIMATE_TIME_MAX.as_millis()
        );
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&ask_with(NAME, "BEGIN READ ONLY", &[], &[]));
        bytes.extend_from_slice(&ask_with(NAME, &limit, &[], &[]));
        bytes.extend_from_slice(&ask_with(
            NAME,
            &explain.text,
            &explain.types,
            &explain.values,
        ));
        bytes.extend_from_slice(&ask_with(NAME, "ROLLBACK", &[], &[]));
        (Self::default(), bytes.freeze())
    }

    /// Reads on; returns what came of it once all is answered. What is not about it goes to `other`.
    pub(super) fn advance(
        &mut self,
        input: &mut BytesMut,
        mut other: impl FnMut(&Frame) -> Result<()>,
    ) -> Result<Option<Rows>> {
        while let Some(frame) = take(input, Sender::Target, TARGET_FRAME_BYTES_MAX)? {
            match frame.tag {
                b'D' => self.row(&frame),
                b'E' => {
                    let code = report_field(&frame, b'C').unwrap_or_default();
                    // What the target says may quote what is masked; its code does not.
                    self.error.get_or_insert(match &*code {
                        "57014" => "the target took too long to plan it".to_owned(),
                        code => format!("the target could not plan it (SQLSTATE {code})"),
                    });
                }
                b'Z' => {
                    self.ready += 1;
                    if self.ready == QUESTIONS {
                        return match message::status(&frame)? {
                            b'I' => Ok(Some(self.rows())),
                            _ => Err(Fault::Target("a transaction that does not end".into())),
                        };
                    }
                }
                b'1' | b'2' | b'3' | b'C' | b'N' => {}
                b'S' | b'A' => other(&frame)?,
                tag => {
                    return Err(Fault::Target(format!(
                        "a message of type {:?} while it was asked for an estimate",
                        char::from(tag)
                    )));
                }
            }
        }
        Ok(None)
    }

    fn row(&mut self, frame: &Frame) {
        if frame.whole.len() > ESTIMATE_BYTES_MAX {
            self.error
                .get_or_insert("its plan is too long to be read".into());
            return;
        }
        let value = texts(frame).and_then(|row| row.into_iter().next().flatten());
        self.plan = value.map(|value| value.to_string());
    }

    fn rows(&self) -> Rows {
        match (&self.error, &self.plan) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(plan)) => {
                rows_of(plan).ok_or_else(|| "its plan says no number of rows".into())
            }
            (None, None) => Err("the target gave no plan".into()),
        }
    }
}

/// The rows that a plan returns or, if it writes, changes.
fn rows_of(plan: &str) -> Option<u64> {
    let plan: serde_json::Value = serde_json::from_str(plan).ok()?;
    let top = plan.get(0)?.get("Plan")?;
    let rows = |plan: &serde_json::Value| plan.get("Plan Rows")?.as_u64();
    if top.get("Node Type")?.as_str()? != "ModifyTable" {
        return rows(top);
    }
    // What is changed is what the nodes below it bring; those that only feed a value are none of them.
    let below = top.get("Plans")?.as_array()?.iter();
    let mut sum = None;
    for plan in below {
        let how = plan.get("Parent Relationship")?.as_str()?;
        if matches!(how, "Outer" | "Member") {
            sum = Some(sum.unwrap_or(0_u64).checked_add(rows(plan)?)?);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_write_are_those_below_it() {
        let scan = r#"[{"Plan":{"Node Type":"Seq Scan","Plan Rows":7}}]"#;
        assert_eq!(rows_of(scan), Some(7));
        let delete = r#"[{"Plan":{"Node Type":"ModifyTable","Plan Rows":0,"Plans":[
            {"Node Type":"Result","Parent Relationship":"InitPlan","Plan Rows":1},
            {"Node Type":"Seq Scan","Parent Relationship":"Outer","Plan Rows":40}]}}]"#;
        assert_eq!(rows_of(delete), Some(40));
        for odd in [
            "",
            "[]",
            "{}",
            r#"[{"Plan":{"Node Type":"ModifyTable"}}]"#,
            "[".repeat(9_000).as_str(),
        ] {
            assert_eq!(rows_of(odd), None);
        }
    }
}
