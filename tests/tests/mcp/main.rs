//! Targets that speak MCP, through the real gateway: a helpdesk by each official SDK behind it, over HTTP and as a
//! command, and in front of it the official SDKs' clients in every revision. What arrived is what the helpdesk wrote
//! down before it answered; what was done is what the run's trail says.

mod above;
mod approvals;
mod confined;
mod everywhere;
mod kit;
mod odd;
mod pins;
mod raw;
mod runs;
mod stops;
mod taken_back;
mod tricks;
