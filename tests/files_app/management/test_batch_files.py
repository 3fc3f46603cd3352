"""`manage.py files check|render`, and what `reconcile` and `rebuild_index` make of renditions"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F

from files_app.models import AuditEvent, File, FileCopy, Organization, ProviderAccount
from files_app.services.accounts.selection import forget_recent_accounts
from tests.files_app.batches import MODELS, bucket_account, chat_lines, jsonl, remove, store_driver, stored
from tests.files_app.cast import Tenant, counters, deliver_deletes
from tests.files_app.management.shell import failing, good
from tests.files_app.rows import force
from tests.providers.stores import Weed, make_upload

LINES = chat_lines(MODELS["bedrock"], 120, user="somebody")


@pytest.fixture
def account(acme: Tenant, s3_server: Weed) -> ProviderAccount:
    """An account in a real S3 server, which acme owns alone."""
    return bucket_account(acme.organization, s3_server)


def create(tenant: Tenant, content: bytes = LINES, purpose: str = "batch") -> dict[str, Any]:
    return tenant.api.create(content, purpose, "in.jsonl", account="bucket")


def forget_renditions(account: ProviderAccount) -> None:
    """Make the account's files those of a gateway that rendered nothing."""
    for file in File.objects.filter(account=account, batch__isnull=False):
        if file.has_rendition and file.batch is not None:
            remove(account, file.batch["uri"])
    File.objects.update(batch=None)


def old_enough() -> None:
    """Let what providers show late have been shown."""
    hour = timedelta(hours=1)
    File.objects.update(indexed_at=F("indexed_at") - hour, state_changed_at=F("state_changed_at") - hour)
    FileCopy.objects.update(state_changed_at=F("state_changed_at") - hour)


# -- check


