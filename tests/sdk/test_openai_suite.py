"""The file tests inside of openai's own SDK distribution, against the gateway."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import openai
import pytest

from tests.sdk.cache import cached, pip, run
from tests.sdk.conftest import Gateway

#: What the distribution's tests need beside our own development dependencies.
TOOLS = ("pytest-asyncio==1.4.0", "aiohttp==3.14.5")


def fetch_suite(directory: Path) -> None:
    version = f"openai=={openai.__version__}"
    pip("download", "--no-deps", "--no-binary", ":all:", "-d", "sdist", version, cwd=directory)
    with tarfile.open(next((directory / "sdist").glob("*.tar.gz"))) as archive:
        archive.extractall(directory / "source", filter="data")
    pip("install", "--target", "tools", *TOOLS, cwd=directory)


@pytest.mark.timeout(600)
def test_openais_own_tests_pass(gateway: Gateway) -> None:
    suite = cached(f"openai-python-{openai.__version__}", fetch_suite)
    source = suite / "source" / f"openai-{openai.__version__}"
    plugin = str(Path(__file__).parent)
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-n", "0", "--durations=0", "-p", "no:cacheprovider"),
        *("-p", "no:randomly", "-p", "no:django", "-p", "pytest_asyncio", "-p", "live_plugin"),
        # It sends limit=0 and purpose="purpose", which no real server takes.
        *("tests/api_resources/test_files.py", "-k", "not list_with_all_params"),
    ]
    try:
        output = run(
            *command,
            cwd=source,
            TEST_API_BASE_URL=gateway.api_url,
            TEST_API_KEY=gateway.api_key,
            PYTHONPATH=f"{plugin}:{suite / 'tools'}",
            DJANGO_SETTINGS_MODULE="",
        )
    except subprocess.CalledProcessError as exc:
        pytest.fail(exc.stdout[-6000:] + exc.stderr[-2000:])
    passed = re.search(r"(\d+) passed", output)
    assert passed is not None, output
    assert int(passed[1]) > 50
    live = re.findall(r'"method": "(?:GET|DELETE|POST)", "path": "/v1/files', gateway.stack.log("web"))
    assert len(live) > 100
