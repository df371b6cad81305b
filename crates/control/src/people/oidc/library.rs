//! The library's types with our additions, and how it asks.

use std::collections::BTreeMap;
use std::fmt::Display;

use axum::http::Request;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
    CoreResponseMode, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AdditionalProviderMetadata, ClaimsVerificationError, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IdToken, IdTokenClaims, IdTokenFields,
    IssuerUrl, Nonce, ProviderMetadata, RequestTokenError, SignatureVerificationError,
    StandardErrorResponse, StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Fetch, FetchError, Fetched};
use crate::clock;
use crate::limits::OIDC_CLOCK_OFF_MAX;
use crate::people::place::is_loopback;

/// Claims that the library does not know by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct MoreClaims(BTreeMap<String, serde_json::Value>);
impl AdditionalClaims for MoreClaims {}

/// What a provider says beside what the library knows.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct MoreMetadata {
    /// Whether it sends `iss` with its answers (RFC 9207, section 3).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}
impl AdditionalProviderMetadata for MoreMetadata {}

type Metadata = ProviderMetadata<
    MoreMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Fields = IdTokenFields<
    MoreClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type Token = IdToken<
    MoreClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type ErrorResponse = StandardErrorResponse<CoreErrorResponseType>;

pub(super) type Claims = IdTokenClaims<MoreClaims, CoreGenderClaim>;

pub(super) type ExchangeError = RequestTokenError<FetchError, ErrorResponse>;

/// The gateway, as the provider knows it.
pub(super) type Client = openidconnect::Client<
    MoreClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    ErrorResponse,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What an ID token may be signed with: nothing that the gateway's own password could make, and not nothing.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// A provider, with its keys.
pub(crate) struct Provider {
    pub(super) metadata: Metadata,
}

impl Provider {
    /// Whether its answers say whose they are.
    pub(super) fn names_itself(&self) -> bool {
        let more = self.metadata.additional_metadata();
        more.authorization_response_iss_parameter_supported
    }
}

/// Asks a provider what it says of itself, and for its keys.
pub(super) async fn discover(issuer: &str, fetch: &Fetch) -> Result<Provider, String> {
    let issuer = IssuerUrl::new(issuer.to_owned()).map_err(|error| error.to_string())?;
    let asking = asking(fetch);
    let metadata = Metadata::discover_async(issuer, &asking)
        .await
        .map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })?;
    let token = metadata
        .token_endpoint()
        .ok_or("it has no `token_endpoint`")?
        .url();
    for url in [
        token,
        metadata.authorization_endpoint().url(),
        metadata.jwks_uri().url(),
    ] {
        if !is_safe(url) {
            return Err(format!("its `{url}` does not begin with `https://`"));
        }
    }
    Ok(Provider { metadata })
}

/// Passwords and keys go by TLS, or stay on this machine.
fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_loopback))
}

/// The way out, as the library takes it.
pub(super) fn asking(fetch: &Fetch) -> impl Fn(Request<Vec<u8>>) -> Fetched + use<> {
    let fetch = Fetch::clone(fetch);
    move |request| fetch(request)
}

/// The claims of a token that is signed by the provider, for us, now, and in answer to this request.
pub(super) fn verified(
    token: &Token,
    client: &Client,
    nonce: &Nonce,
) -> Result<Claims, ClaimsVerificationError> {
    let verifier = client
        .id_token_verifier()
        .set_allowed_algs(ALGORITHMS)
        .set_issue_time_verifier_fn(|issued| {
            let issued = u64::try_from(issued.timestamp_millis()).unwrap_or_default();
            let off = issued.abs_diff(clock::now().millis());
            match u128::from(off) <= OIDC_CLOCK_OFF_MAX.as_millis() {
                true => Ok(()),
                false => Err("it was not issued just now; see to both clocks".to_owned()),
            }
        });
    token.claims(&verifier, nonce).cloned()
}

/// Whether it is signed by a key that is not known.
pub(super) fn lacks_key(claims: &Result<Claims, ClaimsVerificationError>) -> bool {
    matches!(
        claims,
        Err(ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey
        ))
    )
}

/// What is wrong with a token, with the cause.
pub(super) fn why(error: &ClaimsVerificationError) -> String {
    let cause: Option<&dyn Display> = match error {
        ClaimsVerificationError::SignatureVerification(cause) => Some(cause),
        _ => None,
    };
    match cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
