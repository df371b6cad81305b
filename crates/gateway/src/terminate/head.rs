//! Heads of messages: as they come off a connection, and in the form that a session reads.

use bailiwick_wire::http::bhttp;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version, request, response};

/// A head that is refused, and why, in words without anything of the head in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Odd {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

/// A head that a session made and no message can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsendable;

/// A scheme and an authority: to whom requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `http` or `https`.
    pub(crate) scheme: String,
    /// The host, and the port where it is not the scheme's own.
    pub(crate) authority: String,
}

/// A tunnel is asked for as HTTP/1 has it (RFC 9110, section 9.3.6), and has no other in it.
pub(crate) const NO_TUNNEL: Odd = Odd {
    status: StatusCode::NOT_IMPLEMENTED,
    why: "a tunnel is had with HTTP/1, and not within another",
};

const fn odd(why: &'static str) -> Odd {
    Odd {
        status: StatusCode::BAD_REQUEST,
        why,
    }
}

/// Fields that are a connection's own (RFC 9110, section 7.6.1), beside those that `connection` names.
const OF_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// Reads the head of an agent's request.
///
/// # Errors
/// If it can be read in more ways than one.
pub(crate) fn request(
    parts: &request::Parts,
    tunnel: Option<&Origin>,
) -> Result<bhttp::Request, Odd> {
    if parts.version < Version::HTTP_11 {
        return Err(Odd {
            status: StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            why: "HTTP before version 1.1 is not spoken here",
        });
    }
    if parts
        .method
        .as_str()
        .bytes()
        .any(|byte| !byte.is_ascii_uppercase())
    {
        return Err(Odd {
            status: StatusCode::NOT_IMPLEMENTED,
            why: "a method is written in upper-case letters",
        });
    }
    let path = match parts.uri.path_and_query() {
        Some(path) => path.as_str(),
        None => return Err(odd("a request has to have a path")),
    };
    let (scheme, authority) = addressed(parts, tunnel)?;
    let mut fields = sent(&parts.headers);
    let named = parts.uri.authority().map(http::uri::Authority::as_str);
    if authority.is_empty()
        && let Some(host) = named.or(host(&parts.headers)?)
    {
        // By what name the agent knows the gateway.
        let name = header::HOST.as_str().to_owned();
        fields.push((name, Bytes::copy_from_slice(host.as_bytes())));
    }
    Ok(bhttp::Request {
        method: parts.method.as_str().to_owned(),
        scheme,
        authority,
        path: path.to_owned(),
        fields,
    })
}

/// The scheme and the authority that a request names, both empty where it means the gateway itself.
fn addressed(parts: &request::Parts, tunnel: Option<&Origin>) -> Result<(String, String), Odd> {
    let host = host(&parts.headers)?;
    let uri = &parts.uri;
    let named = uri.authority();
    if named.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(odd("a request's address has no user in it"));
    }
    // What HTTP/2 calls the authority is a request's `host`; in HTTP/1.1 it stands only in what a proxy is sent.
    if let (Some(named), Some(host)) = (named, host)
        && !named.as_str().eq_ignore_ascii_case(host)
    {
        return Err(odd(
            "the request names one host and its `host` field another",
        ));
    }
    if let Some(origin) = tunnel {
        let meant = named.map(http::uri::Authority::as_str).or(host);
        if meant.is_none_or(|meant| !same(meant, origin)) {
            return Err(odd("the request is for another host than its tunnel"));
        }
        return Ok((origin.scheme.clone(), origin.authority.clone()));
    }
    match (named, parts.version) {
        (Some(named), Version::HTTP_11) => {
            let scheme = uri
                .scheme_str()
                .ok_or(odd("the request's address has no scheme"))?;
            Ok((scheme.to_ascii_lowercase(), named.as_str().to_owned()))
        }
        (None, Version::HTTP_11) if host.is_none() => Err(odd("the `host` field is missing")),
        _ => Ok((String::new(), String::new())),
    }
}

