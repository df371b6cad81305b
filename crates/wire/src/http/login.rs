//! By what a request says which run it is of, and which target it wants. The credential opens only this
//! gateway, and ends here: no field that can hold one is passed on.

use std::sync::Arc;

use bailiwick_run::{BearerDigest, RunId, Verified, Verifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::bhttp::Request;
use super::path;
use crate::limits::HTTP_CREDENTIAL_BYTES_MAX;
use crate::{Claim, LoginFailure, Wanted};

const AUTHORIZATION: &str = "authorization";
const PROXY_AUTHORIZATION: &str = "proxy-authorization";

/// What a run's secret begins with.
const SECRETS_PREFIX: &str = "bwk_";

/// How an agent takes the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// For the target itself: the path begins with the target's name.
    Target,
    /// For a proxy: the request names the target's own address.
    Proxy,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// How it came.
    pub(crate) face: Face,
    /// Which target.
    pub(crate) wanted: Wanted,
    /// The path in its one spelling: behind the target's name, or the whole where the target is named by
    /// its address. Or why it has none; the call is refused then, but not before it is known whose it is.
    pub(crate) path: Result<String, path::Odd>,
    /// The query as sent.
    pub(crate) query: Option<String>,
}

impl Route {
    /// Reads a request's head.
    pub(crate) fn of(head: &Request) -> Self {
        let (path, query) = path::split(&head.path);
        let query = query.map(str::to_owned);
        if head.scheme.is_empty() && head.authority.is_empty() {
            let name = path.trim_start_matches('/').split('/').next();
            let (name, path) = match path::canonical(path) {
                Ok(spelled) => {
                    let rest = spelled.get(1..).unwrap_or_default();
                    let (name, rest) = match rest.find('/') {
                        Some(slash) => rest.split_at(slash),
                        None => (rest, "/"),
                    };
                    (name.to_owned(), Ok(rest.to_owned()))
                }
                Err(odd) => (name.unwrap_or_default().to_owned(), Err(odd)),
            };
            return Self {
                face: Face::Target,
                wanted: Wanted::Name(name),
                path,
                query,
            };
        }
        let path = path::canonical(if path.is_empty() { "/" } else { path });
        let scheme = head.scheme.to_ascii_lowercase();
        let authority = head.authority.to_ascii_lowercase();
        let usual = match &*scheme {
            "http" => ":80",
            "https" => ":443",
            _ => "",
        };
        let authority = match authority.strip_suffix(usual) {
            Some(host) if !usual.is_empty() => host.to_owned(),
            _ => authority,
        };
        Self {
            face: Face::Proxy,
            wanted: Wanted::Url {
                scheme,
                authority,
                path: path.clone().unwrap_or_else(|_| "/".to_owned()),
            },
            path,
            query,
        }
    }
}

/// The credential that a request brought.
pub(crate) struct Login {
    /// The user that came along, of Basic: empty, or the run's id. Agent-supplied text.
    user: String,
    digest: BearerDigest,
    /// Whether it looks like a run's own secret.
    is_of_a_run: bool,
}

/// Why a request has no credential that could be looked up. No agent-supplied text in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoLogin(pub(crate) &'static str);

impl Login {
    /// Reads the one credential of a request's head (RFC 6750, section 2.1; RFC 7617). A request to a proxy
    /// may bring what is meant for the target in `authorization`, which is dropped, as long as it has its
    /// own credential where a proxy's belongs.
    ///
    /// # Errors
    /// If there is none, or more than one, or it cannot be read.
    pub(crate) fn of(head: &Request, face: Face) -> Result<Self, NoLogin> {
        let own = one(head, AUTHORIZATION)?;
        let proxy = one(head, PROXY_AUTHORIZATION)?;
        match (face, own, proxy) {
            (_, None, None) => Err(NoLogin("it brought no credential")),
            (_, Some(sent), None) => Self::read(sent),
            (Face::Target, _, Some(_)) => Err(NoLogin(
                "it brought a proxy's credential, and named no address to go to",
            )),
            (Face::Proxy, None, Some(sent)) => Self::read(sent),
            (Face::Proxy, Some(other), Some(sent)) => {
                let login = Self::read(sent)?;
                match Self::read(other) {
                    Ok(other) if other.is_of_a_run && other.digest != login.digest => {
                        Err(NoLogin("it brought the credentials of two runs"))
                    }
                    _ => Ok(login),
                }
            }
        }
    }

