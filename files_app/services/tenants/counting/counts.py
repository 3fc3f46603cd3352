"""What all places that count have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from files_app.services.index.limits import Limit

WINDOW_SECONDS = 60


class Demand(NamedTuple):
    """So much more of what a limit limits."""

    limit: Limit
    amount: int = 1


class Standing(NamedTuple):
    """What is left of a limit, and in how many seconds all of it is there again."""

    limit: Limit
    left: int
    seconds: float
    is_refused: bool = False


class Counts(Protocol):
    """A place that counts."""

    def take(self, demands: Sequence[Demand]) -> list[Standing]:
        """Count all demands, or none where one of them is refused; return how each limit stands."""


def standing(demand: Demand, *, before: int, seconds: float) -> Standing:
    """Return how a limit stands that had counted `before` in front of the demand.

    A demand above the limit itself has a window of its own: else it could never be served.
    """
    most = demand.limit.most
    if before and before + demand.amount > most:
        return Standing(demand.limit, max(0, most - before), seconds, is_refused=True)
    return Standing(demand.limit, max(0, most - before - demand.amount), seconds)
