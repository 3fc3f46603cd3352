"""Bedrock's files, in a real S3 server."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError

from providers import patience
from providers.base import AccountConfig
from providers.bedrock import BedrockDriver
from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderConfigurationError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RemoteFileNotFoundError,
)
from providers.object_store import ObjectStoreDriver
from providers.objects import MiB
from providers.registry import build_driver
from providers.transports import s3
from providers.transports.addresses import BlockedAddressError
from providers.transports.parts import PART_BYTES
from providers.transports.s3_errors import s3_errors
from tests.providers.rendition_contract import RenditionContract
from tests.providers.store_contract import CONTENT, LARGE, StoreContract
from tests.providers.stores import (
    ACCESS_KEY,
    BUCKETS,
    LOOPBACK,
    NAMESPACE,
    SECRET_KEY,
    BrokenUpload,
    Moto,
    Weed,
    breaking,
    make_upload,
    new_file_id,
    read,
)

KEYS = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
_prefixes = itertools.count()

MakeDriver = Callable[..., BedrockDriver]


def open_driver(url: str, path: str, credentials: dict[str, str] = KEYS, **options: object) -> BedrockDriver:
    place = {"bucket": BUCKETS[0], "region": "us-east-1", "endpoint_url": url, "prefix": path}
    config = AccountConfig("s3-account", {**place, **options}, credentials, LOOPBACK)
    driver = build_driver("bedrock", config)
    assert isinstance(driver, BedrockDriver)
    return driver


@pytest.fixture
def make_driver(s3_server: Weed) -> MakeDriver:
    """Makes drivers of one account, whose prefix is this test's own."""
    prefix = f"files/{os.getpid()}-{next(_prefixes)}"
    return lambda **changes: open_driver(s3_server.endpoint_url, prefix, **changes)


@pytest.fixture
def driver(make_driver: MakeDriver) -> BedrockDriver:
    return make_driver()


@pytest.fixture
def fresh(driver: BedrockDriver, monkeypatch: pytest.MonkeyPatch) -> BedrockDriver:
    """A driver whose client no other test shares, so that its events can be bent."""
    assert isinstance(driver.store, s3.S3Store)
    monkeypatch.setitem(vars(driver), "store", s3.S3Store(driver.store.config))
    return driver


def client_of(driver: ObjectStoreDriver) -> Any:
    assert isinstance(driver.store, s3.S3Store)
    return driver.store.client


def unfinished(driver: ObjectStoreDriver) -> list[str]:
    answer = client_of(driver).list_multipart_uploads(Bucket=driver.buckets[0], Prefix=driver.prefix)
    return [upload["Key"] for upload in answer.get("Uploads", [])]


def fail(
    driver: BedrockDriver,
    operation: str,
    status: int,
    *,
    times: int | None,
    body: bytes = b"<Error><Code>InternalError</Code></Error>",
) -> list[int]:
    """Answer an S3 operation with an error before it reaches the server; return what counts the answers."""
    answered: list[int] = []

    def answer(request: Any, **_: object) -> AWSResponse | None:
        if times is not None and len(answered) >= times:
            return None
        answered.append(status)

        class Raw:
            def stream(self, *_: object, **__: object) -> Iterator[bytes]:
                yield body

        return AWSResponse(request.url, status, {}, Raw())

    client_of(driver).meta.events.register(f"before-send.s3.{operation}", answer)
    return answered


class TestContract(StoreContract):
    """The cases of every object store."""

    def strays(self, driver: ObjectStoreDriver) -> int:
        return len(unfinished(driver))


class TestRenditions(RenditionContract):
    """The cases of batch files whose jobs read other lines."""

    def parts_left(self, driver: ObjectStoreDriver) -> int:
        return len(unfinished(driver))


def test_the_uri_names_the_object(driver: BedrockDriver) -> None:
    upload = make_upload(b"{}")
    created = driver.create_file(upload)
    assert created.uri == f"s3://{BUCKETS[0]}/{driver.prefix}{NAMESPACE}/{upload.file_id}.jsonl"


