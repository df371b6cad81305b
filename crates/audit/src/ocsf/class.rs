//! What sort of event it is: OCSF's classes, activities and other enumerations, as far as records
//! need them.

use serde::Serialize;

use super::objects::{
    Actor, AiAgent, Api, Authorization, Database, Endpoint, FindingInfo, Product, QueryInfo,
    ResourceDetails, Role, Service, Session, Table, User,
};

/// The attributes that an event has because of its class.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Body<'e> {
    Api(Box<ApiActivity<'e>>),
    Authentication(Authentication<'e>),
    AuthorizeSession(AuthorizeSession<'e>),
    /// Base Event: for what has no class.
    Base {},
    Datastore(Box<Datastore<'e>>),
    EventLog(EventLog<'e>),
    Finding(Finding),
    Lifecycle(Lifecycle<'e>),
}

impl Body<'_> {
    pub(super) fn class(&self) -> Class {
        let system = (1, "System Activity");
        let iam = (3, "Identity & Access Management");
        let application = (6, "Application Activity");
        let (class, (category_uid, category_name)) = match self {
            Self::Api(_) => ((6003, "API Activity"), application),
            Self::Authentication(_) => ((3002, "Authentication"), iam),
            Self::AuthorizeSession(_) => ((3003, "Authorize Session"), iam),
            Self::Base {} => ((0, "Base Event"), (0, "Uncategorized")),
            Self::Datastore(_) => ((6005, "Datastore Activity"), application),
            Self::EventLog(_) => ((1008, "Event Log Activity"), system),
            Self::Finding(_) => ((2004, "Detection Finding"), (2, "Findings")),
            Self::Lifecycle(_) => ((6002, "Application Lifecycle"), application),
        };
        Class {
            category_name,
            category_uid,
            class_name: class.1,
            class_uid: class.0,
        }
    }

    /// Whether it uses the profile `ai_operation`.
    pub(super) fn has_agent(&self) -> bool {
        match self {
            Self::Authentication(body) => body.ai_agent.is_some(),
            Self::Api(_) | Self::AuthorizeSession(_) | Self::Datastore(_) => true,
            Self::Base {} | Self::EventLog(_) | Self::Finding(_) | Self::Lifecycle(_) => false,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Class {
    category_name: &'static str,
    category_uid: u32,
    class_name: &'static str,
    class_uid: u32,
}

impl Class {
    pub(super) fn type_uid(&self, activity: Activity<'_>) -> u32 {
        self.class_uid * 100 + activity.activity_id
    }
}

/// API Activity (6003)
#[derive(Debug, Serialize)]
pub(super) struct ApiActivity<'e> {
    pub(super) actor: Actor<'e>,
    pub(super) ai_agent: AiAgent<'e>,
    pub(super) api: Api<'e>,
    pub(super) dst_endpoint: Endpoint<'e>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) resources: Vec<ResourceDetails<'e>>,
    pub(super) src_endpoint: Endpoint<'e>,
}

/// Authentication (3002)
#[derive(Debug, Serialize)]
pub(super) struct Authentication<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<Actor<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ai_agent: Option<AiAgent<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dst_endpoint: Option<Endpoint<'e>>,
    pub(super) service: Service<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<Session<'e>>,
    pub(super) user: User<'e>,
}

/// Authorize Session (3003)
#[derive(Debug, Serialize)]
pub(super) struct AuthorizeSession<'e> {
    pub(super) actor: Actor<'e>,
    pub(super) ai_agent: AiAgent<'e>,
    pub(super) iam_roles: [Role<'e>; 1],
    pub(super) session: Session<'e>,
    pub(super) user: User<'e>,
}

/// Datastore Activity (6005)
#[derive(Debug, Serialize)]
pub(super) struct Datastore<'e> {
    pub(super) actor: Actor<'e>,
    pub(super) ai_agent: AiAgent<'e>,
    pub(super) database: Database<'e>,
    pub(super) dst_endpoint: Endpoint<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) query_info: Option<QueryInfo<'e>>,
    pub(super) src_endpoint: Endpoint<'e>,
    /// The only table of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) table: Option<Table<'e>>,
}

/// Event Log Activity (1008)
#[derive(Debug, Serialize)]
pub(super) struct EventLog<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<Actor<'e>>,
    pub(super) log_name: &'e str,
}

/// Detection Finding (2004)
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) finding_info: FindingInfo,
    pub(super) is_alert: bool,
}

/// Application Lifecycle (6002)
#[derive(Debug, Serialize)]
pub(super) struct Lifecycle<'e> {
    pub(super) app: Product<'e>,
}

/// What was done. Ids are those of the event's class, except [`Activity::UNKNOWN`] and
/// [`Activity::other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Activity<'e> {
    activity_id: u32,
    activity_name: &'e str,
}

impl<'e> Activity<'e> {
    pub(super) const UNKNOWN: Activity<'static> = Activity::new(0, "Unknown");

