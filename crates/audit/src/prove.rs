//! Proofs from the published tiles: that a record is in a tree, and that a tree grew from a smaller
//! one (RFC 6962, section 2.1). Checking them is the verifier's, in `verify/proof.rs`.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use crate::merkle::{self, Hash, TILE};
use crate::tiles::{self, Kind};

/// The tree of the first `size` records of a published log.
pub(crate) struct Prover {
    root: PathBuf,
    size: u64,
    /// Tiles that were read, by level and number.
    read: HashMap<(usize, u64), Vec<Hash>>,
}

impl Prover {
    /// For a log in this folder, at a size that its tiles cover.
    pub(crate) fn new(root: impl Into<PathBuf>, size: u64) -> Self {
        Self {
            root: root.into(),
            size,
            read: HashMap::new(),
        }
    }

    /// The root of the tree of this size.
    #[cfg(test)]
    pub(crate) fn root(&mut self) -> io::Result<Hash> {
        self.subtree(0, self.size)
    }

    /// The audit path of a record, leaf to root (`PATH` in RFC 6962, section 2.1.1).
    pub(crate) fn inclusion(&mut self, index: u64) -> io::Result<Vec<Hash>> {
        if index >= self.size {
            return Err(beyond(index, self.size));
        }
        let (mut low, mut high) = (0, self.size);
        let mut path = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                path.push(self.subtree(middle, high)?);
                high = middle;
            } else {
                path.push(self.subtree(low, middle)?);
                low = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// What shows that the tree of the first `old` records is the beginning of this one (`PROOF` in
    /// RFC 6962, section 2.1.2). Empty from zero and from the same size.
    pub(crate) fn consistency(&mut self, old: u64) -> io::Result<Vec<Hash>> {
        if old > self.size {
            return Err(beyond(old, self.size));
        }
        let (mut low, mut high) = (0, self.size);
        let mut whole = true;
        let mut proof = Vec::new();
        if old == 0 {
            return Ok(proof);
        }
        while old != high {
            let middle = low + split(high - low);
            if old <= middle {
                proof.push(self.subtree(middle, high)?);
                high = middle;
            } else {
                proof.push(self.subtree(low, middle)?);
                low = middle;
                whole = false;
            }
        }
        if !whole {
            proof.push(self.subtree(low, high)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// The root over the records from `low` up to `high`.
    fn subtree(&mut self, low: u64, high: u64) -> io::Result<Hash> {
        let count = high - low;
        if count.is_power_of_two() && low.is_multiple_of(count) {
            return self.perfect(low, count);
        }
        if count == 0 {
            return Ok(merkle::empty());
        }
        let middle = low + split(count);
        let left = self.subtree(low, middle)?;
        let right = self.subtree(middle, high)?;
        Ok(merkle::node(&left, &right))
    }

    /// The root over `count` records, a power of two, that begin at a multiple of it.
    fn perfect(&mut self, low: u64, count: u64) -> io::Result<Hash> {
        let height = count.trailing_zeros() as usize;
        let level = height / 8;
        // Its hashes in their tile: no more than half of one, and all in the same.
        let first = low >> (8 * level);
        let (number, offset) = (first / TILE as u64, (first % TILE as u64) as usize);
        let hashes = self.tile(level, number)?;
        let width = 1 << (height % 8);
        let row = hashes.get(offset..offset + width);
        row.map(merkle::perfect)
            .ok_or_else(|| tiles::malformed(&tiles::path(Kind::Level(level), number, None)))
    }

    fn tile(&mut self, level: usize, number: u64) -> io::Result<&[Hash]> {
        use std::collections::hash_map::Entry;
        match self.read.entry((level, number)) {
            Entry::Occupied(read) => Ok(read.into_mut()),
            Entry::Vacant(place) => {
                let above = self.size >> (8 * level);
                let width = above.saturating_sub(number * TILE as u64).min(TILE as u64);
                let bytes = tiles::read(&self.root, Kind::Level(level), number, width as usize)?;
                let hashes = bytes.chunks_exact(32);
                Ok(place.insert(hashes.filter_map(|hash| hash.try_into().ok()).collect()))
            }
        }
    }
}

/// The largest power of two below a number that is at least 2.
fn split(count: u64) -> u64 {
    count.next_power_of_two() / 2
}

fn beyond(wanted: u64, size: u64) -> io::Error {
    let reason = format!("{wanted} is beyond the tree of {size} records");
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sha2::Sha256;

    use super::*;
    use crate::disk::FileSystem;
    use crate::merkle::Edge;
    use crate::tiles::Tiles;
    use crate::verify::proof;

    fn record(index: u64) -> Vec<u8> {
        format!("record {index}").into_bytes()
    }

    /// The published tiles of a log of `size` records, and its root.
    fn publish(root: &std::path::Path, size: u64) -> Hash {
        let mut tiles = Tiles::new(Arc::new(FileSystem), root.to_owned());
        let mut edge = Edge::default();
        for index in 0..size {
            for tile in edge.push(merkle::leaf(&record(index))) {
                let kind = Kind::Level(tile.level);
                tiles
                    .write_full(kind, tile.number, &tile.hashes.concat())
                    .unwrap();
            }
        }
        for (level, hashes) in edge.levels().iter().enumerate() {
            if !hashes.is_empty() {
                let (kind, number) = (Kind::Level(level), size >> (8 * level) >> 8);
                tiles
                    .write_partial(kind, number, hashes.len(), &hashes.concat())
                    .unwrap();
            }
        }
        edge.root()
    }

    #[test]
    fn proofs_are_those_of_an_independent_implementation() {
        let dir = tempfile::tempdir().unwrap();
        let mut other = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let mut roots = vec![merkle::empty()];
        for size in 1..=70u64 {
            other.push(record(size - 1));
            roots.push(publish(dir.path(), size));
            let mut prover = Prover::new(dir.path(), size);
            assert_eq!(Some(&prover.root().unwrap()), roots.last());
            for index in 0..size {
                let path = prover.inclusion(index).unwrap();
                let theirs = other.prove_inclusion(index as usize);
                assert_eq!(path.concat(), theirs.as_bytes(), "{index} in {size}");
            }
            for old in 1..size {
                let proof = prover.consistency(old).unwrap();
                let theirs = other.prove_consistency((size - old) as usize);
                assert_eq!(proof.concat(), theirs.as_bytes(), "{old} to {size}");
            }
        }
    }

    #[test]
    fn proofs_across_tiles_hold_and_no_other_do() {
        let dir = tempfile::tempdir().unwrap();
        let size = 256 * 256 + 700;
        let root = publish(dir.path(), size);
        let mut prover = Prover::new(dir.path(), size);
        for index in [0, 255, 256, 65_535, 65_536, size - 1] {
            let path = prover.inclusion(index).unwrap();
            let leaf = merkle::leaf(&record(index));
            assert!(proof::includes(index, size, &leaf, &path, &root), "{index}");
            let mut altered = path.clone();
            altered[3][0] ^= 1;
            assert!(!proof::includes(index, size, &leaf, &altered, &root));
            assert!(!proof::includes(index ^ 1, size, &leaf, &path, &root));
            assert!(!proof::includes(index, size, &leaf, &path[1..], &root));
        }
        for old in [1, 255, 256, 257, 65_535, 65_536, 65_537, size - 1] {
            let mut before = Edge::default();
            for index in 0..old {
                before.push(merkle::leaf(&record(index)));
            }
            let old_root = before.root();
            let path = prover.consistency(old).unwrap();
            let grew = |old, from: &Hash, path: &[Hash]| {
                proof::is_consistent(old, size, from, &root, path)
            };
            assert!(grew(old, &old_root, &path), "{old}");
            assert!(!grew(old, &merkle::leaf(b"other"), &path), "{old}");
            assert!(!grew(old + 1, &old_root, &path), "{old}");
            assert!(!grew(old, &old_root, &path[1..]), "{old}");
            let mut longer = path.clone();
            longer.push(root);
            assert!(!grew(old, &old_root, &longer), "{old}");
        }
        assert_eq!(prover.consistency(size).unwrap(), Vec::<Hash>::new());
        assert_eq!(prover.consistency(0).unwrap(), Vec::<Hash>::new());
        assert!(prover.inclusion(size).is_err() && prover.consistency(size + 1).is_err());
    }
}
