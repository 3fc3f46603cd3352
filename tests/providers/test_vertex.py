"""Vertex AI's files, in a real server that speaks Cloud Storage's API.

That server ignores preconditions and loses a session that is asked how far it got; those answers are scripted
here. STORAGE_TESTBENCH_URL runs the same cases against googleapis/storage-testbench, which knows both.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud.storage import Blob

from providers import patience
from providers.base import AccountConfig
from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderConfigurationError,
    ProviderError,
    ProviderTimeoutError,
    RemoteFileNotFoundError,
)
from providers.object_store import ObjectStoreDriver
from providers.objects import ByteRange, MiB
from providers.registry import build_driver
from providers.transports import gcs
from providers.transports.addresses import BlockedAddressError
from providers.transports.gcs_errors import gcs_errors
from providers.transports.http import TransportLimits
from providers.transports.parts import PART_BYTES
from providers.vertex import VertexDriver
from tests.providers.proxies import Answered, Asked, store_proxy
from tests.providers.rendition_contract import RenditionContract
from tests.providers.store_contract import CONTENT, LARGE, StoreContract
from tests.providers.stores import (
    BUCKETS,
    LOOPBACK,
    NAMESPACE,
    BrokenUpload,
    FakeGCS,
    breaking,
    make_upload,
    new_file_id,
    read,
)

TESTBENCH = os.environ.get("STORAGE_TESTBENCH_URL", "")
UPLOAD = "https://gcs.example.com/upload/storage/v1/b/gateway-files/o"
SESSION = "https://gcs.example.com/session/1"
_prefixes = itertools.count()

MakeDriver = Callable[..., VertexDriver]


def open_driver(
    url: str, path: str, credentials: dict[str, str] | None = None, **options: object
) -> VertexDriver:
    place = {"bucket": BUCKETS[0], "endpoint_url": url, "prefix": path, **options}
    driver = build_driver("vertex", AccountConfig("gcs-account", place, credentials or {}, LOOPBACK))
    assert isinstance(driver, VertexDriver)
    return driver


@pytest.fixture(scope="session")
def endpoint_url(request: pytest.FixtureRequest) -> str:
    """The server under test, with the buckets of BUCKETS."""
    if not TESTBENCH:
        server: FakeGCS = request.getfixturevalue("gcs_server")
        return server.endpoint_url
    for name in BUCKETS:
        answer = requests.post(f"{TESTBENCH}/storage/v1/b?project=test", json={"name": name}, timeout=10)
        assert answer.status_code in {200, 409}
    return TESTBENCH


@pytest.fixture
def make_driver(endpoint_url: str) -> MakeDriver:
    """Makes drivers of one account, whose prefix is this test's own."""
    prefix = f"files/{os.getpid()}-{next(_prefixes)}"
    return lambda **changes: open_driver(endpoint_url, prefix, **changes)


@pytest.fixture
def driver(make_driver: MakeDriver) -> VertexDriver:
    return make_driver()


def session_of(driver: ObjectStoreDriver) -> requests.Session:
    assert isinstance(driver.store, gcs.GCSStore)
    return driver.store.session


class TestContract(StoreContract):
    """The cases of every object store."""

    @pytest.mark.skipif(not TESTBENCH, reason="fake-gcs-server ignores preconditions on resumable uploads")
    @pytest.mark.parametrize("content", [b"second", LARGE], ids=["small", "large"])
    def test_a_file_is_never_replaced(self, driver: ObjectStoreDriver, content: bytes) -> None:
        super().test_a_file_is_never_replaced(driver, content)


class TestRenditions(RenditionContract):
    """The cases of batch files whose jobs read other lines."""


def test_the_uri_names_the_object(driver: VertexDriver) -> None:
    upload = make_upload(b"{}")
    created = driver.create_file(upload)
    assert created.uri == f"gs://{BUCKETS[0]}/{driver.prefix}{NAMESPACE}/{upload.file_id}.jsonl"


@pytest.mark.skipif(bool(TESTBENCH), reason="storage-testbench ignores the page size")
def test_lists_go_from_page_to_page(driver: VertexDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs, "_PAGE_SIZE", 4)
    StoreContract().assert_pages_are_complete(driver, pages=3)


def write_elsewhere(driver: VertexDriver, endpoint_url: str, name: str) -> None:
    """Write an object as a job does, below the organization's folder."""
    url = f"{endpoint_url}/upload/storage/v1/b/{BUCKETS[0]}/o"
    query = {"uploadType": "media", "name": f"{driver.prefix}{NAMESPACE}/{name}"}
    requests.post(url, params=query, data=b"{}", timeout=10).raise_for_status()


