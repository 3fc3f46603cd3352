"""URLs of databases, brokers and counters, checked before anything is connected.

What cannot be understood raises ImproperlyConfigured with a message that names the variable and quotes
nothing of the URL: a password may be in any part of one that was written wrongly.
"""

from collections.abc import Collection
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from gateway.environment import FALSE_WORDS, TRUE_WORDS

POSTGRESQL_SCHEMES = ("postgres", "postgresql", "psql", "pgsql")
DATABASE_SCHEMES = (*POSTGRESQL_SCHEMES, "sqlite")
BROKER_SCHEMES = (
    *("amqp", "amqps", "pyamqp", "redis", "rediss", "redis+socket", "sentinel"),
    *("valkey", "valkeys", "valkey+socket", "filesystem", "memory"),
)
THROTTLE_SCHEMES = ("database", "memory", "redis", "rediss", "redis+unix", "redis+sentinel", "redis+cluster")
_NEED_HOST = ("amqp", "amqps", "pyamqp", "redis", "rediss", "valkey", "valkeys")

#: What Django takes from the options before libpq or sqlite3 gets the rest.
_DJANGO_OPTIONS = frozenset(
    {"pool", "isolation_level", "assume_role", "server_side_binding", "prepare_threshold"}
)
_SQLITE_OPTIONS = frozenset(
    {"timeout", "transaction_mode", "init_command", "isolation_level", "cached_statements", "uri"}
)


def checked_url(name: str, url: str, schemes: Collection[str]) -> SplitResult:
    """Return the parts of the URL in the variable `name`."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in schemes:
        raise ImproperlyConfigured(f"{name} must begin with {_listed(schemes)}.")
    try:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        ports = [urlsplit(f"//{host}").port for host in hosts]
    except ValueError:
        raise _misread(name) from None
    if "#" in url or "@" in parts.path + parts.query or 0 in ports:
        raise _misread(name)
    return parts


def _listed(schemes: Collection[str]) -> str:
    *others, last = (f"{scheme}://" for scheme in schemes)
    return f"{', '.join(others)} or {last}"


def _misread(name: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"{name} cannot be read as a URL with a host and a port from 1 to 65535. In a user or password write "
        "@ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25."
    )


def message_url(name: str, url: str, schemes: Collection[str]) -> str:
    """Return the URL of a broker or of counters.

    For a broker's failover several stand between semicolons.
    """
    for one in url.split(";"):
        parts = checked_url(name, one, schemes)
        if parts.scheme in _NEED_HOST and not parts.hostname:
            raise ImproperlyConfigured(f"{name} names no host: {parts.scheme}://host:port/...")
        number = parts.path.strip("/")
        if parts.scheme in ("redis", "rediss") and number and not number.isdecimal():
            raise ImproperlyConfigured(f"{name} must end with the number of a Redis database, such as /0.")
    return url


def database_config(name: str, url: str) -> dict[str, Any]:
    """Return Django's configuration of the database at the URL, with the options of its query string."""
    parts = checked_url(name, url, DATABASE_SCHEMES)
    is_sqlite = parts.scheme == "sqlite"
    if is_sqlite and (parts.netloc or not parts.path.strip("/")):
        raise ImproperlyConfigured(
            f"{name} names no file: sqlite:////absolute/path.sqlite3 has four slashes."
        )
    if not is_sqlite and not parts.path.strip("/") and "service=" not in parts.query:
        raise ImproperlyConfigured(f"{name} names no database: postgres://user:password@host:5432/name.")
    config: dict[str, Any] = dict(environ.Env.db_url_config(url))
    host = unquote(parts.netloc.rpartition("@")[2])
    if host.startswith("/"):  # the directory of a socket; `hostname` of a URL has small letters
        config["HOST"], _, config["PORT"] = host.partition(":")
    options = config.setdefault("OPTIONS", {})
    _check_options(name, options, is_sqlite)
    if "pool" in options:
        options["pool"] = _switch(f"pool in {name}", parse_qs(parts.query)["pool"][0])
    return config


def _check_options(name: str, options: Collection[str], is_sqlite: bool) -> None:
    """Refuse options that neither Django nor the client library knows: every connection would fail."""
    known = _SQLITE_OPTIONS if is_sqlite else _DJANGO_OPTIONS | _libpq_options()
    if unknown := sorted(set(options) - known):
        # Without their names: what looks like an option may be the end of a password.
        raise ImproperlyConfigured(
            f"{name} has {len(unknown)} options in its query string that do not exist. Known are "
            f"{', '.join(sorted(known))}."
        )


def _libpq_options() -> frozenset[str]:
    from psycopg import pq  # here: SQLite does without it

    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def _switch(what: str, value: str) -> bool:
    if value.lower() not in TRUE_WORDS | FALSE_WORDS:
        raise ImproperlyConfigured(f"{what} must be true or false.")
    return value.lower() in TRUE_WORDS
