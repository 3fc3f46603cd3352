"""Small uploads: read whole and judged first, so that what is refused costs no write and what is not, two."""

from __future__ import annotations

from typing import Final

from files_app.models import File, ProviderAccount
from files_app.services.index.transactions import release_connection
from files_app.services.uploads.opening import open_upload
from files_app.services.uploads.request import RunningUpload, UploadObserver, UploadRequest, UploadSource
from files_app.services.uploads.sdk_retries import earlier_upload
from files_app.services.uploads.transfer import SmallTransfer
from files_app.streams.checks import UploadChecks, UploadRules
from files_app.streams.whole import read_whole
from providers.base import Driver
from providers.objects import MiB

#: Announced bodies up to this are read whole. What a thread holds in memory meanwhile.
SMALL_BYTES: Final = MiB


def is_small(source: UploadSource) -> bool:
    """Whether a body is known to be small before it is read."""
    return source.length is not None and source.length <= SMALL_BYTES


def upload_small(
    request: UploadRequest,
    account: ProviderAccount,
    driver: Driver,
    observer: UploadObserver,
    rules: UploadRules,
    *,
    bucket: str | None,
) -> File:
    """Read a small body, judge it, and only then write its row and turn to the provider."""
    release_connection()  # the client may take its time
    checks = UploadChecks(rules)
    parts = read_whole(checks.run(request.source.parts()), digest=lambda: checks.digest)
    if earlier := earlier_upload(request, account, driver, checks):
        return earlier
    observer.judged(checks, account)
    file, copy = open_upload(
        request,
        account,
        observer,
        reserved_bytes=checks.size,
        filename=checks.filename or "",
        size=checks.size,
    )
    upload = RunningUpload(
        request, account, driver, file, copy, observer, bucket=bucket, lease_token=file.lease_token
    )
    return SmallTransfer(upload, checks, parts).run()
