//! The walk over everything that a checkpoint covers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::broken::Broken;
use super::checkpoint::Checkpoint;
use super::known::Known;
use super::tile::{Tile, entries, get, get_tile, hashes, tile_path};
use super::trails::{Trails, name_of};
use super::tree::{Hash, TILE, Tree, leaf_hash};
use super::wal::Wal;
use super::{Progress, Source, lower_hex};

/// The walk over everything that the checkpoint covers.
pub(super) struct Walk<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) checkpoint: &'a Checkpoint,
    /// Checkpoints that the tree must agree with on the way, the smallest first.
    pub(super) known: &'a [Known],
    pub(super) wal: Option<&'a Wal>,
    pub(super) progress: &'a dyn Fn(Progress),
    /// The tree that the records make. It begins where reading begins, at a whole tile.
    pub(super) entries: Tree,
    /// The tree that the lowest tiles make.
    pub(super) hashes: Tree,
    pub(super) trails: Trails,
    /// The first place where records and lowest tiles differ.
    pub(super) difference: Option<Difference>,
    /// The first tile above the lowest that differs from these.
    pub(super) upper: Option<Broken>,
    /// The first thing that matters only once all hashes are right.
    pub(super) later: Option<Broken>,
    pub(super) last_time: Option<String>,
}

/// A record that does not have the hash that its tile says.
pub(super) struct Difference {
    pub(super) record: Broken,
    pub(super) tile: Option<Broken>,
}

impl Walk<'_> {
    pub(super) fn run(&mut self) -> Result<(), Broken> {
        let size = self.checkpoint.size;
        let start = self.entries.size;
        let mut number = start / TILE as u64;
        while number * (TILE as u64) < size {
            let first = number * TILE as u64;
            let width = (size - first).min(TILE as u64) as usize;
            if let Err(broken) = self.tile(number, first, width) {
                // What differs already comes before what is missing now.
                let before = self.difference.take();
                return Err(before.map_or(broken, |difference| difference.record));
            }
            number += 1;
            (self.progress)(Progress {
                done: first + width as u64 - start,
                total: size - start,
            });
        }
        self.upper_partials()?;
        self.judge()
    }

    /// One bundle of records and its tile of hashes.
    pub(super) fn tile(&mut self, number: u64, first: u64, width: usize) -> Result<(), Broken> {
        let size = self.checkpoint.size;
        let why =
            || format!("the checkpoint covers {size} records, and it holds those from {first}");
        let bundle_path = tile_path("entries", number);
        let tile_path = tile_path("0", number);
        let tile = get_tile(self.source, &tile_path, width, why)?;
        let expected = hashes(&tile, width)?;
        // Only the beginning can be pruned, and only whole bundles; whether the log says that it was
        // is known at its end.
        if first == self.trails.first
            && width == TILE
            && self.later.is_none()
            && self.difference.is_none()
            && get(self.source, &bundle_path)?.is_none()
        {
            self.trails.first = first + width as u64;
            return self.pruned(&expected);
        }
        let bundle = get_tile(self.source, &bundle_path, width, why)?;
        let (records, trouble) = entries(&bundle, width);
        for ((index, position), expected) in (first..).zip(0..).zip(&expected) {
            self.note_known();
            match records.get(position) {
                Some(record) => {
                    let found = leaf_hash(record);
                    if found != *expected && self.difference.is_none() {
                        let [found, expected] = [found, *expected].map(|hash| lower_hex(&hash));
                        self.difference = Some(Difference {
                            record: Broken::Record {
                                index,
                                name: name_of(record),
                                file: bundle.file.clone(),
                                found: found.clone(),
                                expected: expected.clone(),
                            },
                            tile: Some(Broken::Tile {
                                file: tile.file.clone(),
                                position,
                                found: expected,
                                expected: found,
                            }),
                        });
                    }
                    self.entries.push(found, |_, _, _| Ok(()))?;
                    self.record(index, record, &bundle.file);
                }
                None if self.difference.is_none() => {
                    self.difference = Some(Difference {
                        record: Broken::Bundle {
                            file: bundle.file.clone(),
                            index,
                            reason: trouble.clone().unwrap_or_default(),
                        },
                        tile: None,
                    });
                }
                None => {}
            }
            let (source, upper) = (self.source, &mut self.upper);
            let later = &mut self.later;
            self.hashes.push(*expected, |level, number, made| {
                check_upper(source, level, number, made, upper, later)
            })?;
        }
        if let Some(reason) = trouble
            && self.difference.is_none()
        {
            return Err(Broken::Bundle {
                file: bundle.file,
                index: first + width as u64,
                reason,
            });
        }
        let prefix = |count: usize| {
            let lengths = records.iter().take(count).map(|record| 2 + record.len());
            lengths.sum::<usize>()
        };
        self.older(&bundle_path, &bundle, width, prefix)?;
        self.older(&tile_path, &tile, width, |count| count * 32)
    }

    /// A bundle of which only the hashes are there.
    fn pruned(&mut self, hashes: &[Hash]) -> Result<(), Broken> {
        for hash in hashes {
            self.note_known();
            self.entries.push(*hash, |_, _, _| Ok(()))?;
            let (source, upper) = (self.source, &mut self.upper);
            let later = &mut self.later;
            self.hashes.push(*hash, |level, number, made| {
                check_upper(source, level, number, made, upper, later)
            })?;
        }
        Ok(())
    }

    /// Checks what is kept of a tile from when it was smaller, which older checkpoints need.
    pub(super) fn older(
        &mut self,
        path: &str,
        tile: &Tile,
        width: usize,
        prefix: impl Fn(usize) -> usize,
    ) -> Result<(), Broken> {
        older(
            self.source,
            path,
            &tile.bytes,
            width,
            prefix,
            &mut self.later,
        )
    }

    /// At the size of a checkpoint that is known: whether it signs this tree.
    pub(super) fn note_known(&mut self) {
        while let Some((known, rest)) = self.known.split_first()
            && known.checkpoint().size <= self.entries.size
        {
            if known.checkpoint().size == self.entries.size
                && self.later.is_none()
                && self.difference.is_none()
            {
                self.later = known.contradicts(&self.entries.root());
            }
            self.known = rest;
        }
    }

    /// Follows a record along its chain, as long as nothing is wrong.
    pub(super) fn record(&mut self, index: u64, record: &[u8], file: &str) {
        if self.later.is_some() || self.difference.is_some() {
            return;
        }
        let in_wal = self.wal.and_then(|wal| wal.records.get(&index));
        if in_wal.is_some_and(|in_wal| in_wal != record) {
            self.later = Some(Broken::Differs {
                index,
                file: file.to_owned(),
            });
            return;
        }
        match self.trails.follow(index, record, file) {
            Ok(time) => {
                let last_time = self.last_time.get_or_insert_default();
                last_time.clear();
                last_time.push_str(&time);
            }
            Err(broken) => self.later = Some(broken),
        }
    }

    /// The tiles above the lowest that are not full.
    pub(super) fn upper_partials(&mut self) -> Result<(), Broken> {
        let size = self.checkpoint.size;
        for (level, made) in self.hashes.levels.iter().enumerate().skip(1) {
            if !made.is_empty() {
                let number = size >> (8 * level) >> 8;
                let (upper, later) = (&mut self.upper, &mut self.later);
                check_upper(self.source, level, number, made, upper, later)?;
            }
        }
        Ok(())
    }

    /// What is wrong, if anything is: the checkpoint says which of two things that differ is right.
    pub(super) fn judge(&mut self) -> Result<(), Broken> {
        self.note_known();
        let root = self.checkpoint.root;
        if let Some(Difference { record, tile }) = self.difference.take() {
            let records_are_right =
                self.entries.size == self.checkpoint.size && self.entries.root() == root;
            return Err(match tile {
                Some(tile) if records_are_right => tile,
                _ => record,
            });
        }
        let found = self.hashes.root();
        if found != root {
            return Err(Broken::Root {
                size: self.checkpoint.size,
                found: BASE64.encode(found),
                expected: BASE64.encode(root),
            });
        }
        let broken = self.upper.take().or_else(|| self.later.take());
        broken.map_or(Ok(()), Err)
    }
}

