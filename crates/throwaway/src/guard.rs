use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the server and removes its folder even if we die without a chance to do so ourselves: a
/// shell that waits for the end of a pipe which only we hold open.
///
/// The kernel's own means, a signal on the parent's death, is tied to the thread that started the
/// server, and in tests that thread ends first.
const SCRIPT: &str = "\
    read -r word
    test \"$word\" = done && exit
    kill -QUIT \"$1\"
    tries=0
    while kill -0 \"$1\" && test $tries -lt 100; do tries=$((tries + 1)); sleep 0.1; done
    kill -KILL \"$1\"
    rm -rf -- \"$2\"";

/// A server's process and its guard.
#[derive(Debug)]
pub(crate) struct Guarded {
    server: Child,
    guard: Child,
}

impl Guarded {
    /// Takes charge of a server that runs in `folder`.
    pub(crate) fn new(mut server: Child, folder: &Path) -> io::Result<Self> {
        let guard = Command::new("sh")
            .args(["-c", SCRIPT, "bailiwick-guard"])
            .arg(server.id().to_string())
            .arg(folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the terminal is for us; the guard outlives it.
            .process_group(0)
            .spawn();
        match guard {
            Ok(guard) => Ok(Self { server, guard }),
            Err(error) => {
                end(&mut server);
                Err(error)
            }
        }
    }

    /// Whether the server has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.server.try_wait(), Ok(None))
    }
}

/// Stops the server at once, without its farewell to clients, and waits until it is gone.
impl Drop for Guarded {
    fn drop(&mut self) {
        end(&mut self.server);
        if let Some(mut pipe) = self.guard.stdin.take() {
            // If the guard is gone there is nobody left to tell.
            let _ = io::Write::write_all(&mut pipe, b"done\n");
        }
        let _ = self.guard.wait();
    }
}

/// Asks the server to stop at once, which also ends its children, and kills it if it does not.
fn end(server: &mut Child) {
    if !matches!(server.try_wait(), Ok(None)) {
        return;
    }
    let pid = server.id().to_string();
    let _ = Command::new("sh")
        .args(["-c", "kill -QUIT \"$1\"", "sh", &pid])
        .stderr(Stdio::null())
        .status();
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if !matches!(server.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = server.kill();
    let _ = server.wait();
}
