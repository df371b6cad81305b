use serde::Serialize;

/// What was decided about a call, as data for the record. It opens nothing by itself: the proof that
/// a call is allowed is `policy`'s `Allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The scope covers every action of the call.
    Allow {
        /// The policies that allowed it, sorted.
        policies: Vec<String>,
        /// The id of the approval that was used up for it, where a grant wants one.
        approval: Option<String>,
    },
    /// Something in the call is outside the scope, or it was not understood.
    Deny(Denial),
}

impl Decision {
    /// `allow` or `deny`.
    pub fn effect(&self) -> &'static str {
        match self {
            Decision::Allow { .. } => "allow",
            Decision::Deny(_) => "deny",
        }
    }

    /// The policies that decided it; empty where nothing allowed the call.
    pub fn policies(&self) -> &[String] {
        match self {
            Decision::Allow { policies, .. } | Decision::Deny(Denial { policies, .. }) => policies,
        }
    }
}

/// Why a call was denied, for the agent, the record and the person who looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// The policies that forbade it; empty for a default deny.
    pub policies: Vec<String>,
    /// What was outside the scope, naming verb and resource: `select on billing.cards is outside
    /// the scope of task triage-tickets`. No literal of the agent's statement.
    pub reason: String,
    /// What to ask for: `ask for [[read]] target = "tickets", tables = ["billing.cards"]`.
    pub remedy: String,
}
