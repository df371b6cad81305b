use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Instant, UNIX_EPOCH};

use bailiwick_action::{Fingerprint, FingerprintKey};
use bailiwick_run::{Launcher, RunId, Time};
use tokio::sync::oneshot;

use crate::chain::{ChainId, Effect, Links, Step};
use crate::digest::Digest;
use crate::disk::{Disk, FileSystem};
use crate::error::AppendError;
use crate::integrator::Durable;
use crate::keys::PayloadSecret;
use crate::layout::Layout;
use crate::limits;
use crate::open::{self, OpenError, Opened, Recovered};
use crate::payload::{CannotSeal, MasterKey, PayloadKey, Sealed};
use crate::prune::{self, PruneError};
use crate::publication::Publication;
use crate::queue::{Chain, DurableQueue, Queue, Queued, Shared, lock};
use crate::reader::Reader;
use crate::receipt::{Pending, Receipt, Waiter, Written};
use crate::record::{self, Draft, Event, Place, Subject};
use crate::syncer::Syncer;
use crate::tell;
use crate::threads::{self, Preparer};
use crate::transport::Transport;
use crate::verify::Policy;
use crate::vitals::{Stopwatch, Vitals};
use crate::wal::frame::Body;
use crate::wal::room::{Goes, NoRoom, Room};
use crate::witnesses::Witnesses;
use crate::writer::{self, Writer};

/// Where the log is and what it is called.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder. Made if it is not there.
    pub dir: PathBuf,
    /// The log's name, such as `acme.example/bailiwick`: the origin of its checkpoints.
    pub origin: String,
    /// The socket of the process that has the log's key; nothing if it is in the data folder.
    pub signer: Option<PathBuf>,
    /// The master key of the payloads; nothing if it is in the data folder.
    pub payload_key: Option<PayloadSecret>,
}

impl Config {
    /// With all keys in the data folder.
    pub fn new(dir: impl Into<PathBuf>, origin: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            origin: origin.into(),
            signer: None,
            payload_key: None,
        }
    }
}

/// The log of one gateway: takes records, makes them durable, and publishes a signed tree of them.
///
/// A cheap handle; when the last one is dropped the log is closed.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// Until it has ended.
    writer: Arc<Mutex<Option<Writer>>>,
    disk: Arc<dyn Disk>,
    layout: Layout,
    vkey: String,
    fingerprint: FingerprintKey,
    payload: MasterKey,
    publication: Arc<Publication>,
    running: Mutex<Option<Running>>,
}

/// What a closed log has no longer.
struct Running {
    writer: JoinHandle<()>,
    syncer: JoinHandle<()>,
    teller: JoinHandle<()>,
    preparer: JoinHandle<()>,
    integrator: JoinHandle<()>,
    witnesses: Option<Witnesses>,
    /// Released when dropped.
    _lock: File,
}

impl Log {
    /// Takes the data folder for this process, checks what is there, clears away what a crash left
    /// torn, brings what was durable into the tree, and starts.
    pub fn open(config: Config) -> Result<(Log, Recovered), OpenError> {
        Self::open_on(config, Arc::new(FileSystem), limits::SEGMENT)
    }

    /// Records what happened. Its time, number and place in the chain are settled when this returns,
    /// in the order of the calls; it is durable when the [`Pending`] becomes a [`Receipt`]. Does no
    /// IO.
    pub fn append(&self, draft: Draft) -> Pending {
        let (sender, receiver) = oneshot::channel();
        let fingerprint = fingerprint(&draft.event);
        match self.inner.submit(draft, Waiter::Durable(sender)) {
            Ok(seq) => Pending::waiting(seq, fingerprint, receiver),
            Err(error) => Pending::refused(error),
        }
    }

    /// As [`append`](Self::append), for whom it is enough that the operating system has the record:
    /// it is durable within 10 ms, and lost only if the whole machine goes down before. Mostly it is
    /// written when this returns: nobody has to be woken for that, nor wakes anybody. While the disk
    /// is slow, it is left to a thread.
    pub fn append_written(&self, draft: Draft) -> Pending<Written> {
        let (sender, receiver) = oneshot::channel();
        let fingerprint = fingerprint(&draft.event);
        match self.inner.submit(draft, Waiter::Written(sender)) {
            Ok(seq) => Pending::waiting(seq, fingerprint, receiver),
            Err(error) => Pending::refused(error),
        }
    }

