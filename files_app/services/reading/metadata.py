"""Files by what their metadata say, in words that an index answers where the database has one."""

from __future__ import annotations

import json
from typing import Any, cast

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Func, Q, Value
from django.db.models.sql.compiler import SQLCompiler


def metadata_has(key: str, value: str) -> Q:
    """Return the condition that the metadata have `value` under `key`, whatever the characters of either."""
    return ~Q(metadata={}) & Q(_MetadataHas(F("metadata"), Value(key), Value(value)))


class _MetadataHas(Func):
    """Django's own key lookups take digits for the index of an array, on SQLite break at a quote, and on
    PostgreSQL ask in a way that no index of the whole column answers.
    """

    output_field = BooleanField()
    conditional = True

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        """Read the JSON of those alone whose text has the value: that is several times as fast."""
        metadata, nothing, key, value = self._parts(compiler)
        holds = f'EXISTS (SELECT 1 FROM JSON_EACH({metadata}) WHERE "key" = %s AND "value" = %s)'  # noqa: S608  # a column's name
        parameters = [*nothing, json.dumps(value), *nothing, key, value]
        return f"(INSTR({metadata}, %s) > 0 AND {holds})", parameters

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        metadata, nothing, key, value = self._parts(compiler)
        return f"({metadata} @> %s::jsonb)", [*nothing, json.dumps({key: value})]

    def _parts(self, compiler: SQLCompiler) -> tuple[str, list[Any], str, str]:
        column, key, value = self.get_source_expressions()
        sql, parameters = compiler.compile(column)
        return sql, list(parameters), str(cast(Value, key).value), str(cast(Value, value).value)
