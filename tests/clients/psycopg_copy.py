"""psycopg 3 taking rows out by COPY, as text, in binary and as CSV. Prints one JSON object."""

import json
import os
import sys

import psycopg

report = {}

with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
    with connection.cursor() as cursor:
        with cursor.copy("COPY (SELECT id, email FROM tickets WHERE id < 3) TO STDOUT") as copy:
            report["text"] = [list(row) for row in copy.rows()]

        with cursor.copy(
            "COPY (SELECT id, email, length(email) FROM tickets WHERE id < 3)"
            " TO STDOUT (FORMAT binary)"
        ) as copy:
            copy.set_types(["int4", "text", "int4"])
            report["binary"] = [list(row) for row in copy.rows()]

        with cursor.copy(
            "COPY (SELECT id, email FROM tickets WHERE id < %s) TO STDOUT (FORMAT csv)", (3,)
        ) as copy:
            report["csv"] = b"".join(bytes(data) for data in copy).decode()

json.dump(report, sys.stdout)
