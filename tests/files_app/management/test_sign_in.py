"""`manage.py sign_in`"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from files_app.models import AuditEvent, StaffIdentity
from files_app.services.operations.cleanup import prune_records
from tests.files_app.management.shell import failing, good

ONCE = "/admin/login/once/"


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", password="a-long-enough-password")


def test_a_code_signs_in_once(root: User) -> None:
    code = good("sign_in", "code", "root").out.strip()
    client, other = Client(), Client()
    assert client.post(f"{ONCE}?next=/admin/system/", {"code": f" {code.upper()} "}).status_code == 302
    assert client.get("/admin/").status_code == 200
    answer = other.post(ONCE, {"code": code})
    assert answer.status_code == 403 and b"was used before" in answer.content
    assert other.get("/admin/").status_code == 302
    assert AuditEvent.objects.get(action="user.sign_in_code").object_id == "root"


def test_a_code_works_where_passwords_are_off(root: User, settings: Settings) -> None:
    settings.PASSWORD_SIGN_IN = False
    client = Client()
    client.post(ONCE, {"code": good("sign_in", "code", "root", "--json").json["code"]})
    assert client.get("/admin/").status_code == 200


def test_a_code_is_over_after_ten_minutes(root: User) -> None:
    code = good("sign_in", "code", "root").out.strip()
    (row,) = Session.objects.all()
    assert timedelta(minutes=9) < row.expire_date - timezone.now() <= timedelta(minutes=10)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert Client().post(ONCE, {"code": code}).status_code == 403


@pytest.mark.parametrize("code", ["", "x", "é" * 32, "a" * 32, "%00", "a" * 100_000])
def test_what_is_no_code_signs_nobody_in(root: User, code: str) -> None:
    assert Client().post(ONCE, {"code": code}).status_code == 403


def test_codes_are_tried_as_seldom_as_passwords(root: User, settings: Settings) -> None:
    settings.SIGN_INS_PER_MINUTE = 2
    answers = [Client().post(ONCE, {"code": "a" * 32}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [403, 403, 429]


def test_who_may_not_sign_in_gets_no_code(db: None) -> None:
    User.objects.create_user("customer")
    assert "may not sign in" in failing("sign_in", "code", "customer").err
    assert "There is no user" in failing("sign_in", "code", "nobody").err


def test_a_code_of_who_was_switched_off_since_signs_nobody_in(root: User) -> None:
    code = good("sign_in", "code", "root").out.strip()
    User.objects.update(is_active=False)
    assert Client().post(ONCE, {"code": code}).status_code == 403


def test_sessions_of_one_user_end(root: User) -> None:
    mine, others = Client(), Client()
    mine.force_login(root)
    others.force_login(User.objects.create_superuser("other"))
    assert "1 session of root ended" in good("sign_in", "end-sessions", "root").out
    assert mine.get("/admin/").status_code == 302
    assert others.get("/admin/").status_code == 200


def test_a_link_names_one_person_and_can_be_undone(root: User, settings: Settings) -> None:
    assert "OIDC_ISSUER is not set" in failing("sign_in", "link", "root", "0001").err
    settings.OIDC_ISSUER = "https://login.example.com"
    good("sign_in", "link", "root", "0001")
    assert good("sign_in", "list", "--json").json[0]["subject"] == "0001"
    User.objects.create_user("other")
    assert "already" in failing("sign_in", "link", "other", "0001").err
    good("sign_in", "unlink", "root")
    assert not StaffIdentity.objects.exists()
    failing("sign_in", "unlink", "root")


def test_expired_sessions_are_removed(root: User) -> None:
    Client().force_login(root)
    Session.objects.create(
        session_key="old", session_data="", expire_date=timezone.now() - timedelta(seconds=1)
    )
    prune_records()
    assert list(Session.objects.values_list("session_key", flat=True)) != ["old"]
    assert not Session.objects.filter(session_key="old").exists()
