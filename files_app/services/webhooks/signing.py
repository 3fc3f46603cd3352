"""Secrets and signatures of webhooks, as Standard Webhooks has them (standardwebhooks.com, v1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from files_app.exceptions import InvalidRequestError
from files_app.models import WebhookEndpoint
from files_app.services.accounts import credentials

PREFIX = "whsec_"
_BYTES = 32
_LEAST_BYTES, _MOST_BYTES = 24, 64


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as receivers know it. until: Unix time of its last signature; None for the newest."""

    text: str
    until: float | None = None


def new_secret() -> str:
    """Return a new secret, to be shown once."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def check_secret(text: str) -> None:
    """Raise InvalidRequestError for what no receiver's library would take."""
    try:
        size = len(base64.b64decode(text.removeprefix(PREFIX), validate=True))
    except binascii.Error:
        size = 0
    if not text.startswith(PREFIX) or not _LEAST_BYTES <= size <= _MOST_BYTES:
        raise InvalidRequestError(
            f"A webhook secret is {PREFIX} and {_LEAST_BYTES} to {_MOST_BYTES} random bytes in base64. "
            "Leave it out, and the gateway makes one.",
            param="secret",
        )


def seal(endpoint: WebhookEndpoint, kept: Sequence[Secret]) -> None:
    """Encrypt an endpoint's secrets into it, the newest first; the caller saves it."""
    plain = json.dumps([asdict(each) for each in kept])
    endpoint.secrets = credentials.seal_text(plain, binding(endpoint))


def unseal(endpoint: WebhookEndpoint) -> list[Secret]:
    """Return the secrets that sign now, the newest first. Raises ProviderConfigurationError."""
    stored = json.loads(credentials.unseal_text(endpoint.secrets, binding(endpoint)))
    now = time.time()
    return [Secret(**each) for each in stored if each["until"] is None or each["until"] > now]


def binding(endpoint: WebhookEndpoint) -> str:
    """Return what the ciphertext belongs to."""
    return f"webhook:{endpoint.uid}:secrets"


def headers(signers: Sequence[Secret], message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers that prove now who sends `body`; one signature for each secret."""
    timestamp = str(int(time.time()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_signature(each.text, signed)}" for each in signers),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
