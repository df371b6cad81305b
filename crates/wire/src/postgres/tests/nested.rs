//! Names that lead to names: a prepared statement that executes another, a portal that fetches from
//! another. What they come to is settled when they run, behind the session's back.

use super::*;

/// A session whose target has prepared these, each once it was asked for.
fn having(statements: &[(&str, &str)]) -> Test {
    let mut test = Test::ready();
    for (name, sql) in statements {
        let asked = test.agent(&all(&[parse(name, sql), message::sync()]));
        let (_, held) = &asked.asked[0];
        assert_eq!(held.call.refusal, None, "{sql}");
        test.allow(&asked);
        test.target(&all(&[
            message(b'1', |_| {}),
            message(b't', |body| body.put_u16(0)),
            message(b'n', |_| {}),
            message::ready(b'I'),
        ]));
    }
    test
}

#[test]
fn what_is_executed_by_name_is_a_statement_and_no_command_of_the_session() {
    for inner in [
        "EXECUTE secret",
        "FETCH ALL FROM c",
        "MOVE ALL FROM c",
        "DEALLOCATE secret",
        "DEALLOCATE ALL",
        "PREPARE plain AS SELECT email FROM tickets",
        "DECLARE plain CURSOR FOR SELECT email FROM tickets",
        "CLOSE ALL",
        "DISCARD ALL",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "SET search_path TO billing",
    ] {
        let mut test = having(&[("secret", "SELECT email FROM tickets")]);
        let asked = test.agent(&all(&[parse("x", inner), message::sync()]));
        if asked.asked[0].1.call.refusal.is_none() {
            let mut test = having(&[("secret", "SELECT email FROM tickets"), ("x", inner)]);
            let asked = test.agent(&message::query("EXECUTE x"));
            let refusal = &asked.asked[0].1.call.refusal;
            assert!(refusal.is_some(), "EXECUTE of {inner}");
            // What it names may not exist when it is prepared, so it is looked at when it runs.
            let mut test = having(&[("x", inner), ("by name", "EXECUTE x")]);
            let asked = test.agent(&all(&[
                bind("by name"),
                message::execute(""),
                message::sync(),
            ]));
            let refusal = &asked.asked[0].1.call.refusal;
            assert!(refusal.is_some(), "EXECUTE of {inner}, prepared");
        }
    }
    // What is plain is executed as ever, and masked.
    let mut test = having(&[("secret", "SELECT email FROM tickets")]);
    let asked = test.agent(&message::query("EXECUTE secret"));
    test.allow(&asked);
    let did = test.target(&all(&[
        row_description(&[(1000, 3, 25)]),
        row(&["bob"]),
        complete("SELECT 1"),
        message::ready(b'I'),
    ]));
    assert!(String::from_utf8_lossy(&did.agent).contains("[masked]"));
}

#[test]
fn what_is_fetched_from_is_a_query() {
    for inner in ["EXECUTE secret", "FETCH ALL FROM c"] {
        let mut test = having(&[("secret", "SELECT email FROM tickets")]);
        for (sql, tag) in [
            ("BEGIN", "BEGIN"),
            (
                "DECLARE c CURSOR FOR SELECT email FROM tickets",
                "DECLARE CURSOR",
            ),
        ] {
            let asked = test.agent(&message::query(sql));
            test.allow(&asked);
            test.target(&all(&[complete(tag), message::ready(b'T')]));
        }
        let bind = message(b'B', |body| {
            put_c_string(body, "p");
            put_c_string(body, "");
            body.put_bytes(0, 6);
        });
        let asked = test.agent(&all(&[parse("", inner), bind, message::sync()]));
        let asked = test.allow(&asked);
        test.allow(&asked);
        test.target(&all(&[
            message(b'1', |_| {}),
            message(b't', |body| body.put_u16(0)),
            row_description(&[(1000, 3, 25)]),
            message(b'2', |_| {}),
            message::ready(b'T'),
        ]));
        let asked = test.agent(&message::query("FETCH ALL FROM p"));
        let refusal = &asked.asked[0].1.call.refusal;
        assert!(refusal.is_some(), "FETCH from {inner}");
    }
}

#[test]
fn a_cursor_that_sql_has_declared_is_executed_by_the_protocol_masked() {
    const DECLARE: &str = "DECLARE c CURSOR FOR SELECT id, upper(email) FROM tickets";
    for extended in [false, true] {
        let mut test = Test::ready();
        let asked = test.agent(&message::query("BEGIN"));
        test.allow(&asked);
        test.target(&all(&[complete("BEGIN"), message::ready(b'T')]));
        if extended {
            let asked = test.agent(&all(&[
                parse("", DECLARE),
                bind(""),
                message::execute(""),
                message::sync(),
            ]));
            let asked = test.allow(&asked);
            test.allow(&asked);
            test.target(&all(&[
                message(b'1', |_| {}),
                message(b't', |body| body.put_u16(0)),
                message(b'n', |_| {}),
                message(b'2', |_| {}),
                complete("DECLARE CURSOR"),
                message::ready(b'T'),
            ]));
        } else {
            let asked = test.agent(&message::query(DECLARE));
            test.allow(&asked);
            test.target(&all(&[complete("DECLARE CURSOR"), message::ready(b'T')]));
        }
        let asked = test.agent(&all(&[message::execute("c"), message::sync()]));
        test.allow(&asked);
        let did = test.target(&all(&[
            row(&["7", "BOB"]),
            complete("SELECT 1"),
            message::ready(b'T'),
        ]));
        assert_eq!(tags(&did.agent), "DCZ");
        assert!(did.agent.windows(1).any(|byte| byte == b"7"));
        assert!(!String::from_utf8_lossy(&did.agent).contains("BOB"));
    }
}