def test_lists_go_from_page_to_page(driver: BedrockDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_PAGE_SIZE", 4)
    StoreContract().assert_pages_are_complete(driver, pages=3)


def test_every_name_that_batch_jobs_give_is_an_outputs(driver: BedrockDriver) -> None:
    outputs = {"a/in.jsonl.out", "a/in.jsonl.err", "a/b/c/manifest.json.out"}
    others = {"in.jsonl", "a/manifest.json", "a/in.out", "in.jsonl.out/readme.txt"}
    for name in outputs | others:
        key = f"{driver.prefix}{NAMESPACE}/{name}"
        client_of(driver).put_object(Bucket=BUCKETS[0], Key=key, Body=b"{}")
    below = f"{BUCKETS[0]}/{driver.prefix}{NAMESPACE}/"
    found = {each.remote_id.removeprefix(below): each.purpose for each in driver.list_files().files}
    assert found == {**dict.fromkeys(outputs, "batch_output"), **dict.fromkeys(others)}


def test_what_a_batch_job_wrote_is_listed_as_its_output(driver: BedrockDriver) -> None:
    key = f"{driver.prefix}{NAMESPACE}/out/abc123/in.jsonl.out"
    client_of(driver).put_object(Bucket=BUCKETS[0], Key=key, Body=b"{}")
    (found,) = driver.list_files().files
    assert (found.filename, found.purpose, found.sha256) == ("in.jsonl.out", "batch_output", None)
    assert driver.file_id_of(found.remote_id) is None
    assert driver.namespace_of(found.remote_id) == NAMESPACE
    assert read(driver, found.remote_id) == b"{}"


def test_an_object_removed_behind_our_back_is_missing(driver: BedrockDriver) -> None:
    created = driver.create_file(make_upload(b"{}"))
    _, _, key = created.remote_id.partition("/")
    client_of(driver).delete_object(Bucket=BUCKETS[0], Key=key)
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


def test_wrong_keys_are_the_accounts_fault_and_stay_secret(make_driver: MakeDriver) -> None:
    driver = make_driver(credentials={"access_key_id": ACCESS_KEY, "secret_access_key": "canary-3f1"})
    with pytest.raises(CredentialsError) as caught:
        driver.list_files()
    assert "canary" not in caught.value.message + repr(driver.account) + repr(driver.store.config)  # type: ignore[attr-defined]


def test_a_request_may_name_an_allowed_bucket_only(make_driver: MakeDriver) -> None:
    driver = make_driver(allowed_buckets=[BUCKETS[1]])
    created = driver.create_file(make_upload(b"{}", bucket=BUCKETS[1]))
    assert created.remote_id.startswith(f"{BUCKETS[1]}/")
    assert [file.remote_id for file in StoreContract().all_files(driver)] == [created.remote_id]
    with pytest.raises(FileRejectedError) as caught:
        driver.create_file(make_upload(b"{}", bucket="somebody-elses"))
    assert (caught.value.code, caught.value.param) == ("bucket_not_allowed", "x-tfy-aws-s3-bucket")
    with pytest.raises(RemoteFileNotFoundError):
        make_driver().retrieve_file(created.remote_id)


@pytest.mark.parametrize("content", [b"{}", LARGE], ids=["small", "large"])
def test_encryption_is_asked_for(make_driver: MakeDriver, content: bytes) -> None:
    driver = make_driver(server_side_encryption="AES256")
    created = driver.create_file(make_upload(content))
    _, _, key = created.remote_id.partition("/")
    assert client_of(driver).head_object(Bucket=BUCKETS[0], Key=key)["ServerSideEncryption"] == "AES256"
    assert read(driver, created.remote_id) == content


def test_an_assumed_role_signs_the_requests(moto_server: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_server.endpoint_url)
    role = {"role_arn": "arn:aws:iam::123456789012:role/files", "default_credentials_anywhere": True}
    driver = open_driver(moto_server.endpoint_url, f"role-{os.getpid()}", **role)
    signed: list[str] = []
    client_of(driver).meta.events.register(
        "before-send.s3", lambda request, **_: signed.append(request.headers["Authorization"].decode())
    )
    assert driver.list_files().files == ()
    assert "Credential=ASIA" in signed[0]
    assert ACCESS_KEY not in signed[0]


def test_a_role_without_credentials_to_assume_it_is_the_accounts_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    role = "arn:aws:iam::123456789012:role/files"
    driver = open_driver("", f"role-{os.getpid()}", credentials={}, role_arn=role)
    with pytest.raises(CredentialsError, match="No AWS credentials were found"):
        driver.list_files()


@pytest.mark.parametrize("content", [b"{}", LARGE], ids=["small", "large"])
def test_a_kms_key_is_asked_for(moto_server: Moto, content: bytes) -> None:
    options = {"server_side_encryption": "aws:kms", "kms_key_id": "key-1"}
    driver = open_driver(moto_server.endpoint_url, f"kms-{os.getpid()}", **options)
    key = driver.create_file(make_upload(content)).remote_id.partition("/")[2]
    head = client_of(driver).head_object(Bucket=BUCKETS[0], Key=key)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "key-1")


