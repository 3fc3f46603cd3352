"""What people see in a browser instead of an error of the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from files_app.admin import dashboard

pytestmark = pytest.mark.django_db
HTML = {"Accept": "text/html,*/*"}
LAN = {"HTTP_HOST": "box.lan:8000"}


@pytest.fixture
def reachable(settings: Any) -> Any:
    """A gateway that others reach by a name of the network, so that its cookies want TLS."""
    settings.HAS_TLS = True
    settings.ALLOWED_HOSTS = ["box.lan", "testserver"]
    return settings


@pytest.fixture
def browser(client: Client) -> Client:
    """A browser that is signed in and has a role for nothing."""
    client.force_login(User.objects.create_user("guest", password="correct-horse", is_staff=True))
    client.raise_request_exception = False
    return client


def page(reply: Any, status: int) -> str:
    text = str(reply.content.decode())
    assert (reply.status_code, "files_app/home.css" in text) == (status, True)
    assert "Files Gateway" in text
    return text


@pytest.mark.parametrize("path", ["/admin/", "/", "/docs"])
def test_a_name_that_is_not_served_says_how_to_serve_it(client: Client, path: str) -> None:
    text = page(client.get(path, headers=HTML, **LAN), 400)
    assert "ALLOWED_HOSTS=localhost,127.0.0.1,box.lan" in text


def test_a_hostile_name_is_not_repeated(client: Client) -> None:
    text = page(client.get("/admin/", headers=HTML, HTTP_HOST="<b>evil</b>"), 400)
    assert "evil" not in text


def test_the_page_of_a_refused_name_has_its_looks(client: Client) -> None:
    style = client.get("/static/files_app/home.css", **LAN)
    assert style.status_code == 200
    style.close()
    assert client.get("/", headers={"Accept": "application/json"}, **LAN).json()["error"]["param"] == "Host"


def test_signing_in_without_tls_says_what_to_do(client: Client, reachable: Any) -> None:
    for reply in (client.get("/admin/login/", **LAN), client.post("/admin/login/", **LAN)):
        text = page(reply, 403)
        assert "BEHIND_TLS_PROXY=true" in text
        assert "ssh -N -L 8000:127.0.0.1:8000 box.lan" in text


def test_where_signing_in_works_the_form_is_shown(client: Client, reachable: Any) -> None:
    reachable.ALLOWED_HOSTS = ["localhost", "box.lan"]
    assert client.get("/admin/login/", HTTP_HOST="localhost:8000").status_code == 200  # through a tunnel
    assert client.get("/admin/login/", secure=True, HTTP_HOST="box.lan").status_code == 200
    reachable.CSRF_TRUSTED_ORIGINS = ["https://box.lan"]
    assert client.get("/admin/login/", **LAN).status_code == 200


def test_a_proxy_that_keeps_its_tls_to_itself_is_named() -> None:
    client = Client(enforce_csrf_checks=True)
    reply = client.post("/admin/login/", headers={"Origin": "https://testserver"})
    assert "X-Forwarded-Proto" in page(reply, 403)


def test_a_form_that_is_out_of_date_says_so() -> None:
    assert "out of date" in page(Client(enforce_csrf_checks=True).post("/admin/login/"), 403)


def test_refusals_have_the_products_face(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "your role" in page(browser.get("/admin/system/"), 403)
    assert "no such page" in page(browser.get("/admin/nothing/here/"), 404)

    def fail(request: object) -> None:
        raise RuntimeError("secret-of-the-source")

    monkeypatch.setattr(dashboard, "overview_page", fail)
    reply = browser.get("/admin/")
    text = page(reply, 500)
    assert reply.headers["x-request-id"] in text
    assert "secret-of-the-source" not in text
