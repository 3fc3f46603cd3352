"""Signing in on PostgreSQL with its pool: nobody waits for a connection because a password is hashed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

from gateway import settings as shipped
from tests.files_app.pooled import Lent, other_database

PASSWORD = "a-long-enough-password"


@pytest.fixture
def lent(
    gateway_postgresql_url: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Lent]:
    settings.PASSWORD_HASHERS = shipped.PASSWORD_HASHERS
    lent = Lent()
    lent.watch(monkeypatch)
    with django_db_blocker.unblock(), other_database(gateway_postgresql_url):
        yield lent


def test_no_connection_is_held_while_a_password_is_hashed(
    lent: Lent, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    held: list[int] = []
    encode = PBKDF2PasswordHasher.encode

    def watched(hasher: PBKDF2PasswordHasher, *args: Any) -> str:
        held.append(len(lent.threads))
        return encode(hasher, *args)

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", watched)
    for name, password, status in (("nobody", "wrong", 200), ("root", "wrong", 200), ("root", PASSWORD, 302)):
        answer = Client().post("/admin/login/", {"username": name, "password": password})
        assert answer.status_code == status
    assert set(held) == {0}
