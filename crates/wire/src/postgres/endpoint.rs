//! URLs: of a target, as libpq reads them
//! (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>), and the one
//! an agent is given.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::{Agent, Endpoint, TlsMode};

/// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…&sslrootcert=…`.
pub(crate) fn parse(text: &str) -> Result<Endpoint, String> {
    let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(format!(
            "the scheme is `{}`; a postgres target's is `postgres`",
            url.scheme()
        ));
    }
    let decode = |part: &str, what: &str| {
        percent_decode_str(part)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| format!("the {what} is not UTF-8 once decoded"))
    };
    let host = match url.host_str() {
        None | Some("") => return Err("it names no host".into()),
        // An IPv6 address stands in brackets in a URL, and without them elsewhere.
        Some(host) => decode(host.trim_matches(['[', ']']), "host")?,
    };
    let user = decode(url.username(), "user")?;
    if user.is_empty() {
        return Err("it names no user".into());
    }
    let database = match decode(url.path().trim_start_matches('/'), "database")? {
        name if name.is_empty() => user.clone(),
        name => name,
    };
    let mut endpoint = Endpoint {
        host,
        port: url.port().unwrap_or(5432),
        password: url
            .password()
            .map(|password| decode(password, "password"))
            .transpose()?,
        user,
        database,
        tls: TlsMode::Prefer,
        roots: None,
    };
    for (key, value) in url.query_pairs() {
        match &*key {
            "sslmode" => endpoint.tls = tls_mode(&value)?,
            "sslrootcert" => endpoint.roots = Some(value.into_owned()),
            _ => {
                return Err(format!(
                    "`{key}` is not understood; known are `sslmode` and `sslrootcert`"
                ));
            }
        }
    }
    Ok(endpoint)
}

fn tls_mode(name: &str) -> Result<TlsMode, String> {
    Ok(match name {
        "disable" => TlsMode::Disable,
        "allow" => TlsMode::Allow,
        "prefer" => TlsMode::Prefer,
        "require" => TlsMode::Require,
        "verify-ca" => TlsMode::VerifyCa,
        "verify-full" => TlsMode::VerifyFull,
        _ => {
            return Err(format!(
                "sslmode is `{name}`; it is one of disable, allow, prefer, require, verify-ca, \
                 verify-full"
            ));
        }
    })
}

/// The URL for an agent: it works unchanged in psql, psycopg, node-postgres, asyncpg and sqlx.
pub(crate) fn agent_url(agent: &Agent<'_>) -> String {
    let Agent {
        port,
        run,
        secret,
        target,
        ..
    } = agent;
    let host = bracketed(agent.host);
    format!("postgres://{run}:{secret}@{host}:{port}/{target}")
}

/// The same for JDBC, whose driver takes the user and the password as parameters only.
pub(crate) fn agent_jdbc_url(agent: &Agent<'_>) -> String {
    let Agent {
        port,
        run,
        secret,
        target,
        ..
    } = agent;
    let host = bracketed(agent.host);
    format!("jdbc:postgresql://{host}:{port}/{target}?user={run}&password={secret}")
}

/// An IPv6 address stands in brackets in a URL.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_libpq_reads() {
        let url = "postgres://svc:p%40ss@db.internal:6543/tickets?sslmode=verify-full";
        let endpoint = parse(url).unwrap();
        assert_eq!(endpoint.host, "db.internal");
        assert_eq!(endpoint.port, 6543);
        assert_eq!(endpoint.user, "svc");
        assert_eq!(endpoint.password.as_deref(), Some("p@ss"));
        assert_eq!(endpoint.database, "tickets");
        assert_eq!(endpoint.tls, TlsMode::VerifyFull);
        let short = parse("postgresql://svc@[::1]").unwrap();
        assert_eq!((&*short.host, short.port), ("::1", 5432));
        assert_eq!((&*short.database, short.tls), ("svc", TlsMode::Prefer));
    }

    #[test]
    fn says_what_is_wrong_without_the_password() {
        for (url, word) in [
            ("mysql://u:secret@h/d", "scheme"),
            ("postgres://h/d", "user"),
            ("postgres://u:secret@/d", "host"),
            ("postgres://u:secret@h/d?sslmode=on", "sslmode"),
            ("postgres://u:secret@h/d?sslmdoe=require", "sslmdoe"),
            ("not a url", "URL"),
        ] {
            let error = parse(url).err().unwrap();
            assert!(error.contains(word), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
