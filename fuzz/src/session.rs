//! A session between an agent that says anything and a target that keeps the protocol (or does not),
//! with answers, cuts and delays as they come.

use bytes::BufMut;

use crate::drive::{Drive, Wanted};
use crate::input::Input;
use crate::message::{put, text};
use crate::server::Server;
use crate::sql::{CHANGES, RESULTS};

/// Names, among them those that are the same to PostgreSQL and not to a careless reader.
const NAMES: &[&str] = &["", "a", "b", "A"];
const SQL_NAMES: &[&str] = &["a", "b", "A", "\"A\"", "\"b\""];

/// Puts an input to a session.
pub fn session(input: &[u8]) {
    let mut input = Input::new(input);
    let mut play = Play {
        drive: Drive::new(),
        server: Server::new(),
        from_agent: Vec::new(),
        honest: true,
        wild: false,
    };
    while !input.is_empty() && play.drive.fault.is_none() && !play.drive.done {
        play.act(&mut input);
        play.believes_in_the_target();
    }
    play.end();
}

struct Play {
    drive: Drive,
    server: Server,
    /// What the agent has sent, and has not been delivered.
    from_agent: Vec<u8>,
    /// The target has kept the protocol.
    honest: bool,
    /// The agent has sent what is no message.
    wild: bool,
}

impl Play {
    fn act(&mut self, input: &mut Input<'_>) {
        match input.below(32) {
            0 => self.message(b'Q', |body| text(body, &statements(input))),
            1 => {
                let name = input.pick(NAMES);
                let sql = statement(input);
                self.message(b'P', |body| {
                    text(body, name);
                    text(body, &sql);
                    body.put_u16(0);
                });
            }
            2 | 3 => {
                let (portal, from) = (input.pick(NAMES), input.pick(NAMES));
                let formats = input.below(4);
                let value = input.one_in(2);
                self.message(b'B', |body| {
                    text(body, portal);
                    text(body, from);
                    body.put_u16(0);
                    body.put_u16(u16::from(value));
                    if value {
                        body.put_u32(1);
                        body.put_u8(b'1');
                    }
                    match formats {
                        0 | 1 => body.put_u16(0),
                        of => {
                            body.put_u16(1);
                            body.put_i16(i16::from(of == 3));
                        }
                    }
                });
            }
            4 => self.what(b'D', input),
            5 | 6 => {
                let (portal, most) = (input.pick(NAMES), input.below(3));
                self.message(b'E', |body| {
                    text(body, portal);
                    body.put_u32(most as u32);
                });
            }
            7 => self.what(b'C', input),
            8 | 9 => self.message(b'S', |_| {}),
            10 => self.message(b'H', |_| {}),
            11 => self.message(b'd', |body| body.put_slice(b"1\tx\n")),
            12 => self.message(b'c', |_| {}),
            13 => self.message(b'f', |body| text(body, "no more")),
            14 => self.message(b'F', |body| body.put_bytes(0, 10)),
            // A whole call of the extended protocol, as drivers make it.
            15 | 16 => {
                let sql = statement(input);
                self.message(b'P', |body| {
                    text(body, "");
                    text(body, &sql);
                    body.put_u16(0);
                });
                self.message(b'B', |body| {
                    text(body, "");
                    text(body, "");
                    body.put_bytes(0, 6);
                });
                self.message(b'D', |body| text(body, "P"));
                self.message(b'E', |body| {
                    text(body, "");
                    body.put_u32(0);
                });
            }
            17 => {
                let tag = input.byte();
                let length = input.below(24);
                let content = input.bytes(length);
                self.message(tag, |body| body.put_slice(content));
            }
            18 if input.one_in(8) => {
                self.wild = true;
                let length = input.below(24);
                self.from_agent.extend_from_slice(input.bytes(length));
            }
            19 if input.one_in(8) => {
                // From here on the target is another: what the honest one had to say is not its own.
                self.honest = false;
                self.server.out.clear();
                self.drive.to_target.clear();
                let length = input.below(64);
                self.drive.target(input.bytes(length));
            }
            20 => {
                let length = input.below(16);
                self.deliver_agent(length);
            }
            21 => {
                let length = input.below(64);
                self.deliver_target(length);
            }
            22 => self.drive.answer(Wanted::Deny),
            23 => self.drive.answer(Wanted::Unrecorded),
            24 => self.drive.refresh(),
            25 | 26 => self.drive.answer(Wanted::Allow),
            27 => self.serve(input),
            28 => self.deliver_agent(usize::MAX),
            29 => self.deliver_target(usize::MAX),
            // As far as it goes.
            _ => self.settle(input),
        }
    }

