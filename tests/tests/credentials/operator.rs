//! What whoever runs the gateway is told when a run cannot have a login, and what the agent is not.

use bailiwick_tests::{
    Agent, SERVICE_PASSWORD, Store, TRIAGE, Version, World, certificate, finish, task,
};

use crate::kit::{Fenced, gateway_role, login, url};
use crate::on_each_version;

on_each_version!(
    a_gateway_that_may_not_make_roles_says_so,
    what_the_gateway_may_not_pass_on_is_named,
    what_cannot_be_fenced_is_refused,
    a_template_that_holds_more_is_not_used,
    two_targets_may_be_one_server,
    check_says_which_fences_are_up,
    a_superuser_does_and_is_advised_against,
);

/// The agent is refused without a word about where or as whom; the operator reads these words in the
/// gateway's own log and in the run's trail.
#[track_caller]
fn refused(fenced: &Fenced, words: &[&str]) {
    let run = fenced.world.open("triage");
    let report = Agent::try_connect(&run).err().expect("no session");
    assert_eq!(report.code, "08001", "{report:#?}");
    assert!(report.message.contains("`tickets`"), "{report:#?}");
    let port = fenced.store.port().to_string();
    for secret in [
        "127.0.0.1",
        &port,
        "gateway:",
        "GRANT",
        "CREATEROLE",
        "role",
    ] {
        assert!(!report.whole.contains(secret), "{secret}: {report:#?}");
    }
    let trail = format!("{:?}", fenced.world.trail(&run.id));
    let said = fenced.world.said();
    for word in words {
        assert!(said.contains(word), "its log does not say {word}: {said}");
        let word = word.replace('"', "\\\"");
        assert!(
            trail.contains(&word) || trail.contains(&word.replace('\\', "\\\\")),
            "the trail does not say {word}: {trail}"
        );
    }
    assert!(fenced.logins().is_empty());
}

fn a_gateway_that_may_not_make_roles_says_so(version: Version) {
    let store = Store::of(version);
    gateway_role(store);
    let database = store.database();
    store.sql(
        &database,
        &format!(
            "CREATE ROLE plain_{database} LOGIN PASSWORD '{}'",
            SERVICE_PASSWORD
        ),
    );
    let plain = format!("plain_{database}");
    let world = World::builder()
        .name(&format!("test.example/{database}"))
        .task(task("triage", TRIAGE))
        .target(
            "tickets",
            &url(store, &database).replace("gateway:", &format!("{plain}:")),
        )
        .target_setting("credentials = \"per-run\"")
        .start();
    let fenced = Fenced {
        store,
        database,
        world,
    };
    refused(
        &fenced,
        &[&format!("{plain} there may not make roles"), "CREATEROLE"],
    );
    // Once it may, the next session of a run goes through; nothing has to be started again.
    fenced.sql(&format!(
        "ALTER ROLE {plain} CREATEROLE; GRANT USAGE ON SCHEMA public TO {plain} WITH GRANT OPTION; \
         GRANT SELECT, INSERT, UPDATE ON tickets, comments TO {plain} WITH GRANT OPTION; \
         GRANT USAGE ON SEQUENCE comments_id_seq TO {plain} WITH GRANT OPTION"
    ));
    let run = fenced.world.open("triage");
    Agent::connect(&run)
        .query("SELECT subject FROM tickets")
        .ok();
    assert_eq!(fenced.logins(), [login(&run)]);
    let Fenced {
        store,
        database,
        mut world,
    } = fenced;
    world.stop();
    store.sql(
        &database,
        &format!("DROP OWNED BY {plain}; DROP ROLE {plain}"),
    );
}

fn what_the_gateway_may_not_pass_on_is_named(version: Version) {
    let invoices = "[[read]]\ntarget = \"tickets\"\ntables = [\"billing.invoices\"]\n\
                    [[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\n";
    let fenced = Fenced::new(version, invoices);
    let grant = "GRANT SELECT ON TABLE billing.invoices TO \"gateway\" WITH GRANT OPTION";
    refused(&fenced, &["may not pass on", grant]);
    // The statement that it names is the one that it takes.
    fenced.sql(grant);
    let run = fenced.world.open("triage");
    Agent::connect(&run)
        .query("SELECT * FROM billing.invoices")
        .ok();
}

