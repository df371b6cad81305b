//! The parts of the gateway, as the configuration wants them.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bailiwick_audit::{Bounds, Log, OpenError, Policy, Recovered, TransportError};
use bailiwick_control::{
    Check, Fetch, FetchError, Live, Monitoring, NoticeSettings, PeopleSettings, Registry,
    ServerSettings, Settings, SignalSettings,
};
use bailiwick_gateway::{Admission, AgentTls, Directory, Gateway, Suspended, Target};
use bailiwick_run::{BearerDigest, RunId};
use bailiwick_wire::{PROTOCOLS, Protocol, Transport};
use hyper::Response;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use tokio::net::TcpListener;

use super::ways::{Authority, Ways};
use crate::commands::trust;
use crate::config::Config;
use crate::failure::Failure;
use crate::http::Http;

/// What an identity provider may answer with: its keys are the most, and people wait for it.
const PROVIDER_BOUNDS: Bounds = Bounds {
    body: 256 * 1024,
    time: Duration::from_secs(8),
};

/// The registry, as the gateway asks it.
pub(super) struct Runs(pub(super) Registry);

impl Directory for Runs {
    fn find(&self, run: &RunId) -> Option<Admission> {
        self.0.find(run).map(admission)
    }

    fn find_bearer(&self, secret: &BearerDigest) -> Option<Admission> {
        self.0.find_bearer(secret).map(admission)
    }

    fn suspended(&self, run: &RunId) -> Option<Suspended> {
        self.0.find_suspended(run).map(suspended)
    }

    fn suspended_bearer(&self, secret: &BearerDigest) -> Option<Suspended> {
        self.0.find_suspended_bearer(secret).map(suspended)
    }
}

fn suspended(run: bailiwick_control::Suspended) -> Suspended {
    Suspended {
        run: run.run,
        verifier: run.verifier,
        tally: run.tally,
    }
}

fn admission(live: Live) -> Admission {
    Admission {
        run: live.run,
        verifier: live.verifier,
        scope: live.scope,
        ended: live.ended,
        tally: live.tally,
    }
}

/// The targets, with the secrets that reach them.
pub(in crate::commands) fn targets(config: &Config) -> Result<Vec<Target>, Failure> {
    let target = |target: &crate::config::Target| {
        Ok(Target {
            name: target.name.clone(),
            protocol: target.protocol,
            endpoint: target.endpoint(config.folder())?,
            reads: target.reads,
            keep_results: target.keep_results,
            credentials: target.credentials,
            upstream: target.upstream(config.folder())?,
        })
    };
    config.targets.iter().map(target).collect()
}

/// Where agents connect.
pub(super) struct Listener {
    /// Its key under `[listen]`.
    pub(super) name: &'static str,
    /// What is spoken there. Where that is HTTP, so is what every target speaks that has HTTP for its
    /// transport.
    pub(super) protocol: &'static Protocol,
    pub(super) socket: TcpListener,
    pub(super) address: SocketAddr,
}

impl Listener {
    pub(super) fn is_http(&self) -> bool {
        is_http(self.protocol)
    }
}

fn is_http(protocol: &Protocol) -> bool {
    matches!(protocol.transport, Transport::Http)
}

/// The listeners that the targets need.
pub(super) async fn listen(config: &Config) -> Result<Vec<Listener>, Failure> {
    let wanted = [
        ("postgres", config.listen.postgres, false),
        ("http", config.listen.http, true),
    ];
    let mut listeners = Vec::new();
    for (name, address, http) in wanted {
        let mut targets = config.targets.iter();
        let needed = targets.any(|target| is_http(target.protocol) == http);
        // Whoever names no target gets the answers of the first of them.
        let protocol = PROTOCOLS
            .into_iter()
            .find(|protocol| is_http(protocol) == http);
        let Some(protocol) = protocol.filter(|_| needed) else {
            continue;
        };
        let bound = TcpListener::bind(address).await;
        let bound = bound.and_then(|socket| Ok((socket.local_addr()?, socket)));
        let (address, socket) = bound.map_err(|error| {
            Failure::new(format!("cannot listen at {address}: {error}")).help(format!(
                "change `{name}` under [listen], or stop what has the address"
            ))
        })?;
        listeners.push(Listener {
            name,
            protocol,
            socket,
            address,
        });
    }
    Ok(listeners)
}

