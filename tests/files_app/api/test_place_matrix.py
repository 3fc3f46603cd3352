"""Every spelling of a place x every driver that can speak there x every kind of file x every way to it.

Another organization knows the ids of acme's files and makes accounts that lead to acme's provider, in each
way that was thought of. It must see, read and delete nothing, whatever the address looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle

import pytest
from pytest_django import DjangoDbBlocker

from files_app.models import ProviderAccount
from files_app.services.upstream.sync import sync_account
from tests.fake_provider import VALID_KEY, FakeProvider
from tests.files_app.cast import Tenant, make_account, make_tenant
from tests.files_app.rows import kept

HOSTS = (
    *("127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.1", "127.0.1", "2130706433", "0x7f000001"),
    *("0177.0.0.1", "0x7f.0.0.1", "0.0.0.0", "0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),  # noqa: S104
)
#: Of `/openai`, where the fake has OpenAI's API.
PATHS = ("/openai/v1", "/openai/v1/", "/./openai/v1", "/x/../openai/v1", "/openai/%76%31", "/%6fpenai/v1")
#: Drivers that speak OpenAI's protocol, or near enough to list and delete.
FAMILY = ("openai", "openai-compatible", "xai", "groq", "mistral", "deepinfra", "cerebras")


#: Driver and options.
Spelling = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Home:
    """Where acme's files are: its driver, the fake's dialect, and what others can call it."""

    driver: str
    dialect: str
    options: dict[str, str]
    spellings: tuple[Spelling, ...]


def homes(fake: FakeProvider) -> Iterator[Home]:
    """Yield each home, its spellings with the drivers in turn: that a driver makes no difference to the place
    of a URL is shown for all pairs in `tests/providers/test_locations.py`.
    """
    roots = [f"http://{host}:{fake.port}" for host in HOSTS]
    names = cycle(FAMILY)

    def family(urls: Iterable[str]) -> list[Spelling]:
        return [(driver, {"base_url": url}) for url in urls for driver in (next(names), next(names))]

    spelled = family(f"{root}/openai/v1" for root in roots) + family(fake.root + path for path in PATHS)
    spelled += [("together", {"base_url": f"{root}/openai"}) for root in roots[::4]]
    spelled += [("azure-openai", {"endpoint": root}) for root in roots[::4]]
    yield Home("openai", "openai", {"base_url": fake.url("openai")}, tuple(spelled))

    azure: list[Spelling] = [("azure-openai", {"endpoint": f"{root}/azure"}) for root in roots[::2]]
    for root in roots[1::2]:
        options = {"base_url": f"{root}/azure/openai/v1", "api_key_header": "api-key"}
        azure.append(("openai-compatible", options))
    yield Home("azure-openai", "azure_v1", {"endpoint": f"{fake.root}/azure"}, tuple(azure))

    together: list[Spelling] = [("together", {"base_url": f"{root}/together"}) for root in roots[::2]]
    together += [("together", {"base_url": f"{root}/together/v1"}) for root in roots[1::4]]
    together += family(f"{root}/together/v1" for root in roots[::4])
    yield Home("together", "together", {"base_url": fake.url("together")}, tuple(together))


@dataclass
class World:
    """Organizations, and by home: acme's file ids (uploaded, made outside, adopted), and the intruders."""

    acme: Tenant
    other: Tenant
    fake: FakeProvider
    files: dict[str, tuple[str, str, str]]
    intruders: dict[str, list[ProviderAccount]]


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with FakeProvider() as fake, kept(django_db_blocker):
        world = World(make_tenant("acme"), make_tenant("other"), fake, {}, {})
        for home in homes(fake):
            settle(world, home)
        yield world


def settle(world: World, home: Home) -> None:
    fields = {"credentials": {"api_key": VALID_KEY}, "list_freshness_seconds": None}
    name = home.dialect
    mine = make_account(world.acme.organization, name, home.driver, options=home.options, **fields)
    line = b'{"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {}}'
    uploaded = world.acme.api.create(line, "batch", "in.jsonl", account=name)["id"]
    planted = {"filename": "out.jsonl", "content": b"made outside", "created_at": 1_700_000_000}
    adopted = world.fake.add_file(home.dialect, **planted).remote_id
    sync_account(mine)
    assert world.acme.api.get(f"/files/{adopted}", account=name).status == 200
    outside = world.fake.add_file(home.dialect, **planted).remote_id
    world.files[name] = (uploaded, outside, adopted)
    world.intruders[name] = [
        make_account(world.other.organization, f"{name}-{number}", driver, options=options, **fields)
        for number, (driver, options) in enumerate(home.spellings)
    ]


def breaches(world: World, account: ProviderAccount, file_ids: tuple[str, ...]) -> Iterator[str]:
    """Yield what an intruder gets to see."""
    api, words = world.other.api, f"{account.driver} at {account.options}"
    ProviderAccount.objects.filter(pk=account.pk).update(list_freshness_seconds=0)
    listed = {file["id"] for file in api.get("/files", account=account.name).json()["data"]}
    for file_id in file_ids:
        if file_id in listed:
            yield f"list {words}"
        for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            status = api.request(method, f"/files/{file_id}{path}", account=account.name).status
            if status != 404:
                yield f"{method} {path} {status} {words}"


@pytest.mark.parametrize("home", ["openai", "azure_v1", "together"])
def test_no_spelling_opens_anothers_files(world: World, db: None, home: str) -> None:
    held = [file.remote_id for file in world.fake.store(home)]
    found = [
        breach for account in world.intruders[home] for breach in breaches(world, account, world.files[home])
    ]
    assert found == []
    assert [file.remote_id for file in world.fake.store(home)] == held
    for file_id in world.files[home]:
        assert world.acme.api.get(f"/files/{file_id}", account=home).status in {200, 404}
    assert world.acme.api.get(f"/files/{world.files[home][0]}", account=home).status == 200
