//! What the configuration looks for in the record.

use std::time::Duration;

use bailiwick_action::WRITTEN_BACK;
use bailiwick_audit::Record;

/// A rule: what it looks for, where, and what is done about it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name: lower-case letters, digits and `-`. No two have the same.
    pub name: String,
    /// What it looks for.
    pub when: When,
    /// The how-manieth in a run raises it, from 1.
    pub after: u32,
    /// Only so many within this time.
    pub within: Option<Duration>,
    /// Of runs of these tasks; of any if there is none.
    pub tasks: Vec<Glob>,
    /// Of these launchers; of any if there is none.
    pub launchers: Vec<Glob>,
    /// At these targets; at any if there is none.
    pub targets: Vec<Glob>,
    /// What is done.
    pub does: Does,
}

/// What a rule looks for.
#[derive(Clone, Debug)]
pub enum When {
    /// A call that was denied.
    Denied,
    /// A call, whatever was decided, on something that nobody's task needs.
    Canary(Vec<Canary>),
    /// A call that would have written a masked value's placeholder to the target.
    MaskedBack,
    /// A login, or an opening of a run, that was refused.
    LoginDenied,
    /// A call that waits for an approval.
    Held,
    /// The record, or the index of it, cannot be kept up.
    Log,
    /// A witness has signed another history, or too few have signed this one for long.
    Witness,
}

impl When {
    /// Its name in the configuration and in records.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Canary(_) => "canary",
            Self::MaskedBack => "masked-back",
            Self::LoginDenied => "login-denied",
            Self::Held => "held",
            Self::Log => "log",
            Self::Witness => "witness",
        }
    }

    /// The name as records have it, of what was stored.
    pub(crate) fn named(name: &str) -> &'static str {
        let mut names = Self::NAMES.into_iter();
        names.find(|known| *known == name).unwrap_or("other")
    }

    /// All names.
    pub const NAMES: [&'static str; 7] = [
        "denied",
        "canary",
        "masked-back",
        "login-denied",
        "held",
        "log",
        "witness",
    ];

    /// What happened, in words that no agent has a say in.
    pub(crate) fn words(&self, times: u32) -> String {
        let (one, more) = match self {
            Self::Denied => ("a call was denied", "calls were denied"),
            Self::Canary(_) => (
                "a call was made on what no task needs",
                "calls were made on what no task needs",
            ),
            Self::MaskedBack => (
                "a masked value was sent back to its target",
                "masked values were sent back to their target",
            ),
            Self::LoginDenied => ("a login was refused", "logins were refused"),
            Self::Held => ("a call waits for an approval", "calls wait for an approval"),
            Self::Log => ("the record is in trouble", "troubles with the record"),
            Self::Witness => (
                "the record's witnesses are in trouble",
                "troubles with the record's witnesses",
            ),
        };
        match times {
            1 => one.to_owned(),
            times => format!("{times} {more}"),
        }
    }
}

/// Something that nobody's task needs.
#[derive(Clone, Debug)]
pub struct Canary {
    /// The target's name.
    pub target: String,
    /// What it is there, as records name it: `public.salaries`, `GET /admin/*`, `tool delete_*`.
    pub resource: Glob,
}

/// What a rule does. To notify is the least; to revoke is to suspend for ever.
#[derive(Clone, Debug, Default)]
pub struct Does {
    /// The sinks that are told.
    pub notify: Vec<String>,
    /// Whether the run is suspended.
    pub suspend: bool,
    /// Whether the run is revoked.
    pub revoke: bool,
}

impl Does {
    /// The names of what it does, sorted, as records have them.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let all = [
            ("notify", !self.notify.is_empty()),
            ("revoke", self.revoke),
            ("suspend", self.suspend),
        ];
        let done = all.into_iter().filter(|(_, does)| *does);
        done.map(|(name, _)| name).collect()
    }
}

/// A text in which `*` stands for any characters, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// From how it is written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// How it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one name and no other.
    pub fn is_literal(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether it is the whole of this text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.goes(text, false)
    }

    /// The same for a text whose end is not known: whether it may be.
    fn may_match(&self, beginning: &str) -> bool {
        self.goes(beginning, true)
    }

    fn goes(&self, text: &str, open: bool) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where the last `*` stands, and the end of what it stands for so far.
        let mut star: Option<(usize, usize)> = None;
        while let Some(byte) = text.get(t) {
            match (pattern.get(p), star) {
                (Some(b'*'), _) => {
                    star = Some((p, t));
                    p += 1;
                }
                (Some(wanted), _) if wanted == byte => {
                    p += 1;
                    t += 1;
                }
                (_, Some((at, end))) => {
                    star = Some((at, end + 1));
                    (p, t) = (at + 1, end + 1);
                }
                (_, None) => return false,
            }
        }
        let rest = pattern.get(p..).unwrap_or_default();
        open || rest.iter().all(|byte| *byte == b'*')
    }
}

impl Rule {
    /// Whether this record is one that it looks for.
    pub(crate) fn is_about(&self, record: &Record) -> bool {
        let within = |patterns: &[Glob], text: Option<&String>| {
            patterns.is_empty()
                || text.is_some_and(|text| patterns.iter().any(|pattern| pattern.matches(text)))
        };
        let found = match (&self.when, &*record.r#type) {
            (When::Denied, "call.decided") => is_denied(record),
            (When::MaskedBack, "call.decided") => {
                let decision = record.decision.as_ref();
                let reason = decision.and_then(|decision| decision.reason.as_deref());
                is_denied(record) && reason.is_some_and(|reason| reason.contains(WRITTEN_BACK))
            }
            (When::Canary(canaries), "call.decided" | "call.held") => touches(record, canaries),
            (When::LoginDenied, "login.denied")
            | (When::Held, "call.held")
            | (When::Witness, "witness.disagreed") => true,
            _ => false,
        };
        found
            && within(&self.tasks, record.task.as_ref())
            && within(&self.launchers, record.launcher.as_ref())
            && within(&self.targets, record.target.as_ref())
    }
}

