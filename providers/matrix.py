"""Renders what the drivers declare as Markdown: `docs/providers.md`, and the tables in two other pages.

`python -m providers.matrix --write` brings them up to date; a test fails when they are not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from providers.base import Setting
from providers.flavors import FLAVORS
from providers.objects import BatchLineFormat, Capabilities, Expiry, GiB, MiB, Operation
from providers.registry import DRIVERS, driver_class

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs" / "providers.md"
README: Final = ROOT / "README.md"
CONFIGURATION: Final = ROOT / "docs" / "configuration.md"
NOTHING: Final = "—"
MARKERS: Final = ("<!-- providers:start -->", "<!-- providers:end -->")

_HOUR, _DAY = 3_600, 86_400
_STORAGE: Final = {"provider": "the provider", "s3": "S3", "gcs": "Cloud Storage", "disk": "disk"}
_PAGING: Final = {"none": "none", "after": "by file id", "token": "by token", "page": "by page number"}


@dataclass(frozen=True, slots=True)
class Row:
    """One provider in the matrix. `flavor` is empty for a driver of its own."""

    label: str
    driver: str
    capabilities: Capabilities
    flavor: str = ""


@dataclass(frozen=True, slots=True)
class WithoutFiles:
    """A provider that cannot be one here, because it keeps no files that could be addressed by id."""

    label: str
    reason: str
    source: str
    checked: str = "2026-11-23"


WITHOUT_FILES: Final = (
    WithoutFiles(
        "Databricks",
        "Files are paths in Unity Catalog volumes; there are no file ids, purposes or uploads of this kind.",
        "databricks-sdk 0.162.0",
    ),
    WithoutFiles(
        "DigitalOcean inference",
        "Batch input goes to a signed URL; nothing lists, retrieves, returns or deletes it.",
        "DigitalOcean's API documentation",
    ),
    WithoutFiles("SambaNova", "Its API has neither files nor batches.", "sambanova SDK 1.13.0"),
    WithoutFiles(
        "vLLM",
        "Released servers have no `/v1/files`; keep the files in an account of the driver `local`.",
        "vLLM's repository",
    ),
)


def driver_rows() -> list[Row]:
    """Return the drivers in the order of the registry."""
    classes = ((name, driver_class(name)) for name in DRIVERS)
    return [Row(found.label, name, found.capabilities) for name, found in classes]


def flavor_rows() -> list[Row]:
    """Return the servers that the driver `openai-compatible` knows by name."""
    return [
        Row(each.label, "openai-compatible", each.capabilities, flavor) for flavor, each in FLAVORS.items()
    ]


def render_docs(drivers: Sequence[Row], flavors: Sequence[Row]) -> str:
    """Return the whole of `docs/providers.md`."""
    blocks = (
        "# Providers",
        "Generated from what the drivers declare by `python -m providers.matrix --write`; do not edit.",
        "## Operations",
        _operations_table(drivers, "Driver"),
        "*Some*: only for some of its files; what is possible instead is said below.",
        "## Limits",
        _limits_table(drivers),
        "A file is never larger than the organization's own limit. Where a provider cannot delete files "
        "by itself, the gateway does when they are due. `expires_after` outside of a provider's own bounds "
        "is refused before a byte is sent; where the gateway deletes, 1 hour to 30 days are taken, and "
        "`expires_at` says when a provider will delete sooner.",
        "## Batch files",
        _batch_table(drivers),
        "The first line of a file decides which form its lines are in. [Run a batch](batches.md) shows the "
        "calls; [Batch lines](batch-lines.md) what becomes of OpenAI's lines that are rendered. Of the "
        "flavors of `openai-compatible` with the purpose `batch`, jobs read OpenAI's lines.",
        "## Each driver",
        *chain.from_iterable(_section(row) for row in drivers),
        "## Flavors of the driver `openai-compatible`",
        "Servers with OpenAI's shapes. Set the option `flavor` to start from one of these.",
        _operations_table(flavors, "Flavor"),
        _limits_table(flavors),
        "\n".join(_flavor_line(row) for row in flavors),
        "## Providers with no Files API",
        _table(
            ("Provider", "What there is instead", "Source"),
            ((each.label, each.reason, _source(each.source, each.checked)) for each in WITHOUT_FILES),
        ),
    )
    return "\n\n".join(blocks) + "\n"


def render_readme(drivers: Sequence[Row]) -> str:
    """Return the table that stands between the markers in the README."""
    return _table(
        ("Provider", *_OPERATIONS, "Purposes", "Largest file", "Files are in"),
        (
            (
                row.label,
                *_operations(row.capabilities),
                ", ".join(row.capabilities.purposes),
                _largest(row.capabilities),
                _STORAGE[row.capabilities.storage],
            )
            for row in drivers
        ),
    )


def render_options() -> str:
    """Return the table of options and credentials that stands between the markers in `configuration.md`."""
    classes = ((name, driver_class(name)) for name in DRIVERS)
    return _table(
        ("Driver", "Options", "Credentials"),
        ((f"`{name}`", _settings(each.options), _settings(each.credentials)) for name, each in classes),
    )


def with_section(text: str, section: str) -> str:
    """Return `text` with what is between the markers replaced. Raises ValueError when they are not there."""
    start, end = MARKERS
    before, opening, rest = text.partition(start)
    _, closing, after = rest.partition(end)
    if not opening or not closing:
        raise ValueError(f"the page needs the lines {start} and {end}")
    return f"{before}{start}\n{section}\n{end}{after}"


_OPERATIONS: Final = {
    "Upload": Operation.CREATE,
    "List": Operation.LIST,
    "Retrieve": Operation.RETRIEVE,
    "Content": Operation.CONTENT,
    "Delete": Operation.DELETE,
}


def _operations_table(rows: Iterable[Row], name: str) -> str:
    return _table(
        ("Provider", name, *_OPERATIONS, "Integration", "Files are in"),
        (
            (
                row.label,
                f"`{row.flavor or row.driver}`",
                *_operations(row.capabilities),
                row.capabilities.mode,
                _STORAGE[row.capabilities.storage],
            )
            for row in rows
        ),
    )


def _operations(capabilities: Capabilities) -> list[str]:
    words = []
    for operation in _OPERATIONS.values():
        if operation not in capabilities.operations:
            words.append("no")
        elif operation in capabilities.missing_reasons:
            words.append("some")
        else:
            is_text = operation is Operation.CONTENT and capabilities.content == "extracted"
            words.append("text only" if is_text else "yes")
    return words


def _limits_table(rows: Iterable[Row]) -> str:
    return _table(
        ("Provider", "Largest file", "Expiry", "Native paging", "Ranges"),
        (
            (
                row.label,
                _largest(row.capabilities),
                _expiry(row.capabilities.expiry),
                _PAGING[row.capabilities.paging],
                "yes" if row.capabilities.ranges else "no",
            )
            for row in rows
        ),
    )


def _batch_table(rows: Iterable[Row]) -> str:
    return _table(
        ("Provider", "Lines that are taken", "Jobs read OpenAI's lines", "A job is given", "Results"),
        ((row.label, *_batch_words(row)) for row in rows),
    )


def _batch_words(row: Row) -> tuple[str, str, str, str]:
    """Say which lines a provider's jobs can run."""
    can = row.capabilities
    if "batch" not in can.purposes:
        return "no batch files", NOTHING, NOTHING, NOTHING
    forms = "; or ".join(_members(each) for each in can.batch_lines)
    if can.job_input is None:
        return forms, "no jobs", NOTHING, NOTHING
    if can.renders_batches:
        return forms, "rendered for them", "`batch.uri`", "in OpenAI's shape"
    is_openai = any(each.name == "openai" for each in can.batch_lines)
    return forms, "yes" if is_openai else "no", "the file's id", "as the provider writes them"


