"""A copy as JSON for operators, and what would become of an upload; files are in `index.file_objects`."""

from __future__ import annotations

from typing import Any

from files_app.models import FileCopy
from files_app.services.uploads.dry_run import DryRun

#: Of one line in a dry run's answer; a line may hold images.
_MAX_SAMPLE_CHARACTERS = 10_000


def dry_run_object(found: DryRun) -> dict[str, Any]:
    """Return what would become of an upload, in words of the file object that it would become."""
    shown: dict[str, Any] = {
        "object": "file.validation",
        "bytes": found.content.bytes,
        "sha256": found.content.sha256,
        "filename": found.filename,
        "purpose": found.purpose,
        "provider": found.account.name,
    }
    if found.batch is not None:
        shown["batch"] = {
            "format": found.batch.format,
            "bytes": found.batch.bytes,
            "records": found.batch.records,
            "model": found.batch.model,
            "endpoint": found.batch.endpoint,
            "ignored": list(found.batch.ignored),
            "warnings": list(found.batch.warnings),
        }
        shown["sample"] = [_shortened(line.decode(errors="replace")) for line in found.sample]
    return shown


def _shortened(line: str) -> str:
    return line if len(line) <= _MAX_SAMPLE_CHARACTERS else line[: _MAX_SAMPLE_CHARACTERS - 1] + "…"


def copy_record(copy: FileCopy) -> dict[str, Any]:
    """Return a provider's holding of a file as operators see it."""
    return {
        "account": copy.account.full_name,
        "remote_id": copy.remote_id,
        "state": copy.state,
        "attempts": copy.attempts,
        "since": copy.state_changed_at,
        "next_attempt_at": copy.next_attempt_at,
        "last_error": copy.last_error,
    }
