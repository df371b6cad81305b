//! Who asks, as handlers see it: the guard has found out, and here it is said what they may do.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::problem::Refusal;
use crate::people::{Person, Role, Session, Via};

/// What the guard has found out: who asks; or, of a local user who may be here, why it is not known who.
#[derive(Clone, Debug)]
pub(crate) struct Asker(pub(crate) Result<Person, String>);

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        (parts.extensions.get::<Self>().cloned()).ok_or_else(|| {
            Refusal::new(
                StatusCode::UNAUTHORIZED,
                "token",
                "it is not known who asks".to_owned(),
            )
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let asker = Asker::from_request_parts(parts, state).await;
        let Asker(who) = asker.map_err(Refusal::into_response)?;
        who.map_err(|why| Refusal::unnamed(&why).into_response())
    }
}

/// What every form of a session carries as `csrf`, so that nobody else's page can send one. Empty for whoever has a
/// token and no session: they send no forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Csrf(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Csrf {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let session = parts.extensions.get::<Session>();
        Ok(session.map_or_else(Self::default, |session| Self(session.csrf.clone())))
    }
}

impl Person {
    /// Refuses, with what to do, unless they may do what wants this role.
    pub(crate) fn must(&self, wanted: Role) -> Result<(), Refusal> {
        if self.may(wanted) {
            return Ok(());
        }
        let name = &self.name;
        let remedy = match self.via {
            Via::Token if name.as_str() == super::guard::CONTROL_TOKEN => {
                "over TCP the control token is for looking alone, because the gateway cannot know who has it: use \
                 `bailiwick` on the gateway's own machine, which asks over the control socket, or a token of \
                 [[tokens]]"
                    .to_owned()
            }
            Via::Token => format!(
                "whoever keeps the gateway can put `{wanted}` into the `roles` of that token under [[tokens]] in \
                 bailiwick.toml"
            ),
            Via::Local | Via::Oidc => format!(
                "whoever keeps the gateway can name `{name}`, or a group of theirs, as `{wanted}` under [roles] in \
                 bailiwick.toml"
            ),
        };
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "role",
            format!("this wants the role `{wanted}`, which {name} does not have; {remedy}"),
        ))
    }
}
