"""The one way from an id to a file: always inside the caller's organization."""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import unquote

from django.db import connection
from django.db.models.sql import Query

from files_app.exceptions import FileNotFoundInIndexError, InvalidRequestError, NotAllowedError
from files_app.models import CopyState, File, FileCopy, FileState, ProviderAccount, ResultPart
from files_app.models.files import FileQuerySet
from files_app.services.accounts.selection import PROVIDER_HEADER, account_by_pk, select_account
from files_app.services.index.file_objects import ListedFile
from files_app.services.index.ids import _FILE_ID
from files_app.services.index.rows import Lookup
from files_app.services.reading.listing import COLUMNS, listed
from providers.results import translation_id

_MAX_SAME_ID = 20
_URI = re.compile(r"(?:s3|gs)://[^\x00-\x1f\x7f]{3,1290}")


def find_file(
    organization_id: int, file_id: str, account_name: str | None, *, state: FileState = FileState.AVAILABLE
) -> File:
    """Return the file that the organization knows by `file_id`, which may be an s3:// or gs:// URI.

    account_name: the file must live there; None finds it wherever it is. state: the one that it is in.
    Raises FileNotFoundInIndexError, the same for ids that are unknown, malformed or somebody else's; and
    InvalidRequestError when two accounts hold files of that id.
    """
    by_uri = unquote(file_id)
    if _URI.fullmatch(by_uri):
        found = _stored("uri", organization_id, by_uri, state)
    elif _FILE_ID.fullmatch(file_id):
        found = _stored("file_id", organization_id, file_id, state)
    else:
        found = []
    if account_name is not None:
        account = select_account(organization_id, account_name)
        found = [file for file in found if file.account_id == account.pk]
    if not found:
        raise FileNotFoundInIndexError(file_id[:255])
    if len(found) > 1:
        names = sorted({file.account.name for file in found})
        raise InvalidRequestError(
            f"Several provider accounts hold a file '{file_id}': {', '.join(names)}. Name one in the header "
            f"{PROVIDER_HEADER}.",
            param=PROVIDER_HEADER,
        )
    return found[0]


def _stored(column: str, organization_id: int, value: str, state: FileState) -> list[File]:
    """Return the organization's files with this id or URI that are in this state, and not past their time."""
    rows = _by(column, state)(organization_id, value, *_CONDITION[column])
    found = [file for file in rows if not file.is_expired]
    for file in found:
        file.account = account_by_pk(file.account_id)
    return found


def shown_file(organization_id: int, file_id: str) -> ListedFile | None:
    """Return what clients see of the file with this id, at less than a `File` costs.

    None where `find_file` has more to say: of ids that are unknown or stand for several files, and of URIs.
    """
    if not _FILE_ID.fullmatch(file_id):
        return None
    with connection.cursor() as cursor:
        cursor.execute(_shown_sql(), [organization_id, file_id])
        rows = cursor.fetchall()
    if len(rows) != 1:
        return None
    file = listed(rows[0], account_by_pk(rows[0][-1]))
    return None if file.is_expired else file


#: What no client sees: the rest is read with the file.
_HIDDEN_COLUMNS = (
    *("api_key", "failure", "deleted_reason", "is_adopted", "is_withheld", "indexed_at"),
    *("state_changed_at", "reserved_bytes", "lease_token", "lease_expires_at"),
    *("is_held", "trash_ends_at", "is_counted_in_trash"),
)


#: What the index of a column leaves out, which the query has to say as well: most files have no URI.
_CONDITION = {"file_id": (), "uri": ("",)}


@cache
def _shown_sql() -> str:
    """Return the SQL of the COLUMNS; its parameters are organization and id."""
    query = _marked("file_id", FileState.AVAILABLE).values_list(*COLUMNS)[:2].query
    return _sql(query, [0, "VALUE"])


def _marked(column: str, state: FileState) -> FileQuerySet:
    files = File.objects.for_organization(0).filter(state=state, is_withheld=False)
    files = files.filter(**{column: "VALUE"})
    for empty in _CONDITION[column]:
        files = files.exclude(**{column: empty})
    return files


@cache
def _by(column: str, state: FileState) -> Lookup[File]:
    """Return what finds files by a column; it is given organization, value and `_CONDITION`."""
    return Lookup(
        File,
        lambda: _marked(column, state).defer(*_HIDDEN_COLUMNS)[:_MAX_SAME_ID],
        [0, "VALUE", *_CONDITION[column]],
    )


_HELD_COPY = Lookup(
    FileCopy, lambda: FileCopy.objects.filter(file_id=0, state=CopyState.AVAILABLE).order_by("pk")[:1], [0]
)


def _sql(query: Query, expected: list[object]) -> str:
    sql, parameters = query.sql_with_params()
    if list(parameters) != expected:
        raise AssertionError("the ORM has put the parameters of the lookup into another order")
    return str(sql)


def held_copy(file: File) -> FileCopy:
    """Return the copy that serves the file's bytes. Raises FileNotFoundInIndexError."""
    for copy in _HELD_COPY(file.pk):
        return copy
    raise FileNotFoundInIndexError(file.file_id)


def content_id(file: File, copy: FileCopy) -> str:
    """Return the remote id of the object whose bytes are the file's content."""
    if not file.result_part:
        return copy.remote_id
    return translation_id(copy.remote_id, "output" if file.result_part == ResultPart.OUTPUT else "errors")


def require_enabled(account: ProviderAccount) -> None:
    """Refuse to use an account that an operator has switched off. Raises NotAllowedError."""
    if not account.is_enabled:
        raise NotAllowedError(
            f"The provider account '{account.name}' is switched off.", code="provider_account_disabled"
        )
