//! Pages to look at.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_audit::{Entry, ReadError};
use bailiwick_run::{RunId, Time};
use serde::Deserialize;

use super::{View, filled};
use crate::api::{
    ActivityQuery, Hit, IncidentQuery, RunQuery, RunState, Search, TaskDetail, Which,
    WhichApprovals,
};
use crate::clock;
use crate::console::chart::Chart;
use crate::console::layout::page;
use crate::console::notice::Act;
use crate::console::run::{Covered, Read};
use crate::console::search::Asked;
use crate::console::{approvals, incidents, record, run, runs, search, tasks};
use crate::index::{Query as SearchQuery, SearchError};
use crate::limits::{CONSOLE_INCIDENTS, CONSOLE_RECORDS_MAX, CONSOLE_RUNS};
use crate::people::Role;
use crate::registry::{EndError, blocking};
use crate::server::problem::Refusal;
use crate::server::routes::view::no_proof;
use crate::server::routes::{bad_query, run_id, task_detail, task_info};
use crate::view::Chain;

type Page = Result<Response, Refusal>;

/// What was denied to a run before what its page tells of, at most.
const DENIED_BEFORE: u32 = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IncidentsAsked {
    task: Option<String>,
    launcher: Option<String>,
    target: Option<String>,
    before: Option<u64>,
    over: Option<String>,
}

