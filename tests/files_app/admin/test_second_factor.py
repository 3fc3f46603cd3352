"""Second factors: codes of an app, recovery codes, roles that need them."""

from __future__ import annotations

import base64
import re
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from files_app.exceptions import GatewayError, TooManyRequestsError
from files_app.models import AuditEvent, RecoveryCode, SecondFactor
from files_app.services.index.callers import system_caller
from files_app.services.tenants.sign_in import factors
from tests.files_app.management.shell import failing, good

PASSWORD = "a-long-enough-password"
NOW = 1_800_000_000
LOGIN, CODE, FACTOR = "/admin/login/", "/admin/login/code/", "/admin/login/second-factor/"


class App:
    """An authenticator app that was shown the page's secret. Each code is of the next 30 seconds.

    Three codes are good at any moment: the one before now, of now and behind it.
    """

    def __init__(self, page: bytes) -> None:
        found = re.search(rb"fg-factor-secret\"><code>([A-Z2-7 ]+)<", page)
        assert found is not None
        self._totp = TOTP(base64.b32decode(found[1].replace(b" ", b"")), 6, SHA1(), 30)  # noqa: S303 - the one that apps know
        self._times = iter(NOW + offset for offset in (-30, 0, 30))
        self.recovery_codes: list[str] = []

    def code(self) -> str:
        return self._totp.generate(next(self._times)).decode()


def send_password(client: Client, name: str = "root", next_url: str = "") -> str:
    """Send the form of the sign-in page, and return where it leads."""
    data = {"username": name, "password": PASSWORD, "next": next_url}
    return client.post(LOGIN, data).headers.get("Location", "")


def is_in(client: Client) -> bool:
    return bool(client.get("/admin/").status_code == 200)


