"""Rebuilds the index from an object store: the gateway writes with each object what its row says.

A key names its organization by number, and a number means something else in a new database. So an object
counts as an organization's only where that organization is older than the object, or where the operator
says whose it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from django.db import transaction

from files_app.exceptions import InvalidRequestError
from files_app.models import AuditAction, File, FileCopy, Organization, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.upstream.pages import RemoteList
from providers.base import Driver
from providers.objects import RemoteFile

_MAX_SECONDS = 24 * 3_600.0


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild found.

    restored: organization -> rows written. known: rows that were there already. foreign: objects that the
    gateway did not write; a sync takes them into the index where it may. unowned: segment of the keys ->
    number of objects whose organization is not certain.
    """

    seen: int = 0
    restored: Counter[str] = field(default_factory=Counter)
    restored_bytes: int = 0
    known: int = 0
    foreign: int = 0
    unowned: Counter[str] = field(default_factory=Counter)
    is_complete: bool = False


def rebuild_index(
    account: ProviderAccount,
    *,
    owners: Mapping[str, Organization],
    caller: Caller,
    dry_run: bool = False,
    on_seen: Callable[[int], None] = lambda amount: None,
) -> Rebuilt:
    """Write the rows that are missing for the objects of an account. Safe to repeat.

    owners: segment of the keys, such as `org-3`, -> the organization that its objects belong to.
    Raises InvalidRequestError for an account that is no object store, and ProviderError.
    """
    driver = driver_for(account)
    if not driver.names_files:
        raise InvalidRequestError(
            f"{driver.label} keeps no details with its files. `manage.py accounts sync {account.name}` takes "
            "what it lists into the index."
        )
    for organization in owners.values():
        if account.organization_id not in {None, organization.pk}:
            raise InvalidRequestError(
                f"The account '{account.name}' belongs to another organization than {organization.name}."
            )
    return _Rebuild(account, driver, owners, caller, dry_run=dry_run).run(on_seen)


class _Rebuild:
    def __init__(
        self,
        account: ProviderAccount,
        driver: Driver,
        owners: Mapping[str, Organization],
        caller: Caller,
        *,
        dry_run: bool,
    ) -> None:
        self._account = account
        self._driver = driver
        self._owners = owners
        self._by_namespace = {row.namespace: row for row in Organization.objects.all()}
        self._caller = caller
        self._dry_run = dry_run
        self._found = Rebuilt()

    def run(self, on_seen: Callable[[int], None]) -> Rebuilt:
        listed = RemoteList(self._driver, max_seconds=_MAX_SECONDS)
        for page in listed:
            self._found.seen += len(page)
            self._take(page)
            on_seen(len(page))
        self._found.is_complete = listed.is_complete
        return self._found

    def _take(self, page: list[RemoteFile]) -> None:
        known_copies = set(
            FileCopy.objects.at(self._account, [remote.remote_id for remote in page]).values_list(
                "remote_id", flat=True
            )
        )
        ids = [file_id for remote in page if (file_id := self._driver.file_id_of(remote.remote_id))]
        # An upload in progress has its id already, but not yet the key.
        known_ids = set(File.objects.filter(file_id__in=ids).values_list("file_id", flat=True))
        for remote in page:
            file_id = self._driver.file_id_of(remote.remote_id)
            if remote.remote_id in known_copies or file_id in known_ids:
                self._found.known += 1
            elif file_id is None or remote.content_type is None:  # which only our own details tell
                self._found.foreign += 1
            else:
                self._restore(remote, file_id)

    def _restore(self, remote: RemoteFile, file_id: str) -> None:
        namespace = self._driver.namespace_of(remote.remote_id) or ""
        organization = self._owner(namespace, remote)
        if organization is None:
            self._found.unowned[namespace] += 1
            return
        if not self._dry_run:
            self._insert(remote, file_id, organization)
        self._found.restored[organization.name] += 1
        self._found.restored_bytes += remote.bytes or 0

    def _owner(self, namespace: str, remote: RemoteFile) -> Organization | None:
        if (named := self._owners.get(namespace)) is not None:
            return named
        organization = self._by_namespace.get(namespace)
        if organization is None or self._account.organization_id not in {None, organization.pk}:
            return None
        is_older = remote.created_at is not None and organization.created_at <= remote.created_at
        return organization if is_older else None

    @transaction.atomic
    def _insert(self, remote: RemoteFile, file_id: str, organization: Organization) -> None:
        file = File.objects.index(
            remote,
            file_id=file_id,
            organization_id=organization.pk,
            account=self._account,
            is_adopted=False,
        )
        Organization.objects.add(organization.pk, file.bytes)
        caller = replace(self._caller, organization_id=organization.pk)
        audit.record_file(caller, AuditAction.FILE_REBUILD, file, bytes=file.bytes)
