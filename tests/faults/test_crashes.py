"""The web server and the worker are killed at every point of an upload and a delete (C1, C10).

After a restart and a sweep nothing of it may be left: not at the provider, in no list, on no quota.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
import requests

from tests.fake_provider import FakeProvider, behaviours
from tests.faults.gateway import Gateway, Tenant, sha256_at
from tests.faults.wire import Wire, form, upload_head
from tests.processes import wait_until

CONTENT = bytes(range(256)) * 4800  # more than is read whole before anything is written
SMALL = bytes(range(256)) * 40
BODY = form(CONTENT)
FILE_START = BODY.index(CONTENT)
FILE_END = FILE_START + len(CONTENT)
POSITIONS = sorted(
    {
        *(0, 1, 10, 40, 60, 80, 120, 180),  # in the fields before the file, and in its headers
        *(FILE_START - 2, FILE_START, FILE_START + 1, FILE_START + 4_095, FILE_START + 65_536),
        *(FILE_START + 131_072, FILE_START + 262_144, FILE_END - 1, FILE_END),
        *(FILE_END + 1, FILE_END + 2, FILE_END + 10, len(BODY) - 3, len(BODY) - 1),
    }
)


@contextlib.contextmanager
def begun(gateway: Gateway, tenant: Tenant, sent_bytes: list[int]) -> Iterator[list[Wire]]:
    """Hold one connection for each upload, of whose body so many bytes were sent."""
    with contextlib.ExitStack() as cleanup:
        wires = []
        for count in sent_bytes:
            wire = cleanup.enter_context(Wire(gateway.stack.port))
            wire.send(upload_head(tenant.key, len(BODY)) + BODY[:count])
            wires.append(wire)
        gateway.wait_for_uploads(tenant, len(sent_bytes))
        yield wires


def in_background(call: object, *arguments: object) -> threading.Thread:
    """Run a request that the server's death will break."""

    def run() -> None:
        with contextlib.suppress(requests.RequestException):
            call(*arguments)  # type: ignore[operator]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def crash(gateway: Gateway) -> None:
    gateway.stack.kill("web")
    gateway.stack.restart_web()


@pytest.mark.parametrize("where", ["provider", "disk"])
def test_a_kill_at_any_byte_of_an_upload_leaves_nothing(gateway: Gateway, where: str) -> None:
    account = gateway.account() if where == "provider" else gateway.local()
    tenant = gateway.tenant(account)
    kept = tenant.upload(b"kept").json()["id"]
    with begun(gateway, tenant, POSITIONS):
        assert tenant.usage()[1] > 0
        crash(gateway)
        gateway.recover()
    tenant.assert_holds({kept: b"kept"})
    gateway.assert_no_drift()
    if where == "provider":
        gateway.fake.wait_until_idle()
        assert set(sha256_at(gateway.fake)) == {kept}
        assert gateway.in_state(tenant, "copies", "unconfirmed") == 0
    else:
        gateway.shell("sweep_stores")
        published = [path for path in gateway.on_disk(account) if ".incoming" not in path.parts]
        assert [path.read_bytes() for path in published if path.suffix != ".details"] == [b"kept"]
    assert tenant.upload(CONTENT, "again.txt").status_code == 200


@pytest.mark.parametrize(
    ("content", "after_body_bytes"),
    [
        *((CONTENT, after) for after in (0, 1, 300, 70_000, 200_000, len(CONTENT))),
        *((SMALL, after) for after in (0, len(SMALL))),
    ],
)
def test_a_kill_while_the_provider_reads_leaves_nothing(
    gateway: Gateway, content: bytes, after_body_bytes: int
) -> None:
    tenant = gateway.tenant()
    gateway.fake.script({"method": "POST", "path": "/files$"}, behaviours.pause(after_body_bytes))
    upload = in_background(tenant.upload, content)
    gateway.fake.wait_until_paused()
    crash(gateway)
    gateway.fake.release()
    upload.join()
    gateway.fake.wait_until_idle()
    gateway.recover()
    tenant.assert_empty()
    assert sha256_at(gateway.fake) == {}
    gateway.assert_no_drift()


def test_a_kill_between_the_providers_answer_and_the_commit_is_compensated(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    kept = tenant.upload(b"kept", "kept.txt").json()["id"]
    gateway.fake.script({"method": "POST", "path": "/files$"}, behaviours.hang(stored=True))
    upload = in_background(tenant.upload, CONTENT)
    gateway.fake.wait_until_paused()
    with gateway.locked_database():  # the settle has to wait
        gateway.fake.release()
        gateway.fake.wait_until_idle()
        assert len(gateway.fake.store("openai")) == 2
        gateway.stack.kill("web")
    gateway.stack.restart_web()
    upload.join()
    gateway.recover()
    tenant.assert_holds({kept: b"kept"})
    assert set(sha256_at(gateway.fake)) == {kept}
    gateway.assert_no_drift()


def test_several_uploads_killed_behind_their_last_byte_are_told_apart(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    contents = {f"{number}.txt": b"x" * (1_000 + number) for number in range(4)}
    gateway.fake.script({"method": "POST", "path": "/files$", "times": 4}, behaviours.hang(stored=True))
    uploads = [in_background(tenant.upload, content, name) for name, content in contents.items()]
    gateway.fake.wait_until_paused(4)
    crash(gateway)
    gateway.fake.release()
    for upload in uploads:
        upload.join()
    gateway.fake.wait_until_idle()
    gateway.recover()
    tenant.assert_empty()
    assert sha256_at(gateway.fake) == {}


def test_an_upload_to_disk_killed_before_the_commit_is_removed(gateway: Gateway) -> None:
    account = gateway.local()
    tenant = gateway.tenant(account)
    with begun(gateway, tenant, [len(BODY) - 1] * 8) as wires:
        # Whether the lock is met before or after the object is published: both have to end in nothing.
        with gateway.locked_database():
            for wire in wires:
                wire.send(BODY[-1:])
            gateway.stack.kill("web")
        gateway.stack.restart_web()
        gateway.recover()
    tenant.assert_empty()
    assert [path for path in gateway.on_disk(account) if ".incoming" not in path.parts] == []


def test_a_lease_runs_out_by_itself(gateway: Gateway, fake: FakeProvider) -> None:
    tenant = gateway.tenant()
    with begun(gateway, tenant, [FILE_END]):
        gateway.shell("sweep_uploads")
        assert gateway.in_state(tenant, "files", "uploading") == 1, "a live upload was swept"
        crash(gateway)
        gateway.shell("shorten_leases", seconds=1)

        def is_swept() -> bool:
            gateway.shell("sweep_uploads")
            return gateway.in_state(tenant, "files", "failed") == 1

        wait_until(is_swept, seconds=20, what="the lease to run out")
    tenant.assert_empty()


def test_an_upload_that_was_given_up_cannot_settle(gateway: Gateway) -> None:
    """A stalled upload goes on after the sweeper has failed it: it is refused and cleared away."""
    tenant = gateway.tenant()
    gateway.fake.script({"method": "POST", "path": "/files$"}, behaviours.hang(stored=True))
    answers: list[requests.Response] = []
    upload = threading.Thread(target=lambda: answers.append(tenant.upload(CONTENT)))
    upload.start()
    gateway.fake.wait_until_paused()
    gateway.shell("let_time_pass")
    gateway.shell("sweep_uploads")
    gateway.fake.release()
    upload.join()
    assert answers[0].status_code == 503
    gateway.recover()
    tenant.assert_empty()
    assert sha256_at(gateway.fake) == {}
    gateway.assert_no_drift()
