"""The file tests inside of the vendors' own SDK distributions, against the gateway."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import anthropic
import openai
import pytest

from tests.sdk.cache import cached, pip, run
from tests.sdk.conftest import Gateway

#: What the distributions' tests need beside our own development dependencies.
TOOLS = ("pytest-asyncio==1.4.0", "aiohttp==3.14.5")
ANTHROPICS_TOOLS = (*TOOLS, "respx==0.22.0", "http-snapshot[httpx]==0.1.9", "inline-snapshot==0.32.5")


def suite_of(requirement: str, tools: tuple[str, ...]) -> Callable[[Path], None]:
    """Return what fetches a distribution with its tests, and what these need."""

    def fetch(directory: Path) -> None:
        pip("download", "--no-deps", "--no-binary", ":all:", "-d", "sdist", requirement, cwd=directory)
        with tarfile.open(next((directory / "sdist").glob("*.tar.gz"))) as archive:
            archive.extractall(directory / "source", filter="data")
        pip("install", "--target", "tools", *tools, cwd=directory)

    return fetch


def passed(suite: Path, sdk: str, version: str, base_url: str, key: str, *tests: str) -> int:
    """Run an SDK's own tests and return how many have passed; all of them must."""
    plugin = str(Path(__file__).parent)
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-n", "0", "--durations=0", "-p", "no:cacheprovider"),
        *("-p", "no:randomly", "-p", "no:django", "-p", "pytest_asyncio", "-p", "live_plugin"),
        # It sends limit=0 and purpose="purpose", or ids and a page, which no real server takes.
        *(*tests, "-k", "not list_with_all_params"),
    ]
    try:
        output = run(
            *command,
            cwd=suite / "source" / f"{sdk}-{version}",
            TEST_SDK=sdk,
            TEST_API_BASE_URL=base_url,
            TEST_API_KEY=key,
            PYTHONPATH=f"{plugin}:{suite / 'tools'}",
            DJANGO_SETTINGS_MODULE="",
        )
    except subprocess.CalledProcessError as exc:
        pytest.fail(exc.stdout[-6000:] + exc.stderr[-2000:])
    found = re.search(r"(\d+) passed", output)
    assert found is not None, output
    return int(found[1])


@pytest.mark.timeout(600)
def test_openais_own_tests_pass(gateway: Gateway) -> None:
    version = openai.__version__
    suite = cached(f"openai-python-{version}", suite_of(f"openai=={version}", TOOLS))
    tests = "tests/api_resources/test_files.py"
    assert passed(suite, "openai", version, gateway.api_url, gateway.api_key, tests) > 50
    live = re.findall(r'"method": "(?:GET|DELETE|POST)", "path": "/v1/files', gateway.stack.log("web"))
    assert len(live) > 100


@pytest.mark.timeout(600)
def test_anthropics_own_tests_pass(gateway: Gateway) -> None:
    version = anthropic.__version__
    suite = cached(f"anthropic-python-{version}", suite_of(f"anthropic=={version}", ANTHROPICS_TOOLS))
    tests = [f"tests/api_resources/{place}test_files.py" for place in ("", "beta/")]
    assert passed(suite, "anthropic", version, gateway.stack.url, gateway.api_key, *tests) > 150
