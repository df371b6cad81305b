//! A value that names secrets, until it is asked for.

use std::fmt;
use std::path::{Path, PathBuf};

use super::problem::{Problem, Problems};
use super::template::Template;

/// A value in which secrets may be named, and where it stands.
pub(super) struct Sealed {
    template: Template,
    /// For a problem with what it turns out to be.
    at: Problem,
}

/// Never what it is.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

impl Sealed {
    pub(super) fn new(template: Template, at: Problem) -> Self {
        Self { template, at }
    }

    /// As it was written.
    pub(super) fn template(&self) -> &Template {
        &self.template
    }

    /// As a URL, with the secrets looked up.
    pub(super) fn url(&self, folder: &Path) -> Result<String, Problems> {
        let url = self.template.url(folder, environment);
        url.map_err(|message| self.problem(message))
    }

    /// As text, with the secrets looked up.
    pub(super) fn text(&self, folder: &Path) -> Result<String, Problems> {
        let text = self.template.text(folder, environment);
        text.map_err(|message| self.problem(message))
    }

    /// As text that fits a header's value: not empty, printable and of ASCII.
    pub(super) fn header(&self, folder: &Path) -> Result<String, Problems> {
        let text = self.text(folder)?;
        let fits = !text.is_empty()
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            && text.trim() == text;
        match fits {
            true => Ok(text),
            false => Err(self.problem(
                "what is filled in does not fit an HTTP header: it is empty, begins or ends with a \
                 space, or holds control characters or others outside of ASCII"
                    .to_owned(),
            )),
        }
    }

    /// Something that is wrong with it.
    pub(super) fn problem(&self, message: String) -> Problems {
        Problems::one(self.at.saying(message))
    }

    /// The files that it names.
    pub(super) fn files(&self, folder: &Path) -> impl Iterator<Item = PathBuf> {
        self.template.files(folder)
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
