"""Asks again for what a provider may not show yet: some lists and reads lag seconds behind the writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from providers.exceptions import ProviderTimeoutError, RemoteFileNotFoundError

T = TypeVar("T")

#: How long a file that must be there is asked for.
ASK_AGAIN_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS: Final = 2.0


def ask_until_shown(ask: Callable[[], T], *, label: str) -> T:
    """Return what `ask` returns, asked again as long as the provider says that there is no such file.

    Raises ProviderTimeoutError when it still says so in the end: whether the file is there stays open.
    """
    deadline, pause = time.monotonic() + ASK_AGAIN_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        try:
            return ask()
        except RemoteFileNotFoundError as exc:
            left = deadline - time.monotonic()
            if left <= 0:
                raise not_shown(exc, label) from exc
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def not_shown(exc: RemoteFileNotFoundError, label: str) -> ProviderTimeoutError:
    """Return the error for a file that must be there and that the provider does not show."""
    return ProviderTimeoutError(
        f"{label} has taken this file, but does not show it yet. Try again in a minute.",
        provider=exc.provider,
        operation=exc.operation,
        request_id=exc.request_id,
        answered=False,
    )
