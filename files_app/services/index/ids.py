"""Ids of files: ours, which nobody can guess, and the shape of a provider's."""

from __future__ import annotations

import re
import secrets
from base64 import b32encode

_FILE_ID = re.compile(r"[A-Za-z0-9._~=:-]{1,255}")


def new_file_id() -> str:
    """Return an unguessable id: `file-` and 26 base32 characters, 130 random bits."""
    return "file-" + _unguessable()


def new_job_id() -> str:
    """Return an unguessable id of a job on many files."""
    return "job-" + _unguessable()


def _unguessable() -> str:
    return b32encode(secrets.token_bytes(17))[:26].decode().lower()


def is_well_formed(file_id: str) -> bool:
    """Whether `file_id` could be a provider's id, and so may enter a URL."""
    return _FILE_ID.fullmatch(file_id) is not None and file_id.strip(".") != ""
