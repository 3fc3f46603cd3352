"""Takes what batch jobs wrote into the index: as an output file, whose content will be a translation.

All that one job wrote about one input is one result. On an account to which one organization alone has access
each of them is taken in; on a shared one only what lies in the results folder of a file that its organization
has there.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from itertools import takewhile

from django.db import IntegrityError, transaction
from django.utils import timezone

from files_app.models import AuditAction, File, FileCopy, FileState, Organization, ProviderAccount, ResultPart
from files_app.models.files import UNFINISHED
from files_app.services.index import audit, events
from files_app.services.index.callers import system_caller
from files_app.services.upstream import translation
from files_app.services.upstream.adoption import adopt, adopted_id, derived_id, turned_out_shared
from providers.base import Driver
from providers.objects import RemoteFile
from providers.results import JobResults, ResultName

#: Jobs take up to a week, and wait for a place before.
_JOBS_END_WITHIN = timedelta(days=30)
_MAX_SHARED_PAGES = 100
_MAX_SHARED_SECONDS = 60.0


@dataclass(slots=True)
class _Found:
    """What a list shows of results and the index does not know. groups: by what belongs together."""

    groups: dict[str, list[tuple[ResultName, RemoteFile]]] = field(default_factory=lambda: defaultdict(list))
    summaries: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    others: list[RemoteFile] = field(default_factory=list)

    def parts_beside(self, group: str) -> int:
        """Return how many objects are new of a result that the index knows."""
        folder = f"{group.rpartition('/')[0]}/"
        return len(self.groups.get(group, ())) + self.summaries.get(folder, 0)


def adopt_all(
    account: ProviderAccount, driver: Driver, strangers: Iterable[RemoteFile], *, ends: float
) -> int:
    """Take in what was made elsewhere, batch results as such, and return how many files came.

    ends: in `time.monotonic()`; what is left then is for the next time.
    """
    found = _Found(others=list(strangers)) if driver.results is None else _sorted(driver.results, strangers)
    in_time = takewhile(lambda _: time.monotonic() < ends, found.others)
    adopted = sum(adopt(account, driver, remote) is not None for remote in in_time)
    if account.organization is not None:
        adopted += _adopt_results(account, driver, found, account.organization, is_exclusive=True)
    return adopted


def adopt_in_results_folders(account: ProviderAccount, driver: Driver) -> int:
    """Take in the results that lie where `batch.output_uri` told jobs to write, and return how many came.

    For accounts of which nothing else is taken in, since others have access too. Raises ProviderError.
    """
    if driver.results is None or not account.is_enabled:
        return 0
    adopted = 0
    for organization in _with_batch_files(account):
        found = _sorted(driver.results, _strangers(account, driver.results, organization))
        adopted += _adopt_results(account, driver, found, organization, is_exclusive=False)
    return adopted


class KnownResults:
    """Tells what belongs to results that the index knows, as it was at the first question."""

    def __init__(self, account: ProviderAccount, driver: Driver) -> None:
        self._account = account
        self._results = driver.results

    def explain(self, remote_id: str) -> bool:
        """Whether an object without a row belongs to one of them."""
        name = self._results.name_of(remote_id) if self._results is not None else None
        # No file is ever made of a summary.
        return name is not None and (name.is_summary or name.group in self._groups)

    @cached_property
    def _groups(self) -> Mapping[str, File]:
        return held_results(self._account, self._results) if self._results is not None else {}


def _sorted(results: JobResults, strangers: Iterable[RemoteFile]) -> _Found:
    found = _Found()
    for remote in strangers:
        name = results.name_of(remote.remote_id)
        if name is None:
            found.others.append(remote)
        elif name.is_summary:
            found.summaries[name.group] += 1
        else:
            found.groups[name.group].append((name, remote))
    return found


def _adopt_results(
    account: ProviderAccount, driver: Driver, found: _Found, organization: Organization, *, is_exclusive: bool
) -> int:
    if driver.results is None or not (found.groups or found.summaries):
        return 0
    held = held_results(account, driver.results, organization)
    for group, known in held.items():
        parts = (known.batch or {}).get("parts", 0)
        if known.status != UNFINISHED and 1 + found.parts_beside(group) > parts:
            File.objects.translate_anew(known)
    adopted = 0
    for group, members in found.groups.items():
        if group not in held:
            name, remote = min(members, key=lambda member: member[0].order)
            source = source_of(organization, name)
            if is_exclusive or (source is not None and source.account_id == account.pk):
                file = _adopt(account, driver, remote, source, organization, is_exclusive=is_exclusive)
                adopted += file is not None
    return adopted


def held_results(
    account: ProviderAccount, results: JobResults, organization: Organization | None = None
) -> Mapping[str, File]:
    """Return the results at the account that have rows, whatever became of them, by what belongs together."""
    copies = FileCopy.objects.at(account).exclude(file__result_part="").select_related("file")
    if organization is not None:
        copies = copies.filter(file__organization=organization)
    held: dict[str, File] = {}
    for copy in copies.order_by("-pk").iterator(chunk_size=1000):
        if (name := results.name_of(copy.remote_id)) is not None:
            held[name.group] = copy.file
    return held


def source_of(organization: Organization, name: ResultName) -> File | None:
    """Return the organization's file that the job read, whatever became of it; None where nothing says."""
    if name.input_id is None:
        return None
    return organization.files.filter(file_id=name.input_id).order_by("-pk").first()


