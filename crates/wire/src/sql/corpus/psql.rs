//! PostgreSQL's regression tests are scripts for psql. This takes out what is psql's own, and leaves text
//! that the server's lexer can split.

#![expect(
    clippy::string_slice,
    reason = "a test may fail on a file that it cannot read"
)]

/// Where a text is while it is read.
enum Within {
    Nothing,
    Quote { escapes: bool },
    Name,
    Dollars(String),
    Comment(usize),
    Line,
}

/// The statements' text of a script: without meta commands and COPY data, with something in the place
/// of psql's variables.
pub(super) fn cleaned(script: &str) -> String {
    let mut out = String::new();
    let mut within = Within::Nothing;
    // Where the statement that is being read begins in `out`.
    let mut start = 0;
    let mut rest = script;
    while let Some(char) = rest.chars().next() {
        let after = &rest[char.len_utf8()..];
        match &mut within {
            Within::Nothing => match char {
                '\\' if after.starts_with(';') => {
                    out.push(';');
                    start = out.len();
                    rest = &after[1..];
                    continue;
                }
                '\\' => {
                    let line = after.lines().next().unwrap_or_default();
                    // `\g` and its kin send what stands before them.
                    if line.starts_with(['g', 'b', 'p', 'w', 'c']) && !blank(&out[start..]) {
                        out.push(';');
                        start = out.len();
                    }
                    rest = &after[line.len()..];
                    continue;
                }
                ';' => {
                    out.push(';');
                    let data = copies_in(&out[start..]).then(|| data(after)).flatten();
                    start = out.len();
                    rest = data.unwrap_or(after);
                    continue;
                }
                ':' if !out.ends_with([':', ']']) && !out.ends_with(char::is_alphanumeric) => {
                    if let Some((value, more)) = variable(after) {
                        out.push_str(&value);
                        rest = more;
                        continue;
                    }
                }
                '\'' => {
                    let before = out.trim_end_matches(['e', 'E']);
                    let escapes = out.len() == before.len() + 1
                        && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
                    within = Within::Quote { escapes };
                }
                '"' => within = Within::Name,
                '$' if !out.ends_with(|c: char| c.is_alphanumeric() || c == '_') => {
                    let name = |c: char| c.is_alphanumeric() || c == '_';
                    let tag = &after[..after.find(|c| !name(c)).unwrap_or(after.len())];
                    let digits = tag.starts_with(|c: char| c.is_ascii_digit());
                    if !digits && after[tag.len()..].starts_with('$') {
                        let tag = format!("${tag}$");
                        out.push_str(&tag);
                        rest = &rest[tag.len()..];
                        within = Within::Dollars(tag);
                        continue;
                    }
                }
                '-' if after.starts_with('-') => within = Within::Line,
                '/' if after.starts_with('*') => {
                    within = Within::Comment(1);
                    out.push_str("/*");
                    rest = &after[1..];
                    continue;
                }
                _ => {}
            },
            Within::Quote { escapes } => match char {
                '\\' if *escapes => {
                    out.push(char);
                    let next = after.chars().next().map_or(0, char::len_utf8);
                    out.push_str(&after[..next]);
                    rest = &after[next..];
                    continue;
                }
                '\'' => within = Within::Nothing,
                _ => {}
            },
            Within::Name if char == '"' => within = Within::Nothing,
            Within::Dollars(tag) if rest.starts_with(&**tag) => {
                out.push_str(tag);
                rest = &rest[tag.len()..];
                within = Within::Nothing;
                continue;
            }
            Within::Comment(open) if rest.starts_with("/*") || rest.starts_with("*/") => {
                match char {
                    '/' => *open += 1,
                    _ => *open -= 1,
                }
                out.push_str(&rest[..2]);
                rest = &rest[2..];
                if *open == 0 {
                    within = Within::Nothing;
                }
                continue;
            }
            Within::Line if char == '\n' => within = Within::Nothing,
            _ => {}
        }
        out.push(char);
        rest = after;
    }
    out
}

/// Whether there is nothing but space and comments.
fn blank(text: &str) -> bool {
    pg_query::scan(text).is_ok_and(|scan| {
        use pg_query::protobuf::Token;
        let comments = [Token::SqlComment as i32, Token::CComment as i32];
        scan.tokens
            .iter()
            .all(|token| comments.contains(&token.token))
    })
}

/// Whether a statement waits for data.
fn copies_in(statement: &str) -> bool {
    let lower = statement.to_ascii_lowercase();
    let words: Vec<_> = lower.split_whitespace().collect();
    let from = words
        .windows(2)
        .any(|pair| pair[0] == "from" && pair[1].starts_with("stdin"));
    words.contains(&"copy") && from
}

/// What follows the data of a COPY; nothing if the statement failed and there is none.
fn data(after: &str) -> Option<&str> {
    let mut rest = after.split_once('\n')?.1;
    loop {
        let (line, more) = rest.split_once('\n')?;
        match line {
            "\\." => return Some(more),
            line if line.ends_with(';') => return None,
            _ => rest = more,
        }
    }
}

/// A value of the right kind for one of psql's variables, after its colon.
fn variable(after: &str) -> Option<(String, &str)> {
    let name =
        |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_') && !text.is_empty();
    for quote in ['\'', '"'] {
        if let Some(quoted) = after.strip_prefix(quote) {
            let (text, more) = quoted.split_once(quote)?;
            return name(text).then(|| (format!("{quote}{text}{quote}"), more));
        }
    }
    let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    let (text, more) = after.split_at(end);
    let letter = text.starts_with(|c: char| c.is_alphabetic());
    (letter && name(text)).then(|| ("1".to_owned(), more))
}

#[test]
fn what_is_psqls_own_is_taken_out() {
    for (script, left) in [
        ("select 1 \\gset\nselect 2;", "select 1 ;\nselect 2;"),
        (
            "\\set x 1\nselect :x, a::int, :'x', b[1:2];",
            "\nselect 1, a::int, 'x', b[1:2];",
        ),
        (
            "copy t from stdin;\n1;2\n\\.\nselect 1;",
            "copy t from stdin;select 1;",
        ),
        (
            "copy t from stdin (bad);\nselect 1;\ncopy t from stdin;\n1\n\\.\n",
            "copy t from stdin (bad);\nselect 1;\ncopy t from stdin;",
        ),
        (
            "select '\\', e'\\'', $$\\d$$, $a$;$a$; -- \\d\n/* \\d */ \\d",
            "select '\\', e'\\'', $$\\d$$, $a$;$a$; -- \\d\n/* \\d */ ",
        ),
    ] {
        assert_eq!(cleaned(script), left);
    }
}
