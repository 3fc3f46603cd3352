"""Statements that the ORM writes once and the database gets often: ADR 0003.

    @cache
    def _renamed() -> Statement:
        return compiled(lambda: File.objects.filter(pk=of(File, "id")).update(filename=of(File, "filename")))

    _renamed().change(id=1, filename="a.txt")

To compile a statement costs several times what running it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from django.db import connection, models
from django.db.backends.utils import CursorWrapper
from django.db.models.expressions import Expression


class Parameter(Expression):
    """Stands for a value that each run of a statement has anew; prepared as its field prepares it."""

    def __init__(self, name: str, field: models.Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name
        self.kind = field

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


def parameter(name: str, field: models.Field[Any, Any]) -> Any:
    """Return what stands for the value `name` while a statement is compiled. It may stand for anything."""
    return Parameter(name, field)


def of(model: type[models.Model], column: str) -> Any:
    """Return what stands for the value of a column, under its name."""
    field = model._meta.get_field(column)
    if not isinstance(field, models.Field):
        raise TypeError(f"{column} is no column")
    return Parameter(column, field)


def all_of(model: type[models.Model], *columns: str) -> dict[str, Any]:
    """Return what stands for the values of several columns, by their names."""
    return {column: of(model, column) for column in columns}


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with what the ORM gave it; in place of a Parameter comes what a run says for its name."""

    sql: str
    parameters: tuple[Any, ...]

    def change(self, **values: Any) -> int:
        """Run an update and return how many rows it changed."""
        with self._run(values) as cursor:
            return int(cursor.rowcount)

    def insert(self, **values: Any) -> int:
        """Run an insert of one row and return its primary key."""
        return int(self.row(**values)[0])

    def row(self, **values: Any) -> tuple[Any, ...]:
        """Run a query for one row and return it as the database gives it."""
        with self._run(values) as cursor:
            row: tuple[Any, ...] = cursor.fetchone()
        return row

    @contextmanager
    def _run(self, values: dict[str, Any]) -> Iterator[CursorWrapper]:
        with connection.cursor() as cursor:
            cursor.execute(self.sql, self.bound(values))
            yield cursor

    def bound(self, values: dict[str, Any]) -> list[Any]:
        """Return the parameters with these values."""
        return [
            each.kind.get_db_prep_save(values[each.name], connection) if type(each) is Parameter else each
            for each in self.parameters
        ]


class _WrittenError(Exception):
    """Brings a statement back instead of running it."""


def compiled(ask: Callable[[], object]) -> Statement:
    """Return the first statement with which `ask` would turn to the database. Nothing is run."""
    wrappers, needed_rollback = connection.execute_wrappers, connection.needs_rollback
    # No other wrapper hears of it: nothing is asked.
    connection.execute_wrappers = [_bring_back]
    try:
        ask()
    except _WrittenError as written:
        sql, parameters = written.args
        return Statement(str(sql), tuple(parameters))
    finally:
        connection.execute_wrappers = wrappers
        if connection.in_atomic_block:
            connection.needs_rollback = needed_rollback  # the ORM takes what it raised for a failed write
    raise AssertionError("the ORM asked for nothing")


def _bring_back(execute: object, sql: Any, params: Any, many: bool, context: object) -> NoReturn:
    raise _WrittenError(sql, params)
