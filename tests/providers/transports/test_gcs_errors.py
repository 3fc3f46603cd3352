"""Whose fault Cloud Storage's answers are, row by row and over the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    ProviderBusyError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    RemoteFileNotFoundError,
)
from providers.objects import ByteRange
from providers.transports import gcs
from providers.vertex import VertexDriver
from tests.providers.proxies import Answered, Asked, Rule, StoreProxy, store_proxy
from tests.providers.stores import BUCKETS, make_upload
from tests.providers.test_vertex import open_driver

REMOTE_ID = f"{BUCKETS[0]}/files/org-1/file-x.jsonl"
CALLS: dict[str, Callable[[VertexDriver], object]] = {
    "create": lambda driver: driver.create_file(make_upload(b"x")),
    "last part": lambda driver: driver.create_file(make_upload(b"x")),
    "list": lambda driver: driver.list_files(),
    "retrieve": lambda driver: driver.retrieve_file(REMOTE_ID),
    "content": lambda driver: driver.download_file(REMOTE_ID, byte_range=ByteRange(0, 9)),
    "delete": lambda driver: driver.delete_file(REMOTE_ID),
}
SETUP, BUSY, REJECTED = ConfigurationRefusedError, ProviderBusyError, FileRejectedError

#: (operation, status, reason) -> kind, and the code of the API's answer where the error names one
ROWS: list[tuple[str, int, str, type[ProviderError], str | None]] = [
    ("create", 400, "UserProjectMissing", SETUP, None),
    ("create", 400, "invalid", SETUP, None),
    ("create", 401, "authError", CredentialsError, None),
    ("create", 403, "forbidden", CredentialsError, None),
    ("create", 403, "accountDisabled", SETUP, None),
    ("create", 403, "rateLimitExceeded", RateLimitedError, None),
    ("create", 404, "notFound", SETUP, "bucket_not_found"),
    ("create", 405, "methodNotAllowed", SETUP, None),
    ("create", 409, "conflict", BUSY, None),
    ("create", 411, "", SETUP, None),
    ("create", 412, "conditionNotMet", REJECTED, "file_exists"),
    ("create", 412, "orgPolicyConstraintFailed", SETUP, None),
    ("create", 413, "uploadTooLarge", REJECTED, None),
    ("create", 429, "rateLimitExceeded", RateLimitedError, None),
    ("last part", 400, "", SETUP, None),
    ("last part", 403, "forbidden", CredentialsError, None),
    ("last part", 412, "conditionNotMet", REJECTED, "file_exists"),
    ("last part", 412, "orgPolicyConstraintFailed", SETUP, None),
    ("list", 400, "UserProjectMissing", SETUP, None),
    ("list", 403, "forbidden", CredentialsError, None),
    ("list", 404, "notFound", SETUP, "bucket_not_found"),
    ("retrieve", 403, "userRateLimitExceeded", RateLimitedError, None),
    ("retrieve", 412, "conditionNotMet", SETUP, None),
    ("content", 400, "UserProjectMissing", SETUP, None),
    ("content", 403, "forbidden", CredentialsError, None),
    ("content", 404, "notFound", RemoteFileNotFoundError, None),
    ("content", 408, "", ProviderTimeoutError, None),
    ("content", 412, "conditionNotMet", SETUP, None),
    ("content", 416, "requestedRangeNotSatisfiable", REJECTED, "range_not_satisfiable"),
    ("content", 429, "", RateLimitedError, None),
    ("content", 503, "backendError", ProviderUnavailableError, None),
    ("content", 504, "", ProviderTimeoutError, None),
    ("delete", 403, "retentionPolicyNotMet", BUSY, None),
    ("delete", 403, "objectUnderActiveHold", BUSY, None),
]


@pytest.fixture(scope="module")
def store() -> Iterator[StoreProxy]:
    with store_proxy(lambda asked: None) as store:
        yield store


@pytest.fixture
def driver(store: StoreProxy) -> VertexDriver:
    return open_driver(store.url, "files")


def answer(status: int, reason: str, headers: dict[str, str] | None = None) -> Answered:
    error = {"code": status, "message": "canary: files@project", "errors": [{"reason": reason}]}
    body = json.dumps({"error": error}).encode() if reason else b"canary"
    return Answered(status, body, headers or {})


def only(operation: str, answered: Answered, url: str) -> Rule:
    """Answer the request that an operation is about; what surrounds it finds nothing."""

    def rule(asked: Asked) -> Answered:
        is_list = asked.path.endswith("/o") and asked.method == "GET"
        if operation in {"create", "last part"} and asked.method not in {"POST", "PUT"}:
            return answer(404, "notFound")
        if operation == "last part" and asked.method == "POST":
            return Answered(200, b"", {"Location": f"{url}/session"})
        return Answered(200, b"{}") if is_list and operation != "list" else answered

    return rule


@pytest.mark.parametrize(
    ("operation", "status", "reason", "kind", "code"), ROWS, ids=[f"{r[0]}-{r[1]}-{r[2]}" for r in ROWS]
)
def test_each_answer_is_the_fault_of_whom_the_table_says(
    store: StoreProxy,
    driver: VertexDriver,
    operation: str,
    status: int,
    reason: str,
    kind: type[ProviderError],
    code: str | None,
) -> None:
    store.rule = only(operation, answer(status, reason), store.url)
    with pytest.raises(ProviderError) as caught:
        CALLS[operation](driver)
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert "canary" not in caught.value.message, "the store's own words name buckets and principals"
    if kind is SETUP and code is None:
        assert (reason or str(status)) in caught.value.message


def test_a_range_of_a_compressed_object_is_not_the_clients_fault(
    store: StoreProxy, driver: VertexDriver
) -> None:
    store.rule = lambda asked: answer(416, "", {"x-goog-stored-content-encoding": "gzip"})
    with pytest.raises(ConfigurationRefusedError, match="416"):
        CALLS["content"](driver)


def test_a_full_store_says_at_once_how_long_to_wait(store: StoreProxy, driver: VertexDriver) -> None:
    store.rule = lambda asked: answer(429, "rateLimitExceeded", {"Retry-After": "7"})
    store.asked.clear()
    with pytest.raises(RateLimitedError) as caught:
        CALLS["create"](driver)
    assert caught.value.retry_after_seconds == 7
    assert [asked.method for asked in store.asked] == ["POST"]


def test_what_a_store_answers_to_the_last_attempt_is_what_counts(
    store: StoreProxy, driver: VertexDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs, "_RETRY", gcs._RETRY.with_timeout(0.01))
    store.rule = lambda asked: answer(429, "rateLimitExceeded", {"Retry-After": "7"})
    with pytest.raises(RateLimitedError) as caught:
        CALLS["retrieve"](driver)
    assert caught.value.retry_after_seconds == 7
