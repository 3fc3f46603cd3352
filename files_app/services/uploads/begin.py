"""Upload: check what can be checked, reserve, and begin the transfer."""

from __future__ import annotations

from django.conf import settings

from files_app.exceptions import FileTooLargeError
from files_app.models import File, Organization, ProviderAccount
from files_app.models.retention import Rules
from files_app.observability import context
from files_app.services.accounts.breakers import require_answering
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.selection import recent_account
from files_app.services.accounts.shares import take_place
from files_app.services.index.recent import recent_organization, recent_rules
from files_app.services.index.transactions import release_connection
from files_app.services.uploads.opening import open_upload
from files_app.services.uploads.placement import requested_bucket
from files_app.services.uploads.request import (
    NOBODY,
    RunningUpload,
    UploadObserver,
    UploadRequest,
    UploadSource,
)
from files_app.services.uploads.reservation import require_room
from files_app.services.uploads.small import is_small, upload_small
from files_app.services.uploads.transfer import StreamedTransfer
from files_app.streams.checks import UploadRules
from files_app.words import readable_bytes
from providers.base import Driver
from providers.batches.json_lines import LineLimits
from providers.batches.rendering import BatchRenderer
from providers.objects import Operation


def upload_file(request: UploadRequest, observer: UploadObserver = NOBODY) -> File:
    """Stream a file to its provider and return it as the index holds it.

    Raises GatewayError and ProviderError. In both cases nothing is left at the provider, or the delete
    pipeline knows what has to be removed.
    """
    account = recent_account(request.caller.organization_id, request.account_name)
    driver = driver_for(account)
    driver.require(Operation.CREATE)
    bucket = requested_bucket(driver, request.placement)
    organization = recent_organization(request.caller.organization_id)
    retention = recent_rules((organization.pk, account.pk))
    rules = rules_for(organization, driver, request.source, model=request.model, retention=retention)
    check_declared_length(rules, request.source)
    context.annotate(provider=account.name, driver=account.driver)
    require_answering(account, Operation.CREATE)
    require_room(organization, least_bytes(request.source))
    upload_it = upload_small if is_small(request.source) else _upload_streamed
    with take_place(account, request.caller):
        return upload_it(request, account, driver, observer, rules, bucket=bucket)


def rules_for(
    organization: Organization,
    driver: Driver,
    source: UploadSource,
    *,
    model: str | None = None,
    retention: Rules | None = None,
) -> UploadRules:
    """Return the limits that hold for an upload of this organization to this provider.

    model: what the request names for the lines of a batch file. retention: how long files may live.
    """

    def new_renderer() -> BatchRenderer | None:
        return driver.batch_renderer(model=model, limits=line_limits())

    return UploadRules(
        provider_label=driver.label,
        capabilities=driver.capabilities,
        max_file_bytes=organization.max_file_bytes,
        batch_max_file_bytes=settings.BATCH_MAX_FILE_BYTES,
        assistants_max_tokens=settings.ASSISTANTS_MAX_TOKENS,
        line_limits=line_limits(),
        declared_bytes=source.length,
        new_renderer=new_renderer,
        life=(retention or Rules()).life,
    )


def line_limits() -> LineLimits:
    """Return the service's limits of the lines of a batch file."""
    return LineLimits(settings.BATCH_MAX_LINE_BYTES, settings.BATCH_MAX_DEPTH, settings.BATCH_MAX_LINES)


def check_declared_length(rules: UploadRules, source: UploadSource) -> None:
    """Refuse by the Content-Length alone what cannot fit, before a byte of the body is read."""
    limit = rules.max_bytes(None)
    if source.length is not None and source.length > limit + source.max_overhead_bytes:
        raise FileTooLargeError(
            f"The request announces {readable_bytes(source.length)}; the limit for one file is "
            f"{readable_bytes(limit)}.",
            param="file",
        )


def least_bytes(source: UploadSource) -> int:
    """Return what a file has at least: the announced length less the form's overhead."""
    return 0 if source.length is None else max(0, source.length - source.max_overhead_bytes)


def _upload_streamed(
    request: UploadRequest,
    account: ProviderAccount,
    driver: Driver,
    observer: UploadObserver,
    rules: UploadRules,
    *,
    bucket: str | None,
) -> File:
    """Reserve what the file has at least, and stream."""
    file, copy = open_upload(request, account, observer, reserved_bytes=least_bytes(request.source))
    release_connection()  # the client may take its time before the provider is called
    upload = RunningUpload(
        request, account, driver, file, copy, observer, bucket=bucket, lease_token=file.lease_token
    )
    return StreamedTransfer(upload, rules).run()
