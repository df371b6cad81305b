//! Clients that ask for all sorts of things as fast as they can, and keep account of what they asked
//! for and what they were told. Every call has a key that no other has, so that it can be found in
//! the record and in the target.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio_postgres::NoTls;

use crate::agent::{Agent, Answer, Message, bind, parse};
use crate::{Random, Run};

/// What a task has to grant for the load: reading tickets, writing comments, nothing else.
pub const LOAD: &str = r#"
[[read]]
target = "tickets"
tables = ["public.tickets", "public.comments"]
[[write]]
target = "tickets"
tables = ["public.comments"]
verbs  = ["insert"]
"#;

/// The ticket that no comment can be about.
const NO_TICKET: u32 = 999_999;

const INSERT: &str = "INSERT INTO comments (author, text) VALUES ('load', $1)";
const SELECT: &str = "SELECT count(*) FROM comments WHERE text = $1";

/// A call that a client made.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Stands in its text, or is a value of it.
    pub key: String,
    /// The texts of the comments it writes.
    pub writes: Vec<String>,
    /// What decides whether they are there in the end.
    pub fate: Fate,
    /// What the client was told.
    pub told: Told,
}

/// What decides whether the effect of a call stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The call itself: it is a transaction of its own.
    Alone,
    /// The call of this key, which commits the transaction.
    With(String),
    /// Whether its pipeline came to its end.
    Pipelined,
    /// Nothing: whatever happens, it has no effect.
    Undone,
    /// Nothing either: it runs until somebody ends it.
    Endless,
}

/// What a client was told of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing at all: the connection was gone.
    Nothing,
    /// Something of a result, and not that it is done.
    Part,
    /// That it is done.
    Done,
    /// That it is denied.
    Denied,
    /// That it failed in the target, or was not tried after something else had failed.
    Failed,
}

/// The key that stands in a text, if any does.
pub fn key_in(text: &str) -> Option<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    words.into_iter().find(|word| {
        let inner = word
            .strip_prefix('q')
            .and_then(|word| word.strip_suffix('z'));
        inner
            .and_then(|inner| inner.split_once('n'))
            .is_some_and(|(client, number)| digits(client) && digits(number))
    })
}

/// Clients at work.
pub struct Load {
    clients: Vec<JoinHandle<()>>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Load {
    /// Starts clients of a run: one real driver, and others that speak the protocol by hand; now and
    /// then one of those has a call that does not end. Their numbers count from `first`, and no two
    /// loads on one target may share any.
    pub fn start(run: &Run, first: u64, clients: u64, random: &mut Random) -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let endless = random.below(4) == 0;
        let clients = (first..first + clients).map(|number| {
            let book = Book {
                client: number,
                next: 0,
                sent: Arc::clone(&sent),
            };
            let (url, random) = (run.url().to_owned(), Random::new(random.next()));
            let endless = endless && number == first + 1;
            std::thread::spawn(move || {
                if number == first {
                    drive(&url, book);
                } else {
                    // It ends when it has lost its connection.
                    let Err(Lost) = speak(&url, book, random, endless);
                }
            })
        });
        Self {
            clients: clients.collect(),
            sent,
        }
    }

    /// How many calls have been made.
    pub fn made(&self) -> usize {
        lock(&self.sent).len()
    }

    /// How many of them have been answered, in part at least.
    pub fn answered(&self) -> usize {
        let sent = lock(&self.sent);
        let answered = sent.iter().filter(|call| call.told != Told::Nothing);
        answered.count()
    }

    /// Waits until every client has lost its connection. Returns what they did.
    #[track_caller]
    pub fn lost(self) -> Vec<Sent> {
        for client in self.clients {
            client.join().expect("a client");
        }
        std::mem::take(&mut *lock(&self.sent))
    }
}

fn lock(sent: &Mutex<Vec<Sent>>) -> std::sync::MutexGuard<'_, Vec<Sent>> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a client writes down what it does, before it does it.
struct Book {
    client: u64,
    next: u64,
    sent: Arc<Mutex<Vec<Sent>>>,
}

/// A place in the book.
#[derive(Clone, Copy)]
struct Place(usize);

impl Book {
    fn key(&mut self) -> String {
        self.next += 1;
        format!("q{}n{}z", self.client, self.next)
    }

    /// A call that writes these comments, beginning with its key.
    fn writes(&self, key: &str, suffixes: &[&str], fate: Fate) -> Place {
        let writes = suffixes.iter().map(|suffix| format!("{key}{suffix}"));
        let call = Sent {
            key: key.to_owned(),
            writes: writes.collect(),
            fate,
            told: Told::Nothing,
        };
        let mut sent = lock(&self.sent);
        sent.push(call);
        Place(sent.len() - 1)
    }

    /// A call without effect.
    fn reads(&self, key: &str) -> Place {
        self.writes(key, &[], Fate::Undone)
    }

    fn told(&self, place: Place, told: Told) {
        if let Some(call) = lock(&self.sent).get_mut(place.0) {
            call.told = told;
        }
    }
}

