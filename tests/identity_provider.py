"""A company's OpenID Connect provider on loopback: discovery, keys, authorization, tokens, userinfo.

It speaks the protocol as providers do, with RSA keys of its own: it keeps clients to their redirect address,
PKCE and secret, and takes a code once. `person` is who sits in front of it; where it `asks`, a page of its
own has the link that goes back; `spoil` changes the claims of the
next tokens, `signer` signs them with another key, `broken` makes an endpoint answer 500.

    with IdentityProvider() as provider:
        settings.OIDC_ISSUER = provider.issuer
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID = "files-gateway"
CLIENT_SECRET = "a-secret-of-the-client"
Claims = dict[str, Any]


class IdentityProvider:
    def __init__(self, host: str = "127.0.0.1") -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})
        self.signer = self.key
        self.person: Claims = {}
        self.extra: Claims = {}  # what userinfo tells beside the person
        self.spoil: Callable[[Claims], Claims] = lambda claims: claims
        self.broken: set[str] = set()
        self.asks = False
        self.padding = ""  # what the description has besides
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: dict[str, Claims] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.issuer = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def rotate(self, kid: str) -> None:
        """Sign with a new key from now on, and publish that one alone."""
        self.key = self.signer = RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})

    # -- endpoints ---------------------------------------------------------------------------------------

    def description(self) -> Claims:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser goes with a code, as if the person had signed in."""
        assert query["client_id"] == CLIENT_ID and query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256" and query["code_challenge"] and query["nonce"]
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, Claims]:
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if (user, password) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        query = self._codes.pop(form.get("code", ""), None)
        if query is None or query["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != query["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        access_token = secrets.token_urlsafe(16)
        self._tokens[access_token] = {**self.person, **self.extra}
        claims = self.spoil(
            {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": query["nonce"]}
            | self.person
        )
        id_token = jwt.encode({"alg": "RS256", "kid": self.signer.kid}, claims, self.signer)
        return 200, {"access_token": access_token, "token_type": "Bearer", "id_token": id_token}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                provider.asked.append(parts.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                if parts.path in provider.broken:
                    self._send(500, b"<h1>out of order</h1>", "text/html")
                elif parts.path == "/authorize":
                    back = provider.authorize(query)
                    page = f'<!doctype html><title>Provider</title><a href="{escape(back)}">I am Anna</a>'
                    if provider.asks:
                        self._send(200, page.encode(), "text/html")
                    else:
                        self._send(302, b"", "text/plain", {"Location": back})
                elif parts.path == "/keys":
                    self._json(200, {"keys": [provider.key.as_dict(private=False)]})
                elif parts.path == "/userinfo":
                    bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
                    known = provider._tokens.get(bearer)
                    self._json(200, known) if known else self._json(401, {"error": "invalid_token"})
                elif parts.path == "/.well-known/openid-configuration":
                    self._json(200, provider.description() | {"padding": provider.padding})
                elif parts.path == "/favicon.ico":
                    self._send(200, b"", "image/x-icon")
                else:
                    self._send(404, b"", "text/plain")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                provider.asked.append(self.path)
                if self.path != "/token" or self.path in provider.broken:
                    self._send(500, b"<h1>out of order</h1>", "text/html")
                    return
                form = {name: values[0] for name, values in parse_qs(body).items()}
                self._json(*provider.token(form, self.headers.get("Authorization", "")))

            def _json(self, status: int, value: Claims) -> None:
                self._send(status, json.dumps(value).encode(), "application/json")

            def _send(
                self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None
            ) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
