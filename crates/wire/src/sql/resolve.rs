//! Tests of which names mean which relations, functions and settings.

use super::golden::catalogue;
use super::*;

fn table(oid: u32, schema: &str, name: &str, columns: &[&str]) -> Relation {
    Relation {
        oid,
        schema: schema.into(),
        name: name.into(),
        kind: RelationKind::Table,
        columns: columns
            .iter()
            .zip(1..)
            .map(|(name, number)| Column {
                number,
                name: (*name).into(),
                type_oid: 25,
                generated: false,
            })
            .collect(),
        definition: None,
    }
}

fn actions(sql: &str, catalogue: &Catalogue) -> Vec<String> {
    let statements = classify(sql, catalogue).unwrap();
    statements
        .iter()
        .flat_map(|statement| &statement.actions)
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_path_decides_in_its_order() {
    let mut catalogue = Catalogue::new("shop", "svc", ["pg_catalog", "b", "a"]);
    catalogue.add(table(1, "a", "t", &["x"]));
    catalogue.add(table(2, "b", "t", &["y"]));
    catalogue.add(table(3, "c", "u", &["z"]));
    catalogue.add(table(4, "pg_catalog", "pg_class", &["oid"]));
    catalogue.add(table(5, "b", "pg_class", &["oid", "secret"]));
    assert_eq!(actions("select * from t", &catalogue), ["select b.t (y)"]);
    assert_eq!(actions("select * from a.t", &catalogue), ["select a.t (x)"]);
    assert_eq!(actions("select * from u", &catalogue), ["select u (*)"]);
    assert_eq!(
        actions("select * from pg_class", &catalogue),
        ["select pg_catalog.pg_class (oid)"]
    );
    assert_eq!(actions("create table v ()", &catalogue), ["create b.v"]);
}

#[test]
fn temporary_tables_are_the_sessions_own() {
    let session = vec![
        Some("shop".into()),
        Some("svc".into()),
        Some("pg_temp_3".into()),
    ];
    let path = ["pg_temp_3", "pg_catalog", "public"].map(|schema| vec![Some(schema.into())]);
    let relation = |oid: &str, schema: &str, name: &str| {
        let cell = |text: &str| Some(text.to_owned());
        vec![cell(oid), cell(schema), cell(name), cell("r"), None]
    };
    let column = |oid: &str, name: &str| {
        vec![
            Some(oid.to_owned()),
            Some("1".to_owned()),
            Some(name.to_owned()),
            Some("25".to_owned()),
            Some("false".to_owned()),
        ]
    };
    let answers = [
        vec![session],
        path.to_vec(),
        vec![
            relation("1", "pg_temp_3", "mine"),
            relation("2", "pg_temp_3", "tickets"),
            relation("3", "public", "tickets"),
            relation("4", "pg_temp_7", "theirs"),
        ],
        vec![
            column("1", "a"),
            column("2", "b"),
            column("3", "c"),
            column("4", "d"),
        ],
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
    ];
    let catalogue = Catalogue::from_rows(&answers).unwrap();
    assert_eq!(
        actions("select * from mine", &catalogue),
        ["select pg_temp_3.mine (a)"]
    );
    assert_eq!(
        actions("select * from pg_temp.mine", &catalogue),
        ["select pg_temp_3.mine (a)"]
    );
    assert_eq!(
        actions("select pg_temp.mine.a from pg_temp.mine", &catalogue),
        ["select pg_temp_3.mine (a)"]
    );
    assert_eq!(
        actions("select * from theirs", &catalogue),
        ["select theirs (*)"]
    );
    assert_eq!(
        actions("select * from public.tickets", &catalogue),
        ["select public.tickets (c)"]
    );
    // Once it is gone, the name means the other.
    assert!(classify("select * from tickets", &catalogue).is_err());
    assert!(classify("update tickets set b = 1", &catalogue).is_err());
    assert_eq!(
        actions("create table t ()", &catalogue),
        ["create public.t"]
    );
}

#[test]
fn a_catalogue_that_is_none_is_refused() {
    let bad = |answers: &[Vec<Row>], query| {
        assert_eq!(Catalogue::from_rows(answers).unwrap_err().query, query);
    };
    bad(&[], 0);
    let mut answers: [Vec<Row>; QUERIES.len()] = Default::default();
    answers[0] = vec![vec![Some("shop".into()), Some("svc".into()), None]];
    assert!(Catalogue::from_rows(&answers).is_ok());
    answers[1] = vec![vec![None]];
    bad(&answers, 1);
    answers[1] = vec![vec![Some("a".into()), Some("b".into())]];
    bad(&answers, 1);
    answers[1].clear();
    answers[2] = vec![
        ["x", "s", "n", "r", ""]
            .map(|text| Some(text.into()))
            .to_vec(),
    ];
    bad(&answers, 2);
    answers[2] = vec![
        ["1", "s", "n", "?", ""]
            .map(|text| Some(text.into()))
            .to_vec(),
    ];
    bad(&answers, 2);
}

#[test]
fn relations_are_found_by_what_the_protocol_gives() {
    let catalogue = catalogue();
    let tickets = catalogue.relation("public", "tickets").unwrap();
    assert_eq!(catalogue.relation_by_oid(tickets.oid), Some(tickets));
    assert_eq!(tickets.column_by_number(4), Some("email"));
    assert_eq!(tickets.column_by_number(-1), None);
    assert_eq!(catalogue.relation_by_oid(0), None);
}

#[test]
fn names_are_what_the_catalogue_spells_whatever_is_in_them() {
    let mut catalogue = Catalogue::new("shop", "svc", ["public"]);
    let odd = "a\"b.c'd\n(e)";
    catalogue.add(table(1, "public", odd, &["x,y", "Z"]));
    let quoted = odd.replace('"', "\"\"");
    assert_eq!(
        actions(
            &format!("select \"x,y\" from \"{quoted}\" where \"Z\" = 1"),
            &catalogue
        ),
        [format!("select public.{odd} (Z, x,y)")]
    );
    assert_eq!(actions("select z from \"a\"", &catalogue), ["select a (*)"]);
}

#[test]
fn without_a_catalogue_nothing_is_known() {
    let empty = Catalogue::default();
    assert_eq!(
        actions("select * from tickets", &empty),
        ["select tickets (*)"]
    );
    assert_eq!(actions("delete from tickets", &empty), ["delete tickets"]);
    assert_eq!(actions("select 1", &empty), ["session the target"]);
    assert_eq!(actions("select f()", &empty), ["execute function f"]);
}

#[test]
fn a_function_of_an_older_target_may_be_someones_own() {
    let mut catalogue = catalogue();
    let function = Function {
        volatility: Volatility::Volatile,
        set: false,
        installed: false,
    };
    catalogue.add_function("public", "json_value", function);
    catalogue.add_function("billing", "json_query", function);
    assert_eq!(
        actions(
            "select json_value('{}', '$'), json_query('{}', '$')",
            &catalogue
        ),
        ["execute function public.json_value"]
    );
}

#[test]
fn statements_with_an_effect_say_so() {
    let effect = |sql: &str| {
        let statements = classify(sql, &catalogue()).unwrap();
        statements.iter().any(Statement::has_effect)
    };
    for sql in [
        "select * from tickets",
        "begin",
        "set timezone = 'UTC'",
        "select score(1)",
    ] {
        assert!(!effect(sql), "{sql}");
    }
    for sql in [
        "select escalate(1)",
        "select nosuch(1)",
        "with d as (delete from drafts returning 1) select 1",
        "select 1 from tickets for update",
        "set search_path = a",
        "drop table tickets",
        "copy drafts from stdin",
    ] {
        assert!(effect(sql), "{sql}");
    }
}

#[test]
fn settings_that_change_meaning_are_not_harmless() {
    for (name, value) in [
        ("application_name", "anything"),
        ("TimeZone", "UTC"),
        ("client_encoding", "UTF8"),
        ("client_encoding", "'utf-8'"),
        ("statement_timeout", "5s"),
        ("default_transaction_read_only", "on"),
        ("extra_float_digits", "3"),
        ("lc_monetary", "C"),
    ] {
        assert!(harmless_setting(name, value), "{name} = {value}");
    }
    for (name, value) in [
        ("client_encoding", "SJIS"),
        ("standard_conforming_strings", "off"),
        ("search_path", "evil"),
        ("role", "admin"),
        ("session_authorization", "admin"),
        ("default_transaction_read_only", "off"),
        ("row_security", "off"),
        ("session_replication_role", "replica"),
        ("options", "-c search_path=evil"),
        ("replication", "database"),
        ("log_statement", "none"),
        ("work_mem", "1TB"),
        ("local_preload_libraries", "evil"),
        // '1.000'::money is a thousand times more, and '\x61'::bytea::text another text.
        ("lc_monetary", "de_DE.UTF-8"),
        ("lc_numeric", "de_DE.UTF-8"),
        ("lc_time", "de_DE.UTF-8"),
        ("bytea_output", "escape"),
        ("extra_float_digits", "-15"),
        ("", ""),
    ] {
        assert!(!harmless_setting(name, value), "{name} = {value}");
    }
}
