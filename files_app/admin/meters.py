"""Bars that show a share: SVG, since a width in a style attribute would be refused by the CSP."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString

from files_app.services.operations.overview import usage_level


def meter(percent: float, label: str = "used", *, level: str = "") -> SafeString:
    """Return a bar with its number; the colour changes at 80 and 95 %, unless it is said: ok, warning ..."""
    text = f"{percent:.0f} %" if percent >= 1 or percent <= 0 else "< 1 %"
    return format_html(
        '<span class="fg-meter fg-meter-{}"><svg class="fg-meter-bar" role="img" aria-label="{} {}">'
        '<rect class="fg-meter-track" width="100%" height="100%" rx="3"></rect>'
        '<rect class="fg-meter-fill" width="{}%" height="100%" rx="3"></rect></svg>'
        '<span class="fg-number">{}</span></span>',
        level or usage_level(percent),
        text,
        label,
        f"{min(100.0, max(0.0, percent)):.2f}",
        text,
    )
