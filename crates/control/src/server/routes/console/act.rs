//! What people do from pages. Every one of these carries its session's token, which the guard has checked.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use bailiwick_run::{ApprovalId, Ending};
use serde::Deserialize;

use super::look::entry;
use super::{View, filled};
use crate::api::RunState;
use crate::console::layout::page;
use crate::console::notice::{Act, Confirm};
use crate::console::record::{Payload, PayloadFragment, PayloadPage};
use crate::people::Role;
use crate::registry::EndError;
use crate::server::problem::Refusal;
use crate::server::routes::id_of;
use crate::server::routes::run_id;
use crate::server::routes::view::take;

type Page = Result<Response, Refusal>;

/// By which a script says that it wants a part of a page.
const FRAGMENT: &str = "x-fragment";

fn act_of(text: &str) -> Result<Act, Refusal> {
    Act::read(text).ok_or_else(|| {
        Refusal::not_found(
            "a run can be suspended, resumed and revoked, and nothing else".to_owned(),
        )
    })
}

/// Asks once more, unless there is nothing to be done.
pub(super) async fn confirm(view: View, Path((run, act)): Path<(String, String)>) -> Page {
    let (run, act) = (run_id(&run)?, act_of(&act)?);
    view.who.must(Role::Operator)?;
    let summary = view.app.registry.summary(&run).await?;
    let summary = summary.ok_or(EndError::NoRun(run))?;
    let is_done = match act {
        Act::Suspend => summary.state != RunState::Open,
        Act::Resume => summary.state != RunState::Suspended,
        Act::Revoke => matches!(summary.state, RunState::Ended | RunState::Ending),
    };
    if is_done {
        return Ok(Redirect::to(&format!("/runs/{run}")).into_response());
    }
    Ok(page(
        StatusCode::OK,
        &Confirm::new(view.layout(), &summary, act),
    ))
}

pub(super) async fn run(view: View, Path((run, act)): Path<(String, String)>) -> Page {
    let (run, act) = (run_id(&run)?, act_of(&act)?);
    view.who.must(Role::Operator)?;
    let (registry, by) = (&view.app.registry, view.who.name.as_str().to_owned());
    match act {
        Act::Suspend => drop(registry.suspend(&run, by).await?),
        Act::Resume => drop(registry.resume(&run, &view.who).await?),
        Act::Revoke => drop(registry.end_by(&run, Ending::Revoked, Some(by)).await?),
    }
    Ok(Redirect::to(&format!("/runs/{run}?did={}", act.as_str())).into_response())
}

/// Has a run's trail checked. What was found is on record by then, and the run's page says it.
pub(super) async fn verify(view: View, Path(run): Path<String>) -> Page {
    let run = run_id(&run)?;
    view.who.must(Role::Auditor)?;
    let found = view.app.registry.verify(run, &view.who).await?;
    let did = match found.problem {
        None => "verify",
        Some(_) => "",
    };
    Ok(Redirect::to(&format!("/runs/{run}?did={did}#proof")).into_response())
}

/// Gives a record with its proof. That they took it is on record by then.
pub(super) async fn receipt(view: View, Path((chain, seq)): Path<(String, u64)>) -> Page {
    view.who.must(Role::Auditor)?;
    let (chain, entry) = entry(&view, &chain, seq).await?;
    take(&view.app, &view.who, chain, &entry).await
}

pub(super) async fn approve(view: View, Path(id): Path<String>) -> Page {
    view.who.must(Role::Approver)?;
    let id: ApprovalId = id_of(&id)?;
    view.app.registry.approve(&id, &view.who, None).await?;
    Ok(Redirect::to("/approvals?did=approve").into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Denial {
    reason: Option<String>,
}

pub(super) async fn deny(
    view: View,
    Path(id): Path<String>,
    form: Result<Form<Denial>, FormRejection>,
) -> Page {
    view.who.must(Role::Approver)?;
    let id: ApprovalId = id_of(&id)?;
    let Form(denial) = form.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let reason = filled(denial.reason).unwrap_or_default();
    view.app.registry.deny(&id, &view.who, &reason).await?;
    Ok(Redirect::to("/approvals?did=deny").into_response())
}

/// What the agent wrote with a call that is held. That they saw it is on record by then.
pub(super) async fn agent_words(view: View, headers: HeaderMap, Path(id): Path<String>) -> Page {
    if !view.who.may(Role::Auditor) {
        view.who.must(Role::Approver)?;
    }
    let id: ApprovalId = id_of(&id)?;
    let words = view.app.registry.agent_words(&id, &view.who).await?;
    let missing = words.payload_missing.as_deref();
    let payload = Payload::of(words.record, words.payload.as_ref(), missing);
    Ok(shown(&view, &headers, payload))
}

/// What was kept beside a record. That they saw it is on record by then.
pub(super) async fn payload(
    view: View,
    headers: HeaderMap,
    Path((chain, seq)): Path<(String, u64)>,
) -> Page {
    let (chain, entry) = entry(&view, &chain, seq).await?;
    let told = view
        .app
        .registry
        .record(chain, seq, Some(&view.who))
        .await?;
    let told =
        told.ok_or_else(|| Refusal::not_found(format!("there is no record {}", entry.id())))?;
    // Where the role is what is missing, that is no page about a payload.
    if told.payload.is_none() && told.payload_missing.is_some() && !view.who.may(Role::Approver) {
        view.who.must(Role::Auditor)?;
    }
    let payload = Payload::of(
        entry.id(),
        told.payload.as_ref(),
        told.payload_missing.as_deref(),
    );
    Ok(shown(&view, &headers, payload))
}

fn shown(view: &View, headers: &HeaderMap, payload: Payload) -> Response {
    match headers.contains_key(FRAGMENT) {
        true => page(StatusCode::OK, &PayloadFragment::from(payload)),
        false => page(StatusCode::OK, &PayloadPage::new(view.layout(), payload)),
    }
}
