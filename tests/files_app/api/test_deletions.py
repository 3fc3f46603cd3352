"""`POST /v1/files/deletions`: all of the caller's files that match, and nobody else's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from files_app.models import File, FileJob
from files_app.services.bulk.work import work_due
from tests.files_app.cast import Tenant, counters
from tests.files_app.client import Reply

BOB, EVE = {"x-tfy-metadata": '{"user": "bob"}'}, {"x-tfy-metadata": '{"user": "eve"}'}


def post(tenant: Tenant, body: Any, **headers: str) -> Reply:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {"Content-Type": "application/json", **headers}
    return tenant.api.post("/files/deletions", body=[text], headers=kind)


def of_bob(**more: Any) -> dict[str, Any]:
    return {"filter": {"metadata": {"user": "bob"}}, **more}


@pytest.fixture
def stored(acme: Tenant, other: Tenant) -> list[str]:
    """Bob's files, one of whose names is the id of nobody's; Eve's stay, and another organization's Bob's."""
    acme.api.create(b"of eve", headers=EVE)
    other.api.create(b"of another bob", headers=BOB)
    return [acme.api.create(b"of bob" * (each + 1), headers=BOB)["id"] for each in range(3)]


def test_all_files_of_a_person_go_and_no_others(acme: Tenant, other: Tenant, stored: list[str]) -> None:
    made = post(acme, of_bob()).json()
    assert made["counts"] | {"files": 3, "bytes": 36, "waiting": 3} == made["counts"]
    assert (made["object"], made["status"], made["filter"]) == (
        "file.deletion_job",
        "queued",
        {"metadata": {"user": "bob"}},
    )
    work_due()
    done = acme.api.get(f"/files/deletions/{made['id']}").json()
    assert (done["status"], done["counts"]["deleted"], done["counts"]["deleted_bytes"]) == (
        "completed",
        3,
        36,
    )
    report = acme.api.get(f"/files/deletions/{made['id']}/report")
    lines = [json.loads(line) for line in report.body.splitlines()]
    assert [line["id"] for line in lines] == stored
    assert {line["result"] for line in lines} == {"deleted"}
    assert [file["metadata"] for file in acme.api.listed()["data"]] == [{"user": "eve"}]
    assert len(other.api.listed()["data"]) == 1
    assert counters(acme.organization) == (6, 0, 1)


def test_a_dry_run_counts_and_changes_nothing(acme: Tenant, stored: list[str]) -> None:
    shown = post(acme, of_bob(dry_run=True)).json()
    assert (shown["id"], shown["status"], shown["counts"]["files"], shown["counts"]["bytes"]) == (
        None,
        "dry_run",
        3,
        36,
    )
    assert not FileJob.objects.exists()
    assert len(acme.api.listed()["data"]) == 4


def test_metadata_is_named_as_in_a_list_too(acme: Tenant, stored: list[str]) -> None:
    conditions = {"metadata[user]": "bob", "purpose": "user_data"}
    counted = post(acme, {"filter": conditions, "dry_run": True}).json()["counts"]["files"]
    assert counted == len(acme.api.get("/files", query=conditions).json()["data"]) == 3


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "filter"),
        ({"filter": {}}, "filter"),
        ({"filter": {"metadata": {}}}, "filter"),
        ({"filter": None}, "filter"),
        ({"filter": []}, "filter"),
        ({"filter": {"purpose": ""}}, "filter.purpose"),
        ({"filter": {"purpose": 3}}, "filter.purpose"),
        ({"filter": {"purpos": "batch"}}, "filter.purpos"),
        ({"filter": {"status": "none such"}}, "filter.status"),
        ({"filter": {"created_before": "soon"}}, "filter.created_before"),
        ({"filter": {"created_before": 10**30}}, "filter.created_before"),
        ({"filter": {"provider": "none such"}}, "provider"),
        ({"filter": {"metadata": {"user": None}}}, "filter.metadata[user]"),
        ({"filter": {"metadata": {"user": "a\0b"}}}, "filter.metadata[user]"),
        ({"filter": {"metadata": "bob"}}, "filter.metadata"),
        ({"filter": {"metadata": {"user": "bob"}, "metadata[user]": "eve"}}, "user"),
        ({"filter": {"metadata[user]": "eve", "metadata": {"user": "bob"}}}, "user"),
        (b'{"filter": {"purpose": "batch"}, "filter": {"purpose": "user_data"}}', "filter"),
        (b'{"filter": {"metadata": {"user": "eve", "user": "bob"}}}', "user"),
        ({"filter": {"\ud800": 1}}, "filter.\ud800"),
        ({"\ud800": 1}, "\ud800"),
        (of_bob(dry_run="yes"), "dry_run"),
        (of_bob(erase=1), "erase"),
        (of_bob(dryrun=True), "dryrun"),
        ([], "body"),
        (b"{", "body"),
        (b"\xff", "body"),
        (b"[" * 50_000, "body"),
    ],
)
def test_what_is_not_understood_deletes_nothing(acme: Tenant, body: Any, param: str) -> None:
    acme.api.create(b"stays", headers=BOB)
    reply = post(acme, body)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert not FileJob.objects.exists()


