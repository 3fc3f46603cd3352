"""Clients work through nginx while things happen to the cluster; what fails and what is left is counted."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import openai

from tests.cluster.parts import Cluster
from tests.faults.gateway import digest
from tests.processes import Process, descendants, wait_until
from tests.soak.breaks import send
from tests.soak.world import kill_tree
from tests.stack import PROJECT, Part, Stack

CLIENTS = 4
PATIENCE_SECONDS = 120.0
#: What a cluster of a trial has otherwise than one in use, so that a dead node is known soon.
ENVIRONMENT = {"LEASE_SECONDS": "4", "CLEANUP_PROTECTION_SECONDS": "1", "PROVIDER_READ_TIMEOUT_SECONDS": "20"}
_SIZES = (100, 20_000, 1_000_000, 9_000_000)
_CALM_SECONDS = 2.0  # before and behind each event
_FROZEN_SECONDS = 4.0


@dataclass
class Event:
    """Something that happens; most_failures: how many requests may fail by it, None for any number."""

    name: str
    happen: Callable[[Cluster], None]
    most_failures: int | None = 0


@dataclass
class Counts:
    """What clients met while one event happened: answers by flow, and failures by flow and class."""

    name: str
    most_failures: int | None
    done: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def is_kept(self) -> bool:
        return self.most_failures is None or self.failures.total() <= self.most_failures

    def line(self) -> str:
        done = ", ".join(f"{count} {flow}" for flow, count in sorted(self.done.items()))
        failed = ", ".join(f"{count} {kind}" for kind, count in sorted(self.failures.items())) or "none"
        return f"{self.name:<36} {done}; failed: {failed}"


class Clients:
    """OpenAI's SDK as its users have it, in threads: upload, retrieve, list, read, delete."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._seed = seed
        self._serial = itertools.count(1)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.counts = Counts("calm", 0)
        self.kept: dict[str, tuple[str, str]] = {}  # id -> account and digest
        self.accepted = 0
        self.broken: list[str] = []  # promises, in words

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._run, args=(self._seed + n,)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def _run(self, seed: int) -> None:
        rng = random.Random(seed)
        url = f"{self._cluster.url}/v1"
        with openai.OpenAI(base_url=url, api_key=self._cluster.api_key, timeout=60) as client:
            while not self._stopping.is_set():
                flow = rng.choices(
                    [self._upload, self._read, self._retrieve, self._list, self._delete],
                    weights=[40, 20, 15, 5, 20],
                )[0]
                counts, name = self.counts, flow.__name__.strip("_")
                try:
                    flow(client, rng)
                except openai.APIError as error:
                    status = getattr(error, "status_code", "")
                    with self._lock:
                        counts.failures[f"{name} {type(error).__name__} {status}".strip()] += 1
                else:
                    with self._lock:
                        counts.done[name] += 1

    def _pick(self, rng: random.Random) -> tuple[str, str] | None:
        """Return an id and a digest."""
        with self._lock:
            picked = rng.choice(list(self.kept.items())) if self.kept else None
        return (picked[0], picked[1][1]) if picked else None

    def _upload(self, client: openai.OpenAI, rng: random.Random) -> None:
        content = rng.randbytes(rng.choice(_SIZES))
        account = rng.choice(self._cluster.holdings).name
        file = (f"cluster-{next(self._serial)}.txt", content)
        created = client.files.create(
            file=file, purpose="evals", extra_headers={"x-tfy-provider-name": account}
        )
        with self._lock:
            self.accepted += 1
            self.kept[created.id] = (account, digest(content))

    def _read(self, client: openai.OpenAI, rng: random.Random) -> None:
        if picked := self._pick(rng):
            try:
                content = client.files.content(picked[0]).content
            except openai.NotFoundError:
                self._is_gone(picked[0])
            else:
                if digest(content) != picked[1]:
                    self.broken.append(f"other bytes of {picked[0]}")

    def _retrieve(self, client: openai.OpenAI, rng: random.Random) -> None:
        if picked := self._pick(rng):
            try:
                client.files.retrieve(picked[0])
            except openai.NotFoundError:
                self._is_gone(picked[0])

    def _is_gone(self, file_id: str) -> None:
        with self._lock:
            if file_id in self.kept:
                self.broken.append(f"{file_id} is lost")

    def _list(self, client: openai.OpenAI, rng: random.Random) -> None:
        with self._lock:
            before = set(self.kept)
        shown = {file.id for file in client.files.list(limit=1000)}
        with self._lock:
            if missing := before & set(self.kept) - shown:
                self.broken.append(f"a list lacks {sorted(missing)[:3]}")

    def _delete(self, client: openai.OpenAI, rng: random.Random) -> None:
        picked = self._pick(rng)
        with self._lock:
            if picked is None or self.kept.pop(picked[0], None) is None:
                return
        with contextlib.suppress(openai.NotFoundError):  # the SDK asked again: its first answer was lost
            client.files.delete(picked[0])


