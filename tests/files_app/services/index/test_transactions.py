import pytest
from django.db import connection

from files_app.services.index.transactions import durable_with_the_next


def synchronous() -> int:
    """Return how SQLite commits: 1 without a wait for the disk, 2 with one."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous")
        (level,) = cursor.fetchone()
        return int(level)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL commits as it is told")
@pytest.mark.django_db(transaction=True)
def test_a_commit_does_not_wait_for_the_disk_where_that_is_said_and_all_others_do() -> None:
    with durable_with_the_next():
        assert synchronous() == 1
    assert synchronous() == 2
