//! Many runs, one after the other and at the same time: nothing of them stays, and the catalogue is as
//! it was.

use std::sync::atomic::{AtomicUsize, Ordering};

use bailiwick_tests::{Agent, TRIAGE, Version};

use crate::kit::Fenced;
use crate::on_each_version;

on_each_version!(many_runs_leave_nothing);

/// How many runs, if nobody says otherwise in `BAILIWICK_TEST_RUNS`.
const RUNS: usize = 200;

/// How many at the same time.
const AT_ONCE: usize = 6;

fn many_runs_leave_nothing(version: Version) {
    let runs = std::env::var("BAILIWICK_TEST_RUNS").ok();
    let runs = runs.map_or(RUNS, |runs| runs.parse().expect("a number of runs"));
    let mut fenced = Fenced::new(version, TRIAGE);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < runs {
                    let run = fenced.world.open("triage");
                    let mut agent = Agent::connect(&run);
                    agent
                        .query("SELECT subject, email FROM tickets WHERE id = 1")
                        .ok();
                    agent
                        .query("INSERT INTO comments (ticket, text) VALUES (1, 'x')")
                        .ok();
                    drop(agent);
                    fenced.world.bailiwick(&["close", &run.id]).ok();
                }
            });
        }
    });
    fenced.all_gone();
    let comments = fenced.sql("SELECT count(*) FROM comments WHERE text = 'x'");
    assert_eq!(comments, runs.to_string());
    // One role holds what they all could do, and one entry of the table's rights names it.
    assert_eq!(fenced.templates().len(), 1);
    assert_eq!(
        fenced
            .sql("SELECT cardinality(relacl) < 10 FROM pg_class WHERE oid = 'comments'::regclass"),
        "t"
    );
    fenced.world.stop();
    let left = fenced.roles("bailiwick_");
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(
        fenced.sql(
            "SELECT count(*) FROM pg_auth_members m WHERE NOT EXISTS \
             (SELECT 1 FROM pg_roles r WHERE r.oid = m.roleid) OR NOT EXISTS \
             (SELECT 1 FROM pg_roles r WHERE r.oid = m.member)"
        ),
        "0"
    );
    assert_eq!(
        fenced.sql(
            "SELECT count(*) FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND \
             NOT EXISTS (SELECT 1 FROM pg_roles r WHERE r.oid = d.refobjid)"
        ),
        "0"
    );
    // What the first run could do the next can.
    fenced.world.serve();
    let run = fenced.world.open("triage");
    Agent::connect(&run)
        .query("SELECT subject FROM tickets")
        .ok();
}