/// What came of a request: everything up to a ReadyForQuery, or up to the connection's end.
struct Came {
    answer: Answer,
    whole: bool,
}

/// The connection is gone.
struct Lost;

impl Came {
    /// What it tells of the only call of the request.
    fn told(&self) -> Told {
        let error = self.answer.error();
        match error {
            // The last word of a connection is about that, and not about a call.
            Some(error) if error.severity == "FATAL" => Told::Nothing,
            Some(error) if error.code == "42501" => Told::Denied,
            Some(_) => Told::Failed,
            None if self.whole => Told::Done,
            None if self.results() > 0 => Told::Part,
            None => Told::Nothing,
        }
    }

    /// How many messages bring a part of a result.
    fn results(&self) -> usize {
        let kinds = self.answer.kinds();
        kinds.chars().filter(|kind| "DC".contains(*kind)).count()
    }

    fn or_lost(self) -> Result<Self, Lost> {
        if self.whole { Ok(self) } else { Err(Lost) }
    }
}

fn request(agent: &mut Agent, write: impl FnOnce(&mut BytesMut)) -> Came {
    let mut bytes = BytesMut::new();
    write(&mut bytes);
    let mut messages = Vec::new();
    let mut status = None;
    // Whatever cannot be sent any more, what was said before may still be there.
    let _ = agent.try_send_bytes(&bytes);
    while status.is_none() {
        match agent.message() {
            Some(Message { tag: b'Z', body }) => status = body.first().copied().map(char::from),
            Some(message) => messages.push(message),
            None => break,
        }
    }
    Came {
        whole: status.is_some(),
        answer: Answer {
            messages,
            status: status.unwrap_or('?'),
        },
    }
}

/// Speaks the protocol by hand, until nobody answers.
fn speak(url: &str, mut book: Book, mut random: Random, endless: bool) -> Result<Infallible, Lost> {
    let mut agent = Agent::log_in(url).map_err(|_| Lost)?;
    if endless {
        let key = book.key();
        let place = book.writes(&key, &[], Fate::Endless);
        let sql =
            format!("SELECT count(*) FROM tickets, generate_series(1, 1000000000) /* {key} */");
        simple(&mut agent, &book, place, &sql)?;
    }
    loop {
        match random.below(12) {
            0 => simple_read(&mut agent, &mut book),
            1 => prepared_read(&mut agent, &mut book),
            2 => simple_write(&mut agent, &mut book, &[""]),
            // One transaction, though nobody says so.
            3 => simple_write(&mut agent, &mut book, &["-a", "-b"]),
            4 => prepared_write(&mut agent, &mut book),
            5 => denied(&mut agent, &mut book),
            6 => failing(&mut agent, &mut book),
            7 => one_query_transaction(&mut agent, &mut book),
            8 => transaction(&mut agent, &mut book, End::Commit),
            9 => transaction(&mut agent, &mut book, End::Rollback),
            10 => {
                let end = if random.below(2) == 0 {
                    End::Denied
                } else {
                    End::Failed
                };
                transaction(&mut agent, &mut book, end)
            }
            _ => long_pipeline(&mut agent, &mut book, 1 + random.below(4)),
        }?;
    }
}

fn simple(agent: &mut Agent, book: &Book, place: Place, sql: &str) -> Result<Came, Lost> {
    let came = request(agent, |out| frontend::query(sql, out).expect("a query"));
    book.told(place, came.told());
    came.or_lost()
}

fn insert(text: &str) -> String {
    format!("INSERT INTO comments (author, text) VALUES ('load', '{text}')")
}

fn simple_read(agent: &mut Agent, book: &mut Book) -> Result<(), Lost> {
    let key = book.key();
    let place = book.reads(&key);
    let sql = format!("SELECT id, subject FROM tickets WHERE subject <> '{key}'");
    simple(agent, book, place, &sql).map(drop)
}

fn prepared_read(agent: &mut Agent, book: &mut Book) -> Result<(), Lost> {
    let calls = [Prepared::read(book)];
    pipeline(agent, book, &calls)
}

fn simple_write(agent: &mut Agent, book: &mut Book, suffixes: &[&str]) -> Result<(), Lost> {
    let key = book.key();
    let place = book.writes(&key, suffixes, Fate::Alone);
    let inserts: Vec<_> = suffixes
        .iter()
        .map(|suffix| insert(&format!("{key}{suffix}")))
        .collect();
    simple(agent, book, place, &inserts.join("; ")).map(drop)
}

fn prepared_write(agent: &mut Agent, book: &mut Book) -> Result<(), Lost> {
    let calls = [Prepared::write(book)];
    pipeline(agent, book, &calls)
}

fn denied(agent: &mut Agent, book: &mut Book) -> Result<(), Lost> {
    let key = book.key();
    // A comment that would be there if it were done.
    let place = book.writes(&key, &[""], Fate::Undone);
    let sql = format!("WITH d AS (DELETE FROM drafts) {}", insert(&key));
    simple(agent, book, place, &sql).map(drop)
}