def test_a_check_shows_what_jobs_would_read_and_stores_nothing(
    acme: Tenant, account: ProviderAccount, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(LINES)
    done = good("files", "check", str(path), "--account", "acme/bucket")
    assert "120 records for amazon.nova-lite-v1:0 as bedrock-converse" in done.out
    assert "left out: user" in done.out
    assert "Question r0" in done.out
    found = good("files", "check", str(path), "--account", "bucket", "--organization", "acme", "--json").json
    assert (found["bytes"], found["batch"]["records"], len(found["sample"])) == (len(LINES), 120, 3)
    pro = "amazon.nova-pro-v1:0"
    named = good("files", "check", str(path), "--account", "bucket", "--model", pro, "--json").json
    assert named["batch"]["model"] == pro
    path.write_bytes(LINES + b"{}\n")
    assert "line 121: " in failing("files", "check", str(path), "--account", "acme/bucket").err
    assert stored(account) == {}
    assert not File.objects.exists()


def test_an_upload_of_this_host_may_name_the_model(
    acme: Tenant, account: ProviderAccount, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(chat_lines(None))
    place = ["--organization", "acme", "--account", "bucket", "--purpose", "batch"]
    assert "line 1: " in failing("files", "upload", str(path), *place).err
    file = good("files", "upload", str(path), *place, "--model", MODELS["bedrock"], "--json").json
    assert file["batch"]["model"] == MODELS["bedrock"]


def test_a_check_needs_to_know_whose_limits_hold(acme: Tenant, s3_server: Weed, tmp_path: Path) -> None:
    bucket_account(None, s3_server, "common")
    path = tmp_path / "in.jsonl"
    path.write_bytes(LINES)
    assert "--organization" in failing("files", "check", str(path), "--account", "shared/common").err
    good("files", "check", str(path), "--account", "shared/common", "--organization", "acme")


# -- render


def test_files_stored_before_are_rendered_once(acme: Tenant, account: ProviderAccount) -> None:
    files = [create(acme), create(acme)]
    native = create(acme, jsonl({"recordId": "a", "modelInput": {}}))
    create(acme, purpose="evals")
    whole, before = stored(account), {file["id"]: file for file in [*files, native]}
    forget_renditions(account)
    assert len(stored(account)) == len(whole) - 2
    first = good("files", "render", files[0]["id"], "--json").json
    assert [(row["id"], row["outcome"], row["batch"]) for row in first] == [
        (files[0]["id"], "rendered", files[0]["batch"])
    ]
    rest = good("files", "render", "--account", "bucket", "--json").json
    assert {row["id"]: row["outcome"] for row in rest} == {
        files[0]["id"]: "there already",
        files[1]["id"]: "rendered",
        native["id"]: "read as it is",
    }
    assert stored(account) == whole
    for file_id, file in before.items():
        assert acme.api.get(f"/files/{file_id}").json() == file
    assert AuditEvent.objects.filter(action="file.render").count() == 3
    again = good("files", "render", "--account", "bucket", "--json").json
    assert [row["outcome"] for row in again] == ["there already"] * 3


def test_a_try_that_died_before_it_was_written_down_is_done_again(
    acme: Tenant, account: ProviderAccount
) -> None:
    file = create(acme)
    File.objects.update(batch=None)
    account.options = {**account.options, "models": {MODELS["bedrock"]: "amazon.nova-pro-v1:0"}}
    account.save(update_fields=["options"])
    forget_recent_accounts()
    good("files", "render", file["id"])
    batch = acme.api.get(f"/files/{file['id']}").json()["batch"]
    assert batch["model"] == "amazon.nova-pro-v1:0"
    assert len(stored(account)) == 2


def test_a_rendition_that_is_lost_is_seen_and_made_anew(acme: Tenant, account: ProviderAccount) -> None:
    file = create(acme)
    whole = stored(account)
    remove(account, file["batch"]["uri"])
    old_enough()
    report = failing("reconcile", "bucket")
    assert f"manage.py files render {file['id']}" in report.out
    good("files", "render", file["id"])
    assert stored(account) == whole
    good("reconcile", "bucket")


def test_lines_that_cannot_be_rendered_are_named_and_the_others_rendered(
    acme: Tenant, account: ProviderAccount
) -> None:
    refused, fine = create(acme), create(acme)
    forget_renditions(account)
    driver = store_driver(account)
    key = f"{driver.prefix}{acme.organization.namespace}/{refused['id']}.jsonl"
    driver.store.delete(driver.buckets[0], key)
    bad = chat_lines("no-such.model", 1)
    upload = make_upload(bad, file_id=refused["id"])
    upload.namespace = acme.organization.namespace
    driver.create_file(upload)
    File.objects.filter(file_id=refused["id"]).update(sha256="", bytes=len(bad))
    done = failing("files", "render", "--account", "bucket")
    assert f"not rendered   {refused['id']}" in done.out
    assert "line 1: " in done.out
    assert f"rendered       {fine['id']}" in done.out
    assert File.objects.get(file_id=refused["id"]).batch is None
    assert sum("/batch/" in key for key in stored(account)) == 1


def test_other_bytes_than_were_uploaded_are_not_rendered(acme: Tenant, account: ProviderAccount) -> None:
    file = create(acme)
    forget_renditions(account)
    File.objects.update(sha256="0" * 64)
    assert "not the bytes" in failing("files", "render", file["id"]).out
    assert len(stored(account)) == 1


def test_files_whose_jobs_read_them_as_they_are_stay_so(acme: Tenant) -> None:
    file = acme.api.create(chat_lines("gpt-4o"), "batch", "in.jsonl")
    assert "read as it is" in good("files", "render", file["id"]).out
    failing("files", "render", code=2)


# -- reconcile and rebuild_index


def test_renditions_are_no_difference(acme: Tenant, account: ProviderAccount) -> None:
    create(acme)
    old_enough()
    report = good("reconcile", "bucket", "--json").json[0]
    assert (report["seen"], report["differences"]) == (1, [])


def test_a_rendition_without_its_file_is_told_and_removed(acme: Tenant, account: ProviderAccount) -> None:
    first, second = create(acme), create(acme)
    for file in (first, second):
        remove(account, file["uri"])
    force(File.objects.filter(file_id=first["id"]), state="deleted")
    force(FileCopy.objects.filter(file__file_id=first["id"]), state="deleted")
    File.objects.filter(file_id=second["id"]).delete()
    report = failing("reconcile", "bucket", "--json").json[0]
    assert {(row["finding"], row["remote_id"].rpartition("/")[2]) for row in report["differences"]} == {
        ("leftover", f"{first['id']}.jsonl"),
        ("unexplained", f"{second['id']}.jsonl"),
    }
    good("reconcile", "bucket", "--remove-unexplained", "--protection-hours", "0", "--yes")
    assert stored(account) == {}


def test_a_rebuilt_index_knows_what_jobs_read(acme: Tenant, account: ProviderAccount) -> None:
    large = chat_lines(MODELS["bedrock"], 300, messages=[{"role": "user", "content": "x" * 40_000}])
    files = [create(acme), create(acme, large), create(acme, jsonl({"recordId": "a", "modelInput": {}}))]
    usage, whole = counters(acme.organization), stored(account)
    File.objects.all().delete()
    founded = F("created_at") - timedelta(seconds=1)
    Organization.objects.update(used_bytes=0, file_count=0, created_at=founded)
    done = good("rebuild_index", "bucket", "--json").json
    assert (done["seen"], done["restored"]) == (3, {"acme": 3})
    assert counters(acme.organization) == usage
    for file in files:
        assert acme.api.get(f"/files/{file['id']}").json()["batch"] == file["batch"]
    assert stored(account) == whole
    for file in files:
        assert acme.api.delete(f"/files/{file['id']}").status == 200
    deliver_deletes()
    assert stored(account) == {}
