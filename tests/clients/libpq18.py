# libpq 18 as psycopg brings it, with what other clients do not do: protocol 3.2, TLS at once, channel
# binding. Prints what came of each as JSON.
import json
import os
import threading

import psycopg

url = os.environ["DATABASE_URL"]


def attempt(**options):
    try:
        with psycopg.connect(url, connect_timeout=10, **options) as connection:
            row = connection.execute("SELECT id FROM tickets WHERE id = 7").fetchone()
            return {"row": row[0], "protocol": connection.pgconn.full_protocol_version}
    except psycopg.OperationalError as error:
        return {"error": str(error)}


def cancelled(**options):
    """What a statement that is cancelled by libpq's own key ends with."""
    with psycopg.connect(url, **options) as connection:
        timer = threading.Timer(0.5, connection.cancel_safe)
        timer.start()
        try:
            connection.execute("SELECT count(*) FROM tickets a, generate_series(1, 2000000000) b")
        except psycopg.errors.QueryCanceled as error:
            return error.sqlstate
        finally:
            timer.join()
        return None


print(
    json.dumps(
        {
            "libpq": psycopg.pq.version(),
            "default": attempt(sslmode="disable"),
            "latest": attempt(sslmode="disable", max_protocol_version="latest"),
            "3.2 or newer": attempt(sslmode="disable", min_protocol_version="3.2"),
            "direct": attempt(sslmode="require", sslnegotiation="direct"),
            "bound if it can be": attempt(sslmode="require", channel_binding="prefer"),
            "bound": attempt(sslmode="require", channel_binding="require"),
            "encrypted by GSSAPI": attempt(gssencmode="require"),
            "cancelled": cancelled(sslmode="disable", max_protocol_version="latest"),
            "cancelled within TLS": cancelled(sslmode="require", sslnegotiation="direct"),
        }
    )
)
