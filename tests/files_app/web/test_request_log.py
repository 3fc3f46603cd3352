"""One line, one count and one id for each request."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from prometheus_client import REGISTRY
from pytest_django.fixtures import Settings

from files_app.observability import logs
from tests.files_app.cast import Tenant

# The end of a request looks at the database's connection, if an earlier test has opened it.
pytestmark = [pytest.mark.urls("tests.files_app.web.urls"), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def json_logs(restored_logging: None) -> None:
    logs.configure({"format": "json", "level": "INFO"})


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_line_says_what_happened(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.get("/plain/report.pdf?token=secret")
    (line,) = lines(capsys)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert re.fullmatch("req_[0-9a-f]{32}", line["request_id"])
    assert (line["method"], line["path"], line["status"]) == ("GET", "/plain/report.pdf", 200)
    assert (line["bytes_in"], line["bytes_out"], line["outcome"]) == (7, 5, "complete")
    assert (line["provider"], line["file_id"]) == ("openai-main", "file-1")
    assert "secret" not in json.dumps(line)


def test_a_long_path_is_cut(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    client.get("/plain/" + "x" * 60_000)
    assert len(lines(capsys)[-1]["path"]) == 2_048


OWN_FORMATS = (
    "acme-production-key-0123456789abcdef",
    "correct horse battery staple, four words of it",
    "b7c0f1de-11aa-4c7e-9d0f-0123456789ab",
    "Zm9vYmFyMDEyMzQ1Njc4/QUJDREVGR0hJSktMTU5PUA==",
)


@pytest.mark.parametrize("key", OWN_FORMATS)
@pytest.mark.parametrize("path", ["/v1/files/{}", "/{}/v1/files", "/nothing/{}/content"])
def test_a_key_of_an_operators_own_format_is_masked(
    client: Client, capsys: pytest.CaptureFixture[str], key: str, path: str
) -> None:
    client.get(path.format(quote(key)))
    (line,) = lines(capsys)
    assert line["status"] == 404
    assert "[redacted]" in line["path"]
    assert not any(piece in line["path"] for piece in key.split("/"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/files/file-2tprfzadnjxs5admuc5gky4yr6", 404),
        ("/v1/files/file-Zm9vYmFyMDEyMzQ1Njc4Zm9vYmFyMDEyMzQ1Njc4/content", 404),
        ("/wp-admin/setup-config.php", 404),
        ("/plain/b7c0f1de-11aa-4c7e-9d0f-0123456789ab", 200),
    ],
)
def test_ids_and_words_stay_in_the_path(
    client: Client, capsys: pytest.CaptureFixture[str], path: str, status: int
) -> None:
    client.get(path)
    (line,) = lines(capsys)
    assert (line["path"], line["status"]) == (path, status)


def test_a_client_cannot_choose_our_id(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.get(
        "/plain/x", headers={"x-request-id": "req_mine", "x-client-request-id": "theirs\x1b" + "x" * 500}
    )
    (line,) = lines(capsys)
    assert answer.headers["x-request-id"] == line["request_id"] != "req_mine"
    assert line["client_request_id"] == "theirs?" + "x" * 121


def test_a_streamed_answer_is_counted_when_it_is_closed(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = client.get("/stream")
    assert lines(capsys) == []
    body = b"".join(answer.streaming_content)  # type: ignore[arg-type]
    answer.close()
    between, line = lines(capsys)
    assert body == b"1234567"
    assert (line["bytes_out"], line["outcome"]) == (7, "complete")
    assert between["request_id"] == line["request_id"] == answer.headers["x-request-id"]


def test_a_client_that_goes_away_is_seen(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.get("/stream")
    next(iter(answer.streaming_content))  # type: ignore[call-overload]
    answer.close()
    line = lines(capsys)[-1]
    assert (line["bytes_out"], line["outcome"]) == (3, "aborted")


def test_an_answer_that_breaks_off_is_seen(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.get("/failing")
    with pytest.raises(ConnectionError):
        b"".join(answer.streaming_content)  # type: ignore[arg-type]
    answer.close()
    assert lines(capsys)[-1]["outcome"] == "failed"


def test_a_passing_probe_is_silent(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    assert lines(capsys) == []


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_requests_and_bytes_are_counted_by_route(client: Client) -> None:
    labels = {"route": "plain", "method": "GET", "status": "200"}
    account = {"driver": "openai", "provider": "openai-main"}
    requests = sample("files_gateway_requests_total", **labels)
    sent = sample("files_gateway_bytes_total", direction="out", **account)
    received = sample("files_gateway_bytes_total", direction="in", **account)
    client.get("/plain/a")
    client.get("/plain/b")
    assert sample("files_gateway_requests_total", **labels) == requests + 2
    assert sample("files_gateway_bytes_total", direction="out", **account) == sent + 10
    assert sample("files_gateway_bytes_total", direction="in", **account) == received + 14


def test_every_route_has_a_name() -> None:
    def names(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[tuple[str, str | None]]:
        for each in patterns:
            if isinstance(each, URLResolver):
                yield from names(each.url_patterns)
            else:
                yield str(each.pattern), each.name

    resolver = get_resolver("gateway.urls")
    nameless = {route for route, name in names(resolver.url_patterns) if not name}
    assert nameless == {"<path:object_id>/", "(?P<url>.*)$"}  # Django's own, which lead to nothing of ours


@pytest.mark.urls("gateway.urls")
def test_the_line_of_a_refusal_tells_what_the_client_was_told(
    acme: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    file = acme.api.create()
    capsys.readouterr()
    acme.api.get(f"/files/{file['id']}")
    acme.api.get("/files/file-nobody-has")
    found, missing = (line for line in lines(capsys) if line["event"] == "request")
    assert (found["file_id"], found["organization"], found["caller"]) == (file["id"], "acme", "main")
    assert "code" not in found
    assert (missing["status"], missing["organization"]) == (404, "acme")
    assert (missing["code"], missing["message"]) == (
        "invalid_request_error",
        "No such File object: file-nobody-has",
    )


@pytest.mark.parametrize("key", OWN_FORMATS)
@pytest.mark.urls("gateway.urls")
def test_a_key_in_the_place_of_an_id_is_not_in_the_message(
    acme: Tenant, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    acme.api.get(f"/files/{quote(key, safe='')}")
    (line,) = (line for line in lines(capsys) if line["event"] == "request")
    assert line["status"] in {400, 404}
    assert line["message"]
    assert key[:16] not in line["message"] and key[-16:] not in line["message"]


@pytest.mark.urls("gateway.urls")
def test_the_line_of_a_page_names_the_person(capsys: pytest.CaptureFixture[str]) -> None:
    browser = Client()
    browser.force_login(User.objects.create_superuser("ada"))
    browser.get("/admin/files_app/file/")
    (line,) = (line for line in lines(capsys) if line["event"] == "request")
    assert line["user"] == "ada"


def test_an_unknown_method_and_route_make_no_new_series(client: Client) -> None:
    labels = {"route": "plain", "method": "OTHER", "status": "200"}
    before = sample("files_gateway_requests_total", **labels)
    client.generic("BREW", "/plain/a")
    assert sample("files_gateway_requests_total", **labels) == before + 1


def test_small_answers_have_a_length(client: Client) -> None:
    assert client.get("/plain/a").headers["Content-Length"] == "5"


def test_a_proxy_that_names_nobody_is_logged(
    client: Client, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.PROXY_COUNT = 1
    client.get("/plain/a", headers={"x-forwarded-for": "198.51.100.1"})
    warning, line = lines(capsys)
    assert (warning["event"], warning["header"]) == ("client_address_missing", "Forwarded")
    assert line["remote_addr"] == "127.0.0.1"
    client.get("/plain/a", headers={"forwarded": "for=203.0.113.9"})
    assert lines(capsys)[-1]["remote_addr"] == "203.0.113.9"
    client.get("/healthz")  # asked by whoever balances the load, without a proxy
    assert lines(capsys) == []