    /// As [`append`](Self::append), for a record that nobody waits for. Returns its number in its
    /// chain. It is durable with the next one that somebody waits for, or within 10 ms.
    pub fn note(&self, draft: Draft) -> Result<u64, AppendError> {
        self.inner.submit(draft, Waiter::Nobody)
    }

    /// Erases the payloads of a run that is closed: records that it is done, destroys the run's payload
    /// key with every copy of it, and returns when none is left. No proof needs payloads, so the log
    /// stays whole. Waits for the disk.
    ///
    /// Once the record is durable the erasure is sure to happen, at the next start if not now.
    ///
    /// # Errors
    /// If the run is not closed, or the record cannot be made.
    pub fn erase(&self, run: RunId, by: Launcher) -> Result<Receipt, AppendError> {
        if lock(&self.inner.shared.chains).contains_key(&ChainId::Run(run)) {
            return Err(AppendError::StillOpen(run.to_string()));
        }
        let draft = Draft {
            event: Event::PayloadsErased { run, by },
            subject: Subject::Gateway,
            payload: None,
        };
        let receipt = self.append(draft).wait()?;
        self.checkpoint_now()?;
        Ok(receipt)
    }

    /// Removes the records of before a moment, and the payloads of runs that ended before it: whole
    /// bundles of 256, and none of a run that is open. Their hashes stay, so every later record and
    /// every receipt is still proved; the log says itself what is gone. Logs that were rotated away and
    /// end before that moment go whole. Returns the index of the first record that stays. Waits for the
    /// disk, though not until everything is removed: that goes on in the background, and with the next
    /// start if this one ends.
    ///
    /// # Errors
    /// If the log cannot be read, or the record cannot be made.
    pub fn prune(&self, until: Time, by: Launcher) -> Result<u64, PruneError> {
        let open: Vec<RunId> = {
            let chains = lock(&self.inner.shared.chains);
            chains.keys().filter_map(ChainId::run).collect()
        };
        self.checkpoint_now()?;
        let (pruned, before) = prune::boundary(&self.reader(), until, &open)?;
        prune::sweep(&self.inner.layout)?;
        let old = prune::old_logs(&self.inner.layout, until)?;
        if before <= pruned && old.is_empty() {
            return Ok(pruned);
        }
        let before = before.max(pruned);
        let logs = old.iter().map(|(_, name)| name.clone()).collect();
        let draft = Draft {
            event: Event::LogPruned { before, logs, by },
            subject: Subject::Gateway,
            payload: None,
        };
        self.append(draft).wait()?;
        self.checkpoint_now()?;
        for (archived, _) in &old {
            prune::remove_log(&self.inner.disk, archived)?;
        }
        Ok(before)
    }

    /// The key that checks this log's checkpoints, also in the file `log.vkey`.
    pub fn vkey(&self) -> String {
        self.inner.vkey.clone()
    }

    /// The key for the fingerprints of calls.
    pub fn fingerprint_key(&self) -> FingerprintKey {
        self.inner.fingerprint.clone()
    }

    /// Reads what has been recorded.
    pub fn reader(&self) -> Reader {
        Reader::new(self.inner.layout.clone(), Some(self.inner.payload.clone()))
    }

    /// How the log is. Takes no time to speak of.
    pub fn vitals(&self) -> Vitals {
        let shared = &self.inner.shared;
        let (trouble, queued) = {
            let queue = lock(&shared.queue);
            let trouble = match &queue.stopped {
                Some(stopped) => Some(stopped.clone()),
                None if queue.closing => Some(AppendError::Closed),
                None if queue.room.is_full() => Some(AppendError::DiskFull),
                None => None,
            };
            (trouble, queue.records.len() as u64)
        };
        let backlog = shared.backlog.load(Ordering::Relaxed);
        let behind = || (backlog > limits::BACKLOG).then_some(AppendError::Behind);
        let (signed, signed_at) = self.inner.publication.covers();
        let witnesses = {
            let running = lock(&self.inner.running);
            let witnesses = running
                .as_ref()
                .and_then(|running| running.witnesses.as_ref());
            witnesses.map(Witnesses::vitals).unwrap_or_default()
        };
        Vitals {
            trouble: trouble.or_else(behind),
            records: shared.records.load(Ordering::Relaxed),
            queued,
            backlog: backlog as u64,
            signed,
            signed_at,
            appends: shared.appends.read(),
            witnesses,
        }
    }

