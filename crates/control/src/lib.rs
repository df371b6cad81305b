//! Who is running, and how people look at it: the [`Registry`] opens and ends runs, the [`Server`]
//! gives it an API on a Unix socket and over TCP, and the [`Client`](client::Client) is how local
//! commands use that.
//!
//! Every request is somebody's. On the socket that is the local user whom its peer credentials prove, as
//! `human:NAME@localhost`, and the request carries the token of `data/control.token`: a confined agent,
//! though the same user, cannot read that file and so has no say here. Over TCP it is a program with a
//! token of its own, or a person who has signed in. What they may do is for their [`Role`]s to say.

pub mod api;
mod approvals;
pub mod client;
mod clock;
mod console;
mod folder;
mod index;
mod limits;
mod live;
mod metrics;
mod names;
mod notice;
mod peer;
mod people;
mod registry;
mod server;
mod signals;
mod socket;
mod store;
#[cfg(test)]
mod testing;
mod token;
mod trail;
mod view;
mod witness;

pub use approvals::{ApprovalSettings, AskError, Asked, NotTheirs, RuleError};
pub use folder::Folder;
pub use index::{NotAQuery, ReindexError, SearchError, Words, reindex};
pub use live::{Live, Suspended};
pub use notice::{NoticeSettings, Sink, Syslog, Way};
pub use people::{
    Fetch, FetchError, Fetched, Named, NoPlace, NoRole, NotNamed, OidcSettings, Pattern,
    PeopleSettings, Person, Place, ProgramToken, Role, Roles, UnfitToken, Via,
};
pub use registry::{
    AgentKit, AgentUrl, AttachError, Attachment, EndError, EraseError, Kit, LoadPolicy,
    LookupError, OpenRunError, Opened, Opening, PruneRunsError, Registry, ReloadError, Settings,
    StartError, SuspendError, WordsError,
};
pub use server::{BindError, Check, Monitoring, Server, ServerSettings, openapi};
pub use signals::{Canary, Does, Glob, Rule, SignalSettings, When};
pub use socket::Shared;
pub use store::StoreError;
pub use view::{Chain, Change, Changes, ViewError};
pub use witness::WitnessServer;