def _members(lines: BatchLineFormat) -> str:
    return ", ".join(f"`{name}`" for name in lines.required)


def _section(row: Row) -> tuple[str, str]:
    """Return heading and list of one driver."""
    capabilities = row.capabilities
    lines = [_purposes(capabilities)]
    if capabilities.extensions:
        kinds = (f"`{purpose}` ({', '.join(names)})" for purpose, names in capabilities.extensions.items())
        lines.append(f"File names: {'; '.join(kinds)}")
    lines += (
        f"{operation.capitalize()}: {reason}" for operation, reason in capabilities.missing_reasons.items()
    )
    if capabilities.renders_batches:
        lines.append(
            "Batch files: OpenAI's lines are kept as they came and "
            "[rendered](api.md#batch-files-for-bedrock-and-vertex) for jobs; lines in the provider's own "
            "form are kept as they are."
        )
    if capabilities.needs_whole_file:
        lines.append("An upload is kept on disk until it is whole.")
    elif capabilities.text_fields_first:
        lines.append("An upload is kept on disk until it is whole if the file comes before a field.")
    if capabilities.deduplicates:
        lines.append("Equal bytes are stored once and deleted with the last file that has them.")
    lines.append(f"Source: {_source(capabilities.source, capabilities.checked)}")
    return f"### {row.label} (`{row.driver}`)", "\n".join(f"- {line}" for line in lines)


