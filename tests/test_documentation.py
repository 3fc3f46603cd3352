"""The documentation is complete, and its links lead somewhere."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase
from rest_framework.serializers import Serializer

from benchmarks import figures
from files_app.models.states import COPY_TRANSITIONS, FILE_TRANSITIONS, Transitions
from files_app.observability import gauges, metrics
from files_app.services.tenants.configuration import apply_configuration
from files_app.services.tenants.configuration_file import ConfigurationSerializer
from files_app.services.webhooks.signing import new_secret
from tests.stack import PROJECT

DOCS = PROJECT / "docs"
PAGES = [*sorted(PROJECT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
READERS = {
    *("boolean", "directory", "header_name", "host_names", "integer", "origins", "switch_or_networks"),
    *("text", "url_path"),
    *("secret", "secret_or_generated", "secret_words"),
}
UNITS = {"KIB": 1024, "MIB": 1024**2, "GIB": 1024**3}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def page_id(path: Path) -> str:
    return str(path.relative_to(PROJECT))


# -- settings --------------------------------------------------------------------------------------------


def settings_read() -> Iterator[tuple[str, ast.expr | None]]:
    """Yield each variable that the settings read, with its default as code."""
    trees = [ast.parse(path.read_text()) for path in sorted((PROJECT / "gateway").glob("*settings.py"))]
    for node in chain.from_iterable(map(ast.walk, trees)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in READERS):
            continue
        name = node.args[0]
        if isinstance(name, ast.Constant):
            yield str(name.value), node.args[1] if len(node.args) > 1 else None


def settings_documented() -> dict[str, tuple[str, str]]:
    """Return name -> (default, meaning) of the tables in configuration.md."""
    rows = re.findall(
        r"^\| `([A-Z][A-Z_]+)` \| (.+?) \| (.+) \|$",
        (DOCS / "configuration.md").read_text(),
        re.MULTILINE,
    )
    return {name: (default, meaning) for name, default, meaning in rows}


def test_every_setting_is_documented_and_nothing_else() -> None:
    assert {name for name, _ in settings_read()} == settings_documented().keys()


def test_numbers_in_the_documentation_are_the_defaults() -> None:
    documented = settings_documented()
    for name, default in settings_read():
        # Numbers and sums of numbers, no names but the units.
        names = {node.id for node in ast.walk(default) if isinstance(node, ast.Name)} if default else {"-"}
        if default is None or not names <= UNITS.keys():
            continue
        value = eval(compile(ast.Expression(default), "settings", "eval"), {}, UNITS)  # noqa: S307 - our code
        if isinstance(value, int) and not isinstance(value, bool):
            assert documented[name][0] == f"`{value}`", name


def test_settings_that_can_be_files_say_so() -> None:
    text = (PROJECT / "gateway" / "settings.py").read_text()
    secret = set(re.findall(r"(?:secret|secret_words|secret_or_generated)\(\s*\"([A-Z_]+)\"", text))
    documented = settings_documented()
    assert {name for name, (_, meaning) in documented.items() if meaning.startswith("*file*")} == secret


def test_the_example_environment_names_real_settings() -> None:
    for line in (PROJECT / ".env.example").read_text().splitlines():
        if match := re.match(r"#?([A-Z_]+)=", line):
            assert match[1] in settings_documented()


# -- the configuration file ------------------------------------------------------------------------------


def documented_file() -> str:
    """Return the example of configuration.md."""
    (text,) = re.findall(
        r"^```yaml\n(.+?)^```", (DOCS / "configuration.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return str(text)


def assert_all_keys(shape: Serializer[Any], entries: list[dict[str, Any]]) -> None:
    """Assert that the entries together have every key of their shape."""
    assert set().union(*entries) == shape.fields.keys(), type(shape).__name__
    for name, field in shape.fields.items():
        child = getattr(field, "child", None)
        if isinstance(child, Serializer):
            assert_all_keys(child, [each for entry in entries for each in entry[name]])


def test_every_key_of_the_configuration_file_is_documented() -> None:
    document = yaml.safe_load(documented_file())
    assert document["shared_provider_accounts"] == []
    document["shared_provider_accounts"] = document["organizations"][0]["provider_accounts"]  # "same form"
    assert_all_keys(ConfigurationSerializer(), [document])


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["docs/configuration.md", "deploy/kubernetes/config.yaml"])
def test_the_configuration_files_can_be_applied(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", "k" * 40)
    monkeypatch.setenv("OPENAI_API_KEY", "only-for-tests")
    monkeypatch.setenv("ACME_WEBHOOK_SECRET", new_secret())
    text = (PROJECT / place).read_text() if place.endswith(".yaml") else documented_file()
    assert "created provider account acme/openai-main" in apply_configuration(text).changes
    assert apply_configuration(text).changes == []


# -- API -------------------------------------------------------------------------------------------------


def codes_in_the_source() -> set[str]:
    code = re.compile(
        r"""\bcode(?::[^=]+)?\s*=\s*(?:\w+\.code or )?"([a-z_]+)"|error\.code or "([a-z_]+)\""""
    )
    found: set[str] = set()
    for package in ("files_app", "providers"):
        for path in (PROJECT / package).rglob("*.py"):
            if "admin" not in path.parts and "migrations" not in path.parts:
                found |= {one or other for one, other in code.findall(path.read_text())}
    found |= set(
        re.findall(r'return \d{3}, "\w+", "([a-z_]+)"', (PROJECT / "files_app/web/errors.py").read_text())
    )
    return found