def _adopt(
    account: ProviderAccount,
    driver: Driver,
    remote: RemoteFile,
    source: File | None,
    organization: Organization,
    *,
    is_exclusive: bool,
) -> File | None:
    file_id = adopted_id(account, driver, remote) if is_exclusive else derived_id(account, remote.remote_id)
    if file_id is None:
        return None
    try:
        with transaction.atomic():
            if is_exclusive and turned_out_shared(account):
                return None
            if FileCopy.objects.at(account, [remote.remote_id]).exists():
                return None
            file = File.objects.index(
                described(remote, source),
                file_id=file_id,
                organization_id=organization.pk,
                account=account,
                is_adopted=True,
                result_part=ResultPart.OUTPUT,
            )
            audit.record_file(system_caller(organization.pk), AuditAction.FILE_ADOPT, file)
            events.file_created(file)
            translation.send_after_commit(file)
            return file
    except IntegrityError:
        return None


def described(remote: RemoteFile, source: File | None) -> RemoteFile:
    """Return what the index says of a result before it is translated. source: the file that the job read."""
    stem = (source.filename if source else "") or remote.remote_id.rpartition("/")[2]
    return RemoteFile(
        remote_id=remote.remote_id,
        bytes=0,
        created_at=remote.created_at,
        filename=translation.filename(stem, ResultPart.OUTPUT),
        purpose="batch_output",
        status=UNFINISHED,
        content_type="application/jsonl",
        uri=remote.uri,
        batch={"input_file_id": source.file_id if source else None, "part": ResultPart.OUTPUT.value},
    )


def _with_batch_files(account: ProviderAccount) -> Iterator[Organization]:
    """Yield the organizations whose jobs may have written results lately."""
    files = File.objects.filter(
        account=account,
        purpose="batch",
        state=FileState.AVAILABLE,
        batch__isnull=False,
        indexed_at__gte=timezone.now() - _JOBS_END_WITHIN,
    )
    yield from Organization.objects.filter(pk__in=files.values("organization")).order_by("pk")


def _strangers(
    account: ProviderAccount, results: JobResults, organization: Organization
) -> Iterator[RemoteFile]:
    """Yield what the index does not know of an organization's results folder."""
    deadline = time.monotonic() + _MAX_SHARED_SECONDS
    cursor: str | None = None
    for _ in range(_MAX_SHARED_PAGES):
        page = results.list_page(namespace=organization.namespace, cursor=cursor)
        ids = [remote.remote_id for remote in page.files]
        known = set(FileCopy.objects.at(account, ids).values_list("remote_id", flat=True))
        for remote in page.files:
            if remote.remote_id not in known and remote.translation_of is None:
                yield remote
        cursor = page.next_cursor
        if cursor is None or time.monotonic() > deadline:
            return