pub(super) async fn incidents(
    view: View,
    query: Result<Query<IncidentsAsked>, QueryRejection>,
) -> Page {
    let Query(asked) = query.map_err(bad_query)?;
    let registry = &view.app.registry;
    let query = IncidentQuery {
        task: filled(asked.task),
        launcher: filled(asked.launcher),
        target: filled(asked.target),
        before: asked.before,
        limit: Some(CONSOLE_INCIDENTS),
    };
    let over = asked.over.unwrap_or_default();
    let chosen = (incidents::OVERS.iter()).find(|(name, ..)| *name == over);
    let (over, _, seconds) = chosen.copied().unwrap_or(incidents::OVERS[0]);
    let since = Time::from_millis(view.now.millis().saturating_sub(seconds * 1_000));
    let activity = ActivityQuery {
        since: Some(since),
        until: Some(view.now),
        parts: Some(60),
        run: None,
    };
    let found = registry.incidents(query.clone()).await?;
    let chart = Chart::of(&registry.activity(activity).await?, view.now);
    let mut expires = Vec::with_capacity(found.runs.len());
    for group in &found.runs {
        let alive = matches!(group.state, Some(RunState::Open | RunState::Suspended));
        expires.push(match group.run.filter(|_| alive) {
            Some(run) => registry.summary(&run).await?.map(|run| run.expires),
            None => None,
        });
    }
    let shown = incidents::Shown {
        incidents: &found,
        query: &query,
        over,
        chart,
        expires,
        now: view.now,
    };
    Ok(page(
        StatusCode::OK,
        &incidents::Page::new(view.layout(), shown),
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RunsAsked {
    state: Option<String>,
    task: Option<String>,
    launcher: Option<String>,
    text: Option<String>,
    before: Option<String>,
}

pub(super) async fn runs(view: View, query: Result<Query<RunsAsked>, QueryRejection>) -> Page {
    let Query(asked) = query.map_err(bad_query)?;
    let filter = runs::Filter {
        state: filled(asked.state).unwrap_or_default(),
        task: filled(asked.task).unwrap_or_default(),
        launcher: filled(asked.launcher).unwrap_or_default(),
        text: filled(asked.text).unwrap_or_default(),
    };
    let before = filled(asked.before)
        .map(|before| run_id(&before))
        .transpose()?;
    let query = RunQuery {
        state: match filter.state.as_str() {
            "open" => Which::Open,
            "ended" => Which::Ended,
            _ => Which::All,
        },
        task: filled(Some(filter.task.clone())),
        launcher: filled(Some(filter.launcher.clone())),
        words: filled(Some(filter.text.clone())),
        before,
        limit: Some(CONSOLE_RUNS),
    };
    let found = view.app.registry.runs(query).await?;
    let shown = runs::Page::new(view.layout(), &found.runs, &filter, found.next, view.now);
    Ok(page(StatusCode::OK, &shown))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Did {
    did: Option<String>,
}

impl Did {
    /// That it was done.
    fn said(&self) -> Option<&'static str> {
        match self.did.as_deref()? {
            "verify" => Some("Verified: its trail is whole."),
            act => Act::read(act).map(Act::done),
        }
    }
}

pub(super) async fn run(
    view: View,
    Path(id): Path<String>,
    query: Result<Query<Did>, QueryRejection>,
) -> Page {
    let (id, Query(did)) = (run_id(&id)?, query.map_err(bad_query)?);
    let registry = &view.app.registry;
    let summary = registry.summary(&id).await?.ok_or(EndError::NoRun(id))?;
    let reason = registry.reason(&id).await?;
    let scope = match registry.run_scope(&id).await {
        Ok(Some(scope)) => Ok(scope),
        Ok(None) => Err("its task is not there any more".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let (records, denied_before) = story(&view, id).await?;
    let last = records.last().map_or(1, |read| read.record.seq);
    let last = registry.entry(Chain::Run(id), last).await?;
    let (covered, has_witnesses) = covered(&view, last).await?;
    let verified = registry.verified(id).await?;
    let shown = run::Shown {
        verified: verified.as_ref(),
        summary: &summary,
        reason: reason.as_deref(),
        records: &records,
        denied_before: &denied_before,
        scope,
        covered,
        has_witnesses,
        did: did.said(),
        now: view.now,
    };
    Ok(page(StatusCode::OK, &run::Page::new(view.layout(), shown)))
}

/// The newest records of a run in their order, and what was denied to it before.
async fn story(view: &View, run: RunId) -> Result<(Vec<Read>, Vec<Hit>), Refusal> {
    let registry = &view.app.registry;
    let last = newest(view, run, false, 1).await?;
    let last = last.first().map_or(0, |hit| hit.seq);
    let mut after = last.saturating_sub(CONSOLE_RECORDS_MAX as u64);
    let begin = after;
    let mut records = Vec::new();
    while let Some(trail) = registry.trail(Chain::Run(run), after, None).await? {
        for told in &trail.records {
            let record = serde_json::from_str(told.record.get());
            let record = record.map_err(|error| {
                let reason = error.to_string();
                ReadError::Record {
                    index: told.index,
                    reason,
                }
            })?;
            records.push(Read {
                record,
                digest: told.digest.clone(),
            });
        }
        let last = trail.records.last().map(|told| told.seq);
        match last.filter(|_| trail.more && records.len() < 2 * CONSOLE_RECORDS_MAX) {
            Some(last) => after = last,
            None => break,
        }
    }
    let mut denied = Vec::new();
    if begin > 0 {
        denied = newest(view, run, true, DENIED_BEFORE).await?;
        denied.retain(|hit| hit.seq <= begin);
    }
    Ok((records, denied))
}

/// The newest records of a run, as the index has them.
async fn newest(view: &View, run: RunId, denied: bool, limit: u32) -> Result<Vec<Hit>, Refusal> {
    let query = Search {
        run: Some(run.to_string()),
        denied,
        limit: Some(limit),
        ..Search::default()
    };
    let query = SearchQuery::new(query).map_err(SearchError::from)?;
    Ok(view.app.registry.index().search(query).await?.hits)
}

/// Whether a record is under a signed checkpoint, and whether witnesses are asked at all.
async fn covered(view: &View, last: Option<Entry>) -> Result<(Covered, bool), Refusal> {
    let reader = view.app.registry.reader();
    let proved = blocking(move || {
        let proof = match &last {
            Some(last) => reader.prove(last)?,
            None => None,
        };
        Ok::<_, ReadError>((proof, reader.has_witnesses()))
    });
    let (proof, has_witnesses) = proved.await?;
    let covered = match proof {
        Some(proof) => Covered::All {
            size: proof.size,
            is_witnessed: proof.is_witnessed,
        },
        None => Covered::NotYet,
    };
    Ok((covered, has_witnesses))
}

pub(super) async fn approvals(
    view: View,
    query: Result<Query<ApprovalsAsked>, QueryRejection>,
) -> Page {
    let Query(asked) = query.map_err(bad_query)?;
    let all = view.app.registry.approvals(WhichApprovals::All);
    let did = match asked.did.as_deref() {
        Some("approve") => {
            Some("You said yes. When all who are asked have, the call can be made once.")
        }
        Some("deny") => Some("You said no, and the agent is told why."),
        _ => None,
    };
    let shown = approvals::Page::new(view.layout(), &all, &view.who, did, view.now);
    Ok(page(StatusCode::OK, &shown))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApprovalsAsked {
    did: Option<String>,
}

pub(super) async fn tasks(view: View) -> Page {
    let tasks: Vec<_> = view.app.registry.engine().tasks().map(task_info).collect();
    Ok(page(
        StatusCode::OK,
        &tasks::Page::new(view.layout(), &tasks),
    ))
}

pub(super) async fn task(view: View, Path(name): Path<String>) -> Page {
    let detail: TaskDetail = task_detail(&view.app, name).await?;
    Ok(page(
        StatusCode::OK,
        &tasks::OnePage::new(view.layout(), &detail),
    ))
}

pub(super) async fn record(view: View, Path((chain, seq)): Path<(String, u64)>) -> Page {
    let (chain, entry) = entry(&view, &chain, seq).await?;
    let registry = &view.app.registry;
    let before = registry.entry(chain, seq.saturating_sub(1)).await?;
    let has_next = registry
        .entry(chain, seq.saturating_add(1))
        .await?
        .is_some();
    let proof = receipt_of(&view, &entry)
        .await?
        .map(|proof| record::Proof::of(&proof.text, proof.size, proof.is_witnessed));
    let shown = record::Shown {
        entry: &entry,
        before: before.as_ref(),
        has_next,
        proof: proof.ok_or_else(no_proof),
        sees_payload: sees_payload(&view, &entry),
        now: view.now,
    };
    Ok(page(
        StatusCode::OK,
        &record::Page::new(view.layout(), shown),
    ))
}

/// A record, and whose it is.
pub(super) async fn entry(view: &View, chain: &str, seq: u64) -> Result<(Chain, Entry), Refusal> {
    let name: Chain = chain.parse().map_err(|error| {
        Refusal::bad_request(format!(
            "`{chain}` is neither `gateway` nor a run: it is {error}"
        ))
    })?;
    let entry = view.app.registry.entry(name, seq).await?;
    let entry = entry.ok_or_else(|| {
        Refusal::not_found(format!(
            "there is no record {chain}/{seq}; it may have been pruned, or never was"
        ))
    })?;
    Ok((name, entry))
}

/// Whether whoever looks may see what was kept beside a record.
fn sees_payload(view: &View, entry: &Entry) -> bool {
    let asked = entry
        .record
        .approval
        .as_ref()
        .filter(|_| entry.record.r#type == "call.held");
    view.who.may(Role::Auditor)
        || (view.who.may(Role::Approver)
            && asked.is_some_and(|asked| approvals::is_asked(&asked.approvers, &view.who)))
}

async fn receipt_of(
    view: &View,
    entry: &Entry,
) -> Result<Option<bailiwick_audit::ProofFile>, Refusal> {
    let (reader, entry) = (view.app.registry.reader(), entry.clone());
    Ok(blocking(move || reader.prove(&entry)).await?)
}

async fn answer(view: &View, asked: &Asked) -> Result<crate::api::Answer, String> {
    let moment = |text: &str| moment(text, view.now);
    let query = Search {
        words: filled(Some(asked.words.clone())),
        run: filled(Some(asked.run.clone())),
        task: filled(Some(asked.task.clone())),
        launcher: filled(Some(asked.launcher.clone())),
        target: filled(Some(asked.target.clone())),
        denied: !asked.denied.is_empty(),
        since: moment(&asked.since)?,
        until: moment(&asked.until)?,
        limit: None,
    };
    let found = view.app.registry.search(query, &view.who).await;
    found.map_err(|error| error.to_string())
}

/// A moment in RFC 3339 form, or how long ago it was.
fn moment(text: &str, now: Time) -> Result<Option<Time>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        return Ok(Some(Time::from_millis(now.millis().saturating_sub(ago))));
    }
    clock::read(text).map(Some).ok_or_else(|| {
        format!("`{text}` is neither a moment, such as 2026-11-25T19:00:00Z, nor how long ago, such as 2h")
    })
}

pub(super) async fn search(view: View, query: Result<Query<Asked>, QueryRejection>) -> Page {
    let Query(asked) = query.map_err(bad_query)?;
    let answer = match asked.is_nothing() {
        true => None,
        false => Some(answer(&view, &asked).await),
    };
    let answer = answer
        .as_ref()
        .map(|answer| answer.as_ref().map_err(Clone::clone));
    let registry = &view.app.registry;
    let searched = match (
        registry.has_words_of_payloads(),
        registry.searches_payloads(&view.who),
    ) {
        (false, _) => search::Searched::Records,
        (true, false) => search::Searched::NotTheirs,
        (true, true) => search::Searched::Payloads,
    };
    let shown = search::Page::new(view.layout(), &asked, answer, searched, view.now);
    Ok(page(StatusCode::OK, &shown))
}
