"""Files that the gateway did not upload: found by sync or by id, and adopted into the index.

Only on an account whose upstream one organization owns alone; and never an id that the index knows already
at that endpoint, whoever holds it: a provider's list is no proof of ownership.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from files_app.filenames import clean_filename
from files_app.models import File, FileCopy, Organization, ProviderAccount
from files_app.models.files import CopyState, DeletedReason, FileState
from files_app.observability import metrics
from files_app.services.accounts.saving import driver_for, is_exclusive
from files_app.services.index import audit
from files_app.services.index.transactions import database_time, release_connection
from files_app.services.reading.lookup import is_well_formed
from files_app.services.tenants.keys import system_caller
from files_app.services.upstream.in_flight import may_be_any_of, unsettled_uploads
from providers.base import Driver
from providers.exceptions import (
    InvalidResponseError,
    ProviderConfigurationError,
    ProviderError,
    RemoteFileNotFoundError,
)
from providers.object_store import ObjectStoreDriver
from providers.objects import Operation, RemoteFile

log = structlog.get_logger(__name__)

MAX_PAGES = 1_000
MAX_SECONDS = 120.0
MAX_CONFIRMATIONS = 100
_MANY_LOST = 10
_LEASE_SECONDS = 240


@dataclass(slots=True)
class SyncReport:
    """What a sync did. `is_complete`: the provider's list was read to its end."""

    seen: int = 0
    adopted: int = 0
    updated: int = 0
    lost: int = 0
    is_complete: bool = False


def can_adopt(account: ProviderAccount, driver: Driver) -> bool:
    """Whether files at this account that the gateway did not upload belong to its organization."""
    return (
        account.is_enabled
        and not account.is_shared
        and Operation.LIST in driver.capabilities.operations
        and is_exclusive(account)
    )


def sync_account(
    account: ProviderAccount, *, on_progress: Callable[[SyncReport], None] = lambda report: None
) -> SyncReport | None:
    """Reconcile the index with the provider's list; None while another sync of this account runs.

    on_progress: called after each page, with the report so far.
    Raises ProviderError and ProviderConfigurationError; the account then shows the error.
    """
    driver = driver_for(account)
    if not can_adopt(account, driver):
        return SyncReport()
    token = _take_lease(account)
    if token is None:
        return None
    error = "The sync was interrupted."
    began = timezone.now()
    try:
        report = _reconcile(account, driver, began, on_progress)
        error = ""
    except (ProviderError, ProviderConfigurationError) as exc:
        error = str(exc)[:500]
        raise
    finally:
        _end_lease(account, token, began, error)
    return report


def _take_lease(account: ProviderAccount) -> str | None:
    token = secrets.token_hex(16)
    free = Q(sync_lease_expires_at__isnull=True) | Q(sync_lease_expires_at__lt=database_time(plus_seconds=0))
    taken = ProviderAccount.objects.filter(free, pk=account.pk).update(
        sync_token=token, sync_lease_expires_at=database_time(plus_seconds=_LEASE_SECONDS)
    )
    return token if taken else None


def _end_lease(account: ProviderAccount, token: str, began: datetime, error: str) -> None:
    values: dict[str, object] = {"sync_token": "", "sync_lease_expires_at": None, "last_sync_error": error}
    if not error:
        values["last_synced_at"] = began
    ProviderAccount.objects.filter(pk=account.pk, sync_token=token).update(**values)
    account.refresh_from_db()


def _reconcile(
    account: ProviderAccount, driver: Driver, began: datetime, on_progress: Callable[[SyncReport], None]
) -> SyncReport:
    report = SyncReport()
    seen: set[str] = set()
    for page in read_pages(account, driver, report):
        fresh = [remote for remote in page if remote.remote_id not in seen]
        seen.update(remote.remote_id for remote in fresh)
        report.seen += len(fresh)
        _merge(account, driver, fresh, began, report)
        on_progress(report)
    if report.is_complete:
        _confirm_lost(account, driver, seen, began, report)
    return report


