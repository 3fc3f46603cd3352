"""Jobs in the admin: all that match, free space, the page of a job and its report."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from files_app.admin import files
from files_app.models import AuditEvent, File, FileJob
from files_app.services.bulk.work import work_due
from tests.files_app.admin.conftest import SignIn, World, body_of, store

BULK = "/admin/files_app/file/bulk/"
FREE = "/admin/files_app/filejob/free/"


def up_to(page: object) -> dict[str, str]:
    return {"up_to": str(page.context["found"].up_to)}  # type: ignore[attr-defined]


def test_all_that_match_are_shown_and_then_deleted(own: World, foreign: World, root: Client) -> None:
    store(own.organization, filename="other.txt", purpose="assistants")
    address = f"{BULK}?kind=delete&organization={own.organization.pk}&purpose=user_data"
    page = root.get(address)
    found = page.context["found"]
    assert [(share.organization, share.files) for share in found.shares] == [(own.organization, 1)]
    assert found.bytes == own.file.bytes
    later = store(own.organization, filename="later.txt")
    answer = root.post(address, up_to(page))
    job = FileJob.objects.latest("pk")
    assert answer.headers["Location"] == f"/admin/files_app/filejob/{job.pk}/change/"
    assert (job.files, job.actor) == (1, "root")
    assert f"organization {own.organization.name}" in job.described and "purpose user_data" in job.described
    work_due()
    left = File.objects.for_organization(own.organization).filter(state="available")
    assert {file.filename for file in left} == {"other.txt", later.filename}
    own.file.refresh_from_db()
    assert own.file.deleted_reason == "admin"
    shown = root.get(answer.headers["Location"]).content.decode()
    assert "1 of 1 files" in shown and "data-refresh" not in shown


def test_the_list_leads_there_with_its_filters(own: World, root: Client, sign_in: SignIn) -> None:
    address = reverse("admin:files_app_file_changelist")
    assert b"/bulk/?purpose=user_data&amp;kind=delete" in root.get(f"{address}?purpose=user_data").content
    assert b"kind=delete" not in sign_in("Read-only", own.organization).get(address).content


def test_expiry_is_asked_for_and_set(own: World, root: Client) -> None:
    address = f"{BULK}?kind=expire"
    page = root.get(address)
    assert root.post(address, up_to(page)).status_code == 200  # neither a time nor never
    assert list(FileJob.objects.all()) == [own.job]
    tomorrow = timezone.now() + timedelta(days=1)
    when = {"expires_at_0": f"{tomorrow:%Y-%m-%d}", "expires_at_1": "12:00:00"}
    root.post(address, {**up_to(page), **when})
    work_due()
    own.file.refresh_from_db()
    assert own.file.expires_at is not None and own.file.expires_at.date() == tomorrow.date()


def test_files_are_re_checked(own: World, root: Client) -> None:
    root.post(f"{BULK}?kind=recheck", up_to(root.get(f"{BULK}?kind=recheck")))
    work_due()
    assert FileJob.objects.latest("pk").items.get().detail == "Local disk has it, status processed"


def test_a_confirmation_that_names_no_page_deletes_nothing(own: World, root: Client) -> None:
    for sent in ({}, {"up_to": "x"}, {"up_to": "-1"}, {"up_to": "9" * 30}):
        root.post(f"{BULK}?kind=delete", sent)
    work_due()
    own.file.refresh_from_db()
    assert own.file.state == "available"


def test_who_may_not_delete_is_refused(own: World, sign_in: SignIn) -> None:
    reader = sign_in("Read-only", own.organization)
    for address in (f"{BULK}?kind=delete", f"{BULK}?kind=expire", FREE):
        assert reader.get(address).status_code == 403
        assert reader.post(address, {"up_to": "99"}).status_code == 403
    assert reader.get(f"{BULK}?kind=nonsense").status_code == 404
    assert list(FileJob.objects.all()) == [own.job]
    job = FileJob.objects.get(pk=own.job.pk)
    assert reader.post(f"/admin/files_app/filejob/{job.pk}/change/").status_code == 403


def test_space_is_freed_from_the_oldest(own: World, foreign: World, root: Client) -> None:
    old = store(own.organization, b"x" * 100, filename="old.txt")
    File.objects.filter(pk=old.pk).update(indexed_at=timezone.now() - timedelta(days=9))
    asked = {"bytes": "90", "purpose": "user_data", "organizations": [own.organization.pk]}
    page = root.get(FREE, asked)
    assert (page.context["found"].files, page.context["is_less"]) == (1, False)
    root.post(FREE, {**asked, **up_to(page)})
    work_due()
    old.refresh_from_db()
    assert old.state == "deleting"
    assert File.objects.get(pk=own.file.pk).state == "available"
    all_of_it = root.get(FREE, {**asked, "bytes": "20 GB"})
    assert all_of_it.context["is_less"]
    assert root.get(FREE, {**asked, "bytes": "many"}).context["form"].errors


def test_the_report_is_harmless_and_has_each_file(own: World, root: Client) -> None:
    File.objects.filter(pk=own.file.pk).update(file_id="=cmd()")
    root.post(f"{BULK}?kind=delete", up_to(root.get(f"{BULK}?kind=delete")))
    work_due()
    job = FileJob.objects.latest("pk")
    address = reverse("admin:files_app_filejob_report", args=[job.pk])
    rows = list(csv.DictReader(io.StringIO(body_of(root.get(address)).decode())))
    assert [(row["id"], row["organization"], row["result"]) for row in rows] == [
        ("'=cmd()", own.organization.name, "done")
    ]
    assert root.get(f"{address}?format=jsonl").headers["Content-Type"] == "application/x-ndjson"


def test_a_job_for_others_too_is_not_shown(own: World, foreign: World, root: Client, sign_in: SignIn) -> None:
    root.post(f"{BULK}?kind=recheck", up_to(root.get(f"{BULK}?kind=recheck")))
    job = FileJob.objects.latest("pk")
    assert job.parts.count() == 2
    bound = sign_in("Owner", own.organization)
    assert bound.get(f"/admin/files_app/filejob/{job.pk}/change/").status_code == 302
    assert bound.get(reverse("admin:files_app_filejob_report", args=[job.pk])).status_code == 404
    assert str(job.public_id).encode() not in bound.get("/admin/files_app/filejob/").content
    both = sign_in("Owner", own.organization, foreign.organization)
    assert both.get(f"/admin/files_app/filejob/{job.pk}/change/").status_code == 200


def test_all_that_match_are_exported(own: World, foreign: World, sign_in: SignIn) -> None:
    reader = sign_in("Read-only", own.organization)
    address = f"{BULK}?kind=export&purpose=user_data"
    answer = reader.post(address, up_to(reader.get(address)))
    job = FileJob.objects.latest("pk")
    exported = reverse("admin:files_app_filejob_exported", args=[job.pk])
    assert reader.get(exported).status_code == 409
    assert exported not in reader.get(answer.headers["Location"]).content.decode()
    File.objects.filter(pk=own.file.pk).update(filename="=cmd()")
    work_due()
    assert exported in reader.get(answer.headers["Location"]).content.decode()
    rows = list(csv.DictReader(io.StringIO(body_of(reader.get(exported)).decode())))
    assert [(row["id"], row["filename"]) for row in rows] == [(own.file.file_id, "'=cmd()")]
    assert json.loads(body_of(reader.get(f"{exported}?format=jsonl")))["filename"] == "=cmd()"
    taken = AuditEvent.objects.filter(action="file.export", object_id=job.public_id)
    assert [event.details["rows"] for event in taken] == [1, 1]
    assert sign_in("Owner", foreign.organization).get(exported).status_code == 404


def test_what_is_too_much_for_a_request_is_exported_by_a_job(
    own: World, root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(own.organization)
    address = reverse("admin:files_app_file_export")
    monkeypatch.setattr(files, "MAX_ROWS", 2)
    assert root.get(f"{address}?format=csv&purpose=user_data").status_code == 200
    monkeypatch.setattr(files, "MAX_ROWS", 1)
    answer = root.get(f"{address}?format=csv&purpose=user_data")
    assert answer.headers["Location"] == f"{BULK}?purpose=user_data&kind=export"
    assert root.get(answer.headers["Location"]).context["found"].files == 2
