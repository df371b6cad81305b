use bailiwick_audit::{Draft, Entry, Event, ReadError, Reader, Subject};
use bailiwick_run::RunId;

use super::{Chain, ViewError};
use crate::api::{Trail, TrailRecord};
use crate::index::{Logs, Numbered, Place};
use crate::limits::{TRAIL_PASSED_MAX, TRAIL_RECORDS_MAX};
use crate::people::Person;
use crate::registry::{Registry, blocking};
use crate::trail::{self, Payloads};

impl Registry {
    /// The records of a chain after this number, as many as fit an answer; nothing if there is no such chain. With
    /// the payloads that this person may see, if there is one: that they see them is on record when this returns.
    /// If it cannot be recorded, they come without.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub async fn trail(
        &self,
        chain: Chain,
        after: u64,
        who: Option<&Person>,
    ) -> Result<Option<Trail>, ViewError> {
        let entries = self.entries(chain, after, TRAIL_RECORDS_MAX + 1).await?;
        let Some(entries) = entries else {
            return Ok(None);
        };
        let (reader, payloads) = (self.reader(), Payloads::from(who));
        let mut page = blocking(move || trail::page(&reader, &entries, &payloads)).await?;
        self.note_views(chain, &mut page.records, who).await;
        Ok(Some(page))
    }

    /// One record, likewise.
    ///
    /// # Errors
    /// As [`trail`](Self::trail).
    pub async fn record(
        &self,
        chain: Chain,
        seq: u64,
        who: Option<&Person>,
    ) -> Result<Option<TrailRecord>, ViewError> {
        let Some(entry) = self.entry(chain, seq).await? else {
            return Ok(None);
        };
        let (reader, payloads) = (self.reader(), Payloads::from(who));
        let shown = move || trail::show(&mut reader.payloads()?, &entry, &payloads);
        let (mut record, _) = blocking(shown).await?;
        self.note_views(chain, std::slice::from_mut(&mut record), who)
            .await;
        Ok(Some(record))
    }

    /// What the launcher of a run said that it is for, unless that was erased. It belongs to the run, like its
    /// task: whoever sees runs sees it.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub async fn reason(&self, run: &RunId) -> Result<Option<String>, ViewError> {
        if let Some(live) = self.find(run) {
            return Ok(live.run.reason);
        }
        let Some(opened) = self.entry(Chain::Run(*run), 1).await? else {
            return Ok(None);
        };
        let reader = self.reader();
        let reason = move || {
            let opened = trail::show(&mut reader.payloads()?, &opened, &Payloads::All)?.0;
            let reason = opened
                .payload
                .as_ref()
                .and_then(|said| said.get("reason")?.as_str());
            Ok::<_, ReadError>(reason.map(str::to_owned))
        };
        Ok(blocking(reason).await?)
    }

    /// Puts on record that somebody is shown payloads of a chain, from one record's to another's. Nothing may be
    /// shown before this returns.
    ///
    /// # Errors
    /// If it cannot be recorded: then nothing may be shown.
    pub async fn viewed(
        &self,
        who: &Person,
        chain: Chain,
        from: u64,
        to: u64,
    ) -> Result<(), ViewError> {
        let viewed = Draft {
            event: Event::PayloadsViewed {
                chain: chain.to_string(),
                from,
                to,
                by: who.name.clone(),
            },
            subject: Subject::Gateway,
            payload: None,
        };
        self.log().append(viewed).await?;
        Ok(())
    }

    /// Puts on record that somebody takes a record with its proof. It may be given when this returns.
    ///
    /// # Errors
    /// If it cannot be recorded: then it may not be given.
    pub(crate) async fn receipt_taken(
        &self,
        who: &Person,
        chain: Chain,
        seq: u64,
    ) -> Result<(), ViewError> {
        let taken = Draft {
            event: Event::ReceiptTaken {
                chain: chain.to_string(),
                seq,
                by: who.name.clone(),
            },
            subject: Subject::Gateway,
            payload: None,
        };
        self.log().append(taken).await?;
        Ok(())
    }

    /// Puts on record what payloads these show, or else takes them out.
    async fn note_views(&self, chain: Chain, records: &mut [TrailRecord], who: Option<&Person>) {
        let mut shown = records.iter().filter(|record| record.payload.is_some());
        let (Some(who), Some(first)) = (who, shown.next()) else {
            return;
        };
        let last = shown.next_back().unwrap_or(first);
        let (from, to) = (first.seq, last.seq);
        if let Err(error) = self.viewed(who, chain, from, to).await {
            for record in records {
                if record.payload.take().is_some() {
                    record.payload_missing = Some(error.to_string());
                }
            }
        }
    }

    /// One record of a chain.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub(crate) async fn entry(&self, chain: Chain, seq: u64) -> Result<Option<Entry>, ViewError> {
        let Some(before) = seq.checked_sub(1) else {
            return Ok(None);
        };
        let is_it = |entry: &Entry| entry.record.seq == seq;
        let here = self.entries(chain, before, 1).await?.unwrap_or_default();
        if let Some(found) = here.into_iter().find(is_it) {
            return Ok(Some(found));
        }
        if chain != Chain::Gateway {
            return Ok(None);
        }
        // A log that was rotated away may have one of this number.
        let there = self.entries_from(chain, before, 1, 0).await?;
        Ok(there.unwrap_or_default().into_iter().find(is_it))
    }

    /// The digest of the scope that a run was opened with, so far as its first record is left.
    pub(super) async fn opened_with(&self, run: &RunId) -> Result<Option<String>, ViewError> {
        let opened = self.entry(Chain::Run(*run), 1).await?;
        Ok(opened.and_then(|opened| opened.record.scope_digest))
    }

    /// The records of a chain after this number, the first of them, at most so many; nothing if there is no such
    /// chain. The index knows where they are; what it does not have yet is looked for behind that.
    pub(crate) async fn entries(
        &self,
        chain: Chain,
        after: u64,
        at_most: usize,
    ) -> Result<Option<Vec<Entry>>, ReadError> {
        let from = match chain {
            // Of a run that has ended before, too.
            Chain::Run(_) => 0,
            // Every log has one of its own.
            Chain::Gateway => {
                let reader = self.reader();
                blocking(move || Logs::base(&reader)).await?
            }
        };
        self.entries_from(chain, after, at_most, from).await
    }

    /// The same among the records from a number over all logs on.
    async fn entries_from(
        &self,
        chain: Chain,
        after: u64,
        at_most: usize,
        from: u64,
    ) -> Result<Option<Vec<Entry>>, ReadError> {
        let reader = self.reader();
        let place = self.index().place(chain, after, at_most, from).await;
        let found = blocking(move || match place {
            Ok(place) => match by_index(
                &reader,
                chain,
                after,
                at_most,
                Place {
                    records: place.records.max(from),
                    ..place
                },
            )? {
                Some(found) => Ok(found),
                None => by_log(&reader, chain, after, at_most),
            },
            // The record can be read without it, only not as fast.
            Err(error) => {
                tracing::debug!(%error, "records are looked for without the index");
                by_log(&reader, chain, after, at_most)
            }
        });
        found.await
    }
}