def test_objects_never_get_a_type_that_a_browser_runs(driver: BedrockDriver) -> None:
    created = driver.create_file(make_upload(b"<script>", filename="x.html", purpose="user_data"))
    _, _, key = created.remote_id.partition("/")
    head = client_of(driver).head_object(Bucket=BUCKETS[0], Key=key)
    assert (key[-4:], head["ContentType"]) == (".bin", "application/octet-stream")


def test_metadata_that_s3_cannot_hold_is_refused_before_a_byte(driver: BedrockDriver) -> None:
    noise = {str(n): os.urandom(200).hex() for n in range(16)}
    with pytest.raises(FileRejectedError) as caught:
        driver.create_file(make_upload(breaking(b"", BrokenUpload()), metadata=noise))
    assert caught.value.code == "metadata_too_large"


# Failures on the way


@pytest.mark.parametrize("times", [1, 2])
def test_a_part_that_fails_is_sent_again(fresh: BedrockDriver, times: int) -> None:
    answered = fail(fresh, "UploadPart", 500, times=times)
    created = fresh.create_file(make_upload(LARGE))
    assert len(answered) == times
    assert read(fresh, created.remote_id) == LARGE


def test_a_part_that_fails_for_good_leaves_nothing(fresh: BedrockDriver) -> None:
    fail(fresh, "UploadPart", 500, times=None)
    with pytest.raises(ProviderUnavailableError) as caught:
        fresh.create_file(make_upload(LARGE))
    assert caught.value.retryable
    assert fresh.list_files().files == ()
    assert unfinished(fresh) == []


