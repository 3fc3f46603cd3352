"""What `doctor` says of accounts that may show one organization the files of another."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, QuerySet

from files_app.models import AccountPlace, ProviderAccount
from files_app.services.accounts.disk_segments import without_segment
from files_app.services.operations.findings import SHOWN_NAMES, Finding, ok, problem, shortened, warning

#: There what overlaps is known from buckets and directories, and differs between strangers.
_TOLD_APART = ("@aws", "@gcs", "@disk")


def sharing() -> Iterator[Finding]:
    marked = _shared_accounts(SHOWN_NAMES + 1)
    for account, withheld in marked[:SHOWN_NAMES]:
        yield problem(
            "tenants",
            f"{account.full_name} is shared since {account.shared_since:%Y-%m-%d %H:%M} UTC: "
            f"{account.get_shared_reason_display()}. {withheld} adopted files are withheld",
            "Give each organization a project, resource or bucket of its own; or, if all files there are its "
            f"own, run `manage.py accounts confirm {account.full_name}`.",
        )
    if len(marked) > SHOWN_NAMES:
        yield problem("tenants", "and more accounts are shared", "`manage.py accounts list` shows them.")
    if unplaced := _named(_unplaced_accounts()):
        yield warning(
            "tenants",
            f"{unplaced}: nothing is adopted, for it is not known where their files are",
            "Run `manage.py bootstrap` where their credentials can be read, or save them in the admin.",
        )
    if not (marked or unplaced):
        yield ok("tenants", "no account is known to show another organization's files")


def hosts() -> Iterator[Finding]:
    for host, names in _crowded_hosts():
        yield warning(
            "tenants",
            f"several organizations have accounts at {host}: {shortened(names)}",
            "Files belong to a project, a workspace or a resource there, not to a key (docs/security.md). "
            "See that each organization has its own, then run `manage.py accounts confirm ACCOUNT` for each.",
        )


def disk_folders() -> Iterator[Finding]:
    if waiting := _named(without_segment().filter(shared_since=None)):
        yield problem(
            "local disk",
            f"{waiting} have no folders of their own yet: only uploads can be read there",
            "Stop the gateway and run `manage.py bootstrap` on the host that has DATA_DIR/files.",
        )
    if shared := _named(without_segment().exclude(shared_since=None)):
        yield warning(
            "local disk",
            f"{shared} share directories with other accounts: nothing is adopted there",
            "Make a new account for new files; the old ones can still be read.",
        )


def _named(accounts: QuerySet[ProviderAccount]) -> str:
    """Return the first names of accounts, and how many more there are; empty where there are none."""
    first = accounts.select_related("organization").order_by("pk")[:SHOWN_NAMES]
    return shortened([account.full_name for account in first], accounts.count())


def _shared_accounts(limit: int) -> list[tuple[ProviderAccount, int]]:
    """Return accounts that are marked as shared, each with the number of files that are withheld there."""
    marked = ProviderAccount.objects.filter(shared_since__isnull=False).exclude(pk__in=without_segment())
    marked = marked.select_related("organization")
    return [(row, row.files.filter(is_withheld=True).count()) for row in marked.order_by("pk")[:limit]]


def _unplaced_accounts() -> QuerySet[ProviderAccount]:
    """Return the accounts of which is not known yet where their files are."""
    return ProviderAccount.objects.filter(places=None)


def _crowded_hosts() -> Iterator[tuple[str, list[str]]]:
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
