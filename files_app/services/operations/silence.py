"""What `doctor` says of providers that do not answer."""

from __future__ import annotations

from collections.abc import Iterator

from files_app.models import OpenBreaker
from files_app.services.operations.findings import Finding, ok, problem
from files_app.words import age


def silent_accounts() -> Iterator[Finding]:
    """Name the accounts that running processes do not ask any more."""
    rows = OpenBreaker.objects.current().select_related("account__organization").order_by("opened_at")
    first = {(row.account_id, row.kind): row for row in reversed(rows)}
    for row in sorted(first.values(), key=lambda row: (row.account.full_name, row.kind)):
        yield problem(
            "providers",
            f"{row.account.full_name}: {row.kind} is not answered, since {age(row.opened_at)}: {row.error}",
            "It is tried again by itself. Look at the provider's status, and at the network from this host; "
            f"`manage.py accounts test {row.account.full_name}` tries now.",
        )
    if not first:
        yield ok("providers", "all that were asked lately have answered")
