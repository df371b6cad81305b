//! JSON as records have it (RFC 8785): no spaces, whole numbers that are not negative, and an object's fields as
//! they come, which for a record's structures is in the order of their names. It goes straight into the record's
//! bytes: two records are made for every call, and what can write any JSON takes several times as long for one.

use std::fmt::{self, Display};
use std::io::Write;

use serde::ser::{Error as _, Impossible, Serialize, SerializeSeq, SerializeStruct, Serializer};

/// Appends a structure.
///
/// # Errors
/// If it holds what a record cannot.
pub(super) fn append(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), Unfit> {
    value.serialize(Json(out))
}

/// Something that no record can hold.
#[derive(Debug)]
pub(crate) struct Unfit(String);

impl Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

impl serde::ser::Error for Unfit {
    fn custom<T: Display>(what: T) -> Self {
        Self(what.to_string())
    }
}

/// Writes one value.
struct Json<'o>(&'o mut Vec<u8>);

/// Writes an object or a list.
struct Parts<'o> {
    out: &'o mut Vec<u8>,
    /// Nothing stands in it yet.
    first: bool,
    end: u8,
}

impl<'o> Parts<'o> {
    fn begin(out: &'o mut Vec<u8>, [begin, end]: [u8; 2]) -> Self {
        out.push(begin);
        Self {
            out,
            first: true,
            end,
        }
    }

    fn next(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
    }

    fn finish(self) {
        self.out.push(self.end);
    }
}

impl SerializeSeq for Parts<'_> {
    type Ok = ();
    type Error = Unfit;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        self.next();
        value.serialize(Json(self.out))
    }

    fn end(self) -> Result<(), Unfit> {
        self.finish();
        Ok(())
    }
}

impl SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unfit> {
        self.next();
        // The names are this crate's own words.
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        value.serialize(Json(self.out))
    }

    fn end(self) -> Result<(), Unfit> {
        self.finish();
        Ok(())
    }
}

/// Refuses each of these.
macro_rules! unfit {
    ($($method:ident($($type:ty),*)),+ $(,)?) => {
        $(fn $method(self, $(_: $type),*) -> Result<(), Unfit> {
            Err(Unfit::custom(stringify!($method)))
        })+
    };
}

impl<'o> Serializer for Json<'o> {
    type Ok = ();
    type Error = Unfit;
    type SerializeSeq = Parts<'o>;
    type SerializeStruct = Parts<'o>;
    type SerializeTuple = Impossible<(), Unfit>;
    type SerializeTupleStruct = Impossible<(), Unfit>;
    type SerializeTupleVariant = Impossible<(), Unfit>;
    type SerializeMap = Impossible<(), Unfit>;
    type SerializeStructVariant = Impossible<(), Unfit>;

    fn serialize_u64(self, number: u64) -> Result<(), Unfit> {
        write!(self.0, "{number}").map_err(Unfit::custom)
    }

    fn serialize_str(self, text: &str) -> Result<(), Unfit> {
        self.0.push(b'"');
        // Each byte is looked at, whatever was found before: so the processor looks at many at once.
        let special = text
            .bytes()
            .fold(false, |found, byte| found | is_special(byte));
        if special {
            text.bytes().for_each(|byte| put(byte, self.0));
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
        self.0.push(b'"');
        Ok(())
    }

    /// For what shows itself without anything that would have to be escaped: digests, times, ids.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Unfit> {
        let from = self.0.len();
        write!(self.0, "\"{value}\"").map_err(Unfit::custom)?;
        let shown = self.0.get(from + 1..self.0.len() - 1);
        if shown.is_none_or(|shown| shown.iter().any(|byte| is_special(*byte))) {
            return Err(Unfit::custom("a text that would have to be escaped"));
        }
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unfit> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<(), Unfit> {
        self.serialize_str(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unfit> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'o>, Unfit> {
        Ok(Parts::begin(self.0, *b"[]"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'o>, Unfit> {
        Ok(Parts::begin(self.0, *b"{}"))
    }

    unfit!(
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_bytes(&[u8]),
        serialize_none(),
        serialize_unit(),
        serialize_unit_struct(&'static str),
    );

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Unfit> {
        Err(Unfit::custom("a variant with a value"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unfit> {
        Err(Unfit::custom("a tuple"))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Unfit> {
        Err(Unfit::custom("a tuple"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unfit> {
        Err(Unfit::custom("a tuple"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unfit> {
        Err(Unfit::custom("a map, whose order nobody knows"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unfit> {
        Err(Unfit::custom("a variant with fields"))
    }
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// Appends a byte of a text, escaped the one way that RFC 8785 (section 3.2.2.2) knows.
fn put(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ if is_special(byte) => {
            let low = DIGITS.get(usize::from(byte & 15)).copied();
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' | byte >> 4]);
            out.extend(low);
            return;
        }
        _ => return out.push(byte),
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Sample<'a> {
        empty: Inner,
        list: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        none: Option<u64>,
        number: u64,
        some: Option<usize>,
        text: &'a str,
    }

    #[derive(Serialize)]
    struct Inner {}

    #[test]
    fn it_is_what_others_write_too() {
        let all: String = (0..0x300).filter_map(char::from_u32).collect();
        for text in ["", "plain", "naïve \"x\" \\ \u{7f} \u{2028} 𝄞", &all] {
            for list in [vec![], vec![text], vec![text, "a"]] {
                let sample = Sample {
                    empty: Inner {},
                    list,
                    none: None,
                    number: u64::MAX,
                    some: Some(0),
                    text,
                };
                let mut out = b"before".to_vec();
                append(&sample, &mut out).unwrap();
                let expected = serde_json::to_string(&sample).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), format!("before{expected}"));
            }
        }
    }

    #[test]
    fn what_would_not_be_canonical_is_refused() {
        struct Shown(&'static str);
        impl Serialize for Shown {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self.0)
            }
        }
        let mut out = Vec::new();
        assert!(append(&1.5, &mut out).is_err());
        assert!(append(&-1_i64, &mut out).is_err());
        assert!(append(&None::<u64>, &mut out).is_err());
        assert!(append(&(1_u64, 2_u64), &mut out).is_err());
        let map = std::collections::HashMap::from([("a", 1_u64)]);
        assert!(append(&map, &mut out).is_err());
        assert!(append(&Shown("a\"b"), &mut out).is_err());
        out.clear();
        append(&Shown("ab"), &mut out).unwrap();
        assert_eq!(out, b"\"ab\"");
    }
}
