//! Rotation: a log ends, and another goes on under a new name and a new key. Each names the other: the
//! last record of the old one has the new one's key, the first of the new one has where the old one
//! ended. The old one is kept in `archive/`, whole and verifiable.
//!
//! 1. The new key is made, as `keys/next.key`; a signer that has the key of the new log is asked for it.
//! 2. The old log records that it is continued, signs a last checkpoint and closes.
//! 3. Everything of it moves to `archive/next`; its signing key, if it is here, is destroyed; the new key
//!    takes its place; `archive/next` gets its number.
//! 4. The next start finds a new log and an archive, and records first what it continues. It has to be
//!    under the name that the old log says.
//!
//! A crash between any two of these is brought to the same end by rotating again.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::disk::{self, Disk, FileSystem};
use crate::error::AppendError;
use crate::keys::{self, KeyError};
use crate::layout::Layout;
use crate::log::{Config, Log};
use crate::note::{self, Public, Signer};
use crate::open::{self, OpenError};
use crate::reader::{ReadError, Reader};
use crate::record::{ContinuedBy, Continues, Draft, Event, Subject};
use crate::signer::{Remote, Unknown};
use crate::wal::segment;

/// Why a log was not rotated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// There is nothing to rotate.
    #[error(
        "the log in {} is called {name} already; to rotate it, give `name` in bailiwick.toml a new \
         value, such as the old one with the next year",
        dir.display()
    )]
    SameName {
        /// The data folder.
        dir: PathBuf,
        /// Its log's name.
        name: String,
    },
    /// The signer that has the key of the new log does not give it.
    #[error(
        "the signer at {} does not say with which key {name} goes on: {reason}. A signer of the new name has to \
         run: `bailiwick signer --new --key FILE --name {name} --listen {}`", socket.display(), socket.display()
    )]
    Signer {
        /// Where it listens.
        socket: PathBuf,
        /// The name of the new log.
        name: String,
        /// What it says.
        reason: String,
    },
    /// It was to be continued under another key.
    #[error(
        "the log is to be continued as {name} under the key {said} already, and the key is {is} now: give back the \
         one that it was"
    )]
    OtherKey {
        /// The name of the new log.
        name: String,
        /// The key that the old log says.
        said: String,
        /// The key that there is.
        is: String,
    },
    /// Runs are open.
    #[error(
        "{0} runs were left open by a crash; start the gateway under the log's old name once and stop \
         it, which closes them, then rotate"
    )]
    OpenRuns(usize),
    /// It was to be continued as another log.
    #[error(
        "the log is to be continued as {0} already: a rotation to that name was not finished. Give \
         `name` that value and rotate again"
    )]
    OtherName(String),
    /// It was rotated, and the new log has not begun.
    #[error(
        "the log was rotated already, to go on as {0}: start the gateway under that name, which \
         begins it"
    )]
    NotStarted(String),
    /// The old log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A key is missing or is not one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The old log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The old log cannot record that it ends.
    #[error("the old log cannot be ended: {0}")]
    Record(#[from] AppendError),
    /// A file or folder could not be moved.
    #[error("cannot move the old log to {}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

/// A log that was rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Where the old one is kept.
    pub archive: PathBuf,
    /// What the new one continues.
    pub continues: Continues,
    /// The key that checks the new one.
    pub vkey: String,
}

