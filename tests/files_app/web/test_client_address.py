"""Whose address counts: what our proxies write at the end of one header, and nothing that a client says."""

from __future__ import annotations

import pytest
from django.http import HttpRequest
from pytest_django.fixtures import Settings

from files_app.web.client_address import forwarded_address


def address(**headers: str) -> str:
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": "10.0.0.7", **headers}
    return forwarded_address(request)


@pytest.mark.parametrize(
    ("count", "value", "expected"),
    [
        (1, "for=203.0.113.9", "203.0.113.9"),
        (1, 'For="203.0.113.9:4711";proto=https', "203.0.113.9"),
        (1, 'proto=https; for="[2001:db8::17]:4711"', "2001:db8::17"),
        (1, 'for="[::ffff:203.0.113.9]"', "203.0.113.9"),
        (1, "for=198.51.100.1, for=203.0.113.9", "203.0.113.9"),
        (2, "for=198.51.100.1, for=203.0.113.9;host=a, for=10.0.0.1", "203.0.113.9"),
        (2, "for=203.0.113.9", ""),
        # What a client wrote before our proxy's element takes nothing of it along.
        (1, 'for="198.51.100.1, for=203.0.113.9', "203.0.113.9"),
        (1, 'for="198.51.100.1\\", for=203.0.113.9', "203.0.113.9"),
        (1, "for=198.51.100.1;, ,for=203.0.113.9", "203.0.113.9"),
        (1, 'for=203.0.113.9;host="a,for=198.51.100.1"', "203.0.113.9"),
        (1, 'for=203.0.113.9;host=";for=198.51.100.1"', "203.0.113.9"),
        # What says nothing certain says nothing.
        (1, "for=203.0.113.9;for=198.51.100.1", ""),
        (1, "for=unknown", ""),
        (1, "for=_hidden", ""),
        (1, "by=203.0.113.9", ""),
        (1, "203.0.113.9", ""),
        (1, 'for="[fe80::1%eth0]"', ""),
        (1, "", ""),
        (1, '"' * 5_000 + ",;" * 5_000, ""),
    ],
)
def test_only_the_elements_of_our_own_proxies_count(
    settings: Settings, count: int, value: str, expected: str
) -> None:
    settings.PROXY_COUNT = count
    assert address(HTTP_FORWARDED=value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 2001:db8::17", "2001:db8::17"),
        ("[2001:db8::17]:80", "2001:db8::17"),
        ("not an address", ""),
    ],
)
def test_another_header_holds_plain_addresses(settings: Settings, value: str, expected: str) -> None:
    settings.PROXY_COUNT, settings.PROXY_HEADER = 1, "ClientAddress"
    assert address(HTTP_CLIENTADDRESS=value, HTTP_FORWARDED="for=198.51.100.1") == expected


def test_a_header_whose_name_can_be_imitated_counts_for_nothing(settings: Settings) -> None:
    settings.PROXY_COUNT = 1
    assert address(HTTP_X_FORWARDED_FOR="198.51.100.1", HTTP_X_REAL_IP="198.51.100.1") == ""
