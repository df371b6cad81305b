//! Targets that are programs: started for a run, spoken to over their standard input and output, and gone
//! with the run (MCP's stdio transport). To an exchange such a target looks like a server of MCP's
//! streamable HTTP: a message is posted, and what comes of it is a stream of events.
//!
//! Two ways of having a program, by revision of the protocol. Up to 2025-11-25 an `initialize` starts one,
//! which is that session's until its end. From 2026-07-28 there are no sessions: the run's programs answer
//! whatever comes, and there is more than one only where a request has the id of another that is still
//! unanswered, because one run has several clients.
//!
//! Of a message no more is read than to whom it belongs; what it means is said by `wire`.

mod line;
mod program;
mod routes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_run::{Cut, RunId};
use bailiwick_wire::http::bhttp;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use tokio::sync::watch;

use self::line::Message;
use self::program::Program;
use self::routes::{Answers, Routed, Taken};
use super::body::Body;
use super::upstream::{Content, Lost, Reply, Sending, Upstream};
use crate::limits::{PROGRAM_LINE_BYTES_MAX, PROGRAMS_PER_RUN_MAX};
use crate::upstream::Command;

const SESSION: &str = "mcp-session-id";
const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

/// The programs of one run at one target.
pub(crate) struct Commands {
    target: String,
    run: RunId,
    command: Command,
    ended: watch::Receiver<Option<Cut>>,
    programs: Mutex<Programs>,
}

#[derive(Default)]
struct Programs {
    /// By session.
    of_sessions: HashMap<String, Arc<Program>>,
    /// Of no session.
    at_hand: Vec<Arc<Program>>,
}

impl Commands {
    /// Those of a run, until it ends.
    pub(crate) fn new(
        target: &str,
        command: &Command,
        run: RunId,
        ended: watch::Receiver<Option<Cut>>,
    ) -> Self {
        Self {
            target: target.to_owned(),
            run,
            command: command.clone(),
            ended,
            programs: Mutex::default(),
        }
    }

    async fn answer(&self, head: bhttp::Request, content: Body) -> Result<Reply, Lost> {
        let path = head.path.split('?').next().unwrap_or_default();
        if !matches!(path, "" | "/") {
            return Ok(no(404, "there is nothing but the server itself here"));
        }
        let session = bhttp::field(&head.fields, SESSION);
        match (&*head.method, session) {
            ("POST", session) => {
                let content = Limited::new(content, PROGRAM_LINE_BYTES_MAX)
                    .collect()
                    .await
                    .map_err(|_| Lost::Unsent("the message did not come whole".into()))?;
                let Some(message) = Message::read(content.to_bytes()) else {
                    return Ok(no(400, "this is no JSON-RPC message"));
                };
                let accept = bhttp::field(&head.fields, "accept").unwrap_or_default();
                let events = String::from_utf8_lossy(accept).contains(EVENTS);
                self.post(session, message, events).await
            }
            ("GET", Some(session)) => Ok(match self.of_session(session) {
                Some(program) => match program.listen() {
                    Ok(answers) => self.stream(&program, answers, None),
                    Err(Taken) => no(409, "this session's stream of events is open already"),
                },
                None => no_session(),
            }),
            ("DELETE", Some(session)) => Ok(match self.end(session) {
                true => Reply {
                    head: bhttp::Response {
                        status: 204,
                        fields: Vec::new(),
                    },
                    content: whole(""),
                },
                false => no_session(),
            }),
            _ => Ok(no(405, "messages are posted")),
        }
    }

    async fn post(
        &self,
        session: Option<&[u8]>,
        message: Message,
        events: bool,
    ) -> Result<Reply, Lost> {
        let (program, answers, begun) = match session {
            Some(session) => match self.of_session(session) {
                Some(program) => match program.expect(&message, events) {
                    Ok(answers) => (program, answers, None),
                    Err(Taken) => return Ok(taken()),
                },
                None => return Ok(no_session()),
            },
            None if message.begins_session() => {
                let mut programs = self.programs();
                let Some(program) = self.start(&mut programs, false)? else {
                    return Ok(too_many());
                };
                let session = session_id()?;
                let answers = program.expect(&message, events).unwrap_or_default();
                programs
                    .of_sessions
                    .insert(session.clone(), Arc::clone(&program));
                (program, answers, Some(session))
            }
            None => {
                let mut programs = self.programs();
                let free = programs.at_hand.iter().find_map(|program| {
                    let answers = program.expect(&message, events).ok()?;
                    Some((Arc::clone(program), answers))
                });
                match free {
                    Some((program, answers)) => (program, answers, None),
                    None => {
                        let Some(program) = self.start(&mut programs, true)? else {
                            return Ok(too_many());
                        };
                        let answers = program.expect(&message, events).unwrap_or_default();
                        programs.at_hand.push(Arc::clone(&program));
                        (program, answers, None)
                    }
                }
            }
        };
        let cancel = match (session, &begun) {
            (None, None) => message.cancellation(),
            _ => None,
        };
        program.send(message.into_line()).await?;
        let Some(answers) = answers else {
            return Ok(Reply {
                head: bhttp::Response {
                    status: 202,
                    fields: Vec::new(),
                },
                content: whole(""),
            });
        };
        let mut reply = if events {
            self.stream(&program, answers, cancel)
        } else {
            let mut answers = Open::new(&program, answers, cancel);
            let answer = answers.next().await.ok_or_else(|| self.gone())?;
            plain(200, whole(answer.line))
        };
        if let Some(session) = begun {
            let session = (SESSION.to_owned(), Bytes::from(session));
            reply.head.fields.push(session);
        }
        Ok(reply)
    }

