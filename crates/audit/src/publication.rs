//! The published checkpoint: the file `log/checkpoint`, and who waits for a newer one.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bailiwick_run::Time;

use crate::disk::{self, Disk};
use crate::layout::Layout;
use crate::note::Checkpoint;
use crate::queue::lock;

/// A checkpoint as the log signed it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) checkpoint: Checkpoint,
    /// The note with the log's signature alone.
    pub(crate) note: String,
}

/// Replaces the published checkpoint, by newer ones and by itself with more signatures, so that it
/// never becomes older.
pub(crate) struct Publication {
    disk: Arc<dyn Disk>,
    layout: Layout,
    state: Mutex<State>,
    changed: Condvar,
    /// Nobody cosigns any more. Held while somebody does, so that no such write comes after it.
    sealed: Mutex<bool>,
}

#[derive(Default)]
struct State {
    latest: Option<Arc<Published>>,
    /// When that was published, if it was by this process.
    since: Option<Time>,
    /// Grows whenever somebody who waits may want to look.
    turn: u64,
}

impl Publication {
    /// Of a log whose published checkpoint is this one.
    pub(crate) fn new(disk: Arc<dyn Disk>, layout: Layout, found: Option<Published>) -> Self {
        let state = State {
            latest: found.map(Arc::new),
            ..State::default()
        };
        Self {
            disk,
            layout,
            state: Mutex::new(state),
            changed: Condvar::new(),
            sealed: Mutex::new(false),
        }
    }

    /// Publishes a newer checkpoint. It is durable when this returns.
    pub(crate) fn publish(&self, published: Published) -> io::Result<()> {
        let mut state = lock(&self.state);
        let note = published.note.as_bytes();
        self.disk
            .replace(&self.layout.checkpoint(), note, disk::PUBLIC)?;
        state.latest = Some(Arc::new(published));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        state.since = u64::try_from(now.as_millis()).ok().map(Time::from_millis);
        drop(state);
        self.wake();
        Ok(())
    }

    /// Adds cosignature lines to a checkpoint, unless a newer one has taken its place.
    pub(crate) fn cosign(&self, published: &Published, lines: &str) -> io::Result<()> {
        let sealed = lock(&self.sealed);
        if *sealed {
            return Ok(());
        }
        let cosigned = format!("{}{lines}", published.note);
        let prepared = self.layout.cosigned();
        self.disk
            .replace(&prepared, cosigned.as_bytes(), disk::PUBLIC)?;
        let state = lock(&self.state);
        if state.latest.as_deref() != Some(published) {
            return self.disk.remove(&prepared);
        }
        // Only the name changes under this lock: whoever publishes does not wait for the disk here.
        std::fs::rename(&prepared, self.layout.checkpoint())?;
        drop(state);
        self.disk.sync_path(&self.layout.log())
    }

    /// Keeps a checkpoint that has as many cosignatures as are asked for.
    pub(crate) fn keep_witnessed(&self, published: &Published, lines: &str) -> io::Result<()> {
        let sealed = lock(&self.sealed);
        if *sealed {
            return Ok(());
        }
        let note = format!("{}{lines}", published.note);
        self.disk
            .replace(&self.layout.witnessed(), note.as_bytes(), disk::PUBLIC)
    }

    /// The published checkpoint, and the turn from which to [`wait`](Self::wait) for what comes.
    pub(crate) fn latest(&self) -> (Option<Arc<Published>>, u64) {
        let state = lock(&self.state);
        (state.latest.clone(), state.turn)
    }

    /// How many records the published checkpoint covers, and when it was published, if by this process.
    pub(crate) fn covers(&self) -> (u64, Option<Time>) {
        let state = lock(&self.state);
        let latest = state.latest.as_ref();
        (
            latest.map_or(0, |latest| latest.checkpoint.size),
            state.since,
        )
    }

    /// Waits until there is something to look at after this turn, at most this long.
    pub(crate) fn wait(&self, turn: u64, at_most: Option<Duration>) {
        let since = Instant::now();
        let mut state = lock(&self.state);
        while state.turn == turn {
            state = match at_most {
                None => crate::queue::wait(&self.changed, state),
                Some(time) => {
                    let Some(left) = time.checked_sub(since.elapsed()) else {
                        return;
                    };
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Lets everybody who waits look.
    pub(crate) fn wake(&self) {
        lock(&self.state).turn += 1;
        self.changed.notify_all();
    }

    /// Takes no more cosignatures, because another process may have the folder soon.
    pub(crate) fn seal(&self) {
        *lock(&self.sealed) = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FileSystem;

    fn published(size: u64) -> Published {
        Published {
            checkpoint: Checkpoint {
                size,
                root: [1; 32],
            },
            note: format!("note {size}\n"),
        }
    }

    #[test]
    fn signatures_are_added_to_what_is_published_and_to_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        std::fs::create_dir(layout.log()).unwrap();
        let file = || std::fs::read_to_string(layout.checkpoint()).unwrap();
        let publication = Publication::new(Arc::new(FileSystem), layout.clone(), None);
        publication.publish(published(1)).unwrap();
        publication.cosign(&published(1), "one\n").unwrap();
        assert_eq!(file(), "note 1\none\n");
        publication.cosign(&published(1), "one\ntwo\n").unwrap();
        assert_eq!(file(), "note 1\none\ntwo\n");
        publication.publish(published(2)).unwrap();
        publication.cosign(&published(1), "three\n").unwrap();
        assert_eq!(file(), "note 2\n");
        publication.seal();
        publication.cosign(&published(2), "four\n").unwrap();
        assert_eq!(file(), "note 2\n");
        assert!(!layout.cosigned().exists());
    }

    #[test]
    fn who_waits_is_woken_by_what_is_newer() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        std::fs::create_dir(layout.log()).unwrap();
        let publication = Publication::new(Arc::new(FileSystem), layout, Some(published(1)));
        let (latest, turn) = publication.latest();
        assert_eq!(latest.unwrap().checkpoint.size, 1);
        let soon = Duration::from_millis(10);
        publication.wait(turn, Some(soon));
        std::thread::scope(|scope| {
            scope.spawn(|| publication.wait(turn, None));
            publication.publish(published(2)).unwrap();
        });
        publication.wait(turn, None);
        assert_eq!(publication.latest().0.unwrap().checkpoint.size, 2);
    }
}
