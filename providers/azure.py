"""Azure OpenAI: the family's file API under a resource, in two dialects and with a key or Entra ID."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeGuard
from urllib.parse import urlencode

from providers.base import AccountConfig, Setting
from providers.exceptions import CredentialsError, FileRejectedError, ProviderConfigurationError
from providers.objects import Capabilities, Expiry, MiB, Operation, Upload, UploadPart
from providers.openai_compatible import Dialect, OpenAICompatibleDriver
from providers.parsing import parse_positive, path_segment
from providers.transports.http import Request, Response, StreamBody
from providers.transports.multipart import FormFile, FormPart

ENTRA_SCOPE: Final = "https://cognitiveservices.azure.com/.default"
ENTRA_CREDENTIALS: Final = ("tenant_id", "client_id", "client_secret")

#: A token is renewed this long before it ends, so that none ends on its way.
RENEWAL_MARGIN_SECONDS: Final = 300

#: How many tokens, the last ones, are struck out of what is shown.
_TOKENS_STRUCK: Final = 8

MIN_EXPIRY_SECONDS: Final = 1_209_600

_V1_VERSIONS: Final = frozenset({"v1", "preview"})


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    renew_at: float  # monotonic


class AzureOpenAIDriver(OpenAICompatibleDriver):
    """Azure OpenAI, dated (`api_version` 2024-10-21) or v1. Files belong to the resource, not a deployment.

    The purpose is passed through: Azure declares its list of purposes open, and the two dialects and their
    pages disagree about it (read 2026-11-23).
    """

    name = "azure-openai"
    label = "Azure OpenAI"
    options = (
        Setting("endpoint", "Endpoint", "https://NAME.openai.azure.com", "url", required=True),
        Setting("api_version", "API version", "v1, preview, or a date such as 2024-10-21.", default="v1"),
        Setting(
            "min_expiry_seconds",
            "Least expiry",
            "Seconds that v1 wants an expiring file to live. 14 days are documented; some resources take 3.",
            "integer",
            default=MIN_EXPIRY_SECONDS,
        ),
        Setting(
            "authority",
            "Authority",
            "Where Entra ID gives out tokens.",
            "url",
            default="https://login.microsoftonline.com",
        ),
    )
    credentials = (
        Setting("api_key", "API key", "Or the three of Entra ID.", secret=True),
        Setting("tenant_id", "Tenant id", "Entra ID."),
        Setting("client_id", "Client id", "Entra ID."),
        Setting("client_secret", "Client secret", "Entra ID.", secret=True),
    )
    capabilities = Capabilities(
        max_bytes=512 * MiB,
        max_bytes_by_purpose={"batch": 200 * MiB},
        extensions={"batch": (".jsonl",), "fine-tune": (".jsonl",)},
        expiry=Expiry(native=True, min_seconds=MIN_EXPIRY_SECONDS),
        paging="after",
        source="https://learn.microsoft.com/azure/foundry/reference/rest",
        checked="2026-11-23",
    )

    def __init__(self, account: AccountConfig) -> None:
        super().__init__(account)
        self._token: _Token | None = None
        self._token_lock = threading.Lock()
        #: Errors of calls that began with an older one may still show it.
        self._tokens_given: deque[str] = deque(maxlen=_TOKENS_STRUCK)
        version = self.text_option("api_version")
        self.dialect = Dialect(page_size=1_000, query={} if version == "v1" else {"api-version": version})
        self.capabilities = replace(self.capabilities, expiry=self._expiry())
        if not self._is_v1:
            # Its list has neither `has_more` nor a cursor: one answer is everything.
            self.capabilities = replace(self.capabilities, paging="none")
            self.dialect = replace(self.dialect, page_size=None)

    @property
    def base_url(self) -> str:
        """The resource's endpoint, which may be given with the path of a dialect."""
        root = self.text_option("endpoint").rstrip("/").removesuffix("/v1").removesuffix("/openai")
        return f"{root}/openai"

    @property
    def files_path(self) -> str:
        """What tells the dialects apart: both show the resource's files."""
        return "/v1/files" if self._is_v1 else "/files"

    def origins(self) -> frozenset[str]:
        """The resource and the authority, at which a secret is one tenant's."""
        return super().origins() | {f"tenant:{self.account.credentials.get('tenant_id', '')}"}

    def check_configuration(self) -> None:
        super().check_configuration()
        self._expiry()
        credentials = self.account.credentials
        given = [name for name in ENTRA_CREDENTIALS if credentials.get(name)]
        if credentials.get("api_key"):
            if given:
                raise ProviderConfigurationError(
                    "Give either an API key or the three of Entra ID, not both.", field=given[0]
                )
        elif len(given) < len(ENTRA_CREDENTIALS):
            lacking = next(name for name in ENTRA_CREDENTIALS if name not in given)
            raise ProviderConfigurationError(
                f"Give an API key, or all of: {', '.join(ENTRA_CREDENTIALS)}.",
                field=lacking if given else "api_key",
            )

    def form_parts(self, part: UploadPart, upload: Upload) -> Iterator[FormPart]:
        """Give every file a type: a part without one is refused (read 2026-11-23)."""
        for each in super().form_parts(part, upload):
            if isinstance(each, FormFile):
                yield replace(each, default_type="application/octet-stream")
            else:
                yield each

    def auth_headers(self) -> dict[str, str]:
        """Return the key; a token is each request's own."""
        key = self.account.credentials.get("api_key")
        return {"api-key": key} if key else {}

    def secrets(self) -> Iterator[str]:
        """A token is as good as what it was given for."""
        yield from super().secrets()
        yield from tuple(self._tokens_given)

    def send(
        self, operation: Operation, request: Request, *, expected: Collection[int] = range(200, 300)
    ) -> Response:
        """Send; with a fresh token once more when Entra's was refused and nothing was consumed by sending."""
        if self.account.credentials.get("api_key"):
            return super().send(operation, request, expected=expected)
        used = self._entra_token()
        try:
            return self.send_bare(operation, _borne_by(used, request), expected=expected)
        except CredentialsError as exc:
            if exc.status_code != 401:
                raise
            if self._token is used:
                self._token = None
            if isinstance(request.body, StreamBody) and request.body.started:
                raise
            return self.send_bare(operation, _borne_by(self._entra_token(), request), expected=expected)

    def _expiry(self) -> Expiry:
        """Return how files expire; whether the dated dialect refuses or ignores it is not documented."""
        least = parse_positive(self.option("min_expiry_seconds"), field="min_expiry_seconds")
        return Expiry(native=True, min_seconds=least or MIN_EXPIRY_SECONDS) if self._is_v1 else Expiry()

    @property
    def _is_v1(self) -> bool:
        return self.text_option("api_version") in _V1_VERSIONS

    def _entra_token(self) -> _Token:
        """Return a token that is good for a while yet.

        One thread asks for it and the others wait, but not behind each other for one that gets no answer.
        """
        if _is_good(token := self._token):
            return token
        is_first = self._token_lock.acquire(timeout=self.account.environment.limits.call_timeout_seconds)
        try:
            if _is_good(token := self._token):
                return token
            token = self._fetch_token()
            self._tokens_given.append(token.value)
            self._token = token
            return token
        finally:
            if is_first:
                self._token_lock.release()

    def _fetch_token(self) -> _Token:
        """Ask Entra ID for a token by client credentials.

        Answer: `{"access_token": text, "expires_in": seconds}`. Read 2026-11-23 at
        learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.
        """
        credentials = self.account.credentials
        authority = self.text_option("authority").rstrip("/")
        form = {
            "grant_type": "client_credentials",
            "client_id": credentials["client_id"],
            "client_secret": credentials["client_secret"],
            "scope": ENTRA_SCOPE,
        }
        request = Request(
            "POST",
            f"{authority}/{path_segment(credentials['tenant_id'])}/oauth2/v2.0/token",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
        )
        started = time.monotonic()
        answer = self.json_object(self._send_to_entra(request))
        value, seconds = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(value, str) or not value or not isinstance(seconds, int | float):
            raise self.invalid("Entra ID gave no token")
        return _Token(value, started + max(0.0, seconds - RENEWAL_MARGIN_SECONDS))

    def _send_to_entra(self, request: Request) -> Response:
        try:
            return self.send_bare(Operation.CREATE, request)
        except FileRejectedError as exc:  # a wrong client is 400 or 401, depending on what is wrong
            raise CredentialsError(
                f"Entra ID gave no token: {exc.message}", status_code=exc.status_code
            ) from exc


def _borne_by(token: _Token, request: Request) -> Request:
    return replace(request, headers={"Authorization": f"Bearer {token.value}", **request.headers})


def _is_good(token: _Token | None) -> TypeGuard[_Token]:
    return token is not None and time.monotonic() < token.renew_at
