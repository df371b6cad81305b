//! Targets that are reached by HTTP, through the real gateway: a CRM behind it, and in front of it the
//! clients that agents use. What arrived is what the CRM wrote down before it answered; what was done is what
//! the run's trail says.

mod allowed;
mod approvals;
mod attacks;
mod conditions;
mod credentials;
mod denied;
mod heads;
mod kit;
mod liars;
mod proxy;
mod record;
mod stops;
mod streams;
mod uploads;
