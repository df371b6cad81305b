//! Files for a run's process: with the run's credential in them, or to be trusted by it alone.
//!
//! They are where no confined process of the same user can read: each run's own one gets to read its own folder there,
//! and no other run's. Elsewhere (the folder for temporary files, say) every run of the same user could read
//! them.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bailiwick_control::api::OpenedRun;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use rustix::process::geteuid;

use crate::commands::gateway::Asker;
use crate::failure::Failure;

/// Where such files are, in the data folder.
const FOLDER: &str = "handed";

/// Where those are that have no data folder, each user's own with their number behind it. A folder that hardly anything
/// else is done in: what leads to a hidden place cannot be listed.
const PLACE: &str = "/var/tmp/bailiwick-";

const CLIENTS: &str = "mcp.json";
const AUTHORITIES: &str = "authorities.pem";

/// By what common programs know a file with the authorities to trust. Node adds its to those it has; for the
/// others the file stands for all.
const TRUST: [&str; 4] = [
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
];

/// Where the files of this user's runs are.
pub(super) struct Outbox {
    place: PathBuf,
    /// The one that is not in a data folder.
    own: PathBuf,
}

impl Outbox {
    /// In the data folder, or for whoever has none, in a folder of their own.
    pub(super) fn new(asker: &Asker) -> Self {
        let own = PathBuf::from(format!("{PLACE}{}", geteuid().as_raw()));
        let place = match asker {
            Asker::Own { data } => data.join(FOLDER),
            Asker::Guest | Asker::Elsewhere { .. } => own.clone(),
        };
        Self { place, own }
    }

    /// What other runs' files are in, also those of runs that are yet to come: what is not there when a run starts cannot
    /// be hidden from it. The data folder is hidden anyway.
    ///
    /// # Errors
    /// If somebody else keeps the place, and so may leave it to this user later.
    pub(super) fn hidden(&self) -> Result<Option<PathBuf>, Failure> {
        let uses_own = self.place == self.own;
        let made = if uses_own { self.open() } else { Ok(()) };
        match (is_ours(&self.own), made) {
            (Ok(true), _) => Ok(Some(self.own.clone())),
            (Ok(false), Err(error)) => Err(Failure::new(format!(
                "the files of your other runs cannot be kept from this one: `{}`: {error}",
                self.own.display()
            ))),
            // It is not there, or no files of this user's will be.
            (Ok(false) | Err(_), _) => Ok(None),
        }
    }

    fn open(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match is_ours(&self.place)? {
            true => Ok(()),
            false => Err(io::Error::other(
                "it is not a folder of yours alone (`chmod 700`); remove it, or have it removed",
            )),
        }
    }
}

/// Whether it is a folder of this user's alone. Anybody can make something of such a name.
fn is_ours(folder: &Path) -> io::Result<bool> {
    let found = folder.symlink_metadata()?;
    Ok(found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0)
}

/// The files of one run, which are gone when this is.
pub(super) struct Handed {
    folder: PathBuf,
    env: BTreeMap<String, String>,
}

impl Handed {
    /// Writes them; nothing if the run needs none.
    pub(super) fn make(outbox: &Outbox, opened: &OpenedRun) -> Result<Option<Self>, Failure> {
        if opened.mcp.is_none() && opened.ca.is_none() {
            return Ok(None);
        }
        let folder = outbox.place.join(opened.run.to_string());
        let cannot = |error: io::Error| {
            Failure::new(format!(
                "the files for the agent cannot be written to `{}`: {error}",
                folder.display()
            ))
        };
        let made = outbox.open();
        let made = made.and_then(|()| DirBuilder::new().mode(0o700).create(&folder));
        made.map_err(cannot)?;
        let mut handed = Self {
            env: BTreeMap::new(),
            folder: folder.clone(),
        };
        if let Some(mcp) = &opened.mcp {
            let file = handed.write(CLIENTS, format!("{mcp:#}\n").as_bytes());
            let file = file.map_err(cannot)?;
            handed.env.insert("BAILIWICK_MCP_CONFIG".into(), file);
        }
        if let Some(ca) = &opened.ca {
            let file = handed.write(AUTHORITIES, authorities(ca).as_bytes());
            let file = file.map_err(cannot)?;
            for name in TRUST {
                handed.env.insert(name.into(), file.clone());
            }
        }
        Ok(Some(handed))
    }

    /// What names them.
    pub(super) fn env(&self) -> BTreeMap<String, String> {
        self.env.clone()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<String> {
        let file = self.folder.join(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)?
            .write_all(bytes)?;
        let name = file.into_os_string().into_string();
        name.map_err(|_| io::Error::other("its path is not UTF-8"))
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        // A gateway that has been started anew has removed it.
        if let Err(error) = std::fs::remove_dir_all(&self.folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            let folder = self.folder.display();
            crate::render::note(format!("`{folder}` could not be removed: {error}"));
        }
    }
}

/// Removes what runs have left behind that were killed. Only where none is open.
pub(in crate::commands) fn sweep(data: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(data.join(FOLDER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Those that this system trusts, and the gateway's.
fn authorities(ca: &str) -> String {
    let mut all = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        all.push_str(&pem(&certificate));
    }
    all.push_str(ca);
    if !ca.ends_with('\n') {
        all.push('\n');
    }
    all
}

/// A certificate as text (RFC 7468).
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
