//! `bailiwick demo-agent`: the agent of the demo, which believes whatever it reads. It speaks to the
//! gateway by ordinary clients of PostgreSQL and HTTP, and knows nothing of the gateway but its URLs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hyper::Method;
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::api::Api;
use super::event::Event;
use crate::commands::gateway;
use crate::failure::Failure;

/// Where the task's `[env]` puts the URL.
const URL: &str = "DATABASE_URL";

const NEW_TICKETS: &str =
    "SELECT id, customer, email, body FROM tickets WHERE priority IS NULL ORDER BY id";

const THEIR_COMMENTS: &str = "SELECT c.ticket, c.author, c.text FROM comments c \
    JOIN tickets t ON t.id = c.ticket WHERE t.priority IS NULL ORDER BY c.id";

const SET_PRIORITY: &str = "UPDATE tickets SET priority = $1 WHERE id = $2";

/// Somebody has answered this one: all that is left is to say so. That waits for a person.
const CLOSE: &str = "UPDATE tickets SET status = 'closed' WHERE id = 4097";

/// What an order says that waits for a person, too.
const WAITS: &str = "SET status";

/// The HTTP API and the MCP server, by the names under which the gateway has them.
const CRM: &str = "crm";
const HELPDESK: &str = "helpdesk";

/// What it takes for orders, in the text of a ticket: SQL, a path of the API, and a tool.
const ORDERS: [&str; 3] = ["run: ", "get: ", "call: "];

/// The agent of the demo
#[derive(Args)]
pub(crate) struct DemoAgent {
    /// Wait so long after each step, in milliseconds
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Try what waits for a person
    #[arg(long)]
    waits: bool,
    /// The gateway's data folder, to go for
    #[arg(long)]
    data: Option<PathBuf>,
    /// The database's own port, to go for
    #[arg(long)]
    database: Option<u16>,
    /// The gateway's process, to go for
    #[arg(long)]
    gateway: Option<i32>,
}

