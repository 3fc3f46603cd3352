"""Scripted behaviours: what the client meets, and what the provider holds afterwards."""

from __future__ import annotations

import http.client
import json
import math
import socket
import threading
from collections.abc import Iterator

import pytest
import requests

from tests.fake_provider import VALID_KEY, FakeProvider, Match, behaviours
from tests.fake_provider.storage import ContentDiscardedError
from tests.fake_provider_tests.client import BEARER, TIMEOUT, FormField, post_form

UPLOAD: Match = {"method": "POST", "path": "/files$"}
CONTENT: Match = {"method": "GET", "path": "/content$"}
BOUNDARY = "frontier"
LINE = b'{"custom_id": "1"}\n'
FORM: list[FormField] = [("purpose", (None, "batch")), ("file", ("a.jsonl", LINE))]


def upload(fake: FakeProvider, dialect: str = "openai") -> requests.Response:
    return post_form(f"{fake.url(dialect)}/files", FORM)


def download(fake: FakeProvider, content: bytes) -> requests.Response:
    stored = fake.add_file("openai", filename="out.jsonl", purpose="batch_output", content=content)
    url = f"{fake.url('openai')}/files/{stored.remote_id}/content"
    return requests.get(url, headers=BEARER, timeout=TIMEOUT)


def multipart_body(content: bytes = LINE, *, is_closed: bool = True) -> bytes:
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    )
    return head.encode() + content + (f"\r\n--{BOUNDARY}--\r\n".encode() if is_closed else b"")


def connect(fake: FakeProvider) -> socket.socket:
    return socket.create_connection(("127.0.0.1", fake.port), TIMEOUT)


def answered_status(client: socket.socket) -> int:
    """Read one whole answer and return its status."""
    with http.client.HTTPResponse(client) as answer:
        answer.begin()
        answer.read()
        return answer.status


def request_head(framing: str) -> bytes:
    lines = (
        "POST /openai/v1/files HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {VALID_KEY}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        framing,
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# When the answer comes


def test_an_answer_can_come_before_the_body(fake: FakeProvider) -> None:
    fake.script(UPLOAD, behaviours.fail(413, after_body_bytes=0))
    with connect(fake) as client:
        client.sendall(request_head("Content-Length: 536870912"))
        assert answered_status(client) == 413
    fake.wait_until_idle()
    assert fake.requests[0].body_bytes == 0
    assert fake.store("openai") == []


def test_an_answer_can_come_inside_the_body(fake: FakeProvider) -> None:
    fake.script(UPLOAD, behaviours.fail(500, after_body_bytes=100))
    assert upload(fake).status_code == 500
    assert fake.requests[0].dialect == "openai"
    assert (fake.requests[0].body_bytes, fake.requests[0].body_complete) == (100, False)
    assert fake.store("openai") == []


def test_an_answer_can_come_behind_the_body(fake: FakeProvider) -> None:
    fake.script(UPLOAD, behaviours.fail(503))
    assert upload(fake).status_code == 503
    assert fake.requests[0].body_complete
    assert fake.store("openai") == []


def test_a_lost_answer_leaves_the_file_behind(fake: FakeProvider) -> None:
    fake.script(UPLOAD, behaviours.store_then_drop())
    with pytest.raises(requests.ConnectionError):
        upload(fake)
    assert [stored.filename for stored in fake.store("openai")] == ["a.jsonl"]


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("after_body_bytes", [0, 50, None])
def test_a_connection_can_be_closed_without_an_answer(
    fake: FakeProvider, after_body_bytes: int | None, resets: bool
) -> None:
    fake.script(UPLOAD, behaviours.drop(after_body_bytes=after_body_bytes, resets=resets))
    with pytest.raises(requests.ConnectionError):
        upload(fake)
    assert fake.store("openai") == []
    assert fake.requests[0].status is None


def test_a_paused_upload_that_is_killed_stores_nothing(fake: FakeProvider) -> None:
    fake.script(UPLOAD, behaviours.pause(after_body_bytes=150))
    body = multipart_body(b"x" * 1000)
    with connect(fake) as client:
        client.sendall(request_head(f"Content-Length: {len(body) + 1}") + body)
        fake.wait_until_paused()
    fake.release()
    fake.wait_until_idle()
    [record] = fake.requests
    assert (record.body_bytes, record.body_complete, record.status) == (len(body), False, None)
    assert fake.store("openai") == []


def test_a_paused_upload_goes_on_after_release(fake: FakeProvider) -> None:
    fake.script(UPLOAD, behaviours.pause(after_body_bytes=150))
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(upload(fake)))
    thread.start()
    fake.wait_until_paused()
    assert fake.requests[0].body_bytes == 150
    assert fake.store("openai") == []
    fake.release()
    thread.join(TIMEOUT)
    assert answers[0].status_code == 200
    assert fake.store("openai")[0].content() == LINE


