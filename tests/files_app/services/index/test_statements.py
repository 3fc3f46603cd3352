"""Statements that the ORM writes once: what they do is what it would do each time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from files_app.models import AuditEvent, Organization
from files_app.services.index.statements import Statement, all_of, of, parameter

pytestmark = pytest.mark.django_db


def test_an_update_changes_what_its_run_names() -> None:
    rows = [Organization.objects.create(name=name) for name in ("one", "two")]
    amount = parameter("amount", models.BigIntegerField())
    add = Statement(
        lambda: Organization.objects.filter(id=of(Organization, "id")).update(
            used_bytes=F("used_bytes") + amount
        )
    )
    assert add.change(id=rows[1].pk, amount=7) == 1
    assert add.change(id=rows[1].pk, amount=5) == 1
    assert add.change(id=-1, amount=5) == 0
    assert list(Organization.objects.order_by("name").values_list("used_bytes", flat=True)) == [0, 12]


def test_an_insert_writes_what_the_model_would() -> None:
    columns = [field.attname for field in AuditEvent._meta.concrete_fields if not field.primary_key]
    insert = Statement(lambda: AuditEvent(**all_of(AuditEvent, *columns)).save(force_insert=True))
    event = AuditEvent(
        created_at=timezone.now() - timedelta(hours=1),
        actor_type=AuditEvent.Actor.SYSTEM,
        actor='it\'s 100 % "me"; --',
        ip="2001:db8::1",
        details={"nested": ["ü", 1, None]},
    )
    pk = insert.insert(**{name: getattr(event, name) for name in columns})
    written = AuditEvent.objects.get(pk=pk)
    assert {name: getattr(written, name) for name in columns} == {
        name: getattr(event, name) for name in columns
    }


@pytest.mark.parametrize("said", ['it\'s 100 %s "me"; --', "ü\n", r"a\\b", ""])
def test_what_each_run_says_alike_stands_in_the_statement(said: str) -> None:
    event = {"actor": said, "actor_type": AuditEvent.Actor.SYSTEM, "details": {"share": 0.5}, "ip": None}
    insert = Statement(lambda: AuditEvent(**event, action=of(AuditEvent, "action")).save(force_insert=True))
    written = AuditEvent.objects.get(pk=insert.insert(action="one"))
    assert {name: getattr(written, name) for name in event} == event
    assert written.action == "one"


def test_the_first_use_may_be_in_a_transaction(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    name = Statement(lambda: Organization.objects.filter(pk=1).update(name=of(Organization, "name")))
    Organization.objects.create(pk=1, name="acme")
    with transaction.atomic(), django_assert_num_queries(2):
        name.change(name="other")  # the one that is written and brought back is no statement, nor a failure
        name.change(name="last")
    assert Organization.objects.get().name == "last"


def test_what_asks_for_nothing_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        Statement(lambda: Organization.objects.none().count()).row()
