//! Opening a target: its socket, its TLS, the login there, and what was learned of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_wire::{
    Did, Endpoint, Fault, Knowledge, Protocol, Session, Step, TlsMode, Transport, Wanted,
};
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::entrance::Entrance;
use crate::gate::Way;
use crate::gateway::Gateway;
use crate::limits::{KNOWLEDGE_TIME_MAX, READ_BYTES, TARGET_LOGIN_TIME_MAX};
use crate::stream::Stream;
use crate::tls;
use crate::upstream::{Upstream, basic_secrets};
use crate::veil::Veil;

/// A system behind the gateway.
#[derive(Clone)]
pub struct Target {
    /// Its name, by which agents and tasks know it.
    pub name: String,
    /// What it speaks.
    pub protocol: &'static Protocol,
    /// Where it is.
    pub endpoint: Endpoint,
    /// How far the record of a read has to be before its result is released.
    pub reads: ReadMode,
    /// Bytes of a call's masked result that are kept beside its record; zero keeps none.
    pub keep_results: usize,
    /// As whom the gateway logs in for a run.
    pub credentials: Credentials,
    /// For a target that speaks HTTP.
    pub upstream: Upstream,
}

impl Target {
    /// What of the gateway's credential the target sees and nobody else is to.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut secrets = self.upstream.credential.secrets();
        if let Some(password) = &self.endpoint.password {
            secrets.extend(basic_secrets(&self.endpoint.user, password));
        }
        if let Some(command) = &self.upstream.command {
            let env = command.env.iter().filter(|(name, _)| is_telling(name));
            secrets.extend(env.map(|(_, value)| value.clone()));
        }
        secrets
    }
}

/// Whether a variable's name says that its value is a secret.
fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words = ["KEY", "TOKEN", "SECRET", "PASS", "CREDENTIAL"];
    words.iter().any(|word| name.contains(word))
}

/// As whom the gateway logs in to a target for a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// As itself, for every run.
    #[default]
    Shared,
    /// By a login of the run's own, which the target itself holds to what the run's task grants.
    PerRun,
}

/// How far the record of a read has to be before its result is released. Calls that may change
/// something are always durable before they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadMode {
    /// On the disk.
    #[default]
    Durable,
    /// With the operating system: it survives a crash of the gateway, and is on the disk within
    /// 10 ms.
    Written,
}

/// A target, and what a login sees of it: nothing for the gateway's own.
type View = (String, Option<String>);

/// The targets by name, and what was learned of each.
pub(crate) struct Targets {
    targets: HashMap<String, Target>,
    knowledge: Mutex<HashMap<View, (Instant, Knowledge)>>,
}

/// Why a target could not be opened. For whoever runs the gateway, not for the agent: it names
/// addresses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{address} cannot be reached: {error}")]
    Unreachable {
        address: String,
        error: std::io::Error,
    },
    #[error("{address} was not ready for the gateway within {} s", within.as_secs())]
    TimedOut { address: String, within: Duration },
    #[error("TLS with {address} failed: {error}")]
    Tls { address: String, error: String },
    #[error("{address}: {fault}")]
    Login { address: String, fault: Fault },
    #[error("the run gets no login there: {0}")]
    NoLogin(String),
}

impl Targets {
    pub(crate) fn new(targets: impl IntoIterator<Item = Target>) -> Self {
        Self {
            targets: targets
                .into_iter()
                .map(|target| (target.name.clone(), target))
                .collect(),
            knowledge: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Target> {
        self.targets.get(name)
    }

    /// The target that an agent wants, by its name or its address.
    pub(crate) fn wanted(&self, wanted: &Wanted) -> Option<&Target> {
        match wanted {
            Wanted::Name(name) => self.get(name),
            Wanted::Url {
                scheme,
                authority,
                path,
            } => {
                let (host, port) = place(scheme, authority)?;
                self.at(scheme, host, port)
                    .filter(|target| is_beneath(path, &target.endpoint.database))
                    .max_by_key(|target| target.endpoint.database.len())
            }
        }
    }

    /// The targets that speak HTTP at an address, whatever the path that their URLs begin with; by name.
    pub(crate) fn at(
        &self,
        scheme: &str,
        host: &str,
        port: u16,
    ) -> impl Iterator<Item = &Target> + use<'_> {
        let tls = scheme == "https";
        let bare = |host: &str| host.trim_matches(['[', ']']).to_ascii_lowercase();
        let host = bare(host);
        let mut there: Vec<_> = self
            .all()
            .filter(|target| {
                let endpoint = &target.endpoint;
                target.has_address()
                    && (endpoint.tls != TlsMode::Disable) == tls
                    && endpoint.port == port
                    && bare(&endpoint.host) == host
            })
            .collect();
        there.sort_by(|one, other| one.name.cmp(&other.name));
        there.into_iter()
    }

    /// Every target.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Target> {
        self.targets.values()
    }