/// What the log is called, and where it and its keys are.
pub(in crate::commands) fn log_settings(
    config: &Config,
) -> Result<bailiwick_audit::Config, Failure> {
    Ok(bailiwick_audit::Config {
        dir: config.data.clone(),
        origin: config.name.clone(),
        signer: config.log.signer.clone(),
        payload_key: config.payload_key()?,
    })
}

/// The log, which nobody else has open.
pub(super) fn open_log(config: &Config) -> Result<(Log, Recovered), Failure> {
    let opened = Log::open(log_settings(config)?);
    let (log, recovered) = opened.map_err(|error| match error {
        OpenError::DiskFull { .. }
        | OpenError::InUse(_)
        | OpenError::TwoKeys(_)
        | OpenError::Signer { .. }
        | OpenError::SignerRefuses { .. } => Failure::new(error),
        error => Failure::new(error).help("`bailiwick verify` says whether the log is whole"),
    })?;
    if recovered.torn_bytes > 0 {
        tracing::warn!(
            "cleared away {} bytes of records that were never confirmed to anybody",
            recovered.torn_bytes
        );
    }
    if !recovered.open_runs.is_empty() {
        tracing::warn!(
            "the gateway did not stop in order: closing {} runs it left open",
            recovered.open_runs.len()
        );
    }
    Ok((log, recovered))
}

/// The trust policy of the configuration, if it has one, checked against the log's name.
pub(super) fn policy(config: &Config) -> Result<Option<Policy>, Failure> {
    let Some(file) = &config.log.policy else {
        return Ok(None);
    };
    let policy = trust::read(file)?;
    if !policy.logs().iter().any(|log| log.name() == config.name) {
        tracing::warn!(
            "`{}` has no `log` line for {}, so it is of no use to others yet; `log.vkey` in the \
             data folder has the key",
            file.display(),
            config.name
        );
    }
    Ok(Some(policy))
}

/// Has the policy's witnesses sign the log.
pub(super) fn ask_witnesses(log: &Log, policy: Policy) -> Result<(), Failure> {
    let own = log.vkey();
    let started = policy
        .with_log(&own)
        .map_err(Failure::new)
        .and_then(|policy| {
            let http = Http::start().map_err(Failure::new)?;
            log.ask_witnesses(policy, Arc::new(http))
                .map_err(Failure::new)
        });
    started.map_err(|error| Failure::new(format!("witnesses cannot be asked: {error}")))
}

/// The gateway's certificate: the configured one, or one of its own that it keeps.
pub(super) fn tls(config: &Config) -> Result<AgentTls, Failure> {
    let tls = match &config.tls {
        Some(tls) => AgentTls::load(&tls.cert, &tls.key),
        None => AgentTls::generated(&config.data.join("keys")),
    };
    tls.map_err(|error| Failure::new(error).help("see to [tls] in bailiwick.toml"))
}

/// What the registry has to know.
pub(super) fn settings(
    config: &Arc<Config>,
    listeners: &[Listener],
    ca: Authority,
    notices: NoticeSettings,
    policy: Option<Policy>,
) -> Settings {
    let ways = Arc::new(Ways::new(config, listeners, ca));
    let of_kit = Arc::clone(&ways);
    let ports = listeners.iter().map(|listener| listener.address.port());
    Settings {
        data: config.data.clone(),
        tasks: config.tasks.clone(),
        load: super::policy::anew(config),
        words: config.log.words,
        signals: SignalSettings {
            rules: config.signals.clone(),
            witnessed: config.log.policy.is_some(),
        },
        notices,
        gateway_ports: ports.collect(),
        agent_url: Arc::new(move |value, run, secret| ways.value(value, run, secret)),
        agent_kit: Arc::new(move |task, run, secret| of_kit.kit(task, run, secret)),
        withhold: config.secret_variables(),
        hidden: config.hidden(),
        read_only: config.read_only(),
        approvals: config.approvals.clone(),
        policy,
    }
}