def test_a_hanging_answer_waits_for_release(fake: FakeProvider) -> None:
    fake.script(UPLOAD, behaviours.hang(stored=True))
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(upload(fake)))
    thread.start()
    fake.wait_until_paused()
    assert answers == []
    assert len(fake.store("openai")) == 1
    fake.release()
    thread.join(TIMEOUT)
    assert answers[0].status_code == 200


def test_waiting_for_a_pause_that_does_not_come_ends(fake: FakeProvider) -> None:
    with pytest.raises(TimeoutError):
        fake.wait_until_paused(timeout_seconds=0.01)


# What the answer says


@pytest.mark.parametrize("retry_after", ["3", "1.5", "-1", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after_is_sent_as_it_stands(fake: FakeProvider, retry_after: str) -> None:
    fake.script(UPLOAD, behaviours.fail(429, retry_after=retry_after, retry_after_ms="20"))
    answer = upload(fake)
    assert answer.headers["Retry-After"] == retry_after
    assert answer.headers["retry-after-ms"] == "20"


@pytest.mark.parametrize("status", [401, 403, 404, 409, 413, 423, 429, 500, 502, 503, 529])
def test_failures_come_in_the_shape_of_the_dialect(fake: FakeProvider, status: int) -> None:
    fake.script({}, behaviours.fail(status))
    answer = requests.get(f"{fake.url('anthropic')}/v1/files", timeout=TIMEOUT)
    assert answer.status_code == status
    assert answer.json()["type"] == "error"


@pytest.mark.parametrize("stored", [False, True])
def test_successes_can_be_nonsense(fake: FakeProvider, stored: bool) -> None:
    fake.script(UPLOAD, behaviours.html(stored=stored))
    fake.script(UPLOAD, behaviours.garbage(stored=stored))
    fake.script(UPLOAD, behaviours.success_with_error(stored=stored))
    assert upload(fake).text.startswith("<!doctype html>")
    with pytest.raises(ValueError, match=r"utf-8|JSON|char"):
        upload(fake).json()
    assert "error" in upload(fake).json()
    assert len(fake.store("openai")) == (3 if stored else 0)


def test_answers_can_be_patched(fake: FakeProvider) -> None:
    fake.script(UPLOAD, behaviours.without_id())
    fake.script(UPLOAD, behaviours.patched({"id": 7, "bytes": math.nan, "object": "list"}))
    fake.script(UPLOAD, behaviours.patched({"filename": "../../etc/passwd\r\nX: y"}))
    fake.script(UPLOAD, behaviours.huge_json(5_000_000))
    assert "id" not in upload(fake).json()
    odd = upload(fake)
    assert (odd.json()["id"], odd.json()["object"]) == (7, "list")
    assert '"bytes": NaN' in odd.text
    assert upload(fake).json()["filename"].startswith("../../")
    assert len(upload(fake).content) > 5_000_000
    assert len(fake.store("openai")) == 4


def test_two_uploads_can_be_given_one_id(fake: FakeProvider) -> None:
    fake.script({**UPLOAD, "times": 2}, behaviours.patched({"id": "file-twice"}))
    assert upload(fake).json()["id"] == upload(fake).json()["id"] == "file-twice"
    assert len(fake.store("openai")) == 2


def test_a_delete_can_be_denied_politely(fake: FakeProvider) -> None:
    stored = fake.add_file("openai", filename="a")
    fake.script({"method": "DELETE"}, behaviours.not_deleted(stored.remote_id))
    url = f"{fake.url('openai')}/files/{stored.remote_id}"
    assert requests.delete(url, headers=BEARER, timeout=TIMEOUT).json()["deleted"] is False
    assert len(fake.store("openai")) == 1


def test_a_redirect_points_to_another_host(fake: FakeProvider) -> None:
    fake.script(UPLOAD, behaviours.redirect(f"{fake.storage_root}/openai/x"))
    answer = upload(fake)
    assert (answer.status_code, answer.headers["Location"]) == (307, f"{fake.storage_root}/openai/x")


# How the answer travels


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_cut_download_can_be_noticed(fake: FakeProvider, framing: str) -> None:
    fake.script(CONTENT, behaviours.cut_answer(10, framing="length" if framing == "length" else "chunked"))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        download(fake, b"x" * 1000)


def test_a_cut_download_without_framing_looks_complete(fake: FakeProvider) -> None:
    fake.script(CONTENT, behaviours.cut_answer(10, framing="close"))
    assert download(fake, b"x" * 1000).content == b"x" * 10


def test_a_download_can_be_shorter_than_the_file(fake: FakeProvider) -> None:
    fake.script(CONTENT, behaviours.shortened_answer(10))
    answer = download(fake, b"x" * 1000)
    assert (answer.headers["Content-Length"], answer.content) == ("10", b"x" * 10)


def test_a_slow_answer_is_whole(fake: FakeProvider) -> None:
    fake.script(CONTENT, behaviours.slow_drip(piece_bytes=7, seconds=0.001))
    assert download(fake, LINE * 3).content == LINE * 3


def test_a_gzip_bomb_is_small_on_the_wire(fake: FakeProvider) -> None:
    fake.script(CONTENT, behaviours.gzip_bomb(10 * 1024 * 1024))
    answer = download(fake, b"x")
    assert int(answer.headers["Content-Length"]) < 100_000
    assert len(answer.content) == 10 * 1024 * 1024


# Which request meets it


def test_behaviours_are_used_in_order_and_used_up(fake: FakeProvider) -> None:
    fake.script({**UPLOAD, "skip": 1}, behaviours.fail(500))
    fake.script({**UPLOAD, "path": "^/groq/", "times": None}, behaviours.fail(503))
    assert [upload(fake).status_code for _ in range(3)] == [200, 500, 200]
    assert fake.unused_behaviours() == 0
    assert [upload(fake, "groq").status_code for _ in range(2)] == [503, 503]


def test_a_misspelt_match_is_an_error(fake: FakeProvider) -> None:
    with pytest.raises(ValueError, match="verb"):
        fake.script({"verb": "GET"}, behaviours.html())  # type: ignore[typeddict-unknown-key]


# Bodies


def test_a_body_without_its_closing_boundary_is_refused(fake: FakeProvider) -> None:
    body = multipart_body(is_closed=False)
    with connect(fake) as client:
        client.sendall(request_head(f"Content-Length: {len(body)}") + body)
        assert answered_status(client) == 400
    assert fake.store("openai") == []


def test_a_cut_chunked_body_is_not_stored(fake: FakeProvider) -> None:
    body = multipart_body()
    with connect(fake) as client:
        client.sendall(request_head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (len(body), body))
        client.shutdown(socket.SHUT_WR)
        assert client.recv(4096) == b""
    fake.wait_until_idle()
    assert not fake.requests[0].body_complete
    assert fake.store("openai") == []


def test_a_connection_is_kept_for_the_next_request(fake: FakeProvider) -> None:
    body = multipart_body()
    chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    with connect(fake) as client:
        client.sendall(request_head("Transfer-Encoding: chunked") + chunked)
        assert answered_status(client) == 200
        client.sendall(request_head(f"Content-Length: {len(body)}") + body)
        assert answered_status(client) == 200
    assert [stored.content() for stored in fake.store("openai")] == [LINE, LINE]


def test_100_continue_is_sent_only_when_the_body_is_wanted(fake: FakeProvider) -> None:
    body = multipart_body()
    head = request_head(f"Content-Length: {len(body)}\r\nExpect: 100-continue")
    fake.script({**UPLOAD, "skip": 1}, behaviours.fail(413, after_body_bytes=0))
    with connect(fake) as client:
        client.sendall(head)
        assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert answered_status(client) == 200
        client.sendall(head)
        assert answered_status(client) == 413


def test_requests_are_recorded_part_by_part(fake: FakeProvider) -> None:
    upload(fake)
    [record] = fake.requests
    assert (record.dialect, record.method, record.path) == ("openai", "POST", "/openai/v1/files")
    assert [(part.name, part.filename, part.text) for part in record.parts] == [
        ("purpose", None, "batch"),
        ("file", "a.jsonl", ""),
    ]
    assert record.parts[1].sha256 == fake.store("openai")[0].sha256
    assert record.headers.get("authorization") == f"Bearer {VALID_KEY}"
    assert record.first_body_byte_at is not None
    assert record.status == 200
    json.dumps(record.to_json())


def test_discarded_uploads_keep_size_and_digest() -> None:
    size = 48 * 1024 * 1024

    def body() -> Iterator[bytes]:
        whole = multipart_body(b"?")
        head, tail = whole.split(b"?")
        yield head
        for _ in range(48):
            yield b"x" * (1024 * 1024)
        yield tail

    headers = {**BEARER, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    with FakeProvider(discard_bytes=True) as fake:
        url = f"{fake.url('openai')}/files"
        assert requests.post(url, headers=headers, data=body(), timeout=TIMEOUT).json()["bytes"] == size
        [stored] = fake.store("openai")
        assert stored.size_bytes == size
        with pytest.raises(ContentDiscardedError):
            stored.content()
