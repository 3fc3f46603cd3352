"""The retention rules of a configuration file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from files_app.models import Organization, ProviderAccount, RetentionRule
from files_app.services.tenants.configuration_file import ConfigurationFileError

Entries = Iterable[tuple[str, Mapping[str, Any]]]


def apply_entries(
    entries: Entries, organization: Organization | None, account: ProviderAccount | None, *, prune: bool
) -> Iterator[str]:
    """Write the rules for an organization or an account, and yield what changed in words.

    Entries for an organization may name an account that it uses. prune: remove what is not listed.
    Raises ConfigurationFileError.
    """
    rules = RetentionRule.objects.filter(organization=organization)
    kept = []
    for place, entry in entries:
        at = account or _account_of(place, entry, organization)
        if entry.get("purpose") and entry.get("keep_audit_days") is not None:
            raise ConfigurationFileError(f"{place}.keep_audit_days: is said for a whole organization.")
        rule = rules.filter(account=at, purpose=entry.get("purpose", "")).first()
        is_new = rule is None
        rule = rule or RetentionRule(organization=organization, account=at, purpose=entry.get("purpose", ""))
        if rule.pk in kept:
            raise ConfigurationFileError(f"{place}: there is a rule for this purpose and account above.")
        if changed := _assign(rule, entry):
            rule.save()
            yield f"{'created' if is_new else 'changed'} retention rule {rule}: {', '.join(changed)}"
        kept.append(rule.pk)
    if prune:
        # What an account of the organization's own has, its entry lists.
        mine = rules.filter(account__organization=None) if account is None else rules.filter(account=account)
        for rule in mine.exclude(pk__in=kept).select_related("organization", "account"):
            yield f"removed retention rule {rule}"
            rule.delete()


def _account_of(
    place: str, entry: Mapping[str, Any], organization: Organization | None
) -> ProviderAccount | None:
    name = entry.get("account")
    if name is None or organization is None:
        return None
    known = ProviderAccount.objects.known_to(organization).filter(name=name).order_by("organization_id")
    found = sorted(known, key=lambda each: each.is_shared)
    if not found:
        raise ConfigurationFileError(f"{place}.account: there is no provider account '{name}'.")
    if entry.get("keep_audit_days") is not None:
        raise ConfigurationFileError(f"{place}.keep_audit_days: is said for a whole organization.")
    return found[0]


def _assign(rule: RetentionRule, entry: Mapping[str, Any]) -> list[str]:
    """Set the values that differ; a new rule without any is written all the same."""
    names = [name for name in entry if name not in {"account", "purpose"}]
    changed = [name for name in names if getattr(rule, name) != entry[name]]
    for name in changed:
        setattr(rule, name, entry[name])
    return changed or (["nothing yet"] if rule.pk is None else [])
