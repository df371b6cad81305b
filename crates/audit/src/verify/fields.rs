//! The fields of a record that its chain depends on, read without keeping the rest. All of the record
//! is read as JSON nevertheless: what is not JSON is not a record.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What a record says, as far as it says it in the right type. Later types of records may use a name
/// for something else.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) v: Option<u64>,
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) time: Option<Cow<'a, str>>,
    pub(super) run: Option<Cow<'a, str>>,
    pub(super) seq: Option<u64>,
    pub(super) prev: Option<Cow<'a, str>>,
    pub(super) of: Option<u64>,
    pub(super) count: Option<u64>,
    pub(super) last: Option<Cow<'a, str>>,
    /// `decision.effect`.
    pub(super) effect: Option<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    /// Reads a record's bytes.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// One JSON value: what of it may matter here.
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    /// The `effect` of an object.
    Object(Option<Cow<'a, str>>),
    Other,
}

impl<'a> Value<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(self) -> Option<u64> {
        match self {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<Value<'de>>()? {
            let name = name.text().unwrap_or_default();
            let value: Value<'de> = map.next_value()?;
            match name.as_ref() {
                "v" => fields.v = value.number(),
                "type" => fields.kind = value.text(),
                "time" => fields.time = value.text(),
                "run" => fields.run = value.text(),
                "seq" => fields.seq = value.number(),
                "prev" => fields.prev = value.text(),
                "of" => fields.of = value.number(),
                "count" => fields.count = value.number(),
                "last" => fields.last = value.text(),
                "decision" => {
                    fields.effect = match value {
                        Value::Object(effect) => effect,
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        Ok(fields)
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<Value<'de>>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut effect = None;
        while let Some(name) = map.next_key::<Value<'de>>()? {
            let value: Value<'de> = map.next_value()?;
            if matches!(name, Value::Text(name) if name == "effect") {
                effect = value.text();
            }
        }
        Ok(Value::Object(effect))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_where_they_have_the_right_type() {
        let record = br#"{"count":-1,"decision":{"effect":"allow","x":[{"effect":"deny"}]},"last":7,
            "of":2.5,"prev":"00","run":"g\u0061teway","seq":3,"target":null,"type":"t","v":1,"w":true}"#;
        let fields = Fields::read(record).unwrap();
        assert_eq!((fields.v, fields.seq), (Some(1), Some(3)));
        assert_eq!(fields.run.as_deref(), Some("gateway"));
        assert_eq!(fields.kind.as_deref(), Some("t"));
        assert_eq!(fields.prev.as_deref(), Some("00"));
        assert_eq!(fields.effect.as_deref(), Some("allow"));
        assert_eq!((fields.of, fields.count), (None, None));
        assert_eq!((fields.last, fields.time), (None, None));
        let odd = Fields::read(br#"{"decision":"allow","of":2}"#).unwrap();
        assert_eq!((odd.effect, odd.of), (None, Some(2)));
    }

    #[test]
    fn what_is_not_json_anywhere_is_not_a_record() {
        for wrong in [
            &br#"["run"]"#[..],
            br#"{"run":"gateway"}x"#,
            br#"{"run":"gateway","x":[1,]}"#,
            br#"{"run":"gateway","x":"\ud800"}"#,
            br#"{"run":"gateway","x":{"y":1e999}}"#,
            b"{\"run\":\"gateway\",\"x\":\"\xff\"}",
            b"{\"run\":\"gateway\",\"x\":\"\n\"}",
        ] {
            assert!(Fields::read(wrong).is_err(), "{}", wrong.escape_ascii());
        }
        assert!(Fields::read(&[b'[', b'{'].repeat(100_000)).is_err());
    }
}
