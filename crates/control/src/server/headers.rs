//! What every answer tells browsers, and what requests of browsers tell us.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::Response;

use crate::people::Place;

/// Nothing that stands in a page itself runs or paints; pages are in no frame, and ask and send to us alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Puts on every answer what keeps browsers from doing with it what it is not for. What an answer says itself,
/// stays.
pub(super) async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer`, browsers send forms with `Origin: null`, and we could not tell whose they are.
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The only value of a header; nothing if it is there twice or is not ASCII.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// The only cookie of this name. Two are as good as none: somebody else on this host has set one of them.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter(|(this, _)| *this == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

/// What `Sec-Fetch-Site` says (Fetch Metadata, section 2.3).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a page of somebody else made this request, as far as the browser says. Another port of this host is
/// somebody else.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    headers.contains_key(SITE) && !matches!(only(headers, &SITE), Some("same-origin" | "none"))
}

/// Whether a page of ours made this request. A browser that says neither where it comes from nor how, is not believed.
pub(super) fn is_own(headers: &HeaderMap, place: Option<&Place>) -> bool {
    let by_site = (headers.contains_key(SITE)).then(|| only(headers, &SITE) == Some("same-origin"));
    let by_origin = headers.contains_key(ORIGIN).then(|| {
        let origin = only(headers, &ORIGIN).unwrap_or_default();
        // That the host is one of ours has been looked at before.
        let host = only(headers, &HOST).unwrap_or_default();
        place.is_some_and(|place| origin.eq_ignore_ascii_case(&place.to_string()))
            || (!host.is_empty() && origin.eq_ignore_ascii_case(&format!("http://{host}")))
    });
    match (by_site, by_origin) {
        (None, None) => false,
        (site, origin) => site.unwrap_or(true) && origin.unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_our_own_pages_send_forms() {
        let place: Place = "https://b.acme.com".parse().unwrap();
        let host = ("host", "127.0.0.1:7400");
        for (pairs, own) in [
            (vec![host], false),
            (vec![host, ("origin", "http://127.0.0.1:7400")], true),
            (vec![host, ("origin", "https://b.acme.com")], true),
            (vec![host, ("origin", "http://b.acme.com")], false),
            (vec![host, ("origin", "http://127.0.0.1:8000")], false),
            (vec![host, ("origin", "null")], false),
            (vec![host, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "none")], false),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (
                vec![
                    host,
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://127.0.0.1:7400"),
                ],
                false,
            ),
            (
                vec![
                    host,
                    ("origin", "http://127.0.0.1:7400"),
                    ("origin", "http://127.0.0.1:7400"),
                ],
                false,
            ),
            (vec![("origin", "http://")], false),
        ] {
            assert_eq!(is_own(&headers(&pairs), Some(&place)), own, "{pairs:?}");
        }
    }

    #[test]
    fn a_cookie_that_is_there_twice_is_not_there() {
        let one = headers(&[("cookie", "a=1; bailiwick_session=x"), ("cookie", "b=2")]);
        assert_eq!(cookie(&one, "bailiwick_session"), Some("x"));
        assert_eq!(cookie(&one, "session"), None);
        for two in [
            vec![("cookie", "s=1; s=2")],
            vec![("cookie", "s=1"), ("cookie", "s=2")],
        ] {
            assert_eq!(cookie(&headers(&two), "s"), None);
        }
    }
}
