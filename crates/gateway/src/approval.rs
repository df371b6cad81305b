//! A call that a grant holds: it is put before people, and made if they say yes. Where the session can wait,
//! the call does, and nothing else happens in it; where it cannot, the agent is told at once what it was asked
//! as, and sends the same call again. Either way an approval is used up once, for exactly the call that it is
//! for.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bailiwick_action::{Decision, Denial, Fingerprint, Held, Stage};
use bailiwick_policy::{Hold, NotApproved, Scope};
use bailiwick_run::{ApprovalId, Time};
use bailiwick_wire::{Answer, Fault, Rows, Ticket};
use tokio::time::{Sleep, sleep};

use crate::calls::Calls;
use crate::desk::{Asked, Estimate, NotAsked, Question, Standing};
use crate::discreet;
use crate::kept;
use crate::limits::{APPROVAL_OVER_AFTER, APPROVAL_REASON_BYTES_MAX};
use crate::meters::Verdict;

/// A call that is held.
pub(crate) struct Holding {
    call: HeldCall,
    /// The agent has taken it back.
    withdrawn: bool,
    at: At,
}

struct HeldCall {
    ticket: Ticket,
    held: Held,
    hold: Hold,
    /// What holds it.
    scope: Arc<Scope>,
    /// What the question names it by, and its approval too.
    question: Fingerprint,
}

/// How far it is.
enum At {
    /// The session readies itself for waiting.
    Readying,
    /// It is being put before people.
    Asking(Pin<Box<dyn Future<Output = Result<Asked, NotAsked>> + Send>>),
    /// People have it before them, for as long as this.
    Waiting(Asked, Pin<Box<Sleep>>),
    /// They said yes, and the session looks whether it still is what they saw.
    Looking(ApprovalId),
}

impl Holding {
    /// Whether the session looks at its target before the call is made.
    pub(crate) fn is_looking(&self) -> bool {
        matches!(self.at, At::Looking(_))
    }
}

/// What was heard of a call that is held.
pub(crate) enum Heard {
    /// It was put before people, or could not be.
    Asked(Result<Asked, NotAsked>),
    /// Its question stands differently.
    Stands,
    /// The time for it is over, whatever its question says.
    Over,
}

/// Waits for what is heard of a call that is held; for ever where none is. Cancel safe.
pub(crate) async fn heard(holding: &mut Option<Holding>) -> Heard {
    match holding.as_mut().map(|holding| &mut holding.at) {
        Some(At::Asking(asking)) => Heard::Asked(asking.await),
        Some(At::Waiting(asked, over)) => tokio::select! {
            biased;
            changed = asked.standing.changed() => match changed {
                Ok(()) => Heard::Stands,
                Err(_) => Heard::Over,
            },
            () = over => Heard::Over,
        },
        Some(At::Readying | At::Looking(_)) | None => std::future::pending().await,
    }
}