def test_a_part_that_changed_on_its_way_is_refused(
    driver: BedrockDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.transports.parts.CRC32C.__str__", lambda self: "AAAAAA==")
    for content in (CONTENT, LARGE):
        with pytest.raises(ProviderUnavailableError):
            driver.create_file(make_upload(content))
    monkeypatch.undo()
    assert driver.list_files().files == ()
    assert unfinished(driver) == []


@pytest.mark.parametrize(
    ("content", "method"), [(CONTENT, "put_object"), (LARGE, "complete_multipart_upload")]
)
def test_a_lost_answer_is_looked_up(fresh: BedrockDriver, content: bytes, method: str) -> None:
    lose_answer(fresh, method)
    created = fresh.create_file(make_upload(content))
    assert read(fresh, created.remote_id) == content
    assert fresh.retrieve_file(created.remote_id).sha256 == created.sha256


def test_a_success_with_an_error_inside_is_none(fresh: BedrockDriver) -> None:
    """S3 may begin to answer 200 before it knows how putting the parts together ends."""
    answered = fail(fresh, "CompleteMultipartUpload", 200, times=None)
    with pytest.raises(ProviderUnavailableError):
        fresh.create_file(make_upload(LARGE))
    assert answered
    assert unfinished(fresh) == []
    assert fresh.list_files().files == ()


def test_what_cannot_be_looked_up_stays_uncertain(fresh: BedrockDriver) -> None:
    lose_answer(fresh, "put_object")
    fail(fresh, "HeadObject", 403, times=None)
    with pytest.raises(ProviderTimeoutError) as caught:
        fresh.create_file(make_upload(CONTENT))
    assert not caught.value.answered


def test_what_cannot_be_removed_is_uncertain(fresh: BedrockDriver) -> None:
    confirm_too_few_bytes(fresh)
    fail(fresh, "DeleteObject", 403, times=None)
    with pytest.raises(InvalidResponseError) as caught:
        fresh.create_file(make_upload(LARGE))
    assert not caught.value.answered


def lose_answer(driver: BedrockDriver, method: str) -> None:
    client = client_of(driver)
    original = getattr(client, method)

    def call_and_forget(**given: object) -> None:
        original(**given)
        raise ReadTimeoutError(endpoint_url="https://s3")

    setattr(client, method, call_and_forget)


def answer_with(driver: BedrockDriver, operation: str, **changes: str | None) -> None:
    """Change members of the answers to an S3 operation; None leaves one out."""

    def change(parsed: dict[str, Any], **_: object) -> None:
        for name, value in changes.items():
            parsed.pop(name, None)
            if value is not None:
                parsed[name] = value

    client_of(driver).meta.events.register(f"after-call.s3.{operation}", change)


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
def test_a_write_that_the_store_confirms_is_not_asked_for(fresh: BedrockDriver, content: bytes) -> None:
    """Some stores show an object only seconds later."""
    asked = fail(fresh, "HeadObject", 404, times=None, body=b"")
    created = fresh.create_file(make_upload(content))
    assert asked == []
    assert (created.bytes, created.purpose) == (len(content), "batch")
    assert created.created_at is not None
    assert read(fresh, created.remote_id) == content


@pytest.mark.parametrize(
    ("content", "operation"),
    [(CONTENT, "PutObject"), (LARGE, "CompleteMultipartUpload")],
    ids=["small", "large"],
)
def test_a_checksum_that_differs_is_no_success(fresh: BedrockDriver, content: bytes, operation: str) -> None:
    answer_with(fresh, operation, ChecksumCRC32C="AAAAAA==")
    with pytest.raises(InvalidResponseError, match="checksum"):
        fresh.create_file(make_upload(content))
    assert fresh.list_files().files == ()


def test_a_checksum_of_checksums_says_nothing_of_the_whole(fresh: BedrockDriver) -> None:
    answer_with(fresh, "CompleteMultipartUpload", ChecksumCRC32C="AAAAAA==-3")
    assert fresh.create_file(make_upload(LARGE)).bytes == len(LARGE)


class TestAnAnswerThatProvesNothing:
    """Neither ETag nor checksum: the object is asked for."""

    @pytest.fixture
    def vague(self, fresh: BedrockDriver, monkeypatch: pytest.MonkeyPatch) -> BedrockDriver:
        monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.001)
        answer_with(fresh, "PutObject", ETag=None, ChecksumCRC32C=None)
        return fresh

    def test_an_object_that_is_shown_late_is_asked_for_again(self, vague: BedrockDriver) -> None:
        asked = fail(vague, "HeadObject", 404, times=3, body=b"")
        created = vague.create_file(make_upload(CONTENT))
        assert len(asked) == 3
        assert read(vague, created.remote_id) == CONTENT

    def test_one_that_is_not_shown_stays_uncertain(
        self, vague: BedrockDriver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patience, "ASK_AGAIN_SECONDS", 0.01)
        fail(vague, "HeadObject", 404, times=None, body=b"")
        with pytest.raises(ProviderTimeoutError, match="does not show it yet") as caught:
            vague.create_file(make_upload(CONTENT))
        assert not caught.value.answered


