use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Barrier};

use sha2::Sha256;

use super::*;

/// The root of the tree whose leaves are the numbers from 0, and the proof that it grew.
pub(crate) fn grown(old: u64, size: u64) -> (Hash, Vec<Hash>) {
    let mut tree = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for leaf in 0..size {
        tree.push(leaf.to_string().into_bytes());
    }
    let root = tree.root();
    let root = <Hash>::try_from(&root.as_bytes()[..32]).unwrap();
    let proof = match old {
        0 => Vec::new(),
        old if old >= size => Vec::new(),
        old => {
            let proof = tree.prove_consistency((size - old) as usize);
            let hashes = proof.as_bytes().chunks_exact(32);
            hashes.map(|hash| hash.try_into().unwrap()).collect()
        }
    };
    (if size == 0 { merkle::empty() } else { root }, proof)
}

/// A note that says its size and no more.
fn read(note: &[u8]) -> Result<Head, String> {
    let size = std::str::from_utf8(note).unwrap().parse();
    let size = size.map_err(|_| "it is no number".to_owned())?;
    Ok(Head {
        origin: "a.example/log".to_owned(),
        size,
        root: grown(0, size).0,
    })
}

fn advance(memory: &Memory, old: u64, size: u64) -> Result<u64, Refusal> {
    let (root, proof) = grown(old, size);
    let claim = Claim {
        old,
        proof: &proof,
        size,
        root,
    };
    memory.advance(&claim, || (size.to_string().into_bytes(), size))
}

fn open(store: impl Store + 'static) -> Memory {
    Memory::open(Box::new(store), read).unwrap()
}

/// A store that fails on demand.
#[derive(Clone, Default)]
struct Faulty(Arc<FaultyStore>);

#[derive(Default)]
struct FaultyStore {
    note: Mutex<Option<Vec<u8>>>,
    fails: AtomicU8,
}

const WORKS: u8 = 0;
const FAILS_AND_LOSES: u8 = 1;
const FAILS_AND_KEEPS: u8 = 2;
const FULL: u8 = 3;

impl Store for Faulty {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(lock(&self.0.note).clone())
    }

    fn replace(&self, note: &[u8]) -> io::Result<()> {
        let fails = self.0.fails.load(Ordering::SeqCst);
        if matches!(fails, WORKS | FAILS_AND_KEEPS) {
            *lock(&self.0.note) = Some(note.to_vec());
        }
        match fails {
            WORKS => Ok(()),
            FULL => Err(io::ErrorKind::StorageFull.into()),
            _ => Err(io::Error::other("the drive is gone")),
        }
    }

    fn place(&self) -> PathBuf {
        "the disk".into()
    }
}

#[test]
fn only_growth_is_signed() {
    let memory = open(Faulty::default());
    assert_eq!(advance(&memory, 0, 5), Ok(5));
    assert_eq!(advance(&memory, 5, 5), Ok(5));
    assert_eq!(advance(&memory, 5, 13), Ok(13));
    for (old, size) in [(0, 13), (0, 20), (5, 20), (12, 13), (14, 20)] {
        let told = advance(&memory, old, size);
        assert_eq!(told, Err(Refusal::Conflict { size: 13 }), "{old} to {size}");
    }
    assert!(matches!(
        advance(&memory, 13, 12),
        Err(Refusal::Malformed(_))
    ));
    let claim = |size, root, proof: &[Hash]| {
        let claim = Claim {
            old: 13,
            proof,
            size,
            root,
        };
        memory.advance(&claim, || -> (Vec<u8>, ()) { panic!("it was signed") })
    };
    let (root, proof) = grown(13, 20);
    let inconsistent = |size| Err(Refusal::Inconsistent { old: 13, size });
    assert_eq!(claim(20, grown(13, 21).0, &proof), inconsistent(20));
    assert_eq!(claim(20, root, &proof[1..]), inconsistent(20));
    assert_eq!(claim(20, root, &[]), inconsistent(20));
    assert_eq!(claim(13, root, &[]), inconsistent(13));
    assert_eq!(claim(13, grown(0, 13).0, &proof), inconsistent(13));
}