/// Asks over HTTP: the identity provider, and who is told. `says` says what went wrong.
fn fetch(says: fn(&TransportError) -> String) -> Fetch {
    let http: OnceLock<Result<Http, String>> = OnceLock::new();
    let http = Arc::new(http);
    Arc::new(move |request| {
        let http = Arc::clone(&http);
        Box::pin(async move {
            // Its thread starts with the first question, so where nobody is asked there is none.
            let http = http.get_or_init(|| Http::start().map_err(|error| error.to_string()));
            let http = http.as_ref().map_err(|error| FetchError(error.clone()))?;
            let answer = http.send(request, PROVIDER_BOUNDS).await;
            let answer = answer.map_err(|error| FetchError(says(&error)))?;
            let mut response = Response::builder().status(answer.status);
            for (name, value) in [
                (CONTENT_TYPE, answer.content_type),
                (RETRY_AFTER, answer.retry_after),
            ] {
                if let Some(value) = value {
                    response = response.header(name, value);
                }
            }
            let response = response.body(answer.body);
            response.map_err(|error| FetchError(error.to_string()))
        })
    })
}

/// Who may come in, and how.
pub(super) fn people(config: &Config) -> Result<PeopleSettings, Failure> {
    Ok(config
        .people
        .settings(config.folder(), fetch(ToString::to_string))?)
}

/// Who is told, and where people look then.
pub(super) fn notices(config: &Config) -> Result<NoticeSettings, Failure> {
    let fetch = fetch(without_url);
    let sinks = config.notify.iter();
    let sinks = sinks.map(|notify| notify.sink(config.folder(), &fetch));
    Ok(NoticeSettings {
        sinks: sinks.collect::<Result<_, _>>()?,
        console: config.people.place().map(ToString::to_string),
    })
}

/// What went wrong, without the URL, which may be a secret.
fn without_url(error: &TransportError) -> String {
    match error {
        TransportError::Url { reason, .. } => reason.clone(),
        TransportError::Unreachable { reason, .. } => format!("it does not answer: {reason}"),
        TransportError::TimedOut { time, .. } => {
            format!("it did not answer within {} s", time.as_secs())
        }
        TransportError::TooLong { limit, .. } => {
            format!("it answered with more than {limit} bytes")
        }
        _ => "it does not answer".to_owned(),
    }
}

/// What watches over the gateway is given.
pub(super) fn monitoring(
    config: &Config,
    registry: &Registry,
    gateway: &Arc<Gateway>,
    listeners: usize,
) -> Monitoring {
    let mut monitoring = Monitoring {
        listen: config.upkeep.metrics,
        ..Monitoring::default()
    };
    let metrics = &mut monitoring.metrics;
    registry.register(metrics, env!("CARGO_PKG_VERSION"));
    gateway.register(metrics.sub_registry_with_prefix("bailiwick"));
    let gateway = Arc::clone(gateway);
    let listening: Check = Box::new(move || match gateway.listeners() == listeners as u64 {
        true => Ok(()),
        false => Err("not every listener for agents takes connections"),
    });
    monitoring.checks.insert("listeners", listening);
    monitoring
}

/// Where the API is served, and who may come in.
pub(super) fn server_settings(config: &Config, people: PeopleSettings) -> ServerSettings {
    ServerSettings {
        people,
        data: config.data.clone(),
        shared: config.listen.shared.clone(),
        network: config.listen.control,
        public_log: config.log.public,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
