"""Types at an interactive psql, and says what Tab made of it. Arguments: the program, the URL, and
pairs of what is typed and what it should become."""

import os
import pty
import select
import sys
import time

program, url, *pairs = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.environ.update(TERM="dumb", INPUTRC="/dev/null", PSQL_PAGER="cat", PSQL_HISTORY="/dev/null")
    os.execvp(program, [program, "--no-psqlrc", url])


def until(wanted):
    """Reads until it has come, or for as long as a test waits for anything."""
    seen, end = b"", time.monotonic() + 20
    while wanted.encode() not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
        if not ready:
            raise SystemExit(f"not seen: {wanted!r} in {seen!r}")
        try:
            seen += os.read(terminal, 4096)
        except OSError as error:
            raise SystemExit(f"it ended: {seen!r}") from error


until("=# ")
for typed, becomes in zip(pairs[::2], pairs[1::2]):
    # Ctrl-U clears the line.
    os.write(terminal, f"\x15{typed}\t".encode())
    until(becomes)
    print(becomes, flush=True)
os.write(terminal, b"\x15\\q\n")
try:
    while os.read(terminal, 4096):
        pass
except OSError:
    # The terminal goes with its last user.
    pass
os.waitpid(child, 0)
