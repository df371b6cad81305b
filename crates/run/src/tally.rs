use std::sync::atomic::{AtomicU64, Ordering};

/// What a run has done so far, counted as it happens. A convenience: the record is the truth.
#[derive(Debug, Default)]
pub struct Tally {
    allowed: AtomicU64,
    denied: AtomicU64,
    masked: AtomicU64,
    sessions: AtomicU64,
}

impl Tally {
    /// One more call was allowed.
    pub fn allow(&self) {
        self.allowed.fetch_add(1, Ordering::Relaxed);
    }

    /// One more call or login was denied.
    pub fn deny(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    /// This many more values were masked.
    pub fn mask(&self, values: u64) {
        self.masked.fetch_add(values, Ordering::Relaxed);
    }

    /// Opens a session, unless that would be more than `max`; says whether it did.
    pub fn open_session(&self, max: u64) -> bool {
        let one_more = |open: u64| (open < max).then_some(open + 1);
        self.sessions
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .is_ok()
    }

    /// A session ended, and its last record is on its way.
    pub fn close_session(&self) {
        self.sessions.fetch_sub(1, Ordering::SeqCst);
    }

    /// Calls allowed.
    pub fn allowed(&self) -> u64 {
        self.allowed.load(Ordering::Relaxed)
    }

    /// Calls and logins denied.
    pub fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    /// Values masked.
    pub fn masked(&self) -> u64 {
        self.masked.load(Ordering::Relaxed)
    }

    /// Sessions open now.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::SeqCst)
    }
}