    /// What was learned of a target by a login that sees the same, unless too long ago.
    pub(crate) fn known(&self, name: &str, view: Option<&str>) -> Option<Knowledge> {
        let known = self
            .knowledge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known
            .get(&(name.to_owned(), view.map(str::to_owned)))
            .filter(|(when, _)| when.elapsed() < KNOWLEDGE_TIME_MAX)
            .map(|(_, knowledge)| Arc::clone(knowledge))
    }

    pub(crate) fn learned(&self, name: &str, view: Option<&str>, knowledge: Knowledge) {
        let mut known = self
            .knowledge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (when, _)| when.elapsed() < KNOWLEDGE_TIME_MAX);
        let key = (name.to_owned(), view.map(str::to_owned));
        known.insert(key, (Instant::now(), knowledge));
    }

    /// What was learned of a target, by whomever, is to be learned again.
    pub(crate) fn outdated(&self, name: &str) {
        let mut known = self
            .knowledge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.retain(|(target, _), _| target != name);
    }
}

/// The host and the port of a URL's authority; nothing where it has none that could be a target's.
fn place<'a>(scheme: &str, authority: &'a str) -> Option<(&'a str, u16)> {
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    match authority.rsplit_once(':') {
        // Not the inside of an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => {
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            digits.then_some((host, port.parse().ok()?))
        }
        _ => Some((authority, usual)),
    }
}

