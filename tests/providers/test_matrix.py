"""The generated pages say what the drivers declare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from providers.flavors import FLAVORS
from providers.matrix import (
    CONFIGURATION,
    DOCS,
    MARKERS,
    README,
    ROOT,
    Row,
    driver_rows,
    flavor_rows,
    main,
    render_docs,
    render_options,
    render_readme,
    with_section,
)
from providers.objects import ALL_OPERATIONS, Capabilities, Expiry, GiB, MiB, Operation
from providers.registry import DRIVERS

HINT = "run `python -m providers.matrix --write`"


def test_the_provider_page_is_up_to_date() -> None:
    assert DOCS.read_text() == render_docs(driver_rows(), flavor_rows()), HINT


def test_the_tables_in_other_pages_are_up_to_date() -> None:
    for page, section in ((README, render_readme(driver_rows())), (CONFIGURATION, render_options())):
        text = page.read_text()
        assert with_section(text, section) == text, HINT


def test_every_driver_and_every_flavor_has_its_row() -> None:
    text = render_docs(driver_rows(), flavor_rows())
    for name in (*DRIVERS, *FLAVORS):
        assert f"| `{name}` |" in text


def test_it_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == render_docs(driver_rows(), flavor_rows())


@pytest.mark.parametrize("name", [each for each in DRIVERS if each not in {"openai", "local"}])
def test_code_names_a_provider_in_its_module_and_the_registry_only(name: str) -> None:
    """The words `openai` and `local` mean other things too. Forms of batch lines go by their provider,
    and the demo has accounts of some."""
    modules = [
        path for folder in ("providers", "files_app", "gateway") for path in (ROOT / folder).rglob("*.py")
    ]
    data = {"batches", "demo", "matrix.py"}
    others = [path for path in modules if not data & set(path.parts)]
    naming = {path.name for path in others if f'"{name}"' in path.read_text()}
    module = DRIVERS[name].partition(":")[0].partition(".")[2]
    assert naming == {f"{module}.py", "registry.py"}


def row(facts: dict[str, Any]) -> Row:
    capabilities = Capabilities(source="https://acme.example/files", checked="2026-01-31")
    return Row("Acme", "acme", replace(capabilities, **facts))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"operations": ALL_OPERATIONS - {Operation.LIST}}, "| yes | no | yes | yes | yes |"),
        ({"missing_reasons": {Operation.CONTENT: "Only outputs."}}, "| yes | yes | yes | some | yes |"),
        ({"missing_reasons": {Operation.CONTENT: "Only outputs."}}, "- Content: Only outputs."),
        ({"content": "extracted"}, "| yes | yes | yes | text only | yes |"),
        ({"max_bytes": 512 * MiB, "max_bytes_by_purpose": {"batch": 48_000_000}}, "512 MiB, batch 48 MB"),
        ({"max_bytes": 1_500_000_000}, "| 1.5 GB |"),
        ({"max_bytes": int(50.1 * GiB)}, "| 50.1 GiB |"),
        ({}, "| not stated |"),
        ({"expiry": Expiry(native=True)}, "| the provider's own, 1 hour to 30 days |"),
        ({"expiry": Expiry(default_seconds=86_400)}, "30 days; unasked after 1 day |"),
        (
            {"purposes": {"batch": "batch", "evals": "eval", "vision": ""}},
            "`batch`, `evals` → `eval`, `vision` (not sent)",
        ),
        ({"output_purposes": {"made": "batch_output"}}, "; read back: `made` → `batch_output`"),
        ({"extensions": {"batch": (".jsonl", ".csv")}}, "- File names: `batch` (.jsonl, .csv)"),
        (
            {"storage": "gcs", "mode": "object store", "ranges": True, "paging": "token"},
            "| object store | Cloud Storage |",
        ),
        ({}, "- Source: <https://acme.example/files>, 2026-01-31"),
    ],
)
def test_a_fact_is_said(facts: dict[str, Any], words: str) -> None:
    assert words in render_docs([row(facts)], [])


def test_a_cell_cannot_break_its_table() -> None:
    text = render_readme([Row("A|B", "acme", Capabilities())])
    assert "A&#124;B" in text


def test_the_section_of_the_readme_is_replaced() -> None:
    start, end = MARKERS
    assert with_section(f"a\n{start}\nold\n{end}\nb", "new") == f"a\n{start}\nnew\n{end}\nb"


@pytest.mark.parametrize("text", ["", MARKERS[0], f"{MARKERS[1]} {MARKERS[0]}"])
def test_a_readme_without_its_markers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        with_section(text, "new")
