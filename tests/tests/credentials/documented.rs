//! What `docs/postgres-credentials.md` tells a database administrator to run is all that it takes.

use bailiwick_tests::{Agent, SERVICE_PASSWORD, Store, TRIAGE, Version, World, finish, task};

use crate::kit::Fenced;
use crate::on_each_version;

on_each_version!(what_an_administrator_is_told_to_run_is_enough);

const PAGE: &str = include_str!("../../../docs/postgres-credentials.md");

/// The statements after the comments that say that they are tested.
fn statements() -> Vec<&'static str> {
    PAGE.split("<!-- A test runs this")
        .skip(1)
        .map(|part| {
            let (_, block) = part.split_once("```sql\n").expect("a block of SQL");
            let (block, _) = block.split_once("```").expect("its end");
            block
        })
        .collect()
}

fn what_an_administrator_is_told_to_run_is_enough(version: Version) {
    let [once, everybody] = statements()[..] else {
        panic!("not two blocks of SQL");
    };
    let store = Store::of(version);
    let database = store.database();
    for block in [once, everybody] {
        let block = block
            .replace("DATABASE tickets", &format!("DATABASE {database}"))
            .replace('…', SERVICE_PASSWORD);
        store.sql(&database, &block);
    }
    let url = World::url(store, &database).replace("svc:", "bailiwick:");
    let world = World::builder()
        .name(&format!("test.example/{database}"))
        .task(task("triage", TRIAGE))
        .target("tickets", &url)
        .target_setting("credentials = \"per-run\"")
        .start();
    let fenced = Fenced {
        store,
        database,
        world,
    };
    let mut check = fenced.world.command(&["task", "check", "triage", "--json"]);
    let checked = finish(check.env("TARGET_PASSWORD", SERVICE_PASSWORD));
    let json: serde_json::Value = serde_json::from_str(checked.ok()).expect("JSON");
    for nothing in ["missing", "unfenced", "advice"] {
        assert_eq!(
            json["fences"][0][nothing],
            serde_json::json!([]),
            "{json:#}"
        );
    }
    let run = fenced.world.open("triage");
    let mut agent = Agent::connect(&run);
    for sql in [
        "SELECT subject, email FROM tickets",
        "UPDATE tickets SET priority = 1 WHERE id = 1",
        "INSERT INTO comments (ticket, text) VALUES (1, 'x')",
    ] {
        agent.query(sql).ok();
    }
    fenced.world.bailiwick(&["close", &run.id]).ok();
    fenced.all_gone();
    let Fenced {
        store,
        database,
        mut world,
    } = fenced;
    world.stop();
    store.sql(&database, "DROP OWNED BY bailiwick; DROP ROLE bailiwick");
}