def test_every_error_code_is_documented() -> None:
    text = (DOCS / "api.md").read_text()
    codes = codes_in_the_source()
    assert len(codes) > 20
    assert sorted(code for code in codes if f"`{code}`" not in text) == []


def test_every_form_field_header_and_parameter_is_documented() -> None:
    document = json.loads((DOCS / "openapi.json").read_text())
    text = (DOCS / "api.md").read_text()
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                assert parameter["name"] in text or parameter["in"] == "path", parameter["name"]
            form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {})
            for name in form.get("schema", {}).get("properties", {}):
                assert f"`{name}`" in text, name


# -- monitoring ------------------------------------------------------------------------------------------


def metric_families() -> list[Metric]:
    kept = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    counted = [metric for each in kept for metric in each.describe()]
    return counted + [metric for source in gauges.GAUGE_SOURCES for metric in source(False)]


def series_names() -> set[str]:
    """Return the names of all series that `/metrics` has."""
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {f"{each.name}{ending}" for each in metric_families() for ending in endings[each.type]}


def used_metrics(expression: str) -> set[str]:
    return set(re.findall(r"files_gateway_\w+", expression))


@pytest.mark.django_db
def test_every_metric_is_documented() -> None:
    names = {f"{each.name}_total" if each.type == "counter" else each.name for each in metric_families()}
    text = (DOCS / "operations" / "monitoring.md").read_text()
    assert sorted(name for name in names if f"`{name}`" not in text) == []


@pytest.mark.django_db
def test_alerts_ask_for_real_metrics_and_lead_to_a_runbook() -> None:
    rules = yaml.safe_load((PROJECT / "deploy" / "prometheus-alerts.yaml").read_text())
    runbooks = anchors(DOCS / "operations" / "runbooks.md")
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert used_metrics(rule["expr"]) <= series_names(), rule["alert"]
        assert rule["annotations"]["summary"]
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page.endswith("/operations/runbooks/") and anchor in runbooks, rule["alert"]


