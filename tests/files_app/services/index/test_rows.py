"""A lookup that is compiled once finds what the ORM finds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from files_app.models import File, FileCopy, FileState
from files_app.services.index.rows import Lookup
from files_app.services.reading import lookup
from tests.files_app.cast import Tenant


def stored(tenant: Tenant, **fields: object) -> File:
    file_id = tenant.api.create(b"x", "vision", "a.png")["id"]
    File.objects.filter(file_id=file_id).update(**fields)
    return File.objects.get(file_id=file_id)


def test_a_row_has_the_values_that_the_orm_gives_it(acme: Tenant) -> None:
    expires_at = datetime(2100, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    metadata = {"a": "b", "c": 'd"'}
    expected = stored(acme, metadata=metadata, batch={"model": "m"}, expires_at=expires_at)
    found = lookup.find_file(acme.organization.pk, expected.file_id, None)
    assert found == expected
    assert found.get_deferred_fields() == set(lookup._HIDDEN_COLUMNS) - {"api_key"} | {"api_key_id"}
    names = [each.attname for each in File._meta.concrete_fields if each.attname in vars(found)]
    assert {name: vars(found)[name] for name in names} == {name: vars(expected)[name] for name in names}
    assert (found.metadata, found.batch, found.expires_at) == (metadata, {"model": "m"}, expires_at)


def test_a_copy_has_them_too(acme: Tenant) -> None:
    file = stored(acme)
    expected = FileCopy.objects.get(file=file)
    found = lookup.held_copy(file)
    names = [each.attname for each in FileCopy._meta.concrete_fields]
    assert {name: vars(found)[name] for name in names} == {name: vars(expected)[name] for name in names}
    assert not found._state.adding


def test_nothing_is_found_under_other_values(acme: Tenant) -> None:
    file = stored(acme)
    by_id = lookup._by("file_id", FileState.AVAILABLE)
    assert by_id(acme.organization.pk, file.file_id) == [file]
    assert by_id(acme.organization.pk + 1, file.file_id) == []
    assert lookup._by("file_id", FileState.LOST)(acme.organization.pk, file.file_id) == []
    assert lookup._HELD_COPY(file.pk + 1) == []


@pytest.mark.django_db
def test_parameters_in_another_order_are_noticed() -> None:
    swapped = Lookup(File, lambda: File.objects.filter(purpose="PURPOSE", organization=7), ["PURPOSE", 7])
    with pytest.raises(AssertionError, match="another order"):
        swapped(7, "PURPOSE")
