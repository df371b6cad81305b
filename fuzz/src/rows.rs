//! Rows of any types and values: what is masked does not get through, what a detector finds is
//! replaced, and what comes out is a row.

use bytes::{Buf, BufMut};

use crate::drive::{Drive, Wanted};
use crate::input::Input;
use crate::message::{all, holds, put, text};
use crate::sql::CANARY;

/// Types by their object ids, of every kind that is treated by itself, and some that nobody knows.
const TYPES: &[u32] = &[
    16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 142, 600, 700, 701, 869, 1000, 1003, 1005, 1009, 1015,
    1042, 1043, 1082, 1184, 1231, 1700, 2249, 2278, 2950, 3802, 3807, 3904, 16_500,
];

/// What any detector has to find, whatever stands around it as long as it stands by itself.
const FOUND: &[&str] = &[
    "jane.doe@example.org",
    "4111 1111 1111 1111",
    "4111111111111111",
    "AKIAQ7N3XW5ZR2LKJ4HD",
    "DE89 3704 0044 0532 0130 00",
];

/// Types whose values are text in both formats.
const TEXTS: &[u32] = &[19, 25, 142, 1042, 1043];

/// Puts a row to a session.
pub fn rows(input: &[u8]) {
    let mut input = Input::new(input);
    let columns: Vec<(u32, bool)> = (0..3)
        .map(|_| (input.pick(TYPES), input.one_in(2)))
        .collect();
    let planted = input.pick(FOUND);
    let at = input.below(4);
    let mut values: Vec<Option<Vec<u8>>> = (0..3)
        .map(|_| match input.below(64) {
            63 => None,
            length => Some(input.bytes(length).to_vec()),
        })
        .collect();
    // The last of the three columns is the masked one.
    let canary = input.one_in(2);
    if canary {
        let bytes = values[2].get_or_insert_default();
        let place = input.below(bytes.len() + 1);
        bytes.splice(place..place, CANARY.bytes());
    }
    // Something to be found in one of the others, if it is text.
    let finds = at < 2 && TEXTS.contains(&columns[at].0);
    if finds {
        let bytes = values[at].get_or_insert_default();
        bytes.splice(0..0, format!("{planted}\n").bytes());
    }
    let mut drive = Drive::new();
    put_query(&mut drive, columns.iter().any(|(_, binary)| *binary));
    let mut said = Vec::new();
    if columns.iter().any(|(_, binary)| *binary) {
        put(&mut said, b'1', |_| {});
        put(&mut said, b't', |body| body.put_u16(0));
        describe(&mut said, &columns, false);
        put(&mut said, b'2', |_| {});
    } else {
        describe(&mut said, &columns, true);
    }
    put(&mut said, b'D', |body| {
        body.put_u16(3);
        for value in &values {
            match value {
                None => body.put_i32(-1),
                Some(value) => {
                    body.put_u32(value.len() as u32);
                    body.put_slice(value);
                }
            }
        }
    });
    // `Drive` looks for the canary in whatever the agent is told. The other values may hold it by
    // chance; then there is nothing to see.
    let elsewhere = values[..2]
        .iter()
        .flatten()
        .any(|value| looks_like_it(value));
    if elsewhere || (!canary && values[2].as_deref().is_some_and(looks_like_it)) {
        return;
    }
    drive.target(&said);
    let masked =
        |message: &crate::message::Message| (message.tag == b'D').then(|| message.body.clone());
    let told = std::mem::take(&mut drive.told);
    let Some(mut row) = all(&told).iter().find_map(masked) else {
        assert!(drive.fault.is_some(), "a row that was swallowed");
        return;
    };
    assert_eq!(row.get_u16(), 3);
    for (place, value) in values.iter().enumerate() {
        let length = row.get_i32();
        let out = (length >= 0).then(|| row.split_to(length as usize));
        match place {
            // Not even whether there is a value.
            2 => assert_ne!(out.as_deref(), Some(b"".as_slice())),
            _ if value.is_none() => assert_eq!(out, None, "a NULL stays one"),
            _ if finds && place == at => {
                let text = String::from_utf8_lossy(out.as_deref().unwrap_or_default());
                assert!(!text.starts_with(planted), "it was not found: {text:?}");
            }
            _ => {}
        }
    }
    assert!(row.is_empty());
}

fn looks_like_it(value: &[u8]) -> bool {
    let secrets = [
        CANARY.as_bytes(),
        &crate::server::CANARY_BYTES,
        crate::sql::CANARY_TEXT,
    ];
    secrets.iter().any(|secret| holds(value, secret))
}

/// Asks for all columns of the table, and lets it through.
fn put_query(drive: &mut Drive, extended: bool) {
    const SQL: &str = "SELECT id, subject, email FROM tickets";
    let mut sent = Vec::new();
    if extended {
        put(&mut sent, b'P', |body| {
            text(body, "");
            text(body, SQL);
            body.put_u16(0);
        });
        put(&mut sent, b'B', |body| {
            text(body, "");
            text(body, "");
            body.put_u32(0);
            body.put_u16(1);
            body.put_u16(1);
        });
        put(&mut sent, b'E', |body| {
            text(body, "");
            body.put_u32(0);
        });
    } else {
        put(&mut sent, b'Q', |body| text(body, SQL));
    }
    drive.agent(&sent);
    while drive.pending.is_some() {
        drive.answer(Wanted::Allow);
    }
}

fn describe(said: &mut Vec<u8>, columns: &[(u32, bool)], formats: bool) {
    put(said, b'T', |body| {
        body.put_u16(columns.len() as u16);
        for ((type_oid, binary), number) in columns.iter().zip(1..) {
            text(body, "name");
            body.put_u32(crate::catalogue::TICKETS);
            body.put_i16(number);
            body.put_u32(*type_oid);
            body.put_i16(-1);
            body.put_i32(-1);
            body.put_i16(i16::from(formats && *binary));
        }
    });
}
