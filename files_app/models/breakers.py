"""Open breakers, as the processes that decide on them tell the others."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.utils import timezone

from files_app.models.accounts import ProviderAccount

#: A process says it again with each of its heartbeats; older than this, it is gone or has forgotten.
TOLD_WITHIN = timedelta(minutes=2)


class BreakerKind(models.TextChoices):
    """Operations of a provider that fail together."""

    READ = "read"
    CONTENT = "content"
    WRITE = "write"
    DELETE = "delete"


class OpenBreakerQuerySet(models.QuerySet["OpenBreaker"]):
    """Which of them still count."""

    def current(self) -> OpenBreakerQuerySet:
        """Return those that their process has told of lately."""
        return self.filter(seen_at__gt=timezone.now() - TOLD_WITHIN)


class OpenBreaker(models.Model):
    """One process asks an account for one kind of operation no more, but for a try now and then.

    process: `host/process id`. opened_at: when it began; seen_at: when the process said so last. error: what
    went wrong last.
    """

    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, related_name="open_breakers")
    kind = models.CharField(max_length=16, choices=BreakerKind)
    process = models.CharField(max_length=100)
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)
    error = models.CharField(max_length=500, blank=True)

    objects = OpenBreakerQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "kind", "process"], name="one_row_of_a_breaker"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.account_id} in {self.process}"

    @property
    def is_current(self) -> bool:
        """Whether its process has told of it lately."""
        return self.seen_at > timezone.now() - TOLD_WITHIN
