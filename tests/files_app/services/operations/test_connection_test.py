"""The test of a connection, step by step."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from files_app.services.accounts.drivers import driver_for
from files_app.services.operations.connection_test import check_connection
from providers import patience
from providers.transports.proxies import Proxies
from tests.authority import Authority
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, make_account, openai_account
from tests.providers.proxies import Answered, Asked, store_proxy
from tests.providers.stores import BUCKETS, Moto
from tests.relays import ForwardProxy, Relay


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


def refuse_tags(asked: Asked) -> Answered | None:
    return Answered.xml(501, "NotImplemented") if asked.query == "tagging" else None


def test_a_connection_test_names_what_the_store_lacks(acme: Tenant, moto_server: Moto) -> None:
    with store_proxy(refuse_tags, moto_server.endpoint_url) as proxy:
        options = {"bucket": BUCKETS[0], "region": "us-east-1", "endpoint_url": proxy.url}
        keys = {"access_key_id": "a", "secret_access_key": "s"}
        account = make_account(acme.organization, "r2", "bedrock", options=options, credentials=keys)
        steps = {step.name: step for step in check_connection(account, round_trip=True)}
    assert all(step.ok for step in steps.values())
    assert steps["Ask what the store lacks"].detail.startswith("it works without: tags (refused with 501): ")
    assert steps["Delete it"].detail == "nothing is left behind"


def test_accounts_use_the_authorities_and_the_proxy_of_the_settings(
    acme: Tenant, fake: FakeProvider, settings: Settings, tmp_path: Path
) -> None:
    authority, url = Authority(tmp_path), urlsplit(fake.url("openai"))
    with (
        Relay(url.port or 0, tls=authority.server_context("provider.example")) as relay,
        ForwardProxy({"provider.example": relay.port}) as proxy,
    ):
        account = openai_account(acme.organization, fake, base_url=f"https://provider.example{url.path}")
        settings.PROVIDER_PROXIES = Proxies(https=proxy.url)
        assert "CA_BUNDLE" in [*check_connection(account)][-1].detail
        settings.CA_BUNDLE = str(authority.bundle)
        steps = list(check_connection(account, round_trip=True))
    assert all(step.ok for step in steps)
    assert "through the proxy" in steps[1].detail


def test_an_endpoint_may_be_an_address_of_ipv6(acme: Tenant, fake: FakeProvider) -> None:
    url = urlsplit(fake.url("openai"))
    with Relay(url.port or 0, host="::1") as relay:
        account = openai_account(acme.organization, fake, base_url=f"http://[::1]:{relay.port}{url.path}")
        steps = list(check_connection(account, round_trip=True))
    assert [step.detail for step in steps if not step.ok] == []
    assert steps[1].detail.startswith("::1 (::1) port")


def test_a_provider_that_shows_its_files_late_passes(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.001)
    for method in ("GET", "DELETE"):
        fake.script({"method": method, "path": "/files/.+", "times": 2}, behaviours.fail(404))
    steps = list(check_connection(remote.accounts["openai"], round_trip=True))
    assert [step.name for step in steps if not step.ok] == []
    assert (fake.unused_behaviours(), fake.store("openai")) == (0, [])
