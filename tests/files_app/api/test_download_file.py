"""GET and HEAD /files/{id}/content"""

from __future__ import annotations

import hashlib
import itertools
import re
from datetime import timedelta
from threading import BoundedSemaphore

import pytest
import time_machine
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from files_app.models import File, FileCopy, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.shares import held_places
from files_app.services.reading import downloads
from providers import patience
from providers.exceptions import ProviderTimeoutError, ProviderUnavailableError
from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.files_app.cast import Tenant, make_account
from tests.files_app.forms import file_part, purpose_part

CONTENT = bytes(range(256)) * 40
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


@pytest.fixture
def path(acme: Tenant) -> str:
    return f"/files/{acme.api.create(CONTENT)['id']}/content"


@pytest.fixture
def remote_path(remote: Tenant) -> str:
    return f"/files/{remote.api.create(CONTENT, 'vision', 'a.png')['id']}/content"


def test_it_answers_the_bytes_under_safe_headers(acme: Tenant, path: str) -> None:
    reply = acme.api.get(path)
    assert (reply.status, reply.body) == (200, CONTENT)
    assert reply.headers["Content-Length"] == str(len(CONTENT))
    assert reply.headers["Content-Disposition"] == 'attachment; filename="a.txt"'
    assert reply.headers["ETag"] == ETAG
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert reply.headers["Cache-Control"] == "private, no-store"
    assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_it_answers_the_providers_bytes(remote: Tenant, remote_path: str, fake: FakeProvider) -> None:
    assert remote.api.get(remote_path).body == CONTENT
    assert fake.requests[-1].headers.get("Accept-Encoding") == "identity"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("application/javascript", "application/octet-stream"),
        ("text/plain; charset=utf-7", "application/octet-stream"),
        ("text/plain", "application/octet-stream"),
        ("text/csv", "application/octet-stream"),
        ("text/html; charset=utf-8", "application/octet-stream"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ('Text/CSV;charset="UTF-16"; header=present', "text/csv; charset=utf-16"),
        ("application/json", "application/json"),
        ("application/pdf", "application/pdf"),
        ("multipart/x", "application/octet-stream"),
    ],
)
def test_no_browser_runs_what_was_uploaded(acme: Tenant, sent: str, shown: str) -> None:
    parts = [purpose_part(), file_part(b"<script>alert(1)</script>", "x.html", content_type=sent)]
    reply = acme.api.get(f"/files/{acme.api.create(parts=parts)['id']}/content")
    assert reply.headers["Content-Type"] == shown
    assert reply.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "name", ["ü.txt", "a b.txt", 'a"; x=y.txt', "a\\b.txt", "% 41.txt", "🎉.txt", "<b>.html", "upload"]
)
def test_names_cannot_break_out_of_the_header(acme: Tenant, name: str) -> None:
    created = acme.api.create(parts=[purpose_part(), file_part(filename=name.replace('"', "%22"))])
    header = acme.api.get(f"/files/{created['id']}/content").headers["Content-Disposition"]
    assert re.fullmatch(
        r"attachment; filename=\"[ !#-$&-.0-\[\]-~]+\"(; filename\*=utf-8''[A-Za-z0-9!#$&+.^_`|~%-]+)?",
        header,
    )


def test_a_name_that_got_into_the_index_otherwise_cannot_split_the_answer(acme: Tenant, path: str) -> None:
    File.objects.update(filename="a\r\nSet-Cookie: x=y\u202e.txt")
    header = acme.api.get(path).headers["Content-Disposition"]
    assert header.startswith("attachment; filename=\"a__Set-Cookie: x=y_.txt\"; filename*=utf-8''a%0D%0A")
    assert header.isascii()


def test_a_jsonl_file_is_no_json_document(acme: Tenant) -> None:
    """Clients parse what says that it is JSON."""
    parts = [purpose_part("evals"), file_part(b"{}\n{}\n", "a.JSONL", content_type="application/json")]
    reply = acme.api.get(f"/files/{acme.api.create(parts=parts)['id']}/content")
    assert reply.headers["Content-Type"] == "application/jsonl"


def test_the_type_of_a_text_survives_a_rebuilt_index(acme: Tenant) -> None:
    parts = [purpose_part(), file_part("ü".encode(), "a.txt", content_type="text/plain; charset=UTF-8")]
    created = acme.api.create(parts=parts)
    remote = driver_for(ProviderAccount.objects.get(name="local")).retrieve_file(
        FileCopy.objects.get().remote_id
    )
    assert created["bytes"] == 2
    assert remote.content_type == "text/plain; charset=utf-8"


