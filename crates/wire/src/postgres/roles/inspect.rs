//! Looking at what the logins of a task's runs would be, without making one.

use std::sync::Arc;

use super::facts::{self, Facts};
use super::holdings::{self, Holdings};
use super::provide::cannot_give;
use super::quote::identifier;
use super::rights::{Rights, beyond};
use super::{Next, Refusal, Results, Work, cell, not_understood};
use crate::limits::SHOWN_MAX;
use crate::{Did, Fence, Inspection};

/// A look at a target.
pub(super) struct Inspect {
    gateway: String,
    fence: Arc<dyn Fence>,
    wanted: Option<(Rights, Facts)>,
    found: Inspection,
}

/// What everybody may do, and so every login: a line each, in words.
const EVERYBODY: &str = "\
    SELECT 'make temporary tables' WHERE has_database_privilege('public', current_database(), 'TEMP') \
    UNION ALL SELECT 'make things in schema ' || quote_ident(nspname) FROM pg_namespace \
    WHERE has_schema_privilege('public', oid, 'CREATE') \
    UNION ALL SELECT lower(string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type)) || ' on ' \
    || c.oid::regclass::text FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) a \
    WHERE a.grantee = 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
    AND has_schema_privilege('public', n.oid, 'USAGE') GROUP BY c.oid \
    UNION ALL SELECT 'run ' || p.oid::regprocedure::text || ' with the rights of ' \
    || pg_get_userbyid(p.proowner) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
    WHERE p.prosecdef AND has_function_privilege('public', p.oid, 'EXECUTE') \
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
    AND has_schema_privilege('public', n.oid, 'USAGE') \
    UNION ALL SELECT 'make large objects' WHERE EXISTS (SELECT 1 FROM pg_proc \
    WHERE pronamespace = 'pg_catalog'::regnamespace \
    AND proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import') \
    AND has_function_privilege('public', oid, 'EXECUTE'))";

impl Inspect {
    pub(super) fn new(gateway: String, fence: Arc<dyn Fence>) -> Self {
        Self {
            gateway,
            fence,
            wanted: None,
            found: Inspection::default(),
        }
    }

    fn has_facts(&mut self, results: &Results) -> Result<Next, String> {
        let facts = results.get(..facts::RESULTS).and_then(Facts::read);
        let facts = facts.ok_or_else(not_understood)?;
        let everybody = results.get(facts::RESULTS).ok_or_else(not_understood)?;
        let mut unfenced: Vec<String> = everybody
            .iter()
            .filter_map(|row| cell(row, 0).map(str::to_owned))
            .collect();
        if let more @ 1.. = unfenced.len().saturating_sub(SHOWN_MAX) {
            unfenced.truncate(SHOWN_MAX);
            unfenced.push(format!("{more} more such things"));
        }
        self.found.unfenced = unfenced;
        self.found.missing = beyond(&self.fence.grants());
        let by = &facts.user;
        if !facts.makes_roles {
            self.found.missing.push(format!(
                "the gateway's role {by} may not make roles; a superuser has to run: ALTER ROLE {} \
                 CREATEROLE",
                identifier(by)
            ));
        }
        if facts.superuser {
            self.found.advice.push(format!(
                "the gateway's role {by} is a superuser; it needs no more than CREATEROLE and what \
                 the tasks grant (docs/postgres-credentials.md)"
            ));
        }
        let rights = Rights::new(&*self.fence, &facts)?;
        self.found.template = rights.template(&self.gateway, self.fence.task(), &facts);
        let ask = holdings::query(&self.found.template, &rights);
        self.wanted = Some((rights, facts));
        Ok(Next::Ask(ask))
    }

    fn has_holdings(&mut self, rights: &Rights, facts: &Facts, results: &Results) -> Next {
        let Some(holdings) = Holdings::read(results, rights) else {
            return Next::Failed(not_understood());
        };
        if !holdings.lacking.is_empty() {
            let words = cannot_give(rights, &holdings, &facts.user, usize::MAX);
            self.found.missing.push(words);
        }
        for excess in &holdings.excess {
            let words = format!(
                "role {} holds more than the task grants; whoever gave it has to take it back: \
                 {excess}",
                self.found.template
            );
            self.found.missing.push(words);
        }
        Next::Did(Did::Inspected(std::mem::take(&mut self.found)))
    }
}

impl Work for Inspect {
    fn start(&mut self) -> String {
        format!("{}; {EVERYBODY}", facts::query(&self.fence.grants()))
    }

    fn answered(&mut self, answer: Result<Results, Refusal>) -> Next {
        let results = match answer {
            Ok(results) => results,
            Err(refusal) => return Next::Failed(refusal.to_string()),
        };
        match self.wanted.take() {
            None => self.has_facts(&results).unwrap_or_else(Next::Failed),
            Some((rights, facts)) => self.has_holdings(&rights, &facts, &results),
        }
    }
}
