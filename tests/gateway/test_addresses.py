"""URLs in settings: what is understood, and that a refusal names the variable and shows nothing of it."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from gateway.addresses import BROKER_SCHEMES, THROTTLE_SCHEMES, message_url
from gateway.connections import database

SECRET = "s3cr"


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:s3cr?etpart@h/db",
        "postgres://u:s3cr#etpart@h/db",
        "postgres://u:s3cr/etpart@h/db",
        "postgres://u:12#s3cr@h/db",
        "postgres://u:s3cr@h:port/db",
        "postgres://u:s3cr@h:80000/db",
        "postgres://u:s3cr@[::1/db",
        "postgres://u:s3cr@h",
        "postgres://u:s3cr@h/",
        "postgres:u:s3cr@h/db",
        "u:s3cr@h/db",
        "mysql://u:s3cr@h/db",
        "postgres://u@h/db?s3cr=1",
        "postgres://u:s3cr@h/db?pool=s3cr",
        "postgres://u:s3cr@h/db?pool=16",
        "sqlite://s3cr.sqlite3",
        "sqlite://",
        "sqlite:///gateway.sqlite3?s3cr=1",
    ],
)
def test_a_database_that_cannot_be_understood_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"\A[^\n]*DATABASE_URL[^\n]*\Z") as refusal:
        database(url)
    assert SECRET not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "host", "port", "name"),
    [
        ("postgres://u:p%3Fx%40@h:6432/db", "h", 6432, "db"),
        ("postgresql://u@[::1]:5432/db", "::1", 5432, "db"),
        ("postgres://u@%2FVar%2Frun%2Fpostgresql/db", "/Var/run/postgresql", "", "db"),
        ("postgres://u@%2FVar%2Frun:5433/db", "/Var/run", "5433", "db"),
        ("postgres:///db", "", "", "db"),
        ("postgres://u@h1:1,h2:2/db", "h1,h2", "1,2", "db"),
    ],
)
def test_a_database_may_be_at_a_host_or_a_socket(url: str, host: str, port: object, name: str) -> None:
    config = database(url)
    assert (config["HOST"], config["PORT"], config["NAME"]) == (host, port, name)


def test_a_password_is_unquoted() -> None:
    assert database("postgres://u:p%3F%23%2F%40@h/db")["PASSWORD"] == "p?#/@"


@pytest.mark.parametrize(("value", "is_pooled"), [("true", True), ("false", False), ("0", False)])
def test_the_pool_may_be_switched_off(value: str, is_pooled: bool) -> None:
    config = database(f"postgres://u@h/db?pool={value}")
    assert bool(config["OPTIONS"]["pool"]) == is_pooled
    assert config["CONN_MAX_AGE"] == 0


def test_behind_a_pooler_a_session_has_nothing_of_its_own() -> None:
    config = database("postgres://u@h/db", behind_pooler=True)
    assert "options" not in config["OPTIONS"]
    assert config["DISABLE_SERVER_SIDE_CURSORS"]


@pytest.mark.parametrize(
    "url",
    [
        "bogus://:s3cr@h",
        "redis://:s3cr?et@h/0",
        "redis://:s3cr#et@h/0",
        "redis://:s3cr@h:99999/0",
        "redis://:s3cr@h/zero",
        "redis://:s3cr@/0",
        "s3cr",
    ],
)
@pytest.mark.parametrize("schemes", [BROKER_SCHEMES, THROTTLE_SCHEMES], ids=["broker", "counters"])
def test_a_server_that_cannot_be_understood_is_refused(url: str, schemes: tuple[str, ...]) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"\A[^\n]*SERVER_URL[^\n]*\Z") as refusal:
        message_url("SERVER_URL", url, schemes)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "filesystem://localhost",
        "memory://",
        "redis://h",
        "rediss://:p%40@h:6380/1",
        "amqp://u:p@h1:5672//;amqp://u:p@h2:5672//",
        "amqps://u:p@[::1]/vhost",
        "sentinel://:p@h1:26379;sentinel://:p@h2:26379",
    ],
)
def test_a_broker_is_taken_as_it_is(url: str) -> None:
    assert message_url("SERVER_URL", url, BROKER_SCHEMES) == url
