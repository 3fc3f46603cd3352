"""Counts in the database, by its clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import connection, transaction

from files_app.models import RateCount
from files_app.services.tenants.counting.counts import WINDOW_SECONDS, Demand, Standing, standing

_ROWS_AT_ONCE = 500
_NOW_MS = {
    "postgresql": "(extract(epoch FROM statement_timestamp()) * 1000)::bigint",
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
}


class DatabaseCounts:
    """Each count is a short transaction: exact for all processes."""

    def take(self, demands: Sequence[Demand]) -> list[Standing]:
        """Count all demands, or none where one of them is refused; return how each limit stands."""
        with transaction.atomic():
            counted = add({demand.limit.name: demand.amount for demand in demands})
            standings = [_standing(demand, *counted[demand.limit.name]) for demand in demands]
            if any(each.is_refused for each in standings):
                transaction.set_rollback(True)
        return standings


def add(amounts: Mapping[str, int]) -> dict[str, tuple[int, float]]:
    """Count, and return by name what is counted now and for how many seconds the window still goes on.

    The rows are taken in the order of their names: two that add several wait, but never for each other.
    """
    names = sorted(amounts)
    counted: dict[str, tuple[int, float]] = {}
    for start in range(0, len(names), _ROWS_AT_ONCE):
        counted |= _add([(name, amounts[name]) for name in names[start : start + _ROWS_AT_ONCE]])
    return counted


def forget_ended() -> int:
    """Remove the windows that are over and return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {_table()} WHERE ends_at_ms < {_NOW_MS[connection.vendor]}"  # noqa: S608 - the same
        )
        return int(cursor.rowcount)


def _add(amounts: Sequence[tuple[str, int]]) -> dict[str, tuple[int, float]]:
    table, now = _table(), _NOW_MS[connection.vendor]
    row = f"(%s, %s, {now} + {WINDOW_SECONDS * 1000})"
    statement = (
        f"INSERT INTO {table} (name, count, ends_at_ms) VALUES {', '.join([row] * len(amounts))} "  # noqa: S608 - nothing in it is anybody's word
        f"ON CONFLICT (name) DO UPDATE SET "
        f"count = CASE WHEN {table}.ends_at_ms > {now} THEN {table}.count ELSE 0 END + excluded.count, "
        f"ends_at_ms = CASE WHEN {table}.ends_at_ms > {now} THEN {table}.ends_at_ms "
        f"ELSE excluded.ends_at_ms END "
        f"RETURNING name, count, ends_at_ms - {now}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [value for pair in amounts for value in pair])
        return {name: (count, rest_ms / 1000) for name, count, rest_ms in cursor.fetchall()}


def _standing(demand: Demand, counted: int, seconds: float) -> Standing:
    return standing(demand, before=counted - demand.amount, seconds=seconds)


def _table() -> str:
    return connection.ops.quote_name(RateCount._meta.db_table)
