"""Lines about processes, in the form of the other logs, from where there is no Django to write them.

Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping


def notice(
    event: str, words: str, *, level: str = "error", fields: Mapping[str, object] | None = None
) -> None:
    """Print what happened: the words to a person, an object with the event and the fields to a collector."""
    form = os.environ.get("LOG_FORMAT", "").strip() or ("console" if sys.stdout.isatty() else "json")
    if form == "json":
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        words = json.dumps(
            {**(fields or {}), "event": event, "detail": words, "level": level, "timestamp": stamp}
        )
    say(words)


def say(words: str) -> None:
    """Print a line for people; a full disk or a reader that has left ends nobody who keeps others running."""
    with contextlib.suppress(OSError):
        os.write(1, f"{words}\n".encode())
