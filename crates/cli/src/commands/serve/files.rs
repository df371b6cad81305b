//! Open files: each connection takes some, and the log needs its own whatever the connections do.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises how many files may be open, as far as the system lets us. Says what is wrong if that is too
/// few.
pub(super) fn allow(wanted: u64) -> Option<String> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return None;
    }
    let raised = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let set = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(raised),
            ..limit
        },
    );
    let current = match set {
        Ok(()) => raised,
        Err(_) => limit.current.unwrap_or_default(),
    };
    (current < wanted).then(|| {
        format!(
            "only {current} files may be open at once, and all connections together may take \
             {wanted}: the record cannot be written where they use them up. Raise the limit \
             (`ulimit -n`, or LimitNOFILE= of a systemd unit)"
        )
    })
}
