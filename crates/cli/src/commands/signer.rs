//! `bailiwick signer`: the log's key, in a process of its own.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailiwick_audit::{SignerConfig, SigningDesk, serve_signer};
use clap::Args;
use rustix::fs::Mode;

use crate::commands::lasting::LogArg;
use crate::failure::Failure;
use crate::render::{self, clean, style};

/// The longest path of a socket, in bytes: Linux has room for 108, with a zero at the end.
const PATH_BYTES_MAX: usize = 107;

/// Sign a gateway's log in a process of its own, so that the gateway never holds the key
///
/// Run it as another user than the gateway, who can then not read the key, and name its socket in
/// bailiwick.toml, as `signer` under `[log]`. It remembers what it signed and signs nothing that did
/// not grow from that, whoever asks. It may be stopped and started at any time: the gateway goes on
/// recording, and publishes when it is back.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    bailiwick signer --new --key log.key --name acme.example/bailiwick \\\n      \
    --listen /run/bailiwick/signer.sock\n  \
    bailiwick signer --key log.key --name acme.example/bailiwick \\\n      \
    --listen /run/bailiwick/signer.sock --group")]
pub(crate) struct Signer {
    /// The file with the key: 32 bytes, as data/keys/log.key is
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Make that file; it must not be there
    #[arg(long)]
    new: bool,
    /// The name of the log, as in bailiwick.toml; may be given several times, for several gateways
    #[arg(long = "name", value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Where it listens: the path of a Unix socket
    #[arg(long, value_name = "SOCKET")]
    listen: PathBuf,
    /// Let the socket's group ask, too, not its owner alone
    #[arg(long)]
    group: bool,
    /// The folder for what it signed; FILE.signed if not given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    lines: LogArg,
}

impl Signer {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let lines = self.lines;
        lines.log_to_stderr();
        lines.tell(self.serve())
    }

    fn serve(self) -> Result<ExitCode, Failure> {
        let beside = || {
            let mut name = self.key.clone().into_os_string();
            name.push(".signed");
            PathBuf::from(name)
        };
        let config = SignerConfig {
            dir: self.data.clone().unwrap_or_else(beside),
            key: self.key.clone(),
            new: self.new,
            logs: self.names.clone(),
        };
        let desk = SigningDesk::open(&config).map_err(|error| {
            let failure = Failure::new(error);
            match self.new {
                true => failure,
                false => failure.help("--new makes a key, for a log that is new"),
            }
        })?;
        let listener = listen(&self.listen, self.group)?;
        let (bold, dim) = (style::HEADING, style::DIM);
        let mut text = format!("{bold}signer{bold:#}\n");
        let mut line = |name: &str, value: &str| {
            text.push_str(&format!("  {dim}{name:<8}{dim:#} {}\n", clean(value)));
        };
        line("listen", &self.listen.display().to_string());
        for vkey in desk.vkeys() {
            line("key", &vkey);
        }
        // Whoever started it may not care to read it.
        let _ = render::print(&text);
        serve_signer(desk, &listener)
    }
}

/// Listens. What a signer that is gone has left is cleared away; one that is there is not disturbed.
fn listen(path: &Path, group: bool) -> Result<UnixListener, Failure> {
    let cannot = |why: &dyn std::fmt::Display| {
        Failure::new(format!("cannot listen at {}: {why}", path.display()))
    };
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(cannot(&format_args!(
            "the path is longer than {PATH_BYTES_MAX} bytes"
        )));
    }
    match UnixStream::connect(path) {
        Ok(_) => return Err(cannot(&"another process is listening there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // Any file that is no socket answers like this too.
            let is_socket = fs::symlink_metadata(path)
                .map_err(|error| cannot(&error))?
                .file_type()
                .is_socket();
            if !is_socket {
                return Err(cannot(
                    &"there is something else of that name; move it away",
                ));
            }
            fs::remove_file(path).map_err(|error| cannot(&error))?;
        }
        Err(error) => return Err(cannot(&error)),
    }
    let mode = if group { 0o660 } else { 0o600 };
    // From its first moment on. Nothing else makes files in this process yet.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound.map_err(|error| cannot(&error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|error| cannot(&error))?;
    Ok(listener)
}