    /// Brings every record that has a receipt into the tree and signs it. Waits for the disk.
    pub fn checkpoint_now(&self) -> Result<(), AppendError> {
        let (sender, receiver) = mpsc::channel();
        let mut durable = lock(&self.inner.shared.durable);
        if durable.ended {
            let stopped = lock(&self.inner.shared.queue).stopped.clone();
            return Err(stopped.unwrap_or(AppendError::Closed));
        }
        durable.requests.push(sender);
        drop(durable);
        self.inner.shared.integrator.notify_all();
        receiver.recv().unwrap_or(Err(AppendError::Closed))
    }

    /// Has the witnesses of a trust policy sign each checkpoint once it is published: those that the
    /// policy has a URL for, each on a thread of its own, at most about once a second. Their
    /// signatures are added to `log/checkpoint`, and the newest checkpoint that meets the policy is
    /// kept as `log/witnessed`. A witness that signed another history is recorded. For the first
    /// call; another one, or one on a closed log, changes nothing.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn ask_witnesses(&self, policy: Policy, transport: Arc<dyn Transport>) -> io::Result<()> {
        let mut running = lock(&self.inner.running);
        let Some(running) = running
            .as_mut()
            .filter(|running| running.witnesses.is_none())
        else {
            return Ok(());
        };
        // What they have to say is recorded while the log is there, and does not keep it there.
        let inner = Arc::downgrade(&self.inner);
        let record = move |event| {
            if let Some(inner) = inner.upgrade() {
                let draft = Draft {
                    event,
                    subject: Subject::Gateway,
                    payload: None,
                };
                // Nobody waits for it; where it cannot be recorded it has been said.
                drop(inner.submit(draft, Waiter::Nobody));
            }
        };
        running.witnesses = Some(Witnesses::ask(
            self.inner.layout.clone(),
            Arc::clone(&self.inner.publication),
            policy,
            transport,
            Box::new(record),
        )?);
        Ok(())
    }

    /// Takes no more records, makes those it has durable, signs a last checkpoint over all of them
    /// and releases the folder. Waits for the disk. Should the last checkpoint not fit on a full
    /// disk, the next start signs it.
    pub fn close(&self) {
        self.inner.close();
    }

    pub(crate) fn open_on(
        config: Config,
        disk: Arc<dyn Disk>,
        segment_size: u64,
    ) -> Result<(Log, Recovered), OpenError> {
        let layout = Layout::new(config.dir.clone());
        let opened = open::open(&layout, config, &disk, segment_size)?;
        let recovered = opened.recovered.clone();
        let continues = opened.continues.clone();
        let inner = Inner::start(layout.clone(), opened, disk, segment_size);
        let inner = inner.map_err(|error| OpenError::Io {
            path: layout.dir(),
            error,
        })?;
        let inner = Arc::new(inner);
        let log = Log { inner };
        if let Some(continues) = continues {
            let draft = Draft {
                event: Event::LogContinues(continues),
                subject: Subject::Gateway,
                payload: None,
            };
            let pending = log.append(draft);
            // On a thread of its own: whoever opens a log may be in an async runtime, whose threads
            // must not be blocked.
            let waited = std::thread::scope(|scope| scope.spawn(|| pending.wait()).join());
            let gone = |_| Err(AppendError::Closed);
            waited.unwrap_or_else(gone).map_err(OpenError::Continues)?;
        }
        Ok((log, recovered))
    }
}

