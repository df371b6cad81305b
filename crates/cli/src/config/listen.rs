//! `[listen]`: where the gateway listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::document::Section;

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Where the gateway listens. A listener for agents is opened where there is a target that needs it.
#[derive(Debug)]
pub(crate) struct Listen {
    /// The API over TCP, if wanted. Local commands use the socket in the data folder.
    pub(crate) control: Option<SocketAddr>,
    /// Agents' PostgreSQL connections.
    pub(crate) postgres: SocketAddr,
    /// Agents' HTTP connections, for every target that is spoken to in HTTP.
    pub(crate) http: SocketAddr,
    /// The host by which agents reach the gateway.
    pub(crate) advertise: Option<String>,
}

impl Listen {
    pub(super) fn read(top: &Section<'_, '_>) -> Self {
        let mut listen = Self {
            control: None,
            postgres: local(7432),
            http: local(7480),
            advertise: None,
        };
        let known = ["control", "postgres", "http", "advertise"];
        let Some(section) = top.section("listen", &known) else {
            return listen;
        };
        listen.control = address(&section, "control");
        if let Some(postgres) = address(&section, "postgres") {
            listen.postgres = postgres;
        }
        if let Some(http) = address(&section, "http") {
            listen.http = http;
        }
        listen.advertise = section.plain("advertise").map(str::to_owned);
        if let Some(host) = &listen.advertise
            && (host.is_empty()
                || !host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c)))
        {
            section.report(
                "advertise",
                "it has to be a host name or an address, without a port, such as \"gateway.acme.internal\"",
            );
        }
        listen
    }
}

pub(super) fn address(section: &Section<'_, '_>, key: &str) -> Option<SocketAddr> {
    let text = section.plain(key)?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            section.report(
                key,
                format!("`{text}` is not an address and a port, such as \"127.0.0.1:7432\""),
            );
            None
        }
    }
}
