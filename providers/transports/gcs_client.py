"""Makes GCS clients: django-storages' GoogleCloudStorage holds configuration and client."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final, TypeVar

import google.auth
import requests
from google.auth.credentials import DEFAULT_UNIVERSE_DOMAIN, AnonymousCredentials, Credentials
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud.storage import Client
from google.oauth2 import service_account
from storages.backends.gcloud import GoogleCloudStorage

from providers.exceptions import CredentialsError
from providers.transports.addresses import PrivateNetworks
from providers.transports.guard import GuardedAdapter, ProxyingAdapter
from providers.transports.http import TransportLimits

# google-cloud-storage 3.17 reads each bucket once in the background, for telemetry: an account that may use
# objects only would be refused (`providers/vertex.md` 13). This is its only off switch.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")

SessionT = TypeVar("SessionT", bound=requests.Session)
_SCOPES: Final = ("https://www.googleapis.com/auth/devstorage.read_write",)
_GOOGLE: Final = "https://storage.googleapis.com"


@dataclass(frozen=True, slots=True)
class GCSConfig:
    """What one client is made from. `service_account_json` None means the platform's default credentials."""

    project: str | None = None
    endpoint_url: str | None = None
    service_account_json: str | None = field(default=None, repr=False)
    anonymous: bool = False
    kms_key_name: str | None = None
    chunk_bytes: int = 262_144
    limits: TransportLimits = field(default_factory=TransportLimits)


class ConfiguredStorage(GoogleCloudStorage):  # type: ignore[misc]  # django-storages ships no types
    """GoogleCloudStorage with an account's configuration in the place of Django's settings.

    Its own client knows neither an endpoint nor guarded connections.
    """

    def __init__(self, config: GCSConfig) -> None:
        super().__init__(
            project_id=config.project, credentials=_credentials(config), custom_endpoint=config.endpoint_url
        )
        self._limits = config.limits
        self._has_key = config.service_account_json is not None

    @property
    def endpoint(self) -> str:
        """Where requests go, without a trailing slash."""
        return str(self.custom_endpoint or _GOOGLE)

    @cached_property
    def client(self) -> Client:
        """The client for everything but bytes. Raises CredentialsError for those of another universe."""
        try:
            return Client(
                project=self.project_id,
                credentials=self.credentials,
                client_options={"api_endpoint": self.endpoint},
                _http=self.session,
            )
        except ValueError as exc:
            raise CredentialsError(
                "Google's client does not take the account's credentials: they have to be for "
                "googleapis.com, and a GOOGLE_CLOUD_UNIVERSE_DOMAIN too."
            ) from exc

    @cached_property
    def session(self) -> AuthorizedSession:
        """The session of requests that carry credentials.

        Google's own names may lead to private addresses; an endpoint that somebody configured may not.
        """
        session = AuthorizedSession(self.credentials, auth_request=Request(self._token_session()))  # type: ignore[no-untyped-call]
        allow_private = self.custom_endpoint is None or self._limits.allow_private
        return _guarded(session, self._limits, allow_private=allow_private)

    def _token_session(self) -> requests.Session:
        """Return the session that asks for tokens.

        A key names its own token server, which is guarded. Where the platform's default credentials come
        from is said by the host alone: most often by its metadata server, which the guard refuses.
        """
        session = requests.Session()
        if self._has_key:
            return _guarded(session, self._limits, allow_private=self._limits.allow_private)
        return _mounted(session, self._limits, ProxyingAdapter(self._limits.proxies))


@lru_cache(maxsize=64)
def read_service_account(text: str) -> Mapping[str, str]:
    """Read the JSON key of a service account of Google's own cloud. Raises ValueError for anything else.

    The other kinds name files, commands and URLs that would be read, run and called on this machine. Checking
    an RSA key takes some 50 ms, so answers are kept.
    """
    info = json.loads(text)
    if not isinstance(info, Mapping) or info.get("type") != "service_account":
        raise ValueError("not the key of a service account")
    if info.get("universe_domain", DEFAULT_UNIVERSE_DOMAIN) != DEFAULT_UNIVERSE_DOMAIN:
        raise ValueError("the key of another universe, which the client would refuse at the first call")
    _service_account(info)
    return info


def _service_account(info: Mapping[str, str]) -> Credentials:
    made: Credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        info, scopes=_SCOPES
    )
    return made


def _credentials(config: GCSConfig) -> Credentials:
    if config.anonymous:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    if config.service_account_json is not None:
        return _service_account(read_service_account(config.service_account_json))
    found: Credentials = google.auth.default(scopes=_SCOPES)[0]
    return found


def _guarded(session: SessionT, limits: TransportLimits, *, allow_private: PrivateNetworks) -> SessionT:
    adapter = GuardedAdapter(
        allow_private=allow_private,
        write_timeout_seconds=limits.write_timeout_seconds,
        proxies=limits.proxies,
    )
    return _mounted(session, limits, adapter)


def _mounted(session: SessionT, limits: TransportLimits, adapter: ProxyingAdapter) -> SessionT:
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.trust_env = False
    session.verify = limits.ca_bundle or True
    return session
