//! `bailiwick serve`: the gateway.

mod desk;
mod files;
mod policy;
mod ways;
mod wiring;

use ways::Authority;
use wiring::Listener;
pub(super) use wiring::{log_settings, targets};

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_audit::{Draft, Event, Log, Subject};
use bailiwick_control::{Registry, Server};
use bailiwick_gateway::{Gateway, Phase};
use clap::Args;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::commands::lasting::{LogArg, Signals, Told};
use crate::commands::run;
use crate::config::{Config, ConfigArg};
use crate::failure::Failure;
use crate::render::{self, clean, count, style};

/// How often running calls are counted when the gateway stops.
const RUNNING_LOOK: Duration = Duration::from_millis(10);

/// Run the gateway
///
/// Stops on SIGTERM or Ctrl-C: running calls get a while to end, then open runs are ended and recorded; a
/// second signal ends them at once. SIGHUP loads the tasks and guardrails anew, as `bailiwick reload` does. What it has to say goes to stderr; BAILIWICK_LOG, or else RUST_LOG, sets
/// how much (error, warn, info, debug).
#[derive(Args)]
#[command(
    after_help = "Example:\n  TICKETS_PASSWORD=… bailiwick serve --config /etc/bailiwick/bailiwick.toml"
)]
pub(crate) struct Serve {
    #[command(flatten)]
    log: LogArg,
    #[command(flatten)]
    config: ConfigArg,
}

impl Serve {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        self.log.log_to_stderr();
        self.log.tell(self.serve())
    }

    fn serve(&self) -> Result<ExitCode, Failure> {
        let config = Arc::new(self.config.load()?);
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        if let Some(warning) = files::allow(bailiwick_gateway::OPEN_FILES_MAX) {
            tracing::warn!("{warning}");
        }
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
        let served = runtime.block_on(async {
            let house = House::open(&config).await?;
            let signals = Signals::listen()?;
            // Whoever started it may not care to read it.
            let _ = render::print(&house.announcement(&config));
            house.serve(signals).await
        });
        // A thread that still waits for somebody must not hold up the end.
        runtime.shutdown_background();
        served.map(|()| ExitCode::SUCCESS)
    }
}

/// Everything that runs.
struct House {
    log: Log,
    registry: Registry,
    api: Server,
    gateway: Arc<Gateway>,
    listeners: Vec<Listener>,
    fingerprint: String,
    /// How many are asked to sign the log.
    witnesses: usize,
    /// How long calls that are running may take to end when it stops.
    stop_within: Duration,
}

impl House {
    /// Opens everything, or nothing.
    async fn open(config: &Arc<Config>) -> Result<Self, Failure> {
        // What can be wrong without touching anything comes first.
        let targets = wiring::targets(config)?;
        let engine = Arc::new(policy::load(config).map_err(Failure::new)?);
        let policy = wiring::policy(config)?;
        let people = wiring::people(config)?;
        let notices = wiring::notices(config)?;
        let listeners = wiring::listen(config).await?;
        let (log, recovered) = wiring::open_log(config)?;
        // Nobody else has the log open, so no run is.
        if let Err(error) = run::sweep(&config.data) {
            tracing::warn!("what runs have left behind could not be removed: {error}");
        }
        let started = Event::GatewayStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        record(&log, started).await?;
        let witnesses = policy.as_ref().map_or(0, |policy| {
            let asked = policy.witnesses().iter();
            asked.filter(|witness| witness.url().is_some()).count()
        });
        if let Some(policy) = policy.clone() {
            wiring::ask_witnesses(&log, policy)?;
        }
        let tls = wiring::tls(config)?;
        let authority = Authority::default();
        let settings =
            wiring::settings(config, &listeners, Arc::clone(&authority), notices, policy);
        let registry = Registry::start(settings, engine, log.clone(), &recovered)
            .await
            .map_err(Failure::new)?;
        let fingerprint = tls.fingerprint.clone();
        let runs = Arc::new(wiring::Runs(registry.clone()));
        let directory = Arc::clone(&runs);
        let mut gateway = Gateway::new(config.name.clone(), directory, log.clone(), targets, tls)
            .map_err(|error| Failure::new(format!("the system gives no random bytes: {error}")))?
            .asking(runs);
        if listeners.iter().any(Listener::is_http) {
            let keys = config.data.join("keys");
            gateway = gateway.proxying(&keys).map_err(Failure::new)?;
        }
        if let Some(certificate) = gateway.authority() {
            authority.get_or_init(|| certificate.to_owned());
        }
        let gateway = Arc::new(gateway);
        let monitoring = wiring::monitoring(config, &registry, &gateway, listeners.len());
        let api = Server::bind(
            registry.clone(),
            wiring::server_settings(config, people),
            monitoring,
        )
        .await
        .map_err(Failure::new)?;
        Ok(Self {
            log,
            registry,
            api,
            gateway,
            listeners,
            fingerprint,
            witnesses,
            stop_within: config.upkeep.stop_within,
        })
    }

