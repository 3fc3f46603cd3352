"""Lists: pages of the index by keyset, so that the millionth row costs what the first does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, Q, TextField, Value
from django.db.models.sql.compiler import SQLCompiler

from files_app.exceptions import InvalidRequestError
from files_app.models import File
from files_app.models.files import FileQuerySet
from files_app.services.accounts.selection import select_account


@dataclass(frozen=True, slots=True)
class FileFilters:
    """What a list is narrowed to; None asks for nothing.

    provider: name of an account. filename: the whole name. metadata: values by key.
    """

    purpose: str | None = None
    provider: str | None = None
    status: str | None = None
    filename: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page of a list. after: id of the file behind which it starts."""

    after: str | None = None
    limit: int = 10_000
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class FilePage:
    """One page and whether there is another."""

    files: Sequence[File]
    has_more: bool


def page_of(files: FileQuerySet, cursors: FileQuerySet, query: PageQuery) -> FilePage:
    """Return a page of `files`, newest first unless asked otherwise.

    cursors: the files that may stand in `after`; a deleted one stays valid. Raises InvalidRequestError for
    any other cursor, be it unknown or somebody else's.
    """
    if query.after is not None:
        files = files.filter(_behind(cursors, query.after, ascending=query.ascending))
    order = ("indexed_at", "pk") if query.ascending else ("-indexed_at", "-pk")
    rows = list(
        files.order_by(*order).select_related("account").defer("account__credentials")[: query.limit + 1]
    )
    return FilePage(rows[: query.limit], len(rows) > query.limit)


def matching(files: FileQuerySet, organization_id: int, filters: FileFilters) -> FileQuerySet:
    """Return those of the organization's files that clients can see and that match.

    Raises InvalidRequestError for a provider account that the organization does not have.
    """
    equal: dict[str, object] = {
        "purpose": filters.purpose,
        "status": filters.status,
        "filename": filters.filename,
        "created_at__gt": filters.created_after,
        "created_at__lt": filters.created_before,
    }
    if filters.provider is not None:
        equal["account"] = select_account(organization_id, filters.provider)
    files = files.live().filter(**{name: value for name, value in equal.items() if value is not None})
    for number, (key, value) in enumerate(filters.metadata.items()):
        files = files.alias(**{f"metadata_{number}": _MetadataValue(F("metadata"), Value(key))})
        files = files.filter(**{f"metadata_{number}": value})
    return files


class _MetadataValue(Func):
    """The value of one key of the metadata, whatever its characters.

    Django's own key lookups take digits for the index of an array, and on SQLite break at a quote.
    """

    output_field = TextField()

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        template = '(SELECT "value" FROM JSON_EACH(%(expressions)s))'
        return self.as_sql(compiler, connection, template=template, arg_joiner=') WHERE "key" = (', **context)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="(%(expressions)s)", arg_joiner=" ->> ", **context)


def _behind(cursors: FileQuerySet, after: str, *, ascending: bool) -> Q:
    cursor = cursors.filter(file_id=after).order_by("-pk").values_list("indexed_at", "pk").first()
    if cursor is None:
        raise InvalidRequestError("'after' is not the id of a file in this list.", param="after")
    indexed_at, pk = cursor
    if ascending:
        return Q(indexed_at__gte=indexed_at) & (Q(indexed_at__gt=indexed_at) | Q(pk__gt=pk))
    return Q(indexed_at__lte=indexed_at) & (Q(indexed_at__lt=indexed_at) | Q(pk__lt=pk))
