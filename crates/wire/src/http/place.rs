//! Where a target is: its URL, what an agent is handed to reach it through the gateway, and which
//! addresses in its answers are its own.

use url::Url;

use super::login::{Face, Route};
use super::path;
use crate::{Agent, Endpoint, TlsMode, Wanted};

/// Reads `https://USER:PASSWORD@HOST:PORT/BASE`. The base has one spelling, and no slash at its end.
pub(crate) fn parse(text: &str) -> Result<Endpoint, String> {
    let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    let tls = match url.scheme() {
        "http" => TlsMode::Disable,
        "https" => TlsMode::VerifyFull,
        other => {
            return Err(format!(
                "the scheme is `{other}`; a target's that is reached by HTTP is `http` or `https`"
            ));
        }
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            "it has a query or a fragment; a target is a host and what its paths begin with".into(),
        );
    }
    let decode = |part: &str, what: &str| {
        percent_encoding::percent_decode_str(part)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| format!("the {what} is not UTF-8 once decoded"))
    };
    let host = match url.host_str() {
        None | Some("") => return Err("it names no host".into()),
        // An IPv6 address stands in brackets in a URL, and without them elsewhere.
        Some(host) => host.trim_matches(['[', ']']).to_owned(),
    };
    let base = path::canonical(url.path().trim_end_matches('/'));
    let base = match (url.path(), base) {
        ("" | "/", _) => String::new(),
        (_, Ok(base)) => base,
        (_, Err(odd)) => return Err(format!("it has {odd}")),
    };
    Ok(Endpoint {
        host,
        port: url.port_or_known_default().unwrap_or(443),
        user: decode(url.username(), "user")?,
        password: url
            .password()
            .map(|password| decode(password, "password"))
            .transpose()?,
        database: base,
        tls,
        roots: None,
    })
}

/// The URL that stands for a target's own, for an agent that sends the run's secret by itself.
pub(crate) fn agent_url(agent: &Agent<'_>) -> String {
    format!("http://{}/{}", address(agent), agent.target)
}

/// The run's secret.
pub(crate) fn agent_token(agent: &Agent<'_>) -> String {
    agent.secret.to_owned()
}

/// The URL that brings the run's secret along.
pub(crate) fn agent_basic_url(agent: &Agent<'_>) -> String {
    format!("{}/{}", agent_proxy(agent), agent.target)
}

/// The proxy that leads to every target, by its own address.
pub(crate) fn agent_proxy(agent: &Agent<'_>) -> String {
    let Agent { run, secret, .. } = agent;
    format!("http://{run}:{secret}@{}", address(agent))
}

fn address(agent: &Agent<'_>) -> String {
    format!("{}:{}", bracketed(agent.host), agent.port)
}

/// An IPv6 address stands in brackets in a URL.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// Where the target of one exchange is, and how its agent sees it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// What its paths begin with there: empty, or begins with a slash and does not end with one.
    base: String,
    /// Its scheme, host and port.
    origin: String,
    /// What stands for the origin and the base for the agent; nothing for an agent that sees the target's
    /// own addresses.
    stands_for: Option<String>,
}

impl Place {
    /// Of a request to this endpoint.
    pub(crate) fn new(endpoint: &Endpoint, route: &Route) -> Self {
        let scheme = match endpoint.tls {
            TlsMode::Disable => "http",
            _ => "https",
        };
        let host = bracketed(&endpoint.host);
        Self {
            base: endpoint.database.clone(),
            origin: format!("{scheme}://{host}:{}", endpoint.port),
            stands_for: match &route.wanted {
                Wanted::Name(name) => Some(format!("/{name}")),
                Wanted::Url { .. } => None,
            },
        }
    }

    /// The path of a request behind the target's base.
    ///
    /// # Errors
    /// If it has none in one spelling, or is not below the base.
    pub(crate) fn behind_base(&self, route: &Route) -> Result<String, path::Odd> {
        let path = route.path.as_ref().map_err(|odd| *odd)?;
        match route.face {
            Face::Target => Ok(path.clone()),
            Face::Proxy => {
                let rest = below(path, &self.base);
                rest.ok_or("a path that is not the target's")
            }
        }
    }

    /// The path at the target.
    pub(crate) fn at_target(&self, behind_base: &str) -> String {
        format!("{}{behind_base}", self.base)
    }

    /// The value of a field of a response whose request was for this path, with the target's own
    /// addresses in it as the agent knows them. Nothing where it stays as it is.
    pub(crate) fn for_agent(&self, name: &str, value: &str, behind_base: &str) -> Option<String> {
        match name {
            "location" | "content-location" => self.address(value, behind_base),
            "link" => self.links(value, behind_base),
            _ => None,
        }
    }

    fn address(&self, value: &str, behind_base: &str) -> Option<String> {
        let stands_for = self.stands_for.as_ref()?;
        let here = format!("{}{}", self.origin, self.at_target(behind_base));
        let here = Url::parse(&here).ok()?;
        let url = here.join(value).ok()?;
        if url.origin() != here.origin() {
            return None;
        }
        let mut text = format!("{stands_for}{}", below(url.path(), &self.base)?);
        for (mark, part) in [('?', url.query()), ('#', url.fragment())] {
            if let Some(part) = part {
                text.push(mark);
                text.push_str(part);
            }
        }
        Some(text)
    }

