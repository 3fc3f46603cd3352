"""The SDKs' own retries: the file that is there already is the answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from files_app.models import File
from files_app.services.uploads.transfer import AlreadyUploadedError
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters, openai_account
from tests.files_app.forms import expiry_parts, file_part, purpose_part


def test_a_retry_finds_a_file_whose_provider_set_an_expiry_unasked(
    remote: Tenant, fake: FakeProvider
) -> None:
    month = int(timezone.now().timestamp()) + 2_592_000
    fake.script({"method": "POST"}, behaviours.patched({"expires_at": month}))
    first = remote.api.create()
    assert first["expires_at"] == month
    assert remote.api.create(headers={"x-stainless-retry-count": "1"})["id"] == first["id"]


@pytest.mark.parametrize("lived", [True, False])
def test_a_retry_of_another_request_is_no_retry(acme: Tenant, lived: bool) -> None:
    first = acme.api.create(parts=[purpose_part(), *(expiry_parts() if lived else []), file_part()])
    again = {"x-stainless-retry-count": "1"}
    metadata = {**again, "x-tfy-metadata": '{"a": "b"}'}
    assert acme.api.create(headers=metadata)["id"] != first["id"]
    assert (acme.api.create(headers=again)["id"] == first["id"]) is not lived
    same = [purpose_part(), *(expiry_parts() if lived else []), file_part()]
    assert acme.api.create(parts=same, headers=again)["id"] == first["id"]


def retry(client: Any, content: bytes = b"hello", **kwargs: Any) -> dict[str, Any]:
    created: dict[str, Any] = client.create(content, headers={"x-stainless-retry-count": "1"}, **kwargs)
    return created


def test_a_retry_of_a_finished_upload_is_answered_with_its_file(remote: Tenant, fake: FakeProvider) -> None:
    first = remote.api.create(headers={"x-stainless-retry-count": "0"})
    assert retry(remote.api) == first
    assert len(fake.store("openai")) == 1
    assert counters(remote.organization) == (5, 0, 1)


def test_a_first_try_is_never_taken_for_a_retry(acme: Tenant) -> None:
    first = acme.api.create(headers={"x-stainless-retry-count": "0"})
    assert acme.api.create(headers={"x-stainless-retry-count": "0"})["id"] != first["id"]
    assert acme.api.create(headers={"x-stainless-retry-count": "nonsense"})["id"] != first["id"]


def test_a_retry_of_something_else_is_an_upload(acme: Tenant, fake: FakeProvider) -> None:
    openai_account(acme.organization, fake)
    first = acme.api.create()["id"]
    assert retry(acme.api, b"hellO")["id"] != first
    assert retry(acme.api, filename="b.txt")["id"] != first
    assert retry(acme.api, purpose="vision")["id"] != first
    assert retry(acme.api, account="openai")["id"] != first
    assert retry(acme.client()[0])["id"] != first


def test_a_retry_long_after_is_an_upload(acme: Tenant, settings: Settings) -> None:
    settings.SDK_RETRY_WINDOW_SECONDS = 0
    first = acme.api.create()["id"]
    assert retry(acme.api)["id"] != first


def test_a_retry_after_a_delete_is_an_upload(acme: Tenant) -> None:
    first = acme.api.create()["id"]
    acme.api.delete(f"/files/{first}")
    assert retry(acme.api)["id"] != first


def test_a_retry_is_no_error(acme: Tenant) -> None:
    acme.api.create()
    retry(acme.api)
    assert File.objects.count() == 1  # a small one is recognized before its row is written
    retry(acme.api, length=None)
    assert File.objects.filter(state="failed").get().failure == ""
    assert not issubclass(AlreadyUploadedError, OSError)
