"""A dry run: what would become of an upload. Nothing is stored, and no provider is asked."""

from __future__ import annotations

from dataclasses import dataclass

from files_app.models import Organization, ProviderAccount
from files_app.observability import context
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.selection import select_account
from files_app.services.index.recent import recent_rules
from files_app.services.index.transactions import release_connection
from files_app.services.uploads.begin import check_declared_length, rules_for
from files_app.services.uploads.placement import requested_bucket
from files_app.services.uploads.request import UploadRequest
from files_app.services.uploads.reservation import quota_exceeded
from files_app.streams.checks import UploadChecks
from providers.objects import BatchFacts, Digest, FilePart, Operation


@dataclass(frozen=True, slots=True)
class DryRun:
    """An upload that would be taken.

    batch: what its lines would be for the provider's jobs, None where those read every file as it is.
    sample: the first lines that a job would read, where they are rendered.
    """

    account: ProviderAccount
    filename: str
    purpose: str
    content: Digest
    batch: BatchFacts | None
    sample: tuple[bytes, ...]


def check_upload(request: UploadRequest) -> DryRun:
    """Read an upload as it would be read, and return what would become of it.

    Raises GatewayError and ProviderError, as the upload itself would before the provider gets its end.
    """
    account = select_account(request.caller.organization_id, request.account_name)
    driver = driver_for(account)
    driver.require(Operation.CREATE)
    driver.check_bucket(requested_bucket(driver, request.placement))
    organization = Organization.objects.get(pk=request.caller.organization_id)
    retention = recent_rules((organization.pk, account.pk))
    rules = rules_for(organization, driver, request.source, model=request.model, retention=retention)
    check_declared_length(rules, request.source)
    context.annotate(provider=account.name, driver=account.driver)
    release_connection()  # the client may take its time
    checks = UploadChecks(rules)
    for part in checks.run(request.source.parts()):
        if isinstance(part, FilePart):
            for _ in part.chunks:
                checks.take()
    organization.refresh_from_db()
    if not organization.has_room_for(checks.size):
        raise quota_exceeded(organization.pk, checks.size)
    return DryRun(
        account=account,
        filename=checks.filename or "",
        purpose=checks.purpose or "",
        content=checks.digest,
        batch=checks.facts(),
        sample=checks.sample(),
    )
