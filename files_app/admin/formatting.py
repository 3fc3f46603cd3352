"""How values look on the admin's pages: sizes, ages, states. What comes from outside is escaped."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from files_app.models import CopyState, FileState
from files_app.words import age, short_bytes
from providers.exceptions import ProviderConfigurationError
from providers.registry import driver_class

NOTHING = format_html('<span class="fg-muted">{}</span>', "\N{EN DASH}")

#: state -> (tone of its badge, what it means)
STATES: dict[str, tuple[str, str]] = {
    FileState.UPLOADING: ("info", "Bytes are moving now."),
    FileState.AVAILABLE: ("ok", "Clients can see and download it."),
    FileState.TRASHED: ("neutral", "Deleted by its organization; its provider still has it."),
    FileState.DELETING: ("warning", "Invisible to clients; the provider has yet to delete it."),
    FileState.DELETED: ("neutral", "Gone, also at the provider."),
    FileState.FAILED: ("critical", "The upload did not succeed; nothing is kept."),
    FileState.LOST: ("critical", "The provider no longer has it."),
    CopyState.UNCONFIRMED: ("warning", "The provider's answer was lost; it may hold bytes without a name."),
    CopyState.DEAD: ("critical", "The deletes are exhausted: somebody has to look."),
}


def shown_size(size: int) -> SafeString:
    """Return a size for people, with the exact number as its title."""
    return format_html('<span class="fg-number" title="{} bytes">{}</span>', f"{size:,}", short_bytes(size))


def exact(moment: datetime) -> str:
    """Return a moment to the second, in the viewer's time zone: `2026-11-23 18:31:02 UTC`."""
    local = timezone.localtime(moment)
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


def shown_age(moment: datetime | None) -> SafeString:
    """Return a moment as its distance from now, with the exact time as its title."""
    if moment is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}" class="fg-nowrap">{}</time>',
        moment.isoformat(),
        exact(moment),
        age(moment),
    )


def badge(text: str, tone: str = "neutral", title: str = "") -> SafeString:
    """Return a coloured label. Tones: ok, info, warning, critical, neutral."""
    return format_html('<span class="fg-badge fg-badge-{}" title="{}">{}</span>', tone, title, text)


def state_badge(state: str) -> SafeString:
    """Return the badge of a file's or a copy's state."""
    tone, meaning = STATES.get(state, ("neutral", ""))
    return badge(state, tone, meaning)


def identifier(text: str) -> SafeString:
    """Return an id in the type of ids, shortened by the page where it is too long."""
    if not text:
        return NOTHING
    return format_html('<code class="fg-id" title="{}">{}</code>', text, text)


def two_lines(first: str | SafeString, second: str | SafeString) -> SafeString:
    """Return a cell with a main and a minor line."""
    return format_html(
        '<span class="fg-two"><span class="fg-two-main">{}</span><span class="fg-two-minor">{}</span></span>',
        first,
        second,
    )


def label_of(driver: str) -> str:
    """Return a driver's name as its vendor spells it."""
    try:
        return driver_class(driver).label
    except ProviderConfigurationError:
        return driver
