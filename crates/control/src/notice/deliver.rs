//! One thread a sink: the notices of its queue, in their order, each until the sink has it.

use std::sync::Weak;
use std::time::{Duration, Instant};

use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use bailiwick_run::Time;
use tokio::runtime::Handle;

use super::queue::Inner;
use super::{Notice, Sink, Way, otlp, slack, syslog, webhook};
use crate::clock;
use crate::limits::{
    NOTICE_AGAIN_AFTER, NOTICE_AGAIN_AFTER_MAX, NOTICE_KEPT, NOTICES_LOOK, NOTICES_WAITING_MAX,
};
use crate::people::Fetch;
use crate::store::StoreError;

/// Delivers to one sink until there is no more queue.
pub(super) struct Worker {
    pub(super) sink: Sink,
    pub(super) queue: Weak<Inner>,
    pub(super) runtime: Handle,
    /// How often the next one was tried in vain.
    pub(super) tries: u32,
    /// When it may be tried again.
    pub(super) next: Instant,
    /// When it was last looked whether some are too old.
    pub(super) looked: Option<Instant>,
}

impl Worker {
    pub(super) fn run(mut self) {
        while let Some(queue) = self.queue.upgrade() {
            let more = self.step(&queue);
            drop(queue);
            let wait = match more {
                Ok(true) => continue,
                Ok(false) if self.tries == 0 => NOTICES_LOOK,
                Ok(false) => self.next.saturating_duration_since(Instant::now()),
                Err(error) => {
                    let sink = &self.sink.name;
                    tracing::error!("[notify.{sink}]: {error}; it is tried again");
                    NOTICES_LOOK
                }
            };
            std::thread::park_timeout(wait.min(NOTICES_LOOK));
        }
    }

    /// Delivers the next one, if it is time; whether there may be another.
    fn step(&mut self, queue: &Inner) -> Result<bool, StoreError> {
        if self
            .looked
            .is_none_or(|last| last.elapsed() >= NOTICES_LOOK)
        {
            self.looked = Some(Instant::now());
            let kept = u64::try_from(NOTICE_KEPT.as_millis()).unwrap_or(u64::MAX);
            let before = Time::from_millis(clock::now().millis().saturating_sub(kept));
            let sink = &self.sink.name;
            let dropped = queue.drop_old(sink, before, NOTICES_WAITING_MAX);
            self.runtime.block_on(dropped)?;
        }
        if Instant::now() < self.next {
            return Ok(false);
        }
        // Those that could not be stored are newer, and gone with this process.
        if let Some(notice) = queue.unstored(&self.sink.name) {
            let delivered = self.deliver(queue, &notice);
            if !delivered {
                queue.put_back(&self.sink.name, notice);
            }
            return Ok(delivered);
        }
        let next = queue.store.next_notice(self.sink.name.clone());
        let Some((place, notice)) = self.runtime.block_on(next)? else {
            return Ok(false);
        };
        let delivered = match &notice {
            Some(notice) => self.deliver(queue, notice),
            None => {
                tracing::error!(
                    "[notify.{}]: a notice cannot be read and is left out",
                    self.sink.name
                );
                true
            }
        };
        if delivered {
            self.runtime.block_on(queue.store.delivered(place))?;
        }
        Ok(delivered)
    }

    fn deliver(&mut self, queue: &Inner, notice: &Notice) -> bool {
        let sink = &self.sink.name;
        match send(
            &self.runtime,
            &self.sink.way,
            notice,
            queue.console.as_deref(),
        ) {
            Ok(()) => {
                if self.tries > 0 {
                    tracing::info!("[notify.{sink}] takes notices again");
                }
                self.tries = 0;
                true
            }
            Err(why) => {
                let wait = backoff(self.tries);
                self.tries = self.tries.saturating_add(1);
                self.next = Instant::now() + wait;
                tracing::warn!(
                    "[notify.{sink}]: notice {} could not be delivered: {why}; it is kept, and tried again in {} s",
                    notice.id,
                    wait.as_secs().max(1)
                );
                false
            }
        }
    }
}

/// Delivers one notice; says why it could not.
fn send(runtime: &Handle, way: &Way, notice: &Notice, console: Option<&str>) -> Result<(), String> {
    let link = console.map(|console| format!("{console}{}", notice.page));
    let (link, now) = (link.as_deref(), clock::now());
    let ask = |fetch: &Fetch, url: &str, fields: &[(&str, &str)], body: Vec<u8>| {
        let mut request = Request::post(url).header(CONTENT_TYPE, "application/json");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        // Its error would show the URL, or a field.
        let request = (request.body(body)).map_err(|_| "it cannot be asked for".to_owned())?;
        match runtime.block_on(fetch(request)) {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("the answer was {}", answer.status())),
            Err(error) => Err(error.to_string()),
        }
    };
    match way {
        Way::Webhook { url, secret, fetch } => {
            let signed = webhook::sign(notice, link, secret, now);
            let fields = signed
                .fields
                .each_ref()
                .map(|(name, value)| (*name, &**value));
            ask(fetch, url, &fields, signed.body)
        }
        Way::Slack { url, fetch } => ask(fetch, url, &[], slack::body(notice, link)),
        Way::Otlp { url, fields, fetch } => {
            let fields = fields.iter().map(|(name, value)| (&**name, &**value));
            let fields: Vec<_> = fields.collect();
            ask(fetch, url, &fields, otlp::body(notice, link, now))
        }
        Way::Syslog(syslog) => {
            let system = rustix::system::uname();
            let host = system.nodename().to_string_lossy();
            let message = syslog::message(notice, link, &host, std::process::id());
            syslog.send(&message).map_err(|error| error.to_string())
        }
    }
}

/// How long to wait after so many tries before this one: twice as long each time, and between half of that and all
/// of it, so that what was down at once does not come back at once.
fn backoff(tries: u32) -> Duration {
    let whole = NOTICE_AGAIN_AFTER
        .saturating_mul(1 << tries.min(16))
        .min(NOTICE_AGAIN_AFTER_MAX);
    let mut random = [0; 2];
    // Without randomness it is half.
    let _ = getrandom::fill(&mut random);
    whole / 2 + (whole / 2).mul_f64(f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_grows_to_ten_minutes_and_no_more() {
        let within = |tries, low: f64, high: f64| {
            for _ in 0..100 {
                let wait = backoff(tries).as_secs_f64();
                assert!((low..=high).contains(&wait), "{tries}: {wait}");
            }
        };
        within(0, 0.5, 1.0);
        within(3, 4.0, 8.0);
        within(10, 300.0, 600.0);
        within(u32::MAX, 300.0, 600.0);
    }
}
