//! Dropping the logins of runs that are over, and the templates that nobody is a member of any more.
//! A login first loses the right to log in, then its sessions, then what it owns, then itself.

use std::collections::VecDeque;

use super::holdings;
use super::quote::{array, identifier, literal};
use super::{
    GRAVEYARD, LOCK, LOGIN, Next, Refusal, Results, TEMPLATE, Work, cell, flag, gateway_of,
    not_understood, run_of,
};
use crate::limits::{SHOWN_MAX, SWEEP_MAX};
use crate::{Did, Sweep};

/// How long after its end a login of another gateway is taken to be nobody's.
const FORSAKEN: &str = "interval '5 minutes'";

/// A sweep on its way.
pub(super) struct Sweeping {
    sweep: Sweep,
    state: State,
    /// What is to be kept from logging in, then dropped.
    logins: VecDeque<String>,
    shut: VecDeque<String>,
    templates: VecDeque<String>,
    /// Whether memberships say what they are for (PostgreSQL 16).
    options: bool,
    /// Whether there is somebody to whom things can be left.
    graveyard: bool,
    dropped: u64,
    failed: Vec<String>,
}

enum State {
    /// Asked which roles there are.
    Listing,
    /// Kept a login from logging in again.
    Shutting(String),
    /// Ended all sessions of the logins at once.
    Ending,
    /// Waited for the sessions of a login, and asked what it owns.
    Emptying(String),
    /// Dropped a login.
    Dropping(String),
    /// Asked about a template.
    Leaving(String),
    /// Dropped a template.
    Clearing(String),
}

impl Sweeping {
    pub(super) fn new(sweep: Sweep) -> Self {
        Self {
            sweep,
            state: State::Listing,
            logins: VecDeque::new(),
            shut: VecDeque::new(),
            templates: VecDeque::new(),
            options: false,
            graveyard: false,
            dropped: 0,
            failed: Vec::new(),
        }
    }

    fn listed(&mut self, results: &Results) -> Option<Next> {
        let [session, logins, templates] = results.as_slice() else {
            return None;
        };
        let session = session.first()?;
        self.options = cell(session, 0)?.parse::<u32>().ok()? >= 160_000;
        self.graveyard = flag(session, 1)?;
        for row in logins {
            let (name, comment) = (cell(row, 0)?, cell(row, 1).unwrap_or_default());
            let Some(run) = run_of(name) else { continue };
            let forsaken = flag(row, 2)? && flag(row, 3)?;
            let ours = match gateway_of(comment) {
                Some(gateway) => gateway == self.sweep.gateway || forsaken,
                // Whoever made it, it was no gateway.
                None => false,
            };
            if ours && !(self.sweep.live)(&run) {
                self.logins.push_back(name.to_owned());
            }
        }
        for row in templates {
            let (name, comment) = (cell(row, 0)?, cell(row, 1).unwrap_or_default());
            if gateway_of(comment) == Some(&*self.sweep.gateway) && !(self.sweep.keep)(name) {
                self.templates.push_back(name.to_owned());
            }
        }
        Some(self.shut_next())
    }

    fn shut_next(&mut self) -> Next {
        if let Some(name) = self.logins.pop_front() {
            let role = identifier(&name);
            let options = match self.options {
                true => " WITH INHERIT TRUE, SET TRUE",
                false => "",
            };
            self.state = State::Shutting(name);
            // To be a member of it is what ending its sessions and giving its things away takes.
            return Next::Ask(format!(
                "ALTER ROLE {role} NOLOGIN; GRANT {role} TO CURRENT_USER{options}"
            ));
        }
        if self.shut.is_empty() {
            return self.leave_next();
        }
        self.state = State::Ending;
        Next::Ask(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename::text = ANY ({})",
            array(self.shut.iter().map(String::as_str))
        ))
    }

    fn empty_next(&mut self) -> Next {
        let Some(name) = self.shut.pop_front() else {
            return self.leave_next();
        };
        let role = literal(&name);
        self.state = State::Emptying(name);
        Next::Ask(format!(
            "SELECT COALESCE(bool_and(pg_terminate_backend(pid, 2000)), true)::text \
             FROM pg_stat_activity WHERE usename::text = {role}; \
             SELECT EXISTS (SELECT 1 FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass \
             AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = {role}) \
             AND deptype = 'o')::text"
        ))
    }

    fn emptied(&mut self, name: String, results: &Results) -> Next {
        let answer = |at: usize| flag(results.get(at)?.first()?, 0);
        let (Some(ended), Some(owns)) = (answer(0), answer(1)) else {
            self.fail(&name, &not_understood());
            return self.empty_next();
        };
        if !ended {
            self.fail(&name, "it has a session that does not end");
            return self.empty_next();
        }
        let role = identifier(&name);
        let graveyard = identifier(GRAVEYARD);
        let mut statements = Vec::new();
        if owns {
            // Not to the gateway: a function that somebody left here would run with its rights.
            if !self.graveyard {
                let comment = literal("bailiwick: owns what runs left behind, and may do nothing");
                statements.push(format!("CREATE ROLE {graveyard} NOLOGIN NOINHERIT"));
                statements.push(format!("COMMENT ON ROLE {graveyard} IS {comment}"));
            }
            statements.push(format!("GRANT {graveyard} TO CURRENT_USER"));
            statements.push(format!("REASSIGN OWNED BY {role} TO {graveyard}"));
        }
        statements.push(format!("DROP OWNED BY {role}"));
        statements.push(format!("DROP ROLE {role}"));
        self.state = State::Dropping(name);
        Next::Ask(statements.join("; "))
    }

    fn leave_next(&mut self) -> Next {
        let Some(name) = self.templates.pop_front() else {
            return self.finish();
        };
        let role = literal(&name);
        let held = holdings::held(&name);
        self.state = State::Leaving(name);
        Next::Anew(format!(
            "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); \
             SELECT 1::text FROM pg_auth_members m JOIN pg_roles t ON t.oid = m.roleid \
             JOIN pg_roles r ON r.oid = m.member \
             WHERE t.rolname = {role} AND r.rolname <> current_user; {held}"
        ))
    }

    fn left(&mut self, name: String, results: &Results) -> Next {
        let [_, members, held] = results.as_slice() else {
            self.fail(&name, &not_understood());
            return self.leave_next();
        };
        if !members.is_empty() {
            return self.leave_next();
        }
        // Each by its own statement: DROP OWNED takes the rights of an owner.
        let revokes = held.iter().filter_map(|row| cell(row, 6));
        let mut statements: Vec<String> = revokes
            .filter(|revoke| !revoke.is_empty())
            .map(str::to_owned)
            .collect();
        statements.push(format!("DROP ROLE {}; COMMIT", identifier(&name)));
        self.state = State::Clearing(name);
        Next::Ask(statements.join("; "))
    }

    fn fail(&mut self, name: &str, why: &str) {
        self.failed.push(format!("role {name}: {why}"));
    }

    fn finish(&mut self) -> Next {
        self.failed.truncate(SHOWN_MAX);
        Next::Did(Did::Swept {
            dropped: self.dropped,
            failed: std::mem::take(&mut self.failed),
        })
    }
}

