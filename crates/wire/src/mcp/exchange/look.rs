//! The gateway's own look at a server's tools, before one of them is called.

use bytes::Bytes;

use super::{CALL, Coming, Exchange, Look, Out, State, Then};
use crate::content::events::{Event, Item};
use crate::http::bhttp::{self, Part};
use crate::limits::MCP_TARGET_BYTES_MAX;
use crate::mcp::events::Events;
use crate::mcp::header;
use crate::mcp::listing::Listing;
use crate::mcp::plan::{self, Planned, hold_against, stopped};
use crate::mcp::reply::{EVENTS, JSON};
use crate::{Plumbing, Result, Step};

impl Exchange {
    pub(super) fn look(&mut self, planned: Planned, then: Then, out: &mut Out) {
        let listing = Listing::new(planned.revision, format!("{}-tools", self.alias.as_str()));
        self.relay_look(&planned, &listing, out);
        let look = Look {
            then,
            listing,
            coming: Coming::Head,
            is_there: false,
        };
        self.state = State::Looking(Box::new(planned), Box::new(look));
    }

    pub(super) fn relay_look(&self, planned: &Planned, listing: &Listing, out: &mut Out) {
        let mut fields = header::onwards(&self.head);
        fields.retain(|(name, _)| !name.starts_with("mcp-") || name == header::SESSION);
        let version = planned.revision.as_str();
        fields.push((
            header::VERSION.to_owned(),
            Bytes::from_static(version.as_bytes()),
        ));
        if planned.revision.is_stateless() {
            let method = Bytes::from_static(b"tools/list");
            fields.push((header::METHOD.to_owned(), method));
        }
        let bytes = plan::request("POST", &self.path, fields, &listing.request());
        out.push_back(Step::Relay(Plumbing::new(bytes)));
    }

    /// Goes on with the gateway's own look at the tools.
    pub(super) fn looking(&mut self, out: &mut Out) -> Result<()> {
        while matches!(self.state, State::Looking(..)) {
            let Some(part) = self.part()? else {
                return Ok(());
            };
            let State::Looking(planned, look) = std::mem::replace(&mut self.state, State::Over)
            else {
                return Ok(());
            };
            self.looked(*planned, look, part, out);
        }
        Ok(())
    }

    pub(super) fn looked(
        &mut self,
        mut planned: Planned,
        mut look: Box<Look>,
        part: Part,
        out: &mut Out,
    ) {
        match look.part(part) {
            Ok(Looked::Waits) => self.state = State::Looking(Box::new(planned), look),
            Ok(Looked::Page) => {
                self.relay_look(&planned, &look.listing, out);
                self.state = State::Looking(Box::new(planned), look);
            }
            Ok(Looked::All) => {
                let tools = look.listing.into_tools();
                let same = self.is_called_as_asked(&planned, &tools);
                if matches!(look.then, Then::Ask) {
                    hold_against(&mut planned, &self.given(), &tools);
                }
                self.shared
                    .with(planned.server_session(), |known| known.learn_tools(tools));
                match look.then {
                    Then::Ask => self.ask(planned, out),
                    Then::Resume => self.resumed(planned, same, out),
                }
            }
            Err(_) if matches!(look.then, Then::Resume) => self.resumed(planned, false, out),
            Err(why) => {
                planned.refuse(stopped(&format!(
                    "the gateway looks at a tool's definition before it is called, and the server did not \
                     give it: {why}"
                )));
                self.ask(planned, out);
            }
        }
    }
}

impl Exchange {
    fn resumed(&mut self, planned: Planned, same: bool, out: &mut Out) {
        self.state = State::Asking(Box::new(planned));
        out.push_back(Step::Resumed(CALL, same));
    }
}

/// What a part of the answer to the gateway's own look comes to.
enum Looked {
    /// There is more to come.
    Waits,
    /// There is another page to ask for.
    Page,
    /// That was all.
    All,
}

impl Look {
    fn part(&mut self, part: Part) -> std::result::Result<Looked, String> {
        match part {
            Part::Response(response) => {
                if !(200..300).contains(&response.status) {
                    return Err(format!("it answered with status {}", response.status));
                }
                let kind = bhttp::field(&response.fields, "content-type");
                let kind = kind.and_then(header::media_type);
                self.coming = match kind.as_ref().map(|(kind, _)| kind.as_bytes()) {
                    Some(JSON) => Coming::Message(Vec::new()),
                    Some(EVENTS) => Coming::Events(Events::default()),
                    _ => return Err("its answer is neither JSON nor an event stream".to_owned()),
                };
            }
            Part::Content(bytes) => match &mut self.coming {
                Coming::Message(message) => {
                    message.extend_from_slice(&bytes);
                    if message.len() > MCP_TARGET_BYTES_MAX {
                        return Err("its answer is too long".to_owned());
                    }
                }
                Coming::Events(events) => {
                    events.push(&bytes);
                    loop {
                        let item = events.next()?;
                        match item {
                            Some(Item::Event(Event {
                                data: Some(data), ..
                            })) if !self.is_there && !data.is_empty() => {
                                self.is_there = self.listing.message(&data)?;
                            }
                            Some(_) => {}
                            None => break,
                        }
                    }
                }
                Coming::Head | Coming::Nothing => {}
            },
            Part::End(_) => {
                if let Coming::Message(message) = std::mem::replace(&mut self.coming, Coming::Head)
                {
                    self.is_there = self.listing.message(&message)?;
                }
                if !std::mem::replace(&mut self.is_there, false) {
                    return Err("its answer is not there".to_owned());
                }
                return Ok(match self.listing.has_more() {
                    true => Looked::Page,
                    false => Looked::All,
                });
            }
            Part::Request(_) => return Err("it answered with a request".to_owned()),
        }
        Ok(Looked::Waits)
    }
}
