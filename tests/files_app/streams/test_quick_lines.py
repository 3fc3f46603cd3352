"""The quick check of batch lines passes nothing that the full one refuses, and what people send it passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from files_app.streams.jsonl import BatchLineChecker
from files_app.streams.quick_lines import QuickLines
from providers.batches.json_lines import MAX_VALUES, LineLimits, decoded
from providers.objects import BODY_BATCH_LINES, OPENAI_BATCH_LINES, BatchLineFormat

LIMITS = LineLimits(max_depth=6)
FIRST = b'{"custom_id": "first", "method": "POST", "url": "/v1/responses", "body": {}}\n'


@pytest.fixture(autouse=True, params=[True, False], ids=["parsed-once", "parsed-twice"])
def _many_lines(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocks of many lines are parsed in one of two ways, which differ in nothing but speed."""
    with patch("files_app.streams.quick_lines._are_slow_to_parse", return_value=request.param):
        yield


def with_body(body: bytes, custom_id: bytes = b'"a"') -> bytes:
    return b'{"custom_id": %s, "method": "POST", "url": "/v1/responses", "body": %s}' % (custom_id, body)


def passes(line: bytes, expected: BatchLineFormat = OPENAI_BATCH_LINES) -> bool:
    return QuickLines(expected, LIMITS, set()).passed(line + b"\n", 0, len(line) + 1, most=1) == 1


def problems(content: bytes, *, chunk_bytes: int = 1_000_000, limits: LineLimits = LIMITS) -> list[str]:
    checker = BatchLineChecker((OPENAI_BATCH_LINES,), limits)
    for at in range(0, len(content), chunk_bytes):
        checker.feed(content[at : at + chunk_bytes])
    checker.finish()
    return checker.problems


def problems_by_the_full_check(content: bytes, *, limits: LineLimits = LIMITS) -> list[str]:
    with patch.object(QuickLines, "passed", return_value=0):
        return problems(content, limits=limits)


def decoded_lines(content: bytes) -> int:
    """How many lines the full check has to look at."""
    with patch("files_app.streams.jsonl.decoded", side_effect=decoded) as full:
        assert problems(content) == []
    return full.call_count


def good_lines(count: int, body: bytes = b"{}") -> list[bytes]:
    return [with_body(body, custom_id=b'"good-%d"' % number) for number in range(count)]


texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(texts, children, max_size=4),
    max_leaves=12,
)
members = st.tuples(st.sampled_from(["custom_id", "method", "url", "body", "other"]), values | st.just({}))
MUTATIONS = (
    rb""" " \\ \u12 \ud800 NaN - 01 1e999 [ ] { } , : [[[[[[ ]]]]]] [{[{[{[{ }]}]}]}] x null """.split()
)
BETWEEN = (b"\n", b"},{", b"],[", b"]]]]", b"}]}]}]", b" ", b"\r", b"\t")
mutations = st.sampled_from([*MUTATIONS, *BETWEEN, b"\x00", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"1" * 4_301])


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Lines of which some are good, and the others nearly so: members of wrong kinds, twice, cut, spoilt."""
    given_members: list[tuple[str, Any]] = [
        ("custom_id", draw(texts)),
        ("method", "POST"),
        ("url", draw(texts)),
        ("body", draw(st.dictionaries(texts, values, max_size=3))),
        *draw(st.lists(members, max_size=2)),
    ]
    if draw(st.booleans()):
        given_members = draw(st.permutations(given_members))
    is_ascii = draw(st.booleans())
    line = b"{%s}" % b", ".join(
        b"%s: %s" % (json.dumps(name).encode(), json.dumps(value, ensure_ascii=is_ascii).encode())
        for name, value in given_members
    )
    for mutation in draw(st.lists(mutations, max_size=2)):
        at = draw(st.integers(0, len(line)))
        line = line[:at] + mutation + line[at + draw(st.integers(0, 2)) :]
    return line


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(lines(), min_size=1, max_size=6),
    st.sampled_from([0, 0, 3, 40]),
    st.sampled_from([7, 100, 999, 1_000_000]),
    st.sampled_from([5, 1_000]),
)
def test_both_checks_find_the_same_problems(
    some: list[bytes], good: int, chunk_bytes: int, max_lines: int
) -> None:
    limits = LineLimits(max_depth=6, max_lines=max_lines)
    content = FIRST + b"\n".join([*good_lines(good), *some, *good_lines(1)])
    expected = problems_by_the_full_check(content, limits=limits)
    assert problems(content, chunk_bytes=chunk_bytes, limits=limits) == expected


START = b'{"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"n": '


@pytest.mark.parametrize(
    "some",
    [
        [with_body(b"{}, {}")],
        [with_body(b"{}") + b", " + with_body(b"{}", custom_id=b'"b"'), START + b"[1", b"2]}}"],
        [with_body(b"{}") + b"], [" + with_body(b"{}", custom_id=b'"b"')],
        [with_body(b"{}") + b", [[{}", b"{}]], " + with_body(b"{}", custom_id=b'"b"')],
        [START + b"[{}", b"{}]}}"],
        [START + b'"', b'"}}'],
        [START, b"1}}"],
        [with_body(b"{}") + b",", with_body(b"{}", custom_id=b'"b"')],
        [with_body(b"{}"), b"]"],
        [b"[", with_body(b"{}")],
    ],
)
@pytest.mark.parametrize("good", [0, 40])
def test_lines_that_are_json_only_together_are_refused(some: list[bytes], good: int) -> None:
    content = FIRST + b"\n".join([*good_lines(good), *some]) + b"\n"
    assert problems(content) == problems_by_the_full_check(content) != []


@pytest.mark.parametrize("place", [0, 20, 39])
@pytest.mark.parametrize(
    ("body", "is_refused"),
    [
        (b'{"n": [[[[{}]]]]}', True),
        (b'{"n": [[[[[]]]]]}', True),
        (b'{"n": [[[[1]]]]}', False),
        (b'{"n": [[[]]], "text": "[[[[[[[["}', False),
        (b'{"n": [[[[[1], [1]], 1], 1], 1]}', True),
    ],
)
def test_one_deep_line_of_many_is_found(body: bytes, is_refused: bool, place: int) -> None:
    some = good_lines(40)
    some[place] = with_body(body)
    found = [f"line {place + 2}: nested deeper than 6 levels"] if is_refused else []
    assert problems(FIRST + b"\n".join(some)) == found


@pytest.mark.parametrize("body", [b"{}", b'{"n": [[[1]]]}', '{"text": "\\"Grüße\\"\\n"}'.encode()])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("count", [1, 5, 300])
def test_good_lines_pass_together(body: bytes, end: bytes, count: int) -> None:
    content = FIRST + end.join(good_lines(count, body)) + end
    assert decoded_lines(content) == 1  # the first, which decides the format


def test_a_line_that_does_not_pass_costs_its_neighbours_nothing_more() -> None:
    some = good_lines(100)
    some[50] = with_body(b'{"text": "\\ud800"}')
    assert decoded_lines(FIRST + b"\n".join(some)) == 2


def test_a_key_that_stands_twice_in_one_block_is_found() -> None:
    some = [*good_lines(40), *good_lines(1)]
    assert problems(FIRST + b"\n".join(some)) == ["line 42: 'custom_id' was used before: \"good-0\""]


def test_lines_of_nothing_are_not_made_longer() -> None:
    assert QuickLines(OPENAI_BATCH_LINES, LIMITS, set()).passed(b"\n" * 100, 0, 100, most=1_000) == 0


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "\xff"}',
        b'{"text": "\xed\xa0\x80"}',
        b'{"\xc3": 1}',
        b'{"n": %s}' % (b"1" * 4_301),
        b'{"n": -%s}' % (b"9" * 5_000),
        b'{"n": {"n": {"n": {"n": {"n": {}}}}}}',
        b'{"text": "[[[[[[[[", "n": [[[[[1]]]]]}',
        b'{"n": [%s]}' % b",".join([b"1"] * (MAX_VALUES + 1)),
        b'{"n": [%s]}' % b",".join([b"{}"] * (MAX_VALUES + 1)),
        b'{"n": [%s]}' % b",".join([b"[1]"] * (MAX_VALUES // 2 + 1)),
        b"[]",
        b'"{}"',
        b"{NaN}",
        b'{"n": Infinity}',
        b'{"text": "\n"}'.replace(b"\n", b"\x0b"),
        b"{}, ",
        b'{}, "method": 1',
        b'{}, "b\\u006fdy": []',
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda body: body[:12],
)
def test_what_the_full_check_refuses_is_not_passed(body: bytes) -> None:
    assert problems(FIRST + with_body(body)) != []
    assert not passes(with_body(body))


@pytest.mark.parametrize("spaces", range(0, 440, 7))
def test_an_endless_number_is_found_wherever_it_stands(spaces: int) -> None:
    line = with_body(b'{"n": %s%s}' % (b" " * spaces, b"1" * 4_301))
    assert not passes(line)
    assert problems(FIRST + line) == ["line 2: holds a number that is too long"]


@pytest.mark.parametrize(
    "line",
    [
        with_body(b'{"text": "\\ud800"}'),
        with_body(b"{}", custom_id=b'"\\udfff"'),
        with_body(b'{"n": %s, "f": 1e300}' % (b"1" * 400)),
        with_body(b'{"n": [[1], [2], [3], [4], [5], [6], 1e999]}'),
        b'{"custom_id": 1, "custom_id": "a", "method": "POST", "url": "/v1", "body": {}}',
        b'{"custom_id": "b", "custom_id": "a", "method": "", "url": "", "body": {"n": 1}, "body": {}}',
    ],
)
def test_a_good_line_that_is_not_passed_is_good_all_the_same(line: bytes) -> None:
    assert not passes(line)
    assert problems(FIRST + line) == []


@pytest.mark.parametrize(
    "line",
    [
        with_body('{"messages": [{"role": "user", "content": "\\"Grüße\\"\\n"}]}'.encode()),
        with_body(b"{}", custom_id=b'"\\u00fc"') + b"\r",
        with_body(b'{"n": [%s]}' % b",".join([b"[{}]"] * 30_000)),
        with_body(b'{"text": "%s"}' % (b"[{" * 4_000)),
        with_body(b'{"image": "%s"}' % (b"iVBORw0KGgo/" * 40_000)),
        with_body(b'{"n": [%s]}' % b",".join([b"1"] * 60_000)),
        with_body(b'{"n": [%s]}' % b",".join([b"0.1234567890123"] * 6_000)),
        with_body(b'{"text": "%s"}' % (b"1" * 5_000)),
        with_body(b'{"n": 18446744073709551615, "f": 1e300}'),
        b'{"x": 1, "custom_id": "b", "method": "", "x": 2, "url": "", "body": {"n": 1}}',
    ],
    ids=lambda line: line[70:90],
)
def test_what_people_send_is_passed(line: bytes) -> None:
    assert passes(line)
    assert problems(FIRST + line) == []


@pytest.mark.parametrize(
    ("expected", "line", "is_passed"),
    [
        (BODY_BATCH_LINES, b'{"custom_id": "a", "body": {}}', True),
        (BatchLineFormat("keyless", {"request": dict}), b'{"key": "a", "request": {}}', True),
        (BatchLineFormat("listed", {"key": str, "parts": list}, "key"), b'{"key": "a", "parts": [1]}', True),
        (BatchLineFormat("listed", {"key": str, "parts": list}, "key"), b'{"key": "a", "parts": {}}', False),
    ],
)
def test_every_format_has_its_own_members(expected: BatchLineFormat, line: bytes, is_passed: bool) -> None:
    assert passes(line, expected) is is_passed


def test_a_key_is_seen_again_whichever_check_saw_it_first() -> None:
    again = b'{"custom_id": 1, "custom_id": "first", "method": "POST", "url": "/v1", "body": {}}\n'
    assert problems(FIRST + again + FIRST) == [
        "line 2: 'custom_id' was used before: \"first\"",
        "line 3: 'custom_id' was used before: \"first\"",
    ]