fn what_cannot_be_fenced_is_refused(version: Version) {
    let fenced = Fenced::new(
        version,
        &format!(
            "{TRIAGE}[[destroy]]\ntarget = \"tickets\"\ntables = [\"public.drafts\"]\nverbs = [\"drop\"]\n\
             [[write]]\ntarget = \"tickets\"\ntables = [\"public.drafts\"]\nverbs = [\"lock\"]\n\
             [[admin]]\ntarget = \"tickets\"\nroles = [\"gateway\"]\nverbs = [\"set\"]\n"
        ),
    );
    refused(
        &fenced,
        &[
            "drop on public.drafts: PostgreSQL leaves that to owners",
            "lock on public.drafts: ",
            "set on role gateway: ",
        ],
    );
}

fn a_template_that_holds_more_is_not_used(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let run = fenced.world.open("triage");
    Agent::connect(&run).query("SELECT 1").ok();
    let template = fenced.templates().remove(0);
    fenced.world.bailiwick(&["close", &run.id]).ok();
    fenced.all_gone();
    for (more, back, words) in [
        (
            "GRANT SELECT ON billing.cards TO",
            "REVOKE SELECT ON billing.cards FROM",
            "REVOKE SELECT ON TABLE billing.cards FROM",
        ),
        (
            "GRANT DELETE ON tickets TO",
            "REVOKE DELETE ON tickets FROM",
            "REVOKE DELETE ON TABLE public.tickets FROM",
        ),
        (
            "GRANT UPDATE (email) ON tickets TO",
            "REVOKE UPDATE (email) ON tickets FROM",
            "REVOKE UPDATE (email) ON TABLE public.tickets FROM",
        ),
        (
            "GRANT pg_read_all_data TO",
            "REVOKE pg_read_all_data FROM",
            "it is a member of another role",
        ),
    ] {
        fenced.sql(&format!("{more} {template}"));
        refused(&fenced, &["holds what its task does not grant", words]);
        fenced.sql(&format!("{back} {template}"));
    }
    fenced.sql(&format!("ALTER ROLE {template} BYPASSRLS"));
    refused(&fenced, &["another right of its own"]);
    fenced.sql(&format!("ALTER ROLE {template} NOBYPASSRLS"));
    let run = fenced.world.open("triage");
    Agent::connect(&run)
        .query("SELECT subject FROM tickets")
        .ok();
}

/// Roles are a server's, not a database's.
fn two_targets_may_be_one_server(version: Version) {
    let store = Store::of(version);
    gateway_role(store);
    let databases = [store.database(), store.database()];
    for database in &databases {
        store.sql(
            database,
            "GRANT USAGE ON SCHEMA public TO gateway WITH GRANT OPTION; \
             GRANT SELECT ON drafts, comments TO gateway WITH GRANT OPTION",
        );
    }
    let [database, other] = databases;
    let read = |target: &str, table: &str| {
        format!("[[read]]\ntarget = \"{target}\"\ntables = [\"public.{table}\"]\n")
    };
    let grants = read("tickets", "drafts") + &read("other", "comments");
    let world = World::builder()
        .name(&format!("test.example/{database}"))
        .task(task("triage", &grants))
        .target("tickets", &url(store, &database))
        .target("other", &url(store, &other))
        .target_setting("credentials = \"per-run\"")
        .start();
    let fenced = Fenced {
        store,
        database,
        world,
    };
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT * FROM drafts").ok();
    let mut second = Agent::log_in(&run.url_of("other")).expect("a session with the other");
    second.query("SELECT * FROM comments").ok();
    let logins = fenced.logins();
    assert_eq!(logins, [login(&run), format!("{}_2", login(&run))]);
    // Neither login may do at the one what it may at the other.
    for login in &logins {
        for (database, table) in [(&other, "drafts"), (&fenced.database, "comments")] {
            let sql = format!("SET SESSION AUTHORIZATION {login}; SELECT * FROM {table}");
            let answer = store.try_sql(database, &sql);
            assert!(answer.is_err_and(|error| error.contains("permission denied")));
        }
    }
    fenced.world.bailiwick(&["close", &run.id]).ok();
    fenced.all_gone();
    // What is at the other database is not this one's to clear, and no complaint.
    let mut fenced = fenced;
    fenced.world.stop();
    let left = fenced.roles("bailiwick_");
    assert!(left.is_empty(), "{left:?}");
    let said = fenced.world.said();
    assert!(!said.contains("WARN"), "{said}");
}

