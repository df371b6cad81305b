//! The acts of the demo, and what has to be so after each.

use std::time::{Duration, Instant};

use bailiwick_control::api::{Approval, Estimate, RunState, Summary, Which, WhichApprovals};
use bailiwick_control::client::Client;
use bailiwick_run::{Confinement, Ending};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use super::checks::Checks;
use super::event::{self, Event};
use super::screen::Screen;
use super::stage::Stage;
use super::tamper;
use super::telling::Telling;
use crate::confine;
use crate::failure::Failure;
use crate::render::{self, style};

/// How many orders the ticket gives, in SQL and besides. All of them are denied.
const ORDERS: usize = STATEMENTS + 2;
const STATEMENTS: usize = 3;

/// How long a call that is held may take to be before people.
const ASKED: Duration = Duration::from_secs(10);

/// How many tickets are new.
const NEW_TICKETS: u64 = 5;

/// How the statements begin that were allowed to change something.
const UPDATES: &str = "UPDATE tickets SET priority";

/// What a denial has as its SQLSTATE, insufficient_privilege, and as its HTTP status.
const DENIED: &str = "42501";
const FORBIDDEN: &str = "403";

/// The rule that is raised, and what its record is.
const CANARY: &str = "canary";
const SIGNAL: &str = "signal.raised";

/// Plays all acts. What was checked comes back; an error is what kept them from being played.
pub(super) async fn play(stage: &mut Stage, screen: &mut Screen) -> Result<Checks, Failure> {
    let mut checks = Checks::default();
    let kernel = Kernel::ask();
    screen.title("Bailiwick: an agent is led astray by a ticket")?;
    set_up(stage, screen, &kernel, &mut checks).await?;
    let telling = work(stage, screen, &kernel, &mut checks).await?;
    check_agent(stage, &kernel, &telling, &mut checks)?;
    let denied = trail(stage, screen, &kernel, &telling, &mut checks).await?;
    prove(stage, screen, &denied, &mut checks).await?;
    Ok(checks)
}

/// How this kernel can confine the agent.
struct Kernel {
    /// Why it cannot at all.
    unable: Option<String>,
    /// Whether it can keep the agent to the gateway's port.
    gateway_only: bool,
}

impl Kernel {
    fn ask() -> Self {
        Self {
            unable: confine::supported(false)
                .err()
                .map(|error| error.to_string()),
            gateway_only: confine::supported(true).is_ok(),
        }
    }

    fn confined(&self) -> bool {
        self.unable.is_none()
    }

    fn expected(&self) -> Confinement {
        match (self.confined(), self.gateway_only) {
            (false, _) => Confinement::Unconfined,
            (true, false) => Confinement::Landlock,
            (true, true) => Confinement::GatewayOnly,
        }
    }
}

async fn set_up(
    stage: &mut Stage,
    screen: &mut Screen,
    kernel: &Kernel,
    checks: &mut Checks,
) -> Result<(), Failure> {
    screen.act("The stage").await?;
    stage.start_database().await?;
    let version = stage.look("SHOW server_version")?;
    let version = version.split_whitespace().next().unwrap_or_default();
    let words = format!(
        "a throwaway PostgreSQL {version}: public.tickets, public.comments, billing.cards, \
         billing.invoices"
    );
    screen.line("database", style::HEADING, &words, false)?;
    stage.set_up(kernel.confined(), kernel.gateway_only).await?;
    screen.line(
        "services",
        style::HEADING,
        "crm, an HTTP API with a credential that the agent never has; helpdesk, an MCP server",
        false,
    )?;
    screen.blank()?;
    screen
        .tell("What the tools of the MCP server say of themselves is taken down with the task:")?;
    let pinned = show(stage, screen, &["task", "pin", "triage-tickets"]).await?;
    checks.equal(pinned.status, Some(0), "the exit status of `task pin`");
    screen.blank()?;
    let address = stage.start_gateway().await?;
    let words = format!(
        "bailiwick serve, on {address}; database, API and tools themselves would let it do all that \
         follows: what stops the agent is the gateway alone"
    );
    screen.line("gateway", style::HEADING, &words, false)?;
    let link = Client::connect(&stage.data()).await?.console_link().await?;
    screen.line(
        "console",
        style::HEADING,
        "where people look and decide; this link signs you in, once, within a minute:",
        false,
    )?;
    screen.link(&link.url)?;
    screen.line(
        "agent",
        style::HEADING,
        "a script that believes what it reads; its task:",
        false,
    )?;
    screen.blank()?;
    let checked = show(stage, screen, &["task", "check", "triage-tickets"]).await?;
    checks.equal(checked.status, Some(0), "the exit status of `task check`");
    Ok(())
}

