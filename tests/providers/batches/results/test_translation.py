from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.batches.custom_ids import labels_from
from providers.batches.results.echoes import input_ids
from providers.batches.results.lines import MAX_LINE_BYTES
from providers.batches.results.manifest import read_manifest
from providers.batches.results.openai_lines import Origin
from providers.batches.results.translation import ResultTranslator
from tests.providers.batches.results.reading import ORIGIN, read, translated

LLAMA = {"generation": "Hallo", "prompt_token_count": 1, "generation_token_count": 2, "stop_reason": "stop"}


def record(record_id: str) -> bytes:
    return json.dumps({"recordId": record_id, "modelOutput": LLAMA}).encode()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"recordId": "a", "modelOutput": {"gen', "a"),
        (b'{"modelOutput": {"gen": nan}, "recordId":"a"}', "a"),
        (b'{"custom_id":"a","response":{"x":1e', "a"),
        (b'{"request": {"labels": {"custom_id": "a"}, "contents": [', "a"),
        (b'{"recordId": "a", "modelOutput": ' + b"[" * 100_000, "a"),
        (b'{"recordId": "a", "modelInput": "\xff"}', "a"),
        (b'{"recordId": "a", "modelOutput": ' + b"9" * 5_000 + b"}", "a"),
        (b'{"recordId": "a", "modelOutput": "' + b"x" * MAX_LINE_BYTES + b'"}', "a"),
        (b'{"modelOutput": "' + b"x" * MAX_LINE_BYTES + b'", "recordId": "a"}', "a"),
        (b"not JSON", "row-1"),
        (b"[1, 2]", "row-1"),
        (b'{"some": "thing"}', "row-1"),
    ],
    ids=lambda value: value[:40].decode(errors="replace") if isinstance(value, bytes) else value,
)  # fmt: skip
def test_a_row_that_cannot_be_read_goes_to_the_error_file_with_its_id(line: bytes, found: str) -> None:
    files = translated([line, record("b")])
    assert set(files.output) == {"b"} and set(files.errors) == {found}
    assert files.errors[found]["error"]["code"] == "unreadable_result"
    assert "line 1" in files.errors[found]["error"]["message"]
    assert "xxxx" not in files.errors[found]["error"]["message"]


@pytest.mark.parametrize("status", ['"500"', "null", "true", "[]", "{}"])
def test_a_status_that_is_no_number_does_not_keep_a_result_from_its_readers(status: str) -> None:
    odd = f'{{"custom_id": "a", "response": {{"status_code": {status}, "body": {{}}}}, "error": null}}'
    files = translated([odd.encode(), record("b")])
    assert set(files.output) == {"b"} and set(files.errors) == {"a"}


def test_text_that_looks_like_an_id_is_not_taken_for_one() -> None:
    spoofed = (
        json.dumps({"modelInput": '"recordId": "b"', "note": '{"recordId": "b"}'}).encode()[:-1] + b", oops"
    )
    assert set(translated([spoofed]).errors) == {"row-1"}


def test_both_files_together_are_the_records_of_the_input() -> None:
    rows = [record("a"), b"rubbish", record("c"), record("a"), {"recordId": "d", "error": {"errorCode": 400}}]
    files = translated(rows, ids=["a", "b", "c", "d", "e"])
    assert set(files.output) == {"a", "c"} and set(files.errors) == {"b", "d", "e"}
    assert files.errors["b"]["error"]["code"] == "unreadable_result"
    assert "line 2" in files.errors["b"]["error"]["message"]


def test_a_request_that_a_job_did_not_answer_has_an_error_line() -> None:
    files = translated([record("a")], ids=["a", "b"])
    assert files.errors["b"]["response"] is None
    assert files.errors["b"]["error"]["code"] == "no_result"


def test_an_id_that_comes_twice_is_written_once_and_counted() -> None:
    translator = ResultTranslator(ORIGIN)
    lines = [*translator.feed(record("a") + b"\n" + record("a") + b"\n"), *translator.end_part()]
    assert len(lines) == 1
    assert (translator.counts.succeeded, translator.counts.repeated) == (1, 1)


def test_shards_are_read_one_after_the_other() -> None:
    translator = ResultTranslator(ORIGIN)
    lines = [*translator.feed(record("a")), *translator.end_part(), *translator.feed(record("b"))]
    lines += translator.end_part()
    assert [line.custom_id for line in lines] == ["a", "b"]


@given(
    ids=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=8, unique=True),
    chunk=st.integers(1, 64),
)
def test_lines_are_the_same_however_the_bytes_come(ids: list[str], chunk: int) -> None:
    content = b"\r\n".join(map(record, ids)) + b"\n\n"
    assert read(content, chunk=chunk) == read(content)
    assert set(read(content).output) == set(ids)


def test_a_result_is_translated_the_same_each_time_and_unlike_another() -> None:
    lines = [next(ResultTranslator(ORIGIN).feed(record("a") + b"\n")).data for _ in range(2)]
    other = next(ResultTranslator(Origin("another", 0)).feed(record("a") + b"\n")).data
    assert lines[0] == lines[1] != other
    assert json.loads(lines[0])["id"] != json.loads(other)["id"]


def test_the_ids_of_an_input_are_read_from_every_form() -> None:
    lines = [
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"key": "no"}},
        {"recordId": "b", "modelInput": {}},
        {"key": "c", "request": {}},
        {"request": {"labels": labels_from("Ü")}},
    ]
    content = b"\n".join(json.dumps(line).encode() for line in lines)
    assert list(input_ids([content[:30], content[30:]])) == ["a", "b", "c", "Ü"]


def test_a_manifest_gives_the_counts() -> None:
    summary = {"totalRecordCount": 3, "successRecordCount": 2, "errorRecordCount": 1, "inputTokenCount": 9}
    counts = read_manifest(json.dumps(summary).encode())
    assert counts == {"total": 3, "succeeded": 2, "failed": 1, "input_tokens": 9}
    assert read_manifest(b"[]") == read_manifest(b"oops") == {}
