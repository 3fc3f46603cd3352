"""Whose fault S3's answers are, row by row and over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from providers.bedrock import BedrockDriver
from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderBusyError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    RemoteFileNotFoundError,
)
from providers.objects import ByteRange, Operation
from providers.transports import s3_client
from tests.providers.proxies import Answered, Asked, StoreProxy, store_proxy
from tests.providers.store_contract import LARGE
from tests.providers.stores import BUCKETS, make_upload
from tests.providers.test_bedrock import open_driver

REMOTE_ID = f"{BUCKETS[0]}/files/org-1/file-x.jsonl"
CALLS: dict[str, Callable[[BedrockDriver], object]] = {
    Operation.CREATE: lambda driver: driver.create_file(make_upload(b"x")),
    "create in parts": lambda driver: driver.create_file(make_upload(LARGE)),
    Operation.LIST: lambda driver: driver.list_files(),
    Operation.RETRIEVE: lambda driver: driver.retrieve_file(REMOTE_ID),
    Operation.CONTENT: lambda driver: driver.download_file(REMOTE_ID, byte_range=ByteRange(0, 9)),
    Operation.DELETE: lambda driver: driver.delete_file(REMOTE_ID),
}
SETUP, BUSY, REJECTED = ConfigurationRefusedError, ProviderBusyError, FileRejectedError

#: (operation, status, code) -> kind, the code and status of the API's answer where the error names them
ROWS: list[tuple[str, int, str, type[ProviderError], str | None]] = [
    ("create", 400, "KMS.KMSInvalidStateException", SETUP, None),
    ("create", 400, "KMS.DisabledException", SETUP, None),
    ("create", 400, "KMS.NotFoundException", SETUP, None),
    ("create in parts", 400, "KMS.KMSInvalidStateException", SETUP, None),
    ("content", 400, "KMS.DisabledException", SETUP, None),
    ("create", 400, "KMS.ThrottlingException", RateLimitedError, None),
    ("create", 500, "KMS.KMSInternalException", ProviderUnavailableError, None),
    ("create", 400, "InvalidRequest", SETUP, None),
    ("create", 400, "InvalidArgument", SETUP, None),
    ("create", 405, "MethodNotAllowed", SETUP, None),
    ("create", 409, "InvalidBucketState", SETUP, None),
    ("create", 409, "ConditionalRequestConflict", BUSY, None),
    ("create", 409, "OperationAborted", BUSY, None),
    ("create", 411, "MissingContentLength", SETUP, None),
    ("create", 412, "PreconditionFailed", REJECTED, "file_exists"),
    ("create", 400, "EntityTooLarge", REJECTED, "file_too_large"),
    ("create", 400, "MetadataTooLarge", REJECTED, "metadata_too_large"),
    ("create", 501, "NotImplemented", SETUP, None),
    ("create", 404, "NoSuchBucket", SETUP, "bucket_not_found"),
    ("create", 404, "", SETUP, None),
    ("create in parts", 404, "", SETUP, None),
    ("create in parts", 404, "NoSuchUpload", ProviderUnavailableError, None),
    ("create", 403, "AccessDenied", CredentialsError, None),
    ("create", 400, "ExpiredToken", CredentialsError, None),
    ("create", 403, "SignatureDoesNotMatch", CredentialsError, None),
    ("create", 403, "RequestTimeTooSkewed", SETUP, None),
    ("create", 400, "AuthorizationHeaderMalformed", SETUP, None),
    ("create", 400, "BadDigest", ProviderUnavailableError, None),
    ("create", 400, "RequestTimeout", ProviderUnavailableError, None),
    ("create", 503, "SlowDown", RateLimitedError, None),
    ("create", 500, "InternalError", ProviderUnavailableError, None),
    ("create", 502, "", ProviderUnavailableError, None),
    ("list", 400, "InvalidRequest", SETUP, None),
    ("list", 404, "NoSuchBucket", SETUP, "bucket_not_found"),
    ("list", 404, "", SETUP, None),
    ("list", 412, "PreconditionFailed", SETUP, None),
    ("list", 429, "TooManyRequests", RateLimitedError, None),
    ("retrieve", 400, "", SETUP, None),
    ("retrieve", 404, "", SETUP, None),  # nor is there anything else
    ("retrieve", 405, "", SETUP, None),
    ("retrieve", 403, "", CredentialsError, None),
    ("retrieve", 408, "", ProviderTimeoutError, None),
    ("content", 400, "InvalidRequest", SETUP, None),
    ("content", 403, "InvalidObjectState", REJECTED, "file_archived"),
    ("content", 404, "", SETUP, None),
    ("content", 404, "NoSuchBucket", SETUP, "bucket_not_found"),
    ("content", 405, "MethodNotAllowed", SETUP, None),
    ("content", 412, "PreconditionFailed", SETUP, None),
    ("content", 416, "InvalidRange", REJECTED, "range_not_satisfiable"),
    ("content", 304, "", InvalidResponseError, None),
    ("delete", 409, "OperationAborted", BUSY, None),
    ("delete", 405, "MethodNotAllowed", SETUP, None),
]


NOTHING = Answered(200, b"<ListBucketResult/>")


@pytest.fixture(scope="module")
def store() -> Iterator[StoreProxy]:
    with store_proxy(lambda asked: NOTHING) as store:
        yield store


@pytest.fixture
def driver(store: StoreProxy, monkeypatch: pytest.MonkeyPatch) -> BedrockDriver:
    """A driver that asks once: a table of answers is no place to wait between the client's attempts."""
    monkeypatch.setattr(s3_client, "_ATTEMPTS", 1)
    return open_driver(store.url, "files")


def answer_writes(answer: Answered, asked: Asked) -> Answered:
    """Answer what writes; there is no object yet."""
    if asked.method == "HEAD":
        return Answered(404)
    return NOTHING if asked.method == "GET" else answer


@pytest.mark.parametrize(
    ("operation", "status", "code", "kind", "our_code"), ROWS, ids=[f"{r[0]}-{r[1]}-{r[2]}" for r in ROWS]
)
def test_each_answer_is_the_fault_of_whom_the_table_says(
    store: StoreProxy,
    driver: BedrockDriver,
    operation: str,
    status: int,
    code: str,
    kind: type[ProviderError],
    our_code: str | None,
) -> None:
    answer = Answered.xml(status, code) if code else Answered(status)
    store.rule = partial(answer_writes, answer) if operation.startswith("create") else lambda asked: answer
    with pytest.raises(ProviderError) as caught:
        CALLS[operation](driver)
    assert (type(caught.value), caught.value.code) == (kind, our_code)
    assert "canary" not in caught.value.message, "S3's own words name users and keys"
    if kind is SETUP and our_code is None:
        assert (code or str(status)) in caught.value.message or f"({status})" in caught.value.message


def test_a_key_that_is_not_in_its_bucket_is_a_missing_file(store: StoreProxy, driver: BedrockDriver) -> None:
    store.rule = lambda asked: NOTHING if "list-type" in asked.query else Answered.xml(404, "NoSuchKey")
    for operation in (Operation.RETRIEVE, Operation.CONTENT, Operation.DELETE):
        with pytest.raises(RemoteFileNotFoundError):
            CALLS[operation](driver)


def test_the_time_that_s3_asks_for_is_passed_on(store: StoreProxy, driver: BedrockDriver) -> None:
    slow = Answered(503, Answered.xml(503, "SlowDown").body, {"Retry-After": "7"})
    store.rule = lambda asked: slow
    with pytest.raises(RateLimitedError) as caught:
        driver.list_files()
    assert caught.value.retry_after_seconds == 7