impl Inner {
    fn start(
        layout: Layout,
        opened: Opened,
        disk: Arc<dyn Disk>,
        segment_size: u64,
    ) -> io::Result<Self> {
        let mut room = Room::new(segment_size, segment_size.saturating_sub(opened.left));
        if opened.spare.is_some() {
            room.prepared();
        }
        let shared = Arc::new(Shared {
            chains: Mutex::new(chains(&opened)),
            queue: Mutex::new(Queue {
                records: Vec::new(),
                awaited: false,
                hurried: false,
                turns: false,
                since: None,
                writer_sleeps: false,
                room,
                segments: VecDeque::new(),
                spare: opened.spare,
                reserve: Some(opened.reserve),
                short: false,
                closing: false,
                written: false,
                stopped: None,
            }),
            writer: Condvar::new(),
            preparer: Condvar::new(),
            durable: Mutex::new(DurableQueue::default()),
            integrator: Condvar::new(),
            backlog: AtomicUsize::new(0),
            records: AtomicU64::new(opened.next),
            appends: Stopwatch::default(),
        });
        let (teller, batches) = mpsc::channel();
        let (syncer, syncing) = Syncer::start(Arc::clone(&shared), Arc::clone(&disk), teller)?;
        let writer = Writer {
            shared: Arc::clone(&shared),
            disk: Arc::clone(&disk),
            wal: layout.wal(),
            file: Arc::new(opened.segment),
            offset: opened.offset,
            next: opened.next,
            unsynced: Vec::new(),
            bytes: Vec::new(),
            syncer,
        };
        let writer = Arc::new(Mutex::new(Some(writer)));
        let preparer = Preparer {
            shared: Arc::clone(&shared),
            disk: Arc::clone(&disk),
            wal: layout.wal(),
            size: segment_size,
            number: opened.prepared,
        };
        let (of_thread, for_writer) = (Arc::clone(&writer), Arc::clone(&shared));
        let for_integrator = Arc::clone(&shared);
        let (integrator, unsigned) = (opened.integrator, opened.unsigned);
        let running = Running {
            writer: spawn("audit-writer", move || writer::run(&of_thread, &for_writer))?,
            syncer: syncing,
            teller: spawn("audit-teller", move || tell::run(&batches))?,
            preparer: spawn("audit-preparer", || preparer.run())?,
            integrator: spawn("audit-integrator", move || {
                threads::integrate(&for_integrator, integrator, unsigned);
            })?,
            witnesses: None,
            _lock: opened.lock,
        };
        Ok(Self {
            shared,
            writer,
            disk,
            layout,
            vkey: opened.vkey,
            fingerprint: opened.keys.fingerprint,
            payload: opened.keys.payload,
            publication: opened.publication,
            running: Mutex::new(Some(running)),
        })
    }

    fn submit(&self, draft: Draft, waiter: Waiter) -> Result<u64, AppendError> {
        let Draft {
            event,
            subject,
            payload,
        } = draft;
        let (id, chain) = self.find_chain(&event, &subject)?;
        let sealed = match payload {
            Some(clear) => Some(self.seal(id, &chain, &clear)?),
            None => None,
        };
        let done = self.submit_to(id, &chain, &event, &subject, sealed, waiter);
        let effect = Effect::of_event(&event);
        let over = match effect {
            Effect::Closes => done.is_ok(),
            Effect::Opens => done.is_err(),
            _ => false,
        };
        if over {
            lock(&self.shared.chains).remove(&id);
        }
        done
    }

    /// The chain a record goes to. A run's is there from its `run.opened` to its `run.closed`.
    fn find_chain(
        &self,
        event: &Event,
        subject: &Subject,
    ) -> Result<(ChainId, Arc<Mutex<Chain>>), AppendError> {
        let id = match subject {
            Subject::Gateway => ChainId::Gateway,
            Subject::Run(run) => ChainId::Run(run.id),
        };
        if id == ChainId::Gateway
            && matches!(event, Event::RunOpened { .. } | Event::RunClosed { .. })
        {
            return Err(AppendError::Unrecordable("the gateway is not a run".into()));
        }
        let mut chains = lock(&self.shared.chains);
        let found = chains.get(&id).map(Arc::clone);
        match (found, event, id) {
            (Some(_), Event::RunOpened { .. }, _) => Err(AppendError::AlreadyOpen(id.to_string())),
            (Some(chain), ..) => Ok((id, chain)),
            (None, Event::RunOpened { .. }, ChainId::Run(_)) | (None, _, ChainId::Gateway) => {
                let chain = Arc::new(Mutex::new(Chain::default()));
                chains.insert(id, Arc::clone(&chain));
                Ok((id, chain))
            }
            (None, Event::LoginDenied { .. }, ChainId::Run(_)) => {
                let chain = chains.entry(ChainId::Gateway).or_default();
                Ok((ChainId::Gateway, Arc::clone(chain)))
            }
            (None, ..) => Err(AppendError::NotOpen(id.to_string())),
        }
    }

