"""Re-check: asks a provider whether it still has a file, and writes down what it says."""

from __future__ import annotations

from django.utils import timezone

from files_app.models import AuditAction, CopyState, File, FileCopy, FileState
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.shares import take_place
from files_app.services.index import audit, events
from files_app.services.index.callers import Caller
from files_app.services.upstream.lost import ask_for, find_again, note_missed
from providers.objects import RemoteFile


def recheck_file(file: File, *, caller: Caller) -> str:
    """Compare a file with its provider's word and return the finding.

    A file that was missed twice becomes `lost`, a lost one that the provider has becomes available; its
    status is taken over. Raises ProviderError and OverloadedError.
    """
    copy = (
        file.copies.filter(state__in=[CopyState.AVAILABLE, CopyState.LOST]).select_related("account").first()
    )
    if copy is None:
        return "nothing to check: no provider holds this file"
    copy.file = file
    driver = driver_for(copy.account)
    with take_place(copy.account, None):
        remote = ask_for(copy, driver)
    if remote is None:
        return _recorded(file, caller, f"{driver.label} {_missed(copy)}")
    if copy.state == CopyState.LOST and find_again(copy):
        return _recorded(file, caller, f"{driver.label} has it again: available")
    if file.state != FileState.AVAILABLE:
        return _recorded(file, caller, f"{driver.label} has the file, the gateway counts it as {file.state}")
    return _recorded(file, caller, _compared(file, remote, driver.label))


def _missed(copy: FileCopy) -> str:
    """Judge a copy that its provider was just found to lack, and return how that went in words."""
    if copy.state == CopyState.LOST or copy.file.state == FileState.TRASHED:
        return "has it no more"
    if copy.is_young:
        return "does not show it; it is too young to be called lost, since reads may lag behind uploads"
    if note_missed(copy, timezone.now()):
        return "has it no more: marked as lost"
    return "does not show it; it is lost if a check in a minute, or the next sync, misses it too"


def _compared(file: File, remote: RemoteFile, label: str) -> str:
    events.take_status(File.objects.filter(pk=file.pk), file, remote)
    if remote.bytes is not None and file.sha256 and not file.result_part and remote.bytes != file.bytes:
        return f"{label} has {remote.bytes:,} bytes instead of {file.bytes:,}"
    return f"{label} has it, status {remote.status}"


def _recorded(file: File, caller: Caller, finding: str) -> str:
    audit.record_file(caller, AuditAction.FILE_RECHECK, file, finding=finding[:200])
    return finding
