"""Records of what happened: the audit trail and the answers kept for idempotent retries."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from files_app.models.files import File
from files_app.models.organizations import Organization


class AuditAction(models.TextChoices):
    """What can be done: `object.verb`. Stored: never rename one. The admin's filter is made of it."""

    FILE_CREATE = "file.create"
    FILE_CONTENT = "file.content"
    FILE_DELETE = "file.delete"
    FILE_RESTORE = "file.restore"
    FILE_PURGE = "file.purge"
    FILE_EXPIRE = "file.expire"
    FILE_SET_EXPIRY = "file.set_expiry"
    FILE_HOLD = "file.hold"
    FILE_RECHECK = "file.recheck"
    FILE_VERIFY = "file.verify"
    FILE_RENDER = "file.render"
    FILE_CONVERT = "file.convert"
    FILE_EXPORT = "file.export"
    FILE_ADOPT = "file.adopt"
    FILE_REBUILD = "file.rebuild"
    FILE_LOST = "file.lost"
    FILE_FOUND = "file.found"
    JOB_CREATE = "job.create"
    JOB_CANCEL = "job.cancel"
    HOLD_PLACE = "hold.place"
    HOLD_LIFT = "hold.lift"
    DELETE_RETRY = "delete.retry"
    DELETE_GIVE_UP = "delete.give_up"
    RECONCILE_REMOVE = "reconcile.remove"
    KEY_CREATE = "key.create"
    KEY_UPDATE = "key.update"
    KEY_REVOKE = "key.revoke"
    KEY_ROTATE = "key.rotate"
    KEY_END_OVERLAP = "key.end_overlap"
    ACCOUNT_CREATE = "account.create"
    ACCOUNT_UPDATE = "account.update"
    ACCOUNT_DELETE = "account.delete"
    ACCOUNT_TEST = "account.test"
    ACCOUNT_SYNC = "account.sync"
    ACCOUNT_ENABLE = "account.enable"
    ACCOUNT_DISABLE = "account.disable"
    ACCOUNT_MOVE = "account.move"
    ACCOUNT_SHARED = "account.shared"
    ACCOUNT_CONFIRM = "account.confirm"
    ACCOUNT_REENCRYPT = "account.reencrypt"
    ORGANIZATION_CREATE = "organization.create"
    ORGANIZATION_UPDATE = "organization.update"
    ORGANIZATION_DELETE = "organization.delete"
    ORGANIZATION_RECOUNT = "organization.recount"
    CONFIG_CREATE = "config.create"
    CONFIG_CHANGE = "config.change"
    USER_CREATE = "user.create"
    USER_UPDATE = "user.update"
    USER_DELETE = "user.delete"
    USER_INVITE = "user.invite"
    USER_GENERATE = "user.generate"
    USER_ACCEPT = "user.accept"
    USER_SIGN_IN = "user.sign_in"
    USER_SIGN_OUT = "user.sign_out"
    AUDIT_EXPORT = "audit.export"
    USAGE_EXPORT = "usage.export"
    USER_OIDC = "user.oidc_sign_in"
    USER_LINK = "user.link"
    USER_UNLINK = "user.unlink"
    USER_SIGN_IN_CODE = "user.sign_in_code"
    USER_END_SESSIONS = "user.end_sessions"
    SECOND_FACTOR_SET = "second_factor.set"
    SECOND_FACTOR_RESET = "second_factor.reset"
    SECOND_FACTOR_LOCK = "second_factor.lock"
    RECOVERY_CODE_MAKE = "recovery_code.make"
    RECOVERY_CODE_USE = "recovery_code.use"
    WEBHOOK_CREATE = "webhook.create"
    WEBHOOK_UPDATE = "webhook.update"
    WEBHOOK_DELETE = "webhook.delete"
    WEBHOOK_ROTATE = "webhook.rotate"
    WEBHOOK_ENABLE = "webhook.enable"
    WEBHOOK_DISABLE = "webhook.disable"
    WEBHOOK_RESEND = "webhook.resend"
    WEBHOOK_TEST = "webhook.test"


#: Events that one statement removes: of millions, it would time out and nothing would ever go.
_PRUNED = 5_000


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    """Append-only: rows are written once and removed only by retention."""

    def update(self, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise TypeError("Audit events are append-only.")

    def delete(self) -> NoReturn:
        """Refuse; retention goes through `prune`."""
        raise TypeError("Audit events are append-only; retention is AuditEvent.objects.prune().")

    def forget_demo(self, organization: Organization) -> None:
        """Remove the made-up trail of a demo's organization; of any other there is no way."""
        if not organization.is_demo:
            raise TypeError("Audit events are append-only.")
        self.filter(organization=organization)._raw_delete(using=self.db)

    def prune(self, before: Any) -> int:
        """Remove events older than `before`, some thousands in each statement, and return how many."""
        removed = 0
        while pks := list(self.filter(created_at__lt=before).order_by("created_at").values("pk")[:_PRUNED]):
            rows = self.filter(pk__in=[row["pk"] for row in pks])
            removed += int(rows._raw_delete(using=self.db))
        return removed


class AuditEvent(models.Model):
    """Who did what to which object, with which result. Holds no secret and no reference that can vanish."""

    class Actor(models.TextChoices):
        API_KEY = "api_key", "API key"
        USER = "user", "Staff user"
        SYSTEM = "system", "Gateway"
        COMMAND = "command", "Command line"

    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    actor_type = models.CharField(max_length=16, choices=Actor)
    actor = models.CharField(max_length=150, blank=True)
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=32, blank=True)
    object_id = models.CharField(max_length=255, blank=True)
    account_name = models.CharField(max_length=64, blank=True)
    result = models.CharField(max_length=64, default="ok")
    ip = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    details = models.JSONField(default=dict, blank=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(F("organization"), F("created_at").desc(), name="audit_by_organization"),
            models.Index(fields=["object_id", "object_type"], name="audit_by_object_id"),
            models.Index(fields=["action", "created_at"], name="audit_by_action"),
            models.Index(fields=["request_id"], name="audit_by_request"),
            models.Index(fields=["actor", "-created_at", "-id"], name="audit_by_actor"),
            models.Index(
                fields=["ip", "-created_at", "-id"], condition=Q(ip__isnull=False), name="audit_by_address"
            ),
            models.Index(
                fields=["actor_type", "-created_at", "-id"],
                condition=~Q(actor_type="api_key"),
                name="audit_by_actor_type",
            ),
            models.Index(fields=["-created_at", "-id"], condition=~Q(result="ok"), name="audit_not_ok"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_id} ({self.result})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write once."""
        if not self._state.adding:
            raise TypeError("Audit events are append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise TypeError("Audit events are append-only.")


class IdempotencyRecord(models.Model):
    """One `Idempotency-Key` of one organization.

    file: the upload that holds the key; whether it is still running is written there.
    fingerprint: digest of the request (name, purpose, expiry, account, bytes), empty while in flight.
    response: the file object that was answered, None while in flight.
    lease_expires_at: until when the key is held by a request that has not begun its upload.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    token = models.CharField(max_length=32)
    file = models.ForeignKey(File, on_delete=models.SET_NULL, null=True, related_name="+")
    fingerprint = models.CharField(max_length=64, blank=True)
    response = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    lease_expires_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "key"], name="one_record_of_a_key")
        ]

    def __str__(self) -> str:
        return f"{self.key[:32]} ({'answered' if self.response else 'in flight'})"
