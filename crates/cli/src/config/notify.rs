//! `[notify.NAME]`: who is told of signals, and of calls that wait for an approval.

use std::path::Path;

use bailiwick_control::{Fetch, Sink, Syslog, Way};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::document::Section;
use super::people::NOT_IN_THE_FILE;
use super::problem::{Problems, nearest};
use super::sealed::Sealed;

const KINDS: [&str; 4] = ["webhook", "slack", "syslog", "otlp"];

const KEYS: [&str; 4] = ["authorization", "kind", "secret", "url"];

/// What a secret of a webhook begins with.
const SECRET_PREFIX: &str = "whsec_";

/// Where OTLP takes logs.
const LOGS: &str = "/v1/logs";

/// One sink, with its secrets not looked up yet.
#[derive(Debug)]
pub(crate) struct Notify {
    pub(super) name: String,
    to: To,
}

#[derive(Debug)]
enum To {
    Webhook {
        url: Sealed,
        secret: Sealed,
    },
    Slack {
        url: Sealed,
    },
    Otlp {
        url: Sealed,
        authorization: Option<Sealed>,
    },
    Syslog(Syslog),
}

/// Reads them all.
pub(super) fn read_all(top: &Section<'_, '_>) -> Vec<Notify> {
    let sections = top.named_sections("notify", &KEYS);
    let read = |(name, section): (&str, Section<'_, '_>)| read(name, &section);
    sections.into_iter().filter_map(read).collect()
}

fn read(name: &str, section: &Section<'_, '_>) -> Option<Notify> {
    if !is_name(name) {
        section.report_itself("its name has to be 1 to 64 lower-case letters, digits and `-`");
    }
    let kind = section.required(
        "kind",
        "it is one of `webhook`, `slack`, `syslog` and `otlp`",
    )?;
    let refuse = |key: &str, only: &str| {
        if section.has(key) && kind != only {
            section.report(key, format!("only a sink of kind `{only}` takes it"));
        }
    };
    refuse("secret", "webhook");
    refuse("authorization", "otlp");
    let to = match kind {
        "webhook" => {
            let url = url(section);
            let secret = section.required_sealed(
                "secret",
                "it signs what is sent: `whsec_` and 24 to 64 random bytes in base64, as `${NAME}` or `${file:PATH}`",
            )?;
            if !secret.template().is_secret() {
                section.report("secret", NOT_IN_THE_FILE);
            }
            To::Webhook { url: url?, secret }
        }
        "slack" => To::Slack { url: url(section)? },
        "otlp" => To::Otlp {
            url: url(section)?,
            authorization: section.sealed("authorization"),
        },
        "syslog" => {
            let url = section.required(
                "url",
                "it is where the server is: `udp://HOST:PORT`, `tcp://HOST:PORT` or `unix:PATH`",
            )?;
            match syslog(url) {
                Some(syslog) => To::Syslog(syslog),
                None => {
                    section.report(
                        "url",
                        "it has to be `udp://HOST:PORT`, `tcp://HOST:PORT` or `unix:/PATH`, such as `unix:/dev/log`",
                    );
                    return None;
                }
            }
        }
        other => {
            section.report_nearest(
                "kind",
                format!(
                    "there is no kind `{other}`; there are `webhook`, `slack`, `syslog` and `otlp`"
                ),
                nearest(other, KINDS),
            );
            return None;
        }
    };
    Some(Notify {
        name: name.to_owned(),
        to,
    })
}

/// Whether it can be the name of a sink or a rule.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 64 && name.chars().all(fits)
}

fn url(section: &Section<'_, '_>) -> Option<Sealed> {
    let url = section.required_sealed("url", "it is where notices are sent to")?;
    if let Some(Err(why)) = url.template().shape().map(|shape| is_url(&shape)) {
        section.report("url", why);
        return None;
    }
    Some(url)
}

/// Over TLS, or to this machine: what is sent names people, and may carry what lets it in.
fn is_url(url: &str) -> Result<(), &'static str> {
    let uri: hyper::Uri = url.parse().map_err(|_| "it is not a URL")?;
    let authority = uri.authority().ok_or("it is not a whole URL")?;
    if authority.as_str().contains('@') {
        return Err("a login in it is not used; take it out");
    }
    let host = authority.host().trim_matches(['[', ']']);
    let at_home = host == "localhost"
        || (host.parse::<std::net::IpAddr>()).is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if at_home => Ok(()),
        _ => Err("it has to begin with `https://`; `http://` is for this machine alone"),
    }
}

fn syslog(url: &str) -> Option<Syslog> {
    if let Some(path) = url.strip_prefix("unix:") {
        return path.starts_with('/').then(|| Syslog::Unix(path.into()));
    }
    let (scheme, place) = url.split_once("://")?;
    let (host, port) = place.rsplit_once(':')?;
    let (host, port) = (host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?);
    match scheme {
        _ if host.is_empty() || host.contains('/') => None,
        "udp" => Some(Syslog::Udp { host, port }),
        "tcp" => Some(Syslog::Tcp { host, port }),
        _ => None,
    }
}

impl Notify {
    /// What names a secret, or is one.
    pub(super) fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        let (one, other) = match &self.to {
            To::Webhook { url, secret } => (Some(url), Some(secret)),
            To::Slack { url } => (Some(url), None),
            To::Otlp { url, authorization } => (Some(url), authorization.as_ref()),
            To::Syslog(_) => (None, None),
        };
        one.into_iter().chain(other)
    }

    /// Whether a secret stands in the configuration itself: whoever has Slack's URL can post.
    pub(super) fn holds_secrets(&self) -> bool {
        matches!(&self.to, To::Slack { url } if url.template().is_literal())
    }

    /// With the secrets looked up.
    pub(crate) fn sink(&self, folder: &Path, fetch: &Fetch) -> Result<Sink, Problems> {
        let url = |url: &Sealed| {
            let text = url.url(folder)?;
            is_url(&text).map_err(|why| url.problem(why.to_owned()))?;
            Ok::<_, Problems>(text)
        };
        let fetch = Fetch::clone(fetch);
        let way = match &self.to {
            To::Webhook { url: place, secret } => Way::Webhook {
                url: url(place)?,
                secret: key(&secret.text(folder)?).map_err(|why| secret.problem(why.to_owned()))?,
                fetch,
            },
            To::Slack { url: place } => Way::Slack {
                url: url(place)?,
                fetch,
            },
            To::Otlp {
                url: place,
                authorization,
            } => {
                let mut url = url(place)?;
                if !url.ends_with(LOGS) {
                    url = format!("{}{LOGS}", url.trim_end_matches('/'));
                }
                let value = authorization.as_ref().map(|value| value.header(folder));
                let field = |value| ("authorization".to_owned(), value);
                Way::Otlp {
                    url,
                    fields: value.transpose()?.map(field).into_iter().collect(),
                    fetch,
                }
            }
            To::Syslog(syslog) => Way::Syslog(syslog.clone()),
        };
        Ok(Sink {
            name: self.name.clone(),
            way,
        })
    }
}

/// The key in a secret of Standard Webhooks.
fn key(secret: &str) -> Result<Vec<u8>, &'static str> {
    const WRONG: &str = "it has to be `whsec_` and 24 to 64 bytes in base64; `echo whsec_$(openssl rand -base64 32)` \
                         makes one";
    let text = secret.trim().strip_prefix(SECRET_PREFIX).ok_or(WRONG)?;
    let key = BASE64_STANDARD.decode(text).map_err(|_| WRONG)?;
    (24..=64).contains(&key.len()).then_some(key).ok_or(WRONG)
}
