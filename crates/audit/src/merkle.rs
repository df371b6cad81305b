//! The tree's hashes: RFC 6962 over SHA-256.

use sha2::{Digest, Sha256};

/// A hash of the tree.
pub(crate) type Hash = [u8; 32];

/// How many hashes a full tile holds, and entries a full bundle.
pub(crate) const TILE: usize = 256;

/// The hash of a record as a leaf.
pub(crate) fn leaf(record: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(record);
    hash.finalize().into()
}

/// A tile that has become full.
#[derive(Debug)]
pub(crate) struct FullTile {
    pub(crate) level: usize,
    pub(crate) number: u64,
    pub(crate) hashes: Vec<Hash>,
}

/// The right edge of a tree: for each level of tiles the hashes of the tile that is not full yet.
/// With the full tiles, which never change, it is the whole tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of `size` leaves, from the hashes of its unfinished tiles, lowest level
    /// first. Nothing if they are not as many as the size says.
    pub(crate) fn new(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let edge = Self { size, levels };
        let fits = edge.levels.len() == Self::depth(size)
            && (edge.levels.iter().enumerate())
                .all(|(level, hashes)| hashes.len() == Self::width(size, level));
        fits.then_some(edge)
    }

    /// How many levels of tiles a tree of this size has.
    pub(crate) fn depth(size: u64) -> usize {
        let bits = u64::BITS - size.leading_zeros();
        bits.div_ceil(8) as usize
    }

    /// How many hashes the unfinished tile of a level holds.
    pub(crate) fn width(size: u64, level: usize) -> usize {
        let above = u32::try_from(level)
            .ok()
            .and_then(|level| size.checked_shr(8 * level));
        (above.unwrap_or(0) % TILE as u64) as usize
    }

    /// How many leaves the tree has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The unfinished tiles, lowest level first.
    pub(crate) fn levels(&self) -> &[Vec<Hash>] {
        &self.levels
    }

    /// Adds a leaf; returns the tiles it filled.
    pub(crate) fn push(&mut self, leaf: Hash) -> Vec<FullTile> {
        self.size += 1;
        let mut full = Vec::new();
        let mut carry = leaf;
        for level in 0.. {
            if self.levels.len() <= level {
                self.levels.push(Vec::with_capacity(TILE));
            }
            let Some(hashes) = self.levels.get_mut(level) else {
                break;
            };
            hashes.push(carry);
            if hashes.len() < TILE {
                break;
            }
            let hashes = std::mem::take(hashes);
            carry = perfect(&hashes);
            full.push(FullTile {
                level,
                number: (self.size >> (8 * (level + 1))).saturating_sub(1),
                hashes,
            });
        }
        full
    }

    /// The tree's root.
    pub(crate) fn root(&self) -> Hash {
        let mut right: Option<Hash> = None;
        for level in &self.levels {
            let mut rest = level.as_slice();
            // The smallest perfect subtree is the rightmost one.
            while !rest.is_empty() {
                let width = 1 << rest.len().trailing_zeros();
                let (before, last) = rest.split_at(rest.len() - width);
                let subtree = perfect(last);
                right = Some(match right {
                    None => subtree,
                    Some(right) => node(&subtree, &right),
                });
                rest = before;
            }
        }
        right.unwrap_or_else(empty)
    }
}

/// The root of a tree of nothing.
pub(crate) fn empty() -> Hash {
    Sha256::digest([]).into()
}

/// The hash over two subtrees.
pub(crate) fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// The root of a perfect tree over these hashes, a power of two of them.
pub(crate) fn perfect(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => empty(),
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node(&perfect(left), &perfect(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_those_of_an_independent_implementation() {
        let mut edge = Edge::default();
        let mut other = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let checked =
            |size: u64| size < 600 || size.is_multiple_of(8191) || (65_530..65_540).contains(&size);
        for size in 0..66_000u64 {
            if checked(size) {
                assert_eq!(
                    edge.root().as_slice(),
                    other.root().as_bytes().as_slice(),
                    "{size}"
                );
                let again = Edge::new(size, edge.levels().to_vec());
                assert!(size == 0 || again.as_ref() == Some(&edge), "{size}");
            }
            let record = format!("record {size}").into_bytes();
            edge.push(leaf(&record));
            other.push(record);
        }
    }

    #[test]
    fn full_tiles_come_out_once_and_numbered() {
        let mut edge = Edge::default();
        let mut seen = Vec::new();
        for size in 0..(256 * 256 + 256) {
            for tile in edge.push([size as u8; 32]) {
                assert_eq!(tile.hashes.len(), TILE);
                seen.push((tile.level, tile.number));
            }
        }
        let low = (0..257).map(|number| (0, number));
        assert_eq!(seen.len(), 258);
        assert!(low.into_iter().all(|tile| seen.contains(&tile)));
        assert_eq!(seen.iter().find(|(level, _)| *level == 1), Some(&(1, 0)));
    }
}
