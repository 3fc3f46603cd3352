"""When the gateway's own periodic work is due, for all workers together."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class DueTime(models.Model):
    """One kind of periodic work. Whoever moves `due_at` on has claimed that time and does the work.

    due_at: when it is due next, by the database's clock. begun_at, done_at: of the last that was claimed, and
    of the last that was done; None until then.
    """

    name = models.CharField(max_length=64, primary_key=True)
    due_at = models.DateTimeField(default=timezone.now)
    begun_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name}, due {self.due_at:%Y-%m-%d %H:%M:%S}"
