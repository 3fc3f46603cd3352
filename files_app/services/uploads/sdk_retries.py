"""Retries of SDKs: the same file sent again after an answer that the client never got.

OpenAI's SDKs send a whole file up to twice more, without an Idempotency-Key, and say so only in
`x-stainless-retry-count`.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from files_app.models import File, ProviderAccount
from files_app.services.uploads.request import UploadRequest
from files_app.streams.checks import UploadChecks
from providers.base import Driver

_MAX_EARLIER = 20
#: Providers round, and count from their own clocks.
_EXPIRY_TOLERANCE_SECONDS = 300


def earlier_upload(
    request: UploadRequest, account: ProviderAccount, driver: Driver, checks: UploadChecks
) -> File | None:
    """Return what the same key uploaded minutes ago, if an SDK says that it sends the same file once more."""
    if request.sdk_retry_count <= 0:
        return None
    since = timezone.now() - timedelta(seconds=settings.SDK_RETRY_WINDOW_SECONDS)
    candidates = (
        File.objects.for_organization(request.caller.organization_id)
        .live()
        .filter(
            api_key_id=request.caller.api_key_id,
            account=account,
            filename=checks.filename,
            purpose=checks.purpose,
            bytes=checks.digest.bytes,
            sha256=checks.digest.sha256,
            indexed_at__gt=since,
        )
        .newest_first()
        .select_related("account")[:_MAX_EARLIER]
    )
    return next((file for file in candidates if _was_asked_for(file, request, driver, checks)), None)


def _is_for_the_same_model(earlier: File, checks: UploadChecks) -> bool:
    """Whether jobs would read the same lines: the request may name a model, and the account map it."""
    facts = checks.facts()
    return facts is None or (earlier.batch or {}).get("model") == facts.model


def _was_asked_for(earlier: File, request: UploadRequest, driver: Driver, checks: UploadChecks) -> bool:
    """Whether an earlier upload asked for the same metadata and the same time to live."""
    if earlier.metadata != dict(request.metadata) or not _is_for_the_same_model(earlier, checks):
        return False
    asked = checks.expires_after_seconds
    if earlier.expires_at is None:
        return asked is None
    expiry = driver.capabilities.expiry
    unasked = (checks.life.unasked_seconds, expiry.default_seconds)
    asked = asked or min(filter(None, unasked), default=None)
    if asked is None:  # a provider that knows expiry may have set it unasked, as OpenAI does for batches
        return expiry.native
    lives = (earlier.expires_at - earlier.created_at).total_seconds()
    return abs(lives - asked) < _EXPIRY_TOLERANCE_SECONDS
