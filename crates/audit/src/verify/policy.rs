//! Whom to trust: which logs, which witnesses, and how many of these must have seen a checkpoint
//! (C2SP tlog-policy).

mod parse;

use bailiwick_run::Time;
use serde::{Serialize, Serializer};

use super::checkpoint::{Head, NotACheckpoint};
use super::key::{CosignerKey, LogKey, NotAKey};
use super::note::{NotANote, Note};
use crate::digest::Digest;
pub use parse::PolicyError;

/// A trust policy: the logs and witnesses it knows, and the quorum.
#[derive(Clone, Debug)]
pub struct Policy {
    logs: Vec<KnownLog>,
    witnesses: Vec<KnownWitness>,
    /// Each refers to witnesses and to groups before it only.
    groups: Vec<Group>,
    quorum: Quorum,
}

/// A log that a policy accepts.
#[derive(Clone, Debug)]
pub struct KnownLog {
    pub(crate) key: LogKey,
    vkey: String,
    url: Option<String>,
}

/// A witness that a policy knows.
#[derive(Clone, Debug)]
pub struct KnownWitness {
    pub(crate) key: CosignerKey,
    name: String,
    vkey: String,
    url: Option<String>,
}

/// Witnesses and groups, of which some number must have seen a checkpoint.
#[derive(Clone, Debug)]
struct Group {
    threshold: usize,
    members: Vec<Member>,
}

/// What a group is made of: places in the policy's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quorum {
    None,
    Needs(Member),
}

/// What a policy makes of a checkpoint that one of its logs has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The log's name.
    pub origin: String,
    /// How many records the checkpoint covers.
    pub size: u64,
    /// The root of their tree.
    pub root: Digest,
    /// The witnesses that cosigned it, in the order of the policy.
    pub cosigned: Vec<Cosigned>,
    /// Whether these are enough.
    pub quorum: bool,
}

/// A cosignature that was right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cosigned {
    /// The witness, as the policy calls it.
    pub witness: String,
    /// When it saw the checkpoint, by its own clock.
    #[serde(serialize_with = "in_rfc_3339")]
    pub time: Time,
}

/// Why a policy does not accept a checkpoint at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTrusted {
    /// It is malformed, or bears a signature that a known key has not made.
    #[error("{0}")]
    Invalid(String),
    /// No log of the policy has signed it.
    #[error("no key that the policy names has signed it as the log {0}")]
    UnknownLog(String),
}

impl Policy {
    /// Reads a policy file. It may have 256 KiB, and 256 each of logs, witnesses and groups.
    pub fn parse(file: &[u8]) -> Result<Self, PolicyError> {
        parse::parse(file)
    }

    /// The policy that accepts this one log, and asks for no witness.
    ///
    /// # Errors
    /// The text is not the verifier key of a log.
    pub fn of_log(vkey: &str) -> Result<Self, PolicyError> {
        let none = Self {
            logs: Vec::new(),
            witnesses: Vec::new(),
            groups: Vec::new(),
            quorum: Quorum::None,
        };
        none.with_log(vkey)
    }

    /// The same policy, accepting this log, too: one that is known from elsewhere.
    ///
    /// # Errors
    /// The text is not the verifier key of a log.
    pub fn with_log(mut self, vkey: &str) -> Result<Self, PolicyError> {
        let log = KnownLog::new(vkey, None)?;
        if !self.logs.iter().any(|known| known.is(&log)) {
            self.logs.push(log);
        }
        Ok(self)
    }

    /// The logs it accepts. It may have none, if they are known from elsewhere.
    pub fn logs(&self) -> &[KnownLog] {
        &self.logs
    }

    /// The witnesses it knows, whether or not the quorum needs them.
    pub fn witnesses(&self) -> &[KnownWitness] {
        &self.witnesses
    }

    /// Whether the quorum is `none`: no witness need have seen a checkpoint.
    pub fn needs_no_witness(&self) -> bool {
        self.quorum == Quorum::None
    }

