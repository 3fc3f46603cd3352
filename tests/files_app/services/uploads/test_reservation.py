"""Room for an upload: taken before its bytes come, or refused with the numbers."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from files_app.exceptions import QuotaExceededError
from files_app.models import File, FileState
from files_app.services.uploads.reservation import Reservation, UploadLeaseLostError, reserve
from tests.files_app.cast import Tenant, counters

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_reservation_that_does_not_fit_says_the_numbers(acme: Tenant) -> None:
    acme.set_limits(quota_bytes=100, used_bytes=90)
    reserve(acme.organization.pk, 10)
    with pytest.raises(QuotaExceededError, match="100 bytes, of which 100 bytes are in use"):
        reserve(acme.organization.pk, 1)
    reserve(acme.organization.pk, 0)


@pytest.fixture
def upload(acme: Tenant) -> File:
    """An upload that has reserved 100 bytes."""
    reserve(acme.organization.pk, 100)
    return File.objects.create(
        organization=acme.organization,
        account=acme.accounts["local"],
        file_id="file-1",
        reserved_bytes=100,
        lease_token="mine",
        state=FileState.UPLOADING,
    )


@pytest.mark.parametrize("size", [40, 100, 140])
def test_exactly_the_size_is_held_in_the_end(acme: Tenant, upload: File, size: int) -> None:
    Reservation(upload, slack_bytes=0).make_exact(size, filename="a.txt")
    upload.refresh_from_db()
    assert (upload.filename, upload.bytes, upload.reserved_bytes) == ("a.txt", size, size)
    assert counters(acme.organization) == (0, size, 0)


def test_what_was_held_although_nobody_heard_of_it_is_not_held_twice(acme: Tenant, upload: File) -> None:
    for reservation in (Reservation(upload, slack_bytes=0), Reservation(upload, slack_bytes=0)):
        reservation.make_exact(140, filename="a.txt")
    assert counters(acme.organization) == (0, 140, 0)


def test_a_size_that_does_not_fit_leaves_everything_as_it_was(acme: Tenant, upload: File) -> None:
    acme.set_limits(quota_bytes=120)
    with pytest.raises(QuotaExceededError, match="140 bytes more would not fit"):
        Reservation(upload, slack_bytes=0).make_exact(140, filename="a.txt")
    upload.refresh_from_db()
    assert (upload.filename, upload.reserved_bytes) == ("", 100)
    assert counters(acme.organization) == (0, 100, 0)


def test_an_upload_that_lost_its_lease_holds_nothing_more(acme: Tenant, upload: File) -> None:
    reservation = Reservation(upload, slack_bytes=0)
    File.objects.update(lease_token="taken over")
    with pytest.raises(UploadLeaseLostError):
        reservation.make_exact(140, filename="a.txt")
    assert counters(acme.organization) == (0, 100, 0)


def test_what_is_held_is_said_in_one_message(upload: File) -> None:
    Reservation(upload, slack_bytes=0).make_exact(100, filename="a.txt")
    with CaptureQueriesContext(connection) as captured:
        Reservation(upload, slack_bytes=0).make_exact(100, filename="a.txt")
    messages = [query["sql"].split()[0] for query in captured]
    assert messages == (["EXECUTE"] if connection.vendor == "postgresql" else ["BEGIN", "UPDATE", "COMMIT"])
