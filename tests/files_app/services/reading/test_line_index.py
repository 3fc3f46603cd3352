"""Where the requests of a batch file are: found once, bounded, and gone with the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone

from files_app.exceptions import FileNotFoundInIndexError, InvalidRequestError
from files_app.models import File, LineIndex, LinePage
from files_app.services.index.callers import Caller, system_caller
from files_app.services.operations import upkeep
from files_app.services.operations.cleanup import prune_records
from files_app.services.reading import line_content, line_index
from files_app.services.reading.line_content import read_line
from files_app.services.reading.line_index import build, current_index, open_index
from files_app.services.reading.line_pages import PACKED, by_id, failed_ids, search, slice_of
from files_app.tasks import index_lines_of
from providers.objects import Download
from providers.transports.disk import DiskStore
from tests.files_app.batches import chat_line, jsonl
from tests.files_app.cast import Tenant

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that are sent; nobody takes them."""
    sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: sent.append(name))
    return sent


def caller(tenant: Tenant) -> Caller:
    return system_caller(tenant.organization.pk)


def upload(tenant: Tenant, *lines: dict[str, Any], purpose: str = "batch") -> File:
    body = tenant.api.upload(jsonl(*lines), purpose, "lines.jsonl").json()
    return File.objects.get(file_id=body["id"])


def large(tenant: Tenant, number: int = 1_200) -> File:
    """A file whose first requests alone fit into what is read at once."""
    return upload(tenant, *(chat_line(f"r{each}", "m", user="é" * 200) for each in range(number)))


def test_a_small_file_is_indexed_at_once(acme: Tenant, asked: list[str]) -> None:
    file = upload(acme, *(chat_line(f"r{number}", "gpt-4o") for number in range(300)))
    index = open_index(file, caller=caller(acme))
    assert index.is_ready
    assert index.lines == 300
    assert asked == []
    shown = slice_of(index, PACKED - 2, PACKED + 3)
    assert [entry.summary.custom_id for entry in shown] == [f"r{n}" for n in range(248, 253)]
    assert {entry.summary.model for entry in shown} == {"gpt-4o"}


