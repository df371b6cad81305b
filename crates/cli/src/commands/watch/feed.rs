//! What is shown, asked of the gateway again and again, and what is done there.

use std::collections::VecDeque;
use std::time::Duration;

use bailiwick_control::api::{Approval, Incident, Search, Summary, Which, WhichApprovals};
use bailiwick_control::client::{Client, ClientError};
use bailiwick_run::RunId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::deed::Deed;
use crate::commands::trail::{Line, Story};
use crate::failure::Failure;

/// How often the gateway is asked.
const POLL: Duration = Duration::from_secs(1);

/// Runs that have not ended, and those that ended last, that are shown at most.
const LIVE_MAX: u32 = 1_000;
const ENDED_MAX: u32 = 20;

/// Runs whose incidents are asked for.
const INCIDENTS_MAX: u32 = 50;

/// Lines of a trail that are kept.
const LINES_MAX: usize = 500;

/// Records before its end from which a trail is shown.
const RECORDS_BACK: u64 = 400;

/// Pages of a trail that are read before the rest is looked at again.
const PAGES_AT_ONCE: usize = 10;

/// Something that is new.
#[derive(Debug)]
pub(super) enum News {
    Seen(Seen),
    /// The gateway did not answer.
    Unseen(String),
    /// What came of a deed.
    Done(Result<String, String>),
}

/// Everything at one moment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Those that have not ended first, each sort the newest first.
    pub(super) runs: Vec<Summary>,
    /// The newest first.
    pub(super) incidents: Vec<Noted>,
    /// The one with the least time left first.
    pub(super) held: Vec<Approval>,
    /// Of the run that is looked at, if there is one.
    pub(super) trail: Option<Tail>,
}

/// An incident with the run it is of.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    /// Nothing for what is in the gateway's own chain.
    pub(super) run: Option<RunId>,
    pub(super) task: Option<String>,
    pub(super) launcher: Option<String>,
    pub(super) incident: Incident,
}

/// The end of a run's trail.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) run: RunId,
    pub(super) lines: VecDeque<Line>,
    /// Whether there is more before it.
    pub(super) cut: bool,
    pub(super) several_targets: bool,
}

impl Tail {
    fn push(&mut self, line: Line) {
        match self.lines.back_mut().filter(|last| last.is_like(&line)) {
            _ if line.quiet => {}
            Some(last) => last.take_in(&line),
            None => self.lines.push_back(line),
        }
        if self.lines.len() > LINES_MAX {
            self.lines.pop_front();
            self.cut = true;
        }
    }
}

/// Asks the gateway, on a task of its own that ends with this.
pub(super) struct Feed {
    client: Client,
    tell: mpsc::Sender<News>,
    looked_at: watch::Sender<Looked>,
    asking: JoinHandle<()>,
}

/// Whose trail is looked at, and how many deeds were done: after each one the gateway is asked at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Looked {
    run: Option<RunId>,
    deeds: u64,
}

impl Feed {
    pub(super) fn start(client: Client, tell: mpsc::Sender<News>) -> Self {
        let (looked_at, changed) = watch::channel(Looked::default());
        let asking = tokio::spawn(ask(client.clone(), tell.clone(), changed));
        Self {
            client,
            tell,
            looked_at,
            asking,
        }
    }

    /// Follows the trail of this run from now on.
    pub(super) fn look_at(&self, run: Option<RunId>) {
        self.looked_at.send_if_modified(|looked| {
            let is_new = looked.run != run;
            looked.run = run;
            is_new
        });
    }

    /// Does something, and tells what came of it.
    pub(super) fn act(&self, deed: Deed) {
        let (client, tell, looked_at) = (
            self.client.clone(),
            self.tell.clone(),
            self.looked_at.clone(),
        );
        tokio::spawn(async move {
            let done = deed
                .perform(&client)
                .await
                .map_err(|error| error.to_string());
            // Whoever is not there any more needs not be told.
            let _ = tell.send(News::Done(done)).await;
            looked_at.send_modify(|looked| looked.deeds += 1);
        });
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

async fn ask(client: Client, tell: mpsc::Sender<News>, mut looked_at: watch::Receiver<Looked>) {
    let mut follower = Follower::default();
    loop {
        let run = looked_at.borrow_and_update().run;
        let news = match see(&client, run, &mut follower).await {
            Ok(seen) => News::Seen(seen),
            Err(failure) => News::Unseen(failure.to_string()),
        };
        if tell.send(news).await.is_err() {
            return;
        }
        if let Ok(Err(_)) = timeout(POLL, looked_at.changed()).await {
            return;
        }
    }
}

async fn see(
    client: &Client,
    run: Option<RunId>,
    follower: &mut Follower,
) -> Result<Seen, Failure> {
    let mut runs = client.runs(Which::Open, LIVE_MAX).await?.runs;
    let ended = client.runs(Which::Ended, ENDED_MAX).await?.runs;
    // One may have ended between the two questions.
    runs.retain(|run| ended.iter().all(|ended| ended.run != run.run));
    runs.extend(ended);
    let mut incidents = Vec::new();
    for of_run in client.incidents(INCIDENTS_MAX).await?.runs {
        let noted = |incident| Noted {
            run: of_run.run,
            task: of_run.task.clone(),
            launcher: of_run.launcher.clone(),
            incident,
        };
        incidents.extend(of_run.newest.into_iter().map(noted));
    }
    incidents.sort_by_key(|noted| std::cmp::Reverse(noted.incident.time));
    let held = client.approvals(WhichApprovals::Open).await?;
    let trail = match run {
        Some(run) => Some(follower.follow(client, run).await?),
        None => None,
    };
    Ok(Seen {
        runs,
        incidents,
        held,
        trail,
    })
}

/// Where the following of a trail stands.
#[derive(Default)]
struct Follower {
    tail: Option<Tail>,
    story: Story,
    after: u64,
}

impl Follower {
    async fn follow(&mut self, client: &Client, run: RunId) -> Result<Tail, Failure> {
        let mut tail = match self.tail.take().filter(|tail| tail.run == run) {
            Some(tail) => tail,
            None => {
                self.story = Story::default();
                self.after = last_of(client, &run).await?.saturating_sub(RECORDS_BACK);
                Tail {
                    run,
                    lines: VecDeque::new(),
                    cut: self.after > 0,
                    several_targets: false,
                }
            }
        };
        let mut is_behind = true;
        for _ in 0..PAGES_AT_ONCE {
            let page = client.records(Some(&run), self.after).await?;
            for record in &page.records {
                self.after = record.seq;
                if let Some(line) = self.story.add(record)? {
                    tail.push(line);
                }
            }
            is_behind = page.more && !page.records.is_empty();
            if !is_behind {
                break;
            }
        }
        if is_behind {
            // It does more than anybody reads: on with its newest.
            let newest = last_of(client, &run).await?.saturating_sub(RECORDS_BACK);
            self.after = self.after.max(newest);
            self.story = Story::default();
            tail.lines.clear();
            tail.cut = true;
        }
        tail.several_targets = self.story.has_several_targets();
        self.tail = Some(tail.clone());
        Ok(tail)
    }
}

/// The number of a run's last record, as far as the index is.
async fn last_of(client: &Client, run: &RunId) -> Result<u64, ClientError> {
    let newest = Search {
        run: Some(run.to_string()),
        limit: Some(1),
        ..Search::default()
    };
    let found = client.search(&newest).await?;
    Ok(found.hits.first().map_or(0, |hit| hit.seq))
}
