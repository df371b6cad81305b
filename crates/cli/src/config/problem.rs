//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    file: PathBuf,
    /// Line and column, both from 1. Nothing where the file as a whole is meant.
    place: Option<(usize, usize)>,
    key: String,
    message: String,
    nearest: Option<String>,
}

impl Problem {
    /// A problem with the file as a whole.
    pub(super) fn whole(file: &Path, message: String) -> Self {
        Self {
            file: file.to_owned(),
            place: None,
            key: String::new(),
            message,
            nearest: None,
        }
    }

    /// A problem at a byte of the file's text.
    pub(super) fn at(
        file: &Path,
        text: &str,
        byte: usize,
        key: &str,
        message: String,
        nearest: Option<&str>,
    ) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self {
            file: file.to_owned(),
            place: Some((line, column)),
            key: key.to_owned(),
            message,
            nearest: nearest.map(str::to_owned),
        }
    }

    /// Another problem at the same place.
    pub(super) fn saying(&self, message: String) -> Self {
        Self {
            message,
            ..self.clone()
        }
    }
}

/// `bailiwick.toml:3:1: listen.postgres: …; did you mean …?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration, in the file's order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        Self(problems)
    }

    pub(super) fn one(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// A problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Failure::new(problems)
    }
}

/// The candidate that `name` was probably meant to be, if one is close.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A third of the name may be wrong, as in cargo's own suggestions.
    let allowed = name.chars().count().max(3) / 3;
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}