    /// Says which witnesses cosigned a checkpoint, and whether these are enough.
    ///
    /// # Errors
    /// The note is not a checkpoint that one of the policy's logs has signed, or bears a signature
    /// under the name and id of a known key that this key has not made.
    pub fn judge(&self, note: &[u8]) -> Result<Judgement, NotTrusted> {
        let invalid = |why: NotACheckpoint| NotTrusted::Invalid(why.to_string());
        let note = Note::parse(note).map_err(|why| invalid(why.into()))?;
        let (head, times) = self.open(&note).map_err(invalid)?;
        let signed = self.logs.iter().filter(|log| log.name() == head.origin);
        // All signatures are right by now; what counts here is only whose they are.
        if !signed.into_iter().any(|log| note.names(&log.key)) {
            return Err(NotTrusted::UnknownLog(head.origin));
        }
        let quorum = self.is_met(&times);
        let cosigned = self.witnesses.iter().zip(times);
        let cosigned = cosigned.filter_map(|(witness, time)| {
            Some(Cosigned {
                witness: witness.name.clone(),
                time: Time::from_millis(time?.saturating_mul(1000)),
            })
        });
        Ok(Judgement {
            cosigned: cosigned.collect(),
            origin: head.origin,
            size: head.size,
            root: Digest::from_bytes(head.root),
            quorum,
        })
    }

    /// The checkpoint, and when each witness cosigned it. Checks the signatures of all known keys.
    fn open(&self, note: &Note<'_>) -> Result<(Head, Vec<Option<u64>>), NotACheckpoint> {
        for log in &self.logs {
            note.is_signed_by(&log.key)?;
        }
        let times = self.witnesses.iter();
        let times = times.map(|witness| note.cosigned_by(&witness.key));
        let times = times.collect::<Result<_, NotANote>>()?;
        Ok((Head::parse(note.text())?, times))
    }

    fn is_met(&self, cosigned: &[Option<u64>]) -> bool {
        let mut seen: Vec<bool> = Vec::with_capacity(self.groups.len());
        let has_seen = |member: &Member, groups: &[bool]| match member {
            Member::Witness(place) => cosigned.get(*place).is_some_and(Option::is_some),
            Member::Group(place) => groups.get(*place) == Some(&true),
        };
        for group in &self.groups {
            let members = group.members.iter();
            let count = members.filter(|member| has_seen(member, &seen)).count();
            seen.push(count >= group.threshold);
        }
        match &self.quorum {
            Quorum::None => true,
            Quorum::Needs(member) => has_seen(member, &seen),
        }
    }
}

impl KnownLog {
    fn new(vkey: &str, url: Option<String>) -> Result<Self, NotAKey> {
        Ok(Self {
            key: LogKey::parse(vkey)?,
            vkey: vkey.to_owned(),
            url,
        })
    }

    /// The log's name: the origin of its checkpoints.
    pub fn name(&self) -> &str {
        self.key.name()
    }

    /// Its verifier key.
    pub fn vkey(&self) -> &str {
        &self.vkey
    }

    /// Where it is, if the policy says so.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Whether it is the same log with the same key.
    fn is(&self, other: &Self) -> bool {
        self.key.is_duplicate_of(&other.key) && self.name() == other.name()
    }
}

impl KnownWitness {
    /// What the policy calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name it cosigns under.
    pub fn key_name(&self) -> &str {
        self.key.name()
    }

    /// Its verifier key.
    pub fn vkey(&self) -> &str {
        &self.vkey
    }

    /// Where it takes checkpoints, if the policy says so: the submission prefix.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

fn in_rfc_3339<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::super::key::tests::vkey;
    use super::*;

    pub(crate) fn key(name: &str, kind: u8, seed: u8) -> String {
        let public = SigningKey::from_bytes(&[seed; 32]).verifying_key();
        vkey(name, kind, public.as_bytes())
    }

    fn line(name: &str, kind: u8, seed: u8, time: &[u8], message: &str) -> String {
        let id = key(name, kind, seed);
        let id = u32::from_str_radix(id.split('+').nth(1).unwrap(), 16).unwrap();
        let signed = SigningKey::from_bytes(&[seed; 32]).sign(message.as_bytes());
        let bytes = [&id.to_be_bytes()[..], time, &signed.to_bytes()].concat();
        format!("\u{2014} {name} {}\n", BASE64.encode(bytes))
    }

    /// A checkpoint by the log `l.example`, cosigned by the witnesses of these seeds, each at the
    /// second of its seed.
    fn note(seeds: &[u8]) -> String {
        let text = format!("l.example\n7\n{}\n", BASE64.encode([9; 32]));
        let mut note = format!("{text}\n{}", line("l.example", 1, 100, &[], &text));
        for seed in seeds {
            let time = u64::from(*seed);
            let message = format!("cosignature/v1\ntime {time}\n{text}");
            let name = format!("w{seed}.example");
            note += &line(&name, 4, *seed, &time.to_be_bytes(), &message);
        }
        note
    }

