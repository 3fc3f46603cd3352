"""What breaks in a round: each function breaks something, waits a while, and mends it again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable

from tests.fake_provider import Behaviour, behaviours
from tests.processes import Process, descendants, wait_until
from tests.servers import Server
from tests.soak.world import PATIENCE_SECONDS, World, kill_tree

Break = Callable[[World, random.Random], int]


def kill_web(world: World, rng: random.Random) -> int:
    world.stack.kill("web")
    world.stack.start("web")
    return 1


def kill_worker(world: World, rng: random.Random) -> int:
    world.stack.kill("worker")
    world.stack.start("worker")
    return 1


def kill_both(world: World, rng: random.Random) -> int:
    world.stack.kill("worker")
    world.stack.kill("web")
    _rest(rng)
    world.stack.start("web")
    world.stack.start("worker")
    return 2


def kill_child(world: World, rng: random.Random) -> int:
    """One process of the web server alone; its parent brings another."""
    below = descendants(world.stack.processes["web"].pid)[1:]
    if not below:
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(rng.choice(below), signal.SIGKILL)
    return 1


def stop_web(world: World, rng: random.Random) -> int:
    world.stack.terminate("web")
    world.stack.start("web")
    return 0


def freeze_web(world: World, rng: random.Random) -> int:
    return _frozen(world.stack.processes["web"], rng)


def freeze_worker(world: World, rng: random.Random) -> int:
    return _frozen(world.stack.processes["worker"], rng)


def kill_database(world: World, rng: random.Random) -> int:
    return _killed(world.database, rng)


def freeze_database(world: World, rng: random.Random) -> int:
    return _frozen(world.database.process, rng) if world.database else 0


def kill_broker(world: World, rng: random.Random) -> int:
    return _killed(world.broker, rng)


def kill_s3(world: World, rng: random.Random) -> int:
    return _killed(world.s3, rng)


def kill_gcs(world: World, rng: random.Random) -> int:
    return _killed(world.gcs, rng)


def cut_stores(world: World, rng: random.Random) -> int:
    """Connections to object stores break again and again."""
    for _ in range(rng.randint(1, 4)):
        rng.choice(world.proxies).cut_all()
        _rest(rng, 0.3)
    return 0


def silence_store(world: World, rng: random.Random) -> int:
    """One store takes everything and answers nothing, for some seconds."""
    proxy = rng.choice(world.proxies)
    proxy.swallow()
    _rest(rng, 4)
    proxy.heal()
    proxy.cut_all()
    return 0


def bad_provider(world: World, rng: random.Random) -> int:
    """One API loses files and answers, and fails."""
    fake = rng.choice(world.fakes)
    pick: list[Behaviour] = [
        behaviours.store_then_drop(),
        behaviours.drop(after_body_bytes=rng.randint(0, 4_000)),
        behaviours.fail(503),
        behaviours.fail(500, stored=True),
        behaviours.garbage(stored=True),
        behaviours.without_id(),
    ]
    for behaviour in rng.choices(pick, k=3):
        fake.script({"method": "POST", "path": "/files$"}, behaviour)
    for behaviour in (behaviours.fail(500), behaviours.store_then_drop()):
        fake.script({"method": "DELETE", "path": "/files/"}, behaviour)
    _rest(rng, 2)
    return 0


def kill_behind_the_last_byte(world: World, rng: random.Random) -> int:
    """A provider has the file and has not answered yet when the web server is killed."""
    fake = rng.choice(world.fakes)
    fake.script({"method": "POST", "path": "/files$"}, behaviours.hang(stored=True))
    try:
        fake.wait_until_paused(timeout_seconds=15)
        return kill_web(world, rng)
    except TimeoutError:
        return 0
    finally:
        fake.release()


#: How often each comes up beside the others.
WEIGHTS: dict[Break, int] = {
    kill_web: 6,
    kill_worker: 4,
    kill_both: 4,
    kill_child: 3,
    kill_behind_the_last_byte: 4,
    stop_web: 1,
    freeze_web: 2,
    freeze_worker: 2,
    kill_gcs: 2,
    kill_s3: 1,
    cut_stores: 2,
    silence_store: 2,
    bad_provider: 3,
}
#: What SQLite and its folder of messages do not have.
SERVERS: dict[Break, int] = {kill_database: 4, freeze_database: 2, kill_broker: 2}


def choose(world: World, rng: random.Random) -> Break:
    """Return what breaks next."""
    weights = WEIGHTS | (SERVERS if world.kind == "postgresql" else {})
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def _rest(rng: random.Random, most_seconds: float = 1.5) -> None:
    """Let what is broken be broken for a while: how long is drawn, so that no moment is left out."""
    threading.Event().wait(rng.uniform(0, most_seconds))


def _killed(server: Server | None, rng: random.Random) -> int:
    if server is None:
        return 0
    kill_tree(server.process)
    _rest(rng)
    wait_until(lambda: _starts(server), seconds=PATIENCE_SECONDS, what=f"{type(server).__name__} to start")
    return 1


def _starts(server: Server) -> bool:
    try:
        server.start()
    except (RuntimeError, TimeoutError):  # its ports are not free yet
        return False
    return True


def _frozen(process: Process, rng: random.Random) -> int:
    """Stop all of it for up to twice a lease."""
    stopped = descendants(process.pid)
    send(stopped, signal.SIGSTOP)
    _rest(rng, 8)
    send(stopped, signal.SIGCONT)
    return 0


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
