//! Signing in by an identity provider: OpenID Connect, the authorization code flow with PKCE (RFC 7636). What the
//! provider says is checked by the library; what is done here is the flow, and what a name may be.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use openidconnect::core::{CoreAuthenticationFlow, CoreClientAuthMethod};
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::place::Place;
use super::secret::{Hashed, fresh};
use crate::limits::{OIDC_ASK_AGAIN, OIDC_KEEP, OIDC_PENDING_MAX, OIDC_SIGN_IN_TIME_MAX};
use crate::live::lock;

mod claims;
mod library;

pub(crate) use claims::Claimed;
use library::Provider;

/// Sends one request to the identity provider: within a time, with a limit for the answer, and following no
/// redirect. Given in by whoever starts the server, so that nothing in here reaches out by itself.
pub type Fetch = Arc<dyn Fn(axum::http::Request<Vec<u8>>) -> Fetched + Send + Sync>;

/// What comes of it.
pub type Fetched =
    Pin<Box<dyn Future<Output = Result<axum::http::Response<Vec<u8>>, FetchError>> + Send>>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// The identity provider, and what is taken from it: `[oidc]` of the configuration.
#[derive(Clone)]
pub struct OidcSettings {
    /// Its issuer, as it names itself.
    pub issuer: String,
    /// What the gateway is called there.
    pub client_id: String,
    /// The gateway's password there; a public client has none.
    pub client_secret: Option<String>,
    /// What is asked for, beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that names a person: `email`.
    pub name_claim: String,
    /// The claim that lists their groups, if they count.
    pub groups_claim: Option<String>,
    /// Whose addresses may sign in: `acme.com`. Empty for anybody's.
    pub domains: Vec<String>,
    /// How it is asked.
    pub fetch: Fetch,
}

/// Never its secret.
impl fmt::Debug for OidcSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f.debug_struct("OidcSettings").field("issuer", &self.issuer)).finish_non_exhaustive()
    }
}

/// Why somebody cannot sign in this way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OidcError {
    /// The provider does not answer, or not as it should.
    #[error("the identity provider {issuer} cannot be used: {reason}")]
    Provider {
        /// Who it is.
        issuer: String,
        /// What is wrong.
        reason: String,
    },
    /// What came back is not what was asked for.
    #[error("{0}")]
    Refused(String),
    /// Too many are on their way.
    #[error("too many people are signing in at once; try again in a minute")]
    TooMany,
}

fn refused(reason: impl Into<String>) -> OidcError {
    OidcError::Refused(reason.into())
}

/// Signs people in.
pub(crate) struct Oidc {
    settings: OidcSettings,
    /// Where the provider sends people back to.
    redirect: RedirectUrl,
    /// What it has said of itself.
    known: tokio::sync::Mutex<Known>,
    pending: Mutex<HashMap<Hashed, Pending>>,
}

#[derive(Default)]
struct Known {
    provider: Option<Arc<Provider>>,
    /// When it was last asked, with or without success.
    asked: Option<Instant>,
    failure: String,
}

/// Somebody who has been sent to the provider.
struct Pending {
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    next: String,
    until: Instant,
}

/// Somebody is to be sent to the provider.
pub(crate) struct Begun {
    /// Where.
    pub(crate) to: String,
    /// What their browser keeps until they are back.
    pub(crate) cookie: String,
}

/// Somebody has come back, and it is known who they are.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) claimed: Claimed,
    /// Where they wanted to go.
    pub(crate) next: String,
}

/// What the provider sends somebody back with (RFC 6749, 4.1.2; `iss` is RFC 9207).
#[derive(Debug, Deserialize)]
pub(crate) struct Callback {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl Oidc {
    pub(crate) fn new(settings: OidcSettings, place: &Place) -> Result<Self, String> {
        let redirect = RedirectUrl::new(format!("{place}{}", super::entry::CALLBACK));
        Ok(Self {
            settings,
            redirect: redirect.map_err(|error| error.to_string())?,
            known: tokio::sync::Mutex::default(),
            pending: Mutex::default(),
        })
    }

    /// Who it is, for people.
    pub(crate) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Asks the provider for what it says of itself, unless that is known. Several that ask at once wait for one
    /// answer.
    ///
    /// # Errors
    /// If it does not answer as it should, now or lately.
    pub(crate) async fn provider(&self) -> Result<Arc<Provider>, OidcError> {
        self.provider_known(|asked| asked.elapsed() < OIDC_KEEP)
            .await
    }

    async fn provider_known(
        &self,
        good: impl Fn(Instant) -> bool,
    ) -> Result<Arc<Provider>, OidcError> {
        let mut known = self.known.lock().await;
        if let (Some(provider), Some(asked)) = (&known.provider, known.asked)
            && (good(asked) || asked.elapsed() < OIDC_ASK_AGAIN)
        {
            return Ok(Arc::clone(provider));
        }
        if known.provider.is_none() && known.asked.is_some_and(|at| at.elapsed() < OIDC_ASK_AGAIN) {
            return Err(self.unusable(known.failure.clone()));
        }
        let asked = library::discover(&self.settings.issuer, &self.settings.fetch).await;
        known.asked = Some(Instant::now());
        match asked {
            Ok(provider) => {
                let provider = Arc::new(provider);
                known.provider = Some(Arc::clone(&provider));
                Ok(provider)
            }
            Err(reason) => {
                tracing::warn!(
                    issuer = self.issuer(),
                    reason,
                    "the identity provider cannot be used"
                );
                known.failure.clone_from(&reason);
                // Old keys are not used on: the provider may have taken one back.
                known.provider = None;
                Err(self.unusable(reason))
            }
        }
    }

