//! What the catalogue grant does not open, whatever is asked of it.

use bailiwick_tests::{Agent, TRIAGE, World, command, finish, programs_18, task};

use crate::table::catalogue_grant;

/// What nobody would take for anything else, and no detector knows.
const SECRET: &str = "zebrafish";

fn world() -> World {
    let masks = "[[read]]\ntarget = \"tickets\"\ntables = [\"public.people\"]\n\
        [[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.people.nickname\"]\n";
    let (name, text) = task("triage", &format!("{TRIAGE}{}{masks}", catalogue_grant()));
    let world = World::builder().task((name, text)).start();
    world.sql(&format!(
        "CREATE TABLE people (id int, team int, nickname text);
         INSERT INTO people SELECT n, n % 3, '{SECRET} ' || n % 7 FROM generate_series(1, 500) n;
         CREATE STATISTICS teams (mcv) ON team, nickname FROM people;
         CREATE STATISTICS loud ON (nickname || '!') FROM people;
         ANALYZE people;
         SELECT lo_from_bytea(4711, '{SECRET}'::bytea)"
    ));
    world
}

#[test]
fn the_catalogue_grant_shows_no_values() {
    let world = world();
    for seen in [
        "pg_stats",
        "pg_stats_ext",
        "pg_stats_ext_exprs",
        "pg_stat_activity",
    ] {
        let found = world.sql(&format!("SELECT * FROM {seen} /* {SECRET} */"));
        assert!(found.contains(SECRET), "nothing to be found in {seen}");
    }
    let mut agent = Agent::connect(&world.open("triage"));
    let grant = catalogue_grant();
    let granted = grant
        .split('"')
        .filter(|text| text.starts_with("pg_catalog.") || text.starts_with("information_schema."));
    let mut read = 0;
    for table in granted {
        let answer = agent.query(&format!("SELECT * FROM {table}"));
        assert!(!answer.holds(SECRET), "{table} shows a value");
        match answer.error() {
            None => read += 1,
            // A function, or a table of which some columns are granted.
            Some(error) => assert!(
                error.detail.contains("no grant covers")
                    || error.detail.contains("not in the grant")
                    || error.detail.contains("_pg_expandarray"),
                "{table}: {error:#?}"
            ),
        }
    }
    assert!(read > 25, "only {read} could be read");
    // The statistics' definitions, not what they hold.
    let names = agent
        .query("SELECT stxname FROM pg_statistic_ext ORDER BY 1")
        .ok();
    assert_eq!(names.values(), ["loud", "teams"]);
}

#[test]
fn the_catalogue_grant_opens_nothing_else() {
    let world = world();
    let mut agent = Agent::connect(&world.open("triage"));
    for table in [
        "pg_authid",
        "pg_shadow",
        "pg_user",
        "pg_statistic",
        "pg_statistic_ext_data",
        "pg_stats",
        "pg_stats_ext",
        "pg_stats_ext_exprs",
        "pg_largeobject",
        "pg_largeobject_metadata",
        "pg_stat_activity",
        "pg_stat_replication",
        "pg_prepared_statements",
        "pg_cursors",
        "pg_locks",
        "pg_user_mapping",
        "pg_user_mappings",
        "pg_foreign_server",
        "pg_foreign_data_wrapper",
        "pg_foreign_table",
        "pg_subscription",
        "pg_db_role_setting",
        "pg_hba_file_rules",
        "pg_file_settings",
        "pg_config",
        "information_schema.user_mapping_options",
        "information_schema.foreign_server_options",
    ] {
        let name = table.rsplit('.').next().unwrap_or(table);
        agent
            .query(&format!("SELECT * FROM {table}"))
            .denied(&[name]);
        agent
            .query(&format!("SELECT count(*) FROM {table} AS c"))
            .denied(&[name]);
    }
    for sql in [
        "SELECT rolpassword FROM pg_roles",
        "SELECT rolconfig FROM pg_roles",
        "SELECT r FROM pg_roles r",
        "SELECT to_json(r) FROM pg_roles r",
        "SELECT sourcefile FROM pg_settings",
        "SELECT * FROM pg_stat_get_activity(NULL)",
        "SELECT pg_stat_get_backend_activity(1)",
        "SELECT * FROM pg_show_all_settings()",
        "SELECT lo_get(4711)",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT query_to_xml('SELECT nickname FROM people', true, true, '')",
        "SELECT * FROM pg_mcv_list_items(NULL)",
        "SELECT s.* FROM pg_statistic_ext e, LATERAL (SELECT d.stxdmcv FROM pg_statistic_ext_data d WHERE d.stxoid = e.oid) s",
        "TABLE pg_stats",
        "WITH c AS (SELECT most_common_vals FROM pg_catalog.pg_stats) SELECT * FROM c",
        "SELECT (SELECT max(most_common_vals::text) FROM pg_stats), relname FROM pg_class",
        "UPDATE pg_class SET relname = relname",
        "DELETE FROM pg_description",
        "INSERT INTO pg_description VALUES (1, 1, 1, 'x')",
        "COPY pg_stats TO STDOUT",
        "CREATE TEMP VIEW v AS SELECT * FROM pg_stats",
    ] {
        let answer = agent.query(sql);
        assert!(!answer.holds(SECRET), "{sql}");
        answer.denied(&[]);
    }
    let toast = world.sql("SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'people'");
    agent
        .query(&format!("SELECT * FROM {toast}"))
        .denied(&["pg_toast"]);
}

#[test]
fn pg_dump_shows_no_masked_value_whatever_is_granted() {
    // All that it asks for and a task can give.
    let grants = format!(
        "{}[[read]]\ntarget = \"tickets\"\ntables = [\"public.people\"]\n\
         [[write]]\ntarget = \"tickets\"\ntables = [\"public.people\"]\nverbs = [\"lock\"]\n\
         [[admin]]\ntarget = \"tickets\"\nsettings = [\"search_path\", \"row_security\", \
         \"restrict_nonsystem_relation_kind\"]\nverbs = [\"set\"]\n\
         [[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.people.nickname\"]\n",
        catalogue_grant()
    );
    let world = World::builder().task(task("dump", &grants)).start();
    world.sql(&format!(
        "CREATE TABLE people (id int, nickname text);
         INSERT INTO people SELECT n, '{SECRET} ' || n FROM generate_series(1, 5) n"
    ));
    let run = world.open("dump");
    for program in ["pg_dump".into(), programs_18().join("pg_dump")] {
        for options in [
            &[][..],
            &["--inserts"],
            &["--data-only"],
            &["--column-inserts"],
        ] {
            let mut dump = command(&program);
            dump.args(["--table", "people"])
                .args(options)
                .arg(run.url());
            let said = finish(&mut dump);
            assert!(!said.stdout.contains(SECRET), "{options:?}: {said:#?}");
            assert!(!said.stderr.contains(SECRET), "{options:?}: {said:#?}");
            // Masked, or denied with the reason.
            match said.status.success() {
                true => assert!(said.stdout.contains("[masked]"), "{options:?}: {said:#?}"),
                // It does not even ask a server that is newer.
                false if said.stderr.contains("server version mismatch") => {}
                false => assert!(said.stderr.contains("DETAIL:  "), "{options:?}: {said:#?}"),
            }
        }
    }
}
