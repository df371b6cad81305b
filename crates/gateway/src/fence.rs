//! What a run may do at a target, as its scope says, for the target's own privileges.

use std::sync::Arc;

use bailiwick_action::Action;
use bailiwick_policy::Scope;
use bailiwick_wire::Granted;

/// What `wire` asks while it works out a run's privileges.
pub(crate) struct Fence {
    target: String,
    scope: Arc<Scope>,
}

impl Fence {
    /// For a run of this scope.
    pub(crate) fn new(target: &str, scope: Arc<Scope>) -> Self {
        Self {
            target: target.to_owned(),
            scope,
        }
    }
}

impl bailiwick_wire::Fence for Fence {
    fn task(&self) -> &str {
        &self.scope.task().name
    }

    fn grants(&self) -> Vec<Granted> {
        granted(self.scope.task(), &self.target)
    }

    fn allows(&self, action: &Action) -> bool {
        self.scope.allows(&self.target, action)
    }
}

/// What a task grants on a target.
pub(crate) fn granted(task: &bailiwick_policy::Task, target: &str) -> Vec<Granted> {
    let granted = task.granted(target).map(|granted| Granted {
        verb: granted.verb,
        class: granted.class,
        kind: granted.pattern.kind,
        schema: granted.pattern.schema.clone(),
        name: granted.pattern.name.clone(),
        columns: granted.columns.cloned(),
    });
    granted.collect()
}
