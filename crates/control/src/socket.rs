//! The Unix socket of a data folder.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// How long somebody who listens takes to accept, at most.
const ACCEPT_TIME_MAX: Duration = Duration::from_secs(2);

/// The longest path of a socket, in bytes: Linux has room for 108, with a zero at the end.
const PATH_BYTES_MAX: usize = 107;

/// Where a data folder has it.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Why nobody can be served on the socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("another gateway is listening there; stop it, or give this one another data folder")]
    InUse,
    #[error("there is something else of that name; move it away")]
    NotASocket,
    #[error("the path is longer than {PATH_BYTES_MAX} bytes; give the data folder a shorter one")]
    TooLong,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Listens, for the user of this process alone. What a gateway that is gone has left is cleared
/// away; one that is there is not disturbed.
pub(crate) async fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(SocketError::TooLong);
    }
    match timeout(ACCEPT_TIME_MAX, UnixStream::connect(path)).await {
        Ok(Ok(_)) | Err(_) => return Err(SocketError::InUse),
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::NotFound => {}
            io::ErrorKind::ConnectionRefused => {
                // Any file that is no socket answers like this too.
                if !fs::symlink_metadata(path)?.file_type().is_socket() {
                    return Err(SocketError::NotASocket);
                }
                fs::remove_file(path)?;
            }
            _ => return Err(error.into()),
        },
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_left_is_cleared_away_and_what_is_there_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let first = listen(&path).await.unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(matches!(listen(&path).await, Err(SocketError::InUse)));
        drop(first);
        assert!(path.exists());
        drop(listen(&path).await.unwrap());

        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(matches!(listen(&path).await, Err(SocketError::NotASocket)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let long = dir.path().join("d".repeat(100));
        assert!(matches!(listen(&long).await, Err(SocketError::TooLong)));
    }
}
