//! A run's login goes when the run does, whatever ended it and whatever it left.

use bailiwick_tests::{Agent, Report, TRIAGE, Version, World, eventually, task};

use crate::kit::{Fenced, SOON, login, url};
use crate::on_each_version;

on_each_version!(
    the_end_of_a_run_takes_its_login,
    a_suspended_run_has_no_login_until_it_is_resumed,
    sessions_past_the_gateway_are_cut_too,
    a_login_expires_though_no_gateway_is_there,
    what_a_run_leaves_does_not_keep_its_login,
    a_gateway_that_was_killed_sweeps_when_it_starts,
    a_gateway_that_stops_leaves_nothing,
    what_is_not_the_gateways_own_is_left_alone,
    first_sessions_at_the_same_time_share_one_login,
    a_run_that_ends_while_its_login_is_made_leaves_none,
    gateways_and_administrators_do_not_get_in_each_others_way,
    a_change_of_somebody_elses_is_waited_out,
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

fn a_suspended_run_has_no_login_until_it_is_resumed(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let world = &fenced.world;
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT 1").ok();
    world.bailiwick(&["suspend", &run.id]).ok();
    let last: Report = agent.last_words().expect("last words");
    assert!(last.message.contains("suspended"), "{last:#?}");
    eventually("the login of a suspended run is gone", SOON, || {
        fenced.logins().is_empty().then_some(())
    });
    world.bailiwick(&["resume", &run.id]).ok();
    Agent::connect(&run)
        .query("SELECT subject FROM tickets")
        .ok();
    assert_eq!(fenced.logins(), [login(&run)]);
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

fn a_login_expires_though_no_gateway_is_there(version: Version) {
    let mut fenced = Fenced::new(version, TRIAGE);
    let run = fenced.world.open_with(&["--task", "triage", "--ttl", "4s"]);
    Agent::connect(&run).query("SELECT 1").ok();
    fenced.world.kill();
    let login = login(&run);
    fenced.sql(&format!("ALTER ROLE {login} PASSWORD 'known'"));
    let url = format!(
        "postgres://{login}:known@127.0.0.1:{}/{}",
        fenced.store.port(),
        fenced.database
    );
    let refused = eventually("it lets nobody in", SOON, || Agent::log_in(&url).err());
    assert_eq!(refused.code, "28P01", "{refused:#?}");
    let over = fenced.sql(&format!(
        "SELECT rolvaliduntil < now() FROM pg_roles WHERE rolname = '{login}'"
    ));
    assert_eq!(over, "t");
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
    // Nor does it fill the log of the target with what is nobody's business.
    let log = fenced.store.log();
    let of_ours = |line: &&str| {
        line.contains(&fenced.database) && (line.contains("WARNING:") || line.contains("ERROR:"))
    };
    let complaints: Vec<_> = log.lines().filter(of_ours).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
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
}

/// The lock that whoever makes or changes a template takes.
const LOCK: i64 = i64::from_be_bytes(*b"bailiwic");

fn a_run_that_ends_while_its_login_is_made_leaves_none(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let run = fenced.world.open("triage");
    std::thread::scope(|scope| {
        let holding = scope.spawn(|| {
            fenced.sql(&format!(
                "SELECT pg_advisory_lock({LOCK}); SELECT pg_sleep(3)"
            ));
        });
        eventually("it is held", SOON, || {
            let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
            (fenced.sql(&format!("{held} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")) == "1").then_some(())
        });
        let agent = scope.spawn(|| Agent::try_connect(&run).err().expect("no session"));
        eventually("the login waits for it", SOON, || {
            let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                         AND wait_event = 'advisory'";
            (fenced.sql(waits) == "1").then_some(())
        });
        fenced.world.bailiwick(&["revoke", &run.id]).ok();
        let refused = agent.join().expect("an agent");
        assert_eq!(refused.code, "57P01", "{refused:#?}");
        assert!(fenced.logins().is_empty());
        holding.join().expect("who holds it");
    });
    // It was made nevertheless, and went at once.
    eventually("it was made", SOON, || {
        fenced
            .world
            .said()
            .contains("a login was made")
            .then_some(())
    });
    fenced.all_gone();
}

fn gateways_and_administrators_do_not_get_in_each_others_way(version: Version) {
    const RUNS: usize = 8;
    let fenced = Fenced::new(version, TRIAGE);
    let tasks: Vec<_> = (0..RUNS)
        .map(|number| {
            // Each has privileges of its own on the same tables.
            let more = format!(
                "[[read]]\ntarget = \"tickets\"\ntables = [\"public.drafts\"]\ncolumns = [{}]\n",
                if number % 2 == 0 {
                    "\"id\""
                } else {
                    "\"text\""
                }
            );
            task(&format!("t{number}"), &format!("{TRIAGE}{more}"))
        })
        .collect();
    let mut worlds = ["one", "two"].map(|name| {
        let mut builder = World::builder()
            .name(&format!("test.example/{}/{name}", fenced.database))
            .target("tickets", &url(fenced.store, &fenced.database))
            .target_setting("credentials = \"per-run\"");
        for task in &tasks {
            builder = builder.task(task.clone());
        }
        builder.start()
    });
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let administrator = scope.spawn(|| {
            let grant = "GRANT SELECT ON tickets, comments TO pg_monitor; \
                         REVOKE SELECT ON tickets, comments FROM pg_monitor;";
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                // It may itself come too late for a row that a gateway has just changed.
                let _ = fenced.store.try_sql(&fenced.database, &grant.repeat(20));
            }
        });
        let agents: Vec<_> = worlds
            .iter()
            .flat_map(|world| (0..RUNS).map(move |number| (world, number)))
            .map(|(world, number)| {
                scope.spawn(move || {
                    let run = world.open(&format!("t{number}"));
                    let mut agent = Agent::connect(&run);
                    agent.query("SELECT subject FROM tickets WHERE id = 1").ok();
                    agent.query("INSERT INTO comments (ticket) VALUES (1)").ok();
                })
            })
            .collect();
        for agent in agents {
            agent.join().expect("an agent");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        administrator.join().expect("an administrator");
    });
    for world in &mut worlds {
        world.stop();
    }
    let left = fenced.sql(&format!(
        "SELECT count(*) FROM pg_roles WHERE shobj_description(oid, 'pg_authid') \
         LIKE '%of test.example/{}/%'",
        fenced.database
    ));
    assert_eq!(left, "0");
}

/// PostgreSQL has no lock for grants: who comes second fails, and has to try again.
fn a_change_of_somebody_elses_is_waited_out(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let run = fenced.world.open("triage");
    std::thread::scope(|scope| {
        let change = "BEGIN; GRANT SELECT ON tickets TO pg_monitor; SELECT pg_sleep(2); COMMIT";
        scope.spawn(|| fenced.sql(change));
        eventually("it is being made", SOON, || {
            let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                          AND wait_event = 'PgSleep'";
            (fenced.sql(sleeps) == "1").then_some(())
        });
        Agent::connect(&run)
            .query("SELECT subject FROM tickets")
            .ok();
    });
    let log = fenced.store.log();
    let of_ours = |line: &&str| line.contains(&fenced.database) && line.contains("bailiwick for");
    let failed = log.lines().filter(of_ours);
    let failed = failed
        .filter(|line| line.contains("tuple concurrently updated"))
        .count();
    assert!(failed > 0, "nothing was in the way");
    assert_eq!(fenced.logins(), [login(&run)]);
}
