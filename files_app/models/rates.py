"""What was counted for rate limits, for all processes together."""

from __future__ import annotations

from django.db import models


class RateCount(models.Model):
    """One window of one limit; the next begins with the first count behind its end.

    ends_at_ms: by the database's clock, in milliseconds since 1970.
    """

    name = models.CharField(max_length=128, primary_key=True)
    count = models.BigIntegerField()
    ends_at_ms = models.BigIntegerField(db_index=True)

    def __str__(self) -> str:
        return f"{self.name}: {self.count}"
