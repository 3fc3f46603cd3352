"""POST /files"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import repeat

import pytest
import time_machine
from django.utils import timezone
from pytest_django import Settings

from files_app.models import ApiKey, File, Organization
from files_app.services.index.callers import system_caller
from files_app.services.tenants import keys
from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, deliver_deletes, make_account, on_disk, openai_account
from tests.files_app.client import Reply, assert_is_ours, breaking, with_side_effect
from tests.files_app.forms import Feed, Part, encode, expiry_parts, file_part, purpose_part

LINE = json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {}}).encode() + b"\n"
FORM = encode([purpose_part(), file_part(b"x" * 3000)])


def test_it_answers_with_the_file_object(acme: Tenant) -> None:
    created = acme.api.create(b"hello", filename="greeting.txt")
    row = File.objects.get()
    assert created == {
        "id": row.file_id,
        "object": "file",
        "bytes": 5,
        "created_at": int(row.created_at.timestamp()),
        "expires_at": None,
        "filename": "greeting.txt",
        "purpose": "user_data",
        "status": "processed",
        "status_details": None,
        "provider": "local",
        "sha256": hashlib.sha256(b"hello").hexdigest(),
    }
    assert counters(acme.organization) == (5, 0, 1)


@pytest.mark.parametrize("status", [405, 411, 431])
def test_a_provider_that_wants_to_be_asked_otherwise_is_no_fault_of_the_client(
    remote: Tenant, fake: FakeProvider, status: int
) -> None:
    fake.script({"method": "POST"}, behaviours.fail(status, after_body_bytes=0))
    reply = remote.api.upload()
    assert_is_ours(reply, 502)
    assert reply.error["type"] == "server_error"
    assert reply.headers["x-should-retry"] == "false"


def test_a_server_that_takes_no_chunked_body_gets_a_length(acme: Tenant, fake: FakeProvider) -> None:
    options = {"base_url": fake.url("openai"), "content_length": True, "expires_after": "pass"}
    make_account(
        acme.organization, "plain", "openai-compatible", options=options, credentials={"api_key": VALID_KEY}
    )
    late = [file_part(b"hello"), purpose_part(), *expiry_parts(7200)]
    reply = acme.api.upload(parts=late, account="plain", length=None)
    assert reply.status == 200
    (sent,) = fake.requests
    assert sent.part_names == ["purpose", "expires_after[anchor]", "expires_after[seconds]", "file"]
    assert sent.headers.get("Transfer-Encoding") is None
    assert int(sent.headers.get("Content-Length") or 0) > len(b"hello")


def test_ids_of_files_on_disk_cannot_be_guessed(acme: Tenant) -> None:
    ids = {acme.api.create()["id"] for _ in range(20)}
    assert len(ids) == 20
    for file_id in ids:
        assert len(file_id) == 31
        assert set(file_id.removeprefix("file-")) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_a_file_at_a_provider_keeps_the_providers_id(remote: Tenant, fake: FakeProvider) -> None:
    created = remote.api.create(b"hello", filename="greeting.txt")
    (stored,) = fake.store("openai")
    assert created["id"] == stored.remote_id
    assert (stored.filename, stored.purpose, stored.content()) == ("greeting.txt", "user_data", b"hello")
    assert created["provider"] == "openai"


@pytest.mark.parametrize("length", ["declared", None])
@pytest.mark.parametrize("file_first", [True, False])
def test_fields_reach_the_provider_in_the_order_of_the_client_unless_all_are_there(
    remote: Tenant, fake: FakeProvider, file_first: bool, length: str | None
) -> None:
    """A small body is read whole: its fields go first, as every server takes them, and its length with it."""
    fields = [purpose_part("batch"), *expiry_parts(7200)]
    file = file_part(LINE, "b.jsonl")
    form = encode([file, *fields] if file_first else [*fields, file])
    reply = remote.api.upload_body([form], length=len(form) if length else None)
    created = reply.json()
    assert created["expires_at"] == created["created_at"] + 7200
    names = ["purpose", "expires_after[anchor]", "expires_after[seconds]"]
    is_as_it_came = file_first and length is None
    assert fake.requests[-1].part_names == (["file", *names] if is_as_it_came else [*names, "file"])
    assert (fake.requests[-1].headers.get("Content-Length") is None) == (length is None)


@pytest.mark.parametrize("name", ["märz 🎉.txt", 'quote%22d".txt', "semi;colon.txt", "per%41cent.txt"])
def test_file_names_survive_the_way_to_the_provider(remote: Tenant, fake: FakeProvider, name: str) -> None:
    created = remote.api.create(parts=[purpose_part(), file_part(filename=name.replace('"', "%22"))])
    assert created["filename"] == fake.store("openai")[0].filename.replace("%22", '"')
    assert created["filename"] == name.replace("%22", '"')


def test_a_part_without_a_file_name_but_with_a_type_is_a_file(acme: Tenant) -> None:
    raw = Part("file", b"raw bytes", content_type="application/octet-stream")
    created = acme.api.create(parts=[purpose_part(), raw])
    assert (created["filename"], created["bytes"]) == ("upload", 9)


@pytest.mark.parametrize(
    "parameters",
    [
        # .NET and Spring
        "filename=\"=?utf-8?B?5rWL6K+VLmpzb25s?=\"; filename*=utf-8''%E6%B5%8B%E8%AF%95.jsonl",
        "filename*=utf-8''%E6%B5%8B%E8%AF%95.jsonl",  # urllib3 before 1.25
    ],
)
def test_a_batch_file_may_have_a_name_in_any_spelling(
    remote: Tenant, fake: FakeProvider, parameters: str
) -> None:
    file = Part("file", LINE, disposition=f'form-data; name="file"; {parameters}')
    assert remote.api.create(parts=[purpose_part("batch"), file])["filename"] == "测试.jsonl"
    assert fake.store("openai")[0].filename == "测试.jsonl"


@pytest.mark.parametrize(
    ("account", "words"),
    [("openai", "needs a name that ends in .jsonl"), ("nebius", "Invalid extension")],  # ours, and the fake's
)
def test_bytes_without_an_extension_are_refused_where_the_provider_is_known_to(
    remote: Tenant, fake: FakeProvider, account: str, words: str
) -> None:
    options = {"base_url": fake.url("openai"), "flavor": "nebius"}
    make_account(
        remote.organization,
        "nebius",
        "openai-compatible",
        options=options,
        credentials={"api_key": VALID_KEY},
    )
    refused = remote.api.upload(b"{}\n", "fine-tune", "upload", account=account)
    assert words in str(refused.error["message"])


@pytest.mark.parametrize("seconds", [3600, 2_592_000])
def test_expiry_is_kept_by_the_gateway_where_the_provider_has_none(acme: Tenant, seconds: int) -> None:
    created = acme.api.create(parts=[*expiry_parts(seconds), purpose_part(), file_part()])
    assert created["expires_at"] == created["created_at"] + seconds


@pytest.mark.parametrize(
    ("driver", "options", "least", "most"),
    [
        ("anthropic", {}, 3_600, 90 * 86_400),
        ("openai-compatible", {"flavor": "ark"}, 86_400, 30 * 86_400),
        ("azure-openai", {}, 14 * 86_400, 30 * 86_400),
        ("azure-openai", {"min_expiry_seconds": 259_200}, 259_200, 30 * 86_400),
    ],
)
def test_the_bounds_of_expiry_are_the_providers(
    acme: Tenant, fake: FakeProvider, driver: str, options: dict[str, object], least: int, most: int
) -> None:
    dialect, setting = {
        "anthropic": ("anthropic", "base_url"),
        "openai-compatible": ("ark", "base_url"),
        "azure-openai": ("azure_v1", "endpoint"),
    }[driver]
    url = f"{fake.root}/azure" if driver == "azure-openai" else fake.url(dialect)
    make_account(
        acme.organization,
        "away",
        driver,
        options={setting: url, **options},
        credentials={"api_key": VALID_KEY},
    )
    (shown,) = (each for each in acme.api.get("/providers").json()["data"] if each["name"] == "away")
    assert (shown["expires_after"]["min_seconds"], shown["expires_after"]["max_seconds"]) == (least, most)
    for seconds in (least - 1, most + 1):
        reply = acme.api.upload(parts=[*expiry_parts(seconds), purpose_part(), file_part()], account="away")
        assert (reply.status, reply.error["param"]) == (400, "expires_after[seconds]")
    assert not fake.requests
    created = acme.api.create(parts=[purpose_part(), *expiry_parts(most), file_part()], account="away")
    assert abs(created["expires_at"] - created["created_at"] - most) < 60


def test_expiry_counts_from_the_end_of_a_slow_upload(acme: Tenant) -> None:
    form = encode([*expiry_parts(3600), purpose_part(), file_part()])
    with time_machine.travel(timezone.now(), tick=False) as clock:
        body = with_side_effect(form, 100, lambda: clock.shift(120))
        created = acme.api.upload_body(body, length=len(form)).json()
    assert created["expires_at"] == created["created_at"] + 3600


def test_metadata_is_stored_and_shown(acme: Tenant) -> None:
    metadata = json.dumps({"team": "search", "ü": "ä"}, ensure_ascii=False).encode().decode("latin-1")
    created = acme.api.create(headers={"x-tfy-metadata": metadata})
    assert created["metadata"] == {"team": "search", "ü": "ä"}
    assert acme.api.get(f"/files/{created['id']}").json() == created


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "null",
        "[]",
        "{",
        '"text"',
        '{"a": 1}',
        '{"a": null}',
        '{"a": {"b": "c"}}',
        '{"": "empty key"}',
        '{"a": "\\u0000"}',
        json.dumps({"k" * 65: "v"}),
        json.dumps({"k": "v" * 129}),
        json.dumps({f"k{n}": "v" for n in range(17)}),
        "[" * 100_000,
        '{"a": "\xff"}',
    ],
)
def test_bad_metadata_is_refused_before_the_body_is_read(acme: Tenant, metadata: str) -> None:
    feed = Feed(iter([FORM]))
    reply = acme.api.upload_body(FORM, headers={"x-tfy-metadata": metadata}, feed=feed)
    assert (reply.status, reply.error["param"]) == (400, "x-tfy-metadata")
    assert feed.taken == 0


def test_the_edges_of_metadata_are_inside(acme: Tenant) -> None:
    metadata = {f"{n:02}".ljust(64, "k"): "v" * 128 for n in range(16)}
    assert acme.api.create(headers={"x-tfy-metadata": json.dumps(metadata)})["metadata"] == metadata


@pytest.mark.parametrize("metadata", ['{"a": "\\ud800"}', '{"\\udfff": "a"}'])
def test_metadata_that_no_database_can_hold_is_refused(acme: Tenant, metadata: str) -> None:
    reply = acme.api.upload(headers={"x-tfy-metadata": metadata})
    assert (reply.status, reply.error["param"]) == (400, "x-tfy-metadata")


@pytest.mark.parametrize(
    "content_type",
    [
        *("", "x", "application/json", "application/x-www-form-urlencoded", "multipart/form-data"),
        "multipart/form-data; boundary=" + "b" * 71,
    ],
)
def test_a_body_that_is_no_form_is_refused(acme: Tenant, content_type: str) -> None:
    reply = acme.api.post("/files", headers={"Content-Type": content_type}, body=b'{"purpose": "x"}')
    assert_is_ours(reply, 400)
    assert reply.error["param"] == "Content-Type"
    assert not File.objects.exists()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"not a form", None),
        (FORM.replace(b"\r\n", b"\n"), None),
        (encode([purpose_part()]), "file"),
        (encode([file_part()]), "purpose"),
        (encode([purpose_part("nonsense"), file_part()]), "purpose"),
        (encode([file_part(), purpose_part("nonsense")]), "purpose"),
        (encode([purpose_part(), purpose_part(), file_part()]), "purpose"),
        (encode([purpose_part(), file_part(), file_part()]), "file"),
        (encode([purpose_part(), Part("file", b"[object Object]")]), "file"),
        (encode([purpose_part(), file_part(b"")]), "file"),
        (encode([purpose_part(), Part("model", b"x"), file_part()]), "model"),
        (encode([purpose_part(), expiry_parts()[0], file_part()]), "expires_after"),
        (encode([purpose_part(), file_part(), *expiry_parts(1)]), "expires_after[seconds]"),
        (encode([purpose_part("batch"), file_part(LINE, "a.json")]), "file"),
        (encode([file_part(LINE, "a.json"), purpose_part("batch")]), "file"),
        (encode([purpose_part("batch"), file_part(b"{}", "a.jsonl")]), "file"),
        (encode([file_part(b"{}", "a.jsonl"), purpose_part("batch")]), "file"),
    ],
)
def test_a_refused_form_leaves_nothing_behind(
    remote: Tenant, fake: FakeProvider, body: bytes, param: str | None
) -> None:
    reply = remote.api.upload_body(body)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert fake.store("openai") == []
    assert counters(remote.organization) == (0, 0, 0)
    assert remote.api.listed()["data"] == []
    assert not File.objects.exists()


@pytest.mark.parametrize(
    "form",
    [
        encode([purpose_part("vision"), file_part()]),
        encode([purpose_part("nonsense"), file_part()]),
        encode([purpose_part("batch"), file_part(LINE, "a.txt")]),
    ],
)
def test_what_the_provider_could_not_take_is_refused_before_any_request(
    remote: Tenant, fake: FakeProvider, form: bytes
) -> None:
    openai_account(remote.organization, fake, "groq", driver="groq")
    assert remote.api.upload_body(form, account="groq").status == 400
    assert fake.requests == []


def test_a_file_over_a_known_limit_is_refused_before_any_request(remote: Tenant, fake: FakeProvider) -> None:
    feed = Feed(iter([FORM]))
    reply = remote.api.upload_body(FORM, feed=feed, length=512 * 2**20 + 65_537)
    assert (reply.status, reply.error["code"]) == (413, "file_too_large")
    assert "536,870,912" in str(reply.error["message"])
    assert reply.headers["x-should-retry"] == "false"
    assert (feed.taken, fake.requests) == (0, [])
    assert counters(remote.organization) == (0, 0, 0)


def test_a_key_that_is_no_good_is_refused_before_the_body_is_read(remote: Tenant, fake: FakeProvider) -> None:
    for key in ("", "wrong", "Bearer", remote.api.key[:-1] + "x"):
        feed = Feed(repeat(b"x" * 65_536))
        client = type(remote.api)(key)
        reply = client.upload_body(b"", feed=feed, length=512 * 2**20)
        assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
        assert feed.taken == 0
    assert fake.requests == []


def test_an_encoded_body_is_refused(acme: Tenant) -> None:
    reply = acme.api.upload(headers={"Content-Encoding": "gzip"})
    assert (reply.status, reply.error["param"]) == (400, "Content-Encoding")


@pytest.mark.parametrize("length", ["-1", "1e3", "", "٣", "1" * 30])
def test_a_content_length_that_is_no_number(acme: Tenant, length: str) -> None:
    reply = acme.api.upload(headers={"Content-Length": length})
    assert reply.status in ({200} if length == "" else {400})


# -- limits, scaled down ---------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413), (999, 200), (1, 200), (0, 400)])
def test_the_file_limit_is_exact(
    remote: Tenant, fake: FakeProvider, size: int, status: int, declared: bool
) -> None:
    remote.set_limits(max_file_bytes=1000)
    form = encode([purpose_part(), file_part(b"x" * size)])
    reply = remote.api.upload_body([form], length=len(form) if declared else None)
    assert reply.status == status
    assert len(fake.store("openai")) == (1 if status == 200 else 0)
    assert counters(remote.organization)[:2] == ((size if status == 200 else 0), 0)


def test_an_upload_without_end_is_cut_off_at_the_limit(
    remote: Tenant, fake: FakeProvider, settings: Settings
) -> None:
    settings.MAX_FILE_BYTES = settings.REFUSED_BODY_BYTES = 2**20  # what is read behind the answer
    remote.set_limits(max_file_bytes=2**20)
    head = encode([purpose_part(), file_part(b"x")]).rsplit(b"x", 1)[0]

    def endless() -> Iterator[bytes]:
        yield head
        yield from repeat(b"x" * 65_536)

    feed = Feed(endless())
    reply = remote.api.upload_body(b"", feed=feed, length=None)
    assert (reply.status, reply.error["code"]) == (413, "file_too_large")
    assert feed.taken < 2 * 2**20
    assert feed.discarded == 2 * 2**20
    fake.wait_until_idle()
    assert fake.store("openai") == []
    assert counters(remote.organization) == (0, 0, 0)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 403)])
def test_the_quota_is_exact(
    remote: Tenant, fake: FakeProvider, size: int, status: int, declared: bool
) -> None:
    remote.set_limits(quota_bytes=1000)
    form = encode([purpose_part(), file_part(b"x" * size)])
    reply = remote.api.upload_body([form], length=len(form) if declared else None)
    assert reply.status == status
    assert len(fake.store("openai")) == (1 if status == 200 else 0)
    assert counters(remote.organization)[:2] == ((size if status == 200 else 0), 0)
    if status == 403:
        assert (reply.error["type"], reply.error["code"]) == ("insufficient_quota", "storage_quota_exceeded")
        assert "1,000 bytes" in str(reply.error["message"])
        assert reply.headers["x-should-retry"] == "false"


def test_the_number_of_files_is_exact(remote: Tenant, fake: FakeProvider) -> None:
    remote.set_limits(max_files=2)
    form = encode([purpose_part(), file_part(b"x" * 500)])
    meanwhile: list[str] = []
    body = with_side_effect(form, 200, lambda: meanwhile.extend(remote.api.create()["id"] for _ in range(2)))
    late = remote.api.upload_body(body, length=len(form))  # there was room for it when it began
    assert (late.status, late.error["code"]) == (403, "storage_quota_exceeded")
    refused = remote.api.upload()
    assert (refused.status, late.headers["x-should-retry"]) == (403, "false")
    assert "2 is as many as it may have" in str(refused.error["message"])
    assert counters(remote.organization) == (10, 0, 2)
    deliver_deletes()
    assert {stored.remote_id for stored in fake.store("openai")} == set(meanwhile)
    remote.api.delete(f"/files/{meanwhile[0]}")
    assert remote.api.upload().status == 200
    remote.set_limits(max_files=0)
    assert remote.api.upload().status == 200


def test_a_key_has_so_many_uploads_running_and_no_more(acme: Tenant, settings: Settings) -> None:
    settings.UPLOADS_AT_ONCE = 1
    others = acme.client()[0]
    form = encode([purpose_part(), file_part(b"x" * 500)])
    meanwhile: list[Reply] = []
    body = with_side_effect(form, 200, lambda: meanwhile.extend([acme.api.upload(), others.upload()]))
    assert acme.api.upload_body(body, length=len(form)).status == 200
    refused, of_another_key = meanwhile
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert int(refused.headers["Retry-After"]) > 0
    assert of_another_key.status == 200
    assert acme.api.upload(b"").status == 400
    assert acme.api.upload().status == 200  # a place is free again, also behind a failure


def test_a_full_quota_takes_no_more_and_a_delete_makes_room(acme: Tenant) -> None:
    acme.set_limits(quota_bytes=10)
    first = acme.api.create(b"123456")
    assert acme.api.upload(b"12345").status == 403
    acme.api.create(b"1234")
    assert acme.api.upload(b"1").status == 403
    acme.api.delete(f"/files/{first['id']}")
    acme.api.create(b"123456")
    assert counters(acme.organization) == (10, 0, 2)


def test_a_declared_length_over_the_quota_is_refused_before_the_body(acme: Tenant) -> None:
    acme.set_limits(quota_bytes=1000)
    feed = Feed(repeat(b"x" * 65_536))
    assert acme.api.upload_body(b"", feed=feed, length=200_000).status == 403
    assert feed.taken == 0


def test_an_upload_of_unknown_length_fits_into_what_is_left(acme: Tenant) -> None:
    size = 300_000
    acme.set_limits(quota_bytes=size)
    form = encode([purpose_part(), file_part(b"x" * size)])
    assert acme.api.upload_body([form], length=None).status == 200
    assert counters(acme.organization) == (size, 0, 1)


def test_two_uploads_at_once_share_what_is_left(acme: Tenant) -> None:
    acme.set_limits(quota_bytes=10)
    form = encode([purpose_part(), file_part(b"x" * 6)])
    replies: list[int] = []

    def arriving() -> Iterator[bytes]:
        yield form[:-30]
        replies.append(acme.api.upload(b"y" * 6).status)
        yield form[-30:]

    replies.append(acme.api.upload_body(arriving(), length=len(form)).status)
    assert sorted(replies) == [200, 403]
    assert counters(acme.organization) == (6, 0, 1)


@pytest.mark.parametrize("file_first", [True, False])
def test_batches_and_assistants_have_limits_of_their_own(
    acme: Tenant, settings: Settings, file_first: bool
) -> None:
    settings.BATCH_MAX_FILE_BYTES = len(LINE)
    settings.ASSISTANTS_MAX_TOKENS = 20

    def status(content: bytes, purpose: str, name: str) -> int:
        parts = [file_part(content, name), purpose_part(purpose)]
        return acme.api.upload(parts=parts if file_first else parts[::-1]).status

    assert status(LINE, "batch", "a.jsonl") == 200
    assert status(LINE + b"\n", "batch", "a.jsonl") == 413
    assert status(b"one " * 18, "assistants", "a.txt") == 200
    assert status(b"one " * 30, "assistants", "a.txt") == 400
    assert status(b"one " * 30, "user_data", "a.txt") == 200


def test_every_bad_line_is_named(acme: Tenant) -> None:
    content = LINE + b"{}\n" + b"[]\n" + LINE
    reply = acme.api.upload(content, "batch", "a.jsonl")
    assert reply.status == 400
    for words in ("line 2: 'custom_id' is missing", "line 3: is not", "line 4: 'custom_id' was used"):
        assert words in str(reply.error["message"])


# -- clients that go away --------------------------------------------------------------------------


@pytest.mark.parametrize("account", ["openai", "local"])
@pytest.mark.parametrize("silently", [True, False])
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("after", [0, 1, 30, 150, 500, len(FORM) - 25, len(FORM) - 3])
def test_a_client_that_goes_away_leaves_nothing_behind(
    remote: Tenant, fake: FakeProvider, after: int, declared: bool, silently: bool, account: str
) -> None:
    length = len(FORM) if declared else None
    body = breaking(FORM, after=after, silently=silently)
    reply = remote.api.upload_body(body, length=length, account=account)
    assert (reply.status, reply.error["code"]) == (400, "incomplete_body")
    fake.wait_until_idle()
    assert fake.store("openai") == []
    assert on_disk(remote) == []
    assert counters(remote.organization) == (0, 0, 0)
    # What is announced to be small is read whole before its row is written.
    assert list(File.objects.values_list("state", flat=True)) == ([] if declared else ["failed"])


@pytest.mark.parametrize("ended", ["key", "organization"])
def test_an_upload_that_runs_when_its_key_ends_is_finished(acme: Tenant, ended: str) -> None:
    def pieces() -> Iterator[bytes]:
        yield FORM[:-20]
        if ended == "key":
            keys.revoke_key(ApiKey.objects.get(), caller=system_caller())
        else:
            Organization.objects.update(is_active=False)
        keys.forget_cached_keys()
        yield FORM[-20:]

    assert acme.api.upload_body(pieces(), length=len(FORM)).status == 200
    assert acme.api.upload_body(FORM, length=len(FORM)).status == 401


# -- which account ---------------------------------------------------------------------------------


def test_the_header_names_the_account(remote: Tenant, fake: FakeProvider) -> None:
    assert remote.api.create(account="local")["provider"] == "local"
    assert fake.requests == []
    assert remote.api.create(account="openai")["provider"] == "openai"
    assert remote.api.create()["provider"] == "openai"


@pytest.mark.parametrize("name", ["", " ", "unknown", "LOCAL", "x" * 500, "a\0b", "openai,local"])
def test_an_account_that_is_not_there(remote: Tenant, name: str) -> None:
    reply = remote.api.upload(account=name)
    assert (reply.status, reply.error["param"]) == (400, "x-tfy-provider-name")
    if name.strip():
        assert "local, openai" in str(reply.error["message"])


def test_without_a_default_account_the_header_is_needed(acme: Tenant) -> None:
    acme.organization.provider_accounts.update(is_default=False)
    reply = acme.api.upload()
    assert (reply.status, reply.error["param"]) == (400, "x-tfy-provider-name")
    assert acme.api.upload(account="local").status == 200


def test_anothers_account_is_unknown(acme: Tenant, other: Tenant, fake: FakeProvider) -> None:
    openai_account(other.organization, fake, "theirs")
    foreign, missing = acme.api.upload(account="theirs"), acme.api.upload(account="nobody")
    assert foreign.status == missing.status == 400
    assert foreign.body.replace(b"theirs", b"") == missing.body.replace(b"nobody", b"")


def test_an_owned_account_hides_a_shared_one_of_the_same_name(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(None, fake, "local")
    assert acme.api.create(account="local")["provider"] == "local"
    assert fake.requests == []


@pytest.mark.parametrize(
    ("account", "kind"), [("openai", "provider account"), (None, "default provider account")]
)
def test_an_account_that_is_switched_off_is_the_reason(
    remote: Tenant, account: str | None, kind: str
) -> None:
    remote.accounts["openai"].is_enabled = False
    remote.accounts["openai"].save()
    reply = remote.api.upload(account=account)
    assert (reply.status, reply.error["code"]) == (400, "provider_account_disabled")
    assert str(reply.error["message"]).startswith(f"The {kind} 'openai' is switched off:")
    assert "Known accounts: local." in str(reply.error["message"])


def test_a_shared_account_serves_for_one_that_is_switched_off(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(None, fake, "local", is_default=True)
    acme.switch_off_accounts()
    assert acme.api.create()["provider"] == "local"
    assert len(fake.store("openai")) == 1
