//! `bailiwick watch`: runs, incidents and what waits for a yes, as it happens, in a terminal.

mod app;
mod deed;
mod draw;
mod feed;
mod input;
mod palette;
mod screen;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use bailiwick_control::client::Client;
use clap::Args;
use ratatui::crossterm::event::Event;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::commands::gateway::{self, GatewayArg};
use crate::failure::Failure;
use crate::render;
use app::{App, Wish};
use feed::Feed;
use palette::Palette;
use screen::Screen;

/// Watch runs, incidents and approvals as they happen, and act on them
///
/// Shows live runs with what is left of their time, what was outside a scope, the trail of the run that is
/// selected, and calls that wait for a yes. Keys suspend, resume and revoke runs, and answer what waits; each
/// first shows what it would do. ? lists them.
#[derive(Args)]
#[command(
    after_help = "Needs a terminal. For scripts:\n  bailiwick trail last --follow --json\n  \
    bailiwick runs --json\n  bailiwick search --denied --json"
)]
pub(crate) struct Watch {
    #[command(flatten)]
    gateway: GatewayArg,
}

/// How often what is shown moves by itself: clocks and countdowns.
const TICK: Duration = Duration::from_secs(1);

/// Keys and news that wait at once.
const QUEUE_MAX: usize = 64;

impl Watch {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        if !is_terminal || std::env::var("TERM").is_ok_and(|term| term == "dumb") {
            return Err(Failure::new("`watch` needs a terminal, and this is none").help(
                "`bailiwick trail last --follow` tells what a run does line by line, and with --json for \
                 programs",
            ));
        }
        gateway::ask(&self.gateway, watch)
    }
}

async fn watch(client: &Client) -> Result<ExitCode, Failure> {
    let me = client.me().await?;
    let version = client.health().await?.version;
    let listen = |kind| signal(kind).map_err(Failure::new);
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut continued = listen(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    let (tell, mut news) = mpsc::channel(QUEUE_MAX);
    let feed = Feed::start(client.clone(), tell);
    let mut app = App::new(me.name, version, Palette::from_environment());
    let mut screen = Screen::enter()?;
    let mut keys = input::keys(QUEUE_MAX);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        app.now = render::now();
        screen.draw(|frame| draw::all(frame, &mut app))?;
        let wish = tokio::select! {
            event = keys.recv() => match event {
                Some(Event::Key(key)) => {
                    app.now = render::now();
                    app.press(key)
                }
                Some(_) => Wish::None,
                // The terminal is gone.
                None => return Ok(ExitCode::SUCCESS),
            },
            Some(told) = news.recv() => {
                app.take(told);
                Wish::None
            }
            _ = tick.tick() => Wish::None,
            _ = continued.recv() => {
                screen.again()?;
                Wish::None
            }
            _ = interrupt.recv() => return Ok(ended_by(SignalKind::interrupt())),
            _ = terminate.recv() => return Ok(ended_by(SignalKind::terminate())),
            _ = hangup.recv() => return Ok(ended_by(SignalKind::hangup())),
        };
        match wish {
            Wish::None => {}
            Wish::Quit => return Ok(ExitCode::SUCCESS),
            Wish::Stop => screen.stop()?,
            Wish::Redraw => screen.again()?,
            Wish::Do(deed) => feed.act(deed),
        }
        feed.look_at(app.selected_run());
    }
}

/// How a program ends that a signal has ended.
fn ended_by(kind: SignalKind) -> ExitCode {
    ExitCode::from(u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX))
}