def codes_in(page: bytes) -> list[str]:
    return re.findall(r"<li><code>([0-9a-z-]{19})</code>", page.decode())


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes are of one moment, so that none gets old while a test runs."""
    monkeypatch.setattr(factors, "time", SimpleNamespace(time=lambda: NOW))


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", password=PASSWORD)


@pytest.fixture
def app(root: User) -> App:
    """The app of root, whose second factor is on. It has two more codes."""
    client = Client()
    client.force_login(root)
    app = App(client.get(FACTOR).content)
    page = client.post(FACTOR, {"code": app.code(), "password": PASSWORD})
    app.recovery_codes = codes_in(page.content)
    return app


def test_setting_it_up_shows_codes_once_and_keeps_neither_in_clear(root: User) -> None:
    client = Client()
    client.force_login(root)
    page = client.get(FACTOR)
    assert b"<svg" in page.content and b"style=" not in page.content
    app = App(page.content)
    assert client.post(FACTOR, {"code": "000000", "password": PASSWORD}).status_code == 403
    assert not SecondFactor.objects.exists()
    answer = client.post(FACTOR, {"code": app.code(), "password": PASSWORD})
    codes = codes_in(answer.content)
    assert len(set(codes)) == 10 and "no-store" in answer.headers["Cache-Control"]
    again = client.get(FACTOR).content
    assert not codes_in(again) and b"fg-factor-secret" not in again
    row = SecondFactor.objects.get()
    assert row.secret.startswith("gAAAA") and not {*codes} & {
        *RecoveryCode.objects.values_list("digest", flat=True)
    }
    assert AuditEvent.objects.filter(action="second_factor.set", object_id="root").exists()


@pytest.mark.parametrize("given", [{}, {"password": ""}, {"password": "another-long-password"}])
def test_an_open_session_alone_sets_none_up(root: User, given: dict[str, str]) -> None:
    """Whoever finds it must not shut its owner out. Passwords are tried there as seldom as elsewhere."""
    client = Client()
    client.force_login(root)
    app = App(client.get(FACTOR).content)
    answer = client.post(FACTOR, {"code": app.code(), **given})
    assert answer.status_code == 403 and b"not your password" in answer.content
    assert not SecondFactor.objects.exists() and is_in(client)
    for _ in range(5):
        client.post(FACTOR, {"code": "000000", "password": "another-long-password"})
    client.post(FACTOR, {"code": app.code(), "password": PASSWORD})
    assert not SecondFactor.objects.exists()
    assert send_password(Client()) == ""  # locked for this address, as by the sign-in page


def test_a_password_alone_lets_nobody_in(app: App) -> None:
    client = Client()
    assert send_password(client, next_url="/admin/system/") == CODE
    assert not is_in(client)
    assert client.get(FACTOR).headers["Location"] == CODE
    answer = client.post(CODE, {"code": app.code()})
    assert answer.headers["Location"] == "/admin/system/"
    assert is_in(client)


def test_without_a_password_there_is_nothing_to_give_a_code_for(app: App) -> None:
    client = Client()
    assert client.post(CODE, {"code": app.code()}).headers["Location"] == LOGIN
    assert not is_in(client)


def test_a_code_is_good_once(app: App) -> None:
    first, second = Client(), Client()
    send_password(first)
    send_password(second)
    code = app.code()
    assert first.post(CODE, {"code": code}).status_code == 302
    assert second.post(CODE, {"code": code}).status_code == 403
    assert not is_in(second)


def test_a_recovery_code_is_good_once_and_counted(app: App) -> None:
    code = app.recovery_codes[0]
    client, other = Client(), Client()
    send_password(client)
    assert client.post(CODE, {"code": code.upper().replace("-", " ")}).status_code == 302
    assert b"9 are left" in client.get("/admin/").content
    send_password(other)
    assert other.post(CODE, {"code": code}).status_code == 403
    assert AuditEvent.objects.get(action="recovery_code.use").details == {"left": 9}


def test_five_wrong_codes_lock_it_for_whatever_address(app: App) -> None:
    client = Client()
    send_password(client)
    answers = [client.post(CODE, {"code": "000000"}).status_code for _ in range(5)]
    assert answers == [403, 403, 403, 403, 429]
    other = Client(REMOTE_ADDR="192.0.2.7")
    send_password(other)
    locked = other.post(CODE, {"code": app.code()})
    assert locked.status_code == 429 and 0 < int(locked.headers["Retry-After"]) <= 900
    SecondFactor.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    assert other.post(CODE, {"code": app.code()}).status_code == 302
    assert AuditEvent.objects.filter(action="second_factor.lock").count() == 1


def test_many_wrong_codes_at_once_are_no_more_than_five(
    app: App, root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged, takes_code = [], factors._takes_code
    caller = system_caller(0)

    def meanwhile(factor: SecondFactor, code: str) -> bool:
        """Judge a code when more have come since the lock was looked at."""
        judged.append(code)
        if len(judged) < 20:
            with pytest.raises(GatewayError):
                factors.prove(SecondFactor.objects.get(), "000000", caller=caller)
        return takes_code(factor, code)

    monkeypatch.setattr(factors, "_takes_code", meanwhile)
    with pytest.raises(GatewayError):
        factors.prove(SecondFactor.objects.get(), "000000", caller=caller)
    assert len(judged) == 5
    with pytest.raises(TooManyRequestsError):
        factors.prove(SecondFactor.objects.get(), app.code(), caller=caller)
    assert AuditEvent.objects.filter(action="second_factor.lock").count() == 1


def test_codes_are_tried_as_seldom_as_passwords(app: App, settings: Settings) -> None:
    client = Client()
    send_password(client)
    settings.SIGN_INS_PER_MINUTE = 2
    assert [client.post(CODE, {"code": "x"}).status_code for _ in range(3)][-1] == 429


@pytest.mark.parametrize("code", ["", "12345", "é" * 6, "١٢٣٤٥٦", "a" * 100_000, "\x00"])
def test_what_is_no_code_is_wrong(app: App, code: str) -> None:
    client = Client()
    send_password(client)
    assert client.post(CODE, {"code": code}).status_code == 403


def test_a_step_is_over_after_ten_minutes_and_with_another_password(app: App, root: User) -> None:
    old, changed = Client(), Client()
    send_password(old)
    session = old.session
    session["second_step"] = {**session["second_step"], "until": time.time() - 1}
    session.save()
    assert old.post(CODE, {"code": app.code()}).headers["Location"] == LOGIN
    send_password(changed)
    root.set_password("another-long-password")
    root.save()
    assert changed.post(CODE, {"code": app.code()}).headers["Location"] == LOGIN


def test_a_new_factor_ends_sessions_that_began_without_one(root: User) -> None:
    here, elsewhere = Client(), Client()
    here.force_login(root)
    elsewhere.force_login(root)
    here.post(FACTOR, {"code": App(here.get(FACTOR).content).code(), "password": PASSWORD})
    assert is_in(here) and not is_in(elsewhere)


@pytest.mark.parametrize(
    ("wanted", "asked"), [({"superuser"}, True), ({"everyone"}, True), ({"owner"}, False), (set(), False)]
)
def test_a_role_that_needs_one_sets_it_up_first(
    root: User, settings: Settings, wanted: set[str], asked: bool
) -> None:
    settings.SECOND_FACTOR_FOR = wanted
    client = Client()
    assert (send_password(client, next_url="/admin/system/") == FACTOR) is asked
    assert is_in(client) is not asked
    if asked:
        page = client.post(FACTOR, {"code": App(client.get(FACTOR).content).code()})
        assert b'href="/admin/system/"' in page.content and len(codes_in(page.content)) == 10
        assert is_in(client)


def test_a_role_is_a_group(db: None, settings: Settings) -> None:
    settings.SECOND_FACTOR_FOR = {"owner"}
    owner = User.objects.create_user("owner", password=PASSWORD, is_staff=True)
    owner.groups.add(Group.objects.get(name="Owner"))
    User.objects.create_user("operator", password=PASSWORD, is_staff=True)
    assert send_password(Client(), "owner") == FACTOR
    assert send_password(Client(), "operator") == "/admin/"


def test_renewing_and_taking_off_need_a_code(app: App, root: User, settings: Settings) -> None:
    client = Client()
    client.force_login(root)
    assert client.post(FACTOR, {"deed": "reset", "code": "000000"}).status_code == 403
    fresh = codes_in(client.post(FACTOR, {"deed": "renew", "code": app.code()}).content)
    assert len(fresh) == 10 and RecoveryCode.objects.count() == 10
    old = app.recovery_codes[0]
    assert client.post(FACTOR, {"deed": "renew", "code": old}).status_code == 403
    settings.SECOND_FACTOR_FOR = {"superuser"}
    assert client.post(FACTOR, {"deed": "reset", "code": fresh[0]}).status_code == 403
    settings.SECOND_FACTOR_FOR = set()
    client.post(FACTOR, {"deed": "reset", "code": app.code()})
    assert not SecondFactor.objects.exists()


def test_a_lost_one_is_reset_by_command(app: App, root: User) -> None:
    client = Client()
    client.force_login(root)
    assert good("sign_in", "list", "--json").json[0]["has_second_factor"] is True
    good("sign_in", "reset-second-factor", "root")
    assert not is_in(client)
    assert send_password(Client()) == "/admin/"
    failing("sign_in", "reset-second-factor", "root")
    assert AuditEvent.objects.get(action="second_factor.reset").actor_type == "command"


def test_a_rotation_of_keys_takes_secrets_along(app: App, settings: Settings) -> None:
    old, fresh = settings.FIELD_ENCRYPTION_KEYS, Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [fresh, *old]
    assert good("rotate_encryption_keys", "--json").json["second_factors"]["rotated"] == 1
    settings.FIELD_ENCRYPTION_KEYS = [fresh]
    client = Client()
    send_password(client)
    assert client.post(CODE, {"code": app.code()}).status_code == 302
    settings.FIELD_ENCRYPTION_KEYS = old
    assert "second factors of root cannot be decrypted" in failing("rotate_encryption_keys").err
    other = Client()
    send_password(other)
    assert other.post(CODE, {"code": app.code()}).status_code == 403
    recovery = app.recovery_codes[0]
    assert other.post(CODE, {"code": recovery}).status_code == 302


def test_pages_ask_nothing_of_who_uses_none_of_it(root: User) -> None:
    client = Client()
    send_password(client)
    with CaptureQueriesContext(connection) as asked:
        assert client.get("/admin/").status_code == 200
    tables = re.compile("secondfactor|recoverycode|staffidentity")
    assert asked.captured_queries and not [each for each in asked if tables.search(each["sql"])]


def test_who_has_no_password_is_told_to_need_none(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_user("anna", is_staff=True))
    answer = client.get(FACTOR)
    assert answer.status_code == 403 and b"without a password" in answer.content
    assert b"Change password" not in client.get("/admin/").content
