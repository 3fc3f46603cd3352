"""Runs management commands in the test's process and shows what a shell would see."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError


@dataclass(frozen=True)
class Done:
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def manage(*arguments: str) -> Done:
    """Run `manage.py` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except CommandError as exc:
        code = exc.returncode
        err.write(str(exc))
    return Done(code, out.getvalue(), err.getvalue())


def good(*arguments: str) -> Done:
    """Run a command that has to succeed."""
    done = manage(*arguments)
    assert done.code == 0, done
    return done


def failing(*arguments: str, code: int = 1) -> Done:
    """Run a command that has to fail with one line of explanation."""
    done = manage(*arguments)
    assert done.code == code, done
    assert "Traceback" not in done.err
    return done
