"""How many uploads run in all processes: each has a row in the index, and a lease that it renews."""

from __future__ import annotations

from collections.abc import Sequence

from files_app.models import File
from files_app.models.files import FileQuerySet
from files_app.services.index.all_or_nothing import Below
from files_app.services.index.callers import Caller
from files_app.services.index.statements import Outcome, Run, Statement, of
from files_app.services.tenants.throttle import no_place


def running_uploads(caller: Caller) -> list[Run]:
    """Return the questions how many uploads run, one for each of the caller's limits.

    To be asked in the transaction that begins one, behind what locks the organization's row: so parallel ones
    count one after the other.
    """
    values = {"organization_id": caller.organization_id, "api_key_id": caller.api_key_id}
    limits = caller.limits.uploads_at_once
    return [
        (_OF_KEY if limit.holder == "key" else _OF_ORGANIZATION).with_values(**values) for limit in limits
    ]


def room_for_one_more(caller: Caller) -> list[Below]:
    """Return the same as conditions of `all_or_nothing`."""
    counts = zip(running_uploads(caller), caller.limits.uploads_at_once, strict=True)
    return [Below(count, limit.most) for count, limit in counts]


def require_place(caller: Caller, running: Sequence[Outcome]) -> None:
    """Raise NoPlaceError where the caller's key or organization has as many uploads running as it may."""
    for limit, counted in zip(caller.limits.uploads_at_once, running, strict=True):
        if counted.row[0] >= limit.most:
            raise no_place(limit.holder, limit.most)


def _running() -> FileQuerySet:
    return File.objects.running().for_organization(of(File, "organization_id"))


_OF_ORGANIZATION = Statement(lambda: _running().count())
_OF_KEY = Statement(lambda: _running().filter(api_key_id=of(File, "api_key_id")).count())
