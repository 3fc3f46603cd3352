"""What owners do with webhook endpoints. Every secret is returned once, and never again."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from files_app.exceptions import InvalidRequestError
from files_app.models import (
    AuditAction,
    DeliveryState,
    EventKind,
    Organization,
    WebhookDelivery,
    WebhookEndpoint,
)
from files_app.models.webhooks import GIVE_UP_AFTER, MAX_URL_CHARACTERS, SUBSCRIBABLE
from files_app.services.accounts import credentials
from files_app.services.index import audit, events
from files_app.services.index.callers import Caller
from files_app.services.index.recent import recent_organization
from files_app.services.index.transactions import database_time
from files_app.services.webhooks import delivery, signing
from files_app.services.webhooks.signing import Secret
from providers.exceptions import ProviderError
from providers.parsing import split_url
from providers.transports.addresses import check_literal, check_url

#: More would let one upload write many rows.
MOST_ENDPOINTS: Final = 10
OVERLAP: Final = timedelta(hours=24)
LONGEST_OVERLAP: Final = timedelta(days=30)


def create_endpoint(
    organization: Organization,
    *,
    name: str,
    url: str,
    caller: Caller,
    kinds: Collection[str] = SUBSCRIBABLE,
    secret: str | None = None,
    is_enabled: bool = True,
    is_operators: bool = False,
) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint and return it with its secret. Raises InvalidRequestError.

    secret: one that its receiver has already. is_operators: who runs the gateway says where it leads, so that
    the private networks of ALLOW_PRIVATE_UPSTREAMS may be reached.
    """
    endpoint = WebhookEndpoint(
        organization=organization, name=name, is_enabled=is_enabled, is_operators=is_operators
    )
    endpoint.url, endpoint.kinds = url, checked_kinds(kinds)
    check_address(url, is_operators=is_operators)
    if secret is not None:
        signing.check_secret(secret)
    plain = secret or signing.new_secret()
    signing.seal(endpoint, [Secret(plain)])
    with transaction.atomic():
        if organization.webhook_endpoints.count() >= MOST_ENDPOINTS:
            raise InvalidRequestError(f"An organization has at most {MOST_ENDPOINTS} webhook endpoints.")
        _save_new(endpoint)
        _record(endpoint, AuditAction.WEBHOOK_CREATE, caller, url=_shown(url))
    return endpoint, plain


def change_endpoint(
    endpoint: WebhookEndpoint, *, caller: Caller, is_operators: bool, **values: Any
) -> list[str]:
    """Change `url`, `kinds`, `name` or `is_enabled` where they differ, and return which did.

    Raises InvalidRequestError. Who changes the address answers for where it leads.
    """
    if "kinds" in values:
        values["kinds"] = checked_kinds(values["kinds"])
    changed = [name for name, value in values.items() if getattr(endpoint, name) != value]
    if "url" in changed:
        check_address(values["url"], is_operators=is_operators)
        values |= {"is_operators": is_operators, "failures": 0, "paused_until": None}
    if values.get("is_enabled"):
        values |= {"disabled_reason": "", "failures": 0, "paused_until": None}
    if not changed:
        return []
    for name, value in values.items():
        setattr(endpoint, name, value)
    with transaction.atomic():
        try:
            with transaction.atomic():
                endpoint.save(update_fields=list(values))
        except IntegrityError:
            raise _name_taken(endpoint) from None
        _record(endpoint, AuditAction.WEBHOOK_UPDATE, caller, changed=changed)
    return changed


