"""Accounts whose files may be another organization's too: what shows it, and what follows from it.

What was uploaded stays with its uploader, whatever happens here: an upload is a proof of its own. What was
adopted is withheld, and nothing more is adopted, until an operator has looked and confirms the account.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from files_app.exceptions import InvalidRequestError
from files_app.models import (
    AccountPlace,
    AuditAction,
    File,
    FileCopy,
    LegalHold,
    ProviderAccount,
    SharedReason,
)
from files_app.services.accounts.disk_segments import lacks_segment
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.places import are_at_one_vendor, are_equal, place_account, rivals
from files_app.services.index import audit
from files_app.services.index.callers import Caller, system_caller
from files_app.services.index.metering import spans
from files_app.services.index.transactions import in_batches
from providers.base import Driver
from providers.exceptions import ProviderConfigurationError

log = structlog.get_logger(__name__)

#: Letters and digits that change places at least four times: words and dates do not.
_MIXED = re.compile(r"(?:[A-Za-z]+[0-9]+){2}[A-Za-z]|(?:[0-9]+[A-Za-z]+){2}[0-9]")
#: Ours, and those that begin like OpenAI's.
_MACHINE_MADE = re.compile(
    r"file-[a-z2-7]{26}|file[-_](?=.*[0-9]|.*[a-z].*[A-Z]|.*[A-Z].*[a-z])[A-Za-z0-9]{16,}"
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_BATCH_IDS = 500  # SQLite takes a limited number of parameters


def is_random(remote_id: str) -> bool:
    """Whether an id is one that two providers do not give out by chance, nor two people choose.

    At least 16 random characters. A few percent of such ids are not recognized; they come in numbers.
    """
    if _MACHINE_MADE.fullmatch(remote_id) or _UUID.search(remote_id):
        return True
    return any(len(run) >= 16 and _MIXED.match(run) for run in re.split(r"[^A-Za-z0-9]", remote_id))


def place_all() -> int:
    """Place the accounts of earlier versions, mark those in one place, and return how many were placed.

    Files or a sync prove that they have access. One whose credentials cannot be read here adopts nothing
    until it is saved or synced where they can.
    """
    placed = 0
    for batch in in_batches(ProviderAccount.objects.filter(places=None)):
        for account in batch:
            try:
                place_account(account, driver_for(account))
            except ProviderConfigurationError as exc:
                log.warning("account_not_placed", account=account.full_name, error=str(exc))
                continue
            placed += 1
            if account.last_synced_at is not None or account.files.exists():
                prove_access(account)
    return placed


def prove_access(account: ProviderAccount) -> None:
    """Write down that a provider has let the account in, and mark it and others in one place as shared."""
    account.access_proved_at = timezone.now()
    ProviderAccount.objects.filter(pk=account.pk).update(access_proved_at=account.access_proved_at)
    places = [row.place for row in account.places.all()]
    near = AccountPlace.objects.overlapping(places).values("account")
    for each in ProviderAccount.objects.filter(pk__in=near, access_proved_at__isnull=False):
        if rivals(each).exists():
            mark_shared(each, SharedReason.PLACE)


def weigh(account: ProviderAccount, driver: Driver, remote_ids: Collection[str]) -> bool:
    """Judge the ids that a provider showed to the account, and return whether it is shared now.

    An id that nobody can guess, of a file that the index holds for another organization, proves it: whatever
    the addresses and keys are, both see the same files.
    """
    if account.organization_id is None:
        return False
    holders = _holders(
        account, driver, [each for each in remote_ids if is_random(driver.file_id_of(each) or each)]
    )
    if not holders:
        return False
    mark_shared(account, SharedReason.EVIDENCE)
    for holder in holders:
        # What `account` was shown may be made up, by a server of its owner's: it speaks against others only
        # where that server cannot be.
        if are_equal(account, holder) or are_at_one_vendor(account, holder):
            mark_shared(holder, SharedReason.EVIDENCE)
    return True


def _holders(account: ProviderAccount, driver: Driver, remote_ids: Sequence[str]) -> list[ProviderAccount]:
    """Return the accounts at which the index holds one of these ids for another organization."""
    copies = FileCopy.objects.exclude(file__organization=account.organization_id)
    if account.confirmed_at is not None:
        copies = copies.filter(created_at__gt=account.confirmed_at)
    found: set[int] = set()
    for start in range(0, len(remote_ids), _BATCH_IDS):
        batch = remote_ids[start : start + _BATCH_IDS]
        for same in (Q(remote_id__in=batch), _same_objects(driver, batch)):  # apart: each has its index
            found.update(copies.filter(same).values_list("account_id", flat=True).distinct())
    return list(ProviderAccount.objects.filter(pk__in=found))


def _same_objects(driver: Driver, remote_ids: Sequence[str]) -> Q:
    """Return the condition for objects that our own keys name: a bucket can have several names."""
    if not driver.names_files:
        return Q(pk__in=[])
    namespaces = {driver.namespace_of(remote_id) or "" for remote_id in remote_ids}
    owners = [int(name[4:]) for name in namespaces if re.fullmatch(r"org-[0-9]{1,18}", name)]
    file_ids = [file_id for each in remote_ids if (file_id := driver.file_id_of(each))]
    return Q(file__organization__in=owners, file__file_id__in=file_ids)


@transaction.atomic
def mark_shared(account: ProviderAccount, reason: SharedReason) -> None:
    """Withhold what the account has adopted, and let it adopt nothing more until it is confirmed."""
    if account.organization_id is None:
        return
    rows = ProviderAccount.objects.filter(pk=account.pk, shared_since=None)
    account.shared_since, account.shared_reason = timezone.now(), reason
    if not rows.update(shared_since=account.shared_since, shared_reason=reason):
        return
    adopted = File.objects.filter(account=account, is_adopted=True)
    if account.confirmed_at is not None:
        adopted = adopted.filter(copies__created_at__gt=account.confirmed_at)
    withheld = spans.update(File.objects.filter(pk__in=adopted.values("pk")), is_withheld=True)
    audit.record(
        system_caller(account.organization_id),
        AuditAction.ACCOUNT_SHARED,
        object_type="account",
        object_id=account.name,
        reason=reason.value,
        withheld=withheld,
    )
    log.warning("account_shared", account=account.full_name, reason=reason.value, withheld=withheld)


@transaction.atomic
def confirm_exclusive(account: ProviderAccount, *, caller: Caller) -> int:
    """Take what the account has adopted for its organization's, and return how many files that shows again.

    For an operator who has looked: what spoke against it so far counts no more, what comes later does.
    Raises InvalidRequestError where others have the account's directory, which no word changes.
    """
    if lacks_segment(account):
        raise InvalidRequestError(
            "The account has no folder of its own on disk, so its uploads alone are known to be its "
            "organization's. Make a new account for new files."
        )
    account.shared_since, account.shared_reason, account.confirmed_at = None, "", timezone.now()
    ProviderAccount.objects.filter(pk=account.pk).update(
        shared_since=None, shared_reason="", confirmed_at=account.confirmed_at
    )
    shown = spans.update(File.objects.filter(account=account, is_withheld=True), is_withheld=False)
    LegalHold.objects.filter(organization=account.organization).update(examined_pk=0)  # they look again
    audit.record(
        caller, AuditAction.ACCOUNT_CONFIRM, object_type="account", object_id=account.name, shown=shown
    )
    return shown
