//! Where people come in: by a one-time link or an identity provider, and who they are from then on.

use std::time::Instant;

use bailiwick_audit::AppendError;
use bailiwick_run::Launcher;

use super::links::Links;
use super::oidc::{Begun, Callback, Oidc, OidcError, OidcSettings};
use super::sessions::{SessionError, Sessions};
use super::{Attempts, LinkError, Person, Place, ProgramToken, Roles, Session, Via, tokens};
use crate::registry::Registry;

/// Where an identity provider sends people back to.
pub(crate) const CALLBACK: &str = "/sign-in/oidc/callback";

/// Who may come in, and how.
#[derive(Clone, Debug, Default)]
pub struct PeopleSettings {
    /// Who may do what.
    pub roles: Roles,
    /// The programs that have a token.
    pub tokens: Vec<ProgramToken>,
    /// Where people reach the console, if that is not the address that it listens at.
    pub place: Option<Place>,
    /// By which identity provider people sign in. Needs the place.
    pub oidc: Option<OidcSettings>,
}

/// Everybody who is not the gateway.
pub(crate) struct People {
    pub(crate) roles: Roles,
    pub(crate) attempts: Attempts,
    tokens: Vec<ProgramToken>,
    place: Option<Place>,
    oidc: Option<Oidc>,
    links: Links,
    sessions: Sessions,
}

/// Somebody has signed in.
pub(crate) struct SignedIn {
    /// What their browser comes back with.
    pub(crate) token: String,
    /// Where they wanted to go.
    pub(crate) next: String,
}

/// Why somebody has not signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// The link is of no use.
    #[error("{0}: `bailiwick console` prints another one, which can be used once, within a minute")]
    Link(#[from] LinkError),
    /// The identity provider does not say who it is.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// There is no identity provider.
    #[error("nobody signs in here by an identity provider: [oidc] in bailiwick.toml names one")]
    NoProvider,
    /// They may do nothing.
    #[error(
        "{0} has no role here; whoever keeps the gateway gives them, under [roles] in bailiwick.toml"
    )]
    NoRole(Launcher),
    /// There is no room.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It cannot be recorded, so it does not happen.
    #[error("nobody can sign in, because it cannot be recorded: {0}")]
    Record(#[from] AppendError),
}

impl People {
    /// # Errors
    /// If the identity provider cannot send anybody back to the place.
    pub(crate) fn new(settings: PeopleSettings) -> Result<Self, String> {
        let oidc = match (settings.oidc, &settings.place) {
            (Some(oidc), Some(place)) => Some(Oidc::new(oidc, place)?),
            (Some(_), None) => return Err("[oidc] needs the `url` of [console]".to_owned()),
            (None, _) => None,
        };
        Ok(Self {
            roles: settings.roles,
            attempts: Attempts::default(),
            tokens: settings.tokens,
            place: settings.place,
            oidc,
            links: Links::default(),
            sessions: Sessions::default(),
        })
    }

    /// Where people reach the console, if it is said.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The identity provider, if there is one.
    pub(crate) fn oidc(&self) -> Option<&Oidc> {
        self.oidc.as_ref()
    }

    /// The program that has this token.
    pub(crate) fn program(&self, token: &str) -> Option<Person> {
        tokens::find(&self.tokens, token, &self.roles)
    }

    /// The session of this cookie.
    pub(crate) fn session(&self, cookie: &str) -> Option<Session> {
        self.sessions.find(cookie, Instant::now())
    }

    /// Whether a session has not ended.
    pub(crate) fn lives(&self, session: &Session) -> bool {
        self.sessions.lives(&session.id, Instant::now())
    }

    /// Ends a session, and records that. It has ended also where that cannot be recorded: nobody stays signed in
    /// because a disk is full.
    pub(crate) async fn sign_out(&self, registry: &Registry, session: &Session) {
        if !self.sessions.close(&session.id) {
            return;
        }
        let by = &session.person.name;
        if let Err(error) = registry.signed_out(by.clone()).await {
            tracing::error!(%by, %error, "somebody signed out, which could not be recorded");
        }
    }

    /// The code of a one-time link for a local user, which is recorded before anybody has it.
    pub(crate) async fn link(
        &self,
        registry: &Registry,
        person: Person,
    ) -> Result<String, SignInError> {
        let by = person.name.clone();
        let code = self.links.make(person, Instant::now())?;
        registry.link_made(by).await?;
        Ok(code)
    }

    /// Signs somebody in by a one-time link, and records it before.
    pub(crate) async fn by_link(
        &self,
        registry: &Registry,
        code: &str,
        next: String,
    ) -> Result<SignedIn, SignInError> {
        let taken = self.links.take(code, Instant::now());
        match taken {
            Ok(person) => self.open(registry, person, next).await,
            Err(error) => self.refuse(registry, error.into()).await,
        }
    }

    /// Sends somebody to the identity provider.
    pub(crate) async fn begin(&self, next: String) -> Result<Begun, SignInError> {
        let oidc = self.oidc.as_ref().ok_or(SignInError::NoProvider)?;
        Ok(oidc.begin(next).await?)
    }

    /// Signs somebody in who is back from the identity provider, and records it before.
    pub(crate) async fn by_provider(
        &self,
        registry: &Registry,
        cookie: Option<&str>,
        callback: Callback,
    ) -> Result<SignedIn, SignInError> {
        let oidc = self.oidc.as_ref().ok_or(SignInError::NoProvider)?;
        match oidc.finish(cookie, callback).await {
            Ok(finished) => {
                let claimed = finished.claimed;
                let person = self.roles.person(claimed.name, Via::Oidc, claimed.groups);
                self.open(registry, person, finished.next).await
            }
            Err(error) => self.refuse(registry, error.into()).await,
        }
    }

    async fn open(
        &self,
        registry: &Registry,
        person: Person,
        next: String,
    ) -> Result<SignedIn, SignInError> {
        if person.roles.is_empty() {
            let error = SignInError::NoRole(person.name);
            return self.refuse(registry, error).await;
        }
        registry.signed_in(&person).await?;
        let token = self.sessions.open(person, Instant::now())?;
        Ok(SignedIn { token, next })
    }

    /// Records that somebody could not sign in.
    async fn refuse<T>(&self, registry: &Registry, error: SignInError) -> Result<T, SignInError> {
        let reason = match &error {
            SignInError::Link(error) => format!("sign-in: {error}"),
            SignInError::NoRole(name) => format!("sign-in: {name} has no role"),
            error => format!("sign-in: {error}"),
        };
        registry.sign_in_denied(reason).await?;
        Err(error)
    }
}
