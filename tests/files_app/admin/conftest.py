"""Two organizations with all that the admin shows; each must stay invisible to the other's staff."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from files_app.models import (
    ApiKey,
    AuditEvent,
    CopyState,
    EventKind,
    File,
    FileCopy,
    FileJob,
    FileState,
    JobKind,
    LegalHold,
    Organization,
    ProviderAccount,
    StaffAccess,
    WebhookDelivery,
    WebhookEndpoint,
)
from files_app.services.accounts.saving import save_account
from files_app.services.bulk import jobs
from files_app.services.index import audit, events
from files_app.services.index.callers import Caller
from files_app.services.tenants.keys import create_key
from files_app.services.uploads.begin import upload_file
from files_app.services.uploads.request import UploadRequest
from files_app.services.webhooks.endpoints import create_endpoint
from files_app.streams.raw import RawSource
from tests.files_app.rows import force


@dataclass(frozen=True)
class World:
    """One organization; every name in it begins with `mark`."""

    mark: str
    organization: Organization
    account: ProviderAccount
    key: ApiKey
    file: File
    dead: FileCopy
    event: AuditEvent
    hold: LegalHold
    trashed: File
    webhook: WebhookEndpoint
    job: FileJob

    @property
    def told(self) -> WebhookDelivery:
        return self.webhook.deliveries.get()

    @property
    def copy(self) -> FileCopy:
        return self.file.copies.get()


def store(
    organization: Organization,
    content: bytes = b"line one\nline two\n",
    *,
    filename: str = "notes.txt",
    account: ProviderAccount | None = None,
    content_type: str = "text/plain",
    purpose: str = "user_data",
) -> File:
    """Upload a file through the service."""
    source = RawSource(io.BytesIO(content).read, len(content), filename, content_type, purpose)
    caller = Caller(organization.pk, AuditEvent.Actor.USER, "somebody")
    return upload_file(UploadRequest(caller, source, account_name=account.name if account else None))


def world(mark: str) -> World:
    organization = Organization.objects.create(name=f"{mark}-org")
    account = ProviderAccount(
        organization=organization,
        name=f"{mark}-account",
        driver="local",
        options={"directory": mark},
        is_default=True,
    )
    save_account(account)
    caller = Caller(organization.pk, AuditEvent.Actor.USER, f"{mark}-actor")
    key, _ = create_key(organization=organization, name=f"{mark}-key", caller=caller)
    file = store(organization, filename=f"{mark}-file.txt")
    File.objects.filter(pk=file.pk).update(metadata={"team": f"{mark}-team"})
    gone = store(organization, b"gone\n", filename=f"{mark}-gone.txt")
    force(File.objects.filter(pk=gone.pk), state=FileState.DELETING)
    force(gone.copies, state=CopyState.DEAD, last_error=f"{mark}-error")
    audit.record(
        caller, "file.recheck", object_type="file", object_id=file.file_id, finding=f"{mark}-finding"
    )
    event = AuditEvent.objects.filter(action="file.recheck").latest("pk")
    hold = LegalHold.objects.create(
        organization=organization,
        reason=f"{mark}-reason",
        filters={"filename": f"{mark}-nothing"},
        placed_by=f"{mark}-actor",
    )
    trashed = store(organization, b"thrown away\n", filename=f"{mark}-trash.txt")
    force(File.objects.filter(pk=trashed.pk), state=FileState.TRASHED, is_counted_in_trash=True)
    webhook, _ = create_endpoint(
        organization, name=f"{mark}-webhook", url=f"https://1.1.1.1/{mark}", caller=caller
    )
    told = [webhook.pk]
    events.write(told, EventKind.FILE_LOST, {"object": "file", "id": f"{mark}-told"})
    job = jobs.create(
        jobs.Order(JobKind.RECHECK, f"{mark}-described"), File.objects.filter(pk=file.pk), caller=caller
    )
    return World(
        mark, organization, account, key, file, gone.copies.get(), event, hold, trashed, webhook, job
    )


@pytest.fixture
def own(db: None) -> World:
    return world("ours")


@pytest.fixture
def foreign(db: None) -> World:
    return world("zzforeign")


@pytest.fixture
def root(db: None) -> Client:
    """A superuser, signed in."""
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="a-long-enough-password"))
    return client


SignIn = Callable[..., Client]


@pytest.fixture
def sign_in(db: None) -> SignIn:
    """Return a function that signs a staff user in: with a role, bound to organizations, or seeing all."""

    def sign_in(role: str | None, *organizations: Organization, sees_all: bool = False) -> Client:
        user = User.objects.create_user(f"staff-{User.objects.count()}", is_staff=True)
        if role is not None:
            user.groups.add(Group.objects.get(name=role))
        access = StaffAccess.objects.create(user=user, sees_all_organizations=sees_all)
        access.organizations.set(organizations)
        client = Client()
        client.force_login(user)
        return client

    return sign_in


def body_of(response: object) -> bytes:
    """Return the bytes of an answer, streaming or not."""
    if getattr(response, "streaming", False):
        return b"".join(response)  # type: ignore[call-overload,no-any-return]  # its end closes it
    return response.content  # type: ignore[attr-defined,no-any-return]
