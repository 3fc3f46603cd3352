"""`manage.py diffsettings` and `celery report`, whose output people paste."""

from __future__ import annotations

import secrets
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from tests.stack import PROJECT, inherited_environment
from tests.test_documentation import settings_documented

URLS = {
    "DATABASE_URL": "postgres://user:{}@127.0.0.1/files",
    "CELERY_BROKER_URL": "amqp://user:{}@127.0.0.1//",
    "THROTTLE_STORAGE_URL": "redis://:{}@127.0.0.1/1",
}


def canary() -> str:
    return f"canary{secrets.token_hex(20)}"


@pytest.mark.parametrize(
    "command",
    [
        [
            str(PROJECT / "manage.py"),
            "diffsettings",
            "--all",
            "--output=unified",
            "--default=gateway.settings",
        ],
        ["-m", "celery", "-A", "gateway", "report"],
    ],
    ids=["diffsettings", "celery report"],
)
def test_no_secret_is_printed(tmp_path: Path, command: list[str]) -> None:
    documented = settings_documented().items()
    planted = {name: canary() for name, (_, meaning) in documented if meaning.startswith("*file*")}
    assert planted.keys() > URLS.keys()
    given = {name: URLS.get(name, "{}").format(value) for name, value in planted.items()}
    environment = {**inherited_environment(), "DATA_DIR": str(tmp_path), **given}
    done = subprocess.run(
        [sys.executable, *command], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert "AUDIT_RETENTION_DAYS" in done.stdout
    assert not [name for name, value in planted.items() if value in done.stdout]


def test_a_secret_inside_of_a_setting_is_hidden_too(settings: Settings) -> None:
    inner = {"LOCATION": f"redis://:{canary()}@cache.example.org/0", "OPTIONS": {"password": canary()}}
    settings.CACHES = {"default": inner}
    out = StringIO()
    call_command("diffsettings", stdout=out)
    assert "@cache.example.org/0" in out.getvalue()
    assert "canary" not in out.getvalue()
