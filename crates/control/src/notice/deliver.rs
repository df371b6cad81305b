//! One thread a sink: the notices of its queue, in their order, each until the sink has it or is known never to take it.

use std::sync::Weak;
use std::time::{Duration, Instant};

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{Request, Response};
use bailiwick_run::{RunId, Time};
use tokio::runtime::Handle;
use tracing::field::{DisplayValue, display};

use super::meters::Meter;
use super::queue::Inner;
use super::{Notice, Sink, Way, otlp, slack, syslog, webhook};
use crate::clock;
use crate::limits::{
    NOTICE_AGAIN_AFTER, NOTICE_AGAIN_AFTER_MAX, NOTICE_ASKED_WAIT_MAX, NOTICE_KEPT,
    NOTICE_SUSPECT_AFTER, NOTICES_LOOK, NOTICES_REFUSED_MAX, NOTICES_WAITING_MAX,
};
use crate::people::Fetch;
use crate::store::{StoreError, Waiting};

/// Delivers to one sink until there is no more queue.
pub(super) struct Worker {
    pub(super) sink: Sink,
    pub(super) queue: Weak<Inner>,
    pub(super) runtime: Handle,
    pub(super) meter: Meter,
    /// How often the next one was tried in vain.
    pub(super) tries: u32,
    /// When it may be tried again.
    pub(super) next: Instant,
    /// The place of the last one that was tried in its stead.
    pub(super) tried: i64,
    /// When it was last looked whether some are too old.
    pub(super) looked: Option<Instant>,
}

