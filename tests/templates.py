"""What a session of tests makes once and then copies: databases with the gateway's tables in them.

The migrations take several times what the rest of a first start does. A session makes its templates from the
code under test, in its own temporary directory, for all its processes; nothing of them outlives it. Beside
pytest there is no session (`make soak`, `make cluster`, `make bench`): there every database is migrated.

From nothing start tests/test_stack.py on both databases, tests/test_pooler.py by way of PgBouncer,
tests/faults/test_exhausted_database.py as a user who is no superuser, and tests/gateway/test_run.py. The
first and the last of these start with the system checks too, which other stacks of a session are spared.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path


class Templates:
    """Folders by name. Whichever process asks first fills one, and the others wait for it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)

    def folder(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the folder that `make` has filled, to copy from."""
        ready, draft = self._directory / name, self._directory / f"{name}.new"
        with (self._directory / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not ready.exists():
                shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
                draft.mkdir()
                make(draft)
                draft.rename(ready)
        return ready


#: Those of this session; None beside pytest.
session: Templates | None = None