@pytest.mark.django_db
def test_the_dashboard_asks_for_real_metrics() -> None:
    dashboard = json.loads((PROJECT / "deploy" / "grafana-dashboard.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(panels) > 20 and all(map(used_metrics, expressions))
    assert {name for each in expressions for name in used_metrics(each)} <= series_names()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


# -- pages -----------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if re.match(r"(?:https?|mailto):", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if path.suffix == ".png" and not path.parent.exists():
            continue  # `make screenshots` has not run
        assert path.exists(), f"{page_id(page)} links to {link}"
        if anchor:
            assert anchor in anchors(path), f"{page_id(page)} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_exist(page: Path) -> None:
    text = page.read_text()
    commands = get_commands()
    for name in re.findall(r"manage\.py ([a-z_]+)", text):
        assert name in commands, f"{page_id(page)}: manage.py {name}"
    targets = set(re.findall(r"^([a-z][\w-]*):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for name in re.findall(r"(?:^|`)make ([a-z][\w-]*)", text, re.MULTILINE):
        assert name in targets, f"{page_id(page)}: make {name}"
    for path in re.findall(r"`((?:deploy|docs|tests|providers|files_app|gateway)/[\w./-]+)`", text):
        assert (PROJECT / path).exists(), f"{page_id(page)}: {path}"


def test_the_menu_has_every_page() -> None:
    def pages(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for child in entry.values() if isinstance(entry, dict) else entry:
                yield from pages(child)

    menu = set(pages(yaml.safe_load((PROJECT / "mkdocs.yml").read_text())["nav"]))
    assert menu == {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}


@pytest.mark.parametrize("path", [page for page in PAGES if page.parent.name == "adr"], ids=page_id)
def test_a_decision_fits_on_a_page(path: Path) -> None:
    text = path.read_text()
    if path.name != "index.md":
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
        assert len(text.split()) < 450
        assert path.name in (path.parent / "index.md").read_text()


# -- states ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "table"), [("File", FILE_TRANSITIONS), ("Copy", COPY_TRANSITIONS)])
def test_the_drawing_has_every_transition_and_no_other(name: str, table: Transitions) -> None:
    text = (DOCS / "architecture.md").read_text()
    found = re.search(rf'state "{name}" as \w+ {{\n(.*?)\n    }}', text, re.DOTALL)
    assert found is not None
    arrows = re.findall(r"^ +(\w+) --> (\w+)$", found[1], re.MULTILINE)
    drawn = {(before, after) for before, after in arrows}
    assert drawn == {(str(before), str(after)) for before, states in table.items() for after in states}


def test_the_map_names_folders_and_modules_that_exist() -> None:
    text = (DOCS / "architecture.md").read_text()
    section = text.partition("Some words and where they lead")[2].partition("\n## ")[0]
    names = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", section)
    assert len(names) > 10
    roots = [PROJECT, PROJECT / "files_app", PROJECT / "files_app" / "services"]
    assert [name for name in names if not any((root / name).exists() for root in roots)] == []


# -- promises --------------------------------------------------------------------------------------------


def test_every_promise_names_tests_that_exist() -> None:
    """Each row of the tables names a test; a module, class and function are where it says."""
    rows = [line for line in (DOCS / "reliability.md").read_text().splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not row.startswith(("| ---", "| Subject", "| | "))]
    assert len(promises) > 100
    for promise in promises:
        names = re.findall(r"`(tests/[^`]+|make \w+)`", promise)
        assert names, promise
        for name in names:
            assert name.startswith("make ") or _is_test(name), name


def _is_test(name: str) -> bool:
    path, *members = name.split("::")
    if not (PROJECT / path).is_file():
        return False
    body: list[ast.stmt] = ast.parse((PROJECT / path).read_text()).body
    for member in members:
        found = [
            node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == member
        ]
        if not found:
            return False
        body = found[0].body
    return True


# -- figures -----------------------------------------------------------------------------------------------


def test_the_readmes_figures_are_those_that_were_measured() -> None:
    _, _, rest = (PROJECT / "README.md").read_text().partition(f"{figures.BEGIN}\n")
    assert rest.partition(f"\n{figures.END}")[0] == figures.table(), "write it: python -m benchmarks.figures"
