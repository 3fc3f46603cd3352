"""The first, the second, the nth boundary call fails, once or from then on, until none is left to fail.

After each round everything is healed and swept, and the invariants are checked: what the gateway shows,
what its quota says and what the provider holds are one.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from django.db import OperationalError

from files_app.models import File, FileCopy, FileState, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.deletes import delivery
from files_app.services.operations import cleanup
from tests.fake_provider import FakeProvider, behaviours
from tests.faults.boundary import PUBLISH, Boundary, Moment, Times, boundary
from tests.faults.gateway import digest
from tests.faults.messages import deliver_by_messages
from tests.faults.recovery import let_time_pass, recover
from tests.files_app.batches import MODELS, bucket_account, chat_lines
from tests.files_app.cast import Tenant, counters, local_account, make_tenant, openai_account
from tests.files_app.forms import BOUNDARY, encode, file_part, purpose_part
from tests.providers.stores import read, s3_server

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["boundary", "s3_server"]

CONTENT = b"some content of the file" * 1000
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
FAULTS = pytest.mark.parametrize(
    ("moment", "times"),
    [("before", "once"), ("before", "forever"), ("after", "once"), ("after", "forever")],
)
WHERE = pytest.mark.parametrize("where", ["provider", "disk"])
#: In a bucket the file is a batch file, which has a rendition beside it.
EVERYWHERE = pytest.mark.parametrize("where", ["provider", "disk", "bucket"])
MAX_CALLS = 200
ENDED = {"available", "deleted", "failed", "unconfirmed"}


@pytest.fixture
def tenant(request: pytest.FixtureRequest, fake: FakeProvider, where: str) -> Tenant:
    """An organization that owns its only account alone."""
    tenant = make_tenant("acme")
    if where == "provider":
        account = openai_account(tenant.organization, fake, is_default=True)
    elif where == "disk":
        account = local_account(tenant.organization, is_default=True)
    else:
        account = bucket_account(tenant.organization, request.getfixturevalue("s3_server"))
        ProviderAccount.objects.filter(pk=account.pk).update(is_default=True)
    tenant.accounts[where] = account
    tenant.api.usage()  # the first use of a key is written down
    return tenant


def upload(tenant: Tenant) -> int:
    form = encode([purpose_part("evals"), file_part(CONTENT)])
    if "bucket" in tenant.accounts:
        form = encode([purpose_part("batch"), file_part(chat_lines(MODELS["bedrock"]), "in.jsonl")])
    reply = tenant.api.post("/files", headers=FORM, body=form)
    if reply.status != 200:
        assert reply.error
        assert reply.status in {502, 503, 504}, reply.body
    return reply.status


def stored(tenant: Tenant, fake: FakeProvider) -> dict[str, str]:
    """Return what the provider holds: digests by remote id."""
    if "provider" in tenant.accounts:
        return {each.remote_id: each.sha256 for each in fake.store("openai")}
    [account] = tenant.accounts.values()
    driver = driver_for(account)
    listed = driver.list_files(cursor=None).files
    files = {each.remote_id for each in listed if each.rendition_of is None}
    renditions = [each.rendition_of for each in listed if each.rendition_of is not None]
    assert sorted(renditions) == (sorted(files) if "bucket" in tenant.accounts else [])
    return {remote_id: digest(read(driver, remote_id)) for remote_id in files}


def assert_one_truth(tenant: Tenant, fake: FakeProvider) -> set[str]:
    """Index, quota and provider agree and nothing is pending; return the ids of the files there are.

    `unconfirmed` stays what the provider was never found to have.
    """
    counters(tenant.organization)
    shown = {file["id"] for file in tenant.api.get("/files").json()["data"]}
    rows = File.objects.filter(state=FileState.AVAILABLE)
    assert {row.file_id for row in rows} == shown
    held = FileCopy.objects.filter(file__in=rows)
    assert {copy.remote_id: copy.file.sha256 for copy in held.select_related("file")} == stored(tenant, fake)
    assert set(FileCopy.objects.values_list("state", flat=True)) <= ENDED
    return shown


def remove_all(tenant: Tenant) -> None:
    for file in tenant.api.get("/files").json()["data"]:
        assert tenant.api.delete(f"/files/{file['id']}").status == 200
    recover(deliver_by_messages)


@EVERYWHERE
@FAULTS
def test_an_upload_ends_whole_or_leaves_nothing(
    tenant: Tenant, fake: FakeProvider, boundary: Boundary, moment: Moment, times: Times
) -> None:
    for number in range(1, MAX_CALLS):
        with boundary.failing(number, moment, times) as fault:
            status = upload(tenant)
        recover(deliver_by_messages)
        there = assert_one_truth(tenant, fake)
        if status == 200:
            assert len(there) == 1, fault
        elif (moment, times) != ("after", "forever"):
            # Else a commit was done whose answer never came, nor any other: what is there is whole.
            assert not there, fault
        if not fault.has_fired:
            assert status == 200
            return
        remove_all(tenant)
    pytest.fail("there is no end of calls")


@WHERE
@FAULTS
def test_a_delete_is_done_or_was_never_asked(
    tenant: Tenant, fake: FakeProvider, boundary: Boundary, moment: Moment, times: Times
) -> None:
    for number in range(1, MAX_CALLS):
        assert upload(tenant) == 200
        [file_id] = assert_one_truth(tenant, fake)
        with boundary.failing(number, moment, times) as fault:
            status = tenant.api.delete(f"/files/{file_id}").status
        if fault.calls[number - 1 : number] == [PUBLISH]:
            assert status == 200, fault  # the row is the outbox: a message is only a hint
        if status == 200:
            assert tenant.api.get(f"/files/{file_id}").status == 404, fault
        else:
            assert status == 503, fault
        recover(deliver_by_messages)
        there = assert_one_truth(tenant, fake)
        assert not there if status == 200 else there <= {file_id}, fault
        if not fault.has_fired:
            assert status == 200
            assert PUBLISH in fault.calls
            return
        remove_all(tenant)
    pytest.fail("there is no end of calls")


@EVERYWHERE
@FAULTS
def test_a_delivery_that_fails_is_made_up_for(
    tenant: Tenant, fake: FakeProvider, boundary: Boundary, moment: Moment, times: Times
) -> None:
    for number in range(1, MAX_CALLS):
        assert upload(tenant) == 200
        [file_id] = assert_one_truth(tenant, fake)
        assert tenant.api.delete(f"/files/{file_id}").status == 200
        copy = FileCopy.objects.get(state="deleting")
        with boundary.failing(number, moment, times) as fault, suppress(OperationalError):
            delivery.deliver(copy.pk)
        recover(deliver_by_messages)
        assert not assert_one_truth(tenant, fake), fault
        if not fault.has_fired:
            return
    pytest.fail("there is no end of calls")


@FAULTS
@pytest.mark.parametrize("where", ["provider"])
def test_a_sweep_that_fails_is_made_up_for(
    tenant: Tenant, fake: FakeProvider, boundary: Boundary, moment: Moment, times: Times
) -> None:
    for number in range(1, MAX_CALLS):
        fake.script({"method": "POST", "path": "/files$"}, behaviours.store_then_drop())
        assert upload(tenant) == 502
        assert len(stored(tenant, fake)) == 1
        let_time_pass()
        with boundary.failing(number, moment, times) as fault, suppress(OperationalError):
            cleanup.sweep_uploads()
        recover(deliver_by_messages)
        assert not assert_one_truth(tenant, fake), fault
        if not fault.has_fired:
            return
    pytest.fail("there is no end of calls")
