"""The authorities and proxies that the environment names."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from gateway.egress import ca_bundle, provider_proxies
from providers.transports.proxies import Proxies
from tests.authority import Authority
from tests.gateway.test_settings import settings

PROXY = "http://us:pa%40ss@proxy.example:3128"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_bundle_is_named_by_our_variable_or_a_usual_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ca_bundle("") is None
    bundle, missing = str(Authority(tmp_path).bundle), str(tmp_path / "missing.pem")
    assert ca_bundle(bundle) == bundle
    with pytest.raises(ImproperlyConfigured, match=r"^CA_BUNDLE: cannot read .*missing\.pem"):
        ca_bundle(missing)
    monkeypatch.setenv(name, bundle)
    assert ca_bundle("") == bundle
    monkeypatch.setenv(name, missing)
    assert ca_bundle(bundle) == bundle
    with pytest.raises(ImproperlyConfigured, match=rf"^{name}: cannot read"):
        ca_bundle("")


def test_a_bundle_without_certificates_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ImproperlyConfigured, match=r"^CA_BUNDLE: .*no certificate"):
        ca_bundle(str(tmp_path / "empty.pem"))


def test_no_proxy_is_used_unless_the_setting_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert provider_proxies("") == Proxies()
    monkeypatch.setenv("NO_PROXY", ".corp.example")
    assert provider_proxies("environment") == Proxies(https=PROXY, no_proxy=".corp.example")
    monkeypatch.setenv("HTTP_PROXY", "plain.example:3128")
    assert provider_proxies("environment").http == "http://plain.example:3128"


def test_one_proxy_may_be_named_for_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    found = provider_proxies(PROXY)
    assert found == Proxies(https=PROXY, http=PROXY, no_proxy="10.0.0.0/8")
    assert "pa%40ss" not in repr(found)


@pytest.mark.parametrize("url", ["socks5://us:pass@host:1", "https://us:pass@host", "http://us:pass@h:99999"])
def test_a_proxy_that_cannot_be_used_ends_the_start(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(ImproperlyConfigured, match=r"^HTTPS_PROXY must be a proxy such as") as caught:
        provider_proxies("environment")
    assert "pass@" not in str(caught.value).replace("user:password@", "")


def test_each_client_is_told_of_the_bundle(tmp_path: Path) -> None:
    bundle = str(Authority(tmp_path).bundle)
    names = "CA_BUNDLE CELERY_BROKER_URL CELERY_BROKER_USE_SSL THROTTLE_STORAGE_URL DATABASES['default']"
    found, broker, use_ssl, throttle, database = settings(
        tmp_path,
        names,
        CA_BUNDLE=bundle,
        CELERY_BROKER_URL="rediss://broker.example/0",
        THROTTLE_STORAGE_URL="rediss://counters.example/1",
        DATABASE_URL="postgres://u:p@db.example/g?sslmode=verify-full",
    )
    assert (found, use_ssl) == (bundle, False)
    assert "ssl_cert_reqs=required&ssl_ca_certs=" in broker
    assert "ssl_cert_reqs=required&ssl_ca_certs=" in throttle
    assert database["OPTIONS"]["sslrootcert"] == bundle
