"""Transactions whose statements are known beforehand: all of them count, or none."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from files_app.models import Organization
from files_app.services.index.all_or_nothing import Below, NotAsExpectedError, all_or_nothing
from files_app.services.index.statements import Run, Statement, of, parameter

pytestmark = pytest.mark.django_db(transaction=True)

_ADD = Statement(
    lambda: Organization.objects.filter(id=of(Organization, "id")).update(
        used_bytes=F("used_bytes") + parameter("amount", models.BigIntegerField())
    )
)
_INSERT = Statement(lambda: Organization(name=of(Organization, "name")).save(force_insert=True))
_COUNT = Statement(lambda: Organization.objects.filter(used_bytes__gt=of(Organization, "used_bytes")).count())


def add(pk: int, amount: int) -> Run:
    return _ADD.with_values(id=pk, amount=amount)


def insert(name: str) -> Run:
    return _INSERT.with_values(name=name)


def fewer_with_more_than(used_bytes: int, most: int) -> Below:
    return Below(_COUNT.with_values(used_bytes=used_bytes), most)


def used() -> dict[str, int]:
    return dict(Organization.objects.values_list("name", "used_bytes"))


def test_all_of_it_is_done() -> None:
    acme = Organization.objects.create(name="acme")
    *_, made = all_or_nothing(
        add(acme.pk, 5), fewer_with_more_than(4, 2), add(acme.pk, 2), insert("it's 100 %")
    )
    assert used() == {"acme": 7, "it's 100 %": 0}
    assert made.row[0] == Organization.objects.get(name="it's 100 %").pk


def test_a_count_sees_what_was_changed_before_it() -> None:
    acme = Organization.objects.create(name="acme")
    with pytest.raises(NotAsExpectedError):
        all_or_nothing(add(acme.pk, 5), fewer_with_more_than(4, 1))
    assert used() == {"acme": 0}


def test_what_changes_nothing_undoes_all() -> None:
    acme = Organization.objects.create(name="acme")
    with pytest.raises(NotAsExpectedError):
        all_or_nothing(insert("other"), add(acme.pk, 5), add(-1, 5), insert("third"))
    assert used() == {"acme": 0}


def test_other_errors_are_those_of_the_database() -> None:
    acme = Organization.objects.create(name="acme")
    with pytest.raises(IntegrityError):
        all_or_nothing(add(acme.pk, 5), insert("acme"))
    assert used() == {"acme": 0}


def test_in_a_transaction_it_is_undone_alone() -> None:
    acme = Organization.objects.create(name="acme")
    with transaction.atomic():
        all_or_nothing(add(acme.pk, 1))
        with pytest.raises(NotAsExpectedError):
            all_or_nothing(add(acme.pk, 5), add(-1, 5))
        all_or_nothing(add(acme.pk, 2))
    assert used() == {"acme": 3}


def test_it_is_one_message_to_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite gets no messages")
    acme = Organization.objects.create(name="acme")
    all_or_nothing(add(acme.pk, 1), insert("one"))  # statements are written
    with CaptureQueriesContext(connection) as captured:
        all_or_nothing(add(acme.pk, 1), insert("two"))
    assert len(captured) == 1
