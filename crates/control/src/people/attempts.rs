//! How often somebody may try to sign in. What they would guess has 256 bits and cannot be guessed; this keeps the
//! record, the identity provider and this process from being flooded.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Instant;

use crate::limits::{ATTEMPTS_ADDRESSES_MAX, ATTEMPTS_MAX, ATTEMPTS_TIME};
use crate::live::lock;

/// Counts attempts, by where they come from.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<IpAddr, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    attempts: u32,
}

impl Attempts {
    /// Counts one attempt; no if there were too many lately.
    pub(crate) fn allow(&self, from: IpAddr, now: Instant) -> bool {
        let mut windows = lock(&self.0);
        let from = network(from);
        if !windows.contains_key(&from) && windows.len() >= ATTEMPTS_ADDRESSES_MAX {
            windows.retain(|_, window| !window.is_over(now));
            if windows.len() >= ATTEMPTS_ADDRESSES_MAX {
                return false;
            }
        }
        let window = windows.entry(from).or_insert(Window {
            began: now,
            attempts: 0,
        });
        if window.is_over(now) {
            *window = Window {
                began: now,
                attempts: 0,
            };
        }
        window.attempts = window.attempts.saturating_add(1);
        window.attempts <= ATTEMPTS_MAX
    }

    /// Somebody there has signed in: what they tried does not count. Behind a proxy a whole team has one address.
    pub(crate) fn succeeded(&self, from: IpAddr) {
        if let Some(window) = lock(&self.0).get_mut(&network(from)) {
            window.attempts = window.attempts.saturating_sub(2);
        }
    }
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= ATTEMPTS_TIME
    }
}

/// Of IPv6 the first half: the other one is anybody's own choice.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_attempts_have_to_wait() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let from: IpAddr = "2001:db8::1".parse().unwrap();
        let beside: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        for _ in 0..ATTEMPTS_MAX {
            assert!(attempts.allow(from, now));
        }
        assert!(!attempts.allow(from, now) && !attempts.allow(beside, now));
        assert!(attempts.allow("127.0.0.1".parse().unwrap(), now));
        assert!(attempts.allow(beside, now + ATTEMPTS_TIME));
    }

    #[test]
    fn many_addresses_fill_nothing() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for number in 0..u32::try_from(ATTEMPTS_ADDRESSES_MAX).unwrap() {
            assert!(attempts.allow(IpAddr::V4(number.into()), now));
        }
        let new = IpAddr::V4(u32::MAX.into());
        assert!(!attempts.allow(new, now));
        assert!(attempts.allow(new, now + ATTEMPTS_TIME));
    }
}
