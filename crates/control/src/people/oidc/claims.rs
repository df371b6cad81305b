//! Whom an ID token names.

use std::collections::BTreeSet;

use bailiwick_run::Launcher;
use serde_json::{Map, Value};

use super::OidcSettings;
use super::library::Claims;
use crate::limits::OIDC_GROUPS_MAX;

/// Whom it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// The person.
    pub(crate) name: Launcher,
    /// Their groups, if those count.
    pub(crate) groups: BTreeSet<String>,
}

pub(super) fn read(settings: &OidcSettings, claims: Claims) -> Result<Claimed, String> {
    match serde_json::to_value(claims) {
        Ok(Value::Object(claims)) => whom(settings, &claims),
        _ => Err("the ID token's claims are not understood".to_owned()),
    }
}

fn whom(settings: &OidcSettings, claims: &Map<String, Value>) -> Result<Claimed, String> {
    let claim = &settings.name_claim;
    let Some(Value::String(name)) = claims.get(claim) else {
        return Err(format!(
            "the ID token has no text as `{claim}`; have the identity provider put it there, or set `name_claim` \
             under [oidc]"
        ));
    };
    // Anybody can say that an address is theirs.
    if claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(format!(
            "the identity provider does not say that it has verified the address {name} (`email_verified`)"
        ));
    }
    // As they stand in [roles], whatever somebody typed when they got their account. Of other letters than ASCII's,
    // some become one of those: `K`, the sign of kelvin, would be somebody else's `k`.
    let name = name.to_ascii_lowercase();
    if name.ends_with("@localhost") {
        return Err("names at `localhost` are those of local users, which an identity provider does not vouch for"
            .to_owned());
    }
    let domain = name.rsplit_once('@').map_or("", |(_, domain)| domain);
    if !settings.domains.is_empty() && !settings.domains.iter().any(|allowed| allowed == domain) {
        return Err(format!(
            "{name} is at none of the `domains` under [oidc] that may sign in"
        ));
    }
    let name = format!("human:{name}");
    let name = name
        .parse()
        .map_err(|error| format!("`{name}` is {error}"))?;
    let groups = match &settings.groups_claim {
        Some(claim) => groups(claims.get(claim)),
        None => BTreeSet::new(),
    };
    Ok(Claimed { name, groups })
}

/// A list of names, or one. What is no name is nobody's group.
fn groups(claim: Option<&Value>) -> BTreeSet<String> {
    let names = match claim {
        Some(Value::Array(names)) => names.as_slice(),
        Some(one @ Value::String(_)) => std::slice::from_ref(one),
        _ => &[],
    };
    names
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| !name.is_empty() && name.len() <= 256 && !name.contains(char::is_control))
        .take(OIDC_GROUPS_MAX)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::people::FetchError;

    fn settings(name_claim: &str, domains: &[&str]) -> OidcSettings {
        OidcSettings {
            issuer: "https://id.acme.com".into(),
            client_id: "bailiwick".into(),
            client_secret: None,
            scopes: Vec::new(),
            name_claim: name_claim.into(),
            groups_claim: Some("groups".into()),
            domains: domains.iter().copied().map(str::to_owned).collect(),
            fetch: Arc::new(|_| Box::pin(async { Err(FetchError("nobody is asked".into())) })),
        }
    }

    fn named(settings: &OidcSettings, claims: Value) -> Result<Claimed, String> {
        whom(settings, claims.as_object().unwrap())
    }

    #[test]
    fn a_person_is_who_the_provider_vouches_for() {
        let acme = settings("email", &["acme.com"]);
        let alice = json!({
            "sub": "1", "email": "Alice@ACME.com", "email_verified": true,
            "groups": ["data-owners", 7, "", "a\nb"],
        });
        let claimed = named(&acme, alice).unwrap();
        assert_eq!(claimed.name.as_str(), "human:alice@acme.com");
        assert_eq!(claimed.groups, ["data-owners".to_owned()].into());
        // Not `mike`: the third letter is the sign of kelvin.
        let kelvin = json!({ "email": "Mi\u{212a}e@acme.com", "email_verified": true });
        let kelvin = named(&acme, kelvin).unwrap().name;
        assert_eq!(kelvin.as_str(), "human:mi\u{212a}e@acme.com");
        let sub = named(
            &settings("sub", &[]),
            json!({ "sub": "248289761001", "groups": "one" }),
        );
        let sub = sub.unwrap();
        assert_eq!(sub.name.as_str(), "human:248289761001");
        assert_eq!(sub.groups, ["one".to_owned()].into());
    }

    #[test]
    fn nobody_becomes_somebody_else() {
        let email =
            |email: &str, verified: Value| json!({ "email": email, "email_verified": verified });
        let acme = settings("email", &["acme.com"]);
        let anywhere = settings("email", &[]);
        let yes = || Value::Bool(true);
        for (settings, claims, says) in [
            (&acme, json!({ "sub": "1" }), "no text as `email`"),
            (
                &acme,
                json!({ "email": 7, "email_verified": true }),
                "no text as `email`",
            ),
            (
                &acme,
                json!({ "email": "alice@acme.com" }),
                "email_verified",
            ),
            (
                &acme,
                email("alice@acme.com", Value::Bool(false)),
                "email_verified",
            ),
            (
                &acme,
                email("alice@acme.com", Value::String("true".into())),
                "email_verified",
            ),
            (
                &acme,
                email("alice@evil.example", yes()),
                "none of the `domains`",
            ),
            (
                &acme,
                email("alice@acme.com@evil.example", yes()),
                "none of the `domains`",
            ),
            (
                &acme,
                email("alice@sub.acme.com", yes()),
                "none of the `domains`",
            ),
            (&acme, email("acme.com", yes()), "none of the `domains`"),
            (&anywhere, email("root@localhost", yes()), "local users"),
            (&anywhere, email("root@LOCALHOST", yes()), "local users"),
            (&anywhere, email("a b@acme.com", yes()), "not a launcher"),
            (&anywhere, email("", yes()), "not a launcher"),
        ] {
            let error = named(settings, claims.clone()).unwrap_err();
            assert!(error.contains(says), "{claims}: {error}");
        }
    }
}
