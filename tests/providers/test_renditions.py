"""Renditions in a real S3 server: what is left between their end and that of their file."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest

from providers.bedrock import BedrockDriver
from providers.exceptions import FileRejectedError, RemoteFileNotFoundError
from providers.transports import s3
from providers.transports.details import Details, pack_details
from tests.providers.rendition_contract import Doubled
from tests.providers.store_contract import CONTENT, LARGE
from tests.providers.stores import NAMESPACE, Weed, make_upload, new_file_id, random_bytes, read
from tests.providers.test_bedrock import client_of, driver, make_driver, open_driver, unfinished

__all__ = ["driver", "make_driver"]


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
def test_a_file_that_its_store_refuses_takes_its_rendition_along(
    driver: BedrockDriver, content: bytes
) -> None:
    upload = make_upload(b"first", purpose="evals")
    taken = driver.create_file(upload)
    with pytest.raises(FileRejectedError) as caught:
        driver.create_file(Doubled().watch(make_upload(content, file_id=upload.file_id)))
    assert caught.value.code == "file_exists"
    assert [file.remote_id for file in driver.list_files().files] == [taken.remote_id]
    assert read(driver, taken.remote_id) == b"first"
    assert unfinished(driver) == []


def _upload_until_killed_behind_its_rendition(
    endpoint_url: str, prefix: str, file_id: str, connection: Connection
) -> None:
    driver = open_driver(endpoint_url, prefix)

    def wait(params: dict[str, Any], **_: object) -> None:
        if "/batch/" not in params["Key"]:
            connection.send("the rendition is there")
            connection.recv()

    client_of(driver).meta.events.register("before-parameter-build.s3.CompleteMultipartUpload", wait)
    driver.create_file(Doubled().watch(make_upload(LARGE, file_id=file_id)))


def test_a_writer_killed_behind_its_rendition_leaves_only_what_is_removed(
    driver: BedrockDriver, s3_server: Weed
) -> None:
    context: Any = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    file_id = new_file_id()
    given = (s3_server.endpoint_url, driver.prefix, file_id, theirs)
    child = context.Process(target=_upload_until_killed_behind_its_rendition, args=given)
    child.start()
    assert ours.recv() == "the rendition is there"
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    [left] = driver.list_files().files
    found = driver.find_file(namespace=NAMESPACE, file_id=file_id)
    assert found is not None
    assert left.rendition_of == found.remote_id
    with pytest.raises(RemoteFileNotFoundError):
        driver.delete_file(found.remote_id)
    assert driver.list_files().files == ()
    assert driver.sweep_stray(timedelta(minutes=-1)) == 1
    assert unfinished(driver) == []


def test_what_was_found_in_lines_is_known_too_late_to_refuse_a_file_for_it(driver: BedrockDriver) -> None:
    words = random_bytes(4_000).hex()
    lengths = (number for number in range(1_000, 4_000) if not _fits(words[:number]))
    metadata = {"words": words[: next(lengths) - 1]}
    upload = make_upload(b"{}", metadata=metadata)
    created = driver.create_file(Doubled().watch(upload))
    assert created.batch is not None
    found = driver.retrieve_file(created.remote_id)
    assert (found.metadata, found.batch) == (metadata, None)


def _fits(words: str) -> bool:
    """Whether S3's metadata take so long a word beside what is always known of a file."""
    details = Details("data.jsonl", "application/octet-stream", "batch", None, "0" * 64, {"words": words})
    try:
        pack_details(details, max_bytes=s3._S3Writing.max_metadata_bytes)
    except FileRejectedError:
        return False
    return True
