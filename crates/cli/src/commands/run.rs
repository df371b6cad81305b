//! `bailiwick run`: a run that lasts as long as a command does.

mod child;
mod environment;
pub(super) mod far;
mod handed;
mod offspring;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};

use bailiwick_control::api::{Change, OpenedRun, Summary};
use bailiwick_control::client::{Attached, Client};
use bailiwick_run::{Confinement, Ending};
use clap::Args;

use crate::commands::close;
use crate::commands::confined::NOT_STARTED;
use crate::commands::gateway::{self, Asker, GatewayArg, Reached};
use crate::commands::open::RunArgs;
use crate::config::SHARED_FOLDER;
use crate::confine::{self, Spec, Standing};
use crate::failure::Failure;
use crate::render::{self, clean, note, style, time_box};
use child::{Child, End, GRACE};
use environment::{Environment, Wanted};
pub(super) use handed::sweep;
use handed::{Handed, Outbox};

/// Run an agent: open a run, start the command inside it, close the run when the command ends
///
/// The command gets the variables of the task's [env], with the run's own credential in them. Of yours it
/// gets those that programs need to find their way (PATH, HOME, LANG, LC_*, TERM, TMPDIR and the like)
/// and those that --env names, and never one that holds a secret of the gateway. It runs confined: it cannot reach the record, the keys or the
/// controls, though it is the same user; nor, where the gateway is elsewhere, the token by which it is asked. Folders that lead to what it cannot reach can be used, but
/// not listed, and nothing can be added to them.
///
/// When the run is over before the command, by its time or because somebody revoked it, the command and
/// all that it has started get SIGTERM, and SIGKILL five seconds later. A run that is suspended may be
/// resumed, so its command goes on.
///
/// Exits with the command's status, with 128 and the signal's number if a signal ended it, with 122 if
/// the run was over before the command, and with 125 if it was not started.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    bailiwick run --task triage-tickets --env ANTHROPIC_API_KEY -- claude -p 'triage the new tickets'\n  \
    bailiwick run --task triage-tickets --ttl 5m -- psql -c 'select * from tickets'")]
pub(crate) struct Run {
    #[command(flatten)]
    run: RunArgs,
    /// Do not confine the command; the run's record says so
    #[arg(long)]
    unconfined: bool,
    /// Give the command this variable too: yours, or with this value; may be repeated
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<Wanted>,
    #[command(flatten)]
    gateway: GatewayArg,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Run {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        self.run().map_err(|failure| failure.or_status(NOT_STARTED))
    }

    fn run(self) -> Result<ExitCode, Failure> {
        let confinement = self.confinement()?;
        // Whoever starts a child with one thread can rely on that thread.
        gateway::runtime()?.block_on(async {
            let Reached { client, asker } = self.gateway.reach().await?;
            let opened = client.open(&self.run.request(confinement, true)).await?;
            let attached = client.attach(&opened.run).await?;
            let session = Session {
                client,
                attached,
                opened,
                outbox: Outbox::new(&asker),
                asker,
            };
            session.run(&self).await
        })
    }

    /// The strictest confinement that can be had here.
    fn confinement(&self) -> Result<Confinement, Failure> {
        if self.unconfined {
            return Ok(Confinement::Unconfined);
        }
        confine::supported(false).map_err(|error| {
            Failure::new(error).help(
                "--unconfined runs the agent without: as the same user it can then read and change \
                 the record, which the run's record will say",
            )
        })?;
        Ok(match confine::supported(true) {
            Ok(()) => Confinement::GatewayOnly,
            Err(_) => Confinement::Landlock,
        })
    }
}

/// The exit status if the run was over first. No common program ends with it: not `timeout`, `xargs`, a shell, or
/// what a signal has ended.
const OVER: u8 = 122;

/// An open run that lasts as long as this.
struct Session {
    client: Client,
    attached: Attached,
    opened: OpenedRun,
    outbox: Outbox,
    asker: Asker,
}

impl Session {
    async fn run(mut self, asked: &Run) -> Result<ExitCode, Failure> {
        let run = self.opened.run;
        if let Asker::Elsewhere { is_near: false, .. } = self.asker {
            far::check(&self.opened)?;
        }
        let handed = Handed::make(&self.outbox, &self.opened)?;
        let spec = self.spec(handed.as_ref(), asked.unconfined)?;
        if let Some(spec) = &spec {
            warn(spec)?;
        }
        let withhold = self.opened.withhold.iter().map(String::as_str);
        let secret = withhold.chain(gateway::SECRETS).map(str::to_owned);
        let secret: BTreeSet<String> = secret.collect();
        let mut environment = Environment::choose(std::env::vars_os(), &asked.env, &secret)?;
        environment.notes().for_each(note);
        let handed_on = handed.as_ref().map(Handed::env).unwrap_or_default();
        // What the task says wins.
        let set = handed_on.into_iter().chain(self.opened.env.clone());
        let set = set.map(|(name, value)| (name.into(), value.into()));
        environment.given.extend(set);
        let mut child = Child::start(spec.as_ref(), &asked.command, &environment.given)?;
        let time_box = time_box(render::now().until(self.opened.expires));
        say(format!(
            "{run} opened for task {}, {time_box}",
            clean(&self.opened.task)
        ));
        let ended = loop {
            let change = tokio::select! {
                status = child.wait() => break Ended::Command(status?),
                change = self.attached.change() => change,
            };
            match change {
                Ok(Change::Suspended) => say(format!(
                    "{run} is suspended: what it had open was cut, and the agent can do nothing at its targets until \
                     somebody resumes it; its process goes on"
                )),
                Ok(Change::Resumed) => say(format!("{run} was resumed: the agent can act again")),
                Ok(Change::Ended { ending }) => {
                    say(format!("{run} is over: {}", early(ending)));
                    break Ended::Run {
                        // A gateway that stops answers nothing more.
                        summary: ending != Ending::GatewayStopped,
                    };
                }
                Err(error) => {
                    note(format!(
                        "{run} is over: {error}, and no run outlives its gateway"
                    ));
                    break Ended::Run { summary: false };
                }
            }
        };
        if let Ended::Run { .. } = ended {
            say(killed(child.end().await?));
        }
        if let Ended::Command(_) | Ended::Run { summary: true } = ended {
            match self.client.close(&run).await {
                Ok(summary) => report(&summary, spec.is_none()),
                Err(error) => note(format!("the gateway gave no summary: {error}")),
            }
        }
        Ok(match ended {
            Ended::Command(status) => exit_code(status),
            Ended::Run { .. } => ExitCode::from(OVER),
        })
    }