    fn read(sent: &[u8]) -> Result<Self, NoLogin> {
        const UNREADABLE: NoLogin = NoLogin("its credential is neither Bearer nor Basic");
        if sent.len() > HTTP_CREDENTIAL_BYTES_MAX {
            return Err(NoLogin("its credential is too long"));
        }
        let sent = std::str::from_utf8(sent).map_err(|_| UNREADABLE)?;
        let (scheme, value) = sent.trim().split_once(' ').ok_or(UNREADABLE)?;
        let value = value.trim_start_matches(' ');
        let (user, secret) = if scheme.eq_ignore_ascii_case("bearer") {
            (String::new(), value.to_owned())
        } else if scheme.eq_ignore_ascii_case("basic") {
            let decoded = STANDARD.decode(value).map_err(|_| UNREADABLE)?;
            let decoded = String::from_utf8(decoded).map_err(|_| UNREADABLE)?;
            let (user, secret) = decoded.split_once(':').ok_or(UNREADABLE)?;
            (user.to_owned(), secret.to_owned())
        } else {
            return Err(UNREADABLE);
        };
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UNREADABLE);
        }
        Ok(Self {
            digest: BearerDigest::of(secret.as_bytes()),
            is_of_a_run: secret.starts_with(SECRETS_PREFIX),
            user,
        })
    }

    /// What to look up.
    pub(crate) fn claim(&self) -> Claim {
        Claim::Bearer(self.digest)
    }

    /// Checks it against the verifier of whoever it stands for.
    ///
    /// # Errors
    /// If it is not that run's, or names another one.
    pub(crate) fn prove(&self, verifier: &Arc<Verifier>) -> Result<Verified, NoLogin> {
        match verifier.verify_bearer(&self.digest) {
            Some(verified) if self.user.is_empty() || self.user == verified.run().to_string() => {
                Ok(verified)
            }
            Some(_) => Err(NoLogin("its secret is not that of the run it names")),
            None => Err(NoLogin("no live run has this secret")),
        }
    }

    /// The failure to get in with it, for the record.
    pub(crate) fn failure(login: Option<&Self>, route: &Route, why: NoLogin) -> LoginFailure {
        LoginFailure {
            // Anything else that stands there may be a secret, which some tools send as the user.
            user: login
                .filter(|login| login.user.parse::<RunId>().is_ok())
                .map(|login| login.user.clone())
                .unwrap_or_default(),
            target: route.wanted.to_string(),
            reason: why.0.to_owned(),
        }
    }
}

