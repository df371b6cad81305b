//! The metadata of protected resources (RFC 9728): where a client that was told that it needs a token looks
//! for what kind of token.
//!
//! It names no `authorization_servers`. RFC 9728, section 2, leaves them out where there are none to
//! advertise, and there are none: a run's token is handed to the agent by whoever launches the run, and is
//! had nowhere else. The MCP authorization specification wants at least one, for clients that fetch their
//! tokens themselves; such a client cannot get into a run, and is better told so here than sent to a server
//! that does not exist.
//!
//! Clients that find none in it take the gateway itself for one all the same, and ask it to register them. They
//! are told that it is none, so that their users are not told of an error that is about something else.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::uri::Authority;
use http::{Method, Response, StatusCode};

use super::body::Body;
use crate::limits::METADATA_PATH_BYTES_MAX;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Answers a request for metadata; nothing if it is for something else.
///
/// Anybody may ask, and gets the same whether or not there is such a target. `scheme` and `authority` are
/// those by which the agent came; the resource is what it would send its token to (section 3.3: exactly the
/// URL whose metadata is asked for).
pub(crate) fn answer(
    method: &Method,
    scheme: &str,
    authority: Option<&str>,
    path: &str,
) -> Option<Response<Body>> {
    let resource = path.strip_prefix(WELL_KNOWN)?;
    if !(resource.is_empty() || resource.starts_with('/')) {
        return None;
    }
    if method != Method::GET && method != Method::HEAD {
        let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
        let headers = response.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(response);
    }
    // What has a user in it would be sent back as a part of a URL to send a token to.
    let authority = authority
        .and_then(|authority| authority.parse::<Authority>().ok())
        .filter(|authority| !authority.as_str().contains('@'));
    let Some(authority) = authority else {
        return Some(status(StatusCode::BAD_REQUEST));
    };
    if resource.len() > METADATA_PATH_BYTES_MAX {
        return Some(status(StatusCode::URI_TOO_LONG));
    }
    let document = serde_json::json!({
        "resource": format!("{scheme}://{authority}{resource}"),
        "resource_name": "Bailiwick: the token is that of the run, which its launcher hands out",
        "bearer_methods_supported": ["header"],
    });
    let mut response = Response::new(Body::Whole(Bytes::from(document.to_string())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

/// Where an authorization server says what it is (RFC 8414, section 3; OpenID Connect Discovery, section 4).
const SERVERS: [&str; 2] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

/// Where clients look for one that does not say (MCP 2025-03-26, authorization, "Fallbacks").
const ENDPOINTS: [&str; 3] = ["/authorize", "/register", "/token"];

/// Answers what is meant for an authorization server; nothing if it is for something else. `is_of_a_run` says
/// whether a credential came along or a target has that name: then an endpoint's path may be a target's.
pub(crate) fn no_authorization_server(path: &str, is_of_a_run: bool) -> Option<Response<Body>> {
    let is_below = |known: &str| {
        let rest = path.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_meant = SERVERS.into_iter().any(is_below) || (!is_of_a_run && ENDPOINTS.contains(&path));
    if !is_meant {
        return None;
    }
    // As RFC 7591, section 3.2.2, and RFC 6749, section 5.2, have errors: that is where clients look for words.
    let document = serde_json::json!({
        "error": "invalid_request",
        "error_description": "There is no authorization server here: a run's token is had from whoever \
                              launched the run, by `bailiwick run` or `bailiwick open`.",
    });
    let mut response = Response::new(Body::Whole(Bytes::from(document.to_string())));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(
        method: Method,
        authority: Option<&str>,
        path: &str,
    ) -> Option<(u16, serde_json::Value)> {
        let response = answer(&method, "http", authority, path)?;
        let status = response.status().as_u16();
        let Body::Whole(body) = response.into_body() else {
            panic!("a stream")
        };
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    #[test]
    fn a_client_is_told_what_its_token_is_for_and_no_more() {
        for (path, resource) in [
            ("", "http://gateway:7480"),
            ("/helpdesk", "http://gateway:7480/helpdesk"),
            ("/no-such/target", "http://gateway:7480/no-such/target"),
        ] {
            let path = format!("{WELL_KNOWN}{path}");
            let (status, document) = asked(Method::GET, Some("gateway:7480"), &path).unwrap();
            assert_eq!(status, 200);
            assert_eq!(document["resource"], resource);
            assert_eq!(
                document["bearer_methods_supported"],
                serde_json::json!(["header"])
            );
            assert!(document.get("authorization_servers").is_none());
        }
    }

    #[test]
    fn nobody_takes_it_for_an_authorization_server() {
        let status = |path: &str, is_of_a_run| {
            no_authorization_server(path, is_of_a_run).map(|answer| answer.status().as_u16())
        };
        for known in SERVERS {
            assert_eq!(status(known, true), Some(404));
            assert_eq!(status(&format!("{known}/helpdesk"), false), Some(404));
            assert_eq!(status(&format!("{known}s"), false), None);
        }
        for known in ENDPOINTS {
            assert_eq!(status(known, false), Some(404));
            assert_eq!(status(known, true), None, "it may be a target");
            assert_eq!(status(&format!("{known}/more"), false), None);
        }
        assert_eq!(status("/helpdesk", false), None);
    }

    #[test]
    fn what_is_not_asked_as_it_should_be_is_not_answered_with_what_was_sent() {
        let path = format!("{WELL_KNOWN}/helpdesk");
        let get = |authority| asked(Method::GET, authority, &path).unwrap().0;
        assert_eq!(get(None), 400);
        assert_eq!(get(Some("user@evil.example")), 400);
        assert_eq!(get(Some("a b")), 400);
        assert_eq!(get(Some("gateway/\"}")), 400);
        assert_eq!(asked(Method::POST, Some("gateway"), &path).unwrap().0, 405);
        let long = format!("{WELL_KNOWN}/{}", "x".repeat(METADATA_PATH_BYTES_MAX));
        assert_eq!(asked(Method::GET, Some("gateway"), &long).unwrap().0, 414);
        for other in [
            "/helpdesk",
            "/.well-known/oauth-protected-resources",
            "/.well-known/oauth-protected-resource%2f",
            "/.well-known/oauth-authorization-server",
        ] {
            assert!(
                asked(Method::GET, Some("gateway"), other).is_none(),
                "{other}"
            );
        }
    }
}
