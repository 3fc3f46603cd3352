"""SQLite cannot be written, is full, or is wanted by many at once (C6)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from files_app.models import ApiKey
from files_app.services.index import transactions
from files_app.services.tenants import keys
from tests.fake_provider import FakeProvider
from tests.faults.gateway import Gateway
from tests.faults.recovery import recover
from tests.faults.test_nth_call import assert_one_truth, tenant
from tests.faults.test_quota_races import at_once
from tests.files_app.cast import Tenant

__all__ = ["tenant"]

in_process = pytest.mark.django_db(transaction=True)
WHERE = pytest.mark.parametrize("where", ["provider", "disk"])


@pytest.fixture
def pragma(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has pragmas")
    monkeypatch.setattr(transactions, "PATIENCE_SECONDS", 0.15)


@contextmanager
def setting(name: str, value: int, *, healed: int) -> Iterator[None]:
    """Change a pragma of this thread's connections for a while: errors make the gateway open a new one."""

    def change(to: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA {name} = {to}")

    def change_new_one(**kwargs: object) -> None:
        change(value)

    connection.ensure_connection()
    change(value)
    connection_created.connect(change_new_one)
    try:
        yield
    finally:
        connection_created.disconnect(change_new_one)
        change(healed)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let the database grow no more, and leave few of the pages that earlier tests have freed in it."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE filler (bytes BLOB)")
        cursor.execute(
            "INSERT INTO filler SELECT zeroblob(MAX(0, freelist_count - 20) * page_size) "
            "FROM pragma_freelist_count, pragma_page_size"
        )
    try:
        with setting("max_page_count", 1, healed=1_073_741_823):
            yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE filler")


@in_process
@WHERE
def test_a_database_that_is_read_only_refuses_writes_and_serves_reads(
    pragma: None, tenant: Tenant, fake: FakeProvider
) -> None:
    kept = tenant.api.create(b"kept", "evals")
    ApiKey.objects.update(last_used_at=None)  # the next request would note the time
    keys.forget_cached_keys()
    # Not by the file's mode, which the superuser does not heed: SQLite raises the same error.
    with setting("query_only", 1, healed=0):
        reply = tenant.api.upload(b"new", "evals")
        assert (reply.status, reply.error["code"]) == (503, "database_unavailable")
        assert tenant.api.delete(f"/files/{kept['id']}").status == 503
        assert tenant.api.get("/files").json()["data"] == [kept]
        assert tenant.api.get(f"/files/{kept['id']}").status == 200
        assert tenant.api.get(f"/files/{kept['id']}/content").body == b"kept"
    assert assert_one_truth(tenant, fake) == {kept["id"]}
    assert tenant.api.upload(b"new", "evals").status == 200
    assert tenant.api.delete(f"/files/{kept['id']}").status == 200
    recover()
    assert len(assert_one_truth(tenant, fake)) == 1


@in_process
@WHERE
def test_a_full_disk_is_a_clean_answer_and_no_loss(pragma: None, tenant: Tenant, fake: FakeProvider) -> None:
    answered: set[str] = set()
    statuses: Counter[int] = Counter()
    with full_disk():
        for number in range(400):
            metadata = {"x-tfy-metadata": '{"k": "' + "v" * 120 + '"}'}
            reply = tenant.api.upload(b"content", "evals", f"{number}.txt", headers=metadata)
            statuses[reply.status] += 1
            if reply.status == 200:
                answered.add(reply.json()["id"])
            else:
                assert (reply.status, reply.error["code"]) == (503, "storage_full")
                assert reply.headers["Retry-After"] == "30"
            if statuses[503] == 10:
                break
        assert statuses[503] == 10, statuses
        assert tenant.api.get("/files").status == 200
        assert tenant.api.get(f"/files/{min(answered)}/content").status == 200
    recover()
    assert assert_one_truth(tenant, fake) == answered
    assert tenant.api.upload(b"content", "evals").status == 200


def test_sixteen_writers_never_hear_that_the_database_is_locked(gateway: Gateway) -> None:
    tenant = gateway.tenant(gateway.local())
    for _ in range(3):
        uploaded = at_once([lambda: tenant.upload(b"x" * 1_000)] * 16)
        assert Counter(answer.status_code for answer in uploaded) == {200: 16}
        ids = [answer.json()["id"] for answer in uploaded]
        mixed = at_once(
            [lambda file_id=file_id: tenant.delete(file_id) for file_id in ids[:8]]
            + [lambda: tenant.upload(b"y" * 1_000)] * 8
        )
        assert Counter(answer.status_code for answer in mixed) == {200: 16}
    assert len(tenant.ids()) == tenant.usage()[2] == 48
    gateway.assert_no_drift()


def test_a_writer_that_stands_still_keeps_nobody_waiting_for_long(gateway: Gateway) -> None:
    """As when a process is stopped in the middle of its transaction."""
    tenant = gateway.tenant(gateway.local())
    kept = tenant.upload(b"kept").json()["id"]
    with gateway.locked_database():
        began = time.monotonic()
        refused = at_once([lambda: tenant.upload(b"new")] * 8 + [lambda: tenant.delete(kept)] * 8)
        waited = time.monotonic() - began
        assert tenant.ids() == {kept}
    assert [answer.status_code for answer in refused] == [503] * 16
    assert {answer.json()["error"]["code"] for answer in refused} == {"database_unavailable"}
    assert all("Retry-After" in answer.headers for answer in refused)
    assert waited < 10 + 5  # what is promised, and what a busy machine may add
    assert tenant.delete(kept).status_code == 200
    gateway.recover()
    tenant.assert_empty()
    gateway.assert_no_drift()
