"""`manage.py deletions`"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from files_app.models import AuditEvent, CopyState, File, FileCopy
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import failing, good
from tests.files_app.rows import force


@pytest.fixture
def deleted(remote: Tenant) -> str:
    """The id of a file whose delete waits for the provider."""
    file_id: str = remote.api.create(b"\x89PNG", "vision", "a.png")["id"]
    remote.api.delete(f"/files/{file_id}")
    return file_id


def bury() -> None:
    force(FileCopy.objects, state=CopyState.DEAD, last_error="locked", next_attempt_at=None)


def test_a_list_shows_what_waits(remote: Tenant, deleted: str) -> None:
    remote.api.create(b"\x89PNG", "vision", "b.png")
    (row,) = good("deletions", "list", "--json").json
    assert (row["id"], row["state"], row["account"]) == (deleted, "deleting", "acme/openai")
    assert good("deletions", "list", "--state", "dead", "--json").json == []
    assert good("deletions", "list", "--account", "acme/local", "--json").json == []
    assert deleted in good("deletions", "list", "--organization", "acme").out


def test_drain_works_without_broker_and_worker(remote: Tenant, deleted: str, fake: FakeProvider) -> None:
    assert "would try 1 delete" in good("deletions", "drain", "--early", "--dry-run").out
    assert fake.store("openai")
    assert [row["outcome"] for row in good("deletions", "drain", "--early", "--json").json] == ["deleted"]
    assert not fake.store("openai")
    assert File.objects.get().state == "deleted"
    assert "No delete is due" in good("deletions", "drain").err


def test_drain_leaves_later_attempts_alone(remote: Tenant, deleted: str, fake: FakeProvider) -> None:
    FileCopy.objects.update(next_attempt_at=timezone.now() + timedelta(hours=1))
    assert good("deletions", "drain", "--json").json == []
    assert fake.store("openai")


def test_one_poisoned_delete_does_not_hold_up_the_others(
    remote: Tenant, deleted: str, fake: FakeProvider
) -> None:
    second = remote.api.create(b"\x89PNG", "vision", "b.png")["id"]
    remote.api.delete(f"/files/{second}")
    fake.script({"method": "DELETE", "path": deleted, "times": None}, behaviours.fail(500))
    done = failing("deletions", "drain", "--early", "--json")
    assert {row["id"]: row["outcome"] for row in done.json} == {deleted: "deleting", second: "deleted"}
    assert "1 delete of 2 failed" in done.err


def test_a_dead_delete_is_retried(remote: Tenant, deleted: str) -> None:
    bury()
    assert "locked" in good("deletions", "list", "--state", "dead").out
    assert "would be sent again" in good("deletions", "retry", "--all", "--dry-run").out
    assert FileCopy.objects.get().state == "dead"
    good("deletions", "retry", deleted)
    copy = FileCopy.objects.get()
    assert (copy.state, copy.attempts) == ("deleting", 0)
    assert AuditEvent.objects.get(action="delete.retry").actor_type == "command"
    assert "No delete was given up" in good("deletions", "retry", "--all").err


def test_retry_wants_ids_or_all(remote: Tenant, deleted: str) -> None:
    failing("deletions", "retry", code=2)
    failing("deletions", "retry", "--all", deleted, code=2)
    assert f"Not given up, so not retried: {deleted}" in failing("deletions", "retry", deleted).err


def test_a_delete_is_given_up_with_a_reason(remote: Tenant, deleted: str, fake: FakeProvider) -> None:
    bury()
    reason = ("--reason", "the account was closed")
    assert "--yes" in failing("deletions", "give-up", deleted, *reason, code=2).err
    assert "would be given up" in good("deletions", "give-up", deleted, *reason, "--dry-run").out
    assert FileCopy.objects.get().state == "dead"
    good("deletions", "give-up", deleted, *reason, "--yes")
    assert (FileCopy.objects.get().state, File.objects.get().state) == ("deleted", "deleted")
    event = AuditEvent.objects.get(action="delete.give_up")
    assert (event.actor_type, event.details) == ("command", {"reason": "the account was closed"})
    assert fake.store("openai")
    assert "No delete of these waits" in failing("deletions", "give-up", deleted, *reason, "--yes").err