def run(
    cluster: Cluster,
    events: Sequence[Event],
    *,
    seed: int = 1,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[list[Counts], list[str], int]:
    """Let the events happen.

    Return what was met in each, which promises were broken, and how many files were accepted.
    """
    clients = Clients(cluster, seed)
    met: list[Counts] = []
    with clients.working():
        for event in [Event("calm", lambda cluster: None), *events]:
            clients.counts = Counts(event.name, event.most_failures)
            met.append(clients.counts)
            time.sleep(_CALM_SECONDS)
            event.happen(cluster)
            time.sleep(_CALM_SECONDS)
            tell(clients.counts.line())
    broken = [*clients.broken, *(f"too many failures: {c.line()}" for c in met if not c.is_kept)]
    return met, broken + _left(cluster, clients), clients.accepted


def _left(cluster: Cluster, clients: Clients) -> list[str]:
    """Wait for the cluster to heal, then compare what is there with what clients were told."""
    broken: list[str] = []
    with openai.OpenAI(base_url=f"{cluster.url}/v1", api_key=cluster.api_key) as client:
        shown = {file.id for file in client.files.list(limit=1000)}
        broken += [f"{file_id} is lost" for file_id in clients.kept.keys() - shown]
        for file_id in clients.kept.keys() & shown:
            if digest(client.files.content(file_id).content) != clients.kept[file_id][1]:
                broken.append(f"other bytes of {file_id}")
    try:
        wait_until(lambda: _heals(cluster), seconds=PATIENCE_SECONDS, what="providers to hold what is listed")
    except TimeoutError as error:
        broken.append(str(error))
    broken += [f"drift: {drift}" for drift in cluster.shell("recount")]
    return broken


def _heals(cluster: Cluster) -> bool:
    """Whether each provider holds the available files and nothing else; what waits is hurried."""
    rows = cluster.shell("copies", organization=1)
    available = {row["remote_id"] for row in rows if row["state"] == "available"}
    held = set().union(*(holding.remote_ids() for holding in cluster.holdings))
    strays = sum(holding.strays() for holding in cluster.holdings)
    if held == available and not strays and not any(row["state"] == "uploading" for row in rows):
        return True
    cluster.shell("let_time_pass")
    for name in ("sweep_uploads", "sweep_stores"):
        cluster.shell("begin_upkeep", name=name)
    time.sleep(1)
    return False


# -- what happens -----------------------------------------------------------------------------------------


def killed(part: Part, node: int) -> Callable[[Cluster], None]:
    def happen(cluster: Cluster) -> None:
        cluster.nodes[node].kill(part)
        time.sleep(1)
        cluster.nodes[node].start(part)
        cluster.nodes[node].wait_ready()

    return happen


def frozen(part: Part, node: int) -> Callable[[Cluster], None]:
    def happen(cluster: Cluster) -> None:
        stopped = descendants(cluster.nodes[node].processes[part].pid)
        send(stopped, signal.SIGSTOP)
        time.sleep(_FROZEN_SECONDS)
        send(stopped, signal.SIGCONT)

    return happen


def rolled(cluster: Cluster) -> None:
    """Restart every process, one node after the other, as an upgrade does."""
    for node in cluster.nodes:
        for part in node.processes:
            node.terminate(part)
            node.start(part)
        node.wait_ready()


def one_beat_too_many(cluster: Cluster) -> None:
    """A third worker, whose thread is a beat, and a unit that still starts a beat."""
    third = Stack(cluster.directory / "third", environment={})
    third.environment.update(cluster.nodes[0].environment, DATA_DIR=str(third.data_dir))
    command = [sys.executable, str(PROJECT / "manage.py"), "run", "beat"]
    beat = Process(command, log=third.directory / "beat.log", environment=third.environment)
    try:
        third.start("worker")
        beat.start()
        time.sleep(_FROZEN_SECONDS)
        if beat.exit_code is not None:
            raise RuntimeError(beat.output())
    finally:
        beat.kill()
        third.terminate("worker")


def database_killed(cluster: Cluster) -> None:
    kill_tree(cluster.database.process)
    time.sleep(1)
    cluster.database.start()
    cluster.reopen_shell()


def broker_killed(cluster: Cluster) -> None:
    kill_tree(cluster.broker.process)
    time.sleep(1)
    cluster.broker.start()


SHORT = (
    Event("a web server is killed", killed("web", 0), CLIENTS),
    Event("a worker is killed", killed("worker", 0)),
    Event("one beat too many", one_beat_too_many),
    Event("all nodes are restarted in turn", rolled),
)
LONG = (
    *SHORT,
    Event("a web server stands still", frozen("web", 1)),
    Event("a worker stands still", frozen("worker", 1)),
    Event("the broker is killed", broker_killed),
    Event("the database is killed", database_killed, None),
    Event("calm again", lambda cluster: None),
)
