"""Any order of uploads, failures, deletes, restores, holds and sweeps leaves index, quota, providers one."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from files_app.exceptions import FileHeldError, QuotaExceededError
from files_app.models import File, FileCopy, FileJob, HeldFile, LegalHold, RetentionRule
from files_app.services.accounts.breakers import forget_breakers
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.selection import forget_recent_accounts
from files_app.services.bulk import work
from files_app.services.deletes import delivery, expiry, outbox, purging, trash
from files_app.services.index.callers import system_caller
from files_app.services.operations import cleanup
from files_app.services.retention import enforcement, holds
from files_app.services.tenants.keys import forget_cached_keys
from files_app.services.tenants.throttle import forget_counts
from providers.transports.http import HTTPTransport
from tests.fake_provider import Behaviour, FakeProvider, behaviours
from tests.faults.gateway import digest
from tests.faults.recovery import let_time_pass, recover
from tests.files_app.cast import Tenant, counters, local_account, make_tenant, openai_account
from tests.files_app.forms import encode, file_part, purpose_part
from tests.providers.stores import read

QUOTA_BYTES = 4_000
UPLOAD_FAULTS: dict[str, Behaviour] = {
    "500": behaviours.fail(500),
    "429": behaviours.fail(429, retry_after="1"),
    "400": behaviours.fail(400),
    "early 401": behaviours.fail(401, after_body_bytes=0),
    "drop": behaviours.drop(),
    "drop midway": behaviours.drop(after_body_bytes=50),
    "stored and dropped": behaviours.store_then_drop(),
    "stored and 500": behaviours.fail(500, stored=True),
    "stored and html": behaviours.html(stored=True),
    "stored without id": behaviours.without_id(),
}
DELETE_FAULTS: dict[str, Behaviour] = {
    "500": behaviours.fail(500),
    "done and 404": behaviours.fail(404, stored=True),
    "drop": behaviours.drop(),
    "done and dropped": behaviours.store_then_drop(),
}
ACCOUNTS = ("remote", "disk")
_names = count()


class FilesMachine(RuleBasedStateMachine):
    """The model: which files are there, by account; what it allows is checked after every step.

    trash: files that clients have deleted and that are restored or purged, each with whether it counts.
    held: ids of what nothing may delete.
    """

    fake: FakeProvider
    files = Bundle("files")
    trashed = Bundle("trashed")

    def __init__(self) -> None:
        super().__init__()
        forget_cached_keys()
        forget_recent_accounts()
        forget_counts()
        HeldFile.objects.all().delete()
        LegalHold.objects.all().delete()
        FileCopy.objects.all().delete()
        File.objects.all().delete()
        self.fake.reset()
        self.tenant: Tenant = make_tenant(f"machine-{next(_names)}", quota_bytes=QUOTA_BYTES)
        organization = self.tenant.organization
        self.remote = openai_account(organization, self.fake, "remote", base_url=self._own_url())
        self.disk = local_account(organization, "disk")
        self.model: dict[str, tuple[str, bytes]] = {}
        self.trash: dict[str, tuple[str, bytes, bool]] = {}
        self.held: set[str] = set()
        self.caller = system_caller(organization.pk)

    def _own_url(self) -> str:
        """Return the endpoint; what earlier machines had there is another upstream for good."""
        type(self.tenant.organization).objects.exclude(pk=self.tenant.organization.pk).update(is_active=False)
        for account in self.tenant.organization.provider_accounts.model.objects.all():
            account.places.update(authority=f"retired-{account.pk}")
        return self.fake.url("openai")

    def _free(self) -> int:
        return QUOTA_BYTES - sum(len(content) for content in self._counted())

    def _counted(self) -> list[bytes]:
        in_trash = [content for _, content, counts in self.trash.values() if counts]
        return [content for _, content in self.model.values()] + in_trash

    @rule(days=st.sampled_from([0, 7, 7]), is_free=st.booleans())
    def set_trash(self, days: int, is_free: bool) -> None:
        self.tenant.set_limits(trash_days=days, trash_is_free=is_free)

    @rule(target=files, account=st.sampled_from(ACCOUNTS), size=st.integers(1, 1_500))
    def upload(self, account: str, size: int) -> str:
        content = random.Random(size).randbytes(size)
        reply = self.tenant.api.upload(content, "evals", f"{next(_names)}.txt", account=account)
        if size > self._free():
            assert (reply.status, reply.error["code"]) == (403, "storage_quota_exceeded")
            return ""
        assert reply.status == 200, reply.body
        file_id: str = reply.json()["id"]
        self.model[file_id] = (account, content)
        return file_id

    @rule(fault=st.sampled_from(sorted(UPLOAD_FAULTS)), size=st.integers(1, 300))
    def upload_that_the_provider_fails(self, fault: str, size: int) -> None:
        forget_breakers()  # behind three drops in a row the next upload would not be tried
        self.fake.script({"method": "POST"}, UPLOAD_FAULTS[fault])
        reply = self.tenant.api.upload(b"f" * size, "evals", f"{next(_names)}.txt", account="remote")
        assert reply.status >= 400
        if self.fake.unused_behaviours():  # the quota refused it before
            assert reply.status == 403
            self.fake.app.scripted.clear()

    @rule(account=st.sampled_from(ACCOUNTS), share=st.floats(0, 0.99))
    def upload_that_the_client_breaks_off(self, account: str, share: float) -> None:
        form = encode([purpose_part("evals"), file_part(b"g" * 200)])
        cut = form[: int(len(form) * share)]
        reply = self.tenant.api.upload_body(cut, length=len(form), account=account)
        assert reply.status in {400, 403}

    @rule(target=trashed, file_id=consumes(files))
    def delete(self, file_id: str) -> str:
        is_there = file_id in self.model
        reply = self.tenant.api.delete(f"/files/{file_id or 'file-never'}")
        if is_there and file_id in self.held:
            assert (reply.status, reply.error["code"]) == (409, "file_on_hold")
            return file_id
        assert reply.status == (200 if is_there else 404)
        organization = self.tenant.fresh()
        if is_there and organization.trash_days:
            self.trash[file_id] = (*self.model[file_id], not organization.trash_is_free)
        self.model.pop(file_id, None)
        return file_id

    @rule(target=files, file_id=consumes(trashed))
    def restore(self, file_id: str) -> str:
        file = File.objects.filter(file_id=file_id).first()
        if file is None or file_id not in self.trash:
            return file_id
        account, content, counts = self.trash[file_id]
        if not counts and len(content) > self._free():
            with pytest.raises(QuotaExceededError):
                trash.restore(file, caller=self.caller)
            return file_id
        trash.restore(file, caller=self.caller)
        self.model[file_id] = account, content
        del self.trash[file_id]
        return file_id

    @rule(file_id=trashed, is_over=st.booleans())
    def purge(self, file_id: str, is_over: bool) -> None:
        """Let a file's days in the trash be over, or staff delete it."""
        if file_id not in self.trash:
            return
        if is_over:
            past = timezone.now() - timedelta(seconds=1)
            File.objects.filter(file_id=file_id).update(trash_ends_at=past)
            purging.empty_trash()
        elif file_id in self.held:
            with pytest.raises(FileHeldError):
                purging.purge(File.objects.get(file_id=file_id), caller=self.caller)
        else:
            purging.purge(File.objects.get(file_id=file_id), caller=self.caller)
        if file_id not in self.held:
            del self.trash[file_id]

    @rule(file_id=st.one_of(files, trashed))
    def hold(self, file_id: str) -> None:
        if file_id in self.model or file_id in self.trash:
            holds.hold_files([File.objects.get(file_id=file_id)], reason="case", caller=self.caller)
            self.held.add(file_id)

    @rule(file_id=st.one_of(files, trashed))
    def lift(self, file_id: str) -> None:
        """Lift every hold on a file; a copy in the trash whose time is over then goes with the next round."""
        for hold in LegalHold.objects.open().filter(held__file__file_id=file_id):
            holds.lift(hold, caller=self.caller)
        self.held.discard(file_id)
        File.objects.filter(file_id=file_id, state="trashed").update(
            trash_ends_at=timezone.now() + timedelta(days=7)
        )

    @rule(file_id=consumes(files))
    def expire(self, file_id: str) -> None:
        past = timezone.now() - timedelta(seconds=1)
        rows = File.objects.filter(file_id=file_id, state="available")
        rows.update(expires_at=past)
        if file_id in self.model:
            assert self.tenant.api.get(f"/files/{file_id}").status == 404
            assert file_id not in self._shown()
        expiry.expire_files()
        if file_id in self.held and file_id in self.model:
            assert rows.update(expires_at=None) == 1  # it is there; so that the model need not know of it
        else:
            self.model.pop(file_id, None)

    @rule(file_id=st.one_of(files, trashed))
    def end_by_rule(self, file_id: str) -> None:
        """Let a retention rule come for which this file alone is too old, be it in the trash."""
        rows = File.objects.filter(file_id=file_id)
        long_ago = timezone.now() - timedelta(days=9)
        rows.update(created_at=long_ago, indexed_at=long_ago)
        made = RetentionRule.objects.create(
            organization=self.tenant.organization, longest_life_seconds=86_400
        )
        ended = enforcement.apply_rules()
        made.delete()
        is_there = file_id in self.model or file_id in self.trash
        assert ended == (is_there and file_id not in self.held)
        if file_id in self.held:
            rows.update(created_at=timezone.now(), indexed_at=timezone.now())  # young again for other rules
        else:
            self.model.pop(file_id, None)
            self.trash.pop(file_id, None)

    @rule(target=trashed)
    def delete_all(self) -> Any:
        """Let a client delete all that match, and a worker do it."""
        body = json.dumps({"filter": {"purpose": "evals"}}).encode()
        kind = {"Content-Type": "application/json"}
        order = self.tenant.api.post("/files/deletions", body=[body], headers=kind).json()
        assert order["counts"]["files"] == len(self.model)
        work.take_turn(FileJob.objects.get(public_id=order["id"]).pk)
        done = self.tenant.api.get(f"/files/deletions/{order['id']}").json()
        gone = [file_id for file_id in self.model if file_id not in self.held]
        assert (done["status"], done["counts"]["deleted"]) == ("completed", len(gone))
        organization = self.tenant.fresh()
        for file_id in gone:
            if organization.trash_days:
                self.trash[file_id] = (*self.model[file_id], not organization.trash_is_free)
            del self.model[file_id]
        return multiple(*gone)

    @rule()
    def deliver(self) -> None:
        for pk in FileCopy.objects.due().values_list("pk", flat=True):
            delivery.deliver(pk)

    @rule(fault=st.sampled_from(sorted(DELETE_FAULTS)))
    def deliver_with_a_fault(self, fault: str) -> None:
        let_time_pass()
        self.fake.script({"method": "DELETE"}, DELETE_FAULTS[fault])
        for pk in FileCopy.objects.due().values_list("pk", flat=True)[:1]:
            delivery.deliver(pk)
        self.fake.app.scripted.clear()

    @rule()
    def sweep_up(self) -> None:
        let_time_pass()
        cleanup.sweep_uploads()

    @rule()
    def settle_everything(self) -> None:
        """After a sweep and a delivery the providers hold what the model says, and no byte more (I2, I4)."""
        recover()
        held = {stored.remote_id: stored.sha256 for stored in self.fake.store("openai")}
        driver = driver_for(self.disk)
        on_disk = {
            driver.file_id_of(each.remote_id): digest(read(driver, each.remote_id))
            for each in driver.list_files().files
        }
        expected = {file_id: digest(content) for file_id, (_, content) in self.model.items()}
        expected |= {file_id: digest(content) for file_id, (_, content, _) in self.trash.items()}
        assert {**held, **on_disk} == expected

    @rule(file_id=files)
    def read_back(self, file_id: str) -> None:
        reply = self.tenant.api.get(f"/files/{file_id or 'file-never'}/content")
        if file_id in self.model:
            assert (reply.status, reply.body) == (200, self.model[file_id][1])
        else:
            assert reply.status == 404

    @invariant()
    def lists_show_the_model(self) -> None:
        assert self._shown() == set(self.model)

    @invariant()
    def the_quota_counts_the_model(self) -> None:
        counted = self._counted()
        assert counters(self.tenant.organization) == (sum(map(len, counted)), 0, len(counted))

    @invariant()
    def what_is_held_is_there(self) -> None:
        held = File.objects.filter(is_held=True, state__in=["available", "trashed"])
        assert set(held.values_list("file_id", flat=True)) == self.held

    def _shown(self) -> set[str]:
        """Page through the list, two at a time."""
        shown: list[str] = []
        query: dict[str, Any] = {"limit": 2}
        while True:
            page = self.tenant.api.get("/files", query=query).json()
            shown += [file["id"] for file in page["data"]]
            if not page["has_more"]:
                assert len(shown) == len(set(shown))
                return set(shown)
            query["after"] = page["last_id"]


@pytest.mark.django_db(transaction=True)
def test_any_order_of_events_keeps_the_invariants(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HTTPTransport, "_wait", lambda self, seconds: None)
    monkeypatch.setattr(outbox, "send", lambda pk: True)  # no broker: the machine delivers
    monkeypatch.setattr(FilesMachine, "fake", fake, raising=False)
    run_state_machine_as_test(
        FilesMachine,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
