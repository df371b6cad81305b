//! A made-up PostgreSQL: it keeps the protocol, the names of a session and its transactions as the real
//! one does, and answers with a canary wherever the masked column comes in.

use std::collections::{HashMap, VecDeque};

use bytes::{BufMut, Bytes};

use crate::catalogue::answers;
use crate::input::Input;
use crate::message::{put, string, take, text};
use crate::sql::{CANARY, CANARY_NUMBER, Column, RESULTS, Sql};

/// How many statements and portals that name one another are followed.
const FOLLOWED_MAX: usize = 16;

/// Rows of every result.
const ROWS: u32 = 2;

/// The server's side of a session.
pub(crate) struct Server {
    input: Vec<u8>,
    /// What it says, and has not been delivered.
    pub(crate) out: Vec<u8>,
    statements: HashMap<String, Sql>,
    portals: HashMap<String, Portal>,
    /// The transaction: `I`, `T` or `E`.
    status: u8,
    savepoints: Vec<(String, u64)>,
    /// Drops everything up to a Sync.
    skipping: bool,
    /// Takes data; whether for a Query.
    copying: Option<bool>,
    /// Counts portals, to know which are older than a savepoint.
    made: u64,
    /// What is left of a Query, and whether it has several statements.
    rest: VecDeque<Sql>,
    several: bool,
    gone: bool,
}

#[derive(Clone, Debug)]
struct Portal {
    sql: Sql,
    formats: Vec<bool>,
    done: u32,
    finished: bool,
    hold: bool,
    made: u64,
}

