"""What all drivers of a REST collection do alike."""

from __future__ import annotations

import pytest

from providers.base import AccountConfig
from providers.exceptions import InvalidResponseError
from providers.locations import collection_place
from providers.registry import DRIVERS, build_driver, driver_class
from providers.rest_driver import RestDriver
from tests.providers.transport import Answer, FakeTransport

REST_DRIVERS = [name for name in DRIVERS if issubclass(driver_class(name), RestDriver)]
URL_OPTIONS = {"azure-openai": "endpoint"}


def build(name: str, url: str, *answers: Answer, **options: object) -> tuple[RestDriver, FakeTransport]:
    wire = FakeTransport(list(answers))
    given = {URL_OPTIONS.get(name, "base_url"): url, **options}
    if name == "fireworks":
        given = {"account_id": "acme", **given}
    driver = build_driver(name, AccountConfig("the-account", given, {"api_key": "k"}, transport=wire))
    assert isinstance(driver, RestDriver)
    return driver, wire


@pytest.mark.parametrize("name", REST_DRIVERS)
def test_an_account_is_where_its_requests_go(name: str) -> None:
    driver, wire = build(name, "https://Files.Example/team/", Answer({}, 500))
    with pytest.raises(Exception, match="500"):
        driver.delete_file("file-1")
    assert any(place.contains(collection_place(wire.sent[0].url)) for place in driver.location().places)
    assert all(place.path.startswith("/team/") for place in driver.location().places)


@pytest.mark.parametrize(
    ("name", "url", "options"),
    [
        ("together", "https://files.example/v1", {}),
        ("together", "https://files.example/v1/", {}),
        ("gemini", "https://files.example", {"api_version": "v1"}),
        ("fireworks", "https://FILES.example:443/", {}),
        ("azure-openai", "https://files.example/openai/v1", {"api_version": "2024-10-21"}),
    ],
)
def test_spellings_of_one_place_are_one(name: str, url: str, options: dict[str, object]) -> None:
    here = build(name, "https://files.example")[0].location()
    assert build(name, url, **options)[0].location().equal(here)


@pytest.mark.parametrize("name", REST_DRIVERS)
def test_a_retrieve_of_another_file_is_invalid(name: str) -> None:
    other = {"id": "file-2", "name": "files/file-2", "dataset": {"id": "file-2"}}
    driver, _ = build(name, "https://files.example", Answer(other, headers={"x-request-id": "req-1"}))
    with pytest.raises(InvalidResponseError, match="another file") as caught:
        driver.retrieve_file("file-1")
    assert caught.value.request_id == "req-1"


@pytest.mark.parametrize("name", REST_DRIVERS)
def test_a_list_that_is_none_is_invalid(name: str) -> None:
    body = dict.fromkeys(("data", "files", "datasets"))
    driver, _ = build(name, "https://files.example", Answer(body, headers={"x-request-id": "req-1"}))
    with pytest.raises(InvalidResponseError, match="no list of files") as caught:
        driver.list_files()
    assert caught.value.request_id == "req-1"
