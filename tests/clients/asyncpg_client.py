"""asyncpg as an agent would use it. It speaks the extended protocol and binary formats alone, and
looks up every type that is not built in."""

import asyncio
import inspect
import io
import os

import asyncpg
from features import ENDLESS, MALFORMED, MISSPELT, OUTSIDE, TAKEN, check_denial, check_error, client, nothing_further, outcome_of, say


def fields(error):
    if isinstance(error, asyncpg.PostgresError):
        # Its text has the detail and hint below the message.
        return error.sqlstate, str(error), error.detail, error.hint
    return None


async def error_of(connection, statement):
    try:
        await connection.execute(statement)
    except asyncpg.PostgresError as error:
        return fields(error)
    raise AssertionError(f"it worked: {statement}")


async def simple(connection):
    assert await connection.execute("SELECT 1; SELECT subject FROM tickets WHERE id = 3") == "SELECT 1"
    assert await connection.fetchval("SELECT email FROM tickets WHERE id = 3") == "[masked]"


async def prepared(connection):
    statement = await connection.prepare("SELECT subject FROM tickets WHERE id = $1")
    for number in range(1, 8):
        assert await statement.fetchval(number) == f"subject {number}"
    await connection.executemany(
        "INSERT INTO comments (ticket, author, text) VALUES ($1, 'asyncpg', $2)", [(1, "a"), (2, "b")]
    )
    # A portal that is read in pieces.
    async with connection.transaction():
        rows = [row["id"] async for row in connection.cursor("SELECT id FROM tickets ORDER BY id", prefetch=3)]
    assert rows == list(range(1, 21)), rows


async def transaction(connection):
    try:
        async with connection.transaction():
            await connection.execute("UPDATE tickets SET priority = 21 WHERE id = 2")
            await connection.execute(OUTSIDE)
        raise AssertionError("it was not denied")
    except asyncpg.InsufficientPrivilegeError:
        pass
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute("UPDATE tickets SET priority = $1 WHERE id = $2", 22, 3)
        try:
            async with connection.transaction():
                await connection.execute("UPDATE tickets SET priority = 21 WHERE id = 4")
                await connection.execute(OUTSIDE)
        except asyncpg.InsufficientPrivilegeError:
            pass


async def copy_in(connection):
    records = [(1, "asyncpg", "copied"), (2, "asyncpg", "copied")]
    done = await connection.copy_records_to_table("comments", columns=["ticket", "author", "text"], records=records)
    assert done == "COPY 2", done


async def copy_out(connection):
    found = io.BytesIO()
    await connection.copy_from_query("SELECT id, email FROM tickets WHERE id = 1", output=found)
    assert found.getvalue() == b"1\t[masked]\n", found.getvalue()


async def cancel(connection):
    try:
        await connection.fetch(ENDLESS, timeout=0.3)
        raise AssertionError("it ended")
    except asyncio.TimeoutError:
        pass
    assert await connection.fetchval("SELECT 1") == 1


async def error(connection):
    check_error(*[await error_of(connection, statement) for statement in [MISSPELT, MALFORMED, TAKEN]])
    assert await connection.fetchval("SELECT 1") == 1


async def denied_call(connection):
    check_denial(*await error_of(connection, OUTSIDE))
    assert await connection.fetchval("SELECT 1") == 1


async def metadata(connection):
    # Types of the database's own, and arrays of any.
    assert await connection.fetchval("SELECT 'calm'::mood") == "calm"
    assert await connection.fetchval("SELECT $1::int[]", [1, 2]) == [1, 2]
    row = await connection.fetchval("SELECT c FROM comments c WHERE id = 3")
    assert row["author"] == "bob", row


async def main():
    client("asyncpg", asyncpg.__version__)
    try:
        pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=1)
    except Exception as failure:
        nothing_further(outcome_of(failure, fields))
        return
    say("connect", "works")
    features = [simple, prepared, transaction, copy_in, copy_out, cancel, error, denied_call, metadata]
    assert all(inspect.iscoroutinefunction(act) for act in features)
    for act in features:
        name = act.__name__.replace("_", " ")
        try:
            # Given back to the pool, and with it reset, after each.
            async with pool.acquire() as connection:
                await act(connection)
        except Exception as failure:
            say(name, outcome_of(failure, fields))
        else:
            say(name, "works")
    await pool.close()


asyncio.run(main())
