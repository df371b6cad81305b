//! The parts of the gateway, as the configuration wants them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bailiwick_audit::{Log, OpenError, Policy, Recovered};
use bailiwick_control::{AgentUrl, Registry, ServerSettings, Settings};
use bailiwick_gateway::{Admission, AgentTls, Directory, Target};
use bailiwick_run::RunId;
use bailiwick_wire::{Agent, Protocol};
use tokio::net::TcpListener;

use crate::commands::trust;
use crate::config::Config;
use crate::failure::Failure;
use crate::http::Http;

/// In front of a target's name in `[env]`: the URL as JDBC drivers want it.
const JDBC: &str = "jdbc:";

/// The registry, as the gateway asks it.
pub(super) struct Runs(pub(super) Registry);

impl Directory for Runs {
    fn find(&self, run: &RunId) -> Option<Admission> {
        self.0.find(run).map(|live| Admission {
            run: live.run,
            verifier: live.verifier,
            scope: live.scope,
            ended: live.ended,
            tally: live.tally,
        })
    }
}

/// The targets, with the secrets that reach them.
pub(in crate::commands) fn targets(config: &Config) -> Result<Vec<Target>, Failure> {
    let target = |target: &crate::config::Target| {
        Ok(Target {
            name: target.name.clone(),
            protocol: target.protocol,
            endpoint: target.endpoint(config)?,
            reads: target.reads,
            keep_results: target.keep_results,
            credentials: target.credentials,
        })
    };
    config.targets.iter().map(target).collect()
}

/// A listener for each protocol.
pub(super) async fn listen(
    config: &Config,
) -> Result<Vec<(&'static Protocol, TcpListener)>, Failure> {
    let address = config.listen.postgres;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::new(format!("cannot listen at {address}: {error}"))
            .help("change `postgres` under [listen], or stop what has the address")
    })?;
    Ok(vec![(&bailiwick_wire::postgres::PROTOCOL, listener)])
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
    config: &Config,
    listeners: &[(&'static Protocol, TcpListener)],
) -> Result<Settings, Failure> {
    let mut ways = Vec::new();
    for (protocol, listener) in listeners {
        let address = listener
            .local_addr()
            .map_err(|error| Failure::new(format!("cannot tell where it listens: {error}")))?;
        ways.push((*protocol, address));
    }
    Ok(Settings {
        data: config.data.clone(),
        words: config.log.words,
        gateway_ports: ways.iter().map(|(_, address)| address.port()).collect(),
        agent_url: agent_url(config, ways),
        withhold: config.secret_variables(),
        read_only: config.read_only(),
    })
}

/// Where the API is served.
pub(super) fn server_settings(config: &Config) -> ServerSettings {
    ServerSettings {
        data: config.data.clone(),
        network: config.listen.control,
        public_log: config.log.public,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// What an agent gets for a target that its task names.
fn agent_url(config: &Config, ways: Vec<(&'static Protocol, SocketAddr)>) -> AgentUrl {
    let advertise = config.listen.advertise.clone();
    let targets: Vec<(String, &'static Protocol)> = config
        .targets
        .iter()
        .map(|target| (target.name.clone(), target.protocol))
        .collect();
    Arc::new(move |value, run, secret| {
        let (jdbc, name) = match value.strip_prefix(JDBC) {
            Some(name) => (true, name),
            None => (false, value),
        };
        let (_, protocol) = targets.iter().find(|(target, _)| target == name)?;
        let (_, address) = ways.iter().find(|(way, _)| way.name == protocol.name)?;
        let host = match &advertise {
            Some(host) => host.clone(),
            None => reachable(address.ip()).to_string(),
        };
        let agent = Agent {
            host: &host,
            port: address.port(),
            run: &run.to_string(),
            secret: secret.reveal(),
            target: name,
        };
        let url = match jdbc {
            true => protocol.agent_jdbc_url,
            false => protocol.agent_url,
        };
        Some(url(&agent))
    })
}

/// Where a listener is reached from this machine: one that listens everywhere is at home, too.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
