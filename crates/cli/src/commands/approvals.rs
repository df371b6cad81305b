//! `bailiwick approvals`: calls that wait for somebody's yes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use bailiwick_control::api::{AgentWords, Approval, ApprovalState, Estimate, WhichApprovals};
use bailiwick_control::client::Client;
use bailiwick_run::ApprovalId;
use clap::Args;

use crate::commands::gateway::{self, GatewayArg};
use crate::commands::page::Page;
use crate::failure::Failure;
use crate::render::{self, Cell, Table, ago, count, now, style, time_box};

/// How often the gateway is asked for what is new.
const POLL: Duration = Duration::from_millis(500);

/// List calls that wait for an approval
///
/// The one with the least time left comes first. With an id, one of them in full: what the gateway has
/// understood of the call, who launched the run and what it did so far. What the agent wrote is shown with
/// --words alone, to whoever is asked; the record says that you looked.
#[derive(Args)]
#[command(after_help = "Examples:\n  bailiwick approvals --follow\n  \
    bailiwick approvals apr_01JD5K3T9V8Z0W2Y4X6A7B8C9D --words")]
pub(crate) struct Approvals {
    /// One of them, by its id
    #[arg(value_name = "ID", conflicts_with_all = ["all", "follow"])]
    id: Option<String>,
    /// Those that were decided, too
    #[arg(long)]
    all: bool,
    /// Go on and show what is new
    #[arg(long)]
    follow: bool,
    /// What the agent wrote, too
    #[arg(long, requires = "id")]
    words: bool,
    /// Print JSON, an approval a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

impl Approvals {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let id = self.id.as_deref().map(id).transpose()?;
        gateway::ask(&self.gateway, async |client| match id {
            Some(id) => self.one(client, &id).await,
            None if self.follow => self.follow(client).await,
            None => self.list(client).await,
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn one(&self, client: &Client, id: &ApprovalId) -> Result<(), Failure> {
        let approval = client.approval(id).await?;
        let words = match self.words {
            true => Some(client.agent_words(id).await?),
            false => None,
        };
        if self.json {
            render::print_json(&approval)?;
            return words.map_or(Ok(()), |words| render::print_json(&words));
        }
        render::print(&describe(&approval, words.as_ref()))
    }

    async fn list(&self, client: &Client) -> Result<(), Failure> {
        let approvals = client.approvals(self.which()).await?;
        if self.json {
            return approvals.iter().try_for_each(render::print_json);
        }
        if approvals.is_empty() {
            render::note("nothing waits for an approval");
            return Ok(());
        }
        render::print(&table(&approvals).render(render::columns()))
    }

    /// What is new, and what becomes of it, a line each.
    async fn follow(&self, client: &Client) -> Result<(), Failure> {
        let mut known = BTreeMap::new();
        let mut first = true;
        loop {
            let mut approvals = client.approvals(WhichApprovals::All).await?;
            approvals.sort_by_key(|approval| approval.id);
            for approval in &approvals {
                let standing = (approval.state, approval.given.len());
                let before = known.insert(approval.id, standing);
                let of_old = first && !self.all && approval.state != ApprovalState::Open;
                if before == Some(standing) || of_old {
                    continue;
                }
                if self.json {
                    render::print_json(approval)?;
                } else {
                    render::print(&line(approval))?;
                }
            }
            // What the gateway has forgotten is not known any more either.
            known.retain(|id, _| approvals.iter().any(|approval| approval.id == *id));
            first = false;
            tokio::time::sleep(POLL).await;
        }
    }

    fn which(&self) -> WhichApprovals {
        match self.all {
            true => WhichApprovals::All,
            false => WhichApprovals::Open,
        }
    }
}

/// An approval's id, as somebody typed it.
pub(crate) fn id(text: &str) -> Result<ApprovalId, Failure> {
    text.parse().map_err(|error| {
        Failure::new(format!("`{text}` is {error}")).help("`bailiwick approvals` lists them")
    })
}

fn table(approvals: &[Approval]) -> Table {
    let mut table = Table::new(5);
    let heads = [
        "APPROVAL",
        "STATE",
        "LEFT",
        "TASK",
        "LAUNCHER",
        "CALL",
        "ROWS",
        "WAITS FOR",
    ];
    table.row(heads.map(|head| Cell::new(head).style(style::DIM)));
    for approval in approvals {
        let (state, style) = state(approval);
        table.row([
            Cell::new(approval.id.to_string()),
            Cell::new(state).style(style),
            Cell::new(left(approval)),
            Cell::new(&approval.task),
            Cell::new(approval.launcher.as_str()),
            Cell::new(call(approval)),
            Cell::new(rows(approval)).right(),
            Cell::new(waits_for(approval)),
        ]);
    }
    table
}

/// One approval on a line of its own.
fn line(approval: &Approval) -> String {
    let (state, style) = state(approval);
    let mut table = Table::new(3);
    table.row([
        Cell::new(state).style(style),
        Cell::new(approval.id.to_string()),
        Cell::new(&approval.task),
        Cell::new(call(approval)),
        Cell::new(outcome(approval)).style(style::DIM),
    ]);
    table.render(render::columns())
}

/// An approval in full, with what the agent wrote if that is there.
pub(crate) fn describe(approval: &Approval, words: Option<&AgentWords>) -> String {
    let mut page = Page::default();
    page.heading(&approval.id.to_string());
    page.styled("state", state(approval).0, state(approval).1);
    page.line("call", &format!("{} on {}", approval.verb, approval.target));
    let heavy = matches!(approval.class.as_str(), "destroy" | "admin");
    let class_style = if heavy {
        style::DENIED
    } else {
        anstyle::Style::new()
    };
    page.styled("class", approval.class.as_str(), class_style);
    for action in &approval.actions {
        page.line("action", action);
    }
    if approval.more_actions > 0 {
        page.line("action", &format!("and {} more", approval.more_actions));
    }
    page.line(
        "estimate",
        &match &approval.estimate {
            Estimate::Rows(rows) => count(*rows, "row"),
            Estimate::Unknown(why) => format!("not known: {why}"),
        },
    );
    page.line("protocol", &approval.protocol);
    page.line("run", &approval.run.to_string());
    page.line("task", &approval.task);
    page.line("launcher", approval.launcher.as_str());
    page.line("for", approval.reason.as_deref().unwrap_or("nothing said"));
    let counts = &approval.counts;
    page.line(
        "so far",
        &format!(
            "{} allowed, {} denied, {} masked",
            counts.allowed,
            counts.denied,
            count(counts.masked, "value")
        ),
    );
    page.line("asked", &ago(approval.asked));
    page.line("waits for", &waits_for(approval));
    for given in &approval.given {
        page.line("yes of", &format!("{} for {}", given.by, given.approver));
    }
    match approval.state {
        ApprovalState::Open => {
            page.line("time left", &left(approval));
            let use_within = time_box(approval.use_within);
            page.line("then", &format!("once, within {use_within} of the yes"));
        }
        _ => page.line("outcome", &outcome(approval)),
    }
    if let Some(answer) = &approval.answer {
        page.line("answer", answer);
    }
    page.line("record", &approval.record);
    if let Some(words) = words {
        if let Some(payload) = &words.payload {
            page.payload(payload);
        }
        if let Some(missing) = &words.payload_missing {
            page.line("its words", missing);
        }
    }
    page.into_text()
}

/// What has become of it, in few words: `by human:alice@acme.com, 2m ago`.
pub(crate) fn outcome(approval: &Approval) -> String {
    let when = approval.decided.map(ago).unwrap_or_default();
    match (approval.state, &approval.by) {
        (ApprovalState::Open, _) => {
            format!("{} left for {}", left(approval), waits_for(approval))
        }
        (ApprovalState::Approved, Some(by)) => {
            format!("by {by}, {when}; {} left to make it", left(approval))
        }
        (_, Some(by)) => format!("by {by}, {when}"),
        (_, None) => when,
    }
}

fn state(approval: &Approval) -> (&'static str, anstyle::Style) {
    let style = match approval.state {
        ApprovalState::Open => style::NOTE,
        ApprovalState::Approved | ApprovalState::Used => style::FINE,
        ApprovalState::Denied => style::DENIED,
        ApprovalState::Lapsed => style::DIM,
    };
    (approval.state.as_str(), style)
}

/// The time that is left, where some is.
fn left(approval: &Approval) -> String {
    let until = match approval.state {
        ApprovalState::Open => Some(approval.expires),
        ApprovalState::Approved => approval.usable_until,
        ApprovalState::Used | ApprovalState::Denied | ApprovalState::Lapsed => None,
    };
    until.map_or_else(String::new, |until| time_box(now().until(until)))
}

/// What the call is, on one line: its actions, or what it is called where it has none.
fn call(approval: &Approval) -> String {
    let mut actions = approval.actions.join(", ");
    if actions.is_empty() {
        actions = approval.verb.clone();
    }
    let more = match approval.more_actions {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{actions}{more} on {}", approval.target)
}

fn rows(approval: &Approval) -> String {
    match approval.estimate {
        Estimate::Rows(rows) => rows.to_string(),
        Estimate::Unknown(_) => "?".to_owned(),
    }
}

/// Who still has to say yes.
fn waits_for(approval: &Approval) -> String {
    let given = |approver: &&String| {
        approval
            .given
            .iter()
            .any(|given| given.approver == **approver)
    };
    let waiting: Vec<_> = approval
        .approvers
        .iter()
        .filter(|approver| !given(approver))
        .map(String::as_str)
        .collect();
    match waiting.is_empty() {
        true => "nobody".to_owned(),
        false => waiting.join(" and "),
    }
}
