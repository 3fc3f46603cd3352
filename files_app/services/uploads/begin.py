"""Upload: check what can be checked, reserve, and begin the transfer."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import transaction

from files_app.exceptions import FileTooLargeError
from files_app.models import File, FileCopy, Organization, ProviderAccount
from files_app.models.retention import Rules, organization_and_rules
from files_app.observability import context
from files_app.services.accounts.breakers import require_answering
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.selection import select_account
from files_app.services.accounts.shares import take_place
from files_app.services.index.ids import new_file_id
from files_app.services.index.leases import lease_end
from files_app.services.index.transactions import release_connection
from files_app.services.uploads.placement import requested_bucket
from files_app.services.uploads.request import RunningUpload, UploadObserver, UploadRequest, UploadSource
from files_app.services.uploads.reservation import reserve
from files_app.services.uploads.running import require_place
from files_app.services.uploads.transfer import Transfer
from files_app.streams.checks import UploadRules
from files_app.words import readable_bytes
from providers.base import Driver
from providers.batches.json_lines import LineLimits
from providers.batches.rendering import BatchRenderer
from providers.objects import Operation


def upload_file(request: UploadRequest, observer: UploadObserver | None = None) -> File:
    """Stream a file to its provider and return it as the index holds it.

    Raises GatewayError and ProviderError. In both cases nothing is left at the provider, or the delete
    pipeline knows what has to be removed.
    """
    account = select_account(request.caller.organization_id, request.account_name)
    driver = driver_for(account)
    driver.require(Operation.CREATE)
    bucket = requested_bucket(driver, request.placement)
    organization, retention = organization_and_rules(request.caller.organization_id, account.pk)
    rules = rules_for(organization, driver, request.source, model=request.model, retention=retention)
    check_declared_length(rules, request.source)
    context.annotate(provider=account.name, driver=account.driver)
    observer = observer or UploadObserver()
    require_answering(account, Operation.CREATE)
    with take_place(account, request.caller):
        file, copy = _begin(request, organization, account, observer)
        release_connection()  # the client may take its time before the provider is called
        upload = RunningUpload(
            request,
            account,
            driver,
            file,
            copy,
            observer,
            bucket=bucket,
            lease_token=file.lease_token,
            life=rules.life,
        )
        return Transfer(upload, rules).run()


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


def _begin(
    request: UploadRequest, organization: Organization, account: ProviderAccount, observer: UploadObserver
) -> tuple[File, FileCopy]:
    """Reserve what the file has at least, the length less the form's overhead, and write the row."""
    source = request.source
    amount = 0 if source.length is None else max(0, source.length - source.max_overhead_bytes)
    with transaction.atomic():
        reserve(organization, amount)
        require_place(request.caller)
        file = File.objects.create(
            organization=organization,
            account=account,
            api_key_id=request.caller.api_key_id,
            file_id=new_file_id(),
            metadata=dict(request.metadata),
            reserved_bytes=amount,
            lease_token=secrets.token_hex(16),
            lease_expires_at=lease_end(),
        )
        copy = FileCopy.objects.create(file=file, account=account, created_at=file.created_at)
        observer.begun(file)
    return file, copy
