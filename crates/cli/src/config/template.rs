//! A value with secrets to be filled in: `${NAME}` from the environment, `${file:PATH}` from a file.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is when a secret becomes part of a URL (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The largest secret, in bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// The value as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
    File(PathBuf),
}

impl Template {
    /// Reads one. `$${` stands for `${` itself.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = after;
                continue;
            }
            literal.push_str(before);
            let (name, after) = after
                .split_once('}')
                .ok_or("a `${` is not closed by a `}`")?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::parse(name)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// A URL of the same shape, to find mistakes before the secrets are there; nothing where the
    /// secrets decide on the shape.
    pub(super) fn shape(&self) -> Option<String> {
        let mut shape = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => shape.push_str(text),
                // Parameters have values of their own.
                _ if shape.contains('?') || self.0.len() == 1 => return None,
                // Good as a name, a password and a port.
                Part::Variable(_) | Part::File(_) => shape.push('1'),
            }
        }
        Some(shape)
    }

    /// Whether all of it is one secret.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.0.as_slice(), [Part::Variable(_) | Part::File(_)])
    }

    /// Whether there is a password in it as written.
    pub(super) fn has_literal_password(&self) -> bool {
        // A password is what stands between the user's colon and the host's at-sign.
        let user_info = self.user_info();
        let password = user_info
            .split_once(':')
            .map_or("", |(_, password)| password);
        password.chars().any(|c| c != '\0')
    }

    /// Whether it, as a URL, has a user in it, as far as it says.
    pub(super) fn names_user(&self) -> bool {
        !self.user_info().is_empty()
    }

    /// What stands before the host, with a zero character for each secret.
    fn user_info(&self) -> String {
        let mut shape = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => shape.push_str(text),
                Part::Variable(_) | Part::File(_) => shape.push('\0'),
            }
        }
        let authority = shape.split_once("://").map_or("", |(_, rest)| rest);
        let user_info = authority.rsplit_once('@');
        user_info.map_or_else(String::new, |(user_info, _)| user_info.to_owned())
    }

    /// Whether it names no secret: all of it stands in the file itself.
    pub(super) fn is_literal(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The environment variables it names.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) | Part::File(_) => None,
        })
    }

    /// The files it names.
    pub(super) fn files(&self, folder: &Path) -> impl Iterator<Item = PathBuf> {
        self.0.iter().filter_map(move |part| match part {
            Part::File(path) => Some(folder.join(path)),
            Part::Text(_) | Part::Variable(_) => None,
        })
    }

    /// The URL with the secrets in it. A secret that is only a part of it is escaped; one that is
    /// all of it is a URL itself.
    pub(super) fn url(
        &self,
        folder: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<String, String> {
        let whole = self.0.len() == 1;
        self.fill(folder, variable, |secret| match whole {
            true => secret,
            false => utf8_percent_encode(&secret, ESCAPED).to_string(),
        })
    }

    /// The text with the secrets in it, as they are.
    pub(super) fn text(
        &self,
        folder: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<String, String> {
        self.fill(folder, variable, |secret| secret)
    }

    fn fill(
        &self,
        folder: &Path,
        variable: impl Fn(&str) -> Option<String>,
        written: impl Fn(String) -> String,
    ) -> Result<String, String> {
        let mut filled = String::new();
        for part in &self.0 {
            let secret = match part {
                Part::Text(text) => {
                    filled.push_str(text);
                    continue;
                }
                Part::Variable(name) => variable(name).ok_or_else(|| {
                    format!("the environment variable `{name}` is not set, or not UTF-8")
                })?,
                Part::File(path) => secret(&folder.join(path))?,
            };
            filled.push_str(&written(secret));
        }
        Ok(filled)
    }
}

impl Part {
    fn parse(name: &str) -> Result<Self, String> {
        if let Some(path) = name.strip_prefix("file:") {
            return if path.is_empty() {
                Err("`${file:}` names no file".into())
            } else {
                Ok(Self::File(path.into()))
            };
        }
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_name {
            Ok(Self::Variable(name.to_owned()))
        } else {
            Err(format!(
                "`${{{name}}}` names neither an environment variable nor, as `${{file:PATH}}`, a file"
            ))
        }
    }
}

fn secret(file: &Path) -> Result<String, String> {
    use std::io::Read;
    let cannot = |what: &dyn std::fmt::Display| {
        format!("the secret in `{}` cannot be read: {what}", file.display())
    };
    let mut secret = String::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(MAX_SECRET + 1).read_to_string(&mut secret))
        .map_err(|error| cannot(&error))?;
    if secret.len() as u64 > MAX_SECRET {
        return Err(cannot(&format_args!(
            "it is longer than {MAX_SECRET} bytes"
        )));
    }
    // Editors and `echo` end a file with a line end that is not part of it.
    let end = secret.trim_end_matches(['\n', '\r']).len();
    secret.truncate(end);
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, as_url: bool) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pw"), "p@ss/word\n").unwrap();
        let variable = |name: &str| (name == "PW").then(|| "a:b%".to_owned());
        let template = Template::parse(text)?;
        match as_url {
            true => template.url(folder.path(), variable),
            false => template.text(folder.path(), variable),
        }
    }

    fn fill(text: &str) -> Result<String, String> {
        filled(text, true)
    }

    #[test]
    fn outside_of_urls_secrets_are_as_they_are() {
        assert_eq!(filled("Token ${PW}", false).unwrap(), "Token a:b%");
        assert_eq!(filled("${file:pw}", false).unwrap(), "p@ss/word");
        let literal = |text: &str| Template::parse(text).unwrap().is_literal();
        assert!(literal("abc") && literal("$${PW}"));
        assert!(!literal("Token ${PW}"));
    }

    #[test]
    fn secrets_are_escaped_where_they_are_a_part() {
        assert_eq!(fill("pg://u:${PW}@h/d").unwrap(), "pg://u:a%3Ab%25@h/d");
        assert_eq!(
            fill("pg://u:${file:pw}@h").unwrap(),
            "pg://u:p%40ss%2Fword@h"
        );
        assert_eq!(fill("${file:pw}").unwrap(), "p@ss/word");
        assert_eq!(fill("a$${PW}b$").unwrap(), "a${PW}b$");
    }

    #[test]
    fn what_cannot_be_filled_in_is_said() {
        for (text, word) in [
            ("${NOPE}", "`NOPE` is not set"),
            ("${file:nope}", "nope` cannot be read"),
            ("${PW", "not closed"),
            ("${P W}", "names neither"),
            ("${}", "names neither"),
            ("${file:}", "names no file"),
        ] {
            let error = fill(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_noticed() {
        for (text, literal) in [
            ("postgres://u:${PW}@h/d", false),
            ("postgres://u@h:5432/d", false),
            ("${URL}", false),
            ("postgres://u:secret@h/d", true),
            ("postgres://u:a${PW}@h/d", true),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.has_literal_password(), literal, "{text}");
        }
    }
}
