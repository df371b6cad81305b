//! Texts that are meant to break the classifier, and texts of ordinary size that must not be mistaken
//! for them. Everything runs on a smaller stack than the gateway's threads have.

use std::thread;

use super::golden::catalogue;
use super::*;

/// Runs on half of the stack that threads have by default.
fn small<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap()
}

fn classified(sql: String) -> Result<Vec<Statement>, Refusal> {
    small(move || classify(&sql, &catalogue()))
}

fn reason(sql: String) -> String {
    match classified(sql) {
        Err(refusal) => refusal.reason,
        Ok(_) => panic!("it was understood"),
    }
}

fn repeated(first: &str, more: &str, times: usize) -> String {
    format!("{first}{}", more.repeat(times))
}

#[test]
fn depth_is_refused() {
    for times in [60, 199, 1_000, 10_000, 100_000] {
        for sql in [
            format!("select {}1{}", "(".repeat(times), ")".repeat(times)),
            format!("select {}1{}", "array[".repeat(times), "]".repeat(times)),
            format!("select {}1{}", "(select ".repeat(times), ")".repeat(times)),
            format!(
                "{}select 1{}",
                "select * from (".repeat(times),
                ") x".repeat(times)
            ),
            format!(
                "select {}1{}",
                "case when true then ".repeat(times),
                " end".repeat(times)
            ),
            format!("select {}1", "- ".repeat(times)),
            format!("select {}true", "not ".repeat(times)),
            format!("select {}{}", "upper(".repeat(times), ")".repeat(times)),
            repeated("select 1", "+1", times),
            repeated("select 'a'", "||'a'", times),
            repeated("select 1", "::int", times),
            repeated("select 'a'", " collate \"C\"", times),
            repeated("select a", " is null", times),
            repeated("select 1 from tickets", " cross join tickets", times),
            repeated("select 1", " union select 1", times),
            repeated("select (a)", ".a", times),
            repeated("explain ", "explain ", times),
            repeated("prepare a as ", "prepare a as ", times),
            format!(
                "{}select 1{}",
                "with x as (".repeat(times),
                ") select 1".repeat(times)
            ),
        ] {
            // Whatever is small enough may be understood; nothing may end the process.
            let what = sql.chars().take(60).collect::<String>();
            let answer = classified(sql);
            if times > 1_000 && !what.contains("(a).a") && !what.starts_with("select ((") {
                assert!(answer.is_err(), "{what}");
            }
        }
    }
}

#[test]
fn size_is_refused() {
    assert!(reason(repeated("select 1 --", "x", 256 * 1024)).contains("256 KiB"));
    assert!(reason(repeated("", "select 1;", 101)).contains("100 statements"));
    assert_eq!(
        classified(repeated("", "select 1;", 100)).unwrap().len(),
        100
    );
}

#[test]
fn work_is_refused() {
    let rows = "tickets,".repeat(30_000);
    assert!(reason(format!("select {rows} 1 from tickets")).contains("more columns"));
    let array = format!("select array[{rows} 1] from tickets");
    assert!(reason(array).contains("too much work"));
    let from = (0..2_000)
        .map(|n| format!("tickets t{n}"))
        .collect::<Vec<_>>()
        .join(",");
    assert!(reason(format!("select * from {from}")).contains("more columns"));
    // Each doubles the columns of the one before.
    let mut with = "with x0 as (select * from tickets)".to_owned();
    for n in 1..40 {
        let before = n - 1;
        with.push_str(&format!(
            ", x{n} as (select * from x{before} a, x{before} b)"
        ));
    }
    assert!(reason(format!("{with} select 1 from x39")).contains("more columns"));
    // Recursive queries within recursive queries start over and over.
    let mut nested = "select 1".to_owned();
    for n in 0..12 {
        nested = format!(
            "with recursive r{n}(a, b, c) as (select 1, 2, 3 union all \
             select b, c, (select 1 from ({nested}) q limit 1) from r{n}) select a from r{n}"
        );
    }
    let _ = classified(nested);
}

#[test]
fn ordinary_texts_are_understood() {
    let and = repeated("select 1 from tickets where id = 1", " and id = 1", 2_000);
    let or = repeated("select 1 from tickets where id = 1", " or id = 1", 2_000);
    let list = format!(
        "select 1 from tickets where id in (1{})",
        ",1".repeat(5_000)
    );
    let row = format!("(1{})", ",'x'".repeat(49));
    let rows = format!(
        "insert into drafts values {row}{}",
        format!(",{row}").repeat(999)
    );
    let columns = format!("select id{} from tickets", ",id".repeat(1_600));
    let case = format!("select case{} end", " when true then 1".repeat(1_000));
    let concat = repeated("select 'a'", "||'a'", 40);
    let union = repeated("select 1", " union all select 1", 40);
    let nested = format!(
        "{}select 1{}",
        "select * from (".repeat(15),
        ") x".repeat(15)
    );
    let joins = (0..30)
        .map(|n| format!(" join comments c{n} on c{n}.id = t.id"))
        .collect::<String>();
    let joins = format!("select t.* from tickets t{joins}");
    for sql in [
        and, or, list, rows, columns, case, concat, union, nested, joins,
    ] {
        let what = sql.chars().take(60).collect::<String>();
        let answer = classified(sql);
        assert!(answer.is_ok(), "{what}: {:?}", answer.err());
    }
}

#[test]
fn a_zero_byte_is_refused() {
    assert!(reason("select 1\0; drop table tickets".into()).contains("zero byte"));
}

#[test]
fn views_upon_views_end() {
    small(|| {
        let mut catalogue = catalogue();
        for n in 0u32..40 {
            let below = match n {
                0 => "tickets".to_owned(),
                n => format!("v{}", n - 1),
            };
            // As deep as the parser takes it.
            let nested = format!(
                "{}SELECT email FROM {below}{}",
                "SELECT * FROM (".repeat(15),
                ") x".repeat(15)
            );
            catalogue.add(Relation {
                oid: 90_000 + n,
                schema: "public".into(),
                name: format!("v{n}"),
                kind: RelationKind::View,
                columns: vec![Column {
                    number: 1,
                    name: "email".into(),
                    type_oid: 25,
                    generated: false,
                }],
                definition: Some(nested),
            });
        }
        let found = classify("select email from v3", &catalogue).unwrap();
        let Outputs::Columns(columns) = &found[0].outputs else {
            panic!("no columns");
        };
        let base = |source: &Source| source.table == "tickets" && source.column == "email";
        assert!(columns[0].sources.iter().any(base));
        assert!(classify("select email from v39", &catalogue).is_err());
        // A view of itself cannot be made, but a catalogue can say so.
        let mut own = Catalogue::new("shop", "svc", ["public"]);
        own.add(Relation {
            oid: 1,
            schema: "public".into(),
            name: "v".into(),
            kind: RelationKind::View,
            columns: vec![Column {
                number: 1,
                name: "a".into(),
                type_oid: 25,
                generated: false,
            }],
            definition: Some("SELECT a FROM v".into()),
        });
        assert!(classify("select a from v", &own).is_err());
    });
}

#[test]
fn refusals_hold_nothing_of_the_text() {
    for sql in [
        "select 'hunter2' 'hunter2",
        "select * from other.hunter2.tickets",
        "select hunter2.id from tickets",
        "do 'hunter2'",
        "select a.hunter2.c.d(1)",
        "copy (select 'hunter2') to stdout (hunter2 1)",
        "truncate hunter2 cascade",
        "explain (hunter2) select 1",
    ] {
        let reason = reason(sql.into());
        assert!(!reason.contains("hunter2"), "{sql}: {reason}");
    }
}
