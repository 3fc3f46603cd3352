"""Rows by a query that the ORM has compiled once: to compile it each time costs more than to run it.

So does `QuerySet.raw`, which looks up for each run what the columns are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


def maker(model: type[M]) -> Callable[..., M]:
    """Return what makes an instance from the values of some columns as the model would, in half the time.

    It has no row yet, and does not know that.
    """
    fields = [(field.attname, field.get_default) for field in model._meta.concrete_fields]
    names = [name for name, _ in fields]

    def make(**values: Any) -> M:
        said = [values[name] if name in values else default() for name, default in fields]
        return model.from_db(DEFAULT_DB_ALIAS, names, said)

    return make


class _Written(NamedTuple):
    """converters: what converts the value at a position, one after the other, and the column it is of."""

    sql: str
    names: list[str]
    converters: list[tuple[int, list[Callable[..., Any]], Any]]


class Lookup(Generic[M]):
    """Finds the rows of a query.

    ask: makes it, with `stand_ins` in the places of what a lookup is given.
    """

    def __init__(self, model: type[M], ask: Callable[[], QuerySet[M]], stand_ins: Sequence[object]) -> None:
        self._model = model
        self._ask = ask
        self._stand_ins = list(stand_ins)
        self._written: dict[str, _Written] = {}

    def __call__(self, *values: str | int) -> list[M]:
        """Return the rows as instances, without the columns that the query defers."""
        database = connections[DEFAULT_DB_ALIAS]  # what `connection` looks up at each use
        written = self.written(database)
        with database.cursor() as cursor:
            cursor.execute(written.sql, values)
            rows = cursor.fetchall()
        return [self._instance(written, row, database) for row in rows]

    def written(self, database: BaseDatabaseWrapper) -> _Written:
        """Return the query as this kind of database takes it."""
        found = self._written.get(database.vendor)
        if found is None:
            found = self._written[database.vendor] = self._compile(database)
        return found

    def _compile(self, database: BaseDatabaseWrapper) -> _Written:
        query = self._ask().query
        compiler = query.get_compiler(connection=database)
        sql, parameters = compiler.as_sql()
        if list(parameters) != self._stand_ins:
            raise AssertionError("the ORM has put the parameters of the lookup into another order")
        columns = [expression for expression, _, _ in compiler.select]
        names = [column.target.attname for column in columns]
        converters = compiler.get_converters(columns)
        return _Written(sql, names, [(at, *found) for at, found in converters.items()])

    def _instance(self, written: _Written, row: Sequence[Any], database: BaseDatabaseWrapper) -> M:
        values = list(row)
        for at, converters, column in written.converters:
            for convert in converters:
                values[at] = convert(values[at], column, database)
        return self._model.from_db(DEFAULT_DB_ALIAS, written.names, values)
