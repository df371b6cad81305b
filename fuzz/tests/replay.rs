//! Replays what fuzzing has kept, and goes on a little with inputs of its own. `BAILIWICK_TEST_SEED` is
//! the seed of those, `BAILIWICK_TEST_INPUTS` how many of them for each target.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use bailiwick_fuzz::{TARGETS, Target};

fn put(name: &str, target: Target, from: &str, input: &[u8]) {
    let held = catch_unwind(|| target(input));
    assert!(
        held.is_ok(),
        "{name} breaks with {from}: {:?}",
        String::from_utf8_lossy(input)
    );
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_fuzzing_has_kept_holds() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let files = files(&folder);
        assert!(files.len() > 10, "{folder:?} is almost empty");
        for file in files {
            let input = fs::read(&file).unwrap();
            put(name, target, &file.display().to_string(), &input);
        }
    }
}

#[test]
fn what_comes_by_chance_holds() {
    let number = |variable: &str, otherwise: u64| {
        let text = std::env::var(variable).ok();
        text.map_or(otherwise, |text| text.parse().expect(variable))
    };
    let seed = number("BAILIWICK_TEST_SEED", 1);
    let inputs = number("BAILIWICK_TEST_INPUTS", 2_000);
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let kept: Vec<_> = files(&folder)
            .iter()
            .map(|file| fs::read(file).unwrap())
            .collect();
        let mut random = Random(seed ^ name.len() as u64);
        for number in 0..inputs {
            let input = random.input(&kept);
            put(
                name,
                target,
                &format!("input {number} of seed {seed}"),
                &input,
            );
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Nothing but chance, or something that was kept and has changed a little.
    fn input(&mut self, kept: &[Vec<u8>]) -> Vec<u8> {
        if self.below(2) == 0 {
            return (0..self.below(400)).map(|_| self.next() as u8).collect();
        }
        let mut input = kept[self.below(kept.len())].clone();
        for _ in 0..=self.below(8) {
            let at = self.below(input.len() + 1);
            match self.below(4) {
                0 => input.insert(at, self.next() as u8),
                1 if at < input.len() => drop(input.remove(at)),
                2 if at < input.len() => input[at] = self.next() as u8,
                _ => {
                    let other = &kept[self.below(kept.len())];
                    let part = other.iter().skip(self.below(other.len())).take(16);
                    let part: Vec<u8> = part.copied().collect();
                    input.splice(at..at, part);
                }
            }
        }
        input
    }
}
