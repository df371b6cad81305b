//! From text to PostgreSQL's own parse tree, within limits.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_query::NodeEnum;
use pg_query::protobuf::ParseResult;

use super::Refusal;
use super::limits::{BRACKETS_MAX, STATEMENTS_MAX, TEXT_BYTES_MAX};

/// Parses a text.
pub(super) fn parse(sql: &str) -> Result<ParseResult, Refusal> {
    if sql.len() > TEXT_BYTES_MAX {
        return Err(Refusal::new(format!(
            "a text of more than {} KiB; send it in parts, or as values of placeholders",
            TEXT_BYTES_MAX / 1024
        )));
    }
    if deepest(sql.as_bytes()) > BRACKETS_MAX {
        return Err(nested());
    }
    // The crate derives more than the tree from the text, and does so with assertions.
    let parsed = catch_unwind(AssertUnwindSafe(|| pg_query::parse(sql, 0)));
    match parsed {
        Ok(Ok(parsed)) if parsed.protobuf.stmts.len() > STATEMENTS_MAX => Err(Refusal::new(
            format!("more than {STATEMENTS_MAX} statements in one text; send them in parts"),
        )),
        Ok(Ok(parsed)) => Ok(parsed.protobuf),
        Ok(Err(pg_query::Error::Decode(_))) => Err(nested()),
        Ok(Err(pg_query::Error::Conversion(_))) => {
            Err(Refusal::new("a text with a zero byte in it; leave it out"))
        }
        Ok(Err(_)) => Err(Refusal::new(
            "a text that PostgreSQL's grammar does not accept; correct its syntax",
        )),
        Err(_) => Err(Refusal::new("a text that the parser could not take in")),
    }
}

/// The query that defines a view.
pub(super) fn parse_view(definition: &str) -> Result<pg_query::protobuf::SelectStmt, Refusal> {
    let unknown = || Refusal::new("a view whose definition is not one query");
    let mut parsed = parse(definition)?.stmts.into_iter();
    let statement = parsed.next().and_then(|raw| raw.stmt?.node);
    match (statement, parsed.next()) {
        (Some(NodeEnum::SelectStmt(select)), None) => Ok(*select),
        _ => Err(unknown()),
    }
}

fn nested() -> Refusal {
    Refusal::new(
        "an expression or query that is nested too deeply (some forty levels, or as many terms in \
         a chain of one operator such as `||`); use concat(), a list, or several statements",
    )
}

/// How many parentheses and brackets are open at once, outside of literals, quoted names and
/// comments. Only a guard for the parser, which has its own: nothing else is taken from this.
fn deepest(text: &[u8]) -> usize {
    let mut open = 0usize;
    let mut deepest = 0;
    let mut rest = text;
    let mut before = b' ';
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'\'' => skip_quoted(after, b'\'', matches!(before, b'e' | b'E')),
            b'"' => skip_quoted(after, b'"', false),
            b'-' if after.first() == Some(&b'-') => skip_to(after, b"\n"),
            b'/' if after.first() == Some(&b'*') => skip_comment(after),
            b'$' if !(before.is_ascii_alphanumeric() || before == b'_') => skip_dollars(after),
            b'(' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
                after
            }
            b')' | b']' => {
                open = open.saturating_sub(1);
                after
            }
            _ => after,
        };
        before = byte;
    }
    deepest
}

fn skip_quoted(mut rest: &[u8], quote: u8, escapes: bool) -> &[u8] {
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == quote {
            break;
        }
        if escapes && byte == b'\\' {
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    rest
}

fn skip_to<'a>(rest: &'a [u8], end: &[u8]) -> &'a [u8] {
    rest.windows(end.len())
        .position(|window| window == end)
        .and_then(|at| rest.get(at + end.len()..))
        .unwrap_or_default()
}

/// Comments nest.
fn skip_comment(mut rest: &[u8]) -> &[u8] {
    let mut open = 1usize;
    rest = rest.get(1..).unwrap_or_default();
    while open > 0 && !rest.is_empty() {
        let step = match rest {
            [b'/', b'*', ..] => {
                open += 1;
                2
            }
            [b'*', b'/', ..] => {
                open -= 1;
                2
            }
            _ => 1,
        };
        rest = rest.get(step..).unwrap_or_default();
    }
    rest
}

/// `$tag$ … $tag$`; anything else after a dollar is a placeholder.
fn skip_dollars(rest: &[u8]) -> &[u8] {
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
    let tag = rest.iter().take_while(|byte| name(byte)).count();
    if rest.get(tag) != Some(&b'$') || rest.first().is_some_and(u8::is_ascii_digit) {
        return rest;
    }
    let mut end = vec![b'$'];
    end.extend(rest.iter().take(tag + 1));
    skip_to(rest.get(tag + 1..).unwrap_or_default(), &end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_outside_of_text_only() {
        for (text, expected) in [
            ("select ((1))", 2),
            ("select '((((' || \"((((\"", 0),
            ("select E'\\'((((', (1)", 1),
            ("select 'it''s (((', (1)", 1),
            ("/* (( /* (( */ (( */ (1)", 1),
            ("-- ((((\n(1)", 1),
            ("select $a$ ((( $b$ $a$, ($1), $$(($$", 1),
            ("select array[(1)]", 2),
            ("'(((", 0),
        ] {
            assert_eq!(deepest(text.as_bytes()), expected, "{text}");
        }
    }
}
