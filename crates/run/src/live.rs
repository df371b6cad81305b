use serde::Serialize;

use crate::{Launcher, RunId, TimeBox};

/// How the agent's process is kept away from the record, the keys and the controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confinement {
    /// By Landlock: files and signals.
    Landlock,
    /// By Landlock, and it may open TCP connections to the gateway alone.
    GatewayOnly,
    /// Not at all, because the launcher asked for that.
    Unconfined,
    /// Not by us: the run was opened by hand, for a process started elsewhere.
    Elsewhere,
}

impl Confinement {
    /// The kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Confinement::Landlock => "landlock",
            Confinement::GatewayOnly => "gateway-only",
            Confinement::Unconfined => "unconfined",
            Confinement::Elsewhere => "elsewhere",
        }
    }
}

/// One execution of one agent, bound to who launched it, to one task and to a time box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Who started it.
    pub launcher: Launcher,
    /// The task's name.
    pub task: String,
    /// When it may act.
    pub time_box: TimeBox,
    /// How its process is confined.
    pub confinement: Confinement,
    /// What the launcher said it is for, if anything. At most 1,024 bytes.
    pub reason: Option<String>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Its process ended, or its launcher closed it.
    Closed,
    /// Its time box ended.
    Expired,
    /// The gateway stopped, and no run outlives its gateway.
    GatewayStopped,
    /// Somebody revoked it.
    Revoked,
}

impl Ending {
    /// The kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Ending::Closed => "closed",
            Ending::Expired => "expired",
            Ending::GatewayStopped => "gateway-stopped",
            Ending::Revoked => "revoked",
        }
    }
}

/// Why what a run has open is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It has ended, for ever.
    Ended(Ending),
    /// It may not act until somebody resumes it.
    Suspended,
}
