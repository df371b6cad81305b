//! A full disk: what is new is refused, what closes is recorded, and the gateway goes on by itself once
//! there is room.

use std::fs;
use std::time::{Duration, Instant};

use bailiwick_tests::{Agent, Run, SmallDisk, TRIAGE, World, eventually, skipped, task};

/// A clear no takes no longer.
const AT_ONCE: Duration = Duration::from_secs(30);

fn small_disk(megabytes: u32) -> Option<SmallDisk> {
    match SmallDisk::new(megabytes) {
        Ok(disk) => Some(disk),
        Err(why) => {
            let takes = "it takes a file system of its own, which this user cannot make";
            skipped(&format!("{takes} ({why})"));
            None
        }
    }
}

fn world_on(disk: &SmallDisk) -> World {
    World::builder()
        .task(task("triage", TRIAGE))
        .data(&disk.path().join("data"))
        .start()
}

/// Fills what room the log has kept for itself on a full disk, by calls with large values. Returns
/// the number of the first that was refused, which nothing came of.
#[track_caller]
fn use_up(agent: &mut Agent) -> u32 {
    let value = "x".repeat(1_000);
    let values = [&*value; 250];
    let uses: String = (1..=values.len())
        .map(|n| format!(" AND ${n}::text <> ''"))
        .collect();
    let start = Instant::now();
    for number in 0..2_000 {
        let sql = format!("UPDATE tickets SET priority = {number} WHERE id = 2 {uses}");
        let answer = agent.execute(&sql, &values, false);
        if let Some(error) = answer.error() {
            assert_eq!(error.code, "58030", "{error:#?}");
            assert!(
                !error.detail.is_empty() && !error.hint.is_empty(),
                "{error:#?}"
            );
            return number;
        }
        assert!(
            start.elapsed() < Duration::from_secs(300),
            "the disk does not fill"
        );
    }
    panic!("no error, though the disk is full")
}

/// The gateway is well.
#[track_caller]
fn is_well(world: &World) {
    let run = world.open("triage");
    Agent::connect(&run).query("SELECT id FROM tickets").ok();
    world.verify();
}

#[track_caller]
fn recovers(world: &World) {
    eventually(
        "it works again once there is room",
        Duration::from_secs(10),
        || {
            let run = world.bailiwick(&["open", "--task", "triage"]);
            run.status.success().then_some(())
        },
    );
    is_well(world);
}

#[test]
fn a_kill_and_a_start_on_a_full_disk() {
    for (megabytes, used_up) in [(160, false), (112, true)] {
        let Some(disk) = small_disk(megabytes) else {
            return;
        };
        let mut world = world_on(&disk);
        let run = world.open("triage");
        let mut agent = Agent::connect(&run);
        agent
            .query("UPDATE tickets SET priority = 1 WHERE id = 1")
            .ok();
        let ballast = disk.fill();
        if used_up {
            use_up(&mut agent);
        }
        world.kill();
        world.verify();
        // There may be no room to start in. Then it says so.
        if let Err(said) = world.try_serve() {
            assert!(said.contains("full"), "{said}");
            assert!(said.contains("disk"), "{said}");
        }
        world.verify();
        world.kill();
        fs::remove_file(ballast).expect("a file");
        world.serve();
        recovers(&world);
        assert_closed(&world, &run);
        catches_up(&world);
    }
}

#[test]
fn room_goes_to_the_tree_before_it_goes_to_new_segments() {
    let Some(disk) = small_disk(112) else { return };
    let world = world_on(&disk);
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    let ballast = disk.fill();
    use_up(&mut agent);
    // Enough for what waits to be brought into the tree, and not for another segment as well.
    fs::remove_file(ballast).expect("a file");
    catches_up(&world);
    recovers(&world);
    world.bailiwick(&["close", &run.id]).ok();
    assert_closed(&world, &run);
}

/// Everything is covered by a checkpoint in the end.
#[track_caller]
fn catches_up(world: &World) {
    eventually("the tree catches up", Duration::from_secs(20), || {
        (world.verify()["tail"] == 0).then_some(())
    });
}

#[test]
fn a_full_disk() {
    let Some(disk) = small_disk(160) else { return };
    let mut world = world_on(&disk);
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    agent
        .query("UPDATE tickets SET priority = 1 WHERE id = 1")
        .ok();
    let ballast = disk.fill();
    let number = use_up(&mut agent);
    let done = world.sql("SELECT priority FROM tickets WHERE id = 2");
    assert_eq!(done, (number - 1).to_string(), "an effect without a record");
    // Nor is anything read, once not even the record of that fits, and nobody waits.
    let start = Instant::now();
    let read = (0..1_000)
        .map(|_| agent.query("SELECT subject FROM tickets WHERE id = 1"))
        .find(|answer| answer.error().is_some())
        .expect("an error once the disk is full");
    assert_eq!(read.error().expect("an error").code, "58030", "{read:#?}");
    assert!(read.rows().is_empty() && start.elapsed() < AT_ONCE);
    // A run can still be closed, and its record with it.
    world.bailiwick(&["close", &run.id]).ok();
    fs::remove_file(ballast).expect("a file");
    recovers(&world);
    assert_closed(&world, &run);
    is_well(&world);
    eventually(
        "the list of runs catches up without a restart",
        Duration::from_secs(5),
        || (world.summary(&run.id)["state"] == "ended").then_some(()),
    );
    world.stop();
    world.serve();
    assert_closed(&world, &run);
    is_well(&world);
    let after = world.summary(&run.id);
    assert_eq!(
        (&after["state"], &after["ending"]),
        (&"ended".into(), &"closed".into()),
        "{after:#}"
    );
}

#[track_caller]
fn assert_closed(world: &World, run: &Run) {
    let verdict = world.bailiwick(&["verify", "--run", &run.id, "--json"]);
    let verdict: serde_json::Value = serde_json::from_str(verdict.ok()).expect("JSON");
    assert_eq!(verdict["run"]["state"], "closed", "{verdict:#}");
}
