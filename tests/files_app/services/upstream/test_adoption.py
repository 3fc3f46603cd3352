"""Files that the gateway did not upload: taken in by their ids, and only where that is safe."""

from __future__ import annotations

import pytest
from django.utils import timezone

from files_app.models import AuditEvent, CopyState, File, FileCopy, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.sharing import prove_access
from files_app.services.index.callers import system_caller
from files_app.services.uploads.failure import abandon_upload
from files_app.services.upstream import adoption
from providers.objects import RemoteFile
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, deliver_deletes, openai_account
from tests.files_app.client import with_side_effect
from tests.files_app.forms import encode, file_part, purpose_part
from tests.files_app.rows import force
from tests.files_app.services.upstream.elsewhere import ids, planted, sync


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
    prove_access(openai_account(other.organization, fake, "theirs"))
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
        force(FileCopy.objects, state=state)
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
    force(FileCopy.objects.filter(file=row), state=CopyState.FAILED)
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


def test_who_comes_second_finds_what_the_first_has_adopted(
    remote: Tenant, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = planted(fake)
    original = adoption.may_be_any_of
    statuses: list[int] = []

    def let_another_be_first(found: RemoteFile, uploads: list[FileCopy]) -> bool:
        if not statuses:
            statuses.append(0)
            statuses[0] = remote.api.get(f"/files/{file_id}").status
        return original(found, uploads)

    monkeypatch.setattr(adoption, "may_be_any_of", let_another_be_first)
    outer = remote.api.get(f"/files/{file_id}").status
    assert [*statuses, outer] == [200, 200]


def test_an_object_of_an_upload_that_was_given_up_is_deleted_and_not_adopted(acme: Tenant) -> None:
    """Its store showed it only after the upload had failed."""
    account = acme.accounts["local"]
    file = File.objects.create(organization=acme.organization, account=account, file_id="file-" + "a" * 26)
    copy = FileCopy.objects.create(file=file, account=account)
    abandon_upload(file, copy, caller=system_caller(), reason="refused", may_be_stored=False)
    path = driver_for(account).root / acme.organization.namespace / f"{file.file_id}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"late")
    sync(acme, "local")
    assert (ids(acme), File.objects.count()) == ([], 1)
    deliver_deletes()
    assert not path.exists()
    copy.refresh_from_db()
    assert copy.state == "deleted"