def test_ranges_are_announced(remote: Tenant, remote_path: str) -> None:
    path = f"/files/{remote.api.create(CONTENT, account='local')['id']}/content"
    for asked, ranges in ((path, "bytes"), (remote_path, "none")):
        for method in ("GET", "HEAD"):
            assert remote.api.request(method, asked).headers["Accept-Ranges"] == ranges
    part = remote.api.get(path, headers={"Range": "Bytes=1-3"})
    assert (part.status, part.body, part.headers["Accept-Ranges"]) == (206, CONTENT[1:4], "bytes")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.none() | st.integers(0, len(CONTENT) + 5),
    last=st.none() | st.integers(0, len(CONTENT) + 5),
)
def test_ranges(acme: Tenant, first: int | None, last: int | None) -> None:
    file = File.objects.first()
    file_id = file.file_id if file else acme.api.create(CONTENT)["id"]
    size = len(CONTENT)
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    reply = acme.api.get(f"/files/{file_id}/content", headers={"Range": header})
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        assert (reply.status, reply.body) == (200, CONTENT)
    elif (first is not None and first >= size) or (first is None and last == 0):
        assert reply.status == 416
        assert reply.headers["Content-Range"] == f"bytes */{size}"
        assert reply.error["code"] == "range_not_satisfiable"
    else:
        start = max(0, size - (last or 0)) if first is None else first
        end = size if first is None or last is None else min(size, last + 1)
        assert (reply.status, reply.body) == (206, CONTENT[start:end])
        assert reply.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert reply.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize(
    "header", ["bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=", "", "bytes=-", "x" * 10_000]
)
def test_a_range_that_is_not_understood_is_ignored(acme: Tenant, path: str, header: str) -> None:
    reply = acme.api.get(path, headers={"Range": header})
    assert (reply.status, reply.body) == (200, CONTENT)


def test_a_range_of_a_provider_without_ranges_gives_the_whole(
    remote: Tenant, remote_path: str, fake: FakeProvider
) -> None:
    for asked in ("bytes=5-9", f"bytes={len(CONTENT)}-"):
        reply = remote.api.get(remote_path, headers={"Range": asked})
        assert (reply.status, reply.body) == (200, CONTENT)
        assert reply.headers["Content-Length"] == str(len(CONTENT))


def test_head_answers_what_a_download_would(remote: Tenant, remote_path: str, fake: FakeProvider) -> None:
    download = remote.api.get(remote_path)
    asked = len(fake.requests)
    head = remote.api.head(remote_path)
    assert (head.status, head.body) == (200, b"")
    for name in (
        "Accept-Ranges",
        "Content-Length",
        "Content-Type",
        "Content-Disposition",
        "ETag",
        "X-Content-Type-Options",
    ):
        assert head.headers[name] == download.headers[name]
    assert len(fake.requests) == asked


def test_head_of_what_its_provider_never_gives_back(acme: Tenant, fake: FakeProvider) -> None:
    options = {"base_url": fake.url("openai"), "flavor": "ark"}
    make_account(
        acme.organization,
        "ark",
        "openai-compatible",
        options=options,
        credentials={"api_key": VALID_KEY},
        list_freshness_seconds=None,
    )
    path = f"/files/{acme.api.create(account='ark')['id']}/content"
    assert acme.api.get(path).error["code"] == "unsupported_operation"
    assert acme.api.head(path).status == 400


def test_head_promises_no_length_where_the_provider_gives_another_text_back(
    acme: Tenant, fake: FakeProvider
) -> None:
    make_account(
        acme.organization,
        "kimi",
        "openai-compatible",
        options={"base_url": fake.url("openai"), "flavor": "moonshot"},
        credentials={"api_key": VALID_KEY},
        list_freshness_seconds=None,
    )
    line = b'{"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {}}'
    created = acme.api.create(line, "batch", "a.jsonl", account="kimi")
    head = acme.api.head(f"/files/{created['id']}/content")
    assert (head.status, head.headers.get("Content-Length")) == (200, None)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (ETAG, 304),
        (f'"other", {ETAG}', 304),
        (f"W/{ETAG}", 304),
        ("*", 304),
        ('"other"', 200),
        ("", 200),
        (ETAG.strip('"'), 200),
    ],
)
def test_a_client_that_has_the_bytes_is_told_so(
    remote: Tenant, remote_path: str, fake: FakeProvider, header: str, status: int
) -> None:
    asked = len(fake.requests)
    reply = remote.api.get(remote_path, headers={"If-None-Match": header})
    assert (reply.status, reply.headers["ETag"]) == (status, ETAG)
    assert reply.body == (CONTENT if status == 200 else b"")
    assert len(fake.requests) == asked + (status == 200)
    assert reply.headers["Cache-Control"] == "private, no-store"
    assert reply.headers.get("Content-Length") == (str(len(CONTENT)) if status == 200 else None)
    assert remote.api.request("HEAD", remote_path, headers={"If-None-Match": header}).status == status


@pytest.mark.parametrize(
    ("validator", "status"),
    [(ETAG, 206), ('"other"', 200), (f"W/{ETAG}", 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)],
)
def test_a_range_of_other_bytes_is_the_whole_file(
    path: str, acme: Tenant, validator: str, status: int
) -> None:
    reply = acme.api.get(path, headers={"Range": "bytes=1-3", "If-Range": validator})
    assert (reply.status, reply.body) == (status, CONTENT[1:4] if status == 206 else CONTENT)


