use std::io::{self, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::desk::SigningDesk;
use super::protocol::read_all;
use crate::limits;

/// Answers whoever connects, one request a connection, until the process ends. Who may connect is
/// for the socket's mode to say.
pub fn serve(desk: SigningDesk, listener: &UnixListener) -> ! {
    let desk = Arc::new(desk);
    let here = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // Out of file descriptors, most likely: let some close.
            Err(error) => {
                tracing::error!(%error, "no connection could be accepted");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let Some(place) = Place::take(&here) else {
            continue;
        };
        let desk = Arc::clone(&desk);
        let served = thread::Builder::new().spawn(move || {
            if let Err(error) = answer(&desk, stream) {
                tracing::debug!(%error, "a request was not answered");
            }
            drop(place);
        });
        if let Err(error) = served {
            tracing::error!(%error, "a request was not answered: the system gives no thread");
        }
    }
}

fn answer(desk: &SigningDesk, mut stream: UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(limits::SIGNER_TIME))?;
    stream.set_write_timeout(Some(limits::SIGNER_TIME))?;
    let request = read_all(&mut stream)?;
    let reply = desk.answer(&request);
    if let Some(why) = reply.strip_prefix("refused\n") {
        tracing::error!("refused to sign: {}", why.trim_end());
    }
    if let Some(why) = reply.strip_prefix("failed\n") {
        tracing::error!("cannot sign: {}", why.trim_end());
    }
    stream.write_all(reply.as_bytes())
}

/// One of the connections there may be at once.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(here: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(here));
        let before = here.fetch_add(1, Ordering::SeqCst);
        (before < limits::SIGNER_CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
