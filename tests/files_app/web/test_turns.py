"""Turns of requests: whose they are, which take none, and what is said when none comes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace

import pytest
from pytest_django import Settings

from files_app.services.accounts import shares
from files_app.services.accounts.turns import Turn, Turns, take_turn
from files_app.services.index.callers import Caller
from files_app.web import turns as web_turns
from tests.files_app.cast import Tenant
from tests.files_app.client import assert_is_ours

pytestmark = pytest.mark.django_db


@pytest.fixture
def one_turn(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turns]:
    settings.PLACE_WAIT_SECONDS = 0.01
    turns = Turns(1, lent_seconds=1_000)
    monkeypatch.setattr(web_turns, "_turns", lambda: turns)
    yield turns
    assert not turns._working  # whatever a request did, its turn is over


def test_a_request_without_a_turn_is_told_to_come_back_and_probes_take_none(
    acme: Tenant, one_turn: Turns
) -> None:
    held = one_turn.take("others", wait_seconds=1)
    assert held is not None
    refused = acme.api.get("/files")
    assert_is_ours(refused, 503)
    assert refused.error["code"] == "gateway_busy"
    assert refused.headers["Retry-After"] == "1"
    assert replace(acme.api, prefix="").get("/healthz").status == 200
    one_turn.end(held)
    assert acme.api.get("/files").status == 200


def test_requests_count_for_their_organization_once_their_key_was_good(
    acme: Tenant, one_turn: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    take = one_turn.take

    def seen_taking(party: Hashable, *, wait_seconds: float) -> Turn | None:
        seen.append(party)
        return take(party, wait_seconds=wait_seconds)

    monkeypatch.setattr(one_turn, "take", seen_taking)
    web_turns._organizations.clear()
    for _ in range(2):
        assert acme.api.get("/files").status == 200
    assert acme.api.get("/files", headers={"Authorization": "Bearer wrong"}).status == 401
    assert seen == ["strangers", acme.organization.pk, "strangers"]


def test_a_request_that_begins_to_wait_for_a_provider_lets_the_next_one_work(
    acme: Tenant, one_turn: Turns
) -> None:
    assert take_turn(one_turn, acme.organization.pk, wait_seconds=1)
    with shares.take_place(acme.accounts["local"], Caller(acme.organization.pk)):
        assert not one_turn._working
