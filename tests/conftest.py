"""Fixtures for all tests: real services where they are installed, and the whole gateway as processes."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings
from django.db import connections
from django.dispatch import receiver
from django.test.signals import setting_changed

from tests import templates
from tests.order import arranged
from tests.servers import (
    PgBouncer,
    PostgreSQL,
    RabbitMQ,
    Redis,
    Server,
    find_pgbouncer,
    find_postgresql,
    find_rabbitmq,
    find_redis,
)
from tests.settings import TEST_DATABASE_URL
from tests.stack import Stack, copy_tables

hypothesis.settings.register_profile(  # a busy machine is no failure
    "no-timing", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("no-timing")


def find_weed() -> str:
    """Return SeaweedFS, which a wheel installs beside the interpreter."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or ""


def find_chromium() -> str:
    return shutil.which("chromium") or shutil.which("chromium-browser") or ""


SERVICES: dict[str, Callable[[], str]] = {
    "PostgreSQL": find_postgresql,
    "PgBouncer": find_pgbouncer,
    "Redis": find_redis,
    "RabbitMQ": find_rabbitmq,
    "nginx": lambda: shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "",
    "Chromium": find_chromium,
    "Node": lambda: shutil.which("node") or "",
    "systemd": lambda: shutil.which("systemd-analyze") or "",
    "promtool": lambda: shutil.which("promtool") or "",
    "weed": find_weed,
}


@pytest.fixture(scope="session", autouse=True)
def shared_templates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the processes of this session share what they copy."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    templates.session = templates.Templates(shared / "templates")


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Django then finds the database that is there, and migrates what it lacks: nothing."""
    return not TEST_DATABASE_URL


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings: None, shared_templates: None
) -> Iterator[None]:
    """Put the tables where Django makes this process's database."""
    if not TEST_DATABASE_URL:
        copy_tables(Path(settings.DATABASES["default"]["TEST"]["NAME"]))
    yield
    connections.close_all()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = arranged(items)


def pytest_report_header() -> list[str]:
    return [f"{name}: {find() or 'not found'}" for name, find in SERVICES.items()]


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """A rolled back test gives its rows' keys to the next one: what the process knows of them must go too."""
    from django.core.cache import cache  # Django is set up by now

    from files_app.observability import context
    from files_app.services.accounts import breakers, drivers, selection
    from files_app.services.index.metering import traffic
    from files_app.services.index.recent import recent_organization
    from files_app.services.tenants import keys, throttle
    from files_app.web import probes

    cache.clear()
    context.forget()
    keys.forget_cached_keys()
    selection.forget_recent_accounts()
    recent_organization.forget()
    breakers.forget_breakers()
    drivers.forget_drivers()
    throttle.forget_counts()
    traffic.forget_counts()
    probes.exposition.forget()


@receiver(setting_changed)
def build_drivers_anew(setting: str, **kwargs: object) -> None:
    """A driver keeps what the settings were when the first one was built."""
    from files_app.services.accounts import drivers

    if setting in {
        "ALLOW_PRIVATE_UPSTREAMS",
        "CA_BUNDLE",
        "DATA_DIR",
        "DOWNLOAD_CHUNK_BYTES",
    } or setting.startswith("PROVIDER_"):
        drivers.environment.cache_clear()
        drivers.shared_transport.cache_clear()


@pytest.fixture(scope="session")
def need_service() -> Callable[[str], str]:
    """Return a function that gives a service's program; without one the test is skipped.

    REQUIRE_SERVICES=1 makes it fail instead.
    """

    def need(name: str) -> str:
        if program := SERVICES[name]():
            return program
        message = f"{name} is not installed"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(message)
        pytest.skip(message)

    return need


def _running(server: Server) -> Iterator[Server]:
    server.prepare()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgresql(
    need_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A PostgreSQL cluster for the session; a test that freezes it thaws it."""
    need_service("PostgreSQL")
    yield from _running(PostgreSQL(tmp_path_factory.mktemp("postgresql")))


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of this test's own."""
    return postgresql.create_database(_database_of(request))


@pytest.fixture
def gateway_postgresql_url(postgresql: PostgreSQL, request: pytest.FixtureRequest) -> str:
    """The URL of a database of this test's own, with the gateway's tables."""
    return postgresql.create_gateway_database(_database_of(request))


def _database_of(request: pytest.FixtureRequest) -> str:
    return f"t{abs(hash(request.node.nodeid))}"


@pytest.fixture(scope="session")
def pgbouncer(
    need_service: Callable[[str], str], postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A PgBouncer in transaction mode, in front of the session's PostgreSQL."""
    need_service("PgBouncer")
    yield from _running(PgBouncer(tmp_path_factory.mktemp("pgbouncer"), postgresql))


@pytest.fixture
def redis_server(need_service: Callable[[str], str], tmp_path: Path) -> Iterator[Server]:
    """A Redis that the test may freeze or kill."""
    need_service("Redis")
    yield from _running(Redis(tmp_path / "redis"))


@pytest.fixture(scope="session")
def rabbitmq(
    need_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A RabbitMQ for the session; a test that freezes it thaws it."""
    need_service("RabbitMQ")
    yield from _running(RabbitMQ(tmp_path_factory.mktemp("rabbitmq")))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """The embedded gateway, running: SQLite, the filesystem broker, the account `local`."""
    with Stack(tmp_path / "stack") as running:
        yield running
