"""Lists: pages of the index by keyset, so that the millionth row costs what the first does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Q
from django.utils import timezone

from files_app.exceptions import InvalidRequestError
from files_app.models import File, ProviderAccount
from files_app.models.files import FARTHEST_CREATED_AT, PROCESSED, FileQuerySet
from files_app.services.accounts.selection import account_by_pk, select_account
from files_app.services.index.file_objects import ListedFile
from files_app.services.reading.metadata import metadata_has


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
class FileSelection:
    """Which of an organization's files a list is of.

    account_id: only those there. ids: only these. None and nothing ask for all.
    """

    organization_id: int
    account_id: int | None = None
    filters: FileFilters = field(default_factory=FileFilters)
    ids: frozenset[str] = frozenset()


#: What is read of a file, in the order of ListedFile.
COLUMNS: Final = (
    *("file_id", "filename", "purpose", "content_type", "bytes", "sha256", "uri", "status", "status_details"),
    *("metadata", "batch", "created_at", "expires_at", "account_id"),
)


@dataclass(frozen=True, slots=True)
class FilePage:
    """One page and whether there is another."""

    files: list[ListedFile]
    has_more: bool


def page_of(selection: FileSelection, query: PageQuery) -> FilePage:
    """Return a page of the files that clients can see, newest first unless asked otherwise.

    Any file of the organization, or of the account, may stand in `after`; a deleted one stays valid. Raises
    InvalidRequestError for any other cursor, be it unknown or somebody else's, and for a provider account
    that the organization does not have.
    """
    filters, organization_id = selection.filters, selection.organization_id
    account_id = selection.account_id
    if filters.provider is not None:
        account_id = select_account(organization_id, filters.provider).pk
    values = {"organization_id": organization_id, "now": timezone.now()} | _filtered_by(filters)
    if account_id is not None:
        values["account_id"] = account_id
    if query.after is not None:
        values["indexed_at"], values["pk"] = _place_of(selection, query.after)
    rows = _rows(selection, values, ascending=query.ascending, limit=query.limit + 1)
    accounts = {pk: account_by_pk(pk) for pk in {row[-1] for row in rows}}
    files = [listed(row, accounts[row[-1]]) for row in rows[: query.limit]]
    return FilePage(files, len(rows) > query.limit)


#: What the index of a column leaves out. A query says so too, since SQLite proves nothing by itself.
_NOT_IN_INDEX: Final = {"purpose": "", "status": PROCESSED, "filename": ""}


def _filtered_by(filters: FileFilters) -> dict[str, Any]:
    """Return lookups and their values; `__exact` stands for a value that the index leaves out."""
    values: dict[str, Any] = {}
    for column, left_out in _NOT_IN_INDEX.items():
        if (value := getattr(filters, column)) is not None:
            values[f"{column}__exact" if value == left_out else column] = value
    if filters.created_after is not None:
        values["created_at__gt"] = filters.created_after
        values["indexed_at__gt"] = filters.created_after - FARTHEST_CREATED_AT
    if filters.created_before is not None:
        values["created_at__lt"] = filters.created_before
        with suppress(OverflowError):  # as good as never
            values["indexed_at__lt"] = filters.created_before + FARTHEST_CREATED_AT
    return values


def _rows(
    selection: FileSelection, values: Mapping[str, Any], *, ascending: bool, limit: int
) -> list[tuple[Any, ...]]:
    """Return the columns of the files that match, as the database gives them.

    Compiling the query would cost more than running it: the ORM compiles each usual one once.
    """
    parameters: Sequence[Any]
    if selection.ids or selection.filters.metadata:
        files = matching(values, ascending=ascending)
        if selection.ids:
            files = files.filter(file_id__in=selection.ids)
        for key, value in selection.filters.metadata.items():
            files = files.filter(metadata_has(key, value))
        sql, parameters = files.values_list(*COLUMNS)[:limit].query.sql_with_params()
    else:
        sql, parameters = _compiled(frozenset(values), ascending, limit).with_values(values)
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def matching(values: Mapping[str, Any], *, ascending: bool) -> FileQuerySet:
    """Return the files that clients can see and that match, in the order of the list.

    values: what `page_of` filters by; `now`, and `indexed_at` and `pk` of the file behind which to begin.
    """
    given = dict(values)
    now, indexed_at, pk = given.pop("now"), given.pop("indexed_at", None), given.pop("pk", None)
    files = File.objects.for_organization(given.pop("organization_id")).live(now).filter(**given)
    for column, left_out in _NOT_IN_INDEX.items():
        if column in given:
            files = files.exclude(**{column: left_out})
    if indexed_at is not None and ascending:
        later = Q(indexed_at__gt=indexed_at) | Q(pk__gt=pk)
        files = files.filter(Q(indexed_at__gte=indexed_at) & later)
    elif indexed_at is not None:
        earlier = Q(indexed_at__lt=indexed_at) | Q(pk__lt=pk)
        files = files.filter(Q(indexed_at__lte=indexed_at) & earlier)
    return files.order_by(*(("indexed_at", "pk") if ascending else ("-indexed_at", "-pk")))


def _place_of(selection: FileSelection, after: str) -> tuple[datetime, int]:
    files = File.objects.for_organization(selection.organization_id).filter(file_id=after)
    if selection.account_id is not None:
        files = files.filter(account=selection.account_id)
    cursor = files.order_by("-pk").values_list("indexed_at", "pk").first()
    if cursor is None:
        raise InvalidRequestError("'after' is not the id of a file in this list.", param="after")
    return cursor


def listed(row: tuple[Any, ...], account: ProviderAccount) -> ListedFile:
    """Return a file from its COLUMNS as the database gives them. account: the one of the last column."""
    return ListedFile(*row[:-1], account)  # type: ignore[call-arg]  # a row is of any length to mypy


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A query whose values are given later. names: of the values, by the place of the parameter."""

    sql: str
    parameters: tuple[Any, ...]
    names: Mapping[int, str]

    def with_values(self, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """Return the query with these values."""
        parameters = list(self.parameters)
        for place, name in self.names.items():
            parameters[place] = _stored(values[name])
        return self.sql, parameters


@lru_cache(maxsize=256)
def _compiled(names: frozenset[str], ascending: bool, limit: int) -> _Compiled:
    """Return the query of a list that is filtered by these values."""
    marks = {name: _MARKS[name] for name in names}
    files = matching(marks, ascending=ascending).values_list(*COLUMNS)[:limit]
    sql, parameters = files.query.sql_with_params()
    by_mark = {_stored(mark): name for name, mark in marks.items()}
    places = {place: by_mark[value] for place, value in enumerate(parameters) if value in by_mark}
    if set(places.values()) != names:
        raise AssertionError("the ORM has hidden a parameter of the list")
    return _Compiled(str(sql), tuple(parameters), places)


def _stored(value: Any) -> Any:
    """Return a value as the ORM hands it to the database."""
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


#: Stands for each value while a query is compiled; no other parameter is equal to any.
_MARKS: Final[dict[str, Any]] = {
    "organization_id": -1,
    "account_id": -2,
    "pk": -3,
    "purpose": "PURPOSE",
    "status": "STATUS",
    "filename": "FILENAME",
    "purpose__exact": "ANY PURPOSE",
    "status__exact": "ANY STATUS",
    "filename__exact": "ANY FILENAME",
    "created_at__gt": datetime(1, 1, 1, tzinfo=UTC),
    "indexed_at__gt": datetime(1, 1, 5, tzinfo=UTC),
    "indexed_at__lt": datetime(1, 1, 6, tzinfo=UTC),
    "created_at__lt": datetime(1, 1, 2, tzinfo=UTC),
    "indexed_at": datetime(1, 1, 3, tzinfo=UTC),
    "now": datetime(1, 1, 4, tzinfo=UTC),
}
