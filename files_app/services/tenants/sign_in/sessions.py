"""Ends what somebody has open in the admin."""

from __future__ import annotations

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from files_app.services.index.transactions import in_batches


def end_sessions(user: User, *, but: str | None = None) -> int:
    """End the sessions of a user and return how many. but: the key of one that goes on.

    Whose a session is stands inside of it, so all are read; staff is few, and this is rare.
    """
    open_now = Session.objects.filter(expire_date__gt=timezone.now()).exclude(session_key=but)
    mine = [
        session.session_key
        for batch in in_batches(open_now)
        for session in batch
        if session.get_decoded().get(SESSION_KEY) == str(user.pk)
    ]
    removed, _ = Session.objects.filter(session_key__in=mine).delete()
    return removed


def forget_ended() -> int:
    """Remove sessions that have expired, and return how many: each sign-in leaves one behind."""
    removed, _ = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    return removed
