"""The gateway's tables."""

from files_app.models.accounts import ProviderAccount, SharedReason
from files_app.models.breakers import BreakerKind, OpenBreaker
from files_app.models.copies import FileCopy
from files_app.models.files import DeletedReason, FailureKind, File, ResultPart
from files_app.models.holds import HeldFile, LegalHold
from files_app.models.jobs import (
    ExportedChunk,
    FileJob,
    FileJobItem,
    FileJobPart,
    ItemResult,
    JobKind,
    JobStatus,
)
from files_app.models.lines import LineIndex, LinePage
from files_app.models.organizations import ApiKey, Organization, RetiredSecret
from files_app.models.places import AccountPlace
from files_app.models.rates import RateCount
from files_app.models.records import AuditAction, AuditEvent, IdempotencyRecord
from files_app.models.retention import RetentionRule
from files_app.models.sign_in import RecoveryCode, SecondFactor, StaffIdentity
from files_app.models.staff import Heartbeat, StaffAccess
from files_app.models.states import CopyState, FileState
from files_app.models.trash import TrashedFile
from files_app.models.upkeep import DueTime
from files_app.models.usage import DailyUsage, MeteredUpTo, SettledDay, StoredLevel, StoredSpan
from files_app.models.webhooks import DeliveryState, EventKind, WebhookDelivery, WebhookEndpoint

__all__ = [
    "AccountPlace",
    "ApiKey",
    "AuditAction",
    "AuditEvent",
    "BreakerKind",
    "CopyState",
    "DailyUsage",
    "DeletedReason",
    "DeliveryState",
    "DueTime",
    "EventKind",
    "ExportedChunk",
    "FailureKind",
    "File",
    "FileCopy",
    "FileJob",
    "FileJobItem",
    "FileJobPart",
    "FileState",
    "Heartbeat",
    "HeldFile",
    "IdempotencyRecord",
    "ItemResult",
    "JobKind",
    "JobStatus",
    "LegalHold",
    "LineIndex",
    "LinePage",
    "MeteredUpTo",
    "OpenBreaker",
    "Organization",
    "ProviderAccount",
    "RateCount",
    "RecoveryCode",
    "ResultPart",
    "RetentionRule",
    "RetiredSecret",
    "SecondFactor",
    "SettledDay",
    "SharedReason",
    "StaffAccess",
    "StaffIdentity",
    "StoredLevel",
    "StoredSpan",
    "TrashedFile",
    "WebhookDelivery",
    "WebhookEndpoint",
]