    /// Where it listens. Whoever reads this can connect.
    fn announcement(&self, config: &Config) -> String {
        let (bold, dim) = (style::HEADING, style::DIM);
        let mut text = format!("{bold}bailiwick{bold:#} {}\n", clean(&config.name));
        let mut line = |name: &str, value: &str| {
            text.push_str(&format!("  {dim}{name:<10}{dim:#} {}\n", clean(value)));
        };
        for listener in &self.listeners {
            line(listener.name, &listener.address.to_string());
        }
        if let Some(address) = self.api.network() {
            line("control", &format!("http://{address}"));
        }
        if let Some(shared) = &config.listen.shared {
            let folder = shared.folder.display();
            line(
                "group",
                &format!("unix:{folder}, for the group {}", shared.group),
            );
        }
        if let Some(place) = config.people.place() {
            line("console", &place.to_string());
        }
        if let Some(issuer) = config.people.issuer() {
            line("sign-in", issuer);
        }
        if let Some(address) = self.api.monitoring() {
            line("metrics", &format!("http://{address}/metrics"));
        }
        line("data", &config.data.display().to_string());
        line("tls", &format!("SHA-256 {}", self.fingerprint));
        line("log key", &self.log.vkey());
        if let Some(signer) = &config.log.signer {
            line("signer", &signer.display().to_string());
        }
        if config.log.policy.is_some() {
            line("witnesses", &format!("{} asked", self.witnesses));
        }
        let engine = self.registry.engine();
        let tasks = count(engine.tasks().count() as u64, "task");
        let guardrails = count(engine.guardrails().len() as u64, "guardrail");
        line("policy", &format!("{tasks}, {guardrails}"));
        let names: Vec<_> = config
            .targets
            .iter()
            .map(|target| target.name.as_str())
            .collect();
        line("targets", &names.join(", "));
        text
    }

    /// Serves until told to stop, then lets running calls end for a while, ends every run and closes the log.
    async fn serve(self, mut signals: Signals) -> Result<(), Failure> {
        let (stop, stopped) = watch::channel(false);
        let (phase, phases) = watch::channel(Phase::Serving);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.api.run(stopped.clone()));
        for listener in self.listeners {
            let gateway = Arc::clone(&self.gateway);
            tasks.spawn(bailiwick_gateway::serve(
                gateway,
                listener.protocol,
                listener.socket,
                phases.clone(),
            ));
        }
        let gateway = Arc::clone(&self.gateway);
        tasks.spawn(bailiwick_gateway::keep_logins(gateway, phases.clone()));
        let ended = loop {
            tokio::select! {
                told = signals.told() => match told {
                    Told::Stop => break Ok(()),
                    // It waits for the disk; what tells to stop does not wait for it.
                    Told::Reload => drop(tokio::spawn(policy::hangup(self.registry.clone()))),
                },
                // They serve until they are told to stop; an earlier end is a fault.
                Some(ended) = tasks.join_next() => break Err(Failure::new(match ended {
                    Err(error) => format!("a part of the gateway failed: {error}"),
                    Ok(()) => "a part of the gateway ended".into(),
                })),
            }
        };
        self.registry.begin_to_stop();
        // Nobody listens any more where a task has failed.
        let _ = phase.send(Phase::Stopping);
        if ended.is_ok() {
            let_calls_end(&self.gateway, self.stop_within, &mut signals).await;
        }
        tracing::info!(
            "stopping: ending {}",
            count(self.registry.open_runs() as u64, "run")
        );
        self.registry.stop().await;
        let _ = phase.send(Phase::Over);
        let _ = stop.send(true);
        while tasks.join_next().await.is_some() {}
        let recorded = record(&self.log, Event::GatewayStopped).await;
        let log = self.log;
        let closed = tokio::task::spawn_blocking(move || log.close()).await;
        ended.and(recorded).and(closed.map_err(Failure::new))
    }
}

/// Waits until no call is running, for as long as they are given, or until told to stop once more.
async fn let_calls_end(gateway: &Gateway, within: Duration, signals: &mut Signals) {
    let running = gateway.running_calls();
    if running == 0 {
        return;
    }
    let calls = count(running, "running call");
    tracing::info!(
        "stopping: {calls} may take up to {} to end",
        humantime::format_duration(within)
    );
    let done = async {
        while gateway.running_calls() > 0 {
            sleep(RUNNING_LOOK).await;
        }
    };
    tokio::select! {
        () = done => {}
        () = sleep(within) => {}
        () = signals.told_to_stop() => tracing::info!("told to stop again: not waiting any longer"),
    }
}

/// Records something about the gateway itself.
async fn record(log: &Log, event: Event) -> Result<(), Failure> {
    let draft = Draft {
        event,
        subject: Subject::Gateway,
        payload: None,
    };
    log.append(draft).await.map(drop).map_err(|error| {
        Failure::new(format!("the record cannot be written: {error}"))
            .help("without a record nothing is let through; see to the disk and start again")
    })
}