/// Compares a tile above the lowest with what the lowest make.
pub(super) fn check_upper(
    source: &dyn Source,
    level: usize,
    number: u64,
    made: &[Hash],
    upper: &mut Option<Broken>,
    later: &mut Option<Broken>,
) -> Result<(), Broken> {
    let path = tile_path(&level.to_string(), number);
    let tile = get_tile(source, &path, made.len(), || {
        "the tree that the checkpoint signs has it".to_owned()
    })?;
    let found = hashes(&tile, made.len())?;
    let different = found
        .iter()
        .zip(made)
        .position(|(found, made)| found != made);
    if let Some(position) = different
        && upper.is_none()
    {
        let text = |hashes: &[Hash]| hashes.get(position).map(|hash| lower_hex(hash));
        *upper = Some(Broken::Tile {
            file: tile.file.clone(),
            position,
            found: text(&found).unwrap_or_default(),
            expected: text(made).unwrap_or_default(),
        });
    }
    older(
        source,
        &path,
        &tile.bytes,
        made.len(),
        |count| count * 32,
        later,
    )
}

pub(super) fn older(
    source: &dyn Source,
    path: &str,
    bytes: &[u8],
    width: usize,
    prefix: impl Fn(usize) -> usize,
    later: &mut Option<Broken>,
) -> Result<(), Broken> {
    let widths = source.partials(path).map_err(|error| Broken::Unreadable {
        file: format!("{path}.p"),
        error,
    })?;
    for older in widths.into_iter().filter(|older| *older < width) {
        let file = format!("{path}.p/{older}");
        // A gateway removes them once the tile is full.
        let Some(found) = get(source, &file)? else {
            continue;
        };
        let expected = bytes.get(..prefix(older)).unwrap_or_default();
        if found != expected && later.is_none() {
            let position = found
                .iter()
                .zip(expected)
                .position(|(found, made)| found != made);
            *later = Some(match position {
                None => Broken::Length {
                    file,
                    found: found.len(),
                    expected: expected.len(),
                },
                Some(position) => Broken::Older { file, position },
            });
        }
    }
    Ok(())
}
