//! Calls that wait for a person: what is asked as the gateway understood it, and the agent's own words apart.

use askama::Template;
use bailiwick_action::Class;
use bailiwick_run::Time;

use super::layout::{Here, Layout, Watch};
use super::said;
use super::text::Text;
use super::words::{Moment, count, for_long, number};
use crate::api::{Approval, ApprovalState, Estimate};
use crate::people::{Person, Role};

/// What waits, and what was decided.
#[derive(Template)]
#[template(path = "approvals.html")]
pub(crate) struct Page {
    layout: Layout,
    did: Option<&'static str>,
    headline: String,
    open: Vec<Ask>,
    decided: Vec<Decided>,
}

struct Ask {
    id: String,
    run: String,
    what: Text,
    target: Text,
    class: &'static str,
    actions: Vec<Text>,
    more_actions: usize,
    estimate: Text,
    task: Text,
    launcher: Text,
    reason: Text,
    allowed: String,
    denied: u64,
    masked: String,
    approvers: Vec<Approver>,
    /// Whoever launched the run may not say yes.
    not_launcher: bool,
    asked: Moment,
    expires: Moment,
    left: String,
    use_within: String,
    record: Text,
    /// Whoever looks may say yes.
    may: bool,
    /// And no.
    may_deny: bool,
    /// Why not.
    may_not: Text,
    /// Whoever looks may see what the agent wrote.
    sees_words: bool,
}

struct Approver {
    name: Text,
    given: Text,
}

struct Decided {
    id: String,
    run: String,
    what: Text,
    target: Text,
    task: Text,
    became: &'static str,
    by: Text,
    answer: Text,
    record: Text,
    decided: Moment,
}

impl Page {
    pub(crate) fn new(
        layout: Layout,
        approvals: &[Approval],
        person: &Person,
        did: Option<&'static str>,
        now: Time,
    ) -> Self {
        let (open, decided): (Vec<&Approval>, Vec<&Approval>) =
            (approvals.iter()).partition(|approval| approval.state == ApprovalState::Open);
        Self {
            layout: Layout {
                here: Here::Approvals,
                watch: Watch::All,
                ..layout
            },
            did,
            headline: match open.len() {
                0 => "Nothing waits for a yes".to_owned(),
                1 => "One call waits for a yes".to_owned(),
                many => format!("{} wait for a yes", count(many as u64, "call")),
            },
            open: open
                .into_iter()
                .map(|approval| Ask::of(approval, person, now))
                .collect(),
            decided: decided
                .into_iter()
                .map(|approval| Decided::of(approval, now))
                .collect(),
        }
    }
}

impl Ask {
    fn of(approval: &Approval, person: &Person, now: Time) -> Self {
        let may = may(approval, person);
        let given = |name: &String| {
            let given = approval.given.iter().find(|given| given.approver == *name);
            Text::line(given.map_or("", |given| given.by.as_str()))
        };
        Self {
            id: approval.id.to_string(),
            run: approval.run.to_string(),
            what: Text::line(&said::actions(Some(&approval.verb), &approval.actions)),
            target: Text::line(&approval.target),
            class: approval.class.as_str(),
            actions: approval
                .actions
                .iter()
                .map(|action| Text::line(action))
                .collect(),
            more_actions: approval.more_actions,
            estimate: match &approval.estimate {
                Estimate::Rows(rows) => Text::line(&format!(
                    "{}, as the target’s planner guesses",
                    count(*rows, "row")
                )),
                Estimate::Unknown(why) => Text::line(&format!("not known: {why}")),
            },
            task: Text::line(&approval.task),
            launcher: Text::line(approval.launcher.as_str()),
            reason: Text::line(approval.reason.as_deref().unwrap_or_default()),
            allowed: number(approval.counts.allowed),
            denied: approval.counts.denied,
            masked: number(approval.counts.masked),
            approvers: (approval.approvers.iter())
                .map(|name| Approver {
                    name: Text::line(name),
                    given: given(name),
                })
                .collect(),
            not_launcher: not_launcher(approval),
            asked: Moment::new(approval.asked, now),
            expires: Moment::new(approval.expires, now),
            left: for_long(now.until(approval.expires)),
            use_within: for_long(approval.use_within),
            record: Text::line(&approval.record),
            may: may.is_ok(),
            may_deny: person.may(Role::Approver) && is_asked(&approval.approvers, person),
            may_not: Text::line(may.err().as_deref().unwrap_or_default()),
            sees_words: person.may(Role::Auditor)
                || (person.may(Role::Approver) && is_asked(&approval.approvers, person)),
        }
    }
}

fn not_launcher(approval: &Approval) -> bool {
    matches!(approval.class, Class::Destroy | Class::Admin)
}

/// Whether it is this person, or a group of theirs, that is asked.
pub(crate) fn is_asked(approvers: &[String], person: &Person) -> bool {
    approvers
        .iter()
        .any(|asked| match asked.strip_prefix("group:") {
            Some(group) => person.groups.contains(group),
            None => asked == person.name.as_str(),
        })
}

/// Whether somebody may answer, as far as a page has to know: who does is checked when they do.
fn may(approval: &Approval, person: &Person) -> Result<(), String> {
    if !person.may(Role::Approver) {
        return Err("The role approver answers this.".to_owned());
    }
    if !is_asked(&approval.approvers, person) {
        return Err(format!(
            "{} answers this, and you are not in it.",
            approval.approvers.join(" and ")
        ));
    }
    if not_launcher(approval) && person.is(&approval.launcher) {
        let why =
            "You launched this run: what destroys or administers is for somebody else to approve.";
        return Err(why.to_owned());
    }
    Ok(())
}

impl Decided {
    fn of(approval: &Approval, now: Time) -> Self {
        Self {
            id: approval.id.to_string(),
            run: approval.run.to_string(),
            what: Text::line(&said::actions(Some(&approval.verb), &approval.actions)),
            target: Text::line(&approval.target),
            task: Text::line(&approval.task),
            became: match approval.state {
                ApprovalState::Open => "waits",
                ApprovalState::Approved => "approved, not made yet",
                ApprovalState::Used => "approved and made",
                ApprovalState::Denied => "denied",
                ApprovalState::Lapsed => "nobody answered in time, or the call was taken back",
            },
            by: Text::line(approval.by.as_ref().map_or("", |by| by.as_str())),
            answer: Text::line(approval.answer.as_deref().unwrap_or_default()),
            record: Text::line(&approval.record),
            decided: Moment::new(approval.decided.unwrap_or(approval.asked), now),
        }
    }
}