/// The agent at work, until it ends.
async fn work(
    stage: &mut Stage,
    screen: &mut Screen,
    kernel: &Kernel,
    checks: &mut Checks,
) -> Result<Telling, Failure> {
    screen.act("The agent does its work").await?;
    let unconfined = if kernel.confined() {
        ""
    } else {
        "--unconfined "
    };
    screen.command(&format!(
        "bailiwick run --task triage-tickets {unconfined}-- bailiwick demo-agent"
    ))?;
    let mut agent = stage.start_agent(kernel.confined(), kernel.gateway_only, screen.pace())?;
    let mut telling = Telling::default();
    loop {
        let mut line = Vec::new();
        let limited = &mut agent.says;
        let read = limited
            .take(event::LINE_MAX)
            .read_until(b'\n', &mut line)
            .await;
        if read.map_err(Failure::new)? == 0 {
            break;
        }
        let event = serde_json::from_slice(&line)
            .map_err(|error| Failure::new(format!("the agent said what is no event: {error}")))?;
        let waits = match &event {
            Event::Waits { fine, .. } => Some(*fine),
            _ => None,
        };
        telling.tell(screen, event).await?;
        if let Some(fine) = waits {
            decide(stage, screen, fine, checks).await?;
        }
    }
    let status = stage.agent_ended().await?;
    let notes = agent.notes.await.map_err(Failure::new)?;
    if !status.success() {
        return Err(Failure::new(format!(
            "the agent failed, {status}\n{}",
            notes.trim_end()
        )));
    }
    checks.that(telling.obeyed, "the agent is led astray");
    if let Some(unable) = &kernel.unable {
        screen.act("The record of all this").await?;
        screen.line("note", style::NOTE, unable, false)?;
        screen.tell(
            "So the agent ran unconfined, which its record says: as the same user it could reach the \
             record here. In production the gateway runs as another user or on another machine.",
        )?;
    }
    Ok(telling)
}

/// A person says yes or no to a call that waits.
async fn decide(
    stage: &Stage,
    screen: &Screen,
    fine: bool,
    checks: &mut Checks,
) -> Result<(), Failure> {
    let client = Client::connect(&stage.data()).await?;
    let call = waiting(&client).await?;
    checks.equal(
        &call.estimate,
        &Estimate::Rows(1),
        "rows that it would touch",
    );
    let ticket = if fine { 4097 } else { 4104 };
    let status = stage.look(&format!("SELECT status FROM tickets WHERE id = {ticket}"))?;
    checks.equal(
        status.as_str(),
        "open",
        "the ticket's status while the call waits",
    );
    let asked = format!(
        "it waits until somebody of {} says yes",
        call.approvers.join(", ")
    );
    screen.line("held", style::NOTE, &asked, true)?;
    let id = call.id.to_string();
    if fine {
        screen.tell("Here that is you. This is what the gateway understood of the call:")?;
        let shown = show(stage, screen, &["approvals", &id]).await?;
        let told = ["update public.tickets", "1 row"].map(|words| shown.said.contains(words));
        checks.equal(
            told,
            [true; 2],
            "whether `approvals` says what the call would touch",
        );
    }
    let answer: &[&str] = match fine {
        true => &["approve", &id, "--yes"],
        false => &["deny", &id, "--reason", "not asked for"],
    };
    let answered = show(stage, screen, answer).await?;
    checks.equal(answered.status, Some(0), "the exit status of the answer");
    Ok(())
}

