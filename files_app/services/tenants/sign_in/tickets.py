"""Short notes that are good once: the state of a sign-in that is under way, a code from the command line.

They are kept where sessions are, so every web server finds them, and expired ones go with expired sessions.
"""

from __future__ import annotations

import re
from typing import Any

from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

_PURPOSE = "_ticket"


def issue(purpose: str, data: dict[str, Any], *, seconds: int) -> str:
    """Keep `data` for so long, and return the ticket: 32 characters that nobody guesses."""
    store = SessionStore()
    store[_PURPOSE] = purpose
    store["data"] = data
    store.set_expiry(seconds)
    store.create()
    return str(store.session_key)


def redeem(purpose: str, ticket: str) -> dict[str, Any] | None:
    """Return what a ticket stands for, to one caller and once; None for any other text."""
    if not re.fullmatch(r"[a-z0-9]{32}", ticket):
        return None
    kept = SessionStore(ticket).load()
    if kept.get(_PURPOSE) != purpose:
        return None
    removed, _ = Session.objects.filter(session_key=ticket, expire_date__gt=timezone.now()).delete()
    return dict(kept["data"]) if removed else None
