"""What a first start creates, and what later starts keep."""

import stat
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from pytest_django import Settings

from files_app.exceptions import InvalidRequestError
from files_app.models import ApiKey, Organization, ProviderAccount
from files_app.services.index.callers import system_caller
from files_app.services.tenants.bootstrap import bootstrap
from files_app.services.tenants.keys import revoke_key, verify_key

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def test_a_first_start_creates_what_a_call_needs(data_dir: Path) -> None:
    first = bootstrap()
    organization = Organization.objects.get()
    account = ProviderAccount.objects.get()
    assert (organization.name, account.name, account.driver) == ("default", "local", "local")
    assert account.is_default
    assert account.organization == organization
    assert verify_key(first.api_key).organization_name == "default"
    assert get_user_model().objects.get(username="admin").check_password(first.admin_password)
    assert stat.S_IMODE((data_dir / "first-start.json").stat().st_mode) == 0o600


def test_a_second_start_keeps_and_shows_everything() -> None:
    assert bootstrap() == bootstrap()
    assert (Organization.objects.count(), ApiKey.objects.count()) == (1, 1)


def test_a_password_that_nobody_has_changed_is_hashed_at_the_first_start_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = bootstrap()
    user = get_user_model()
    monkeypatch.setattr(user, "check_password", lambda *given: pytest.fail("hashed again"))
    assert bootstrap().admin_password == first.admin_password != ""
    user.objects.update(is_active=False)
    assert bootstrap().admin_password == ""


def test_supplied_credentials_are_used(settings: Settings) -> None:
    settings.BOOTSTRAP_API_KEY = "k" * 32
    settings.BOOTSTRAP_ADMIN_PASSWORD = "correct horse"
    first = bootstrap()
    assert (first.api_key, first.admin_password) == ("k" * 32, "correct horse")
    assert verify_key("k" * 32).organization_name == "default"


def test_a_short_key_is_refused_and_nothing_is_created(settings: Settings) -> None:
    settings.BOOTSTRAP_API_KEY = "k" * 31
    with pytest.raises(InvalidRequestError, match="at least 32"):
        bootstrap()
    assert not Organization.objects.exists()
    assert not get_user_model().objects.exists()


@pytest.mark.parametrize("password", ["x7#kQ!v29zP", "administrator"])
def test_a_password_that_can_be_guessed_is_refused_and_nothing_is_created(
    settings: Settings, password: str
) -> None:
    settings.BOOTSTRAP_ADMIN_PASSWORD = password
    with pytest.raises(InvalidRequestError, match=r"BOOTSTRAP_ADMIN_PASSWORD: .* openssl rand") as refused:
        bootstrap()
    assert password not in str(refused.value)
    assert not Organization.objects.exists()


def test_credentials_that_no_longer_work_are_not_shown(data_dir: Path) -> None:
    first = bootstrap()
    revoke_key(ApiKey.objects.get(), caller=system_caller())
    admin = get_user_model().objects.get()
    admin.set_password("changed")
    admin.save()
    second = bootstrap()
    assert (second.api_key, second.admin_password) == ("", "")
    kept = (data_dir / "first-start.json").read_text()
    assert first.api_key not in kept
    assert first.admin_password not in kept


def test_a_gateway_that_has_organizations_and_an_admin_is_left_alone() -> None:
    Organization.objects.create(name="acme")
    get_user_model().objects.create_superuser(username="root", password="x")
    first = bootstrap()
    assert (first.api_key, first.admin_password) == ("", "")
    assert Organization.objects.count() == 1


def test_a_start_writes_down_where_accounts_of_earlier_versions_are() -> None:
    bootstrap()
    account = ProviderAccount.objects.get()
    account.places.all().delete()
    bootstrap()
    assert account.places.get().authority == "@disk"
