//! `query`, `body` and `arguments`.

use bailiwick_action::{FieldPath, Input};
use toml::de::DeValue;

use crate::condition::{Condition, Like, Scalar, Test};
use crate::document::{At, Section, wrong_type};
use crate::limits::{MAX_CONDITION, MAX_LIST, MAX_NAME};
use crate::number::Number;

/// What a condition may say in its long form.
const KEYS: [&str; 6] = ["in", "like", "min", "max", "max_length", "optional"];

/// The conditions of a grant.
pub(super) fn conditions(section: &Section<'_, '_>) -> Vec<Condition> {
    let mut conditions: Vec<Condition> = Vec::new();
    for of in ["query", "body", "arguments"] {
        let Some(table) = section.table(of, None) else {
            continue;
        };
        let keys = table.keys();
        if keys.is_empty() || keys.len() > MAX_LIST {
            let message = format!(
                "it has no condition, or more than {MAX_LIST}; leave it out or divide the grant"
            );
            section.report(of, message);
            continue;
        }
        for key in keys {
            let Some(input) = input(of, &table, &key) else {
                continue;
            };
            if conditions.iter().any(|other| other.input == input) {
                let message = format!("{input} is listed twice, in another spelling");
                table.report(key.value, message);
                continue;
            }
            let value = Value {
                table: &table,
                key: key.value,
                text_only: of == "query",
            };
            if let Some((tests, optional)) = value.condition() {
                conditions.push(Condition {
                    input,
                    tests,
                    optional,
                });
            }
        }
    }
    conditions
}

/// Where a condition looks.
fn input(of: &str, table: &Section<'_, '_>, key: &At<&str>) -> Option<Input> {
    if of == "query" {
        if key.value.is_empty() || key.value.len() > MAX_NAME {
            let message = format!("a parameter's name has 1 to {MAX_NAME} bytes");
            table
                .document
                .report(&key.at, &table.key(key.value), message);
            return None;
        }
        return Some(Input::Query(key.value.to_owned()));
    }
    let path = match key.value.starts_with('$') {
        true => FieldPath::parse(key.value),
        false => FieldPath::parse(&format!("$.{}", key.value)),
    };
    match path {
        Ok(path) => Some(Input::Field(path)),
        Err(error) => {
            let message = error.to_string();
            table
                .document
                .report(&key.at, &table.key(key.value), message);
            None
        }
    }
}

/// What a place has to hold.
struct Value<'s, 'd, 'a> {
    table: &'s Section<'d, 'a>,
    key: &'s str,
    /// Whether only text is ever found there.
    text_only: bool,
}

impl Value<'_, '_, '_> {
    /// The tests, and whether there may be no value; nothing where something is wrong, which is reported.
    fn condition(&self) -> Option<(Vec<Test>, bool)> {
        match self.table.value(self.key)?.value {
            DeValue::Table(_) => self.long(),
            value => Some((vec![self.listed(self.table, self.key, value)?], false)),
        }
    }

    fn long(&self) -> Option<(Vec<Test>, bool)> {
        let long = self.table.table(self.key, Some(&KEYS))?;
        let mut tests = Vec::new();
        if let Some(value) = long.value("in") {
            tests.push(self.listed(&long, "in", value.value)?);
        }
        if let Some(like) = long.string("like") {
            tests.push(Test::Like(Like(text(&long, "like", like.value)?)));
        }
        let min = self.bound(&long, "min");
        let max = self.bound(&long, "max");
        if let (Some(min), Some(max)) = (&min, &max)
            && min > max
        {
            long.report("min", "it is more than max, so no value could meet both");
        }
        tests.extend(min.map(Test::Min));
        tests.extend(max.map(Test::Max));
        if let Some(value) = long.value("max_length") {
            let most = match value.value {
                DeValue::Integer(most) if most.radix() == 10 => most.as_str().parse().ok(),
                _ => None,
            };
            match most {
                Some(most) => tests.push(Test::MaxLength(most)),
                None => long.report(
                    "max_length",
                    "it has to be a number of characters, as in 200",
                ),
            }
        }
        self.check(&long, &tests);
        Some((tests, long.boolean("optional")))
    }

    /// Tests that contradict each other, and none at all.
    fn check(&self, long: &Section<'_, '_>, tests: &[Test]) {
        let numbers = ["min", "max"].into_iter().find(|key| long.has(key));
        let texts = ["like", "max_length"].into_iter().find(|key| long.has(key));
        if let (Some(number), Some(text)) = (numbers, texts) {
            let message = format!(
                "{number} is about numbers and {text} about text, so no value could meet both"
            );
            long.report(number, message);
        }
        let says = long.keys().iter().any(|key| key.value != "optional");
        if tests.is_empty() && !says {
            let message =
                "say what the value has to be: in = […], like = \"…\", min, max or max_length";
            self.table.report(self.key, message);
        }
    }

    fn bound(&self, long: &Section<'_, '_>, key: &str) -> Option<Number> {
        let value = long.value(key)?.value;
        if self.text_only {
            let message = format!("{key} is about numbers of JSON, and a query parameter is text");
            long.report(key, message);
            return None;
        }
        match number(value) {
            Some(number) => Some(number),
            None => {
                long.report(key, wrong_type("a decimal number", value));
                None
            }
        }
    }

    /// One value, or one of several.
    fn listed(&self, section: &Section<'_, '_>, key: &str, value: &DeValue<'_>) -> Option<Test> {
        let DeValue::Array(array) = value else {
            return Some(Test::In(vec![self.scalar(section, key, value)?]));
        };
        if array.is_empty() || array.len() > MAX_LIST {
            let message = format!("the list is empty or has more than {MAX_LIST} values");
            section.report(key, message);
            return None;
        }
        let values = array
            .iter()
            .map(|value| self.scalar(section, key, value.get_ref()));
        Some(Test::In(values.collect::<Option<_>>()?))
    }

    fn scalar(&self, section: &Section<'_, '_>, key: &str, value: &DeValue<'_>) -> Option<Scalar> {
        if let DeValue::String(value) = value {
            return Some(Scalar::Text(text(section, key, value)?));
        }
        if self.text_only {
            section.report(
                key,
                "a query parameter is text; write what it has to be in quotes",
            );
            return None;
        }
        match (value, number(value)) {
            (DeValue::Boolean(value), _) => Some(Scalar::Bool(*value)),
            (_, Some(number)) => Some(Scalar::Number(number)),
            (value, None) => {
                let wanted = "a string, a decimal number, true, false or a list of them";
                section.report(key, wrong_type(wanted, value));
                None
            }
        }
    }
}

fn number(value: &DeValue<'_>) -> Option<Number> {
    match value {
        DeValue::Integer(value) if value.radix() == 10 => Number::parse(value.as_str()),
        DeValue::Float(value) => Number::parse(value.as_str()),
        _ => None,
    }
}

/// A text that can be shown, and that a call can have.
fn text(section: &Section<'_, '_>, key: &str, text: &str) -> Option<String> {
    if text.len() > MAX_CONDITION || text.chars().any(char::is_control) {
        let message =
            format!("it is longer than {MAX_CONDITION} bytes or holds a control character");
        section.report(key, message);
        return None;
    }
    Some(text.to_owned())
}
