"""Makes S3 clients: django-storages' S3Storage holds configuration and client."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore import UNSIGNED
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError
from botocore.loaders import JSONFileLoader, Loader
from storages.backends.s3 import S3Storage

from providers.locations import s3_endpoint
from providers.transports.addresses import PrivateNetworks, check_literal
from providers.transports.guard import GuardedConnection
from providers.transports.http import TransportLimits
from providers.transports.s3_errors import remember_attempts
from providers.transports.trust import TrustingConnection

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_READ_TIMEOUT_SECONDS: Final = 60
_ATTEMPTS: Final = 3
#: S3, and where credentials come from, by the names that their endpoints have.
_SERVICES: Final = frozenset({"s3", "sts", "oidc", "portal.sso", "signin"})


@dataclass(frozen=True, slots=True)
class S3Config:
    """What one client is made from. `anonymous` sends unsigned requests."""

    region: str | None = None
    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    role_arn: str | None = None
    anonymous: bool = False
    server_side_encryption: str | None = None
    kms_key_id: str | None = None
    chunk_bytes: int = 262_144
    limits: TransportLimits = field(default_factory=TransportLimits)


def make_client(config: S3Config) -> S3Client:
    """Return a client whose connections are guarded."""
    client: S3Client = _ConfiguredStorage(config).connection.meta.client
    _bound_connections(client, config)
    remember_attempts(client.meta.events)
    return client


class _ConfiguredStorage(S3Storage):  # type: ignore[misc]  # django-storages ships no types
    """S3Storage with an account's configuration in the place of Django's settings, and with roles."""

    def __init__(self, config: S3Config) -> None:
        self._config = config
        super().__init__(
            access_key=config.access_key_id,
            secret_key=config.secret_access_key,
            security_token=config.session_token,
            session_profile=None,
            region_name=config.region,
            endpoint_url=config.endpoint_url,
            verify=config.limits.ca_bundle,
            client_config=_client_config(config),
        )

    def _create_session(self) -> boto3.Session:
        session: boto3.Session = super()._create_session()
        session._session.register_component("data_loader", _models())
        _connect_alike(session, self._config)
        if self._config.role_arn:
            _assume_role(session, self._config.role_arn, self._config.region)
        return session


class _ModelFiles(JSONFileLoader):
    """Reads what botocore knows of AWS's services, and keeps of the endpoints of hundreds those of ours.

    Plain dictionaries take half of what botocore's own reader makes of it.
    """

    def load_file(self, file_path: str) -> Any:
        for extension, opened in ((".json", open), (".json.gz", gzip.open)):
            with suppress(FileNotFoundError), opened(f"{file_path}{extension}", "rb") as file:
                return _ours(json.load(file))
        return None


def _ours(data: Any) -> Any:
    for partition in data.get("partitions", ()):
        if services := partition.get("services"):
            partition["services"] = {name: services[name] for name in _SERVICES & services.keys()}
    return data


@cache
def _models() -> Loader:
    """Return the loader for all sessions: each would read the same 13 MB for itself."""
    return Loader(file_loader=_ModelFiles())


def _client_config(config: S3Config) -> Config:
    secure = config.endpoint_url is None or config.endpoint_url.startswith("https:")
    return Config(
        signature_version=UNSIGNED if config.anonymous else "s3v4",
        s3={
            "addressing_style": "path" if config.endpoint_url else "auto",
            # TLS and CRC32C guard each part already; signing its bytes too costs 0.7 CPU seconds per GB.
            "payload_signing_enabled": not secure,
        },
        connect_timeout=config.limits.connect_timeout_seconds,
        read_timeout=_READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=64,
        proxies=config.limits.proxies.by_scheme(_endpoint(config)),
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra="files-gateway/1",
    )


def _endpoint(config: S3Config) -> str:
    """Return where the buckets are: a proxy is chosen for that, whatever names virtual hosts have."""
    return config.endpoint_url or s3_endpoint(config.region or "")


def _connect_alike(session: boto3.Session, config: S3Config) -> None:
    """Let the clients that ask for credentials trust the same authorities as ours, and use the proxy."""
    core = session._session
    if config.limits.ca_bundle:
        core.set_config_variable("ca_bundle", config.limits.ca_bundle)
    core.set_default_client_config(
        Config(proxies=config.limits.proxies.by_scheme("https://sts.amazonaws.com"))
    )


def _assume_role(session: boto3.Session, role_arn: str, region: str | None) -> None:
    """Replace the session's credentials by those of a role, which renew themselves.

    Raises NoCredentialsError where there are none to assume it with.
    """
    core = session._session
    source = core.get_credentials()
    if source is None:
        raise NoCredentialsError
    fetcher = AssumeRoleCredentialFetcher(
        lambda service, **given: core.create_client(service, region_name=region, **given),
        source,
        role_arn,
        extra_args={"RoleSessionName": "files-gateway"},
    )
    renewed = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    core._credentials = renewed  # type: ignore[attr-defined]  # has no public setter for such credentials


def _bound_connections(client: S3Client, config: S3Config) -> None:
    """Make the client's connections those of `guard`: checked addresses, and a timeout for writes.

    Behind a proxy only the endpoint itself can be checked. Without such connections a part must leave within
    the connect timeout. botocore has no public way to choose them; a version that moved these attributes
    fails here and not silently. Only an endpoint that was configured is checked: AWS's own names may lead to
    private addresses (VPC endpoints).
    """
    limits = config.limits
    allow_private = config.endpoint_url is None or limits.allow_private
    session: Any = client._endpoint.http_session  # type: ignore[attr-defined]  # see above
    session._manager.pool_classes_by_scheme = _pool_classes(allow_private, limits.write_timeout_seconds)
    # Those of a proxy, which the operator chose and which is most often inside.
    session._pool_classes_by_scheme = _pool_classes(True, limits.write_timeout_seconds)
    if limits.proxies.proxy_for(_endpoint(config)):
        check_literal(_endpoint(config), allow_private=allow_private)


def _pool_classes(allow_private: PrivateNetworks, write_timeout_seconds: float) -> dict[str, type[Any]]:
    members = {"allow_private": allow_private, "write_timeout_seconds": write_timeout_seconds}
    http = type("S3Connection", (GuardedConnection, AWSHTTPConnection), members)
    https = type("S3SConnection", (GuardedConnection, TrustingConnection, AWSHTTPSConnection), members)
    return {
        "http": type("S3Pool", (AWSHTTPConnectionPool,), {"ConnectionCls": http}),
        "https": type("S3SPool", (AWSHTTPSConnectionPool,), {"ConnectionCls": https}),
    }
