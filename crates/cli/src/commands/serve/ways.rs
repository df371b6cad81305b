//! How a run's process reaches the gateway: what its environment and its clients' files say.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use bailiwick_control::Kit;
use bailiwick_policy::Task;
use bailiwick_run::{RunId, Secret};
use bailiwick_wire::{Agent, Protocol, Transport};
use serde_json::json;

use super::wiring::Listener;
use crate::config::Config;

/// What the gateway's own authority is: it is known only when the gateway is made, which needs the registry,
/// which needs this.
pub(super) type Authority = Arc<OnceLock<String>>;

/// The targets, and where their listeners are.
pub(super) struct Ways {
    /// The host by which agents reach the gateway, if it is not the listener's address.
    advertise: Option<String>,
    targets: BTreeMap<String, Way>,
    /// The gateway's own authority, as PEM, once there is one.
    ca: Authority,
}

#[derive(Clone, Copy)]
struct Way {
    protocol: &'static Protocol,
    address: SocketAddr,
}

impl Ways {
    pub(super) fn new(config: &Config, listeners: &[Listener], ca: Authority) -> Self {
        let way = |protocol: &'static Protocol| {
            let listener = listeners.iter().find(|listener| {
                let http = matches!(protocol.transport, Transport::Http);
                match listener.protocol.transport {
                    Transport::Http => http,
                    Transport::Socket { .. } => listener.protocol.name == protocol.name,
                }
            })?;
            let address = listener.address;
            Some(Way { protocol, address })
        };
        let targets = config.targets.iter();
        Self {
            advertise: config.listen.advertise.clone(),
            targets: targets
                .filter_map(|target| Some((target.name.clone(), way(target.protocol)?)))
                .collect(),
            ca,
        }
    }

    /// What `FORM:TARGET` or `TARGET` in a task's `[env]` stands for; nothing where there is no such form
    /// or target.
    pub(super) fn value(&self, value: &str, run: &RunId, secret: &Secret) -> Option<String> {
        let (form, target) = match value.split_once(':') {
            Some((form, target)) => (Some(form), target),
            None => (None, value),
        };
        self.form(form, target, run, secret)
    }

    /// What a run's process is handed for the targets of its task that are spoken to in HTTP.
    pub(super) fn kit(&self, task: &Task, run: &RunId, secret: &Secret) -> Kit {
        let named = task.targets();
        let targets: Vec<(&str, Way)> = named
            .into_iter()
            .filter_map(|target| Some((target, *self.targets.get(target)?)))
            .filter(|(_, way)| matches!(way.protocol.transport, Transport::Http))
            .collect();
        let Some((first, way)) = targets.first() else {
            return Kit::default();
        };
        let host = self.host(way);
        let authority = match host.contains(':') {
            true => format!("[{host}]:{}", way.address.port()),
            false => format!("{host}:{}", way.address.port()),
        };
        let mut env = BTreeMap::new();
        let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
        set("BAILIWICK_URL", &format!("http://{authority}"));
        set("BAILIWICK_TOKEN", secret.reveal());
        let proxy = task
            .proxy
            .then(|| self.form(Some("proxy"), first, run, secret));
        let proxy = proxy.flatten();
        if let Some(proxy) = &proxy {
            for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
                set(name, proxy);
            }
            // The gateway itself is not behind itself.
            set("NO_PROXY", &host);
            set("no_proxy", &host);
            set("NODE_USE_ENV_PROXY", "1");
        }
        let servers: serde_json::Map<String, serde_json::Value> = targets
            .iter()
            .filter(|(_, way)| way.protocol.name == "mcp")
            .filter_map(|(target, _)| {
                let server = json!({
                    "type": "http",
                    "url": self.form(Some("url"), target, run, secret)?,
                    "headers": { "Authorization": format!("Bearer {}", secret.reveal()) },
                });
                Some(((*target).to_owned(), server))
            })
            .collect();
        Kit {
            env,
            mcp: (!servers.is_empty()).then(|| json!({ "mcpServers": servers })),
            ca: proxy.and_then(|_| self.ca.get().cloned()),
        }
    }

    fn form(
        &self,
        form: Option<&str>,
        target: &str,
        run: &RunId,
        secret: &Secret,
    ) -> Option<String> {
        let way = self.targets.get(target)?;
        let mut forms = way.protocol.forms.iter();
        let form = forms.find(|known| form.is_none_or(|form| form == known.name))?;
        let agent = Agent {
            host: &self.host(way),
            port: way.address.port(),
            run: &run.to_string(),
            secret: secret.reveal(),
            target,
        };
        Some((form.value)(&agent))
    }

    fn host(&self, way: &Way) -> String {
        match &self.advertise {
            Some(host) => host.clone(),
            None => reachable(way.address.ip()).to_string(),
        }
    }
}

/// Where a listener is reached from this machine: one that listens everywhere is at home, too.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
