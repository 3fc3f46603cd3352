"""What the demo's organizations have used in their month: traffic as the trail tells, storage as computed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta

from django.utils import timezone

from files_app.models import ApiKey, AuditAction, AuditEvent, DailyUsage, File, Organization
from files_app.services.index.metering import history, report, storage

#: Requests that nothing in the trail tells of, for each upload: lists, and questions after the file.
_OTHER_REQUESTS = 5


def write_traffic(events: Iterable[tuple[File, AuditEvent]], keys: Sequence[ApiKey]) -> None:
    """Write down for bills what the trail of one organization says."""
    by_name = {key.name: key for key in keys}
    found: defaultdict[tuple[date, str, File], Counter[str]] = defaultdict(Counter)
    for file, event in events:
        if event.result == "ok":
            found[event.created_at.date(), event.actor, file].update(_amounts(event, file))
    rows: defaultdict[tuple[date, int, int, str], Counter[str]] = defaultdict(Counter)
    names: dict[tuple[int, int], tuple[str, str]] = {}
    for (day, actor, file), amounts in found.items():
        key = by_name[actor]
        rows[day, key.pk, file.account_id, file.purpose].update(amounts)
        names[key.pk, file.account_id] = key.name, file.account.name
    organization = keys[0].organization
    rows_of_days = (
        DailyUsage(
            day=day,
            organization=organization,
            organization_name=organization.name,
            key_id=key_id,
            key_name=names[key_id, account_id][0],
            account_id=account_id,
            account_name=names[key_id, account_id][1],
            purpose=purpose,
            **amounts,
        )
        for (day, key_id, account_id, purpose), amounts in rows.items()
    )
    # A worker that runs beside may have written down already what the files of a day take.
    DailyUsage.objects.bulk_create(
        rows_of_days,
        update_conflicts=True,
        unique_fields=["day", "organization", "key_id", "account_id", "purpose"],
        update_fields=["requests", "files", "bytes_in", "bytes_out"],
    )


def _amounts(event: AuditEvent, file: File) -> dict[str, int]:
    if event.action == AuditAction.FILE_CREATE:
        return {"requests": 1 + _OTHER_REQUESTS, "files": 1, "bytes_in": file.bytes}
    return {"requests": 1, "bytes_out": file.bytes if event.action == AuditAction.FILE_CONTENT else 0}


def write_storage(organizations: Collection[Organization], *, days: int) -> None:
    """Write the byte-hours of these organizations alone, for so many days up to today."""
    theirs = {organization.pk for organization in organizations}
    for number in range(days + 1):
        day = report.today() - timedelta(days=number)
        stored = history.stored_on(day, timezone.now())
        storage.write_stored(
            day, {holder: amount for holder, amount in stored.items() if holder.organization_id in theirs}
        )
    for organization_id in theirs:
        storage.mend(organization_id)