def _settings(declared: Iterable[Setting]) -> str:
    names = (f"**`{each.name}`**" if each.required else f"`{each.name}`" for each in declared)
    return ", ".join(names) or "none"


def _flavor_line(row: Row) -> str:
    capabilities = row.capabilities
    source = _source(capabilities.source, capabilities.checked)
    return f"- **{row.label}**: {_purposes(capabilities)}. Source: {source}"


def _purposes(capabilities: Capabilities) -> str:
    """Return the purposes in both directions; one that has the same name on both sides stands alone."""
    sent = _pairs(capabilities.purposes)
    read = _pairs(capabilities.output_purposes)
    return f"Purposes: {sent}" + (f"; read back: {read}" if read else "")


def _pairs(words: Mapping[str, str]) -> str:
    """Say what becomes of each word; nothing on the other side means that it is not sent."""
    return ", ".join(
        f"`{one}`" if one == other else f"`{one}` → `{other}`" if other else f"`{one}` (not sent)"
        for one, other in words.items()
    )


def _largest(capabilities: Capabilities) -> str:
    general = [] if capabilities.max_bytes is None else [_size(capabilities.max_bytes)]
    special = [
        f"{purpose} {_size(max_bytes)}" for purpose, max_bytes in capabilities.max_bytes_by_purpose.items()
    ]
    return ", ".join(general + special) or "not stated"


def _size(count: int) -> str:
    """Return a size in the unit, binary or decimal, in which it is a short number."""
    for name, unit in (("GiB", GiB), ("MiB", MiB), ("GB", 10**9), ("MB", 10**6)):
        if count * 10 % unit == 0 and count >= unit:
            return f"{count / unit:g} {name}"
    return f"{count / GiB:.1f} GiB"


def _expiry(expiry: Expiry) -> str:
    who = "the provider's own" if expiry.native else "by the gateway"
    words = f"{who}, {_duration(expiry.min_seconds)} to {_duration(expiry.max_seconds)}"
    default = expiry.default_seconds
    return words if default is None else f"{words}; unasked after {_duration(default)}"


def _duration(seconds: int) -> str:
    count, word = (seconds // _DAY, "day") if seconds >= _DAY else (seconds // _HOUR, "hour")
    return f"{count} {word}" + ("" if count == 1 else "s")


def _source(source: str, checked: str) -> str:
    link = f"<{source}>" if source.startswith("https://") else source
    return f"{link}, {checked}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def main(arguments: Sequence[str]) -> int:
    """Write all pages with `--write`, else print the long one; return the exit status."""
    drivers, flavors = driver_rows(), flavor_rows()
    if list(arguments) != ["--write"]:
        sys.stdout.write(render_docs(drivers, flavors))
        return 0
    DOCS.write_text(render_docs(drivers, flavors))
    for page, section in ((README, render_readme(drivers)), (CONFIGURATION, render_options())):
        page.write_text(with_section(page.read_text(), section))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
