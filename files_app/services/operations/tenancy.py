"""Which accounts may show one organization the files of another: what an operator has to look at."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, QuerySet

from files_app.models import AccountPlace, ProviderAccount

#: There what overlaps is known from buckets and directories, and differs between strangers.
_TOLD_APART = ("@aws", "@gcs", "@disk")


def shared_accounts(limit: int) -> list[tuple[ProviderAccount, int]]:
    """Return accounts that are marked as shared, each with the number of files that are withheld there."""
    marked = ProviderAccount.objects.filter(shared_since__isnull=False).select_related("organization")
    return [(row, row.files.filter(is_withheld=True).count()) for row in marked.order_by("pk")[:limit]]


def unplaced_accounts() -> QuerySet[ProviderAccount]:
    """Return the accounts of which is not known yet where their files are."""
    return ProviderAccount.objects.filter(places=None).select_related("organization").order_by("pk")


def crowded_hosts() -> Iterator[tuple[str, list[str]]]:
    """Yield each host at which several organizations have accounts that nobody confirmed, with their names.

    Their keys, or their paths there, may lead to the files of one customer.
    """
    places = AccountPlace.objects.filter(account__confirmed_at=None, account__organization__isnull=False)
    for prefix in _TOLD_APART:
        places = places.exclude(authority__startswith=prefix)
    owners = places.values("authority").annotate(owners=Count("account__organization", distinct=True))
    for authority in owners.filter(owners__gt=1).order_by("authority").values_list("authority", flat=True):
        here = ProviderAccount.objects.filter(
            places__authority=authority, confirmed_at=None, organization__isnull=False
        )
        rows = here.select_related("organization").order_by("organization__name", "name").distinct()
        yield authority.removeprefix("@"), [row.full_name for row in rows]
