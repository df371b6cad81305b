//! A run's login goes when the run does, whatever ended it and whatever it left.

use std::time::Duration;

use bailiwick_tests::{Agent, Report, TRIAGE, Version, eventually};

use crate::kit::{Fenced, SOON, login};
use crate::on_each_version;

on_each_version!(
    the_end_of_a_run_takes_its_login,
    sessions_past_the_gateway_are_cut_too,
    what_a_run_leaves_does_not_keep_its_login,
    a_gateway_that_was_killed_sweeps_when_it_starts,
    a_gateway_that_stops_leaves_nothing,
    what_is_not_the_gateways_own_is_left_alone,
    first_sessions_at_the_same_time_share_one_login,
);

fn the_end_of_a_run_takes_its_login(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let world = &fenced.world;
    let closed = world.open("triage");
    let revoked = world.open("triage");
    let expired = world.open_with(&["--task", "triage", "--ttl", "3s"]);
    let stays = world.open("triage");
    let runs = [&closed, &revoked, &expired, &stays];
    let mut agents = runs.map(Agent::connect);
    for agent in &mut agents {
        agent.query("SELECT 1").ok();
    }
    assert_eq!(fenced.logins().len(), 4);
    let gone = |run, why| {
        eventually(why, SOON, || {
            (!fenced.logins().contains(&login(run))).then_some(())
        });
    };
    let [in_closed, in_revoked, in_expired, in_stays] = &mut agents;
    world.bailiwick(&["close", &closed.id]).ok();
    gone(&closed, "the login of a closed run is gone");
    world.bailiwick(&["revoke", &revoked.id]).ok();
    gone(&revoked, "the login of a revoked run is gone");
    gone(&expired, "the login of an expired run is gone");
    for (agent, why) in [
        (in_closed, "closed"),
        (in_revoked, "revoked"),
        (in_expired, "time box"),
    ] {
        let last: Report = agent.last_words().expect("last words");
        // The gateway's own words, not those of a target that ends a session.
        assert_eq!(last.code, "57P01", "{last:#?}");
        assert!(last.message.contains(why), "{last:#?}");
    }
    in_stays.query("SELECT subject FROM tickets").ok();
    assert_eq!(fenced.logins(), [login(&stays)]);
    // It may be wanted again soon.
    assert_eq!(fenced.templates().len(), 1);
}

fn sessions_past_the_gateway_are_cut_too(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT 1").ok();
    let login = login(&run);
    // As if somebody had got hold of its password.
    fenced.sql(&format!("ALTER ROLE {login} PASSWORD 'known'"));
    let url = format!(
        "postgres://{login}:known@127.0.0.1:{}/{}",
        fenced.store.port(),
        fenced.database
    );
    let mut past = Agent::log_in(&url).expect("a login");
    past.query("SELECT 1").ok();
    fenced.world.bailiwick(&["revoke", &run.id]).ok();
    let last = past.last_words().expect("last words");
    assert_eq!(last.code, "57P01", "{last:#?}");
    fenced.all_gone();
    assert!(Agent::log_in(&url).is_err());
}

fn what_a_run_leaves_does_not_keep_its_login(version: Version) {
    let fenced = Fenced::with(
        version,
        TRIAGE,
        "per-run",
        // As databases from before PostgreSQL 15 are.
        "GRANT CREATE ON SCHEMA public TO PUBLIC;",
    );
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT 1").ok();
    let login = login(&run);
    let left = fenced.as_login(
        &login,
        "CREATE TABLE left_behind (a int); INSERT INTO left_behind VALUES (1); \
         CREATE FUNCTION who() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'; \
         CREATE FUNCTION dig() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM tickets'; \
         SELECT lo_create(0); \
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC; \
         GRANT SELECT ON left_behind TO gateway",
    );
    assert!(left.is_ok(), "{left:?}");
    fenced.world.bailiwick(&["close", &run.id]).ok();
    fenced.all_gone();
    assert_eq!(fenced.sql("SELECT a FROM left_behind"), "1");
    // What it made runs with nobody's rights now: neither the run's nor the gateway's.
    let who = fenced.sql("SELECT who()");
    assert_eq!(who, "bailiwick_graveyard");
    let dug = fenced.store.try_sql(&fenced.database, "SELECT dig()");
    assert!(
        dug.as_ref()
            .is_err_and(|error| error.contains("permission denied")),
        "{dug:?}"
    );
    let nobody = fenced.sql(
        "SELECT rolcanlogin OR rolinherit, EXISTS (SELECT 1 FROM pg_auth_members WHERE member = r.oid) \
         FROM pg_roles r WHERE rolname = 'bailiwick_graveyard'",
    );
    assert_eq!(nobody, "f|f");
}

