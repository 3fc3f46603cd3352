"""What the rows of bills call organizations, keys and accounts: as they are called when it is written."""

from __future__ import annotations

from collections.abc import Collection

from files_app.models import ApiKey, Organization, ProviderAccount


class Names:
    """The names of what (organization, key, account) stand for; empty for what is not, or not any more."""

    def __init__(self, ids: Collection[tuple[int, int, int]]) -> None:
        organizations, keys, accounts = map(set, zip(*ids, strict=True)) if ids else (set(), set(), set())
        self._organizations = _named(Organization, organizations)
        self._keys = _named(ApiKey, keys)
        self._accounts = _named(ProviderAccount, accounts)

    def of(self, organization_id: int, key_id: int, account_id: int) -> tuple[str, str, str]:
        """Return the names of an organization, a key and an account."""
        return (
            self._organizations.get(organization_id, ""),
            self._keys.get(key_id, ""),
            self._accounts.get(account_id, ""),
        )


def _named(model: type[Organization | ApiKey | ProviderAccount], pks: set[int]) -> dict[int, str]:
    return dict(model._default_manager.filter(pk__in=pks - {0}).values_list("pk", "name"))
