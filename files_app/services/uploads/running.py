"""How many uploads run in all processes: each has a row in the index, and a lease that it renews."""

from __future__ import annotations

from functools import cache

from files_app.models import File
from files_app.services.index.callers import Caller
from files_app.services.index.statements import Statement, compiled, of
from files_app.services.tenants.throttle import no_place


def require_place(caller: Caller) -> None:
    """Raise NoPlaceError where the caller's key or organization has as many uploads running as it may.

    Inside the transaction that begins one, behind what locks the organization's row: so parallel ones count
    one after the other.
    """
    for limit in caller.limits.uploads_at_once:
        values = {"organization_id": caller.organization_id, "api_key_id": caller.api_key_id}
        [running] = _running(of_key=limit.holder == "key").row(**values)
        if running >= limit.most:
            raise no_place(limit.holder, limit.most)


@cache
def _running(*, of_key: bool) -> Statement:
    uploads = File.objects.running().for_organization(of(File, "organization_id"))
    if of_key:
        uploads = uploads.filter(api_key_id=of(File, "api_key_id"))
    return compiled(uploads.count)
