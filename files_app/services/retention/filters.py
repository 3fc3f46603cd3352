"""Which files of an organization rules and holds are for, by the filters of the API's list, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from django.db.models import Q

from files_app.exceptions import InvalidRequestError
from files_app.models import File, LegalHold, Organization, ProviderAccount
from files_app.models.files import FileQuerySet
from files_app.services.reading.listing import FileFilters
from files_app.services.reading.metadata import metadata_has

_TIMES = {"created_after": "created_at__gt", "created_before": "created_at__lt"}
_WORDS = ("purpose", "status", "filename")


def matching_files(organization: Organization | int, filters: FileFilters) -> FileQuerySet:
    """Return the organization's files that match, in whatever state: also what no list shows.

    Raises InvalidRequestError for a provider account that the organization cannot have files at.
    """
    if filters.provider is None:
        return _matching_anywhere(organization, filters)
    accounts = accounts_named(organization, filters.provider)
    return _matching_anywhere(organization, filters).filter(account__in=accounts)


def held_by(hold: LegalHold) -> FileQuerySet:
    """Return the files that a standing hold is for, in whatever state.

    Of an account that it names, also where that is called something else now: no rename gets out of a hold.
    """
    filters = as_filters(hold.filters)
    files = _matching_anywhere(hold.organization_id, filters)
    if filters.provider is None:
        return files
    named = ProviderAccount.objects.known_to(hold.organization_id).filter(name=filters.provider)
    return files.filter(Q(account__in=named) | Q(account__in=hold.accounts.all()))


def _matching_anywhere(organization: Organization | int, filters: FileFilters) -> FileQuerySet:
    """Return the organization's files that match whatever is asked but the account."""
    files = File.objects.for_organization(organization)
    values = {name: value for name in _WORDS if (value := getattr(filters, name)) is not None}
    for name, lookup in _TIMES.items():
        if (value := getattr(filters, name)) is not None:
            values[lookup] = value
    for key, wanted in filters.metadata.items():
        files = files.filter(metadata_has(key, wanted))
    return files.filter(**values)


def accounts_named(organization: Organization | int, name: str) -> list[ProviderAccount]:
    """Return the accounts of that name, the organization's own and the shared one, also switched off ones.

    Raises InvalidRequestError where there is none.
    """
    found = list(ProviderAccount.objects.known_to(organization).filter(name=name))
    if not found:
        raise InvalidRequestError(f"There is no provider account '{name[:64]}'.", param="provider")
    return found


def as_json(filters: FileFilters) -> dict[str, Any]:
    """Return what the filters ask for, by the names of the API, times in ISO 8601."""
    shown: dict[str, Any] = {}
    for each in fields(filters):
        value = getattr(filters, each.name)
        if value:
            shown[each.name] = value.isoformat() if isinstance(value, datetime) else value
    return {**shown, **({"metadata": dict(filters.metadata)} if filters.metadata else {})}


def as_filters(shown: Mapping[str, Any]) -> FileFilters:
    """Return what `as_json` was made of."""
    times = {name: datetime.fromisoformat(shown[name]) for name in _TIMES if name in shown}
    return FileFilters(**{**shown, **times})


def in_words(shown: Mapping[str, Any]) -> str:
    """Return in words what `as_json` was made of."""
    given = {**shown, **{f"metadata {key}": value for key, value in shown.get("metadata", {}).items()}}
    given.pop("metadata", None)
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in given.items())