def confirm_too_few_bytes(driver: BedrockDriver) -> None:
    """Let answers to writes prove nothing, and those to reads say a byte less."""
    for operation in ("PutObject", "CompleteMultipartUpload"):
        answer_with(driver, operation, ETag=None, ChecksumCRC32C=None)
    client = client_of(driver)
    head = client.head_object

    def shorter(**given: object) -> object:
        answer = head(**given)
        return {**answer, "ContentLength": answer["ContentLength"] - 1}

    client.head_object = shorter


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
def test_a_size_that_differs_is_no_success_and_is_removed(fresh: BedrockDriver, content: bytes) -> None:
    confirm_too_few_bytes(fresh)
    with pytest.raises(InvalidResponseError) as caught:
        fresh.create_file(make_upload(content))
    assert caught.value.answered
    assert fresh.list_files().files == ()


def test_a_download_that_ends_early_is_an_error(fresh: BedrockDriver) -> None:
    remote_id = fresh.create_file(make_upload(CONTENT)).remote_id
    client = client_of(fresh)
    get = client.get_object

    def truncated(**given: object) -> object:
        answer = get(**given)
        return {**answer, "ContentLength": answer["ContentLength"] + 1}

    client.get_object = truncated
    download = fresh.download_file(remote_id)
    with pytest.raises(ProviderUnavailableError) as caught:
        list(download.chunks)
    download.close()
    assert caught.value.provider == "s3-account"


def test_the_status_says_whether_an_answer_is_a_part(fresh: BedrockDriver) -> None:
    remote_id = fresh.create_file(make_upload(CONTENT)).remote_id
    get = client_of(fresh).get_object
    whole = {"ContentRange": f"bytes 0-9/{len(CONTENT)}"}
    client_of(fresh).get_object = lambda **given: {**get(**given), **whole}
    download = fresh.download_file(remote_id)
    assert (download.content_range, download.length) == (None, len(CONTENT))
    download.close()
    part = get(Bucket=BUCKETS[0], Key=remote_id.partition("/")[2], Range="bytes=0-9")
    client_of(fresh).get_object = lambda **given: part
    with pytest.raises(InvalidResponseError):
        fresh.download_file(remote_id)


# Strays


def test_the_sweep_aborts_only_our_old_uploads_below_the_prefix(driver: BedrockDriver) -> None:
    client = client_of(driver)
    own = f"{driver.prefix}{NAMESPACE}/{new_file_id()}.jsonl"
    others = [f"{driver.prefix}somebody/else.bin", f"elsewhere/{own}"]
    for key in (own, *others):
        client.create_multipart_upload(Bucket=BUCKETS[0], Key=key)
    assert driver.sweep_stray(timedelta(hours=1)) == 0
    assert driver.sweep_stray(timedelta(minutes=-1)) == 1
    assert unfinished(driver) == [others[0]]


def _upload_until_killed(endpoint_url: str, prefix: str, connection: Connection) -> None:
    def chunks() -> Iterator[bytes]:
        yield LARGE
        connection.send("half way")
        connection.recv()

    open_driver(endpoint_url, prefix).create_file(make_upload(chunks()))


def test_a_killed_writer_leaves_only_what_the_sweep_removes(driver: BedrockDriver, s3_server: Weed) -> None:
    context: Any = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    given = (s3_server.endpoint_url, driver.prefix, theirs)
    child = context.Process(target=_upload_until_killed, args=given)
    child.start()
    assert ours.recv() == "half way"
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert driver.list_files().files == ()
    assert len(unfinished(driver)) == 1
    assert driver.sweep_stray(timedelta(minutes=-1)) == 1
    assert unfinished(driver) == []


def test_the_sweep_aborts_renditions_too(driver: BedrockDriver) -> None:
    file_id = new_file_id()
    own = f"{driver.prefix}{NAMESPACE}/batch/{file_id}/{file_id}.jsonl"
    others = [f"{driver.prefix}{NAMESPACE}/batch/{file_id}/other.jsonl", f"elsewhere/{own}"]
    for key in (own, *others):
        client_of(driver).create_multipart_upload(Bucket=BUCKETS[0], Key=key)
    assert driver.sweep_stray(timedelta(minutes=-1)) == 1
    assert unfinished(driver) == [others[0]]


