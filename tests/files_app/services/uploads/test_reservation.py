"""Room for an upload: taken before its bytes come, or refused with the numbers."""

from __future__ import annotations

import pytest

from files_app.exceptions import QuotaExceededError
from files_app.services.uploads.reservation import reserve
from tests.files_app.cast import Tenant


def test_a_reservation_that_does_not_fit_says_the_numbers(acme: Tenant) -> None:
    acme.set_limits(quota_bytes=100, used_bytes=90)
    reserve(acme.organization.pk, 10)
    with pytest.raises(QuotaExceededError, match="100 bytes, of which 100 bytes are in use"):
        reserve(acme.organization.pk, 1)
    reserve(acme.organization.pk, 0)