type Found = Option<Vec<Entry>>;

/// Nothing where the index does not fit the log.
fn by_index(
    reader: &Reader,
    chain: Chain,
    after: u64,
    at_most: usize,
    place: Place,
) -> Result<Option<Found>, ReadError> {
    let name = chain.to_string();
    let mut entries: Vec<Entry> = Vec::with_capacity(place.numbers.len());
    let begin = place.numbers.first().map(|(number, _)| *number);
    let mut log = Logs::from(reader, begin.unwrap_or(place.records))?;
    let mut last = None;
    for (number, seq) in place.numbers {
        log.seek(number)?;
        match log.next()? {
            Some(Numbered { number: at, entry })
                if at == number && entry.record.seq == seq && entry.record.run == name =>
            {
                entries.push(entry);
            }
            _ => return Ok(None),
        }
        last = Some(seq);
    }
    let mut known = place.known || chain == Chain::Gateway;
    log.seek(place.records)?;
    let mut passed = 0;
    while entries.len() < at_most
        && let Some(Numbered { entry, .. }) = log.next()?
    {
        passed += 1;
        if passed > TRAIL_PASSED_MAX {
            return Ok(None);
        }
        if entry.record.run != name {
            continue;
        }
        known = true;
        let seq = entry.record.seq;
        if last.is_some_and(|last| seq != last + 1) {
            return Ok(None);
        }
        if seq > after {
            last = Some(seq);
            entries.push(entry);
        }
    }
    Ok(Some(known.then_some(entries)))
}

fn by_log(reader: &Reader, chain: Chain, after: u64, at_most: usize) -> Result<Found, ReadError> {
    let entries = match chain {
        Chain::Run(run) => reader.run(&run)?,
        Chain::Gateway => reader.gateway()?,
    };
    let known = !entries.is_empty() || chain == Chain::Gateway;
    let after = entries.into_iter().filter(|entry| entry.record.seq > after);
    Ok(known.then(|| after.take(at_most).collect()))
}
