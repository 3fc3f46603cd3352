"""Rate limits of the API, in DRF's terms; the counting is in `services.tenants.throttle`."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from files_app.api.authentication import caller_of
from files_app.services.tenants import throttle


class UploadRate(BaseThrottle):
    """Uploads that an organization begins within a minute."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return True, or raise TooManyRequestsError, which says how long to wait."""
        throttle.count_upload(caller_of(request).organization_id)
        return True
