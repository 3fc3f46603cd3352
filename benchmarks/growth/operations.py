"""What is measured on a filled database: requests, background work, and pages of the admin."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import cast

from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from files_app.models import File, Organization
from files_app.services.deletes import expiry
from files_app.services.index.callers import system_caller
from files_app.services.index.metering.storage import settle_usage
from files_app.services.index.usage import recount
from files_app.services.operations import cleanup, doctor
from files_app.services.operations.upkeep import UPKEEP
from files_app.services.tenants.keys import create_key
from files_app.services.uploads.failure import give_up_stuck

_EXPORTED_ROWS = 1_000

Query = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one operation: the median of the rounds, and the longest."""

    what: str
    median: float
    longest: float


class Operations:
    """The requests of the organization that has half of all files, and of staff who see everything."""

    def __init__(self, *, rounds: int) -> None:
        self._rounds = rounds
        self._owner = Organization.objects.get(name="growth-1")
        _, key = create_key(
            organization=self._owner, name=f"bench-{time.time_ns()}", caller=system_caller(self._owner.pk)
        )
        self._api = Client(headers={"authorization": f"Bearer {key}"})
        self._admin = Client()
        user = get_user_model().objects.filter(is_superuser=True).first()
        self._admin.force_login(user or get_user_model().objects.create_superuser("growth", password=None))
        self._uploads = itertools.count()

    def measure(self) -> Iterator[Timing]:
        """Yield the timing of each operation, in the order of the table."""
        for what, act in {**self._requests(), **self._background(), **self._pages()}.items():
            try:
                yield self._timed(what, act)
            except Exception as exc:  # the other figures are worth having
                raise RuntimeError(what) from exc

    def _timed(self, what: str, act: Callable[[], object]) -> Timing:
        took = []
        for _ in range(self._rounds + 1):
            cache.clear()
            began = time.perf_counter()
            act()
            took.append((time.perf_counter() - began) * 1000)
        return Timing(what, statistics.median(took[1:]), max(took[1:]))

    # -- requests --------------------------------------------------------------------------------------

    def _requests(self) -> dict[str, Callable[[], object]]:
        mine = File.objects.for_organization(self._owner).live()
        some = mine.filter(metadata__has_key="run").order_by("indexed_at")[2]
        middle = int((some.created_at + (timezone.now() - some.created_at) / 2).timestamp())
        oldest = int(some.created_at.timestamp()) + 3600
        lists: dict[str, Query] = {
            "list of 20": {},
            "page behind the middle": {"after": self._file_at(middle)},
            "purpose": {"purpose": "batch"},
            "purpose without a match": {"purpose": "vision"},
            "filename": {"filename": some.filename},
            "filename without a match": {"filename": "nobody.txt"},
            "filename of one in 100": {"filename": "data.jsonl"},
            "status of one in 10,000": {"status": "error"},
            "status without a match": {"status": "uploaded"},
            "created_before the middle": {"created_before": middle},
            "created_before the oldest hour": {"created_before": oldest},
            "created_after the middle, oldest first": {"created_after": middle, "order": "asc"},
            "metadata of one file": {"metadata[run]": some.metadata["run"]},
            "metadata without a match": {"metadata[run]": "none"},
            "metadata of one in 40": {"metadata[team]": some.metadata["team"]},
            "metadata of every second file": {"metadata[env]": "prod"},
        }
        calls: dict[str, Callable[[], object]] = {
            "retrieve": lambda: self._get(f"/v1/files/{some.file_id}"),
            "usage": lambda: self._get("/v1/usage"),
        }
        for what, query in lists.items():
            calls[f"list: {what}"] = partial(self._get, "/v1/files", {"limit": 20, **query})
        return {**calls, "upload of 1 KB, begun and settled": self._upload, "delete": self._delete}

    def _file_at(self, moment: int) -> str:
        when = datetime.fromtimestamp(moment, UTC)
        return (
            File.objects.for_organization(self._owner)
            .live()
            .filter(indexed_at__lt=when)
            .newest_first()[0]
            .file_id
        )

    def _get(self, path: str, query: Query | None = None) -> bytes:
        answer = self._api.get(path, query)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.content[:200]!r}")
        return answer.content

    def _upload(self) -> str:
        number = next(self._uploads)
        content = SimpleUploadedFile(f"growth-{number}.txt", f"{time.time_ns()}".encode().ljust(1024))
        answer = self._api.post("/v1/files", {"purpose": "user_data", "file": content})
        if answer.status_code != 200:
            raise RuntimeError(f"upload: {answer.status_code} {answer.content[:200]!r}")
        self._uploaded = str(answer.json()["id"])
        return self._uploaded

    def _delete(self) -> None:
        newest = File.objects.for_organization(self._owner).live().newest_first()[0]
        answer = self._api.delete(f"/v1/files/{newest.file_id}")
        if answer.status_code != 200:
            raise RuntimeError(f"delete: {answer.status_code} {answer.content[:200]!r}")

    # -- background work -------------------------------------------------------------------------------

    def _background(self) -> dict[str, Callable[[], object]]:
        small = Organization.objects.filter(name="growth-2").first() or self._owner
        return {
            "sweep of dead uploads": lambda: give_up_stuck(200),
            "expiry, nothing due": expiry.expire_files,
            "recount of an average organization": lambda: recount(small),
            "recount of the largest": lambda: recount(self._owner),
            "recount in its turn, of all": UPKEEP["recount_usage"],
            "GB-hours, as every ten minutes": settle_usage,
            "pruning of records, nothing due": cleanup.prune_records,
            "gauges of /metrics": _read_gauges,
            "webhooks of lasting conditions": UPKEEP["tell_conditions"],
            "what doctor looks at in a moment": lambda: list(doctor.glance()),
        }

    # -- the admin -------------------------------------------------------------------------------------

    def _pages(self) -> dict[str, Callable[[], object]]:
        name = File.objects.for_organization(self._owner).live().newest_first()[5].filename
        account = self._owner.provider_accounts.get()
        files: dict[str, Query] = {
            "newest": {},
            "every state": {"state": "all"},
            "sorted by size, largest first": {"o": "5"},
            "sorted by size": {"o": "-5"},
            "sorted by expiry": {"o": "8", "expiry": "some"},
            "of a key": {"by": "key-1"},
            "of a person who is not there": {"by": "person-nobody"},
            "of a day": {"since": "2026-06-01", "until": "2026-06-01"},
            "search by request": {"q": "req_none"},
            "largest organization": {"organization": self._owner.pk},
            "an average organization": {"organization": self._owner.pk + 1},
            "state failed": {"state": "failed"},
            "purpose without a match": {"purpose": "vision"},
            "found at the provider": {"origin": "adopted"},
            "expires within a day": {"expiry": "day"},
            "search by part of a name": {"q": name[9:23]},
            "search by a name that is not there": {"q": "nobody-has-this"},
            "search by metadata": {"q": "run=none"},
            "search by id": {"q": "file-none"},
        }
        pages: dict[str, tuple[str, Query]] = {
            f"admin, files: {what}": ("files_app/file/", query) for what, query in files.items()
        }
        pages |= {
            "admin, folders of a bucket": (f"files_app/provideraccount/{account.pk}/folders/", {}),
            "admin, facets": ("files_app/file/facets/", {}),
            "admin, facets of a state": ("files_app/file/facets/", {"state": "failed"}),
            "admin, overview": ("", {}),
            "admin, system": ("system/", {}),
            "admin, deletions": ("files_app/filecopy/", {}),
            "admin, audit": ("files_app/auditevent/", {}),
            "admin, audit: search by actor": ("files_app/auditevent/", {"q": "nobody"}),
            "admin, audit: search by request": ("files_app/auditevent/", {"q": "req_none"}),
            "admin, audit: not ok": ("files_app/auditevent/", {"result": "failed"}),
            "admin, audit: by users": ("files_app/auditevent/", {"actor_type": "user"}),
            "admin, organizations": ("files_app/organization/", {}),
            "admin, largest organization": (f"files_app/organization/{self._owner.pk}/change/", {}),
            "admin, accounts": ("files_app/provideraccount/", {}),
            "admin, account": (f"files_app/provideraccount/{account.pk}/change/", {}),
            "admin, usage": ("usage/", {}),
            "admin, usage of the largest organization": ("usage/", {"organization": self._owner.pk}),
            "admin, usage by key": ("usage/", {"by": "key"}),
            "admin, trash": ("files_app/trashedfile/", {}),
            "admin, keys": ("files_app/apikey/", {}),
            "admin, key": (f"files_app/apikey/{self._owner.api_keys.first().pk}/change/", {}),
            "admin, jobs": ("files_app/filejob/", {}),
            "admin, holds": ("files_app/legalhold/", {}),
            "admin, log of webhooks": ("files_app/webhookdelivery/", {}),
        }
        calls: dict[str, Callable[[], object]] = {
            what: partial(self._page, path, query) for what, (path, query) in pages.items()
        }
        first = f"admin, first {_EXPORTED_ROWS:,} rows of an export"
        average = {"organization": self._owner.pk + 1}
        calls[f"{first}: files of an average organization"] = partial(self._export, "file", average)
        calls[f"{first}: audit events"] = partial(self._export, "auditevent", {})
        calls["admin, an export of all files, until it is offered as a job"] = self._offered_as_job
        return calls

    def _page(self, path: str, query: Query) -> bytes:
        answer = self._admin.get(f"/admin/{path}", query)
        if answer.status_code != 200:
            raise RuntimeError(f"/admin/{path}: {answer.status_code}")
        return answer.content

    def _export(self, kind: str, query: Query) -> None:
        path = f"files_app/{kind}/export/"
        answer = self._admin.get(f"/admin/{path}", {"format": "jsonl", **query})
        lines = cast(Iterator[bytes], answer.streaming_content)  # type: ignore[attr-defined]  # it streams
        rows = len(list(islice(lines, _EXPORTED_ROWS)))
        answer.close()
        if not rows:
            raise RuntimeError(f"/admin/{path}: nothing came")

    def _offered_as_job(self) -> None:
        answer = self._admin.get("/admin/files_app/file/export/", {"format": "jsonl"})
        if answer.status_code not in (200, 302):  # few files are sent at once
            raise RuntimeError(f"export of all files: {answer.status_code}")
        answer.close()


def _read_gauges() -> None:
    from files_app.observability.gauges import GAUGE_SOURCES  # Django is set up by now

    for source in GAUGE_SOURCES:
        list(source(False))
