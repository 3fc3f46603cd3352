"""What batch jobs leave in a bucket, in real servers of S3 and Cloud Storage."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import pytest

from providers.base import AccountConfig
from providers.exceptions import RemoteFileNotFoundError
from providers.object_store import ObjectStoreDriver
from providers.registry import build_driver
from providers.results import JobResults, ResultPart, translated_from, translation_id
from providers.transports.details import Details
from tests.providers import jobs
from tests.providers.stores import ACCESS_KEY, BUCKETS, LOOPBACK, NAMESPACE, SECRET_KEY, FakeGCS, Weed, read

FILE_ID = "file-abcdefghij234567"
Put = Callable[[str, bytes], str]
_prefixes = itertools.count()


@pytest.fixture(params=["bedrock", "vertex"])
def driver(request: pytest.FixtureRequest) -> ObjectStoreDriver:
    if request.param == "bedrock":
        server: Weed | FakeGCS = request.getfixturevalue("s3_server")
        credentials = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
    else:
        server, credentials = request.getfixturevalue("gcs_server"), {}
    prefix = f"results/{os.getpid()}-{next(_prefixes)}"
    options = {"bucket": BUCKETS[0], "prefix": prefix, "endpoint_url": server.endpoint_url}
    config = AccountConfig("a", options, credentials, LOOPBACK)
    built = build_driver(request.param, config)
    assert isinstance(built, ObjectStoreDriver)
    return built


@pytest.fixture
def results(driver: ObjectStoreDriver) -> JobResults:
    assert driver.results is not None
    return driver.results


@pytest.fixture
def put(driver: ObjectStoreDriver) -> Put:
    """Write an object below the organization's folder."""
    write = {"bedrock": jobs.put_s3, "vertex": jobs.put_gcs}[driver.name]
    write_there = partial(write, str(driver.endpoint_url))
    return lambda name, content: write_there(f"{driver.prefix}{NAMESPACE}/{name}", content)


def names(driver: ObjectStoreDriver) -> dict[str, list[str]]:
    """Return the names that a job of this provider gives: rows, the first stands for all; and a summary."""
    if driver.name == "bedrock":
        return {"rows": [f"{FILE_ID}.jsonl.out", f"{FILE_ID}.jsonl.err"], "summary": ["manifest.json.out"]}
    return {"rows": ["predictions_0001.jsonl", "predictions_0002.jsonl"], "summary": []}


def lines(*parts: tuple[ResultPart, bytes]) -> Iterator[tuple[ResultPart, bytes]]:
    yield from parts


def all_ids(driver: ObjectStoreDriver) -> set[str]:
    return {file.remote_id for file in driver.list_files().files}


def test_translations_lie_beside_the_result_and_are_nobodys_files(
    driver: ObjectStoreDriver, results: JobResults, put: Put
) -> None:
    source = put(f"results/{FILE_ID}/job/{names(driver)['rows'][0]}", b"{}")
    digests = results.translate(source, lines(("output", b"a\n"), ("errors", b"b\n"), ("output", b"c\n")))
    assert {part: digest.bytes for part, digest in digests.items()} == {"output": 4, "errors": 2}
    assert read(driver, translation_id(source, "output")) == b"a\nc\n"
    assert read(driver, translation_id(source, "errors")) == b"b\n"
    listed = {file.remote_id: file for file in driver.list_files().files}
    assert {id_ for id_, file in listed.items() if file.translation_of is None} == {source}
    assert {file.translation_of for file in listed.values()} == {None, source}


def test_without_failures_there_is_no_error_file(
    driver: ObjectStoreDriver, results: JobResults, put: Put
) -> None:
    source = put(f"job/{names(driver)['rows'][0]}", b"{}")
    results.translate(source, lines())
    assert read(driver, translation_id(source, "output")) == b""
    with pytest.raises(RemoteFileNotFoundError):
        driver.retrieve_file(translation_id(source, "errors"))


def test_another_translation_replaces_the_first(
    driver: ObjectStoreDriver, results: JobResults, put: Put
) -> None:
    source = put(f"job/{names(driver)['rows'][0]}", b"{}")
    results.translate(source, lines(("output", b"old"), ("errors", b"old")))
    results.translate(source, lines(("output", b"new")))
    assert read(driver, translation_id(source, "output")) == b"new"
    assert all_ids(driver) == {source, translation_id(source, "output")}


