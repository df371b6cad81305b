//! The tokens that every request carries: whoever may read its file may use the socket beside it.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

use crate::limits::TOKEN_BYTES_MAX;
use crate::socket::{OurGroup, SocketError};

/// 256 random bits as text. Made anew at every start.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// Where a folder keeps it.
    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join("control.token")
    }

    /// Makes a new one and keeps it in the folder, for its owner alone, or for this group, too.
    pub(crate) fn create(folder: &Path, group: Option<&OurGroup>) -> Result<Self, SocketError> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = Self(format!("bwc_{hex}"));
        // Written beside and moved into place, so that nobody reads half of it and a file of
        // another mode does not survive.
        let (path, beside) = (Self::path(folder), folder.join("control.token.new"));
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?
            .write_all(token.0.as_bytes())?;
        if let Some(group) = group {
            group.share(&beside, 0o640)?;
        }
        fs::rename(&beside, &path)?;
        Ok(token)
    }

    /// Reads that of a running gateway. A copy of its folder that somebody else has made can hold a pipe or a device in
    /// its place, which never ends.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let path = Self::path(folder);
        // Before it is opened: opening a pipe waits for its other end.
        if !path.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let mut text = String::new();
        fs::File::open(path)?
            .take(TOKEN_BYTES_MAX as u64)
            .read_to_string(&mut text)?;
        Ok(Self::from_text(&text))
    }

    /// A token that somebody gave.
    pub(crate) fn from_text(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// As the value of an `Authorization` header.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether this `Authorization` header carries it. Takes the same time whatever is wrong.
    pub(crate) fn is_in(&self, header: &[u8]) -> bool {
        header.ct_eq(self.header().as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn is_for_its_owner_alone_and_new_each_time() {
        let data = tempfile::tempdir().unwrap();
        fs::write(Token::path(data.path()), "old").unwrap();
        let one = Token::create(data.path(), None).unwrap();
        let mode = fs::metadata(Token::path(data.path()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(one.is_in(Token::read(data.path()).unwrap().header().as_bytes()));
        let two = Token::create(data.path(), None).unwrap();
        assert!(!two.is_in(one.header().as_bytes()));
        assert!(!two.is_in(b""));
        assert!(!two.is_in(b"Bearer "));
    }
}