def test_a_client_that_leaves_closes_the_providers_connection(remote: Tenant, fake: FakeProvider) -> None:
    planted = fake.add_file("openai", filename="big.bin", purpose="batch", content=bytes(48 * 2**20))
    with remote.api.open("GET", f"/files/{planted.remote_id}/content") as reply:
        assert reply.status == 200
        assert len(next(reply.chunks)) > 0
    fake.wait_until_idle()  # the fake can only be done when its connection is closed


def test_a_download_that_breaks_off_is_no_short_success(
    remote: Tenant, remote_path: str, fake: FakeProvider
) -> None:
    for behaviour in (
        behaviours.cut_answer(5000),
        behaviours.cut_answer(5000, framing="chunked"),
        behaviours.cut_answer(5000, framing="close"),
    ):
        fake.script({"path": "/content$"}, behaviour)
        with remote.api.open("GET", remote_path) as reply:
            assert (reply.status, reply.headers["Content-Length"]) == (200, str(len(CONTENT)))
            with pytest.raises(ProviderUnavailableError):
                list(reply.chunks)


def test_a_provider_that_offers_other_bytes_is_refused_before_the_success(
    remote: Tenant, remote_path: str, fake: FakeProvider
) -> None:
    fake.script({"path": "/content$"}, behaviours.shortened_answer(5000))
    reply = remote.api.get(remote_path)
    assert (reply.status, reply.error["code"]) == (502, "bad_provider_response")


def test_a_file_that_its_provider_lost(remote: Tenant, remote_path: str, fake: FakeProvider) -> None:
    fake.remove_file("openai", fake.store("openai")[0].remote_id)
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        reply = remote.api.get(remote_path)
    assert (reply.status, reply.error["code"]) == (404, "file_missing_at_provider")
    assert remote.api.get(remote_path.removesuffix("/content")).status == 200


def test_a_young_file_that_is_shown_late_is_asked_for_again(
    remote: Tenant, remote_path: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.001)
    fake.script({"path": "/content$", "times": 3}, behaviours.fail(404))
    reply = remote.api.get(remote_path)
    assert (reply.status, reply.body) == (200, CONTENT)


def test_a_young_file_that_is_not_shown_is_no_missing_one(
    remote: Tenant, remote_path: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ASK_AGAIN_SECONDS", 0.01)
    fake.script({"path": "/content$", "times": None}, behaviours.fail(404))
    reply = remote.api.get(remote_path)
    assert (reply.status, reply.error["code"]) == (504, "provider_timeout")
    assert "does not show it yet" in reply.error["message"]


def test_few_wait_for_what_is_shown_late(
    remote: Tenant, remote_path: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them holds a thread; the others are told at once."""
    taken = BoundedSemaphore(1)
    taken.acquire()
    monkeypatch.setattr(downloads, "_LATE", taken)
    fake.script({"path": "/content$", "times": None}, behaviours.fail(404))
    asked = len(fake.requests)
    reply = remote.api.get(remote_path)
    assert (reply.status, reply.error["code"]) == (504, "provider_timeout")
    assert len(fake.requests) == asked + 1


def test_what_the_provider_refuses_keeps_its_status_and_words(remote: Tenant) -> None:
    file_id = remote.api.create(CONTENT, "user_data")["id"]
    reply = remote.api.get(f"/files/{file_id}/content")
    assert reply.status == 400
    assert "Not allowed to download files of purpose: user_data" in str(reply.error["message"])


def test_a_switched_off_account_serves_nothing(remote: Tenant, remote_path: str) -> None:
    remote.switch_off_accounts()
    reply = remote.api.get(remote_path)
    assert (reply.status, reply.error["code"]) == (403, "provider_account_disabled")


def test_bytes_are_passed_on_as_they_come(remote: Tenant, remote_path: str, fake: FakeProvider) -> None:
    fake.script({"path": "/content$"}, behaviours.slow_drip(4000, 20.0))
    with remote.api.open("GET", remote_path) as reply:
        sizes = []
        for _ in itertools.repeat(0, 3):
            sizes.append(len(next(reply.chunks)))
            fake.release()
        assert sizes[0] == 4000


def test_a_provider_that_drips_is_broken_off(remote: Tenant, fake: FakeProvider, settings: Settings) -> None:
    file_id = remote.api.create(b"0123456789" * 10, purpose="evals")["id"]
    settings.PROVIDER_READ_TIMEOUT_SECONDS = 1
    fake.script({"path": "/content$"}, behaviours.slow_drip(1, 0.4))
    with remote.api.open("GET", f"/files/{file_id}/content") as reply:
        taken = []
        with pytest.raises(ProviderTimeoutError):
            taken.extend(reply.chunks)
    assert len(b"".join(taken)) < 10
    fake.release()
    assert held_places() == 0
