//! What the gateway does at a target for itself: it gives a run a login of its own, and takes the logins
//! away of runs that are over. No agent is connected to such a session, and none can be.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_action::{Action, Kind, Verb};
use bailiwick_run::{RunId, Time};

use crate::Session;

/// How a protocol gives each run a login of its own.
pub struct PerRun {
    /// A session that does this errand, says what came of it with [`crate::Step::Did`], and is
    /// [`crate::Step::Ready`]. It starts at [`Session::connected`].
    pub errand: fn(errand: Errand) -> Box<dyn Session>,
    /// What of a task the target's own privileges cannot hold a run to, in words. A run of such a task
    /// gets no login.
    pub beyond: fn(grants: &[Granted]) -> Vec<String>,
}

/// What is to be done at a target.
pub enum Errand {
    /// Make a run's login.
    Provide(Login),
    /// Drop the logins of runs that are over.
    Sweep(Sweep),
    /// Say what stands in the way of the logins of a task's runs. Changes nothing.
    Inspect {
        /// The gateway's name, as in [`Login::gateway`].
        gateway: String,
        /// What runs of the task may do.
        fence: Arc<dyn Fence>,
    },
}

/// A login that one run is to have.
pub struct Login {
    /// The run.
    pub run: RunId,
    /// The gateway's own name, by which it knows its logins again.
    pub gateway: String,
    /// When the run ends, and the login with it.
    pub expires: Time,
    /// How many sessions it may have at once.
    pub sessions: u32,
    /// Its password. The target is told no more than what checks it.
    pub password: String,
    /// The salt of what checks it.
    pub salt: [u8; 16],
    /// What the run may do.
    pub fence: Arc<dyn Fence>,
}

/// Which logins are to go.
pub struct Sweep {
    /// The gateway's own name: the logins of others are left alone until long after their end.
    pub gateway: String,
    /// Whether a run is live. Asked after the target has said which logins there are, so that none is
    /// missed that was made meanwhile.
    pub live: Arc<dyn Fn(&RunId) -> bool + Send + Sync>,
    /// Whether a role that holds what a task's runs may do stays though no run has it now.
    pub keep: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// What came of an [`Errand`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// The login is there.
    Provided {
        /// Its user.
        user: String,
        /// What holds what it may do. Two logins of the same see the same of the target.
        template: String,
    },
    /// They are gone, or not.
    Swept {
        /// How many logins went.
        dropped: u64,
        /// Why others did not, a line each.
        failed: Vec<String>,
    },
    /// What there is to know of a task's logins.
    Inspected(Inspection),
}

/// What there is to know of the logins of a task's runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What would hold what they may do.
    pub template: String,
    /// Why they cannot be made, a line each, with what to do about it.
    pub missing: Vec<String>,
    /// What any login may do at this target, whatever its task, a line each.
    pub unfenced: Vec<String>,
    /// What is not wrong but not wise either, a line each.
    pub advice: Vec<String>,
}

/// What a run may do at a target, for the target's own privileges. The gateway's, made from the run's
/// scope.
pub trait Fence: Send + Sync {
    /// The task's name.
    fn task(&self) -> &str;

    /// What the task grants: whatever the scope allows is among it.
    fn grants(&self) -> Vec<Granted>;

    /// Whether the scope allows an action.
    fn allows(&self, action: &Action) -> bool;
}

/// One verb on one entry of a grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Granted {
    /// What it allows.
    pub verb: Verb,
    /// The class that it allows a function in.
    pub class: bailiwick_action::Class,
    /// On what sort of thing.
    pub kind: Kind,
    /// In which schema; nothing for kinds without one.
    pub schema: Option<String>,
    /// The one name; nothing for everything in the schema.
    pub name: Option<String>,
    /// The only columns, if there is a list.
    pub columns: Option<BTreeSet<String>>,
}
