"""What every driver that keeps files as objects must do, against a real store.

A driver's test subclasses `StoreContract` and gives a `driver` fixture whose prefix is the test's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta

import pytest

from providers.exceptions import FileRejectedError, RemoteFileNotFoundError
from providers.object_store import ObjectStoreDriver
from providers.objects import ByteRange, RemoteFile
from providers.transports.parts import PART_BYTES
from tests.providers.stores import (
    HOSTILE_NAMES,
    NAMESPACE,
    BrokenUpload,
    breaking,
    make_upload,
    new_file_id,
    random_bytes,
    read,
)
from tests.providers.wire import metered

CONTENT = random_bytes(700_001)
LARGE = random_bytes(2 * PART_BYTES + 12_345)
RANGES = [
    (ByteRange(0, 0), 0, 0),
    (ByteRange(10, 99), 10, 99),
    (ByteRange(700_000, None), 700_000, 700_000),
    (ByteRange(None, 10), 699_991, 700_000),
    (ByteRange(None, 10**9), 0, 700_000),
    (ByteRange(5, 10**9), 5, 700_000),
]
BAD_REMOTE_IDS = ["../secret", "/etc/passwd", "org/../../secret", "", ".", "org//x", "org/\0", "x" * 2000]


class StoreContract:
    """The cases."""

    def strays(self, driver: ObjectStoreDriver) -> int:
        """Return how many unfinished uploads the store still holds, where it can say."""
        return 0

    def all_files(self, driver: ObjectStoreDriver) -> list[RemoteFile]:
        """Return every file that the driver lists, from all pages."""
        found: list[RemoteFile] = []
        page = driver.list_files()
        while page.next_cursor:
            found += page.files
            page = driver.list_files(cursor=page.next_cursor)
        return [*found, *page.files]

    def assert_pages_are_complete(self, driver: ObjectStoreDriver, *, pages: int) -> None:
        """Nine files come on as many pages, each once."""
        created = {driver.create_file(make_upload(b"x")).remote_id for _ in range(9)}
        found, page = [], driver.list_files()
        seen = 1
        while page.next_cursor:
            found += page.files
            page = driver.list_files(cursor=page.next_cursor)
            seen += 1
        found += page.files
        assert seen == pages
        assert len(found) == 9
        assert {file.remote_id for file in found} == created

    def assert_nothing_is_left(self, driver: ObjectStoreDriver) -> None:
        assert self.all_files(driver) == []
        assert self.strays(driver) == 0

    def test_bytes_and_details_survive_the_round_trip(self, driver: ObjectStoreDriver) -> None:
        upload = make_upload(CONTENT, filename="run.jsonl", expires_after=3600, metadata={"team": "ü"})
        created = driver.create_file(upload)
        found = driver.retrieve_file(created.remote_id)
        assert read(driver, created.remote_id) == CONTENT
        assert driver.file_id_of(created.remote_id) == upload.file_id
        assert driver.namespace_of(created.remote_id) == NAMESPACE
        assert created.remote_id.endswith(f"{driver.prefix}{NAMESPACE}/{upload.file_id}.jsonl")
        assert (found.filename, found.purpose, found.bytes) == ("run.jsonl", "batch", len(CONTENT))
        assert found.sha256 == created.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert found.metadata == {"team": "ü"}
        assert found.created_at is not None
        assert found.expires_at == found.created_at + timedelta(hours=1)
        assert created.expires_at is None
        if driver.scheme:
            assert found.uri == f"{driver.scheme}://{created.remote_id}"

    @pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES])
    @pytest.mark.parametrize("file_first", [True, False])
    def test_files_of_every_number_of_parts_arrive_whole(
        self, driver: ObjectStoreDriver, size: int, file_first: bool
    ) -> None:
        content = LARGE[:size]
        created = driver.create_file(make_upload(content, file_first=file_first, expires_after=7200))
        (found,) = self.all_files(driver)
        assert hashlib.sha256(read(driver, created.remote_id)).hexdigest() == found.sha256
        assert found.sha256 == hashlib.sha256(content).hexdigest()
        assert (found.purpose, found.bytes) == ("batch", size)
        assert found.expires_at is not None
        assert self.strays(driver) == 0

    @pytest.mark.parametrize("filename", HOSTILE_NAMES)
    def test_hostile_names_survive_and_stay_out_of_the_key(
        self, driver: ObjectStoreDriver, filename: str
    ) -> None:
        upload = make_upload(b"x", filename=filename, purpose="user_data")
        created = driver.create_file(upload)
        assert driver.retrieve_file(created.remote_id).filename == filename
        assert f"{NAMESPACE}/{upload.file_id}." in created.remote_id
        assert created.remote_id.isascii()

    @pytest.mark.parametrize(("byte_range", "first", "last"), RANGES)
    def test_ranges_are_honoured(
        self, driver: ObjectStoreDriver, byte_range: ByteRange, first: int, last: int
    ) -> None:
        remote_id = driver.create_file(make_upload(CONTENT)).remote_id
        download = driver.download_file(remote_id, byte_range=byte_range)
        assert b"".join(download.chunks) == CONTENT[first : last + 1]
        assert download.length == last - first + 1
        if download.content_range is not None or last - first + 1 < len(CONTENT):
            assert download.content_range == (first, last, len(CONTENT))
        download.close()

    @pytest.mark.parametrize("byte_range", [ByteRange(700_001, None), ByteRange(None, 0)])
    def test_a_range_outside_of_the_file_is_416(
        self, driver: ObjectStoreDriver, byte_range: ByteRange
    ) -> None:
        remote_id = driver.create_file(make_upload(CONTENT)).remote_id
        with pytest.raises(FileRejectedError) as caught:
            driver.download_file(remote_id, byte_range=byte_range)
        assert (caught.value.status_code, caught.value.code) == (416, "range_not_satisfiable")

    def test_the_first_bytes_come_before_the_last_are_fetched(self, driver: ObjectStoreDriver) -> None:
        remote_id = driver.create_file(make_upload(LARGE)).remote_id
        download = driver.download_file(remote_id)
        first = next(iter(download.chunks))
        download.close()
        assert LARGE.startswith(first)
        assert 0 < len(first) <= driver.account.environment.chunk_bytes

    def test_a_second_delete_finds_nothing(self, driver: ObjectStoreDriver) -> None:
        remote_id = driver.create_file(make_upload(b"x")).remote_id
        driver.delete_file(remote_id)
        self.assert_nothing_is_left(driver)
        for operation in (driver.delete_file, driver.retrieve_file, driver.download_file):
            with pytest.raises(RemoteFileNotFoundError) as caught:
                operation(remote_id)
            assert caught.value.provider == driver.account.name

    @pytest.mark.parametrize("content", [b"second", LARGE], ids=["small", "large"])
    def test_a_file_is_never_replaced(self, driver: ObjectStoreDriver, content: bytes) -> None:
        upload = make_upload(b"first")
        created = driver.create_file(upload)
        with pytest.raises(FileRejectedError) as caught:
            driver.create_file(make_upload(content, filename="other.jsonl", file_id=upload.file_id))
        assert caught.value.code == "file_exists"
        assert read(driver, created.remote_id) == b"first"
        assert driver.retrieve_file(created.remote_id).filename == "data.jsonl"
        assert self.strays(driver) == 0

    @pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
    @pytest.mark.parametrize("error", [BrokenUpload(), BrokenPipeError(32), KeyboardInterrupt()])
    def test_an_upload_that_breaks_leaves_nothing(
        self, driver: ObjectStoreDriver, content: bytes, error: BaseException
    ) -> None:
        with pytest.raises(type(error)) as caught:
            driver.create_file(make_upload(breaking(content, error)))
        assert caught.value is error
        self.assert_nothing_is_left(driver)

    @pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
    def test_nothing_is_published_before_the_verdict(self, driver: ObjectStoreDriver, content: bytes) -> None:
        def chunks() -> Iterator[bytes]:
            yield content
            assert self.all_files(driver) == []

        with pytest.raises(BrokenUpload):
            driver.create_file(make_upload(chunks(), fail_at_end=True))
        self.assert_nothing_is_left(driver)

    def test_a_lost_answer_can_be_found_by_file_id(self, driver: ObjectStoreDriver) -> None:
        upload = make_upload(LARGE, file_first=True)
        created = driver.create_file(upload)
        found = driver.find_file(namespace=NAMESPACE, file_id=upload.file_id)
        assert found is not None
        assert (found.remote_id, found.sha256) == (created.remote_id, created.sha256)
        assert driver.find_file(namespace=NAMESPACE, file_id=new_file_id()) is None

    def test_each_operation_is_metered_once(self, driver: ObjectStoreDriver) -> None:
        entered = metered(driver)
        remote_id = driver.create_file(make_upload(CONTENT)).remote_id
        driver.list_files()
        driver.retrieve_file(remote_id)
        read(driver, remote_id)
        driver.find_file(namespace=NAMESPACE, file_id=new_file_id())
        driver.sweep_stray(timedelta(hours=1))
        driver.delete_file(remote_id)
        with pytest.raises(RemoteFileNotFoundError):
            driver.delete_file(remote_id)
        names, operations = zip(*entered, strict=True)
        assert set(names) == {driver.name}
        assert operations == ("create", "list", "retrieve", "content", "list", "delete", "delete", "delete")

    @pytest.mark.parametrize("remote_id", BAD_REMOTE_IDS)
    def test_remote_ids_lead_nowhere_else(self, driver: ObjectStoreDriver, remote_id: str) -> None:
        in_bucket = f"{driver.buckets[0]}/{remote_id}"
        below = f"{driver.buckets[0]}/{driver.prefix}{remote_id}"
        for each in (remote_id, in_bucket, below, "another-bucket/files/x"):
            assert driver.file_id_of(each) is None
            for operation in (driver.retrieve_file, driver.download_file, driver.delete_file):
                with pytest.raises(RemoteFileNotFoundError) as caught:
                    operation(each)
                assert caught.value.provider == driver.account.name
