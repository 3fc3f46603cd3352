"""The scanner of long lines agrees with Python's decoder, however the text is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from files_app.streams.json_scanner import JSONScanner
from providers.batches.json_lines import JSONProblemError

KEPT = frozenset({"a", "b"})
texts = st.text(st.sampled_from('ab"\\\\/ué🎉\x7f'), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
#: Pieces that make JSON or nearly so.
words = ('"a"', "\\u00", "\\n", ".5", "e3", "true", "nul", "NaN")
fragments = st.lists(st.sampled_from([*'{}[]:,"\\10- \t\r\n\0x/é', *words]), max_size=8).map("".join)
sizes = st.integers(1, 9)


def scanned(text: bytes, size: int, *, depth: int = 64, limit: int = 1000) -> Any:
    scanner = JSONScanner(max_depth=depth, max_values=limit, kept=KEPT)
    for start in range(0, len(text), size):
        scanner.feed(text[start : start + size])
    return scanner.finish()


def kept(value: Any) -> Any:
    """What the scanner keeps of a value that Python has decoded."""
    if isinstance(value, dict):
        return {k: v if isinstance(v, str) else empty(v) for k, v in value.items() if k in KEPT}
    return empty(value)


def empty(value: Any) -> Any:
    return value if value is None or isinstance(value, bool) else type(value)()


@settings(deadline=None, max_examples=200)
@given(values, sizes, st.booleans(), st.sampled_from([None, 2]))
def test_what_json_is_is_read(value: Any, size: int, is_ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode()
    assert scanned(text, size) == kept(value)


@settings(deadline=None, max_examples=400)
@given(fragments, sizes)
@example('{"a":1}{', 1)
@example('"\\ud83d"', 3)
@example("01", 1)
@example("[1,]", 2)
def test_what_is_not_json_is_refused(text: bytes, size: int) -> None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        expected = kept(json.loads(text, parse_constant=refuse))
    except ValueError:
        with pytest.raises(JSONProblemError):
            scanned(text.encode(), size)
    else:
        assert scanned(text.encode(), size) == expected


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"a": tru}', "is not JSON (byte 7)"),
        (b'{"a" 1}', "is not JSON (byte 6)"),
        (b'"abc\\x"', "is not JSON (byte 5)"),
        (b'["a", "b\n"]', "is not JSON (byte 9)"),
        (b'"ab\xff"', "is not UTF-8 (byte 4)"),
        (b'"ab\xc3"', "is not UTF-8 (byte 4)"),
        (b"[[[1]]]", "nested deeper than 2 levels"),
        (b"[1,2,3,4]", "holds more than 3 values"),
        (b"9" * 4_301, "holds a number that is too long"),
        (b'{"a', "is not JSON: it ends too early"),
        (b'{"b": "' + b"x" * 65_537 + b'"}', "'b' is too long"),
    ],
)
def test_the_problem_is_named(text: bytes, problem: str, size: int) -> None:
    with pytest.raises(JSONProblemError) as caught:
        scanned(text, size, depth=2, limit=3)
    assert str(caught.value).startswith(problem.partition(" (byte")[0])
    if size == 1000:
        assert str(caught.value) == problem


def test_a_long_name_is_no_name_that_is_asked_for() -> None:
    assert scanned(b'{"' + b"x" * 70_000 + b'": 1, "a": "b"}', 999) == {"a": "b"}
