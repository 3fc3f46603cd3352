"""Organizations in the admin: defaults that are seen, sizes as they are typed, limits below use."""

from __future__ import annotations

import pytest
from django.forms import ValidationError
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from files_app.admin.fields import SizeField
from files_app.models import Organization
from files_app.words import exact_bytes
from tests.files_app.admin.conftest import World


@pytest.mark.parametrize(
    ("typed", "size"),
    [
        ("10 MB", 10_000_000),
        ("1.5gb", 1_500_000_000),
        ("10 MiB", 10 * 2**20),
        ("10 M", 10 * 2**20),
        ("1,048,576", 2**20),
        ("512 bytes", 512),
    ],
)
def test_a_size_is_what_was_typed(typed: str, size: int) -> None:
    assert SizeField().clean(typed) == size


@pytest.mark.parametrize("typed", ["ten", "10 XB", "-1", "9999999 PiB"])
def test_what_is_no_size_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError):
        SizeField().clean(typed)


@pytest.mark.parametrize("shown", ["10 MB", "100 GiB", "1 KB", "1001 bytes", "0 bytes", "3 KiB"])
def test_a_size_is_shown_as_it_was_typed(shown: str) -> None:
    assert exact_bytes(SizeField().clean(shown)) == shown


def test_a_new_organization_shows_what_it_will_have(root: Client, settings: Settings) -> None:
    settings.REQUESTS_PER_MINUTE, settings.ORGANIZATION_QUOTA_BYTES = 600, 5 * 2**30
    form = root.get(reverse("admin:files_app_organization_add")).context["adminform"].form
    assert 'value="5 GiB"' in str(form["quota_bytes"])
    assert 'value="512 MiB"' in str(form["max_file_bytes"])
    assert 'placeholder="600"' in str(form["requests_per_minute"])
    assert 'placeholder="no limit"' in str(form["bytes_per_minute"])


def test_limits_below_what_is_used_are_taken_with_a_warning(root: Client, own: World) -> None:
    Organization.objects.filter(pk=own.organization.pk).update(used_bytes=2**30, file_count=3)
    address = reverse("admin:files_app_organization_change", args=[own.organization.pk])
    data = {"name": "ours-org", "is_active": "on", "max_file_bytes": "512 MiB"}
    page = root.post(
        address, {**data, "quota_bytes": "10 MB", "max_files": "2"}, follow=True
    ).content.decode()
    assert "uses 1 GiB, which is more than its quota of 10 MB now" in page
    assert "has 3 files, which is more than the 2 of now" in page
    own.organization.refresh_from_db()
    assert own.organization.quota_bytes == 10_000_000
    page = root.post(
        address, {**data, "quota_bytes": "2 GiB", "max_files": "0"}, follow=True
    ).content.decode()
    assert "is more than" not in page
