"""A file as JSON: for clients and webhooks, and for operators in exports and on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from django.utils import timezone
from msgspec import UNSET, UnsetType

from files_app.models import File, ProviderAccount


class ListedFile(msgspec.Struct, frozen=True, gc=False):
    """What clients see of a file, as the database gives it. Reading it costs a fraction of reading a `File`.

    Times are naive where the database keeps no zone: they are of UTC.
    """

    file_id: str
    filename: str
    purpose: str
    content_type: str
    bytes: int
    sha256: str
    uri: str
    status: str
    status_details: str
    metadata_json: str
    batch_json: str | None
    created_at: datetime
    expires_at: datetime | None
    account: ProviderAccount

    @property
    def metadata(self) -> dict[str, str]:
        """Key and value pairs of the client's own."""
        return {} if self.metadata_json == "{}" else _decode(self.metadata_json)

    @property
    def is_expired(self) -> bool:
        """Whether the file's time is over."""
        ends = self.expires_at
        return ends is not None and (ends if ends.tzinfo else ends.replace(tzinfo=UTC)) <= timezone.now()

    @property
    def batch(self) -> dict[str, Any] | None:
        """What is known of a batch file's lines."""
        return _decode(self.batch_json) if self.batch_json else None


_decode: Final = msgspec.json.Decoder().decode


class FileObject(msgspec.Struct, gc=False):
    """OpenAI's file object, and ours behind it; what is unset is left out."""

    id: str
    object: str
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: str
    status_details: str | None
    provider: str
    uri: str | UnsetType
    sha256: str | UnsetType
    metadata: dict[str, str] | UnsetType
    batch: dict[str, Any] | UnsetType


def file_object(file: File | ListedFile) -> FileObject:
    """Return a file as clients see it. Storage keys and object stores' remote ids are never in it."""
    expires_at, batch = file.expires_at, file.batch
    return FileObject(
        file.file_id,
        "file",
        file.bytes,
        _seconds(file.created_at),
        _seconds(expires_at) if expires_at else None,
        file.filename,
        file.purpose,
        file.status,
        file.status_details or None,
        file.account.name,
        file.uri or UNSET,
        file.sha256 or UNSET,
        file.metadata or UNSET,
        UNSET if batch is None else batch,
    )


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)
_SECOND: Final = timedelta(seconds=1)


def _seconds(moment: datetime) -> int:
    """Return a time as whole seconds since 1970, at a quarter of what `timestamp` takes."""
    return (moment - (_EPOCH if moment.tzinfo else _NAIVE_EPOCH)) // _SECOND


def file_members(file: File | ListedFile) -> dict[str, Any]:
    """Return the members of a file's object."""
    return msgspec.to_builtins(file_object(file))  # type: ignore[no-any-return]


def file_record(file: File) -> dict[str, Any]:
    """Return a file as operators see it: what clients see, with times in ISO 8601, and what they do not."""
    shown = file_members(file)
    del shown["object"]
    shown |= {
        "created_at": file.created_at.isoformat(),
        "expires_at": file.expires_at.isoformat() if file.expires_at else None,
        "uri": file.uri,
        "sha256": file.sha256,
        "metadata": file.metadata,
        "organization": file.organization.name,
        "account": file.account.full_name,
        "content_type": file.content_type,
        "state": file.state,
        "failure": file.failure,
        "deleted_reason": file.deleted_reason,
        "is_adopted": file.is_adopted,
        "is_held": file.is_held,
    }
    return shown
