"""Sizes and ages as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from files_app.words import age, readable_seconds, short_bytes


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1023, "1,023 B"),
        (1024, "1 KiB"),
        (1_500_000, "1.43 MiB"),
        (1024**4 - 1, "1,024 GiB"),
        (2**40, "1 TiB"),
    ],
)
def test_sizes_are_readable(size: int, shown: str) -> None:
    assert short_bytes(size) == shown


def test_durations_are_exact_and_readable() -> None:
    said = [readable_seconds(seconds) for seconds in (3_599, 3_600, 1_209_600)]
    assert said == ["3,599 s", "3,600 s (1 h)", "1,209,600 s (14 d)"]


def test_ages_are_readable() -> None:
    now = timezone.now()
    assert age(now - timedelta(minutes=3, seconds=1)) == "3 min ago"
    assert age(now + timedelta(days=2, seconds=9)) == "in 2 d"
    assert age(now) == "now"
