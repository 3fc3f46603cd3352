"""Signing in with OpenID Connect, against a provider that speaks it with keys of its own."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from http.cookies import Morsel
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.contrib.auth.models import Group, User
from django.test import Client
from joserfc.jwk import RSAKey
from pytest_django.fixtures import Settings

from files_app.models import AuditEvent, Organization, StaffAccess, StaffIdentity
from files_app.services.tenants.sign_in import oidc
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider

START, BACK = "/admin/login/oidc/", "/admin/login/oidc/back/"
ANNA = {
    "sub": "0001",
    "preferred_username": "anna",
    "given_name": "Anna",
    "family_name": "Muster",
    "email": "anna@example.com",
    "groups": ["everybody", "files-team"],
    "teams": ["acme"],
}


@pytest.fixture(scope="module")
def running() -> Iterator[IdentityProvider]:
    with IdentityProvider() as provider:
        yield provider


@pytest.fixture
def provider(running: IdentityProvider, settings: Settings, db: None) -> IdentityProvider:
    """The provider, trusted, with Anna in front of it, who is an operator of `acme`."""
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = running.issuer, CLIENT_ID
    settings.OIDC_CLIENT_SECRET, settings.OIDC_NAME = CLIENT_SECRET, "Example SSO"
    settings.OIDC_ROLES = {"files-admins": "superuser", "files-owners": "owner", "files-team": "operator"}
    settings.OIDC_ORGANIZATIONS_CLAIM = "teams"
    Organization.objects.create(name="acme")
    running.person, running.extra, running.broken, running.asked = dict(ANNA), {}, set(), []
    running.padding = ""
    running.signer, running.spoil = running.key, lambda claims: claims
    oidc.forget_provider()
    return running


def to_provider(client: Client, next_url: str = "") -> str:
    """Press the button, and return where the provider sends the browser back to, with all it says."""
    page = client.post(START, {"next": next_url})
    assert page.status_code == 200, page.content
    where = page.context["where"]
    assert f'content="0;url={where.replace("&", "&amp;")}"' in page.content.decode()
    return requests.get(where, allow_redirects=False, timeout=5).headers["Location"]


def sign_in(client: Client, next_url: str = "") -> Any:
    back = urlsplit(to_provider(client, next_url))
    return client.get(back.path, dict(parse_qsl(back.query)))


def is_in(client: Client) -> bool:
    return bool(client.get("/admin/").status_code == 200)


def words(answer: Any) -> str:
    """Return what an answer says in its alert."""
    text = re.search(r'role="alert">(.*?)</div>', answer.content.decode(), re.DOTALL)
    assert text is not None
    return " ".join(re.sub(r"<[^>]+>", " ", text[1]).split())


def test_a_person_is_made_with_role_and_organizations_of_the_claims(provider: IdentityProvider) -> None:
    client = Client()
    answer = sign_in(client)
    assert answer.status_code == 200 and answer.context["where"] == "/admin/"
    assert is_in(client)
    user = User.objects.get(username="anna")
    assert (user.first_name, user.email, user.is_staff, user.is_superuser) == (
        "Anna",
        "anna@example.com",
        True,
        False,
    )
    assert [group.name for group in user.groups.all()] == ["Operator"]
    assert [row.name for row in user.staff_access.organizations.all()] == ["acme"]  # type: ignore[attr-defined]
    assert not user.has_usable_password()
    event = AuditEvent.objects.get(action="user.oidc_sign_in")
    assert (event.actor, event.result, event.details["subject"]) == ("anna", "ok", "0001")


def test_the_way_there_is_kept_in_a_short_lived_lax_cookie(provider: IdentityProvider) -> None:
    client = Client()
    to_provider(client)
    cookie: Morsel[str] = client.cookies["oidc"]
    assert (cookie["samesite"], cookie["max-age"], cookie["httponly"]) == ("Lax", 600, True)
    assert "sessionid" not in client.cookies


def test_claims_are_taken_anew_at_each_sign_in_and_other_sessions_end(provider: IdentityProvider) -> None:
    first, second = Client(), Client()
    sign_in(first)
    provider.person |= {"groups": ["files-owners"], "teams": [], "email": "a@example.com"}
    sign_in(second)
    user = User.objects.get(username="anna")
    assert ([group.name for group in user.groups.all()], user.email) == (["Owner"], "a@example.com")
    assert not user.staff_access.organizations.exists()  # type: ignore[attr-defined]
    assert is_in(second) and not is_in(first)


def test_the_same_claims_end_no_session(provider: IdentityProvider) -> None:
    first, second = Client(), Client()
    sign_in(first)
    sign_in(second)
    assert is_in(first) and is_in(second)
    assert User.objects.count() == 1


def test_who_has_no_role_is_not_let_in_and_not_made(provider: IdentityProvider) -> None:
    provider.person["groups"] = ["everybody"]
    client = Client()
    answer = sign_in(client)
    assert answer.status_code == 403 and "gives you no role here" in words(answer)
    assert not is_in(client) and not User.objects.exists()
    assert AuditEvent.objects.get(action="user.oidc_sign_in").result == "refused"


def test_who_lost_the_role_loses_what_was_held_and_open(provider: IdentityProvider) -> None:
    provider.person["groups"] = ["files-admins"]
    client = Client()
    sign_in(client)
    assert User.objects.get(username="anna").is_superuser
    provider.person["groups"] = []
    assert sign_in(Client()).status_code == 403
    user = User.objects.get(username="anna")
    assert (user.is_staff, user.is_superuser, user.groups.count()) == (False, False, 0)
    assert not is_in(client)


def test_a_user_who_is_switched_off_here_stays_out(provider: IdentityProvider) -> None:
    sign_in(Client())
    User.objects.update(is_active=False)
    answer = sign_in(Client())
    assert answer.status_code == 403 and "switched off" in words(answer)


def test_a_name_leads_to_no_user_who_is_there_already(provider: IdentityProvider) -> None:
    """Whoever may choose a name at the provider must not become the user who has it here."""
    User.objects.create_superuser("Anna", password="a-long-enough-password")
    client = Client()
    answer = sign_in(client)
    assert answer.status_code == 403 and "manage.py sign_in link anna 0001" in words(answer)
    assert not is_in(client) and not StaffIdentity.objects.exists()


def test_groups_that_only_userinfo_tells_count(provider: IdentityProvider, settings: Settings) -> None:
    settings.OIDC_ROLES_CLAIM = "realm.roles"
    provider.person = {"sub": "0002"}
    provider.extra = {"realm": {"roles": ["files-team"]}, "preferred_username": "ben"}
    assert sign_in(Client()).status_code == 200
    assert User.objects.get(username="ben").groups.get().name == "Operator"


def test_userinfo_of_somebody_else_is_refused(provider: IdentityProvider) -> None:
    provider.person = {"sub": "0002"}
    provider.extra = {"sub": "0001", "groups": ["files-admins"]}
    assert sign_in(Client()).status_code == 403
    assert not User.objects.exists()


def test_every_organization_is_a_word_of_the_mapping_alone(
    provider: IdentityProvider, settings: Settings
) -> None:
    provider.person["teams"] = ["*"]
    sign_in(Client())
    assert not StaffAccess.objects.get().sees_all_organizations
    settings.OIDC_ORGANIZATIONS = {"platform": "*"}
    provider.person["teams"] = ["platform"]
    sign_in(Client())
    assert StaffAccess.objects.get().sees_all_organizations


Spoil = Callable[[dict[str, Any]], dict[str, Any]]
SPOILED: dict[str, Spoil] = {
    "another nonce": lambda claims: claims | {"nonce": "another"},
    "no nonce": lambda claims: {name: value for name, value in claims.items() if name != "nonce"},
    "another issuer": lambda claims: claims | {"iss": "https://elsewhere.example"},
    "another audience": lambda claims: claims | {"aud": "another-client"},
    "another audience that we are the party of": lambda claims: claims | {"aud": "other", "azp": CLIENT_ID},
    "expired": lambda claims: claims | {"iat": int(time.time()) - 900, "exp": int(time.time()) - 600},
    "no end": lambda claims: {name: value for name, value in claims.items() if name != "exp"},
    "from the future": lambda claims: claims | {"iat": int(time.time()) + 900},
    "no subject": lambda claims: {name: value for name, value in claims.items() if name != "sub"},
    "a subject that is no text": lambda claims: claims | {"sub": 7},
    "a subject that no database holds": lambda claims: claims | {"sub": "00\x0001"},
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_a_token_that_is_not_right_lets_nobody_in(provider: IdentityProvider, spoil: Spoil) -> None:
    provider.spoil = spoil
    client = Client()
    assert sign_in(client).status_code == 403
    assert not is_in(client) and not User.objects.exists()


def test_a_claim_that_no_database_holds_gives_nothing(provider: IdentityProvider) -> None:
    provider.person["teams"] = ["ac\0me", "acme"]
    assert sign_in(Client()).status_code == 200
    access = StaffAccess.objects.get()
    assert [row.name for row in access.organizations.all()] == ["acme"]


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint", "userinfo_endpoint"])
@pytest.mark.parametrize("value", [7, None, ["https://login.example"], "http://[::1"])
def test_a_description_that_makes_no_sense_is_told_in_words(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch, endpoint: str, value: object
) -> None:
    told = provider.description() | {endpoint: value}
    monkeypatch.setattr(IdentityProvider, "description", lambda self: told)
    answer = Client().post(START)
    assert answer.status_code == 503 and "Example SSO does not answer as it should" in words(answer)


def test_an_error_that_is_no_text_lets_nobody_in(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IdentityProvider, "token", lambda self, form, authorization: (200, {"error": 5}))
    answer = sign_in(Client())
    assert answer.status_code == 403 and "did not sign you in" in words(answer)


def test_a_key_that_is_not_the_issuers_signs_nothing(provider: IdentityProvider) -> None:
    provider.signer = RSAKey.generate_key(2048, {"kid": provider.key.kid, "use": "sig", "alg": "RS256"})
    answer = sign_in(Client())
    assert answer.status_code == 403 and "cannot be verified" in words(answer)
    assert not User.objects.exists()


def test_keys_are_kept_and_fetched_anew_for_a_new_one(provider: IdentityProvider) -> None:
    sign_in(Client())
    sign_in(Client())
    assert provider.asked.count("/keys") == provider.asked.count("/.well-known/openid-configuration") == 1
    provider.rotate("second")
    assert sign_in(Client()).status_code == 200
    assert provider.asked.count("/keys") == 2


def test_a_way_back_is_good_once_and_in_the_browser_that_began(provider: IdentityProvider) -> None:
    client, other = Client(), Client()
    back = urlsplit(to_provider(client))
    query = dict(parse_qsl(back.query))
    assert other.get(BACK, query).status_code == 400
    begun = client.cookies["oidc"].value
    assert client.get(BACK, query).status_code == 200
    other.cookies["oidc"] = begun
    answer = other.get(BACK, query)
    assert answer.status_code == 400 and "start again" in words(answer)
    assert not is_in(other)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "another"},
        {"state": ""},
        {"code": ""},
        {"code": "made-up"},
        {"code": "x" * 5_000},
        {"iss": "https://elsewhere.example"},
        {"error": "access_denied"},
        {"error": "\u2028<script>" * 500},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_answer_that_is_not_right_lets_nobody_in(
    provider: IdentityProvider, change: dict[str, str]
) -> None:
    client = Client()
    back = urlsplit(to_provider(client))
    answer = client.get(BACK, {**dict(parse_qsl(back.query)), **change})
    assert answer.status_code in {400, 403} and words(answer)
    assert b"<script>" not in answer.content
    assert not is_in(client)


@pytest.mark.parametrize("ticket", ["", "x", "é", "a" * 32, "../../etc", "a" * 5_000])
def test_a_cookie_that_stands_for_nothing_is_refused(provider: IdentityProvider, ticket: str) -> None:
    answer = Client(headers={"cookie": f"oidc={ticket}"}).get(BACK, {"state": "s", "code": "c"})
    assert answer.status_code == 400


def test_a_session_is_no_ticket_and_stays(provider: IdentityProvider) -> None:
    client = Client()
    sign_in(client)
    client.cookies["oidc"] = client.cookies["sessionid"].value
    assert client.get(BACK, {"state": "s", "code": "c"}).status_code == 400
    assert is_in(client)


@pytest.mark.parametrize("endpoint", ["/token", "/keys", "/.well-known/openid-configuration"])
def test_a_provider_that_is_out_of_order_is_told_in_words(provider: IdentityProvider, endpoint: str) -> None:
    client = Client()
    back = urlsplit(to_provider(client))
    oidc.forget_provider()
    provider.broken = {endpoint}
    answer = client.get(BACK, dict(parse_qsl(back.query)))
    assert answer.status_code == 503 and "Example SSO does not answer" in words(answer)


def test_a_provider_that_is_away_is_told_in_words(provider: IdentityProvider, settings: Settings) -> None:
    with IdentityProvider() as gone:
        settings.OIDC_ISSUER = gone.issuer
    answer = Client().post(START)
    assert answer.status_code == 503 and "Example SSO does not answer" in words(answer)


def test_an_answer_without_end_is_broken_off(provider: IdentityProvider) -> None:
    provider.padding = "x" * 2_000_000
    assert Client().post(START).status_code == 503


def test_a_provider_that_hangs_holds_few_threads(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_places", threading.BoundedSemaphore(1))
    with oidc._places:
        answer = Client().post(START)
        assert answer.status_code == 503 and "Too many people" in words(answer)
    assert Client().post(START).status_code == 200


def test_a_description_of_another_issuer_is_not_believed(
    provider: IdentityProvider, settings: Settings
) -> None:
    settings.OIDC_ISSUER = provider.issuer.replace("127.0.0.1", "localhost")
    assert Client().post(START).status_code == 503


@pytest.mark.parametrize(
    ("next_url", "where"),
    [
        ("/admin/files_app/file/?q=a&p=1", "/admin/files_app/file/?q=a&p=1"),
        ("https://elsewhere.example/", "/admin/"),
        ("//elsewhere.example/", "/admin/"),
        ("/\\elsewhere.example", "/admin/"),
        ("javascript:alert(1)", "/admin/"),
        ("'//elsewhere.example/", "%27//elsewhere.example/"),
        ('"//elsewhere.example/', "%22//elsewhere.example/"),
    ],
)
def test_signing_in_leads_to_no_other_host(provider: IdentityProvider, next_url: str, where: str) -> None:
    assert sign_in(Client(), next_url).context["where"] == where


def test_the_button_is_limited_by_address(provider: IdentityProvider, settings: Settings) -> None:
    settings.SIGN_INS_PER_MINUTE = 2
    answers = [Client().post(START) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_session_lasts_as_long_as_the_setting_says(provider: IdentityProvider, settings: Settings) -> None:
    settings.OIDC_SESSION_SECONDS = 120
    client = Client()
    sign_in(client)
    assert 0 < client.session.get_expiry_age() <= 120


def test_without_a_provider_there_is_no_button_and_no_way(db: None) -> None:
    assert b"Continue with" not in Client().get("/admin/login/").content
    assert Client().post(START).status_code == Client().get(BACK).status_code == 404


def test_the_sign_in_page_offers_both_ways_or_one(provider: IdentityProvider, settings: Settings) -> None:
    page = Client().get("/admin/login/?next=/admin/upload/").content.decode()
    assert "Continue with Example SSO" in page and 'name="password"' in page
    assert 'name="next" value="/admin/upload/"' in page
    policy = Client().get("/admin/login/").headers["Content-Security-Policy"]
    assert "form-action 'self';" in policy
    settings.PASSWORD_SIGN_IN = False
    page = Client().get("/admin/login/").content.decode()
    assert "Continue with Example SSO" in page and 'name="password"' not in page


def test_passwords_that_are_switched_off_let_nobody_in(
    provider: IdentityProvider, settings: Settings
) -> None:
    User.objects.create_superuser("root", password="a-long-enough-password")
    settings.PASSWORD_SIGN_IN = False
    client = Client()
    answer = client.post("/admin/login/", {"username": "root", "password": "a-long-enough-password"})
    assert answer.status_code == 403 and not is_in(client)


def test_roles_of_the_claims_are_groups_that_exist(db: None) -> None:
    assert {"Owner", "Operator", "Read-only"} <= set(Group.objects.values_list("name", flat=True))
