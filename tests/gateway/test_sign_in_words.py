"""What the variables about signing in may say."""

from __future__ import annotations

import runpy

import pytest
from django.core.exceptions import ImproperlyConfigured

from gateway import sign_in_settings
from gateway.sign_in_words import claim_table, issuer_url, role_names, role_table

SETTINGS = sign_in_settings.__file__
GOOD = {
    "OIDC_ISSUER": "https://login.example.com",
    "OIDC_CLIENT_ID": "gateway",
    "OIDC_ROLES": "admins=superuser",
}


@pytest.mark.parametrize(
    "url", ["", "https://login.example.com/realms/staff/", "http://localhost:8080", "http://[::1]/"]
)
def test_an_issuer_is_kept_as_it_is_written(url: str) -> None:
    assert issuer_url("OIDC_ISSUER", url) == url


@pytest.mark.parametrize(
    "url",
    [
        *("login.example.com", "http://login.example.com", "https://", "https://a.example/?tenant=1"),
        *("https://user:password@a.example", "https://a.example#x", "https://a.example:0", "https://[x"),
    ],
)
def test_what_is_no_issuer_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="OIDC_ISSUER must be an https:// URL"):
        issuer_url("OIDC_ISSUER", url)


def test_a_table_has_one_meaning_for_each_value() -> None:
    assert claim_table("T", " a b=acme ,c=d=*, ") == {"a b": "acme", "c=d": "*"}
    for value in ("a", "=a", "a=", "a=b, a=c"):
        with pytest.raises(ImproperlyConfigured, match="T must be a list of VALUE=NAME"):
            claim_table("T", value)


def test_roles_are_those_that_there_are() -> None:
    assert role_table("R", "x=owner, y=read-only") == {"x": "owner", "y": "read-only"}
    assert role_names("R", "superuser, everyone") == {"superuser", "everyone"}
    with pytest.raises(ImproperlyConfigured, match="R knows the roles superuser, owner"):
        role_table("R", "x=admin")
    with pytest.raises(ImproperlyConfigured, match="R knows"):
        role_names("R", "Owner")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"OIDC_CLIENT_ID": ""}, "OIDC_ISSUER needs OIDC_CLIENT_ID"),
        ({"OIDC_ROLES": ""}, "OIDC_ISSUER needs OIDC_CLIENT_ID, and OIDC_ROLES"),
        ({"OIDC_SCOPES": "profile"}, "OIDC_SCOPES must have openid"),
        ({"OIDC_ISSUER": "", "PASSWORD_SIGN_IN": "false"}, "nobody could sign in"),
    ],
)
def test_settings_that_let_nobody_in_end_the_start(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], words: str
) -> None:
    for name, value in {**GOOD, **changed}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=words):
        runpy.run_path(SETTINGS)


def test_settings_that_agree_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**GOOD, "PASSWORD_SIGN_IN": "false"}.items():
        monkeypatch.setenv(name, value)
    assert runpy.run_path(SETTINGS)["OIDC_ROLES"] == {"admins": "superuser"}
