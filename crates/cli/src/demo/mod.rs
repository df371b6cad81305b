//! `bailiwick demo`: an agent is led astray by a ticket. Everything is real: the database, the
//! gateway, the agent's client and its confinement are what they are elsewhere. Whatever the demo
//! says is checked.

mod acts;
mod agent;
mod api;
mod checks;
mod crm;
mod event;
mod helpdesk;
mod screen;
mod stage;
mod tamper;
mod telling;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bailiwick_control::client::Client;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::gateway;
use crate::failure::Failure;
use crate::render::for_long;
pub(crate) use agent::DemoAgent;
pub(crate) use crm::DemoCrm;
pub(crate) use helpdesk::DemoHelpdesk;
use screen::Screen;
use stage::Stage;

/// How long it may take.
const TIME_MAX: Duration = Duration::from_secs(120);

/// The exit status if anything was not as told.
const DIFFERENT: u8 = 1;

/// See an agent being led astray, and what is on record
///
/// Needs no configuration, only PostgreSQL's programs: it starts a throwaway server, a gateway and an
/// agent, shows what the agent asks for and gets, and leaves nothing behind. Exits with 0 only if
/// everything was as it says.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick demo --stay")]
pub(crate) struct Demo {
    /// Leave the gateway and the trail there to look at, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

impl Demo {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        gateway::runtime()?.block_on(perform(self.stay))
    }
}

/// Plays, and clears up whatever happens.
async fn perform(stay: bool) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let mut interrupted = Box::pin(interrupts()?);
    let mut screen = Screen::new();
    let mut stage = Stage::new()?;
    let played = tokio::select! {
        played = acts::play(&mut stage, &mut screen) => played,
        () = tokio::time::sleep(TIME_MAX) => {
            let words = format!("the demo did not end within {}", for_long(TIME_MAX));
            Err(Failure::new(words))
        }
        status = &mut interrupted => {
            Err(Failure::new("interrupted: the demo has cleared up and ends here").status(status))
        }
    };
    let took = for_long(start.elapsed());
    let as_told = played
        .as_ref()
        .is_ok_and(|checks| checks.different().is_empty());
    let stayed = match stay && as_told {
        true => leave(&mut stage, &screen, interrupted).await,
        false => Ok(()),
    };
    let played = played.and_then(|checks| stayed.map(|()| checks));
    let checks = match (played, stage.clear().await) {
        (Ok(checks), Ok(())) => checks,
        (Err(failure), Ok(())) => return Err(failure),
        (Ok(_), Err(left)) => return Err(left),
        (Err(failure), Err(left)) => {
            failure.report();
            return Err(left);
        }
    };
    screen.blank()?;
    let held = checks.held();
    if checks.different().is_empty() {
        let words = format!("All of this was checked as it happened ({held} checks, {took}).");
        screen.title(&words)?;
        screen.closing(
            "Nothing is left behind. Next: your own database in five steps, in README.md.",
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let different = checks
        .different()
        .iter()
        .map(|what| format!("not as told: {what}\n"));
    let words: String = different.collect();
    Err(Failure::new(words).status(DIFFERENT))
}

/// Leaves everything there to look at, until somebody says that it is enough.
async fn leave(
    stage: &mut Stage,
    screen: &Screen,
    interrupted: impl Future<Output = u8>,
) -> Result<(), Failure> {
    stage.start_gateway().await?;
    let link = Client::connect(&stage.data()).await?.console_link().await?;
    screen.blank()?;
    screen.title("The gateway runs again, with this trail. Ctrl-C ends it and clears up.")?;
    screen.blank()?;
    screen.closing("The console; this link signs you in, once, within a minute:")?;
    screen.link(&link.url)?;
    screen.blank()?;
    screen.closing("In another terminal:")?;
    screen.command(&format!(
        "export BAILIWICK_CONFIG={}",
        stage.config().display()
    ))?;
    let program = stage.typed();
    for command in ["watch", "trail last --denied", "search billing", "console"] {
        screen.command(&format!("{program} {command}"))?;
    }
    interrupted.await;
    Ok(())
}

/// Waits for a signal to end, and gives the exit status for it. Later ones are ignored, so that they
/// do not come between us and clearing up.
fn interrupts() -> Result<impl Future<Output = u8>, Failure> {
    let listen = |kind| signal(kind).map_err(Failure::new);
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        let kind = tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
            _ = hangup.recv() => SignalKind::hangup(),
        };
        u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX)
    })
}
