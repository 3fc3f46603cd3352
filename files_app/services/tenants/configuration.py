"""Applies a configuration file: organizations, their keys and provider accounts.

What the file does not mention stays as it is. Its shape is checked before anything is written; what only the
database or a driver knows to be wrong, in the one transaction that writes all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from django.conf import settings
from django.db import transaction
from django.db.models import Model, ProtectedError

from files_app.exceptions import InvalidRequestError
from files_app.models import ApiKey, AuditAction, AuditEvent, Organization, ProviderAccount
from files_app.models.organizations import RATE_LIMITS, all_scopes
from files_app.services.accounts import credentials as secrets
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.saving import save_account
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.tenants.configuration_file import ConfigurationFileError, read_configuration
from files_app.services.tenants.keys import create_key, digest_of, is_known, revoke_key
from files_app.services.tenants.rates import set_rates
from files_app.services.tenants.retention_entries import apply_entries
from files_app.services.tenants.webhook_entries import apply_webhooks
from providers.exceptions import ProviderConfigurationError
from providers.registry import DRIVERS


@dataclass(slots=True)
class Applied:
    """What was changed, in words; and the keys and secrets of webhooks that were made, to be shown once.

    Both by organization and name.
    """

    changes: list[str] = field(default_factory=list)
    new_keys: dict[str, str] = field(default_factory=dict)
    new_webhooks: dict[str, str] = field(default_factory=dict)


#: What an organization's entry lists beside its own columns.
_LISTS = frozenset({"name", "api_keys", "provider_accounts", "retention", "webhooks"})


class _DryRun(Exception):
    """Rolls a rehearsal back."""


def apply_configuration(text: str, *, prune: bool = False, dry_run: bool = False) -> Applied:
    """Apply a YAML document and return what changed. Raises ConfigurationFileError; then nothing was.

    prune: remove keys and accounts of the organizations that the file mentions, and shared accounts, where
    the file lists that kind but not this one. dry_run: only tell.
    """
    document = read_configuration(text)
    run = _Run(prune)
    try:
        with transaction.atomic():
            run.apply(document)
            if dry_run:
                raise _DryRun
    except _DryRun:
        run.applied.new_keys.clear()
        run.applied.new_webhooks.clear()
    return run.applied


#: The entries of a list, each with its place.
_Entries: TypeAlias = list[tuple[str, Mapping[str, Any]]]


class _Run:
    """Writes a document of the right shape; refuses what the database or a driver knows to be wrong."""

    def __init__(self, prune: bool) -> None:
        self.applied = Applied()
        self._prune = prune

    def apply(self, document: Mapping[str, Any]) -> None:
        for place, entry in _entries(document, "organizations"):
            self._organization(place, entry)
        if "shared_provider_accounts" in document:
            self._accounts(None, _entries(document, "shared_provider_accounts"))

    def _organization(self, place: str, entry: Mapping[str, Any]) -> None:
        name = entry["name"]
        organization = Organization.objects.filter(name=name).first()
        is_new = organization is None
        organization = organization or Organization(name=name)
        changed = _assign(organization, entry, but=_LISTS)
        if is_new or changed:
            organization.save()
            self._say(f"organization {name}", is_new, changed, organization)
        if "api_keys" in entry:
            self._keys(organization, _entries(entry, "api_keys", place))
        if "provider_accounts" in entry:
            self._accounts(organization, _entries(entry, "provider_accounts", place))
        self._retention(place, entry, organization, None)
        if "webhooks" in entry:
            self.applied.changes += apply_webhooks(
                _entries(entry, "webhooks", place),
                organization,
                caller=_caller(organization),
                prune=self._prune,
                new=self.applied.new_webhooks,
            )

    def _retention(
        self,
        place: str,
        entry: Mapping[str, Any],
        organization: Organization | None,
        account: ProviderAccount | None,
    ) -> None:
        if "retention" not in entry:
            return
        rules = _entries(entry, "retention", place)
        changes = list(apply_entries(rules, organization, account, prune=self._prune))
        self.applied.changes += changes
        row = organization if account is None else account
        if changes and row is not None:
            self._record(row, is_new=False, changed=["retention"])

    # -- keys ------------------------------------------------------------------------------------------------

    def _keys(self, organization: Organization, entries: _Entries) -> None:
        for place, entry in entries:
            self._key(organization, place, entry)
        if self._prune:
            names = [entry["name"] for _, entry in entries]
            for row in organization.api_keys.filter(revoked_at=None).exclude(name__in=names):
                revoke_key(row, caller=_caller(organization))
                self.applied.changes.append(f"revoked API key {organization}/{row.name}")

    def _key(self, organization: Organization, place: str, entry: Mapping[str, Any]) -> None:
        supplied = entry.get("key")
        scopes = sorted(set(entry.get("scopes") or all_scopes()))
        full_name = f"{organization}/{entry['name']}"
        current = organization.api_keys.filter(name=entry["name"], revoked_at=None).first()
        if current is not None and (supplied is None or current.digest in _digests(supplied)):
            self._change_key(current, full_name, {**entry, "scopes": scopes} if "scopes" in entry else entry)
            return
        if current is not None:
            revoke_key(current, caller=_caller(organization))
        if supplied is not None and is_known(_digests(supplied)):
            raise ConfigurationFileError(
                f"{place}.key: this key is in use elsewhere or was revoked or rotated."
            )
        try:
            _, plain = create_key(
                organization=organization,
                name=entry["name"],
                caller=_caller(organization),
                key=supplied,
                scopes=scopes,
                rates={name: entry.get(name, getattr(current, name, None)) for name in RATE_LIMITS},
            )
        except InvalidRequestError as exc:
            raise ConfigurationFileError(f"{place}.{exc.param}: {exc.message}") from None
        self.applied.changes.append(f"{'replaced' if current else 'created'} API key {full_name}")
        if supplied is None:
            self.applied.new_keys[full_name] = plain

    def _change_key(self, row: ApiKey, full_name: str, entry: Mapping[str, Any]) -> None:
        """Change what is said of a key that stays; its scopes are sorted."""
        changed = set_rates(
            row,
            {name: entry[name] for name in RATE_LIMITS if name in entry},
            caller=_caller(row.organization),
        )
        if "scopes" in entry and sorted(row.scopes) != entry["scopes"]:
            row.scopes = entry["scopes"]
            row.save(update_fields=["scopes"])
            changed = ["scopes", *changed]
        if changed:
            self.applied.changes.append(f"changed API key {full_name}: {', '.join(changed)}")

    # -- accounts --------------------------------------------------------------------------------------------

    def _accounts(self, organization: Organization | None, entries: _Entries) -> None:
        for place, entry in entries:
            self._account(organization, place, entry)
        if self._prune:
            names = [entry["name"] for _, entry in entries]
            for account in ProviderAccount.objects.filter(organization=organization).exclude(name__in=names):
                self._remove(account)

    def _account(self, organization: Organization | None, place: str, entry: Mapping[str, Any]) -> None:
        accounts = ProviderAccount.objects.filter(organization=organization)
        account = accounts.filter(name=entry["name"]).first()
        is_new = account is None
        account = account or ProviderAccount(organization=organization, name=entry["name"])
        _check_driver(account, is_new, place, entry)
        if entry.get("is_default"):
            accounts.filter(is_default=True).exclude(pk=account.pk).update(is_default=False)
        changed = _assign(account, entry, but={"name", "credentials", "retention"})
        if "options" in entry and not account.is_operators:  # the file says where the account leads
            account.is_operators = True
            changed.append("is_operators")
        try:
            given = entry.get("credentials")
            if given is not None and (is_new or given != secrets.unseal(account)):
                changed.append("credentials")
            else:
                given = None
            if is_new or changed:
                save_account(account, given, kept=() if "credentials" in entry else None)
                self._say(f"provider account {account.full_name}", is_new, changed, account)
            else:
                driver_for(account)
        except ProviderConfigurationError as exc:
            raise ConfigurationFileError(f"{_place_of(exc, account, place)}: {exc}") from None
        self._retention(place, entry, organization, account)

    def _remove(self, account: ProviderAccount) -> None:
        try:
            account.delete()
        except ProtectedError:
            if account.is_enabled or account.is_default:
                ProviderAccount.objects.filter(pk=account.pk).update(is_enabled=False, is_default=False)
                self.applied.changes.append(
                    f"disabled provider account {account.full_name}, which still has files"
                )
        else:
            self.applied.changes.append(f"removed provider account {account.full_name}")

    def _say(self, what: str, is_new: bool, changed: list[str], row: Organization | ProviderAccount) -> None:
        self.applied.changes.append(f"created {what}" if is_new else f"changed {what}: {', '.join(changed)}")
        self._record(row, is_new=is_new, changed=changed)

    def _record(self, row: Organization | ProviderAccount, *, is_new: bool, changed: list[str]) -> None:
        organization = row if isinstance(row, Organization) else row.organization
        audit.record(
            _caller(organization),
            AuditAction.CONFIG_CREATE if is_new else AuditAction.CONFIG_CHANGE,
            object_type=row._meta.model_name or "",
            object_id=row.name,
            changed=changed,
        )


def _entries(parent: Mapping[str, Any], key: str, place: str = "") -> _Entries:
    where = f"{place}.{key}" if place else key
    return [(f"{where}[{number}]", entry) for number, entry in enumerate(parent.get(key, []))]


def _assign(row: Model, entry: Mapping[str, Any], *, but: Collection[str]) -> list[str]:
    """Set the columns of an entry that differ and return their names."""
    changed = [name for name in entry if name not in but and getattr(row, name) != entry[name]]
    for name in changed:
        setattr(row, name, entry[name])
    return changed


def _check_driver(account: ProviderAccount, is_new: bool, place: str, entry: Mapping[str, Any]) -> None:
    driver = entry.get("driver")
    if is_new and driver is None:
        known = ", ".join(sorted(DRIVERS))
        raise ConfigurationFileError(
            f"{place}.driver: is required for a new account. Known drivers: {known}."
        )
    if not is_new and driver not in (None, account.driver) and account.files.exists():
        raise ConfigurationFileError(
            f"{place}.driver: the account holds files of '{account.driver}'; use another name."
        )


def _place_of(exc: ProviderConfigurationError, account: ProviderAccount, place: str) -> str:
    """Return the place of the option or credential that a driver refuses."""
    if exc.field is None or account.driver not in DRIVERS:
        return place
    options = {setting.name for setting in account.driver_class.options} | account.options.keys()
    return f"{place}.{'options' if exc.field in options else 'credentials'}"


def _caller(organization: Organization | None) -> Caller:
    return Caller(organization.pk if organization else 0, AuditEvent.Actor.COMMAND, "apply")


def _digests(key: str) -> list[str]:
    return [digest_of(key, pepper) for pepper in settings.API_KEY_PEPPERS]
