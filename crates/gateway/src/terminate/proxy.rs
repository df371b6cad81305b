//! Agents that take the gateway for a proxy and want TLS with their target (CONNECT: RFC 9110, section
//! 9.3.6); or want a tunnel for plain HTTP, as some do. The tunnel ends here, in the target's name: what comes through it is requests like
//! any others, each checked and recorded, and none of another host.

use bailiwick_wire::http::bhttp;
use bailiwick_wire::{Protocol, Step};
use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use http::{Response, StatusCode, request};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::body::Body;
use super::head::Origin;
use crate::directory::Admission;
use crate::gateway::Gateway;
use crate::limits::LOGIN_TIME_MAX;
use crate::login::{admitted, identify, login_failed};

/// A tunnel that an agent may have.
#[derive(Clone)]
pub(crate) struct Tunnel {
    /// Whose requests it is for.
    pub(crate) origin: Origin,
    /// Which run they are of: what the agent showed when it asked for the tunnel.
    credential: Bytes,
    /// Nothing where the target is reached by plain HTTP.
    tls: Option<TlsAcceptor>,
}

/// The agent's end of a tunnel, as it is within.
pub(crate) type Within = Box<dyn Io>;

/// Bytes both ways.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

impl Tunnel {
    /// Starts TLS with the agent, if its target has it, once it has been told that it has the tunnel.
    ///
    /// # Errors
    /// If the agent goes away, wants another host after all, or does not trust the gateway.
    pub(crate) async fn enter(&self, upgrade: OnUpgrade) -> std::io::Result<Within> {
        let entering = async {
            let upgraded = TokioIo::new(upgrade.await.map_err(std::io::Error::other)?);
            let within: Within = match &self.tls {
                Some(tls) => Box::new(tls.accept(upgraded).await?),
                None => Box::new(upgraded),
            };
            Ok(within)
        };
        timeout(LOGIN_TIME_MAX, entering).await?
    }

    /// Makes a request from within the tunnel one of the run that has the tunnel, and of no other.
    pub(crate) fn sign(&self, request: &mut bhttp::Request) {
        let name = PROXY_AUTHORIZATION.as_str();
        request.fields.retain(|(key, _)| key != name);
        let credential = self.credential.clone();
        request.fields.push((name.to_owned(), credential));
    }
}

/// Whether an agent may have the tunnel that it asks for: of a live run, to the address of a target that the
/// run may use. If not, that is on record, and the response says so.
pub(crate) async fn open(
    gateway: &Gateway,
    protocol: &'static Protocol,
    asked: &request::Parts,
) -> Result<Tunnel, Response<Body>> {
    let Some(authority) = &gateway.authority else {
        return Err(no(StatusCode::NOT_IMPLEMENTED, NO_PROXY));
    };
    let place = Place::of(asked).map_err(|why| no(StatusCode::BAD_REQUEST, why))?;
    let Some(credential) = asked.headers.get(PROXY_AUTHORIZATION) else {
        return Err(who());
    };
    let Some(admission) = whose(gateway, protocol, &place, asked).await else {
        return Err(who());
    };
    let may = admission.scope();
    let is_there = |scheme: &&str| {
        let mut targets = gateway.targets.at(scheme, &place.host, place.port);
        targets.any(|target| may.may_use(&target.name))
    };
    // Some agents want a tunnel for plain HTTP, too.
    let found = ["https", "http"].into_iter().find(is_there).map(|scheme| {
        let tls = match scheme {
            "https" => Some(authority.in_the_name_of(&place.host)),
            _ => None,
        };
        (scheme, tls.transpose())
    });
    match found {
        Some((scheme, Ok(config))) => Ok(Tunnel {
            origin: Origin {
                scheme: scheme.into(),
                authority: place.authority(scheme),
            },
            credential: Bytes::copy_from_slice(credential.as_bytes()),
            tls: config.map(TlsAcceptor::from),
        }),
        Some((_, Err(error))) => {
            tracing::error!(%error, "no certificate could be made in the name of a target");
            Err(no(StatusCode::BAD_GATEWAY, NO_CERTIFICATE))
        }
        // An address of no target and one of a target that is out of scope are told apart by nobody.
        None => {
            let run = &admission.run;
            let what = format!(
                "a tunnel to `{}` is outside the scope of run {} (task {})",
                place.authority("https").escape_debug(),
                run.id,
                run.task
            );
            admission.tally.deny();
            gateway.login_denied(Some(run), None, what.clone()).await;
            let what = format!("{what}. Ask for a grant on a target there in the task's file.");
            Err(no(StatusCode::FORBIDDEN, &what))
        }
    }
}

const NO_PROXY: &str = "This gateway is no proxy.";
const NO_CERTIFICATE: &str = "The gateway could not make a certificate. Its own log says why.";

