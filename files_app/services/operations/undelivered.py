"""What `doctor` says of webhooks that do not arrive."""

from __future__ import annotations

from collections.abc import Iterator

from files_app.models import WebhookDelivery, WebhookEndpoint
from files_app.models.webhooks import WebhookDeliveryQuerySet
from files_app.services.operations.findings import Finding, ok, shortened, warning

_LOG = "`manage.py webhooks deliveries --organization ORG --endpoint NAME` shows what was answered"


def webhooks() -> Iterator[Finding]:
    """Name the endpoints that were not told what happened, or do not want to be."""
    gone = WebhookEndpoint.objects.gone().select_related("organization").order_by("pk")
    found = (
        (
            "gave up to tell",
            _tried_in_vain(WebhookDelivery.objects.given_up()),
            f"{_LOG}; once it takes them, `manage.py webhooks resend --all` sends them again.",
        ),
        (
            "has tried for more than an hour to tell",
            _tried_in_vain(WebhookDelivery.objects.late()),
            f"{_LOG}. Each event is tried for a day.",
        ),
        (
            "was told by a 410 to tell no more to",
            [row.full_name for row in gone],
            "`manage.py webhooks enable` switches one on; `webhooks disable` says that it stays off.",
        ),
    )
    for what, names, fix in found:
        if names:
            yield warning("webhooks", f"the gateway {what} {shortened(names)}", fix)
    if not any(names for _, names, _ in found):
        yield ok("webhooks", "what happens arrives where it is wanted")


def _tried_in_vain(rows: WebhookDeliveryQuerySet) -> list[str]:
    pks = rows.order_by().values("endpoint")
    named = WebhookEndpoint.objects.filter(pk__in=pks).select_related("organization").order_by("pk")
    return [row.full_name for row in named]