def switch_endpoint(endpoint: WebhookEndpoint, *, is_enabled: bool, caller: Caller) -> bool:
    """Let an endpoint be told, or not; False when it was so. What waits for it goes out once it is on.

    Who switches off what the gateway has switched off already says that nobody has to look at it any more.
    """
    values: dict[str, Any] = {"is_enabled": is_enabled, "disabled_reason": ""}
    others = WebhookEndpoint.objects.filter(is_enabled=not is_enabled)
    if is_enabled:
        values |= {"failures": 0, "paused_until": None}
    else:
        others |= WebhookEndpoint.objects.gone()
    with transaction.atomic():
        if not others.filter(pk=endpoint.pk).update(**values):
            return False
        _record(endpoint, AuditAction.WEBHOOK_ENABLE if is_enabled else AuditAction.WEBHOOK_DISABLE, caller)
    recent_organization.forget()
    return True


def replace_secret(endpoint: WebhookEndpoint, plain: str, *, caller: Caller) -> bool:
    """Let an endpoint sign with the secret that its receiver has; False where it does so already.

    The one before it signs too for OVERLAP. Raises InvalidRequestError and ProviderConfigurationError.
    """
    signing.check_secret(plain)
    if signing.unseal(endpoint)[0].text == plain:
        return False
    rotate_secret(endpoint, caller=caller, plain=plain)
    return True


