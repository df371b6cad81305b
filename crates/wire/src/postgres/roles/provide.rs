//! Making a run's login: what it may do is worked out, the template that holds that is made if it is
//! not there, and the login becomes a member of it. All in one transaction.

use bailiwick_run::{ScramKeys, Verifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::facts::{self, Facts};
use super::holdings::{self, Holdings};
use super::quote::{array, identifier, literal};
use super::rights::{Rights, beyond};
use super::{
    LOCK, Next, Refusal, Results, Work, cell, login_comment, login_name, not_understood,
    template_comment,
};
use crate::limits::{LOGINS_PER_RUN_MAX, PROVIDE_ATTEMPTS_MAX, SHOWN_MAX};
use crate::{Did, Login};

/// A login that is being made.
pub(super) struct Provide {
    login: Login,
    state: State,
    /// Holding the lock by oneself, to change the template.
    alone: bool,
    attempts: u32,
}

enum State {
    /// Asked what the target has.
    Facts,
    /// Asked what the template holds.
    Looking(Wanted),
    /// The template was made or mended, and was asked again what it holds.
    Mended(Wanted),
    /// Making the login.
    Making { user: String, template: String },
}

/// What the run needs.
struct Wanted {
    rights: Rights,
    template: String,
    /// The gateway's own role.
    by: String,
}

impl Provide {
    pub(super) fn new(login: Login) -> Self {
        Self {
            login,
            state: State::Facts,
            alone: false,
            attempts: 0,
        }
    }

    /// Begins, or begins again. Whoever only looks at a template shares the lock; whoever changes one,
    /// or drops it, has it alone.
    fn begin(&mut self, alone: bool) -> String {
        self.alone = alone;
        self.state = State::Facts;
        let shared = if alone { "" } else { "_shared" };
        format!(
            "BEGIN; SELECT pg_advisory_xact_lock{shared}({LOCK}); {}",
            facts::query(&self.login.fence.grants())
        )
    }

    fn has_facts(&mut self, results: &Results) -> Result<Next, String> {
        // The first result is the lock's.
        let facts = results.get(1..).and_then(Facts::read);
        let facts = facts.ok_or_else(not_understood)?;
        let by = &facts.user;
        if !facts.makes_roles {
            return Err(format!(
                "the gateway's role {by} there may not make roles, which credentials = \
                 \"per-run\" takes; a superuser has to run: ALTER ROLE {} CREATEROLE \
                 (docs/postgres-credentials.md)",
                identifier(by)
            ));
        }
        let rights = Rights::new(&*self.login.fence, &facts)?;
        let template = rights.template(&self.login.gateway, self.login.fence.task(), &facts);
        let ask = self.look(&template, &rights);
        self.state = State::Looking(Wanted {
            rights,
            template,
            by: facts.user,
        });
        Ok(Next::Ask(ask))
    }

    /// Asks what the template holds, and which names for the login are taken.
    fn look(&self, template: &str, rights: &Rights) -> String {
        let names = self.names();
        format!(
            "{}; SELECT rolname::text FROM pg_roles WHERE rolname::text = ANY ({})",
            holdings::query(template, rights),
            array(names.iter().map(String::as_str))
        )
    }

    /// The names that the login may have. The second and on are for where several targets are
    /// databases of one server, whose roles are the same.
    fn names(&self) -> Vec<String> {
        let name = login_name(&self.login.run);
        let more = (2..=LOGINS_PER_RUN_MAX).map(|number| format!("{name}_{number}"));
        std::iter::once(name.clone()).chain(more).collect()
    }

    fn looked(&mut self, wanted: Wanted, results: &Results, mended: bool) -> Result<Next, String> {
        let Some((taken, holdings)) = results.split_last() else {
            return Err(not_understood());
        };
        let Some(holdings) = Holdings::read(holdings, &wanted.rights) else {
            return Ok(self.again(&not_understood()));
        };
        if !holdings.excess.is_empty() {
            let excess: Vec<_> = holdings.excess.into_iter().take(SHOWN_MAX).collect();
            return Err(format!(
                "role {} holds what its task does not grant, and not from the gateway; whoever gave \
                 it has to take it back: {}",
                wanted.template,
                excess.join("; ")
            ));
        }
        if !holdings.lacking.is_empty() {
            return Err(cannot_give(
                &wanted.rights,
                &holdings,
                &wanted.by,
                SHOWN_MAX,
            ));
        }
        if holdings.exists && holdings.missing.is_empty() {
            return self.make(wanted, taken);
        }
        if mended {
            return Err(format!(
                "role {} did not come to hold what was granted to it",
                wanted.template
            ));
        }
        if !self.alone {
            return Ok(Next::Anew(self.begin(true)));
        }
        let mut statements = Vec::new();
        if !holdings.exists {
            let template = identifier(&wanted.template);
            let comment = literal(&template_comment(&self.login.gateway));
            statements.push(format!("CREATE ROLE {template} NOLOGIN"));
            statements.push(format!("COMMENT ON ROLE {template} IS {comment}"));
        }
        statements.extend(wanted.rights.grant(&holdings.missing, &wanted.template, ""));
        statements.push(self.look(&wanted.template, &wanted.rights));
        self.state = State::Mended(wanted);
        Ok(Next::Ask(statements.join("; ")))
    }

    fn make(&mut self, wanted: Wanted, taken: &[crate::sql::Row]) -> Result<Next, String> {
        let taken: Vec<_> = taken.iter().filter_map(|row| cell(row, 0)).collect();
        let names = self.names();
        let free = names.into_iter().find(|name| !taken.contains(&&**name));
        let Some(user) = free else {
            return Err(format!(
                "run {} has {LOGINS_PER_RUN_MAX} logins there already",
                self.login.run
            ));
        };
        let Login {
            run,
            gateway,
            expires,
            sessions,
            ..
        } = &self.login;
        let role = identifier(&user);
        let ask = format!(
            "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION \
             NOBYPASSRLS INHERIT CONNECTION LIMIT {sessions} PASSWORD {} VALID UNTIL {} \
             IN ROLE {}; COMMENT ON ROLE {role} IS {}; COMMIT",
            literal(&verifier(&self.login)),
            literal(&expires.to_string()),
            identifier(&wanted.template),
            literal(&login_comment(run, gateway, *expires)),
        );
        self.state = State::Making {
            user,
            template: wanted.template,
        };
        Ok(Next::Ask(ask))
    }

    /// Begins again after what may be better next time.
    fn again(&mut self, why: &str) -> Next {
        self.attempts += 1;
        if self.attempts >= PROVIDE_ATTEMPTS_MAX {
            return Next::Failed(why.to_owned());
        }
        Next::Anew(self.begin(self.alone))
    }
}

impl Work for Provide {
    fn start(&mut self) -> String {
        self.begin(false)
    }

    fn answered(&mut self, answer: Result<Results, Refusal>) -> Next {
        let results = match answer {
            Ok(results) => results,
            Err(refusal) if passes(&refusal) => return self.again(&refusal.to_string()),
            Err(refusal) => return Next::Failed(refusal.to_string()),
        };
        let next = match std::mem::replace(&mut self.state, State::Facts) {
            State::Facts => match beyond(&self.login.fence.grants()) {
                beyond if beyond.is_empty() => self.has_facts(&results),
                beyond => Err(format!(
                    "a login of its own cannot hold a run to all that its task grants: {}",
                    beyond.join("; ")
                )),
            },
            State::Looking(wanted) => self.looked(wanted, &results, false),
            State::Mended(wanted) => self.looked(wanted, &results, true),
            State::Making { user, template } => Ok(Next::Did(Did::Provided { user, template })),
        };
        next.unwrap_or_else(Next::Failed)
    }
}

/// Whether a refusal is somebody else's doing at the same moment: a lock, a change of the same row.
fn passes(refusal: &Refusal) -> bool {
    matches!(
        &*refusal.code,
        // A role of that name, or its entry, just made; an object just dropped.
        "42710" | "23505" | "42704" | "42P01" | "42883" | "3F000"
        // Deadlock, serialisation, a lock that was not to be had.
        | "40P01" | "40001" | "55P03"
    ) || refusal.is_at_once()
}

/// What a database administrator has to do before a template can be given what it lacks.
pub(super) fn cannot_give(
    rights: &Rights,
    holdings: &Holdings<'_>,
    by: &str,
    max: usize,
) -> String {
    let statements = rights.grant(&holdings.lacking, by, " WITH GRANT OPTION");
    let more = match statements.len().saturating_sub(max) {
        0 => String::new(),
        more => format!("; and {more} more, which `bailiwick task check` lists"),
    };
    let shown: Vec<_> = statements.into_iter().take(max).collect();
    format!(
        "the gateway's role {by} may not pass on what the task grants; somebody who may has to run: \
         {}{more}",
        shown.join("; ")
    )
}

/// What the target checks the password against, as it stores it itself: so the password is in no
/// statement, and in no log of the target.
fn verifier(login: &Login) -> String {
    let iterations = Verifier::ITERATIONS;
    let keys = ScramKeys::derive(login.password.as_bytes(), &login.salt, iterations);
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(login.salt),
        STANDARD.encode(keys.stored()),
        STANDARD.encode(keys.server())
    )
}
