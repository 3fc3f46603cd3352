"""`manage.py files free|bulk|jobs|report|cancel`."""

from __future__ import annotations

import json

import pytest

from files_app.models import AuditEvent, File, FileJob
from files_app.words import size_in
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import failing, good


def test_space_is_freed_by_one_command(acme: Tenant, other: Tenant) -> None:
    old, new = (acme.api.create(b"x" * 60)["id"] for _ in range(2))
    asked = (
        "files",
        "free",
        "--bytes",
        "50B",
        "--purpose",
        "user_data",
        "--organization",
        "acme",
        "--oldest",
    )
    shown = good(*asked, "--dry-run", "--json").json
    assert shown["organizations"] == [{"organization": "acme", "files": 1, "bytes": 60}]
    assert (shown["files"], shown["bytes"]) == (1, 60)
    assert "--yes" in failing(*asked, code=2).err
    assert not FileJob.objects.exists()
    assert "1 of 1 file done, 60 B" in good(*asked, "--yes").out
    assert dict(File.objects.values_list("file_id", "state")) == {old: "deleting", new: "available"}
    both = good(*asked[:-1], "--organization", "other", "--bytes", "1GB", "--yes", "--json").json
    assert (both["done"], both["organizations"], both["status"]) == (1, ["acme"], "done")
    assert "nothing to do" in good(*asked, "--yes").err


def test_all_that_match_are_deleted_and_reported(acme: Tenant) -> None:
    gone = acme.api.create(headers={"x-tfy-metadata": '{"user": "bob"}'})["id"]
    kept = acme.api.create(headers={"x-tfy-metadata": '{"user": "eve"}'})["id"]
    held = acme.api.create(headers={"x-tfy-metadata": '{"user": "bob"}'})["id"]
    good("files", "hold", held, "--reason", "case 17")
    asked = ("files", "bulk", "delete", "--organization", "acme", "--metadata", "user=bob")
    assert good(*asked, "--dry-run").out.endswith("2 files, 10 B\n")
    done = failing(*asked, "--yes")
    assert "1 of 2 files done" in done.out and "1 file refused" in done.err
    (job,) = good("files", "jobs", "--json").json
    assert (job["status"], job["done"], job["refused"], job["for"]) == ("done", 1, 1, "metadata user bob")
    lines = [json.loads(line) for line in good("files", "report", str(job["job"])).out.splitlines()]
    assert {line["id"]: line["result"] for line in lines} == {gone: "done", held: "refused"}
    assert File.objects.get(file_id=kept).state == "available"


def test_what_is_erased_skips_the_trash(acme: Tenant) -> None:
    acme.set_limits(trash_days=7)
    acme.api.create(headers={"x-tfy-metadata": '{"user": "bob"}'})
    asked = ("--organization", "acme", "--metadata", "user=bob", "--erase", "--yes")
    assert "--erase goes with delete" in failing("files", "bulk", "recheck", *asked, code=2).err
    good("files", "bulk", "delete", *asked)
    assert list(File.objects.values_list("state", "deleted_reason")) == [("deleting", "erased")]


def test_all_that_match_are_exported(acme: Tenant, stored: str) -> None:
    asked = ("files", "bulk", "export", "--organization", "acme", "--purpose", "user_data", "--yes", "--json")
    job = good(*asked).json
    lines = [json.loads(line) for line in good("files", "exported", str(job["job"])).out.splitlines()]
    assert [(line["id"], line["organization"]) for line in lines] == [(stored, "acme")]
    taken = AuditEvent.objects.get(action="file.export")
    assert (taken.object_id, taken.details["rows"]) == (job["id"], 1)
    waits = good(*asked, "--no-wait").json
    assert "it is not done" in failing("files", "exported", str(waits["job"])).err


def test_a_job_for_the_worker_can_be_cancelled(acme: Tenant, stored: str) -> None:
    asked = ("files", "bulk", "expire", "--at", "3d", "--organization", "acme", "--purpose", "user_data")
    job = good(*asked, "--yes", "--no-wait", "--json").json
    assert (job["status"], job["done"]) == ("queued", 0)
    assert "is cancelled: 0 of 1 file done" in good("files", "cancel", str(job["job"])).out
    assert "over already" in failing("files", "cancel", str(job["job"])).err
    assert File.objects.get().expires_at is None


def test_what_makes_no_sense_is_said(acme: Tenant) -> None:
    assert (
        "at least one condition"
        in failing("files", "bulk", "delete", "--organization", "acme", "--yes", code=2).err
    )
    expire = ("files", "bulk", "expire", "--organization", "acme", "--purpose", "batch")
    assert "--at or --never" in failing(*expire, code=2).err
    assert "There is no job 99" in failing("files", "report", "99").err
    assert (
        "There is no organization 'acm'"
        in failing("files", "free", "--bytes", "1GB", "--organization", "acm").err
    )


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("20GB", 20_000_000_000), ("20 GiB", 20 * 2**30), ("5", 5), ("1.5k", 1536), ("x", None), ("-1", None)],
)
def test_sizes_are_read_as_people_write_them(text: str, bytes_: int | None) -> None:
    assert size_in(text) == bytes_