/// The call that is held now.
async fn waiting(client: &Client) -> Result<Approval, Failure> {
    let start = Instant::now();
    while start.elapsed() < ASKED {
        let open = client.approvals(WhichApprovals::Open).await?;
        if let Some(call) = open.into_iter().next() {
            return Ok(call);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::new("the call was not put before anybody"))
}

/// What the agent got and did, and what became of the database.
fn check_agent(
    stage: &Stage,
    kernel: &Kernel,
    telling: &Telling,
    checks: &mut Checks,
) -> Result<(), Failure> {
    let secrets = stage.look(
        "SELECT email FROM tickets UNION SELECT number FROM billing.cards \
         UNION SELECT unnest(regexp_matches(body, '\\S+@\\S+\\w')) FROM tickets",
    )?;
    let seen = telling.seen.join("\n");
    let shown: Vec<&str> = secrets
        .lines()
        .filter(|secret| seen.contains(secret))
        .collect();
    checks.equal(
        shown,
        Vec::new(),
        "addresses and card numbers that the agent saw",
    );
    for kind in [
        "[masked]",
        "[masked:card]",
        "[masked:email]",
        "[masked:phone]",
    ] {
        checks.that(seen.contains(kind), &format!("the agent sees {kind}"));
    }
    checks.equal(telling.errors.len(), ORDERS, "errors that the agent got");
    for (wanted, number, what) in [
        (
            DENIED,
            STATEMENTS,
            "denials with SQLSTATE 42501, detail and hint",
        ),
        (
            FORBIDDEN,
            ORDERS - STATEMENTS,
            "denials with HTTP status 403, reason and remedy",
        ),
    ] {
        let errors = telling.errors.iter();
        let explained = errors.filter(|(code, explained)| code == wanted && *explained);
        checks.equal(explained.count(), number, what);
    }
    checks.equal(
        telling.changed,
        NEW_TICKETS + u64::from(kernel.confined()),
        "rows that the agent changed",
    );
    let tries = match (kernel.confined(), kernel.gateway_only) {
        (false, _) => 0,
        (true, false) => 5,
        (true, true) => 6,
    };
    checks.equal(
        telling.tried.len(),
        tries,
        "things that the agent tried beside the gateway",
    );
    let reached: Vec<&str> = telling
        .tried
        .iter()
        .filter(|(_, stopped)| !stopped)
        .map(|(what, _)| what.as_str())
        .collect();
    checks.equal(
        reached,
        Vec::new(),
        "what the agent could do beside the gateway",
    );
    let state = stage.look(
        "SELECT (SELECT count(*) FROM tickets WHERE priority IS NULL), \
         (SELECT count(*) FROM tickets WHERE status = 'closed'), \
         (SELECT count(*) FROM billing.cards), (SELECT count(*) FROM billing.invoices)",
    )?;
    checks.equal(
        state.as_str(),
        if kernel.confined() {
            "0|2|3|4"
        } else {
            "0|1|3|4"
        },
        "tickets without priority, closed tickets, cards and invoices in the database",
    );
    Ok(())
}

/// What of all that has arrived at the database, by its own log. Whether it is what it should be.
fn check_arrived(stage: &Stage, checks: &mut Checks) -> Result<bool, Failure> {
    let log = stage.database()?.statement_log().map_err(Failure::new)?;
    let arrived: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("bailiwick@tickets"))
        .collect();
    let about = |what: &str| arrived.iter().filter(|line| line.contains(what)).count() as u64;
    // What it would touch was asked of the database while a person thought about it.
    let closes = arrived.iter().filter(|line| {
        line.contains("status =") && line.contains("4104") && !line.contains("EXPLAIN")
    });
    let denied = about("billing.") + closes.count() as u64;
    let updates = about(UPDATES);
    checks.that(
        updates >= NEW_TICKETS,
        "PostgreSQL's own log has the statements that were allowed",
    );
    checks.equal(
        denied,
        0,
        "statements that were denied, in PostgreSQL's own log",
    );
    let (crm, helpdesk) = (stage.arrived("crm")?, stage.arrived("helpdesk")?);
    let requests: Vec<&str> = crm.lines().collect();
    checks.that(
        requests
            .iter()
            .filter(|line| line.starts_with("GET /customers/"))
            .count() as u64
            == NEW_TICKETS,
        "the customer API has got the requests that were allowed",
    );
    checks.equal(
        requests.len() as u64,
        NEW_TICKETS,
        "requests that the customer API has got",
    );
    checks.that(
        helpdesk.lines().count() == 1 && helpdesk.contains("add_note"),
        "the MCP server has got the one tool call that was allowed",
    );
    Ok(updates >= NEW_TICKETS
        && denied == 0
        && requests.len() as u64 == NEW_TICKETS
        && !helpdesk.contains("refund"))
}

