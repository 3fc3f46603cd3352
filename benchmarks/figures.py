"""The measured figures that are kept, and the README's table that is made of them.

    python -m benchmarks.figures        # writes the table into README.md

`make bench ARGS=--save` keeps what it measured and writes the table too; what it left out stays as it was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
KEPT = _HERE / "figures.json"
README = _HERE.parent / "README.md"
BEGIN, END = "<!-- benchmarks.figures -->", "<!-- /benchmarks.figures -->"
PEERS_OF = "November 2026"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the README's table, if it was measured. others: what peers took."""

    label: str
    what: str
    others: str = ""


#: What others took is of one run beside an earlier version of ours, on a quiet machine with two cores.
LINES = (
    Line("Upload of 512 MiB", "upload of 512 MiB: CPU", "LiteLLM 2.07, Portkey 2.61, nginx 0.34"),
    Line(
        "its throughput", "upload of 512 MiB: throughput", "nginx in the same run: {  nginx as a plain proxy}"
    ),
    Line(
        "its memory",
        "upload of 512 MiB: memory above idle",
        "LiteLLM 539 MB and as much disk, Portkey 555 MB",
    ),
    Line(
        "its first MiB at the provider",
        "upload of 512 MiB: first MiB at upstream",
        "Portkey 8.1, aiohttp 3.2",
    ),
    Line("4 uploads of 128 MiB at once", "4 uploads of 128 MiB at once: CPU"),
    Line(
        "their throughput",
        "4 uploads of 128 MiB at once: throughput",
        "aiohttp 1,473 MB/s; nginx in the same run: {  nginx as a plain proxy, 4 at once}",
    ),
    Line("their memory", "4 uploads of 128 MiB at once: memory above idle"),
    Line("Download of 512 MiB", "download of 512 MiB: CPU", "LiteLLM 1.32, Portkey 4.43"),
    Line(
        "its first byte, behind the provider's",
        "download of 512 MiB: first byte behind upstream's",
        "Portkey 4.0, aiohttp 1.7 (from the request)",
    ),
    Line("Batch file of 512 MB, each line checked", "512 MB of batch lines: CPU", "LiteLLM 3.1"),
    Line("the same rendered for Bedrock, 200 MB to S3", "200 MB of batch lines to S3, rendered: CPU"),
    Line(
        "Upload of 10 KB, 8 clients, SQLite",
        "upload of 10 KB, 8 clients, SQLite",
        "LiteLLM 58/s, 29 ms CPU; Portkey, which keeps nothing, 1,974/s, 0.58",
    ),
    Line("the same, PostgreSQL", "upload of 10 KB, 8 clients, PostgreSQL"),
    Line("List of 20, 8 clients", "list of 20, 8 clients, SQLite", "LiteLLM 61/s; Portkey 2,168/s, 0.52"),
    Line("`GET` of a file, 8 clients", "GET of a file, 8 clients, SQLite", "LiteLLM 56/s; Portkey 2,698/s"),
    Line("`GET` of a file, PostgreSQL", "GET of a file, 8 clients, PostgreSQL"),
    Line("`fsync` of the same disk", "fsync of 4 KiB"),
    Line(
        "Memory of `make run` at rest",
        "memory of make run, 60 s after the banner",
        "LiteLLM 352 MB, Portkey 96 MB (RSS)",
    ),
    Line("`make run`, second start", "second start, to the banner"),
)


def save(measured: dict[str, str], machine: str) -> None:
    """Keep what was measured, beside what was kept of other figures, and write the README's table."""
    kept = _kept()
    kept |= {"machine": machine, "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    kept["figures"] = {**kept["figures"], **measured}
    KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write()


def table() -> str:
    """Return the README's table."""
    kept = _kept()
    figures: dict[str, str] = kept["figures"]
    rows = [
        f"| {kept['date']}, {kept['machine']} | Files gateway | Others, {PEERS_OF} |",
        "| --- | --- | --- |",
    ]
    for line in LINES:
        if line.what in figures:
            rows.append(f"| {line.label} | {figures[line.what]} | {_others(line, figures)} |")
    return "\n".join(rows)


def _others(line: Line, figures: dict[str, str]) -> str:
    words, _, name = line.others.partition("{")
    return words + figures.get(name.rstrip("}"), "not measured") if name else words


def write() -> None:
    """Put the table between its marks in the README."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise RuntimeError(f"README.md lacks {BEGIN} and {END}")
    README.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return kept


if __name__ == "__main__":
    write()
