"""Rows as they were at most some seconds ago. What this process saves is known to it at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from django.db.models import Model
from django.db.models.signals import post_delete, post_save

from files_app.models import Organization, RetentionRule, WebhookEndpoint
from files_app.models.retention import Rules
from files_app.services.index.rows import Lookup

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: After this a change counts in every process.
SECONDS = 5.0
_MOST: Final = 10_000


class Recent(Generic[K, V]):
    """Remembers what `load` returns for a key; what it raises is not remembered.

    model: whose rows they are. Updates that save no instance say so by `forget`.
    """

    def __init__(self, model: type[Model], load: Callable[[K], V]) -> None:
        self._load = load
        self._found: dict[K, tuple[float, V]] = {}
        for signal in (post_save, post_delete):
            signal.connect(self.forget, sender=model, weak=False)

    def __call__(self, key: K) -> V:
        """Return the row. It is shared by all threads: not for changing it."""
        found = self._found.get(key)
        if found is None or found[0] < time.monotonic():
            if len(self._found) >= _MOST:
                self._found.clear()
            found = self._found[key] = (time.monotonic() + SECONDS, self._load(key))
        return found[1]

    def forget(self, **of_signal: object) -> None:
        """Let the next use of every row ask the database."""
        self._found.clear()


_ORGANIZATION = Lookup(Organization, lambda: Organization.objects.filter(pk=0).order_by(), [0])
_ENDPOINT = Lookup(
    WebhookEndpoint,
    lambda: WebhookEndpoint.objects.filter(organization=0, is_enabled=True).order_by()[:1],
    [0],
)
_RULES = Lookup(RetentionRule, lambda: RetentionRule.objects.of_place(1, 2).order_by(), [1, 2])


def organization_now(pk: int) -> Organization | None:
    """Return an organization as it is now; None where it is gone."""
    return next(iter(_ORGANIZATION(pk)), None)


def _with_webhooks(pk: int) -> Organization:
    if (organization := organization_now(pk)) is None:
        raise Organization.DoesNotExist
    vars(organization)["has_webhooks"] = bool(_ENDPOINT(pk))
    return organization


#: An organization by its primary key, for its limits and whether it has webhooks: its counters are those of
#: then.
recent_organization: Final[Recent[int, Organization]] = Recent(Organization, _with_webhooks)
for _signal in (post_save, post_delete):
    _signal.connect(recent_organization.forget, sender=WebhookEndpoint, weak=False)

#: The retention rules for an organization's files at an account, by the primary keys of both.
recent_rules: Final[Recent[tuple[int, int], Rules]] = Recent(RetentionRule, lambda pair: Rules(_RULES(*pair)))