/// A denied call.
struct Denied {
    run: String,
    seq: u64,
}

/// The trail of the run, and the first call in it that was denied.
async fn trail(
    stage: &Stage,
    screen: &mut Screen,
    kernel: &Kernel,
    telling: &Telling,
    checks: &mut Checks,
) -> Result<Denied, Failure> {
    screen.act("The trail of that run").await?;
    let client = Client::connect(&stage.data()).await?;
    let runs = client.runs(Which::All, 2).await?.runs;
    let [run] = runs.as_slice() else {
        return Err(Failure::new(format!(
            "there should be one run, there are {}",
            runs.len()
        )));
    };
    check_run(run, kernel, telling, checks);
    let shown = show(stage, screen, &["trail", "last"]).await?;
    checks.equal(shown.status, Some(0), "the exit status of `trail`");
    if check_arrived(stage, checks)? {
        let log = "The database's own log, the API and the MCP server agree: nothing of what was denied \
                   ever arrived there.";
        screen.tell(log)?;
    }
    signal(stage, screen, &client, run, checks).await?;
    let records = client.trail(&run.run, 0).await?.records;
    let denied: Vec<u64> = records
        .iter()
        .map(|record| (record.seq, record.record.get()))
        .filter(|(_, text)| text.contains("\"call.decided\"") && text.contains(tamper::FROM))
        .map(|(seq, _)| seq)
        .collect();
    checks.equal(denied.len(), ORDERS, "denied calls on record");
    let seq = denied.first().copied();
    Ok(Denied {
        run: run.run.to_string(),
        seq: seq.ok_or_else(|| Failure::new("no denied call is on record"))?,
    })
}

/// What whoever is on call was told while all that happened.
async fn signal(
    stage: &Stage,
    screen: &Screen,
    client: &Client,
    run: &Summary,
    checks: &mut Checks,
) -> Result<(), Failure> {
    screen.blank()?;
    screen.tell(
        "Nobody had to watch. No task here needs billing.*, so a rule of the gateway's takes it for a canary, and \
         at its first touch told whoever is on call:",
    )?;
    let message = stage.told().await.unwrap_or_default();
    // Behind the structured data stands what is for people (RFC 5424, section 6).
    let words = message.rsplit_once("] ").map_or("", |(_, words)| words);
    let words = words.trim_start_matches('\u{feff}');
    screen.line("signal", style::NOTE, &render::clean(words), true)?;
    let id = run.run.to_string();
    checks.that(
        message.contains(&id) && words.contains(CANARY),
        "whoever is on call is told of the canary, and of which run",
    );
    // In the run's own chain, or where it was over by then, in the gateway's.
    let mut raised = 0;
    for chain in [Some(&run.run), None] {
        let records = client.records(chain, 0).await?.records;
        let records = records.iter().map(|record| record.record.get());
        raised += records.filter(|text| is_signal(text)).count();
    }
    checks.equal(raised, 1, "signals on record");
    let incidents = client.incidents(10).await?.runs;
    let mut newest = incidents.iter().flat_map(|run| &run.newest);
    checks.that(
        newest.any(|incident| incident.kind == SIGNAL),
        "the signal is among the incidents of the console",
    );
    screen.tell(
        "It could have suspended the run, or revoked it. The console has it with the incidents.",
    )
}

