//! The Unix sockets: that of the data folder, and one that a group may use.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Group, geteuid};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// How long somebody who listens takes to accept, at most.
const ACCEPT_TIME_MAX: Duration = Duration::from_secs(2);

/// The longest path of a socket, in bytes: Linux has room for 108, with a zero at the end.
const PATH_BYTES_MAX: usize = 107;

/// Where a folder has it.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

/// A folder whose socket a group may use: `control_folder` and `control_group` of the configuration. It lets nobody do
/// anything: who somebody is the socket proves, and what they may do stands in the roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Where it is, which is not in the data folder.
    pub folder: PathBuf,
    /// Whose it is.
    pub group: String,
}

/// Why nobody can be served on the socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("another gateway is listening there; stop it, or give this one another data folder")]
    InUse,
    #[error("there is something else of that name; move it away")]
    NotASocket,
    #[error("the path is longer than {PATH_BYTES_MAX} bytes; give its folder a shorter one")]
    TooLong,
    #[error("this system has no group `{0}`; `groupadd --system {0}` makes it")]
    NoGroup(String),
    #[error(
        "its folder is not the gateway's alone: it has to be a folder that the gateway's user owns, in which others may do \
         nothing (`chmod 750`). One that does not exist is made"
    )]
    NotOurFolder,
    #[error(
        "its folder cannot be given to the group `{0}`: {1}; the gateway's user has to be a member of it"
    )]
    NotGiven(String, io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Listens, for the user of this process alone, or for this group, too. What a gateway that is gone has left is cleared
/// away; one that is there is not disturbed.
pub(crate) async fn listen(
    path: &Path,
    group: Option<&OurGroup>,
) -> Result<UnixListener, SocketError> {
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
    match group {
        Some(group) => group.share(path, 0o660)?,
        None => fs::set_permissions(path, fs::Permissions::from_mode(0o600))?,
    }
    Ok(listener)
}

/// A group that files are given to.
#[derive(Clone, Debug)]
pub(crate) struct OurGroup {
    name: String,
    id: Gid,
}

impl OurGroup {
    /// Makes the folder of a shared socket one that the group can look into, and nobody else.
    pub(crate) fn enter(shared: &Shared) -> Result<Self, SocketError> {
        let name = shared.group.clone();
        let found = Group::from_name(&name).map_err(io::Error::from)?;
        let id = match found {
            Some(group) => group.gid,
            None => return Err(SocketError::NoGroup(name)),
        };
        match fs::DirBuilder::new().mode(0o700).create(&shared.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        // What others use as well, such as /run itself, is not taken from them.
        let folder = fs::symlink_metadata(&shared.folder)?;
        if !folder.is_dir() || folder.uid() != geteuid().as_raw() || folder.mode() & 0o027 != 0 {
            return Err(SocketError::NotOurFolder);
        }
        let group = Self { name, id };
        group.share(&shared.folder, 0o750)?;
        Ok(group)
    }

    /// Gives the group a file of ours, with this mode.
    pub(crate) fn share(&self, path: &Path, mode: u32) -> Result<(), SocketError> {
        lchown(path, None, Some(self.id.as_raw()))
            .map_err(|error| SocketError::NotGiven(self.name.clone(), error))?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::getegid;

    use super::*;

    #[tokio::test]
    async fn what_was_left_is_cleared_away_and_what_is_there_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let first = listen(&path, None).await.unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(matches!(listen(&path, None).await, Err(SocketError::InUse)));
        drop(first);
        assert!(path.exists());
        drop(listen(&path, None).await.unwrap());

        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(matches!(
            listen(&path, None).await,
            Err(SocketError::NotASocket)
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let long = dir.path().join("d".repeat(100));
        assert!(matches!(
            listen(&long, None).await,
            Err(SocketError::TooLong)
        ));
    }

    fn mine() -> String {
        Group::from_gid(getegid()).unwrap().unwrap().name
    }

    #[tokio::test]
    async fn a_group_gets_the_socket_and_its_folder_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let shared = Shared {
            folder: dir.path().join("shared"),
            group: mine(),
        };
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        // One that is there is taken as it was made.
        for _ in 0..2 {
            let group = OurGroup::enter(&shared).unwrap();
            let path = path(&shared.folder);
            let _listener = listen(&path, Some(&group)).await.unwrap();
            assert_eq!((mode(&shared.folder), mode(&path)), (0o750, 0o660));
        }
        let none = Shared {
            group: "no-such-group".into(),
            ..shared
        };
        assert!(matches!(
            OurGroup::enter(&none),
            Err(SocketError::NoGroup(_))
        ));
    }

    #[test]
    fn a_folder_that_others_use_is_not_taken_from_them() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        std::os::unix::fs::symlink("/tmp", dir.path().join("link")).unwrap();
        for (name, bits) in [
            ("open", 0o755),
            ("open", 0o1777),
            ("open", 0o770),
            ("link", 0),
        ] {
            if name == "open" {
                fs::set_permissions(&open, fs::Permissions::from_mode(bits)).unwrap();
            }
            let shared = Shared {
                folder: dir.path().join(name),
                group: mine(),
            };
            let refused = OurGroup::enter(&shared);
            assert!(
                matches!(refused, Err(SocketError::NotOurFolder)),
                "{name} {bits:o}"
            );
            if name == "open" {
                assert_eq!(fs::metadata(&open).unwrap().mode() & 0o7777, bits);
            }
        }
    }
}
