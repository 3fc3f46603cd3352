"""`manage.py rebuild_index`"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F
from django.utils import timezone

from files_app.models import AuditEvent, File, FileCopy, Organization, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.selection import forget_recent_accounts
from tests.files_app.cast import Tenant, counters, local_account, make_account
from tests.files_app.forms import expiry_parts, file_part, purpose_part
from tests.files_app.management.shell import failing, good, manage
from tests.files_app.rows import force
from tests.providers.stores import ACCESS_KEY, BUCKETS, SECRET_KEY, Weed

REBUILT_FIELDS = (
    "file_id",
    "filename",
    "purpose",
    "content_type",
    "bytes",
    "sha256",
    "metadata",
    "uri",
    "state",
    "is_adopted",
    "is_counted",
    "organization_id",
    "account_id",
)


def rows() -> list[dict[str, Any]]:
    """Return all that a rebuild has to bring back."""
    found = File.objects.order_by("file_id").values(*REBUILT_FIELDS, "copies__remote_id", "copies__state")
    return [dict(row) for row in found]


def forget_files() -> None:
    """Lose the index, as when a database is restored from before."""
    File.objects.all().delete()
    # S3 tells when an object was made in whole seconds, and organizations have to be older.
    founded = F("created_at") - timedelta(seconds=1)
    Organization.objects.update(used_bytes=0, file_count=0, created_at=founded)


def upload_all(tenant: Tenant, account: str) -> None:
    named = {"account": account}
    tenant.api.create(b"hello", "user_data", "नमस्ते 🧪.txt", **named)
    tenant.api.create(
        b"x" * (9 * 1024 * 1024),
        "user_data",
        "large.bin",
        headers={"x-tfy-metadata": '{"team": "ml"}'},
        **named,
    )
    parts = [file_part(b"with expiry"), purpose_part("vision"), *expiry_parts(7200)]
    assert tenant.api.upload(parts=parts, **named).status == 200


@pytest.fixture
def bucket(acme: Tenant, s3_server: Weed) -> ProviderAccount:
    """A shared account in a real S3 server, under a prefix of its own."""
    options = {
        "bucket": BUCKETS[0],
        "prefix": f"rebuild-{uuid4().hex}",
        "region": "us-east-1",
        "endpoint_url": s3_server.endpoint_url,
    }
    keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
    return make_account(None, "bucket", "bedrock", options=options, credentials=keys)


@pytest.fixture
def disk(acme: Tenant) -> ProviderAccount:
    """A shared account on disk."""
    return local_account(None, "disk")


@pytest.fixture(params=["disk", "bucket"])
def store(request: pytest.FixtureRequest) -> ProviderAccount:
    account: ProviderAccount = request.getfixturevalue(request.param)
    return account


def test_files_come_back_without_what_their_store_did_not_keep(
    acme: Tenant, bucket: ProviderAccount, s3_server: Weed
) -> None:
    upload_all(acme, bucket.name)
    complete = {row["file_id"]: row for row in rows()}
    (large,) = (row for row in complete.values() if row["filename"] == "large.bin")
    key = large["copies__remote_id"].partition("/")[2]
    s3_server.client().delete_object_tagging(Bucket=BUCKETS[0], Key=key)
    large["sha256"] = ""
    forget_files()
    good("rebuild_index", bucket.name)
    assert {row["file_id"]: row for row in rows()} == complete


def test_a_lost_index_comes_back_as_it_was(acme: Tenant, other: Tenant, store: ProviderAccount) -> None:
    upload_all(acme, store.name)
    upload_all(other, store.name)
    before, expiries = rows(), [file.expires_at for file in File.objects.order_by("file_id")]
    usage = [counters(tenant.organization) for tenant in (acme, other)]
    forget_files()
    planned = good("rebuild_index", store.name, "--dry-run", "--json").json
    assert planned["restored"] == {"acme": 3, "other": 3}
    assert not File.objects.exists()
    done = good("rebuild_index", store.name, "--json").json
    assert (done["seen"], done["restored"]) == (6, {"acme": 3, "other": 3})
    assert rows() == before
    assert [counters(tenant.organization) for tenant in (acme, other)] == usage
    for file, expiry in zip(File.objects.order_by("file_id"), expiries, strict=True):
        assert (file.expires_at is None) == (expiry is None)
        assert expiry is None or abs(file.expires_at - expiry) < timedelta(seconds=5)  # type: ignore[operator]
    assert AuditEvent.objects.filter(action="file.rebuild", organization=other.organization).count() == 3
    for file in File.objects.filter(organization=acme.organization):
        assert acme.api.get(f"/files/{file.file_id}/content").status == 200


def test_a_second_run_changes_nothing(acme: Tenant, disk: ProviderAccount) -> None:
    upload_all(acme, "disk")
    forget_files()
    good("rebuild_index", "disk")
    before = rows(), counters(acme.organization)
    done = good("rebuild_index", "disk", "--json").json
    assert (done["restored"], done["known"]) == ({}, 3)
    assert (rows(), counters(acme.organization)) == before


def test_deleted_files_and_uploads_in_progress_do_not_come_back(acme: Tenant, disk: ProviderAccount) -> None:
    upload_all(acme, "disk")
    first, second, _ = File.objects.order_by("pk")
    force(File.objects.filter(pk=first.pk), state="deleting")
    force(FileCopy.objects.filter(file=first), state="deleting")
    force(File.objects.filter(pk=second.pk), state="uploading")
    force(FileCopy.objects.filter(file=second), state="uploading", remote_id="")
    done = good("rebuild_index", "disk", "--json").json
    assert (done["restored"], done["known"]) == ({}, 3)


def test_numbers_of_a_new_database_give_nobody_anothers_files(
    acme: Tenant, other: Tenant, disk: ProviderAccount
) -> None:
    upload_all(acme, "disk")
    forget_files()
    Organization.objects.update(created_at=timezone.now() + timedelta(minutes=1))
    segment = acme.organization.namespace
    done = failing("rebuild_index", "disk")
    assert f"--owner {segment}=ORGANIZATION" in done.err
    assert not File.objects.exists()
    good("rebuild_index", "disk", "--owner", f"{segment}=other")
    assert set(File.objects.values_list("organization__name", flat=True)) == {"other"}
    assert counters(other.organization)[2] == 3
    file_id = File.objects.order_by("pk")[0].file_id
    assert other.api.get(f"/files/{file_id}").status == 200
    assert acme.api.get(f"/files/{file_id}").status == 404


def test_an_owned_account_takes_its_own_organizations_files_only(
    acme: Tenant, other: Tenant, disk: ProviderAccount
) -> None:
    upload_all(acme, "disk")
    upload_all(other, "disk")
    forget_files()
    ProviderAccount.objects.filter(pk=disk.pk).update(organization=other.organization)
    forget_recent_accounts()
    done = failing("rebuild_index", "other/disk", "--json")
    assert done.json["restored"] == {"other": 3}
    assert done.json["unowned"] == {acme.organization.namespace: 3}
    refused = failing("rebuild_index", "other/disk", "--owner", f"{acme.organization.namespace}=acme")
    assert "belongs to another organization than acme" in refused.err


def test_objects_that_the_gateway_did_not_write_are_left_out(acme: Tenant, disk: ProviderAccount) -> None:
    root = driver_for(disk).root  # type: ignore[attr-defined]
    folder = root / acme.organization.namespace
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_bytes(b"x")
    (folder / ("file-" + "a" * 26 + ".txt")).write_bytes(b"x")
    done = good("rebuild_index", "disk", "--json").json
    assert (done["restored"], done["foreign"]) == ({}, 2)


def test_a_provider_without_details_is_refused(remote: Tenant) -> None:
    assert "keeps no details" in failing("rebuild_index", "acme/openai").err


@pytest.mark.parametrize("owner", ["org-1", "=acme", "org-1="])
def test_an_owner_has_two_sides(acme: Tenant, disk: ProviderAccount, owner: str) -> None:
    assert manage("rebuild_index", "disk", "--owner", owner).code != 0
