"""The rates that an organization or a key has of its own, instead of those of the settings."""

from __future__ import annotations

from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.db import transaction

from files_app.exceptions import InvalidRequestError
from files_app.models import ApiKey, AuditAction, Organization
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.tenants.keys import forget_cached_keys


def set_rates(row: ApiKey | Organization, rates: Mapping[str, int | None], *, caller: Caller) -> list[str]:
    """Set rates by the names of their columns and return those that changed. Raises InvalidRequestError.

    None: as the settings have it. 0: no limit. Every process knows within five seconds.
    """
    changed = [name for name, value in rates.items() if getattr(row, name) != value]
    for name in changed:
        try:
            setattr(row, name, getattr(type(row), name).field.clean(rates[name], row))
        except ValidationError as exc:
            raise InvalidRequestError(f"{name}: {exc.messages[0]}", param=name) from None
    if changed:
        is_key = isinstance(row, ApiKey)
        with transaction.atomic():
            row.save(update_fields=changed)
            audit.record(
                caller,
                AuditAction.KEY_UPDATE if is_key else AuditAction.ORGANIZATION_UPDATE,
                object_type="api_key" if is_key else "organization",
                object_id=str(row),
                changed=changed,
            )
        forget_cached_keys()
    return changed
