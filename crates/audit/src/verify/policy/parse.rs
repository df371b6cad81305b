//! Reading a policy file.

use std::collections::HashMap;

use super::{Group, KnownLog, KnownWitness, Member, Policy, Quorum};
use crate::limits;
use crate::verify::key::{CosignerKey, NotAKey};

/// What is wrong with a policy file, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    line: Option<usize>,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it is longer than {} bytes", limits::POLICY)]
    TooLong,
    #[error("it has no quorum line; `quorum none` asks for no witness")]
    NoQuorum,
    #[error("its last line does not end: the file was cut, or lacks a newline")]
    NoEnd,
    #[error("the byte {0:#04x} may not be in a policy")]
    Character(u8),
    #[error("a line begins with log, witness, group, quorum or #, not with `{0}`")]
    Keyword(String),
    #[error("it is to be: {0}")]
    Form(&'static str),
    #[error("the key is not right: {0}")]
    Key(#[from] NotAKey),
    #[error("the same key is in an earlier line")]
    SameKey,
    #[error("its key has the name and id of another, and cannot be told from it")]
    SameId,
    #[error("`{0}` is defined already")]
    Defined(String),
    #[error("`none` cannot be defined, and is no member; it is for the quorum only")]
    None,
    #[error("`{0}` is not defined in an earlier line")]
    Unknown(String),
    #[error("`{0}` is a member already; each witness and group may be one once")]
    MemberAlready(String),
    #[error("a group needs from 1 to all of its members, or says `any` or `all`; not `{0}`")]
    Threshold(String),
    #[error("there is a quorum line already")]
    SecondQuorum,
    #[error("at most {limit} {0} can be defined", limit = limits::POLICY_ENTRIES)]
    TooMany(&'static str),
}

const LOG: &str = "log VKEY [URL]";
const WITNESS: &str = "witness NAME VKEY [URL]";
const GROUP: &str = "group NAME all|any|NUMBER MEMBER…";
const QUORUM: &str = "quorum NAME, or quorum none";

impl PolicyError {
    /// The line it is in, from 1; nothing if it is of the whole.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.problem),
            None => self.problem.fmt(f),
        }
    }
}

impl std::error::Error for PolicyError {}

impl From<Problem> for PolicyError {
    fn from(problem: Problem) -> Self {
        Self {
            line: None,
            problem,
        }
    }
}

impl From<NotAKey> for PolicyError {
    fn from(why: NotAKey) -> Self {
        Problem::Key(why).into()
    }
}

pub(super) fn parse(file: &[u8]) -> Result<Policy, PolicyError> {
    if file.len() > limits::POLICY {
        return Err(Problem::TooLong.into());
    }
    let mut parser = Parser::default();
    let (mut rest, mut line) = (file, 0);
    while !rest.is_empty() {
        line += 1;
        let located = |problem| PolicyError {
            line: Some(line),
            problem,
        };
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| located(Problem::NoEnd))?;
        let (content, after) = rest.split_at(end);
        parser.line(content).map_err(located)?;
        rest = after.get(1..).unwrap_or_default();
    }
    parser.finish().map_err(PolicyError::from)
}

/// What has been defined so far. Names are bytes, which need not be UTF-8.
#[derive(Default)]
struct Parser<'a> {
    logs: Vec<KnownLog>,
    witnesses: Vec<KnownWitness>,
    groups: Vec<Group>,
    quorum: Option<Quorum>,
    names: HashMap<&'a [u8], Name>,
}

struct Name {
    member: Member,
    /// Whether some group has it.
    is_taken: bool,
}

