//! What Landlock does not cover and a system call's own numbers show. The filter knows one
//! architecture's numbers: a program of another (a 32-bit one) is killed rather than let past it.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::ConfineError;

/// Typing into the terminal on behalf of its user (`TIOCSTI`), and the console's variant of it. The
/// shell that waits there is not confined.
const TYPES_INTO_TERMINAL: [u64; 2] = [0x5412, 0x541c];

/// `MSG_FASTOPEN`: opens a connection without connect(2).
const FAST_OPEN: u64 = 0x2000_0000;

/// The part of a socket's type that is its type.
const SOCKET_TYPE: u64 = 0xf;

/// Installs the filter for this thread and whatever program it becomes.
pub(super) fn install(connect_only: bool) -> Result<(), ConfineError> {
    let mut rules = Rules::default();
    for request in TYPES_INTO_TERMINAL {
        rules.deny(libc::SYS_ioctl, &[(1, SeccompCmpOp::Eq, request)])?;
    }
    // Another process's limits, such as how many files the gateway may open.
    rules.deny(libc::SYS_prlimit64, &[(0, SeccompCmpOp::Ne, 0)])?;
    if connect_only {
        only_tcp(&mut rules)?;
    }
    let filter = SeccompFilter::new(
        rules.0,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?;
    Ok(seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?)
}

/// Leaves no socket but TCP (which Landlock limits to ports) and netlink (which asks the kernel for
/// addresses). MPTCP and others connect like TCP but are not limited by Landlock.
fn only_tcp(rules: &mut Rules) -> Result<(), ConfineError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let netlink = constant(libc::AF_NETLINK);
    let not_netlink = (0, Ne, netlink);
    rules.deny(
        libc::SYS_socket,
        &[
            not_netlink.clone(),
            (0, Ne, constant(libc::AF_INET)),
            (0, Ne, constant(libc::AF_INET6)),
        ],
    )?;
    for kind in (0..=SOCKET_TYPE).filter(|kind| *kind != constant(libc::SOCK_STREAM)) {
        rules.deny(
            libc::SYS_socket,
            &[not_netlink.clone(), (1, MaskedEq(SOCKET_TYPE), kind)],
        )?;
    }
    rules.deny(
        libc::SYS_socket,
        &[
            not_netlink,
            (2, Ne, 0),
            (2, Ne, constant(libc::IPPROTO_TCP)),
        ],
    )?;
    let fast_open = |index| (index, MaskedEq(FAST_OPEN), FAST_OPEN);
    rules.deny(libc::SYS_sendto, &[fast_open(3)])?;
    rules.deny(libc::SYS_sendmmsg, &[fast_open(3)])?;
    rules.deny(libc::SYS_sendmsg, &[fast_open(2)])?;
    // A port need not be bound to be listened on, and a ring makes sockets past this filter.
    rules.deny_all(libc::SYS_listen);
    rules.deny_all(libc::SYS_io_uring_setup);
    // Netlink other than for routes and addresses reports on the whole machine.
    rules.deny(
        libc::SYS_socket,
        &[(0, Eq, netlink), (2, Ne, constant(libc::NETLINK_ROUTE))],
    )
}

fn constant(value: i32) -> u64 {
    u64::from(value.unsigned_abs())
}

#[derive(Default)]
struct Rules(BTreeMap<i64, Vec<SeccompRule>>);

impl Rules {
    /// Denies a system call whose arguments all are so.
    fn deny(
        &mut self,
        call: i64,
        conditions: &[(u8, SeccompCmpOp, u64)],
    ) -> Result<(), ConfineError> {
        // The kernel takes these arguments as 32 bits and ignores the rest.
        let conditions = conditions
            .iter()
            .map(|(index, op, value)| SeccompCondition::new(*index, Dword, op.clone(), *value))
            .collect::<Result<_, _>>()?;
        self.0
            .entry(call)
            .or_default()
            .push(SeccompRule::new(conditions)?);
        Ok(())
    }

    fn deny_all(&mut self, call: i64) {
        self.0.insert(call, Vec::new());
    }
}
