"""Takes files that the gateway did not upload into the index.

Only where one organization alone has access; never an id that the index knows there already, whoever holds
it; and only after all that the provider lists has been held against what others have: a list is no proof of
ownership, but it can be one of sharing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from files_app.models import AuditAction, CopyState, File, FileCopy, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.places import is_exclusive
from files_app.services.accounts.shares import take_place
from files_app.services.accounts.sharing import prove_access, weigh
from files_app.services.deletes import outbox
from files_app.services.index import audit, events
from files_app.services.index.callers import Caller, system_caller
from files_app.services.index.ids import is_well_formed
from files_app.services.index.transactions import database_time
from files_app.services.upstream.in_flight import may_be_any_of, unsettled_uploads
from files_app.services.upstream.pages import RemoteList
from providers.base import Driver
from providers.exceptions import (
    RemoteFileNotFoundError,
)
from providers.objects import Operation, RemoteFile


def can_adopt(account: ProviderAccount, driver: Driver) -> bool:
    """Whether files at this account that the gateway did not upload belong to its organization."""
    return (
        account.is_enabled
        and not account.is_shared
        and Operation.LIST in driver.capabilities.operations
        and is_exclusive(account)
    )


def is_adoptable(remote: RemoteFile, began: datetime, uploads: Collection[FileCopy]) -> bool:
    """Whether a file is there to stay and is no upload's, whose own answer decides.

    uploads: those that were unsettled after the provider was asked.
    """
    if remote.expires_at is not None and remote.expires_at <= began:
        return False
    return not may_be_any_of(remote, uploads)


def adopt(account: ProviderAccount, driver: Driver, remote: RemoteFile) -> File | None:
    """Take a file that was made elsewhere into the index; None when it must not or cannot be.

    Adopted bytes are shown, not counted: nobody asked the quota when they were made.
    """
    file_id = adopted_id(account, driver, remote)
    if file_id is None or account.organization_id is None:
        return None
    try:
        with transaction.atomic():
            if turned_out_shared(account) or FileCopy.objects.at(account, [remote.remote_id]).exists():
                return None
            if driver.names_files and _goes_with_its_upload(account, file_id, remote):
                return None
            file = File.objects.index(
                remote,
                file_id=file_id,
                organization_id=account.organization_id,
                account=account,
                is_adopted=True,
                provider_expires_at=driver.deletes_at(remote, created_at=remote.created_at or timezone.now()),
            )
            audit.record_file(system_caller(account.organization_id), AuditAction.FILE_ADOPT, file)
            events.file_created(file)
            return file
    except IntegrityError:
        return None


def _goes_with_its_upload(account: ProviderAccount, file_id: str, remote: RemoteFile) -> bool:
    """Whether an upload of ours gave an object its name, so that it was not made elsewhere.

    Where the upload was given up before its store showed the object, the object is deleted.
    """
    copies = FileCopy.objects.filter(
        account=account, file__organization=account.organization, file__file_id=file_id
    )
    if (copy := copies.first()) is None:
        return False
    given_up = FileCopy.objects.filter(pk=copy.pk)
    if given_up.to(
        CopyState.DELETING,
        origin=CopyState.FAILED,
        remote_id=remote.remote_id,
        next_attempt_at=database_time(plus_seconds=0),
    ):
        outbox.send_after_commit(copy)
    return True


def turned_out_shared(account: ProviderAccount) -> bool:
    """Whether the account is marked meanwhile; if not, it stays so to the end of the transaction."""
    rows = ProviderAccount.objects.select_for_update(no_key=True).filter(pk=account.pk)
    return rows.values_list("shared_since", flat=True).get() is not None


def adopted_id(account: ProviderAccount, driver: Driver, remote: RemoteFile) -> str | None:
    """Return the id that a file made elsewhere gets; None when it cannot belong to the account's owner."""
    if account.organization is None:
        return None
    if driver.namespace_of(remote.remote_id) not in {None, account.organization.namespace}:
        return None
    file_id = driver.file_id_of(remote.remote_id) or derived_id(account, remote.remote_id)
    return file_id if is_well_formed(file_id) else None


def derived_id(account: ProviderAccount, remote_id: str) -> str:
    """Return our id for an object that the gateway did not name: always the same, and not to be guessed."""
    key = settings.API_KEY_PEPPERS[-1].encode()
    digest = hmac.new(key, f"{account.uid}\0{remote_id}".encode(), hashlib.sha256).digest()
    return "file-" + base64.b32encode(digest).decode().lower()[:26]


def adopt_by_id(account: ProviderAccount, file_id: str, *, caller: Caller) -> File | None:
    """Ask the provider for an id that the index does not know; None when it is not for this organization.

    caller: who waits for it. Raises ProviderError and OverloadedError.
    """
    driver = driver_for(account)
    can_be_asked = Operation.RETRIEVE in driver.capabilities.operations and not account.is_shared
    if not can_be_asked or driver.names_files or not is_well_formed(file_id):
        return None
    with take_place(account, caller):  # before the database is asked, so that a refusal is cheap
        if not can_adopt(account, driver) or FileCopy.objects.at(account, [file_id]).exists():
            return None
        try:
            remote = driver.retrieve_file(file_id)
        except RemoteFileNotFoundError:
            return None
        if remote.remote_id != file_id or may_be_any_of(remote, unsettled_uploads(account)):
            return None
        return adopt(account, driver, remote) if _list_agrees(account, driver, file_id) else None


def _list_agrees(account: ProviderAccount, driver: Driver, file_id: str) -> bool:
    """Whether the whole list allows it. One too long to be read while somebody waits leaves it to a sync."""
    listed = RemoteList(driver, max_seconds=settings.SYNC_WAIT_SECONDS)
    for _ in listed:
        pass
    return owns_what_is_listed(account, driver, {file_id, *listed.seen}) and listed.is_complete


def owns_what_is_listed(account: ProviderAccount, driver: Driver, remote_ids: Collection[str]) -> bool:
    """Whether everything that a provider listed leaves the account's organization alone there."""
    if account.access_proved_at is None:
        prove_access(account)
    return not weigh(account, driver, remote_ids) and is_exclusive(account)
