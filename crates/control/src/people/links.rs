//! One-time links: what a local user who is known by the control socket opens in a browser.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use bailiwick_run::Launcher;

use super::Person;
use super::secret::{Hashed, fresh};
use crate::limits::{LINK_TIME, LINKS_MAX};
use crate::live::lock;

/// The links that may be used, and, until their time is over, those that were.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<HashMap<Hashed, Link>>);

#[derive(Debug)]
struct Link {
    until: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Person),
    Used(Launcher),
}

/// Why a link is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// It was used. Whoever comes second may be the one that it was meant for.
    #[error("the link of {0} was used before")]
    Used(Launcher),
    /// It is none, or too old.
    #[error("the link is too old, or never was one")]
    Unknown,
    /// Too many are waiting.
    #[error("too many links are waiting to be used; wait {seconds} s", seconds = LINK_TIME.as_secs())]
    TooMany,
    /// There is nothing to make one of.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl Links {
    /// The code of a new link for this person, and nobody else.
    pub(crate) fn make(&self, person: Person, now: Instant) -> Result<String, LinkError> {
        let code = fresh("bwl_")?;
        let mut links = lock(&self.0);
        links.retain(|_, link| now < link.until);
        if links.len() >= LINKS_MAX {
            return Err(LinkError::TooMany);
        }
        let link = Link {
            until: now + LINK_TIME,
            state: State::Waiting(person),
        };
        links.insert(Hashed::of(&code), link);
        Ok(code)
    }

    /// Whose link this is. That uses it up.
    pub(crate) fn take(&self, code: &str, now: Instant) -> Result<Person, LinkError> {
        let mut links = lock(&self.0);
        let link = links
            .get_mut(&Hashed::of(code))
            .filter(|link| now < link.until)
            .ok_or(LinkError::Unknown)?;
        let used = match &link.state {
            State::Used(whose) => return Err(LinkError::Used(whose.clone())),
            State::Waiting(person) => State::Used(person.name.clone()),
        };
        match std::mem::replace(&mut link.state, used) {
            State::Waiting(person) => Ok(person),
            State::Used(whose) => Err(LinkError::Used(whose)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::people::Via;

    fn person() -> Person {
        Person {
            name: "human:alice@localhost".parse().unwrap(),
            also: BTreeSet::new(),
            roles: BTreeSet::new(),
            groups: BTreeSet::new(),
            via: Via::Local,
        }
    }

    #[test]
    fn a_link_is_good_once_and_for_a_minute_at_most() {
        let links = Links::default();
        let now = Instant::now();
        let code = links.make(person(), now).unwrap();
        assert!(code.len() > 64);
        let soon = now + LINK_TIME - Duration::from_millis(1);
        assert!(matches!(links.take("bwl_", soon), Err(LinkError::Unknown)));
        assert_eq!(links.take(&code, soon).unwrap(), person());
        assert!(
            matches!(links.take(&code, soon), Err(LinkError::Used(whose)) if whose == person().name)
        );
        let late = links.make(person(), now).unwrap();
        assert!(matches!(
            links.take(&late, now + LINK_TIME),
            Err(LinkError::Unknown)
        ));
    }

    #[test]
    fn links_that_nobody_uses_fill_nothing() {
        let links = Links::default();
        let now = Instant::now();
        for _ in 0..LINKS_MAX {
            links.make(person(), now).unwrap();
        }
        assert!(matches!(links.make(person(), now), Err(LinkError::TooMany)));
        links.make(person(), now + LINK_TIME).unwrap();
    }
}
