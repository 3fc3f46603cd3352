"""Settings that depend on others, each read in a fresh interpreter."""

import json
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from tests.stack import PROJECT, SQLITE, copy_tables, inherited_environment


def settings(directory: Path, names: str, **environment: str) -> Any:
    """Return the named settings as JSON values."""
    program = (
        f"import json; from gateway import settings as s; print(json.dumps([s.{', s.'.join(names.split())}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={**inherited_environment(), "DATA_DIR": str(directory), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_the_defaults_are_the_embedded_mode(tmp_path: Path) -> None:
    database, broker, is_secure, debug = settings(
        tmp_path, "DATABASES['default'] CELERY_BROKER_URL SESSION_COOKIE_SECURE DEBUG"
    )
    assert database["NAME"] == str(tmp_path / "gateway.sqlite3")
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in database["OPTIONS"]["init_command"]
    assert broker == "filesystem://localhost"
    assert (is_secure, debug) == (False, False)


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    package = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert settings(tmp_path, "VERSION") == [package["version"]]


def test_generated_secrets_stay(tmp_path: Path) -> None:
    names = "SECRET_KEY FIELD_ENCRYPTION_KEYS API_KEY_PEPPERS GENERATED_SECRETS"
    first = settings(tmp_path, names)
    assert settings(tmp_path, names) == first
    assert first[3] == ["SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "API_KEY_PEPPERS"]


def test_supplied_secrets_are_not_generated(tmp_path: Path) -> None:
    new = "n" * 32
    peppers, generated = settings(tmp_path, "API_KEY_PEPPERS GENERATED_SECRETS", API_KEY_PEPPERS=f"{new},old")
    assert peppers == [new, "old"]
    assert "API_KEY_PEPPERS" not in generated


@pytest.mark.parametrize("name", ["SECRET_KEY", "API_KEY_PEPPERS", "METRICS_TOKEN"])
def test_a_short_secret_ends_the_start(tmp_path: Path, name: str) -> None:
    assert f"{name} must have at least 32 characters" in refusal(tmp_path, **{name: "x" * 31})


@pytest.mark.parametrize(
    "reachable",
    [{"BIND": "0.0.0.0"}, {"BEHIND_TLS_PROXY": "true"}, {"PROXY_COUNT": "1"}],  # noqa: S104
)
def test_debug_ends_the_start_where_others_can_reach_it(tmp_path: Path, reachable: dict[str, str]) -> None:
    assert "Unset DEBUG" in refusal(tmp_path, DEBUG="true", **reachable)


def refusal(directory: Path, **environment: str) -> str:
    """Return why a web server does not load the application."""
    done = subprocess.run(
        [sys.executable, "-c", "import gateway.wsgi"],
        cwd=PROJECT,
        env={**inherited_environment(), "DATA_DIR": str(directory), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


def test_static_files_are_for_another_servers_user_too(tmp_path: Path) -> None:
    storage = storages.create_storage(storages.backends["staticfiles"])
    storage.location = str(tmp_path / "static")  # type: ignore[attr-defined]
    storage.save("css/a.css", ContentFile(b"a {}"))
    written = tmp_path / "static" / "css" / "a.css"
    assert [path.stat().st_mode & 0o777 for path in (written, *written.parents[:2])] == [0o644, 0o755, 0o755]


def test_postgresql_gets_a_pool_and_time_limits_that_its_url_may_change(tmp_path: Path) -> None:
    (database,) = settings(
        tmp_path, "DATABASES['default']", DATABASE_URL="postgres://u:p@127.0.0.1/files?connect_timeout=2"
    )
    assert database["OPTIONS"]["pool"]["max_size"] == 16
    assert database["OPTIONS"]["connect_timeout"] == 2
    assert "statement_timeout" in database["OPTIONS"]["options"]
    assert database["CONN_MAX_AGE"] == 0


def start(directory: Path, *command: str, **environment: str) -> str:
    """Start a command that has to fail, and return all that it says."""
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=PROJECT,
        env={**inherited_environment(), "DATA_DIR": str(directory), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://u:s3cr?etpart@h/db"),
        ("CELERY_BROKER_URL", "redis://:s3cr?etpart@h/0"),
        ("THROTTLE_STORAGE_URL", "bogus://"),
        ("ADMIN_PATH", "v1"),
        ("PORT", "80000"),
        ("ALLOWED_HOSTS", "https://files.example.com"),
        ("CSRF_TRUSTED_ORIGINS", "https://files.example.com/"),
        ("PROVIDER_READ_TIMEOUT_SECONDS", "9999999999"),
        ("IDEMPOTENCY_TTL_SECONDS", "99999999999999"),
        ("AUDIT_RETENTION_DAYS", "9999999999"),
    ],
)
def test_what_cannot_be_understood_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=name) as refusal:
        runpy.run_path(str(PROJECT / "gateway" / "settings.py"))
    assert "s3cr" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://u:s3cr?etpart@h/db"),
        ("BOOTSTRAP_API_KEY", "fgw_" + "s3cr" * 10 + "abcdef"),
    ],
)
def test_a_refusal_is_one_line(tmp_path: Path, name: str, value: str) -> None:
    copy_tables(tmp_path / SQLITE)
    said = start(tmp_path, "bootstrap", **{name: value}).strip()
    assert name in said
    assert "\n" not in said
    assert "s3cr" not in said


@pytest.mark.parametrize("command", [("bootstrap",), ("files", "list")], ids=" ".join)
def test_a_database_that_is_not_there_is_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    said = start(tmp_path, *command, DATABASE_URL="postgres://u:s3cr@127.0.0.1:1/db?pool=false").strip()
    assert "\n" not in said
    assert "DATABASE_URL" in said
    assert "Connection refused" in said
    assert "s3cr" not in said


@pytest.mark.parametrize("environment", [{"BIND": "0.0.0.0"}, {"BEHIND_TLS_PROXY": "true"}])  # noqa: S104
def test_cookies_are_secure_where_others_can_reach_the_admin(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    assert settings(tmp_path, "SESSION_COOKIE_SECURE SESSION_COOKIE_NAME", **environment) == [
        True,
        "__Host-sessionid",
    ]


def test_a_redis_broker_never_waits_longer_than_a_second(tmp_path: Path) -> None:
    (options,) = settings(
        tmp_path, "CELERY_BROKER_TRANSPORT_OPTIONS", CELERY_BROKER_URL="redis://127.0.0.1:6379/0"
    )
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (1, 1)
    assert options["visibility_timeout"] > 300


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, []),
        ({"BIND": "0.0.0.0"}, ["gateway.E001"] * 3),  # noqa: S104
        ({"DATABASE_URL": "postgres://u@127.0.0.1/files"}, ["gateway.E001"] * 3),
    ],
)
def test_generated_secrets_are_refused_where_several_hosts_may_serve(
    tmp_path: Path, environment: dict[str, str], expected: list[str]
) -> None:
    program = (
        "import django; django.setup(); from gateway.checks import check_secrets_are_supplied as check;"
        "print([message.id for message in check(None)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={
            **inherited_environment(),
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            "DATA_DIR": str(tmp_path),
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(expected)
