"""Rows as a test needs them: in states that only a history would bring, and made once for many tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import models, transaction
from pytest_django import DjangoDbBlocker


def force(rows: Any, **values: Any) -> int:
    """Write columns of the rows, the state too, past the table of transitions: what a test begins with."""
    return models.QuerySet.update(rows.all() if isinstance(rows, models.Manager) else rows, **values)


@contextmanager
def kept(blocker: DjangoDbBlocker) -> Iterator[None]:
    """Keep the rows made in this block for every test that runs in it, and remove them at its end.

    For a fixture of a module: each test is rolled back to these rows. Files on disk and at providers are not.
    """
    with blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)
