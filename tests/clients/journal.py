"""What a server got, a JSON line each, so that a test can prove that something never arrived."""

import json
import os
import threading

DATA = json.load(open(os.path.join(os.path.dirname(__file__), "helpdesk.json"), encoding="utf-8"))

_lock = threading.Lock()


def journal(**entry):
    """Appends to the file that JOURNAL names; written before the caller does anything about it."""
    with _lock, open(os.environ["JOURNAL"], "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def listening(port):
    """Tells the test where."""
    print("port", port, flush=True)
