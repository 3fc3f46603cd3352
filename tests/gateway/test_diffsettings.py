"""`manage.py diffsettings`, whose output people paste."""

from __future__ import annotations

import secrets
from io import StringIO
from pathlib import Path

from django.core.management import call_command
from pytest_django.fixtures import Settings

from tests.stack import Stack
from tests.test_documentation import settings_documented

URLS = {
    "DATABASE_URL": "postgres://user:{}@127.0.0.1/files",
    "CELERY_BROKER_URL": "amqp://user:{}@127.0.0.1//",
    "THROTTLE_STORAGE_URL": "redis://:{}@127.0.0.1/1",
}


def canary() -> str:
    return f"canary{secrets.token_hex(20)}"


def test_no_secret_is_printed(tmp_path: Path) -> None:
    documented = settings_documented().items()
    planted = {name: canary() for name, (_, meaning) in documented if meaning.startswith("*file*")}
    assert planted.keys() > URLS.keys()
    environment = {name: URLS.get(name, "{}").format(value) for name, value in planted.items()}
    arguments = ["--all", "--output=unified", "--default=gateway.settings"]
    printed = Stack(tmp_path, environment=environment).manage("diffsettings", *arguments).stdout
    assert "AUDIT_RETENTION_DAYS = 365" in printed
    assert not [name for name, value in planted.items() if value in printed]


def test_a_secret_inside_of_a_setting_is_hidden_too(settings: Settings) -> None:
    inner = {"LOCATION": f"redis://:{canary()}@cache.example.org/0", "OPTIONS": {"password": canary()}}
    settings.CACHES = {"default": inner}
    out = StringIO()
    call_command("diffsettings", stdout=out)
    assert "@cache.example.org/0" in out.getvalue()
    assert "canary" not in out.getvalue()
