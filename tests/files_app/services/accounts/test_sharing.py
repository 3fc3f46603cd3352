"""Two accounts that see the same files: found out by where they lead, and by what providers show."""

from __future__ import annotations

from collections.abc import Iterator
from shutil import copytree

import pytest

from files_app.models import AuditEvent, File, FileCopy, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.places import is_exclusive
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.sharing import confirm_exclusive, is_random, place_all
from files_app.services.deletes.expiry import expire_files
from files_app.services.index.callers import system_caller
from files_app.services.operations.connection_test import check_connection
from files_app.services.upstream.sync import sync_account
from providers import locations
from providers.openai import OpenAIDriver
from providers.openai_compatible import Dialect
from tests.fake_provider import SECOND_KEY, FakeProvider
from tests.files_app.cast import Tenant, make_account, make_tenant, openai_account
from tests.files_app.services.upstream.elsewhere import ids, planted, sync


@pytest.fixture
def vendor(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """The fake as a vendor's own host, where each key has a place of its own."""
    monkeypatch.setattr(locations, "VENDOR_HOSTS", frozenset({f"@loopback:{fake.port}"}))
    return fake


@pytest.fixture
def second_address(fake: FakeProvider) -> Iterator[str]:
    with fake.second_address() as root:
        yield root


def connects(account: ProviderAccount) -> bool:
    """Test the connection as the admin does, and return whether that succeeded."""
    return all(step.ok for step in list(check_connection(account)))


def statuses(tenant: Tenant, file_id: str) -> set[int]:
    """Return what every way to one file answers."""
    api = tenant.api
    reads = {api.get(f"/files/{file_id}").status, api.get(f"/files/{file_id}/content").status}
    return reads | {api.delete(f"/files/{file_id}").status}


def marked() -> set[str]:
    rows = ProviderAccount.objects.filter(shared_since__isnull=False).select_related("organization")
    return {row.full_name for row in rows}


# -- where they lead -------------------------------------------------------------------------------------


def test_what_was_adopted_is_withheld_when_another_organization_proves_access(
    remote: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    adopted = planted(fake, expires_at=1_700_100_000 + 10**9)
    uploaded = remote.api.create()["id"]
    sync(remote)
    assert set(ids(remote)) == {adopted, uploaded}
    theirs = openai_account(other.organization, fake, base_url=f"http://localhost:{fake.port}/openai/v1")
    assert marked() == set()
    assert connects(theirs)
    assert marked() == {"acme/openai", "other/openai"}
    assert ids(remote) == [uploaded]
    assert statuses(remote, adopted) == {404}
    assert remote.api.get(f"/files/{uploaded}").status == 200
    assert File.objects.get(file_id=adopted).state == "available"  # not lost
    File.objects.update(expires_at="2020-01-01T00:00:00Z")
    assert expire_files() == 1  # what may be somebody else's is never deleted
    assert fake.store("openai")[0].remote_id == adopted
    events = AuditEvent.objects.filter(action="account.shared").order_by("organization__name")
    assert [(each.object_id, each.details["withheld"]) for each in events] == [("openai", 1), ("openai", 0)]


def test_an_operator_gives_back_what_was_withheld(remote: Tenant, other: Tenant, fake: FakeProvider) -> None:
    adopted = planted(fake)
    sync(remote)
    assert connects(openai_account(other.organization, fake))
    account = ProviderAccount.objects.get(organization=remote.organization, name="openai")
    assert confirm_exclusive(account, caller=system_caller()) == 1
    assert ids(remote) == [adopted] and marked() == {"other/openai"}
    later = planted(fake)  # the other account is still there, as it was when the operator looked
    sync(remote)
    assert set(ids(remote)) == {adopted, later}
    assert connects(openai_account(make_tenant("third").organization, fake))  # this one came afterwards
    assert marked() == {"acme/openai", "other/openai", "third/openai"}
    assert ids(remote) == [adopted]  # confirmed, and the later one was not


def test_naming_a_place_proves_no_access(remote: Tenant, other: Tenant, fake: FakeProvider) -> None:
    theirs = openai_account(other.organization, fake, key="guessed")
    assert not connects(theirs)
    file_id = planted(fake)
    assert remote.api.get(f"/files/{file_id}").status == 200
    assert marked() == set()
    assert not is_exclusive(theirs)


def test_an_upload_and_a_sync_prove_access(remote: Tenant, other: Tenant, fake: FakeProvider) -> None:
    openai_account(other.organization, fake)
    sync(remote)
    other.api.create(account="openai")
    assert marked() == {"acme/openai", "other/openai"}


def test_access_is_proved_anew_in_another_place(remote: Tenant, other: Tenant, fake: FakeProvider) -> None:
    with FakeProvider() as own:
        theirs = openai_account(other.organization, own)
        assert connects(theirs)
        theirs.options = {"base_url": fake.url("openai")}
        save_account(theirs, {"api_key": "guessed"})
    theirs.refresh_from_db()
    assert theirs.access_proved_at is None
    sync(remote)
    assert marked() == set()


def test_a_mark_holds_for_all_accounts_of_the_organization_in_that_place(
    remote: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    assert connects(openai_account(other.organization, fake))
    sync(remote)
    assert connects(remote.accounts["openai"])
    other.organization.provider_accounts.filter(name="openai").delete()
    twin = openai_account(remote.organization, fake, "twin")
    assert remote.api.get(f"/files/{planted(fake)}", account="twin").status == 404
    assert not is_exclusive(twin)


def test_a_shared_account_in_the_same_place_counts_like_another_organization(
    remote: Tenant, fake: FakeProvider
) -> None:
    common = openai_account(None, fake, "common")
    sync(remote)
    assert connects(common)
    assert marked() == {"acme/openai"}


def test_buckets_overlap_by_containment(acme: Tenant, other: Tenant) -> None:
    def account(tenant: Tenant, name: str, prefix: str, **options: object) -> ProviderAccount:
        options = {"bucket": "files", "prefix": prefix, **options}
        return make_account(tenant.organization, name, "bedrock", options=options)

    mine = account(acme, "s3", "files")
    ProviderAccount.objects.filter(pk=mine.pk).update(access_proved_at="2026-01-01T00:00:00Z")
    assert not is_exclusive(account(other, "below", "files/org-2", region="eu-central-1"))
    beside = account(other, "beside", "files-2", allowed_buckets=["other-bucket"])
    assert is_exclusive(beside)
    assert is_exclusive(mine)  # naming a bucket is no access to it


def test_accounts_of_earlier_versions_are_placed_and_marked(
    remote: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    adopted = planted(fake)
    sync(remote)
    remote.api.create()
    theirs = openai_account(other.organization, fake, base_url=f"http://127.1:{fake.port}/openai/v1")
    other.api.create(account="openai")
    ProviderAccount.objects.update(shared_since=None, shared_reason="", access_proved_at=None)
    File.objects.update(is_withheld=False)
    for account in ProviderAccount.objects.all():
        account.places.all().delete()
    assert not is_exclusive(theirs)  # nothing is adopted before it is known where
    assert place_all() == 4
    assert marked() == {"acme/openai", "other/openai"}
    assert remote.api.get(f"/files/{adopted}").status == 404
    assert place_all() == 0


# -- what providers show ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["retrieve", "content", "sync"])
def test_two_keys_of_one_project_are_found_out(
    remote: Tenant, other: Tenant, vendor: FakeProvider, way: str
) -> None:
    """What a batch of acme's wrote goes to nobody who asks first."""
    mine = openai_account(remote.organization, vendor, "project")
    uploaded = remote.api.create(account="project")["id"]
    output = planted(vendor)
    openai_account(other.organization, vendor, key=SECOND_KEY)
    if way == "sync":
        sync(other)
    else:
        path = f"/files/{output}" + ("/content" if way == "content" else "")
        assert other.api.get(path, account="openai").status == 404
    assert statuses(other, output) == {404} and ids(other) == []
    assert marked() == {"acme/project", "other/openai"}
    assert remote.api.get(f"/files/{uploaded}").status == 200
    assert not is_exclusive(mine)
    assert {event.details["reason"] for event in AuditEvent.objects.filter(action="account.shared")} == {
        "evidence"
    }


def test_keys_of_two_projects_of_one_vendor_share_nothing(
    remote: Tenant, other: Tenant, vendor: FakeProvider
) -> None:
    groq = vendor.add_file("groq", filename="a.jsonl", content=b"x", purpose="batch").remote_id
    openai_account(remote.organization, vendor, "project")
    remote.api.create(account="project")
    openai_account(other.organization, vendor, "groq", driver="groq", key=SECOND_KEY)
    assert other.api.get(f"/files/{groq}", account="groq").status == 200
    assert marked() == set()


def test_another_name_of_a_server_is_found_out_by_what_it_shows(
    remote: Tenant, other: Tenant, fake: FakeProvider, second_address: str
) -> None:
    remote.api.create()
    output = planted(fake)
    openai_account(other.organization, fake, base_url=f"{second_address}/openai/v1")
    assert other.api.get(f"/files/{output}", account="openai").status == 404
    sync(other)
    assert ids(other) == []
    assert marked() == {"other/openai"}
    assert remote.api.get(f"/files/{output}").status == 200  # where the evidence was not seen, all goes on


def test_another_name_of_a_directory_is_found_out_by_the_keys_in_it(acme: Tenant, other: Tenant) -> None:
    """The gateway names objects itself, so that it knows its own under any name of their bucket."""
    file_id = acme.api.create()["id"]
    root = driver_for(acme.accounts["local"]).root  # type: ignore[attr-defined]
    theirs = driver_for(other.accounts["local"]).root  # type: ignore[attr-defined]
    copytree(root, theirs, dirs_exist_ok=True)
    copytree(theirs / acme.organization.namespace, theirs / f"org-{10**30}")
    FileCopy.objects.update(remote_id=f"another-name/{file_id}")
    sync(other, "local")
    assert marked() == {"other/local"}
    assert ids(other) == []


def test_a_server_of_their_own_does_not_end_anothers_adoption(
    remote: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    known = remote.api.create()["id"]
    with FakeProvider() as own:
        own.add_file("openai", filename="bait.txt", remote_id=known)
        theirs = openai_account(other.organization, own)
        assert connects(theirs)
        sync(other)
    assert marked() == {"other/openai"}
    file_id = planted(fake)
    assert remote.api.get(f"/files/{file_id}").status == 200
    assert ids(other) == []


def test_nothing_is_adopted_before_the_whole_list_was_read(
    remote: Tenant, other: Tenant, fake: FakeProvider, second_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenAIDriver, "dialect", Dialect(page_size=1))
    remote.api.create()  # the oldest, so that it is on the last page
    for _ in range(3):
        planted(fake, created_at=2_000_000_000)
    theirs = openai_account(other.organization, fake, base_url=f"{second_address}/openai/v1")
    during: list[int] = []
    report = sync_account(theirs, on_progress=lambda report: during.append(File.objects.count()))
    assert report is not None and (report.seen, report.adopted, report.is_complete) == (4, 0, True)
    assert during == [1] * 4
    assert FileCopy.objects.count() == 1


@pytest.mark.parametrize(
    ("remote_id", "expected"),
    [
        ("file-abcdEFGH12345678", True),
        ("file-abcdEFGHijklMNOPqrstuv", True),
        ("file_011CNha8iCJcU1wXNR6q4V8w", True),
        ("3f2c9a51-7d1e-4c5b-9a0e-1f2e3d4c5b6a", True),
        ("bucket/files/org-1/file-ab3cd4ef5gh6ij7kl2mn3op4qr.jsonl", True),
        ("batch_68a1f0c2e4b88190a7d3c5e1", True),
        ("file-abc123", False),
        ("files/p8xk2j5q9z3w", False),
        ("customer-support-training-2026", False),
        ("trainingdataset2026", False),
        ("bucket/exports/20260101T123456Z/predictions.jsonl", False),
        ("1730000000123456789", False),
    ],
)
def test_only_what_nobody_can_guess_is_evidence(remote_id: str, expected: bool) -> None:
    assert is_random(remote_id) == expected
