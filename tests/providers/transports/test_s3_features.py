"""Stores that speak S3 and lack what AWS has: moto behind a proxy that refuses it as they do."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from providers.bedrock import BedrockDriver
from providers.exceptions import CredentialsError, FileRejectedError
from tests.providers.proxies import Answered, Asked, Rule, StoreProxy, store_proxy
from tests.providers.store_contract import CONTENT, LARGE
from tests.providers.stores import BUCKETS, NAMESPACE, Moto, Weed, make_upload, read
from tests.providers.test_bedrock import client_of, open_driver, unfinished

MakeDriver = Callable[..., BedrockDriver]
ALL = ("tags", "CRC32C checksums", "preconditions")
_prefixes = itertools.count()


def refusing(status: int, code: str, *names: str) -> Rule:
    """Refuse requests with such a header, or with such a subresource."""

    def rule(asked: Asked) -> Answered | None:
        given = [asked.query.partition("=")[0], *(name.lower() for name in asked.headers)]
        refused = any(each.startswith(name) for each in given for name in names)
        return Answered.xml(status, code) if refused else None

    return rule


STORES: dict[str, Rule] = {
    "no tags": refusing(501, "NotImplemented", "tagging"),
    "a policy without tags": refusing(403, "AccessDenied", "tagging"),
    "tags not found": refusing(404, "NoSuchTagSet", "tagging"),
    "no checksums": refusing(400, "InvalidArgument", "x-amz-checksum-"),
    "no preconditions": refusing(501, "NotImplemented", "if-none-match"),
    "none of it": refusing(501, "NotImplemented", "tagging", "x-amz-checksum-", "if-none-match"),
}


@pytest.fixture
def behind(moto_server: Moto) -> Iterator[Callable[..., tuple[BedrockDriver, StoreProxy]]]:
    """Makes drivers whose store answers by a rule, each with a prefix of its own."""
    with ExitStack() as stack:

        def make(rule: Rule, *drops: str) -> tuple[BedrockDriver, StoreProxy]:
            proxy = stack.enter_context(store_proxy(rule, moto_server.endpoint_url, drops))
            return open_driver(proxy.url, f"lacks/{os.getpid()}-{next(_prefixes)}"), proxy

        yield make


@pytest.mark.parametrize("name", STORES)
def test_files_of_every_size_are_kept_and_given_back(behind: MakeDriver, name: str) -> None:
    driver, _ = behind(STORES[name])
    for content in (CONTENT, LARGE):
        upload = make_upload(content, filename="run.jsonl", metadata={"team": "a"})
        created = driver.create_file(upload)
        assert created.sha256 is not None
        (found,) = driver.list_files().files
        assert (found.filename, found.purpose, found.bytes) == ("run.jsonl", "batch", len(content))
        assert found.metadata == {"team": "a"}
        assert read(driver, created.remote_id) == content
        assert driver.find_file(namespace=NAMESPACE, file_id=upload.file_id) == found
        driver.delete_file(created.remote_id)
    assert unfinished(driver) == []


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
def test_what_a_store_refuses_is_learned_once(behind: MakeDriver, content: bytes) -> None:
    driver, proxy = behind(STORES["none of it"])
    driver.create_file(make_upload(content))
    proxy.asked.clear()
    driver.create_file(make_upload(content))
    refused = [asked for asked in proxy.asked if STORES["none of it"](asked)]
    assert [asked.query for asked in refused] == (["tagging"] if content is LARGE else [])
    assert [asked for asked in proxy.asked if "Content-MD5" in asked.headers]


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
def test_a_file_is_not_replaced_where_there_are_no_preconditions(behind: MakeDriver, content: bytes) -> None:
    driver, _ = behind(STORES["no preconditions"])
    upload = make_upload(b"first")
    created = driver.create_file(upload)
    with pytest.raises(FileRejectedError) as caught:
        driver.create_file(make_upload(content, file_id=upload.file_id))
    assert caught.value.code == "file_exists"
    assert read(driver, created.remote_id) == b"first"


@pytest.mark.parametrize("status", [403, 404])
def test_one_object_with_unreadable_tags_leaves_the_list_whole(behind: MakeDriver, status: int) -> None:
    unreadable: list[str] = []

    def rule(asked: Asked) -> Answered | None:
        is_its_tags = asked.query == "tagging" and any(key in asked.path for key in unreadable)
        return Answered.xml(status, "NoWay") if is_its_tags else None

    driver, _ = behind(rule)
    first, second = (driver.create_file(make_upload(LARGE)) for _ in range(2))
    unreadable.append(first.remote_id.partition("/")[2])
    sums = {file.remote_id: file.sha256 for file in driver.list_files().files}
    assert sums == {first.remote_id: None, second.remote_id: second.sha256}
    assert driver.retrieve_file(first.remote_id).purpose == "batch"


def test_an_object_that_may_not_be_read_is_listed_by_its_key(behind: MakeDriver) -> None:
    unreadable: list[str] = []
    driver, _ = behind(
        lambda asked: (
            Answered(403) if asked.method == "HEAD" and any(key in asked.path for key in unreadable) else None
        )
    )
    first, second = (driver.create_file(make_upload(CONTENT)) for _ in range(2))
    unreadable.append(first.remote_id.partition("/")[2])
    names = {file.remote_id: file.filename for file in driver.list_files().files}
    assert names == {first.remote_id: first.remote_id.rpartition("/")[2], second.remote_id: "data.jsonl"}
    unreadable.append(second.remote_id.partition("/")[2])
    with pytest.raises(CredentialsError):
        driver.list_files()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no tags", {"tags (refused with 501)"}),
        ("a policy without tags", {"tags (refused with 403)"}),
        # botocore sends a checksum with tags in any case
        ("no checksums", {"tags (refused with 400)", "CRC32C checksums (refused with 400)"}),
        ("no preconditions", {"preconditions (refused with 501)"}),
        ("none of it", {f"{each} (refused with 501)" for each in ALL}),
    ],
)
def test_what_a_store_lacks_is_named(behind: MakeDriver, name: str, expected: set[str]) -> None:
    driver, _ = behind(STORES[name])
    remote_id = driver.create_file(make_upload(b"x")).remote_id
    named = {each.partition(":")[0] for each in driver.missing_features(remote_id)}
    assert named - {"CRC32C checksums (ignored)"} == expected  # moto checks none
    assert unfinished(driver) == []


def test_a_precondition_that_is_ignored_is_named(behind: MakeDriver) -> None:
    driver, _ = behind(lambda asked: None, "if-none-match")
    remote_id = driver.create_file(make_upload(b"x")).remote_id
    assert "preconditions (ignored)" in str(driver.missing_features(remote_id))


def test_a_whole_store_lacks_nothing(s3_server: Weed) -> None:
    driver = open_driver(s3_server.endpoint_url, f"lacks/{os.getpid()}-{next(_prefixes)}")
    created = driver.create_file(make_upload(b"x"))
    assert driver.missing_features(created.remote_id) == ()
    assert unfinished(driver) == []
    client_of(driver).head_object(Bucket=BUCKETS[0], Key=created.remote_id.partition("/")[2])
