"""Retention rules: what they give new files, and what they end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from files_app.exceptions import InvalidRequestError
from files_app.models import AuditEvent, DeletedReason, File, FileCopy, RetentionRule
from files_app.models.retention import Life
from files_app.services.deletes import outbox
from files_app.services.deletes.expiry import set_expiry
from files_app.services.deletes.purging import empty_trash
from files_app.services.index import pace
from files_app.services.index.callers import system_caller
from files_app.services.retention import holds
from files_app.services.retention.enforcement import apply_rules, preview, prune_audit
from files_app.services.uploads import settlement
from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, deliver_deletes, local_account, make_account, on_disk
from tests.files_app.forms import expiry_parts, file_part, purpose_part

HOUR, DAY = 3_600, 86_400


def rule(tenant: Tenant, **values: Any) -> RetentionRule:
    made = RetentionRule(**{"organization": tenant.organization, **values})
    made.full_clean()
    made.save()
    return made


def lives(file: dict[str, Any]) -> int | None:
    """Return how many seconds a file lives, as its client is told."""
    return None if file["expires_at"] is None else file["expires_at"] - file["created_at"]


def asking(seconds: int) -> dict[str, Any]:
    return {"parts": [*expiry_parts(seconds), purpose_part(), file_part()]}


def days_later(days: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(days=days), tick=False)


# -- new files -------------------------------------------------------------------------------------------


def test_a_file_of_which_nobody_said_it_lives_by_the_rule(acme: Tenant) -> None:
    rule(acme, default_expiry_seconds=10 * DAY, longest_life_seconds=30 * DAY)
    assert lives(acme.api.create()) == 10 * DAY
    assert lives(acme.api.create(**asking(2 * HOUR))) == 2 * HOUR  # the client's own is sooner
    assert lives(acme.api.create(**asking(20 * DAY))) == 20 * DAY  # and may be later


def test_without_a_default_the_longest_life_is_told(acme: Tenant) -> None:
    rule(acme, longest_life_seconds=30 * DAY)
    assert lives(acme.api.create()) == 30 * DAY


def test_beyond_the_longest_life_is_refused_before_the_provider_has_it(acme: Tenant) -> None:
    rule(acme, purpose="user_data", longest_life_seconds=DAY)
    for parts in (
        [*expiry_parts(2 * DAY), purpose_part(), file_part()],
        [file_part(), purpose_part(), *expiry_parts(2 * DAY)],
    ):
        reply = acme.api.upload(parts=parts)
        assert (reply.status, reply.error["code"]) == (400, "beyond_longest_life")
        assert "86,400 s (1 d)" in reply.error["message"]
    assert on_disk(acme) == []
    assert lives(acme.api.create(purpose="vision", filename="a.png")) is None


def test_rules_are_kept_by_our_clock_where_the_provider_would_refuse_them(
    acme: Tenant, fake: FakeProvider
) -> None:
    """Azure takes 14 days at the least: it is never told of a rule of one day."""
    options, credentials = {"endpoint": f"{fake.root}/azure"}, {"api_key": VALID_KEY}
    make_account(acme.organization, "azure", "azure-openai", options=options, credentials=credentials)
    rule(acme, default_expiry_seconds=DAY)
    file = acme.api.create(account="azure")
    assert lives(file) == DAY
    assert File.objects.get().provider_expires_at is None  # so that a hold can keep it, too
    holds.hold_files([File.objects.get()], reason="case", caller=system_caller(acme.organization.pk))


def test_a_providers_clock_that_is_wrong_ends_no_file_early(
    remote: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is two hours late would end a file of one hour as it comes."""
    monkeypatch.setattr(settlement, "believed", lambda told, now: now - timedelta(hours=2))
    rule(remote, longest_life_seconds=HOUR)
    file_id = remote.api.create()["id"]
    assert apply_rules() == 0
    assert remote.api.get(f"/files/{file_id}").status == 200
    file, caller = File.objects.get(), system_caller(remote.organization.pk)
    set_expiry(file, timezone.now() + timedelta(minutes=59), caller=caller)
    with days_later(61 / (24 * 60)):
        assert remote.api.get(f"/files/{file_id}").status == 404
        assert apply_rules() == 1


