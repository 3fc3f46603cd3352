"""The states of files and copies, and the one way from each to the next.

Nothing else writes a state: `update()` refuses it, and `to()` refuses a step that is not in the table.
`docs/architecture.md` draws both tables; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NoReturn, TypeVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import Exact
from django.utils import timezone


class FileState(models.TextChoices):
    """What a file is for its organization. Only an available one can be seen by clients.

    trashed: deleted by its organization, and still at its provider: staff may restore it.
    """

    UPLOADING = "uploading"
    AVAILABLE = "available"
    TRASHED = "trashed"
    DELETING = "deleting"
    DELETED = "deleted"
    FAILED = "failed"
    LOST = "lost"


class CopyState(models.TextChoices):
    """State of one provider's holding.

    unconfirmed: the provider's answer was lost, so that it may hold bytes that we cannot name.
    dead: deletes are exhausted; an operator has to look.
    """

    UPLOADING = "uploading"
    AVAILABLE = "available"
    UNCONFIRMED = "unconfirmed"
    DELETING = "deleting"
    DELETED = "deleted"
    DEAD = "dead"
    FAILED = "failed"
    LOST = "lost"


Transitions = Mapping[str, frozenset[str]]

#: state -> the states that may follow. Rows begin as `uploading`, or as `available` where a provider has the
#: file already.
FILE_TRANSITIONS: Transitions = {
    FileState.UPLOADING: frozenset({FileState.AVAILABLE, FileState.FAILED}),
    FileState.AVAILABLE: frozenset({FileState.TRASHED, FileState.DELETING, FileState.LOST}),
    FileState.TRASHED: frozenset({FileState.AVAILABLE, FileState.DELETING}),
    FileState.LOST: frozenset({FileState.AVAILABLE, FileState.DELETING}),
    FileState.DELETING: frozenset({FileState.DELETED}),
    FileState.DELETED: frozenset(),
    FileState.FAILED: frozenset(),
}

COPY_TRANSITIONS: Transitions = {
    CopyState.UPLOADING: frozenset(
        {CopyState.AVAILABLE, CopyState.UNCONFIRMED, CopyState.DELETING, CopyState.FAILED}
    ),
    CopyState.AVAILABLE: frozenset({CopyState.DELETING, CopyState.LOST}),
    CopyState.UNCONFIRMED: frozenset({CopyState.DELETING, CopyState.FAILED}),
    CopyState.DELETING: frozenset({CopyState.DELETED, CopyState.DEAD}),
    CopyState.DEAD: frozenset({CopyState.DELETING, CopyState.DELETED}),
    CopyState.LOST: frozenset({CopyState.AVAILABLE, CopyState.DELETING}),
    CopyState.DELETED: frozenset(),
    # An upload that the sweeper gave up may still end at the provider and name what has to go.
    CopyState.FAILED: frozenset({CopyState.DELETING}),
}

#: States in which a remote id belongs to one file only.
HOLDING_STATES = (CopyState.AVAILABLE, CopyState.DELETING, CopyState.DEAD)

#: States from which a file is deleted. A lost one may be found again, unless somebody has deleted it.
DELETABLE_STATES = (FileState.AVAILABLE, FileState.LOST)

M = TypeVar("M", bound=models.Model)

_STATES = frozenset({*FileState.values, *CopyState.values})


class StateIs(Exact):
    """`state = 'available'`, with the state in the statement instead of a parameter.

    Indexes have conditions on the state. SQLite asks what a parameter is before it takes one of them, and so
    compiles the statement anew for each run: that takes four times as long as to run it.
    """

    def get_db_prep_lookup(
        self, value: Any, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[str | int, ...]]:
        """Return the state as it stands in a statement: none of them is anybody's word."""
        if value in _STATES:
            return f"'{value}'", ()
        return super().get_db_prep_lookup(value, connection)


class TransitionError(Exception):
    """The program asked for a step that no file or copy may make."""


class StatefulQuerySet(models.QuerySet[M]):
    """Rows whose `state` only changes along `transitions`."""

    transitions: ClassVar[Transitions] = {}

    def to(self, state: str, *, origin: str | Iterable[str] | None = None, **values: Any) -> int:
        """Move those of the rows that may become `state`, in one conditional update; return how many did.

        origin: the states to move from; None for every state from which the table leads there.
        values: columns that change with it. Raises TransitionError for a step that is not in the table.
        """
        possible = {before for before, after in self.transitions.items() if state in after}
        wanted = possible if origin is None else {origin} if isinstance(origin, str) else set(origin)
        if not wanted or not wanted <= possible:
            raise TransitionError(f"{self.model.__name__}: no way from {sorted(wanted)} to {state}")
        values.setdefault("state_changed_at", timezone.now())
        return super(StatefulQuerySet, self.filter(state__in=wanted)).update(state=state, **values)

    def update(self, **values: Any) -> int:
        """Update columns. Raises TransitionError for the state, which only `to` changes."""
        if "state" in values:
            raise TransitionError(f"{self.model.__name__}: states change by `to`")
        return super().update(**values)

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: it would go past `update`."""
        raise TransitionError(f"{self.model.__name__}: rows are updated by conditions, not one by one")


class StatefulModel(models.Model):
    """A row that is written once and then changes by conditional updates alone."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write a new row. Raises TransitionError for one that exists: what was read may be old."""
        if not self._state.adding:
            raise TransitionError(f"{type(self).__name__}: existing rows change by conditional updates")
        super().save(*args, **kwargs)
