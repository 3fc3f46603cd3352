"""API keys: made, looked up, narrowed, revoked."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries, Settings

from files_app.exceptions import InvalidKeyError, InvalidRequestError
from files_app.models import ApiKey, AuditEvent, Organization
from files_app.models.organizations import Scope
from files_app.services.index.callers import system_caller
from files_app.services.tenants import keys
from files_app.services.tenants.key_rotation import end_overlap, rotate_key
from files_app.services.tenants.keys import (
    create_key,
    forget_cached_keys,
    generate_key,
    revoke_key,
    verify_key,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization() -> Organization:
    return Organization.objects.create(name="acme")


def make(organization: Organization, **kwargs: object) -> tuple[ApiKey, str]:
    return create_key(organization=organization, name="ci", caller=system_caller(), **kwargs)  # type: ignore[arg-type]


def test_a_key_has_the_form_that_scanners_look_for() -> None:
    made = {generate_key() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(r"fgw_[0-9A-Za-z]{46}", key) for key in made)


def test_a_made_key_opens_and_only_its_digest_is_kept(organization: Organization) -> None:
    row, plain = make(organization)
    verified = verify_key(plain)
    assert (verified.organization_id, verified.name) == (organization.pk, "ci")
    assert verified.scopes == {scope.value for scope in Scope}
    stored = " ".join(str(value) for value in vars(ApiKey.objects.get()).values())
    assert plain not in stored
    assert plain[12:] not in stored
    assert plain not in repr(row) + str(row)
    assert plain not in str(list(AuditEvent.objects.values()))


def test_a_mistyped_key_costs_no_query(
    organization: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _, plain = make(organization)
    wrong = plain[:20] + ("a" if plain[20] != "a" else "b") + plain[21:]
    with django_assert_num_queries(0), pytest.raises(InvalidKeyError):
        verify_key(wrong)


@given(st.text(max_size=60))
def test_whatever_is_no_key_is_refused_alike(text: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        verify_key(text)
    assert caught.value.message == keys._refused().message


def test_unknown_revoked_and_expired_are_told_alike(organization: Organization) -> None:
    revoked, first = make(organization)
    revoke_key(revoked, caller=system_caller())
    _, second = make(organization, expires_at=timezone.now())
    _, third = make(Organization.objects.create(name="inactive", is_active=False))
    messages = set()
    for plain in (first, second, third, generate_key(), "x" * 40):
        with pytest.raises(InvalidKeyError) as caught:
            verify_key(plain)
        messages.add((caught.value.message, caught.value.code))
    assert len(messages) == 1


def test_a_key_expires_in_the_middle_of_its_cache_time(organization: Organization) -> None:
    _, plain = make(organization, expires_at=timezone.now() + timedelta(seconds=2))
    verify_key(plain)
    with (
        time_machine.travel(timezone.now() + timedelta(seconds=2), tick=False),
        pytest.raises(InvalidKeyError),
    ):
        verify_key(plain)


def test_another_process_notices_a_revocation_within_five_seconds(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, plain = make(organization)
    verify_key(plain)
    ApiKey.objects.filter(pk=row.pk).update(revoked_at=timezone.now())
    later = time.monotonic() + 5
    monkeypatch.setattr(keys, "time", SimpleNamespace(monotonic=lambda: later))
    with pytest.raises(InvalidKeyError):
        verify_key(plain)


def test_a_known_key_costs_no_query(
    organization: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _, plain = make(organization)
    verify_key(plain)
    with django_assert_num_queries(0):
        verify_key(plain)
    assert plain not in repr(vars(keys._cache)), "no key is kept as it was shown"


def test_peppers_rotate(organization: Organization, settings: Settings) -> None:
    _, old = make(organization)
    settings.API_KEY_PEPPERS = ["new", *settings.API_KEY_PEPPERS]
    forget_cached_keys()
    assert verify_key(old).name == "ci"
    settings.API_KEY_PEPPERS = ["new"]
    forget_cached_keys()
    with pytest.raises(InvalidKeyError):
        verify_key(old)


def test_rotation_keeps_the_key_and_refuses_the_old_secret(organization: Organization) -> None:
    row, plain = make(organization, scopes=[Scope.READ])
    fresh, replacement = rotate_key(row, caller=system_caller())
    assert (fresh.pk, fresh.name, fresh.scopes) == (row.pk, "ci", ["files:read"])
    assert verify_key(replacement).id == row.pk
    with pytest.raises(InvalidKeyError):
        verify_key(plain)


def test_the_old_secret_works_for_as_long_as_was_chosen(organization: Organization) -> None:
    row, plain = make(organization)
    _, replacement = rotate_key(row, caller=system_caller(), overlap=timedelta(hours=1))
    assert verify_key(plain).id == verify_key(replacement).id == row.pk
    assert row.retired_secrets.get().last_used_at is not None
    with time_machine.travel(timezone.now() + timedelta(hours=1), tick=False):
        with pytest.raises(InvalidKeyError):
            verify_key(plain)  # also what the process has cached ends then
        assert verify_key(replacement).id == row.pk


@pytest.mark.parametrize("end", [end_overlap, revoke_key])
def test_an_overlap_can_be_ended(organization: Organization, end: Any) -> None:
    row, plain = make(organization)
    rotate_key(row, caller=system_caller(), overlap=timedelta(days=1))
    verify_key(plain)
    end(row, caller=system_caller())
    with pytest.raises(InvalidKeyError):
        verify_key(plain)


def test_a_second_rotation_ends_the_overlap_of_the_first(organization: Organization) -> None:
    row, first = make(organization)
    _, second = rotate_key(row, caller=system_caller(), overlap=timedelta(days=1))
    rotate_key(row, caller=system_caller(), overlap=timedelta(days=1))
    assert verify_key(second).id == row.pk
    with pytest.raises(InvalidKeyError):
        verify_key(first)
    assert AuditEvent.objects.filter(action="key.rotate").count() == 2


def test_what_is_over_is_not_rotated(organization: Organization) -> None:
    row, _ = make(organization)
    with pytest.raises(InvalidRequestError, match="at most 30 days"):
        rotate_key(row, caller=system_caller(), overlap=timedelta(days=31))
    revoke_key(row, caller=system_caller())
    with pytest.raises(InvalidRequestError, match="make a new key"):
        rotate_key(row, caller=system_caller())


def test_a_secret_that_a_rotation_replaced_is_never_taken_again(organization: Organization) -> None:
    own = "an-operators-own-key-of-many-characters"
    row, _ = make(organization, key=own)
    rotate_key(row, caller=system_caller())
    with pytest.raises(InvalidRequestError, match="existed"):
        create_key(organization=organization, name="again", caller=system_caller(), key=own)


@pytest.mark.parametrize("scopes", [[], ["files:admin"], ["files:read", "*"], [""]])
def test_scopes_only_narrow(organization: Organization, scopes: list[str]) -> None:
    with pytest.raises(InvalidRequestError, match="scopes are"):
        make(organization, scopes=scopes)


@pytest.mark.parametrize("key", ["short", "x" * 31, "ü" * 40, "x" * 40 + "\n"])
def test_a_supplied_key_has_to_be_long_and_plain(organization: Organization, key: str) -> None:
    with pytest.raises(InvalidRequestError, match="at least 32"):
        make(organization, key=key)


def test_use_is_noted_once_a_minute(organization: Organization) -> None:
    row, plain = make(organization)
    verify_key(plain, ip="192.0.2.7")
    row.refresh_from_db()
    first = row.last_used_at
    assert first is not None
    assert row.last_used_ip == "192.0.2.7"
    for seconds, is_noted in ((30, False), (61, True)):
        forget_cached_keys()
        with time_machine.travel(first + timedelta(seconds=seconds)):
            verify_key(plain)
        row.refresh_from_db()
        assert (row.last_used_at != first) is is_noted


@pytest.mark.parametrize(
    "key", ["fgw_" + "0" * 46, "k" * 513, " " + "k" * 40], ids=["checksum", "length", "space"]
)
def test_a_supplied_key_that_no_request_could_use_is_refused(organization: Organization, key: str) -> None:
    with pytest.raises(InvalidRequestError, match="A supplied API key") as refusal:
        make(organization, key=key)
    assert key not in str(refusal.value)


def test_a_key_that_the_gateway_made_may_be_supplied(organization: Organization) -> None:
    _, plain = make(organization, key=generate_key())
    assert verify_key(plain).name == "ci"