    /// Encrypts a payload, with no lock held while it does.
    fn seal(&self, id: ChainId, chain: &Mutex<Chain>, clear: &[u8]) -> Result<Sealed, AppendError> {
        if clear.len() > limits::PAYLOAD {
            return Err(AppendError::PayloadTooLong {
                size: clear.len(),
                limit: limits::PAYLOAD,
            });
        }
        let unrecordable = |CannotSeal(why)| AppendError::Unrecordable(why.into());
        let key: PayloadKey = {
            let mut chain = lock(chain);
            match &chain.key {
                Some((key, _)) => key.clone(),
                None => {
                    let key = self.payload.new_key(id).map_err(unrecordable)?;
                    chain.key.insert((key, false)).0.clone()
                }
            }
        };
        key.seal(id, clear).map_err(unrecordable)
    }

    /// Gives the record its number and puts it in the queue, or leaves its chain as it was.
    fn submit_to(
        &self,
        id: ChainId,
        chain: &Mutex<Chain>,
        event: &Event,
        subject: &Subject,
        sealed: Option<Sealed>,
        waiter: Waiter,
    ) -> Result<u64, AppendError> {
        let mut chain = lock(chain);
        let opens = matches!(event, Event::RunOpened { .. });
        let begun = chain.links.seq > 0 || opens || id == ChainId::Gateway;
        if chain.closed || !begun {
            return Err(AppendError::NotOpen(id.to_string()));
        }
        if opens && chain.links.seq > 0 {
            return Err(AppendError::AlreadyOpen(id.to_string()));
        }
        // Who gives up on a call and who still ends it may both record its outcome: the first counts.
        if let Event::CallFinished { of, .. } = event
            && !chain.links.unfinished.contains(of)
        {
            let why = format!("call {of} of {id} was not allowed, or has its outcome already");
            return Err(AppendError::Unrecordable(why.into()));
        }
        let place = Place {
            chain: id,
            seq: chain.links.seq + 1,
            prev: chain.links.last,
            time: self.now(),
        };
        let reference = sealed.as_ref().map(Sealed::reference);
        let record = record::encode(event, subject, reference.as_ref(), &place)
            .map_err(|error| AppendError::Unrecordable(error.to_string().into()))?;
        let step = Step {
            chain: id,
            seq: place.seq,
            digest: Digest::of(&record),
            effect: Effect::of_event(event),
        };
        let new_key = match (&chain.key, &sealed) {
            (Some((key, false)), Some(_)) => Some(key.wrapped()),
            _ => None,
        };
        let body = Body::new(record, new_key, sealed.as_ref().map(Sealed::as_bytes));
        self.enqueue(
            Durable { step, body },
            kind(event),
            fingerprint(event),
            waiter,
        )?;

        chain.links.apply(&step);
        chain.closed = step.effect == Effect::Closes;
        if sealed.is_some()
            && let Some((_, logged)) = &mut chain.key
        {
            *logged = true;
        }
        Ok(place.seq)
    }

