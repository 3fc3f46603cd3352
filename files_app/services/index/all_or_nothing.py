"""Short transactions whose statements are known beforehand, and what has to come of each.

PostgreSQL gets one in one round trip, without BEGIN and COMMIT: the statements of one message are a
transaction, and one that does not do what it has to ends it. What they are stands in the code, so that they
are few and each session prepares them (`gateway/postgresql/prepared.py`). SQLite commits those that wait
together (`group_commit`).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, TypeAlias

from django.db import DEFAULT_DB_ALIAS, DataError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from files_app.services.index.group_commit import commit_in_group
from files_app.services.index.statements import Outcome, Run, outcomes_of, together

_DIVISION_BY_ZERO = "22012"


class NotAsExpectedError(Exception):
    """A statement did not do what it had to, so that nothing was done."""


class Below(NamedTuple):
    """A count that has to be below `most`."""

    counted: Run
    most: int


#: A Run has to change or to insert a row.
Step: TypeAlias = Run | Below


def all_or_nothing(*steps: Step) -> list[Outcome]:
    """Run statements one behind the other, as a transaction of their own or a part of the caller's.

    Raises NotAsExpectedError where one does not do what it has to, and what the database raises: then none
    counts.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if database.vendor != "postgresql":
        return commit_in_group(lambda: demand(*steps))
    if not database.in_atomic_block:
        return _in_one_message(steps, database)
    with transaction.atomic():
        return _in_one_message(steps, database)


def demand(*steps: Step) -> list[Outcome]:
    """Run statements inside the caller's transaction, which has to be undone where this raises.

    Raises NotAsExpectedError where one does not do what it has to.
    """
    outcomes = together(*(step.counted if isinstance(step, Below) else step for step in steps))
    for step, outcome in zip(steps, outcomes, strict=True):
        if not _is_done(step, outcome):
            raise NotAsExpectedError
    return outcomes


def _is_done(step: Step, outcome: Outcome) -> bool:
    if isinstance(step, Below):
        return bool(outcome.row[0] < step.most)
    return outcome.changed == 1 or bool(outcome.row)  # SQLite counts no rows while it returns one


def _in_one_message(steps: tuple[Step, ...], database: BaseDatabaseWrapper) -> list[Outcome]:
    sqls: list[str] = []
    values: list[Any] = []
    for step in steps:
        run = step.counted if isinstance(step, Below) else step
        sql, bound = run.bound(database)
        sqls.append(_demanding(sql, is_count=isinstance(step, Below)))
        values += bound
        if isinstance(step, Below):
            values.append(step.most)
    try:
        with database.cursor() as cursor:
            if database.in_atomic_block:  # which would end with a name that the session does not have
                cursor.execute("; ".join(sqls), values)
            else:
                database.execute_alone(cursor, tuple(sqls), values)  # type: ignore[attr-defined]  # ours
            return outcomes_of(cursor)[-len(steps) :]  # before them limits of time may have been set
    except DataError as error:
        if getattr(error.__cause__, "sqlstate", "") == _DIVISION_BY_ZERO:
            raise NotAsExpectedError from error
        raise


@cache
def _demanding(sql: str, *, is_count: bool) -> str:
    """Return the statement as one that divides by zero unless it does what it has to."""
    if is_count:
        return f"SELECT 1 / (CASE WHEN ({sql}) < %s THEN 1 ELSE 0 END)"
    if sql.startswith("INSERT"):
        return sql  # which inserts its row, or raises
    return f"WITH changed AS ({sql} RETURNING 1) SELECT 1 / count(*) FROM changed"  # noqa: S608 - the ORM's
