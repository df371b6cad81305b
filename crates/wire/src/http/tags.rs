//! Entity tags (RFC 9110, section 8.8.3). A target makes them of its content as it is, before anything of it is
//! masked: whoever knows the rest can try values until the tag fits, or ask whether a tag of their own making
//! does. So agents get tags of the gateway's, which say nothing, and the target gets its own back.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::bhttp::Fields;
use crate::Seed;
use crate::limits::{HTTP_TAG_BYTES_MAX, HTTP_TAGS_MAX};

/// By what a request goes by them.
const CONDITIONS: [&str; 2] = ["if-match", "if-none-match"];

/// A tag that no content has: a condition with it is met by nothing.
const NONE_HAS: &str = "\"bailiwick-unknown\"";

/// The tags of one run and target.
#[derive(Default)]
pub(crate) struct Tags {
    /// What makes the gateway's tags differ from everybody else's. Of the first session.
    key: OnceLock<[u8; 26]>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The target's, by the gateway's.
    known: BTreeMap<String, String>,
    /// The oldest first.
    order: VecDeque<String>,
}

impl Tags {
    /// Takes what the gateway's own tags are made with, if that is not there yet.
    pub(super) fn seed(&self, seed: &Seed) {
        self.key.get_or_init(|| {
            let mut key = [0; 26];
            let random = seed.nonce.iter().chain(&seed.token);
            for (byte, random) in key.iter_mut().zip(random) {
                *byte = *random;
            }
            key
        });
    }

    /// The tag that an agent gets in the place of a target's; nothing in the place of what is none.
    pub(super) fn for_agent(&self, value: &str) -> Option<String> {
        let [tag] = &read(value)?[..] else {
            return None;
        };
        if tag.len() > HTTP_TAG_BYTES_MAX {
            return None;
        }
        let digest = Sha256::new()
            .chain_update(self.key.get()?)
            .chain_update(tag)
            .finalize();
        let mut own = String::from(match tag.starts_with("W/") {
            true => "W/\"",
            false => "\"",
        });
        for byte in digest.iter().take(12) {
            // Writing to a string cannot fail.
            let _ = write!(own, "{byte:02x}");
        }
        own.push('"');
        let mut state = self.state();
        if state.known.insert(own.clone(), (*tag).to_owned()).is_none() {
            state.order.push_back(own.clone());
        }
        if state.order.len() > HTTP_TAGS_MAX
            && let Some(oldest) = state.order.pop_front()
        {
            state.known.remove(&oldest);
        }
        Some(own)
    }

    /// The fields of a request with the target's own tags in them. A tag that this run was not given stands for
    /// nothing.
    ///
    /// # Errors
    /// If something else than tags stands where tags do.
    pub(super) fn for_target(&self, fields: &mut Fields) -> Result<(), &'static str> {
        for (name, value) in fields.iter_mut() {
            if !CONDITIONS.contains(&&**name) || value.trim_ascii() == b"*" {
                continue;
            }
            let text = std::str::from_utf8(value).ok().and_then(read);
            let tags = text.ok_or("a condition with something else than entity tags")?;
            let state = self.state();
            let known = tags.iter().filter_map(|tag| state.known.get(*tag));
            let known: Vec<&str> = known.map(String::as_str).collect();
            let tags = match &known[..] {
                [] => NONE_HAS.to_owned(),
                known => known.join(", "),
            };
            *value = Bytes::from(tags);
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list of tags, each with its quotes; nothing for what is none.
fn read(mut rest: &str) -> Option<Vec<&str>> {
    let mut tags = Vec::new();
    loop {
        rest = rest.trim_matches([' ', '\t']);
        let opaque = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let end = rest.len() - opaque.len() + opaque.find('"')? + 1;
        let (tag, behind) = rest.split_at_checked(end)?;
        tags.push(tag);
        rest = behind.trim_start_matches([' ', '\t']);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return rest.is_empty().then_some(tags),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CancelKey;

    fn tags(nonce: u8) -> Tags {
        let tags = Tags::default();
        tags.seed(&Seed {
            nonce: [nonce; 18],
            cancel: CancelKey([2; 8]),
            token: [3; 8],
        });
        tags
    }

    fn sent(tags: &Tags, name: &str, value: &str) -> Result<String, &'static str> {
        let value = Bytes::from(value.to_owned());
        let mut fields = vec![(name.to_owned(), value)];
        tags.for_target(&mut fields)?;
        Ok(String::from_utf8(fields[0].1.to_vec()).unwrap())
    }

    #[test]
    fn an_agent_sees_none_of_the_targets_own() {
        let run = tags(1);
        let own = run.for_agent("\"5d41402a\"").unwrap();
        assert!(!own.contains("5d41402a"));
        assert_eq!(run.for_agent(" \"5d41402a\" "), Some(own.clone()));
        let weak = run.for_agent("W/\"5d41402a\"").unwrap();
        assert!(weak.starts_with("W/\"") && !weak.ends_with(&own));
        assert_ne!(tags(2).for_agent("\"5d41402a\""), Some(own.clone()));
        for none in ["5d41402a", "\"a", "\"a\", \"b\"", "", "w/\"a\"", "\"a\"b"] {
            assert_eq!(run.for_agent(none), None, "{none}");
        }
        assert_eq!(sent(&run, "if-match", &own).unwrap(), "\"5d41402a\"");
        let both = format!("{own},{weak}");
        assert_eq!(
            sent(&run, "if-none-match", &both).unwrap(),
            "\"5d41402a\", W/\"5d41402a\""
        );
        assert_eq!(sent(&run, "if-match", "*").unwrap(), "*");
        assert_eq!(sent(&run, "accept", "\"x\"").unwrap(), "\"x\"");
    }

    #[test]
    fn one_that_was_guessed_fits_nothing() {
        let run = tags(1);
        let own = run.for_agent("\"5d41402a\"").unwrap();
        for name in CONDITIONS {
            for guess in ["\"5d41402a\"", "W/\"5d41402a\"", "\"a,b\""] {
                assert_eq!(sent(&run, name, guess).unwrap(), NONE_HAS);
                assert_eq!(sent(&tags(2), name, &own).unwrap(), NONE_HAS);
            }
            let among = format!("\"5d41402b\", {own}");
            assert_eq!(sent(&run, name, &among).unwrap(), "\"5d41402a\"");
            for odd in ["5d41402a", "\"a\" \"b\"", "\"a\", *", ""] {
                assert!(sent(&run, name, odd).is_err(), "{odd}");
            }
        }
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let run = tags(1);
        let first = run.for_agent("\"first\"").unwrap();
        for number in 0..HTTP_TAGS_MAX {
            run.for_agent(&format!("\"{number}\"")).unwrap();
        }
        assert_eq!(sent(&run, "if-match", &first).unwrap(), NONE_HAS);
        assert_eq!(run.state().known.len(), HTTP_TAGS_MAX);
    }
}