def read_pages(
    account: ProviderAccount, driver: Driver, report: SyncReport, *, max_seconds: float = MAX_SECONDS
) -> Iterator[tuple[RemoteFile, ...]]:
    """Read the provider's list to its end, bounded in pages and time; a cursor that repeats ends it."""
    deadline = time.monotonic() + max_seconds
    cursors: set[str | None] = set()
    ids: set[str] = set()
    cursor: str | None = None
    while cursor not in cursors and len(cursors) < MAX_PAGES and time.monotonic() < deadline:
        cursors.add(cursor)
        release_connection()
        with metrics.provider_operation(account.driver, Operation.LIST):
            page = driver.list_files(cursor=cursor)
        news = {remote.remote_id for remote in page.files} - ids
        yield page.files
        if page.next_cursor is None:
            report.is_complete = True
            return
        if page.files and not news:  # the provider ignores its own cursor
            report.is_complete = True
            return
        ids |= news
        cursor = page.next_cursor


def _merge(
    account: ProviderAccount, driver: Driver, page: list[RemoteFile], began: datetime, report: SyncReport
) -> None:
    remote_ids = [remote.remote_id for remote in page]
    held_here = FileCopy.objects.filter(account__location_digest=account.location_digest)
    known = {
        copy.remote_id: copy for copy in held_here.filter(remote_id__in=remote_ids).select_related("file")
    }
    uploads = unsettled_uploads(account)
    for remote in page:
        copy = known.get(remote.remote_id)
        if copy is not None:
            report.updated += copy.account_id == account.pk and _update(copy, remote)
        elif is_adoptable(remote, began, uploads):
            report.adopted += adopt(account, driver, remote) is not None


def is_adoptable(remote: RemoteFile, began: datetime, uploads: Collection[FileCopy]) -> bool:
    """Whether a file is there to stay and is no upload's, whose own answer decides.

    uploads: those that were unsettled after the provider was asked.
    """
    if remote.expires_at is not None and remote.expires_at <= began:
        return False
    return not may_be_any_of(remote, uploads)


def _update(copy: FileCopy, remote: RemoteFile) -> bool:
    """Take over what the provider may change: status and expiry; and find again what was lost."""
    file = copy.file
    if copy.state == CopyState.LOST:
        return find_again(copy)
    values: dict[str, object] = {}
    if file.state == FileState.AVAILABLE and file.status != remote.status:
        values |= {"status": remote.status, "status_details": (remote.status_details or "")[:500]}
    if remote.expires_at is not None and file.expires_at != remote.expires_at and file.is_adopted:
        values["expires_at"] = remote.expires_at
    return bool(values) and bool(File.objects.filter(pk=file.pk).update(**values))


def find_again(copy: FileCopy) -> bool:
    """Take back a file that was lost and is at its provider again.

    Returns False if it was deleted meanwhile, or if another file has its id now.
    """
    try:
        return _find_again(copy)
    except IntegrityError:
        return False


@transaction.atomic
def _find_again(copy: FileCopy) -> bool:
    now = timezone.now()
    file = copy.file
    found = File.objects.filter(pk=file.pk, state=FileState.LOST).update(
        state=FileState.AVAILABLE, deleted_reason="", state_changed_at=now
    )
    if not found:
        return False
    FileCopy.objects.filter(pk=copy.pk).update(state=CopyState.AVAILABLE, state_changed_at=now)
    if file.is_counted:
        Organization.objects.take_back(file.organization_id, file.bytes)
    audit.record_file(system_caller(file.organization_id), "file.found", file)
    return True


def adopt(account: ProviderAccount, driver: Driver, remote: RemoteFile) -> File | None:
    """Take a file that was made elsewhere into the index; None when it must not or cannot be.

    Adopted bytes are shown, not counted: nobody asked the quota when they were made.
    """
    file_id = adopted_id(account, driver, remote)
    if file_id is None:
        return None
    try:
        with transaction.atomic():
            return _insert(account, remote, file_id)
    except IntegrityError:
        return None


def adopted_id(account: ProviderAccount, driver: Driver, remote: RemoteFile) -> str | None:
    """Return the id that a file made elsewhere gets; None when it cannot belong to the account's owner."""
    if account.organization is None:
        return None
    file_id = remote.remote_id
    if isinstance(driver, ObjectStoreDriver):
        if driver.namespace_of(file_id) not in {None, account.organization.namespace}:
            return None
        file_id = driver.file_id_of(remote.remote_id) or _derived_id(account, remote.remote_id)
    return file_id if is_well_formed(file_id) else None


def _derived_id(account: ProviderAccount, remote_id: str) -> str:
    """Return our id for an object that the gateway did not name: always the same, and not to be guessed."""
    key = settings.API_KEY_PEPPERS[-1].encode()
    digest = hmac.new(key, f"{account.uid}\0{remote_id}".encode(), hashlib.sha256).digest()
    return "file-" + base64.b32encode(digest).decode().lower()[:26]


