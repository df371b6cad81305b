use std::fs;
use std::os::unix::fs::MetadataExt;

/// Whom the server runs as, where that is someone other than ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// PostgreSQL refuses to run as root: as root, the `postgres` user of the packages or else `nobody`.
/// As anyone else, nothing, that is ourselves.
pub(crate) fn server_user() -> Result<Option<User>, NoUser> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| find(&users, name))
        .map(Some)
        .ok_or(NoUser)
}

/// There is no user to run the server as.
#[derive(Debug, thiserror::Error)]
#[error(
    "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it \
     as; run this as an ordinary user"
)]
pub struct NoUser;

fn find(users: &str, name: &str) -> Option<User> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users =
            "root:x:0:0::/:/bin/sh\npostgresql:x:7:7::/:\npostgres:x:101:104:a:/b:/bin/sh\n";
        assert_eq!(find(users, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(find(users, "nobody"), None);
    }
}
