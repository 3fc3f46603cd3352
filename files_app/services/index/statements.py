"""Statements that the ORM writes once and the database gets often: ADR 0003.

    _RENAME = Statement(lambda: File.objects.filter(pk=of(File, "id")).update(filename=of(File, "filename")))

    _RENAME.change(id=1, filename="a.txt")

To compile a statement costs several times what running it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Self

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models.expressions import Expression

#: Fields whose values are not what the database takes.
_PREPARED = (models.DateTimeField, models.DurationField, models.JSONField, models.GenericIPAddressField)


class Parameter(Expression):
    """Stands for a value that each run of a statement has anew; prepared as its field prepares it."""

    def __init__(self, name: str, field: models.Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name
        self.is_prepared = isinstance(field, _PREPARED)
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


class Statement:
    """The first statement with which `ask` turns to the database; it is written once for each kind of those.

    In place of a Parameter comes what a run says for its name.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._written: dict[str, tuple[str, tuple[Any, ...]]] = {}

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
        database = connections[DEFAULT_DB_ALIAS]  # what `connection` looks up at each use
        written = self._written.get(database.vendor)
        if written is None:
            written = self._written[database.vendor] = _written(self._ask, database)
        sql, parameters = written
        with database.cursor() as cursor:
            cursor.execute(sql, [_bound(each, values, database) for each in parameters])
            yield cursor


def _bound(parameter: Any, values: dict[str, Any], database: BaseDatabaseWrapper) -> Any:
    """Return what goes to the database in the place of a parameter."""
    if type(parameter) is not Parameter:
        return parameter
    value = values[parameter.name]
    return parameter.kind.get_db_prep_save(value, database) if parameter.is_prepared else value


class _WrittenError(Exception):
    """Brings a statement back instead of running it."""


class _NoCursor:
    """Stands for the database while a statement is written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is open."""

    def execute(self, sql: Any, params: Any = None) -> NoReturn:
        raise _WrittenError(sql, params)

    def close(self) -> None:
        """Nothing is open."""


def _written(ask: Callable[[], object], database: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
    """Return the SQL that `ask` would run, and its parameters. The database hears nothing of it."""
    needed_rollback = database.needs_rollback
    vars(database)["cursor"] = _NoCursor
    try:
        ask()
    except _WrittenError as written:
        sql, parameters = written.args
        return str(sql), tuple(parameters)
    finally:
        del vars(database)["cursor"]
        database.needs_rollback = needed_rollback  # the ORM takes what was raised for a failed write
    raise AssertionError("the ORM asked for nothing")
