"""What a driver whose batch jobs read renditions must do, against a real store.

A driver's test subclasses `RenditionContract` and gives a `driver` fixture whose prefix is the test's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from providers.exceptions import InvalidResponseError, RemoteFileNotFoundError
from providers.object_store import ObjectStoreDriver
from providers.objects import BatchFacts, Upload
from providers.transports.parts import PART_BYTES
from tests.providers.stores import (
    NAMESPACE,
    BrokenUpload,
    breaking,
    make_upload,
    new_file_id,
    random_bytes,
    read,
)

FACTS = BatchFacts("converse", 3, 0, "some.model-v1:0", "/v1/chat/completions", ("user",), ("few records",))
SMALL = b"line\n" * 1000
LARGE = random_bytes(2 * PART_BYTES + 12_345, seed=3)
#: A small and a large file, with a rendition that is smaller, or larger.
SIZES = pytest.mark.parametrize(
    ("content", "factor"), [(SMALL, 2), (LARGE[: PART_BYTES - 1], 2), (LARGE, 0.25), (LARGE, 1.5)]
)


class Doubled:
    """A rendering that yields so many times the bytes that pass. `facts` None: the file is no batch file."""

    def __init__(self, factor: float = 2, facts: BatchFacts | None = FACTS) -> None:
        self.rendered = b""
        self._factor = factor
        self._facts = facts
        self._taken = 0

    def watch(self, upload: Upload) -> Upload:
        """Return the upload with this rendering, which sees its chunks before the driver."""
        parts = upload.parts
        upload.parts = (
            replace(part, chunks=self._watched(part.chunks)) if hasattr(part, "chunks") else part
            for part in parts
        )
        upload.rendering = self
        return upload

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.rendered += (chunk * 2)[: int(len(chunk) * self._factor)].replace(b"l", b"L")
            yield chunk

    def take(self) -> bytes:
        taken = self.rendered[self._taken :]
        self._taken = len(self.rendered)
        return taken

    def facts(self) -> BatchFacts | None:
        return None if self._facts is None else replace(self._facts, bytes=len(self.rendered))


class RenditionContract:
    """The cases."""

    def keys(self, driver: ObjectStoreDriver) -> list[str]:
        """Return the keys below the prefix, as the store has them."""
        page = driver.store.list_page(driver.buckets[0], driver.prefix, None)
        return [stored.key.removeprefix(driver.prefix) for stored in page.objects]

    def parts_left(self, driver: ObjectStoreDriver) -> int:
        """Return how many unfinished uploads the store still holds, where it can say."""
        return 0

    def assert_nothing_is_left(self, driver: ObjectStoreDriver) -> None:
        assert self.keys(driver) == []
        assert self.parts_left(driver) == 0

    @SIZES
    def test_the_file_is_as_it_came_and_its_rendition_beside_it(
        self, driver: ObjectStoreDriver, content: bytes, factor: float
    ) -> None:
        rendering, upload = Doubled(factor), make_upload(content)
        created = driver.create_file(rendering.watch(upload))
        folder = f"{NAMESPACE}/batch/{upload.file_id}/"
        assert self.keys(driver) == sorted(
            [f"{NAMESPACE}/{upload.file_id}.jsonl", f"{folder}{upload.file_id}.jsonl"]
        )
        assert read(driver, created.remote_id) == content
        assert created.bytes == len(content)
        assert created.batch is not None
        place = f"{driver.scheme}://{driver.buckets[0]}/{driver.prefix}"
        assert created.batch == {
            "format": "converse",
            "uri": f"{place}{folder}{upload.file_id}.jsonl",
            "bytes": len(rendering.rendered),
            "records": 3,
            "model": "some.model-v1:0",
            "endpoint": "/v1/chat/completions",
            "ignored": ["user"],
            "warnings": ["few records"],
            "output_uri": f"{place}{NAMESPACE}/results/{upload.file_id}/",
        }
        remote_id = str(created.batch["uri"]).removeprefix(f"{driver.scheme}://")
        assert read(driver, remote_id) == rendering.rendered
        assert self.parts_left(driver) == 0

    @SIZES
    def test_a_list_tells_files_from_renditions_and_knows_both(
        self, driver: ObjectStoreDriver, content: bytes, factor: float
    ) -> None:
        created = driver.create_file(Doubled(factor).watch(make_upload(content)))
        listed = {each.remote_id: each for each in driver.list_files().files}
        file = listed.pop(created.remote_id)
        assert (file.batch, file.rendition_of, file.purpose) == (created.batch, None, "batch")
        [rendition] = listed.values()
        assert rendition.rendition_of == created.remote_id
        assert driver.file_id_of(rendition.remote_id) is None
        assert driver.namespace_of(rendition.remote_id) == NAMESPACE

    @pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
    def test_neither_is_there_before_the_verdict(self, driver: ObjectStoreDriver, content: bytes) -> None:
        def chunks() -> Iterator[bytes]:
            yield content
            assert self.keys(driver) == []

        with pytest.raises(BrokenUpload):
            driver.create_file(Doubled().watch(make_upload(chunks(), fail_at_end=True)))
        self.assert_nothing_is_left(driver)

    @pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
    def test_an_upload_that_breaks_leaves_neither(self, driver: ObjectStoreDriver, content: bytes) -> None:
        with pytest.raises(BrokenUpload):
            driver.create_file(Doubled().watch(make_upload(breaking(content, BrokenUpload()))))
        self.assert_nothing_is_left(driver)

    @pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
    def test_a_rendition_of_another_size_than_was_rendered_leaves_neither(
        self, driver: ObjectStoreDriver, content: bytes
    ) -> None:
        rendering = Doubled()
        rendering.facts = lambda: FACTS  # type: ignore[method-assign]  # which say 0 bytes
        with pytest.raises(InvalidResponseError):
            driver.create_file(rendering.watch(make_upload(content)))
        self.assert_nothing_is_left(driver)

    @pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
    def test_a_file_that_turns_out_to_be_no_batch_has_no_rendition(
        self, driver: ObjectStoreDriver, content: bytes
    ) -> None:
        upload = make_upload(content, purpose="evals", file_first=True)
        created = driver.create_file(Doubled(facts=None).watch(upload))
        assert created.batch is None
        assert self.keys(driver) == [f"{NAMESPACE}/{upload.file_id}.jsonl"]
        assert read(driver, created.remote_id) == content
        assert self.parts_left(driver) == 0

    def test_lines_that_jobs_read_as_they_are_need_no_rendition(self, driver: ObjectStoreDriver) -> None:
        upload = make_upload(SMALL)
        rendering = Doubled(0, facts=replace(FACTS, model=None, endpoint=None, is_rendered=False))
        created = driver.create_file(rendering.watch(upload))
        assert created.batch is not None
        assert (created.batch["uri"], created.batch["model"]) == (created.uri, None)
        assert self.keys(driver) == [f"{NAMESPACE}/{upload.file_id}.jsonl"]

    def test_a_delete_takes_both(self, driver: ObjectStoreDriver) -> None:
        created = driver.create_file(Doubled().watch(make_upload(SMALL)))
        driver.delete_file(created.remote_id)
        self.assert_nothing_is_left(driver)

    def test_a_rendition_without_its_file_is_found_by_the_files_id_and_removed(
        self, driver: ObjectStoreDriver
    ) -> None:
        upload = make_upload(SMALL)
        created = driver.create_file(Doubled().watch(upload))
        driver.store.delete(driver.buckets[0], created.remote_id.partition("/")[2])
        found = driver.find_file(namespace=NAMESPACE, file_id=upload.file_id)
        assert found is not None
        assert found.remote_id == created.remote_id
        with pytest.raises(RemoteFileNotFoundError):
            driver.delete_file(found.remote_id)
        self.assert_nothing_is_left(driver)
        assert driver.find_file(namespace=NAMESPACE, file_id=new_file_id()) is None
