"""Wire shapes of Anthropic's dialect."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from files_app.models import File
from files_app.services.index.file_objects import ListedFile
from files_app.streams.headers import DEFAULT_CONTENT_TYPE


def file_metadata(file: File | ListedFile, *, downloadable: bool, legacy: bool = False) -> dict[str, Any]:
    """Return Anthropic's file object; the old beta's has no `expires_at`."""
    shown: dict[str, Any] = {
        "id": file.file_id,
        "type": "file",
        "filename": file.filename,
        "mime_type": file.content_type.partition(";")[0] or DEFAULT_CONTENT_TYPE,
        "size_bytes": file.bytes,
        "created_at": _rfc3339(file.created_at),
        "downloadable": downloadable,
    }
    if not legacy:
        shown["expires_at"] = _rfc3339(file.expires_at) if file.expires_at else None
    return shown


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"  # all of ours are of UTC
