"""`manage.py check --deploy`, and the start that refuses keys that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from pytest_django.fixtures import Settings

from tests.stack import Stack

DEPLOYMENT = {
    "BIND": "0.0.0.0",  # noqa: S104  # checked, not listened on
    "ALLOWED_HOSTS": "files.example.org",
    "BEHIND_TLS_PROXY": "true",
    "PROXY_COUNT": "1",
    "CELERY_BROKER_URL": "amqp://broker.example.org//",
    "SECRET_KEY": "k" * 20 + "0123456789abcdefghijklmnopqrstuvwxyz-_",
    "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    "API_KEY_PEPPERS": "p" * 32,
    "METRICS_TOKEN": "m" * 32,
    "ALLOW_PRIVATE_UPSTREAMS": "",
}


def check(directory: Path, *arguments: str, **environment: str) -> str:
    """Return what `manage.py check` says."""
    done = Stack(directory, environment={**DEPLOYMENT, **environment}).manage(
        "check", *arguments, check=False
    )
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_a_good_deployment_is_clean(tmp_path: Path) -> None:
    said = check(tmp_path, "--deploy")
    assert "no issues" in said, said


@pytest.mark.parametrize(
    ("environment", "identifier"),
    [
        ({"SECRET_KEY": ""}, "gateway.E001"),
        ({"FIELD_ENCRYPTION_KEYS": "not-a-key"}, "gateway.E002"),
        ({"MAX_FILE_BYTES": "10", "ORGANIZATION_QUOTA_BYTES": "9"}, "gateway.E003"),
        ({"BATCH_MAX_LINE_BYTES": "10", "BATCH_MAX_FILE_BYTES": "9"}, "gateway.E003"),
        ({"CELERY_BROKER_URL": ""}, "gateway.W001"),
        ({"ALLOWED_HOSTS": ""}, "gateway.W002"),
        ({"BEHIND_TLS_PROXY": ""}, "gateway.W003"),
        ({"METRICS_TOKEN": ""}, "gateway.W004"),
        ({"ALLOW_PRIVATE_UPSTREAMS": "true"}, "gateway.W005"),
        ({"PROXY_COUNT": ""}, "gateway.W008"),
        ({"UPLOAD_CHUNK_BYTES": "1000"}, "gateway.W007"),
    ],
)
def test_each_mistake_has_an_id_and_a_hint(
    tmp_path: Path, environment: dict[str, str], identifier: str
) -> None:
    said = check(tmp_path, "--deploy", "--tag", "security", "--tag", "compatibility", **environment)
    (line,) = [line for line in said.splitlines() if identifier in line]
    assert "HINT" in said.partition(line)[2]
    assert said.count("(gateway.") == 1


@pytest.mark.parametrize("name", ["DATA_DIR", "SPOOL_DIR", "DATABASE_URL"])
def test_what_others_can_read_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    place = tmp_path / "elsewhere"
    if name == "DATABASE_URL":
        place.touch()
        monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")
        monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(place))
    else:
        place.mkdir()
        setattr(settings, name, place)
    place.chmod(0o750)
    (found,) = [message for message in run_checks(tags=["security"]) if message.id == "gateway.W009"]
    assert found.msg == f"{name} {place} is open to other users of this host (mode 750)."
    place.chmod(0o700)
    assert "gateway.W009" not in {message.id for message in run_checks(tags=["security"])}


def test_keys_that_do_not_fit_are_found_by_the_check_and_at_start(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack")
    stack.prepare()
    stack.manage(
        "shell",
        "-c",
        "from files_app.models import ProviderAccount as A\n"
        "from files_app.services.accounts.saving import save_account\n"
        "for name in 'a', 'b': save_account(A(name=name, driver='openai'), {'api_key': 'k'})",
    )
    assert stack.manage("check", "--database", "default").returncode == 0
    stack.environment["FIELD_ENCRYPTION_KEYS"] = Fernet.generate_key().decode()
    done = stack.manage("check", "--database", "default", check=False)
    assert "gateway.E004" in done.stderr
    for arguments in (["run"], ["run", "worker"]):
        started = stack.manage(*arguments, check=False)
        assert started.returncode == 1
        assert "FIELD_ENCRYPTION_KEYS decrypt none of the 2 stored credentials" in started.stderr
