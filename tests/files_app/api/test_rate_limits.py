"""Rates of keys and organizations, as a client sees them."""

from __future__ import annotations

from pytest_django.fixtures import DjangoAssertNumQueries, Settings

from files_app.services.tenants.keys import forget_cached_keys
from tests.files_app.cast import Tenant
from tests.files_app.client import Reply, with_side_effect
from tests.files_app.forms import encode, file_part, purpose_part

NAMES = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")


def test_without_a_rate_nothing_is_counted_and_nothing_told(acme: Tenant) -> None:
    answer = acme.api.get("/usage")
    assert not [name for name in answer.headers if name.lower().startswith("x-ratelimit")]


def test_every_answer_tells_how_the_tighter_rate_stands(acme: Tenant, settings: Settings) -> None:
    settings.REQUESTS_PER_MINUTE, settings.KEY_REQUESTS_PER_MINUTE = 10, 3
    first, missing, last, refused = (
        acme.api.get(path) for path in ("/usage", "/files/file-nothing", "/files", "/files")
    )
    assert [answer.status for answer in (first, missing, last, refused)] == [200, 404, 200, 429]
    left = [answer.headers["x-ratelimit-remaining-requests"] for answer in (first, missing, last, refused)]
    assert left == ["2", "1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in (first, refused)} == {"3"}
    assert refused.error["code"] == "rate_limit_exceeded"
    assert "may send 3 requests a minute" in str(refused.error["message"])
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert acme.client()[0].get("/usage").status == 200


def test_the_keys_of_an_organization_share_its_rate(acme: Tenant, settings: Settings) -> None:
    settings.REQUESTS_PER_MINUTE = 2
    others = acme.client()[0]
    assert [client.get("/usage").status for client in (acme.api, others, acme.api)] == [200, 200, 429]


def test_a_rate_costs_a_request_no_statement(
    acme: Tenant, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    made = acme.api.create(b"content")
    acme.api.get(f"/files/{made['id']}")
    with django_assert_num_queries(1):
        assert acme.api.get(f"/files/{made['id']}").status == 200
    settings.REQUESTS_PER_MINUTE = settings.KEY_BYTES_PER_MINUTE = 1_000
    forget_cached_keys()
    acme.api.get(f"/files/{made['id']}")
    with django_assert_num_queries(1):
        assert "x-ratelimit-limit-requests" in acme.api.get(f"/files/{made['id']}").headers


def test_bytes_count_both_ways_and_a_description_is_free(acme: Tenant, settings: Settings) -> None:
    settings.BYTES_PER_MINUTE = 5_000
    made = acme.api.create(b"x" * 2_000)  # and the form around it
    path = f"/files/{made['id']}/content"
    assert acme.api.get(path).status == 200
    refused = acme.api.get(path)
    assert refused.status == 429
    assert "may transfer 5,000 bytes a minute" in str(refused.error["message"])
    assert acme.api.get(path, headers={"Range": "bytes=0-9"}).status == 206
    assert acme.api.get(f"/files/{made['id']}").status == 200


def test_an_upload_of_unknown_length_counts_when_it_is_through(acme: Tenant, settings: Settings) -> None:
    settings.BYTES_PER_MINUTE = 1_000
    form = encode([purpose_part(), file_part(b"x" * 3_000)])
    assert acme.api.upload_body(form, length=None).status == 200
    assert acme.api.upload(b"x").status == 429


def test_an_organization_has_so_many_uploads_running_with_all_keys(acme: Tenant) -> None:
    acme.set_limits(uploads_at_once=1)
    others = acme.client()[0]
    form = encode([purpose_part(), file_part(b"x" * 500)])
    meanwhile: list[Reply] = []
    body = with_side_effect(form, 200, lambda: meanwhile.append(others.upload()))
    assert acme.api.upload_body(body, length=len(form)).status == 200
    assert meanwhile[0].status == 429
    assert "The organization has as many uploads running as it may (1)" in str(meanwhile[0].error["message"])
    assert others.upload().status == 200