impl<'a> Parser<'a> {
    fn line(&mut self, line: &'a [u8]) -> Result<(), Problem> {
        let forbidden = line.iter().find(|byte| !is_allowed(**byte));
        if let Some(byte) = forbidden {
            return Err(Problem::Character(*byte));
        }
        let items: Vec<&'a [u8]> = line
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|item| !item.is_empty())
            .collect();
        match items.split_first() {
            None => Ok(()),
            Some((first, _)) if first.starts_with(b"#") => Ok(()),
            Some((&b"log", items)) => self.log(items),
            Some((&b"witness", items)) => self.witness(items),
            Some((&b"group", items)) => self.group(items),
            Some((&b"quorum", items)) => self.quorum(items),
            Some((other, _)) => Err(Problem::Keyword(text(other))),
        }
    }

    fn log(&mut self, items: &[&'a [u8]]) -> Result<(), Problem> {
        let (vkey, url) = match items {
            [vkey] => (vkey, None),
            [vkey, url] => (vkey, Some(text(url))),
            _ => return Err(Problem::Form(LOG)),
        };
        let vkey = utf8(vkey)?;
        let log = KnownLog::new(vkey, url)?;
        for known in &self.logs {
            if known.key.is_duplicate_of(&log.key) {
                return Err(Problem::SameKey);
            }
            if known.key.is_confused_with(&log.key) {
                return Err(Problem::SameId);
            }
        }
        self.logs.push(log);
        at_most(self.logs.len(), "logs")
    }

    fn witness(&mut self, items: &[&'a [u8]]) -> Result<(), Problem> {
        let (name, vkey, url) = match items {
            [name, vkey] => (name, vkey, None),
            [name, vkey, url] => (name, vkey, Some(text(url))),
            _ => return Err(Problem::Form(WITNESS)),
        };
        let vkey = utf8(vkey)?;
        let key = CosignerKey::parse(vkey)?;
        for known in &self.witnesses {
            if known.key.is_duplicate_of(&key) {
                return Err(Problem::SameKey);
            }
            if known.key.is_confused_with(&key) {
                return Err(Problem::SameId);
            }
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(KnownWitness {
            key,
            name: text(name),
            vkey: vkey.to_owned(),
            url,
        });
        at_most(self.witnesses.len(), "witnesses")
    }

    fn group(&mut self, items: &[&'a [u8]]) -> Result<(), Problem> {
        let [name, threshold, listed @ ..] = items else {
            return Err(Problem::Form(GROUP));
        };
        if listed.is_empty() {
            return Err(Problem::Form(GROUP));
        }
        let threshold = match *threshold {
            b"any" => 1,
            b"all" => listed.len(),
            number => decimal(number)
                .filter(|number| (1..=listed.len()).contains(number))
                .ok_or_else(|| Problem::Threshold(text(number)))?,
        };
        let members = listed.iter().map(|member| self.take(member));
        let members = members.collect::<Result<_, _>>()?;
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold, members });
        at_most(self.groups.len(), "groups")
    }

    fn quorum(&mut self, items: &[&'a [u8]]) -> Result<(), Problem> {
        let [name] = items else {
            return Err(Problem::Form(QUORUM));
        };
        if self.quorum.is_some() {
            return Err(Problem::SecondQuorum);
        }
        self.quorum = Some(match *name {
            b"none" => Quorum::None,
            name => match self.names.get(name) {
                Some(name) => Quorum::Needs(name.member),
                None => return Err(Problem::Unknown(text(name))),
            },
        });
        Ok(())
    }

    fn define(&mut self, name: &'a [u8], member: Member) -> Result<(), Problem> {
        if name == b"none" {
            return Err(Problem::None);
        }
        let is_taken = false;
        match self.names.insert(name, Name { member, is_taken }) {
            None => Ok(()),
            Some(_) => Err(Problem::Defined(text(name))),
        }
    }

    /// The witness or group of this name, as a member, which it may be once.
    fn take(&mut self, name: &[u8]) -> Result<Member, Problem> {
        if name == b"none" {
            return Err(Problem::None);
        }
        let known = self.names.get_mut(name);
        let known = known.ok_or_else(|| Problem::Unknown(text(name)))?;
        if known.is_taken {
            return Err(Problem::MemberAlready(text(name)));
        }
        known.is_taken = true;
        Ok(known.member)
    }

    fn finish(self) -> Result<Policy, Problem> {
        Ok(Policy {
            logs: self.logs,
            witnesses: self.witnesses,
            groups: self.groups,
            quorum: self.quorum.ok_or(Problem::NoQuorum)?,
        })
    }
}

fn is_allowed(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)
}

fn decimal(digits: &[u8]) -> Option<usize> {
    let is_plain = digits.iter().all(u8::is_ascii_digit);
    is_plain.then(|| text(digits).parse().ok()).flatten()
}

fn at_most(count: usize, what: &'static str) -> Result<(), Problem> {
    match count <= limits::POLICY_ENTRIES {
        true => Ok(()),
        false => Err(Problem::TooMany(what)),
    }
}

/// Names of keys are UTF-8, unlike those of a policy.
fn utf8(vkey: &[u8]) -> Result<&str, NotAKey> {
    std::str::from_utf8(vkey).map_err(|_| NotAKey::Name)
}

/// As it can be shown.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
