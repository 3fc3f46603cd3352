"""Who calls: `Authorization: Bearer KEY`, or the key alone where Azure's and Anthropic's clients send it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from files_app.exceptions import InvalidKeyError
from files_app.models import AuditEvent
from files_app.observability import context
from files_app.services.index.callers import Caller
from files_app.services.tenants import throttle
from files_app.services.tenants.keys import verify_key
from files_app.web.turns import remember_organization


class ApiKeyAuthentication(BaseAuthentication):
    """Makes the caller from the API key. Raises InvalidKeyError."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        """Return the caller. There is no anonymous one; OPTIONS is refused to everybody alike."""
        return None if request.method == "OPTIONS" else (authenticate(request.META), None)

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return 'Bearer realm="files"'


def caller_of(request: Request) -> Caller:
    """Return who calls, once the request is authenticated."""
    return cast(Caller, request.user)


def authenticate(meta: Mapping[str, Any]) -> Caller:
    """Return the caller of a request with these headers. Raises InvalidKeyError, TooManyRequestsError."""
    address = meta.get("REMOTE_ADDR", "")
    try:
        verified = verify_key(_key_in(meta), ip=address or None)
    except InvalidKeyError:
        throttle.count_wrong_key(address)
        raise
    context.note_known()
    context.note_use(verified.organization_id, verified.id)
    remember_organization(meta, verified.organization_id)
    context.annotate(organization=verified.organization_name, caller=verified.name)
    return Caller(
        organization_id=verified.organization_id,
        actor_type=AuditEvent.Actor.API_KEY,
        actor=verified.name,
        api_key_id=verified.id,
        scopes=verified.scopes,
        ip=address or None,
        request_id=context.request_id(),
        limits=verified.limits,
    )


def _key_in(meta: Mapping[str, Any]) -> str:
    """Return the key that a request shows, empty for none. `Authorization` counts alone where it is sent."""
    if authorization := meta.get("HTTP_AUTHORIZATION", ""):
        scheme, _, key = authorization.partition(" ")
        return str(key.strip()) if scheme.lower() == "bearer" else ""
    return str(meta.get("HTTP_API_KEY") or meta.get("HTTP_X_API_KEY", "")).strip()