def test_every_name_that_batch_jobs_give_is_an_outputs(driver: VertexDriver, endpoint_url: str) -> None:
    outputs = {
        "job/predictions.jsonl",
        "job/predictions_0001.jsonl",
        "job/errors_0001.jsonl",
        "a/b/000000000000.jsonl",
        "job/prediction.results-00000-of-00002",
        "job/prediction.errors_stats-00000-of-00001",
    }
    others = {"job/input.jsonl", "job/my-predictions.jsonl", "job/0001.jsonl", "predictions.jsonl/readme.txt"}
    for name in outputs | others:
        write_elsewhere(driver, endpoint_url, name)
    below = f"{BUCKETS[0]}/{driver.prefix}{NAMESPACE}/"
    found = {each.remote_id.removeprefix(below): each.purpose for each in driver.list_files().files}
    assert found == {**dict.fromkeys(outputs, "batch_output"), **dict.fromkeys(others)}


def test_what_a_batch_job_wrote_is_listed_as_its_output(driver: VertexDriver, endpoint_url: str) -> None:
    write_elsewhere(driver, endpoint_url, "prediction-m-2026-11-23T02:13:20.123456Z/predictions.jsonl")
    (found,) = driver.list_files().files
    assert (found.filename, found.purpose) == ("predictions.jsonl", "batch_output")
    assert read(driver, found.remote_id) == b"{}"


def test_an_object_removed_behind_our_back_is_missing(driver: VertexDriver, endpoint_url: str) -> None:
    created = driver.create_file(make_upload(b"{}"))
    _, _, key = created.remote_id.partition("/")
    quoted = key.replace("/", "%2F")
    requests.delete(f"{endpoint_url}/storage/v1/b/{BUCKETS[0]}/o/{quoted}", timeout=10).raise_for_status()
    with pytest.raises(RemoteFileNotFoundError):
        driver.download_file(created.remote_id)


def test_a_missing_bucket_is_the_accounts_fault_and_no_missing_file(make_driver: MakeDriver) -> None:
    driver = make_driver(bucket="no-such-bucket")
    remote_id = f"no-such-bucket/{driver.prefix}{NAMESPACE}/{new_file_id()}.jsonl"
    for call in (
        lambda: driver.create_file(make_upload(b"x")),
        lambda: driver.create_file(make_upload(LARGE)),
        driver.list_files,
        lambda: driver.retrieve_file(remote_id),
        lambda: driver.download_file(remote_id),
        lambda: driver.delete_file(remote_id),
    ):
        with pytest.raises(ConfigurationRefusedError) as caught:
            call()
        assert caught.value.code == "bucket_not_found"


def test_a_request_may_name_an_allowed_bucket_only(make_driver: MakeDriver) -> None:
    driver = make_driver(allowed_buckets=[BUCKETS[1]])
    created = driver.create_file(make_upload(b"{}", bucket=BUCKETS[1]))
    assert created.remote_id.startswith(f"{BUCKETS[1]}/")
    assert [file.remote_id for file in StoreContract().all_files(driver)] == [created.remote_id]
    with pytest.raises(FileRejectedError) as caught:
        driver.create_file(make_upload(b"{}", bucket="somebody-elses"))
    assert (caught.value.code, caught.value.param) == (
        "bucket_not_allowed",
        "x-tfy-vertex-storage-bucket-name",
    )


def test_metadata_that_gcs_cannot_hold_is_refused_before_a_byte(driver: VertexDriver) -> None:
    noise = {str(n): os.urandom(500).hex() for n in range(16)}
    with pytest.raises(FileRejectedError) as caught:
        driver.create_file(make_upload(breaking(b"", BrokenUpload()), metadata=noise))
    assert caught.value.code == "metadata_too_large"


