"""What operators name: organizations, accounts, keys and files, across every tenant.

Only for people who may see everything. Each lookup raises InvalidRequestError with the names that exist.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable

from django.db.models import Q

from files_app.exceptions import InvalidRequestError
from files_app.models import ApiKey, File, FileState, Organization, ProviderAccount
from files_app.models.accounts import SHARED
from files_app.models.files import FileQuerySet
from files_app.services.tenants.key_rotation import PREFIX_CHARACTERS, keys_starting

_SHOWN_NAMES = 20


def scope_of(arguments: Namespace) -> tuple[Organization | None, ProviderAccount | None]:
    """Return what --organization and --account narrow a command to."""
    organization = organization_named(arguments.organization) if arguments.organization else None
    account = account_named(arguments.account, organization) if arguments.account else None
    return organization, account


def organization_named(name: str) -> Organization:
    """Return the organization of that name."""
    found = Organization.objects.filter(name=name).first()
    if found is None:
        raise InvalidRequestError(
            f"There is no organization '{name}'. "
            + _known("organizations", Organization.objects.values_list("name", flat=True))
        )
    return found


def account_named(reference: str, organization: Organization | None = None) -> ProviderAccount:
    """Return the account that NAME, ORGANIZATION/NAME or shared/NAME refers to.

    organization: only an account that this organization may use; its own one hides a shared one.
    """
    owner, slash, name = reference.rpartition("/")
    candidates = ProviderAccount.objects.select_related("organization").filter(name=name)
    if slash:
        candidates = candidates.filter(_owned_by(owner))
    if organization is not None:
        candidates = candidates.filter(Q(organization=organization) | Q(organization=None))
    found = sorted(candidates[:_SHOWN_NAMES], key=lambda account: account.is_shared)
    if organization is not None:
        found = found[:1]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidRequestError(
            f"Several accounts are called '{name}': {', '.join(account.full_name for account in found)}. "
            "Name one of these."
        )
    accounts = ProviderAccount.objects.select_related("organization").order_by("organization__name", "name")
    raise InvalidRequestError(
        f"There is no provider account '{reference}'"
        + (f" that {organization.name} may use. " if organization else ". ")
        + _known("accounts", (account.full_name for account in accounts[: _SHOWN_NAMES + 1]))
    )


def key_named(reference: str, organization: Organization | None = None) -> ApiKey:
    """Return the usable key of that name, or whose first twelve characters these are or once were."""
    matching = Q(name=reference)
    if len(reference) == PREFIX_CHARACTERS:
        matching |= Q(pk__in=keys_starting(reference))
    usable = ApiKey.objects.select_related("organization").filter(matching, revoked_at=None)
    if organization is not None:
        usable = usable.filter(organization=organization)
    found = list(usable[:_SHOWN_NAMES])
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(f"{key.prefix} of {key.organization.name}" for key in found)
        raise InvalidRequestError(
            f"Several keys are called '{reference}': {named}. Give one's first characters instead."
        )
    raise InvalidRequestError(
        f"There is no key '{reference}' in use. `manage.py keys list` shows names and first characters."
    )


def file_named(
    reference: str, *, organization: Organization | None = None, account: ProviderAccount | None = None
) -> File:
    """Return the file with that id, URI or provider's id. An available file wins over ones that are gone."""
    named = Q(file_id=reference) | Q(uri=reference) & ~Q(uri="") if reference else Q(pk__in=[])
    rows = _limited(File.objects.filter(named), organization, account)
    if not rows.exists() and reference:
        rows = _limited(File.objects.filter(copies__remote_id=reference), organization, account).distinct()
    found = list(rows.select_related("organization", "account__organization").newest_first()[:_SHOWN_NAMES])
    if available := [file for file in found if file.state == FileState.AVAILABLE]:
        found = available
    if len(found) == 1:
        return found[0]
    if found:
        places = ", ".join(sorted(f"{file.organization.name} at {file.account.full_name}" for file in found))
        raise InvalidRequestError(
            f"Several files have the id '{reference}': {places}. Add --organization or --account."
        )
    raise InvalidRequestError(
        f"There is no file '{reference[:255]}'. `manage.py files list` shows the ids; "
        "`manage.py accounts sync` takes files into the index that were made at a provider."
    )


def selected_files(arguments: Namespace) -> FileQuerySet:
    """Return the files of the organization and account that were named."""
    organization, account = scope_of(arguments)
    files = File.objects.all() if organization is None else File.objects.for_organization(organization)
    return files if account is None else files.filter(account=account)


def named_file(reference: str, arguments: Namespace) -> File:
    """Return the file that is named, in the organization and at the account that were."""
    organization, account = scope_of(arguments)
    return file_named(reference, organization=organization, account=account)


def accounts_named(
    references: Iterable[str], organization: Organization | None = None
) -> list[ProviderAccount]:
    """Return the accounts of these names, or without any every enabled one."""
    if named := [account_named(reference, organization) for reference in references]:
        return named
    enabled = ProviderAccount.objects.select_related("organization").filter(is_enabled=True)
    if organization is not None:
        enabled = enabled.filter(organization=organization)
    return list(enabled.order_by("organization__name", "name"))


def _limited(
    rows: FileQuerySet, organization: Organization | None, account: ProviderAccount | None
) -> FileQuerySet:
    if organization is not None:
        rows = rows.filter(organization=organization)
    if account is not None:
        rows = rows.filter(account=account)
    return rows


def _owned_by(owner: str) -> Q:
    return Q(organization=None) if owner == SHARED else Q(organization__name=owner)


def _known(what: str, names: Iterable[str]) -> str:
    known = list(names)
    if not known:
        return f"There are no {what} yet."
    more = f" and {len(known) - _SHOWN_NAMES} more" if len(known) > _SHOWN_NAMES else ""
    return f"Known {what}: {', '.join(known[:_SHOWN_NAMES])}{more}."
