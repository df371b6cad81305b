//! Going on from what was verified before.

use super::Source;
use super::broken::Broken;
use super::tile::{get_tile, hashes, tile_path};
use super::tree::{TILE, Tree};

/// The tree of the first `start` records, whole tiles of them, from the tiles of a log of `size`
/// records. It is as good as its root, which whoever goes on from it has to compare with one that
/// was signed.
pub(super) fn edge(source: &dyn Source, start: u64, size: u64) -> Result<Tree, Broken> {
    let mut levels = Vec::new();
    for level in 0.. {
        let count = start.checked_shr(8 * level).unwrap_or(0);
        if count == 0 {
            break;
        }
        let (number, width) = (count / TILE as u64, (count % TILE as u64) as usize);
        let all = size.checked_shr(8 * level).unwrap_or(0);
        let there = (all - number * TILE as u64).min(TILE as u64) as usize;
        levels.push(match width {
            0 => Vec::new(),
            _ => {
                let path = tile_path(&level.to_string(), number);
                let tile = get_tile(source, &path, there, || {
                    "the tree that the checkpoint signs has it".to_owned()
                })?;
                let mut hashes = hashes(&tile, there)?;
                hashes.truncate(width);
                hashes
            }
        });
    }
    Ok(Tree {
        size: start,
        levels,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io;

    use super::*;
    use crate::verify::tree::{Hash, leaf_hash};

    struct Published(HashMap<String, Vec<u8>>);

    impl Source for Published {
        fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
            Ok(self.0.get(path).cloned())
        }
    }

    /// The hash tiles of a log, and the roots of the trees that some of its beginnings make.
    fn publish(size: u64, wanted: &[u64]) -> (Published, Vec<Hash>) {
        let mut published = HashMap::new();
        let mut put = |level: usize, number: u64, hashes: &[Hash]| {
            let path = tile_path(&level.to_string(), number);
            let path = match hashes.len() {
                TILE => path,
                width => format!("{path}.p/{width}"),
            };
            published.insert(path, hashes.concat());
        };
        let (mut tree, mut roots) = (Tree::default(), Vec::new());
        let mut lowest = Vec::new();
        for index in 0..size {
            if wanted.contains(&index) {
                roots.push(tree.root());
            }
            let leaf = leaf_hash(&index.to_be_bytes());
            lowest.push(leaf);
            if lowest.len() == TILE {
                put(0, index / TILE as u64, &std::mem::take(&mut lowest));
            }
            let completed = tree.push(leaf, |level, number, hashes| {
                put(level, number, hashes);
                Ok(())
            });
            completed.unwrap();
        }
        for (level, hashes) in tree.levels.iter().enumerate() {
            if !hashes.is_empty() {
                put(level, size >> (8 * level) >> 8, hashes);
            }
        }
        (Published(published), roots)
    }

    #[test]
    fn the_edge_is_that_of_the_tree_that_grew_there() {
        let starts = [0, 256, 512, 65_280, 65_536, 66_048];
        let size = 66_300;
        let (published, roots) = publish(size, &starts);
        for (start, root) in starts.into_iter().zip(roots) {
            let edge = edge(&published, start, size).unwrap();
            assert_eq!((edge.size, edge.root()), (start, root), "{start}");
        }
        // Whatever is altered in a tile that it is made of, it is another.
        let mut altered = published;
        let tile = altered.0.get_mut("tile/2/000.p/1").unwrap();
        tile[5] ^= 1;
        let (_, roots) = publish(66_048, &[65_536]);
        assert_ne!(edge(&altered, 65_536, size).unwrap().root(), roots[0]);
    }
}
