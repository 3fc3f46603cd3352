"""Whose request it is: the address that our outermost proxy saw.

Web servers fold `X-Forwarded-For` and `X_Forwarded_For` into one variable, and granian keeps the last of
them: a client could write over what the proxy says. So PROXY_HEADER names a header without a hyphen, which
has one spelling only: `Forwarded` (RFC 7239), or a list of plain addresses under any other name.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from django.conf import settings
from django.http import HttpRequest

FORWARDED: Final = "Forwarded"
# Read from the end, where our proxies write: what a client put before it, an open quote say, takes nothing
# along. Possessive, since clients choose the text.
_ELEMENT: Final = re.compile(r'(?:[^",]|"[^"]*")++')
_PAIR: Final = re.compile(r'(?:[^";]|"[^"]*")++')
_NODE: Final = re.compile(r"\[(?P<v6>[^\]%]*)\](?::\w+)?|(?P<v4>[0-9.]+)(?::\w+)?|(?P<bare>[0-9A-Fa-f:.]+)")


def forwarded_address(request: HttpRequest) -> str:
    """Return the address that PROXY_COUNT proxies in front hand on; empty when they name none."""
    return _address(_node(str(request.META.get(f"HTTP_{settings.PROXY_HEADER.upper()}", ""))))


def _node(value: str) -> str:
    """Return who stands PROXY_COUNT elements before the end; empty when that says nothing certain."""
    backwards: list[str] = _ELEMENT.findall(value[::-1])
    elements = [found[::-1].strip() for found in backwards if found.strip()]
    if len(elements) < settings.PROXY_COUNT:
        return ""
    element = elements[settings.PROXY_COUNT - 1]
    if settings.PROXY_HEADER.lower() != FORWARDED.lower():
        return element
    pairs: list[str] = _PAIR.findall(element)
    named = [pair.strip().partition("=") for pair in pairs]
    nodes = [node for name, _, node in named if name.lower() == "for"]
    return nodes[0] if len(nodes) == 1 else ""


def _address(node: str) -> str:
    """Return the address in `192.0.2.1:80`, `"[2001:db8::1]:80"` or `2001:db8::1`; else empty."""
    match = _NODE.fullmatch(node.removeprefix('"').removesuffix('"'))
    try:
        address = ipaddress.ip_address(match[match.lastgroup or 0] if match else "")
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)
