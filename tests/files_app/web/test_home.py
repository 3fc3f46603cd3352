"""The addresses that people type."""

from __future__ import annotations

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def test_the_bare_address_shows_people_where_everything_is(client: Client) -> None:
    page = client.get("/", headers={"Accept": BROWSER})
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for place in (
        "http://testserver/v1",
        'href="/docs"',
        'href="/openapi.json"',
        'href="/admin/"',
        "/readyz",
    ):
        assert place in page.content.decode()


@pytest.mark.parametrize("accept", ["*/*", "", "application/json"])
def test_the_bare_address_tells_programs_where_everything_is(client: Client, accept: str) -> None:
    answer = client.get("/", headers={"Accept": accept})
    assert answer.json() == {
        "name": "Files Gateway",
        "api": "/v1",
        "docs": "/docs",
        "openapi": "/openapi.json",
        "admin": "/admin/",
        "health": "/readyz",
    }
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    ("path", "place"),
    [("/admin", "/admin/"), ("/docs/", "/docs"), ("/favicon.ico", "/static/files_app/icon.svg")],
)
def test_what_people_type_leads_where_they_mean(client: Client, path: str, place: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, place)
    assert client.post(path).status_code == client.post("/").status_code == 405
    found = client.get(place, follow=True)
    found.close()
    assert found.status_code == 200
