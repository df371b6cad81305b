//! The database behind the gateway: a ticket store, with a billing schema that no task names.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bailiwick_throwaway::{Certificate, Options, Throwaway};

use crate::programs::postgresql_18;

/// The gateway's own user at the target. It may do everything there, so what does not happen was
/// stopped by the gateway and by nobody else.
pub const SERVICE: &str = "svc";

/// Its password.
pub const SERVICE_PASSWORD: &str = "the-gateways-own";

/// What every test's database is a copy of.
const TEMPLATE: &str = "store";

const SCHEMA: &str = r"
CREATE SCHEMA billing;
CREATE TABLE tickets (
    id int PRIMARY KEY, subject text NOT NULL, body text NOT NULL DEFAULT '',
    priority int NOT NULL DEFAULT 0, email text NOT NULL
);
CREATE TABLE comments (
    id serial PRIMARY KEY, ticket int REFERENCES tickets, author text, text text
);
CREATE TABLE drafts (id int PRIMARY KEY, text text);
CREATE TABLE billing.cards (id int PRIMARY KEY, holder text, number text);
CREATE TABLE billing.invoices (id int PRIMARY KEY, customer text, amount numeric);
CREATE SEQUENCE numbers;
CREATE VIEW contacts AS SELECT id, subject, email AS contact FROM tickets;

CREATE FUNCTION touch(ticket int) RETURNS int LANGUAGE sql AS
    'UPDATE tickets SET priority = priority + 100 WHERE id = ticket RETURNING priority';
CREATE FUNCTION peek() RETURNS text LANGUAGE sql STABLE AS
    'SELECT number FROM billing.cards ORDER BY id LIMIT 1';

INSERT INTO tickets (id, subject, email)
    SELECT n, 'subject ' || n, 'customer' || n || '@shop.example' FROM generate_series(1, 20) n;
UPDATE tickets SET body = 'Write to jane.doe@example.org or charge 4111 1111 1111 1111.' WHERE id = 7;
UPDATE tickets SET body = 'Order 4111 1111 1111 1112 is no card.' WHERE id = 8;
UPDATE tickets SET body = 'password=hunter2hunter2 and the key AKIAQ7N3XW5ZR2LKJ4HD' WHERE id = 9;
INSERT INTO comments (ticket, author, text) SELECT n, 'bob', 'comment ' || n FROM generate_series(1, 5) n;
INSERT INTO drafts SELECT n, 'draft ' || n FROM generate_series(1, 5) n;
INSERT INTO billing.cards SELECT n, 'holder ' || n, '4111 1111 1111 1111' FROM generate_series(1, 3) n;
INSERT INTO billing.invoices SELECT n, 'customer ' || n, n * 10 FROM generate_series(1, 3) n;
";

/// Which PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The system's own, which is PostgreSQL 15 on Debian 12.
    System,
    /// PostgreSQL 18, which `scripts/test` installs.
    Newest,
}

/// A PostgreSQL with the ticket store.
pub struct Store {
    server: Throwaway,
}

impl Store {
    /// The one of this test program. It goes when the program does.
    pub fn shared() -> &'static Store {
        static STORE: OnceLock<Store> = OnceLock::new();
        STORE.get_or_init(|| Store::start(&Options::default()))
    }

    /// One that also serves TLS, with a certificate for its address.
    pub fn with_certificate(certificate: Certificate) -> Self {
        Self::start(&Options {
            certificate: Some(certificate),
            ..Options::default()
        })
    }

    /// One of this version of PostgreSQL, for all tests of the program that want it.
    pub fn of(version: Version) -> &'static Store {
        static STORES: [OnceLock<Store>; 2] = [OnceLock::new(), OnceLock::new()];
        let [system, newest] = &STORES;
        match version {
            Version::System => system.get_or_init(Store::fresh),
            Version::Newest => newest.get_or_init(|| {
                Store::start(&Options {
                    programs: Some(postgresql_18()),
                    ..Options::default()
                })
            }),
        }
    }

    /// One of its own, for a test that breaks it.
    pub fn fresh() -> Self {
        Self::start(&Options::default())
    }

    fn start(options: &Options) -> Self {
        let options = Options {
            settings: vec![
                // Not only what is executed, but also what is prepared and never runs.
                ("log_min_duration_statement".into(), "0".into()),
                ("max_connections".into(), "200".into()),
            ],
            ..options.clone()
        };
        let server = Throwaway::start(&options).unwrap_or_else(|error| panic!("{error}"));
        let store = Self { server };
        store.sql(
            "postgres",
            &format!("CREATE ROLE {SERVICE} LOGIN SUPERUSER PASSWORD '{SERVICE_PASSWORD}'"),
        );
        store.sql("postgres", &format!("CREATE DATABASE {TEMPLATE}"));
        store.sql(TEMPLATE, SCHEMA);
        store
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// A new database with the ticket store in it.
    pub fn database(&self) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("store_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"),
        );
        name
    }

    /// What SQL says at the target itself, past the gateway.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let answer = self.server.psql(database, sql);
        answer.unwrap_or_else(|error| panic!("at the target itself: {sql}: {error}"))
    }

    /// What SQL says at the target itself, or why it fails.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let answer = self.server.psql(database, sql);
        answer.map_err(|error| error.to_string())
    }

    /// Everything that the target has logged.
    pub fn log(&self) -> String {
        self.server.statement_log().expect("the target's log")
    }

    /// Whether a text ever reached the target, in a statement or in anything else that it logs.
    pub fn saw(&self, text: &str) -> bool {
        let log = self.server.statement_log().expect("the target's log");
        // Our own looks at the target are not the gateway's.
        log.lines()
            .filter(|line| !line.contains(" bailiwick-throwaway: "))
            .any(|line| line.contains(text))
    }

    /// Kills the server.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again.
    pub fn resume(&mut self) {
        self.server
            .resume()
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A comment for a statement, unlike any other, to look for in the target's log.
pub fn mark() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("/* mark {} */", NUMBER.fetch_add(1, Ordering::Relaxed))
}
