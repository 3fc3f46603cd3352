"""Refusals reach clients that are still sending: what is read behind the answer, and what is not."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.http import HttpRequest, HttpResponse
from prometheus_client import REGISTRY
from pytest_django import Settings

from files_app.observability import logs
from files_app.services.tenants import throttle
from files_app.web import unread_bodies
from files_app.web.unread_bodies import UnreadBodyMiddleware
from tests.files_app.cast import Tenant
from tests.files_app.client import ApiClient, Reply
from tests.files_app.forms import BOUNDARY, Feed, encode, file_part, purpose_part

STRANGER = ApiClient("wrong")
SPARE = 100_000  # REFUSED_BODY_BYTES of these tests
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture(autouse=True)
def small_bounds(settings: Settings, db: None) -> Iterator[None]:
    settings.REFUSED_BODY_BYTES = SPARE
    settings.MAX_FILE_BYTES = 2 * SPARE
    settings.UPLOAD_CHUNK_BYTES = 10_000
    unread_bodies.forget_places()
    yield
    unread_bodies.forget_places()


def form(size: int, purpose: str = "user_data") -> bytes:
    return encode([purpose_part(purpose), file_part(b"x" * size)])


@contextmanager
def refused(
    client: ApiClient, body: bytes, *, length: int | None = -1, **headers: str
) -> Iterator[tuple[Reply, Feed]]:
    """Send an upload and stop behind the last byte of its answer; what is read later is up to the caller."""
    feed = Feed(iter([body]))
    length = len(body) if length == -1 else length
    with client.open("POST", "/files", headers={**FORM, **headers}, feed=feed, length=length) as reply:
        reply.body = next(reply.chunks)
        assert reply.error  # it is whole
        yield reply, feed


def rest_of(reply: Reply) -> None:
    assert list(reply.chunks) == []


def test_the_answer_comes_first_and_then_the_body_is_read_to_its_end() -> None:
    body = form(50_000)
    with refused(STRANGER, body) as (reply, feed):
        assert (reply.status, reply.headers["x-should-retry"]) == (401, "false")
        assert reply.headers["Content-Length"] == str(len(reply.body))
        assert feed.taken == 0
        rest_of(reply)
        assert feed.discarded == len(body)


@pytest.mark.parametrize("length", [-1, None], ids=["with a length", "chunked"])
def test_of_a_stranger_little_is_read(length: int | None) -> None:
    with refused(STRANGER, form(5 * SPARE), length=length) as (reply, feed):
        rest_of(reply)
        assert feed.discarded == SPARE


@pytest.mark.parametrize("length", [-1, None], ids=["with a length", "chunked"])
def test_of_a_good_key_a_lawful_upload_is_read(acme: Tenant, length: int | None) -> None:
    with refused(acme.api, form(5 * SPARE, purpose="nonsense"), length=length) as (reply, feed):
        assert reply.status in {400, 413}
        rest_of(reply)
        assert feed.discarded == 3 * SPARE


def test_a_refusal_in_the_middle_of_the_body_reads_on_too(acme: Tenant) -> None:
    bad_batch = encode([purpose_part("batch"), file_part(b"no json\n" * 8_000, "a.jsonl")])
    with refused(acme.api, bad_batch) as (reply, feed):
        assert reply.status == 400
        assert feed.taken > 0
        rest_of(reply)
        assert feed.discarded == len(bad_batch) - feed.taken > 0


def test_a_client_that_waits_to_be_asked_is_not_asked() -> None:
    with refused(STRANGER, form(1_000), Expect="100-continue") as (reply, feed):
        assert reply.headers["Connection"] == "close"
        rest_of(reply)
        assert feed.taken == feed.discarded == 0


def test_a_client_that_was_asked_is_read_to_its_end(acme: Tenant) -> None:
    body = form(50_000, purpose="nonsense")
    with refused(acme.api, body, Expect="100-continue") as (reply, feed):
        rest_of(reply)
        assert feed.taken + feed.discarded == len(body)


def test_a_refusal_for_want_of_a_place_reads_nothing(acme: Tenant, settings: Settings) -> None:
    settings.UPLOADS_AT_ONCE = 1
    caller_key = (acme.organization.pk, acme.key.pk)
    throttle._running[caller_key] += 1
    try:
        with refused(acme.api, form(1_000)) as (reply, feed):
            assert (reply.status, reply.headers["Connection"]) == (429, "close")
            rest_of(reply)
            assert feed.taken == 0
    finally:
        del throttle._running[caller_key]


def test_the_database_is_let_go_between_answer_and_body(monkeypatch: pytest.MonkeyPatch) -> None:
    body = form(50_000)
    with refused(STRANGER, body) as (reply, feed):
        released_at: list[int] = []
        monkeypatch.setattr(
            unread_bodies, "release_connection", lambda: released_at.append(feed.taken + feed.discarded)
        )
        rest_of(reply)
    assert released_at == [0]


class Stalling(Feed):
    """A body that stops coming until it is released."""

    def __init__(self) -> None:
        super().__init__(iter([]))
        self.released = threading.Event()

    def read(self, size: int) -> bytes:
        self.released.wait(30)
        return b""


def test_a_client_that_stalls_is_left_when_the_time_is_over_and_keeps_its_place(settings: Settings) -> None:
    settings.REFUSED_BODY_THREADS = 1
    settings.REFUSED_BODY_SECONDS = 0.01
    stalling = Stalling()
    with STRANGER.open("POST", "/files", headers=FORM, feed=stalling, length=1_000) as reply:
        assert b"invalid_api_key" in b"".join(reply.chunks)
    [reader] = readers()
    body = form(1_000)
    with refused(STRANGER, body) as (reply, feed):  # the one place is taken
        rest_of(reply)
        assert feed.taken == feed.discarded == 0
    stalling.released.set()
    reader.join()
    with refused(STRANGER, body) as (reply, feed):
        rest_of(reply)
        assert feed.taken + feed.discarded == len(body)


def test_under_gunicorn_a_client_that_stalls_is_shut_out(settings: Settings) -> None:
    settings.REFUSED_BODY_SECONDS = 0.01
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb", buffering=0) as stream:
        request = HttpRequest()
        request.META |= {"CONTENT_LENGTH": "1000", "wsgi.input": stream, "gunicorn.socket": ours}
        response = UnreadBodyMiddleware(lambda request: HttpResponse(b"no", status=401))(request)
        assert b"".join(response) == b"no"  # type: ignore[arg-type]
        for reader in readers():
            reader.join(10)
        assert readers() == []


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "refused-body"]


def test_a_body_that_breaks_gives_its_place_back(settings: Settings) -> None:
    settings.REFUSED_BODY_THREADS = 1
    for _ in range(2):
        with STRANGER.open("POST", "/files", headers=FORM, feed=Feed(broken()), length=50_000) as reply:
            assert b"invalid_api_key" in b"".join(reply.chunks)
    body = form(1_000)
    with refused(STRANGER, body) as (reply, feed):
        rest_of(reply)
        assert feed.taken + feed.discarded == len(body)


def broken() -> Iterator[bytes]:
    yield b"x" * 20_000
    raise ConnectionResetError


def test_the_request_is_counted_once_without_what_followed(
    capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    logs.configure({"format": "json", "level": "INFO"})
    before = REGISTRY.get_sample_value("files_gateway_refused_body_bytes_total") or 0.0
    body = form(50_000)
    with refused(STRANGER, body) as (reply, _):
        logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [(line["event"], line["bytes_in"]) for line in logged] == [("request", 0)]
        rest_of(reply)
    [discarded] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (discarded["event"], discarded["bytes"]) == ("refused_body_discarded", len(body))
    assert discarded["request_id"] == reply.headers["x-request-id"]
    assert REGISTRY.get_sample_value("files_gateway_refused_body_bytes_total") == before + len(body)