/// What a sink said to a notice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It has it.
    Taken,
    /// It will never take it.
    Refused(String),
    /// Not now.
    Failed {
        why: String,
        /// How long it asks not to be asked again.
        wait: Option<Duration>,
    },
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
        self.tidy(queue)?;
        if Instant::now() < self.next {
            return Ok(false);
        }
        let stored = queue.store_again(&self.sink.name);
        if let Err(error) = self.runtime.block_on(stored) {
            return self.deliver_unstored(queue).ok_or(error);
        }
        let Some(first) = self.waiting(queue, 0)? else {
            return Ok(false);
        };
        match self.tell(queue, &first) {
            Said::Taken => {
                self.runtime.block_on(queue.store.delivered(first.place))?;
                if self.tries > 0 {
                    tracing::info!("[notify.{}] takes notices again", self.sink.name);
                }
                self.tries = 0;
                Ok(true)
            }
            Said::Refused(why) => self.set_aside(queue, &first, &why),
            Said::Failed { why, wait } => {
                self.fail(first.notice.as_ref(), &why, wait);
                match self.tries < NOTICE_SUSPECT_AFTER {
                    true => Ok(false),
                    false => self.try_another(queue, &first),
                }
            }
        }
    }

    /// Whether it is the notice or the sink: tries one that waits behind it. Where the sink takes that and right after
    /// it still not the first, the first is what it does not take: an agent, which has a say in some of its words,
    /// must not keep people from being told the rest.
    fn try_another(&mut self, queue: &Inner, first: &Waiting) -> Result<bool, StoreError> {
        let Some(other) = self.waiting(queue, self.tried.max(first.place))? else {
            // From the beginning, the next time.
            self.tried = 0;
            return Ok(false);
        };
        self.tried = other.place;
        match self.tell(queue, &other) {
            Said::Taken => self.runtime.block_on(queue.store.delivered(other.place))?,
            Said::Refused(why) => {
                self.set_aside(queue, &other, &why)?;
                return Ok(false);
            }
            Said::Failed { .. } => return Ok(false),
        }
        match self.tell(queue, first) {
            Said::Taken => {
                self.runtime.block_on(queue.store.delivered(first.place))?;
                self.tries = 0;
            }
            Said::Refused(why) | Said::Failed { why, .. } => {
                self.set_aside(queue, first, &why)?;
                // The next one has less time to show that it is another of that sort.
                self.tries = NOTICE_SUSPECT_AFTER - 1;
            }
        }
        self.next = Instant::now();
        Ok(true)
    }

    /// The next one behind a place.
    fn waiting(&self, queue: &Inner, behind: i64) -> Result<Option<Waiting>, StoreError> {
        let next = queue.store.next_notice(self.sink.name.clone(), behind);
        self.runtime.block_on(next)
    }

    fn tell(&self, queue: &Inner, waiting: &Waiting) -> Said {
        match &waiting.notice {
            Some(notice) => self.send(queue, notice),
            None => Said::Refused("it cannot be read".to_owned()),
        }
    }

    fn send(&self, queue: &Inner, notice: &Notice) -> Said {
        let console = queue.console.as_deref();
        let said = send(&self.runtime, &self.sink.way, notice, console);
        match &said {
            Said::Taken => self.meter.delivered.inc(),
            Said::Refused(_) => self.meter.refused.inc(),
            Said::Failed { .. } => self.meter.failed.inc(),
        };
        said
    }

    fn fail(&mut self, notice: Option<&Notice>, why: &str, wait: Option<Duration>) {
        let asked = wait.unwrap_or_default().min(NOTICE_ASKED_WAIT_MAX);
        let wait = backoff(self.tries).max(asked);
        self.tries = self.tries.saturating_add(1);
        self.next = Instant::now() + wait;
        tracing::warn!(
            run = notice.and_then(about),
            "[notify.{}]: notice {} could not be delivered: {why}; it is kept, and tried again in {} s",
            self.sink.name,
            notice.map_or("", |notice| &notice.id),
            wait.as_secs().max(1)
        );
    }

    /// Keeps one that the sink does not take out of the way of the others. That is on record before; where it cannot be
    /// recorded, the notice is tried on.
    fn set_aside(
        &mut self,
        queue: &Inner,
        waiting: &Waiting,
        why: &str,
    ) -> Result<bool, StoreError> {
        if !self.on_record(queue, waiting.notice.as_ref(), why) {
            self.fail(waiting.notice.as_ref(), why, None);
            return Ok(false);
        }
        self.runtime.block_on(queue.store.refused(waiting.place))?;
        Ok(true)
    }

    fn on_record(&self, queue: &Inner, notice: Option<&Notice>, why: &str) -> bool {
        let sink = &self.sink.name;
        let id = notice.map_or("", |notice| &notice.id);
        tracing::error!(
            run = notice.and_then(about),
            "[notify.{sink}] does not take notice {id}: {why}; it is kept and offered again at the next start, and \
             those behind it are delivered"
        );
        let of = notice.and_then(|notice| notice.record.as_deref());
        let recorded = queue.record(sink, "refused", of.unwrap_or(id).to_owned());
        let recorded = self.runtime.block_on(recorded);
        if let Err(error) = &recorded {
            tracing::error!("[notify.{sink}]: that cannot be recorded: {error}");
        }
        recorded.is_ok()
    }

    /// Delivers one that cannot be stored; nothing if there is none. Those are newer than what is stored, and gone with
    /// this process.
    fn deliver_unstored(&mut self, queue: &Inner) -> Option<bool> {
        let notice = queue.unstored(&self.sink.name)?;
        match self.send(queue, &notice) {
            Said::Taken => self.tries = 0,
            Said::Refused(why) => drop(self.on_record(queue, Some(&notice), &why)),
            Said::Failed { why, wait } => {
                self.fail(Some(&notice), &why, wait);
                queue.put_back(&self.sink.name, notice);
                return Some(false);
            }
        }
        Some(true)
    }

    /// Drops what is too old or too much, from time to time.
    fn tidy(&mut self, queue: &Inner) -> Result<(), StoreError> {
        let lately = |last: Instant| last.elapsed() < NOTICES_LOOK;
        if self.looked.is_some_and(lately) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let kept = u64::try_from(NOTICE_KEPT.as_millis()).unwrap_or(u64::MAX);
        let before = Time::from_millis(clock::now().millis().saturating_sub(kept));
        let sink = &self.sink.name;
        self.runtime.block_on(async {
            queue.drop_old(sink, before, NOTICES_WAITING_MAX).await?;
            let refused = queue
                .store
                .forget_refused(sink.clone(), before, NOTICES_REFUSED_MAX);
            refused.await
        })
    }
}

/// The run that a notice is about, for the log.
fn about(notice: &Notice) -> Option<DisplayValue<RunId>> {
    notice.run.map(display)
}

