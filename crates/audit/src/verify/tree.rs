//! The tree: RFC 6962 over SHA-256.

use sha2::{Digest as _, Sha256};

use super::broken::Broken;

/// How many hashes a full tile has, and entries a full bundle.
pub(super) const TILE: usize = 256;

/// A hash of the tree.
pub(super) type Hash = [u8; 32];

pub(super) fn leaf_hash(record: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(record)
        .finalize()
        .into()
}

pub(super) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The root of a tree over these hashes, split at the largest power of two below their number.
pub(super) fn root_of(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Sha256::digest([]).into(),
        [hash] => *hash,
        _ => {
            let half = hashes.len().next_power_of_two() / 2;
            let (left, right) = hashes.split_at(half);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// A tree that grows leaf by leaf and keeps, per level of tiles, the hashes of the newest tile.
#[derive(Clone, Default)]
pub(super) struct Tree {
    pub(super) size: u64,
    pub(super) levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Adds a leaf, and shows each tile above the leaves that this completes.
    pub(super) fn push(
        &mut self,
        leaf: Hash,
        mut completed: impl FnMut(usize, u64, &[Hash]) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.size += 1;
        let (mut level, mut hash) = (0, leaf);
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else {
                return Ok(());
            };
            hashes.push(hash);
            if hashes.len() < TILE {
                return Ok(());
            }
            let full = std::mem::take(hashes);
            if level > 0 {
                let number = (self.size >> (8 * (level + 1))).saturating_sub(1);
                completed(level, number, &full)?;
            }
            hash = root_of(&full);
            level += 1;
        }
    }

    pub(super) fn root(&self) -> Hash {
        // Each level's hashes are a run of perfect subtrees of one size, all of them left of what
        // the levels below hold.
        let mut right: Option<Hash> = None;
        for hashes in self.levels.iter().filter(|hashes| !hashes.is_empty()) {
            right = Some(match right {
                None => root_of(hashes),
                Some(right) => join(hashes, right),
            });
        }
        right.unwrap_or_else(|| root_of(&[]))
    }
}

/// The root over perfect subtrees followed by something smaller.
pub(super) fn join(subtrees: &[Hash], right: Hash) -> Hash {
    match subtrees {
        [] => right,
        _ => {
            // One more than the subtrees counts the smaller thing.
            let half = (subtrees.len() + 1).next_power_of_two() / 2;
            let (left, rest) = subtrees.split_at(half);
            node_hash(&root_of(left), &join(rest, right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_those_of_an_independent_implementation() {
        let mut tree = Tree::default();
        let mut other = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for size in 0..1200u64 {
            assert_eq!(
                tree.root().as_slice(),
                other.root().as_bytes().as_slice(),
                "{size}"
            );
            let record = size.to_be_bytes().to_vec();
            tree.push(leaf_hash(&record), |_, _, _| Ok(()))
                .ok()
                .unwrap();
            other.push(record);
        }
    }
}
