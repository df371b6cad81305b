use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a file that people write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named to us.
    pub file: Arc<Path>,
    /// The line, counted from 1. Zero where the file as a whole is meant.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
}

impl Place {
    /// The file as a whole.
    pub(crate) fn whole(file: &Path) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
        }
    }

    /// The place of a byte of the file's text.
    pub(crate) fn of_byte(file: &Arc<Path>, text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: Arc::clone(file),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        }
    }
}

/// `tasks/triage-tickets.toml:3:1`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a task file or a guardrail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// The key it is about, such as `read[2].tables`. Empty where it is about no key.
    pub key: String,
    /// What is wrong and what to write instead.
    pub message: String,
    /// The name that was probably meant.
    pub nearest: Option<String>,
}

/// `tasks/triage-tickets.toml:8:10: read[1].target: no target is called …`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
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

/// Everything that is wrong with the task files and guardrails, in the order of the files. Nothing
/// is loaded while anything is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadErrors(Vec<Problem>);

impl LoadErrors {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self(problems)
    }

    /// The problems, in the order of the files.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

/// A problem a line.
impl fmt::Display for LoadErrors {
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

impl std::error::Error for LoadErrors {}

/// The candidate that `name` was probably meant to be, if one is close.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = name.to_lowercase();
    // A third of the name may be wrong, as in cargo's own suggestions.
    let allowed = name.chars().count().max(3) / 3;
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let file: Arc<Path> = Path::new("a.toml").into();
        let text = "é = 1\nö, x";
        assert_eq!(Place::of_byte(&file, text, 0).to_string(), "a.toml:1:1");
        let x = text.find('x').unwrap();
        assert_eq!(Place::of_byte(&file, text, x).to_string(), "a.toml:2:4");
        assert_eq!(Place::of_byte(&file, text, 999).to_string(), "a.toml:2:5");
    }

    #[test]
    fn only_a_close_name_is_suggested() {
        assert_eq!(nearest("tabels", ["tables", "target"]), Some("tables"));
        assert_eq!(nearest("Tables", ["tables"]), Some("tables"));
        assert_eq!(nearest("billing", ["tables", "target"]), None);
    }
}