    fn enqueue(
        &self,
        durable: Durable,
        kind: Kind,
        fingerprint: Option<Fingerprint>,
        waiter: Waiter,
    ) -> Result<(), AppendError> {
        if kind != Kind::Closing && self.shared.backlog.load(Ordering::Relaxed) > limits::BACKLOG {
            return Err(AppendError::Behind);
        }
        let mut queue = lock(&self.shared.queue);
        if let Some(stopped) = &queue.stopped {
            return Err(stopped.clone());
        }
        if queue.closing {
            return Err(AppendError::Closed);
        }
        let length = durable.body.frame_len() as u64;
        let goes = match kind {
            Kind::Ordinary => queue.room.take(length, false),
            Kind::Closing => queue.room.take(length, true),
            Kind::First => queue.room.begin(length),
        };
        let goes = goes.map_err(|why| match why {
            NoRoom::Behind => AppendError::Behind,
            NoRoom::DiskFull => AppendError::DiskFull,
        })?;
        let ready = match goes {
            Goes::On | Goes::ToUnprepared => None,
            Goes::ToReserve => queue.reserve.take(),
            Goes::ToSpare => queue.spare.take(),
        };
        queue.segments.extend(ready);
        // The writer takes all there is at once, and looks again before it sleeps. What nobody waits
        // for it finds by itself, before long; what need only be written is written here.
        let hurries = waiter.wants_durable() && !std::mem::replace(&mut queue.hurried, true);
        let here = waiter.wants_written();
        queue.awaited |= waiter.waits();
        queue.turns |= goes != Goes::On;
        let wake = hurries || (queue.writer_sleeps && !here);
        queue.records.push(Queued {
            durable,
            next_segment: goes != Goes::On,
            fingerprint,
            waiter,
            since: Instant::now(),
        });
        drop(queue);
        if wake {
            self.shared.writer.notify_one();
        }
        if goes != Goes::On {
            self.shared.preparer.notify_all();
        }
        if here {
            writer::write_here(&self.writer, &self.shared);
        }
        Ok(())
    }

    fn now(&self) -> Time {
        let since = self.disk.now().duration_since(UNIX_EPOCH);
        let millis = since.unwrap_or_default().as_millis();
        Time::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    fn close(&self) {
        let mut running = lock(&self.running);
        let Some(Running {
            writer,
            syncer,
            teller,
            preparer,
            integrator,
            witnesses,
            _lock,
        }) = running.take()
        else {
            return;
        };
        lock(&self.shared.queue).closing = true;
        self.shared.writer.notify_all();
        self.shared.preparer.notify_all();
        // A thread that panicked has nothing more to say; the next start recovers.
        drop(writer.join());
        drop(syncer.join());
        drop(teller.join());
        drop(preparer.join());
        lock(&self.shared.durable).closing = true;
        self.shared.integrator.notify_all();
        drop(integrator.join());
        // While the folder is still ours: they write there.
        if let Some(witnesses) = witnesses {
            witnesses.finish();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Which call a record decides about.
fn fingerprint(event: &Event) -> Option<Fingerprint> {
    match event {
        Event::CallDecided { fingerprint, .. } => Some(*fingerprint),
        _ => None,
    }
}

/// Where a record may go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ordinary,
    /// It closes what an earlier one opened: there is room for it even on a full disk.
    Closing,
    /// To the start of a segment: what the segments before it hold can then be removed.
    First,
}

fn kind(event: &Event) -> Kind {
    match event {
        Event::CallFinished { .. } | Event::GatewayStopped | Event::RunClosed { .. } => {
            Kind::Closing
        }
        Event::PayloadsErased { .. } => Kind::First,
        Event::ApprovalDecided { .. }
        | Event::CallDecided { .. }
        | Event::CallHeld { .. }
        | Event::GatewayStarted { .. }
        | Event::LogContinued(_)
        | Event::LogContinues(_)
        | Event::LogPruned { .. }
        | Event::LoginDenied { .. }
        | Event::PayloadsViewed { .. }
        | Event::PayloadsSearched { .. }
        | Event::PolicyLoaded { .. }
        | Event::ReceiptTaken { .. }
        | Event::RunVerified { .. }
        | Event::IndexRemade { .. }
        | Event::LinkMade { .. }
        | Event::PersonSignedIn { .. }
        | Event::PersonSignedOut { .. }
        | Event::RunOpened { .. }
        | Event::RunResumed { .. }
        | Event::RunSuspended { .. }
        | Event::SignalRaised { .. }
        | Event::WitnessDisagreed { .. } => Kind::Ordinary,
    }
}

fn chains(opened: &Opened) -> HashMap<ChainId, Arc<Mutex<Chain>>> {
    let chain = |(id, links): (&ChainId, &Links)| {
        let key = opened.payload_keys.get(id);
        let chain = Chain {
            links: links.clone(),
            closed: false,
            key: key.map(|key| (key.clone(), true)),
        };
        (*id, Arc::new(Mutex::new(chain)))
    };
    opened.chains.0.iter().map(chain).collect()
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
}