    fn unusable(&self, reason: String) -> OidcError {
        OidcError::Provider {
            issuer: self.settings.issuer.clone(),
            reason,
        }
    }

    /// Sends somebody to the provider. What their browser keeps binds the way back to it, so that nobody can make
    /// somebody else sign in as themselves.
    pub(crate) async fn begin(&self, next: String) -> Result<Begun, OidcError> {
        let provider = self.provider().await?;
        let random =
            |error: getrandom::Error| refused(format!("the system gives no random bytes: {error}"));
        let state = CsrfToken::new(fresh("").map_err(random)?);
        let nonce = Nonce::new(fresh("").map_err(random)?);
        let cookie = fresh("bwo_").map_err(random)?;
        let verifier = PkceCodeVerifier::new(fresh("").map_err(random)?);
        let client = self.client(&provider);
        let mut asked = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || state,
                move || nonce,
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in &self.settings.scopes {
            asked = asked.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = asked.url();
        let now = Instant::now();
        let mut pending = lock(&self.pending);
        pending.retain(|_, pending| now < pending.until);
        if pending.len() >= OIDC_PENDING_MAX {
            return Err(OidcError::TooMany);
        }
        let waiting = Pending {
            state,
            nonce,
            verifier,
            next,
            until: now + OIDC_SIGN_IN_TIME_MAX,
        };
        pending.insert(Hashed::of(&cookie), waiting);
        Ok(Begun {
            to: url.into(),
            cookie,
        })
    }

    /// Somebody is back from the provider. Whatever comes of it, that was their one try.
    pub(crate) async fn finish(
        &self,
        cookie: Option<&str>,
        callback: Callback,
    ) -> Result<Finished, OidcError> {
        let pending = cookie.and_then(|cookie| lock(&self.pending).remove(&Hashed::of(cookie)));
        let pending = pending
            .filter(|pending| Instant::now() < pending.until)
            .ok_or_else(|| refused("this browser did not begin to sign in, or took too long"))?;
        let state = callback.state.unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(pending.state.secret().as_bytes())) {
            return Err(refused("the answer's `state` is not the one that was sent"));
        }
        let provider = self.provider().await?;
        match &callback.iss {
            // RFC 9207, section 2.4: compared as it is.
            Some(iss) if *iss != self.settings.issuer => {
                return Err(refused(
                    "the answer's `iss` names another identity provider",
                ));
            }
            None if provider.names_itself() => {
                return Err(refused(
                    "the answer has no `iss`, though this identity provider says that it sends one",
                ));
            }
            Some(_) | None => {}
        }
        if let Some(error) = callback.error {
            let error: String = error
                .chars()
                .filter(char::is_ascii_graphic)
                .take(64)
                .collect();
            return Err(refused(format!("the identity provider answered `{error}`")));
        }
        let code = callback
            .code
            .ok_or_else(|| refused("the answer has no `code`"))?;
        let claimed = self
            .exchange(&provider, code, pending.verifier, &pending.nonce)
            .await?;
        Ok(Finished {
            claimed,
            next: pending.next,
        })
    }

    async fn exchange(
        &self,
        provider: &Provider,
        code: String,
        verifier: PkceCodeVerifier,
        nonce: &Nonce,
    ) -> Result<Claimed, OidcError> {
        let client = self.client(provider);
        let fetch = library::asking(&self.settings.fetch);
        let tokens = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| self.unusable(error.to_string()))?
            .set_pkce_verifier(verifier)
            .request_async(&fetch)
            .await
            .map_err(|error| self.of_exchange(error))?;
        let token = tokens
            .id_token()
            .ok_or_else(|| refused("the identity provider gave no ID token"))?;
        let mut claims = library::verified(token, &client, nonce);
        if library::lacks_key(&claims) {
            // It has changed its keys since.
            let provider = self.provider_known(|_| false).await?;
            claims = library::verified(token, &self.client(&provider), nonce);
        }
        let claims = claims.map_err(|error| {
            refused(format!(
                "the identity provider's ID token is not good: {}",
                library::why(&error)
            ))
        })?;
        claims::read(&self.settings, claims).map_err(refused)
    }

    fn of_exchange(&self, error: library::ExchangeError) -> OidcError {
        use openidconnect::RequestTokenError::{Other, Parse, Request, ServerResponse};
        match error {
            // The code was used, is too old or another client's; or the password is wrong.
            ServerResponse(answer) => refused(format!(
                "the identity provider did not take the code: {}",
                answer.error().as_ref()
            )),
            Request(error) => self.unusable(error.to_string()),
            // A library's error may hold what it could not read, and that may hold a token.
            Parse(..) => refused("the identity provider's answer to the code is not understood"),
            Other(_) => refused("the identity provider's answer to the code is not one"),
        }
    }

    fn client(&self, provider: &Provider) -> library::Client {
        let secret = self.settings.client_secret.clone().map(ClientSecret::new);
        let client = library::Client::from_provider_metadata(
            provider.metadata.clone(),
            ClientId::new(self.settings.client_id.clone()),
            secret,
        );
        // Basic is what holds where a provider does not say (OpenID Connect Discovery 1.0, section 3).
        let methods = provider.metadata.token_endpoint_auth_methods_supported();
        let in_body = methods.is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        client
            .set_auth_type(if in_body {
                AuthType::RequestBody
            } else {
                AuthType::BasicAuth
            })
            .set_redirect_uri(self.redirect.clone())
    }
}