    /// What the child must not reach; nothing for a child that is not confined.
    fn spec(&self, handed: Option<&Handed>, unconfined: bool) -> Result<Option<Spec>, Failure> {
        let mode = self.opened.confine.mode;
        match (mode, unconfined) {
            (Confinement::Landlock | Confinement::GatewayOnly, _) => {}
            (_, true) => return Ok(None),
            (Confinement::Unconfined | Confinement::Elsewhere, false) => {
                let message = "the gateway has opened the run for a process that is not confined";
                return Err(Failure::new(message).help("is it of another version than this?"));
            }
        }
        let mut spec = Spec {
            hidden: self.opened.protect.hidden.clone(),
            read_only: self.opened.protect.read_only.clone(),
            own: handed.map(|handed| handed.folder().to_owned()),
            connect: (mode == Confinement::GatewayOnly)
                .then(|| self.opened.confine.gateway_ports.iter().copied().collect()),
        };
        if let Asker::Elsewhere { token, ca, .. } = &self.asker {
            // The gateway's paths are those of its machine; they mean something here if it is the same.
            spec.hidden.retain(|path| far::may_be(path));
            spec.read_only.retain(|path| far::may_be(path));
            spec.hidden.extend(token.clone());
            spec.read_only.extend(ca.clone());
        }
        spec.hidden.extend(self.outbox.hidden()?);
        // Which may be another gateway's, that the launcher can ask as well.
        let standard = Path::new(SHARED_FOLDER);
        spec.hidden
            .extend(far::may_be(standard).then(|| standard.to_owned()));
        Ok(Some(spec))
    }
}

/// What ended first.
enum Ended {
    Command(ExitStatus),
    Run {
        /// Whether there is a gateway to ask what it did.
        summary: bool,
    },
}

/// Says which folders the agent may be surprised by.
fn warn(spec: &Spec) -> Result<(), Failure> {
    let mut folders: Vec<(&str, std::path::PathBuf)> = Vec::new();
    if let Ok(folder) = std::env::current_dir() {
        folders.push(("the working directory", folder));
    }
    folders.push(("the folder for temporary files", std::env::temp_dir()));
    if let Some(home) = std::env::home_dir() {
        folders.push(("the home directory", home));
    }
    for (what, folder) in folders {
        let standing = folder
            .canonicalize()
            .map_or(Ok(Standing::Free), |folder| {
                confine::standing(spec, &folder)
            })
            .map_err(Failure::new)?;
        let shown = folder.display();
        match standing {
            Standing::OnTheWay => note(format!(
                "{what} `{shown}` leads to what the agent must not reach: the agent can use what is \
                 in it, but cannot list it, nor add or remove anything there. Keep the gateway's folder \
                 elsewhere, such as in `/srv/bailiwick`"
            )),
            Standing::ReadOnly => {
                note(format!("{what} `{shown}` is read-only for the agent"));
            }
            Standing::Hidden => note(format!("{what} `{shown}` is out of the agent's reach")),
            Standing::Free => {}
        }
    }
    Ok(())
}

fn early(ending: Ending) -> &'static str {
    match ending {
        Ending::Expired => "its time is up; its connections were cut",
        Ending::Revoked => "it was revoked; its connections were cut",
        Ending::Closed => "it was closed; its connections were cut",
        Ending::GatewayStopped => "the gateway stops, and no run outlives its gateway",
    }
}

fn killed(end: End) -> String {
    let grace = GRACE.as_secs();
    match end {
        End::Told => "the agent was told to end, and did".to_owned(),
        End::Killed => format!("the agent did not end within {grace} seconds, and was killed"),
        End::Lives => {
            "the agent was killed, but something of it has not ended; look with `ps`".to_owned()
        }
    }
}

fn report(summary: &Summary, unconfined: bool) {
    say(close::summary(summary));
    let run = summary.run;
    if unconfined {
        say("the agent was not confined: as the same user it could reach the record and the keys");
    }
    let look = match summary.counts.denied {
        0 => format!("what it did: bailiwick trail {run}"),
        _ => format!("what was outside its scope: bailiwick trail {run} --denied"),
    };
    say(look);
}

/// To stderr: stdout is the command's.
fn say(text: impl std::fmt::Display) {
    let dim = style::DIM;
    anstream::eprintln!("{dim}bailiwick:{dim:#} {text}");
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => i32::from(NOT_STARTED),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
