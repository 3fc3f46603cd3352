"""Applies a configuration file: organizations, their keys and provider accounts.

What the file does not mention stays as it is. Everything is checked before anything is written, and all of
it is written in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ProtectedError

from files_app.exceptions import GatewayError
from files_app.models import ApiKey, AuditEvent, Organization, ProviderAccount
from files_app.models.organizations import all_scopes
from files_app.services.accounts import credentials as secrets
from files_app.services.accounts.saving import driver_for, save_account
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.tenants.keys import create_key, digest_of, revoke_key
from providers.exceptions import ProviderConfigurationError
from providers.registry import DRIVERS, driver_class

_TOP_KEYS = {"organizations", "shared_provider_accounts"}
_ORGANIZATION_KEYS = {
    *("name", "active", "quota_bytes", "max_file_bytes", "max_files", "api_keys", "provider_accounts")
}
_KEY_KEYS = {"name", "key", "scopes"}
_ACCOUNT_KEYS = {
    "name",
    "driver",
    "default",
    "enabled",
    "options",
    "credentials",
    "list_freshness",
}


class ConfigurationFileError(Exception):
    """The file cannot be applied; the message begins with the place."""


@dataclass(slots=True)
class Applied:
    """What was changed, in words; and the keys that were made, by organization and name, to be shown once."""

    changes: list[str] = field(default_factory=list)
    new_keys: dict[str, str] = field(default_factory=dict)


class _DryRun(Exception):
    """Rolls a rehearsal back."""


def apply_configuration(text: str, *, prune: bool = False, dry_run: bool = False) -> Applied:
    """Apply a YAML document and return what changed. Raises ConfigurationFileError; then nothing was.

    prune: remove keys and accounts of the organizations that the file mentions, and shared accounts, where
    the file lists that kind but not this one. dry_run: only tell.
    """
    document = _load(text)
    run = _Run(prune)
    try:
        with transaction.atomic():
            run.apply(document)
            if dry_run:
                raise _DryRun
    except _DryRun:
        run.applied.new_keys.clear()
    return run.applied


def _load(text: str) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ConfigurationFileError(f"not valid YAML: {exc}") from None
    return _mapping(document if document is not None else {}, "the file", _TOP_KEYS)


class _Run:
    def __init__(self, prune: bool) -> None:
        self.applied = Applied()
        self._prune = prune

    def apply(self, document: Mapping[str, Any]) -> None:
        entries = _entries(document, "organizations", "organizations")
        for place, entry in entries:
            self._organization(place, _mapping(entry, place, _ORGANIZATION_KEYS))
        if "shared_provider_accounts" in document:
            accounts = _entries(document, "shared_provider_accounts", "shared_provider_accounts")
            self._accounts(None, accounts)

    def _organization(self, place: str, entry: Mapping[str, Any]) -> None:
        name = _text(entry, "name", place)
        organization = Organization.objects.filter(name=name).first()
        is_new = organization is None
        organization = organization or Organization(name=name)
        wanted = {
            column: _value(entry, key, kind, place)
            for key, column, kind in (
                ("quota_bytes", "quota_bytes", int),
                ("max_file_bytes", "max_file_bytes", int),
                ("max_files", "max_files", int),
                ("active", "is_active", bool),
            )
            if key in entry
        }
        changed = _assign(organization, wanted)
        _clean(organization, place)
        if is_new or changed:
            organization.save()
            self._say(f"organization {name}", is_new, changed, organization)
        if "api_keys" in entry:
            self._keys(organization, _entries(entry, "api_keys", f"{place}.api_keys"))
        if "provider_accounts" in entry:
            accounts = _entries(entry, "provider_accounts", f"{place}.provider_accounts")
            self._accounts(organization, accounts)

    def _keys(self, organization: Organization, entries: list[tuple[str, Any]]) -> None:
        names = set()
        for place, raw in entries:
            entry = _mapping(raw, place, _KEY_KEYS)
            names.add(_text(entry, "name", place))
            self._key(organization, place, entry)
        if self._prune:
            for row in organization.api_keys.filter(revoked_at=None).exclude(name__in=names):
                revoke_key(row, caller=_caller(organization))
                self.applied.changes.append(f"revoked API key {organization}/{row.name}")

    def _key(self, organization: Organization, place: str, entry: Mapping[str, Any]) -> None:
        name = entry["name"]
        supplied = _secret(entry["key"], f"{place}.key") if "key" in entry else None
        scopes = sorted(entry.get("scopes") or all_scopes())
        current = organization.api_keys.filter(name=name, revoked_at=None).first()
        if current is not None and (supplied is None or _is_key(current, supplied)):
            if "scopes" in entry and sorted(current.scopes) != scopes:
                current.scopes = scopes
                current.save(update_fields=["scopes"])
                self.applied.changes.append(f"changed API key {organization}/{name}: scopes")
            return
        caller = _caller(organization)
        if current is not None:
            revoke_key(current, caller=caller)
        if supplied is not None and ApiKey.objects.filter(digest__in=_digests(supplied)).exists():
            raise ConfigurationFileError(f"{place}.key: this key is in use elsewhere or was revoked.")
        try:
            row, plain = create_key(
                organization=organization, name=name, caller=caller, key=supplied, scopes=scopes
            )
        except GatewayError as exc:
            raise ConfigurationFileError(f"{place}: {exc.message}") from None
        _clean(row, place)
        self.applied.changes.append(f"{'replaced' if current else 'created'} API key {organization}/{name}")
        if supplied is None:
            self.applied.new_keys[f"{organization}/{name}"] = plain

    def _accounts(self, organization: Organization | None, entries: list[tuple[str, Any]]) -> None:
        names = set()
        for place, raw in entries:
            entry = _mapping(raw, place, _ACCOUNT_KEYS)
            names.add(_text(entry, "name", place))
            self._account(organization, place, entry)
        if self._prune:
            for account in ProviderAccount.objects.filter(organization=organization).exclude(name__in=names):
                self._remove(account)

    def _account(self, organization: Organization | None, place: str, entry: Mapping[str, Any]) -> None:
        name = entry["name"]
        account = ProviderAccount.objects.filter(organization=organization, name=name).first()
        is_new = account is None
        account = account or ProviderAccount(organization=organization, name=name)
        wanted = self._account_values(account, is_new, place, entry)
        if wanted.get("is_default"):
            others = ProviderAccount.objects.filter(organization=organization, is_default=True)
            others.exclude(pk=account.pk).update(is_default=False)
        changed = _assign(account, wanted)
        given = _strings(entry, "credentials", place) if "credentials" in entry else None
        for credential, value in (given or {}).items():
            _secret(value, f"{place}.credentials.{credential}")
        if given is not None and (is_new or given != secrets.unseal(account)):
            changed.append("credentials")
        else:
            given = None
        _clean(account, place)
        try:
            if is_new or changed:
                save_account(account, given)
                self._say(f"provider account {_owner(account)}/{name}", is_new, changed, account)
            else:
                driver_for(account)
        except ProviderConfigurationError as exc:
            raise ConfigurationFileError(f"{place}: {exc}") from None

    def _account_values(
        self, account: ProviderAccount, is_new: bool, place: str, entry: Mapping[str, Any]
    ) -> dict[str, Any]:
        wanted: dict[str, Any] = {}
        if "driver" in entry or is_new:
            wanted["driver"] = _text(entry, "driver", place)
            if wanted["driver"] not in DRIVERS:
                raise ConfigurationFileError(
                    f"{place}.driver: there is no driver '{wanted['driver']}'. "
                    f"Known drivers: {', '.join(sorted(DRIVERS))}."
                )
            if not is_new and wanted["driver"] != account.driver and account.files.exists():
                raise ConfigurationFileError(
                    f"{place}.driver: the account holds files of '{account.driver}'; use another name."
                )
        if "options" in entry:
            wanted["options"] = dict(_mapping(entry["options"] or {}, f"{place}.options"))
            _known_settings(
                wanted["options"], driver_class(wanted.get("driver", account.driver)).options, place
            )
        for key, column, kind in (("default", "is_default", bool), ("enabled", "is_enabled", bool)):
            if key in entry:
                wanted[column] = _value(entry, key, kind, place)
        if "list_freshness" in entry:
            freshness = entry["list_freshness"]
            wanted["list_freshness_seconds"] = (
                None if freshness is None else _value(entry, "list_freshness", int, place)
            )
        return wanted

    def _remove(self, account: ProviderAccount) -> None:
        try:
            account.delete()
        except ProtectedError:
            if account.is_enabled or account.is_default:
                ProviderAccount.objects.filter(pk=account.pk).update(is_enabled=False, is_default=False)
                self.applied.changes.append(
                    f"disabled provider account {_owner(account)}/{account.name}, which still has files"
                )
        else:
            self.applied.changes.append(f"removed provider account {_owner(account)}/{account.name}")

    def _say(self, what: str, is_new: bool, changed: Iterable[str], row: Any) -> None:
        self.applied.changes.append(f"created {what}" if is_new else f"changed {what}: {', '.join(changed)}")
        audit.record(
            Caller(
                organization_id=getattr(row, "organization_id", row.pk) or 0,
                actor_type=AuditEvent.Actor.COMMAND,
                actor="apply",
            ),
            "config.create" if is_new else "config.change",
            object_type=row._meta.model_name,
            object_id=row.name,
            changed=list(changed),
        )


def _owner(account: ProviderAccount) -> str:
    return account.organization.name if account.organization else "shared"


def _caller(organization: Organization) -> Caller:
    return Caller(organization.pk, actor_type=AuditEvent.Actor.COMMAND, actor="apply")


def _digests(key: str) -> list[str]:
    return [digest_of(key, pepper) for pepper in settings.API_KEY_PEPPERS]


def _is_key(row: ApiKey, plain: str) -> bool:
    return row.digest in _digests(plain)


def _assign(row: Any, wanted: Mapping[str, Any]) -> list[str]:
    """Set what differs and return its names."""
    changed = [name for name, value in wanted.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, wanted[name])
    return changed


def _clean(row: Any, place: str) -> None:
    try:
        row.full_clean(validate_constraints=False, validate_unique=False)
    except ValidationError as exc:
        name, problems = next(iter(exc.message_dict.items()))
        raise ConfigurationFileError(f"{place}.{name}: {problems[0]}") from None


def _secret(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationFileError(f"{place}: must be text; write numbers in quotes.")
    try:
        return secrets.resolve(value)
    except ProviderConfigurationError as exc:
        raise ConfigurationFileError(f"{place}: {exc}") from None


def _mapping(value: Any, place: str, known: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationFileError(f"{place}: must be a mapping of names to values.")
    for key in value:
        if known is not None and key not in known:
            raise ConfigurationFileError(
                f"{place}: unknown key '{key}'. Known keys: {', '.join(sorted(known))}."
            )
    return value


def _known_settings(given: Mapping[str, Any], declared: Iterable[Any], place: str) -> None:
    known = {setting.name for setting in declared}
    for name in given:
        if name not in known:
            raise ConfigurationFileError(
                f"{place}.options: unknown option '{name}'. Known options: {', '.join(sorted(known))}."
            )


def _entries(parent: Mapping[str, Any], key: str, place: str) -> list[tuple[str, Any]]:
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ConfigurationFileError(f"{place}: must be a list.")
    return [(f"{place}[{number}]", entry) for number, entry in enumerate(value)]


def _text(entry: Mapping[str, Any], key: str, place: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigurationFileError(f"{place}.{key}: is required and must be text.")
    return value


def _strings(entry: Mapping[str, Any], key: str, place: str) -> dict[str, str]:
    value = _mapping(entry[key] or {}, f"{place}.{key}")
    for name, text in value.items():
        if not isinstance(text, str):
            raise ConfigurationFileError(f"{place}.{key}.{name}: must be text; write numbers in quotes.")
    return dict(value)


def _value(entry: Mapping[str, Any], key: str, kind: type, place: str) -> Any:
    value = entry[key]
    is_wrong_bool = isinstance(value, bool) and kind is not bool
    if not isinstance(value, kind) or is_wrong_bool or (isinstance(value, int) and value < 0):
        words = {int: "a whole number that is not negative", bool: "true or false"}
        raise ConfigurationFileError(f"{place}.{key}: must be {words[kind]}.")
    return value
