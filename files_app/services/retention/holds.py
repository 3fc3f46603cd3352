"""Legal holds: placed on files or on all that match, kept by every path that deletes, lifted by owners.

`File.is_held` is what a delete's own conditional update looks at, so that no hold costs a statement and none
is gone past. It is true as long as an open hold has a `HeldFile` row for the file.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from django.db import transaction
from django.db.models import Exists, Max, Min, OuterRef
from django.utils import timezone

from files_app.exceptions import FileNotFoundInIndexError, InvalidRequestError
from files_app.models import AuditAction, File, FileState, HeldFile, LegalHold, Organization
from files_app.models.files import FileQuerySet
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.reading.listing import FileFilters
from files_app.services.retention.filters import accounts_named, as_json, held_by, in_words, matching_files

#: States in which there is something to keep, or to bring back.
HOLDABLE: Final = (FileState.AVAILABLE, FileState.TRASHED, FileState.LOST)
_BATCH = 1_000
#: So long somebody waits for a hold on many files; `extend_holds` does the rest.
_TURN_SECONDS = 20.0
#: Rows that were written beside each other may come to light in another order than that of their keys.
_LOOK_BACK = 1_000


class HoldRefusedError(InvalidRequestError):
    """The file cannot be kept: its provider deletes it by itself, or it is gone."""

    status = 409
    code = "hold_not_possible"


def is_held(file: File) -> bool:
    """Whether a legal hold keeps the file now, whatever was read before."""
    return File.objects.filter(pk=file.pk, is_held=True).exists()


def holds_of(file: File) -> list[LegalHold]:
    """Return the open holds that keep a file, the latest first."""
    return list(LegalHold.objects.open().filter(held__file=file))


def held_files(hold: LegalHold) -> FileQuerySet:
    """Return the files that a hold keeps."""
    return File.objects.filter(held_by__hold=hold)


def described(hold: LegalHold) -> str:
    """Return in words what a hold is for."""
    if not hold.filters:
        return "the files that were named"
    return in_words(hold.filters)


def unholdable(hold: LegalHold) -> FileQuerySet:
    """Return what a standing hold is for and cannot keep, because its provider deletes it by itself."""
    if not hold.filters:
        return File.objects.none()
    return _holdable(held_by(hold)).filter(provider_expires_at__isnull=False)


def would_hold(organization: Organization, filters: FileFilters) -> tuple[int, int]:
    """Return how many files a hold on a filter would keep now, and how many it could not."""
    matching = _holdable(matching_files(organization, filters))
    kept = matching.filter(provider_expires_at=None).count()
    return kept, matching.filter(provider_expires_at__isnull=False).count()


@transaction.atomic
def hold_files(files: Collection[File], *, reason: str, caller: Caller) -> LegalHold:
    """Place one hold on files of one organization.

    Raises HoldRefusedError, FileNotFoundInIndexError and InvalidRequestError, and then holds none of them.
    """
    organizations = {file.organization_id for file in files}
    if len(organizations) != 1:
        raise InvalidRequestError("A hold is for files of one organization: name at least one.")
    hold = _written(organizations.pop(), reason=reason, caller=caller)
    for file in files:
        add_file(hold, file, caller=caller)
    return hold


@transaction.atomic
def add_file(hold: LegalHold, file: File, *, caller: Caller) -> None:
    """Put one more file on a hold. Raises HoldRefusedError and FileNotFoundInIndexError."""
    row = File.objects.select_for_update().filter(pk=file.pk, organization=hold.organization_id)
    found = row.filter(state__in=HOLDABLE, is_withheld=False).first()
    if found is None:
        raise FileNotFoundInIndexError(file.file_id)
    if found.provider_expires_at is not None:
        raise HoldRefusedError(
            f"The file '{found.file_id}' cannot be held: its provider deletes it by itself on "
            f"{found.provider_expires_at:%Y-%m-%d %H:%M} UTC. Download it, and upload it where files stay."
        )
    File.objects.filter(pk=found.pk).update(is_held=True)
    HeldFile.objects.get_or_create(hold=hold, file=found)
    audit.record_file(caller, AuditAction.FILE_HOLD, file, hold=hold.pk, reason=hold.reason[:200])
    file.is_held = True


def hold_matching(
    organization: Organization, filters: FileFilters, *, reason: str, caller: Caller
) -> LegalHold:
    """Place a hold on all files that match, and on those that will; return it when it keeps what is there.

    What it is interrupted at, `extend_holds` goes on with. Raises InvalidRequestError for a filter that asks
    for nothing, or for a status, which changes.
    """
    check_filters(organization, filters)
    with transaction.atomic():
        hold = _written(organization.pk, reason=reason, caller=caller, filters=filters)
        if filters.provider is not None:
            hold.accounts.set(accounts_named(organization, filters.provider))
    extend(hold)
    return hold


def check_filters(organization: Organization, filters: FileFilters) -> None:
    """Refuse what no hold can be for. Raises InvalidRequestError."""
    if not as_json(filters):
        raise InvalidRequestError("Say which files: a hold needs at least one condition.")
    if filters.status is not None:
        raise InvalidRequestError("A hold cannot depend on a file's status, which changes.", param="status")
    matching_files(organization, filters)


def extend(hold: LegalHold) -> int:
    """Let a standing hold keep what has come to match it, and return how many files are new.

    Goes on where it was when its time is over, or when it was killed.
    """
    ends = time.monotonic() + _TURN_SECONDS
    bound = _settled_up_to(hold.organization_id)
    matching = _holdable(held_by(hold)).filter(provider_expires_at=None)
    new = matching.filter(~Exists(HeldFile.objects.filter(hold=hold, file=OuterRef("pk"))))
    last, added = hold.examined_pk, 0
    while pks := list(new.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:_BATCH]):
        added += _keep(hold, pks)
        last = pks[-1]
        if time.monotonic() > ends:
            bound = min(bound, last)
            break
    here = LegalHold.objects.filter(pk=hold.pk, examined_pk=hold.examined_pk)
    here.update(examined_pk=max(hold.examined_pk, bound))
    return added


@transaction.atomic
def lift(hold: LegalHold, *, caller: Caller) -> None:
    """End a hold; what no other one keeps may be deleted again. Raises InvalidRequestError if it has ended.

    Whose right that is, the door says. What is interrupted, `extend_holds` goes on with.
    """
    now = timezone.now()
    rows = LegalHold.objects.open().filter(pk=hold.pk)
    if not rows.update(lifted_at=now, lifted_by=caller.actor[:150]):
        raise InvalidRequestError(f"Hold {hold.pk} was lifted already.")
    hold.lifted_at, hold.lifted_by = now, caller.actor
    _record(caller, AuditAction.HOLD_LIFT, hold)
    transaction.on_commit(lambda: let_go(hold))


def let_go(hold: LegalHold) -> int:
    """Free what a lifted hold still keeps, and return how many files that were."""
    ends, freed = time.monotonic() + _TURN_SECONDS, 0
    while time.monotonic() < ends:
        rows = list(HeldFile.objects.filter(hold=hold).order_by("file_id")[:_BATCH])
        if not rows:
            break
        pks = [row.file_id for row in rows]
        with transaction.atomic():
            list(File.objects.select_for_update().filter(pk__in=pks).order_by("pk").values_list("pk"))
            hold.held.filter(file__in=pks).delete()
            kept = HeldFile.objects.filter(file=OuterRef("pk"))
            File.objects.filter(~Exists(kept), pk__in=pks).update(is_held=False)
        freed += len(pks)
    return freed


def extend_holds() -> int:
    """Let every standing hold keep what is new, and finish what was lifted; return how many files changed."""
    changed = sum(extend(hold) for hold in LegalHold.objects.standing().select_related("organization"))
    lifted = LegalHold.objects.filter(Exists(HeldFile.objects.filter(hold=OuterRef("pk"))))
    return changed + sum(let_go(hold) for hold in lifted.exclude(lifted_at=None))


def _holdable(files: FileQuerySet) -> FileQuerySet:
    return files.filter(state__in=HOLDABLE, is_withheld=False)


def _written(
    organization_id: int, *, reason: str, caller: Caller, filters: FileFilters | None = None
) -> LegalHold:
    if not reason.strip():
        raise InvalidRequestError("Say why: a hold without a reason cannot be judged later.", param="reason")
    hold = LegalHold.objects.create(
        organization_id=organization_id,
        reason=reason.strip()[:500],
        filters={} if filters is None else as_json(filters),
        placed_by=caller.actor[:150],
    )
    _record(caller, AuditAction.HOLD_PLACE, hold)
    return hold


def _record(caller: Caller, action: AuditAction, hold: LegalHold) -> None:
    audit.record(
        caller,
        action,
        object_type="hold",
        object_id=str(hold.pk),
        reason=hold.reason[:200],
        filters=hold.filters,
    )


@transaction.atomic
def _keep(hold: LegalHold, pks: Collection[int]) -> int:
    """Hold these files as far as they are there still, unless the hold was lifted meanwhile."""
    if not LegalHold.objects.select_for_update().open().filter(pk=hold.pk).exists():
        return 0
    there = File.objects.select_for_update().filter(pk__in=pks, state__in=HOLDABLE, provider_expires_at=None)
    found = list(there.order_by("pk").values_list("pk", flat=True))
    File.objects.filter(pk__in=found).update(is_held=True)
    rows = [HeldFile(hold=hold, file_id=pk) for pk in found]
    HeldFile.objects.bulk_create(rows, ignore_conflicts=True)
    return len(found)


def _settled_up_to(organization_id: int) -> int:
    """Return up to which key no file of the organization can come to light any more."""
    files = File.objects.for_organization(organization_id)
    running = files.filter(state=FileState.UPLOADING).aggregate(Min("pk"))["pk__min"]
    newest = File.objects.aggregate(Max("pk"))["pk__max"] or 0
    return int(min(running or newest, newest - _LOOK_BACK))
