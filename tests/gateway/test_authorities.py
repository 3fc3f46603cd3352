"""Brokers, counters and databases with certificates of a private authority."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError
from limits import RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.authorities import amqps_options, trusting, verified_redis
from gateway.connections import broker_transport_options, database
from gateway.postgresql.silence import AnsweringConnection
from tests.authority import Authority
from tests.relays import Relay
from tests.servers import Redis

ONCE_MORE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def tls_redis(redis_server: Redis, authority: Authority) -> Iterator[str]:
    """The URL of a Redis with TLS."""
    with Relay(redis_server.port, tls=authority.server_context("localhost")) as relay:
        yield f"rediss://localhost:{relay.port}/0"


def connect(url: str) -> None:
    """Connect to a broker as the gateway does."""
    options = broker_transport_options(url, Path(settings.DATA_DIR))
    with Connection(url, transport_options=options) as connection:
        connection.ensure_connection(**ONCE_MORE)
        with connection.channel() as channel:
            channel.client.ping()


def test_a_broker_with_rediss_is_verified_by_default(tls_redis: str, authority: Authority) -> None:
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        connect(verified_redis(tls_redis, None))
    connect(verified_redis(tls_redis, str(authority.bundle)))
    with pytest.raises(Exception, match=r"(?i)mismatch"):
        connect(verified_redis(tls_redis.replace("localhost", "127.0.0.1"), str(authority.bundle)))


def test_the_url_may_ask_not_to_verify(tls_redis: str, authority: Authority) -> None:
    connect(verified_redis(f"{tls_redis}?ssl_cert_reqs=none", str(authority.bundle)))
    connect(verified_redis(f"{tls_redis}?ssl_ca_certs={authority.bundle}", None))


def test_the_counters_of_rate_limits_are_verified(tls_redis: str, authority: Authority) -> None:
    def count(url: str) -> bool:
        return FixedWindowRateLimiter(storage_from_string(url)).hit(RateLimitItemPerMinute(5), "a")

    with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        count(verified_redis(tls_redis, None))
    assert count(verified_redis(tls_redis, str(authority.bundle)))


def test_other_urls_stay_as_they_are() -> None:
    for url in ("memory://", "redis://:p?w@host/0", "amqps://u:p@host//", "filesystem://localhost"):
        assert verified_redis(url, "/bundle.pem") == url
    assert amqps_options("amqp://host//", "/bundle.pem") is False
    several = amqps_options("amqps://a//;amqps://b//", None)
    assert several == {"cert_reqs": ssl.CERT_REQUIRED}


def test_amqps_verifies_the_name_too(authority: Authority) -> None:
    def failure(url: str, bundle: str | None) -> str:
        options = broker_transport_options(url, Path(settings.DATA_DIR))
        connection = Connection(url, ssl=amqps_options(url, bundle), transport_options=options)
        with pytest.raises(OperationalError) as caught:
            connection.ensure_connection(**ONCE_MORE)
        return str(caught.value)

    with (
        closing_server() as (port, heard),
        Relay(port, tls=authority.server_context("localhost")) as tls,
    ):
        url, bundle = f"amqps://localhost:{tls.port}//", str(authority.bundle)
        assert "unable to get local issuer" in failure(url, None)
        assert "mismatch" in failure(url.replace("localhost", "127.0.0.1"), bundle)
        assert not heard
        assert "SSL" not in failure(url, bundle)
        assert heard[0].startswith(b"AMQP")


@contextmanager
def closing_server() -> Iterator[tuple[int, list[bytes]]]:
    """A server that reads what comes first, and then closes."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    if said := connection.recv(64):
                        heard.append(said)

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)


class _PostgreSQLWithTLS(Relay):
    """Grants the TLS that a client of PostgreSQL asks for in clear."""

    def _begin(self, client: socket.socket) -> None:
        if len(client.recv(8)) == 8:
            client.sendall(b"S")
            super()._begin(client)


def test_a_database_that_is_verified_may_have_a_private_authority(
    postgresql_url: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    url = urlsplit(postgresql_url)

    def connected(host: str, bundle: str | None) -> bool:
        given = f"postgres://gateway@{host}:{tls.port}{url.path}?sslmode=verify-full&gssencmode=disable"
        found: dict[str, Any] = trusting(database(given), bundle)
        options = {name: value for name, value in found["OPTIONS"].items() if name not in {"pool", "options"}}
        with AnsweringConnection.connect(
            host=found["HOST"], port=found["PORT"], user=found["USER"], dbname=found["NAME"], **options
        ) as connection:
            return bool(connection.pgconn.ssl_in_use)

    with _PostgreSQLWithTLS(url.port or 0, tls=authority.server_context("localhost")) as tls:
        with pytest.raises(psycopg.OperationalError, match=r"root certificate|verify failed"):
            connected("localhost", None)
        assert connected("localhost", str(authority.bundle))
        with pytest.raises(psycopg.OperationalError, match="does not match host name"):
            connected("127.0.0.1", str(authority.bundle))


def test_a_database_that_is_not_verified_stays_so() -> None:
    for url in ("postgres://h/g", "postgres://h/g?sslmode=require", "sqlite:////tmp/a.sqlite3"):
        assert trusting(database(url), "/bundle.pem") == database(url)
    own = database("postgres://h/g?sslmode=verify-ca&sslrootcert=/own.pem")
    assert trusting(own, "/bundle.pem")["OPTIONS"]["sslrootcert"] == "/own.pem"
