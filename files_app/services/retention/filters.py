"""Which files of an organization rules and holds are for, by the filters of the API's list, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from files_app.exceptions import InvalidRequestError
from files_app.models import File, Organization, ProviderAccount
from files_app.models.files import FileQuerySet
from files_app.services.reading.listing import FileFilters
from files_app.services.reading.metadata import metadata_has

_TIMES = {"created_after": "created_at__gt", "created_before": "created_at__lt"}
_WORDS = ("purpose", "status", "filename")


def matching_files(organization: Organization | int, filters: FileFilters) -> FileQuerySet:
    """Return the organization's files that match, in whatever state: also what no list shows.

    Raises InvalidRequestError for a provider account that the organization cannot have files at.
    """
    files = File.objects.for_organization(organization)
    values = {name: value for name in _WORDS if (value := getattr(filters, name)) is not None}
    for name, lookup in _TIMES.items():
        if (value := getattr(filters, name)) is not None:
            values[lookup] = value
    if filters.provider is not None:
        values["account__in"] = _accounts(organization, filters.provider)
    for key, wanted in filters.metadata.items():
        files = files.filter(metadata_has(key, wanted))
    return files.filter(**values)


def _accounts(organization: Organization | int, name: str) -> list[ProviderAccount]:
    """Return the accounts of that name, the organization's own and the shared one, also switched off ones."""
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