/// An error: its code, and whether its text shows the canary.
struct Failed(&'static str, bool);

type Done<T> = Result<T, Failed>;

fn no(code: &'static str) -> Failed {
    Failed(code, false)
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            input: Vec::new(),
            out: Vec::new(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            status: b'I',
            savepoints: Vec::new(),
            skipping: false,
            copying: None,
            made: 0,
            rest: VecDeque::new(),
            several: false,
            gone: false,
        }
    }

    /// What it says when somebody logs in whom it trusts.
    pub(crate) fn greeting() -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, b'R', |body| body.put_u32(0));
        put(&mut out, b'S', |body| {
            text(body, "standard_conforming_strings");
            text(body, "on");
        });
        put(&mut out, b'K', |body| body.put_bytes(9, 8));
        put(&mut out, b'Z', |body| body.put_u8(b'I'));
        out
    }

    /// Takes what it was sent, and acts on it; luck says what goes wrong.
    pub(crate) fn receive(&mut self, bytes: &[u8], luck: &mut Input<'_>) {
        self.input.extend_from_slice(bytes);
        while let Some(message) = take(&mut self.input) {
            assert!(!self.gone, "a message behind a Terminate");
            self.message(message.tag, message.body, luck);
        }
    }

    fn message(&mut self, tag: u8, body: Bytes, luck: &mut Input<'_>) {
        if let Some(simple) = self.copying {
            return self.copy(tag, simple, luck);
        }
        match tag {
            b'X' => self.gone = true,
            b'S' => {
                self.skipping = false;
                self.end_of_segment();
            }
            _ if self.skipping => {}
            b'd' | b'c' | b'f' | b'H' => {}
            b'Q' => self.query(body, luck),
            _ => {
                if let Err(failed) = self.extended(tag, body, luck) {
                    self.fail(&failed);
                    self.skipping = true;
                }
            }
        }
    }

    /// Data, its end, or something else in its place.
    fn copy(&mut self, tag: u8, simple: bool, luck: &mut Input<'_>) {
        match tag {
            b'd' | b'H' | b'S' => return,
            b'c' => self.complete("COPY 1"),
            _ => {
                self.fail(&no(if tag == b'f' { "57014" } else { "08P01" }));
                self.skipping = !simple;
                self.rest.clear();
            }
        }
        self.copying = None;
        if simple {
            self.go_on(luck);
        }
    }

    fn extended(&mut self, tag: u8, mut body: Bytes, luck: &mut Input<'_>) -> Done<()> {
        let malformed = || no("08P01");
        let name = |body: &mut Bytes| string(body).ok_or_else(malformed);
        match tag {
            b'P' => {
                let to = name(&mut body)?;
                let mut parts = Sql::all(&name(&mut body)?);
                if to.is_empty() {
                    self.statements.remove("");
                }
                let sql = parts.pop().ok_or_else(malformed)?;
                if !parts.is_empty() || matches!(sql, Sql::Wrong) {
                    return Err(no("42601"));
                }
                self.usable(&sql)?;
                // Nothing runs yet, so there is nothing to tell.
                if !matches!(sql, Sql::Own(_)) {
                    self.luck(&Sql::Empty, luck)?;
                }
                if !to.is_empty() && self.statements.contains_key(&to) {
                    return Err(no("42P05"));
                }
                self.statements.insert(to, sql);
                put(&mut self.out, b'1', |_| {});
            }
            b'B' => {
                let (portal, from) = (name(&mut body)?, name(&mut body)?);
                let sql = self.statements.get(&from).ok_or(no("26000"))?.clone();
                let formats = formats(&mut body).ok_or_else(malformed)?;
                self.usable(&sql)?;
                self.luck(&sql, luck)?;
                if !portal.is_empty() && self.portals.contains_key(&portal) {
                    return Err(no("42P03"));
                }
                self.open(portal, sql, formats, false);
                put(&mut self.out, b'2', |_| {});
            }
            b'D' => {
                let (what, of) = (body.split_to(1), name(&mut body)?);
                if *what == *b"S" {
                    let sql = self.statements.get(&of).ok_or(no("26000"))?.clone();
                    put(&mut self.out, b't', |body| body.put_u16(0));
                    self.describe(&sql, &[]);
                } else {
                    let portal = self.portals.get(&of).ok_or(no("34000"))?.clone();
                    self.describe(&portal.sql, &portal.formats);
                }
            }
            b'E' => {
                let of = name(&mut body)?;
                let most = u32::from_be_bytes(*body.first_chunk().ok_or_else(malformed)?);
                let portal = self.portals.get(&of).ok_or(no("34000"))?.clone();
                self.usable(&portal.sql)?;
                self.luck(&portal.sql, luck)?;
                self.execute(&of, portal, most)?;
            }
            b'C' => {
                let (what, of) = (body.split_to(1), name(&mut body)?);
                match &*what {
                    b"S" => drop(self.statements.remove(&of)),
                    _ => drop(self.portals.remove(&of)),
                }
                put(&mut self.out, b'3', |_| {});
            }
            tag => panic!("a message of type {:?} reached the target", char::from(tag)),
        }
        Ok(())
    }

    fn query(&mut self, mut body: Bytes, luck: &mut Input<'_>) {
        let sql = string(&mut body).expect("a text");
        self.statements.remove("");
        self.portals.remove("");
        self.rest = Sql::all(&sql).into();
        self.several = self.rest.len() > 1;
        if self.rest.iter().any(|sql| matches!(sql, Sql::Wrong)) {
            self.rest.clear();
            self.fail(&no("42601"));
        }
        self.go_on(luck);
    }

    /// Goes on with the statements of a Query.
    fn go_on(&mut self, luck: &mut Input<'_>) {
        while let Some(sql) = self.rest.pop_front() {
            let several = self.several;
            let done = self
                .usable(&sql)
                .and_then(|()| self.luck(&sql, luck))
                .and_then(|()| self.run(sql, several));
            if let Err(failed) = done {
                self.rest.clear();
                self.fail(&failed);
            } else if self.copying.is_some() {
                return;
            }
        }
        self.end_of_segment();
    }

    /// One statement of a Query.
    fn run(&mut self, sql: Sql, several: bool) -> Done<()> {
        match &sql {
            Sql::DiscardAll if several => Err(no("25001")),
            Sql::CopyIn => {
                self.copying = Some(true);
                put(&mut self.out, b'G', |body| body.put_bytes(0, 3));
                Ok(())
            }
            Sql::Empty => {
                put(&mut self.out, b'I', |_| {});
                Ok(())
            }
            _ => {
                if !matches!(self.results(&sql), Rows::None) {
                    self.describe(&sql, &[]);
                }
                self.act(&sql, &[], several)
            }
        }
    }

    /// Executes a portal of the extended protocol.
    fn execute(&mut self, name: &str, mut portal: Portal, most: u32) -> Done<()> {
        match &portal.sql {
            Sql::Result(at) => {
                let (_, columns, tag) = RESULTS[*at];
                let left = ROWS - portal.done;
                let rows = if most == 0 { left } else { left.min(most) };
                for _ in 0..rows {
                    self.row(columns, &portal.formats);
                }
                portal.done += rows;
                if most > 0 && rows == most {
                    put(&mut self.out, b's', |_| {});
                } else {
                    self.complete(&format!("{tag} {rows}"));
                }
                if let Some(kept) = self.portals.get_mut(name) {
                    kept.done = portal.done;
                }
                Ok(())
            }
            Sql::CopyIn => {
                self.copying = Some(false);
                put(&mut self.out, b'G', |body| body.put_bytes(0, 3));
                Ok(())
            }
            Sql::Empty => {
                put(&mut self.out, b'I', |_| {});
                Ok(())
            }
            _ if portal.finished => Err(no("55000")),
            sql => {
                if let Some(kept) = self.portals.get_mut(name) {
                    kept.finished = true;
                }
                self.act(sql, &portal.formats, false)
            }
        }
    }

    fn act(&mut self, sql: &Sql, formats: &[bool], several: bool) -> Done<()> {
        match sql {
            Sql::Result(_) | Sql::Own(_) => self.rows_of(sql, formats)?,
            Sql::Execute(name) => {
                let inner = self.statements.get(name).ok_or(no("26000"))?.clone();
                if matches!(&inner, Sql::Execute(again) if again == name) {
                    // The real one goes on until its stack is used up.
                    return Err(no("54001"));
                }
                self.usable(&inner)?;
                self.act(&inner, formats, several)?;
            }
            Sql::Fetch(name) => {
                let portal = self.portals.get(name).ok_or(no("34000"))?.clone();
                let Sql::Result(at) = portal.sql else {
                    return Err(no("55000"));
                };
                for _ in portal.done..ROWS {
                    self.row(RESULTS[at].1, formats);
                }
                if let Some(kept) = self.portals.get_mut(name) {
                    kept.done = ROWS;
                }
                self.complete("FETCH 2");
            }
            Sql::Change(tag) => self.complete(tag),
            Sql::Begin => {
                if self.status == b'I' {
                    self.status = b'T';
                }
                self.complete("BEGIN");
            }
            Sql::Commit | Sql::Rollback => {
                let commits = matches!(sql, Sql::Commit) && self.status != b'E';
                self.end_transaction(commits);
                self.complete(if commits { "COMMIT" } else { "ROLLBACK" });
            }
            Sql::Savepoint(name) => {
                if self.status == b'I' {
                    return Err(no("25P01"));
                }
                self.savepoints.push((name.clone(), self.made));
                self.complete("SAVEPOINT");
            }
            Sql::RollbackTo(name) => {
                let at = self.savepoint(name)?;
                let made = self.savepoints[at].1;
                self.savepoints.truncate(at + 1);
                self.portals.retain(|_, portal| portal.made <= made);
                self.status = b'T';
                self.complete("ROLLBACK");
            }
            Sql::Release(name) => {
                let at = self.savepoint(name)?;
                self.savepoints.truncate(at);
                self.complete("RELEASE");
            }
            Sql::Prepare(name, inner) => {
                if matches!(**inner, Sql::Wrong) {
                    return Err(no("42601"));
                }
                if self.statements.contains_key(name) {
                    return Err(no("42P05"));
                }
                self.statements.insert(name.clone(), (**inner).clone());
                self.complete("PREPARE");
            }
            Sql::Deallocate(None) => {
                self.statements.clear();
                self.complete("DEALLOCATE ALL");
            }
            Sql::Deallocate(Some(name)) => {
                self.statements.remove(name).ok_or(no("26000"))?;
                self.complete("DEALLOCATE");
            }
            Sql::Declare(name, at, hold) => {
                if self.status == b'I' && !hold && !several {
                    return Err(no("25P01"));
                }
                if self.portals.contains_key(name) {
                    return Err(no("42P03"));
                }
                self.open(name.clone(), Sql::Result(*at), Vec::new(), *hold);
                self.complete("DECLARE CURSOR");
            }
            Sql::Close(None) => {
                self.portals.clear();
                self.complete("CLOSE CURSOR ALL");
            }
            Sql::Close(Some(name)) => {
                self.portals.remove(name).ok_or(no("34000"))?;
                self.complete("CLOSE CURSOR");
            }
            Sql::DiscardAll => {
                if self.status != b'I' {
                    return Err(no("25001"));
                }
                self.portals.clear();
                self.statements.clear();
                self.complete("DISCARD ALL");
            }
            Sql::CopyIn | Sql::Empty | Sql::Wrong => return Err(no("0A000")),
        }
        Ok(())
    }

    fn savepoint(&self, name: &str) -> Done<usize> {
        let found = self.savepoints.iter().rposition(|(known, _)| known == name);
        found.ok_or(no("3B001"))
    }

    fn open(&mut self, name: String, sql: Sql, formats: Vec<bool>, hold: bool) {
        self.made += 1;
        let portal = Portal {
            sql,
            formats,
            done: 0,
            finished: false,
            hold,
            made: self.made,
        };
        self.portals.insert(name, portal);
    }

    fn end_transaction(&mut self, commits: bool) {
        // One that outlasts its transaction was there before, or is committed with it.
        self.portals
            .retain(|_, portal| portal.hold && (commits || portal.made == 0));
        for portal in self.portals.values_mut() {
            portal.made = 0;
        }
        self.savepoints.clear();
        self.status = b'I';
    }

    fn end_of_segment(&mut self) {
        if self.status == b'I' {
            self.end_transaction(true);
        }
        let status = self.status;
        put(&mut self.out, b'Z', |body| body.put_u8(status));
    }

    /// Whether a statement can be used in this transaction.
    fn usable(&self, sql: &Sql) -> Done<()> {
        let ends = matches!(sql, Sql::Commit | Sql::Rollback | Sql::RollbackTo(_));
        match self.status == b'E' && !ends {
            true => Err(no("25P02")),
            false => Ok(()),
        }
    }

    /// Sometimes something goes wrong, or there is something to tell.
    fn luck(&mut self, sql: &Sql, luck: &mut Input<'_>) -> Done<()> {
        if matches!(sql, Sql::Own(_)) {
            return Ok(());
        }
        match luck.byte() {
            250.. => Err(Failed("22P02", self.shows_secret(sql))),
            245.. => {
                let secret = self.shows_secret(sql);
                self.report(b'N', "01000", secret);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn shows_secret(&self, sql: &Sql) -> bool {
        match sql {
            Sql::Execute(name) => self.statements.get(name).is_some_and(Sql::is_secret),
            Sql::Fetch(name) => self.portals.get(name).is_some_and(|of| of.sql.is_secret()),
            Sql::Declare(_, at, _) => Sql::Result(*at).is_secret(),
            Sql::Prepare(_, inner) => inner.is_secret(),
            sql => sql.is_secret(),
        }
    }

    fn fail(&mut self, Failed(code, secret): &Failed) {
        self.report(b'E', code, *secret);
        if self.status == b'T' {
            self.status = b'E';
        } else if self.status == b'I' {
            // The implicit transaction is rolled back at once.
            self.end_transaction(false);
        }
    }

    fn report(&mut self, tag: u8, code: &str, secret: bool) {
        let value = if secret { CANARY } else { "something" };
        put(&mut self.out, tag, |body| {
            for field in ["SERROR", "VERROR", &format!("C{code}")] {
                text(body, field);
            }
            text(body, &format!("Mabout \"{value}\""));
            text(body, &format!("Dit was {value}"));
            body.put_u8(0);
        });
    }

    fn complete(&mut self, tag: &str) {
        put(&mut self.out, b'C', |body| text(body, tag));
    }

    fn results(&self, sql: &Sql) -> Rows {
        let mut sql = Some(sql);
        // Statements that execute one another never end.
        for _ in 0..FOLLOWED_MAX {
            sql = match sql {
                Some(Sql::Result(at)) => return Rows::Columns(RESULTS[*at].1),
                Some(Sql::Own(_)) => return Rows::Own,
                Some(Sql::Execute(name)) => self.statements.get(name),
                Some(Sql::Fetch(name)) => self.portals.get(name).map(|portal| &portal.sql),
                _ => return Rows::None,
            };
        }
        Rows::None
    }

    fn describe(&mut self, sql: &Sql, formats: &[bool]) {
        let columns: Vec<Column> = match self.results(sql) {
            Rows::Columns(columns) => columns.to_vec(),
            // All its values are text; nobody looks at their names.
            Rows::Own => Vec::new(),
            Rows::None => return put(&mut self.out, b'n', |_| {}),
        };
        put(&mut self.out, b'T', |body| {
            body.put_u16(columns.len() as u16);
            for (at, column) in columns.iter().enumerate() {
                text(body, "name");
                body.put_u32(column.table);
                body.put_i16(column.number);
                body.put_u32(column.type_oid);
                body.put_i16(-1);
                body.put_i32(-1);
                body.put_i16(i16::from(binary(formats, at)));
            }
        });
    }

    fn rows_of(&mut self, sql: &Sql, formats: &[bool]) -> Done<()> {
        match sql {
            Sql::Result(at) => {
                let (_, columns, tag) = RESULTS[*at];
                for _ in 0..ROWS {
                    self.row(columns, formats);
                }
                self.complete(&format!("{tag} {ROWS}"));
            }
            Sql::Own(at) => {
                for row in &answers()[*at] {
                    put(&mut self.out, b'D', |body| {
                        body.put_u16(row.len() as u16);
                        for value in row {
                            match value {
                                None => body.put_i32(-1),
                                Some(value) => {
                                    body.put_u32(value.len() as u32);
                                    body.put_slice(value.as_bytes());
                                }
                            }
                        }
                    });
                }
                self.complete("SELECT 1");
            }
            _ => return Err(no("0A000")),
        }
        Ok(())
    }

    fn row(&mut self, columns: &[Column], formats: &[bool]) {
        put(&mut self.out, b'D', |body| {
            body.put_u16(columns.len() as u16);
            for (at, column) in columns.iter().enumerate() {
                let number: Option<i32> = column.value.parse().ok();
                match number.filter(|_| binary(formats, at)) {
                    Some(number) => {
                        body.put_u32(4);
                        body.put_i32(number);
                    }
                    None => {
                        body.put_u32(column.value.len() as u32);
                        body.put_slice(column.value.as_bytes());
                    }
                }
            }
        });
    }
}

/// What a statement returns.
enum Rows {
    None,
    Columns(&'static [Column]),
    Own,
}

/// The binary form of what is made of the masked column.
pub(crate) const CANARY_BYTES: [u8; 4] = CANARY_NUMBER.to_be_bytes();

fn binary(formats: &[bool], at: usize) -> bool {
    match formats {
        [] => false,
        [all] => *all,
        each => each.get(at).copied().unwrap_or_default(),
    }
}

/// The formats of the results, behind the values of a Bind.
fn formats(body: &mut Bytes) -> Option<Vec<bool>> {
    let mut number = |bytes: usize| {
        (body.len() >= bytes).then(|| {
            let part = body.split_to(bytes);
            part.iter()
                .fold(0usize, |all, byte| all << 8 | usize::from(*byte))
        })
    };
    for _ in 0..number(2)? {
        number(2)?;
    }
    for _ in 0..number(2)? {
        let length = number(4)?;
        if length != usize::try_from(u32::MAX).ok()? {
            number(length)?;
        }
    }
    (0..number(2)?).map(|_| Some(number(2)? == 1)).collect()
}
