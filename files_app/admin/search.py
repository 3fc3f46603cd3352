"""Search for files that stays fast at ten million rows: what an index can answer is asked first."""

from __future__ import annotations

import re

from django.core.cache import cache
from django.db import connection
from django.db.models import Q, QuerySet

from files_app.models import AuditEvent, File, FileCopy
from files_app.services.reading.metadata import metadata_has
from files_app.services.tenants.staff import Reach

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_METADATA = re.compile(r"([^=\s]{1,64})=(.+)")
_MAX_FOUND = 200
#: The index that answers for a part of a name; it needs an extension that not everybody may create.
PARTS_INDEX = "file_by_part_of_name"
_PARTS_CACHE_SECONDS = 60


def search_help() -> str:
    """Return what can be searched for, in a line."""
    name = "name" if finds_parts_of_names() else "beginning of a name"
    return f"Id, provider id, {name}, SHA-256, request id or key=value"


def finds_parts_of_names() -> bool:
    """Whether a part of a name finds the file; else its beginning does, as it is written."""
    if connection.vendor != "postgresql":
        return True
    known: bool | None = cache.get(PARTS_INDEX)
    if known is None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [PARTS_INDEX])
            known = bool(cursor.fetchone()[0])
        cache.set(PARTS_INDEX, known, _PARTS_CACHE_SECONDS)
    return known


def search_files(files: QuerySet[File], term: str, reach: Reach) -> QuerySet[File]:
    """Return the files that `term` names: by checksum, by one of its ids, by metadata, else by name."""
    term = term.strip()
    if not term:
        return files
    if term.startswith("req_") and (of_request := _files_of_request(term, reach)):
        return files.filter(pk__in=of_request)
    if _SHA256.fullmatch(term):
        return files.filter(sha256=term.lower()).exclude(sha256="")
    by_id = reach.limit(File.objects.filter(file_id=term)).values_list("pk", flat=True)
    by_remote_id = reach.limit(FileCopy.objects.filter(remote_id=term), "file__organization")
    found: set[int] = {*by_id[:_MAX_FOUND]}
    found.update(by_remote_id.values_list("file_id", flat=True)[:_MAX_FOUND])
    if found:
        return files.filter(pk__in=found)
    how = "icontains" if finds_parts_of_names() else "startswith"
    named = Q(**{f"filename__{how}": term}) & ~Q(filename="")
    if pair := _METADATA.fullmatch(term):
        named |= metadata_has(pair[1], pair[2])
    return files.filter(named)


def _files_of_request(request_id: str, reach: Reach) -> set[int]:
    """Return the files that a request was about, as the audit trail has it."""
    events = reach.limit(AuditEvent.objects.filter(request_id=request_id, object_type="file"))
    named = set(events.order_by().values_list("object_id", "organization")[:_MAX_FOUND])
    rows = File.objects.filter(file_id__in={file_id for file_id, _ in named})
    found = rows.values_list("pk", "file_id", "organization")[:_MAX_FOUND]
    return {pk for pk, file_id, organization in found if (file_id, organization) in named}
