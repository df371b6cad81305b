//! `[oidc]`: the identity provider by which people sign in.

use std::path::Path;

use bailiwick_control::{Fetch, OidcSettings};

use super::document::Section;
use super::people::NOT_IN_THE_FILE;
use super::problem::Problems;
use super::sealed::Sealed;

/// What is asked for, beside `openid`, where the configuration does not say.
const SCOPES: [&str; 2] = ["profile", "email"];

/// The claim that names a person, where the configuration does not say.
const NAME_CLAIM: &str = "email";

/// The most scopes, and the most domains.
const MAX_NAMES: usize = 50;

/// The identity provider, with its secret not looked up yet.
#[derive(Debug)]
pub(super) struct Oidc {
    issuer: String,
    client_id: String,
    client_secret: Option<Sealed>,
    scopes: Vec<String>,
    name_claim: String,
    groups_claim: Option<String>,
    domains: Vec<String>,
}

impl Oidc {
    /// Reads it. `console` says whether it is known where people come back to.
    pub(super) fn read(top: &Section<'_, '_>, console: bool) -> Option<Self> {
        let known = [
            "client_id",
            "client_secret",
            "domains",
            "groups_claim",
            "issuer",
            "name_claim",
            "scopes",
        ];
        let section = top.section("oidc", &known)?;
        if !console && !top.has("console") {
            section.report_itself(
                "it needs the `url` of [console], where the identity provider sends people back to",
            );
        }
        let issuer = section.required(
            "issuer",
            "it is the identity provider's, such as \"https://accounts.acme.com\"",
        );
        if let Some(issuer) = issuer
            && !is_issuer(issuer)
        {
            section.report(
                "issuer",
                format!(
                    "`{issuer}` is no issuer: it is a URL that begins with `https://` (or `http://` and a loopback \
                     address), has no query and no fragment, and is written as the identity provider writes it"
                ),
            );
        }
        let client_id = section.required(
            "client_id",
            "it is what the identity provider calls this gateway",
        );
        let client_secret = section.sealed("client_secret");
        if client_secret
            .as_ref()
            .is_some_and(|secret| !secret.template().is_secret())
        {
            section.report("client_secret", NOT_IN_THE_FILE);
        }
        let name = |key: &str| section.plain(key).map(str::to_owned);
        let words = |key: &str| section.list(key, MAX_NAMES);
        let scopes = words("scopes").unwrap_or_else(|| SCOPES.map(str::to_owned).into());
        if scopes
            .iter()
            .any(|scope| scope.is_empty() || !scope.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            section.report(
                "scopes",
                "a scope is a word without spaces, such as \"email\"",
            );
        }
        let domains: Vec<String> = words("domains").unwrap_or_default();
        let is_domain = |domain: &String| {
            let fits = |c: char| c.is_alphanumeric() || "-.".contains(c);
            !domain.is_empty() && domain.chars().all(fits)
        };
        if !domains.iter().all(is_domain) {
            section.report(
                "domains",
                "a domain is what stands behind the `@` of an address, such as \"acme.com\"",
            );
        }
        Some(Self {
            issuer: issuer?.to_owned(),
            client_id: client_id?.to_owned(),
            client_secret,
            scopes,
            name_claim: name("name_claim").unwrap_or_else(|| NAME_CLAIM.to_owned()),
            groups_claim: name("groups_claim"),
            domains: domains.iter().map(|domain| domain.to_lowercase()).collect(),
        })
    }

    /// Who it is.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether it says in which groups somebody is.
    pub(super) fn claims_groups(&self) -> bool {
        self.groups_claim.is_some()
    }

    /// What names a secret.
    pub(super) fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        self.client_secret.iter()
    }

    /// The identity provider, with its secret looked up.
    pub(super) fn settings(&self, folder: &Path, fetch: Fetch) -> Result<OidcSettings, Problems> {
        let client_secret = match &self.client_secret {
            Some(sealed) => Some(sealed.header(folder)?),
            None => None,
        };
        Ok(OidcSettings {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret,
            scopes: self.scopes.clone(),
            name_claim: self.name_claim.clone(),
            groups_claim: self.groups_claim.clone(),
            domains: self.domains.clone(),
            fetch,
        })
    }
}

/// A URL without query and fragment (OpenID Connect Discovery 1.0, section 3), reached by TLS or on this machine.
fn is_issuer(text: &str) -> bool {
    // The part before a path is where a console may be, too.
    let origin: String = text.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    !text.contains(['?', '#'])
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && origin.parse::<bailiwick_control::Place>().is_ok()
}