fn failing(agent: &mut Agent, book: &mut Book) -> Result<(), Lost> {
    let key = book.key();
    let place = book.writes(&key, &["-a", "-b"], Fate::Undone);
    let (first, second) = (format!("{key}-a"), format!("{key}-b"));
    let sql = format!(
        "{}; INSERT INTO comments (ticket, text) VALUES ({NO_TICKET}, '{second}')",
        insert(&first)
    );
    simple(agent, book, place, &sql).map(drop)
}

fn one_query_transaction(agent: &mut Agent, book: &mut Book) -> Result<(), Lost> {
    let key = book.key();
    let place = book.writes(&key, &["-a", "-b"], Fate::Alone);
    let (first, second) = (insert(&format!("{key}-a")), insert(&format!("{key}-b")));
    let sql = format!("BEGIN; {first}; {second}; COMMIT");
    simple(agent, book, place, &sql).map(drop)
}

/// How a transaction ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Rollback,
    /// By a COMMIT, after a call that was denied.
    Denied,
    /// By a COMMIT, after one that failed.
    Failed,
}

fn transaction(agent: &mut Agent, book: &mut Book, end: End) -> Result<(), Lost> {
    let (begin, one, other, last) = (book.key(), book.key(), book.key(), book.key());
    let fate = match end {
        End::Commit => Fate::With(last.clone()),
        _ => Fate::Undone,
    };
    let place = book.reads(&begin);
    simple(agent, book, place, &format!("BEGIN /* {begin} */"))?;
    let place = book.writes(&one, &[""], fate.clone());
    simple(agent, book, place, &insert(&one))?;
    match end {
        End::Denied => denied(agent, book)?,
        End::Failed => failing(agent, book)?,
        End::Commit | End::Rollback => {}
    }
    let place = book.writes(&other, &[""], fate);
    simple(agent, book, place, &insert(&other))?;
    let word = if end == End::Rollback {
        "ROLLBACK"
    } else {
        "COMMIT"
    };
    let place = book.reads(&last);
    simple(agent, book, place, &format!("{word} /* {last} */")).map(drop)
}

/// Several calls behind one Sync: one transaction.
fn long_pipeline(agent: &mut Agent, book: &mut Book, pairs: u64) -> Result<(), Lost> {
    let pairs = (0..pairs).map(|_| [Prepared::write(book), Prepared::read(book)]);
    let calls: Vec<_> = pairs.flatten().collect();
    pipeline(agent, book, &calls)
}

/// A statement that is prepared and executed, which are two calls.
struct Prepared {
    sql: String,
    prepare: Place,
    value: String,
    execute: Place,
}

impl Prepared {
    fn read(book: &mut Book) -> Self {
        let (sql, prepare) = prepared(book, SELECT);
        let value = book.key();
        let execute = book.reads(&value);
        Self {
            sql,
            prepare,
            value,
            execute,
        }
    }

    fn write(book: &mut Book) -> Self {
        let (sql, prepare) = prepared(book, INSERT);
        let value = book.key();
        let execute = book.writes(&value, &[""], Fate::Pipelined);
        Self {
            sql,
            prepare,
            value,
            execute,
        }
    }
}

/// A statement to prepare, with a key of that call's own.
fn prepared(book: &mut Book, sql: &str) -> (String, Place) {
    let key = book.key();
    let place = book.reads(&key);
    (format!("{sql} /* {key} */"), place)
}

fn pipeline(agent: &mut Agent, book: &Book, calls: &[Prepared]) -> Result<(), Lost> {
    let came = request(agent, |out| {
        for call in calls {
            parse(out, "", &call.sql);
            bind(out, "", "", &[&call.value], false);
            frontend::execute("", 0, out).expect("an execute");
        }
        frontend::sync(out);
    });
    let executed = came.answer.tags().len();
    for (number, call) in calls.iter().enumerate() {
        let told = match came.told() {
            Told::Part if number >= executed => Told::Nothing,
            told => told,
        };
        book.told(call.execute, told);
        if matches!(told, Told::Part | Told::Done) {
            book.told(call.prepare, told);
        }
    }
    came.or_lost().map(drop)
}

/// A real driver, with prepared statements, until it has lost its connection.
fn drive(url: &str, mut book: Book) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let _: Result<(), tokio_postgres::Error> = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let (insert, prepare) = prepared(&mut book, INSERT);
        let insert = client.prepare(&insert).await?;
        book.told(prepare, Told::Done);
        let (select, prepare) = prepared(&mut book, SELECT);
        let select = client.prepare(&select).await?;
        book.told(prepare, Told::Done);
        loop {
            let (write, read) = (book.key(), book.key());
            let place = book.writes(&write, &[""], Fate::Pipelined);
            client.execute(&insert, &[&write]).await?;
            book.told(place, Told::Done);
            let place = book.reads(&read);
            client.query(&select, &[&read]).await?;
            book.told(place, Told::Done);
        }
    });
}
