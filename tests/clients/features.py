"""What a client can do through the gateway: a line for each feature, `feature: outcome`.

`works` is said when everything that is asserted about it holds, `denied` when the driver's own error
says that the gateway denied it, in full. Whatever else happens is `failed`, with the reason on stderr.
The test compares the lines with the table in docs/postgres-clients.md.
"""

import sys
import traceback

FEATURES = [
    "connect", "simple", "prepared", "transaction", "copy in", "copy out", "cancel", "error", "denied call", "metadata",
]

# Counts for so long that it has to be cancelled.
ENDLESS = "SELECT count(*) FROM generate_series(1, 100000000000)"
# An error with a hint, one with a detail, and one whose detail would show a row.
MISSPELT = "SELECT txt FROM comments"
MALFORMED = "SELECT '{1'::int[]"
TAKEN = "INSERT INTO comments (id, ticket, author, text) VALUES (1, 1, 'a', 'b')"
OUTSIDE = "DELETE FROM billing.cards"


def client(name, version):
    print(f"client: {name} {version}")


def say(feature, outcome):
    print(f"{feature}: {outcome}", flush=True)


def is_denial(code, message, detail, hint):
    return code == "42501" and "call denied" in message and bool(detail) and bool(hint)


def outcome_of(error, fields):
    """`fields` takes the driver's error apart: SQLSTATE, message, detail and hint, or nothing."""
    found = fields(error)
    if found and is_denial(*found):
        return "denied"
    traceback.print_exception(error, file=sys.stderr)
    return "failed"


def feature(name, fields):
    """Tries a feature at once."""

    def trying(act):
        try:
            act()
        except Exception as error:
            say(name, outcome_of(error, fields))
        else:
            say(name, "works")

    return trying


def nothing_further(first):
    """Nothing can be done without a connection."""
    for name in FEATURES:
        say(name, first)


def check_error(misspelt, malformed, taken):
    """Each is SQLSTATE, message, detail and hint."""
    assert misspelt[0] == "42703", misspelt
    assert 'comments.text' in misspelt[3], misspelt
    assert malformed[0] == "22P02" and malformed[2], malformed
    assert taken[0] == "23505" and "comments_pkey" in taken[1], taken
    assert "already exists" not in (taken[2] or ""), taken


def check_denial(code, message, detail, hint):
    assert code == "42501" and "outside the scope of this run" in message, (code, message)
    assert "delete" in detail and "billing.cards" in detail, detail
    assert "[[destroy]]" in hint, hint