impl Work for Sweeping {
    fn start(&mut self) -> String {
        // Which roles of other gateways it may drop, it knows before it tries.
        format!(
            "SELECT current_setting('server_version_num'), \
             EXISTS (SELECT 1 FROM pg_roles WHERE rolname = {graveyard})::text; \
             SELECT r.rolname::text, shobj_description(r.oid, 'pg_authid'), \
             COALESCE(r.rolvaliduntil < now() - {FORSAKEN}, false)::text, \
             (current_setting('server_version_num')::int < 160000 OR me.rolsuper \
             OR pg_has_role(me.oid, r.oid, 'MEMBER WITH ADMIN OPTION'))::text \
             FROM pg_roles r, pg_roles me WHERE me.rolname = current_user \
             AND starts_with(r.rolname::text, {logins}) ORDER BY r.rolname LIMIT {SWEEP_MAX}; \
             SELECT r.rolname::text, shobj_description(r.oid, 'pg_authid') \
             FROM pg_roles r, pg_database here WHERE here.datname = current_database() \
             AND starts_with(r.rolname::text, {templates}) \
             AND NOT EXISTS (SELECT 1 FROM pg_shdepend d \
             WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid \
             AND (d.dbid NOT IN (0, here.oid) \
             OR d.classid = 'pg_database'::regclass AND d.objid <> here.oid))",
            graveyard = literal(GRAVEYARD),
            logins = literal(LOGIN),
            templates = literal(TEMPLATE)
        )
    }

    fn answered(&mut self, answer: Result<Results, Refusal>) -> Next {
        match (std::mem::replace(&mut self.state, State::Listing), answer) {
            (State::Listing, Ok(results)) => match self.listed(&results) {
                Some(next) => next,
                None => Next::Failed(not_understood()),
            },
            (State::Listing, Err(refusal)) => Next::Failed(refusal.to_string()),
            (State::Shutting(name), Ok(_)) => {
                self.shut.push_back(name);
                self.shut_next()
            }
            (State::Shutting(name), Err(refusal)) => {
                self.refused(&name, &refusal);
                self.shut_next()
            }
            // Each is waited for again, and then it is said of whom it failed.
            (State::Ending, _) => self.empty_next(),
            (State::Emptying(name), Ok(results)) => self.emptied(name, &results),
            (State::Dropping(_), Ok(_)) => {
                self.dropped += 1;
                self.empty_next()
            }
            (State::Emptying(name) | State::Dropping(name), Err(refusal)) => {
                self.refused(&name, &refusal);
                self.empty_next()
            }
            (State::Leaving(name), Ok(results)) => self.left(name, &results),
            (State::Clearing(_), Ok(_)) => self.leave_next(),
            (State::Leaving(name) | State::Clearing(name), Err(refusal)) => {
                self.refused(&name, &refusal);
                self.leave_next()
            }
        }
    }
}

impl Sweeping {
    /// Where somebody else is at the same role, as a sweep of another database of the same server is,
    /// it is theirs; the next sweep looks again.
    fn refused(&mut self, name: &str, refusal: &Refusal) {
        if refusal.code != "42704" && !refusal.is_at_once() {
            self.fail(name, &refusal.to_string());
        }
    }
}
