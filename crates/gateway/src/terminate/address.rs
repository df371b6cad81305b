//! Connecting to where a target is. A name says nothing of where it leads: one that anybody may point at
//! this machine, at a neighbour's or at a cloud's metadata service is followed there only where the
//! target's configuration says that it is meant. What was checked is what is connected to: the name is
//! looked up once.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::limits::{ADDRESSES_MAX, CONNECT_TIME_MAX, NEXT_ADDRESS_AFTER};

/// Why there is no connection. For whoever runs the gateway: it names addresses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name leads nowhere.
    #[error("`{host}` cannot be looked up: {error}")]
    Unknown { host: String, error: io::Error },
    /// It leads only to where a public target has no business to be.
    #[error(
        "`{host}` is at {address}, which is not a public address; set `private = true` for the target if it is meant to be there"
    )]
    Private { host: String, address: IpAddr },
    /// Nobody answers there.
    #[error("`{host}` cannot be reached at {address}: {error}")]
    Unreachable {
        host: String,
        address: SocketAddr,
        error: io::Error,
    },
    /// It took too long.
    #[error("`{host}` cannot be reached within {} s", CONNECT_TIME_MAX.as_secs())]
    TimedOut { host: String },
}

/// Connects to a host: a name, or an address with or without the brackets that it has in a URL.
///
/// `private` says that the host may be at an address that is not public. An address that is written out is
/// always meant; its odd spellings (`127.1`, `0x7f.1`, `2130706433`) are names to this, and what they lead
/// to is checked.
///
/// # Errors
/// If there is no connection; the text says what to do.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    private: bool,
) -> Result<TcpStream, ConnectError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    let connecting = async {
        if let Ok(address) = bare.parse::<IpAddr>() {
            return first(host, vec![SocketAddr::new(address, port)]).await;
        }
        let found = lookup_host((bare, port))
            .await
            .map_err(|error| ConnectError::Unknown {
                host: host.to_owned(),
                error,
            })?;
        first(host, allowed(host, found, private)?).await
    };
    let stream =
        timeout(CONNECT_TIME_MAX, connecting)
            .await
            .map_err(|_| ConnectError::TimedOut {
                host: host.to_owned(),
            })??;
    // Small messages should go at once; where that cannot be had, they go all the same.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The addresses to try, in order: IPv6 and IPv4 by turns, beginning with what the resolver prefers (RFC
/// 8305, section 4).
fn allowed(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
    private: bool,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let (mut good, mut bad) = (Vec::new(), None);
    for address in found {
        if private || is_public(address.ip()) {
            good.push(address);
        } else {
            bad.get_or_insert(address.ip());
        }
    }
    let Some(preferred) = good.first().map(SocketAddr::is_ipv6) else {
        return Err(match bad {
            Some(address) => ConnectError::Private {
                host: host.to_owned(),
                address,
            },
            None => ConnectError::Unknown {
                host: host.to_owned(),
                error: io::Error::new(io::ErrorKind::NotFound, "it has no address"),
            },
        });
    };
    let (one, other): (Vec<_>, Vec<_>) = good
        .into_iter()
        .partition(|address| address.is_ipv6() == preferred);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut by_turns = Vec::new();
    loop {
        let pair = [one.next(), other.next()];
        if pair == [None, None] {
            break;
        }
        by_turns.extend(pair.into_iter().flatten());
    }
    by_turns.truncate(ADDRESSES_MAX);
    Ok(by_turns)
}

/// The first of the addresses that answers; each next one is tried when one has failed, or is slow (RFC
/// 8305, section 5). What else was under way is given up.
async fn first(host: &str, addresses: Vec<SocketAddr>) -> Result<TcpStream, ConnectError> {
    let mut waiting = addresses.into_iter();
    let mut trying = JoinSet::new();
    let mut failed = None;
    loop {
        if let Some(address) = waiting.next() {
            trying.spawn(async move { (address, TcpStream::connect(address).await) });
        }
        let patience = match waiting.len() {
            // Nothing else to try: only the limit on the whole ends it.
            0 => Duration::MAX,
            _ => NEXT_ADDRESS_AFTER,
        };
        tokio::select! {
            done = trying.join_next() => match done {
                Some(Ok((_, Ok(stream)))) => return Ok(stream),
                Some(Ok((address, Err(error)))) => {
                    failed = Some(ConnectError::Unreachable { host: host.to_owned(), address, error });
                }
                Some(Err(_)) => {}
                None => return Err(failed.unwrap_or(ConnectError::TimedOut { host: host.to_owned() })),
            },
            () = sleep(patience) => {}
        }
    }
}

