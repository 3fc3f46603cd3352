"""Sends one webhook: one attempt at its endpoint, and what becomes of both after it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from files_app.models import AuditAction, DeliveryState, WebhookDelivery, WebhookEndpoint
from files_app.models.webhooks import WebhookDeliveryQuerySet
from files_app.services.index import audit, leases
from files_app.services.index.callers import system_caller
from files_app.services.index.recent import recent_organization
from files_app.services.index.transactions import database_time, release_connection
from files_app.services.webhooks import signing
from providers.exceptions import ProviderConfigurationError, ProviderError, ProviderTimeoutError
from providers.parsing import retry_after_seconds
from providers.transports.addresses import BlockedAddressError
from providers.transports.deadlines import cut_after
from providers.transports.http import HTTPTransport, Request, TransportLimits

log = structlog.get_logger(__name__)

LEASE: Final = leases.LeaseKind(WebhookDelivery)
#: What one attempt may take in all, from the connection to the answer's first line.
ATTEMPT_SECONDS: Final = 15.0
FIRST_RETRY_SECONDS: Final = 5.0
MAX_RETRY_SECONDS: Final = 3_600.0
#: How long an endpoint that is not there is left alone, at the longest.
MAX_PAUSE_SECONDS: Final = 300.0
REFUSED_ADDRESS: Final = (
    "Webhooks go to public addresses over https:// alone. An operator, by command or `apply`, may name one "
    "in the networks of ALLOW_PRIVATE_UPSTREAMS."
)
_NO_LEASE: Mapping[str, Any] = {"lease_token": "", "lease_expires_at": None}
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@cache
def _transport(is_operators: bool) -> HTTPTransport:
    """Return the process's transport for webhooks: what is left open to providers is not theirs."""
    limits = TransportLimits(
        connect_timeout_seconds=settings.PROVIDER_CONNECT_TIMEOUT_SECONDS,
        call_timeout_seconds=ATTEMPT_SECONDS,
        write_timeout_seconds=ATTEMPT_SECONDS,
        allow_private=is_operators and settings.ALLOW_PRIVATE_UPSTREAMS,
        ca_bundle=settings.CA_BUNDLE,
        proxies=settings.PROVIDER_PROXIES,
    )
    return HTTPTransport(limits)


class _FailedError(Exception):
    """The endpoint did not take it. status: what it answered; is_away: it is no use to send it more now."""

    def __init__(
        self, reason: str, status: int | None = None, *, is_away: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.status, self.is_away, self.wait = reason, status, is_away, wait


def deliver(pk: int, *, is_last: bool = False) -> DeliveryState | None:
    """Send one webhook and write down how that went; None when there was nothing to do.

    is_last: do not try again. Safe to run twice and in parallel: a lease admits one, and a process that dies
    leaves the row to be sent again, so that a message arrives at least once.
    """
    row = _claim(pk)
    if row is None:
        return None
    with leases.holding(LEASE, row.pk, row.lease_token, patience_seconds=2 * ATTEMPT_SECONDS):
        try:
            status = _send(row)
        except _FailedError as failed:
            return _failed(row, failed, is_last=is_last)
        except ProviderConfigurationError as exc:
            return _failed(row, _FailedError(str(exc)), is_last=is_last)
        except Exception as exc:  # without an end it would be tried for ever, and unseen
            log.exception("webhook_failed_unexpectedly", delivery=row.pk)
            reason = f"unexpected {type(exc).__name__}; the worker's log has more"
            return _failed(row, _FailedError(reason), is_last=is_last)
        return _delivered(row, status)


def _claim(pk: int) -> WebhookDelivery | None:
    token = secrets.token_hex(16)
    now = database_time(plus_seconds=0)
    due = WebhookDelivery.objects.filter(pk=pk, state=DeliveryState.PENDING, next_attempt_at__lte=now)
    free = due.filter(Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=now))
    if not free.update(lease_token=token, lease_expires_at=leases.lease_end(), attempts=F("attempts") + 1):
        return None
    row = WebhookDelivery.objects.select_related("endpoint").get(pk=pk)
    return row if row.lease_token == token else None


def _send(row: WebhookDelivery) -> int:
    """Return the status of a success. Raises _FailedError and ProviderConfigurationError."""
    endpoint, body = row.endpoint, row.payload.encode()
    headers = {
        "content-type": "application/json",
        "user-agent": f"files-gateway/{settings.VERSION}",
        **signing.headers(signing.unseal(endpoint), row.message_id, body),
    }
    release_connection()
    late = _FailedError(f"no answer within {ATTEMPT_SECONDS:g} s", is_away=True)
    try:
        with cut_after(ATTEMPT_SECONDS) as deadline:
            answer = _transport(endpoint.is_operators).send(
                Request("POST", endpoint.url, headers=headers, body=body)
            )
    except BlockedAddressError:
        raise _FailedError(REFUSED_ADDRESS, is_away=True) from None
    except ProviderTimeoutError:
        raise late from None
    except ProviderError as exc:
        raise late if deadline.is_over else _FailedError(exc.message, is_away=True) from None
    answer.close()  # nobody reads what it says
    if deadline.is_over:  # headers that were cut off look like the end of them
        raise late
    if 200 <= answer.status < 300:
        return answer.status
    reason = f"answered {answer.status}"
    if 300 <= answer.status < 400:
        reason += ": redirects are not followed"
    is_away = answer.status in _BUSY
    raise _FailedError(reason, answer.status, is_away=is_away, wait=retry_after_seconds(answer.headers))


