//! Who is at the other end of the Unix socket.

use bailiwick_run::Launcher;
use nix::unistd::{Uid, User, geteuid};

/// Why it cannot be said who that is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    /// The system did not tell.
    #[error("the system's list of users cannot be read: {0}")]
    Unreadable(nix::Error),
    /// The name is no launcher's.
    #[error("the user name `{0}` cannot name a launcher: it is too long or has spaces in it")]
    Unusable(String),
}

/// The launcher that a local user is: `human:NAME@localhost`. A user without a name is
/// `human:uid-NUMBER@localhost`. May wait for a directory server; not for use on an async thread.
pub(crate) fn launcher(uid: u32) -> Result<Launcher, Unknown> {
    let user = User::from_uid(Uid::from_raw(uid)).map_err(Unknown::Unreadable)?;
    let name = user.map_or_else(|| format!("uid-{uid}"), |user| user.name);
    format!("human:{name}@localhost")
        .parse()
        .map_err(|_| Unknown::Unusable(name))
}

/// Whether this is the user that the gateway is, or root: who has all that the gateway has without asking it.
pub(crate) fn is_keeper(uid: u32) -> bool {
    uid == geteuid().as_raw() || uid == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_user_is_a_human_at_localhost() {
        assert_eq!(launcher(0).unwrap().as_str(), "human:root@localhost");
        let nobody_has = 4_123_456_789;
        assert_eq!(
            launcher(nobody_has).unwrap().as_str(),
            "human:uid-4123456789@localhost"
        );
    }
}