impl DemoAgent {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        gateway::runtime()?.block_on(self.work())?;
        Ok(ExitCode::SUCCESS)
    }

    async fn work(&self) -> Result<(), Failure> {
        let url = std::env::var(URL)
            .map_err(|_| Failure::new(format!("{URL} is not set: `bailiwick demo` starts this")))?;
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.map_err(broken)?;
        tokio::spawn(connection);
        let mut api = Api::connect().await?;
        api.initialize(HELPDESK).await?;
        self.triage(&client, &mut api).await
    }

    async fn triage(&self, client: &Client, api: &mut Api) -> Result<(), Failure> {
        self.say("Which tickets are new?").await?;
        let tickets = self.ask(client, NEW_TICKETS).await?;
        self.ask(client, THEIR_COMMENTS).await?;
        self.say("Whose are they? The customer API knows.").await?;
        for ticket in &tickets {
            if let Some(customer) = ticket.get(1) {
                self.get(api, &format!("/customers/{}", id_of(customer)))
                    .await?;
            }
        }
        self.say("A note for my colleagues, by a tool of the helpdesk.")
            .await?;
        let note =
            r#"{"ticket": 4101, "text": "enterprise, and urgent", "visibility": "internal"}"#;
        self.call(api, &format!("add_note {note}")).await?;
        if self.waits {
            self.say("4097 has its answer. I close it.").await?;
            self.close(client).await?;
        }
        self.say("I set their priorities, one by one.").await?;
        let call = SET_PRIORITY.to_owned();
        self.tell(Event::Asks { call }).await?;
        let mut astray = false;
        for ticket in &tickets {
            let [id, customer, _, body] = ticket.as_slice() else {
                return Err(Failure::new(
                    "a ticket has other columns than were asked for",
                ));
            };
            let orders: Vec<(&str, &str)> = body.lines().filter_map(order).collect();
            if !orders.is_empty() {
                astray = true;
                let ticket = format!("{id}, {customer}");
                let text = body.clone();
                self.tell(Event::Obeys { ticket, text }).await?;
                for (way, order) in orders {
                    match way {
                        "get: " => self.get(api, order).await?,
                        "call: " => self.call(api, order).await?,
                        _ => drop(self.ask(client, order).await?),
                    }
                }
                self.say("None of that works. Back to the tickets.").await?;
            }
            self.set_priority(client, id, priority(body)).await?;
        }
        if astray {
            self.erase_traces().await?;
        }
        Ok(())
    }

    /// Sends a statement as it is, and gives what came back.
    async fn ask(&self, client: &Client, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
        let call = sql.to_owned();
        let event = match self.waits && sql.contains(WAITS) {
            true => Event::Waits { call, fine: false },
            false => Event::Asks { call },
        };
        self.tell(event).await?;
        let messages = match client.simple_query(sql).await {
            Ok(messages) => messages,
            Err(error) => {
                self.tell(failed(&error)?).await?;
                return Ok(Vec::new());
            }
        };
        let rows: Vec<Vec<String>> = messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .map(|row| {
                let values = (0..row.len()).map(|column| row.get(column).unwrap_or_default());
                values.map(str::to_owned).collect()
            })
            .collect();
        self.tell(Event::Reads { rows: rows.clone() }).await?;
        Ok(rows)
    }

    /// Closes a ticket, once a person has said yes.
    async fn close(&self, client: &Client) -> Result<(), Failure> {
        let call = CLOSE.to_owned();
        self.tell(Event::Waits { call, fine: true }).await?;
        let event = match client.simple_query(CLOSE).await {
            Ok(messages) => Event::Changes {
                rows: messages.iter().fold(0, |rows, message| match message {
                    SimpleQueryMessage::CommandComplete(changed) => rows + changed,
                    _ => rows,
                }),
                what: "4097 closed".to_owned(),
            },
            Err(error) => failed(&error)?,
        };
        self.tell(event).await
    }

    /// Gets something of the customer API.
    async fn get(&self, api: &mut Api, path: &str) -> Result<(), Failure> {
        let call = format!("GET {path}");
        self.tell(Event::Asks { call }).await?;
        let answer = api
            .request(Method::GET, &format!("/{CRM}{path}"), None)
            .await?;
        let text = |key: &str| {
            let text = answer.json.get(key).and_then(Value::as_str);
            text.map(str::to_owned)
        };
        let event = match answer.status {
            200 => {
                let fields = answer.json.as_object().into_iter().flatten();
                let value = |(_, value): (&String, &Value)| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                Event::Reads {
                    rows: vec![fields.map(value).collect()],
                }
            }
            status => Event::Fails {
                code: status.to_string(),
                message: text("title").unwrap_or_default(),
                detail: text("detail"),
                hint: text("remedy"),
            },
        };
        self.tell(event).await
    }

    /// Calls a tool: its name and its arguments, as JSON.
    async fn call(&self, api: &mut Api, words: &str) -> Result<(), Failure> {
        let call = format!("tool {words}");
        self.tell(Event::Asks { call }).await?;
        let (name, arguments) = words.split_once(' ').unwrap_or((words, "{}"));
        let arguments: Value = serde_json::from_str(arguments).map_err(Failure::new)?;
        let params = json!({ "name": name, "arguments": arguments });
        let answer = api.call(HELPDESK, "tools/call", params).await?;
        let text = |pointer: &str| {
            let text = answer.json.pointer(pointer).and_then(Value::as_str);
            text.map(str::to_owned)
        };
        let event = match text("/result/content/0/text") {
            Some(said) => Event::Reads {
                rows: vec![vec![said]],
            },
            None => Event::Fails {
                code: answer.status.to_string(),
                message: text("/error/message").unwrap_or_default(),
                detail: text("/error/data/reason"),
                hint: text("/error/data/remedy"),
            },
        };
        self.tell(event).await
    }

    /// By a prepared statement, as programs do.
    async fn set_priority(&self, client: &Client, id: &str, priority: &str) -> Result<(), Failure> {
        let number: i32 = id
            .parse()
            .map_err(|_| Failure::new("a ticket's id is not a number"))?;
        let event = match client.execute(SET_PRIORITY, &[&priority, &number]).await {
            Ok(rows) => Event::Changes {
                rows,
                what: format!("{id} {priority}"),
            },
            Err(error) => failed(&error)?,
        };
        self.tell(event).await
    }

    /// As one that means harm and knows where everything is. Nothing is harmed if it can.
    async fn erase_traces(&self) -> Result<(), Failure> {
        let (Some(data), Some(gateway)) = (&self.data, self.gateway) else {
            return Ok(());
        };
        self.tell(Event::Turns).await?;
        let change = |file: &str| {
            OpenOptions::new()
                .write(true)
                .open(data.join(file))
                .map(drop)
        };
        let signal = |pid: i32| {
            let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
            Ok(test_kill_process(pid)?)
        };
        let mut tries = vec![
            (
                "listing the record",
                fs::read_dir(data.join("log")).map(drop),
            ),
            ("changing the record", change("log/checkpoint")),
            (
                "reading the key that signs it",
                fs::read(data.join("keys/log.key")).map(drop),
            ),
            (
                "using the gateway's controls",
                UnixStream::connect(data.join("control.sock")).map(drop),
            ),
            ("ending the gateway", signal(gateway)),
        ];
        if let Some(port) = self.database {
            let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(drop);
            tries.push(("going around it, straight to the database", connected));
        }
        for (what, done) in tries {
            let stopped = done.err().map(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                _ => error.to_string(),
            });
            let what = what.to_owned();
            self.tell(Event::Tries { what, stopped }).await?;
        }
        Ok(())
    }

    async fn say(&self, text: &str) -> Result<(), Failure> {
        let text = text.to_owned();
        self.tell(Event::Says { text }).await
    }

    async fn tell(&self, event: Event) -> Result<(), Failure> {
        let silenced = |error: io::Error| Failure::new(format!("nobody listens: {error}"));
        let mut line = serde_json::to_vec(&event).map_err(|error| silenced(error.into()))?;
        line.push(b'\n');
        let mut out = io::stdout().lock();
        out.write_all(&line)
            .and_then(|()| out.flush())
            .map_err(silenced)?;
        drop(out);
        tokio::time::sleep(Duration::from_millis(self.pause)).await;
        Ok(())
    }
}

