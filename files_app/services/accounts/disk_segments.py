"""The folder of its own that each account on disk has, and who has none yet."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import QuerySet

from files_app.models import ProviderAccount
from providers.exceptions import ProviderConfigurationError
from providers.registry import driver_class
from providers.transports.disk import tree_name


def claim_segment(account: ProviderAccount) -> None:
    """Give an account on disk, which is about to be saved, its own folder; nobody else has a say in its name.

    One from before there were such folders waits for `local_trees.settle_trees`, and must not change its
    directory: any other could be somebody else's. Raises ProviderConfigurationError.
    """
    if account.disk_segment or not _is_on_disk(account.driver):
        return
    stored = without_segment().filter(pk=account.pk).first()
    if stored is None:
        account.disk_segment = tree_name(account.uid)
    elif account.options.get("directory") != stored.options.get("directory"):
        raise ProviderConfigurationError(
            "'directory' of an account without a folder of its own cannot change: make a new account.",
            field="directory",
        )


def lacks_segment(account: ProviderAccount) -> bool:
    """Whether others may have the directory of this account on disk."""
    return not account.disk_segment and _is_on_disk(account.driver)


def without_segment() -> QuerySet[ProviderAccount]:
    """Return the accounts on disk, of every organization, that have no folder of their own."""
    rows = ProviderAccount.objects.filter(disk_segment="")
    return rows.filter(driver__in=list(_drivers_on_disk(rows))).select_related("organization").order_by("pk")


def _drivers_on_disk(rows: QuerySet[ProviderAccount]) -> Iterator[str]:
    for name in rows.order_by().values_list("driver", flat=True).distinct():
        if _is_on_disk(name):
            yield name


def _is_on_disk(driver: str) -> bool:
    try:
        return driver_class(driver).capabilities.storage == "disk"
    except ProviderConfigurationError:  # there is no such driver (any more)
        return False
