"""How accounts are called where people see several organizations' at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from files_app.models import ProviderAccount


def short_names(accounts: Collection[ProviderAccount]) -> dict[int, str]:
    """Return the names of accounts by primary key: the full one where several of them share a name."""
    counts = Counter(account.name for account in accounts)
    return {
        account.pk: account.name if counts[account.name] == 1 else account.full_name for account in accounts
    }
