//! `[listen]`: where the gateway listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use bailiwick_control::Shared;

use super::document::Section;

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Where the socket of a group is if nothing else is said, and where commands look for it.
pub(crate) const SHARED_FOLDER: &str = "/run/bailiwick";

/// Where the gateway listens. A listener for agents is opened where there is a target that needs it.
#[derive(Debug)]
pub(crate) struct Listen {
    /// The API over TCP, if wanted. Local commands use the socket in the data folder.
    pub(crate) control: Option<SocketAddr>,
    /// A second socket for local commands, of users who are not the gateway's own.
    pub(crate) shared: Option<Shared>,
    /// Agents' PostgreSQL connections.
    pub(crate) postgres: SocketAddr,
    /// Agents' HTTP connections, for every target that is spoken to in HTTP.
    pub(crate) http: SocketAddr,
    /// The host by which agents reach the gateway.
    pub(crate) advertise: Option<String>,
}

impl Listen {
    pub(super) fn read(top: &Section<'_, '_>, data: &Path) -> Self {
        let mut listen = Self {
            control: None,
            shared: None,
            postgres: local(7432),
            http: local(7480),
            advertise: None,
        };
        let known = [
            "control",
            "control_group",
            "control_folder",
            "postgres",
            "http",
            "advertise",
        ];
        let Some(section) = top.section("listen", &known) else {
            return listen;
        };
        listen.control = address(&section, "control");
        listen.shared = shared(top, &section, data);
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

fn shared(top: &Section<'_, '_>, section: &Section<'_, '_>, data: &Path) -> Option<Shared> {
    const GROUP: &str = "control_group";
    const FOLDER: &str = "control_folder";
    let folder = PathBuf::from(section.plain(FOLDER).unwrap_or(SHARED_FOLDER));
    let Some(group) = section.plain(GROUP) else {
        if section.has(FOLDER) {
            section.report(
                FOLDER,
                "nobody is served there without `control_group`, which says who may come in",
            );
        }
        return None;
    };
    if !folder.is_absolute() || folder.starts_with(data) || data.starts_with(&folder) {
        section.report(
            FOLDER,
            "it has to be an absolute path that has nothing to do with the data folder, such as \"/run/bailiwick\": a \
             group can look into it",
        );
    }
    if !top.has("roles") {
        section.report(
            GROUP,
            "nobody of that group may do anything, as long as [roles] does not say who may: give somebody a role \
             there, such as `operator = [\"human:*@localhost\"]`",
        );
    }
    Some(Shared {
        folder,
        group: group.to_owned(),
    })
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