/// The value of the only field of a name.
fn one<'h>(head: &'h Request, name: &str) -> Result<Option<&'h [u8]>, NoLogin> {
    let mut values = head.fields.iter().filter(|(key, _)| key == name);
    let first = values.next().map(|(_, value)| &value[..]);
    match values.next() {
        Some(_) => Err(NoLogin("it brought several credentials")),
        None => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_run::{Secret, Time};
    use bytes::Bytes;

    use super::*;

    fn head(scheme: &str, authority: &str, path: &str, fields: &[(&str, &str)]) -> Request {
        Request {
            method: "GET".into(),
            scheme: scheme.into(),
            authority: authority.into(),
            path: path.into(),
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Bytes::from((*value).to_owned())))
                .collect(),
        }
    }

    fn url(scheme: &str, authority: &str, path: &str) -> Wanted {
        Wanted::Url {
            scheme: scheme.into(),
            authority: authority.into(),
            path: path.into(),
        }
    }

    #[test]
    fn where_a_request_goes_is_read_from_its_one_spelling() {
        for (path, name, rest) in [
            ("/crm/customers/42?a=b", "crm", Ok("/customers/42")),
            ("/crm", "crm", Ok("/")),
            ("/crm/", "crm", Ok("/")),
            ("/c%72m/x", "crm", Ok("/x")),
            ("/", "", Ok("/")),
        ] {
            let route = Route::of(&head("", "", path, &[]));
            assert_eq!(route.wanted, Wanted::Name(name.into()), "{path}");
            assert_eq!(route.path.as_deref(), rest.as_deref(), "{path}");
        }
        // Whose call it is can still be said.
        let odd = Route::of(&head("", "", "/crm/../billing/x", &[]));
        assert_eq!(odd.wanted, Wanted::Name("crm".into()));
        assert!(odd.path.is_err());

        let proxied = Route::of(&head("HTTPS", "API.internal:443", "/v2/a%2e?x", &[]));
        assert_eq!(proxied.wanted, url("https", "api.internal", "/v2/a."));
        assert_eq!(proxied.query.as_deref(), Some("x"));
        let proxied = Route::of(&head("http", "api.internal:8080", "", &[]));
        assert_eq!(proxied.wanted, url("http", "api.internal:8080", "/"));
        let odd = Route::of(&head("http", "api.internal:80", "/%2e%2e", &[]));
        assert_eq!(odd.wanted, url("http", "api.internal", "/"));
        assert!(odd.path.is_err());
    }

    #[test]
    fn there_is_one_credential_or_none() {
        let secret = Secret::new([7; 32]);
        let run = RunId::new(Time::from_millis(1), [0; 10]);
        let verifier = Arc::new(Verifier::new(run, &secret, [9; 16]));
        let basic = |user: &str, secret: &str| {
            format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))
        };
        let bearer = format!("bEaReR  {}", secret.reveal());
        let other = format!("Bearer {}", Secret::new([8; 32]).reveal());
        let named = basic(&run.to_string(), secret.reveal());
        let unnamed = basic("", secret.reveal());
        let misnamed = basic("run_00000000000000000000000000", secret.reveal());
        let own = AUTHORIZATION;
        let proxy = PROXY_AUTHORIZATION;
        let gets_in = |face, fields: &[(&str, &str)]| {
            let head = head("", "", "/crm", fields);
            Login::of(&head, face).is_ok_and(|login| login.prove(&verifier).is_ok())
        };
        for good in [&bearer, &named, &unnamed] {
            assert!(gets_in(Face::Target, &[(own, good)]), "{good}");
            assert!(gets_in(Face::Proxy, &[(own, good)]), "{good}");
            assert!(gets_in(Face::Proxy, &[(proxy, good)]), "{good}");
            let with_the_targets = [(own, "Bearer sk-not-ours"), (proxy, &**good)];
            assert!(gets_in(Face::Proxy, &with_the_targets), "{good}");
            assert!(!gets_in(Face::Target, &with_the_targets), "{good}");
            assert!(!gets_in(Face::Target, &[(proxy, good)]), "{good}");
            assert!(!gets_in(Face::Target, &[(own, good), (own, good)]));
            assert!(!gets_in(Face::Proxy, &[(own, &other), (proxy, good)]));
        }
        for wrong in [
            &*other,
            &misnamed,
            "",
            "Bearer",
            "Bearer ",
            "Basic !!!",
            "Digest x",
            &basic("", ""),
            "Bearer a b",
            &format!("Bearer {}", "a".repeat(HTTP_CREDENTIAL_BYTES_MAX)),
        ] {
            assert!(!gets_in(Face::Target, &[(own, wrong)]), "{wrong}");
        }
        for elsewhere in ["cookie", "x-api-key", "authorization2"] {
            assert!(
                !gets_in(Face::Target, &[(elsewhere, &bearer)]),
                "{elsewhere}"
            );
        }
    }
}
