"""The token count of a stream is the count of the whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rs_bpe import bpe

from files_app.streams.tokens import TokenCounter

words = st.sampled_from(
    (
        "hello| world|\n|\n\n|\r\n|  |\t|{'custom_id': 'a'}|def f():|ü|🎉|/|'s|12345|//|\n//|\n |。|"
        + "a" * 50
    ).split("|")
)
texts = st.lists(words | st.text(max_size=5), max_size=60).map("".join).filter(lambda text: "\0" not in text)
sizes = st.lists(st.integers(1, 40), min_size=1, max_size=4)


def counted(content: bytes, sizes: list[int], *, limit: int = 10**9) -> TokenCounter:
    counter = TokenCounter(limit)
    while content:
        for size in sizes:
            counter.feed(content[:size])
            content = content[size:]
    counter.finish()
    return counter


@settings(deadline=None)
@given(texts, sizes)
def test_the_count_of_the_pieces_is_that_of_the_whole(text: str, sizes: list[int]) -> None:
    counter = counted(text.encode(), sizes)
    assert counter.is_text
    assert counter.tokens == bpe.openai.o200k_base().count(text)


def test_a_long_text_with_lines_is_counted_exactly() -> None:
    text = "".join(f"{n}: the quick brown fox jumps over the lazy dog\n" for n in range(20_000))
    assert counted(text.encode(), [65_536]).tokens == bpe.openai.o200k_base().count(text)


def test_a_long_text_without_line_ends_is_counted_in_bounded_pieces() -> None:
    text = "lorem ipsum dolor sit amet " * 40_000
    exact = bpe.openai.o200k_base().count(text)
    counter = TokenCounter(10**9)
    for start in range(0, len(text), 50_000):
        counter.feed(text[start : start + 50_000].encode())
        assert len(counter._rest) <= 350_000
    counter.finish()
    assert exact <= counter.tokens <= exact + 10


@pytest.mark.parametrize(
    ("content", "is_text"),
    [
        (b"", True),
        ("ü🎉".encode(), True),
        (b"\xef\xbb\xbfwith a mark", True),
        (b"caf\xe9", False),
        (b"a\0b", False),
        ("ü".encode()[:1], False),  # cut within a character
        (b"\x89PNG\r\n\x1a\n" + bytes(100), False),
        (b"text first\n" * 100 + b"\xff\xd8", False),
    ],
)
def test_what_is_not_utf_8_is_no_text_and_has_no_limit(content: bytes, is_text: bool) -> None:
    counter = counted(content, [3], limit=1)
    assert counter.is_text or not counter.is_over
    assert counted(content, [3]).is_text is is_text


def test_the_limit_is_exact() -> None:
    text = "one two three four\n" * 50
    exact = bpe.openai.o200k_base().count(text)
    assert not counted(text.encode(), [20], limit=exact).is_over
    assert counted(text.encode(), [20], limit=exact - 1).is_over


def test_counting_stops_at_the_limit() -> None:
    counter = counted(b"word word word\n" * 1000, [100], limit=10)
    assert counter.is_over
    assert counter.tokens < 200
