"""One round after the other, and the figures."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.processes import wait_until
from tests.soak import breaks, checks
from tests.soak.breaks import Break
from tests.soak.clients import Client
from tests.soak.watch import UPLOAD_BYTES, Watch, web_memory
from tests.soak.world import PATIENCE_SECONDS, World

CLIENTS = 3  # of each tenant
_UNDER_WAY = frozenset({"uploading", "unconfirmed", "deleting"})
_HURRY_SECONDS = 1.0  # between two hours that pass


@dataclass
class Figures:
    """What a soak did and found."""

    rounds: int = 0
    kills: int = 0
    breaks: Counter[str] = field(default_factory=Counter)
    files: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    peak_bytes: int = 0
    heal_seconds: list[float] = field(default_factory=list)
    findings: list[checks.Finding] = field(default_factory=list)

    def count(self, kind: str) -> int:
        return sum(found == kind for found, _ in self.findings)

    def line(self) -> str:
        """Return the figures as one line."""
        heal = self.heal_seconds or [0.0]
        counts = ", ".join(f"{self.count(kind)} {kind}" for kind in checks.KINDS)
        return (
            f"{self.rounds} rounds, {self.kills} kills, {self.files} files, {counts}; "
            f"{self.samples} snapshots of the counters; healed in {statistics.median(heal):.1f} s (median), "
            f"{max(heal):.1f} s (longest); web process at most {self.peak_bytes / 2**20:.0f} MiB"
        )


class Soak:
    """Runs rounds in a world. The seed decides what breaks and what clients send, not how threads race."""

    def __init__(self, world: World, seed: int, *, tell: Callable[[str], None] = lambda line: None) -> None:
        self._world = world
        self._tell = tell
        self._rng = random.Random(seed)
        self.figures = Figures()

    def run(self, rounds: int, seconds: float, first: Sequence[Break] = ()) -> Figures:
        """Run rounds until there are enough, time is over, or a promise is broken; `first` breaks first."""
        ends = time.monotonic() + seconds
        planned = list(first)
        while self.figures.rounds < rounds and time.monotonic() < ends and not self.figures.findings:
            self._round(planned.pop(0) if planned else breaks.choose(self._world, self._rng))
        if not self.figures.findings:
            self.figures.findings += checks.check(self._world, self._rng, sample=None)
            self.figures.findings += checks.check_digests(self._world)
        for party in self._world.parties:
            self.figures.answers += party.ledger.answers
            self.figures.files += party.ledger.accepted
        return self.figures

    def _round(self, broken: Break) -> None:
        figures, world = self.figures, self._world
        idle = web_memory(world)
        with Watch(world) as watch:
            away = self._busy(broken)
        figures.samples += watch.samples
        figures.peak_bytes = max(figures.peak_bytes, watch.peak_bytes)
        figures.findings += watch.found
        if watch.peak_bytes > idle + CLIENTS * len(world.parties) * UPLOAD_BYTES:
            figures.findings.append(("left", f"{watch.peak_bytes} bytes of memory, {idle} when idle"))
        try:
            figures.heal_seconds.append(away + self._heal())
        except TimeoutError as error:
            figures.findings.append(("left", f"{error}: {sorted(self._under_way())}"))
        figures.findings += checks.check(world, self._rng)
        figures.rounds += 1
        figures.breaks[broken.__name__] += 1
        self._tell(f"round {figures.rounds}: {broken.__name__}, healed in {figures.heal_seconds[-1]:.1f} s")

    def _busy(self, broken: Break) -> float:
        """Let clients work, break something under them, and let them go on.

        Return for how many seconds the gateway was away after what was broken had been started again.
        """
        stopping = threading.Event()
        clients = [
            Client(party.tenant, party.accounts, party.ledger, self._rng.getrandbits(32), stopping)
            for party in self._world.parties
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        try:
            stopping.wait(self._rng.uniform(0.5, 2.5))
            self.figures.kills += broken(self._world, self._rng)
            mended = time.monotonic()
            wait_until(self._world.stack.is_ready, seconds=PATIENCE_SECONDS, what="the gateway to be ready")
            away = time.monotonic() - mended
            stopping.wait(self._rng.uniform(0, 2))
        finally:
            stopping.set()
            for client in clients:
                client.join()
        return away

    def _heal(self) -> float:
        """Wait until nothing of the round is left undone, and return after how many seconds nothing was held.

        Leases run out by themselves, and that is what is measured. What the gateway puts off for minutes,
        such as the next attempt of a delete, is done by its worker as if hours had passed.
        """
        world = self._world
        for fake in world.fakes:
            fake.release()
        began = time.monotonic()
        wait_until(
            lambda: not self._under_way() & {"uploading"}, seconds=PATIENCE_SECONDS, what="uploads to end"
        )
        healed = time.monotonic() - began
        wait_until(self._is_done, seconds=PATIENCE_SECONDS, what="what is under way to be done")
        return healed

    def _under_way(self) -> frozenset[str]:
        """Return the states of what is not done yet."""
        found: set[str] = set()
        for party in self._world.parties:
            for states in self._world.order("states", organization=party.tenant.organization).values():
                found |= states.keys() & _UNDER_WAY
        return frozenset(found)

    def _is_done(self) -> bool:
        """Whether nothing is under way.

        The search for an upload without an answer goes on for a day; where its provider holds nothing that
        could be it, that is not waited for.
        """
        parties = self._world.parties
        strays = any(holding.strays() for party in parties for holding in party.holdings)
        is_searched = not any(checks.unexplained(self._world, party) for party in parties)
        if not strays and self._under_way() <= ({"unconfirmed"} if is_searched else set()):
            return True
        self._world.order("let_time_pass")
        for name in ("sweep_uploads", *(["sweep_stores"] if strays else [])):
            self._world.order("begin_upkeep", name=name)
        threading.Event().wait(_HURRY_SECONDS)
        return False