def _insert(account: ProviderAccount, remote: RemoteFile, file_id: str) -> File | None:
    known = FileCopy.objects.filter(
        account__location_digest=account.location_digest, remote_id=remote.remote_id
    )
    if known.exists() or account.organization_id is None:
        return None
    now = timezone.now()
    created_at = remote.created_at or now
    file = File.objects.create(
        organization_id=account.organization_id,
        account=account,
        file_id=file_id,
        filename=clean_filename(remote.filename or remote.remote_id.rsplit("/", 1)[-1]),
        purpose=(remote.purpose or "user_data")[:64],
        content_type=(remote.content_type or "")[:127],
        bytes=remote.bytes or 0,
        sha256=remote.sha256 or "",
        metadata=dict(remote.metadata),
        uri=remote.uri or "",
        status=remote.status,
        status_details=(remote.status_details or "")[:500],
        state=FileState.AVAILABLE,
        is_adopted=True,
        is_counted=False,
        created_at=created_at,
        indexed_at=created_at,
        expires_at=remote.expires_at,
    )
    FileCopy.objects.create(file=file, account=account, remote_id=remote.remote_id, state=CopyState.AVAILABLE)
    audit.record_file(system_caller(account.organization_id), "file.adopt", file)
    return file


def adopt_by_id(account: ProviderAccount, file_id: str) -> File | None:
    """Ask the provider for an id that the index does not know; None when it is not for this organization."""
    driver = driver_for(account)
    may_ask = Operation.RETRIEVE in driver.capabilities.operations and can_adopt(account, driver)
    if not may_ask or isinstance(driver, ObjectStoreDriver) or not is_well_formed(file_id):
        return None
    known = FileCopy.objects.filter(account__location_digest=account.location_digest, remote_id=file_id)
    if known.exists():
        return None
    release_connection()
    try:
        with metrics.provider_operation(account.driver, Operation.RETRIEVE):
            remote = driver.retrieve_file(file_id)
    except RemoteFileNotFoundError:
        return None
    if remote.remote_id != file_id or may_be_any_of(remote, unsettled_uploads(account)):
        return None
    return adopt(account, driver, remote)


def _confirm_lost(
    account: ProviderAccount, driver: Driver, seen: set[str], began: datetime, report: SyncReport
) -> None:
    """Mark files that the provider no longer has: absent from a complete list, and from a retrieve too.

    Raises InvalidResponseError when most of an account is missing: a wrong key or an unmounted disk looks
    like that, and much less often a provider that lost everything.
    """
    if Operation.RETRIEVE not in driver.capabilities.operations:
        return
    held = FileCopy.objects.filter(
        account=account, state=CopyState.AVAILABLE, file__indexed_at__lt=began, state_changed_at__lt=began
    )
    copies = held.select_related("file", "file__account").order_by("pk").iterator(chunk_size=1000)
    missing: list[FileCopy] = []
    held_count = missing_count = 0
    for copy in copies:
        held_count += 1
        if copy.remote_id not in seen:
            missing_count += 1
            missing += [copy] if missing_count <= MAX_CONFIRMATIONS else []
    if missing_count > _MANY_LOST and missing_count > held_count // 2:
        raise InvalidResponseError(
            f"{driver.label} lacks {missing_count} of {held_count} files of this account. None was marked as "
            "lost: check that its credentials and its store are the right ones.",
            provider=account.name,
            operation=Operation.LIST,
        )
    for copy in missing:
        release_connection()
        try:
            driver.retrieve_file(copy.remote_id)
        except RemoteFileNotFoundError:
            report.lost += mark_lost(copy)
        except ProviderError as exc:
            log.info("lost_not_confirmed", copy=copy.pk, error=exc.message)
            return


@transaction.atomic
def mark_lost(copy: FileCopy) -> bool:
    """Write down that the provider has the file no more, and free its quota; False if it was gone anyway."""
    now = timezone.now()
    file = copy.file
    changed = File.objects.filter(pk=file.pk, state=FileState.AVAILABLE).update(
        state=FileState.LOST, deleted_reason=DeletedReason.LOST, state_changed_at=now
    )
    FileCopy.objects.filter(pk=copy.pk, state=CopyState.AVAILABLE).update(
        state=CopyState.LOST, state_changed_at=now
    )
    if changed:
        if file.is_counted:
            Organization.objects.free(file.organization_id, file.bytes)
        audit.record_file(system_caller(file.organization_id), "file.lost", file)
    return bool(changed)
