"""Endpoints are checked when an account is saved, not only when it is used."""

import pytest
from pytest_django.fixtures import Settings

from files_app.models import Organization, ProviderAccount
from files_app.services.accounts.places import is_exclusive
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.sharing import prove_access
from providers.exceptions import ProviderConfigurationError


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_private_endpoint_is_refused_at_save(settings: Settings, host: str) -> None:
    settings.ALLOW_PRIVATE_UPSTREAMS = False
    organization = Organization.objects.create(name="acme")
    account = ProviderAccount(
        organization=organization,
        name="inside",
        driver="openai-compatible",
        options={"base_url": f"http://{host}/v1"},
    )
    with pytest.raises(ProviderConfigurationError, match="ALLOW_PRIVATE_UPSTREAMS") as refused:
        save_account(account, {})
    assert refused.value.field == "base_url"
    assert not ProviderAccount.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(("prefix", "is_shared"), [("shared", True), ("own", False)])
def test_a_bucket_is_shared_whatever_the_credentials(prefix: str, is_shared: bool) -> None:
    accounts = []
    for number, place in enumerate(["shared", prefix]):
        options = {"bucket": "files", "region": "us-east-1", "prefix": place}
        organization = Organization.objects.create(name=f"org-{number}")
        account = ProviderAccount(organization=organization, name="s3", driver="bedrock", options=options)
        save_account(account, {"access_key_id": f"key-{number}", "secret_access_key": "only-for-tests"})
        prove_access(account)
        accounts.append(account)
    assert [is_exclusive(account) for account in accounts] == [not is_shared] * 2
