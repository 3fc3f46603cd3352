"""Statements that the ORM writes once and the database gets often: ADR 0003.

    _RENAME = Statement(lambda: File.objects.filter(pk=of(File, "id")).update(filename=of(File, "filename")))

    _RENAME.change(id=1, filename="a.txt")

To compile a statement costs several times what running it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Self, TypeAlias

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models.expressions import Expression

#: Makes of a value what a database takes.
Preparation: TypeAlias = Callable[[Any, BaseDatabaseWrapper], Any]
#: Fields whose values are not what the database takes.
_PREPARED = (models.DurationField, models.JSONField, models.GenericIPAddressField)


class Parameter(Expression):
    """Stands for a value that each run of a statement has anew; prepared as its field prepares it."""

    def __init__(self, name: str, field: models.Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name
        self.prepare = _preparation(field)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


def _preparation(field: models.Field[Any, Any]) -> Preparation | None:
    """Return what makes of a value what the database takes; None where it takes it as it is."""
    if isinstance(field, models.DateTimeField):
        return _prepared_time
    return field.get_db_prep_save if isinstance(field, _PREPARED) else None


def _prepared_time(value: Any, database: BaseDatabaseWrapper) -> Any:
    """Do what the field does, but for taking naive times and texts as well."""
    return database.ops.adapt_datetimefield_value(value)


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
        self._written: dict[str, _Written] = {}

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

    def written(self, database: BaseDatabaseWrapper) -> _Written:
        """Return SQL, and what goes into its places."""
        found = self._written.get(database.vendor)
        if found is None:
            found = self._written[database.vendor] = _with_constants(*_written(self._ask, database), database)
        return found


class _Written(NamedTuple):
    """SQL, and what goes to the database in the places of its parameters.

    names: of a run's values, one for each place. prepared: at which of them something else has to be made of
    the value first. constants: what has no name that a run knows.
    """

    sql: str
    names: tuple[str, ...]
    prepared: tuple[tuple[int, Preparation], ...]
    constants: Mapping[str, Any]


class Run(NamedTuple):
    """A statement that shall be run."""

    statement: Statement
    values: Mapping[str, Any]

    def bound(self, database: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        """Return the SQL and what goes to the database in the places of its parameters."""
        sql, names, prepared, constants = self.statement.written(database)
        values = {**self.values, **constants} if constants else self.values
        bound = [values[name] for name in names]
        for at, prepare in prepared:
            bound[at] = prepare(bound[at], database)
        return sql, bound


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
    raw = cursor.cursor  # to ask Django's costs several times as much
    outcomes = []
    while True:
        has_rows = raw.rownumber is not None  # a description is put together when it is asked for
        outcomes.append(Outcome(int(raw.rowcount), (cursor.fetchone() or ()) if has_rows else ()))
        if not cursor.nextset():
            return outcomes


def _executed(cursor: CursorWrapper, sql: str, values: list[Any]) -> Outcome:
    cursor.execute(sql, values)
    raw = cursor.cursor  # not what `execute` returns: its errors are not Django's
    return Outcome(int(raw.rowcount), (cursor.fetchone() or ()) if raw.description else ())


def _with_constants(sql: str, parameters: tuple[Any, ...], database: BaseDatabaseWrapper) -> _Written:
    """Write what each run says alike into the statement, where each parameter costs a run its time."""
    pieces = sql.split("%s")
    if len(pieces) != len(parameters) + 1:
        return _with_places(sql, parameters)
    literal = _LITERALS[database.vendor]
    written, places = pieces[0], []
    for parameter, piece in zip(parameters, pieces[1:], strict=True):
        said = None if type(parameter) is Parameter else literal(parameter, database)
        if said is None:
            places.append(parameter)
        written += ("%s" if said is None else said.replace("%", "%%")) + piece
    return _with_places(written, places)


def _with_places(sql: str, parameters: Sequence[Any]) -> _Written:
    named = {at: each for at, each in enumerate(parameters) if type(each) is Parameter}
    return _Written(
        sql,
        names=tuple(named[at].name if at in named else f"%{at}" for at in range(len(parameters))),
        prepared=tuple((at, each.prepare) for at, each in named.items() if each.prepare is not None),
        constants={f"%{at}": each for at, each in enumerate(parameters) if at not in named},
    )


def _postgresql_literal(value: Any, database: BaseDatabaseWrapper) -> str:
    return str(database.ops.compose_sql("%s", [value]))  # type: ignore[attr-defined]  # PostgreSQL's


def _sqlite_literal(value: Any, database: BaseDatabaseWrapper) -> str | None:
    """Return what is the same in SQLite's words; None where that is not certain."""
    if value is None:
        return "NULL"
    if type(value) in {bool, int}:
        return str(int(value))
    is_plain = isinstance(value, str) and value.isascii() and value.isprintable()
    return "'" + value.replace("'", "''") + "'" if is_plain else None


_LITERALS = {"postgresql": _postgresql_literal, "sqlite": _sqlite_literal}


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
