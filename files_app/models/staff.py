"""Which organizations a staff user may see, and when the background processes were last alive."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from files_app.models.organizations import Organization


class StaffAccess(models.Model):
    """What one staff user may see. A user without a row sees nothing, a superuser needs none.

    Deleting an organization therefore never widens what somebody sees.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="staff_access"
    )
    sees_all_organizations = models.BooleanField(
        default=False, help_text="Every organization, and the provider accounts that all of them share."
    )
    organizations = models.ManyToManyField(Organization, blank=True, related_name="+")

    class Meta:
        verbose_name = "access to organizations"
        verbose_name_plural = "access to organizations"

    def __str__(self) -> str:
        return f"access of {self.user}"


class Heartbeat(models.Model):
    """When a process was last alive: `name` is its kind and host, `worker@host` or `web@host`.

    unreadable: references to credentials (`env:NAME`, `file:/path`) that it cannot resolve. variables: what
    tells which variables its environment has; `accounts/references.py` makes and reads it. started_at: when
    the process began; None of one of an earlier version.
    """

    name = models.CharField(max_length=100, unique=True)
    seen_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    unreadable = models.JSONField(default=list, db_default=[])
    variables = models.JSONField(default=list, db_default=[])

    def __str__(self) -> str:
        return f"{self.name} at {self.seen_at:%Y-%m-%d %H:%M:%S}"
