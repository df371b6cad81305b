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
