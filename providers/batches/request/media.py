"""Images, documents and sound inside a request, which are data URLs."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import Final

from providers.batches.request.fields import UnfitLineError

_DATA_URL: Final = re.compile(r"(?i:data):([a-zA-Z0-9.+-]{1,64}/[a-zA-Z0-9.+-]{1,127})(?:;[^,;]*)*?;base64,")
_REMOTE_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,15}://")
#: Base64 is checked this much at a time, so that a large image is never decoded as a whole.
_STEP: Final = 262_144


@dataclass(frozen=True, slots=True)
class Media:
    """Something that is no text.

    media_type: lower case. data: base64; empty for one that is elsewhere, at `uri`.
    name: of a document. where: its place in the request, for problems.
    """

    media_type: str
    data: str
    where: str
    uri: str = ""
    name: str = ""

    def refused(self, what: str) -> UnfitLineError:
        """Return the problem of a kind of media that a target does not take."""
        return UnfitLineError(f"'{self.where}': {what}")


def media_from_url(url: str, where: str, name: str = "") -> Media:
    """Return what a URL holds, or that it is elsewhere."""
    if _REMOTE_URL.match(url):
        return Media("", "", where, uri=url, name=name)
    if (match := _DATA_URL.match(url)) is None:
        raise UnfitLineError(f"'{where}' must be a data URL like data:image/png;base64,...")
    return media_from_base64(match[1].lower(), url[match.end() :], where, name)


def media_from_base64(media_type: str, data: str, where: str, name: str = "") -> Media:
    """Return media whose base64 is well-formed."""
    _check_base64(data, where)
    return Media(media_type, data, where, name=name)


def _check_base64(data: str, where: str) -> None:
    try:
        for at in range(0, len(data), _STEP):
            decoded = binascii.a2b_base64(data[at : at + _STEP], strict_mode=True)
            if at + _STEP < len(data) and len(decoded) != _STEP // 4 * 3:
                raise UnfitLineError(f"'{where}' is not base64")
    except ValueError:
        raise UnfitLineError(f"'{where}' is not base64") from None
    if not data:
        raise UnfitLineError(f"'{where}' holds no data")