    /// `<https://…>; rel="next", <…>` (RFC 8288, section 3).
    fn links(&self, value: &str, behind_base: &str) -> Option<String> {
        let mut text = String::new();
        let mut rest = value;
        while let Some((before, after)) = rest.split_once('<') {
            let (link, behind) = after.split_once('>')?;
            text.push_str(before);
            let placed = self.address(link, behind_base);
            text.push_str(&format!("<{}>", placed.as_deref().unwrap_or(link)));
            rest = behind;
        }
        text.push_str(rest);
        (text != value).then_some(text)
    }
}

/// What of a path is below a base.
fn below(path: &str, base: &str) -> Option<String> {
    match path.strip_prefix(base)? {
        "" => Some("/".to_owned()),
        rest if rest.starts_with('/') => Some(rest.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::bhttp::Request;

    #[test]
    fn a_targets_url_is_a_host_and_a_base() {
        let endpoint = parse("https://svc:p%40ss@crm.internal/api/v2/").unwrap();
        assert_eq!((&*endpoint.host, endpoint.port), ("crm.internal", 443));
        assert_eq!(endpoint.user, "svc");
        assert_eq!(endpoint.password.as_deref(), Some("p@ss"));
        assert_eq!(endpoint.database, "/api/v2");
        assert_eq!(endpoint.tls, TlsMode::VerifyFull);
        let plain = parse("HTTP://[::1]:8080").unwrap();
        assert_eq!((&*plain.host, plain.port), ("::1", 8080));
        assert_eq!((&*plain.database, plain.tls), ("", TlsMode::Disable));
        assert_eq!(parse("http://h/a%62").unwrap().database, "/ab");
    }

    #[test]
    fn says_what_is_wrong_without_the_password() {
        for (url, word) in [
            ("ftp://u:secret@h/d", "scheme"),
            ("https://u:secret@h/d?x=1", "query"),
            ("https://u:secret@h/d#x", "query"),
            ("https://u:secret@h/a//b", "empty"),
            ("https://u:secret@h/a%2fb", "separator"),
            ("https://u:secret@", "URL"),
            ("not a url", "URL"),
        ] {
            let error = parse(url).err().unwrap();
            assert!(error.contains(word), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_agent_is_handed_what_it_can_use_unchanged() {
        let agent = Agent {
            host: "::1",
            port: 7480,
            run: "run_x",
            secret: "bwk_y",
            target: "crm",
        };
        assert_eq!(agent_url(&agent), "http://[::1]:7480/crm");
        assert_eq!(agent_token(&agent), "bwk_y");
        assert_eq!(agent_basic_url(&agent), "http://run_x:bwk_y@[::1]:7480/crm");
        assert_eq!(agent_proxy(&agent), "http://run_x:bwk_y@[::1]:7480");
    }

    fn place(head: &Request) -> Place {
        let endpoint = parse("https://crm.internal/api").unwrap();
        Place::new(&endpoint, &Route::of(head))
    }

    #[test]
    fn the_targets_own_addresses_are_those_that_the_agent_knows() {
        let mut head = Request {
            path: "/crm/a/b".into(),
            ..Request::default()
        };
        let named = place(&head);
        for (sent, seen) in [
            ("https://crm.internal/api/c?d=e#f", Some("/crm/c?d=e#f")),
            ("https://crm.internal:443/api", Some("/crm/")),
            ("/api/c", Some("/crm/c")),
            ("c", Some("/crm/a/c")),
            ("../c", Some("/crm/c")),
            ("//crm.internal/api/c", Some("/crm/c")),
            ("/apis/c", None),
            ("/other", None),
            ("http://crm.internal/api/c", None),
            ("https://crm.internal:8443/api/c", None),
            ("https://crm.internal.evil/api/c", None),
            ("https://evil/api/c", None),
        ] {
            let placed = named.for_agent("location", sent, "/a/b");
            assert_eq!(placed.as_deref(), seen, "{sent}");
        }
        let links = "<https://crm.internal/api/a?page=2>; rel=\"next\", <https://x/>; rel=\"y\"";
        let placed = named.for_agent("link", links, "/a/b");
        let seen = "</crm/a?page=2>; rel=\"next\", <https://x/>; rel=\"y\"";
        assert_eq!(placed.as_deref(), Some(seen));
        assert_eq!(named.for_agent("x-other", "/api/c", "/a/b"), None);
        head.scheme = "https".into();
        head.authority = "crm.internal".into();
        let proxied = place(&head);
        assert_eq!(proxied.for_agent("location", "/api/c", "/a/b"), None);
    }

    #[test]
    fn a_path_is_below_its_base_or_not_the_targets() {
        let mut head = Request {
            scheme: "https".into(),
            authority: "crm.internal".into(),
            ..Request::default()
        };
        for (path, rest) in [
            ("/api/a", Some("/a")),
            ("/api", Some("/")),
            ("/%61pi/a", Some("/a")),
            ("/apis/a", None),
            ("/a", None),
            ("/api/../a", None),
        ] {
            head.path = path.into();
            let found = place(&head).behind_base(&Route::of(&head));
            assert_eq!(found.ok().as_deref(), rest, "{path}");
        }
    }
}
