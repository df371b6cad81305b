use std::path::PathBuf;

use super::{OpenError, at};
use crate::disk;
use crate::keys;
use crate::layout::Layout;
use crate::note::{Public, Signer};
use crate::sign::Sign;
use crate::signer::{Remote, Unknown};

/// The key that signs the log, wherever it is.
pub(super) enum Key {
    /// In this data folder.
    Here(Signer),
    /// With a signer, at this socket.
    Elsewhere(PathBuf, Public),
}

impl Key {
    /// Finds it; makes it for a new log that has no signer.
    pub(super) fn find(
        layout: &Layout,
        origin: String,
        signer: Option<PathBuf>,
        new: bool,
    ) -> Result<Self, OpenError> {
        let Some(socket) = signer else {
            let seed = keys::key(&layout.log_key(), new)?;
            return Ok(Self::Here(Signer::new(origin, &seed)));
        };
        if layout.log_key().exists() {
            return Err(OpenError::TwoKeys(layout.log_key()));
        }
        let known = at(layout.vkey(), disk::read)?;
        let known = known.map(|known| String::from_utf8_lossy(&known).trim_end().to_owned());
        match (Remote::ask_key(&socket, &origin), known) {
            (Ok(public), Some(known)) if public.vkey() != known => Err(OpenError::Signer {
                socket,
                reason: format!(
                    "it has the key {}, but this log's is {known}",
                    public.vkey()
                ),
            }),
            (Ok(public), _) => Ok(Self::Elsewhere(socket, public)),
            (Err(Unknown::Unavailable(_)), Some(known)) if !new => {
                // It may come later, and what is recorded meanwhile is signed then.
                match Public::parse(&known).filter(|public| public.name() == origin) {
                    Some(public) => Ok(Self::Elsewhere(socket, public)),
                    None => Err(OpenError::Signer {
                        socket,
                        reason: format!(
                            "it does not answer, and `{known}` is not the key of {origin}"
                        ),
                    }),
                }
            }
            (Err(Unknown::Unavailable(reason) | Unknown::Refused(reason)), _) => {
                Err(OpenError::Signer { socket, reason })
            }
        }
    }

    pub(super) fn public(&self) -> &Public {
        match self {
            Self::Here(signer) => signer.public(),
            Self::Elsewhere(_, public) => public,
        }
    }

    /// What signs with it, after a checkpoint of so many records.
    pub(super) fn into_signer(self, signed: u64) -> Box<dyn Sign> {
        match self {
            Self::Here(signer) => Box::new(signer),
            Self::Elsewhere(socket, public) => Box::new(Remote::new(socket, public, signed)),
        }
    }
}
