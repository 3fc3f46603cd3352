"""Tells organizations of what lasts: a quota that fills up, and accounts that fail or work again.

Looked at in turn, from what is written down anyway: counters, open breakers and the errors of syncs. What was
told is written in the transaction of the events.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from files_app.models import EventKind, OpenBreaker, ProviderAccount, WebhookEndpoint
from files_app.services.index import events


def tell_conditions() -> int:
    """Tell what has changed since the last time, and return of how many organizations and accounts."""
    told = list(
        WebhookEndpoint.objects.filter(is_enabled=True).values_list("organization", flat=True).distinct()
    )
    if not told:
        return 0
    for organization_id in told:
        with transaction.atomic():
            events.note_quota(organization_id)
    return len(told) + _accounts(told)


def _accounts(organizations: Collection[int]) -> int:
    """Compare which accounts fail with what was told, and tell the difference."""
    errors = _errors()
    mine = Q(organization__in=organizations) | Q(organization=None)
    known = ProviderAccount.objects.filter(mine).defer("credentials")
    changed = 0
    for account in known.filter(Q(pk__in=errors) | Q(told_failing_at__isnull=False)):
        told, error = account.told_failing_at, errors.get(account.pk)
        if error is not None and told is None:
            changed += _tell(account, None, timezone.now(), EventKind.ACCOUNT_FAILING, error, organizations)
        elif error is None and told is not None:
            # One that was switched off has not recovered: nobody asks it.
            kind = EventKind.ACCOUNT_RECOVERED if account.is_enabled else None
            changed += _tell(account, told, None, kind, None, organizations)
    return changed


def _errors() -> Mapping[int, str]:
    """Return why enabled accounts fail, by their primary keys."""
    enabled = ProviderAccount.objects.filter(is_enabled=True)
    failing = dict(enabled.exclude(last_sync_error="").values_list("pk", "last_sync_error"))
    open_ones = OpenBreaker.objects.current().filter(account__is_enabled=True)
    return failing | dict(open_ones.order_by("opened_at").values_list("account", "error"))


@transaction.atomic
def _tell(
    account: ProviderAccount,
    before: datetime | None,
    after: datetime | None,
    kind: EventKind | None,
    error: str | None,
    organizations: Collection[int],
) -> bool:
    """Note what is told now, and tell it; False where another process was faster.

    Of a shared account, which is the operator's, every organization hears that it fails and none why.
    """
    rows = ProviderAccount.objects.filter(pk=account.pk, told_failing_at=before)
    if not rows.update(told_failing_at=after):
        return False
    since = after or before or timezone.now()
    own = account.organization_id
    data = events.account_data(account.name, account.driver, since, None if own is None else error)
    for organization_id in organizations if own is None else [own]:
        if kind is not None:
            events.record(organization_id, kind, data)
    return True
