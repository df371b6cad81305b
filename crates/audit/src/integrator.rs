//! From durable records to a signed tree: one thread that follows the write-ahead log.
//!
//! Everything here can be done again from the write-ahead log. What it writes counts from the
//! moment a signed checkpoint covers it, and only then are the segments behind it freed:
//!
//! 1. tiles, entries and payloads are written, and made durable;
//! 2. the checkpoint is signed and replaces `log/checkpoint`;
//! 3. it replaces `keys/last-checkpoint`, which remembers what was signed;
//! 4. segments of which every record is covered are removed.
//!
//! A crash between any two of these leaves something that the next start brings to the same end.

use std::io;
use std::sync::Arc;

use crate::chain::{ChainId, Chains, Effect, Step};
use crate::disk::{self, Disk};
use crate::layout::Layout;
use crate::merkle::{self, Edge, TILE};
use crate::note::Checkpoint;
use crate::payload::PayloadFiles;
use crate::prove::Prover;
use crate::prune::Pruner;
use crate::publication::{Publication, Published};
use crate::sign::{Sign, SignError};
use crate::tiles::{self, Kind, Tiles};
use crate::wal::frame::Body;
use crate::wal::segment;

/// A record that is durable and not in the tree yet.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) step: Step,
    pub(crate) body: Body,
}

/// What a checkpoint covers, to go on from.
pub(crate) struct Covered {
    /// The checkpoint; nothing for a new log.
    pub(crate) signed: Option<Checkpoint>,
    pub(crate) edge: Edge,
    /// The entries of the bundle that is not full yet.
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) chains: Chains,
}

/// The tree and what is published of it.
pub(crate) struct Integrator {
    layout: Layout,
    disk: Arc<dyn Disk>,
    signer: Box<dyn Sign>,
    publication: Arc<Publication>,
    edge: Edge,
    /// The entries of the bundle that is not full yet.
    bundle: Vec<u8>,
    chains: Chains,
    tiles: Tiles,
    payloads: PayloadFiles,
    pruner: Pruner,
    /// Full tiles that are still to be written.
    full: Vec<(Kind, u64, Vec<u8>)>,
    signed: Option<Checkpoint>,
    snapshot: u64,
}

impl Integrator {
    /// Goes on from a tree that was published.
    pub(crate) fn new(
        layout: Layout,
        disk: Arc<dyn Disk>,
        pruner: Pruner,
        signer: Box<dyn Sign>,
        publication: Arc<Publication>,
        from: Covered,
    ) -> Self {
        let mut bundle = Vec::new();
        for entry in &from.entries {
            tiles::push_entry(&mut bundle, entry);
        }
        Self {
            tiles: Tiles::new(Arc::clone(&disk), layout.log()),
            payloads: PayloadFiles::new(Arc::clone(&disk), layout.payloads()),
            pruner,
            layout,
            disk,
            signer,
            publication,
            edge: from.edge,
            bundle,
            chains: from.chains,
            full: Vec::new(),
            signed: from.signed,
            snapshot: 0,
        }
    }

    /// Puts records into the tree, in memory.
    pub(crate) fn add(&mut self, records: Vec<Durable>) {
        for Durable { step, body } in records {
            self.payloads.add(step.chain, body.key(), body.payload());
            self.chains.apply(&step);
            tiles::push_entry(&mut self.bundle, body.record());
            let full = self.edge.push(merkle::leaf(body.record()));
            if self.edge.size().is_multiple_of(TILE as u64) {
                let number = (self.edge.size() / TILE as u64).saturating_sub(1);
                // The next one is about as long.
                let next = Vec::with_capacity(self.bundle.len());
                let bundle = std::mem::replace(&mut self.bundle, next);
                self.full.push((Kind::Bundle, number, bundle));
            }
            for tile in full {
                self.full
                    .push((Kind::Level(tile.level), tile.number, tile.hashes.concat()));
            }
            match step.effect {
                Effect::Closes => self.payloads.close(step.chain),
                Effect::Erases { run } => self.payloads.erase(ChainId::Run(run)),
                Effect::Prunes { before } => self.pruner.add(before),
                _ => {}
            }
        }
    }

