"""Tables, JSON and progress."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management.base import OutputWrapper

from files_app.management.output import Progress, printable, write_json_list, write_table


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_columns_line_up_for_wide_letters_too() -> None:
    out = io.StringIO()
    assert write_table(OutputWrapper(out), ["A", "B"], [["日本", "x"], ["abc", "y"]]) == 2
    assert out.getvalue() == "A     B\n日本  x\nabc   y\n"


def test_a_table_does_not_hold_its_rows() -> None:
    out = io.StringIO()
    rows = ([str(number)] for number in range(100_000))
    assert write_table(OutputWrapper(out), ["N"], rows) == 100_000


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_json_list_is_json(number: int) -> None:
    out = io.StringIO()
    write_json_list(OutputWrapper(out), ({"n": "\x9b\u202e"} for _ in range(number)))
    assert len(json.loads(out.getvalue())) == number
    assert out.getvalue().isascii()


def test_a_progress_line_is_drawn_on_a_terminal_and_taken_away() -> None:
    out = Terminal()
    with Progress(OutputWrapper(out), "up\x1bload", 2048, in_bytes=True) as progress:
        progress.advance(1024)
    assert "up\\x1bload" in out.getvalue() and " 50%  1 KiB" in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[K")


def test_nothing_is_drawn_elsewhere() -> None:
    out = io.StringIO()
    with Progress(OutputWrapper(out), "upload", 2) as progress:
        progress.advance()
    assert out.getvalue() == ""


def test_emoji_and_letters_stay() -> None:
    assert printable("Ünïcödé 📊 日本") == "Ünïcödé 📊 日本"
