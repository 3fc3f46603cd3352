"""Deleted copies that a complete list of their provider lacks: it cannot show them to be adopted again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.utils import timezone

from files_app.models import CopyState, FileCopy, ProviderAccount

_BATCH = 2_000


def note_unlisted(account: ProviderAccount, seen: Collection[str], began: datetime) -> int:
    """Write down which of the account's deleted copies a list lacks, and return how many are new.

    seen: remote ids of a list that was read to its end and begun at `began`. What was deleted since may have
    been left out or be in it: the next list tells.
    """
    gone = FileCopy.objects.filter(
        account=account, state=CopyState.DELETED, unlisted_at=None, state_changed_at__lt=began
    )
    noted, last = 0, 0
    while batch := list(gone.filter(pk__gt=last).order_by("pk").values_list("pk", "remote_id")[:_BATCH]):
        last = batch[-1][0]
        absent = [pk for pk, remote_id in batch if remote_id not in seen]
        noted += FileCopy.objects.filter(pk__in=absent, state=CopyState.DELETED).update(
            unlisted_at=timezone.now()
        )
    return noted
