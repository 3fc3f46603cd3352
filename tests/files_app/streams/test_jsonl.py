"""Batch files line by line: the same verdict under every chunking, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from files_app.streams.jsonl import MAX_HELD_BYTES, BatchLineChecker
from providers.batches.json_lines import LineLimits
from providers.objects import BODY_BATCH_LINES, OPENAI_BATCH_LINES, BatchLineFormat, KiB, MiB

LIMITS = LineLimits(max_line_bytes=400, max_depth=8, max_lines=30)


def line(custom_id: str = "a", **changes: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/responses", "body": {}} | changes


def jsonl(*records: Any) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def problems(
    content: bytes | Iterable[bytes],
    *,
    formats: tuple[BatchLineFormat, ...] = (OPENAI_BATCH_LINES,),
    limits: LineLimits = LIMITS,
) -> list[str]:
    checker = BatchLineChecker(formats, limits)
    for chunk in [content] if isinstance(content, bytes) else content:
        checker.feed(chunk)
    checker.finish()
    return checker.problems


def cut(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    while content:
        for size in sizes:
            yield content[:size]
            content = content[size:]


some_lines = st.sampled_from(
    [
        *(json.dumps(line(custom_id)).encode() for custom_id in ("a", "b", "ü")),
        b"",
        b"\r",
        b"   ",
        b"null",
        b"[]",
        b"{",
        b'{"custom_id": "c", "method": "POST", "url": "/v1/x", "body": {}}\r',
        b'{"custom_id": NaN}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe",
        b"x" * 399,
        b"x" * 400,
        b"x" * 401,
        b"x" * 5000,
        b"[" * 300,
        json.dumps(line("d", body={"n": [[[[[[[[1]]]]]]]]})).encode(),
    ]
)


@settings(deadline=None)
@given(
    st.lists(some_lines, max_size=35),
    st.booleans(),
    st.lists(st.integers(1, 900), min_size=1, max_size=5),
)
def test_the_verdict_does_not_depend_on_the_chunks(
    lines: list[bytes], has_final_newline: bool, sizes: list[int]
) -> None:
    content = b"\n".join(lines) + (b"\n" if has_final_newline else b"")
    assert problems(cut(content, sizes)) == problems(content)


@pytest.mark.parametrize(
    "content",
    [
        jsonl(line("1"), line("2")),
        jsonl(line("1"), line("2")).rstrip(b"\n"),
        jsonl(line("1"), line("2")).replace(b"\n", b"\r\n"),
        jsonl(line("ü🎉", body={"messages": [{"content": "ü"}]})),
        jsonl(line("1", extra=[1, 2.5, None, True])),
        b'{"custom_id": "a", "custom_id": "b", "method": "", "url": "", "body": {}}',
    ],
)
def test_a_good_file_has_no_problems(content: bytes) -> None:
    assert problems(content) == []


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"", "is empty"),
        (b" \t\r", "is empty"),
        (b"\f", "is not JSON"),
        (b"{'a': 1}", "is not JSON: Expecting property name enclosed in double quotes (column 2)"),
        (b'{"a": 1} {"a": 2}', "is not JSON: Extra data (column 10)"),
        (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
        (b'{"a": "\xff"}', "is not UTF-8 (byte 8)"),
        (b'{"a": NaN}', "is not JSON: NaN"),
        (b'{"a": -Infinity}', "is not JSON: -Infinity"),
        (b'{"a\0": 1}', "is not JSON: Invalid control character"),
        (b"[]", "is not a JSON object"),
        (b'"text"', "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (jsonl({"method": "POST"}).strip(), "'custom_id' is missing"),
        (jsonl(line(custom_id=1)).strip(), "'custom_id' must be a string"),  # type: ignore[arg-type]  # on purpose
        (jsonl(line("x", body=[])).strip(), "'body' must be an object"),
        (jsonl(line("x", url=None)).strip(), "'url' must be a string"),
        (jsonl(line("first")).strip(), "'custom_id' was used before: \"first\""),
        (jsonl(line("x", body={"n": [[[[[[[[1]]]]]]]]})).strip(), "nested deeper than 8 levels"),
        (b'{"a": ' + b"[" * 200 + b"]" * 187 + b"}", "is not JSON"),
        (b"x" * 401, "longer than 400 bytes"),
    ],
)
def test_a_bad_line_is_named_with_its_number(bad: bytes, problem: str) -> None:
    content = jsonl(line("first")) + bad + b"\n" + jsonl(line("last"))
    (found,) = problems(content)
    assert found.startswith(f"line 2: {problem}")


def test_the_depth_limit_is_exact() -> None:
    def nested(levels: int) -> bytes:
        return jsonl(line("x", body={"n": 1} if levels == 2 else {"n": _nest(levels - 2)}))

    assert problems(nested(8)) == []
    assert problems(nested(9)) == ["line 1: nested deeper than 8 levels"]


def _nest(levels: int) -> Any:
    return [] if levels == 1 else [_nest(levels - 1)]


def test_brackets_in_strings_are_no_depth() -> None:
    assert problems(jsonl(line("x", body={"text": "[{" * 40}))) == []


@pytest.mark.parametrize("piece", [b"{},", b"[[[[[]]]]],", b'{"a":[]},'])
def test_a_line_of_many_containers_is_refused_before_it_takes_memory(piece: bytes) -> None:
    values = piece * (1_000_000 // len(piece))
    content = b'{"custom_id":"a","method":"POST","url":"/v1","body":{"a":[' + values + b"1]}}\n"
    tracemalloc.start()
    try:
        found = problems(content, limits=LineLimits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == ["line 1: holds more than 100,000 values"]
    assert peak < 12 * MiB


def test_brackets_in_strings_are_no_containers() -> None:
    text = '[{\\"' * 150_000
    assert problems(jsonl(line(body={"input": text})), limits=LineLimits()) == []


def test_the_line_limits_are_exact() -> None:
    padding = 400 - len(jsonl(line("x", pad="")).strip())
    assert problems(jsonl(line("x", pad="p" * padding))) == []
    assert problems(jsonl(line("x", pad="p" * (padding + 1)))) == ["line 1: longer than 400 bytes"]
    assert problems(jsonl(*(line(str(n)) for n in range(30)))) == []
    assert problems(jsonl(*(line(str(n)) for n in range(31)))) == ["line 31: more than 30 lines"]


def test_twenty_problems_at_once_and_no_more() -> None:
    found = problems(jsonl(*([line("good"), {}] * 15)), limits=LineLimits())
    assert len(found) == 20
    assert found[0] == "line 2: 'custom_id' is missing"


@pytest.mark.parametrize("content", [b"", b"\n", b"\n\n", b" \r\n\t"])
def test_a_file_without_records_is_refused(content: bytes) -> None:
    assert problems(content) == ["line 1: the file has no records"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"\r\n\r\n", b"\n \t\r\n  ", b"\n" * 40, b" " * 30])
def test_white_space_behind_the_last_record_is_how_editors_end_a_file(end: bytes) -> None:
    content = jsonl(line("a"), line("b")).rstrip() + end
    assert problems(content) == problems(cut(content, [1])) == []


def test_an_empty_line_before_a_record_is_named_with_its_number() -> None:
    content = b"\n" + jsonl(line("a")) + b"\r\n \n" + jsonl(line("b")) + b"\n"
    expected = ["line 1: is empty", "line 3: is empty", "line 4: is empty"]
    assert problems(content) == problems(cut(content, [1])) == expected


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (json.dumps(line()).encode("utf-16"), "UTF-16 text"),
        (json.dumps(line()).encode("utf-16-le"), "UTF-16 text"),
        (json.dumps(line()).encode("utf-16-be"), "UTF-16 text"),
        (json.dumps(line()).encode("utf-32"), "UTF-32 text"),
        (gzip.compress(jsonl(line())), "compressed with gzip"),
        (bz2.compress(jsonl(line())), "compressed with bzip2"),
        (lzma.compress(jsonl(line())), "compressed with xz"),
        (b"PK\x03\x04" + b"x" * 500, "a ZIP archive"),
        (b"%PDF-1.7\n\n", "a PDF document"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value,
)
def test_another_format_is_called_by_its_name(content: bytes, name: str) -> None:
    for pieces in ([content], cut(content, [1])):
        (found,) = problems(pieces)
        assert found.startswith(f"line 1: the file is {name}")


def long_line(text: str, **changes: Any) -> bytes:
    """A line with a photo in it, so to speak."""
    return json.dumps(line(body={"input": text}, **changes), ensure_ascii=False).encode()


@pytest.mark.parametrize("text", ["A" * 30 * MiB, "🎉" + "A" * 30 * MiB, '\\"' * 7 * MiB])
def test_a_photo_in_a_line_takes_no_memory(text: str) -> None:
    content = long_line(text) + b"\n" + json.dumps(line("b")).encode() + b"\r\n\n"
    checker = BatchLineChecker((OPENAI_BATCH_LINES,), LineLimits())
    tracemalloc.start()
    try:
        for start in range(0, len(content), 256 * KiB):
            checker.feed(content[start : start + 256 * KiB])
        checker.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert checker.problems == []
    assert peak < 6 * MiB


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (long_line("x", custom_id="first"), "'custom_id' was used before: \"first\""),
        (long_line("x", url=7), "'url' must be a string"),
        (long_line("x")[:-2], "is not JSON: it ends too early"),
        (long_line("x") + b"}", "is not JSON (byte"),
        (long_line("x", extra=[[[[[[[[1]]]]]]]]), "nested deeper than 8 levels"),
        (long_line("x", custom_id="c" * 100_000), "'custom_id' is too long"),
        (b"[" + long_line("x") + b"]", "is not a JSON object"),
        (long_line("x").replace(b"x", b"\xff"), "is not UTF-8 (byte"),
        (long_line("x", extra=1.5).replace(b"1.5", b"NaN"), "is not JSON: NaN"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value,
)
def test_a_long_line_is_checked_as_a_short_one_is(content: bytes, problem: str) -> None:
    padded = content.replace(b'"input"', b'"pad": "%b", "input"' % (b"p" * (MAX_HELD_BYTES + 1)))
    whole = jsonl(line("first")) + padded + b"\n" + jsonl(line("last"))
    limits = LineLimits(max_depth=8)
    (found,) = problems(cut(whole, [65_536]), limits=limits)
    assert found.startswith(f"line 2: {problem}")


def test_the_number_of_values_is_limited_exactly() -> None:
    for pad in ("", "p" * (MAX_HELD_BYTES + 1)):
        record = line(body={}, pad=pad, a=[[], {}, *([",[{"] * 99_992)])
        assert problems(jsonl(record), limits=LineLimits()) == []
        record["a"].append(1)
        assert problems(jsonl(record), limits=LineLimits()) == ["line 1: holds more than 100,000 values"]


def test_white_space_without_end_is_no_record() -> None:
    space = b" " * (MAX_HELD_BYTES + 9)
    assert problems(jsonl(line()) + space + b"\r\n" + space, limits=LineLimits()) == []


def test_a_provider_whose_lines_have_no_method_and_url() -> None:
    content = jsonl({"custom_id": "a", "body": {}}, {"custom_id": "a", "body": {}})
    assert problems(content, formats=(BODY_BATCH_LINES,)) == ["line 2: 'custom_id' was used before: \"a\""]
    assert problems(content)[0] == "line 1: 'method' is missing"


def test_the_first_good_line_decides_among_formats() -> None:
    native = BatchLineFormat("native", {"recordId": str, "modelInput": dict}, unique="recordId")
    formats = (OPENAI_BATCH_LINES, native)
    ours, theirs = line("a"), {"recordId": "a", "modelInput": {}}
    assert problems(jsonl(theirs, theirs | {"recordId": "b"}), formats=formats) == []
    assert problems(jsonl(theirs, ours), formats=formats) == ["line 2: 'recordId' is missing"]
    assert problems(jsonl(ours, theirs), formats=formats) == ["line 2: 'custom_id' is missing"]
    assert problems(jsonl({}), formats=formats) == ["line 1: 'custom_id' is missing or 'recordId' is missing"]


@pytest.mark.parametrize("piece", [b"x", b"[", b'{"a":', b"9", b" ", b"\0"])
def test_a_line_without_end_is_not_held(piece: bytes) -> None:
    chunk = piece * (64 * KiB // len(piece))
    checker = BatchLineChecker((OPENAI_BATCH_LINES,), LineLimits(max_line_bytes=MiB))
    tracemalloc.start()
    try:
        for _ in range(256):
            checker.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert checker.problems == ["line 1: longer than 1,048,576 bytes"]
    assert peak < 4 * MiB


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"a":' * 50_000, "nested deeper"),
        (b"[" * 50_000, "nested deeper"),
        (b'{"a": ' + b"9" * 10**6 + b"}", "holds a number that is too long"),
        (b'{"a": 1e' + b"9" * 10**5 + b"}", "'custom_id' is missing"),
        (jsonl({str(n): n for n in range(100_000)}).strip(), "'custom_id' is missing"),
    ],
)
def test_json_that_is_hard_to_read_is_refused(content: bytes, problem: str) -> None:
    (found,) = problems(content, limits=LineLimits())
    assert found.startswith(f"line 1: {problem}")


def test_reading_stops_early_when_there_is_enough_to_report() -> None:
    checker = BatchLineChecker((OPENAI_BATCH_LINES,), LineLimits())
    checker.feed(b"{}\n" * 19)
    assert not checker.is_full
    checker.feed(b"{}\n")
    assert checker.is_full