def test_a_body_without_end_is_refused(acme: Tenant) -> None:
    assert post(acme, b" " * 70_000).status == 413


def test_it_takes_the_scope_of_deletes(acme: Tenant, stored: list[str]) -> None:
    made = post(acme, of_bob()).json()
    api, _ = acme.client(scopes=["files:read", "files:write"])
    for method, path in [
        ("POST", "/files/deletions"),
        ("GET", f"/files/deletions/{made['id']}"),
        ("GET", f"/files/deletions/{made['id']}/report"),
        ("POST", f"/files/deletions/{made['id']}/cancel"),
    ]:
        reply = api.request(method, path)
        assert (reply.status, reply.error["code"]) == (403, "missing_scope"), path
    only_deletes, _ = acme.client(scopes=["files:delete"])
    assert only_deletes.get(f"/files/deletions/{made['id']}").status == 200


def test_another_organizations_deletion_is_not_there(acme: Tenant, other: Tenant, stored: list[str]) -> None:
    here = f"/files/deletions/{post(acme, of_bob()).json()['id']}"
    nowhere = f"/files/deletions/job-{'a' * 26}"
    for method, path in [("GET", ""), ("GET", "/report"), ("POST", "/cancel")]:
        foreign, missing = other.api.request(method, here + path), other.api.request(method, nowhere + path)
        assert foreign.status == missing.status == 404
        assert foreign.error["message"].replace(here[-30:], "") == missing.error["message"].replace(
            nowhere[-30:], ""
        )
    assert FileJob.objects.get().is_open


def test_a_cancelled_deletion_deletes_nothing_more(acme: Tenant, stored: list[str]) -> None:
    made = post(acme, of_bob()).json()
    assert acme.api.post(f"/files/deletions/{made['id']}/cancel").json()["status"] == "cancelled"
    work_due()
    assert len(acme.api.listed()["data"]) == 4
    assert acme.api.post(f"/files/deletions/{made['id']}/cancel").status == 400


def test_a_retry_with_its_key_makes_no_second_deletion(
    acme: Tenant, other: Tenant, stored: list[str]
) -> None:
    first = post(acme, of_bob(), **{"Idempotency-Key": "once"}).json()
    work_due()
    acme.api.create(b"of bob, later", headers=BOB)
    again = post(acme, of_bob(), **{"Idempotency-Key": "once"}).json()
    assert (again["id"], again["status"]) == (first["id"], "completed")
    changed = post(acme, {"filter": {"purpose": "batch"}}, **{"Idempotency-Key": "once"})
    assert (changed.status, changed.error["code"]) == (422, "idempotency_key_reused")
    assert post(other, of_bob(), **{"Idempotency-Key": "once"}).json()["id"] != first["id"]
    assert File.objects.filter(state="available").count() == 3


def test_a_filter_that_matches_nothing_is_done_at_once(acme: Tenant) -> None:
    made = post(acme, of_bob()).json()
    work_due()
    done = acme.api.get(f"/files/deletions/{made['id']}").json()
    assert (done["status"], done["counts"]["files"]) == ("completed", 0)


def test_the_report_tells_of_no_trash(acme: Tenant, stored: list[str]) -> None:
    """For clients what is in the trash is gone, whoever put it there."""
    acme.set_limits(trash_days=7)
    made = post(acme, of_bob()).json()
    acme.api.delete(f"/files/{stored[0]}")
    work_due()
    report = acme.api.get(f"/files/deletions/{made['id']}/report").body
    lines = [json.loads(line) for line in report.splitlines()]
    assert [(line["result"], line["detail"]) for line in lines] == [
        ("refused", f"No such File object: {stored[0]}"),
        ("deleted", None),
        ("deleted", None),
    ]
    assert set(File.objects.filter(file_id__in=stored).values_list("state", flat=True)) == {"trashed"}


def test_what_is_erased_skips_the_trash(acme: Tenant, stored: list[str]) -> None:
    acme.set_limits(trash_days=7)
    made = post(acme, of_bob(erase=True)).json()
    work_due()
    done = acme.api.get(f"/files/deletions/{made['id']}").json()
    assert (done["status"], done["counts"]["deleted"]) == ("completed", 3)
    gone = File.objects.filter(file_id__in=stored)
    assert set(gone.values_list("state", "deleted_reason")) == {("deleting", "erased")}
    assert counters(acme.organization) == (6, 0, 1)


def test_a_key_stands_for_an_erasure_or_for_a_deletion(acme: Tenant, stored: list[str]) -> None:
    assert post(acme, of_bob(), **{"Idempotency-Key": "bob"}).status == 200
    assert post(acme, of_bob(erase=True), **{"Idempotency-Key": "bob"}).status == 422
