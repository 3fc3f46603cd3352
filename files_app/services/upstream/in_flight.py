"""Uploads that a provider may list although the index does not know their remote ids yet."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta

from files_app.models import CopyState, FileCopy, ProviderAccount
from providers.objects import RemoteFile

_CLOCK_SKEW = timedelta(minutes=2)


def unsettled_uploads(
    account: ProviderAccount, states: Collection[CopyState] = (CopyState.UPLOADING, CopyState.UNCONFIRMED)
) -> list[FileCopy]:
    """Return the uploads at the account's endpoint, of every organization, that may be complete there.

    Ask after the provider was asked. The row has the file's name and size once the upload has passed its
    checks, and before that no provider gets a file's end.
    """
    here = FileCopy.objects.at(account).filter(state__in=states)
    return list(here.exclude(file__filename="").select_related("file").defer("file__metadata"))


def may_be_any_of(remote: RemoteFile, uploads: Collection[FileCopy]) -> bool:
    """Whether one of the uploads can have made `remote`: it is not older, and has its size or its name."""
    return any(
        is_not_older(remote, copy) and (has_size(remote, copy) or has_name(remote, copy)) for copy in uploads
    )


def is_not_older(remote: RemoteFile, copy: FileCopy) -> bool:
    """Whether `remote` can have been made after the upload began."""
    return remote.created_at is None or remote.created_at >= copy.created_at - _CLOCK_SKEW


def has_size(remote: RemoteFile, copy: FileCopy) -> bool:
    """Whether `remote` has the upload's size, or one that is not known."""
    return remote.bytes in (None, copy.file.bytes)


def has_name(remote: RemoteFile, copy: FileCopy) -> bool:
    """Whether `remote` has the upload's name as a provider may have changed it, or one that is not known."""
    return remote.filename is None or _folded(remote.filename) == _folded(copy.file.filename)


def _folded(filename: str) -> str:
    """Return a name without what some providers replace."""
    return re.sub(r"[^A-Za-z0-9.]", "_", filename)