/// The run that asks, found as that of a request to the same address would be.
async fn whose(
    gateway: &Gateway,
    protocol: &'static Protocol,
    place: &Place,
    asked: &request::Parts,
) -> Option<Admission> {
    let fields = asked.headers.get_all(PROXY_AUTHORIZATION).iter();
    let mut head = BytesMut::new();
    bhttp::put_request(
        &mut head,
        &bhttp::Request {
            method: "GET".into(),
            scheme: "https".into(),
            authority: place.authority("https"),
            path: "/".into(),
            fields: fields
                .map(|value| {
                    let value = Bytes::copy_from_slice(value.as_bytes());
                    (PROXY_AUTHORIZATION.as_str().to_owned(), value)
                })
                .collect(),
        },
    );
    let mut session = (protocol.session)(Gateway::seed().ok()?);
    session.agent(&head).ok()?;
    let mut claimed = None;
    while let Some(step) = session.next() {
        match step {
            Step::Identify(claim) => {
                let verifier;
                (claimed, verifier) = identify(gateway, &claim);
                session.identified(verifier).ok()?;
            }
            Step::LoginFailed(failure) => {
                login_failed(gateway, claimed.as_ref(), failure).await;
                return None;
            }
            Step::Connect { verified, .. } => return admitted(gateway, &verified).await.ok(),
            _ => return None,
        }
    }
    None
}

/// Where a tunnel is to lead.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// In lower case; an IPv6 address in brackets.
    host: String,
    port: u16,
}

impl Place {
    /// Reads a request for a tunnel.
    fn of(asked: &request::Parts) -> Result<Self, &'static str> {
        // Nobody agrees on what content would mean there (RFC 9110, section 9.3.6).
        if [CONTENT_LENGTH, TRANSFER_ENCODING]
            .iter()
            .any(|name| asked.headers.contains_key(name))
        {
            return Err("A request for a tunnel has no content.");
        }
        let authority = asked.uri.authority().map(http::uri::Authority::as_str);
        let authority = authority.unwrap_or_default();
        let mut hosts = asked.headers.get_all(HOST).iter();
        let other =
            |host: &HeaderValue| !authority.as_bytes().eq_ignore_ascii_case(host.as_bytes());
        if hosts.next().is_some_and(other) || hosts.next().is_some() {
            return Err("The request names one host and its `host` field another.");
        }
        let unreadable = "A tunnel leads to a host and a port, like `crm.example:443`.";
        let (host, port) = authority.rsplit_once(':').ok_or(unreadable)?;
        let is_address = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || host.contains('@') || (host.contains(':') && !is_address) {
            return Err(unreadable);
        }
        if port.starts_with(['+', '0']) {
            return Err(unreadable);
        }
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port: port.parse().map_err(|_| unreadable)?,
        })
    }

    /// As it stands in a URL of this scheme.
    fn authority(&self, scheme: &str) -> String {
        match (scheme, self.port) {
            ("https", 443) | ("http", 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

/// Asks for a credential.
fn who() -> Response<Body> {
    let what = "A proxy's user is the run's id, or nothing; its password is the run's secret.";
    let mut response = no(StatusCode::PROXY_AUTHENTICATION_REQUIRED, what);
    let challenge = HeaderValue::from_static("Basic realm=\"bailiwick\", charset=\"UTF-8\"");
    response.headers_mut().insert(PROXY_AUTHENTICATE, challenge);
    response
}

/// Refuses a tunnel. What the agent sent after its request was for the tunnel, so it is not to be read as
/// requests: the connection ends.
fn no(status: StatusCode, what: &str) -> Response<Body> {
    let problem = serde_json::json!({
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": what,
    });
    let mut response = Response::new(Body::Whole(Bytes::from(problem.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let kind = HeaderValue::from_static("application/problem+json");
    headers.insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn place(authority: &str, fields: &[(&str, &str)]) -> Result<Place, &'static str> {
        let mut request = Request::connect(authority);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Place::of(&parts)
    }

    #[test]
    fn a_tunnel_leads_to_one_place() {
        let good = place("CRM.example:443", &[("host", "crm.example:443")]).unwrap();
        assert_eq!((&*good.host, good.port), ("crm.example", 443));
        assert_eq!(good.authority("https"), "crm.example");
        assert_eq!(good.authority("http"), "crm.example:443");
        let good = place("[::1]:8443", &[]).unwrap();
        assert_eq!(good.authority("https"), "[::1]:8443");
        for (authority, fields) in [
            ("crm.example", &[][..]),
            ("crm.example:0443", &[]),
            ("crm.example:99999", &[]),
            ("user@crm.example:443", &[]),
            ("crm.example:443", &[("host", "hr.example:443")]),
            ("crm.example:443", &[("host", "crm.example")]),
            (
                "crm.example:443",
                &[("host", "crm.example:443"), ("host", "hr.example:443")],
            ),
            ("crm.example:443", &[("content-length", "0")]),
            ("crm.example:443", &[("content-length", "5")]),
            ("crm.example:443", &[("transfer-encoding", "chunked")]),
        ] {
            assert!(place(authority, fields).is_err(), "{authority} {fields:?}");
        }
    }
}
