"""DELETE /files/{id}, and expiry"""

from __future__ import annotations

from datetime import timedelta

import time_machine
from django.utils import timezone

from files_app.models import AuditEvent, File, FileCopy
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, deliver_deletes, on_disk
from tests.files_app.client import with_side_effect
from tests.files_app.forms import encode, file_part, purpose_part


def test_it_answers_at_once_and_the_provider_follows(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    asked = len(fake.requests)
    reply = remote.api.delete(f"/files/{file_id}")
    assert reply.json() == {"id": file_id, "object": "file", "deleted": True}
    assert len(fake.requests) == asked
    assert counters(remote.organization) == (0, 0, 0)
    for gone in (
        remote.api.get(f"/files/{file_id}"),
        remote.api.get(f"/files/{file_id}/content"),
        remote.api.delete(f"/files/{file_id}"),
    ):
        assert gone.status == 404
    assert remote.api.listed()["data"] == []
    deliver_deletes()
    assert fake.store("openai") == []
    assert (File.objects.get().state, FileCopy.objects.get().state) == ("deleted", "deleted")
    assert remote.api.get(f"/files/{file_id}").status == 404


def test_a_deleted_file_is_not_adopted_again_while_the_provider_has_it(
    remote: Tenant, fake: FakeProvider
) -> None:
    file_id = remote.api.create()["id"]
    remote.api.delete(f"/files/{file_id}")
    assert len(fake.store("openai")) == 1
    assert remote.api.get(f"/files/{file_id}").status == 404
    assert remote.api.get(f"/files/{file_id}", account="openai").status == 404
    assert fake.requests[-1].method == "POST"


def test_the_bytes_on_disk_are_removed(acme: Tenant) -> None:
    file_id = acme.api.create()["id"]
    assert on_disk(acme)
    acme.api.delete(f"/files/{file_id}")
    deliver_deletes()
    assert FileCopy.objects.get().state == "deleted"
    assert on_disk(acme) == []


def test_deleting_needs_the_right_account(remote: Tenant) -> None:
    file_id = remote.api.create(account="local")["id"]
    assert remote.api.delete(f"/files/{file_id}", account="openai").status == 404
    assert remote.api.delete(f"/files/{file_id}", account="local").status == 200


def test_a_delete_is_written_down(acme: Tenant) -> None:
    file_id = acme.api.create()["id"]
    acme.api.delete(f"/files/{file_id}")
    event = AuditEvent.objects.get(action="file.delete")
    assert (event.object_id, event.actor, event.result) == (file_id, "main", "ok")


def test_a_provider_that_fails_delays_the_delete_and_not_the_answer(
    remote: Tenant, fake: FakeProvider
) -> None:
    file_id = remote.api.create()["id"]
    fake.script({"method": "DELETE"}, behaviours.fail(500))
    fake.script({"method": "DELETE"}, behaviours.not_deleted(file_id))
    fake.script({"method": "DELETE"}, behaviours.fail(429, retry_after="7"))
    assert remote.api.delete(f"/files/{file_id}").status == 200
    for attempts in (1, 2, 3):
        deliver_deletes()
        copy = FileCopy.objects.get()
        assert (copy.state, copy.attempts) == ("deleting", attempts)
        assert copy.next_attempt_at is not None
        assert copy.next_attempt_at > timezone.now()
    deliver_deletes()
    assert fake.store("openai") == []
    assert FileCopy.objects.get().state == "deleted"


def test_a_file_that_is_gone_already_counts_as_deleted(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create()["id"]
    fake.remove_file("openai", file_id)
    remote.api.delete(f"/files/{file_id}")
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        deliver_deletes()
    assert FileCopy.objects.get().state == "deleted"


def test_a_young_file_that_its_provider_does_not_show_yet_is_deleted_later(
    remote: Tenant, fake: FakeProvider
) -> None:
    file_id = remote.api.create()["id"]
    fake.script({"method": "DELETE"}, behaviours.fail(404))
    remote.api.delete(f"/files/{file_id}")
    deliver_deletes()
    assert (FileCopy.objects.get().state, len(fake.store("openai"))) == ("deleting", 1)
    deliver_deletes()
    assert (FileCopy.objects.get().state, fake.store("openai")) == ("deleted", [])


def test_an_upload_in_flight_has_no_id_to_delete(acme: Tenant) -> None:
    form = encode([purpose_part(), file_part()])
    statuses: list[int] = []

    def delete() -> None:
        statuses.append(acme.api.delete(f"/files/{File.objects.get().file_id}").status)

    assert acme.api.upload_body(with_side_effect(form, 90, delete), length=None).status == 200
    assert statuses == [404]


def test_a_running_download_survives_the_delete(remote: Tenant, fake: FakeProvider) -> None:
    file_id = remote.api.create(b"x" * 100_000, "vision")["id"]
    with remote.api.open("GET", f"/files/{file_id}/content") as reply:
        first = next(reply.chunks)
        remote.api.delete(f"/files/{file_id}")
        assert first + b"".join(reply.chunks) == b"x" * 100_000
