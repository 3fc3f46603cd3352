"""System checks of settings that must agree; `manage.py check --deploy` runs them too.

E001  a secret was generated where each host would generate its own      (deploy)
E002  FIELD_ENCRYPTION_KEYS holds something that is no key
E003  two limits contradict each other
E004  the encryption keys fit none of the stored credentials             (database)
E005  the database's file is damaged                                     (database)
W001  hosts that share a database do not share the broker                (deploy)
W002  every name in ALLOWED_HOSTS means this host alone                  (deploy)
W003  keys and files travel in clear                                     (deploy)
W004  anybody can read the metrics                                       (deploy)
W005  accounts may lead into the private network                         (deploy)
W006  some stored credentials cannot be decrypted                        (database)
W007  a variable is set that an earlier version read
W008  every client looks like the proxy                                  (deploy)
W009  others on this host can read what the gateway keeps
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from files_app.services.accounts.rotation import check_keys
from files_app.services.index.transactions import DAMAGED_FIX, is_damaged

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "testserver"})
LIMITS = (
    ("MAX_FILE_BYTES", "ORGANIZATION_QUOTA_BYTES"),
    ("BATCH_MAX_LINE_BYTES", "BATCH_MAX_FILE_BYTES"),
)


def is_embedded() -> bool:
    """Whether this is one host that nobody else can reach."""
    return bool(settings.IS_LOOPBACK and settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"))


@register(Tags.security, deploy=True)
def check_secrets_are_supplied(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse generated secrets where a second host would generate others."""
    if is_embedded():
        return []
    return [
        Error(
            f"{name} was generated and is kept in DATA_DIR.",
            hint=f"Set {name} or {name}_FILE, the same on every host.",
            id="gateway.E001",
        )
        for name in settings.GENERATED_SECRETS
    ]


@register(Tags.security)
def check_encryption_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse keys that cannot encrypt, before the first account needs them."""
    wrong = [number for number, key in enumerate(settings.FIELD_ENCRYPTION_KEYS, 1) if not _is_key(key)]
    return [
        Error(
            f"Number {number} of FIELD_ENCRYPTION_KEYS is not 32 bytes in URL-safe base64.",
            hint="Make one: openssl rand -base64 32 | tr '+/' '-_'",
            id="gateway.E002",
        )
        for number in wrong
    ]


def _is_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


@register(Tags.compatibility)
def check_limits(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse limits of which the smaller thing is larger."""
    return [
        Error(
            f"{small} ({getattr(settings, small)}) is larger than {large} ({getattr(settings, large)}).",
            hint=f"Lower {small} or raise {large}.",
            id="gateway.E003",
        )
        for small, large in LIMITS
        if getattr(settings, small) > getattr(settings, large)
    ]


@register(Tags.compatibility)
def check_retired_variables(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Name variables that are set and do nothing."""
    return [
        Warning(
            f"{name} is set and ignored: nothing reads it any more.",
            hint=f"Unset {name}; the changelog says what replaced it.",
            id="gateway.W007",
        )
        for name in settings.RETIRED_VARIABLES
    ]


@register(Tags.security)
def check_directories_are_closed(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Name what other users of this host can look into: files, generated secrets, the SQLite database."""
    return [
        Warning(
            f"{name} {path} is open to other users of this host (mode {path.stat().st_mode & 0o777:o}).",
            hint=f"chmod {'700' if path.is_dir() else '600'} {path}",
            id="gateway.W009",
        )
        for name, path in _kept_places()
        if path.exists() and path.stat().st_mode & 0o077
    ]


def _kept_places() -> Iterator[tuple[str, Path]]:
    """Yield the places that need a door of their own: those below DATA_DIR are behind that of DATA_DIR."""
    data = Path(settings.DATA_DIR)
    yield "DATA_DIR", data
    others = {"SPOOL_DIR": Path(settings.SPOOL_DIR), "PROMETHEUS_MULTIPROC_DIR": Path(settings.METRICS_DIR)}
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        others["DATABASE_URL"] = Path(database["NAME"])
    for name, path in others.items():
        if data not in path.parents:
            yield name, path


@register(Tags.database)
def check_stored_credentials(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Find out whether FIELD_ENCRYPTION_KEYS are those that the stored credentials were encrypted with."""
    if not databases or check_encryption_keys(None):
        return []
    try:
        fit = check_keys()
    except DatabaseError as error:
        if is_damaged(error):
            return [Error(f"The database's file is damaged: {error}.", hint=DAMAGED_FIX, id="gateway.E005")]
        return []  # not migrated yet, so nothing is stored
    if not fit.unreadable:
        return []
    hint = "Add the key that was used before to FIELD_ENCRYPTION_KEYS, behind the first one."
    if fit.is_wrong_key:
        return [
            Error(
                f"FIELD_ENCRYPTION_KEYS decrypt none of the {fit.tried} stored credentials.",
                hint=hint,
                id="gateway.E004",
            )
        ]
    names = ", ".join(fit.unreadable[:5])
    return [
        Warning(
            f"FIELD_ENCRYPTION_KEYS do not decrypt {len(fit.unreadable)} stored credentials: {names}.",
            hint=hint,
            id="gateway.W006",
        )
    ]


@register(Tags.security, deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of settings that are fine on one host alone and not where others can reach it."""
    return list(_deployment_warnings())


def _deployment_warnings() -> Iterator[CheckMessage]:
    if not is_embedded() and settings.CELERY_BROKER_URL.startswith("filesystem:"):
        yield Warning(
            "CELERY_BROKER_URL is the filesystem transport, which serves one host.",
            hint="Set it to RabbitMQ or Redis, unless there will only ever be this host.",
            id="gateway.W001",
        )
    if settings.IS_LOOPBACK and not settings.BEHIND_TLS_PROXY:
        return
    if set(settings.ALLOWED_HOSTS) <= LOOPBACK_NAMES:
        yield Warning(
            "ALLOWED_HOSTS names this host alone, so that every other client gets 400.",
            hint="Set ALLOWED_HOSTS to the names under which clients reach the gateway.",
            id="gateway.W002",
        )
    if not settings.BEHIND_TLS_PROXY:
        yield Warning(
            "The gateway listens on other addresses than loopback without TLS.",
            hint="Put a proxy with TLS in front and set BEHIND_TLS_PROXY=true.",
            id="gateway.W003",
        )
    elif not settings.PROXY_COUNT:
        yield Warning(
            "PROXY_COUNT is 0 behind a proxy, so that all clients count as one address: the proxy's.",
            hint=f"Let the proxy send {settings.PROXY_HEADER} as deploy/nginx/ does, and set PROXY_COUNT.",
            id="gateway.W008",
        )
    if not settings.METRICS_TOKEN:
        yield Warning(
            "METRICS_TOKEN is not set, so that /metrics is open.",
            hint="Set METRICS_TOKEN, or keep /metrics off the proxy.",
            id="gateway.W004",
        )
    if settings.ALLOW_PRIVATE_UPSTREAMS is True:
        yield Warning(
            "ALLOW_PRIVATE_UPSTREAMS lets provider accounts lead anywhere in the private network.",
            hint="Unset it, or list the networks in which providers run.",
            id="gateway.W005",
        )