/// Ends the log of a data folder, and prepares another under the name and the settings given. No
/// gateway may have the folder. Finishes a rotation that was begun before.
///
/// The key of the new log is with the signer of the settings, or is made here. The key of the old one is here, or
/// with the signer that listens at `old_signer`; by itself that is the new log's.
///
/// # Errors
/// If the name is not new, runs are open, a signer is missing or has another key, or a file cannot be moved.
pub fn rotate(config: &Config, old_signer: Option<&Path>) -> Result<Rotated, RotateError> {
    if !note::is_name(&config.origin) {
        return Err(OpenError::Origin(config.origin.clone()).into());
    }
    let layout = Layout::new(config.dir.clone());
    if !layout.archive_next().exists() {
        let here = layout.checkpoint().exists();
        let said = match here {
            true => None,
            false => successor(&layout).map_err(|error| RotateError::Io {
                path: layout.archive(),
                error,
            })?,
        };
        if let Some(said) = said {
            return Err(RotateError::NotStarted(said.origin));
        }
        end(&layout, config, old_signer)?;
    }
    let lock = open::take_lock(&layout)?;
    let next = layout.archive_next();
    let at = |error| RotateError::Io {
        path: next.clone(),
        error,
    };
    // Before the old key goes. A signer may be another one than when this was begun.
    let by = next_log(&layout, config, false)?;
    if let Some(said) = ended_as(&layout).map_err(at)?
        && said != by
    {
        return Err(match said.origin == by.origin {
            true => RotateError::OtherKey {
                name: said.origin,
                said: said.vkey,
                is: by.vkey,
            },
            false => RotateError::OtherName(said.origin),
        });
    }
    let archive = archive(&layout, config.signer.is_some(), &FileSystem).map_err(at)?;
    drop(lock);
    let archived = Layout::archived(&layout, archive.clone());
    Ok(Rotated {
        continues: continues(&archived).map_err(|error| RotateError::Io {
            path: archived.checkpoint(),
            error,
        })?,
        archive,
        vkey: by.vkey,
    })
}

/// The log to come, with its key: that of its signer, or the one here, which is made if there is to be none yet.
fn next_log(layout: &Layout, config: &Config, make: bool) -> Result<ContinuedBy, RotateError> {
    let origin = config.origin.clone();
    let vkey = match &config.signer {
        Some(socket) => {
            let signer = |unknown| {
                let (Unknown::Unavailable(reason) | Unknown::Refused(reason)) = unknown;
                RotateError::Signer {
                    socket: socket.clone(),
                    name: origin.clone(),
                    reason,
                }
            };
            Remote::ask_key(socket, &origin).map_err(signer)?.vkey()
        }
        None => {
            let next = layout.keys().join(NEXT_KEY);
            let seed = match make || next.exists() {
                true => keys::key(&next, make)?,
                // It took the old one's place before a crash.
                false => keys::key(&layout.log_key(), false)?,
            };
            Signer::new(origin.clone(), &seed).public().vkey()
        }
    };
    Ok(ContinuedBy { origin, vkey })
}

/// What the old log says that it is continued as, wherever a crash has left it.
fn ended_as(layout: &Layout) -> io::Result<Option<ContinuedBy>> {
    let archived = Layout::archived(layout, layout.archive_next());
    let old = match layout.checkpoint().exists() {
        true => layout.clone(),
        false => archived,
    };
    continued_by(old)
}

/// Has the old log record what continues it, sign that, and close.
fn end(layout: &Layout, config: &Config, old_signer: Option<&Path>) -> Result<(), RotateError> {
    let reader = Reader::open(layout.dir())?;
    let at = |error| RotateError::Io {
        path: layout.vkey(),
        error,
    };
    let old = public(layout).map_err(at)?.name().to_owned();
    if old == config.origin {
        return Err(RotateError::SameName {
            dir: layout.dir(),
            name: old,
        });
    }
    let by = next_log(layout, config, true)?;
    let old_signer = old_signer
        .map(Path::to_owned)
        .or_else(|| config.signer.clone());
    let (log, recovered) = Log::open(Config {
        origin: old,
        signer: old_signer.filter(|_| !layout.log_key().exists()),
        ..config.clone()
    })?;
    if !recovered.open_runs.is_empty() {
        return Err(RotateError::OpenRuns(recovered.open_runs.len()));
    }
    let last = reader.newest(1)?.pop();
    match last.and_then(|last| last.record.continued_by) {
        Some(said) if said == by => {}
        Some(said) if said.origin != by.origin => {
            return Err(RotateError::OtherName(said.origin));
        }
        Some(said) => {
            return Err(RotateError::OtherKey {
                name: by.origin,
                said: said.vkey,
                is: by.vkey,
            });
        }
        None => {
            let draft = Draft {
                event: Event::LogContinued(by),
                subject: Subject::Gateway,
                payload: None,
            };
            log.append(draft).wait()?;
        }
    }
    log.checkpoint_now()?;
    log.close();
    Ok(())
}

