"""psycopg 3 as an agent would use it: the URL as it is, and whatever the driver does by itself.

Prints one JSON object; the test reads it.
"""

import json
import os
import sys

import psycopg
from psycopg import sql

report = {"driver": psycopg.__version__}

with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
    report["parametrised"] = connection.execute(
        "SELECT subject FROM tickets WHERE id = %s", (3,)
    ).fetchone()[0]

    # Prepared on the server from the first use, and used again.
    prepared = []
    for number in range(1, 8):
        row = connection.execute(
            "SELECT id FROM tickets WHERE id = %s", (number,), prepare=True
        ).fetchone()
        prepared.append(row[0])
    report["prepared"] = prepared

    with connection.cursor(binary=True) as cursor:
        cursor.execute("SELECT id, subject, email, priority FROM tickets WHERE id = 2")
        report["binary"] = cursor.fetchone()

    # A transaction that a denial breaks, and one that holds.
    try:
        with connection.transaction():
            connection.execute("UPDATE tickets SET priority = 21 WHERE id = 2")
            connection.execute("DELETE FROM billing.cards WHERE id = %s", (1,))
    except psycopg.errors.InsufficientPrivilege as error:
        report["denied"] = {
            "code": error.sqlstate,
            "detail": error.diag.message_detail,
            "hint": error.diag.message_hint,
        }
    with connection.transaction():
        connection.execute("UPDATE tickets SET priority = %s WHERE id = %s", (22, 3))

    # A pipeline, in which a denial ends what follows it.
    try:
        with connection.pipeline():
            first = connection.execute("SELECT 1")
            connection.execute("SELECT number FROM billing.cards")
            connection.execute("SELECT 3")
    except psycopg.errors.InsufficientPrivilege as error:
        report["pipeline"] = [first.fetchone()[0], error.sqlstate]
    report["after"] = connection.execute("SELECT 'went on'").fetchone()[0]

    with connection.cursor().copy("COPY comments (ticket, author, text) FROM STDIN") as copy:
        copy.write_row((1, "psycopg", "copied"))

    # A cursor on the server.
    with connection.transaction(), connection.cursor(name="c") as cursor:
        cursor.execute("SELECT id FROM tickets ORDER BY id")
        report["cursor"] = [row[0] for row in cursor.fetchmany(3)]

    many = connection.cursor()
    many.executemany(
        "INSERT INTO comments (ticket, author, text) VALUES (%s, 'psycopg', %s)",
        [(number, f"many {number}") for number in range(1, 6)],
    )
    report["many"] = many.rowcount
    quoted = sql.SQL("SELECT {} FROM {}").format(sql.Identifier("id"), sql.Identifier("tickets"))
    report["composed"] = len(connection.execute(quoted).fetchall())

json.dump(report, sys.stdout)
