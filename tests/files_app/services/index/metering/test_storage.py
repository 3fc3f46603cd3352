"""Byte-hours are the integral of what is stored, whatever happens to files and however late it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
import time_machine
from django.db import transaction
from django.db.models import Q, Sum

from files_app.models import (
    DailyUsage,
    File,
    FileCopy,
    MeteredUpTo,
    Organization,
    ProviderAccount,
    SettledDay,
    StoredLevel,
)
from files_app.models.accounts import SharedReason
from files_app.models.files import CAME_OTHERWISE, GONE_STATES
from files_app.services.accounts.sharing import confirm_exclusive, mark_shared
from files_app.services.deletes import purging, tombstones, trash
from files_app.services.index.callers import system_caller
from files_app.services.index.metering import spans, storage
from files_app.services.index.metering.storage import (
    first_open_day,
    held_by_account,
    mend,
    settle_usage,
)
from files_app.services.index.recent import recent_organization
from files_app.services.upstream.lost import find_again, mark_lost
from providers.objects import RemoteFile
from tests.files_app.cast import Tenant, deliver_deletes
from tests.files_app.rows import force

START = datetime(2026, 3, 30, 22, 0, tzinfo=UTC)
HOUR_US = 3_600_000_000


@pytest.fixture
def clock(acme: Tenant) -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(START, tick=False) as travelled:
        settle_usage()
        yield travelled


def figures(tenant: Tenant) -> dict[tuple[date, str], tuple[int, int]]:
    rows = DailyUsage.objects.filter(organization=tenant.organization).values_list("day", "purpose")
    sums = rows.annotate(Sum("byte_hours"), Sum("adopted_byte_hours"))
    return {(day, purpose): (counted, adopted) for day, purpose, counted, adopted in sums}


@dataclass
class Life:
    """What happens to files, and a meter that adds up what is stored between one step and the next."""

    tenant: Tenant
    clock: time_machine.Coordinates
    dice: Random
    now: datetime = START
    held: dict[int, tuple[int, str, bool]] = field(default_factory=dict)
    measured: Counter[tuple[date, str, bool]] = field(default_factory=Counter)

    def pass_time(self, passed: timedelta) -> None:
        """Let time go by, midnight by midnight."""
        until = self.now + passed
        while self.now < until:
            midnight = datetime(self.now.year, self.now.month, self.now.day, tzinfo=UTC) + timedelta(days=1)
            end = min(until, midnight)
            for size, *which in self.held.values():
                passed = (end - self.now) // timedelta(microseconds=1)
                self.measured[self.now.date(), *which] += size * passed
            self.now = end
        self.clock.move_to(self.now)

    def upload(self) -> None:
        size, purpose = self.dice.randint(1, 5_000), self.dice.choice(["user_data", "assistants"])
        file_id = self.tenant.api.create(b"x" * size, purpose)["id"]
        self._holds(File.objects.get(file_id=file_id, state="available"))

    def delete(self) -> None:
        if file := self._one("available"):
            self.tenant.api.delete(f"/files/{file.file_id}")
            file.refresh_from_db()
            if not (file.state == "trashed" and file.is_counted_in_trash):
                self.held.pop(file.pk, None)

    def restore(self) -> None:
        if file := self._one("trashed"):
            trash.restore(file, caller=system_caller(self.tenant.organization.pk))
            self._holds(file)

    def purge(self) -> None:
        if file := self._one("trashed"):
            purging.purge(file, caller=system_caller(self.tenant.organization.pk))
            self.held.pop(file.pk, None)

    def lose(self) -> None:
        if (file := self._one("available")) and mark_lost(FileCopy.objects.get(file=file)):
            self.held.pop(file.pk, None)

    def find(self) -> None:
        if (file := self._one("lost")) and find_again(FileCopy.objects.get(file=file)):
            self._holds(file)

    def adopt(self) -> None:
        number = self.dice.getrandbits(64)
        made_at = self.now - timedelta(hours=self.dice.randint(-20, 200))
        remote = RemoteFile(f"made-{number}", bytes=self.dice.randint(1, 5_000), created_at=made_at)
        account = ProviderAccount.objects.get(organization=self.tenant.organization)
        of = {"organization_id": self.tenant.organization.pk, "account": account, "is_adopted": True}
        self._holds(File.objects.index(remote, file_id=remote.remote_id, **of))

    def withhold(self) -> None:
        mark_shared(ProviderAccount.objects.get(organization=self.tenant.organization), SharedReason.EVIDENCE)
        for pk in File.objects.filter(is_withheld=True).values_list("pk", flat=True):
            self.held.pop(pk, None)

    def confirm(self) -> None:
        account = ProviderAccount.objects.get(organization=self.tenant.organization)
        confirm_exclusive(account, caller=system_caller(self.tenant.organization.pk))
        for file in File.objects.filter(Q(state="available") | Q(state="trashed", is_counted_in_trash=True)):
            self._holds(file)

    @transaction.atomic
    def translate_anew(self) -> None:
        if file := self._one("available"):
            file.bytes = self.dice.randint(0, 5_000)
            spans.update(File.objects.filter(pk=file.pk), bytes=file.bytes)
            Organization.objects.filter(pk=file.organization_id).update(used_bytes=0)  # no quota in the way
            self._holds(file)

    @transaction.atomic
    def take_out(self) -> None:
        if file := self._one(self.dice.choice(["available", "lost", "trashed"])):
            spans.delete(File.objects.filter(pk=file.pk))
            self.held.pop(file.pk, None)

    def _holds(self, file: File) -> None:
        if not file.is_withheld:
            self.held[file.pk] = (file.bytes, file.purpose, file.is_counted)

    def change_trash(self) -> None:
        changed = {"trash_days": self.dice.choice([0, 9]), "trash_is_free": self.dice.random() < 0.5}
        Organization.objects.filter(pk=self.tenant.organization.pk).update(**changed)
        recent_organization.forget()

    def _one(self, state: str) -> File | None:
        files = list(File.objects.filter(state=state).order_by("pk"))
        return self.dice.choice(files) if files else None


@pytest.mark.parametrize("seed", range(8))
def test_byte_hours_are_what_a_meter_would_have_read(
    acme: Tenant, clock: time_machine.Coordinates, seed: int
) -> None:
    life = Life(acme, clock, Random(seed))
    steps: list[Callable[[], None]] = [life.upload, life.delete, life.restore, life.purge]
    steps += [life.lose, life.find, life.change_trash, life.adopt, life.withhold, life.confirm]
    steps += [life.translate_anew, life.take_out]
    runs = life.dice.choice([0.1, 0.8])
    for _ in range(60):
        life.pass_time(timedelta(microseconds=life.dice.choice([0, life.dice.randint(1, 4 * HOUR_US)])))
        life.dice.choices(steps, [6, 3, 2, 1, 2, 2, 1, 3, 1, 1, 2, 1])[0]()
        if life.dice.random() < runs:
            settle_usage()
            deliver_deletes()
    settle_usage()
    measured = {which: amount // HOUR_US for which, amount in life.measured.items()}
    assert len(measured) > 6
    computed = {
        (*which, is_counted): amount
        for which, amounts in figures(acme).items()
        for is_counted, amount in zip((True, False), amounts, strict=True)
    }
    assert {which: computed.get(which, 0) for which in measured | computed} == {
        which: measured.get(which, 0) for which in measured | computed
    }
    held = [size for size, *_ in life.held.values()]
    assert sum(held_by_account(lambda rows: rows).values(), ()) == ((len(held), sum(held)) if held else ())
    assert mend(acme.organization.pk)


def test_days_without_a_worker_are_made_good(acme: Tenant, clock: time_machine.Coordinates) -> None:
    acme.api.create(b"x" * 1_000)
    clock.move_to(START + timedelta(days=5))
    settle_usage()
    found = [stored for (_, purpose), (stored, _) in sorted(figures(acme).items()) if purpose == "user_data"]
    assert found == [2_000, 24_000, 24_000, 24_000, 24_000, 22_000]
    assert [row.day.day for row in SettledDay.objects.order_by("day")] == [29, 30, 31, 1, 2, 3]


def test_a_day_is_final_an_hour_after_its_end(acme: Tenant, clock: time_machine.Coordinates) -> None:
    acme.api.create(b"x")
    for hours, first in [(1.9, 30), (2.9, 30), (3.1, 31)]:
        clock.move_to(START + timedelta(hours=hours))
        settle_usage()
        assert first_open_day().day == first, hours


def test_what_was_made_elsewhere_stands_apart(acme: Tenant, clock: time_machine.Coordinates) -> None:
    acme.api.create(b"x" * 1_000)
    force(File.objects, is_adopted=True, is_counted=False)
    clock.move_to(START + timedelta(hours=2))
    settle_usage()
    assert figures(acme)[START.date(), "user_data"] == (0, 2_000)


def test_rows_of_an_earlier_version_count_from_when_they_were_indexed(
    acme: Tenant, clock: time_machine.Coordinates
) -> None:
    acme.api.create(b"x" * 1_000)
    acme.api.create(b"y" * 500)
    force(File.objects.filter(bytes=500), state="deleted", state_changed_at=START + timedelta(hours=1))
    force(File.objects, stored_from=None, stored_until=None)
    clock.move_to(START + timedelta(hours=2))
    settle_usage()
    assert figures(acme)[START.date(), "user_data"] == (2_000 + 500, 0)


def test_a_tombstone_waits_until_its_last_day_is_final(acme: Tenant, clock: time_machine.Coordinates) -> None:
    file_id = acme.api.create(b"x" * 1_000)["id"]
    clock.move_to(START + timedelta(hours=1))
    acme.api.delete(f"/files/{file_id}")
    deliver_deletes()
    force(FileCopy.objects, unlisted_at=START)
    clock.move_to(START + timedelta(days=60))
    assert tombstones.prune_tombstones() == 0
    settle_usage()
    assert figures(acme)[START.date(), "user_data"] == (1_000, 0)
    assert tombstones.prune_tombstones() == 1
    settle_usage()
    assert figures(acme)[START.date(), "user_data"] == (1_000, 0)


def test_figures_outlive_what_they_are_of(acme: Tenant, clock: time_machine.Coordinates) -> None:
    acme.api.create(b"x" * 1_000)
    clock.move_to(START + timedelta(hours=1))
    settle_usage()
    File.objects.all().delete()
    acme.organization.delete()
    settle_usage()
    row = DailyUsage.objects.get(purpose="user_data")
    assert (row.organization_name, row.key_name, row.account_name) == ("acme", "main", "local")
    assert row.byte_hours == 1_000


def test_a_run_reads_only_what_came_or_went_since(acme: Tenant, clock: time_machine.Coordinates) -> None:
    old = acme.api.create(b"x" * 1_000)["id"]
    clock.move_to(START + timedelta(hours=5))
    settle_usage()
    # What lies there since is known: a run that looked at it would bill it by this.
    force(File.objects.filter(file_id=old), bytes=9_000)
    acme.api.create(b"y" * 100)
    clock.move_to(START + timedelta(hours=7))
    settle_usage()
    assert figures(acme)[START.date() + timedelta(days=1), "user_data"] == (5 * 1_000 + 2 * 100, 0)


def test_what_is_wrong_for_bills_is_mended_in_its_turn(acme: Tenant, clock: time_machine.Coordinates) -> None:
    acme.api.create(b"x" * 1_000)
    clock.move_to(START + timedelta(hours=2))
    settle_usage()
    force(StoredLevel.objects, bytes=7, late_hours=9)
    assert not mend(acme.organization.pk)
    assert mend(acme.organization.pk)
    settle_usage()
    assert figures(acme)[START.date(), "user_data"] == (2_000, 0)


def test_a_run_that_fails_leaves_levels_and_their_moment_as_they_were(
    acme: Tenant, clock: time_machine.Coordinates, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme.api.create(b"x" * 1_000)
    clock.move_to(START + timedelta(hours=5))
    kept = list(StoredLevel.objects.values()), MeteredUpTo.objects.get().moment

    def fail(*arguments: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_stored", fail)
        with pytest.raises(RuntimeError):
            settle_usage()
    assert (list(StoredLevel.objects.values()), MeteredUpTo.objects.get().moment) == kept
    settle_usage()
    assert figures(acme)[START.date(), "user_data"] == (2_000, 0)
    assert mend(acme.organization.pk)


def test_of_many_holders_those_without_news_are_written_once_an_hour(
    acme: Tenant, clock: time_machine.Coordinates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_FEW", 0)
    acme.api.create(b"x" * 1_000)
    found = []
    for minutes in (1, 119, 125, 130, 179, 181):
        clock.move_to(START + timedelta(minutes=minutes))
        settle_usage()
        found.append(figures(acme).get((START.date() + timedelta(days=1), "user_data"), (0, 0))[0])
    # At 0 and at 1 o'clock everybody is written.
    assert found == [0, 0, 83, 83, 83, 1_016]


def test_an_upload_writes_no_entry_into_the_indexes_of_what_came_and_went(acme: Tenant) -> None:
    acme.api.create(b"x" * 1_000)
    assert not File.objects.filter(CAME_OTHERWISE | Q(state__in=GONE_STATES)).exists()
