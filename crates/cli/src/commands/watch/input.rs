//! Keys, read on a thread of their own because a terminal can only be waited for.

use ratatui::crossterm::event::{Event, KeyEventKind, read};
use tokio::sync::mpsc;

/// What is pressed. Closed when the terminal is gone.
pub(super) fn keys(queue: usize) -> mpsc::Receiver<Event> {
    let (tell, keys) = mpsc::channel(queue);
    // It ends with the process: nothing else can end waiting for a key.
    std::thread::spawn(move || {
        while let Ok(event) = read() {
            let is_release = matches!(&event, Event::Key(key) if key.kind == KeyEventKind::Release);
            if !is_release && tell.blocking_send(event).is_err() {
                break;
            }
        }
    });
    keys
}
