//! The disk under the gateway's record, when a test says how it does.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

/// A disk that does as it is told. It is a library that is loaded into the gateway before all others,
/// and made from `disk.c` by the C compiler that the gateway is built with, too.
pub struct Disk {
    folder: TempDir,
}

impl Disk {
    /// One that works as always, for now.
    #[track_caller]
    pub fn that_is_well() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/disk.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
            .arg(folder.path().join("disk.so"))
            .args([source, "-ldl"])
            .output()
            .expect("a C compiler, called cc");
        assert!(compiled.status.success(), "{compiled:?}");
        let disk = Self { folder };
        disk.is_well();
        disk
    }

    /// It works as always.
    pub fn is_well(&self) {
        self.told("well 0");
    }

    /// It takes this long to make durable what was written.
    pub fn is_slow(&self, time: Duration) {
        self.told(&format!("slow {}", time.as_millis()));
    }

    /// It cannot make durable what was written.
    pub fn does_not_sync(&self) {
        self.told("unsynced 0");
    }

    /// It cannot be written.
    pub fn does_not_write(&self) {
        self.told("unwritten 0");
    }

    /// What the gateway's environment needs.
    pub(crate) fn environment(&self) -> [(String, PathBuf); 2] {
        [
            ("LD_PRELOAD".into(), self.folder.path().join("disk.so")),
            (
                "BAILIWICK_TEST_DISK".into(),
                self.folder.path().join("told"),
            ),
        ]
    }

    /// Moved into place, so that nobody reads half of it.
    fn told(&self, what: &str) {
        let (new, told) = (
            self.folder.path().join("new"),
            self.folder.path().join("told"),
        );
        fs::write(&new, what).expect("a file");
        fs::rename(new, told).expect("a file");
    }
}
