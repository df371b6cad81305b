//! The other names of a place: the same folder may be mounted twice, and what is kept out of reach
//! under one name must be under all.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::ConfineError;

const TABLE: &str = "/proc/self/mountinfo";

/// A mounted (part of a) filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Which filesystem: `major:minor`.
    device: String,
    /// Which folder of the filesystem is mounted.
    root: PathBuf,
    /// Where it is seen.
    point: PathBuf,
}

/// Everything mounted, the latest last.
pub(super) fn read() -> Result<Vec<Mount>, ConfineError> {
    std::fs::read(TABLE)
        .map(|table| parse(&table))
        .map_err(|error| ConfineError::Path {
            path: TABLE.into(),
            error,
        })
}

/// The places at which other mounts show a place or something beneath it.
pub(super) fn aliases(mounts: &[Mount], place: &Path) -> Vec<PathBuf> {
    let Some(own) = mounts
        .iter()
        .filter(|mount| place.starts_with(&mount.point))
        // Of equals the last wins, and the latest mount is the one that is seen.
        .max_by_key(|mount| mount.point.components().count())
    else {
        return Vec::new();
    };
    let Ok(beneath) = place.strip_prefix(&own.point) else {
        return Vec::new();
    };
    let inner = own.root.join(beneath);
    mounts
        .iter()
        .filter(|mount| mount.device == own.device && *mount != own)
        .filter_map(|mount| match inner.strip_prefix(&mount.root) {
            Ok(beneath) => Some(mount.point.join(beneath)),
            Err(_) => mount.root.starts_with(&inner).then(|| mount.point.clone()),
        })
        .collect()
}

/// Reads `mountinfo` (proc(5)): id, parent, device, root, mount point, …
fn parse(table: &[u8]) -> Vec<Mount> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ').skip(2);
            Some(Mount {
                device: String::from_utf8_lossy(fields.next()?).into_owned(),
                root: path(fields.next()?),
                point: path(fields.next()?),
            })
        })
        .collect()
}

/// Spaces and the like are written in octal: `\040`.
fn path(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\')
            .then(|| after.split_at_checked(3))
            .flatten()
            .and_then(|(digits, after)| {
                let digits = std::str::from_utf8(digits).ok()?;
                Some((u8::from_str_radix(digits, 8).ok()?, after))
            });
        let (byte, after) = octal.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 254:1 / /home rw - ext4 /dev/vdb rw
29 27 254:1 /u/proj /srv/my\\040proj rw - ext4 /dev/vdb rw
30 27 254:1 /u/proj/data/log /www rw - ext4 /dev/vdb rw
31 27 0:21 / /proc rw - proc proc rw
";

    #[test]
    fn a_bind_mount_is_another_name() {
        let mounts = parse(TABLE);
        assert_eq!(
            aliases(&mounts, Path::new("/home/u/proj/data")),
            [Path::new("/srv/my proj/data"), Path::new("/www")]
        );
        assert_eq!(
            aliases(&mounts, Path::new("/srv/my proj/data/keys")),
            [Path::new("/home/u/proj/data/keys")]
        );
        assert!(aliases(&mounts, Path::new("/var/lib/bailiwick")).is_empty());
    }

    #[test]
    fn this_machine_has_what_it_is_read_from() {
        assert!(
            read()
                .unwrap()
                .iter()
                .any(|mount| mount.point == Path::new("/"))
        );
    }
}