fn is_denied(record: &Record) -> bool {
    let decision = record.decision.as_ref();
    decision.is_some_and(|decision| decision.effect == "deny")
}

/// Whether a call is on one of these. Where the record leaves out a part of what the call is on, and so might
/// hide it, it counts: an agent decides how much a call is on.
fn touches(record: &Record, canaries: &[Canary]) -> bool {
    let (Some(call), Some(target)) = (&record.call, &record.target) else {
        return false;
    };
    let mut here = canaries.iter().filter(|canary| canary.target == *target);
    here.any(|canary| {
        call.more_actions > 0
            || call.actions.iter().any(|action| {
                let resource = action.resource.to_string();
                match resource.strip_suffix(CUT) {
                    Some(beginning) => canary.resource.may_match(beginning),
                    None => canary.resource.matches(&resource),
                }
            })
    })
}

/// The end of a name that is too long for the record.
const CUT: char = '…';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, is) in [
            ("triage-*", "triage-tickets", true),
            ("triage-*", "triage-", true),
            ("triage-*", "triage", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("GET /admin/*", "GET /admin/users/7", true),
            ("GET /admin/*", "POST /admin/users/7", false),
            ("* /admin/*", "DELETE /admin/", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("*ab", "aab", true),
            ("public.salaries", "public.salaries2", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), is, "{pattern} {text}");
        }
        let pattern = Glob::new("GET /admin/*/secret");
        assert!(pattern.may_match("GET /admin/us"));
        assert!(pattern.may_match("GET /ad"));
        assert!(!pattern.may_match("GET /b"));
    }

    fn record(json: serde_json::Value) -> Record {
        let mut record = serde_json::json!({
            "v": 1, "type": "call.decided", "time": "2026-01-01T00:00:00.000Z", "run": "gateway", "seq": 1,
            "prev": "", "task": "triage-tickets", "launcher": "human:alice@acme.com", "target": "tickets",
        });
        for (key, value) in json.as_object().unwrap() {
            record[key] = value.clone();
        }
        serde_json::from_value(record).unwrap()
    }

    fn call(resources: &[(&str, &str, &str)], more: u64) -> serde_json::Value {
        let actions: Vec<_> = resources
            .iter()
            .map(|(kind, schema, name)| {
                serde_json::json!({"class": "read", "verb": "select",
                    "resource": {"kind": kind, "schema": schema, "name": name}})
            })
            .collect();
        serde_json::json!({"protocol": "postgres", "verb": "SELECT", "actions": actions,
            "more_actions": more, "fingerprint": "x"})
    }

    fn rule(when: When) -> Rule {
        Rule {
            name: "r".into(),
            when,
            after: 1,
            within: None,
            tasks: Vec::new(),
            launchers: Vec::new(),
            targets: Vec::new(),
            does: Does::default(),
        }
    }

    #[test]
    fn a_rule_is_about_what_it_names_and_no_more() {
        let decided = |effect: &str, reason: &str| {
            record(serde_json::json!({"call": call(&[], 0),
                "decision": {"effect": effect, "policies": [], "policy_digest": "", "reason": reason}}))
        };
        let denied = decided("deny", "select on x is outside the scope");
        let back = decided("deny", &format!("not understood: {WRITTEN_BACK}"));
        assert!(rule(When::Denied).is_about(&denied));
        assert!(!rule(When::Denied).is_about(&decided("allow", "")));
        assert!(rule(When::MaskedBack).is_about(&back));
        assert!(!rule(When::MaskedBack).is_about(&denied));
        assert!(!rule(When::LoginDenied).is_about(&denied));
        let mut limited = rule(When::Denied);
        limited.tasks = vec![Glob::new("triage-*")];
        limited.launchers = vec![Glob::new("human:*@acme.com")];
        limited.targets = vec![Glob::new("crm"), Glob::new("tickets")];
        assert!(limited.is_about(&denied));
        limited.tasks = vec![Glob::new("other")];
        assert!(!limited.is_about(&denied));
        // What a rule has recorded itself raises none.
        let own = record(serde_json::json!({"type": "signal.raised"}));
        for when in [When::Denied, When::LoginDenied, When::Held, When::Witness] {
            assert!(!rule(when).is_about(&own));
        }
    }

    #[test]
    fn a_canary_cannot_be_hidden_among_others() {
        let canary = |resource: &str| {
            rule(When::Canary(vec![Canary {
                target: "tickets".into(),
                resource: Glob::new(resource),
            }]))
        };
        let salaries = canary("public.salaries");
        let on = |resources, more| record(serde_json::json!({"call": call(resources, more)}));
        let both = [
            ("table", "public", "tickets"),
            ("table", "public", "salaries"),
        ];
        assert!(salaries.is_about(&on(&both, 0)));
        assert!(!salaries.is_about(&on(&both[..1], 0)));
        assert!(
            salaries.is_about(&on(&both[..1], 3)),
            "left out of the record"
        );
        assert!(canary("tool delete_*").is_about(&on(&[("tool", "", "delete_user")], 0)));
        let long = format!("GET /admin/{}…", "x".repeat(99));
        let long = [("request", "", &*long)];
        assert!(canary("GET /admin/*/end").is_about(&on(&long, 0)));
        let mut elsewhere = on(&both, 0);
        elsewhere.target = Some("crm".into());
        assert!(!salaries.is_about(&elsewhere));
    }
}
