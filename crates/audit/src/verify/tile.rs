//! The published files: where a tile is, and what is in it (C2SP tlog-tiles).

use super::Source;
use super::broken::Broken;
use super::tree::{Hash, TILE};

/// Where the checkpoint is.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// Where the newest checkpoint is that enough witnesses have seen, in a log that has witnesses.
pub(super) const WITNESSED: &str = "witnessed";

pub(super) fn get(source: &dyn Source, file: &str) -> Result<Option<Vec<u8>>, Broken> {
    source.get(file).map_err(|error| Broken::Unreadable {
        file: file.to_owned(),
        error,
    })
}

/// `tile/LEVEL/N`, N in groups of three digits.
pub(super) fn tile_path(level: &str, number: u64) -> String {
    let digits = number.to_string();
    let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
    let mut path = format!("tile/{level}");
    for (position, digit) in padded.chars().enumerate() {
        if position % 3 == 0 {
            path.push('/');
            if position + 3 < padded.len() {
                path.push('x');
            }
        }
        path.push(digit);
    }
    path
}

/// A tile of the checkpoint's tree.
pub(super) struct Tile {
    pub(super) file: String,
    pub(super) bytes: Vec<u8>,
    /// Nothing but what was asked for is in it.
    pub(super) exact: bool,
}

/// The first `width` of a tile: its own file if it is partial, or else the full tile's.
pub(super) fn get_tile(
    source: &dyn Source,
    path: &str,
    width: usize,
    why: impl FnOnce() -> String,
) -> Result<Tile, Broken> {
    let mut file = path.to_owned();
    if width < TILE {
        file = format!("{path}.p/{width}");
        if let Some(bytes) = get(source, &file)? {
            return Ok(Tile {
                file,
                bytes,
                exact: true,
            });
        }
    }
    match get(source, path)? {
        Some(bytes) => Ok(Tile {
            file: path.to_owned(),
            bytes,
            exact: width == TILE,
        }),
        None => Err(Broken::Missing {
            file,
            expected: why(),
        }),
    }
}

/// The hashes of a tile, as many as asked for.
pub(super) fn hashes(tile: &Tile, width: usize) -> Result<Vec<Hash>, Broken> {
    let expected = if tile.exact { width * 32 } else { TILE * 32 };
    if tile.bytes.len() != expected {
        return Err(Broken::Length {
            file: tile.file.clone(),
            found: tile.bytes.len(),
            expected,
        });
    }
    let hashes = tile.bytes.chunks_exact(32).take(width);
    Ok(hashes.filter_map(|hash| hash.try_into().ok()).collect())
}

/// Entries of a bundle up to the first that cannot be read, and why that one cannot.
pub(super) fn entries(tile: &Tile, width: usize) -> (Vec<&[u8]>, Option<String>) {
    let mut rest = tile.bytes.as_slice();
    let mut entries = Vec::new();
    while entries.len() < width {
        let Some((length, after)) = rest.split_first_chunk::<2>() else {
            return (entries, Some("it ends before it".to_owned()));
        };
        let length = u16::from_be_bytes(*length);
        let Some((entry, after)) = after.split_at_checked(length.into()) else {
            let why = format!("it ends within it, which has {length} bytes");
            return (entries, Some(why));
        };
        entries.push(entry);
        rest = after;
    }
    let surplus = tile.exact && !rest.is_empty();
    let why = surplus.then(|| format!("{} bytes follow the last record", rest.len()));
    (entries, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(tile_path("0", 1_234_067), "tile/0/x001/x234/067");
        assert_eq!(tile_path("entries", 5), "tile/entries/005");
        assert_eq!(tile_path("2", 1000), "tile/2/x001/000");
    }
}
