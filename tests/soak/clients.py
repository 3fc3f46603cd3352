"""Clients of one organization, and a ledger of what they were told."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import requests

from tests.faults.gateway import Tenant, digest

#: From one byte to several parts of a multipart upload.
SIZES = (1, 100, 5_000, 5_000, 300_000, 3_000_000, 12_000_000)
_PATIENCE_SECONDS = 40.0
_PAUSE_SECONDS = 0.2  # behind a refusal


@dataclass(frozen=True)
class Sent:
    """A file as its client sent it."""

    filename: str
    account: str
    size: int
    sha256: str


@dataclass
class Ledger:
    """What the clients of an organization were told.

    kept: files that were accepted, by id; deleted: ids of files whose delete was confirmed.
    unheard: uploads whose answer never came, by file name; doubted: files whose delete was not answered.
    """

    kept: dict[str, Sent] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    unheard: dict[str, Sent] = field(default_factory=dict)
    doubted: dict[str, Sent] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)  # what this round accepted or deleted
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)  # kind and words, as in `checks`
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def accepted(self) -> int:
        return self.answers["upload 200"]

    def pick(self, rng: random.Random) -> tuple[str, Sent] | None:
        with self.lock:
            return rng.choice(list(self.kept.items())) if self.kept else None

    def blame(self, kind: str, words: str) -> None:
        with self.lock:
            self.faults.append((kind, words))


class Client(threading.Thread):
    """Uploads, reads, lists and deletes, one after the other, until it is stopped."""

    _serial = itertools.count(1)

    def __init__(
        self, tenant: Tenant, accounts: list[str], ledger: Ledger, seed: int, stopping: threading.Event
    ) -> None:
        super().__init__(daemon=True)
        self._tenant = tenant
        self._accounts = accounts
        self._ledger = ledger
        self._rng = random.Random(seed)
        self._stopping = stopping

    def run(self) -> None:
        verbs = [self._upload, self._content, self._retrieve, self._list, self._delete]
        while not self._stopping.is_set():
            verb = self._rng.choices(verbs, weights=[45, 20, 12, 8, 15])[0]
            try:
                verb()
            except Exception as error:  # a client that breaks would let the soak pass for want of work
                self._ledger.blame("wrong", f"{verb.__name__}: {error!r}")
                raise

    def _ask(self, verb: str, call: Callable[[], requests.Response]) -> requests.Response | None:
        """Return the answer, or None where none came. Behind a refusal it pauses."""
        try:
            answer = call()
        except requests.RequestException:
            answer = None
        said = "none" if answer is None else str(answer.status_code)
        with self._ledger.lock:
            self._ledger.answers[f"{verb} {said}"] += 1
        if answer is None or answer.status_code >= 429:
            self._stopping.wait(_PAUSE_SECONDS)
        return answer

    def _get(self, path: str) -> Callable[[], requests.Response]:
        return lambda: self._tenant.request("GET", path, timeout=_PATIENCE_SECONDS)

    def _upload(self) -> None:
        content = self._rng.randbytes(self._rng.choice(SIZES))
        account = self._rng.choice(self._accounts)
        sent = Sent(f"soak-{next(self._serial)}.txt", account, len(content), digest(content))
        ledger = self._ledger
        with ledger.lock:
            ledger.unheard[sent.filename] = sent
        answer = self._ask("upload", lambda: self._tenant.upload(content, sent.filename, account=account))
        if answer is None:
            return
        with ledger.lock:
            del ledger.unheard[sent.filename]
            if answer.status_code == 200:
                file_id = answer.json()["id"]
                if file_id in ledger.kept or answer.json()["bytes"] != sent.size:
                    ledger.faults.append(("wrong", f"upload of {sent} was answered with {answer.text}"))
                ledger.kept[file_id] = sent
                ledger.fresh.add(file_id)

    def _content(self) -> None:
        if picked := self._ledger.pick(self._rng):
            file_id, sent = picked
            answer = self._ask("content", self._get(f"/v1/files/{file_id}/content"))
            self._is_there(file_id, answer)
            if answer is not None and answer.status_code == 200 and digest(answer.content) != sent.sha256:
                self._ledger.blame("wrong", f"content of {file_id} at {sent.account}")

    def _retrieve(self) -> None:
        if picked := self._ledger.pick(self._rng):
            file_id, sent = picked
            answer = self._ask("retrieve", self._get(f"/v1/files/{file_id}"))
            self._is_there(file_id, answer)
            if answer is not None and answer.status_code == 200 and answer.json()["bytes"] != sent.size:
                self._ledger.blame("wrong", f"size of {file_id} at {sent.account}: {answer.text}")

    def _is_there(self, file_id: str, answer: requests.Response | None) -> None:
        """A file that nobody deletes is never 404, not even for a moment."""
        if answer is not None and answer.status_code in {404, 410}:
            with self._ledger.lock:
                if file_id in self._ledger.kept:
                    self._ledger.faults.append(("lost", f"{file_id}: {answer.text[:300]}"))

    def _list(self) -> None:
        with self._ledger.lock:
            before, deleted = set(self._ledger.kept), set(self._ledger.deleted)
        answer = self._ask("list", self._get("/v1/files?limit=10000"))
        if answer is None or answer.status_code != 200:
            return
        shown = {file["id"] for file in answer.json()["data"]}
        with self._ledger.lock:
            missing = before & set(self._ledger.kept) - shown
            if missing:
                self._ledger.faults.append(("lost", f"a list lacks {sorted(missing)[:3]}"))
            if shown & deleted:
                self._ledger.faults.append(("wrong", f"a list shows deleted {sorted(shown & deleted)[:3]}"))

    def _delete(self) -> None:
        picked = self._ledger.pick(self._rng)
        if picked is None:
            return
        file_id, sent = picked
        ledger = self._ledger
        with ledger.lock:
            if ledger.kept.pop(file_id, None) is None:
                return  # another client was faster
            ledger.doubted[file_id] = sent
        answer = self._ask("delete", lambda: self._tenant.delete(file_id))
        with ledger.lock:
            if answer is not None and answer.status_code == 200:
                del ledger.doubted[file_id]
                ledger.deleted.add(file_id)
                ledger.fresh.add(file_id)
            elif answer is not None and answer.status_code == 404:
                ledger.faults.append(("lost", f"delete of {file_id}: {answer.text[:300]}"))
