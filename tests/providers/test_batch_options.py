"""What an account may say about batch files, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import AccountConfig
from providers.batch_options import batch_options
from providers.exceptions import ProviderConfigurationError
from providers.registry import build_driver

PLACE = {"bucket": "files", "region": "us-east-1"}


def options_of(driver: str, **options: object) -> Any:
    return batch_options(build_driver(driver, AccountConfig("a", {**PLACE, **options})), model="m")


@pytest.mark.parametrize("driver", ["bedrock", "vertex"])
def test_without_options_the_providers_usual_quotas_hold(driver: str) -> None:
    found = options_of(driver)
    assert (found.models, found.model, found.job, found.unsupported) == ({}, "m", "invoke", "refuse")
    assert (found.min_records, found.max_records, found.max_rendition_bytes) == (None, None, None)


def test_the_options_are_read() -> None:
    numbers = {"batch_min_records": 5, "batch_max_records": "7", "batch_max_bytes": 9}
    found = options_of("bedrock", job="openai", unsupported_fields="ignore", models={"a": "b"}, **numbers)
    assert (found.job, found.unsupported, found.models) == ("openai", "ignore", {"a": "b"})
    assert (found.min_records, found.max_records, found.max_rendition_bytes) == (5, 7, 9)


@pytest.mark.parametrize(
    ("driver", "name", "value"),
    [
        ("bedrock", "job", "both"),
        ("vertex", "job", "openai"),
        ("bedrock", "unsupported_fields", "drop"),
        ("vertex", "models", ["a"]),
        ("vertex", "models", {"a": 1}),
        ("vertex", "models", {"a": ""}),
        ("bedrock", "batch_max_records", "many"),
        ("bedrock", "batch_max_bytes", -1),
        ("vertex", "batch_min_records", True),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_account_is_made(
    driver: str, name: str, value: object
) -> None:
    with pytest.raises(ProviderConfigurationError) as refused:
        options_of(driver, **{name: value})
    assert refused.value.field == name
