"""A file as JSON: for clients and webhooks, and for operators in exports and on the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict

import msgspec

from files_app.models import File, ProviderAccount


class ListedFile(msgspec.Struct, frozen=True, gc=False):
    """What clients see of a file. Reading it costs a fraction of reading a `File`."""

    file_id: str
    filename: str
    purpose: str
    content_type: str
    bytes: int
    sha256: str
    uri: str
    status: str
    status_details: str
    metadata: dict[str, str]
    batch: dict[str, Any] | None
    created_at: datetime
    expires_at: datetime | None
    account: ProviderAccount


class FileObject(TypedDict, total=False):
    """OpenAI's file object, and ours behind it."""

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
    uri: str
    sha256: str
    metadata: dict[str, str]
    batch: dict[str, Any]


def file_object(file: File | ListedFile) -> FileObject:
    """Return a file as clients see it. Storage keys and object stores' remote ids are never in it."""
    expires_at = file.expires_at
    shown: FileObject = {
        "id": file.file_id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at.timestamp()),
        "expires_at": int(expires_at.timestamp()) if expires_at else None,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": file.status,
        "status_details": file.status_details or None,
        "provider": file.account.name,
    }
    if file.uri:
        shown["uri"] = file.uri
    if file.sha256:
        shown["sha256"] = file.sha256
    if file.metadata:
        shown["metadata"] = file.metadata
    if file.batch is not None:
        shown["batch"] = file.batch
    return shown


def file_record(file: File) -> dict[str, Any]:
    """Return a file as operators see it: what clients see, with times in ISO 8601, and what they do not."""
    shown: dict[str, Any] = dict(file_object(file))
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
