"""The move of older accounts on disk into folders of their own.

    DATA_DIR/files/<directory>/<key>    before
    DATA_DIR/files/<disk_segment>/<directory>/<key>    after; keys are the remote ids, and stay

It may break off at any step and is begun again by the next start: the folder's name follows from the account,
so what has been moved is known by where it is, and the account points there only when all of it is there.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from django.db import transaction
from django.utils import timezone

from files_app.models import AuditAction, ProviderAccount, SharedReason
from files_app.models.states import HOLDING_STATES
from files_app.services.accounts.disk_segments import without_segment
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.isolation import on_its_own
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.selection import forget_recent_accounts
from files_app.services.accounts.sharing import mark_shared
from files_app.services.index import audit
from files_app.services.index.callers import system_caller
from providers.exceptions import ProviderConfigurationError
from providers.transports.disk import is_tree_name, make_directory, sync_directory, tree_name

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _OlderAccount:
    account: ProviderAccount
    folder: Path


def settle_trees() -> None:
    """Move each older account whose directory is its alone, and mark the others as shared.

    The gateway must not run elsewhere meanwhile: its processes would look for files where they were.
    """
    older = list(_older_accounts())
    for each in older:
        if each.account.shared_since is not None:
            continue
        with on_its_own("tree", each.account):
            others = (other.folder for other in older if other is not each)
            if any(_overlap(each.folder, folder) for folder in others):
                _mark_shared(each.account)
            else:
                _move(each.account)


def _older_accounts() -> Iterator[_OlderAccount]:
    """Yield them all with their folders, before any of these is moved."""
    for account in without_segment():
        with on_its_own("tree", account):
            yield _OlderAccount(account, _root_of(account).resolve())


def _root_of(account: ProviderAccount) -> Path:
    return driver_for(account).root


def _overlap(one: Path, other: Path) -> bool:
    """Whether two folders are the same, or one is inside of the other, also where the disk ignores case."""
    pairs = zip(_folded(one), _folded(other), strict=False)
    return all(mine == theirs for mine, theirs in pairs)


def _folded(path: Path) -> list[str]:
    return [unicodedata.normalize("NFC", part).casefold() for part in path.parts]


def _mark_shared(account: ProviderAccount) -> None:
    if account.organization_id is not None:
        mark_shared(account, SharedReason.DIRECTORY)
    else:
        with transaction.atomic():
            unmarked = ProviderAccount.objects.filter(pk=account.pk, shared_since=None)
            if unmarked.update(shared_since=timezone.now(), shared_reason=SharedReason.DIRECTORY):
                _record(account, AuditAction.ACCOUNT_SHARED)
    forget_recent_accounts()


@transaction.atomic
def _move(account: ProviderAccount) -> None:
    row = ProviderAccount.objects.select_for_update().get(pk=account.pk)
    if row.disk_segment:  # another start was quicker
        return
    source = _root_of(row).resolve()
    row.disk_segment = tree_name(row.uid)
    if directory := row.options.get("directory"):
        row.options = {**row.options, "directory": _one_name(str(directory))}
    target = _root_of(row)
    _relocate(source, target)
    if not target.is_dir() and row.copies.filter(state__in=HOLDING_STATES).exists():
        raise ProviderConfigurationError(
            "The account's files are not on this host. Run `manage.py bootstrap` on the one that has them."
        )
    save_account(row)
    _record(row, AuditAction.ACCOUNT_MOVE)
    log.info("account_moved", account=row.full_name, folder=row.disk_segment)


def _one_name(directory: str) -> str:
    """Return a directory of several segments, or with rare characters, as one plain name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", directory).strip(".-")[:64]


def _relocate(source: Path, target: Path) -> None:
    """Move a folder, or what an earlier try has left of it. Raises OSError."""
    if not source.is_dir():
        return
    make_directory(target.parent)
    if source not in target.parents:
        _move_entry(source, target)
        return
    make_directory(target)  # the account had all of DATA_DIR/files, where the accounts' own folders are too
    for entry in list(source.iterdir()):
        if not is_tree_name(entry.name):
            _move_entry(entry, target / entry.name)


def _move_entry(source: Path, target: Path) -> None:
    """Move a file or folder and what is in it. Overwrites nothing. Raises OSError."""
    if not os.path.lexists(target):
        source.rename(target)
        sync_directory(target.parent)
        sync_directory(source.parent)
    elif target.is_dir() and source.is_dir():
        for entry in list(source.iterdir()):
            _move_entry(entry, target / entry.name)
        source.rmdir()
    else:
        raise FileExistsError(errno.EEXIST, "Two files have one name", str(source), None, str(target))


def _record(account: ProviderAccount, action: AuditAction) -> None:
    caller = system_caller(account.organization_id or 0)
    audit.record(caller, action, object_type="account", object_id=account.name)
