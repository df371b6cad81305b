//! A cast calls a function that the statement does not name, and so does a value that is bound: both take
//! a grant for it.

use bailiwick_tests::{Agent, Store, World, frontend, mark, task};

const TYPES: &str = "\
CREATE FUNCTION marks(int) RETURNS boolean LANGUAGE plpgsql AS \
  $$ BEGIN INSERT INTO drafts VALUES ($1, 'called'); RETURN true; END $$;
CREATE DOMAIN positive AS int CHECK (marks(VALUE));
CREATE DOMAIN small AS positive;
CREATE TYPE holder AS (part positive);
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION to_pair(int) RETURNS pair LANGUAGE plpgsql AS \
  $$ BEGIN PERFORM marks($1); RETURN (1, 2)::pair; END $$;
CREATE CAST (int AS pair) WITH FUNCTION to_pair(int);
CREATE TYPE colour AS ENUM ('red');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);";

const GRANT: &str = "[[write]]\ntarget = \"tickets\"\nfunctions = [\"public.marks\"]\n";

fn worlds() -> World {
    let read = "[[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\n";
    let mut world = World::builder()
        .task(task("reader", read))
        .task(task("caller", &format!("{read}{GRANT}")))
        .prepare();
    world.sql(TYPES);
    world.serve();
    world
}

#[test]
fn a_cast_that_calls_a_function_takes_a_grant_for_it() {
    let world = worlds();
    let run = world.open("reader");
    let mut agent = Agent::connect(&run);
    for sql in [
        "SELECT 90::positive",
        "SELECT CAST('90' AS public.small)",
        "SELECT positive '90'",
        "SELECT '{90}'::positive[]",
        "SELECT '{90}'::_positive",
        "SELECT '(90)'::holder",
        "SELECT ROW(90)::holder",
        "SELECT jsonb_populate_record(NULL::holder, '{\"part\": 90}')",
        "SELECT * FROM json_to_record('{\"a\": 90}') AS x(a positive)",
        "SELECT * FROM XMLTABLE('/a' PASSING '<a>90</a>' COLUMNS x positive PATH '.') x",
        "SELECT 90::pair",
        "SELECT id FROM tickets WHERE id = 90::small",
        "COPY (SELECT 90::positive) TO STDOUT",
        "PREPARE p (positive) AS SELECT $1",
    ] {
        let mark = mark();
        agent
            .query(&format!("{sql} {mark}"))
            .denied(&["execute", "public."]);
        assert!(!Store::shared().saw(&mark), "it reached the target: {sql}");
    }
    // Types that call nothing of anybody's are as free as ever.
    let plain = "SELECT 'red'::colour, 'x'::short, 5::int, '{red}'::colour[]";
    agent.query(plain).ok();
    assert_eq!(world.sql("SELECT count(*) FROM drafts WHERE id = 90"), "0");
    let run = world.open("caller");
    let mut agent = Agent::connect(&run);
    assert_eq!(agent.query("SELECT 90::positive").ok().value(), "90");
    assert_eq!(world.sql("SELECT count(*) FROM drafts WHERE id = 90"), "1");
}

#[test]
fn a_placeholder_of_such_a_type_takes_it_too() {
    let world = worlds();
    let oid: u32 = world
        .sql("SELECT 'positive'::regtype::oid")
        .parse()
        .expect("an OID");
    let asked = |agent: &mut Agent| {
        agent.send(|out| {
            frontend::parse("", "SELECT $1", [oid], out).expect("a statement");
            let value = |_: &str, out: &mut bytes::BytesMut| {
                out.extend_from_slice(b"91");
                Ok(postgres_protocol::IsNull::No)
            };
            frontend::bind("", "", [0], ["91"], value, [0], out)
                .ok()
                .expect("values");
            frontend::execute("", 0, out).expect("a portal");
            frontend::sync(out);
        });
        agent.answer()
    };
    let run = world.open("reader");
    asked(&mut Agent::connect(&run)).denied(&["execute", "public.marks"]);
    assert_eq!(world.sql("SELECT count(*) FROM drafts WHERE id = 91"), "0");
    let run = world.open("caller");
    assert_eq!(asked(&mut Agent::connect(&run)).ok().value(), "91");
    assert_eq!(world.sql("SELECT count(*) FROM drafts WHERE id = 91"), "1");
}
