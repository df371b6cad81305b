//! A run on a gateway of another machine: what of its answer holds here.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;

use bailiwick_control::api::OpenedRun;
use bailiwick_run::Confinement;

use crate::failure::Failure;
use crate::render::note;

/// Refuses where the agent would look for the gateway on its own machine, and says what confinement is worth here.
pub(super) fn check(opened: &OpenedRun) -> Result<(), Failure> {
    if let Some(why) = sent_home(opened) {
        return Err(Failure::new(why));
    }
    if opened.confine.mode == Confinement::GatewayOnly {
        note(
            "gateway-only: the agent can connect to the gateway's ports, of whatever machine, and cannot ask a name \
             server: the gateway's host has to be an address, or stand in /etc/hosts",
        );
    }
    Ok(())
}

/// What is wrong if the agent would look for the gateway on its own machine.
pub(in crate::commands) fn sent_home(opened: &OpenedRun) -> Option<String> {
    let (name, _) = opened.env.iter().find(|(_, value)| leads_home(value))?;
    Some(format!(
        "the gateway tells its agents to look for it on their own machine (`{name}`), which it is not on; whoever keeps it \
         sets `advertise` under [listen] to the host by which agents reach it, and lets it listen there"
    ))
}

/// Whether a URL, or a host by itself, is this machine.
fn leads_home(value: &str) -> bool {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        // Bare, an address of IPv6 has no port.
        None if host.matches(':').count() > 1 => host,
        None => host.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether there may be such a path here.
pub(super) fn may_be(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_many_names() {
        for home in [
            "postgres://run:bwk@127.0.0.1:7432/tickets",
            "jdbc:postgresql://localhost:7432/tickets?user=run",
            "http://[::1]:7480",
            "http://LOCALHOST",
            "127.0.0.2",
            "::1",
        ] {
            assert!(leads_home(home), "{home}");
        }
        for far in [
            "postgres://run:127.0.0.1@gateway.acme.internal:7432/localhost",
            "http://10.0.0.1:7480/127.0.0.1",
            "bwk_0123",
            "",
            "localhost.evil.example",
        ] {
            assert!(!leads_home(far), "{far}");
        }
    }
}
