"""The test of a connection, step by step."""

from __future__ import annotations

from files_app.services.accounts.drivers import driver_for
from files_app.services.operations.connection_test import check_connection
from tests.files_app.cast import Tenant


def test_a_connection_test_that_is_left_early_leaves_nothing_behind(acme: Tenant) -> None:
    account = acme.accounts["local"]
    driver = driver_for(account)
    before = driver.list_files().files
    steps = check_connection(account, round_trip=True)
    while next(steps).name != "Upload a test file":
        pass
    assert len(driver.list_files().files) == len(before) + 1
    steps.close()  # type: ignore[attr-defined]  # it is a generator
    assert driver.list_files().files == before
