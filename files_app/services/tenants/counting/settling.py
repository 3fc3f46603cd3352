"""Counts of each process that are settled in the database, without a statement in any request.

Between two settles a process knows nothing of the others: so much may pass beyond a limit as they all let
through in SETTLE_SECONDS and the time of one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings

from files_app.services.index.rounds import Rounds
from files_app.services.tenants.counting import database
from files_app.services.tenants.counting.counts import Demand, Standing
from files_app.services.tenants.counting.local import LocalCounts


class SettledCounts:
    """Local counts, and the thread that settles them."""

    def __init__(self, local: LocalCounts) -> None:
        self._local = local
        self._rounds = Rounds(
            "rate-limits",
            self.settle,
            seconds=lambda: settings.SETTLE_SECONDS,
            failure="rate_limits_not_settled",
        )

    def take(self, demands: Sequence[Demand]) -> list[Standing]:
        """Count all demands, or none where one of them is refused; return how each limit stands."""
        self._rounds.begin()
        return self._local.take(demands)

    def settle(self) -> None:
        """Tell the other processes what was counted here, and hear what they counted."""
        if untold := self._local.untold():
            counted = database.add({name: each.amount for name, each in untold.items()})
            self._local.learn(untold, counted)
