"""Plain HTTP calls that the tests of several dialects share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import requests

from tests.fake_provider import VALID_KEY

BEARER = {"Authorization": f"Bearer {VALID_KEY}"}
TIMEOUT = 10

FormField: TypeAlias = "tuple[str, tuple[str | None, bytes | str] | tuple[str | None, bytes | str, str]]"


def post_form(
    url: str,
    form: Sequence[FormField],
    *,
    headers: Mapping[str, str] = BEARER,
    params: Mapping[str, str] | None = None,
) -> requests.Response:
    """Send `form` in this order; a field without a filename is text."""
    return requests.post(
        url, headers=headers, params=params, files=list(form), timeout=TIMEOUT, allow_redirects=False
    )
