import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.batches.json_lines import MAX_VALUES, JSONProblemError, LineLimits
from providers.batches.strict_json import decoded_strictly

values: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


def decoded(text: str) -> Any:
    return decoded_strictly(text.encode(), LineLimits())


@given(values, st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
def test_what_the_standard_library_writes_is_read_as_it_was(
    value: Any, is_ascii: bool, separators: tuple[str, str]
) -> None:
    assert decoded(json.dumps({"value": value}, ensure_ascii=is_ascii, separators=separators)) == {
        "value": value
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"x": {"a" :1,"a":1}}',
        '{"x": [{"a": 1}, {"b": 1, "b": 2}], "t": "say \\"a\\": 1"}',
        r'{"a\\":1,"b":1,"b":2}',
        r'{"a\\": {"b": 1}, "a\\": 2}',
        r'{"\u0061": 1, "a": 2}',
    ],
)
def test_a_name_that_stands_twice_is_refused(text: str) -> None:
    with pytest.raises(JSONProblemError, match="twice in one object"):
        decoded(text)


@pytest.mark.parametrize(
    "text",
    [
        r'{"t": "{\"a\": 1, \"a\": 2}"}',
        r'{"t": "\\\"a\\\": 1"}',
        r'{"a\\": 1, "t": "\"a\\\":"}',
        '{"t": "a\\" :b\\"\\t:"}',
    ],
)
def test_text_that_looks_like_names_is_text(text: str) -> None:
    assert decoded(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": NaN}', "NaN"),
        ('{"a": 1e999}', "too large"),
        (r'{"a": "\ud83d"}', "surrogate"),
        ('{"a": 1} {"b": 2}', "Extra data"),
        ('\ufeff{"a": 1}', "byte order mark"),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "deeper than 64"),
        ('{"a": ' + "[" * 90_000, "deeper"),
        ('{"a": [' + "1," * MAX_VALUES + "1]}", "more than 100,000 values"),
        ('{"a": ' + "1" * 5_000 + "}", "too long"),
        ("", "is not JSON"),
    ],
)
def test_what_no_reader_should_take_is_refused(text: str, problem: str) -> None:
    with pytest.raises(JSONProblemError, match=problem):
        decoded(text)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(JSONProblemError, match="is not UTF-8"):
        decoded_strictly(b'{"a": "\xff"}', LineLimits())
