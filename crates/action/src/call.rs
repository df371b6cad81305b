use crate::{Action, Class, Verb};

/// What the refusal of a call says that holds a masked value's placeholder, and would write that to its target.
pub const WRITTEN_BACK: &str = "it would write a masked placeholder back to the target";

/// One command as the agent sent it, and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The protocol's name, such as `postgres`.
    pub protocol: &'static str,
    /// What the protocol itself calls the command: `SELECT`, `UPDATE`, `PREPARE SELECT`. At most 64
    /// bytes; never text of the agent's choosing.
    pub verb: String,
    /// What it does; all of it must be allowed. Empty where the call was not understood, and then
    /// [`Call::refusal`] says why.
    pub actions: Vec<Action>,
    /// Why the call cannot be allowed whatever the scope: not parseable, too large, not known.
    pub refusal: Option<String>,
    /// What the agent wrote, for the payload store.
    pub payload: Payload,
}

impl Call {
    /// The heaviest class of its actions. A call that was not understood counts as admin.
    pub fn class(&self) -> Class {
        if self.refusal.is_some() {
            return Class::Admin;
        }
        self.actions
            .iter()
            .map(|action| action.class)
            .max()
            .unwrap_or(Class::Admin)
    }

    /// Whether it looks at data and does nothing besides. Housekeeping is more than that: a `COMMIT`
    /// makes lasting what was written before it. So is a function that needs a grant, and a tool: what it
    /// says of itself does not bind what it calls. A request looks only if its method is safe (RFC 9110,
    /// section 9.2.1): that a task calls another one a read binds the target no more.
    pub fn only_reads(&self) -> bool {
        let looks = |action: &Action| match action.verb {
            Verb::Select | Verb::Get => true,
            Verb::Request => {
                let method = action.resource.method_and_path().map(|(method, _)| method);
                matches!(method, Some("GET" | "HEAD" | "OPTIONS"))
            }
            _ => false,
        };
        let mut actions = self.actions.iter();
        self.class() == Class::Read
            && actions.all(|action| action.class == Class::Read && looks(action))
    }
}

/// What the agent wrote. Kept encrypted and apart from the record, because it may hold personal data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The statement or request, as text.
    pub text: String,
    /// The values bound to its placeholders, as text where they are text, else as hexadecimal.
    pub values: Vec<Option<String>>,
}

/// A call that `wire` has understood and holds back until it is answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is.
    pub call: Call,
    /// The bytes for the target, should the call be permitted.
    pub bytes: Vec<u8>,
    /// What else decides what it does, beside the call: how its values are to be read, for one. An approval
    /// is for exactly this.
    pub sense: Vec<u8>,
    /// What may be done with it while people are asked about it.
    pub stage: Stage,
}

/// What may be done with a call while people are asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It runs nothing: what it prepares is a call of its own when it is to run.
    Prepares,
    /// It can wait: it keeps nothing up at its target, and nothing before it is undone if it fails.
    Waits,
    /// It cannot wait where it stands, and is to be sent again once people have said yes.
    Retries,
    /// Nobody can say yes to it, because it is not all there; why, in words.
    Unfinished(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resource;

    #[test]
    fn what_also_commits_does_more_than_read() {
        let action = |class| Action {
            class,
            verb: Verb::Select,
            ..Action::session()
        };
        let call = |classes: &[Class], refusal: Option<&str>| Call {
            protocol: "postgres",
            verb: "SELECT".to_owned(),
            actions: classes.iter().map(|class| action(*class)).collect(),
            refusal: refusal.map(str::to_owned),
            payload: Payload::default(),
        };
        assert!(call(&[Class::Read, Class::Read], None).only_reads());
        for more in [
            &[Class::Read, Class::Session][..],
            &[Class::Read, Class::Write],
            &[Class::Session],
            &[],
        ] {
            assert!(!call(more, None).only_reads(), "{more:?}");
        }
        assert!(!call(&[Class::Read], Some("not understood")).only_reads());
        let mut calls_a_function = call(&[Class::Read, Class::Read], None);
        calls_a_function.actions[1].verb = Verb::Execute;
        assert!(!calls_a_function.only_reads());
        for (method, looks) in [
            ("GET", true),
            ("HEAD", true),
            ("POST", false),
            ("DELETE", false),
        ] {
            let mut request = call(&[Class::Read], None);
            request.actions[0] = Action::of_class(
                Class::Read,
                Verb::Request,
                Resource::request(method, "/search"),
            );
            assert_eq!(request.only_reads(), looks, "{method}");
        }
    }
}
