//! The processes that a command leaves behind it, down to those that want to get away.
//!
//! The command is in the process group of this program and of whatever else the terminal runs beside it, so the
//! group cannot be ended. What stands instead for "all that the agent has started" is who descends from whom: this
//! program adopts what loses its parent (`PR_SET_CHILD_SUBREAPER`), so that a daemon is found as well.

use std::collections::{HashMap, HashSet};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// Has every orphan among the descendants become a child of this process.
pub(super) fn adopt() {
    if let Err(error) = rustix::process::set_child_subreaper(Some(getpid())) {
        tracing::debug!(%error, "what the agent leaves behind is not found");
    }
}

/// Takes leave of those adopted that have ended. `own` is somebody else's to wait for.
pub(super) fn bury(own: Option<Pid>) {
    for (child, process) in processes() {
        if process.parent == getpid() && process.dead && Some(child) != own {
            let _ = waitpid(Some(child), WaitOptions::NOHANG);
        }
    }
}

/// Sends a signal to all descendants that live; whether there was one.
pub(super) fn signal(signal: Signal) -> bool {
    let living = living();
    for pid in &living {
        if let Err(error) = kill_process(*pid, signal) {
            tracing::debug!(%error, ?signal, "a signal did not reach a process of the agent");
        }
    }
    !living.is_empty()
}

/// Whether one of them lives.
pub(super) fn any() -> bool {
    !living().is_empty()
}

fn living() -> Vec<Pid> {
    let processes = processes();
    let descends = |pid: Pid| {
        let mut seen = HashSet::from([pid]);
        let mut next = processes.get(&pid).map(|process| process.parent);
        while let Some(parent) = next {
            if parent == getpid() {
                return true;
            }
            // What is read while it changes may be a circle.
            next = match seen.insert(parent) {
                true => processes.get(&parent).map(|process| process.parent),
                false => None,
            };
        }
        false
    };
    let living = processes.iter().filter(|(_, process)| !process.dead);
    let living = living.map(|(pid, _)| *pid);
    living.filter(|pid| descends(*pid)).collect()
}

struct Process {
    parent: Pid,
    /// It only waits for its parent to look.
    dead: bool,
}

/// Every process that can be seen (proc(5), `/proc/PID/stat`).
fn processes() -> HashMap<Pid, Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // It may be gone by now.
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        Some((Pid::from_raw(pid)?, process(&stat)?))
    });
    all.collect()
}

fn process(stat: &str) -> Option<Process> {
    // Its name, in brackets, may hold brackets and spaces itself.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let dead = matches!(fields.next()?, "Z" | "X");
    let parent = Pid::from_raw(fields.next()?.parse().ok()?)?;
    Some(Process { parent, dead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_anything() {
        let stat = "7 (sh) Z 1 (x) S 42 7 7 0 -1";
        let process = process(stat).unwrap();
        assert_eq!(process.parent.as_raw_nonzero().get(), 42);
        assert!(!process.dead);
        assert!(super::process("7 (sh) Z 3 7").unwrap().dead);
        for bad in ["", "7 (sh)", "7 (sh) S", "7 (sh) S 0 7", "7 (sh) S x"] {
            assert!(super::process(bad).is_none(), "{bad}");
        }
    }
}
