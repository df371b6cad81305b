//! Where a path really leads, and every symbolic link on the way there.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

/// Links followed before a path counts as a loop, as in the kernel.
const MAX_LINKS: usize = 40;

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The place itself, free of links. What does not exist (yet), or is in a folder that
    /// this user may not look into, is taken at its word.
    pub(super) place: PathBuf,
    /// The links that lead there. Whoever can replace one can lead the path elsewhere.
    pub(super) links: Vec<PathBuf>,
}

/// Follows a path.
pub(super) fn find(path: &Path) -> io::Result<Found> {
    let mut place = PathBuf::from("/");
    let mut links = Vec::new();
    let mut rest = VecDeque::new();
    push_front(&mut rest, &std::path::absolute(path)?);
    while let Some(step) = rest.pop_front() {
        let name = match step {
            Step::Root => {
                place = PathBuf::from("/");
                continue;
            }
            Step::Up => {
                place.pop();
                continue;
            }
            Step::Down(name) => name,
        };
        place.push(name);
        match place.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => {
                if links.len() == MAX_LINKS {
                    return Err(Errno::LOOP.into());
                }
                push_front(&mut rest, &place.read_link()?);
                links.push(place.clone());
                place.pop();
            }
            Ok(_) => {}
            // Where this user may not even look, nothing that it starts may either.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::PermissionDenied
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Found { place, links })
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn push_front(rest: &mut VecDeque<Step>, path: &Path) {
    for component in path.components().rev() {
        rest.push_front(match component {
            Component::Prefix(_) | Component::RootDir => Step::Root,
            Component::CurDir => continue,
            Component::ParentDir => Step::Up,
            Component::Normal(name) => Step::Down(name.to_owned()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_and_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("disk/real")).unwrap();
        symlink("disk", top.join("hop")).unwrap();
        symlink("../hop/./real", top.join("disk/data")).unwrap();
        let found = find(&top.join("hop/data/log")).unwrap();
        assert_eq!(found.place, top.join("disk/real/log"));
        assert_eq!(
            found.links,
            [top.join("hop"), top.join("disk/data"), top.join("hop")]
        );
        symlink("loop", top.join("loop")).unwrap();
        let error = find(&top.join("loop")).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::LOOP));
    }
}
