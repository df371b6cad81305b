//! Files for a run's process: with the run's credential in them, or to be trusted by it alone.
//!
//! They are in the data folder, which no confined process can read: each run's own one gets to read its own
//! folder there, and no other run's. Elsewhere (the folder for temporary files, say) every run of the same
//! user could read them.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bailiwick_control::api::OpenedRun;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;

use crate::config::Config;
use crate::failure::Failure;

/// Where such files are, in the data folder.
const FOLDER: &str = "handed";

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

/// The files of one run, which are gone when this is.
pub(super) struct Handed {
    folder: PathBuf,
    env: BTreeMap<String, String>,
}

impl Handed {
    /// Writes them; nothing if the run needs none.
    pub(super) fn make(config: &Config, opened: &OpenedRun) -> Result<Option<Self>, Failure> {
        if opened.mcp.is_none() && opened.ca.is_none() {
            return Ok(None);
        }
        let folder = config.data.join(FOLDER).join(opened.run.to_string());
        let cannot = |error: io::Error| {
            Failure::new(format!(
                "the files for the agent cannot be written to `{}`: {error}",
                folder.display()
            ))
            .help("`bailiwick run` wants to be the user that the gateway is")
        };
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&folder)
            .map_err(cannot)?;
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
