"""Where an account may lead, and who gets its secrets, is checked when it is saved, not only at use."""

import socket
from functools import partial
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from files_app.models import Organization, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.places import is_exclusive
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.sharing import prove_access
from providers.exceptions import ProviderConfigurationError, ProviderError
from tests.fake_provider import VALID_KEY, FakeProvider
from tests.providers.test_vertex import service_account


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


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses are what they are, and no name leads anywhere: nobody is asked."""
    numeric = partial(socket.getaddrinfo, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    monkeypatch.setattr(
        "providers.transports.addresses.socket.getaddrinfo", lambda host, port, **_: numeric(host, port)
    )


KEY = {"api_key": "only-for-tests"}
S3_KEYS = {"access_key_id": "AKIA", "secret_access_key": "only-for-tests"}
ENTRA = {"tenant_id": "ours", "client_id": "us", "client_secret": "only-for-tests"}
AZURE = {"endpoint": "https://ours.openai.azure.com"}
BUCKET = {"bucket": "files", "region": "eu-central-1"}
GENERIC = {"base_url": "https://one.example/v1"}


def google_key(token_uri: str) -> dict[str, str]:
    return {"service_account_json": service_account(token_uri=token_uri)}


def saved(
    driver: str, options: dict[str, Any], credentials: dict[str, str], **fields: Any
) -> ProviderAccount:
    """Save an account as one of an organization's."""
    organization, _ = Organization.objects.get_or_create(name="acme")
    account = ProviderAccount(
        organization=organization, name=uuid4().hex, driver=driver, options=options, **fields
    )
    save_account(account, credentials)
    return account


@pytest.mark.django_db
@pytest.mark.usefixtures("no_names")
@pytest.mark.parametrize(
    ("allowed", "is_operators", "url", "is_refused"),
    [
        (False, True, "https://93.184.215.14/v1", False),
        (False, True, "http://93.184.215.14/v1", True),
        (True, True, "http://93.184.215.14/v1", False),
        (True, False, "http://93.184.215.14/v1", True),
        (True, True, "http://10.1.2.3/v1", False),
        (True, False, "http://10.1.2.3/v1", True),
        (True, False, "https://10.1.2.3/v1", True),
        ((ip_network("10.1.0.0/16"),), True, "http://10.1.2.3/v1", False),
        ((ip_network("10.1.0.0/16"),), False, "http://10.1.2.3/v1", True),
        ((ip_network("10.1.0.0/16"),), True, "https://10.2.0.1/v1", True),
        ((ip_network("10.1.0.0/16"),), True, "http://93.184.215.14/v1", True),
        (True, True, "https://169.254.169.254/v1", True),
        (True, True, "http://[fd00:ec2::254]/v1", True),
    ],
)
@pytest.mark.parametrize(
    ("driver", "options", "field", "credentials"),
    [
        ("openai", {}, "base_url", KEY),
        ("gemini", {}, "base_url", KEY),
        ("openai-compatible", {}, "base_url", KEY),
        ("azure-openai", {}, "endpoint", KEY),
        ("azure-openai", AZURE, "authority", ENTRA),
        ("bedrock", BUCKET, "endpoint_url", S3_KEYS),
        ("vertex", {"bucket": "files"}, "endpoint_url", google_key("https://93.184.215.14/token")),
        ("vertex", {"bucket": "files"}, "service_account_json", {}),
    ],
)
def test_where_an_account_may_lead(
    settings: Settings,
    driver: str,
    options: dict[str, Any],
    field: str,
    credentials: dict[str, str],
    allowed: Any,
    is_operators: bool,
    url: str,
    is_refused: bool,
) -> None:
    """Every driver and every URL: private networks for operators alone, metadata for nobody, TLS outside."""
    settings.ALLOW_PRIVATE_UPSTREAMS = allowed
    if field == "service_account_json":
        credentials = google_key(url)
    else:
        options = {**options, field: url}
    refused = None
    try:
        saved(driver, options, credentials, is_operators=is_operators)
    except ProviderConfigurationError as exc:
        refused = exc.field
    assert refused == (field if is_refused else None)


