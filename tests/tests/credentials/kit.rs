//! A gateway that enters its target as nobody but what its runs need.

use std::time::Duration;

use bailiwick_tests::{Builder, Run, SERVICE_PASSWORD, Store, Version, World, eventually, task};

/// The gateway's own role: no superuser, and no more than the documentation says.
pub(crate) const GATEWAY: &str = "gateway";

/// How long a role of a run may outlive it here. What is promised is "within seconds"; the machine that
/// runs the tests may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// What a database administrator does once, beside making the role: everything that tasks here need, and
/// a table that none of them names.
const GRANTS: &str = "
GRANT USAGE ON SCHEMA public, billing TO gateway WITH GRANT OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON tickets, comments, drafts, contacts TO gateway WITH GRANT OPTION;
GRANT SELECT ON billing.cards TO gateway WITH GRANT OPTION;
GRANT USAGE, SELECT, UPDATE ON SEQUENCE comments_id_seq, numbers TO gateway WITH GRANT OPTION;
";

/// A store, a database in it, and a gateway in front of that.
pub(crate) struct Fenced {
    pub(crate) store: &'static Store,
    pub(crate) database: String,
    pub(crate) world: World,
}

/// Makes the gateway's role, once for a server.
pub(crate) fn gateway_role(store: &Store) {
    // Two tests may come to it at the same time.
    let _ = store.try_sql(
        "postgres",
        &format!("CREATE ROLE {GATEWAY} LOGIN CREATEROLE PASSWORD '{SERVICE_PASSWORD}'"),
    );
}

/// The target's URL for the gateway's role.
pub(crate) fn url(store: &Store, database: &str) -> String {
    World::url(store, database).replace("svc:", &format!("{GATEWAY}:"))
}

impl Fenced {
    /// With `credentials = "per-run"` and one task, `triage`.
    pub(crate) fn new(version: Version, grants: &str) -> Self {
        Self::with(version, grants, "per-run", "")
    }

    /// With these credentials, and with this done to the database first.
    pub(crate) fn with(version: Version, grants: &str, credentials: &str, prepare: &str) -> Self {
        let builder = World::builder().task(task("triage", grants));
        Self::from(version, builder, credentials, prepare)
    }

    /// With the tasks and guardrails of this builder.
    pub(crate) fn from(
        version: Version,
        builder: Builder,
        credentials: &str,
        prepare: &str,
    ) -> Self {
        let store = Store::of(version);
        gateway_role(store);
        let database = store.database();
        store.sql(&database, &format!("{GRANTS}{prepare}"));
        let world = builder
            .name(&format!("test.example/{database}"))
            .target("tickets", &url(store, &database))
            .target_setting(&format!("credentials = \"{credentials}\""))
            .start();
        Self {
            store,
            database,
            world,
        }
    }

    /// What SQL says at the target itself, past the gateway.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.store.sql(&self.database, sql)
    }

    /// The roles that this gateway has made, by the beginning of their names.
    pub(crate) fn roles(&self, prefix: &str) -> Vec<String> {
        let name = &self.database;
        let found = self.sql(&format!(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{prefix}') \
             AND shobj_description(oid, 'pg_authid') ~ 'of test.example/{name}( |$)' ORDER BY 1"
        ));
        found.lines().map(str::to_owned).collect()
    }

    /// The logins of runs.
    pub(crate) fn logins(&self) -> Vec<String> {
        self.roles("bailiwick_run_")
    }

    /// The roles that hold what tasks grant.
    pub(crate) fn templates(&self) -> Vec<String> {
        self.roles("bailiwick_task_")
    }

    /// Waits until no run has a login.
    #[track_caller]
    pub(crate) fn all_gone(&self) {
        eventually("the logins are gone", SOON, || {
            self.logins().is_empty().then_some(())
        });
    }

    /// What the target says to statements of a run's own login: with the gateway out of the way.
    pub(crate) fn as_login(&self, login: &str, sql: &str) -> Result<String, String> {
        let set = format!("\\set VERBOSITY verbose\nSET SESSION AUTHORIZATION \"{login}\";\n");
        self.store.try_sql(&self.database, &format!("{set}{sql}"))
    }
}

/// The name of a run's login.
pub(crate) fn login(run: &Run) -> String {
    format!("bailiwick_{}", run.id.to_lowercase())
}
