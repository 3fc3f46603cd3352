"""Times reach SQLite as Django writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection
from django.db.backends.sqlite3 import operations

pytestmark = pytest.mark.skipif("connection.vendor != 'sqlite'")
MOMENT = datetime(2026, 3, 1, 12, 30, 59, 123_456, tzinfo=UTC)


@pytest.mark.parametrize(
    "moment",
    [
        MOMENT,
        MOMENT.replace(microsecond=0),
        MOMENT.replace(microsecond=100_000),
        datetime.max.replace(tzinfo=UTC),
        MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))),
        MOMENT.replace(tzinfo=None),
        None,
    ],
)
def test_a_time_is_written_as_by_django(moment: datetime | None) -> None:
    django = operations.DatabaseOperations(connection).adapt_datetimefield_value(moment)
    assert connection.ops.adapt_datetimefield_value(moment) == django
