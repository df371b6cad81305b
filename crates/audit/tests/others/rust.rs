//! Verifies a published log with nothing but Cloudflare's ports of Go's packages, `signed_note` and
//! `tlog_tiles`: the same checks as `verify.go`, in the same order.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use signed_note::{Note, StandardVerifier, Verifier as _, VerifierList};
use tlog_tiles::{
    Checkpoint, EMPTY_HASH, Error, Hash, HashReader, Tile, TileHashReader, TileReader,
    check_record, check_tree, prove_record, prove_tree, record_hash,
};

use crate::Verified;

const HEIGHT: u8 = 8;
const WIDTH: u32 = 1 << HEIGHT;

/// Checks all of a log, or says what is the first thing broken.
pub(crate) fn verify(vkey: &Path, log: &Path, kept: &[PathBuf]) -> Result<Verified, String> {
    let read = |file: &Path| {
        let opened = read_checkpoint(vkey, file);
        opened.map_err(|error| format!("checkpoint {}: {error}", file.display()))
    };
    let newest = read(&log.join("checkpoint"))?;
    let mut trees = vec![newest];
    for file in kept {
        trees.push(read(file)?);
    }
    for first in (0..newest.size).step_by(WIDTH as usize) {
        check_bundle(log, newest, first)?;
    }
    let pairs = check_growth(log, &mut trees)?;
    Ok(Verified {
        records: newest.size,
        checkpoints: trees.len(),
        pairs,
    })
}

#[derive(Clone, Copy)]
struct Tree {
    size: u64,
    root: Hash,
}

fn read_checkpoint(vkey: &Path, file: &Path) -> Result<Tree, String> {
    let vkey = fs::read_to_string(vkey).map_err(text)?;
    let key = StandardVerifier::new(vkey.trim_end_matches('\n')).map_err(text)?;
    let name = key.name().to_owned();
    let note = Note::from_bytes(&fs::read(file).map_err(text)?).map_err(text)?;
    note.verify(&VerifierList::new(vec![Box::new(key)]))
        .map_err(text)?;
    let checkpoint = Checkpoint::from_bytes(note.text()).map_err(text)?;
    if checkpoint.origin() != name {
        return Err("not a checkpoint of this log".to_owned());
    }
    Ok(Tree {
        size: checkpoint.size(),
        root: *checkpoint.hash(),
    })
}

/// Proves that each record of one bundle is in the tree.
fn check_bundle(log: &Path, tree: Tree, first: u64) -> Result<(), String> {
    let records = read_bundle(log, tree, first)?;
    let indexes = first..first + records.len() as u64;
    let hashes = hashes_for_proofs(log, tree, indexes.clone())
        .map_err(|error| format!("tiles for the records from {first}: {error}"))?;
    for (index, record) in indexes.zip(&records) {
        let proof = prove_record(tree.size, index, &hashes);
        proof
            .and_then(|proof| {
                check_record(&proof, tree.size, tree.root, index, record_hash(record))
            })
            .map_err(|error| format!("record {index}: {error}"))?;
    }
    Ok(())
}

/// The hashes that the proofs of a bundle's records are made of, read once for all of them.
fn hashes_for_proofs(
    log: &Path,
    tree: Tree,
    records: std::ops::Range<u64>,
) -> Result<Known, Error> {
    let asked = Asked::default();
    for index in records {
        prove_record(tree.size, index, &asked)?;
    }
    let indexes: Vec<u64> = asked.0.into_inner().into_keys().collect();
    let tiles = Tiles(log.to_owned());
    let hashes = TileHashReader::new(tree.size, tree.root, &tiles).read_hashes(&indexes)?;
    Ok(Known(indexes.into_iter().zip(hashes).collect()))
}

/// Notes which hashes are asked for.
#[derive(Default)]
struct Asked(RefCell<BTreeMap<u64, ()>>);

impl HashReader for Asked {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        self.0
            .borrow_mut()
            .extend(indexes.iter().map(|index| (*index, ())));
        Ok(vec![EMPTY_HASH; indexes.len()])
    }
}