fn check_says_which_fences_are_up(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let check = |arguments: &[&str]| {
        let mut command = fenced
            .world
            .command(&[&["task", "check", "triage"], arguments].concat());
        command.env("TARGET_PASSWORD", SERVICE_PASSWORD);
        finish(&mut command).ok().replace('\n', " ")
    };
    let squeeze = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    fenced.sql("REVOKE GRANT OPTION FOR UPDATE ON tickets FROM gateway");
    let said = squeeze(check(&[]));
    let grant =
        "GRANT UPDATE (\"priority\") ON TABLE public.tickets TO \"gateway\" WITH GRANT OPTION";
    assert!(
        said.contains(&format!("somebody who may has to run: {grant}")),
        "{said}"
    );
    fenced.sql(grant);
    let offline = squeeze(check(&["--offline"]));
    assert!(offline.contains("◦ two fences on tickets"), "{offline}");
    let said = squeeze(check(&[]));
    assert!(said.contains("✓ two fences on tickets"), "{said}");
    // What the target lets everybody do is named.
    assert!(
        said.contains("everybody there may: make temporary tables"),
        "{said}"
    );
    assert!(said.contains("the gateway alone masks"), "{said}");
    let json: serde_json::Value = serde_json::from_str(check(&["--json"]).trim()).expect("JSON");
    let fence = &json["fences"][0];
    assert_eq!(fence["target"], "tickets", "{json:#}");
    assert_eq!(fence["credentials"], "per-run", "{json:#}");
    assert_eq!(fence["missing"], serde_json::json!([]), "{json:#}");
    // Looking makes nothing; what it names is what comes.
    assert!(fenced.templates().is_empty());
    let run = fenced.world.open("triage");
    Agent::connect(&run).query("SELECT 1").ok();
    assert_eq!(fence["role"], fenced.templates()[0], "{json:#}");

    let shared = Fenced::with(version, TRIAGE, "shared", "");
    let said = shared
        .world
        .bailiwick(&["task", "check", "triage", "--offline"]);
    let said = squeeze(said.ok().to_owned());
    assert!(said.contains("one fence on tickets"), "{said}");
}

fn a_superuser_does_and_is_advised_against(version: Version) {
    let store = Store::of(version);
    let database = store.database();
    let world = World::builder()
        .name(&format!("test.example/{database}"))
        .task(task("triage", TRIAGE))
        .target("tickets", &World::url(store, &database))
        .target_setting("credentials = \"per-run\"")
        .start();
    let mut fenced = Fenced {
        store,
        database,
        world,
    };
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    agent
        .query("INSERT INTO comments (ticket, text) VALUES (1, 'x')")
        .ok();
    let refused = fenced.as_login(&login(&run), "SELECT * FROM billing.cards");
    assert!(refused.is_err_and(|error| error.contains("42501")));
    let mut check = fenced.world.command(&["task", "check", "triage", "--json"]);
    let checked = finish(check.env("TARGET_PASSWORD", SERVICE_PASSWORD));
    let json: serde_json::Value = serde_json::from_str(checked.ok()).expect("JSON");
    let advice = json["fences"][0]["advice"][0].as_str().unwrap_or_default();
    assert!(advice.contains("svc is a superuser"), "{json:#}");
    fenced.world.stop();
    let left = fenced.roles("bailiwick_");
    assert!(left.is_empty(), "{left:?}");
}

/// Also what the gateway does for itself is told to nobody but the target.
#[test]
fn a_targets_sslmode_holds_for_all_that_goes_there() {
    let good = certificate("127.0.0.1");
    let store = Store::with_certificate(good.server);
    gateway_role(&store);
    let database = store.database();
    store.sql(
        &database,
        "GRANT USAGE ON SCHEMA public TO gateway WITH GRANT OPTION; \
         GRANT SELECT ON drafts TO gateway WITH GRANT OPTION",
    );
    let drafts = "[[read]]\ntarget = \"tickets\"\ntables = [\"public.drafts\"]\n";
    for (authority, fine) in [
        (good.authority, true),
        (certificate("127.0.0.1").authority, false),
    ] {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), authority).expect("a certificate");
        let url = url(&store, &database).replace(
            "sslmode=disable",
            &format!("sslmode=verify-full&sslrootcert={}", file.path().display()),
        );
        let mut world = World::builder()
            .task(task("triage", drafts))
            .target("tickets", &url)
            .target_setting("credentials = \"per-run\"")
            .start();
        let run = world.open("triage");
        match Agent::try_connect(&run) {
            Ok(mut agent) => {
                agent.query("SELECT * FROM drafts").ok();
                let encrypted = format!(
                    "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = '{}'",
                    login(&run)
                );
                assert_eq!(store.sql(&database, &encrypted), "t");
                assert!(fine);
            }
            Err(refused) => {
                assert!(!fine, "{refused:#?}");
                assert!(world.said().contains("ertificate"), "{}", world.said());
            }
        }
        world.stop();
        let left = "SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'bailiwick_')";
        assert_eq!(store.sql(&database, left), "0");
    }
}
