"""Finds a file by id, and asks the provider for one that the index does not know where that is safe."""

from __future__ import annotations

from files_app.exceptions import FileNotFoundInIndexError, InvalidRequestError
from files_app.models import File, FileState
from files_app.models.files import UNFINISHED
from files_app.observability import context
from files_app.services.accounts.selection import select_account
from files_app.services.index.callers import Caller
from files_app.services.index.file_objects import ListedFile
from files_app.services.reading.lookup import find_file, shown_file
from files_app.services.upstream import adoption
from files_app.services.upstream.status import with_fresh_status


def get_file(caller: Caller, file_id: str, account_name: str | None) -> File:
    """Return a file of the caller's organization.

    An unknown id is asked of the named account, else of the default one; only on an account that the
    organization owns alone, and then the file is adopted.

    Raises FileNotFoundInIndexError, InvalidRequestError, ProviderError, and OverloadedError where too many
    questions like this one are waiting.
    """
    try:
        file = find_file(caller.organization_id, file_id, account_name)
    except FileNotFoundInIndexError:
        adopted = _adopted(caller, file_id, account_name)
        # Another request or a sync may have adopted it a moment ago.
        file = adopted or find_file(caller.organization_id, file_id, account_name)
    context.annotate(provider=file.account.name, driver=file.account.driver, file_id=file.file_id)
    return file


def get_shown_file(caller: Caller, file_id: str, account_name: str | None) -> File | ListedFile:
    """Return what clients see of a file, as `get_file` does, with a fresh status where it is not final."""
    shown = shown_file(caller.organization_id, file_id) if account_name is None else None
    if shown is None or shown.status == UNFINISHED:
        return with_fresh_status(get_file(caller, file_id, account_name), caller=caller)
    context.annotate(provider=shown.account.name, driver=shown.account.driver, file_id=shown.file_id)
    return shown


def get_deletable_file(caller: Caller, file_id: str, account_name: str | None) -> File:
    """Return the organization's file, as `get_file` does, or a lost one: deleted, it is never taken back."""
    try:
        return get_file(caller, file_id, account_name)
    except FileNotFoundInIndexError:
        return find_file(caller.organization_id, file_id, account_name, state=FileState.LOST)


def _adopted(caller: Caller, file_id: str, account_name: str | None) -> File | None:
    try:
        account = select_account(caller.organization_id, account_name)
    except InvalidRequestError:
        if account_name is not None:
            raise
        return None
    return adoption.adopt_by_id(account, file_id, caller=caller)