@pytest.mark.django_db
def test_an_account_that_lost_its_operator_no_longer_leads_inside(fake: FakeProvider) -> None:
    """Also where it was saved before, and where a connection of an operator's account is still open."""
    account = saved("openai", {"base_url": fake.url("openai")}, {"api_key": VALID_KEY})
    driver_for(account).list_files()
    account.is_operators = False
    asked = len(fake.requests)
    with pytest.raises(ProviderError) as caught:
        driver_for(account).list_files()
    assert caught.value.code == "private_upstream_refused"
    assert len(fake.requests) == asked


@pytest.mark.django_db
@pytest.mark.usefixtures("no_names")
@pytest.mark.parametrize(
    ("driver", "before", "credentials", "after", "field"),
    [
        ("openai", {}, KEY, {"base_url": "https://two.example/v1"}, "api_key"),
        ("openai", {"base_url": "https://one.example/v1"}, KEY, {}, "api_key"),
        (
            "openai",
            {"base_url": "https://one.example/v1"},
            KEY,
            {"base_url": "https://one.example:8443/v1"},
            "api_key",
        ),
        (
            "openai",
            {"base_url": "https://one.example/v1"},
            KEY,
            {"base_url": "https://ONE.example:443/v2"},
            None,
        ),
        ("openai", {}, KEY, {"project": "other"}, None),
        ("openai-compatible", GENERIC, KEY, {"base_url": "https://two.example/v1"}, "api_key"),
        ("openai-compatible", {"flavor": "novita"}, KEY, {"flavor": "ppio"}, "api_key"),
        ("openai-compatible", {"flavor": "novita"}, KEY, GENERIC, "api_key"),
        ("openai-compatible", GENERIC, KEY, {**GENERIC, "flavor": "ppio"}, "api_key"),
        ("azure-openai", AZURE, KEY, {"endpoint": "https://two.openai.azure.com"}, "api_key"),
        ("azure-openai", AZURE, ENTRA, {**AZURE, "authority": "https://two.example"}, "client_secret"),
        ("azure-openai", AZURE, ENTRA, {**AZURE, "api_version": "2024-10-21"}, None),
        ("bedrock", BUCKET, S3_KEYS, {**BUCKET, "endpoint_url": "https://two.example"}, "secret_access_key"),
        ("bedrock", {**BUCKET, "endpoint_url": "https://one.example"}, S3_KEYS, BUCKET, "secret_access_key"),
        ("bedrock", BUCKET, S3_KEYS, {**BUCKET, "region": "cn-north-1"}, "secret_access_key"),
        ("bedrock", BUCKET, S3_KEYS, {**BUCKET, "region": "us-gov-west-1"}, "secret_access_key"),
        ("bedrock", BUCKET, S3_KEYS, {**BUCKET, "region": "us-east-1", "prefix": "other"}, None),
        ("groq", {}, KEY, {"base_url": "https://two.example/v1"}, "api_key"),
    ],
)
def test_a_stored_secret_goes_nowhere_else_unless_it_is_entered_again(
    driver: str,
    before: dict[str, Any],
    credentials: dict[str, str],
    after: dict[str, Any],
    field: str | None,
) -> None:
    account = saved(driver, before, credentials)
    account.options = after
    refused = None
    try:
        save_account(account)
    except ProviderConfigurationError as exc:
        refused = exc.field
    assert refused == field
    assert ProviderAccount.objects.get(pk=account.pk).options == (before if field else after)
    save_account(account, credentials)
    assert ProviderAccount.objects.get(pk=account.pk).options == after


@pytest.mark.django_db
@pytest.mark.usefixtures("no_names")
def test_a_secret_stays_with_its_tenant() -> None:
    """Entra's tenant is a credential that is no secret: it says who gets the one that is."""
    account = saved("azure-openai", AZURE, ENTRA)
    moved = {**ENTRA, "tenant_id": "theirs"}
    with pytest.raises(ProviderConfigurationError) as refused:
        save_account(account, moved, kept=["client_id", "client_secret"])
    assert refused.value.field == "client_secret"
    save_account(account, moved, kept=["client_id"])


@pytest.mark.django_db
@pytest.mark.usefixtures("no_names")
def test_a_driver_that_takes_over_an_account_asks_for_its_key() -> None:
    account = saved("openai", {}, KEY)
    account.driver = "groq"
    with pytest.raises(ProviderConfigurationError, match="enter this again"):
        save_account(account)
