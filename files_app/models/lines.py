"""Where the requests of a batch file are, for people who look at it: one page of it can be shown at once."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from files_app.models.files import File
from files_app.models.states import FileState


class LineIndexQuerySet(models.QuerySet["LineIndex"]):
    """Which of them are to be made, and which serve nobody any more."""

    def due(self) -> LineIndexQuerySet:
        """Return those that somebody waits for, in database time."""
        is_time = Q(ask_after__isnull=True) | Q(ask_after__lte=Now())
        usable = {"file__state": FileState.AVAILABLE, "file__account__is_enabled": True}
        return self.filter(is_time, is_ready=False, **usable)

    def current(self) -> LineIndexQuerySet:
        """Return those that are of the content that their file has now."""
        return self.filter(of_bytes=F("file__bytes"), of_sha256=F("file__sha256"))

    def remove(self, *files: File) -> None:
        """Remove what files that are being deleted had, inside the caller's transaction.

        Their rows are locked first, so that no worker adds pages to them meanwhile.
        """
        if held := list(self.select_for_update().filter(file__in=files).values_list("pk", flat=True)):
            self.filter(pk__in=held).delete()

    def unused(self, since: datetime) -> LineIndexQuerySet:
        """Return those that nobody has looked at since then, and those of files that are no more."""
        return self.filter(Q(opened_at__lt=since) | ~Q(file__state=FileState.AVAILABLE))


class LineIndex(models.Model):
    """Where the requests of one file are; until `is_ready`, of its first ones.

    of_bytes, of_sha256: the content that it is of. lines, failed: how many requests there are, and how
    many of their answers are errors. is_cut: there are more than are indexed. problem: why there is none yet.
    ask_after: before this moment, in database time, no worker begins with it.
    """

    file = models.OneToOneField(File, on_delete=models.CASCADE, related_name="line_index")
    of_bytes = models.BigIntegerField()
    of_sha256 = models.CharField(max_length=64, blank=True)
    is_ready = models.BooleanField(default=False, db_index=True)
    lines = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    is_cut = models.BooleanField(default=False)
    problem = models.CharField(max_length=500, blank=True)
    ask_after = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(default=timezone.now, db_index=True)

    objects = LineIndexQuerySet.as_manager()

    def __str__(self) -> str:
        return f"lines of file {self.file_id}"


class LinePage(models.Model):
    """Some requests that follow each other. data: packed by `services/reading/line_pages.py`."""

    index = models.ForeignKey(LineIndex, on_delete=models.CASCADE, related_name="pages")
    number = models.PositiveIntegerField()
    failed = models.PositiveIntegerField(default=0)
    data = models.BinaryField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["index", "number"], name="one_page_of_a_number")
        ]

    def __str__(self) -> str:
        return f"page {self.number} of {self.index_id}"
