"""Shares of a process's threads: who gets how many, and that each is given back."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from pytest_django import Settings

from files_app.exceptions import OverloadedError
from files_app.services.accounts import shares
from files_app.services.accounts.shares import take_place
from files_app.services.index.callers import Caller
from tests.files_app.cast import Tenant, local_account
from tests.files_app.client import assert_is_ours
from tests.files_app.forms import Feed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def sixteen(settings: Settings) -> None:
    settings.WEB_THREADS = 16


def fill(tenant: Tenant, *, keys: int = 1, accounts: int = 1) -> int:
    """Return how many places the tenant's keys get together, over so many accounts; give them back."""
    rows = [local_account(tenant.organization, f"disk-{number}") for number in range(accounts)]
    taken = 0
    with ExitStack() as places:
        for number in range(40):
            caller = Caller(tenant.organization.pk, api_key_id=number % keys)
            try:
                places.enter_context(take_place(rows[number // keys % accounts], caller))
            except OverloadedError:
                return taken
            taken += 1
    raise AssertionError("nobody was refused")


def test_a_key_gets_a_quarter_an_account_too_and_an_organization_half(acme: Tenant) -> None:
    assert fill(acme, keys=1, accounts=4) == 4
    acme.organization.provider_accounts.all().delete()
    assert fill(acme, keys=4, accounts=1) == 4
    acme.organization.provider_accounts.all().delete()
    assert fill(acme, keys=4, accounts=4) == 8
    assert shares.held_places() == 0


def test_all_transfers_leave_a_quarter_of_the_threads(acme: Tenant) -> None:
    account = acme.accounts["local"]
    with ExitStack() as places:
        for number in range(12):
            account.pk = number
            places.enter_context(take_place(account, Caller(number, api_key_id=number)))
        account.pk = 12
        with pytest.raises(OverloadedError, match="gateway"):
            take_place(account, Caller(12, api_key_id=12))
    assert shares.held_places() == 0


def test_a_transfer_gives_its_place_back_however_it_ends(acme: Tenant) -> None:
    file_id = acme.api.create()["id"]
    with acme.api.open("GET", f"/files/{file_id}/content") as reply:
        next(reply.chunks)
        assert shares.held_places() == 1
    assert shares.held_places() == 0
    assert acme.api.get(f"/files/{file_id}/content").status == 200
    assert shares.held_places() == 0


def test_a_refusal_reads_nothing_of_the_body_and_asks_nobody(acme: Tenant, settings: Settings) -> None:
    settings.WEB_THREADS = 4
    with take_place(acme.accounts["local"], Caller(acme.organization.pk, api_key_id=acme.key.pk)):
        feed = Feed(iter([b"never read"]))
        reply = acme.api.upload_body(b"", feed=feed, length=10_000)
    assert_is_ours(reply, 503)
    assert (reply.error["code"], feed.taken) == ("gateway_busy", 0)
    assert 2 <= int(reply.headers["Retry-After"]) <= 5
    assert acme.api.upload().status == 200
