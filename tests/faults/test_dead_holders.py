"""Who dies with work in hand is known soon, and who lives keeps it however long his provider takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import requests
from django.conf import settings

from tests.fake_provider import FakeProvider, Match, behaviours
from tests.faults.conftest import QUICK
from tests.faults.gateway import Gateway, Shell, ShellError, sha256_at
from tests.processes import wait_until
from tests.stack import Stack

LEASE_SECONDS = 4
#: What a lease, a start of the web server and a busy machine may take; unrenewed leases took 420 s.
SOON_SECONDS = 30.0
UPLOAD: Match = {"method": "POST", "path": "/files$"}
DELETE: Match = {"method": "DELETE", "path": "/files/"}
LIST: Match = {"method": "GET", "path": "/files$"}


@pytest.fixture(scope="module")
def running(running_fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    environment = {**QUICK, "LEASE_SECONDS": str(LEASE_SECONDS), "PROVIDER_READ_TIMEOUT_SECONDS": "300"}
    stack = Stack(tmp_path_factory.mktemp("holders"), environment=environment)
    with Gateway(stack, running_fake) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Gateway, fake: FakeProvider) -> Gateway:
    if not running.stack.processes["web"].is_running:
        running.stack.restart_web()
    running.shell("retire_accounts")
    return running


class Upload(threading.Thread):
    """An upload whose provider keeps it waiting behind its last byte."""

    def __init__(self, gateway: Gateway, key: str = "key") -> None:
        super().__init__(daemon=True)
        self.tenant = gateway.tenant()
        self.key = key
        self.status = 0
        gateway.fake.script(UPLOAD, behaviours.hang(stored=True))
        self.start()
        gateway.fake.wait_until_paused()

    def run(self) -> None:
        try:
            self.status = self.send().status_code
        except requests.RequestException:
            self.status = -1

    def send(self) -> requests.Response:
        return self.tenant.upload(b"content", headers={"Idempotency-Key": self.key})


def sweep_until_failed(gateway: Gateway, upload: Upload) -> None:
    def is_failed() -> bool:
        gateway.shell("sweep_uploads")
        return gateway.in_state(upload.tenant, "files", "failed") == 1

    wait_until(is_failed, seconds=SOON_SECONDS, what="the dead upload to be given up")


def test_an_upload_killed_behind_its_last_byte_is_soon_known_to_be_dead(gateway: Gateway) -> None:
    upload = Upload(gateway)
    assert upload.send().json()["error"]["code"] == "idempotency_key_in_use"
    gateway.stack.kill("web")
    gateway.fake.release()
    gateway.stack.restart_web()
    assert upload.tenant.usage()[2] == 0
    wait_until(lambda: upload.send().status_code == 200, seconds=SOON_SECONDS, what="the key to be free")
    assert upload.tenant.usage() == (len(b"content"), 0, 1)
    gateway.recover()
    assert len(sha256_at(gateway.fake)) == 1
    gateway.assert_no_drift()


def test_an_upload_that_lives_is_kept_however_long_its_provider_takes(gateway: Gateway) -> None:
    upload = Upload(gateway)
    upload.join(3 * LEASE_SECONDS)  # three times what a dead one would be left
    assert upload.is_alive()
    gateway.shell("sweep_uploads")
    assert gateway.in_state(upload.tenant, "files", "uploading") == 1
    gateway.fake.release()
    upload.join()
    assert upload.status == 200


def test_a_process_that_was_frozen_for_too_long_does_not_undo_what_was_decided(gateway: Gateway) -> None:
    upload = Upload(gateway)
    gateway.stack.freeze("web")
    try:
        sweep_until_failed(gateway, upload)
        gateway.fake.release()
    finally:
        gateway.stack.thaw("web")
    upload.join()
    assert upload.status == 503
    gateway.recover()
    upload.tenant.assert_empty()
    assert sha256_at(gateway.fake) == {}
    gateway.assert_no_drift()


def killed_in(order: str, gateway: Gateway, **arguments: object) -> None:
    """Let another process carry an order out, and kill it when its provider has been asked."""
    other = Shell(gateway.stack)

    def carry_out() -> None:
        with pytest.raises(ShellError):
            other(order, **arguments)

    thread = threading.Thread(target=carry_out)
    thread.start()
    gateway.fake.wait_until_paused()
    other.kill()
    thread.join()
    other.close()
    gateway.fake.release()


def test_a_delete_whose_worker_died_is_soon_done(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    file_id = tenant.upload(b"content").json()["id"]
    tenant.delete(file_id)
    gateway.fake.script(DELETE, behaviours.hang())
    killed_in("deliver_deletes", gateway)
    assert gateway.shell("deliver_deletes") == {}  # nobody knows yet

    def is_done() -> bool:
        gateway.shell("deliver_deletes")
        return gateway.in_state(tenant, "copies", "deleted") == 1

    wait_until(is_done, seconds=SOON_SECONDS, what="the delete to be done")
    assert sha256_at(gateway.fake) == {}


def test_a_sync_that_died_soon_makes_room_for_the_next(gateway: Gateway) -> None:
    account = gateway.account()
    gateway.tenant(account)
    gateway.fake.script(LIST, behaviours.hang())
    killed_in("sync_account", gateway, name=account["name"])
    assert gateway.shell("sync_account", name=account["name"]) == {}  # somebody else is at it
    wait_until(
        lambda: gateway.shell("sync_account", name=account["name"]) != {},
        seconds=SOON_SECONDS,
        what="the account to be free",
    )


def test_as_shipped_a_dead_holder_is_known_within_a_minute() -> None:
    assert settings.LEASE_SECONDS + settings.UPKEEP_SECONDS["sweep_uploads"] <= 60
    assert settings.LEASE_SECONDS + settings.UPKEEP_SECONDS["outbox"] <= 60