def test_of_a_large_file_the_first_requests_are_there_before_a_worker_reads_it(
    acme: Tenant, asked: list[str], django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = large(acme)
    read = count_bytes(monkeypatch)
    with django_capture_on_commit_callbacks(execute=True):
        index = open_index(file, caller=caller(acme))
    assert sum(read) <= line_index.HEAD_BYTES < file.bytes
    assert not index.is_ready
    assert slice_of(index, 0, 50)[49].summary.custom_id == "r49"
    assert asked == ["files_app.tasks.index_lines_of"]
    index_lines_of(file.account_id)
    index.refresh_from_db()
    assert index.is_ready
    assert index.lines == 1_200
    assert [entry.line for entry in slice_of(index, 1_198, 1_210)] == [1_199, 1_200]


def count_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what is read from the store."""
    read: list[int] = []
    original = DiskStore.open

    def counted(*args: Any, **kwargs: Any) -> Download:
        download = original(*args, **kwargs)

        def chunks() -> Iterator[bytes]:
            for chunk in download.chunks:
                read.append(len(chunk))
                yield chunk

        return Download(
            chunks(), download.close, download.length, download.content_type, download.content_range
        )

    monkeypatch.setattr(DiskStore, "open", counted)
    return read


def test_one_line_of_a_large_file_is_read_alone(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    file = large(acme)
    index = open_index(file, caller=caller(acme))
    build(index.pk)
    (entry,) = slice_of(index, 650, 651)
    read = count_bytes(monkeypatch)
    line = read_line(file, entry, caller=caller(acme))
    assert sum(read) == entry.size
    assert json.loads(line.json)["custom_id"] == "r650"
    assert line.said[-1].words == "Question r650"


def test_beat_finds_what_waits(acme: Tenant) -> None:
    index = open_index(large(acme), caller=caller(acme))
    upkeep.UPKEEP["index_lines"]()
    index.refresh_from_db()
    assert index.is_ready


def test_requests_are_found_by_a_part_of_their_id(acme: Tenant) -> None:
    ids = ["Order-1/é", "order-12", "other"]
    index = open_index(upload(acme, *(chat_line(id_, "m") for id_ in ids)), caller=caller(acme))
    found = search(index, wanted="ORDER-1", only_failed=False, failed=None, start=0, stop=50)
    assert [entry.summary.custom_id for entry in found.entries] == ids[:2]
    assert found.total == 2
    assert by_id(index, {"other", "nobody"}).keys() == {"other"}


def test_failures_are_counted_and_found(acme: Tenant) -> None:
    body = {"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2}, "choices": []}
    good = {"response": {"status_code": 200, "request_id": "r", "body": body}, "error": None}
    bad = {"response": None, "error": {"code": "rate_limit_exceeded", "message": "slow down"}}
    lines = [{"custom_id": f"r{n}", **(bad if n % 300 == 299 else good)} for n in range(600)]
    index = open_index(adopted(acme, jsonl(*lines)), caller=caller(acme))
    assert index.failed == 2
    assert failed_ids(index) == {"r299", "r599"}
    found = search(index, wanted="", only_failed=True, failed=None, start=1, stop=50)
    assert (found.total, [entry.summary.error for entry in found.entries]) == (2, ["slow down"])


def adopted(tenant: Tenant, content: bytes) -> File:
    """Return a file that is what a job wrote."""
    body = tenant.api.upload(content, "user_data", "output.jsonl").json()
    File.objects.filter(file_id=body["id"]).update(purpose="batch_output")
    return File.objects.get(file_id=body["id"])


def test_the_index_goes_with_its_file(acme: Tenant) -> None:
    file = upload(acme, chat_line("r1", "m"))
    open_index(file, caller=caller(acme))
    acme.api.delete(f"/files/{file.file_id}")
    assert not LineIndex.objects.exists()
    assert not LinePage.objects.exists()


def test_a_file_that_goes_while_it_is_read_leaves_nothing(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = large(acme)
    index = open_index(file, caller=caller(acme))
    original = line_index._settled

    def late(*args: Any) -> bool:
        acme.api.delete(f"/files/{file.file_id}")
        return original(*args)

    monkeypatch.setattr(line_index, "_settled", late)
    assert not build(index.pk)
    assert not LinePage.objects.exists()


def test_another_content_is_read_anew(acme: Tenant) -> None:
    file = upload(acme, chat_line("r1", "m"))
    first = open_index(file, caller=caller(acme))
    File.objects.filter(pk=file.pk).update(sha256="0" * 64)
    file.refresh_from_db()
    assert current_index(file) is None
    second = open_index(file, caller=caller(acme))
    assert second.pk != first.pk
    assert LineIndex.objects.get() == second


def test_a_file_that_cannot_be_read_is_tried_again_later(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index(large(acme), caller=caller(acme))
    with monkeypatch.context() as patch:
        patch.setattr(DiskStore, "open", lambda *_, **__: 1 // 0)
        assert not build(index.pk)
    index.refresh_from_db()
    assert "ZeroDivisionError" in index.problem
    assert not LineIndex.objects.due().exists()
    LineIndex.objects.update(ask_after=None)
    assert build(index.pk)


def test_more_requests_than_are_indexed_are_said_to_be_there(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_index, "MAX_LINES", 600)
    index = open_index(large(acme), caller=caller(acme))
    build(index.pk)
    index.refresh_from_db()
    assert (index.lines, index.is_cut) == (600, True)


def test_what_nobody_looks_at_is_forgotten(acme: Tenant) -> None:
    old, new = (open_index(upload(acme, chat_line("r", "m")), caller=caller(acme)) for _ in range(2))
    LineIndex.objects.filter(pk=old.pk).update(opened_at=timezone.now() - timedelta(days=8))
    prune_records()
    assert list(LineIndex.objects.values_list("pk", flat=True)) == [new.pk]


def test_a_file_that_is_deleted_while_it_is_opened_leaves_no_index(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = upload(acme, chat_line("r1", "m"))
    original = line_index._head

    def late(*args: Any) -> Any:
        head = original(*args)
        acme.api.delete(f"/files/{file.file_id}")
        return head

    monkeypatch.setattr(line_index, "_head", late)
    with pytest.raises(FileNotFoundInIndexError):
        open_index(file, caller=caller(acme))
    assert not LineIndex.objects.exists()


def test_a_provider_without_ranges_is_read_from_the_beginning_within_a_bound(
    remote: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = upload(remote, *(chat_line(f"r{number}", "m") for number in range(300)))
    index = open_index(file, caller=caller(remote))
    assert index.is_ready
    (entry,) = slice_of(index, 299, 300)
    assert json.loads(read_line(file, entry, caller=caller(remote)).json)["custom_id"] == "r299"
    monkeypatch.setattr(line_content, "MAX_SKIPPED_BYTES", 1_000)
    with pytest.raises(InvalidRequestError, match="download the file"):
        read_line(file, entry, caller=caller(remote))


def test_long_texts_are_cut_and_long_lines_shown_from_their_beginning(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}}]
    file = upload(acme, chat_line("r1", "m", messages=[{"role": "user", "content": image}]))
    (entry,) = slice_of(open_index(file, caller=caller(acme)), 0, 1)
    shown = read_line(file, entry, caller=caller(acme))
    assert len(shown.json) < 3_000 and "more characters" in shown.json
    assert [said.words for said in shown.said] == ["[image_url]"]
    monkeypatch.setattr(line_content, "MAX_READ_BYTES", 1_000)
    shown = read_line(file, entry, caller=caller(acme))
    assert shown.is_cut and len(shown.json) == 1_000
