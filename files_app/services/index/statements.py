"""Statements that the ORM writes once and the database gets often: ADR 0003.

    _RENAME = Statement(lambda: File.objects.filter(pk=of(File, "id")).update(filename=of(File, "filename")))

    _RENAME.change(id=1, filename="a.txt")

To compile a statement costs several times what running it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, Self

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


class LastInserted(Expression):
    """The primary key of the row of `model` that was inserted last here; on SQLite of whatever table."""

    def __init__(self, model: type[models.Model]) -> None:
        super().__init__(output_field=models.BigIntegerField())
        self._model = model

    def as_sqlite(self, compiler: Any, connection: Any) -> Any:
        return "last_insert_rowid()", []

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        options = self._model._meta
        return "currval(pg_get_serial_sequence(%s, %s))", [f'"{options.db_table}"', options.pk.column]


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

    def with_values(self, **values: Any) -> Run:
        """Return the statement with what one run of it says."""
        return Run(self, values)

    def change(self, **values: Any) -> int:
        """Run an update and return how many rows it changed."""
        return together(self.with_values(**values))[0].changed

    def insert(self, **values: Any) -> int:
        """Run an insert of one row and return its primary key."""
        return int(self.row(**values)[0])

    def row(self, **values: Any) -> tuple[Any, ...]:
        """Run a query for one row and return it as the database gives it."""
        return together(self.with_values(**values))[0].row

    def written(self, database: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """Return SQL and parameters, of which some are a Parameter."""
        found = self._written.get(database.vendor)
        if found is None:
            found = self._written[database.vendor] = _with_constants(*_written(self._ask, database), database)
        return found


class Run(NamedTuple):
    """A statement that shall be run."""

    statement: Statement
    values: Mapping[str, Any]

    def bound(self, database: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        """Return the SQL and what goes to the database in the places of its parameters."""
        sql, parameters = self.statement.written(database)
        return sql, [_bound(each, self.values, database) for each in parameters]


class Outcome(NamedTuple):
    """changed: how many rows, of an update. row: the first that the database gave, empty where none."""

    changed: int
    row: tuple[Any, ...] = ()


def together(*runs: Run) -> list[Outcome]:
    """Run statements one behind the other, whatever comes of each, in one round trip where there are any."""
    database = connections[DEFAULT_DB_ALIAS]  # what `connection` looks up at each use
    bound = [run.bound(database) for run in runs]
    with database.cursor() as cursor:
        if database.vendor != "postgresql":
            return [_executed(cursor, sql, values) for sql, values in bound]
        cursor.execute("; ".join(sql for sql, _ in bound), [each for _, values in bound for each in values])
        return outcomes_of(cursor)


def outcomes_of(cursor: CursorWrapper) -> list[Outcome]:
    """Return what has come of each statement that PostgreSQL got in one message."""
    outcomes = [_outcome(cursor)]
    while cursor.nextset():
        outcomes.append(_outcome(cursor))
    return outcomes


def _executed(cursor: CursorWrapper, sql: str, values: list[Any]) -> Outcome:
    cursor.execute(sql, values)
    return _outcome(cursor)  # not what `execute` returns: its errors are not Django's


def _outcome(cursor: CursorWrapper) -> Outcome:
    return Outcome(int(cursor.rowcount), (cursor.fetchone() or ()) if cursor.description else ())


def _bound(parameter: Any, values: Mapping[str, Any], database: BaseDatabaseWrapper) -> Any:
    """Return what goes to the database in the place of a parameter."""
    if type(parameter) is not Parameter:
        return parameter  # what each run says alike
    value = values[parameter.name]
    return parameter.kind.get_db_prep_save(value, database) if parameter.is_prepared else value


def _with_constants(
    sql: str, parameters: tuple[Any, ...], database: BaseDatabaseWrapper
) -> tuple[str, tuple[Any, ...]]:
    """Write what each run says alike into the statement, where each parameter costs a run its time."""
    pieces = sql.split("%s")
    if database.vendor != "postgresql" or len(pieces) != len(parameters) + 1:
        return sql, parameters
    compose = database.ops.compose_sql  # type: ignore[attr-defined]  # PostgreSQL's
    literals = [
        "%s" if type(each) is Parameter else compose("%s", [each]).replace("%", "%%") for each in parameters
    ]
    written = "".join(piece + literal for piece, literal in zip(pieces, [*literals, ""], strict=True))
    return written, tuple(each for each in parameters if type(each) is Parameter)


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
