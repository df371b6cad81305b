//! Bytes mean the same wherever they are cut.

use crate::drive::{Drive, Wanted};
use crate::input::Input;
use crate::server::Server;

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// The end, by this fault. What was on its way when it was seen may have got further or not.
    Broken(String),
    /// What the agent was told, and whether it ended in good order.
    Whole(Vec<u8>, bool),
}

/// Puts the same bytes of an agent, and then of a target, to two sessions: whole, and in pieces.
pub fn frames(input: &[u8]) {
    let mut input = Input::new(input);
    let pieces = input.until(0xff);
    let from_agent = input.until(0xfe);
    let from_target = input.rest();
    let whole = run(from_agent, from_target, &[]);
    assert_eq!(run(from_agent, from_target, pieces), whole);
}

/// Cuts bytes into pieces of these lengths, again and again; without any, into one.
fn cut<'a>(mut bytes: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut lengths = lengths
        .iter()
        .map(|length| usize::from(*length) + 1)
        .cycle();
    while !bytes.is_empty() {
        let length = lengths.next().unwrap_or(bytes.len()).min(bytes.len());
        let (piece, rest) = bytes.split_at(length);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn run(from_agent: &[u8], from_target: &[u8], lengths: &[u8]) -> Came {
    let mut drive = Drive::new();
    let mut server = Server::new();
    // The target answers only once the agent has said all. When it answers makes a difference: what
    // comes behind an error is not looked at any more.
    for piece in cut(from_agent, lengths) {
        drive.agent(piece);
        while drive.pending.is_some() {
            drive.answer(Wanted::Allow);
        }
    }
    settle(&mut drive, &mut server, lengths);
    // What the target says unasked; while nothing of the agent's waits, so that it comes between the
    // same messages.
    if drive.fault.is_none() && drive.wants_agent() {
        for piece in cut(from_target, lengths) {
            drive.target(piece);
        }
    }
    match drive.fault {
        Some(fault) => Came::Broken(fault.to_string()),
        None => Came::Whole(drive.told, drive.done),
    }
}

/// Answers whatever is asked, with a target that keeps the protocol.
fn settle(drive: &mut Drive, server: &mut Server, lengths: &[u8]) {
    while drive.fault.is_none() {
        drive.answer(Wanted::Allow);
        let sent = std::mem::take(&mut drive.to_target);
        server.receive(&sent, &mut Input::new(&[]));
        let said = std::mem::take(&mut server.out);
        for piece in cut(&said, lengths) {
            drive.target(piece);
        }
        if drive.pending.is_none() && drive.to_target.is_empty() {
            return;
        }
    }
}
