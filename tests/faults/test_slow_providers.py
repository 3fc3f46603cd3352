"""A provider that reads slowly slows its client down, and nothing piles up in between (B12)."""

from __future__ import annotations

import threading

from tests.fake_provider import behaviours
from tests.faults.gateway import Gateway, digest, sha256_at
from tests.faults.wire import Wire, form, upload_head
from tests.processes import wait_until

MIB = 1024 * 1024
#: What the buffers of three sockets may hold between a client and a provider that stands still.
IN_BETWEEN = 24 * MIB


class _Sender(threading.Thread):
    """Sends a body as fast as it is taken."""

    def __init__(self, wire: Wire, body: bytes) -> None:
        super().__init__(daemon=True)
        self._wire = wire
        self._body = body
        self.sent = 0

    def run(self) -> None:
        for start in range(0, len(self._body), MIB):
            self._wire.send(self._body[start : start + MIB])
            self.sent = start


def test_a_provider_that_reads_slowly_holds_its_client_back(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    content = b"0123456789abcdef" * (64 * MIB // 16)
    body = form(content)
    gateway.fake.script({"method": "POST", "path": "/files$"}, behaviours.pause(MIB))
    with Wire(gateway.stack.port, timeout=60) as wire:
        wire.send(upload_head(tenant.key, len(body)))
        sender = _Sender(wire, body)
        sender.start()
        gateway.fake.wait_until_paused()
        seen = -1

        def stands() -> bool:
            nonlocal seen
            before, seen = seen, sender.sent
            sender.join(0.5)
            return sender.sent == before

        wait_until(stands, seconds=15, what="the client to be held back")
        assert sender.sent <= IN_BETWEEN
        assert tenant.usage()[2] == 0  # others are served meanwhile
        gateway.fake.release()
        assert wire.answer().status == 200
        sender.join()
    assert list(sha256_at(gateway.fake).values()) == [digest(content)]