    fn two_levels() -> Policy {
        let witness = |name: &str, seed: u8| {
            let key = key(&format!("w{seed}.example"), 4, seed);
            format!("witness {name} {key}\n")
        };
        // The example of the specification.
        let file = [
            format!("log {}\n\n", key("l.example", 1, 100)),
            witness("X1", 1) + &witness("X2", 2) + &witness("X3", 3),
            "group X-witnesses 2 X1 X2 X3\n\n".to_owned(),
            witness("Y1", 4) + &witness("Y2", 5) + &witness("Y3", 6),
            "group Y-witnesses any Y1 Y2 Y3\n\n".to_owned(),
            "group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n".to_owned(),
        ];
        Policy::parse(file.concat().as_bytes()).unwrap()
    }

    #[test]
    fn the_quorum_of_the_specification_is_met_by_two_and_one() {
        let policy = two_levels();
        let judge = |seeds: &[u8]| policy.judge(note(seeds).as_bytes()).unwrap();
        for met in [&[1, 2, 4][..], &[3, 1, 6], &[1, 2, 3, 4, 5, 6], &[6, 2, 1]] {
            assert!(judge(met).quorum, "{met:?}");
        }
        for unmet in [&[][..], &[1, 4], &[1, 2], &[4, 5, 6], &[1, 2, 3, 7]] {
            assert!(!judge(unmet).quorum, "{unmet:?}");
        }
        let judged = judge(&[5, 2, 7]);
        let by: Vec<(&str, u64)> = judged
            .cosigned
            .iter()
            .map(|cosigned| (cosigned.witness.as_str(), cosigned.time.millis()))
            .collect();
        assert_eq!(by, [("X2", 2000), ("Y2", 5000)]);
        assert_eq!((judged.origin.as_str(), judged.size), ("l.example", 7));
        assert_eq!(judged.root.as_bytes(), &[9; 32]);
    }

    #[test]
    fn the_log_must_be_one_of_the_policy() {
        let note = note(&[1]);
        let judge = |policy: &Policy| policy.judge(note.as_bytes());
        let only = |key: &str| Policy::of_log(key).unwrap();
        assert!(judge(&only(&key("l.example", 1, 100))).unwrap().quorum);
        let unknown = Err(NotTrusted::UnknownLog("l.example".to_owned()));
        assert_eq!(judge(&only(&key("l.example", 1, 101))), unknown);
        assert_eq!(judge(&only(&key("m.example", 1, 100))), unknown);
        let either = only(&key("l.example", 1, 101)).with_log(&key("l.example", 1, 100));
        assert!(judge(&either.unwrap()).is_ok());
        assert!(Policy::of_log(&key("w.example", 4, 100)).is_err());
        // A log that is known signs under its own name only.
        let text = format!("l.example\n7\n{}\n", BASE64.encode([9; 32]));
        let other = format!("{text}\n{}", line("m.example", 1, 101, &[], &text));
        let both = only(&key("l.example", 1, 100)).with_log(&key("m.example", 1, 101));
        assert_eq!(both.unwrap().judge(other.as_bytes()), unknown);
    }

    #[test]
    fn a_signature_that_a_known_key_has_not_made_refuses_the_note() {
        let policy = two_levels();
        let good = note(&[1, 2, 4]);
        let forged = |name: &str, kind, seed, time: &[u8]| {
            let more = line(name, kind, seed, time, "another text");
            policy.judge(format!("{good}{more}").as_bytes())
        };
        let time = 1u64.to_be_bytes();
        for (name, kind, seed) in [("w3.example", 4, 3), ("w1.example", 4, 1)] {
            let why = format!("the signature by {name} does not fit its text");
            let found = forged(name, kind, seed, &time);
            assert_eq!(found, Err(NotTrusted::Invalid(why)));
        }
        assert!(forged("l.example", 1, 100, &[]).is_err());
        // Those of keys that are not known are passed over.
        assert!(forged("w1.example", 4, 9, &time).unwrap().quorum);
        for position in 0..good.len() {
            let mut altered = good.clone().into_bytes();
            altered[position] ^= 1;
            assert!(
                policy.judge(&altered).is_err() || !policy.judge(&altered).unwrap().quorum,
                "{position}"
            );
        }
    }
}
