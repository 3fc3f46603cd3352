"""Files that the gateway did not upload: adopted by id and by sync, and only where that is safe."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from pytest_django import Settings

from files_app.models import AuditEvent, File, FileCopy, ProviderAccount
from files_app.models.files import CopyState
from files_app.services.accounts.saving import forget_recent_accounts
from files_app.services.upstream import sync as sync_service
from files_app.services.upstream.sync import find_again, sync_account
from providers.exceptions import InvalidResponseError, ProviderUnavailableError
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, deliver_deletes, openai_account
from tests.files_app.client import with_side_effect
from tests.files_app.forms import encode, file_part, purpose_part
from tests.processes import wait_until

across_threads = pytest.mark.django_db(transaction=True)


def planted(fake: FakeProvider, name: str = "result.jsonl", **kwargs: object) -> str:
    """Put a file at the provider that no upload of ours explains."""
    values = {"purpose": "batch_output", "content": b"made elsewhere", "created_at": 1_700_000_000}
    return fake.add_file("openai", filename=name, **{**values, **kwargs}).remote_id  # type: ignore[arg-type]


def sync(tenant: Tenant, name: str = "openai") -> ProviderAccount:
    account = ProviderAccount.objects.get(organization=tenant.organization, name=name)
    report = sync_account(account)
    assert report is not None
    return account


def ids(tenant: Tenant) -> list[str]:
    return [file["id"] for file in tenant.api.listed()["data"]]


# -- by id -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", [None, "openai"])
def test_an_unknown_id_is_asked_of_the_account(
    remote: Tenant, fake: FakeProvider, account: str | None
) -> None:
    file_id = planted(fake)
    shown = remote.api.get(f"/files/{file_id}", account=account).json()
    assert (shown["id"], shown["filename"], shown["bytes"]) == (file_id, "result.jsonl", 14)
    assert (shown["purpose"], shown["created_at"], shown["provider"]) == (
        "batch_output",
        1_700_000_000,
        "openai",
    )
    asked = len(fake.requests)
    assert remote.api.get(f"/files/{file_id}").json() == shown
    assert len(fake.requests) == asked
    assert AuditEvent.objects.filter(action="file.adopt").count() == 1


def test_an_adopted_file_is_a_file(remote: Tenant, fake: FakeProvider) -> None:
    file_id = planted(fake)
    assert remote.api.get(f"/files/{file_id}/content").body == b"made elsewhere"
    assert counters(remote.organization) == (0, 0, 0)  # shown, not counted
    assert remote.api.delete(f"/files/{file_id}").status == 200
    deliver_deletes()
    assert fake.store("openai") == []
    assert counters(remote.organization) == (0, 0, 0)


def test_only_the_default_account_is_asked_without_a_header(remote: Tenant, fake: FakeProvider) -> None:
    groq = fake.add_file("groq", filename="a.jsonl", content=b"x", purpose="batch").remote_id
    openai_account(remote.organization, fake, "groq", driver="groq")
    assert remote.api.get(f"/files/{groq}").status == 404
    assert {request.dialect for request in fake.requests} == {"openai"}
    assert remote.api.get(f"/files/{groq}", account="groq").status == 200


def test_a_shared_account_is_never_asked(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(None, fake, "shared", list_freshness_seconds=0)
    file_id = planted(fake)
    for account in (None, "shared"):
        for path in (f"/files/{file_id}", f"/files/{file_id}/content"):
            assert acme.api.get(path, account=account).status == 404
        assert acme.api.delete(f"/files/{file_id}", account=account).status == 404
    assert acme.api.get("/files", account="shared").json()["data"] == []
    assert fake.requests == []


def test_an_upstream_that_another_organization_sees_too_is_never_asked(
    remote: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    openai_account(other.organization, fake, "theirs")
    file_id = planted(fake)
    assert remote.api.get(f"/files/{file_id}").status == 404
    sync(remote)
    assert ids(remote) == []
    ProviderAccount.objects.update(list_freshness_seconds=0)
    assert remote.api.get("/files", account="openai").headers["x-files-gateway-sync"] == "fresh"
    assert fake.requests == []


def test_a_twin_account_of_the_same_organization_may_adopt(remote: Tenant, fake: FakeProvider) -> None:
    openai_account(remote.organization, fake, "twin")
    assert remote.api.get(f"/files/{planted(fake)}").status == 200


def test_an_id_that_another_organizations_index_holds_there_is_never_adopted(
    remote: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    """The other organization came with another key of the same endpoint, and its file is in the list."""
    account = openai_account(other.organization, fake, "theirs", key="another-key")
    file_id = planted(fake)
    theirs = File.objects.create(
        organization=other.organization, account=account, file_id=file_id, state="available"
    )
    FileCopy.objects.create(file=theirs, account=account, remote_id=file_id, state="available")
    assert remote.api.get(f"/files/{file_id}").status == 404
    assert remote.api.delete(f"/files/{file_id}").status == 404
    assert fake.requests == []
    sync(remote)
    assert ids(remote) == []
    for state in (CopyState.DELETING, CopyState.DELETED, CopyState.LOST):
        FileCopy.objects.update(state=state)
        assert remote.api.get(f"/files/{file_id}").status == 404


def test_what_may_be_an_upload_in_flight_is_not_adopted(
    remote: Tenant, other: Tenant, fake: FakeProvider
) -> None:
    """Somebody's upload has passed its checks, and its provider's answer has not come yet."""
    theirs = openai_account(other.organization, fake, "theirs", key="another-key")
    began = timezone.now()
    row = File.objects.create(
        organization=other.organization, account=theirs, file_id="file-x", filename="a b.txt", bytes=500
    )
    FileCopy.objects.create(file=row, account=theirs, created_at=began)
    now = int(began.timestamp())
    of_its_size = planted(fake, content=b"x" * 500, created_at=now)
    of_its_name = planted(fake, "a_b.txt", created_at=now)
    older = planted(fake, "a_b.txt", content=b"x" * 500)
    another = planted(fake, created_at=now)
    expected = {of_its_size: 404, of_its_name: 404, older: 200, another: 200}
    assert {file_id: remote.api.get(f"/files/{file_id}").status for file_id in expected} == expected
    sync(remote)
    assert set(ids(remote)) == {older, another}
    FileCopy.objects.filter(file=row).update(state=CopyState.FAILED)
    sync(remote)
    assert set(ids(remote)) == set(expected)


def test_an_upload_that_has_not_passed_its_checks_holds_nothing_up(
    remote: Tenant, fake: FakeProvider
) -> None:
    file_id = planted(fake, created_at=int(timezone.now().timestamp()))
    form = encode([purpose_part(), file_part(b"x" * 500)])
    during: list[int] = []
    body = with_side_effect(form, 200, lambda: during.append(remote.api.get(f"/files/{file_id}").status))
    assert remote.api.upload_body(body, length=len(form)).status == 200
    assert during == [200]


def test_a_sync_that_breaks_is_no_sync(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        raise TimeoutError

    planted(fake)
    monkeypatch.setattr(sync_service, "_merge", interrupted)
    account = ProviderAccount.objects.get(name="openai")
    with pytest.raises(TimeoutError):
        sync_account(account)
    account.refresh_from_db()
    assert (account.last_synced_at, account.sync_lease_expires_at) == (None, None)
    assert account.last_sync_error


@pytest.mark.parametrize(
    "behaviour",
    [
        behaviours.patched({"id": "file-other"}),
        behaviours.html(),
        behaviours.without_id(),
    ],
)
def test_a_provider_that_answers_nonsense_adopts_nothing(
    remote: Tenant, fake: FakeProvider, behaviour: object
) -> None:
    file_id = planted(fake)
    fake.script({"method": "GET", "times": None}, behaviour)  # type: ignore[arg-type]
    reply = remote.api.get(f"/files/{file_id}")
    assert (reply.status, reply.error["code"]) == (502, "bad_provider_response")
    assert not File.objects.exists()


@pytest.mark.parametrize("name", ["../../x", "<img src=x>", "x" * 10**5, "a\r\nb", ""])
def test_names_from_a_provider_are_cleaned(remote: Tenant, fake: FakeProvider, name: str) -> None:
    shown = remote.api.get(f"/files/{planted(fake, name)}").json()
    assert 1 <= len(shown["filename"]) <= 255
    assert not set(shown["filename"]) & set("/\\\r\n")


# -- by sync ---------------------------------------------------------------------------------------


@across_threads
def test_a_list_of_an_owned_account_asks_its_provider_first(remote: Tenant, fake: FakeProvider) -> None:
    ProviderAccount.objects.filter(name="openai").update(list_freshness_seconds=30)
    forget_recent_accounts()
    file_id = planted(fake)
    mine = remote.api.create()["id"]
    reply = remote.api.get("/files", account="openai")
    assert [file["id"] for file in reply.json()["data"]] == [mine, file_id]
    assert reply.headers["x-files-gateway-sync"] == "fresh"
    asked = len(fake.requests)
    later = planted(fake, "later.jsonl")
    assert len(remote.api.get("/files", account="openai").json()["data"]) == 2
    assert len(fake.requests) == asked
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        shown = remote.api.get("/files", account="openai").json()["data"]
    assert later in [file["id"] for file in shown]


def test_a_list_without_the_header_asks_nobody(remote: Tenant, fake: FakeProvider) -> None:
    ProviderAccount.objects.update(list_freshness_seconds=0)
    planted(fake)
    assert ids(remote) == []
    assert fake.requests == []


@across_threads
def test_a_list_does_not_wait_for_a_provider_that_hangs(
    remote: Tenant, fake: FakeProvider, settings: Settings
) -> None:
    settings.SYNC_WAIT_SECONDS = 0.2
    ProviderAccount.objects.filter(name="openai").update(list_freshness_seconds=0)
    mine, theirs = remote.api.create()["id"], planted(fake)
    fake.script({"method": "GET"}, behaviours.hang(stored=True))
    reply = remote.api.get("/files", account="openai")
    assert [file["id"] for file in reply.json()["data"]] == [mine]
    assert reply.headers["x-files-gateway-sync"] == "stale"
    fake.release()
    wait_until(
        lambda: all(thread.name != "sync" for thread in threading.enumerate()),
        seconds=30,
        what="the sync to end",
    )
    assert ids(remote) == [mine, theirs]


@across_threads
def test_a_mistake_of_ours_in_a_sync_leaves_the_index_to_answer(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*args: object) -> None:
        raise AttributeError

    ProviderAccount.objects.filter(name="openai").update(list_freshness_seconds=0)
    planted(fake)
    monkeypatch.setattr(sync_service, "_merge", mistaken)
    reply = remote.api.get("/files", account="openai")
    assert (reply.status, reply.headers["x-files-gateway-sync"]) == (200, "stale")


@across_threads
def test_a_provider_that_is_down_leaves_the_index_to_answer(remote: Tenant, fake: FakeProvider) -> None:
    ProviderAccount.objects.filter(name="openai").update(list_freshness_seconds=0)
    mine = remote.api.create()["id"]
    fake.script({"method": "GET", "times": None}, behaviours.fail(500))
    reply = remote.api.get("/files", account="openai")
    assert [file["id"] for file in reply.json()["data"]] == [mine]
    assert reply.headers["x-files-gateway-sync"] == "stale"
    assert ProviderAccount.objects.get(name="openai").last_sync_error


def test_a_sync_reads_every_page_once(remote: Tenant, fake: FakeProvider) -> None:
    expected = {planted(fake, f"{n}.jsonl", created_at=1_700_000_000 + n // 3) for n in range(1_005)}
    sync(remote)
    assert set(ids(remote)) == expected
    sync(remote)
    assert File.objects.count() == len(expected)


def test_a_deleted_file_is_not_brought_back(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    remote.api.delete(f"/files/{file_id}")
    sync(remote)
    assert ids(remote) == []
    deliver_deletes()
    sync(remote)
    assert ids(remote) == []
    assert fake.store("openai") == []


def test_a_file_is_lost_only_when_list_and_retrieve_agree(remote: Tenant, fake: FakeProvider) -> None:
    kept, gone = remote.api.create(b"kept")["id"], remote.api.create(b"gone")["id"]
    fake.remove_file("openai", gone)
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        sync(remote)
        assert ids(remote) == [kept]
        assert File.objects.get(file_id=gone).state == "lost"
        assert counters(remote.organization) == (4, 0, 1)
        assert remote.api.get(f"/files/{gone}").status == 404


def test_a_lost_file_that_is_back_is_taken_back(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create(b"back")["id"]
    fake.remove_file("openai", file_id)
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        sync(remote)
        assert ids(remote) == []
        fake.add_file("openai", remote_id=file_id, filename="a.txt", content=b"back", purpose="user_data")
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        sync(remote)
        assert ids(remote) == [file_id]
        assert counters(remote.organization) == (4, 0, 1)


def test_a_lost_file_whose_id_was_uploaded_again_stays_lost(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create(b"back")["id"]
    fake.remove_file("openai", file_id)
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        sync(remote)
        fake.script({"method": "POST"}, behaviours.patched({"id": file_id}))
        assert remote.api.create(b"once more")["id"] == file_id
        fake.add_file(
            "openai", remote_id=file_id, filename="a.txt", content=b"once more", purpose="user_data"
        )
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        sync(remote)
        assert find_again(FileCopy.objects.get(state=CopyState.LOST)) is False
    assert ids(remote).count(file_id) == 1
    assert counters(remote.organization) == (9, 0, 1)


def test_a_store_that_seems_empty_loses_nothing(remote: Tenant, fake: FakeProvider) -> None:
    """A wrong key and an unmounted disk look like this."""
    uploaded = {remote.api.create(b"%d" % number)["id"] for number in range(12)}
    for file_id in uploaded:
        fake.remove_file("openai", file_id)
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        with pytest.raises(InvalidResponseError, match="lacks 12 of 12"):
            sync_account(ProviderAccount.objects.get(name="openai"))
        assert set(ids(remote)) == uploaded


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_provider_that_fails_loses_nothing(remote: Tenant, fake: FakeProvider, status: int) -> None:
    file_id = remote.api.create()["id"]
    fake.remove_file("openai", file_id)
    fake.script({"path": f"{file_id}$", "times": None}, behaviours.fail(status))
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        sync(remote)
    assert File.objects.get().state == "available"


def test_an_empty_list_that_is_wrong_loses_nothing(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    empty = {"object": "list", "data": [], "has_more": False}
    fake.script({"path": "/files$"}, behaviours.answer(200, json_body=empty))
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        sync(remote)
    assert ids(remote) == [file_id]


def test_a_list_that_breaks_off_loses_nothing(remote: Tenant, fake: FakeProvider) -> None:
    gone = remote.api.create()["id"]
    fake.remove_file("openai", gone)
    for n in range(1_001):
        planted(fake, f"{n}.jsonl")
    fake.script({"method": "GET", "path": "/files$", "skip": 1, "times": None}, behaviours.fail(500))
    account = ProviderAccount.objects.get(name="openai")
    later = timezone.now() + timedelta(minutes=1)
    with time_machine.travel(later), pytest.raises(ProviderUnavailableError):
        sync_account(account)
    assert File.objects.get(file_id=gone).state == "available"
    assert (account.sync_lease_expires_at, account.last_synced_at) == (None, None)


def test_a_file_uploaded_during_the_sync_is_neither_lost_nor_doubled(
    remote: Tenant, fake: FakeProvider
) -> None:
    """The list was read before the upload: what it lacks is younger than the list."""
    form = encode([purpose_part(), file_part(b"x" * 500)])
    body = with_side_effect(form, 200, lambda: sync(remote))
    created = remote.api.upload_body(body, length=len(form)).json()
    sync(remote)
    assert ids(remote) == [created["id"]]
    assert counters(remote.organization) == (500, 0, 1)


def test_an_upload_wins_over_a_sync_that_took_its_file(remote: Tenant, fake: FakeProvider) -> None:
    """The file was stored and listed before the upload's own answer came."""
    file_id = planted(fake)
    assert remote.api.get(f"/files/{file_id}").status == 200
    fake.script({"method": "POST"}, behaviours.patched({"id": file_id}))
    created = remote.api.create(b"uploaded")
    assert (created["id"], created["bytes"]) == (file_id, 8)
    assert ids(remote) == [file_id]
    assert counters(remote.organization) == (8, 0, 1)


def test_two_syncs_at_once_are_one(remote: Tenant, fake: FakeProvider) -> None:
    account = ProviderAccount.objects.get(name="openai")
    ProviderAccount.objects.filter(pk=account.pk).update(
        sync_token="other", sync_lease_expires_at=timezone.now() + timedelta(minutes=1)
    )
    assert sync_account(account) is None
    assert fake.requests == []


def test_a_status_that_changes_is_followed(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    listed = {"id": file_id, "object": "file", "status": "error", "status_details": "bad line", "bytes": 5}
    body = {"object": "list", "data": [listed], "has_more": False}
    fake.script({"path": "/files$"}, behaviours.answer(200, json_body=body))
    sync(remote)
    shown = remote.api.get(f"/files/{file_id}").json()
    assert (shown["status"], shown["status_details"]) == ("error", "bad line")
    assert (shown["bytes"], shown["filename"]) == (5, "a.txt")
