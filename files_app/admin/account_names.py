"""How accounts are called: by their name, and as ORGANIZATION/NAME where a name is not enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest

from files_app.admin.requests import reach_for
from files_app.models import ProviderAccount
from files_app.services.accounts.names import short_names

MAX_ACCOUNTS = 500


class AccountNames:
    """The names of the accounts in sight; of too many to compare, every one is called by its full name."""

    def __init__(self, accounts: Sequence[ProviderAccount]) -> None:
        self.accounts = accounts[:MAX_ACCOUNTS]
        self._names = short_names(accounts) if len(accounts) <= MAX_ACCOUNTS else {}

    def of(self, account: ProviderAccount) -> str:
        """Return what to call an account."""
        return self._names.get(account.pk) or account.full_name


def account_names(request: HttpRequest) -> AccountNames:
    """Return the names of the accounts that the user of the request may see, read once a request."""
    known = getattr(request, "_files_app_account_names", None)
    if known is None:
        usable = reach_for(request).usable_accounts().select_related("organization")
        known = AccountNames(list(usable[: MAX_ACCOUNTS + 1]))
        request._files_app_account_names = known  # type: ignore[attr-defined]  # as `reach_for` does
    return cast(AccountNames, known)


def provider_column(request: HttpRequest, show: Callable[[AccountNames, Any], str]) -> Any:
    """Return the column `Provider` of a list, which has to know what else is in sight."""
    names = account_names(request)

    @admin.display(description="Account")
    def provider(row: Any) -> str:
        return show(names, row)

    return provider