def test_a_translation_that_breaks_off_leaves_nothing(
    driver: ObjectStoreDriver, results: JobResults, put: Put
) -> None:
    source = put(f"job/{names(driver)['rows'][0]}", b"{}")

    def breaking() -> Iterator[tuple[ResultPart, bytes]]:
        yield "output", b"x" * 9_000_000
        yield "errors", b"y"
        raise RuntimeError("the provider is gone")

    with pytest.raises(RuntimeError):
        results.translate(source, breaking())
    assert all_ids(driver) == {source}


def test_the_parts_of_a_result_are_found_in_order(
    driver: ObjectStoreDriver, results: JobResults, put: Put
) -> None:
    named = names(driver)
    ids = [put(f"job/{name}", b"{}") for name in reversed(named["rows"] + named["summary"])][::-1]
    put("job/other/manifest.json.out", b"{}")
    put("job/predictions.txt", b"{}")
    put(f"job2/{named['rows'][0]}", b"{}")
    assert [part.remote_id for part in results.parts(ids[-1 if not named["summary"] else 1])] == ids


def test_who_deletes_a_result_deletes_all_of_it(
    driver: ObjectStoreDriver, results: JobResults, put: Put
) -> None:
    named = names(driver)
    source, *_ = [put(f"job/{name}", b"{}") for name in named["rows"] + named["summary"]]
    stranger = put("job/readme.txt", b"{}")
    results.translate(source, lines(("output", b"a"), ("errors", b"b")))
    results.delete(source)
    assert all_ids(driver) == {stranger}
    with pytest.raises(RemoteFileNotFoundError):
        results.delete(source)


@pytest.mark.parametrize("driver", ["bedrock"], indirect=True)
def test_the_summary_of_a_job_goes_with_the_last_of_its_results(
    driver: ObjectStoreDriver, results: JobResults, put: Put
) -> None:
    first, second, summary = (
        put(f"job/{name}", b"{}") for name in ("a.jsonl.out", "b.jsonl.out", "manifest.json.out")
    )
    results.delete(first)
    assert all_ids(driver) == {second, summary}
    results.delete(second)
    assert all_ids(driver) == set()


def test_the_results_folder_of_an_organization_is_listed_alone(
    driver: ObjectStoreDriver, results: JobResults, put: Put
) -> None:
    inside = put(f"results/{FILE_ID}/job/{names(driver)['rows'][0]}", b"{}")
    put(f"elsewhere/{names(driver)['rows'][0]}", b"{}")
    page = results.list_page(namespace=NAMESPACE)
    assert [file.remote_id for file in page.files] == [inside]
    assert results.list_page(namespace="org-other").files == ()


@pytest.mark.parametrize("driver", ["bedrock"], indirect=True)
@pytest.mark.parametrize(
    ("remote_id", "group", "input_id"),
    [
        (f"b/org/results/{FILE_ID}/j/in.jsonl.out", f"b/org/results/{FILE_ID}/j/in.jsonl", FILE_ID),
        (f"b/out/job/{FILE_ID}.jsonl.err", f"b/out/job/{FILE_ID}.jsonl", FILE_ID),
        ("b/own.jsonl.out", "b/own.jsonl", None),
        ("b/job/manifest.json.out", "b/job/", None),
        ("b/job/notes.txt", None, None),
    ],
)  # fmt: skip
def test_names_say_what_belongs_together(
    results: JobResults, remote_id: str, group: str | None, input_id: str | None
) -> None:
    found = results.name_of(remote_id)
    assert (found and found.group, found and found.input_id) == (group, input_id)


@pytest.mark.parametrize("driver", ["bedrock"], indirect=True)
def test_only_names_of_translations_are_taken_for_them(driver: ObjectStoreDriver) -> None:
    names = driver.result_names  # type: ignore[attr-defined]  # of cloud stores
    source = "b/p/job/a.jsonl.out"
    assert translated_from(names, translation_id(source, "errors")) == source
    for other in ("b/translated/a.txt.output.jsonl", "b/translated/a.jsonl.out.other.jsonl", source):
        assert translated_from(names, other) is None


@pytest.mark.parametrize("driver", ["bedrock"], indirect=True)
def test_what_a_killed_translation_left_half_written_is_swept(driver: ObjectStoreDriver, put: Put) -> None:
    source = put("job/a.jsonl.out", b"{}")
    key = translation_id(source, "output").partition("/")[2]
    writing = driver.store.begin(BUCKETS[0], key, Details(filename="x", content_type="application/jsonl"))
    writing.write(b"x" * 9_000_000)  # more than one part: the store has it
    assert driver.sweep_stray(timedelta(seconds=-5)) == 1
    assert all_ids(driver) == {source}
