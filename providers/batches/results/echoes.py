"""Finds the input line of a row by the request that the row repeats, where no id came through."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from providers.batches.results.answers import UnreadableRowError
from providers.batches.results.labels import custom_id_of
from providers.batches.results.lines import Line, LineCutter
from providers.batches.results.values import mapping

_UNDERSCORED = re.compile(r"_([a-z0-9])")


class EchoIndex:
    """Ids of rendered lines by what the lines ask; equal requests give their ids one after the other."""

    def __init__(self) -> None:
        self._ids: dict[bytes, list[str]] = {}

    def read(self, chunks: Iterable[bytes]) -> None:
        """Take in the lines that the job was given."""
        cutter = LineCutter()
        for chunk in chunks:
            for line in cutter.feed(chunk):
                self._add(line.parsed())
        for line in cutter.finish():
            self._add(line.parsed())

    def find(self, request: Mapping[str, Any]) -> str | None:
        """Return the id of a line that asks this and was not found before; None where there is none."""
        ids = self._ids.get(_fingerprint(request))
        return ids.pop(0) if ids else None

    def _add(self, row: Mapping[str, Any]) -> None:
        request, custom_id = mapping(row.get("request")) or row, custom_id_of(row)
        if custom_id is not None:
            self._ids.setdefault(_fingerprint(request), []).append(custom_id)


def input_ids(chunks: Iterable[bytes]) -> Iterable[str]:
    """Yield the ids of an input file's lines, whatever their form; unreadable lines are left out."""
    cutter = LineCutter()
    for chunk in chunks:
        yield from filter(None, map(_id_of_line, cutter.feed(chunk)))
    yield from filter(None, map(_id_of_line, cutter.finish()))


def _id_of_line(line: Line) -> str | None:
    try:
        return custom_id_of(line.parsed(with_echo=False))
    except UnreadableRowError as exc:
        return exc.custom_id


def _fingerprint(request: Mapping[str, Any]) -> bytes:
    asked = {name: value for name, value in request.items() if name not in {"labels", "key", "custom_id"}}
    canonical = json.dumps(_normal(asked), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).digest()


def _normal(value: Any) -> Any:
    """Return a value as it is whichever way a service spells it: names in camel case, numbers as floats."""
    if isinstance(value, Mapping):
        return {_camel(name): _normal(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_normal(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _camel(name: str) -> str:
    return _UNDERSCORED.sub(lambda match: match[1].upper(), name)