    fn message(&mut self, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.from_agent, tag, body);
    }

    /// A Describe or a Close.
    fn what(&mut self, tag: u8, input: &mut Input<'_>) {
        let (what, name) = (input.pick(b"SP"), input.pick(NAMES));
        self.message(tag, |body| {
            body.put_u8(what);
            text(body, name);
        });
    }

    fn deliver_agent(&mut self, length: usize) {
        if self.drive.wants_agent() {
            let length = length.min(self.from_agent.len());
            let part: Vec<u8> = self.from_agent.drain(..length).collect();
            self.drive.agent(&part);
        }
    }

    fn deliver_target(&mut self, length: usize) {
        let length = length.min(self.server.out.len());
        let part: Vec<u8> = self.server.out.drain(..length).collect();
        if !part.is_empty() && self.honest {
            self.drive.target(&part);
        }
    }

    /// The target acts on what it was sent.
    fn serve(&mut self, luck: &mut Input<'_>) {
        let sent = std::mem::take(&mut self.drive.to_target);
        if self.honest {
            self.server.receive(&sent, luck);
        }
    }

    /// Lets everything go its way until nothing moves.
    fn settle(&mut self, luck: &mut Input<'_>) {
        loop {
            let over = self.drive.fault.is_some() || self.drive.done;
            let moves = (self.drive.wants_agent() && !self.from_agent.is_empty())
                || self.drive.pending.is_some()
                || !self.drive.to_target.is_empty()
                || !self.server.out.is_empty();
            if over || !moves || !self.honest {
                return;
            }
            self.deliver_agent(usize::MAX);
            self.drive.answer(Wanted::Allow);
            self.serve(luck);
            self.deliver_target(usize::MAX);
        }
    }

    /// A target that keeps the protocol is not blamed.
    fn believes_in_the_target(&self) {
        if let Some(fault) = &self.drive.fault {
            let blamed = matches!(fault, bailiwick_wire::Fault::Target(_));
            assert!(
                !(blamed && self.honest),
                "an honest target was blamed: {fault}"
            );
        }
    }

    /// Whatever has happened, a Sync brings everything to its end, and the session goes on.
    fn end(mut self) {
        let mut none = Input::new(&[]);
        if !self.honest || self.wild || self.drive.fault.is_some() || self.drive.done {
            return;
        }
        self.settle(&mut none);
        // If it is in the middle of a COPY, there is no other way out; if it is not, nobody cares.
        self.message(b'f', |body| text(body, "the end"));
        self.message(b'S', |_| {});
        self.settle(&mut none);
        self.believes_in_the_target();
        if self.drive.fault.is_some() || self.drive.done {
            return;
        }
        assert!(
            self.from_agent.is_empty(),
            "the agent is not listened to any more"
        );
        assert!(self.drive.wants_agent(), "and never will be");
        assert!(self.drive.running.is_empty(), "a call that does not end");
        self.message(b'Q', |body| text(body, "VALUES (1)"));
        self.deliver_agent(usize::MAX);
        // A catalogue may have to be read before.
        self.serve(&mut none);
        for _ in 0..8 {
            self.deliver_target(usize::MAX);
            self.serve(&mut none);
        }
        self.believes_in_the_target();
        assert!(
            self.drive.fault.is_some() || self.drive.pending.is_some(),
            "it asks no more"
        );
    }
}

fn statements(input: &mut Input<'_>) -> String {
    match input.below(4) {
        0 => format!("{}; {}", statement(input), statement(input)),
        1 => format!("{}; {};", statement(input), statement(input)),
        _ => statement(input),
    }
}

fn statement(input: &mut Input<'_>) -> String {
    let name = input.pick(SQL_NAMES);
    match input.below(24) {
        0 => "BEGIN".into(),
        1 => "COMMIT".into(),
        2 => "ROLLBACK".into(),
        3 => format!("SAVEPOINT {name}"),
        4 => format!("ROLLBACK TO {name}"),
        5 => format!("RELEASE {name}"),
        6 => format!("PREPARE {name} AS {}", result(input)),
        7 => format!("EXECUTE {name}"),
        8 => format!("DEALLOCATE {name}"),
        9 => "DEALLOCATE ALL".into(),
        10 => format!("DECLARE {name} CURSOR FOR {}", result(input)),
        11 => format!("DECLARE {name} CURSOR WITH HOLD FOR {}", result(input)),
        12 | 13 => format!("FETCH ALL FROM {name}"),
        14 => format!("CLOSE {name}"),
        15 => "CLOSE ALL".into(),
        16 => "DISCARD ALL".into(),
        17 => "COPY comments FROM STDIN".into(),
        18 => CHANGES[input.below(CHANGES.len())].0.into(),
        19 => String::new(),
        20 => {
            let length = input.below(48);
            let text = String::from_utf8_lossy(input.bytes(length)).into_owned();
            text.replace('\0', " ")
        }
        _ => result(input),
    }
}

fn result(input: &mut Input<'_>) -> String {
    RESULTS[input.below(RESULTS.len())].0.into()
}
