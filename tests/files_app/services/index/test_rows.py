"""A lookup that is compiled once finds what the ORM finds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db.models import Model
from pytest_django import DjangoAssertNumQueries

from files_app.models import (
    ApiKey,
    File,
    FileCopy,
    FileState,
    Organization,
    ProviderAccount,
    RetentionRule,
    WebhookEndpoint,
)
from files_app.services.accounts.selection import account_by_pk, select_account
from files_app.services.index.recent import recent_organization, recent_rules
from files_app.services.index.rows import Lookup
from files_app.services.reading import lookup
from files_app.services.tenants import keys
from tests.files_app.cast import Tenant


def values_of(row: Model) -> dict[str, object]:
    return {each.attname: vars(row)[each.attname] for each in row._meta.concrete_fields}


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
    assert values_of(found) == values_of(expected)
    assert not found._state.adding


def test_an_account_has_them_and_its_owner(
    acme: Tenant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    own = ProviderAccount.objects.create(
        organization=acme.organization, name="own", driver="local", options={"directory": 'a/"b'}
    )
    shared = ProviderAccount.objects.create(name="shared", driver="local")
    for account in (own, shared):
        found = account_by_pk(account.pk)
        assert values_of(found) == values_of(ProviderAccount.objects.get(pk=account.pk))
        with django_assert_num_queries(0):
            assert found.organization == account.organization
        assert select_account(acme.organization, account.name) == account


def test_a_key_has_them(acme: Tenant) -> None:
    _, expected = acme.client(scopes=["files:read"])
    [found] = keys._LIVE(expected.digest)
    assert values_of(found) == values_of(ApiKey.objects.get(pk=expected.pk))
    ApiKey.objects.filter(pk=expected.pk).update(revoked_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert keys._LIVE(expected.digest) == []


@pytest.mark.django_db
def test_an_organization_has_them_and_says_whether_it_has_webhooks() -> None:
    with_one, without = (Organization.objects.create(name=name) for name in ("with-one", "without"))
    WebhookEndpoint.objects.create(organization=with_one, url="https://hooks.example/", is_enabled=True)
    WebhookEndpoint.objects.create(organization=without, url="https://hooks.example/", is_enabled=False)
    for organization, has_webhooks in ((with_one, True), (without, False)):
        found = recent_organization(organization.pk)
        assert values_of(found) == values_of(Organization.objects.get(pk=organization.pk))
        assert vars(found)["has_webhooks"] is has_webhooks


def test_rules_are_those_of_the_organization_and_the_account(acme: Tenant, other: Tenant) -> None:
    account = ProviderAccount.objects.create(name="shared", driver="local")
    mine = [
        RetentionRule.objects.create(organization=acme.organization, longest_life_seconds=86_400),
        RetentionRule.objects.create(account=account, longest_life_seconds=7_200),
    ]
    RetentionRule.objects.create(organization=other.organization, longest_life_seconds=3_600)
    assert list(recent_rules((acme.organization.pk, account.pk))) == mine[::-1]


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
