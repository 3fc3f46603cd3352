"""The gateway's tables."""

from files_app.models.accounts import ProviderAccount
from files_app.models.files import File, FileCopy
from files_app.models.organizations import ApiKey, Organization
from files_app.models.records import AuditEvent, IdempotencyRecord
from files_app.models.staff import Heartbeat, StaffAccess

__all__ = [
    "ApiKey",
    "AuditEvent",
    "File",
    "FileCopy",
    "Heartbeat",
    "IdempotencyRecord",
    "Organization",
    "ProviderAccount",
    "StaffAccess",
]