/// Whether an authority is an origin's, whether or not it says the scheme's own port.
fn same(authority: &str, origin: &Origin) -> bool {
    let port = match origin.scheme.as_str() {
        "https" => ":443",
        _ => ":80",
    };
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    bare(authority) == bare(&origin.authority)
}

/// The one `host` field, if there is one.
fn host(fields: &HeaderMap) -> Result<Option<&str>, Odd> {
    let mut hosts = fields.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(odd("there are two `host` fields"));
    }
    let host = host.map(HeaderValue::to_str).transpose();
    host.map_err(|_| odd("the `host` field is not readable"))
}

/// The fields of a message that are not its connection's own.
fn sent(fields: &HeaderMap) -> bhttp::Fields {
    let named: Vec<&str> = fields
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let own = |name: &HeaderName| {
        OF_CONNECTION.contains(name)
            || *name == header::HOST
            || named
                .iter()
                .any(|named| named.eq_ignore_ascii_case(name.as_str()))
    };
    fields
        .iter()
        .filter(|(name, _)| !own(name))
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                Bytes::copy_from_slice(value.as_bytes()),
            )
        })
        .collect()
}

/// Moves a run's secret from the field that a target names for it to `authorization`.
pub(crate) fn move_token(fields: &mut bhttp::Fields, name: &str) -> Result<(), Odd> {
    let mut tokens = fields.extract_if(.., |(field, _)| field == name);
    let Some((_, token)) = tokens.next() else {
        return Ok(());
    };
    if tokens.next().is_some() {
        return Err(odd("the field for the run's secret stands there twice"));
    }
    drop(tokens);
    let authorization = header::AUTHORIZATION.as_str();
    fields.retain(|(field, _)| field != authorization);
    let bearer = [b"Bearer ", &token[..]].concat();
    fields.push((authorization.to_owned(), bearer.into()));
    Ok(())
}

/// Trailer fields, for a session.
pub(crate) fn trailers(fields: &HeaderMap) -> bhttp::Fields {
    sent(fields)
}

/// Reads the head of a target's response.
pub(crate) fn response(parts: &response::Parts) -> bhttp::Response {
    bhttp::Response {
        status: parts.status.as_u16(),
        fields: sent(&parts.headers),
    }
}

/// Fields that a session made, for a message.
pub(crate) fn fields(fields: &bhttp::Fields) -> Result<HeaderMap, Unsendable> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unsendable)?;
        let value = HeaderValue::from_maybe_shared(value.clone()).map_err(|_| Unsendable)?;
        if !OF_CONNECTION.contains(&name) {
            map.try_append(name, value).map_err(|_| Unsendable)?;
        }
    }
    Ok(map)
}

/// The head of a response for an agent, made by a session. How long its content is, the connection says.
pub(crate) fn answer(head: bhttp::Response, to: &Method) -> Result<response::Parts, Unsendable> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = StatusCode::from_u16(head.status).map_err(|_| Unsendable)?;
    parts.headers = fields(&head.fields)?;
    if to != Method::HEAD {
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    Ok(parts)
}

/// The head of a request for a target, made by a session, to the origin that is meant. Nothing by which a
/// request says who sends it is left: that is the gateway's to add.
pub(crate) fn ask(head: bhttp::Request, origin: &Origin) -> Result<request::Parts, Unsendable> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::from_bytes(head.method.as_bytes()).map_err(|_| Unsendable)?;
    if !head.path.starts_with('/') {
        return Err(Unsendable);
    }
    parts.uri = Uri::builder()
        .scheme(origin.scheme.as_str())
        .authority(origin.authority.as_str())
        .path_and_query(head.path)
        .build()
        .map_err(|_| Unsendable)?;
    parts.headers = fields(&head.fields)?;
    for gone in [
        header::HOST,
        header::CONTENT_LENGTH,
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
    ] {
        parts.headers.remove(gone);
    }
    Ok(parts)
}