/// The key of the log to come.
const NEXT_KEY: &str = "next.key";

/// Moves the old log aside, and puts the new key in its place, if it is not with a signer. Done again after a crash,
/// it goes on where that was.
fn archive(layout: &Layout, has_signer: bool, disk: &dyn Disk) -> io::Result<PathBuf> {
    let next = layout.archive_next();
    let archived = Layout::archived(layout, next.clone());
    for folder in [layout.archive(), next.clone(), next.join("keys")] {
        disk::make_dir(&folder, 0o700)?;
    }
    // The checkpoint goes with the log, and last of all: while it is here, this is the old log.
    if layout.wal().exists() {
        // All of it is in the tree, under a checkpoint.
        for segment in segment::list(&layout.wal())? {
            disk.remove(&segment.path)?;
        }
        disk.remove(&layout.snapshot())?;
    }
    move_to(disk, &layout.wal(), &archived.wal())?;
    move_to(disk, &layout.last_checkpoint(), &archived.last_checkpoint())?;
    move_to(disk, &layout.vkey(), &archived.vkey())?;
    move_to(disk, &layout.log(), &archived.log())?;
    let (new, old) = (layout.keys().join(NEXT_KEY), layout.log_key());
    if has_signer || new.exists() {
        disk::destroy(&old)?;
    }
    match has_signer {
        // Of a rotation that was begun without it.
        true => disk::destroy(&new)?,
        false => move_to(disk, &new, &old)?,
    }
    // Older ones may have been moved away, and the newest still has its number.
    let number = |archived: &Layout| archived.dir().file_name()?.to_str()?.parse().ok();
    let last: u64 = archives(layout)?
        .iter()
        .filter_map(number)
        .max()
        .unwrap_or(0);
    let archive = layout
        .archive()
        .join(format!("{:04}", last.saturating_add(1)));
    disk.rename(&next, &archive)?;
    Ok(archive)
}

/// Moves a file or folder, unless it was moved before. Durable when it returns.
fn move_to(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    disk.rename(from, to)?;
    from.parent()
        .map_or(Ok(()), |folder| disk.sync_path(folder))
}

/// The archived logs of a data folder, the oldest first.
pub(crate) fn archives(layout: &Layout) -> io::Result<Vec<Layout>> {
    let listed = match std::fs::read_dir(layout.archive()) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            found.push(path);
        }
    }
    found.sort();
    let archived = |path| Layout::archived(layout, path);
    Ok(found.into_iter().map(archived).collect())
}

/// The name of an archived log.
pub(crate) fn name(archived: &Layout) -> io::Result<String> {
    Ok(public(archived)?.name().to_owned())
}

/// What a new log of this data folder continues, if it continues one.
pub(crate) fn predecessor(layout: &Layout) -> io::Result<Option<Continues>> {
    archives(layout)?.last().map(continues).transpose()
}

/// As what the last archived log of this data folder is continued, as its last record has it.
pub(crate) fn successor(layout: &Layout) -> io::Result<Option<ContinuedBy>> {
    match archives(layout)?.pop() {
        Some(archived) => continued_by(archived),
        None => Ok(None),
    }
}

/// What the last record of a log says that it is continued as.
fn continued_by(log: Layout) -> io::Result<Option<ContinuedBy>> {
    let last = Reader::new(log, None).newest(1);
    let last = last.map_err(io::Error::other)?.pop();
    Ok(last.and_then(|last| last.record.continued_by))
}

/// Where an archived log ended.
fn continues(archived: &Layout) -> io::Result<Continues> {
    let public = public(archived)?;
    let note = disk::read(&archived.checkpoint())?.unwrap_or_default();
    let checkpoint = (public.open(&note))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    Ok(Continues {
        origin: public.name().to_owned(),
        root: BASE64.encode(checkpoint.root),
        size: checkpoint.size,
        vkey: public.vkey(),
    })
}

fn public(layout: &Layout) -> io::Result<Public> {
    let vkey = std::fs::read_to_string(layout.vkey())?;
    let not = || io::Error::new(io::ErrorKind::InvalidData, "it is not a verifier key");
    Public::parse(vkey.trim_end()).ok_or_else(not)
}
