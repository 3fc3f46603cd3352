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
from files_app.models import File, ProviderAccount
from files_app.models.files import FileQuerySet
from files_app.services.accounts.saving import PROVIDER_HEADER, select_account


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Checked parameters of a list."""

    after: str | None = None
    limit: int = 10_000
    ascending: bool = False
    purpose: str | None = None
    provider: str | None = None
    status: str | None = None
    filename: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FilePage:
    """One page and whether there is another."""

    files: Sequence[File]
    has_more: bool


def list_files(organization_id: int, query: ListQuery, account: ProviderAccount | None) -> FilePage:
    """Return a page of the organization's files, newest first unless asked otherwise.

    account: only files of this account. Raises InvalidRequestError for a cursor that is no file of the
    organization's, be it unknown or somebody else's.
    """
    if query.provider is not None:
        named = select_account(organization_id, query.provider)
        if account is not None and account != named:
            raise InvalidRequestError(
                f"The header {PROVIDER_HEADER} and 'provider' name different accounts.", param="provider"
            )
        account = named
    files = File.objects.for_organization(organization_id).live()
    files = _filtered(files, query, account)
    if query.after is not None:
        files = files.filter(_behind(organization_id, query.after, account, ascending=query.ascending))
    order = ("indexed_at", "pk") if query.ascending else ("-indexed_at", "-pk")
    rows = list(
        files.order_by(*order).select_related("account").defer("account__credentials")[: query.limit + 1]
    )
    return FilePage(rows[: query.limit], len(rows) > query.limit)


def _filtered(files: FileQuerySet, query: ListQuery, account: ProviderAccount | None) -> FileQuerySet:
    if account is not None:
        files = files.filter(account=account)
    if query.purpose is not None:
        files = files.filter(purpose=query.purpose)
    if query.status is not None:
        files = files.filter(status=query.status)
    if query.filename is not None:
        files = files.filter(filename=query.filename)
    if query.created_after is not None:
        files = files.filter(created_at__gt=query.created_after)
    if query.created_before is not None:
        files = files.filter(created_at__lt=query.created_before)
    for number, (key, value) in enumerate(query.metadata.items()):
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


def _behind(organization_id: int, after: str, account: ProviderAccount | None, *, ascending: bool) -> Q:
    """Return what stands behind the cursor; a deleted file stays a valid one."""
    cursors = File.objects.for_organization(organization_id).filter(file_id=after)
    if account is not None:
        cursors = cursors.filter(account=account)
    cursor = cursors.order_by("-pk").values_list("indexed_at", "pk").first()
    if cursor is None:
        raise InvalidRequestError("'after' is not the id of a file in this list.", param="after")
    indexed_at, pk = cursor
    if ascending:
        return Q(indexed_at__gte=indexed_at) & (Q(indexed_at__gt=indexed_at) | Q(pk__gt=pk))
    return Q(indexed_at__lte=indexed_at) & (Q(indexed_at__lt=indexed_at) | Q(pk__lt=pk))