/// Delivers one notice; what the sink said.
fn send(runtime: &Handle, way: &Way, notice: &Notice, console: Option<&str>) -> Said {
    let link = console.map(|console| format!("{console}{}", notice.page));
    let (link, now) = (link.as_deref(), clock::now());
    let failed = |why: String| Said::Failed { why, wait: None };
    let ask = |fetch: &Fetch, url: &str, fields: &[(&str, &str)], body: Vec<u8>| {
        let mut request = Request::post(url).header(CONTENT_TYPE, "application/json");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        // Its error would show the URL, or a field.
        let request = (request.body(body)).map_err(|_| "it cannot be asked for".to_owned())?;
        let answer = runtime.block_on(fetch(request));
        answer.map_err(|error| error.to_string())
    };
    let told = match way {
        Way::Webhook { url, secret, fetch } => {
            let signed = webhook::sign(notice, link, secret, now);
            let fields = signed
                .fields
                .each_ref()
                .map(|(name, value)| (*name, &**value));
            ask(fetch, url, &fields, signed.body).map(|answer| said(&answer))
        }
        Way::Slack { url, fetch } => {
            ask(fetch, url, &[], slack::body(notice, link)).map(|answer| said(&answer))
        }
        Way::Otlp { url, fields, fetch } => {
            let fields = fields.iter().map(|(name, value)| (&**name, &**value));
            let fields: Vec<_> = fields.collect();
            let answer = ask(fetch, url, &fields, otlp::body(notice, link, now));
            answer.map(|answer| match said(&answer) {
                Said::Taken => otlp::said(answer.body()),
                other => other,
            })
        }
        Way::Syslog(syslog) => {
            let system = rustix::system::uname();
            let host = system.nodename().to_string_lossy();
            let message = syslog::message(notice, link, &host, std::process::id());
            let sent = syslog.send(&message);
            sent.map(|()| Said::Taken)
                .map_err(|error| error.to_string())
        }
    };
    told.unwrap_or_else(failed)
}

/// What an answer over HTTP means for the request (RFC 9110, section 15). What is wrong with the request itself will be
/// wrong the next time; who we are, where it went, and that it is too early or too often may change.
fn said(answer: &Response<Vec<u8>>) -> Said {
    let status = answer.status();
    let why = format!("the answer was {status}");
    let for_good = !matches!(status.as_u16(), 401 | 403 | 407 | 408 | 421 | 425 | 429);
    if status.is_success() {
        Said::Taken
    } else if status.is_client_error() && for_good {
        Said::Refused(why)
    } else {
        Said::Failed {
            why,
            wait: retry_after(answer),
        }
    }
}

/// What `Retry-After` asks for, in seconds; where it is a date, our own time goes.
fn retry_after(answer: &Response<Vec<u8>>) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
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
    fn waiting_grows_to_a_minute_and_no_more() {
        let within = |tries, low: f64, high: f64| {
            for _ in 0..100 {
                let wait = backoff(tries).as_secs_f64();
                assert!((low..=high).contains(&wait), "{tries}: {wait}");
            }
        };
        within(0, 0.5, 1.0);
        within(3, 4.0, 8.0);
        within(10, 30.0, 60.0);
        within(u32::MAX, 30.0, 60.0);
    }

    #[test]
    fn what_may_change_is_tried_again_and_the_rest_is_not() {
        let answer = |status: u16, wait: Option<&str>| {
            let mut answer = Response::builder().status(status);
            if let Some(wait) = wait {
                answer = answer.header(RETRY_AFTER, wait);
            }
            said(&answer.body(Vec::new()).unwrap())
        };
        for status in [200, 202, 204] {
            assert_eq!(answer(status, None), Said::Taken, "{status}");
        }
        for status in [
            400, 404, 405, 406, 409, 410, 411, 413, 414, 415, 418, 422, 431, 451,
        ] {
            let refused = matches!(answer(status, None), Said::Refused(_));
            assert!(refused, "{status}");
        }
        for status in [
            301, 307, 401, 403, 407, 408, 421, 425, 429, 500, 501, 502, 503, 504,
        ] {
            let failed = matches!(answer(status, None), Said::Failed { wait: None, .. });
            assert!(failed, "{status}");
        }
        for (said, wait) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("-1", None),
            ("soon", None),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ] {
            for status in [429, 503] {
                let Said::Failed { wait: asked, .. } = answer(status, Some(said)) else {
                    panic!("{status}");
                };
                assert_eq!(asked, wait.map(Duration::from_secs), "{said}");
            }
        }
    }
}
