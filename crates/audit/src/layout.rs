use std::path::PathBuf;

/// Where everything is in a data folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
    /// Where keys and payloads are: the same folder, but for an archived log.
    home: PathBuf,
    /// Where the published part is.
    log: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            home: dir.clone(),
            log: dir.join("log"),
            dir,
        }
    }

    /// Of a folder that is a copy of the published part alone.
    pub(crate) fn published(dir: PathBuf) -> Self {
        Self {
            log: dir.clone(),
            ..Self::new(dir)
        }
    }

    /// Of a log that was rotated away into this folder.
    pub(crate) fn archived(home: &Layout, dir: PathBuf) -> Self {
        Self {
            log: dir.join("log"),
            dir,
            home: home.home.clone(),
        }
    }

    /// Where logs are that were rotated away.
    pub(crate) fn archive(&self) -> PathBuf {
        self.dir.join("archive")
    }

    /// The one that is being rotated away.
    pub(crate) fn archive_next(&self) -> PathBuf {
        self.dir.join("archive/next")
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    /// Held locked while a gateway has the folder.
    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// What may be published.
    pub(crate) fn log(&self) -> PathBuf {
        self.log.clone()
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.log.join("checkpoint")
    }

    /// The checkpoint with more signatures, before it takes the other's place.
    pub(crate) fn cosigned(&self) -> PathBuf {
        self.log.join("checkpoint.cosigned")
    }

    /// The newest checkpoint with as many cosignatures as the policy asks for.
    pub(crate) fn witnessed(&self) -> PathBuf {
        self.log.join("witnessed")
    }

    pub(crate) fn vkey(&self) -> PathBuf {
        self.dir.join("log.vkey")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.home.join("keys")
    }

    /// The key that signs the log, if it is kept here.
    pub(crate) fn log_key(&self) -> PathBuf {
        self.dir.join("keys/log.key")
    }

    /// What was signed last, kept apart from the log.
    pub(crate) fn last_checkpoint(&self) -> PathBuf {
        self.dir.join("keys/last-checkpoint")
    }

    pub(crate) fn payloads(&self) -> PathBuf {
        self.home.join("payloads")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.dir.join("wal")
    }

    /// Where the chains stood at some checkpoint.
    pub(crate) fn snapshot(&self) -> PathBuf {
        self.dir.join("wal/chains")
    }

    /// Before which record the log is pruned.
    pub(crate) fn pruned(&self) -> PathBuf {
        self.dir.join("wal/pruned")
    }
}