# Memory


def _grow(endpoint_url: str, prefix: str, connection: Connection) -> None:
    driver = open_driver(endpoint_url, prefix)
    driver.list_files()  # makes the client
    idle = _status("VmRSS")
    block = os.urandom(MiB)
    driver.create_file(make_upload(itertools.repeat(block, 128)))
    connection.send(_status("VmHWM") - idle)


def _status(name: str) -> int:
    """Return a number of bytes from the kernel's account of this process."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(name))
    return int(line.split()[1]) * 1024


def test_memory_does_not_grow_with_the_file(driver: BedrockDriver, s3_server: Weed) -> None:
    context: Any = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_grow, args=(s3_server.endpoint_url, driver.prefix, theirs))
    child.start()
    assert ours.recv() < 32 * MiB
    child.join()


# Configuration


@pytest.mark.parametrize(
    ("options", "credentials", "field"),
    [
        ({"bucket": "No/Bucket"}, KEYS, "bucket"),
        ({"allowed_buckets": ["../x"]}, KEYS, "allowed_buckets"),
        ({"prefix": "a//b"}, KEYS, "prefix"),
        ({"prefix": "../x"}, KEYS, "prefix"),
        ({"prefix": "a b"}, KEYS, "prefix"),
        ({"region": "evil.example/"}, KEYS, "region"),
        ({"kms_key_id": "k"}, KEYS, "server_side_encryption"),
        ({"endpoint_url": "file:///etc/passwd"}, KEYS, "endpoint_url"),
        ({}, {"access_key_id": "only"}, "secret_access_key"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    options: dict[str, object], credentials: dict[str, str], field: str
) -> None:
    with pytest.raises(ProviderConfigurationError) as caught:
        open_driver("https://s3.example.com", "p", credentials, **options)
    assert caught.value.field == field


def strict_account(endpoint_url: str) -> AccountConfig:
    limits = replace(LOOPBACK.limits, allow_private=False)
    options = {"bucket": BUCKETS[0], "endpoint_url": endpoint_url, "region": "us-east-1"}
    return AccountConfig("strict", options, KEYS, replace(LOOPBACK, limits=limits))


def test_plain_http_needs_the_private_switch() -> None:
    driver = build_driver("bedrock", strict_account("http://s3.example.com"))
    with pytest.raises(ProviderConfigurationError, match="https://"):
        driver.check_endpoints()
    with pytest.raises(ProviderUnavailableError):  # the name leads nowhere
        driver.list_files()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "169.254.169.254"])
def test_a_private_endpoint_is_not_connected_to(host: str) -> None:
    driver = build_driver("bedrock", strict_account(f"https://{host}:1"))
    with pytest.raises(BlockedAddressError) as caught:
        driver.list_files()
    assert caught.value.provider == "strict"


def test_no_keys_mean_anonymous_on_a_private_endpoint_only(make_driver: MakeDriver) -> None:
    assert make_driver(credentials={}).is_anonymous
    assert not make_driver().is_anonymous
    assert not make_driver(credentials={}, endpoint_url="").is_anonymous
    with pytest.raises(CredentialsError):
        make_driver(credentials={}).list_files()


def test_a_store_that_does_not_answer_is_a_timeout() -> None:
    with pytest.raises(ProviderTimeoutError) as caught, s3_errors():
        raise ReadTimeoutError(endpoint_url="https://s3")
    assert not caught.value.answered


def test_an_answer_that_is_no_xml_is_an_error(fresh: BedrockDriver) -> None:
    fail(fresh, "ListObjectsV2", 200, times=None, body=b"<html>not S3")
    with pytest.raises(ProviderUnavailableError) as caught:
        fresh.list_files()
    assert "html" not in caught.value.message


def test_parts_are_large_enough_for_s3() -> None:
    assert 5 * MiB <= PART_BYTES
