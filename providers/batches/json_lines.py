"""One line of JSON that is held, and what every file of such lines has to keep to."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_REPORTED_LINES = 20
#: Empty arrays and objects take forty times their JSON in memory. No request needs so many.
MAX_VALUES = 100_000

#: What else people send, by its first bytes.
_FOREIGN_FORMATS = (
    (codecs.BOM_UTF32_LE, "UTF-32 text: save it as UTF-8"),
    (codecs.BOM_UTF32_BE, "UTF-32 text: save it as UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16 text: save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16 text: save it as UTF-8"),
    (b"{\0", "UTF-16 text: save it as UTF-8"),
    (b"\0{", "UTF-16 text: save it as UTF-8"),
    (b"\x1f\x8b", "compressed with gzip: send it unpacked"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard: send it unpacked"),
    (b"BZh", "compressed with bzip2: send it unpacked"),
    (b"\xfd7zXZ\0", "compressed with xz: send it unpacked"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: send the file in it"),
    (b"PK\x03\x04", "a ZIP archive or an office document: send the lines alone"),
    (b"PAR1", "a Parquet file: write its rows as lines of JSON"),
    (b"%PDF-", "a PDF document"),
)
HEAD_BYTES = max(len(start) for start, _ in _FOREIGN_FORMATS)


@dataclass(frozen=True, slots=True)
class LineLimits:
    """Bounds of a batch file: bytes of a line, nesting of its JSON, number of lines."""

    max_line_bytes: int = 33_554_432
    max_depth: int = 64
    max_lines: int = 50_000


class JSONProblemError(Exception):
    """What is wrong with a value, as the end of a sentence."""


def cut(chunk: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield the lines of a chunk, and whether their end is in it; the last, which may be empty, has none."""
    at, find = 0, chunk.find
    while (end := find(b"\n", at)) >= 0:  # twice as fast as a split, and holds one line at a time
        yield chunk[at:end], True
        at = end + 1
    yield chunk[at:], False


def foreign_format(head: bytes) -> str | None:
    """Return what a file is that is no text in UTF-8, and what to do about it, by its first HEAD_BYTES."""
    return next((name for start, name in _FOREIGN_FORMATS if head.startswith(start)), None)


def decoded(line: bytes, limits: LineLimits) -> Any:
    """Return the JSON of a line that is held. Raises JSONProblemError."""
    check_values(line)
    try:
        record = _JSON.decode(line.decode())
    except UnicodeDecodeError as exc:
        raise JSONProblemError(f"is not UTF-8 (byte {exc.start + 1})") from None
    except RecursionError:
        raise JSONProblemError(f"nested deeper than {limits.max_depth} levels") from None
    except json.JSONDecodeError as exc:
        if line.startswith(codecs.BOM_UTF8):
            raise JSONProblemError("begins with a byte order mark, which JSON must not have") from None
        raise JSONProblemError(f"is not JSON: {exc.msg} (column {exc.colno})") from None
    except _ConstantError as exc:
        raise JSONProblemError(f"is not JSON: {exc}") from None
    except ValueError:
        raise JSONProblemError("holds a number that is too long") from None
    may_be_deep = isinstance(record, dict) and opened(line) > limits.max_depth
    if may_be_deep and not is_shallow(record, limits.max_depth):
        raise JSONProblemError(f"nested deeper than {limits.max_depth} levels")
    return record


def check_values(line: bytes) -> None:
    """Refuse a line whose values would fill the memory. Raises JSONProblemError."""
    if _has_many_values(line):
        raise JSONProblemError(f"holds more than {MAX_VALUES:,} values")


class _ConstantError(ValueError):
    """NaN or Infinity, which Python's decoder takes and JSON has not."""


def _refuse_constant(name: str) -> None:
    raise _ConstantError(name)


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def _has_many_values(line: bytes) -> bool:
    """Whether a line would make too many values; what stands in strings is none."""
    if line.count(b",") + opened(line) <= MAX_VALUES:  # never fewer than there are
        return False
    return _counted(line) - sum(_counted(string[0]) for string in _STRING.finditer(line)) > MAX_VALUES


def _counted(text: bytes) -> int:
    """Return how many members arrays and objects have; a space in an empty one counts as a member."""
    return text.count(b",") + opened(text) - text.count(b"[]") - text.count(b"{}")


def opened(text: bytes) -> int:
    """Return how many arrays and objects begin; what stands in strings counts too."""
    return text.count(b"[") + text.count(b"{")


_CONTAINERS = (dict, list)


def is_shallow(value: Any, levels: int) -> bool:
    """Whether nothing in `value` is nested deeper than `levels`; walks level by level, without recursion."""
    layer = [value]
    for _ in range(levels):
        layer = [
            child
            for parent in layer
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, _CONTAINERS)
        ]
        if not layer:
            return True
    return False