/// Whether an address is anybody's on the public Internet. Not known is no: of IPv6, only what is given out
/// for global unicast is, less what is set aside in it (the IANA registries of special-purpose addresses,
/// RFC 6890). An IPv6 address that stands for an IPv4 address is what that is.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || match address.octets() {
            // This network (RFC 791), also the unspecified address.
            [0, ..] => true,
            // Shared by a provider's customers (RFC 6598).
            [100, second, ..] => second & 0xc0 == 64,
            // Protocol assignments (RFC 6890), and the relays of 6to4 (RFC 7526).
            [192, 0, 0, _] | [192, 88, 99, _] => true,
            // Measurements between networks (RFC 2544).
            [198, 18 | 19, ..] => true,
            // Multicast, reserved, broadcast.
            [224..=255, ..] => true,
            _ => false,
        };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let embedded =
        |high: u16, low: u16| is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // IPv4-mapped (RFC 4291), and through a NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        // Protocol assignments with Teredo, ORCHID and benchmarking in them (RFC 2928).
        [0x2001, 0..0x200, ..] => false,
        // Documentation (RFC 3849, RFC 9637).
        [0x2001, 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // 6to4 (RFC 3056): the IPv4 address follows.
        [0x2002, high, low, ..] => embedded(high, low),
        // Global unicast (RFC 4291): 2000::/3.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn found(addresses: &[&str]) -> std::vec::IntoIter<SocketAddr> {
        let addresses: Vec<_> = addresses
            .iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 443))
            .collect();
        addresses.into_iter()
    }

    #[test]
    fn what_is_not_anybodys_is_not_public_however_it_is_written() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "2002:c0a8:101::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2002:808:808::1",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "3ffe::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn of_the_addresses_of_a_name_only_those_that_are_allowed_are_tried() {
        let mixed = ["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1", "1.1.1.1"];
        let public = allowed("crm.example", found(&mixed), false).unwrap();
        let expected: Vec<_> = found(&["8.8.8.8", "2606:4700::1", "1.1.1.1"]).collect();
        assert_eq!(public, expected);
        assert_eq!(
            allowed("crm.example", found(&mixed), true).unwrap().len(),
            5
        );

        let refused = allowed("crm.example", found(&["169.254.169.254"]), false).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`crm.example` is at 169.254.169.254, which is not a public address; set `private = true` for the target if it is meant to be there"
        );
        let nothing = allowed("crm.example", found(&[]), false).unwrap_err();
        assert!(matches!(nothing, ConnectError::Unknown { .. }));
        let many = found(&["8.8.8.8"; 100]);
        assert_eq!(
            allowed("crm.example", many, false).unwrap().len(),
            ADDRESSES_MAX
        );
    }

    #[tokio::test]
    async fn names_of_this_machine_are_refused_unless_that_is_meant() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in [
            "localhost",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "0",
            "127.0.0.1.",
        ] {
            match connect(host, port, false).await {
                // Some resolvers know the odd spellings, some do not.
                Err(ConnectError::Private { .. } | ConnectError::Unknown { .. }) => {}
                other => panic!("{host}: {other:?}"),
            }
        }
        assert!(matches!(
            connect("localhost", port, false).await,
            Err(ConnectError::Private { .. })
        ));
        assert!(connect("localhost", port, true).await.is_ok());
        assert!(connect("127.0.0.1", port, false).await.is_ok());
        // The address itself, in the one form in which it is one.
        assert!(connect("[::ffff:127.0.0.1]", port, false).await.is_ok());
    }

    #[tokio::test]
    async fn one_that_answers_is_found_behind_one_that_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let stream = first("two.example", vec![closed, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let failed = first("two.example", vec![closed]).await.unwrap_err();
        assert!(matches!(failed, ConnectError::Unreachable { address, .. } if address == closed));
    }
}
