//! A data folder read without its gateway: a copy in an auditor's hands, a backup, one whose gateway has stopped.
//! Nothing in it is written.

use std::collections::HashMap;
use std::path::Path;

use bailiwick_audit::{Entry, ReadError, Reader, Record};
use bailiwick_run::RunId;

use crate::api::{Answer, Counts, RunDetail, RunState, Search, Summary, Trail, TrailRecord, Which};
use crate::client::{Client, ClientError};
use crate::index::{Query, SearchError, search_once};
use crate::registry::from_record;
use crate::trail::{self, Payloads};
use crate::view::Chain;
use crate::{clock, names};

/// The record in a data folder.
#[derive(Debug)]
pub struct Folder {
    reader: Reader,
    payloads: Payloads,
}

impl Folder {
    /// Reads this data folder, or a copy of it or of its `log` folder. While a gateway has it, payloads stay sealed:
    /// it is for the gateway to show them, and to record to whom.
    ///
    /// # Errors
    /// If there is no log in it.
    pub async fn open(data: &Path) -> Result<Self, ReadError> {
        let reader = Reader::open(data)?;
        let payloads = match Client::connect(data).await {
            Err(ClientError::NotListening(_)) => Payloads::All,
            _ => Payloads::OfLive,
        };
        Ok(Self { reader, payloads })
    }

    /// What reads the log.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The runs, the newest first, at most so many. One that the record leaves open is open, and those whose first
    /// records are pruned are left out. Reads the record back until it has them.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn runs(&self, which: Which, limit: usize) -> Result<Vec<Summary>, ReadError> {
        let mut seen: HashMap<String, Seen> = HashMap::new();
        let mut runs = Vec::new();
        if limit == 0 {
            return Ok(runs);
        }
        self.reader.back(|entry| {
            let Ok(run) = entry.record.run.parse::<RunId>() else {
                return Ok(true);
            };
            let so_far = seen.entry(entry.record.run.clone()).or_default();
            so_far.take_in(&entry.record);
            if entry.record.seq > 1 {
                return Ok(true);
            }
            let seen = seen.remove(&entry.record.run).unwrap_or_default();
            let wanted = match which {
                Which::All => true,
                Which::Open => seen.ended.is_none(),
                Which::Ended => seen.ended.is_some(),
            };
            if wanted {
                runs.push(seen.summary(run, entry)?);
            }
            Ok(runs.len() < limit)
        })?;
        Ok(runs)
    }

    /// A run, with what its launcher said if that can be read; nothing if the record does not have its beginning.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn run(&self, run: &RunId) -> Result<Option<RunDetail>, ReadError> {
        let entries = self.reader.run(run)?;
        let mut seen = Seen::default();
        entries
            .iter()
            .rev()
            .for_each(|entry| seen.take_in(&entry.record));
        let Some(opened) = entries.first().filter(|entry| entry.record.seq == 1) else {
            return Ok(None);
        };
        let (shown, _) = trail::show(&mut self.reader.payloads()?, opened, &self.payloads)?;
        let said = shown
            .payload
            .as_ref()
            .and_then(|said| said.get("reason")?.as_str());
        Ok(Some(RunDetail {
            summary: seen.summary(*run, opened)?,
            reason: said.map(str::to_owned),
            // What a gateway found of it is in its own chain; who reads a copy checks for themselves.
            verified: None,
        }))
    }

    /// All records of a chain.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn trail(&self, chain: Chain) -> Result<Trail, ReadError> {
        let entries = match chain {
            Chain::Run(run) => self.reader.run(&run)?,
            Chain::Gateway => self.reader.gateway()?,
        };
        let mut opened = self.reader.payloads()?;
        let shown = entries
            .iter()
            .map(|entry| trail::show(&mut opened, entry, &self.payloads));
        Ok(Trail {
            records: shown
                .map(|shown| Ok(shown?.0))
                .collect::<Result<_, ReadError>>()?,
            more: false,
        })
    }

    /// One record of a chain; nothing if the record does not have it.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn record(&self, chain: Chain, seq: u64) -> Result<Option<TrailRecord>, ReadError> {
        let Some(entry) = self.reader.record(&format!("{chain}/{seq}"))? else {
            return Ok(None);
        };
        let (shown, _) = trail::show(&mut self.reader.payloads()?, &entry, &self.payloads)?;
        Ok(Some(shown))
    }

    /// Searches the records, by an index that is made for it in the folder `scratch`, which is empty.
    ///
    /// # Errors
    /// If it cannot be searched so, the record cannot be read, or the index cannot be written.
    pub fn search(&self, search: Search, scratch: &Path) -> Result<Answer, SearchError> {
        search_once(&self.reader, scratch, &Query::new(search)?)
    }
}

/// What is known of a run whose records are read from the last one on.
#[derive(Default)]
struct Seen {
    ended: Option<(String, String)>,
    /// Whether it was suspended last, or resumed.
    suspended: Option<bool>,
    counts: Counts,
}

impl Seen {
    fn take_in(&mut self, record: &Record) {
        trail::count(&mut self.counts, record);
        match record.r#type.as_str() {
            "run.closed" => {
                let ending = record.ending.clone().unwrap_or_default();
                self.ended = Some((ending, record.time.clone()));
            }
            "run.suspended" => drop(self.suspended.get_or_insert(true)),
            "run.resumed" => drop(self.suspended.get_or_insert(false)),
            _ => {}
        }
    }

    fn summary(self, run: RunId, opened: &Entry) -> Result<Summary, ReadError> {
        let unreadable = || ReadError::Record {
            index: opened.index,
            reason: "it does not say whose run it opens, for what and how long".to_owned(),
        };
        let run = from_record(run, std::slice::from_ref(opened)).ok_or_else(unreadable)?;
        Ok(Summary {
            run: run.id,
            task: run.task,
            launcher: run.launcher,
            confinement: run.confinement,
            state: match (&self.ended, self.suspended) {
                (Some(_), _) => RunState::Ended,
                (None, Some(true)) => RunState::Suspended,
                (None, _) => RunState::Open,
            },
            opened: run.time_box.opened,
            expires: run.time_box.expires,
            ended: self.ended.as_ref().and_then(|(_, time)| clock::read(time)),
            ending: self
                .ended
                .as_ref()
                .and_then(|(ending, _)| names::ending(ending)),
            counts: self.counts,
            sessions: 0,
        })
    }
}
