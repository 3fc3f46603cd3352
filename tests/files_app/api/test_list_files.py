"""GET /files: pages of the index, checked against a model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from files_app.models import File
from providers.local import LocalDriver
from tests.files_app.cast import Tenant, local_account
from tests.files_app.client import Reply
from tests.files_app.forms import expiry_parts, file_part, purpose_part

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
PURPOSES = ("batch", "user_data")

rows_of = st.lists(
    st.fixed_dictionaries(
        {
            "indexed_at": st.integers(0, 3).map(lambda n: NOON + timedelta(microseconds=n)),
            "created_at": st.integers(0, 3).map(lambda n: NOON + timedelta(seconds=n)),
            "purpose": st.sampled_from(PURPOSES),
            "filename": st.sampled_from(("a.txt", "b.txt")),
            "status": st.sampled_from(("processed", "error")),
            "metadata": st.sampled_from(({}, {"team": "x"}, {"team": "y", "a.b'--": "x"})),
            "state": st.sampled_from(("available", "available", "available", "deleting", "deleted", "lost")),
            "expires_at": st.sampled_from((None, None, NOON, datetime(2100, 1, 1, tzinfo=UTC))),
            "account": st.sampled_from(("local", "second")),
            "is_mine": st.booleans(),
        }
    ),
    max_size=10,
)
queries = st.fixed_dictionaries(
    {},
    optional={
        "order": st.sampled_from(("asc", "desc")),
        "purpose": st.sampled_from((*PURPOSES, "vision")),
        "filename": st.sampled_from(("a.txt", "c.txt")),
        "status": st.sampled_from(("processed", "error")),
        "provider": st.sampled_from(("local", "second")),
        "created_after": st.integers(0, 3).map(lambda n: int(NOON.timestamp()) + n),
        "created_before": st.integers(0, 4).map(lambda n: int(NOON.timestamp()) + n),
        "metadata[team]": st.sampled_from(("x", "z")),
        "metadata[a.b'--]": st.just("x"),
    },
)


@pytest.fixture
def pair(acme: Tenant, other: Tenant) -> tuple[Tenant, Tenant]:
    for tenant in (acme, other):
        tenant.accounts["second"] = local_account(tenant.organization, "second")
    return acme, other


def insert(pair: tuple[Tenant, Tenant], rows: list[dict[str, Any]]) -> list[File]:
    File.objects.all().delete()
    for row in rows:
        values = {name: value for name, value in row.items() if name not in {"is_mine", "account"}}
        tenant = pair[0] if row["is_mine"] else pair[1]
        File.objects.create(
            organization=tenant.organization,
            account=tenant.accounts[row["account"]],
            file_id=f"file-{uuid4().hex}",
            **values,
        )
    return list(File.objects.order_by("pk").select_related("account"))


def expected_ids(files: list[File], tenant: Tenant, query: dict[str, Any], after: File | None) -> list[str]:
    """Say what a list without limit shows: the model."""
    is_descending = query.get("order") != "asc"

    def is_shown(file: File) -> bool:
        created = int(file.created_at.timestamp())
        return (
            file.organization_id == tenant.organization.pk
            and file.state == "available"
            and (file.expires_at is None or file.expires_at.year == 2100)
            and query.get("purpose", file.purpose) == file.purpose
            and query.get("filename", file.filename) == file.filename
            and query.get("status", file.status) == file.status
            and query.get("provider", file.account.name) == file.account.name
            and query.get("created_after", created - 1) < created < query.get("created_before", created + 1)
            and all(
                file.metadata.get(name[9:-1]) == value
                for name, value in query.items()
                if name.startswith("metadata[")
            )
        )

    def position(file: File) -> tuple[datetime, int]:
        return file.indexed_at, file.pk

    shown = sorted(filter(is_shown, files), key=position, reverse=is_descending)
    if after is not None:
        here = position(after)
        shown = [f for f in shown if (position(f) < here if is_descending else position(f) > here)]
    return [file.file_id for file in shown]


unhurried = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@unhurried
@given(rows=rows_of, query=queries, limit=st.integers(1, 5))
def test_pages_together_are_the_whole_list(
    pair: tuple[Tenant, Tenant], rows: list[dict[str, Any]], query: dict[str, Any], limit: int
) -> None:
    expected = expected_ids(insert(pair, rows), pair[0], query, None)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = pair[0].api.listed(**query, limit=limit, **cursor)
        ids = [file["id"] for file in page["data"]]
        assert len(ids) <= limit
        assert page["object"] == "list"
        assert page["first_id"] == (ids[0] if ids else None)
        assert page["last_id"] == (ids[-1] if ids else None)
        seen += ids
        assert page["has_more"] is (len(seen) < len(expected))
        if not page["has_more"]:
            break
        cursor = {"after": ids[-1]}
    assert seen == expected


@unhurried
@given(rows=rows_of, order=st.sampled_from(("asc", "desc")), data=st.data())
def test_every_file_that_was_ever_there_is_a_cursor(
    pair: tuple[Tenant, Tenant], rows: list[dict[str, Any]], order: str, data: st.DataObject
) -> None:
    files = insert(pair, rows)
    mine = [file for file in files if file.organization_id == pair[0].organization.pk]
    if not mine:
        return
    cursor = data.draw(st.sampled_from(mine))
    page = pair[0].api.listed(order=order, after=cursor.file_id)
    expected = expected_ids(files, pair[0], {"order": order}, cursor)
    assert [file["id"] for file in page["data"]] == expected


def test_a_list_that_changes_meanwhile_shows_every_lasting_file_once(acme: Tenant) -> None:
    ids = [acme.api.create(str(n).encode())["id"] for n in range(6)]
    first = acme.api.listed(limit=2)
    acme.api.create(b"newer")
    acme.api.delete(f"/files/{first['last_id']}")
    acme.api.delete(f"/files/{ids[3]}")
    rest = acme.api.listed(after=first["last_id"])
    assert [file["id"] for file in first["data"] + rest["data"]] == [ids[n] for n in (5, 4, 2, 1, 0)]


def test_an_empty_list(acme: Tenant) -> None:
    page = acme.api.listed()
    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def test_what_is_listed_is_what_was_answered(acme: Tenant) -> None:
    created = acme.api.create(b"hello", headers={"x-tfy-metadata": '{"a": "b"}'})
    assert acme.api.listed()["data"] == [created]


def test_a_page_is_full_and_there_is_no_more(acme: Tenant) -> None:
    acme.api.create()
    acme.api.create()
    assert acme.api.listed(limit=2)["has_more"] is False
    assert acme.api.listed(limit=1)["has_more"] is True
    assert acme.api.listed(limit=10_000)["has_more"] is False


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "10001"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "1e2"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": "9" * 500}, "limit"),
        ({"order": "up"}, "order"),
        ({"order": "DESC"}, "order"),
        ({"order": ""}, "order"),
        ({"after": ""}, "after"),
        ({"after": "file-unknown"}, "after"),
        ({"after": "a b"}, "after"),
        ({"after": "x" * 5000}, "after"),
        ({"after": "\0"}, "after"),
        ({"after": "' OR 1=1 --"}, "after"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_before": "-1"}, "created_before"),
        ({"created_before": "9" * 12}, "created_before"),
        ({"created_after": "1.5"}, "created_after"),
        ({"before": "file-1"}, "before"),
        ({"page": "2"}, "page"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata[]": "x"}, "metadata[]"),
        ({"metadata[\0]": "x"}, "metadata[\0]"),
        ({"metadata[a]": "\0"}, "metadata[a]"),
        ({"provider": "unknown"}, "x-tfy-provider-name"),
        ({"status": "proccessed"}, "status"),
        ({"status": "deleted"}, "status"),
        ({f"metadata[{number}]": "x" for number in range(17)}, "metadata"),
        ({f"unknown-{number}": "x" for number in range(1_200)}, None),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(
    acme: Tenant, query: dict[str, str], param: str | None
) -> None:
    reply = acme.api.get("/files", query=query)
    assert (reply.status, reply.error["param"]) == (400, param)


def test_an_unknown_status_is_answered_with_those_that_there_are(acme: Tenant) -> None:
    error = acme.api.get("/files", query={"status": "done"}).error
    assert error["message"] == "'status' is one of uploaded, processed, error."


@pytest.mark.parametrize("name", ["limit", "after", "order", "metadata[a]"])
def test_a_parameter_twice_is_refused(acme: Tenant, name: str) -> None:
    reply = acme.api.get("/files", query=[(name, "1"), (name, "2")])
    assert (reply.status, reply.error["param"]) == (400, name)


@pytest.mark.parametrize(
    "query",
    [
        {"metadata[x') OR 1=1 --]": "a"},
        {"metadata[a__startswith]": "a"},
        {"metadata[$.*]": "a"},
        {"metadata[0]": "a"},
        {"purpose": "' OR '1'='1"},
        {"filename": "%"},
    ],
)
def test_filters_are_values_and_not_patterns(acme: Tenant, query: dict[str, str]) -> None:
    acme.api.create(headers={"x-tfy-metadata": '{"abc": "abc", "a": "abc"}'})
    assert acme.api.listed(**query)["data"] == []


@pytest.mark.parametrize("key", ["0", "-1", 'a"b', "a\\b", "a.b", "a->b", "$", "ü", "😀", "%s", "it's", "{}"])
def test_metadata_is_found_whatever_its_key(acme: Tenant, key: str) -> None:
    acme.api.create(headers={"x-tfy-metadata": json.dumps({key: "wanted", "other": "x"})})
    acme.api.create(headers={"x-tfy-metadata": json.dumps({"other": "wanted"})})
    assert len(acme.api.listed(**{f"metadata[{key}]": "wanted"})["data"]) == 1
    assert acme.api.listed(**{f"metadata[{key}]": "x"})["data"] == []


def test_an_empty_filter_is_none(acme: Tenant) -> None:
    acme.api.create()
    query = dict.fromkeys(("limit", "purpose", "filename"), "")
    assert len(acme.api.listed(**query)["data"]) == 1


def test_anothers_cursor_is_an_unknown_one(acme: Tenant, other: Tenant) -> None:
    theirs = other.api.create()["id"]

    def answer(after: str) -> Reply:
        return acme.api.get("/files", query={"after": after})

    foreign, unknown = answer(theirs), answer("file-" + "x" * 26)
    assert foreign.status == unknown.status == 400
    assert foreign.body == unknown.body


def test_another_organization_leaves_no_trace(acme: Tenant, other: Tenant) -> None:
    created = [other.api.create(b"secret", filename="secret.txt")["id"] for _ in range(3)]
    reply = acme.api.get("/files", query={"limit": 1})
    assert reply.json()["data"] == []
    assert not any(file_id.encode() in reply.body for file_id in created)
    assert acme.api.usage()["file_count"] == 0


def test_a_file_in_a_list_is_what_the_upload_answered(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        parts = [purpose_part(), *expiry_parts(), file_part(b"hello", "ü\u2028.txt")]
        metadata = '{"team": "\u00fc\u2028\\u0007"}'.encode().decode("latin-1")
        reply = acme.api.upload(parts=parts, headers={"x-tfy-metadata": metadata})
        assert reply.status == 200, reply.body
        assert acme.api.listed()["data"] == [reply.json()]
        assert reply.body in acme.api.get("/files").body
        assert acme.api.get(f"/files/{reply.json()['id']}").body == reply.body
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.fixture
def two(acme: Tenant) -> Callable[[], Tenant]:
    acme.accounts["second"] = local_account(acme.organization, "second")
    acme.api.create(account="local")
    acme.api.create(account="second")
    return lambda: acme


def test_the_header_lists_one_account_and_no_header_all(two: Callable[[], Tenant]) -> None:
    acme = two()
    assert [file["provider"] for file in acme.api.listed()["data"]] == ["second", "local"]
    for name in ("local", "second"):
        reply = acme.api.get("/files", account=name)
        assert [file["provider"] for file in reply.json()["data"]] == [name]
        assert [file["provider"] for file in acme.api.listed(provider=name)["data"]] == [name]


def test_header_and_filter_must_not_contradict_each_other(two: Callable[[], Tenant]) -> None:
    acme = two()
    assert acme.api.get("/files", account="local", query={"provider": "local"}).status == 200
    reply = acme.api.get("/files", account="local", query={"provider": "second"})
    assert (reply.status, reply.error["param"]) == (400, "provider")


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_a_filter_are_full_while_there_are_more(acme: Tenant, order: str) -> None:
    """SDKs stop at an empty page, whatever `has_more` says."""
    for number in range(40):
        name = "rare.txt" if number % 8 == 5 else "a.txt"
        acme.api.create(f"number {number}".encode(), filename=name)
    seen: list[str] = []
    page = acme.api.listed(filename="rare.txt", limit=2, order=order)
    while True:
        seen += [file["filename"] for file in page["data"]]
        if not page["has_more"]:
            break
        assert len(page["data"]) == 2
        page = acme.api.listed(filename="rare.txt", limit=2, order=order, after=page["last_id"])
    assert seen == ["rare.txt"] * 5


@pytest.mark.parametrize(("hours", "is_believed"), [(-23, True), (23, True), (-25, False), (25, False)])
def test_a_provider_is_believed_times_within_a_day_of_the_upload(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, hours: int, is_believed: bool
) -> None:
    told, told_rightly = datetime.now(UTC) + timedelta(hours=hours), LocalDriver._remote_file

    def told_otherwise(*args: Any, **kwargs: Any) -> Any:
        return replace(told_rightly(*args, **kwargs), created_at=told)

    monkeypatch.setattr(LocalDriver, "_remote_file", told_otherwise)
    created = acme.api.create()["created_at"]
    assert (created == int(told.timestamp())) is is_believed
    assert len(acme.api.listed(created_before=created + 1)["data"]) == 1
    assert len(acme.api.listed(created_after=created - 1)["data"]) == 1