/// What a line of a ticket orders, and by which way.
fn order(line: &str) -> Option<(&str, &str)> {
    let mut ways = ORDERS.into_iter();
    ways.find_map(|way| line.strip_prefix(way).map(|order| (way, order)))
}

/// The id under which the customer API has a customer.
fn id_of(name: &str) -> String {
    let words: Vec<&str> = name
        .split([' ', '.'])
        .filter(|word| !word.is_empty())
        .collect();
    words.join("-").to_lowercase()
}

/// Its whole understanding of tickets.
fn priority(body: &str) -> &'static str {
    let first = body.lines().next().unwrap_or_default();
    let has = |words: &[&str]| words.iter().any(|word| first.contains(word));
    if has(&["log in", "down"]) {
        "urgent"
    } else if has(&["charged"]) {
        "high"
    } else if has(&["Where", "question"]) {
        "normal"
    } else {
        "low"
    }
}

/// An error that the other side has sent; the session goes on.
fn failed(error: &tokio_postgres::Error) -> Result<Event, Failure> {
    let Some(sent) = error.as_db_error() else {
        return Err(broken(error));
    };
    Ok(Event::Fails {
        code: sent.code().code().to_owned(),
        message: sent.message().to_owned(),
        detail: sent.detail().map(str::to_owned),
        hint: sent.hint().map(str::to_owned),
    })
}

/// The connection itself failed.
fn broken(error: impl std::borrow::Borrow<tokio_postgres::Error>) -> Failure {
    use std::error::Error;
    let error = error.borrow();
    match error.source() {
        Some(source) => Failure::new(format!("the agent has no database: {error}: {source}")),
        None => Failure::new(format!("the agent has no database: {error}")),
    }
}
