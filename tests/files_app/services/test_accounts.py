"""Endpoints are checked when an account is saved, not only when it is used."""

import pytest
from pytest_django.fixtures import Settings

from files_app.models import Organization, ProviderAccount
from files_app.services.accounts import save_account
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