    /// Whether there is anything that no checkpoint covers, or that is still to be removed.
    pub(crate) fn is_behind(&self) -> bool {
        self.pruner.is_behind() || self.is_unsigned()
    }

    fn is_unsigned(&self) -> bool {
        self.signed
            .is_none_or(|signed| signed.size != self.edge.size())
    }

    /// Writes what is ready, so that memory stays small.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        self.payloads.write()?;
        while let Some((kind, number, bytes)) = self.full.last() {
            self.tiles.write_full(*kind, *number, bytes)?;
            self.full.pop();
        }
        Ok(())
    }

    /// Publishes what a start has found. Where that is signed already it is signed once more, and the
    /// signature not used: a signer in another process knows whether it is what it signed last, and
    /// finds that the data folder was rolled back.
    pub(crate) fn start(&mut self) -> Result<(), SignError> {
        if let Some(signed) = self.signed.filter(|_| !self.is_unsigned()) {
            let mut tree = Prover::new(self.layout.log(), signed.size);
            self.signer.sign(&signed, &mut tree)?;
        }
        self.publish()
    }

    /// Brings everything to disk, signs a checkpoint over it and frees what is covered.
    ///
    /// Without a signature nothing is published: what is durable waits in the write-ahead log.
    pub(crate) fn publish(&mut self) -> Result<(), SignError> {
        self.write()?;
        if self.is_unsigned() {
            self.pruner.note()?;
            self.write_partials()?;
            self.tiles.sync()?;
            self.payloads.sync()?;
            let checkpoint = Checkpoint {
                size: self.edge.size(),
                root: self.edge.root(),
            };
            // The tree only ever grows from the one that was signed last, so this cannot be
            // inconsistent with it; a start has checked that what it found is that tree.
            let mut tree = Prover::new(self.layout.log(), checkpoint.size);
            let note = self.signer.sign(&checkpoint, &mut tree)?;
            self.publication.publish(Published {
                checkpoint,
                note: note.clone(),
            })?;
            let last = self.layout.last_checkpoint();
            self.disk.replace(&last, note.as_bytes(), disk::PRIVATE)?;
            self.signed = Some(checkpoint);
            self.pruner.published();
        }
        self.tiles.remove_superseded()?;
        Ok(self.free(self.edge.size())?)
    }

    /// Removes some of what is pruned.
    pub(crate) fn prune(&mut self) -> io::Result<()> {
        if self.pruner.is_behind() {
            // A start can no longer read the chains' beginnings.
            if self.snapshot < self.pruner.before() {
                self.snapshot(0)?;
            }
            self.pruner.remove_some(&mut self.payloads)?;
        }
        Ok(())
    }

    /// Writes down where the chains stand, so that the next start need not read the whole log.
    pub(crate) fn snapshot(&mut self, at_least_after: u64) -> io::Result<()> {
        let size = self.edge.size();
        if self.is_unsigned() || size < self.snapshot + at_least_after {
            return Ok(());
        }
        let bytes = self.chains.to_snapshot(size).map_err(io::Error::other)?;
        self.disk
            .replace(&self.layout.snapshot(), &bytes, disk::PRIVATE)?;
        self.snapshot = size;
        Ok(())
    }

    fn write_partials(&mut self) -> io::Result<()> {
        let size = self.edge.size();
        let width = Edge::width(size, 0);
        if width > 0 {
            let number = size / TILE as u64;
            self.tiles
                .write_partial(Kind::Bundle, number, width, &self.bundle)?;
        }
        for (level, hashes) in self.edge.levels().iter().enumerate() {
            if !hashes.is_empty() {
                let number = size >> (8 * level) >> 8;
                let bytes = hashes.concat();
                self.tiles
                    .write_partial(Kind::Level(level), number, hashes.len(), &bytes)?;
            }
        }
        Ok(())
    }

    /// Removes the segments of which every record is covered. The newest stays.
    fn free(&self, covered: u64) -> io::Result<()> {
        let segments = segment::list(&self.layout.wal())?;
        for pair in segments.windows(2) {
            let [segment, next] = pair else { continue };
            if next.base > covered {
                break;
            }
            self.disk.remove(&segment.path)?;
        }
        Ok(())
    }
}