#[test]
fn an_empty_tree_has_one_root_and_needs_no_proof() {
    let memory = open(Faulty::default());
    let claim = |size, root, proof: &[Hash]| {
        let claim = Claim {
            old: 0,
            proof,
            size,
            root,
        };
        memory.advance(&claim, || (size.to_string().into_bytes(), ()))
    };
    let (root, _) = grown(0, 3);
    let inconsistent = |size| Err(Refusal::Inconsistent { old: 0, size });
    assert_eq!(claim(0, root, &[]), inconsistent(0));
    assert_eq!(claim(3, root, &[root]), inconsistent(3));
    assert_eq!(claim(0, merkle::empty(), &[]), Ok(()));
    assert_eq!(claim(3, root, &[]), Ok(()));
}

#[test]
fn of_two_claims_from_the_same_size_one_wins() {
    for _ in 0..20 {
        let memory = open(Faulty::default());
        advance(&memory, 0, 4).unwrap();
        let start = Barrier::new(8);
        let signed: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (5..13)
                .map(|size| {
                    let (memory, start) = (&memory, &start);
                    scope.spawn(move || {
                        start.wait();
                        advance(memory, 4, size)
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let winners: Vec<_> = signed
            .iter()
            .filter_map(|signed| signed.as_ref().ok())
            .collect();
        let [winner] = winners[..] else {
            panic!("{signed:?}")
        };
        let conflict = Err(Refusal::Conflict { size: *winner });
        let told = signed.iter().filter(|told| **told == conflict).count();
        assert_eq!(told, 7, "{signed:?}");
    }
}

#[test]
fn a_failed_write_signs_nothing_until_a_start_has_looked() {
    for (fails, found) in [(FAILS_AND_LOSES, 5), (FAILS_AND_KEEPS, 7)] {
        let store = Faulty::default();
        let memory = open(store.clone());
        advance(&memory, 0, 5).unwrap();
        store.0.fails.store(fails, Ordering::SeqCst);
        let failed = advance(&memory, 5, 7).unwrap_err();
        assert!(matches!(&failed, Refusal::NotKept(why) if why.contains("the drive is gone")));
        // Even when the disk is well again: what is stored is not known.
        store.0.fails.store(WORKS, Ordering::SeqCst);
        assert_eq!(advance(&memory, 5, 7), Err(failed));
        assert_eq!(memory.note().unwrap(), b"5");

        let memory = open(store);
        let conflict = Err(Refusal::Conflict { size: found });
        assert_eq!(advance(&memory, 1, 9), conflict);
        assert_eq!(advance(&memory, found, 9), Ok(9));
    }
}

#[test]
fn a_full_disk_changes_nothing_and_it_goes_on_when_there_is_room() {
    let store = Faulty::default();
    let memory = open(store.clone());
    advance(&memory, 0, 5).unwrap();
    store.0.fails.store(FULL, Ordering::SeqCst);
    assert!(matches!(advance(&memory, 5, 7), Err(Refusal::NotKept(_))));
    store.0.fails.store(WORKS, Ordering::SeqCst);
    assert_eq!(advance(&memory, 5, 8), Ok(8));
}

#[test]
fn a_crash_before_the_rename_leaves_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    assert!(matches!(
        Folder::open(dir.path()),
        Err(MemoryError::InUse(_))
    ));
    let memory = open(folder.of_log("a.example/log").unwrap());
    advance(&memory, 0, 5).unwrap();
    drop(folder);
    let folder = Folder::open(dir.path()).unwrap();
    let file = folder.of_log("a.example/log").unwrap();
    let place = file.place();
    assert!(place.ends_with(format!("{}/checkpoint", hash_of("a.example/log"))));
    // What the crash left of the next one: some of it, or all.
    for unfinished in ["", "7"] {
        std::fs::write(place.with_extension("tmp"), unfinished).unwrap();
        let memory = open(NoteFile::new(&place));
        assert_eq!(advance(&memory, 1, 9), Err(Refusal::Conflict { size: 5 }));
    }
    assert_eq!(advance(&open(file), 5, 9), Ok(9));
    std::fs::write(&place, "no note").unwrap();
    let damaged = Memory::open(Box::new(NoteFile::new(&place)), read);
    assert!(matches!(damaged, Err(MemoryError::Damaged { .. })));
}