impl<W> Calls<'_, W> {
    /// Holds a call, and has people asked about it.
    pub(crate) fn hold(
        &mut self,
        ticket: Ticket,
        held: Held,
        hold: Hold,
        scope: Arc<Scope>,
    ) -> Result<(), Fault> {
        let by = approvers(&hold);
        let cannot = match held.stage {
            _ if self.gateway.desk.is_none() => Some("this gateway has nobody to ask"),
            Stage::Unfinished(why) => Some(why),
            Stage::Prepares | Stage::Waits | Stage::Retries => None,
        };
        if let Some(why) = cannot {
            let reason = format!("it needs approval by {by}, which nobody can give: {why}");
            let remedy = "ask for a grant without approve, or have it done outside the run";
            let denial = not_made(&hold, reason, remedy.to_owned());
            self.decided(ticket, held, Err(Answer::Deny(denial)), &scope);
            return Ok(());
        }
        self.meter.decided(Verdict::Hold, held.call.class());
        let call = HeldCall {
            question: Fingerprint::of_question(&self.gateway.key, &self.target.name, &held),
            ticket,
            held,
            hold,
            scope,
        };
        if call.held.stage != Stage::Waits {
            let why = "it was sent in the middle of others, where nothing else can be asked";
            self.put(call, false, Err(why.to_owned()));
            return Ok(());
        }
        match self.session.hold(ticket)? {
            Some(rows) => self.put(call, false, rows),
            None => {
                self.records.holding = Some(Holding {
                    call,
                    withdrawn: false,
                    at: At::Readying,
                });
            }
        }
        Ok(())
    }

    /// The session is ready to wait, and the target has said what it expects of the call.
    pub(crate) fn readied(&mut self, ticket: Ticket, rows: Option<Rows>) -> Result<(), Fault> {
        match self.records.holding.take() {
            Some(Holding {
                call,
                withdrawn,
                at: At::Readying,
            }) if call.ticket == ticket => {
                match rows {
                    Some(rows) => self.put(call, withdrawn, rows),
                    None => {
                        let reason = "what was sent before it has failed".to_owned();
                        let denial = not_made(&call.hold, reason, String::new());
                        self.decided(
                            call.ticket,
                            call.held,
                            Err(Answer::Deny(denial)),
                            &call.scope,
                        );
                    }
                }
                Ok(())
            }
            _ => Err(Fault::Bug("ready for a call that is not held")),
        }
    }

    /// Puts a call before people.
    fn put(&mut self, call: HeldCall, taken_back: bool, rows: Rows) {
        let Some(desk) = &self.gateway.desk else {
            return;
        };
        let asked = &call.held.call;
        let detectors = &self.gateway.detectors;
        // What is personal in a name is in the payload, which can be erased; this goes into the record.
        let (actions, _) = discreet::put(detectors, &asked.actions, Decision::Deny(withdrawn()));
        let asking = desk.ask(Question {
            run: self.admission.run.clone(),
            target: self.target.name.clone(),
            protocol: asked.protocol,
            verb: asked.verb.clone(),
            actions,
            class: call.hold.class(),
            fingerprint: call.question,
            policy_digest: call.scope.digest().to_owned(),
            approvers: call.hold.approvers().clone(),
            estimate: rows.map(|rows| Estimate { rows }),
            payload: kept::wrote(asked),
        });
        self.records.holding = Some(Holding {
            call,
            withdrawn: taken_back,
            at: At::Asking(asking),
        });
    }

    /// Takes what was heard of the call that is held.
    pub(crate) fn heard(&mut self, heard: Heard) -> Result<(), Fault> {
        let Some(Holding {
            call,
            withdrawn,
            at,
        }) = self.records.holding.take()
        else {
            return Err(Fault::Bug("news of a call that is not held"));
        };
        match (at, heard) {
            (At::Asking(_), Heard::Asked(Err(not_asked))) => {
                let reason = format!(
                    "it needs approval by {}, and nobody could be asked: {not_asked}",
                    approvers(&call.hold)
                );
                let denial = not_made(&call.hold, reason, "try again later".to_owned());
                self.decided(
                    call.ticket,
                    call.held,
                    Err(Answer::Deny(denial)),
                    &call.scope,
                );
                Ok(())
            }
            (At::Asking(_), Heard::Asked(Ok(mut asked))) => {
                let standing = asked.standing.borrow_and_update().clone();
                let for_how_long = now().until(asked.expires) + APPROVAL_OVER_AFTER;
                match standing {
                    _ if withdrawn => self.take_back(call, asked),
                    Standing::Open if call.held.stage == Stage::Waits => {
                        self.wait(call, asked, for_how_long);
                    }
                    Standing::Open => self.pending(call, &asked),
                    // Asked just now, so it is what was approved.
                    Standing::Approved => self.use_up(call, asked.id),
                    Standing::Denied { .. } | Standing::Lapsed => {
                        self.refused(call, asked.id, standing)
                    }
                }
                Ok(())
            }
            (At::Waiting(mut asked, over), Heard::Stands) => {
                let standing = asked.standing.borrow_and_update().clone();
                match standing {
                    Standing::Open => {
                        self.records.holding = Some(Holding {
                            call,
                            withdrawn,
                            at: At::Waiting(asked, over),
                        });
                        Ok(())
                    }
                    Standing::Approved => match self.session.resume(call.ticket)? {
                        Some(same) => {
                            self.looked(call, asked.id, same);
                            Ok(())
                        }
                        None => {
                            self.records.holding = Some(Holding {
                                call,
                                withdrawn,
                                at: At::Looking(asked.id),
                            });
                            Ok(())
                        }
                    },
                    Standing::Denied { .. } | Standing::Lapsed => {
                        self.refused(call, asked.id, standing);
                        Ok(())
                    }
                }
            }
            (At::Waiting(asked, _), Heard::Over) => {
                self.refused(call, asked.id, Standing::Lapsed);
                Ok(())
            }
            _ => Err(Fault::Bug("news that do not fit a call that is held")),
        }
    }

    fn wait(&mut self, call: HeldCall, asked: Asked, for_how_long: Duration) {
        self.records.holding = Some(Holding {
            call,
            withdrawn: false,
            at: At::Waiting(asked, Box::pin(sleep(for_how_long))),
        });
    }

    /// The session has looked whether the call still is what people saw.
    pub(crate) fn resumed(&mut self, ticket: Ticket, same: bool) -> Result<(), Fault> {
        match self.records.holding.take() {
            Some(Holding {
                call,
                withdrawn,
                at: At::Looking(approval),
            }) if call.ticket == ticket => {
                match withdrawn {
                    true => {
                        self.withdraw_question(approval);
                        self.decided(call.ticket, call.held, Err(Answer::Withdrawn), &call.scope);
                    }
                    false => self.looked(call, approval, same),
                }
                Ok(())
            }
            _ => Err(Fault::Bug("resumed, but nothing is held")),
        }
    }

    fn looked(&mut self, call: HeldCall, approval: ApprovalId, same: bool) {
        if same {
            return self.use_up(call, approval);
        }
        let reason = format!(
            "what the names in it stand for has changed at the target while it waited for approval {approval}"
        );
        let remedy =
            "send exactly the same call again: if it still does the same, the approval is for it";
        self.unapproved(call, approval, reason, remedy);
    }

    /// Uses the approval up for the call.
    fn use_up(&mut self, call: HeldCall, approval: ApprovalId) {
        let HeldCall {
            ticket,
            held,
            hold,
            scope,
            question,
        } = call;
        let now = self.admission.scope();
        let taken = match &self.gateway.desk {
            Some(desk) => desk.take(&approval),
            None => None,
        };
        let policies = hold.policies().to_vec();
        let why = match taken.map(|approval| hold.approved(approval, question, &now)) {
            Some(Ok(allow)) => return self.decided(ticket, held, Ok(allow), &now),
            Some(Err(why)) if scope.digest() != now.digest() => not_approved(why),
            Some(Err(why)) => {
                let run = self.admission.run.id;
                tracing::error!(%run, %approval, %why, "the desk gave out an approval for something else");
                not_approved(why)
            }
            None => "it is used up, or the time to use it is over",
        };
        let denial = Denial {
            policies,
            reason: format!("approval {approval} is not for this call: {why}"),
            remedy: "send the call again to have people asked anew".to_owned(),
        };
        self.decided(
            ticket,
            held,
            Err(Answer::Unapproved(denial, approval)),
            &now,
        );
    }

    /// Nobody has decided yet, and the call cannot wait.
    fn pending(&mut self, call: HeldCall, asked: &Asked) {
        let reason = format!(
            "approval {} is asked for: it needs a yes by {}, until {}",
            asked.id,
            approvers(&call.hold),
            asked.expires
        );
        let remedy = "send exactly the same call again once it is approved; an approval is good for one call";
        self.unapproved(call, asked.id, reason, remedy);
    }

    /// Somebody said no, or nobody said anything.
    fn refused(&mut self, call: HeldCall, approval: ApprovalId, standing: Standing) {
        match standing {
            Standing::Denied { by, reason } => {
                let reason = discreet::said(&self.gateway.detectors, said(&reason));
                let reason = format!("approval {approval}: denied by {by}: {reason}");
                self.unapproved(call, approval, reason, "do without it");
            }
            Standing::Open | Standing::Approved | Standing::Lapsed => {
                let reason = format!("approval {approval}: nobody decided in time");
                let remedy = "send the call again to have people asked anew";
                self.unapproved(call, approval, reason, remedy);
            }
        }
    }

    fn unapproved(&mut self, call: HeldCall, approval: ApprovalId, reason: String, remedy: &str) {
        let denial = not_made(&call.hold, reason, remedy.to_owned());
        self.decided(
            call.ticket,
            call.held,
            Err(Answer::Unapproved(denial, approval)),
            &call.scope,
        );
    }

    fn take_back(&mut self, call: HeldCall, asked: Asked) {
        let approval = asked.id;
        drop(asked);
        self.withdraw_question(approval);
        self.decided(call.ticket, call.held, Err(Answer::Withdrawn), &call.scope);
    }

    /// For whoever does not hold what was asked any more.
    fn withdraw_question(&self, approval: ApprovalId) {
        if let Some(desk) = &self.gateway.desk {
            desk.withdraw(approval);
        }
    }

    /// The agent takes back the call that is held. Says whether there is one.
    pub(crate) fn withdraw(&mut self) -> bool {
        match self.records.holding.take() {
            Some(Holding {
                call,
                at: At::Waiting(asked, _),
                ..
            }) => {
                self.take_back(call, asked);
                true
            }
            Some(holding) => {
                self.records.holding = Some(Holding {
                    withdrawn: true,
                    ..holding
                });
                true
            }
            None => false,
        }
    }

    /// The call that is held cannot wait any longer: the agent is told to send it again.
    pub(crate) fn wait_no_more(&mut self) {
        match self.records.holding.take() {
            Some(Holding {
                call,
                at: At::Waiting(asked, _),
                ..
            }) => self.pending(call, &asked),
            other => self.records.holding = other,
        }
    }

    /// The agent has closed the exchange that its call was held in, which is how a call is taken back there. Nobody
    /// waits for the record.
    pub(crate) fn left(&mut self) {
        let Some(Holding { call, at, .. }) = self.records.holding.take() else {
            return;
        };
        let draft = self.draft(&call.held, Decision::Deny(withdrawn()), &call.scope);
        drop(self.gateway.log.append(draft));
        match at {
            At::Readying => {}
            At::Asking(asking) => {
                let gateway = Arc::clone(self.gateway);
                tokio::spawn(async move {
                    if let (Ok(asked), Some(desk)) = (asking.await, &gateway.desk) {
                        let approval = asked.id;
                        drop(asked);
                        desk.withdraw(approval);
                    }
                });
            }
            At::Waiting(asked, _) => {
                let approval = asked.id;
                drop(asked);
                self.withdraw_question(approval);
            }
            At::Looking(approval) => self.withdraw_question(approval),
        }
    }

    /// The session is over. A call that people have before them is on record; one that they were not asked
    /// about yet was not made, and that is.
    pub(crate) fn close_held(&mut self) {
        if let Some(Holding { call, at, .. }) = self.records.holding.take()
            && matches!(at, At::Readying | At::Asking(_))
        {
            let draft = self.draft(&call.held, Decision::Deny(withdrawn()), &call.scope);
            // Nobody is there to wait for it.
            drop(self.gateway.log.append(draft));
        }
    }
}

/// The denial of a call that the agent took back.
pub(crate) fn withdrawn() -> Denial {
    Denial {
        policies: Vec::new(),
        reason: "it needs approval, and the agent took it back while it waited".to_owned(),
        remedy: String::new(),
    }
}

fn not_made(hold: &Hold, reason: String, remedy: String) -> Denial {
    Denial {
        policies: hold.policies().to_vec(),
        reason,
        remedy,
    }
}

/// `group:a and human:b@c`.
fn approvers(hold: &Hold) -> String {
    let names: Vec<&str> = hold.approvers().iter().map(String::as_str).collect();
    names.join(" and ")
}

fn not_approved(why: NotApproved) -> &'static str {
    match why {
        NotApproved::OtherRun => "it is another run's",
        NotApproved::OtherTarget => "it is for another target",
        NotApproved::OtherCall => "it is for another call",
        NotApproved::OtherPolicies => "the policies are not those any more that it was given under",
    }
}

/// A person's words for an agent: one line, and not too long.
fn said(reason: &str) -> String {
    let mut said: String = reason
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    said.truncate(said.floor_char_boundary(APPROVAL_REASON_BYTES_MAX));
    said
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    Time::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
