"""The webhook endpoints of a configuration file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from files_app.exceptions import InvalidRequestError
from files_app.models import Organization
from files_app.services.index.callers import Caller
from files_app.services.tenants.configuration_file import ConfigurationFileError
from files_app.services.webhooks import endpoints
from providers.exceptions import ProviderConfigurationError

Entries = Iterable[tuple[str, Mapping[str, Any]]]


def apply_webhooks(
    entries: Entries, organization: Organization, *, caller: Caller, prune: bool, new: dict[str, str]
) -> Iterator[str]:
    """Write an organization's endpoints, and yield what changed in words.

    prune: remove what is not listed. new: gets the secrets that were made, by organization and name.
    Raises ConfigurationFileError.
    """
    kept = []
    for place, entry in entries:
        kept.append(entry["name"])
        try:
            yield from _apply(place, entry, organization, caller, new)
        except InvalidRequestError as exc:
            raise ConfigurationFileError(
                f"{place}.{_NAMES.get(exc.param or '', 'url')}: {exc.message}"
            ) from None
        except ProviderConfigurationError as exc:
            raise ConfigurationFileError(f"{place}.secret: {exc}") from None
    if prune:
        for row in organization.webhook_endpoints.exclude(name__in=kept):
            endpoints.delete_endpoint(row, caller=caller)
            yield f"removed webhook {organization}/{row.name}"


#: What the file calls the services' parameters.
_NAMES = {"kinds": "events", "secret": "secret", "name": "name"}


def _apply(
    place: str, entry: Mapping[str, Any], organization: Organization, caller: Caller, new: dict[str, str]
) -> Iterator[str]:
    full_name = f"{organization}/{entry['name']}"
    values = {name: entry[name] for name in ("url", "kinds", "is_enabled") if name in entry}
    row = organization.webhook_endpoints.filter(name=entry["name"]).first()
    if row is None:
        if "url" not in entry:
            raise ConfigurationFileError(f"{place}.url: is required for a new webhook.")
        secret = entry.get("secret")
        _, plain = endpoints.create_endpoint(
            organization, name=entry["name"], caller=caller, secret=secret, is_operators=True, **values
        )
        if secret is None:
            new[full_name] = plain
        yield f"created webhook {full_name}"
        return
    changed = endpoints.change_endpoint(row, caller=caller, is_operators=True, **values)
    if "secret" in entry and endpoints.replace_secret(row, entry["secret"], caller=caller):
        changed = [*changed, "secret"]
    if changed:
        yield f"changed webhook {full_name}: {', '.join(changed)}"
