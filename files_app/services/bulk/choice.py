"""Which files a job is for, how many and whose they are; nothing is changed here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, Max, Q, QuerySet, Sum

from files_app.exceptions import InvalidRequestError
from files_app.models import File, FileState, Organization
from files_app.models.files import FileQuerySet
from files_app.services.reading.listing import FileFilters
from files_app.services.retention.filters import as_json, matching_files

#: More files are no job: its report is kept, a row of some 150 bytes for each.
MAX_FILES = 1_000_000
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Share:
    """What of a choice is one organization's."""

    organization: Organization
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What a choice comes to. held: files that a legal hold keeps. up_to: no file has a higher key."""

    files: int
    bytes: int
    held: int
    up_to: int
    shares: list[Share]


def live_matching(organization_id: int, filters: FileFilters) -> FileQuerySet:
    """Return the files that a client sees and that match.

    Raises InvalidRequestError for a filter that asks for nothing: that would be every file.
    """
    if not as_json(filters):
        raise InvalidRequestError(
            "The filter is empty, which would be every file: give it a condition, such as "
            '{"metadata": {"user": "42"}}.',
            param="filter",
        )
    files = matching_files(organization_id, filters)
    return files.filter(pk__in=File.objects.for_organization(organization_id).live().values("pk"))


def oldest(
    organizations: Collection[Organization | int], filters: FileFilters, goal_bytes: int
) -> FileQuerySet:
    """Return the oldest files that match and that together count for so many bytes, or all if they are less.

    Only what a delete frees: available, counted, and not on hold. No more than MAX_FILES.
    """
    if goal_bytes < 1:
        raise InvalidRequestError("Say how many bytes are to be freed, such as 20 GB.", param="bytes")
    freeable = {"state": FileState.AVAILABLE, "is_counted": True, "is_held": False, "is_withheld": False}
    files = File.objects.none()
    for organization in organizations:
        files = files | matching_files(organization, filters).filter(**freeable)
    return _until(files, goal_bytes)


def _until(files: FileQuerySet, goal_bytes: int) -> FileQuerySet:
    total, end = 0, None
    in_order = files.order_by("indexed_at", "pk").values_list("indexed_at", "pk", "bytes")
    for indexed_at, pk, size in in_order[:MAX_FILES].iterator(chunk_size=_CHUNK):
        total, end = total + size, (indexed_at, pk)
        if total >= goal_bytes:
            break
    if end is None:
        return files.none()
    return files.filter(Q(indexed_at__lt=end[0]) | Q(indexed_at=end[0], pk__lte=end[1]))


def summary(files: QuerySet[File]) -> Summary:
    """Return how many files these are, and whose."""
    each = list(
        files.order_by()
        .values("organization")
        .annotate(
            number=Count("pk"), size=Sum("bytes"), kept=Count("pk", filter=Q(is_held=True)), newest=Max("pk")
        )
    )
    names = Organization.objects.in_bulk([row["organization"] for row in each])
    shares = [Share(names[row["organization"]], row["number"], row["size"]) for row in each]
    return Summary(
        files=sum(row["number"] for row in each),
        bytes=sum(row["size"] for row in each),
        held=sum(row["kept"] for row in each),
        up_to=max((row["newest"] for row in each), default=0),
        shares=sorted(shares, key=lambda share: -share.bytes),
    )