    /// What a program says, as events.
    fn stream(&self, program: &Arc<Program>, answers: Answers, cancel: Option<Bytes>) -> Reply {
        let listening = answers.is_of_nobody();
        let open = (Open::new(program, answers, cancel), false);
        let gone = self.gone();
        let events = stream::unfold(open, move |(mut open, done)| {
            let gone = gone.clone();
            async move {
                if done {
                    return None;
                }
                match open.next().await {
                    Some(routed) => {
                        let done = routed.last;
                        Some((Ok(Frame::data(event(&routed.line))), (open, done)))
                    }
                    // A stream of nobody's request ends with the session.
                    None if listening => None,
                    None => Some((Err(gone), (open, true))),
                }
            }
        });
        Reply {
            head: bhttp::Response {
                status: 200,
                fields: vec![
                    ("content-type".into(), Bytes::from_static(EVENTS.as_bytes())),
                    ("cache-control".into(), Bytes::from_static(b"no-store")),
                ],
            },
            content: StreamBody::new(events).boxed_unsync(),
        }
    }

    /// A new program; nothing if there are too many.
    fn start(&self, programs: &mut Programs, shared: bool) -> Result<Option<Arc<Program>>, Lost> {
        programs.of_sessions.retain(|_, program| !program.is_over());
        programs.at_hand.retain(|program| !program.is_over());
        if programs.of_sessions.len() + programs.at_hand.len() >= PROGRAMS_PER_RUN_MAX {
            return Ok(None);
        }
        let ended = self.ended.clone();
        Program::start(&self.target, self.run, &self.command, ended, shared)
            .map(|program| Some(Arc::new(program)))
            .map_err(|error| {
                let word = self.command.words.first().map_or("", String::as_str);
                let folder = self.command.folder.display();
                Lost::Unsent(format!(
                    "`{word}` cannot be started in `{folder}`: {error}; see to `command` of target `{}`",
                    self.target
                ))
            })
    }

    fn of_session(&self, session: &[u8]) -> Option<Arc<Program>> {
        let session = std::str::from_utf8(session).ok()?;
        let programs = self.programs();
        let program = programs.of_sessions.get(session)?;
        (!program.is_over()).then(|| Arc::clone(program))
    }

    fn end(&self, session: &[u8]) -> bool {
        let Ok(session) = std::str::from_utf8(session) else {
            return false;
        };
        let ended = self.programs().of_sessions.remove(session);
        ended.is_some_and(|program| {
            let was_live = !program.is_over();
            program.end();
            was_live
        })
    }

    fn gone(&self) -> Lost {
        Lost::Gone(format!(
            "the program of target `{}` ended, or did not go on, before it had answered; what it says of it is in the gateway's log at `debug`",
            self.target
        ))
    }

    fn programs(&self) -> std::sync::MutexGuard<'_, Programs> {
        // Entries go in and out whole, so a panic elsewhere leaves nothing half done.
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upstream for Commands {
    fn send(self: Arc<Self>, head: bhttp::Request, content: Body) -> Sending {
        Box::pin(async move { self.answer(head, content).await })
    }
}

/// Answers that somebody waits for. Whoever stops waiting for those of a request without a session has
/// cancelled it (MCP 2026-07-28, Streamable HTTP), so its program is told to.
struct Open {
    program: Arc<Program>,
    answers: Answers,
    cancel: Option<Bytes>,
}

impl Open {
    fn new(program: &Arc<Program>, answers: Answers, cancel: Option<Bytes>) -> Self {
        Self {
            program: Arc::clone(program),
            answers,
            cancel,
        }
    }

    async fn next(&mut self) -> Option<Routed> {
        let routed = self.answers.next().await;
        if routed.as_ref().is_none_or(|routed| routed.last) {
            self.cancel = None;
        }
        routed
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            self.program.send_if_it_reads(cancel);
        }
    }
}

/// A name that nobody guesses.
fn session_id() -> Result<String, Lost> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Lost::Unsent(error.to_string()))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A line as an event (HTML, "Server-sent events"). There is no line's end within it.
fn event(line: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(line.len() + 24);
    event.extend_from_slice(b"event: message\ndata: ");
    event.extend_from_slice(line);
    event.extend_from_slice(b"\n\n");
    event.freeze()
}

fn whole(bytes: impl Into<Bytes>) -> Content {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn plain(status: u16, content: Content) -> Reply {
    Reply {
        head: bhttp::Response {
            status,
            fields: vec![("content-type".into(), Bytes::from_static(JSON.as_bytes()))],
        },
        content,
    }
}

/// Refuses, in JSON-RPC's form without an id.
fn no(status: u16, what: &str) -> Reply {
    let error = serde_json::json!({
        "jsonrpc": "2.0",
        "id": null,
        "error": { "code": -32000, "message": what },
    });
    plain(status, whole(error.to_string()))
}

fn no_session() -> Reply {
    no(
        404,
        "this session is over, or never was one; initialize another",
    )
}

fn taken() -> Reply {
    no(
        409,
        "a request of this id is not answered yet, or too many are not",
    )
}

fn too_many() -> Reply {
    no(
        503,
        &format!("this run has {PROGRAMS_PER_RUN_MAX} programs of this target; end a session"),
    )
}

#[cfg(test)]
mod tests;