def test_an_sdk_that_sends_again_gets_the_same_file(acme: Tenant) -> None:
    rule(acme, default_expiry_seconds=DAY)
    first = acme.api.create()["id"]
    assert acme.api.create(headers={"x-stainless-retry-count": "1"})["id"] == first


def test_the_nearest_rule_that_says_a_value_gives_it(acme: Tenant) -> None:
    account = acme.accounts["local"]
    account.organization = None  # shared by all
    account.save()
    rule(acme, default_expiry_seconds=1 * DAY, longest_life_seconds=9 * DAY)
    rule(acme, purpose="vision", default_expiry_seconds=2 * DAY)
    rule(acme, account=account, default_expiry_seconds=3 * DAY)
    rule(acme, account=account, purpose="evals", default_expiry_seconds=4 * DAY)
    rule(acme, organization=None, account=account, purpose="evals", longest_life_seconds=8 * DAY)
    here = RetentionRule.objects.at(acme.organization.pk, account.pk)
    assert here.life("evals") == Life(4 * DAY, 8 * DAY)
    assert here.life("vision") == Life(3 * DAY, 9 * DAY)
    elsewhere = RetentionRule.objects.at(acme.organization.pk, account.pk + 1)
    assert elsewhere.life("vision") == Life(2 * DAY, 9 * DAY)
    assert elsewhere.life("batch") == Life(1 * DAY, 9 * DAY)


def test_a_rule_for_a_shared_account_is_for_everybody(acme: Tenant, other: Tenant) -> None:
    shared = local_account(None, "shared")
    rule(acme, organization=None, account=shared, default_expiry_seconds=DAY)
    for tenant in (acme, other):
        assert lives(tenant.api.create(account="shared")) == DAY
        assert lives(tenant.api.create()) is None


def test_staff_gives_no_file_more_time_than_the_rule(acme: Tenant) -> None:
    acme.api.create()
    rule(acme, longest_life_seconds=DAY)
    file, caller = File.objects.get(), system_caller(acme.organization.pk)
    for wanted in (None, timezone.now() + timedelta(days=2)):
        with pytest.raises(InvalidRequestError, match="retention rule"):
            set_expiry(file, wanted, caller=caller)
    set_expiry(file, timezone.now() + timedelta(hours=2), caller=caller)


# -- what is there ---------------------------------------------------------------------------------------


def going(rules: Iterable[RetentionRule]) -> list[tuple[str, int, int]]:
    return [(str(each.ending), each.files, each.bytes) for each in preview(list(rules))]


def test_what_is_older_than_a_new_rule_is_shown_and_goes(acme: Tenant, other: Tenant) -> None:
    for tenant in (acme, other):
        tenant.api.create()
    unsaved = RetentionRule(organization=acme.organization, longest_life_seconds=3 * DAY)
    assert going([unsaved]) == [("longest_life_seconds", 0, 0)]
    with days_later(4):
        young = acme.api.create()["id"]
        assert going([unsaved]) == [("longest_life_seconds", 1, 5)]
        assert apply_rules() == 0  # it is no rule yet
        unsaved.save()
        assert apply_rules() == 1
        assert apply_rules() == 0
        deliver_deletes()
    assert [file["id"] for file in acme.api.listed()["data"]] == [young]
    assert counters(acme.organization) == (5, 0, 1)
    assert counters(other.organization) == (5, 0, 1)
    gone = File.objects.get(organization=acme.organization, state="deleted")
    assert gone.deleted_reason == "retention"
    event = AuditEvent.objects.get(action="file.expire")
    assert event.details == {"rule": "acme", "value": "longest_life_seconds"}


