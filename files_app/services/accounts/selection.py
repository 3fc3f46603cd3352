"""Which provider account serves a request."""

from __future__ import annotations

from typing import Final

from files_app.exceptions import InvalidRequestError
from files_app.models import Organization, ProviderAccount
from files_app.services.index.recent import Recent, organization_now
from files_app.services.index.rows import Lookup

PROVIDER_HEADER = "x-tfy-provider-name"
MODEL_HEADER = "x-tfy-provider-model"


def select_account(organization: Organization | int, name: str | None) -> ProviderAccount:
    """Return the account called `name`, or the default one. Raises InvalidRequestError.

    An organization's own account hides a shared one of the same name. Without a name the organization's
    default serves, then a shared default. One that is switched off is named only where none serves.
    """
    pk = organization.pk if isinstance(organization, Organization) else organization
    if name is None:
        found = _DEFAULTS(pk)
    elif "\0" in name:  # PostgreSQL refuses to be asked for it
        found = []
    else:
        found = _NAMED(pk, name)
    for account in sorted(found, key=lambda account: (not account.is_enabled, account.is_shared)):
        if account.is_enabled:
            return account
        raise _switched_off(account, organization, is_default=name is None)
    if name is None:
        raise InvalidRequestError(
            f"Name a provider account in the header {PROVIDER_HEADER}: the organization has no default. "
            f"{_known_names(organization)}",
            param=PROVIDER_HEADER,
        )
    raise InvalidRequestError(
        f"There is no provider account '{name[:64]}'. {_known_names(organization)}", param=PROVIDER_HEADER
    )


def _switched_off(
    account: ProviderAccount, organization: Organization | int, *, is_default: bool
) -> InvalidRequestError:
    kind = "default provider account" if is_default else "provider account"
    return InvalidRequestError(
        f"The {kind} '{account.name}' is switched off: name another in the header {PROVIDER_HEADER}, or ask "
        f"the operator of the gateway. {_known_names(organization)}",
        param=PROVIDER_HEADER,
        code="provider_account_disabled",
    )


def account_by_pk(pk: int) -> ProviderAccount:
    """Return an account as it was at most five seconds ago. Not for changing it."""
    return _by_pk(pk)


def recent_account(organization_id: int, name: str | None) -> ProviderAccount:
    """Return what `select_account` returned at most five seconds ago. Not for changing it."""
    return _by_name((organization_id, name))


def forget_recent_accounts() -> None:
    """Let the next use of every account ask the database."""
    _by_pk.forget()
    _by_name.forget()


_BY_PK = Lookup(ProviderAccount, lambda: ProviderAccount.objects.filter(pk=0).order_by(), [0])
_NAMED = Lookup(
    ProviderAccount,
    lambda: ProviderAccount.objects.known_to(0).filter(name="NAME").order_by("organization_id"),
    [0, "NAME"],
)
_DEFAULTS = Lookup(
    ProviderAccount,
    lambda: ProviderAccount.objects.known_to(0).filter(is_default=True).order_by("organization_id"),
    [0],
)


def _with_owner(pk: int) -> ProviderAccount:
    for account in _BY_PK(pk):
        if account.organization_id is not None:
            account.organization = organization_now(account.organization_id)
            if account.organization is None:  # they were removed between the two questions
                break
        return account
    raise ProviderAccount.DoesNotExist


_by_pk: Final[Recent[int, ProviderAccount]] = Recent(ProviderAccount, _with_owner)
_by_name: Final[Recent[tuple[int, str | None], ProviderAccount]] = Recent(
    ProviderAccount, lambda key: select_account(*key)
)


def usable_accounts(organization: Organization | int) -> list[ProviderAccount]:
    """Return the accounts that the organization may use, by name; an owned name hides a shared one."""
    by_name: dict[str, ProviderAccount] = {}
    for account in ProviderAccount.objects.usable_by(organization):
        if account.name not in by_name or not account.is_shared:
            by_name[account.name] = account
    return [by_name[name] for name in sorted(by_name)]


def _known_names(organization: Organization | int) -> str:
    names = [account.name for account in usable_accounts(organization)][:20]
    return f"Known accounts: {', '.join(names)}." if names else "No provider account can be used now."