    // API Activity
    pub(super) const CALL_READ: Activity<'static> = Activity::new(2, "Read");
    pub(super) const CALL_UPDATE: Activity<'static> = Activity::new(3, "Update");
    pub(super) const CALL_DELETE: Activity<'static> = Activity::new(4, "Delete");

    // Authentication
    pub(super) const LOGON: Activity<'static> = Activity::new(1, "Logon");
    pub(super) const LOGOFF: Activity<'static> = Activity::new(2, "Logoff");

    // Authorize Session
    pub(super) const ASSIGN_ROLES: Activity<'static> = Activity::new(3, "Assign Roles");

    // Application Lifecycle
    pub(super) const START: Activity<'static> = Activity::new(3, "Start");
    pub(super) const STOP: Activity<'static> = Activity::new(4, "Stop");
    pub(super) const UPDATE_APP: Activity<'static> = Activity::new(8, "Update");

    // Detection Finding
    pub(super) const CREATE_FINDING: Activity<'static> = Activity::new(1, "Create");

    // Event Log Activity
    pub(super) const DELETE_LOG: Activity<'static> = Activity::new(2, "Delete");
    pub(super) const ROTATE_LOG: Activity<'static> = Activity::new(5, "Rotate");
    pub(super) const START_LOG: Activity<'static> = Activity::new(6, "Start");

    // Datastore Activity
    pub(super) const READ: Activity<'static> = Activity::new(1, "Read");
    pub(super) const UPDATE: Activity<'static> = Activity::new(2, "Update");
    pub(super) const WRITE: Activity<'static> = Activity::new(5, "Write");
    pub(super) const CREATE: Activity<'static> = Activity::new(6, "Create");
    pub(super) const DELETE: Activity<'static> = Activity::new(7, "Delete");

    /// One that OCSF has no id for.
    pub(super) const fn other(name: &'e str) -> Self {
        Self::new(99, name)
    }

    const fn new(activity_id: u32, activity_name: &'e str) -> Self {
        Self {
            activity_id,
            activity_name,
        }
    }
}

/// How much somebody has to care.
#[derive(Debug, Serialize)]
pub(super) struct Severity {
    severity: &'static str,
    severity_id: u8,
}

impl Severity {
    pub(super) const UNKNOWN: Self = Self::new(0, "Unknown");
    pub(super) const INFORMATIONAL: Self = Self::new(1, "Informational");
    pub(super) const LOW: Self = Self::new(2, "Low");
    pub(super) const MEDIUM: Self = Self::new(3, "Medium");
    pub(super) const HIGH: Self = Self::new(4, "High");
    pub(super) const CRITICAL: Self = Self::new(5, "Critical");

    const fn new(severity_id: u8, severity: &'static str) -> Self {
        Self {
            severity,
            severity_id,
        }
    }
}

/// How it ended.
#[derive(Debug, Serialize)]
pub(super) struct Status<'e> {
    status: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<&'e str>,
    status_id: u8,
}

impl<'e> Status<'e> {
    pub(super) const UNKNOWN: Status<'static> = Status::new(0, "Unknown");
    pub(super) const SUCCESS: Status<'static> = Status::new(1, "Success");
    pub(super) const FAILURE: Status<'static> = Status::new(2, "Failure");
    /// Of a finding that nobody has looked at.
    pub(super) const NEW: Status<'static> = Status::new(1, "New");

    /// One that OCSF has no id for.
    pub(super) const fn other(status: &'e str) -> Self {
        Self::new(99, status)
    }

    /// The same, with the target's own code.
    pub(super) fn code(mut self, code: Option<&'e str>) -> Self {
        self.status_code = code;
        self
    }

    /// The same, and why, if anybody says.
    pub(super) fn detail(mut self, detail: impl Into<Option<&'e str>>) -> Self {
        self.status_detail = detail.into();
        self
    }

    const fn new(status_id: u8, status: &'e str) -> Self {
        Self {
            status,
            status_code: None,
            status_detail: None,
            status_id,
        }
    }
}

/// What the profile `security_control` adds: what the gateway did about it.
#[derive(Debug, Serialize)]
pub(super) struct Control<'e> {
    action: &'static str,
    action_id: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorizations: Vec<Authorization<'e>>,
    disposition: &'static str,
    disposition_id: u8,
    is_alert: bool,
}

impl<'e> Control<'e> {
    pub(super) fn allowed(authorizations: Vec<Authorization<'e>>) -> Self {
        Self {
            action: "Allowed",
            action_id: 1,
            authorizations,
            disposition: "Allowed",
            disposition_id: 1,
            is_alert: false,
        }
    }

    pub(super) fn denied(authorizations: Vec<Authorization<'e>>) -> Self {
        Self {
            action: "Denied",
            action_id: 2,
            authorizations,
            disposition: "Blocked",
            disposition_id: 2,
            is_alert: true,
        }
    }
}
