//! Names and texts in statements that are put together here. The session has
//! `standard_conforming_strings` on, so that nothing but the quote itself is special.

/// An identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// A string.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

/// A list of strings, as `ANY (…)` takes it.
pub(super) fn array<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<_> = texts.into_iter().map(literal).collect();
    format!("ARRAY[{}]::text[]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(
            identifier(r#"a"; DROP ROLE b; --"#),
            r#""a""; DROP ROLE b; --""#
        );
        assert_eq!(literal(r"it's \'"), r"'it''s \'''");
        assert_eq!(array(["a", "b'c"]), "ARRAY['a', 'b''c']::text[]");
        assert_eq!(array([]), "ARRAY[]::text[]");
        assert_eq!(literal("a\0b"), "'ab'");
    }
}