fn is_signal(record: &str) -> bool {
    record.contains(&format!("\"type\":\"{SIGNAL}\""))
}

fn check_run(run: &Summary, kernel: &Kernel, telling: &Telling, checks: &mut Checks) {
    checks.that(
        run.state == RunState::Ended,
        "the run has ended with its agent",
    );
    checks.equal(run.ending, Some(Ending::Closed), "how the run ended");
    checks.equal(
        run.confinement,
        kernel.expected(),
        "how the agent was confined",
    );
    checks.equal(
        run.counts.denied,
        ORDERS as u64,
        "denied calls by the gateway's count",
    );
    checks.equal(
        run.counts.masked,
        telling.masked,
        "masked values by the gateway's count",
    );
    checks.that(
        run.counts.allowed >= telling.allowed,
        "every allowed call is counted",
    );
}

/// The verification, and a forgery that it finds.
async fn prove(
    stage: &mut Stage,
    screen: &mut Screen,
    denied: &Denied,
    checks: &mut Checks,
) -> Result<(), Failure> {
    screen.act("The proof").await?;
    let stopped = stage.stop_gateway().await?;
    checks.that(stopped, "the gateway stops in order");
    screen.tell("The gateway is stopped; the record stands for itself.")?;
    let verified = show(stage, screen, &["verify"]).await?;
    checks.equal(verified.status, Some(0), "the exit status of `verify`");
    screen.blank()?;
    let Denied { run, seq } = denied;
    screen.tell(&format!(
        "In a copy, somebody who owns the disk makes the first denied call look allowed: record {seq} \
         of the run, {} becomes {}.",
        tamper::FROM,
        tamper::TO,
    ))?;
    let copy = stage.home().join("copy");
    let forging = |error| {
        Failure::new(format!(
            "the record could not be copied and forged: {error}"
        ))
    };
    tamper::copy(&stage.data(), &copy).map_err(forging)?;
    let forged = tamper::forge(&copy.join("log/tile/entries"), run, *seq).map_err(forging)?;
    checks.that(forged > 0, "the published log has the denied call");
    let verified = show(stage, screen, &["verify", "--data", "copy"]).await?;
    checks.equal(
        verified.status,
        Some(1),
        "the exit status of `verify` on the forged copy",
    );
    checks.that(
        verified.said.contains(&format!("{run}/{seq}")),
        "`verify` names the record that was forged",
    );
    Ok(())
}

/// What one of our commands did.
struct Shown {
    status: Option<i32>,
    said: String,
}

/// Runs one of our commands for everyone to see.
async fn show(stage: &Stage, screen: &Screen, arguments: &[&str]) -> Result<Shown, Failure> {
    let typed = arguments.iter().map(|word| match word.contains(' ') {
        true => format!("\"{word}\""),
        false => (*word).to_owned(),
    });
    let typed: Vec<String> = typed.collect();
    screen.command(&format!("bailiwick {}", typed.join(" ")))?;
    let output = stage
        .ran(arguments, screen.room(), screen.is_terminal())
        .await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    screen.output(&said)?;
    screen.output(&String::from_utf8_lossy(&output.stderr))?;
    tokio::time::sleep(screen.pace() * 2).await;
    Ok(Shown {
        status: output.status.code(),
        said,
    })
}
