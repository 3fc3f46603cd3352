"""Authlib's client over connections that are guarded as those to providers are."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client.sync_app import BaseApp, OAuth2Mixin
from authlib.integrations.base_client.sync_openid import OpenIDMixin
from authlib.integrations.requests_client import OAuth2Session
from django.conf import settings

from providers.transports.guard import GuardedAdapter

_TIMEOUT_SECONDS = (5.0, 10.0)  # to connect, and between two pieces of an answer
_LONGEST_ANSWER_SECONDS = 15.0
_MAX_ANSWER_BYTES = 1_048_576
_PIECE_BYTES = 65_536
#: None that is made with the client's secret, and not `none`: a key of the issuer's has to sign.
_ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_USERINFO = "userinfo_endpoint"
_AUTH_METHODS = "token_endpoint_auth_methods_supported"
_SIGNING = "id_token_signing_alg_values_supported"


class _Session(OAuth2Session):  # type: ignore[misc]  # Authlib ships no types
    """A session that follows no redirect, and whose answers are bounded in bytes and seconds.

    The operator named the issuer, which is most often inside, so private addresses are allowed; metadata
    addresses never are.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            scope=settings.OIDC_SCOPES,
            code_challenge_method="S256",
            default_timeout=_TIMEOUT_SECONDS,
            trust_env=False,
            verify=settings.CA_BUNDLE or True,
            **kwargs,
        )
        adapter = GuardedAdapter(
            allow_private=True, write_timeout_seconds=_TIMEOUT_SECONDS[1], proxies=settings.PROVIDER_PROXIES
        )
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send, and read the answer here, where it can be broken off."""
        deadline = time.monotonic() + _LONGEST_ANSWER_SECONDS
        response: requests.Response = super().send(
            request, **kwargs | {"stream": True, "allow_redirects": False}
        )
        content = bytearray()
        for piece in response.iter_content(_PIECE_BYTES):
            content += piece
            if len(content) > _MAX_ANSWER_BYTES or time.monotonic() > deadline:
                response.close()
                raise requests.ConnectionError("the answer is too long or too slow")
        response._content = bytes(content)
        return response


class Client(OAuth2Mixin, OpenIDMixin, BaseApp):  # type: ignore[misc]  # the same
    """The gateway as a client of OIDC_ISSUER, described by what the issuer publishes of itself.

    Raises requests.RequestException when that cannot be had, ValueError when it is not the issuer's.
    """

    client_cls = _Session

    def __init__(self) -> None:
        issuer = settings.OIDC_ISSUER
        super().__init__(
            None,
            client_id=settings.OIDC_CLIENT_ID,
            client_secret=settings.OIDC_CLIENT_SECRET or None,
            server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        )
        found = self.load_server_metadata()
        if found.get("issuer") != issuer:
            raise ValueError("the description is another issuer's")
        is_closed = issuer.startswith("https:")
        names = [*_ENDPOINTS, *([_USERINFO] if _USERINFO in found else [])]
        for name in names:
            parts = urlsplit(found[name])
            if not parts.hostname or parts.scheme not in ({"https"} if is_closed else {"https", "http"}):
                raise ValueError(f"{name} is no https:// URL")
        if not settings.OIDC_CLIENT_SECRET:
            self.client_kwargs = {"token_endpoint_auth_method": "none"}
        elif "client_secret_basic" not in found.get(_AUTH_METHODS, ["client_secret_basic"]):
            self.client_kwargs = {"token_endpoint_auth_method": "client_secret_post"}
        offered = found.get(_SIGNING, ["RS256"])
        # Authlib gives all of it to the session, where other names would be options of the connection.
        self.server_metadata = {name: found[name] for name in ("issuer", "_loaded_at", *names)}
        self.server_metadata[_SIGNING] = [each for each in _ALGORITHMS if each in offered]

    @property
    def has_userinfo(self) -> bool:
        """Whether there is an endpoint that tells more of a person."""
        return _USERINFO in self.server_metadata

    def expected(self) -> dict[str, dict[str, Any]]:
        """Return what an ID token has to say of itself, besides what every one has to."""
        return {
            "iss": {"essential": True, "value": self.server_metadata["issuer"]},
            "aud": {"essential": True, "value": self.client_id},
            "nonce": {"essential": True},
        }