def test_an_upload_that_breaks_cancels_its_session(
    driver: VertexDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, cancelled = session_of(driver), []
    delete = session.delete

    def note(url: str, **given: Any) -> requests.Response:
        cancelled.append(url)
        return delete(url, **given)

    monkeypatch.setattr(session, "delete", note)
    with pytest.raises(BrokenUpload):
        driver.create_file(make_upload(breaking(LARGE, BrokenUpload())))
    assert len(cancelled) == 1
    assert "upload_id" in cancelled[0]


def test_other_bytes_than_were_sent_are_no_success(
    driver: VertexDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Blob, "crc32c", "AAAAAA==")
    with pytest.raises(InvalidResponseError):
        driver.create_file(make_upload(CONTENT))
    assert driver.list_files().files == ()


def test_a_lost_answer_is_looked_up(driver: VertexDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    put = gcs._GCSWriting._put

    def put_and_forget(self: Any, url: str, first: int, end: int, total: str) -> int | None:
        put(self, url, first, end, total)
        raise InvalidResponseError("lost")

    monkeypatch.setattr(gcs._GCSWriting, "_put", put_and_forget)
    created = driver.create_file(make_upload(CONTENT))
    assert read(driver, created.remote_id) == CONTENT


@pytest.mark.skipif(not TESTBENCH, reason="needs a server that can be told to fail")
@pytest.mark.parametrize("fault", ["return-503-after-8192K", "return-503-after-256K"])
def test_a_part_that_fails_is_sent_again(driver: VertexDriver, fault: str) -> None:
    plan = {"instructions": {"storage.objects.insert": [fault]}, "transport": "HTTP"}
    test_id = requests.post(f"{TESTBENCH}/retry_test", json=plan, timeout=10).json()["id"]
    session_of(driver).headers["x-retry-test-id"] = test_id
    try:
        created = driver.create_file(make_upload(LARGE))
    finally:
        del session_of(driver).headers["x-retry-test-id"]
    assert read(driver, created.remote_id) == LARGE
    assert requests.get(f"{TESTBENCH}/retry_test/{test_id}", timeout=10).json()["completed"]


def refuse_changes(asked: Asked) -> Answered | None:
    """As for a role without storage.objects.update."""
    return Answered(403, b"{}") if asked.method == "PATCH" else None


def test_an_upload_does_not_fail_for_details_that_cannot_be_added(endpoint_url: str) -> None:
    with store_proxy(refuse_changes, endpoint_url) as proxy:
        driver = open_driver(proxy.url, f"files/{os.getpid()}-{next(_prefixes)}")
        created = driver.create_file(make_upload(LARGE))
        (found,) = driver.list_files().files
        assert (found.remote_id, found.filename, found.purpose) == (created.remote_id, "data.jsonl", "batch")
        assert [asked.method for asked in proxy.asked].count("PATCH") == 1
        assert read(driver, created.remote_id) == LARGE


@pytest.mark.skipif(bool(TESTBENCH), reason="storage-testbench knows preconditions")
def test_what_a_store_lacks_is_named(driver: VertexDriver, endpoint_url: str) -> None:
    lacks = driver.missing_features(driver.create_file(make_upload(b"x")).remote_id)
    assert [each.partition(":")[0] for each in lacks] == ["preconditions (ignored)"]
    with store_proxy(refuse_changes, endpoint_url) as proxy:
        refused = open_driver(proxy.url, driver.prefix)
        lacks = refused.missing_features(refused.create_file(make_upload(b"x")).remote_id)
    assert lacks[0].startswith("changes of metadata (refused with 403): ")


# The session's protocol, scripted


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as wire:
        yield wire


@pytest.fixture
def scripted(wire: responses.RequestsMock) -> VertexDriver:
    """A driver whose session is at SESSION; a test adds the answers to what is sent there."""
    wire.post(UPLOAD, headers={"Location": SESSION})
    return anonymous_driver()


def anonymous_driver() -> VertexDriver:
    driver = open_driver("https://gcs.example.com", "files")
    config = gcs.GCSConfig(endpoint_url="https://gcs.example.com", anonymous=True, limits=LOOPBACK.limits)
    vars(driver)["store"] = gcs.GCSStore(config)
    return driver


def ranges(wire: responses.RequestsMock) -> list[str]:
    """The Content-Range of each PUT."""
    return [call.request.headers["Content-Range"] for call in wire.calls if call.request.method == "PUT"]


def refuse_at_end(wire: responses.RequestsMock) -> None:
    """Let the upload end there: the precondition fails, and the object is not ours."""
    wire.put(SESSION, status=412)
    url = "https://gcs.example.com/storage/v1/b/gateway-files/o/"
    wire.get(responses.matchers.re.compile(url + ".*"), json={"metadata": {"upload": "somebody else's"}})
    wire.delete(SESSION, status=499)


@pytest.mark.parametrize(("status", "header"), [(200, "bytes 0-9/10"), (206, "bytes 0-9/10"), (206, "")])
def test_the_status_says_whether_an_answer_is_a_part(
    wire: responses.RequestsMock, status: int, header: str
) -> None:
    driver = anonymous_driver()
    url = "https://gcs.example.com/download/storage/v1/b/gateway-files/o/files%2Fx.bin"
    headers = {"Content-Range": header, "Content-Length": "10"}
    wire.get(url, b"0123456789", status=status, headers=headers, auto_calculate_content_length=False)
    if status == 200:
        download = driver.download_file("gateway-files/files/x.bin", byte_range=ByteRange(0, 9))
        assert (download.content_range, b"".join(download.chunks)) == (None, b"0123456789")
    else:
        asked = ByteRange(0, 9) if not header else None
        with pytest.raises(InvalidResponseError):
            driver.download_file("gateway-files/files/x.bin", byte_range=asked)


def test_a_write_that_the_store_confirms_is_not_asked_for(
    wire: responses.RequestsMock, scripted: VertexDriver
) -> None:
    """No answer is scripted for a question."""
    described = {"size": "9", "crc32c": "4waSgw==", "timeCreated": "2026-11-20T10:00:00Z"}
    wire.put(SESSION, json=described)
    created = scripted.create_file(make_upload(b"123456789"))
    assert (created.bytes, created.purpose) == (9, "batch")
    assert created.created_at == datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize("changed", [{"crc32c": "AAAAAA=="}, {"size": "8"}])
def test_a_confirmation_of_something_else_is_no_success(
    wire: responses.RequestsMock, scripted: VertexDriver, changed: dict[str, str]
) -> None:
    url = "https://gcs.example.com/storage/v1/b/gateway-files/o/"
    wire.put(SESSION, json={"size": "9", "crc32c": "4waSgw==", **changed})
    wire.get(responses.matchers.re.compile(url + ".*"), json={"metadata": {"upload": "somebody else's"}})
    wire.delete(SESSION, status=499)
    with pytest.raises(InvalidResponseError):
        scripted.create_file(make_upload(b"123456789"))


def test_an_object_that_is_shown_late_is_asked_for_again(
    wire: responses.RequestsMock, scripted: VertexDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.001)
    about = responses.matchers.re.compile("https://gcs.example.com/storage/v1/b/gateway-files/o/.+")
    wire.put(SESSION)  # an answer that says nothing
    wire.get(about, status=404)
    wire.get(about, status=404)
    wire.get(about, json={"size": "9", "crc32c": "4waSgw==", "timeCreated": "2026-11-20T10:00:00Z"})
    wire.get("https://gcs.example.com/storage/v1/b/gateway-files/o", json={})  # the bucket is there
    assert scripted.create_file(make_upload(b"123456789")).bytes == 9


def test_a_key_that_is_taken_is_refused(wire: responses.RequestsMock, scripted: VertexDriver) -> None:
    refuse_at_end(wire)
    with pytest.raises(FileRejectedError) as caught:
        scripted.create_file(make_upload(b"0123456789"))
    assert caught.value.code == "file_exists"
    assert "ifGenerationMatch=0" in str(wire.calls[0].request.url)
    assert ranges(wire) == ["bytes 0-9/10"]


def test_a_part_goes_on_where_the_store_stopped(
    wire: responses.RequestsMock, scripted: VertexDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs.time, "sleep", lambda seconds: None)
    wire.put(SESSION, status=503)
    wire.put(SESSION, status=308, headers={"Range": "bytes=0-262143"})  # the answer to the question
    wire.put(SESSION, status=308, headers={"Range": "bytes=0-524287"})  # less than was sent
    wire.put(SESSION, status=308, headers={"Range": f"bytes=0-{PART_BYTES - 1}"})
    refuse_at_end(wire)
    with pytest.raises(FileRejectedError):
        scripted.create_file(make_upload(LARGE[: PART_BYTES + 10]))
    last = PART_BYTES - 1
    assert ranges(wire) == [
        f"bytes 0-{last}/*",
        "bytes */*",
        f"bytes 262144-{last}/*",
        f"bytes 524288-{last}/*",
        f"bytes {PART_BYTES}-{PART_BYTES + 9}/{PART_BYTES + 10}",
    ]


@pytest.mark.parametrize("answer", [{"status": 503}, {"status": 308}, {"body": requests.ConnectionError()}])
def test_a_part_that_fails_for_good_ends_the_upload(
    wire: responses.RequestsMock,
    scripted: VertexDriver,
    monkeypatch: pytest.MonkeyPatch,
    answer: dict[str, Any],
) -> None:
    monkeypatch.setattr(gcs.time, "sleep", lambda seconds: None)
    wire.put(SESSION, **answer)
    wire.delete(SESSION, status=499)
    with pytest.raises(ProviderError) as caught:
        scripted.create_file(make_upload(LARGE))
    assert caught.value.retryable
    assert ranges(wire).count(f"bytes 0-{PART_BYTES - 1}/*") == 3


def test_more_bytes_than_were_sent_are_not_believed(
    wire: responses.RequestsMock, scripted: VertexDriver
) -> None:
    wire.put(SESSION, status=308, headers={"Range": f"bytes=0-{PART_BYTES}"})
    wire.delete(SESSION, status=499)
    with pytest.raises(InvalidResponseError):
        scripted.create_file(make_upload(LARGE))


# Credentials and configuration


def service_account(**changes: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    info = {
        "type": "service_account",
        "client_email": "files@project.example.com",
        "token_uri": "https://token.example.com/token",
        "private_key": pem.decode(),
    }
    return json.dumps({**info, **changes})


def test_a_service_account_gets_a_token(wire: responses.RequestsMock) -> None:
    wire.post("https://token.example.com/token", json={"access_token": "t0k3n", "expires_in": 3600})
    wire.get("https://gcs.example.com/storage/v1/b/gateway-files/o", json={})
    key = {"service_account_json": service_account()}
    driver = open_driver("https://gcs.example.com", "files", key)
    assert driver.list_files().files == ()
    assert wire.calls[1].request.headers["Authorization"] == "Bearer t0k3n"
    assert "PRIVATE KEY" not in repr(driver.account) + repr(driver.store.config)  # type: ignore[attr-defined]


def test_a_refused_key_is_the_accounts_fault(wire: responses.RequestsMock) -> None:
    wire.post("https://token.example.com/token", json={"error": "invalid_grant"}, status=400)
    key = {"service_account_json": service_account()}
    with pytest.raises(CredentialsError):
        open_driver("https://gcs.example.com", "files", key).list_files()


@pytest.mark.parametrize(
    "key",
    [
        "{",
        "[]",
        '{"type": "external_account", "credential_source": {"executable": {"command": "id"}}}',
        '{"type": "service_account"}',
        service_account(token_uri="file:///etc/passwd"),
        service_account(universe_domain="another.cloud"),
    ],
)
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(ProviderConfigurationError) as caught:
        open_driver("https://gcs.example.com", "files", {"service_account_json": key})
    assert caught.value.field == "service_account_json"


def strict_account(url: str) -> VertexDriver:
    environment = type(LOOPBACK)(limits=TransportLimits())
    key = {"service_account_json": service_account(token_uri="https://127.0.0.1:1/token")}
    options = {"bucket": BUCKETS[0], "endpoint_url": url}
    driver = build_driver("vertex", AccountConfig("strict", options, key, environment))
    assert isinstance(driver, VertexDriver)
    return driver


def test_the_platforms_credentials_of_another_universe_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.json"
    key.write_text(service_account(universe_domain="another.cloud"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    place = {"bucket": BUCKETS[0], "prefix": "another-universe"}
    driver = build_driver("vertex", AccountConfig("gcs", place, {}, LOOPBACK, is_operators=True))
    with pytest.raises(CredentialsError, match=r"googleapis\.com"):
        driver.list_files()


def test_a_private_token_server_is_not_connected_to() -> None:
    with pytest.raises(BlockedAddressError):
        strict_account("https://gcs.example.com").list_files()


def test_plain_http_needs_the_private_switch() -> None:
    with pytest.raises(ProviderConfigurationError, match="https://"):
        strict_account("http://gcs.example.com").check_endpoints()


def test_a_store_that_does_not_answer_is_a_timeout() -> None:
    with pytest.raises(ProviderTimeoutError) as caught, gcs_errors():
        raise requests.ReadTimeout
    assert not caught.value.answered


@pytest.mark.parametrize("item", [{"name": "a", "size": "x"}, {"name": "a", "timeCreated": "yesterday"}])
def test_an_object_that_makes_no_sense_is_invalid(wire: responses.RequestsMock, item: dict[str, str]) -> None:
    wire.get("https://gcs.example.com/storage/v1/b/gateway-files/o", json={"items": [item]})
    with pytest.raises(InvalidResponseError):
        anonymous_driver().list_files()


def test_a_page_of_html_is_invalid(wire: responses.RequestsMock) -> None:
    wire.get("https://gcs.example.com/storage/v1/b/gateway-files/o", body="<html>")
    with pytest.raises(InvalidResponseError):
        anonymous_driver().list_files()


def test_parts_are_a_multiple_of_what_gcs_wants() -> None:
    assert PART_BYTES % (MiB // 4) == 0