def rotate_secret(
    endpoint: WebhookEndpoint, *, caller: Caller, overlap: timedelta = OVERLAP, plain: str | None = None
) -> str:
    """Give an endpoint a new secret and return it; the ones before it sign too until the overlap ends.

    plain: the new one; None to make it. Raises InvalidRequestError and ProviderConfigurationError.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise InvalidRequestError(f"The overlap is at most {LONGEST_OVERLAP.days} days.", param="overlap")
    ends = timezone.now() + overlap
    plain = plain or signing.new_secret()
    with transaction.atomic():
        row = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        until = ends.timestamp()
        older = (
            [Secret(old.text, min(old.until or until, until)) for old in signing.unseal(row)]
            if overlap
            else []
        )
        signing.seal(row, [Secret(plain), *older])
        row.overlap_ends_at = ends if overlap else None
        row.save(update_fields=["secrets", "overlap_ends_at"])
        _record(row, AuditAction.WEBHOOK_ROTATE, caller, overlap_seconds=int(overlap.total_seconds()))
    endpoint.secrets, endpoint.overlap_ends_at = row.secrets, row.overlap_ends_at
    return plain


def delete_endpoint(endpoint: WebhookEndpoint, *, caller: Caller) -> None:
    """Remove an endpoint with its log; what waits for it is not sent any more."""
    with transaction.atomic():
        _record(endpoint, AuditAction.WEBHOOK_DELETE, caller, url=_shown(endpoint.url))
        endpoint.delete()


def test_endpoint(endpoint: WebhookEndpoint, *, caller: Caller) -> WebhookDelivery:
    """Send `webhook.test` at once, also to an endpoint that is off, and return how that went."""
    data = {"object": "webhook_endpoint", "name": endpoint.name}
    with transaction.atomic():
        [row] = events.write([endpoint.pk], EventKind.TEST, data)
        _record(endpoint, AuditAction.WEBHOOK_TEST, caller)
    delivery.deliver(row.pk, is_last=True)
    row.refresh_from_db()
    return row


def resend(row: WebhookDelivery, *, caller: Caller) -> None:
    """Send a message again now, under its id, with a day of attempts. Raises InvalidRequestError.

    Also to an endpoint that is left alone for a while: somebody says that it is there. Receivers that keep
    the ids they have seen take it for what it is.
    """
    if not row.endpoint.is_enabled:
        raise InvalidRequestError("The endpoint is switched off: switch it on first.")
    now = database_time(plus_seconds=0)
    rows = WebhookDelivery.objects.filter(pk=row.pk).exclude(lease_expires_at__gt=now)
    anew: dict[str, Any] = {
        "attempts": 0,
        "next_attempt_at": now,
        "give_up_at": timezone.now() + GIVE_UP_AFTER,
    }
    with transaction.atomic():
        if not (rows.to(DeliveryState.PENDING, **anew) or rows.update(**anew)):
            raise InvalidRequestError("It is just being sent.")
        WebhookEndpoint.objects.filter(pk=row.endpoint_id).update(paused_until=None)
        _record(row.endpoint, AuditAction.WEBHOOK_RESEND, caller, message=row.message_id)
        events.send_after_commit(row.endpoint_id)


@dataclass(frozen=True, slots=True)
class Resealed:
    """resealed: how many endpoints got or would get the first key. unreadable: those that no key fits."""

    resealed: int
    unreadable: list[str]


def reseal_all(*, dry_run: bool = False) -> Resealed:
    """Encrypt every secret with the first key."""
    done, unreadable = 0, []
    for each in WebhookEndpoint.objects.select_related("organization").order_by("pk"):
        if not credentials.can_unseal(each.secrets):
            unreadable.append(each.full_name)
        elif not credentials.can_unseal(each.secrets, with_first=True):
            done += 1
            if not dry_run:
                fresh = credentials.reseal_text(each.secrets)
                WebhookEndpoint.objects.filter(pk=each.pk, secrets=each.secrets).update(secrets=fresh)
    return Resealed(done, unreadable)


def checked_kinds(kinds: Collection[str]) -> list[str]:
    """Return the kinds in their order, each once. Raises InvalidRequestError for none or an unknown one."""
    if unknown := sorted(set(kinds) - set(SUBSCRIBABLE)):
        known = ", ".join(SUBSCRIBABLE)
        raise InvalidRequestError(f"There is no event '{unknown[0][:64]}'. Known: {known}.", param="kinds")
    if not kinds:
        raise InvalidRequestError("Choose at least one event.", param="kinds")
    return [kind for kind in SUBSCRIBABLE if kind in kinds]


def check_address(url: str, *, is_operators: bool) -> None:
    """Raise InvalidRequestError for an address that no webhook may be sent to, as its name resolves now.

    Each connection checks that again.
    """
    parts = split_url(url)
    is_plain = url.isascii() and url.isprintable() and " " not in url and "#" not in url
    # What else a host may hold, libraries read in different ways.
    is_host = re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname or "")
    if parts.scheme not in {"https", "http"} or not is_host or not is_plain:
        raise InvalidRequestError("Write a whole URL such as https://example.com/webhooks.", param="url")
    if parts.username or parts.password:
        raise InvalidRequestError(
            "The URL must not hold a password: signatures prove the sender.", param="url"
        )
    if len(url) > MAX_URL_CHARACTERS:
        raise InvalidRequestError(f"The URL is longer than {MAX_URL_CHARACTERS} characters.", param="url")
    allow_private = is_operators and settings.ALLOW_PRIVATE_UPSTREAMS
    try:
        check_literal(url, allow_private=allow_private)
        if not settings.PROVIDER_PROXIES.proxy_for(url):
            check_url(url, allow_private=allow_private)
    except ProviderError:
        raise InvalidRequestError(delivery.REFUSED_ADDRESS, param="url") from None


def _save_new(endpoint: WebhookEndpoint) -> None:
    try:
        with transaction.atomic():
            endpoint.save(force_insert=True)
    except IntegrityError:
        raise _name_taken(endpoint) from None


def _name_taken(endpoint: WebhookEndpoint) -> InvalidRequestError:
    return InvalidRequestError(f"There is a webhook endpoint '{endpoint.name}' already.", param="name")


def _shown(url: str) -> str:
    """Return the part of an address that is no secret: paths and queries often hold one."""
    parts = split_url(url)
    return f"{parts.scheme}://{parts.netloc}"


def _record(endpoint: WebhookEndpoint, action: AuditAction, caller: Caller, **details: Any) -> None:
    audit.record(
        Caller(
            endpoint.organization_id,
            caller.actor_type,
            caller.actor,
            ip=caller.ip,
            request_id=caller.request_id,
        ),
        action,
        object_type="webhook",
        object_id=endpoint.name,
        **details,
    )