@transaction.atomic
def _delivered(row: WebhookDelivery, status: int) -> DeliveryState | None:
    done = _mine(row).to(
        DeliveryState.DELIVERED,
        status_code=status,
        last_error="",
        next_attempt_at=None,
        **_NO_LEASE,
    )
    endpoint = row.endpoint
    if endpoint.failures or endpoint.paused_until:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failures=0, paused_until=None)
    return DeliveryState.DELIVERED if done else None


@transaction.atomic
def _failed(row: WebhookDelivery, failed: _FailedError, *, is_last: bool) -> DeliveryState | None:
    if failed.status == HTTPStatus.GONE:
        _switch_off(row.endpoint)
        is_last = True
    elif failed.is_away and not is_last:
        _pause(row.endpoint, failed.wait)
    said = {"status_code": failed.status, "last_error": failed.reason[:500], **_NO_LEASE}
    if is_last or timezone.now() > row.give_up_at:
        log.warning("webhook_dead", delivery=row.pk, endpoint=row.endpoint.name, error=failed.reason)
        ended = _mine(row).to(DeliveryState.DEAD, next_attempt_at=None, **said)
        return DeliveryState.DEAD if ended else None
    wait = backoff_seconds(row.attempts)
    if failed.wait is not None:
        wait = max(wait, min(failed.wait, MAX_RETRY_SECONDS))
    _mine(row).update(next_attempt_at=database_time(plus_seconds=wait), **said)
    return DeliveryState.PENDING


def _pause(endpoint: WebhookEndpoint, wait: float | None) -> None:
    """Leave an endpoint alone that is not there: what waits for it behind this one would fail as well."""
    pause = min(MAX_PAUSE_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(endpoint.failures, 20))
    pause = max(pause, min(wait or 0.0, MAX_PAUSE_SECONDS))
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        failures=F("failures") + 1, paused_until=database_time(plus_seconds=pause)
    )


def _switch_off(endpoint: WebhookEndpoint) -> None:
    """Do what a receiver asks for by 410: send it nothing more."""
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk, is_enabled=True)
    if rows.update(is_enabled=False, disabled_reason="It answered 410: nothing more is wanted."):
        recent_organization.forget()
        caller = system_caller(endpoint.organization_id)
        audit.record(
            caller,
            AuditAction.WEBHOOK_DISABLE,
            object_type="webhook",
            object_id=endpoint.name,
            reason="answered 410",
        )


def _mine(row: WebhookDelivery) -> WebhookDeliveryQuerySet:
    """Return the row as long as our lease holds: a result of a lost lease counts for nothing."""
    return WebhookDelivery.objects.filter(pk=row.pk, lease_token=row.lease_token, state=DeliveryState.PENDING)


def backoff_seconds(attempts: int) -> float:
    """Return how long to wait after so many attempts: doubling, with jitter, at most an hour."""
    full = min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 20))
    return full * random.uniform(0.8, 1.2)  # noqa: S311  # jitter


#: How long the log keeps what is over.
KEPT: Final = timedelta(days=30)
#: More rows of one endpoint are not kept, whether they wait or are over.
MOST_KEPT: Final = 100_000
_PRUNED: Final = 5_000


def prune_deliveries() -> int:
    """Give up what has waited too long without an attempt, and remove what is over long since.

    Of an endpoint that has too many, the oldest go first, so that none fills the disk.
    """
    now = timezone.now()
    late = WebhookDelivery.objects.filter(
        Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=now),
        state=DeliveryState.PENDING,
        give_up_at__lt=now,
    )
    late.to(DeliveryState.DEAD, next_attempt_at=None)
    removed = _remove(WebhookDelivery.objects.filter(created_at__lt=now - KEPT))
    for pk in list(WebhookEndpoint.objects.values_list("pk", flat=True)):
        removed += _prune_endpoint(pk)
    return removed


def _prune_endpoint(endpoint_pk: int) -> int:
    rows = WebhookDelivery.objects.filter(endpoint=endpoint_pk)
    newest_first = rows.order_by("-created_at", "-pk").values_list("created_at", flat=True)
    border = newest_first[MOST_KEPT : MOST_KEPT + 1].first()
    if border is None:
        return 0
    beyond = rows.filter(created_at__lte=border)
    waiting = beyond.exclude(lease_expires_at__gt=timezone.now()).filter(state=DeliveryState.PENDING)
    reason = f"given up: more than {MOST_KEPT:,} waited for this endpoint"
    if given_up := waiting.to(DeliveryState.DEAD, next_attempt_at=None, last_error=reason):
        log.warning("webhooks_given_up", endpoint=endpoint_pk, count=given_up)
    return _remove(beyond)


def _remove(rows: WebhookDeliveryQuerySet) -> int:
    """Remove what is over of these, some at a time."""
    removed = 0
    over = rows.exclude(state=DeliveryState.PENDING).order_by("created_at").values_list("pk", flat=True)
    while pks := list(over[:_PRUNED]):
        removed += WebhookDelivery.objects.filter(pk__in=pks).delete()[0]
    return removed