@pytest.mark.parametrize("change", ["removed", "made longer", "a nearer one"])
def test_a_rule_that_is_changed_in_the_middle_ends_nothing_more(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A run takes up to a minute, and what it has ended cannot be brought back."""
    for _ in range(3):
        acme.api.create()
    made, tombstones = rule(acme, longest_life_seconds=DAY), outbox.tombstones

    def meanwhile(files: Sequence[File], *, reason: DeletedReason) -> bool:
        if change == "removed":
            RetentionRule.objects.filter(pk=made.pk).delete()
        elif change == "made longer":
            RetentionRule.objects.filter(pk=made.pk).update(longest_life_seconds=9 * DAY)
        else:
            RetentionRule.objects.get_or_create(
                organization=acme.organization, purpose="user_data", longest_life_seconds=9 * DAY
            )
        return tombstones(files, reason=reason)

    monkeypatch.setattr(outbox, "tombstones", meanwhile)
    monkeypatch.setattr(pace, "_MOST", 1)
    monkeypatch.setattr(pace, "_LEAST", 1)
    with days_later(2):
        assert apply_rules() == 1
    assert File.objects.filter(state="available").count() == 2


def test_a_hold_keeps_what_a_rule_would_end(acme: Tenant) -> None:
    acme.api.create()
    made = rule(acme, longest_life_seconds=DAY)
    holds.hold_files([File.objects.get()], reason="case", caller=system_caller(acme.organization.pk))
    with days_later(2):
        assert apply_rules() == 0
        assert [(each.files, each.held) for each in preview([made])] == [(0, 1)]
    assert File.objects.get().state == "available"


def test_a_nearer_rule_keeps_what_the_other_would_end(acme: Tenant) -> None:
    acme.api.create(purpose="vision", filename="a.png")
    acme.api.create()
    rule(acme, longest_life_seconds=DAY)
    rule(acme, purpose="vision", longest_life_seconds=9 * DAY)
    with days_later(2):
        assert apply_rules() == 1
    assert File.objects.get(state="available").purpose == "vision"


def test_the_longest_life_holds_in_the_trash_too(acme: Tenant) -> None:
    acme.set_limits(trash_days=30)
    acme.api.delete(f"/files/{acme.api.create()['id']}")
    rule(acme, longest_life_seconds=DAY)
    with days_later(2):
        assert empty_trash() == 0
        assert apply_rules() == 1
    assert (File.objects.get().state, counters(acme.organization)) == ("deleting", (0, 0, 0))


def test_lost_and_failed_records_go_after_their_time(remote: Tenant, fake: FakeProvider) -> None:
    remote.api.create()
    File.objects.to("lost")
    FileCopy.objects.to("lost")
    fake.script({"method": "POST"}, behaviours.fail(400))
    assert remote.api.upload().status == 400
    rule(remote, lost_after_seconds=2 * DAY, failed_after_seconds=2 * DAY)
    assert apply_rules() == 0
    with days_later(3):
        assert apply_rules() == 2
        deliver_deletes()
    assert list(File.objects.values_list("state", "deleted_reason")) == [("deleted", "retention")]


def test_a_failed_upload_whose_provider_may_have_the_file_stays(remote: Tenant, fake: FakeProvider) -> None:
    fake.script({"method": "POST"}, behaviours.store_then_drop())
    assert remote.api.upload().status >= 500
    assert FileCopy.objects.get().state == "unconfirmed"
    rule(remote, failed_after_seconds=DAY)
    with days_later(2):
        assert apply_rules() == 0
    assert File.objects.count() == 1


def test_audit_events_are_kept_as_long_as_their_organization_says(acme: Tenant, other: Tenant) -> None:
    rule(acme, keep_audit_days=10)
    rule(other, keep_audit_days=900)
    for tenant in (acme, other):
        tenant.api.create()
    with days_later(400):
        prune_audit(365)
    left = set(AuditEvent.objects.values_list("organization", flat=True))
    assert left == {other.organization.pk}
