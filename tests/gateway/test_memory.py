"""What idle processes have not loaded: it would be most of their memory."""

import re

import pytest

from tests.processes import wait_until
from tests.stack import PARTS, Part, Stack

SELDOM_NEEDED = (
    *("boto3", "botocore", "google", "grpc", "openpyxl", "redis", "limits", "psycopg.pq"),
    *("unfold", "files_app.admin", "files_app.migrations", "celery.bin", "prompt_toolkit"),
)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[Part, str]:
    """Return what parts have said, their imports included, until they had begun their work."""
    with Stack(tmp_path_factory.mktemp("idle"), environment={"PYTHONPROFILEIMPORTTIME": "1"}) as stack:
        wait_until(lambda: "worker_began" in stack.log("worker"), seconds=60, what="the worker")
        return {part: stack.log(part) for part in PARTS}


@pytest.mark.parametrize("part", PARTS)
def test_an_idle_process_has_loaded_nothing_that_is_seldom_needed(logs: dict[Part, str], part: Part) -> None:
    # `manage.py run` makes the checks, which need all of it, and becomes the part: that begins a table anew.
    table = logs[part].rpartition("imported package")[2]
    imported = set(re.findall(r"\| +([\w.]+)$", table, re.MULTILINE))
    assert "files_app.models.files" in imported
    loaded = {name for name in SELDOM_NEEDED if any(f"{each}.".startswith(f"{name}.") for each in imported)}
    assert loaded == set()
