"""Who is too slow: told from made-up readings, second by second."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from gateway.slow_clients.judgement import Bounds, Fault, Judge, Request, carriers
from gateway.slow_clients.sockets import Reading

BOUNDS = Bounds(least_rate=1024, patience_seconds=60, most_connections=4, threads=2)
NEW = Reading(inode=1, fd=5, address="192.0.2.1", received=0, unread=0, sent=0, untaken=0, still_seconds=0)
ASKED = replace(NEW, received=500)


def first_fault(readings: Iterable[Reading], bounds: Bounds = BOUNDS) -> tuple[int, Fault] | None:
    """Look at one connection once a second; return the second in which it has to end, and why."""
    judge = Judge(bounds)
    busy = [Request(NEW.address, 0, waits_for_client=False)]
    for second, reading in enumerate(readings):
        if fault := judge.judge([reading], busy, 1.0).get(reading.inode):
            return second, fault
    return None


def download(taken_a_second: int, seconds: int = 600, *, every: int = 1) -> Iterable[Reading]:
    """A client that takes its bytes in steps, and always has more to take."""
    for second in range(seconds):
        taken = second // every * every * taken_a_second
        yield replace(ASKED, sent=taken + 200_000, untaken=200_000)


def upload(sent_a_second: int, seconds: int = 600, *, every: int = 1) -> Iterable[Reading]:
    """A client that sends its bytes in steps, all of which are taken at once."""
    for second in range(seconds):
        yield replace(ASKED, received=500 + second // every * every * sent_a_second)


@pytest.mark.parametrize("transfer", [download, upload])
def test_a_client_that_keeps_the_rate_goes_on_in_whatever_steps(transfer) -> None:  # type: ignore[no-untyped-def]
    assert first_fault(transfer(1_030)) is None
    assert first_fault(transfer(2_048, every=50)) is None


def test_a_client_that_takes_or_sends_too_little_ends_when_its_patience_is_used_up() -> None:
    assert first_fault(download(0)) == (60, Fault.SLOW_DOWNLOAD)
    assert first_fault(download(10)) == (61, Fault.SLOW_DOWNLOAD)
    assert first_fault(upload(1)) == (61, Fault.SLOW_UPLOAD)
    assert first_fault(upload(1, every=20)) == (80, Fault.SLOW_UPLOAD)


def test_no_rate_is_asked_for_at_nought() -> None:
    free = replace(BOUNDS, least_rate=0)
    assert first_fault(download(0), free) is None
    assert first_fault(upload(1), free) is None


def test_a_download_that_the_provider_holds_up_goes_on() -> None:
    assert first_fault(replace(ASKED, sent=9_000, still_seconds=second) for second in range(300)) is None


def test_an_upload_that_the_provider_holds_up_goes_on() -> None:
    """Its bytes are here, and nobody takes them."""
    stuck = [replace(ASKED, received=300_000, unread=200_000, still_seconds=second) for second in range(300)]
    drained = replace(ASKED, received=300_001)
    assert first_fault([ASKED, *stuck, drained, drained]) is None


def test_an_upload_that_waits_for_its_verdict_goes_on_and_so_does_its_connection() -> None:
    waiting = [replace(ASKED, still_seconds=second) for second in range(300)]
    answered = [replace(ASKED, sent=300, still_seconds=second) for second in range(50)]
    again = [replace(ASKED, received=1_000, sent=300), replace(ASKED, received=1_100, sent=300)]
    assert first_fault([*waiting, *answered, *again]) is None


def judged(readings: list[Reading], requests: list[Request]) -> dict[int, Fault]:
    judge = Judge(BOUNDS)
    judge.judge([replace(reading, still_seconds=0) for reading in readings], [], 1.0)
    return judge.judge(readings, requests, 1.0)


STILL = replace(ASKED, still_seconds=70)


def test_a_still_connection_ends_unless_its_request_is_at_work() -> None:
    assert judged([STILL], []) == {1: Fault.STILL}
    assert judged([STILL], [Request(STILL.address, 76, waits_for_client=True)]) == {1: Fault.STILL}
    assert judged([STILL], [Request(STILL.address, 70, waits_for_client=False)]) == {}
    assert judged([STILL], [Request("192.0.2.2", 70, waits_for_client=False)]) == {1: Fault.STILL}


def test_of_several_connections_of_an_address_the_one_that_stalls_ends() -> None:
    """A request of each kind: at work, in an upload that stalls, in a download that goes on."""
    works, stalls = replace(STILL, inode=1), replace(STILL, inode=2, still_seconds=95)
    goes_on = replace(ASKED, inode=3, sent=10_000_000)
    requests = [
        Request(STILL.address, 94.9, waits_for_client=True),
        Request(STILL.address, 69.9, waits_for_client=False),
        Request(STILL.address, 0.01, waits_for_client=False),
    ]
    assert judged([works, stalls, goes_on], requests) == {2: Fault.STILL}


def test_a_request_that_waits_for_a_thread_is_not_its_clients_fault() -> None:
    """Each of the two threads holds an upload that stalls; a third client has asked, and a fourth has not."""
    stalled = [replace(STILL, inode=number, still_seconds=90) for number in (1, 2)]
    queued, idle = replace(STILL, inode=3), replace(NEW, inode=4, still_seconds=70)
    requests = [Request(STILL.address, 90, waits_for_client=True)] * 2
    faults = judged([*stalled, queued, idle], requests)
    assert faults == {1: Fault.STILL, 2: Fault.STILL, 4: Fault.STILL}


def test_a_download_that_the_provider_holds_up_is_not_taken_for_an_idle_connection() -> None:
    """On a busy machine its last bytes left later than those of another answer, which is complete."""
    paused, idle = (replace(NEW, inode=inode, received=500, sent=9_000) for inode in (1, 2))
    readings = [replace(paused, still_seconds=68.9), replace(idle, still_seconds=70)]
    at_work = Request(NEW.address, 70, waits_for_client=False)
    assert 1 not in judged(readings, [at_work])
    later = [replace(reading, still_seconds=reading.still_seconds + 2) for reading in readings]
    assert judged(later, []) == {1: Fault.STILL, 2: Fault.STILL}


@pytest.mark.parametrize("full", [False, True])
def test_a_slow_upload_is_not_taken_for_one_that_stalls(full: bool) -> None:
    """Its read waits for minutes while its bytes come, and another connection for a provider as long."""
    works = replace(ASKED, inode=1, still_seconds=100)
    judge = Judge(replace(BOUNDS, threads=2 if full else 9))
    reading = Request(ASKED.address, 100, waits_for_client=True)
    at_work = Request(ASKED.address, 100.01, waits_for_client=False)
    for second in range(3):
        uploads = replace(ASKED, inode=2, received=500 + second * 2_048, still_seconds=0.1)
        faults = judge.judge([works, uploads], [reading, at_work], 1.0)
    assert faults == {}


def test_a_request_that_has_waited_for_a_thread_is_given_its_time() -> None:
    """Its connection stands still for as long as it waited; the uploads that came with it have just moved."""
    waited = replace(STILL, inode=1)
    moves = [replace(ASKED, inode=number, still_seconds=0.1) for number in (2, 3)]
    full = [Request(STILL.address, 10, waits_for_client=True)] * BOUNDS.threads
    judge = Judge(BOUNDS)
    judge.judge([waited, *moves], full, 1.0)
    begun = [Request(STILL.address, 0.1, waits_for_client=True), Request(STILL.address, 0.1, False)]
    assert judge.judge([waited, *moves], begun, 1.0) == {}
    assert judge.judge([waited, *moves], begun[:1], 1.0) == {}
    assert judge.judge([replace(waited, still_seconds=130)], [], 60.0) == {1: Fault.STILL}


def test_when_there_are_too_many_those_that_were_idle_longest_end() -> None:
    idle = [replace(NEW, inode=number, still_seconds=number) for number in range(2, 7)]
    works = replace(ASKED, inode=7, still_seconds=30)
    faults = judged([*idle, works], [Request(NEW.address, 30, waits_for_client=False)])
    assert faults == {6: Fault.CROWDED, 5: Fault.CROWDED}


def test_a_request_is_carried_by_the_connection_that_moved_when_it_did() -> None:
    readings = [replace(NEW, inode=number, still_seconds=number * 10) for number in (1, 2, 3)]
    other = replace(NEW, inode=4, address="2001:db8::1", still_seconds=20)
    requests = [Request(NEW.address, 19.99, False), Request(NEW.address, 29, False)]
    assert carriers([*readings, other], requests) == {2: requests[0], 3: requests[1]}
    assert carriers([], requests) == {}
