"""psycopg 3 as an agent would use it: the URL as it is, and whatever the driver does by itself."""

import concurrent.futures
import os
import time

import psycopg
from features import ENDLESS, MALFORMED, MISSPELT, OUTSIDE, TAKEN, check_denial, check_error, client, feature, nothing_further, outcome_of
from psycopg import sql
from psycopg.types import TypeInfo
from psycopg.types.enum import EnumInfo

client("psycopg", psycopg.__version__)


def fields(error):
    diag = getattr(error, "diag", None)
    return diag and (error.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint)


def error_of(connection, statement):
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        return fields(error)
    raise AssertionError(f"it worked: {statement}")


try:
    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
except psycopg.Error as error:
    nothing_further(outcome_of(error, fields))
    raise SystemExit


@feature("connect", fields)
def _():
    assert connection.info.encoding == "utf-8", connection.info.encoding
    assert connection.info.server_version >= 150000, connection.info.server_version


@feature("simple", fields)
def _():
    # Without parameters, several statements in one.
    cursor = psycopg.ClientCursor(connection)
    cursor.execute("SELECT subject FROM tickets WHERE id = %s; SELECT email FROM tickets WHERE id = 3", (3,))
    assert cursor.fetchone() == ("subject 3",)
    assert cursor.nextset() and cursor.fetchone() == ("[masked]",)
    quoted = sql.SQL("SELECT {} FROM {}").format(sql.Identifier("id"), sql.Identifier("tickets"))
    assert len(connection.execute(quoted).fetchall()) == 20


@feature("prepared", fields)
def _():
    # Prepared on the server from the first use, and used again.
    for number in range(1, 8):
        row = connection.execute("SELECT id FROM tickets WHERE id = %s", (number,), prepare=True).fetchone()
        assert row == (number,), row
    with connection.cursor(binary=True) as cursor:
        cursor.execute("SELECT id, subject, email FROM tickets WHERE id = %s", (2,))
        assert cursor.fetchone() == (2, "subject 2", "[masked]")
    many = connection.cursor()
    many.executemany(
        "INSERT INTO comments (ticket, author, text) VALUES (%s, 'psycopg', %s)",
        [(number, f"many {number}") for number in range(1, 6)],
    )
    assert many.rowcount == 5
    # A pipeline, in which a denial ends what follows it.
    try:
        with connection.pipeline():
            first = connection.execute("SELECT 1")
            connection.execute("SELECT number FROM billing.cards")
            connection.execute("SELECT 3")
        raise AssertionError("it was not denied")
    except psycopg.errors.InsufficientPrivilege:
        assert first.fetchone() == (1,)
    assert connection.execute("SELECT 'went on'").fetchone() == ("went on",)


@feature("transaction", fields)
def _():
    # One that a denial breaks, one that holds, and a savepoint within one.
    try:
        with connection.transaction():
            connection.execute("UPDATE tickets SET priority = 21 WHERE id = 2")
            connection.execute(OUTSIDE)
        raise AssertionError("it was not denied")
    except psycopg.errors.InsufficientPrivilege:
        pass
    with connection.transaction():
        connection.execute("UPDATE tickets SET priority = %s WHERE id = %s", (22, 3))
        try:
            with connection.transaction():
                connection.execute("UPDATE tickets SET priority = 21 WHERE id = 4")
                connection.execute(OUTSIDE)
        except psycopg.errors.InsufficientPrivilege:
            pass
    # A cursor on the server.
    with connection.transaction(), connection.cursor(name="c") as cursor:
        cursor.execute("SELECT id FROM tickets ORDER BY id")
        assert [row[0] for row in cursor.fetchmany(3)] == [1, 2, 3]


@feature("copy in", fields)
def _():
    with connection.cursor().copy("COPY comments (ticket, author, text) FROM STDIN") as copy:
        copy.write_row((1, "psycopg", "copied"))
    with connection.cursor().copy("COPY comments (ticket, author, text) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int4", "text", "text"])
        copy.write_row((1, "psycopg", "copied in binary"))


@feature("copy out", fields)
def _():
    with connection.cursor().copy("COPY (SELECT id, email FROM tickets WHERE id = 1) TO STDOUT") as copy:
        assert list(copy.rows()) == [("1", "[masked]")]


@feature("cancel", fields)
def _():
    with concurrent.futures.ThreadPoolExecutor() as others:
        running = others.submit(error_of, connection, ENDLESS)
        time.sleep(0.3)
        # Waits until the gateway has taken it.
        connection.cancel_safe(timeout=10)
        assert running.result()[0] == "57014"
    assert connection.execute("SELECT 1").fetchone() == (1,)


@feature("error", fields)
def _():
    check_error(*(error_of(connection, statement) for statement in [MISSPELT, MALFORMED, TAKEN]))
    assert connection.execute("SELECT 1").fetchone() == (1,)


@feature("denied call", fields)
def _():
    check_denial(*error_of(connection, OUTSIDE))
    assert connection.execute("SELECT 1").fetchone() == (1,)


@feature("metadata", fields)
def _():
    # Types of the database's own.
    assert EnumInfo.fetch(connection, "mood").labels == ["calm", "cross"]
    assert TypeInfo.fetch(connection, "mood").name == "mood"
