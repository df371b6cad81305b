//! `bailiwick console`: the way into the console for whoever sits at the gateway's machine.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use crate::commands::gateway::{self, GatewayArg};
use crate::failure::Failure;
use crate::render::{self, note};

/// How long a browser may take to read what it was started with.
const OPEN_WITHIN: Duration = Duration::from_secs(15);

/// Print a link to the console
///
/// The link signs you in as the local user that you are. It can be used once, within a minute, and whoever
/// has it can use it: do not pass it on. Who signed in is on record.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick console --open")]
pub(crate) struct Console {
    /// Start the browser with it
    #[arg(long, conflicts_with = "json")]
    open: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

impl Console {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let link = gateway::ask(&self.gateway, async |client| {
            Ok(client.console_link().await?)
        })?;
        if self.json {
            render::print_json(&link)?;
            return Ok(ExitCode::SUCCESS);
        }
        render::print(&format!("{}\n", render::clean(&link.url)))?;
        if self.open {
            open(&link.url)?;
        } else {
            note("it signs you in once, within a minute; --open starts the browser with it");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Starts the browser with a link. Everybody on this machine can read what programs are started with, so the link
/// goes by a file that is its owner's alone.
fn open(url: &str) -> Result<(), Failure> {
    let cannot = |what: &str, error: std::io::Error| {
        Failure::new(format!("the browser was not started: {what}: {error}"))
            .help("the link above is good; open it yourself")
    };
    let folder = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folder = folder
        .filter(|folder| folder.is_dir())
        .unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new()
        .prefix("bailiwick-")
        .tempdir_in(folder)
        .map_err(|error| cannot("no file can be made for it", error))?;
    let page = folder.path().join("console.html");
    write(&page, url).map_err(|error| cannot("no file can be made for it", error))?;
    let opener = opener().ok_or_else(|| {
        Failure::new("the browser was not started: there is neither $BROWSER nor xdg-open here")
            .help("the link above is good; open it yourself")
    })?;
    let mut started = Command::new(opener)
        .arg(&page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| cannot("it cannot be started", error))?;
    // The page has to be there until the browser has read it, and no longer.
    let begun = Instant::now();
    while begun.elapsed() < OPEN_WITHIN {
        if let Ok(Some(status)) = started.try_wait() {
            if !status.success() {
                return Err(Failure::new("the browser was not started")
                    .help("the link above is good; open it yourself"));
            }
            // It has passed the page on to a browser that runs already, or to one that starts.
            std::thread::sleep(Duration::from_secs(5));
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A page that leads on. The code behind the `#` is of letters, digits and `_`, and a URL's host has nothing to escape.
fn write(page: &Path, url: &str) -> std::io::Result<()> {
    let html = format!(
        "<!doctype html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">\
         <meta http-equiv=\"refresh\" content=\"0; url={url}\"><title>Bailiwick</title><a href=\"{url}\">Bailiwick</a>"
    );
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(page)?
        .write_all(html.as_bytes())
}

/// What starts a browser here.
fn opener() -> Option<PathBuf> {
    if let Some(browser) = std::env::var_os("BROWSER").filter(|browser| !browser.is_empty()) {
        return Some(browser.into());
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join("xdg-open"))
        .find(|program| program.is_file())
}
