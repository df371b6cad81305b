//! Where people reach the console: `[console] url` of the configuration.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::Uri;

/// An origin (RFC 6454), such as `https://bailiwick.acme.com`: scheme, host, and a port where it is not the usual
/// one. Without TLS only on the machine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    secure: bool,
    /// As a `Host` header names it, in lower case.
    authority: String,
}

/// Text that is no such place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not where a console can be: it is `https://HOST` or `https://HOST:PORT` without a path, such as \
     `https://bailiwick.acme.com`; `http://` is for `localhost` and loopback addresses alone, because passwords \
     and sessions would go over the network for everybody to read"
)]
pub struct NoPlace;

impl Place {
    /// Whether whoever is there has proved it by a certificate.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Its host, and a port where it is not the usual one, as a `Host` header names it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Its host, an address of IPv6 without brackets.
    pub fn host(&self) -> &str {
        self.split().0
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.split().1.unwrap_or(if self.secure { 443 } else { 80 })
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.host())
    }

    fn split(&self) -> (&str, Option<u16>) {
        let (host, port) = match self.authority.rsplit_once(':') {
            // The colon of a port; those of an IPv6 address are in brackets.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (&*self.authority, None),
        };
        (host.trim_matches(['[', ']']), port)
    }

    /// Whether a `Host` header names it.
    pub(crate) fn is_host(&self, host: &str) -> bool {
        host.eq_ignore_ascii_case(&self.authority)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let uri: Uri = text.parse().map_err(|_| NoPlace)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(NoPlace),
        };
        let authority = uri.authority().ok_or(NoPlace)?;
        let plain = matches!(text.splitn(4, '/').nth(3), None | Some(""));
        if !plain
            || text.contains(['?', '#'])
            || authority.as_str().contains('@')
            || authority.host().is_empty()
        {
            return Err(NoPlace);
        }
        if !secure && !is_loopback(authority.host()) {
            return Err(NoPlace);
        }
        let usual = if secure { 443 } else { 80 };
        let authority = match authority.port_u16() {
            Some(port) if port != usual => authority.as_str(),
            _ => authority.host(),
        };
        Ok(Self {
            secure,
            authority: authority.to_ascii_lowercase(),
        })
    }
}

/// Whether this host, as a URL names it, is the machine itself.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_origin_and_safe_to_sign_in_at() {
        for (text, origin) in [
            ("https://Bailiwick.acme.com", "https://bailiwick.acme.com"),
            ("https://b.acme.com:443/", "https://b.acme.com"),
            ("https://b.acme.com:8443", "https://b.acme.com:8443"),
            ("http://localhost:7400", "http://localhost:7400"),
            ("http://[::1]:7400", "http://[::1]:7400"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), origin);
        }
        for wrong in [
            "",
            "bailiwick.acme.com",
            "http://bailiwick.acme.com",
            "http://localhost.evil.example",
            "https://b.acme.com/console",
            "https://b.acme.com?x",
            "https://user@b.acme.com",
            "ftp://b.acme.com",
            "https://",
        ] {
            assert_eq!(wrong.parse::<Place>(), Err(NoPlace), "{wrong}");
        }
    }
}
