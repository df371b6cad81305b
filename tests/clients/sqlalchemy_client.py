"""SQLAlchemy with psycopg: sessions, savepoints, and what its inspector reads. With an argument, the
engine does not look for hstore when it first connects."""

import os
import sys

import sqlalchemy
from features import MALFORMED, MISSPELT, OUTSIDE, TAKEN, check_denial, check_error, client, feature, nothing_further, outcome_of, say
from sqlalchemy import text
from sqlalchemy.orm import Session

options = {"use_native_hstore": False} if len(sys.argv) > 1 else {}
client("SQLAlchemy without hstore" if options else "SQLAlchemy", sqlalchemy.__version__)


def fields(error):
    diag = getattr(getattr(error, "orig", None), "diag", None)
    return diag and (error.orig.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint)


def error_of(statement):
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    except sqlalchemy.exc.DBAPIError as error:
        return fields(error)
    raise AssertionError(f"it worked: {statement}")


url = os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg://")
engine = sqlalchemy.create_engine(url, **options)
try:
    engine.connect().close()
except sqlalchemy.exc.DBAPIError as error:
    nothing_further(outcome_of(error, fields))
    raise SystemExit
say("connect", "works")


@feature("simple", fields)
def _():
    with engine.connect() as connection:
        assert connection.execute(text("SELECT email FROM tickets WHERE id = 3")).scalar() == "[masked]"


@feature("prepared", fields)
def _():
    # The driver prepares what it has seen five times.
    with engine.connect() as connection:
        for number in range(1, 9):
            statement = text("SELECT subject FROM tickets WHERE id = :id")
            assert connection.execute(statement, {"id": number}).scalar() == f"subject {number}"


@feature("transaction", fields)
def _():
    assert error_of(f"UPDATE tickets SET priority = 21 WHERE id = 2; {OUTSIDE}")[0] == "42501"
    with Session(engine) as session, session.begin():
        session.execute(text("UPDATE tickets SET priority = 22 WHERE id = 3"))
        try:
            with session.begin_nested():
                session.execute(text("UPDATE tickets SET priority = 21 WHERE id = 4"))
                session.execute(text(OUTSIDE))
        except sqlalchemy.exc.DBAPIError as error:
            assert fields(error)[0] == "42501"


say("copy in", "none")
say("copy out", "none")
say("cancel", "none")


@feature("error", fields)
def _():
    check_error(*map(error_of, [MISSPELT, MALFORMED, TAKEN]))


@feature("denied call", fields)
def _():
    check_denial(*error_of(OUTSIDE))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


@feature("metadata", fields)
def _():
    inspector = sqlalchemy.inspect(engine)
    assert {"billing", "public"} <= set(inspector.get_schema_names())
    assert "contacts" in inspector.get_view_names()
    assert "numbers" in inspector.get_sequence_names()
    assert [column["name"] for column in inspector.get_columns("drafts")] == ["id", "text"]
    assert inspector.get_pk_constraint("tickets")["constrained_columns"] == ["id"]
    assert inspector.get_foreign_keys("comments")[0]["referred_table"] == "tickets"
    assert inspector.get_enums()[0]["labels"] == ["calm", "cross"]
    assert inspector.has_table("tickets")
    for look in ["indexes", "unique_constraints", "check_constraints", "table_comment"]:
        getattr(inspector, f"get_{look}")("comments")
    inspector.get_view_definition("contacts")
    everything = sqlalchemy.MetaData()
    everything.reflect(engine, views=True)
    assert {"tickets", "comments", "drafts", "contacts"} <= set(everything.tables)
