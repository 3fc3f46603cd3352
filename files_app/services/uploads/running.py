"""How many uploads run in all processes: each has a row in the index, and a lease that it renews."""

from __future__ import annotations

from files_app.models import File
from files_app.models.files import FileQuerySet
from files_app.services.index.callers import Caller
from files_app.services.index.statements import Statement, of
from files_app.services.tenants.throttle import no_place


def require_place(caller: Caller) -> None:
    """Raise NoPlaceError where the caller's key or organization has as many uploads running as it may.

    Inside the transaction that begins one, behind what locks the organization's row: so parallel ones count
    one after the other.
    """
    for limit in caller.limits.uploads_at_once:
        uploads = _OF_KEY if limit.holder == "key" else _OF_ORGANIZATION
        [running] = uploads.row(organization_id=caller.organization_id, api_key_id=caller.api_key_id)
        if running >= limit.most:
            raise no_place(limit.holder, limit.most)


def _running() -> FileQuerySet:
    return File.objects.running().for_organization(of(File, "organization_id"))


_OF_ORGANIZATION = Statement(lambda: _running().count())
_OF_KEY = Statement(lambda: _running().filter(api_key_id=of(File, "api_key_id")).count())
