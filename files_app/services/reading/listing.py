"""Lists: pages of the index by keyset, so that the millionth row costs what the first does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q

from files_app.exceptions import InvalidRequestError
from files_app.models import File
from files_app.models.files import FARTHEST_CREATED_AT, PROCESSED, FileQuerySet
from files_app.services.accounts.selection import select_account
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
    files = files.live()
    if filters.provider is not None:
        files = files.filter(account=select_account(organization_id, filters.provider))
    if filters.purpose is not None:
        files = _equal(files, "purpose", filters.purpose, not_in_index="")
    if filters.status is not None:
        files = _equal(files, "status", filters.status, not_in_index=PROCESSED)
    if filters.filename is not None:
        files = _equal(files, "filename", filters.filename, not_in_index="")
    if filters.created_after is not None:
        nearly = filters.created_after - FARTHEST_CREATED_AT
        files = files.filter(created_at__gt=filters.created_after, indexed_at__gt=nearly)
    if filters.created_before is not None:
        files = files.filter(created_at__lt=filters.created_before)
        with suppress(OverflowError):  # as good as never
            files = files.filter(indexed_at__lt=filters.created_before + FARTHEST_CREATED_AT)
    for key, value in filters.metadata.items():
        files = files.filter(metadata_has(key, value))
    return files


def _equal(files: FileQuerySet, column: str, value: str, *, not_in_index: str) -> FileQuerySet:
    """Return the files with a value; where its index has it, in the words of the index's own condition."""
    files = files.filter(**{column: value})
    return files if value == not_in_index else files.exclude(**{column: not_in_index})


def _behind(cursors: FileQuerySet, after: str, *, ascending: bool) -> Q:
    cursor = cursors.filter(file_id=after).order_by("-pk").values_list("indexed_at", "pk").first()
    if cursor is None:
        raise InvalidRequestError("'after' is not the id of a file in this list.", param="after")
    indexed_at, pk = cursor
    if ascending:
        return Q(indexed_at__gte=indexed_at) & (Q(indexed_at__gt=indexed_at) | Q(pk__gt=pk))
    return Q(indexed_at__lte=indexed_at) & (Q(indexed_at__lt=indexed_at) | Q(pk__lt=pk))