fn a_gateway_that_was_killed_sweeps_when_it_starts(version: Version) {
    let mut fenced = Fenced::new(version, TRIAGE);
    let runs = [(); 3].map(|()| fenced.world.open("triage"));
    let mut agents = runs.each_ref().map(Agent::connect);
    for agent in &mut agents {
        agent.query("SELECT 1").ok();
    }
    fenced.world.kill();
    assert_eq!(fenced.logins().len(), 3);
    assert_eq!(fenced.templates().len(), 1);
    fenced.world.serve();
    fenced.all_gone();
    eventually("no run of this gateway uses it", SOON, || {
        fenced.templates().is_empty().then_some(())
    });
    let run = fenced.world.open("triage");
    Agent::connect(&run)
        .query("SELECT subject FROM tickets")
        .ok();
    assert_eq!(fenced.logins(), [login(&run)]);
}

fn a_gateway_that_stops_leaves_nothing(version: Version) {
    let mut fenced = Fenced::new(version, TRIAGE);
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT 1").ok();
    fenced.world.stop();
    let left = fenced.roles("bailiwick_");
    assert!(left.is_empty(), "{left:?}");
    let privileges = fenced.sql(
        "SELECT count(*) FROM pg_class WHERE relacl::text LIKE '%bailiwick_%' \
         OR EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = pg_class.oid AND attacl::text LIKE '%bailiwick_%')",
    );
    assert_eq!(privileges, "0");
}

fn what_is_not_the_gateways_own_is_left_alone(version: Version) {
    let mut fenced = Fenced::new(version, TRIAGE);
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT 1").ok();
    fenced.world.kill();
    let name = |end: &str| format!("{}_{end}", login(&run));
    let (nobodys, others, long_over) = (name("nobody"), name("other"), name("over"));
    fenced.sql(&format!(
        "CREATE ROLE \"{nobodys}\" LOGIN; \
         CREATE ROLE \"{others}\" LOGIN VALID UNTIL 'tomorrow'; \
         COMMENT ON ROLE \"{others}\" IS 'bailiwick run {id} of other.example/gw until x'; \
         CREATE ROLE \"{long_over}\" LOGIN VALID UNTIL 'yesterday'; \
         COMMENT ON ROLE \"{long_over}\" IS 'bailiwick run {id} of other.example/gw until x'",
        id = run.id
    ));
    if version == Version::Newest {
        // Here only who may administer a role drops it.
        fenced.sql(&format!(
            "GRANT \"{long_over}\" TO gateway WITH ADMIN OPTION"
        ));
    }
    let left = |fenced: &Fenced| {
        fenced.sql(&format!(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{}') ORDER BY 1",
            login(&run)
        ))
    };
    assert_eq!(left(&fenced).lines().count(), 4);
    fenced.world.serve();
    eventually("what is over is gone", SOON, || {
        (left(&fenced) == format!("{nobodys}\n{others}")).then_some(())
    });
    fenced.sql(&format!("DROP ROLE \"{nobodys}\", \"{others}\""));
}

fn first_sessions_at_the_same_time_share_one_login(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let runs = [(); 4].map(|()| fenced.world.open("triage"));
    let users: Vec<String> = std::thread::scope(|scope| {
        let sessions = runs.iter().flat_map(|run| [run; 6]);
        let threads: Vec<_> = sessions
            .map(|run| {
                scope.spawn(move || Agent::connect(run).query("SELECT current_user").value())
            })
            .collect();
        let join =
            |thread: std::thread::ScopedJoinHandle<'_, String>| thread.join().expect("a user");
        threads.into_iter().map(join).collect()
    });
    let expected: Vec<String> = runs
        .iter()
        .flat_map(|run| [(); 6].map(|()| login(run)))
        .collect();
    assert_eq!(users, expected);
    assert_eq!(fenced.logins().len(), 4);
    assert_eq!(fenced.templates().len(), 1);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(fenced.logins().len(), 4);
}