/// Whether a path is a target's base path or beneath it.
fn is_beneath(path: &str, base: &str) -> bool {
    path.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Logs in to a target without an agent, and learns what it has.
///
/// # Errors
/// If the target cannot be opened; the text says why.
pub async fn survey(target: &Target) -> Result<Knowledge, String> {
    let seed = Gateway::seed().map_err(|error| error.to_string())?;
    let mut session = (target.protocol.survey)(seed);
    let targets = Targets::new([target.clone()]);
    let veil: Arc<dyn bailiwick_wire::Veil> = Arc::new(Veil::of_nobody(&target.name));
    let entrance = target.own_entrance();
    open(
        &mut *session,
        target,
        &entrance,
        &targets,
        "bailiwick survey",
        &veil,
    )
    .await
    .map_err(|error| error.to_string())?;
    targets
        .known(&target.name, None)
        .ok_or_else(|| "it did not say what it has".to_owned())
}

impl Target {
    /// Whether it speaks HTTP at an address of its own, so that an agent may name it by that.
    pub(crate) fn has_address(&self) -> bool {
        matches!(self.protocol.transport, Transport::Http) && self.upstream.command.is_none()
    }

    /// By the gateway's own login.
    pub(crate) fn own_entrance(&self) -> Entrance {
        Entrance {
            endpoint: self.endpoint.clone(),
            view: None,
        }
    }
}

/// A target that is ready for calls.
pub(crate) struct Open {
    pub(crate) stream: Stream,
    /// The endpoint as it was reached: with the TLS mode of the attempt that succeeded.
    pub(crate) endpoint: Endpoint,
    /// Steps for the agent that came with it.
    pub(crate) to_agent: BytesMut,
    /// What came of the errand that it was opened for.
    pub(crate) did: Option<Did>,
}

/// Opens a target for a session, up to its [`Step::Ready`].
pub(crate) async fn open(
    session: &mut dyn Session,
    target: &Target,
    entrance: &Entrance,
    targets: &Targets,
    label: &str,
    veil: &Arc<dyn bailiwick_wire::Veil>,
) -> Result<Open, OpenError> {
    let within = TARGET_LOGIN_TIME_MAX;
    open_within(session, target, entrance, targets, label, veil, within).await
}

/// The same within another time.
pub(crate) async fn open_within(
    session: &mut dyn Session,
    target: &Target,
    entrance: &Entrance,
    targets: &Targets,
    label: &str,
    veil: &Arc<dyn bailiwick_wire::Veil>,
    within: Duration,
) -> Result<Open, OpenError> {
    let attempts = attempts(&entrance.endpoint);
    let mut last = None;
    for endpoint in attempts {
        let address = format!("{}:{}", endpoint.host, endpoint.port);
        let view = entrance.view.as_deref();
        let attempt = attempt(session, &endpoint, view, target, targets, label, veil);
        match timeout(within, attempt).await {
            Ok(Ok(open)) => return Ok(open),
            // Only what the target itself refused may go better with or without TLS.
            Ok(Err(
                error @ OpenError::Login {
                    fault: Fault::TargetLogin(_),
                    ..
                },
            )) => {
                last = Some(error);
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(OpenError::TimedOut { address, within }),
        }
    }
    Err(last.unwrap_or(OpenError::TimedOut {
        address: target.endpoint.host.clone(),
        within,
    }))
}

/// The attempts that an `sslmode` stands for: `allow` goes without TLS first, `prefer` with.
fn attempts(endpoint: &Endpoint) -> Vec<Endpoint> {
    let with = |tls| Endpoint {
        tls,
        ..endpoint.clone()
    };
    match endpoint.tls {
        TlsMode::Allow => vec![with(TlsMode::Disable), with(TlsMode::Require)],
        TlsMode::Prefer => vec![with(TlsMode::Prefer), with(TlsMode::Disable)],
        mode => vec![with(mode)],
    }
}

async fn attempt(
    session: &mut dyn Session,
    endpoint: &Endpoint,
    view: Option<&str>,
    target: &Target,
    targets: &Targets,
    label: &str,
    veil: &Arc<dyn bailiwick_wire::Veil>,
) -> Result<Open, OpenError> {
    let address = format!("{}:{}", endpoint.host, endpoint.port);
    let login = |fault| OpenError::Login {
        address: address.clone(),
        fault,
    };
    let unreachable = |error| OpenError::Unreachable {
        address: address.clone(),
        error,
    };
    let mut way = Way::new(dial(endpoint).await.map_err(unreachable)?);
    let mut to_agent = BytesMut::new();
    let mut did = None;
    let mut input = BytesMut::with_capacity(READ_BYTES);
    session
        .connected(
            endpoint,
            label,
            Arc::clone(veil),
            targets.known(&target.name, view),
        )
        .map_err(login)?;
    loop {
        while let Some(step) = session.next() {
            match step {
                Step::Relay(plumbing) => way.relay(plumbing),
                Step::ToAgent(bytes) => to_agent.extend_from_slice(&bytes),
                Step::Learned(knowledge) => targets.learned(&target.name, view, knowledge),
                Step::Did(done) => did = Some(done),
                Step::TargetTls => {
                    way.write().await.map_err(unreachable)?;
                    way = Way::new(secure(way.into_inner(), endpoint).await?);
                    session.target_secured().map_err(login)?;
                }
                Step::Ready => {
                    return Ok(Open {
                        stream: way.into_inner(),
                        endpoint: endpoint.clone(),
                        to_agent,
                        did,
                    });
                }
                Step::AgentTls(_)
                | Step::Identify(_)
                | Step::LoginFailed(_)
                | Step::Connect { .. }
                | Step::Ask(..)
                | Step::Held(..)
                | Step::Resumed(..)
                | Step::Rows(..)
                | Step::Finished(..)
                | Step::Cancel(_)
                | Step::Done => {
                    return Err(login(Fault::Bug("a step that does not belong to a login")));
                }
            }
        }
        way.write().await.map_err(unreachable)?;
        input.clear();
        let read = way.get_mut().read_buf(&mut input).await;
        if read.map_err(unreachable)? == 0 {
            return Err(login(Fault::TargetLogin("it closed the connection".into())));
        }
        session.target(&input).map_err(login)?;
    }
}

async fn dial(endpoint: &Endpoint) -> std::io::Result<Stream> {
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    stream.set_nodelay(true)?;
    Ok(Stream::Plain(stream))
}

async fn secure(stream: Stream, endpoint: &Endpoint) -> Result<Stream, OpenError> {
    let failed = |error: String| OpenError::Tls {
        address: format!("{}:{}", endpoint.host, endpoint.port),
        error,
    };
    let stream = stream
        .into_plain()
        .ok_or_else(|| failed("it is encrypted already".into()))?;
    let config = tls::towards(endpoint).map_err(|error| failed(error.to_string()))?;
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|_| failed("its host is neither a DNS name nor an address".into()))?;
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| failed(error.to_string()))?;
    Ok(Stream::Target(Box::new(stream)))
}

/// Cancels what a target is doing for a session, on a connection of its own, as well as that can be
/// done: the target answers nothing to it.
pub(crate) async fn cancel(protocol: &'static Protocol, endpoint: Endpoint, request: Vec<u8>) {
    let Transport::Socket { tls_request, .. } = protocol.transport else {
        return;
    };
    let sent = timeout(TARGET_LOGIN_TIME_MAX, async {
        // The request holds nothing but the target's own key of that session; it goes without TLS
        // only where the session itself did.
        let mut stream = dial(&endpoint).await?;
        if endpoint.tls != TlsMode::Disable {
            stream.write_all(tls_request).await?;
            if stream.read_u8().await? == b'S' {
                stream = secure(stream, &endpoint)
                    .await
                    .map_err(std::io::Error::other)?;
            }
        }
        stream.write_all(&request).await?;
        stream.flush().await?;
        // It closes once it has taken the request.
        let _ = stream.read_u8().await;
        std::io::Result::Ok(())
    })
    .await;
    if !matches!(sent, Ok(Ok(()))) {
        tracing::warn!(host = %endpoint.host, "a cancel request did not reach the target");
    }
}
