"""The HTTP transport on real sockets: retries, bounds, broken answers, and what it makes of them."""

from __future__ import annotations

import os
import random
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from providers.exceptions import (
    InvalidResponseError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from providers.objects import MiB
from providers.transports.http import HTTPTransport, Request, StreamBody, TransportLimits
from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.providers.transport import LOOPBACK, PatientTransport
from tests.providers.wire import CANARY

FORM = "multipart/form-data; boundary=b"
AUTH = {"Authorization": f"Bearer {VALID_KEY}"}


@pytest.fixture
def transport() -> PatientTransport:
    return PatientTransport(LOOPBACK)


def listing(fake: FakeProvider) -> Request:
    return Request("GET", f"{fake.url('openai')}/files", AUTH)


def posting(fake: FakeProvider, chunks: Iterator[bytes]) -> Request:
    headers = {**AUTH, "Content-Type": FORM}
    return Request("POST", f"{fake.url('openai')}/files", headers, body=StreamBody(chunks))


def more_than_sockets_hold() -> Iterator[bytes]:
    for _ in range(64):
        yield bytes(1_048_576)


def status_of(transport: HTTPTransport, request: Request) -> int:
    """Send a request, drop the answer's body and return its status."""
    answer = transport.send(request)
    answer.close()
    return answer.status


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection by `answer`; yields the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(5)


class TestRetries:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
    def test_a_read_is_tried_once_more(
        self, fake: FakeProvider, transport: HTTPTransport, status: int
    ) -> None:
        fake.script({}, behaviours.fail(status))
        assert status_of(transport, listing(fake)) == 200
        assert len(fake.requests) == 2

    @pytest.mark.parametrize("status", [400, 401, 404, 409, 501])
    def test_a_final_answer_is_final(self, fake: FakeProvider, transport: HTTPTransport, status: int) -> None:
        fake.script({"times": None}, behaviours.fail(status))
        assert status_of(transport, listing(fake)) == status
        assert len(fake.requests) == 1

    def test_it_does_not_wait_longer_than_it_may(self, fake: FakeProvider, transport: HTTPTransport) -> None:
        fake.script({"times": None}, behaviours.fail(429, retry_after="3"))
        assert status_of(transport, listing(fake)) == 429
        assert len(fake.requests) == 1

    def test_it_waits_as_long_as_it_is_told(
        self, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float | None] = []
        transport = PatientTransport(LOOPBACK)
        monkeypatch.setattr(transport, "_wait", waits.append)
        fake.script({}, behaviours.fail(503, retry_after="1.5"))
        status_of(transport, listing(fake))
        fake.script({}, behaviours.drop())
        status_of(transport, listing(fake))
        assert waits == [1.5, None]

    def test_a_lost_answer_to_a_read_is_asked_for_again(
        self, fake: FakeProvider, transport: HTTPTransport
    ) -> None:
        fake.script({}, behaviours.drop())
        assert status_of(transport, listing(fake)) == 200

    @pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
    def test_nothing_else_is_repeated(
        self, fake: FakeProvider, transport: HTTPTransport, method: str
    ) -> None:
        fake.script({"times": None}, behaviours.drop())
        with pytest.raises(ProviderUnavailableError) as caught:
            transport.send(Request(method, f"{fake.root}/x", body=b"{}"))
        assert not caught.value.answered
        assert len(fake.requests) == 1

    def test_an_upload_that_never_left_is_sent_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing listens at first; the body has not been touched, so it can still go out."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        transport, late = PatientTransport(LOOPBACK), ExitStack()
        monkeypatch.setattr(transport, "_wait", lambda _: late.enter_context(FakeProvider(port=port)))
        body = StreamBody(iter([b"x"]))
        with late:
            assert status_of(transport, Request("POST", f"http://127.0.0.1:{port}/x", body=body)) == 404
        assert body.started

    def test_a_closed_port_says_that_nothing_was_sent(self, transport: HTTPTransport) -> None:
        body = StreamBody(iter([b"x"]))
        with pytest.raises(ProviderUnavailableError) as caught:
            transport.send(Request("POST", "http://127.0.0.1:9/", body=body))
        assert caught.value.answered
        assert not body.started


def test_a_request_shows_neither_headers_nor_body() -> None:
    request = Request("POST", "https://files.example/", {"api-key": CANARY}, body=CANARY.encode())
    assert CANARY not in repr(request)


def test_a_header_that_would_begin_another_is_not_sent(fake: FakeProvider, transport: HTTPTransport) -> None:
    for value in ("a\r\nX-More: b", "a\n b", " a"):
        with pytest.raises(ProviderUnavailableError):
            transport.send(replace(listing(fake), method="POST", headers={"X-Said": value}))
    assert fake.requests == []


class TestBodies:
    def test_a_connection_is_used_again(self, fake: FakeProvider, transport: HTTPTransport) -> None:
        for _ in range(3):
            transport.send(listing(fake)).json()
        assert len(fake._api.connections) == 1

    def test_a_cookie_is_not_kept(self, fake: FakeProvider, transport: HTTPTransport) -> None:
        """All accounts of the operator would show it."""
        fake.script({"method": "GET"}, behaviours.answer(200, headers=(("Set-Cookie", "a=b; Path=/"),)))
        for _ in range(2):
            transport.send(listing(fake)).body()
        assert ["cookie" in each.headers for each in fake.requests] == [False, False]

    @pytest.mark.parametrize("is_reused", [False, True], ids=["new", "used before"])
    def test_a_write_may_take_longer_than_connecting(self, fake: FakeProvider, is_reused: bool) -> None:
        limits = replace(LOOPBACK, connect_timeout_seconds=0.2, write_timeout_seconds=30)
        transport = PatientTransport(limits)
        if is_reused:
            transport.send(listing(fake)).body()
        fake.script({"method": "POST"}, behaviours.pause(after_body_bytes=1))
        threading.Timer(0.6, fake.release).start()
        assert status_of(transport, posting(fake, more_than_sockets_hold())) == 400  # it is no form

    @pytest.mark.parametrize("is_reused", [False, True], ids=["new", "used before"])
    def test_a_provider_that_reads_nothing_is_given_up(self, fake: FakeProvider, is_reused: bool) -> None:
        limits = replace(LOOPBACK, connect_timeout_seconds=600, write_timeout_seconds=0.3)
        transport = PatientTransport(limits)
        if is_reused:
            transport.send(listing(fake)).body()
        fake.script({"method": "POST"}, behaviours.pause(after_body_bytes=1))
        with pytest.raises(ProviderTimeoutError):
            transport.send(posting(fake, more_than_sockets_hold()))
        fake.release()

    def test_a_connection_that_was_cut_is_not(self, fake: FakeProvider, transport: HTTPTransport) -> None:
        fake.script({"method": "POST"}, behaviours.fail(413, after_body_bytes=10))
        answer = transport.send(posting(fake, iter([bytes(65_536)] * 4_096)))
        assert answer.status == 413
        answer.close()
        assert status_of(transport, listing(fake)) == 200

    @pytest.mark.parametrize("length", [None, 64 * MiB], ids=["chunked", "by length"])
    def test_an_answer_is_heard_while_nobody_takes_the_body(self, length: int | None) -> None:
        """The provider answers, reads nothing more and leaves the connection open."""
        done = threading.Event()

        def answer(connection: socket.socket) -> None:
            left = MiB  # of the first chunk, which is larger than what sockets hold
            while left > 0:
                left -= len(connection.recv(left))
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            done.wait(30)

        transport = PatientTransport(replace(LOOPBACK, write_timeout_seconds=5))
        body = StreamBody(iter([bytes(32 * MiB)] * 2), length=length)
        with server(answer) as url:
            try:
                assert status_of(transport, Request("POST", url, body=body)) == 413
            finally:
                done.set()
        assert not body.exhausted

    def test_a_chunk_goes_out_in_its_frame_without_being_copied(self, transport: HTTPTransport) -> None:
        """It is larger than what sockets hold, so that it goes out in pieces."""
        chunk = random.Random(1).randbytes(16 * MiB)
        sent = b"%x\r\n" % len(chunk) + chunk + b"\r\n2\r\nab\r\n0\r\n\r\n"
        received = bytearray(len(sent))

        def answer(connection: socket.socket) -> None:
            with connection.makefile("rb") as lines:
                while lines.readline() != b"\r\n":
                    pass
                lines.readinto(received)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        body = StreamBody(iter([chunk, b"", b"ab"]))
        tracemalloc.start()
        try:
            with server(answer) as url:
                assert status_of(transport, Request("POST", url, body=body)) == 200
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert received == sent
        assert peak < len(chunk) // 2

    def test_a_length_is_sent_instead_of_chunks(self, fake: FakeProvider, transport: HTTPTransport) -> None:
        body = StreamBody(iter([b"ab", b"", b"c"]), length=3)
        fake.script({"method": "POST"}, behaviours.answer(200, after_body_bytes=3))
        transport.send(Request("POST", f"{fake.root}/x", body=body)).close()
        (request,) = fake.requests
        assert request.headers.get("content-length") == "3"
        assert "transfer-encoding" not in request.headers
        assert body.exhausted

    @pytest.mark.parametrize("error", [ValueError("a"), BrokenPipeError("b"), TimeoutError("c")])
    def test_what_a_body_raises_is_raised(
        self, fake: FakeProvider, transport: HTTPTransport, error: Exception
    ) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"x"
            raise error

        with pytest.raises(type(error)) as caught:
            transport.send(posting(fake, chunks()))
        assert caught.value is error


class TestAnswers:
    def test_an_answer_that_is_too_large_is_not_read(self, fake: FakeProvider) -> None:
        limits = TransportLimits(allow_private=True, max_answer_bytes=1_000)
        fake.script({}, behaviours.answer(200, b"x" * 100_000))
        with pytest.raises(InvalidResponseError, match="too large"):
            PatientTransport(limits).send(listing(fake)).body()

    def test_a_bomb_stays_packed(self, fake: FakeProvider, transport: HTTPTransport) -> None:
        """Nothing is ever unpacked, so a few megabytes cannot become gigabytes."""
        fake.script({}, behaviours.gzip_bomb(200_000_000))
        assert len(transport.send(listing(fake)).body()) < 1_000_000

    @pytest.mark.parametrize("framing", ["length", "chunked"])
    def test_an_answer_that_breaks_off_raises(
        self, fake: FakeProvider, transport: HTTPTransport, framing: str
    ) -> None:
        fake.script({"times": None}, behaviours.cut_answer(20, framing=framing))  # type: ignore[arg-type]
        answer = transport.send(listing(fake))
        with pytest.raises(ProviderUnavailableError) as caught:
            answer.body()
        assert not caught.value.answered

    def test_an_answer_that_drips_is_given_up(self, fake: FakeProvider) -> None:
        limits = TransportLimits(allow_private=True, call_timeout_seconds=0.3)
        fake.script({"times": None}, behaviours.slow_drip(1, 0.05))
        with pytest.raises(ProviderTimeoutError):
            PatientTransport(limits).send(listing(fake)).body()
        fake.release()

    def test_a_download_that_stops_is_given_up(self, fake: FakeProvider) -> None:
        limits = TransportLimits(allow_private=True, read_timeout_seconds=0.2)
        fake.script({}, behaviours.slow_drip(10, 30))
        answer = PatientTransport(limits).send(replace(listing(fake), follow_redirects=True))
        with pytest.raises(ProviderUnavailableError):
            list(answer.iter_bytes(1_024))
        fake.release()

    def test_a_chunk_is_passed_on_before_its_buffer_is_full(
        self, fake: FakeProvider, transport: HTTPTransport
    ) -> None:
        stored = fake.add_file("openai", filename="a", content=b"first and the rest", purpose="batch")
        fake.script({"path": "/content$"}, behaviours.slow_drip(5, 30))
        url = f"{fake.url('openai')}/files/{stored.remote_id}/content"
        answer = transport.send(Request("GET", url, AUTH, follow_redirects=True))
        assert next(iter(answer.iter_bytes(65_536))) == b"first"
        answer.close()
        fake.release()

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"HTTP/1.1 abc\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
            b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 100_000 + b"\r\n\r\n",
        ],
    )
    def test_what_is_no_answer_is_unavailable(self, transport: HTTPTransport, raw: bytes) -> None:
        def answer(connection: socket.socket) -> None:
            connection.recv(65_536)
            connection.sendall(raw)

        with server(answer) as url, pytest.raises(ProviderUnavailableError):
            transport.send(Request("POST", url, body=b"{}"))

    @pytest.mark.parametrize("word", ["timed out", "NewConnectionError", "NameResolutionError"])
    def test_what_a_provider_says_does_not_choose_the_error(
        self, transport: HTTPTransport, word: str
    ) -> None:
        """Above all it cannot say that nothing was sent: then nobody would look for what it has stored."""

        def answer(connection: socket.socket) -> None:
            connection.recv(65_536)
            connection.sendall(f"{word}\r\n".encode())

        with server(answer) as url, pytest.raises(ProviderUnavailableError) as caught:
            transport.send(Request("POST", url, body=b"{}"))
        assert not isinstance(caught.value, ProviderTimeoutError)
        assert not caught.value.answered

    def test_no_tls_is_unavailable(self, fake: FakeProvider, transport: HTTPTransport) -> None:
        url = fake.root.replace("http://", "https://")
        with pytest.raises(ProviderUnavailableError, match="TLS"):
            transport.send(Request("GET", url))

    @pytest.mark.parametrize("url", ["http://", "http:///x", "gopher://x/", "http://[::1", "http://a b/"])
    def test_an_unusable_url_is_no_surprise(self, transport: HTTPTransport, url: str) -> None:
        with pytest.raises(ProviderError):
            transport.send(Request("POST", url))

    def test_a_name_that_does_not_exist_is_unavailable(
        self, transport: HTTPTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(*args: object, **kwargs: object) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr("providers.transports.guard.socket.getaddrinfo", unknown)
        with pytest.raises(ProviderUnavailableError, match=r"files\.example") as caught:
            transport.send(Request("POST", "http://files.example/"))
        assert caught.value.answered, "nothing can have been stored"


class TestBodiesAtHand:
    """A small form that nobody has to be waited for."""

    def test_it_goes_out_in_one_piece_with_its_head(
        self, fake: FakeProvider, transport: HTTPTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[bytes] = []
        send = os.writev
        monkeypatch.setattr(
            "providers.transports.guard.os.writev",
            lambda fd, buffers: (sent.append(b"".join(buffers)), send(fd, buffers))[1],
        )
        for is_at_hand, pieces in ((True, 1), (False, 2), (True, 1)):
            sent.clear()
            body = StreamBody(iter([b"--b--\r\n"]), 7, is_at_hand=is_at_hand)
            headers = {**AUTH, "Content-Type": FORM}
            request = Request("POST", f"{fake.url('openai')}/files", headers, body=body)
            assert status_of(transport, request) == 400
            assert len(sent) == pieces
            assert b"".join(sent).endswith(b"\r\n\r\n--b--\r\n")

    def test_it_is_not_touched_before_there_is_a_connection(self, transport: HTTPTransport) -> None:
        body = StreamBody(iter([b"bytes"]), 5, is_at_hand=True)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(ProviderUnavailableError) as caught:
            transport.send(Request("POST", f"http://127.0.0.1:{port}/", body=body))
        assert caught.value.answered
        assert not body.started