/// Hashes that have been checked against the root.
struct Known(BTreeMap<u64, Hash>);

impl HashReader for Known {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let known = indexes.iter().map(|index| self.0.get(index).copied());
        known.collect::<Option<_>>().ok_or(Error::IndexesNotInTree)
    }
}

/// Proves for each two checkpoints that the larger tree begins with the smaller one.
fn check_growth(log: &Path, trees: &mut [Tree]) -> Result<usize, String> {
    trees.sort_by_key(|tree| tree.size);
    let tiles = Tiles(log.to_owned());
    let mut pairs = 0;
    for (position, newer) in trees.iter().enumerate() {
        for older in &trees[..position] {
            pairs += 1;
            if older.size == 0 {
                // Every tree begins with the empty one, of which there are no proofs.
                continue;
            }
            let reader = TileHashReader::new(newer.size, newer.root, &tiles);
            prove_tree(newer.size, older.size, &reader)
                .and_then(|proof| {
                    check_tree(&proof, newer.size, newer.root, older.size, older.root)
                })
                .map_err(|error| format!("from {} to {}: {error}", older.size, newer.size))?;
        }
    }
    Ok(pairs)
}

fn read_bundle(log: &Path, tree: Tree, first: u64) -> Result<Vec<Vec<u8>>, String> {
    let width = (tree.size - first).min(WIDTH.into()) as u32;
    let tile = Tile::new(HEIGHT, 0, first / u64::from(WIDTH), width, true);
    let (path, content) = read_tile(log, tile)?;
    let mut rest = content.as_slice();
    let mut records = Vec::new();
    while records.len() < width as usize {
        let record = rest
            .split_first_chunk::<2>()
            .and_then(|(length, rest)| rest.split_at_checked(u16::from_be_bytes(*length).into()));
        let Some((record, after)) = record else {
            let next = first + records.len() as u64;
            return Err(format!("bundle {path}: it ends before record {next}"));
        };
        records.push(record.to_vec());
        rest = after;
    }
    if width == WIDTH && !rest.is_empty() {
        let more = rest.len();
        return Err(format!(
            "bundle {path}: {more} bytes follow its last record"
        ));
    }
    Ok(records)
}

/// The tiles in a folder.
struct Tiles(PathBuf);

impl TileReader for Tiles {
    fn height(&self) -> u8 {
        HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            let (path, mut content) = read_tile(&self.0, *tile).map_err(Error::InvalidInput)?;
            let length = tile.width() as usize * 32;
            if content.len() < length || tile.width() == WIDTH && content.len() > length {
                let found = content.len();
                return Err(Error::InvalidInput(format!(
                    "tile {path} has {found} bytes"
                )));
            }
            content.truncate(length);
            Ok(content)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// Reads a tile or a bundle. One that was not full when the checkpoint was made may be full by now;
/// then what was in it is the beginning of what is.
fn read_tile(log: &Path, tile: Tile) -> Result<(String, Vec<u8>), String> {
    let path = path_of(tile);
    match fs::read(log.join(&path)) {
        Ok(content) => Ok((path, content)),
        Err(_) if tile.width() < WIDTH => {
            let full = Tile::new(
                HEIGHT,
                tile.level(),
                tile.level_index(),
                WIDTH,
                tile.is_data(),
            );
            let path = path_of(full);
            let content = fs::read(log.join(&path));
            content
                .map(|content| (path.clone(), content))
                .map_err(|error| format!("{path}: {error}"))
        }
        Err(error) => Err(format!("{path}: {error}")),
    }
}

/// The crate's paths are Go's: they name the height, and entries are their own kind, "data".
fn path_of(tile: Tile) -> String {
    let path = tile.path();
    match path.strip_prefix("tile/8/data/") {
        Some(entries) => format!("tile/entries/{entries}"),
        None => path.replacen("tile/8/", "tile/", 1),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
