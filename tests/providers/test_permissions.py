"""The permissions that the documentation asks for are those that the gateway's calls need, and no others."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs

import pytest

from providers.exceptions import RemoteFileNotFoundError
from providers.object_store import ObjectStoreDriver
from providers.objects import ByteRange
from tests.providers.proxies import Asked, store_proxy
from tests.providers.store_contract import LARGE
from tests.providers.stores import (
    BUCKETS,
    NAMESPACE,
    BrokenUpload,
    FakeGCS,
    Moto,
    breaking,
    make_upload,
    new_file_id,
    read,
)
from tests.providers.test_bedrock import client_of
from tests.providers.test_bedrock import open_driver as open_s3
from tests.providers.test_vertex import open_driver as open_gcs
from tests.stack import PROJECT

PAGE = (PROJECT / "docs" / "operations" / "permissions.md").read_text()
PREFIX = f"permissions-{os.getpid()}"

#: S3's operation -> what it needs, also of a key.
NEEDS = {
    "AbortMultipartUpload": {"s3:AbortMultipartUpload"},
    "CompleteMultipartUpload": {"s3:PutObject"},
    "CreateMultipartUpload": {"s3:PutObject"},
    "DeleteObject": {"s3:DeleteObject"},
    "GetObject": {"s3:GetObject"},
    "GetObjectTagging": {"s3:GetObjectTagging"},
    "HeadObject": {"s3:GetObject"},
    "ListMultipartUploads": {"s3:ListBucketMultipartUploads"},
    "ListObjectsV2": {"s3:ListBucket"},
    "PutObject": {"s3:PutObject"},
    "PutObjectTagging": {"s3:PutObjectTagging"},
    "UploadPart": {"s3:PutObject"},
}
KEY_NEEDS = {
    "CreateMultipartUpload": {"kms:GenerateDataKey"},
    "GetObject": {"kms:Decrypt"},
    "PutObject": {"kms:GenerateDataKey"},
    "UploadPart": {"kms:GenerateDataKey", "kms:Decrypt"},
}
#: Method and path of Cloud Storage's JSON API -> what it needs.
GCS_NEEDS = (
    ("POST", r"/upload/storage/v1/b/[^/]+/o", "storage.objects.create"),
    ("PUT|DELETE", r"/upload/.*", "storage.objects.create"),
    ("GET", r"/storage/v1/b/[^/]+/o", "storage.objects.list"),
    ("GET", r"(/download)?/storage/v1/b/[^/]+/o/.+", "storage.objects.get"),
    ("PATCH", r"/storage/v1/b/[^/]+/o/.+", "storage.objects.update"),
    ("DELETE", r"/storage/v1/b/[^/]+/o/.+", "storage.objects.delete"),
)


def block(name: str) -> str:
    """Return the block of the page behind the comment `name`."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"permissions.md has no block {name}"
    return found[1]


def actions(*statements: dict[str, Any]) -> set[str]:
    given = (statement["Action"] for statement in statements)
    return {action for each in given for action in ([each] if isinstance(each, str) else each)}


def do_everything(driver: ObjectStoreDriver) -> None:
    """Make every call that the gateway can make, also those of uploads that end badly."""
    small = driver.create_file(make_upload(b"x"))
    upload = make_upload(LARGE, file_first=True)
    large = driver.create_file(upload)
    with pytest.raises(BrokenUpload):
        driver.create_file(make_upload(breaking(LARGE, BrokenUpload())))
    driver.list_files()
    driver.retrieve_file(large.remote_id)
    driver.find_file(namespace=NAMESPACE, file_id=upload.file_id)
    read(driver, large.remote_id, ByteRange(0, 9))
    with suppress(RemoteFileNotFoundError):
        driver.retrieve_file(small.remote_id.replace(upload.file_id, new_file_id()) + "x")
    driver.missing_features(small.remote_id)
    driver.sweep_stray(timedelta(minutes=-1))
    driver.delete_file(small.remote_id)
    driver.delete_file(large.remote_id)


@pytest.fixture
def s3_calls(moto_server: Moto) -> list[tuple[str, dict[str, Any]]]:
    """The S3 operations, with their parameters, of a driver that has done everything."""
    options = {"server_side_encryption": "aws:kms", "kms_key_id": "key-1"}
    driver = open_s3(moto_server.endpoint_url, PREFIX, **options)
    calls: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], model: Any, **_: object) -> None:
        calls.append((model.name, params))

    events = client_of(driver).meta.events
    events.register("provide-client-params.s3", note)
    do_everything(driver)
    events.unregister("provide-client-params.s3", note)
    return calls


def test_the_policies_for_s3_are_what_its_calls_need(s3_calls: list[tuple[str, dict[str, Any]]]) -> None:
    names = {name for name, _ in s3_calls}
    statements = json.loads(block("s3"))["Statement"]
    assert actions(*statements) == set().union(*(NEEDS[name] for name in names))
    assert actions(json.loads(block("kms"))) == set().union(*(KEY_NEEDS.get(name, set()) for name in names))
    listing = next(each for each in statements if each["Action"] == "s3:ListBucket")
    allowed = listing["Condition"]["StringLike"]["s3:prefix"].replace("files/", f"{PREFIX}/")
    of_objects = next(each["Resource"] for each in statements if each["Resource"].endswith("/*"))
    for name, params in s3_calls:
        if name == "ListObjectsV2":
            assert fnmatchcase(params["Prefix"], allowed)
        elif "Key" in params:
            arn = f"arn:aws:s3:::{params['Bucket']}/{params['Key']}"
            assert fnmatchcase(arn, of_objects.replace("BUCKET/files", f"{BUCKETS[0]}/{PREFIX}"))


def test_what_may_be_missing_is_what_the_page_says_may_be() -> None:
    optional = set(re.findall(r"`(s3:\w+)`", "".join(re.findall(r"^\| (`s3:.*?) \|", PAGE, re.MULTILINE))))
    assert optional <= actions(*json.loads(block("s3"))["Statement"])


def test_the_policy_for_a_role_is_what_assuming_it_needs(
    moto_server: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store_proxy(lambda asked: None, moto_server.endpoint_url) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        role = {
            "role_arn": "arn:aws:iam::123456789012:role/page",
            "default_credentials_anywhere": True,
        }
        open_s3(moto_server.endpoint_url, f"{PREFIX}-role", **role).list_files()
    forms = [parse_qs(asked.body.decode()) for asked in sts.asked]
    assert actions(json.loads(block("role"))) == {f"sts:{form['Action'][0]}" for form in forms}


def gcs_permission(asked: Asked) -> str:
    for method, path, permission in GCS_NEEDS:
        if re.fullmatch(method, asked.method) and re.fullmatch(path, asked.path):
            return permission
    raise AssertionError(f"{asked.method} {asked.path} needs a permission that the page does not name")


def test_the_role_for_cloud_storage_is_what_its_calls_need(gcs_server: FakeGCS) -> None:
    with store_proxy(lambda asked: None, gcs_server.endpoint_url) as proxy:
        do_everything(open_gcs(proxy.url, PREFIX))
    assert set(block("gcs").split()) == {gcs_permission(asked) for asked in proxy.asked}
